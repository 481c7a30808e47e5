//! Proofs of this machine's cargo: made once for all tests, and copied into their stores.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::{repository, tree, xcache_binary};

/// The directory of proofs in a store.
const PLACE: &str = "v1/proof";

/// Copies the proofs into a new store. Errors are left to the test.
pub(crate) fn share(store: &Path) {
    let place = store.join(PLACE);
    if place.exists() || store.is_file() {
        return;
    }
    for proof in tree::children(proven()) {
        let name = proof.file_name().expect("a directory's child has a name");
        let _ = std::fs::create_dir_all(&place).and_then(|()| std::fs::copy(&proof, place.join(name)));
    }
}

/// The file with the format of the first of [`OPTIONS`].
const FORMAT: &str = "format";
/// Options of cargo to prove, and whether unstable features are allowed.
const OPTIONS: &[(&[&str], bool)] = &[(&[], false), (&[], true), (&["-Zbuild-dir-new-layout"], true)];

/// The directory with all proofs, which are made once for each binary.
fn proven() -> &'static Path {
    static PROVEN: OnceLock<PathBuf> = OnceLock::new();
    PROVEN.get_or_init(|| {
        let home = home();
        let store = home.join("store");
        let alone = home.join("lock");
        std::fs::create_dir_all(&home).expect("directories can be created");
        let lock = std::fs::File::create(&alone).expect("a file can be created");
        lock.lock().expect("a file can be locked");
        let binary = std::fs::metadata(xcache_binary()).expect("the binary was built");
        let of = format!("{:?} {} {:?}", binary.modified(), binary.len(), std::env::var_os("RUSTUP_TOOLCHAIN"));
        let known = home.join("of");
        if std::fs::read_to_string(&known).ok().as_ref() != Some(&of) {
            tree::remove(&store);
            OPTIONS.iter().enumerate().for_each(|(index, (flags, unstable))| {
                prove(&home.join("demo"), &store, flags, *unstable);
                if index == 0 {
                    tree::write(&home.join(FORMAT), answer(&store).unwrap_or_default());
                }
            });
            tree::write(&known, of);
        }
        store.join(PLACE)
    })
}

/// The format of this machine's cargo.
pub(crate) fn format() -> String {
    proven();
    tree::read(&home().join(FORMAT))
}

fn home() -> PathBuf {
    repository().join("target/proofs")
}

/// The format in the only proof of a store. The digest of the proof precedes it.
fn answer(store: &Path) -> Option<String> {
    let bytes = std::fs::read(tree::children(&store.join(PLACE)).first()?).ok()?;
    let answer: serde_json::Value = serde_json::from_slice(bytes.get(32..)?).ok()?;
    Some(answer["format"].as_str()?.to_owned())
}

/// Makes a proof. If this fails, the tests will show it.
fn prove(demo: &Path, store: &Path, flags: &[&str], unstable: bool) {
    // If there is nothing to do, nothing is proven.
    tree::remove(&demo.join("target"));
    tree::write(&demo.join("Cargo.toml"), "[package]\nname = \"demo\"\nedition = \"2024\"\n[workspace]\n");
    tree::write(&demo.join("src/lib.rs"), "");
    let mut command = Command::new(xcache_binary());
    command.args(["xcache", "check", "--quiet"]).args(flags).current_dir(demo).stdin(Stdio::null());
    command.env_remove("CARGO").env("XCACHE_DIR", store).env("XCACHE_HYDRATE", "prove");
    if unstable {
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    let _ = command.status();
}

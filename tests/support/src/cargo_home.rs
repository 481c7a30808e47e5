//! A `CARGO_HOME` with every package of the fixtures, fetched once and copied for each test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::{fixture, persistent_dir, tree};

/// The fixtures that use crates.io.
const FIXTURES: &[&str] = &["app", "natives"];

/// Makes `to` a cargo home that needs no network for the fixtures.
pub fn copy(to: &Path) {
    let registry = FETCHED.join("registry");
    tree::copy(&registry.join("index"), &to.join("registry/index"));
    tree::link(&registry.join("cache"), &to.join("registry/cache"));
    tree::link(&registry.join("src"), &to.join("registry/src"));
}

/// The archive of a package of the fixtures, and its version.
#[track_caller]
pub fn archive(package: &str) -> (PathBuf, String) {
    let version = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".crate")?;
        let version = name.strip_prefix(package)?.strip_prefix('-')?;
        version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
    };
    let archives = tree::files(&FETCHED.join("registry/cache")).into_iter();
    let found = archives.filter_map(|path| Some((version(&path)?, path))).next();
    let (version, path) = found.unwrap_or_else(|| panic!("no fixture has {package} in its lockfile"));
    (path, version)
}

static FETCHED: LazyLock<PathBuf> = LazyLock::new(|| {
    let locks: Vec<_> = FIXTURES.iter().map(|name| fixture(name).join("Cargo.lock")).collect();
    let dir = persistent_dir().join(format!("cargo-home-{}", digest(&locks)));
    fs::create_dir_all(&dir).expect("the target directory can be written");
    // Several test binaries may run at the same time.
    let lock = File::create(dir.join("lock")).expect("a lock file can be created");
    lock.lock().expect("a lock can be taken");
    let done = dir.join("fetched");
    if !done.exists() {
        FIXTURES.iter().for_each(|name| fetch(name, &dir));
        File::create(done).expect("a file can be created");
    }
    dir
});

/// The only step that may need the network, and so the machine's own network settings.
fn fetch(name: &str, cargo_home: &Path) {
    let mut command = Command::new("cargo");
    command.args(["fetch", "--locked", "--manifest-path"]).arg(fixture(name).join("Cargo.toml"));
    command.env("CARGO_HOME", cargo_home).env_remove("CARGO_BUILD_TARGET").env_remove("CARGO_NET_OFFLINE");
    let output = command.output().expect("cargo is on PATH");
    assert!(output.status.success(), "cannot fetch {name}: {}", String::from_utf8_lossy(&output.stderr));
}

fn digest(files: &[PathBuf]) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(fs::read(file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display())));
    }
    hasher.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

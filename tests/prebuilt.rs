//! The static binary that `.ci/dist` made for this machine, if it exists: it needs no files of the system, and shares a
//! store with the binary under test, in both directions.
//!
//! **Invariant.** A binary that is older than the sources proves nothing, and is skipped like a missing one.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use support::{Project, Sandbox, Tool, is_available, repository, require};

const NONE: [&str; 0] = [];

/// The static binary, if it exists and is not older than the sources.
fn prebuilt() -> Option<PathBuf> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let name = format!("target/archives/cargo-xcache-{}-{target}/cargo-xcache", env!("CARGO_PKG_VERSION"));
    let binary = repository().join(&name);
    let made = binary.metadata().and_then(|metadata| metadata.modified()).ok();
    let is_newer =
        |made| ["Cargo.lock", "src", "cargo-plugin/src"].iter().all(|path| newest(&repository().join(path)) <= made);
    require(Tool::StaticBinary, made.filter(|made| is_newer(*made)).map(|_| binary))
}

/// The last modification of anything at or below a path.
fn newest(path: &Path) -> SystemTime {
    let own = path.metadata().and_then(|metadata| metadata.modified()).expect("the path exists");
    let children = std::fs::read_dir(path).into_iter().flatten();
    children.map(|entry| newest(&entry.expect("the entry can be read").path())).fold(own, SystemTime::max)
}

fn build_with(binary: &Path, project: &Project) {
    let output = project.program(binary, ["xcache", "build"]).ok();
    assert_eq!(output.warnings(), NONE);
}

#[test]
fn the_static_binary_starts_in_an_empty_root_directory() {
    let Some(binary) = prebuilt() else { return };
    let sandbox = Sandbox::new();
    let root = sandbox.path("root");
    std::fs::create_dir(&root).expect("a directory can be created");
    std::fs::copy(&binary, root.join("cargo-xcache")).expect("the binary can be copied");
    let project = sandbox.checkout("app");
    let may_change_root = project.program("unshare", ["--map-root-user", "true"]).run().status.success();
    if !is_available(Tool::Mounts, may_change_root) {
        return;
    }
    let start = ["--map-root-user", "chroot", root.to_str().expect("the path is UTF-8"), "/cargo-xcache", "xcache"];
    let output = project.program("unshare", start.iter().chain(&["--version"])).ok();
    assert_eq!(output.stdout.trim(), format!("cargo-xcache {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn units_compiled_with_either_binary_are_hits_for_the_other() {
    let Some(binary) = prebuilt() else { return };
    let sandbox = Sandbox::new();
    let ours = support::xcache_binary();
    for (first, second) in [(&ours, &binary), (&binary, &ours)] {
        let app = sandbox.checkout("app").with_store(&sandbox.unused("store")).env("CARGO_INCREMENTAL", "0");
        sandbox.reset();
        build_with(first, &app);
        assert_ne!(sandbox.compiled_dependencies(), NONE, "the store was empty");
        let program = app.binary("app");
        app.clean();
        sandbox.reset();
        build_with(second, &app);
        assert_eq!(sandbox.compiled(), NONE, "{} after {}", second.display(), first.display());
        assert_eq!(app.binary("app"), program);
    }
}

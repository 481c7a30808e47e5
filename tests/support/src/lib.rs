//! What the integration tests share.
//!
//! | module | what it gives |
//! |---|---|
//! | [`sandbox`] | [`Sandbox`]: a directory for one test, with a home, stores, package homes and a counting rustc |
//! | [`project`] | [`Project`]: one checkout, and how cargo and xcache are called in it |
//! | [`proofs`] | what is proven of the machine's cargo, so that not every test has to wait for it |
//! | [`invocation`] | [`Invocation`], [`Output`], [`Running`]: one process, with a limit on how long it may take |
//! | [`rustc`] | [`Rustc`]: an executable that notes each start of the real rustc |
//! | [`registry`], [`git`] | packages made up at run time: [`Registry`], [`Package`], [`Repository`] |
//! | [`server`], [`proxy`] | a real S3 server, and a [`Proxy`] in front of it that counts and breaks |
//! | [`servers`] | real servers of other services: Azure, GCS, WebDAV, Redis, Memcached, files over HTTP |
//! | [`layered`] | a workspace that uses whatever manifests can say |
//! | [`images`] | a real builder of images |
//! | [`compare`] | what cargo prints, compared |
//! | [`runners`] | what runs jobs as CI services do: [`GitHub`](runners::GitHub) |
//! | [`matrix`] | [`Matrix`]: one workspace in every situation, compared with plain cargo |
//! | [`witness`] | [`Witness`]: a workspace whose program says what was seen while it was built |
//! | [`looking`] | scripts and macros that look at one thing, for a [`Witness`] |
//! | [`native`] | objects and archives of the machine |
//! | [`tools`] | [`require`](tools::require): what not every machine has |
//! | [`report`] | [`Report`]: what `cargo xcache report` says |
//!
//! **Invariants.** Everything is real: cargo, rustc, git, the server. Every test has a directory of its own and an
//! environment that is built from nothing, so what the machine or `cargo test` has set is not seen. Only processes that
//! were started here are ended, and nothing waits for ever.

pub mod cargo_home;
pub mod compare;
pub mod git;
pub mod images;
pub mod invocation;
pub mod layered;
pub mod matrix;
pub mod native;
pub mod project;
pub mod proofs;
pub mod proxy;
pub mod readers;
pub mod registry;
pub mod report;
pub mod runners;
pub mod rustc;
pub mod sandbox;
pub mod server;
pub mod servers;
pub mod tools;
pub mod tree;
pub mod witness;

pub use git::Repository;
pub use invocation::{Invocation, Output, Running};
pub use matrix::Matrix;
pub use project::Project;
pub use proxy::{Fault, Proxy, Request};
pub use registry::{Package, Registry};
pub use report::Report;
pub use rustc::{Rustc, Start};
pub use sandbox::Sandbox;
pub use server::{Key, S3Server};
pub use tools::{Tool, is_available, nightly, require};
pub use witness::Witness;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The top of the source tree.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this package is two levels down").to_owned()
}

/// The checked-in tree `fixtures/<name>`: to be copied, never used in place.
pub fn fixture(name: &str) -> PathBuf {
    let path = repository().join("fixtures").join(name);
    assert!(path.is_dir(), "there is no fixture {name}: {} is missing", path.display());
    path
}

/// The directory of the profile the tests were built in, such as `target/debug`.
fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(2).expect("tests are built into <profile>/deps").to_owned()
}

/// The binary under test.
pub fn xcache_binary() -> PathBuf {
    let path = profile_dir().join(format!("cargo-xcache{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is missing: run the tests with `cargo test`, which builds it", path.display());
    path
}

/// A directory that outlives one run of the tests: what is in it was expensive to get.
fn kept_dir() -> PathBuf {
    profile_dir().parent().expect("a profile is in the target directory").join("tmp").join("xcache-tests")
}

/// Waits for something that nobody announces.
///
/// # Panics
///
/// When it has not come about within a minute.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        thread::sleep(Duration::from_millis(10));
    }
}

/// How often a test does what it repeats: as a rule often enough to fail if something is wrong in general, and by hand
/// (`XCACHE_TEST_LONG=1`) often enough to find what goes wrong at one moment only.
pub fn rounds(short: u32, long: u32) -> u32 {
    if std::env::var_os("XCACHE_TEST_LONG").is_some() { long } else { short }
}

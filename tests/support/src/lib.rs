//! Shared code of the integration tests.
//!
//! | module | contents |
//! |---|---|
//! | [`sandbox`] | [`Sandbox`]: a directory for one test, with a home, stores, cargo homes and a counting rustc |
//! | [`project`] | [`Project`]: one checkout, and how cargo and xcache are called in it |
//! | [`proofs`] | proofs of the machine's cargo, so that not every test has to wait for one |
//! | [`invocation`] | [`Invocation`], [`Output`], [`Running`]: one process with a time limit |
//! | [`rustc`] | [`Rustc`]: an executable that notes each start of the real rustc |
//! | [`registry`], [`git`] | packages made up at run time: [`Registry`], [`Package`], [`Repository`] |
//! | [`server`], [`proxy`] | a real S3 server, and a [`Proxy`] in front of it that counts requests and injects faults |
//! | [`servers`] | real servers of other services: Azure, GCS, WebDAV, Redis, Memcached, files over HTTP |
//! | [`layered`] | a workspace that uses most of what manifests can express |
//! | [`images`] | a real image builder |
//! | [`compare`] | comparison of cargo's output |
//! | [`runners`] | programs that run jobs as CI services do: [`GitHub`](runners::GitHub) |
//! | [`matrix`] | [`Matrix`]: one workspace in every situation, compared with plain cargo |
//! | [`witness`] | [`Witness`]: a workspace whose program prints what was read during the build |
//! | [`readers`] | scripts and macros that read one thing, for a [`Witness`] |
//! | [`native`] | objects and archives outside of all packages |
//! | [`tools`] | [`require`](tools::require): tools that not every machine has |
//! | [`report`] | [`Report`]: the output of `cargo xcache report` |
//!
//! **Invariants.** Everything is real: cargo, rustc, git, the server. Every test has its own directory and an
//! environment that is built from nothing, so it does not see the settings of the machine or of `cargo test`. Tests end
//! only processes that they started, and never wait forever.

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
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

/// The root of the source tree.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this package is two levels down").to_owned()
}

/// The directory `fixtures/<name>`: to be copied, never used in place.
pub fn fixture(name: &str) -> PathBuf {
    let path = repository().join("fixtures").join(name);
    assert!(path.is_dir(), "there is no fixture {name}: {} is missing", path.display());
    path
}

/// The directory of the profile that the tests were built in, such as `target/debug`.
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

/// A directory that outlives a run of the tests, for files that are expensive to get.
fn persistent_dir() -> PathBuf {
    profile_dir().parent().expect("a profile is in the target directory").join("tmp").join("xcache-tests")
}

/// Waits for a condition by polling.
///
/// # Panics
///
/// If the condition does not hold within a minute.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether tests run in their long form (`XCACHE_TEST_LONG=1`), by hand. The short form fails if a rule is wrong in
/// general. The long one also finds what goes wrong at a single moment, or only on the way back to an earlier state.
pub fn is_long() -> bool {
    static IS_LONG: LazyLock<bool> = LazyLock::new(|| std::env::var_os("XCACHE_TEST_LONG").is_some());
    *IS_LONG
}

/// What a test goes through, such as a number of rounds or a list of commands: in its short form, or in its long one.
pub fn by_form<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

//! What tests need from the machine: programs, permissions, toolchains.
//!
//! **Invariant.** A test that cannot show anything says so. In CI, which installs everything, that is a failure;
//! elsewhere the test is skipped, with a line that the test program does not capture.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use crate::rustc::real;

/// The nightly toolchain that `.ci/toolchains` installs.
pub const NIGHTLY: &str = "nightly-2026-10-29";

/// Something that not every machine has.
#[derive(Clone, Copy, Debug)]
pub enum Tool {
    /// Chromium, and Playwright to drive it.
    Browser,
    /// Git.
    Git,
    /// The linter of Dockerfiles.
    Hadolint,
    /// Buildah, and the permissions that it needs.
    ImageBuilder,
    /// The permission to mount in a private namespace.
    Mounts,
    /// rustc's libraries for musl, for all platforms of the book's images.
    Musl,
    /// cargo-nextest.
    Nextest,
    /// A second writable file system.
    OtherFileSystem,
    /// A program that starts others with fewer permissions, traced, or in a container.
    Starter(&'static str),
    /// act and gitlab-ci-local.
    Runners,
    /// A server of a storage service.
    Server(&'static str),
    /// The static binary, newer than the sources.
    StaticBinary,
    /// A toolchain, by its name.
    Toolchain(&'static str),
    /// rustc's libraries for wasm32.
    Wasm32,
    /// mkfs.xfs, which makes a file system with reflinks.
    Xfs,
    /// zlib, as pkg-config finds it.
    Zlib,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Browser => "Chromium or Playwright is missing: run .ci/browser",
            Self::Git => "git is missing",
            Self::Hadolint => "hadolint is missing: run .ci/images",
            Self::ImageBuilder => "images cannot be built: run .ci/images as root",
            Self::Mounts => "this user may not mount anything (unshare --mount)",
            Self::Musl => "rustc has no libraries for musl: run rustup target add",
            Self::Nextest => "cargo-nextest is missing: run .ci/servers",
            Self::OtherFileSystem => "there is no second writable file system",
            Self::Starter(program) => return write!(f, "{program} is missing or not permitted to work"),
            Self::Runners => "act or gitlab-ci-local is missing: run .ci/runners",
            Self::Server(name) => return write!(f, "{name} is missing: run .ci/servers"),
            Self::StaticBinary => "the static binary is missing or older than the sources: run .ci/dist",
            Self::Toolchain(name) => return write!(f, "{name} is missing: run rustup toolchain install {name}"),
            Self::Wasm32 => "rustc has no libraries for wasm32: run rustup target add wasm32-unknown-unknown",
            Self::Xfs => "mkfs.xfs is missing: install xfsprogs",
            Self::Zlib => "pkg-config does not find zlib: install pkg-config and zlib1g-dev",
        })
    }
}

/// Returns what was found. If it is `None`, the test has to return.
///
/// # Panics
///
/// In CI, if nothing was found.
#[track_caller]
#[must_use]
pub fn require<T>(tool: Tool, found: Option<T>) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{tool}");
        let test = std::thread::current();
        // The test program would capture what `eprintln` writes.
        let _ = writeln!(std::io::stderr(), "skipped {}: {tool}", test.name().unwrap_or_default());
    }
    found
}

/// The rustc of [`NIGHTLY`].
#[track_caller]
#[must_use]
pub fn nightly() -> Option<PathBuf> {
    require(Tool::Toolchain(NIGHTLY), real(&[&format!("+{NIGHTLY}")]))
}

/// The same as [`require`] for a yes-or-no answer.
#[track_caller]
#[must_use]
pub fn is_available(tool: Tool, is_found: bool) -> bool {
    require(tool, is_found.then_some(())).is_some()
}

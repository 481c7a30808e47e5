//! The compiler's identity.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use camino::Utf8PathBuf;

use crate::digest::Digest;
use crate::key::unit_inputs::HostClass;

/// What keys and paths depend on in the toolchain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Toolchain {
    /// The whole output of `rustc -vV`, and a line with the digest of the program if it is not part of a toolchain.
    pub rustc: String,
    /// `cargo -V`.
    pub cargo: String,
    /// `rustc --print sysroot`.
    pub sysroot: Utf8PathBuf,
    /// The digest of the standard library for each platform of the build, from the
    /// [content of its files](Toolchain::library_files).
    pub libraries: BTreeMap<String, Digest>,
    /// The user's flags for units of each platform of the build.
    pub flags: BTreeMap<String, Vec<String>>,
    /// The program that links for this host.
    pub linker: String,
    /// The class of this host (linker and C library), if it is known.
    pub host_class: Option<HostClass>,
    /// The host class for each other platform of the build, if it is known.
    pub target_classes: BTreeMap<String, HostClass>,
}

impl Toolchain {
    /// The first line of `rustc -vV`, which rustc also writes into its outputs.
    pub fn version(&self) -> &str {
        self.rustc.lines().next().unwrap_or_default()
    }

    /// The `host:` line of `rustc -vV`.
    pub fn host(&self) -> &str {
        self.rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default()
    }

    /// The digest of the standard library for a unit's platform, or for the host if the unit has none.
    pub fn library(&self, platform: Option<&str>) -> Option<Digest> {
        self.libraries.get(platform.unwrap_or_else(|| self.host())).copied()
    }

    /// The files of a platform's standard library, with the objects for linking programs. Their content distinguishes
    /// builds of rustc (by distributions, or by hand) that have the same version.
    pub fn library_files(&self, platform: &str) -> Vec<PathBuf> {
        let directory = self.sysroot.join("lib").join("rustlib").join(platform).join("lib");
        let files = |directory: Utf8PathBuf| directory.read_dir_utf8().into_iter().flatten().flatten();
        let libraries = files(directory.clone()).filter(|file| file.path().extension() == Some("rlib"));
        let mut files: Vec<_> = libraries.chain(files(directory.join("self-contained"))).collect();
        files.retain(|file| file.path().is_file());
        let mut files: Vec<_> = files.into_iter().map(|file| file.into_path().into_std_path_buf()).collect();
        files.sort();
        files
    }
}

/// The rustc that cargo will run: `RUSTC`, the configured one, or `rustc`. With rustup, this is the toolchain's own
/// binary, as in cargo's `GlobalContext::get_tool`, since the proxy costs tens of milliseconds for each call.
pub fn resolve(rustc: Option<OsString>, environment: impl Fn(&str) -> Option<OsString>) -> OsString {
    if let Some(rustc) = rustc {
        return rustc;
    }
    let toolchain = environment("RUSTUP_TOOLCHAIN").zip(environment("RUSTUP_HOME").or_else(|| {
        let home = environment("HOME").or_else(|| environment("USERPROFILE"))?;
        Some(PathBuf::from(home).join(".rustup").into())
    }));
    toolchain
        .map(|(name, home)| PathBuf::from(home).join("toolchains").join(name).join("bin").join("rustc"))
        .filter(|path| path.is_file())
        .map_or_else(|| "rustc".into(), Into::into)
}

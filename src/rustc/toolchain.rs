//! The compiler's identity.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use camino::Utf8PathBuf;

use crate::digest::Digest;
use crate::key::unit_inputs::HostClass;

/// What keys and paths need to know about the toolchain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Toolchain {
    /// `rustc -vV`, whole; and a line with the digest of the program, where that is not in a toolchain of its own.
    pub rustc: String,
    /// `cargo -V`.
    pub cargo: String,
    /// `rustc --print sysroot`.
    pub sysroot: Utf8PathBuf,
    /// The standard library of each platform that is compiled for, by the [content of its files](Toolchain::library_files).
    pub libraries: BTreeMap<String, Digest>,
    /// The flags of the user's for units of each platform that is compiled for.
    pub flags: BTreeMap<String, Vec<String>>,
    /// The program that links for this host.
    pub linker: String,
    /// What a program that is linked here depends on besides: linker and C library. Nothing where they are not known.
    pub host_class: Option<HostClass>,
    /// The same for each other platform that is compiled for, where it is known.
    pub target_classes: BTreeMap<String, HostClass>,
}

impl Toolchain {
    /// The first line of `rustc -vV`, as rustc writes it into what it compiles.
    pub fn version(&self) -> &str {
        self.rustc.lines().next().unwrap_or_default()
    }

    /// The `host:` line of `rustc -vV`.
    pub fn host(&self) -> &str {
        self.rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default()
    }

    /// The standard library of a unit's platform; the host's where there is none.
    pub fn library(&self, platform: Option<&str>) -> Option<Digest> {
        self.libraries.get(platform.unwrap_or_else(|| self.host())).copied()
    }

    /// A platform's standard library, with what it brings to link programs with. It tells apart builds of one rustc version
    /// (by distributions, or by hand) that call themselves the same.
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

/// The rustc cargo will run: `RUSTC`, the configured one, or `rustc`. With rustup, the toolchain's own binary, as in
/// cargo's `GlobalContext::get_tool`: the proxy costs tens of milliseconds a call.
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

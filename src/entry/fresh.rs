//! Records that make cargo see a unit as fresh: cargo's own fingerprint of the unit, as it was written after the build.
//!
//! A [`Fresh`] record names cargo's files by their paths below the build directory, and contains the small ones. The
//! outputs are the entry's files; they belong in [`Fresh::directory`].
//!
//! **Invariants.** Data only: `cargo::layout` and `hydrate` know what cargo's files mean. The path of every file is
//! relative and has only plain components. Paths *in* files are recorded as such, and no other text is changed. Values
//! of variables that a build script watches are cut out of its fingerprint, and inserted again where the run is used.

use camino::{Utf8Component, Utf8Path};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::roots::{RootedPath, Value};

/// How cargo arranges a build directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `deps`, `build` and `.fingerprint` beside each other.
    Classic,
    /// A directory for each unit, below `build`.
    PerUnit,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Self; 2] = [Self::Classic, Self::PerUnit];

    /// The name of the layout.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::PerUnit => "per-unit",
        }
    }
}

/// Cargo's own files of one unit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fresh {
    /// The layout that the names below belong to.
    pub layout: Layout,
    /// The directory of the profile below the build directory: `debug`, `x86_64-unknown-linux-gnu/release`. All other
    /// paths are relative to it.
    pub profile_dir: String,
    /// Where the entry's files go: `deps`, `build/serde-0123456789abcdef/out`.
    pub directory: String,
    /// The directory of the fingerprint: `.fingerprint/serde-0123456789abcdef`.
    pub fingerprint_dir: String,
    /// The file in it that holds the hash: `lib-serde`. The fingerprint is beside it, with `.json` added to the name.
    pub name: String,
    /// The fingerprint, as cargo wrote it, without the values of variables.
    pub fingerprint: String,
    /// The hash of the fingerprint, as cargo wrote it, in hex. It covers the values of variables.
    pub hash: String,
    /// The crate's root file. Absent for the run of a build script.
    pub source: Option<RootedPath>,
    /// Further small files.
    pub files: Vec<SmallFile>,
}

/// A small file whose content is part of the entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SmallFile {
    /// Its path, relative to the profile's directory.
    pub path: String,
    /// Its content.
    pub content: Content,
}

/// The content of a [`SmallFile`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Unchanged text.
    Text(String),
    /// Unchanged bytes.
    Bytes(#[serde(with = "hex::serde")] Vec<u8>),
    /// A path.
    Path(RootedPath),
    /// The diagnostics of the entry, as they were printed.
    Diagnostics,
    /// What a build script printed.
    Printed {
        /// The lines, in order.
        lines: Vec<PrintedLine>,
        /// A digest of the paths of all roots.
        roots: Digest,
    },
}

/// A line that a build script printed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrintedLine {
    /// A line for cargo, split into the value and the text before it.
    Directive {
        /// `cargo:rustc-env=NAME=`
        head: String,
        /// The value.
        value: Value,
    },
    /// A line that cargo ignores.
    Noise(String),
    /// A line that cargo ignores and that contains a path of this machine. It is left out if the roots differ.
    NoiseHere(String),
}

impl PrintedLine {
    /// Whether cargo reads it.
    pub fn is_directive(&self) -> bool {
        matches!(self, Self::Directive { .. })
    }
}

impl Fresh {
    /// The first path that would leave the build directory, if there is one.
    pub(super) fn bad_path(&self) -> Option<&str> {
        let own = [&self.profile_dir, &self.directory, &self.fingerprint_dir, &self.name];
        let paths = own.into_iter().chain(self.files.iter().map(|file| &file.path)).map(String::as_str);
        paths.into_iter().find(|path| !is_plain_path(path))
    }
}

/// Whether a path is relative and has only plain components, without `..`.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let plain = |component| match component {
        Utf8Component::Normal(name) => super::is_plain_file_name(name),
        _ => false,
    };
    path.split('/').all(|part| !["", "."].contains(&part)) && Utf8Path::new(path).components().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_directory_are_plain() {
        for path in ["deps", ".fingerprint/a-0/lib-a", "build/a-0/out/b.rs"] {
            assert!(is_plain_path(path), "{path}");
        }
        for path in ["", "/etc", "../x", "a/../b", "a//b", "./a", "a/.", "a\\b", "c:/x", "a/"] {
            assert!(!is_plain_path(path), "{path}");
        }
    }
}

//! Unit keys: a unit's inputs, known before anything is compiled.
//!
//! [`KeyInputs`] holds every input that may change what rustc writes for a unit, as a structure, so that comparing two
//! of them explains a miss. [`UnitKey`] is the BLAKE3 hash of its canonical encoding.
//!
//! **Invariants.** This module is pure: no I/O, no environment. *Absent* from the inputs, by design: absolute paths,
//! modification times, the target directory, `CARGO_HOME`, the number of jobs, lockfile entries that the unit does not
//! depend on, the order in which anything was listed, and the workspace being built. A dependency enters only as the
//! name it is imported under and its own key. The host that linked a unit is not an input either: it changes the stored
//! key of the linked unit ([`UnitKey::scoped`]), but not the keys of its dependents. The same goes for the path of the
//! workspace that a member belongs to. Both are part of the [`unit_inputs`] that the store keeps of a unit to explain a
//! miss ([`diff`]).

pub mod diff;
pub mod unit_inputs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Domain};

/// A digest of a unit's inputs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct UnitKey(pub Digest);

impl UnitKey {
    /// The key of a unit that is valid only in one scope: on hosts of a class, or in a workspace at a path.
    #[must_use]
    pub fn scoped(self, scope: Digest) -> Self {
        Self(Digest::of_value(Domain::ScopedKey, &(self, scope)))
    }
}

impl fmt::Display for UnitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a package's source comes from, by what makes it immutable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Source {
    /// A registry package, by the checksum Cargo.lock has for it.
    Registry {
        /// The registry's source id.
        registry: String,
        /// SHA-256 of the `.crate` file, as in Cargo.lock.
        checksum: String,
    },
    /// A git package, by its precise revision.
    Git {
        /// The repository, without branch or tag.
        repository: String,
        /// The full commit hash.
        revision: String,
    },
    /// A package in a directory, by the digest of its content.
    Directory {
        /// The digest of every file that git would not ignore.
        content: Digest,
    },
}

/// One dependency edge.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct DependencyKey {
    /// The name the dependency is imported under.
    pub extern_name: String,
    /// Whether cargo imports it with `--extern noprelude:`.
    pub noprelude: bool,
    /// The dependency's own key.
    pub key: UnitKey,
}

/// Every input of a [`UnitKey`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeyInputs {
    /// `rustc -vV`, in full.
    pub rustc: String,
    /// The standard library that the unit is compiled against, by the names and contents of its files.
    pub standard_library: Option<Digest>,
    /// `cargo -V`: cargo decides which flags rustc gets.
    pub cargo: String,
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// Package source.
    pub source: Source,
    /// Target kinds (`lib`, `proc-macro`, `custom-build` …).
    pub target_kind: BTreeSet<String>,
    /// Target name.
    pub target_name: String,
    /// Crate types.
    pub crate_types: BTreeSet<String>,
    /// The crate's root file, relative to its package.
    pub root_file: String,
    /// Edition.
    pub edition: String,
    /// Cargo's compile mode (`build`, `check`, `run-custom-build` …).
    pub mode: String,
    /// The fields of the profile that reach rustc, but not its name.
    pub profile: BTreeMap<String, serde_json::Value>,
    /// LTO, as cargo resolves it for this unit.
    pub lto: String,
    /// Enabled features.
    pub features: BTreeSet<String>,
    /// The target triple, if the command names one.
    pub platform: Option<String>,
    /// The user's flags that apply to this unit, in order, wherever they are set.
    pub rustflags: Vec<String>,
    /// Variables that change what the compiler accepts or writes, and programs in front of it, with their arguments.
    pub environment: BTreeMap<String, String>,
    /// Whatever else a package in a directory may read: the digest of each input, by its name.
    #[serde(rename = "surroundings")]
    pub member_inputs: BTreeMap<String, String>,
    /// Unstable settings of cargo, as written; for the run of a build script, also its tables `env` and `target`.
    pub config: BTreeMap<String, serde_json::Value>,
    /// The unit's dependencies.
    pub dependencies: BTreeSet<DependencyKey>,
}

impl KeyInputs {
    /// The key. Every collection is sorted, or its order is significant.
    pub fn key(&self) -> UnitKey {
        UnitKey(Digest::of_value(Domain::UnitKey, self))
    }
}

#[cfg(test)]
#[path = "key/key_tests.rs"]
mod tests;

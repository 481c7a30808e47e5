//! Cargo's fingerprints: read, rewritten and hashed.
//!
//! Cargo records for every unit what it was built from, twice over: as JSON, from which it tells why a unit is dirty, and
//! as the hash of the same, which alone decides whether it is fresh. A unit that was built in one directory can stand in
//! another once the few parts of its fingerprint that depend on the place are rewritten and it is hashed again.
//!
//! This mirrors cargo 1.91 to 1.99, in cargo's own sources: `core/compiler/fingerprint/mod.rs` (`Fingerprint`,
//! `DepFingerprint`, `LocalFingerprint`, their `Hash` and `Fingerprint::compare`), `core/compiler/fingerprint/
//! dirty_reason.rs` (the words for a difference), and `util/hasher.rs` with `util/hex.rs` (the hash and how it is written).
//!
//! **Invariants.** This module is pure: no I/O, no environment. The order of a local input's variants and of the fields
//! that are hashed, and their types, *are* the hash: none may change unless cargo's do. [`Fingerprint::to_json`] writes the
//! bytes that cargo writes. What this cargo's fingerprint has and this module does not know is an error of
//! [`Fingerprint::parse`]; a change that only hashing would show is for the caller to notice, by comparing
//! [`Fingerprint::hash`] of what cargo recorded to the hash that cargo recorded.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use rustc_stable_hash::StableSipHasher128;
use serde::{Deserialize, Serialize};

/// A unit's fingerprint, as cargo writes it to `.fingerprint/<pkg>-<hash>/<kind>-<name>.json`.
// The order of the fields is the order in the file; what is hashed is in another one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    rustc: u64,
    features: String,
    declared_features: String,
    target: u64,
    profile: u64,
    path: u64,
    deps: Vec<Dependency>,
    local: Vec<Local>,
    rustflags: Vec<String>,
    config: u64,
    compile_kind: u64,
}

/// One unit that a unit was built from.
#[derive(Clone, PartialEq, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "DependencyRow", into = "DependencyRow")]
struct Dependency {
    package: u64,
    name: String,
    public: bool,
    fingerprint: u64,
}

/// A [`Dependency`] as it is written.
type DependencyRow = (u64, String, bool, u64);

impl From<DependencyRow> for Dependency {
    fn from((package, name, public, fingerprint): DependencyRow) -> Self {
        Self { package, name, public, fingerprint }
    }
}

impl From<Dependency> for DependencyRow {
    fn from(dependency: Dependency) -> Self {
        (dependency.package, dependency.name, dependency.public, dependency.fingerprint)
    }
}

/// What a unit was built from beside other units.
// A variant's number is hashed: they stand in cargo's order.
#[derive(Clone, PartialEq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
enum Local {
    /// A text that stands for the whole package: of a build script that says nothing about when it is to run again.
    Precalculated(String),
    /// Of a compilation: the files that its dep-info names.
    CheckDepInfo { dep_info: PathBuf, checksum: bool },
    /// Of a build script: the files it asked cargo to watch, relative to its package where they are inside of it.
    RerunIfChanged { output: PathBuf, paths: Vec<PathBuf> },
    /// Of a build script: one variable it asked cargo to watch.
    RerunIfEnvChanged { var: String, val: Option<String> },
}

impl Fingerprint {
    /// Reads the JSON. A field or a kind of input that is not known here is an error.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    /// The JSON, byte for byte as cargo writes it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a fingerprint is plain data and its paths were read from text")
    }

    /// The hash that cargo knows the unit by, here and in the fingerprints of its dependents.
    pub fn hash(&self) -> u64 {
        let Self { rustc, features, declared_features, target, path, profile, .. } = self;
        let Self { local, config, compile_kind, rustflags, deps, .. } = self;
        hash_u64((
            (rustc, features, declared_features, target, path, profile),
            (local, config, compile_kind, rustflags, deps),
        ))
    }

    /// The hash of the path of the crate's root file, see [`hash_path`]; 0 for the run of a build script.
    pub fn path(&self) -> u64 {
        self.path
    }

    /// Puts the crate's root file elsewhere.
    pub fn set_path(&mut self, path: u64) {
        self.path = path;
    }

    /// The dependencies: the name each is imported under, and the hash of its fingerprint.
    pub fn dependencies(&self) -> impl Iterator<Item = (&str, u64)> {
        self.deps.iter().map(|dependency| (dependency.name.as_str(), dependency.fingerprint))
    }

    /// Puts another hash in the place of each dependency's one for which `new` has one.
    pub fn replace_dependencies(&mut self, new: impl Fn(u64) -> Option<u64>) {
        for dependency in &mut self.deps {
            if let Some(hash) = new(dependency.fingerprint) {
                dependency.fingerprint = hash;
            }
        }
    }

    /// The variables a build script asked cargo to watch, with their values; none where a variable is not set.
    pub fn environment_mut(&mut self) -> impl Iterator<Item = (&str, &mut Option<String>)> {
        self.local.iter_mut().filter_map(|local| match local {
            Local::RerunIfEnvChanged { var, val } => Some((var.as_str(), val)),
            _ => None,
        })
    }

    /// Whether a build script says what it depends on.
    pub fn is_declared(&self) -> bool {
        self.local.iter().any(|local| matches!(local, Local::RerunIfChanged { .. } | Local::RerunIfEnvChanged { .. }))
    }

    /// The files and directories a build script asked cargo to watch: relative to its package, or absolute.
    pub fn changed_paths(&self) -> impl Iterator<Item = &Path> {
        self.local
            .iter()
            .filter_map(|local| match local {
                Local::RerunIfChanged { paths, .. } => Some(paths),
                _ => None,
            })
            .flatten()
            .map(PathBuf::as_path)
    }
}

/// What stands for a path in [`Fingerprint::path`].
pub fn hash_path(path: &Path) -> u64 {
    hash_u64(path)
}

/// A hash as cargo writes it: 16 hex digits, the lowest byte first.
pub fn to_hex(hash: u64) -> String {
    hex::encode(hash.to_le_bytes())
}

/// The hash that [`to_hex`] wrote.
pub fn from_hex(text: &str) -> Option<u64> {
    let mut bytes = [0; 8];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn hash_u64(value: impl Hash) -> u64 {
    let mut hasher = StableSipHasher128::new();
    value.hash(&mut hasher);
    Hasher::finish(&hasher)
}

/// What differs between a recorded fingerprint and the one that cargo computed here, in the words of `cargo build -v`.
///
/// The first difference in cargo's order, as cargo reports only that one; nothing where they are equal: then it was the
/// file system that made the unit dirty (modification times, or files that are missing). The words differ from cargo's in
/// one place: a dependency goes by the name it is imported under, since a fingerprint does not have its package's.
pub fn difference(recorded: &Fingerprint, now: &Fingerprint) -> Option<String> {
    if recorded == now {
        return None;
    }
    let reason = own_difference(recorded, now)
        .map(str::to_owned)
        .or_else(|| local_difference(&recorded.local, &now.local))
        .or_else(|| dependency_difference(&recorded.deps, &now.deps))
        .unwrap_or_else(|| "the fingerprint comparison turned up nothing obvious".to_owned());
    Some(reason)
}

fn own_difference(old: &Fingerprint, new: &Fingerprint) -> Option<&'static str> {
    let checks = [
        (old.rustc != new.rustc, "the toolchain changed"),
        (old.features != new.features, "the list of features changed"),
        (old.declared_features != new.declared_features, "the list of declared features changed"),
        (old.target != new.target, "the target configuration changed"),
        (old.path != new.path, "the path to the source changed"),
        (old.profile != new.profile, "the profile configuration changed"),
        (old.rustflags != new.rustflags, "the rustflags changed"),
        (old.config != new.config, "the config settings changed"),
        (old.compile_kind != new.compile_kind, "the rustc compile kind changed"),
    ];
    checks.into_iter().find_map(|(differs, words)| differs.then_some(words))
}

fn local_difference(old: &[Local], new: &[Local]) -> Option<String> {
    if old.len() != new.len() {
        return Some("the local lengths changed".to_owned());
    }
    old.iter().zip(new).find(|(old, new)| old != new).map(|(old, new)| local_words(old, new))
}

/// In which way two local inputs that are not equal differ.
fn local_words(old: &Local, new: &Local) -> String {
    match (old, new) {
        (Local::Precalculated(_), Local::Precalculated(_)) => "the precalculated components changed".to_owned(),
        (Local::CheckDepInfo { dep_info: a, checksum }, Local::CheckDepInfo { dep_info: b, .. }) => match checksum {
            _ if a != b => "the dependency info output changed".to_owned(),
            true => "the prior compilation used checksum freshness and this one does not".to_owned(),
            false => "checksum freshness requested, prior compilation did not use checksum freshness".to_owned(),
        },
        (Local::RerunIfChanged { output: a, .. }, Local::RerunIfChanged { output: b, .. }) if a != b => {
            "rerun-if-changed output file path changed".to_owned()
        }
        (Local::RerunIfChanged { .. }, Local::RerunIfChanged { .. }) => {
            "the rerun-if-changed instructions changed".to_owned()
        }
        (Local::RerunIfEnvChanged { var: a, .. }, Local::RerunIfEnvChanged { var: b, .. }) if a != b => {
            "the environment variables changed".to_owned()
        }
        (Local::RerunIfEnvChanged { .. }, Local::RerunIfEnvChanged { var, .. }) => {
            format!("the env variable {var} changed")
        }
        _ => "the local fingerprint type changed".to_owned(),
    }
}

fn dependency_difference(old: &[Dependency], new: &[Dependency]) -> Option<String> {
    if old.len() != new.len() {
        return Some(format!("number of dependencies changed ({} => {})", old.len(), new.len()));
    }
    old.iter().zip(new).find_map(|(old, new)| {
        if old.name != new.name {
            return Some(format!("name of dependency changed ({} => {})", old.name, new.name));
        }
        (old.fingerprint != new.fingerprint).then(|| format!("info of dependency `{}` changed", new.name))
    })
}

#[cfg(test)]
#[path = "fingerprint_tests.rs"]
mod tests;

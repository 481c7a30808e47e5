//! Reads, rewrites and hashes cargo's fingerprints.
//!
//! Cargo records twice what a unit was built from: as JSON, from which it explains why a unit is dirty, and as the hash
//! of the same fields, which alone decides whether the unit is fresh. A unit that was built in one directory can be
//! placed in another if the few fields that depend on the place are rewritten and the fingerprint is hashed again.
//!
//! This mirrors cargo's own sources: `core/compiler/fingerprint/mod.rs` (`Fingerprint`, `DepFingerprint`,
//! `LocalFingerprint`, their `Hash` and `Fingerprint::compare`), `core/compiler/fingerprint/dirty_reason.rs` (the words
//! for a difference), and `util/hasher.rs` with `util/hex.rs` (the hash and how it is written). A [`Generation`]
//! describes what differs between releases of cargo.
//!
//! **Invariants.** This module is pure: no I/O, no environment. The order of the variants of `Local` and the types of
//! the hashed values determine the hash, so they must not change unless cargo's do. [`Fingerprint::to_json`] writes the
//! bytes that cargo writes. [`Fingerprint::parse`] fails if a fingerprint has something that its generation does not
//! have. A change that only the hash would show is left to the caller, which compares [`Fingerprint::hash`] of a
//! recorded fingerprint with the hash that cargo recorded.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use rustc_stable_hash::StableSipHasher128;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::cargo::format::{Field, Generation, Sources};

/// A unit's fingerprint, as cargo writes it beside the unit: `<kind>-<name>.json`.
#[derive(Clone, PartialEq, Debug)]
pub struct Fingerprint {
    generation: &'static Generation,
    /// The fields, in the order of the file.
    values: Vec<(Field, FieldValue)>,
}

/// The value of a field.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
enum FieldValue {
    Number(u64),
    Text(String),
    Texts(Vec<String>),
    Dependencies(Vec<Dependency>),
    Local(Vec<Local>),
}

/// A unit that another unit was built from.
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

/// Something that a unit was built from besides other units.
// The number of a variant is hashed, so the variants are in cargo's order.
#[derive(Clone, PartialEq, Hash, Debug, Serialize, Deserialize)]
enum Local {
    /// A text that stands for the whole package, if a build script does not declare when it must run again.
    Precalculated(String),
    /// For a compilation: the files that its dep-info names.
    CheckDepInfo {
        dep_info: PathBuf,
        #[serde(flatten)]
        sources: HowCompared,
    },
    /// For a build script: the files it asked cargo to watch, relative to its package if they are in it.
    RerunIfChanged { output: PathBuf, paths: Vec<PathBuf> },
    /// For a build script: a variable it asked cargo to watch.
    RerunIfEnvChanged { var: String, val: Option<String> },
}

/// How cargo compares a unit's sources with those that it was built from.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HowCompared {
    Checksum(bool),
    Fingerprint(Method),
}

// The number of a method is hashed, so the methods are in cargo's order.
#[derive(Clone, Copy, PartialEq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Method {
    Mtime,
    Content,
}

impl HowCompared {
    fn kind(self) -> Sources {
        match self {
            Self::Checksum(_) => Sources::Checksum,
            Self::Fingerprint(_) => Sources::Fingerprint,
        }
    }
}

impl Hash for HowCompared {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self {
            Self::Checksum(checksum) => checksum.hash(hasher),
            Self::Fingerprint(method) => method.hash(hasher),
        }
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values.iter().map(|(field, value)| (field, value)))
    }
}

impl Field {
    /// Its name in the file.
    fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => name,
            _ => unreachable!("a variant without fields"),
        }
    }

    fn read(self, value: Value) -> serde_json::Result<FieldValue> {
        fn convert<T: DeserializeOwned>(
            value: Value,
            wrap: impl Fn(T) -> FieldValue,
        ) -> serde_json::Result<FieldValue> {
            serde_json::from_value(value).map(wrap)
        }
        match self {
            Self::Rustc | Self::Target | Self::Profile | Self::Path | Self::Config | Self::CompileKind => {
                convert(value, FieldValue::Number)
            }
            Self::Features | Self::DeclaredFeatures => convert(value, FieldValue::Text),
            Self::Rustflags => convert(value, FieldValue::Texts),
            Self::Deps => convert(value, FieldValue::Dependencies),
            Self::Local => convert(value, FieldValue::Local),
        }
    }
}

impl Fingerprint {
    /// Parses the JSON. A field or a kind of input that the generation does not have is an error.
    pub fn parse(json: &str, generation: &'static Generation) -> serde_json::Result<Self> {
        let mut fields: Map<String, Value> = serde_json::from_str(json)?;
        let whole = Value::Object(fields.clone());
        let read =
            |field: &Field| field.read(fields.remove(&field.name()).unwrap_or_default()).map(|value| (*field, value));
        let values = generation.written.iter().map(read).collect::<serde_json::Result<Vec<_>>>()?;
        let fingerprint = Self { generation, values };
        let is_known = |local: &Local| match local {
            Local::CheckDepInfo { sources, .. } => sources.kind() == generation.sources,
            _ => true,
        };
        if serde_json::to_value(&fingerprint)? != whole || !fingerprint.local().iter().all(is_known) {
            return Err(serde_json::Error::custom(format!("not as cargo {} writes it", generation.name)));
        }
        Ok(fingerprint)
    }

    /// Parses the JSON of another fingerprint of the same generation.
    pub fn parse_like(&self, json: &str) -> serde_json::Result<Self> {
        Self::parse(json, self.generation)
    }

    /// The JSON, byte for byte as cargo writes it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a fingerprint is plain data and its paths were read from text")
    }

    /// The hash by which cargo identifies the unit, here and in the fingerprints of its dependents.
    pub fn hash(&self) -> u64 {
        let mut hasher = StableSipHasher128::new();
        for value in self.generation.hashed.iter().filter_map(|field| self.value(*field)) {
            match value {
                FieldValue::Number(number) => number.hash(&mut hasher),
                FieldValue::Text(text) => text.hash(&mut hasher),
                FieldValue::Texts(texts) => texts.hash(&mut hasher),
                FieldValue::Dependencies(dependencies) => dependencies.hash(&mut hasher),
                FieldValue::Local(local) => local.hash(&mut hasher),
            }
        }
        Hasher::finish(&hasher)
    }

    /// The hash of the path of the crate's root file, see [`hash_path`]; 0 for the run of a build script.
    pub fn path(&self) -> u64 {
        match self.value(Field::Path) {
            Some(FieldValue::Number(path)) => *path,
            _ => 0,
        }
    }

    /// Replaces the hash of the path of the crate's root file.
    pub fn set_path(&mut self, path: u64) {
        if let Some(value) = self.value_mut(Field::Path) {
            *value = FieldValue::Number(path);
        }
    }

    /// The dependencies, each with the name it is imported under and the hash of its fingerprint.
    pub fn dependencies(&self) -> impl Iterator<Item = (&str, u64)> {
        self.deps().iter().map(|dependency| (dependency.name.as_str(), dependency.fingerprint))
    }

    /// Replaces the hash of each dependency for which `new` returns another one.
    pub fn replace_dependencies(&mut self, new: impl Fn(u64) -> Option<u64>) {
        let Some(FieldValue::Dependencies(dependencies)) = self.value_mut(Field::Deps) else { return };
        for dependency in dependencies {
            if let Some(hash) = new(dependency.fingerprint) {
                dependency.fingerprint = hash;
            }
        }
    }

    /// The variables a build script asked cargo to watch, with their values; `None` for an unset variable.
    pub fn environment_mut(&mut self) -> impl Iterator<Item = (&str, &mut Option<String>)> {
        let local = match self.value_mut(Field::Local) {
            Some(FieldValue::Local(local)) => local.as_mut_slice(),
            _ => &mut [],
        };
        local.iter_mut().filter_map(|local| match local {
            Local::RerunIfEnvChanged { var, val } => Some((var.as_str(), val)),
            _ => None,
        })
    }

    /// Whether a build script declares its inputs.
    pub fn is_declared(&self) -> bool {
        self.local().iter().any(|local| matches!(local, Local::RerunIfChanged { .. } | Local::RerunIfEnvChanged { .. }))
    }

    fn value(&self, field: Field) -> Option<&FieldValue> {
        self.values.iter().find(|(own, _)| *own == field).map(|(_, value)| value)
    }

    fn value_mut(&mut self, field: Field) -> Option<&mut FieldValue> {
        self.values.iter_mut().find(|(own, _)| *own == field).map(|(_, value)| value)
    }

    fn local(&self) -> &[Local] {
        match self.value(Field::Local) {
            Some(FieldValue::Local(local)) => local,
            _ => &[],
        }
    }

    fn deps(&self) -> &[Dependency] {
        match self.value(Field::Deps) {
            Some(FieldValue::Dependencies(dependencies)) => dependencies,
            _ => &[],
        }
    }

    /// The files and directories a build script asked cargo to watch: relative to its package, or absolute.
    pub fn changed_paths(&self) -> impl Iterator<Item = &Path> {
        self.local()
            .iter()
            .filter_map(|local| match local {
                Local::RerunIfChanged { paths, .. } => Some(paths),
                _ => None,
            })
            .flatten()
            .map(PathBuf::as_path)
    }
}

/// The hash of a path, as in [`Fingerprint::path`].
pub fn hash_path(path: &Path) -> u64 {
    hash_u64(path)
}

/// A hash as cargo writes it: 16 hex digits, the lowest byte first.
pub fn to_hex(hash: u64) -> String {
    hex::encode(hash.to_le_bytes())
}

/// Parses a hash that [`to_hex`] wrote.
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

/// The difference between a recorded fingerprint and the one that cargo computed here, in the words of `cargo build
/// -v`.
///
/// Like cargo, this reports only the first difference, in cargo's order. If the fingerprints are equal, the result is
/// `None`: the file system made the unit dirty (modification times, or missing files). The words differ from cargo's in
/// one point: a dependency has the name it is imported under, since a fingerprint does not contain its package's name.
pub fn difference(recorded: &Fingerprint, now: &Fingerprint) -> Option<String> {
    if recorded == now {
        return None;
    }
    let reason = own_difference(recorded, now)
        .map(str::to_owned)
        .or_else(|| local_difference(recorded.local(), now.local()))
        .or_else(|| dependency_difference(recorded.deps(), now.deps()))
        .unwrap_or_else(|| "the fingerprint comparison turned up nothing obvious".to_owned());
    Some(reason)
}

/// The fields without inputs and dependencies, in the order in which cargo compares them.
const OWN: [(Field, &str); 9] = [
    (Field::Rustc, "the toolchain changed"),
    (Field::Features, "the list of features changed"),
    (Field::DeclaredFeatures, "the list of declared features changed"),
    (Field::Target, "the target configuration changed"),
    (Field::Path, "the path to the source changed"),
    (Field::Profile, "the profile configuration changed"),
    (Field::Rustflags, "the rustflags changed"),
    (Field::Config, "the config settings changed"),
    (Field::CompileKind, "the rustc compile kind changed"),
];

fn own_difference(old: &Fingerprint, new: &Fingerprint) -> Option<&'static str> {
    OWN.into_iter().find(|(field, _)| old.value(*field) != new.value(*field)).map(|(_, words)| words)
}

fn local_difference(old: &[Local], new: &[Local]) -> Option<String> {
    if old.len() != new.len() {
        return Some("the local lengths changed".to_owned());
    }
    old.iter().zip(new).find(|(old, new)| old != new).map(|(old, new)| local_words(old, new))
}

/// How two local inputs differ that are not equal.
fn local_words(old: &Local, new: &Local) -> String {
    match (old, new) {
        (Local::Precalculated(_), Local::Precalculated(_)) => "the precalculated components changed".to_owned(),
        (Local::CheckDepInfo { dep_info: a, .. }, Local::CheckDepInfo { dep_info: b, .. }) if a != b => {
            "the dependency info output changed".to_owned()
        }
        (Local::CheckDepInfo { sources, .. }, Local::CheckDepInfo { sources: now, .. }) => {
            compared_words(*sources, *now)
        }
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

fn compared_words(old: HowCompared, new: HowCompared) -> String {
    let name = |method| match method {
        HowCompared::Checksum(false) | HowCompared::Fingerprint(Method::Mtime) => "mtime",
        HowCompared::Checksum(true) | HowCompared::Fingerprint(Method::Content) => "content",
    };
    match old {
        HowCompared::Checksum(true) => "the prior compilation used checksum freshness and this one does not".to_owned(),
        HowCompared::Checksum(false) => {
            "checksum freshness requested, prior compilation did not use checksum freshness".to_owned()
        }
        HowCompared::Fingerprint(_) => {
            let (old, new) = (name(old), name(new));
            format!("the prior compilation fingerprinted build inputs using `{old}` and this one used `{new}`")
        }
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

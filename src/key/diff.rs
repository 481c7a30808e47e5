//! The difference between the inputs of two units, one input at a time, described in words.
//!
//! **Invariants.** Every input of a key and every component of a scope is compared: the fields are destructured without
//! `..`, so a new one cannot be forgotten. Values appear only if the user wrote them as flags or settings of the
//! compiler.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::unit_inputs::{Components, UnitInputs, is_hidden};
use super::{DependencyKey, KeyInputs, Source, UnitKey};

/// Which input of a unit differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// The compiler.
    Rustc,
    /// The standard library.
    StandardLibrary,
    /// Cargo.
    Cargo,
    /// The package's name.
    Package,
    /// The package's version.
    Version,
    /// The package's source; `name` says which part.
    Source,
    /// The kind of target.
    TargetKind,
    /// The target's name.
    TargetName,
    /// The crate types.
    CrateTypes,
    /// The root file.
    RootFile,
    /// The edition.
    Edition,
    /// The compile mode.
    Mode,
    /// A profile setting, called `name`.
    Profile,
    /// LTO, as cargo resolves it for the unit.
    Lto,
    /// A feature, called `name`.
    Feature,
    /// The platform.
    Platform,
    /// Compiler flags.
    Rustflags,
    /// A variable of the compiler, called `name`.
    Environment,
    /// Something that members may read besides their own files; `name` says what.
    MemberInputs,
    /// A value of cargo's configuration; `name` is its path.
    Config,
    /// A dependency, called `name`; `from` and `to` are versions.
    Dependency,
    /// The host, or the workspace's path; `name` says which part.
    Scope,
}

impl Input {
    /// Whether it concerns the whole build, and not one package.
    pub fn is_of_build(self) -> bool {
        use Input::{
            Cargo, Config, Environment, Lto, MemberInputs, Mode, Platform, Profile, Rustc, Rustflags, Scope,
            StandardLibrary,
        };
        let of_build = [Rustc, StandardLibrary, Cargo, Mode, Profile, Lto, Platform, Rustflags, Environment];
        of_build.contains(&self) || [MemberInputs, Config, Scope].contains(&self)
    }
}

/// One input that differs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The input.
    pub input: Input,
    /// Which one or which part, if there are several.
    pub name: Option<String>,
    /// The old value. Absent if there was none, or if it may not be shown.
    pub from: Option<String>,
    /// The new value. Absent in the same cases.
    pub to: Option<String>,
}

/// A dependency that differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Edge<'a> {
    /// The name it is imported under.
    pub extern_name: &'a str,
    /// The old key.
    pub from: Option<UnitKey>,
    /// The new key.
    pub to: Option<UnitKey>,
}

/// All that differs between the inputs of two units.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyDiff<'a> {
    /// The unit's own inputs.
    pub changes: Vec<Change>,
    /// Its dependencies.
    pub edges: Vec<Edge<'a>>,
}

impl KeyDiff<'_> {
    /// The number of differences.
    pub fn distance(&self) -> usize {
        self.changes.len() + self.edges.len()
    }
}

/// Compares the inputs of a unit `before` with those `now`.
pub fn between<'a>(before: &'a UnitInputs, now: &'a UnitInputs) -> KeyDiff<'a> {
    let UnitInputs { key: _, stored: _, inputs, scope, names: _ } = now;
    let mut changes = input_changes(&before.inputs, inputs);
    changes.extend(scope_changes(&before.scope, scope));
    KeyDiff { changes, edges: edges(&before.inputs.dependencies, &inputs.dependencies) }
}

fn input_changes(before: &KeyInputs, now: &KeyInputs) -> Vec<Change> {
    let KeyInputs {
        rustc,
        standard_library,
        cargo,
        name,
        version,
        source,
        target_kind,
        target_name,
        crate_types,
        root_file,
        edition,
        mode,
        profile,
        lto,
        features,
        platform,
        rustflags,
        environment,
        member_inputs,
        config,
        dependencies: _,
    } = now;
    let (rustc_before, rustc) = differing_lines(&before.rustc, rustc);
    let platform_name = |platform: &Option<String>| platform.clone().unwrap_or_else(|| "the host".into());
    let texts = [
        (Input::Rustc, rustc_before, rustc),
        (Input::Cargo, before.cargo.clone(), cargo.clone()),
        (Input::Package, before.name.clone(), name.clone()),
        (Input::Version, before.version.clone(), version.clone()),
        (Input::TargetKind, list(&before.target_kind), list(target_kind)),
        (Input::TargetName, before.target_name.clone(), target_name.clone()),
        (Input::CrateTypes, list(&before.crate_types), list(crate_types)),
        (Input::RootFile, before.root_file.clone(), root_file.clone()),
        (Input::Edition, before.edition.clone(), edition.clone()),
        (Input::Mode, before.mode.clone(), mode.clone()),
        (Input::Lto, before.lto.clone(), lto.clone()),
        (Input::Platform, platform_name(&before.platform), platform_name(platform)),
    ];
    let is_same = |(_, from, to): &(Input, String, String)| from == to;
    let texts = texts.into_iter().filter(|text| !is_same(text));
    let mut changes: Vec<_> = texts.map(|(input, from, to)| change(input, None, Some(from), Some(to))).collect();
    if before.standard_library != *standard_library {
        changes.push(change(Input::StandardLibrary, None, None, None));
    }
    // A new version implies a new checksum, so only the version is reported.
    changes.extend(source_changes(&before.source, source).filter(|_| before.version == *version));
    changes.extend(map_changes(Input::Profile, &before.profile, profile, |_, value| Some(plain(value))));
    changes.extend(feature_changes(&before.features, features));
    if before.rustflags != *rustflags {
        let [from, to] = [&before.rustflags, rustflags].map(|flags| Some(flags.join(" ")));
        changes.push(change(Input::Rustflags, None, from, to));
    }
    changes.extend(map_changes(Input::Environment, &before.environment, environment, |_, value| Some(value.clone())));
    changes.extend(map_changes(Input::MemberInputs, &before.member_inputs, member_inputs, |_, _| None));
    let shown = |path: &str, value: &Value| (!is_hidden(path)).then(|| plain(value));
    changes.extend(map_changes(Input::Config, &before.config, config, shown));
    changes
}

fn change(input: Input, name: Option<&str>, from: Option<String>, to: Option<String>) -> Change {
    Change { input, name: name.map(Into::into), from, to }
}

fn list(set: &BTreeSet<String>) -> String {
    set.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A JSON value as people write it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}

/// The first lines that differ. If the texts differ but none of their lines do, both whole texts.
fn differing_lines(before: &str, now: &str) -> (String, String) {
    let mut lines = before.lines().map(Some).chain([None]).zip(now.lines().map(Some).chain([None]));
    let first = lines.find(|(before, now)| before != now);
    let text = |line: Option<&str>| line.unwrap_or_default().to_owned();
    match first {
        Some((from, to)) => (text(from), text(to)),
        None if before == now => (String::new(), String::new()),
        None => (before.to_owned(), now.to_owned()),
    }
}

fn source_changes(before: &Source, now: &Source) -> impl Iterator<Item = Change> {
    let short = |text: &str| text.chars().take(12).collect::<String>();
    let differing =
        |name, from: String, to: String| (from != to).then(|| change(Input::Source, Some(name), Some(from), Some(to)));
    let changes = match (before, now) {
        (Source::Registry { registry: from, checksum: old }, Source::Registry { registry: to, checksum }) => {
            [differing("registry", from.clone(), to.clone()), differing("checksum", short(old), short(checksum))]
        }
        (Source::Git { repository: from, revision: old }, Source::Git { repository: to, revision }) => {
            [differing("repository", from.clone(), to.clone()), differing("revision", short(old), short(revision))]
        }
        (Source::Directory { content: from }, Source::Directory { content }) => {
            [(from != content).then(|| change(Input::Source, Some("content"), None, None)), None]
        }
        (before, now) => [differing("kind", source_kind(before).into(), source_kind(now).into()), None],
    };
    changes.into_iter().flatten()
}

fn source_kind(source: &Source) -> &'static str {
    match source {
        Source::Registry { .. } => "a registry",
        Source::Git { .. } => "a git repository",
        Source::Directory { .. } => "a directory",
    }
}

/// The entries of two maps that differ, each with what may be shown of it.
fn map_changes<T: PartialEq>(
    input: Input,
    before: &BTreeMap<String, T>,
    now: &BTreeMap<String, T>,
    shown: impl Fn(&str, &T) -> Option<String>,
) -> Vec<Change> {
    let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let differs = |name: &&String| before.get(*name) != now.get(*name);
    let show = |map: &BTreeMap<String, T>, name: &String| map.get(name).and_then(|value| shown(name, value));
    let changes = names.into_iter().filter(differs);
    changes.map(|name| change(input, Some(name), show(before, name), show(now, name))).collect()
}

fn feature_changes(before: &BTreeSet<String>, now: &BTreeSet<String>) -> Vec<Change> {
    let added = now.difference(before).map(|name| change(Input::Feature, Some(name), None, Some("on".into())));
    let removed = before.difference(now).map(|name| change(Input::Feature, Some(name), Some("on".into()), None));
    added.chain(removed).collect()
}

fn scope_changes(before: &Components, now: &Components) -> Vec<Change> {
    let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let description = |components: &Components, name: &String| {
        components.get(name).map(|component| component.description.clone()).filter(|text| !text.is_empty())
    };
    let digest = |components: &Components, name: &String| components.get(name).map(|component| component.digest);
    let differs = |name: &&String| digest(before, name) != digest(now, name);
    let changes = names.into_iter().filter(differs);
    changes.map(|name| change(Input::Scope, Some(name), description(before, name), description(now, name))).collect()
}

/// The edges that differ, paired by the name they are imported under.
fn edges<'a>(before: &'a BTreeSet<DependencyKey>, now: &'a BTreeSet<DependencyKey>) -> Vec<Edge<'a>> {
    let mut named: BTreeMap<&str, (Vec<UnitKey>, Vec<UnitKey>)> = BTreeMap::new();
    for DependencyKey { extern_name, noprelude: _, key } in before.difference(now) {
        named.entry(extern_name).or_default().0.push(*key);
    }
    for DependencyKey { extern_name, noprelude: _, key } in now.difference(before) {
        named.entry(extern_name).or_default().1.push(*key);
    }
    let pairs = |(extern_name, (from, to)): (&'a str, (Vec<UnitKey>, Vec<UnitKey>))| {
        let at = |keys: &[UnitKey], index: usize| keys.get(index).copied();
        let edge = |index| Edge { extern_name, from: at(&from, index), to: at(&to, index) };
        (0..from.len().max(to.len())).map(edge).collect::<Vec<_>>()
    };
    named.into_iter().flat_map(pairs).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, name, from, to } = self;
        let name = name.as_deref().unwrap_or_default();
        let [before, now] = [from, to].map(|text| text.as_deref().unwrap_or_default());
        let quoted = |text: &Option<String>| text.as_ref().map_or_else(|| "nothing".into(), |text| format!("{text:?}"));
        let (old, new) = (quoted(from), quoted(to));
        match input {
            Input::StandardLibrary => f.write_str("another build of the standard library"),
            Input::Source => source_text(name, before, now, f),
            Input::Rustc | Input::Cargo => write!(f, "{before} → {now}"),
            Input::Version => write!(f, "version {before} → {now}"),
            Input::Feature if to.is_some() => write!(f, "feature {name:?} added"),
            Input::Feature => write!(f, "feature {name:?} removed"),
            Input::Profile => write!(f, "profile: {} {now} instead of {before}", name.replace('_', "-")),
            Input::Rustflags => {
                let flags = |text: &Option<String>| format!("{:?}", text.as_deref().unwrap_or_default());
                write!(f, "rustflags: {} instead of {}", flags(to), flags(from))
            }
            Input::Environment => write!(f, "{name}: {new} instead of {old}"),
            Input::MemberInputs => f.write_str(&member_input_text(name)),
            Input::Config if is_hidden(name) => write!(f, "`{name}` of cargo's configuration has another value"),
            Input::Config => write!(f, "`{name}` of cargo's configuration: {new} instead of {old}"),
            Input::Dependency => dependency_text(name, from.as_deref(), to.as_deref(), f),
            Input::Scope => scope_text(name, from.as_deref(), to.as_deref(), f),
            Input::Package => write!(f, "package: {new} instead of {old}"),
            Input::TargetKind => write!(f, "target kind: {new} instead of {old}"),
            Input::TargetName => write!(f, "target: {new} instead of {old}"),
            Input::CrateTypes => write!(f, "crate types: {new} instead of {old}"),
            Input::RootFile => write!(f, "root file: {new} instead of {old}"),
            Input::Edition => write!(f, "edition {before} → {now}"),
            Input::Mode => write!(f, "mode: {new} instead of {old}"),
            Input::Lto => write!(f, "LTO for this unit: {new} instead of {old}"),
            Input::Platform => write!(f, "platform: {now} instead of {before}"),
        }
    }
}

fn source_text(name: &str, from: &str, to: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match name {
        "content" => f.write_str("files in its directory have changed"),
        "kind" => write!(f, "from {to} instead of {from}"),
        "revision" => write!(f, "git revision {from} → {to}"),
        name => write!(f, "{name}: {to} instead of {from}"),
    }
}

/// What members may read besides their own files.
fn member_input_text(name: &str) -> String {
    match name.split_once(' ') {
        _ if name == "configured variables" => "[env] of cargo's configuration has other values".into(),
        _ if name == "workspace paths" => "workspace-paths is set to something else".into(),
        _ if name == "inherited" => "what members inherit from the workspace's Cargo.toml has changed".into(),
        Some(("file", path)) => format!("{path} in the workspace's directory was changed, added or removed"),
        Some(("variable", variable)) => format!("the variable {variable} has another value"),
        _ => format!("{name} has changed"),
    }
}

fn dependency_text(name: &str, from: Option<&str>, to: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (from, to) {
        (Some(from), Some(to)) if from == to => write!(f, "dependency {name} {to} was built from other inputs"),
        (Some(from), Some(to)) => write!(f, "dependency {name} {from} → {to}"),
        (None, Some(to)) => write!(f, "dependency {name} {to} added"),
        (Some(from), None) => write!(f, "dependency {name} {from} removed"),
        (None, None) => write!(f, "dependency {name} is imported in another way"),
    }
}

fn scope_text(name: &str, from: Option<&str>, to: Option<&str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (from, to) {
        (None, None) if name == "workspace" => f.write_str("the workspace is at another path"),
        (None, None) if name == "packages outside" => {
            f.write_str("a package outside of the workspace is at another path")
        }
        (Some(from), Some(to)) if from != to => write!(f, "{name}: {to} instead of {from}"),
        (None, Some(to)) => write!(f, "{name}: {to}, which was absent before"),
        (Some(from), None) => write!(f, "{name}: {from} is gone"),
        _ => write!(f, "{name} changed"),
    }
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;

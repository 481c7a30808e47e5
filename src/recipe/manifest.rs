//! Reduces the manifest of a package to what determines its dependencies.
//!
//! It is written from cargo's own description of the package, so it spells out what a member inherits from its
//! workspace and the targets that cargo finds in its directory.
//!
//! **Invariants.** Targets represent their kind. What is compiled and how (LTO, debug info) depends on whether a
//! package has a library, on its crate types, on whether targets are tested, and on each set of features that a program
//! requires. Names and numbers of targets do not matter. If a library or program has tests of its own, further tests,
//! benchmarks and examples need no other dependencies. So every such member gets one of each, and adding the first one
//! changes nothing. Tests of a procedural macro need nothing for the target platform, so there the first one is a
//! change.

use std::collections::BTreeSet;

use camino::Utf8Path;
use cargo_metadata::{Dependency, DependencyKind, Package, Target, TargetKind};
use toml::{Table, Value};
use url::Url;

use super::{directory, relative};

/// The version that replaces irrelevant ones.
pub(super) const MASKED: &str = "0.0.0";

/// Names that cargo allows for packages but not for programs (`util/restricted_names.rs`).
const RESERVED_NAMES: &[&str] = &["build", "deps", "examples", "incremental"];

/// The reduced manifest. Of packages that are not members, only libraries are built.
pub(super) fn of(package: &Package, version: Option<String>, is_member: bool) -> Table {
    let script = package.targets.iter().any(|target| target.is_kind(TargetKind::CustomBuild));
    let build = if script { Value::from("build.rs") } else { Value::from(false) };
    let mut own = table([
        ("name", package.name.to_string().into()),
        ("version", version.unwrap_or_else(|| MASKED.into()).into()),
        ("edition", "2021".into()),
        ("build", build),
    ]);
    for found in ["autolib", "autobins", "autoexamples", "autotests", "autobenches"] {
        own.insert(found.into(), false.into());
    }
    own.extend(package.links.iter().map(|links| ("links".to_owned(), links.as_str().into())));
    let mut manifest = table([("package", own.into())]);
    manifest.extend(library(package).map(|library| ("lib".to_owned(), library.into())));
    if is_member {
        manifest.extend(programs(package));
    }
    if !package.features.is_empty() {
        let features = package.features.iter();
        let features: Table = features.map(|(name, enables)| (name.clone(), enables.clone().into())).collect();
        manifest.insert("features".into(), features.into());
    }
    package.dependencies.iter().for_each(|dependency| add(&mut manifest, dependency, &directory(package)));
    manifest
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn is_library(target: &Target) -> bool {
    const OTHERS: &[TargetKind] =
        &[TargetKind::Bin, TargetKind::Example, TargetKind::Test, TargetKind::Bench, TargetKind::CustomBuild];
    !target.kind.iter().any(|kind| OTHERS.contains(kind))
}

fn library(package: &Package) -> Option<Table> {
    let target = package.targets.iter().find(|target| is_library(target))?;
    let mut library = table([("path", "lib.rs".into()), ("test", target.test.into())]);
    if target.is_kind(TargetKind::ProcMacro) {
        library.insert("proc-macro".into(), true.into());
    } else {
        let types: BTreeSet<_> = target.crate_types.iter().map(ToString::to_string).collect();
        library.insert("crate-type".into(), types.into_iter().collect::<Vec<_>>().into());
    }
    Some(library)
}

/// One program for each set of required features, and one target of every other kind.
fn programs(package: &Package) -> Vec<(String, Value)> {
    let name = package.name.to_string();
    let bins = package.targets.iter().filter(|target| target.is_bin());
    let features = |target: &Target| target.required_features.iter().cloned().collect::<BTreeSet<_>>();
    let different: BTreeSet<_> = bins.map(|target| (features(target), target.test)).collect();
    let bins: Vec<_> = different
        .into_iter()
        .enumerate()
        .map(|(index, (features, test))| {
            let is_plain = index == 0 && !RESERVED_NAMES.contains(&&*name);
            let name = if is_plain { name.clone() } else { format!("{name}-{index}") };
            let path = format!("bin{index}.rs");
            let mut bin = table([("name", name.into()), ("path", path.into()), ("test", test.into())]);
            if !features.is_empty() {
                bin.insert("required-features".into(), features.into_iter().collect::<Vec<_>>().into());
            }
            bin
        })
        .collect();
    let others = ["example", "test", "bench"].into_iter().filter(|kind| {
        let is_there = |target: &Target| target.kind.iter().any(|other| other.to_string() == *kind);
        package.targets.iter().any(|target| is_there(target) || is_tested_for_target(target))
    });
    let others = others.map(|kind| {
        let other = table([("name", format!("{name}-{kind}").into()), ("path", format!("{kind}.rs").into())]);
        (kind.to_owned(), Value::from(vec![other]))
    });
    let others: Vec<_> = others.collect();
    let bins = (!bins.is_empty()).then(|| ("bin".to_owned(), bins.into()));
    bins.into_iter().chain(others).collect()
}

/// Whether a target has tests of its own that run on the target platform.
fn is_tested_for_target(target: &Target) -> bool {
    target.test && (target.is_bin() || is_library(target) && !target.is_kind(TargetKind::ProcMacro))
}

fn add(manifest: &mut Table, dependency: &Dependency, package: &Utf8Path) {
    let kind = match dependency.kind {
        DependencyKind::Development => "dev-dependencies",
        DependencyKind::Build => "build-dependencies",
        _ => "dependencies",
    };
    let table = match &dependency.target {
        Some(target) => subtable(subtable(manifest, "target"), &target.to_string()),
        None => manifest,
    };
    let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
    subtable(table, kind).insert(name.clone(), describe(dependency, package).into());
}

fn subtable<'a>(table: &'a mut Table, name: &str) -> &'a mut Table {
    let entry = table.entry(name).or_insert_with(|| Table::new().into());
    entry.as_table_mut().expect("only tables are put there")
}

/// A dependency, spelled out. The version is left out for a directory, which has only one.
fn describe(dependency: &Dependency, package: &Utf8Path) -> Table {
    let Dependency { name, source, req, optional, uses_default_features, features, rename, registry, path, .. } =
        dependency;
    let mut table = Table::new();
    let mut set = |name: &str, value: Value| table.insert(name.to_owned(), value);
    match (path, source.as_ref().and_then(|source| source.repr.strip_prefix("git+"))) {
        (Some(path), _) => drop(set("path", relative(package, path).to_string().into())),
        (None, Some(git)) => git_source(git).into_iter().for_each(|(name, value)| drop(set(name, value.into()))),
        (None, None) => drop(registry.as_ref().map(|index| set("registry-index", index.as_str().into()))),
    }
    if path.is_none() {
        set("version", req.to_string().into());
    }
    if rename.is_some() {
        set("package", name.as_str().into());
    }
    if *optional {
        set("optional", true.into());
    }
    if !uses_default_features {
        set("default-features", false.into());
    }
    if !features.is_empty() {
        set("features", features.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().into());
    }
    table
}

/// The address of a repository, and the branch, tag or revision in it.
fn git_source(source: &str) -> Vec<(&'static str, String)> {
    let source = source.split('#').next().unwrap_or(source);
    let Some((address, query)) = source.split_once('?') else { return vec![("git", source.to_owned())] };
    let parsed = Url::parse(&format!("git:?{query}"));
    let pairs: Vec<_> = parsed.iter().flat_map(Url::query_pairs).collect();
    let named = ["branch", "tag", "rev"].into_iter().filter_map(|name| {
        let (_, value) = pairs.iter().find(|(key, _)| key == name)?;
        Some((name, value.clone().into_owned()))
    });
    [("git", address.to_owned())].into_iter().chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_of_a_repository_is_parsed() {
        let pair = |name, value: &str| (name, value.to_owned());
        assert_eq!(git_source("https://x/y"), [pair("git", "https://x/y")]);
        assert_eq!(git_source("https://x/y?rev=0123#4567"), [pair("git", "https://x/y"), pair("rev", "0123")]);
        assert_eq!(git_source("ssh://git@x/y?branch=a%2Fb"), [pair("git", "ssh://git@x/y"), pair("branch", "a/b")]);
    }
}

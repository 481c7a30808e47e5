//! The unit graph of a command, remembered.
//!
//! Asking cargo for it takes longer than the rest of planning. Cargo's answer depends on the command, on the files that
//! cargo reads ([`super::cargo_inputs`]), on the configuration and the toolchain that result from them, and on the
//! targets beside the manifests. If all of these are unchanged, the graph comes from the local store.
//!
//! **Invariant.** A graph is remembered only if each package is a member or has a checksum or a commit. A change in any
//! other directory would go unnoticed.

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::Options;
use super::cargo_inputs::CargoInputs;
use super::noop::circumstances;
use super::survey::Survey;
use crate::cargo::{Cargo, CargoConfig, Package, PackageSource, Packages, UnitGraph, packages};
use crate::digest::{Digest, Domain};
use crate::error::Result;
use crate::event::{EventKind, EventLog};
use crate::fs;
use crate::roots::Root;
use crate::store::LocalStore;

/// Compresses a unit graph to a tenth in a millisecond.
const LEVEL: i32 = 1;

/// A unit graph in the local store.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// The graph as cargo printed it.
    graph: String,
    packages: Packages,
}

/// The units of the command and their packages, from the local store or from cargo.
pub(super) fn units(
    options: &Options,
    cargo: &Cargo,
    store: &LocalStore,
    survey: &Survey,
    cargo_inputs: &CargoInputs,
    log: &EventLog,
) -> Result<(UnitGraph, Packages)> {
    let key = key(options, survey, cargo_inputs);
    if let Some(remembered) = key.and_then(|key| recall(store, key))
        && let Ok(graph) = UnitGraph::parse(&remembered.graph)
    {
        return Ok((graph, remembered.packages));
    }
    let text = cargo.unit_graph(|line| log.record(EventKind::CargoStatus { line: line.to_owned() }))?;
    let graph = UnitGraph::parse(&text)?;
    let packages = packages(&graph, survey.roots.get(Root::CargoHome))?;
    // If cargo or the user has changed an input meanwhile, the graph is not remembered.
    let is_same = |before: &Digest| self::key(options, survey, cargo_inputs) == Some(*before);
    if let Some(key) = key.filter(is_same).filter(|_| is_reusable(survey, &graph, &packages)) {
        remember(store, key, &Remembered { graph: text, packages: packages.clone() });
    }
    Ok((graph, packages))
}

/// The inputs that determine the graph.
#[derive(Serialize)]
struct Key<'a> {
    /// The command, the settings, and the variables that cargo reads.
    circumstances: Digest,
    /// `rustc -vV`.
    rustc: &'a str,
    /// `cargo -V`.
    cargo: &'a str,
    /// `rustc --print sysroot`.
    sysroot: &'a Utf8Path,
    /// Cargo's merged configuration.
    config: &'a CargoConfig,
    /// Cargo's description of the members, with the targets that it finds beside their manifests.
    description: Digest,
    /// The contents of the files that cargo reads, and which programs exist.
    contents: Digest,
}

/// The key. `None` if there is no lockfile yet, if the command names one, or if packages may be replaced by others.
fn key(options: &Options, survey: &Survey, cargo_inputs: &CargoInputs) -> Option<Digest> {
    let Survey { workspace, toolchain, config, .. } = survey;
    if options.invocation.value("lockfile-path").is_some() || !survey.lockfile_path.exists() {
        return None;
    }
    let manifest = fs::read_optional(workspace.root.join("Cargo.toml").as_std_path()).ok()??;
    let manifest: toml::Table = toml::from_str(str::from_utf8(&manifest).ok()?).ok()?;
    if ["patch", "replace"].iter().any(|table| manifest.contains_key(*table)) || config.replaces_packages() {
        return None;
    }
    let key = Key {
        circumstances: circumstances(options),
        rustc: &toolchain.rustc,
        cargo: &toolchain.cargo,
        sysroot: &toolchain.sysroot,
        config,
        description: workspace.description,
        contents: cargo_inputs.contents(),
    };
    Some(Digest::of_value(Domain::UnitGraph, &key))
}

/// Whether the key covers everything that the graph was made from.
fn is_reusable(survey: &Survey, graph: &UnitGraph, packages: &Packages) -> bool {
    let is_known = |package: &Package| {
        package.source != PackageSource::Directory || survey.workspace.members.contains(&package.directory)
    };
    let has_file = |platform: &String| platform.ends_with(".json");
    packages.values().all(is_known) && !graph.units.iter().any(|unit| unit.platform.as_ref().is_some_and(has_file))
}

fn recall(store: &LocalStore, key: Digest) -> Option<Remembered> {
    serde_json::from_slice(&zstd::decode_all(&*store.probe(key)?).ok()?).ok()
}

/// Stores the graph. If that fails, the next session asks cargo again.
fn remember(store: &LocalStore, key: Digest, remembered: &Remembered) {
    let bytes = serde_json::to_vec(remembered).ok().and_then(|json| zstd::encode_all(&*json, LEVEL).ok());
    if let Some(Err(error)) = bytes.map(|bytes| store.put_probe(key, &bytes)) {
        tracing::debug!(%error, "the unit graph is not remembered");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::reference::field_changes::{Change, assert_each_field_counts};

    #[test]
    fn each_part_of_what_a_graph_follows_from_makes_another_name() {
        static OTHER: LazyLock<CargoConfig> =
            LazyLock::new(|| serde_json::from_str(r#"{ "build": { "jobs": 2 } }"#).unwrap());
        static NONE: LazyLock<CargoConfig> = LazyLock::new(CargoConfig::default);
        let make = || Key {
            circumstances: Digest::of("circumstances"),
            rustc: "rustc",
            cargo: "cargo",
            sysroot: Utf8Path::new("/sysroot"),
            config: &NONE,
            description: Digest::of("description"),
            contents: Digest::of("contents"),
        };
        let changes: &[Change<Key<'_>>] = &[
            ("circumstances", |key| key.circumstances = Digest::of("another")),
            ("rustc", |key| key.rustc = "another"),
            ("cargo", |key| key.cargo = "another"),
            ("sysroot", |key| key.sysroot = Utf8Path::new("/another")),
            ("config", |key| key.config = &OTHER),
            ("description", |key| key.description = Digest::of("another")),
            ("contents", |key| key.contents = Digest::of("another")),
        ];
        assert_each_field_counts(Domain::UnitGraph, make, changes);
    }
}

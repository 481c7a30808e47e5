//! The unit graph, as cargo prints it (`core/compiler/unit_graph.rs`, format version 1).

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// Every unit of a build.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct UnitGraph {
    /// The format's version; only 1 is known.
    pub version: u32,
    /// The units; dependencies are indices into this list.
    pub units: Vec<GraphUnit>,
    /// The units that the command names.
    pub roots: Vec<usize>,
}

impl UnitGraph {
    /// Whether the command names a unit of this package.
    pub fn has_root_in(&self, package: &str) -> bool {
        self.roots.iter().filter_map(|root| self.units.get(*root)).any(|unit| unit.pkg_id == package)
    }

    /// Reads what cargo printed.
    pub fn parse(text: &str) -> Result<Self> {
        let unusable = |reason: String| Error::Command { command: "cargo --unit-graph".into(), reason };
        let graph: Self = serde_json::from_str(text).map_err(|error| unusable(error.to_string()))?;
        match graph.version {
            1 => Ok(graph),
            version => Err(unusable(format!("unit graph version {version} is not known"))),
        }
    }
}

/// A unit.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct GraphUnit {
    /// The package, as a package id spec.
    pub pkg_id: String,
    /// The target within the package.
    pub target: GraphTarget,
    /// Its resolved profile.
    pub profile: GraphProfile,
    /// The target triple; absent for the host.
    pub platform: Option<String>,
    /// `build`, `check`, `test`, `run-custom-build` …
    pub mode: String,
    /// Enabled features.
    #[serde(default)]
    pub features: Vec<String>,
    /// The unit belongs to the standard library (`-Zbuild-std`).
    #[serde(default)]
    pub is_std: bool,
    /// Edges.
    pub dependencies: Vec<GraphDependency>,
}

/// A target.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct GraphTarget {
    /// `lib`, `proc-macro`, `custom-build`, `bin` …
    pub kind: Vec<String>,
    /// `lib`, `rlib`, `cdylib` …
    pub crate_types: Vec<String>,
    /// The target's name.
    pub name: String,
    /// Its root file.
    pub src_path: Utf8PathBuf,
    /// Its edition.
    pub edition: String,
}

/// A profile: its name, its LTO setting, and all other fields unparsed.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct GraphProfile {
    /// `dev`, `release`, or a custom one.
    pub name: String,
    /// `false`, `true`, `off`, `thin`, `fat`.
    pub lto: String,
    /// Every other field.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
}

/// An edge.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct GraphDependency {
    /// The dependency's index.
    pub index: usize,
    /// The name it is imported under.
    pub extern_crate_name: String,
    /// `--extern noprelude:`.
    #[serde(default)]
    pub noprelude: bool,
}

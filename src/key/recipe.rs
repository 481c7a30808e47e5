//! Recipes: what a unit was made from, in a form that may be kept and shown.
//!
//! A [`Recipe`] is the [`KeyInputs`] of a unit with what else its stored key is made of: the place it is good in. It is
//! what a miss is explained with, so it outlives the build it was made in.
//!
//! **Invariants.** No value that nobody meant to show is in a recipe: of what members may read besides their own files,
//! and of what the configuration sets for build scripts, there are digests only. So a recipe's inputs no longer hash to its
//! key, which stands beside them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{KeyInputs, UnitKey};
use crate::digest::{Digest, Domain};

/// The only table of the configuration whose values are for the compiler and nobody else.
const SHOWN: &str = "unstable";

/// A part of a place: in words, and as a digest of all that is behind them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// What it calls itself, in one line; empty where it has no words.
    pub words: String,
    /// Of all it says.
    pub digest: Digest,
}

impl Part {
    /// What somebody says of itself: the first line is for people.
    pub fn said(text: &str) -> Self {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Self { words: line.trim().into(), digest: Digest::of(text) }
    }

    /// Something without words.
    pub fn silent(digest: Digest) -> Self {
        Self { words: String::new(), digest }
    }
}

/// The parts of a place, by their names.
pub type Parts = BTreeMap<String, Part>;

/// A class of hosts: a digest that is part of keys, and its parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    /// What goes into keys.
    pub digest: Digest,
    /// What it is made of.
    pub parts: Parts,
}

/// What a unit was made from, and where it is good.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recipe {
    /// The key by which dependents know it.
    pub key: UnitKey,
    /// The key under which it is stored.
    pub stored: UnitKey,
    /// The inputs, with digests in the place of what is nobody's business.
    pub inputs: KeyInputs,
    /// What else the stored key is made of.
    pub place: Parts,
    /// `name version` of each dependency, by its key.
    pub names: BTreeMap<UnitKey, String>,
}

impl Recipe {
    /// Makes it safe to keep.
    pub fn new(inputs: &KeyInputs, stored: UnitKey, place: Parts, names: BTreeMap<UnitKey, String>) -> Self {
        let key = inputs.key();
        let mut inputs = inputs.clone();
        let hidden = |text: &String| if text.is_empty() { String::new() } else { Digest::of(text).to_string() };
        inputs.surroundings.values_mut().for_each(|value| *value = hidden(value));
        inputs.config = flat(&inputs.config);
        Self { key, stored, inputs, place, names }
    }

    /// What the unit is, whatever it is made from: units with the same identity are compared.
    pub fn identity(&self) -> Digest {
        let KeyInputs { name, target_name, target_kind, mode, platform, .. } = &self.inputs;
        Digest::of_value(Domain::UnitIdentity, &(name, target_name, target_kind, mode, platform))
    }

    /// `name version`.
    pub fn package(&self) -> String {
        format!("{} {}", self.inputs.name, self.inputs.version)
    }
}

/// Tables as their leaves, each by its path.
fn flat(config: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    let mut open: Vec<_> = config.iter().map(|(name, value)| (name.clone(), value)).collect();
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(table) => open.extend(table.iter().map(|(name, value)| (format!("{path}.{name}"), value))),
            value if is_hidden(&path) => {
                drop(leaves.insert(path, Digest::of_value(Domain::HiddenValue, value).to_string().into()))
            }
            value => drop(leaves.insert(path, value.clone())),
        }
    }
    leaves
}

/// Whether the values below this path of the configuration are nobody's business: variables, and programs' arguments.
pub(super) fn is_hidden(path: &str) -> bool {
    path.split('.').next() != Some(SHOWN)
}

//! The inputs of a unit, in a form that can be stored and shown.
//!
//! [`UnitInputs`] are the [`KeyInputs`] of a unit together with the scope of its stored key: the hosts and paths for
//! which the unit is valid. A miss is explained with them, so they outlive the build that recorded them.
//!
//! **Invariants.** Unit inputs hold no value that the user did not mean to show. The files and variables that members
//! may read besides their own files, and the configuration that is meant for build scripts, appear as digests only. So
//! the stored inputs no longer hash to the unit's key, which is stored beside them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{KeyInputs, UnitKey};
use crate::digest::{Digest, Domain};

/// The only table of the configuration whose values are for the compiler alone.
const SHOWN: &str = "unstable";

/// One component of a scope: a short description, and a digest of everything it stands for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Component {
    /// One line in which the component describes itself. May be empty.
    #[serde(rename = "words")]
    pub description: String,
    /// A digest of its whole content.
    pub digest: Digest,
}

impl Component {
    /// A component with a text that describes it; the first line is shown.
    pub fn described(text: &str) -> Self {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Self { description: line.trim().into(), digest: Digest::of(text) }
    }

    /// A component without a description.
    pub fn opaque(digest: Digest) -> Self {
        Self { description: String::new(), digest }
    }
}

/// The components of a scope, by their names.
pub type Components = BTreeMap<String, Component>;

/// A class of hosts that link, or run, a unit in the same way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostClass {
    /// The digest that enters keys.
    pub digest: Digest,
    /// The components that the digest covers.
    pub components: Components,
}

/// The inputs of a unit, and the scope in which it is valid.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct UnitInputs {
    /// The unit's key, as its dependents use it.
    pub key: UnitKey,
    /// The key under which it is stored.
    pub stored: UnitKey,
    /// The inputs of the key, with digests in place of values that must not be shown.
    pub inputs: KeyInputs,
    /// The scope: what the stored key is computed from besides the key.
    #[serde(rename = "place")]
    pub scope: Components,
    /// `name version` of each dependency, by its key.
    pub names: BTreeMap<UnitKey, String>,
}

impl UnitInputs {
    /// Creates unit inputs, and replaces values that must not be stored.
    pub fn new(inputs: &KeyInputs, stored: UnitKey, scope: Components, names: BTreeMap<UnitKey, String>) -> Self {
        let key = inputs.key();
        let mut inputs = inputs.clone();
        let hidden = |text: &String| if text.is_empty() { String::new() } else { Digest::of(text).to_string() };
        inputs.member_inputs.values_mut().for_each(|value| *value = hidden(value));
        inputs.config = flat(&inputs.config);
        Self { key, stored, inputs, scope, names }
    }

    /// The identity of the unit, independent of its inputs. Units with the same identity are compared.
    pub fn identity(&self) -> Digest {
        let KeyInputs { name, target_name, target_kind, mode, platform, .. } = &self.inputs;
        Digest::of_value(Domain::UnitIdentity, &(name, target_name, target_kind, mode, platform))
    }

    /// `name version`.
    pub fn package(&self) -> String {
        format!("{} {}", self.inputs.name, self.inputs.version)
    }
}

/// Flattens tables to their leaves, each by its path.
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

/// Whether the values below this path of the configuration must not be shown: variables, and arguments of programs.
pub(super) fn is_hidden(path: &str) -> bool {
    path.split('.').next() != Some(SHOWN)
}

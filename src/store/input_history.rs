//! The input history of units: the last [`UnitInputs`] that were recorded of each unit, by the unit's identity.
//!
//! The local store has one object for each unit, written when the unit is recorded: a build without misses writes none.
//! The remote has one object for each workspace and command ([`SharedHistory`]), which shows a machine without earlier
//! builds what others have built. A session writes that object once, after it has uploaded something. Explanations read
//! both; besides, the shared object is read before it is replaced.
//!
//! **Invariant.** The history is a hint for people. A missing or damaged object, or one of another version, counts as
//! an empty one, and no build depends on it. If two processes write at the same time, one may undo what the other has
//! added.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LocalStore;
use crate::digest::{Digest, Domain};
use crate::entry::{Kind, frame, unframe};
use crate::error::Result;
use crate::key::unit_inputs::UnitInputs;

/// The maximum number of records of one unit.
const MAX_RECORDS: usize = 8;
/// The same in the remote, where all units share one object.
const MAX_SHARED_RECORDS: usize = 4;
/// The maximum number of records in one object of the remote.
const MAX_ALL_SHARED: usize = 10_000;

/// Unit inputs, and when they were recorded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordedInputs {
    /// The last time they were recorded.
    pub at: Timestamp,
    /// The time before that.
    pub before: Option<Timestamp>,
    /// The unit inputs.
    #[serde(rename = "recipe")]
    pub unit_inputs: UnitInputs,
}

impl RecordedInputs {
    /// When the inputs were last recorded before a moment; `None` if they were not.
    pub fn as_of(&self, moment: Timestamp) -> Option<Timestamp> {
        Some(self.at).into_iter().chain(self.before).find(|at| *at < moment)
    }
}

/// All records of units with this identity, the latest first.
pub fn recall(store: &LocalStore, identity: Digest) -> Vec<RecordedInputs> {
    let bytes = store.input_history(identity).unwrap_or_default();
    unframe(Kind::InputHistory, "known", &bytes).unwrap_or_default()
}

/// Adds the inputs of a unit, and drops the oldest record.
pub fn remember(store: &LocalStore, unit_inputs: UnitInputs, now: Timestamp) -> Result<()> {
    let identity = unit_inputs.identity();
    let mut history = recall(store, identity);
    add(&mut history, unit_inputs, now, MAX_RECORDS);
    store.put_input_history(identity, &frame(Kind::InputHistory, &history))
}

fn add(history: &mut Vec<RecordedInputs>, unit_inputs: UnitInputs, now: Timestamp, limit: usize) {
    let same = history.iter().position(|recorded| recorded.unit_inputs.stored == unit_inputs.stored);
    let before = same.map(|index| history.remove(index).at);
    history.insert(0, RecordedInputs { at: now, before, unit_inputs });
    history.truncate(limit);
}

/// The history of one workspace and command that all users of a remote share.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SharedHistory {
    units: BTreeMap<Digest, Vec<RecordedInputs>>,
}

impl SharedHistory {
    /// The name of the object: the same on all machines, with any lockfile and any toolchain.
    pub fn name(members: &BTreeSet<String>, command: &str) -> Digest {
        Digest::of_value(Domain::SharedHistory, &(members, command))
    }

    /// Decodes a history. An object that cannot be read is an empty history.
    pub fn decode(bytes: &[u8]) -> Self {
        unframe(Kind::SharedHistory, "known", bytes).unwrap_or_default()
    }

    /// Encodes for the remote.
    pub fn encode(&self) -> Vec<u8> {
        frame(Kind::SharedHistory, self)
    }

    /// Adds the inputs of a build's units, and drops the oldest records.
    pub fn add(&mut self, build: impl IntoIterator<Item = UnitInputs>, now: Timestamp) {
        for unit_inputs in build {
            add(self.units.entry(unit_inputs.identity()).or_default(), unit_inputs, now, MAX_SHARED_RECORDS);
        }
        let mut ages: Vec<_> = self.units.values().flatten().map(|recorded| recorded.at).collect();
        if ages.len() > MAX_ALL_SHARED {
            ages.sort_by(|one, other| other.cmp(one));
            let oldest = ages[MAX_ALL_SHARED];
            self.units.values_mut().for_each(|history| history.retain(|recorded| recorded.at > oldest));
            self.units.retain(|_, history| !history.is_empty());
        }
    }

    /// All records of units with this identity.
    pub fn of(&self, identity: Digest) -> Vec<RecordedInputs> {
        self.units.get(&identity).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) fn unit_inputs(name: &str) -> UnitInputs {
    tests::unit_inputs_of(name, 1)
}

#[cfg(test)]
#[path = "input_history_tests.rs"]
pub(crate) mod tests;

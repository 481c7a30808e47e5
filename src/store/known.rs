//! What is known of units: the last few recipes of each, by what the unit is.
//!
//! In the local store there is one object for each unit. It is written when a unit is recorded, so a build in which
//! everything is a hit writes nothing. In the remote there is one object for each workspace and command ([`Shared`]), so
//! that a machine which has built nothing yet can be told what others have: it is written once by a session that has
//! uploaded something. Both are read by an explanation only, but for the latter's own predecessor.
//!
//! **Invariant.** A hint for people: what is missing, damaged or of another version is as good as nothing, and nobody's
//! build depends on it. Of two processes that write at once, one may undo what the other has added.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LocalStore;
use crate::digest::{Digest, Domain};
use crate::entry::{Kind, frame, unframe};
use crate::error::Result;
use crate::key::recipe::Recipe;

/// Recipes that are kept of one unit.
const RECIPES: usize = 8;
/// Recipes that are kept of one unit in the remote, where they are one object.
const SHARED_RECIPES: usize = 4;
/// Recipes that are kept of all units in one object of the remote.
const ALL_SHARED: usize = 10_000;

/// A recipe that was recorded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Known {
    /// When, for the last time.
    pub at: Timestamp,
    /// When, the time before that.
    pub before: Option<Timestamp>,
    /// What it was made from.
    pub recipe: Recipe,
}

impl Known {
    /// Whether it was known before a moment, and when it was recorded then.
    pub fn as_of(&self, moment: Timestamp) -> Option<Timestamp> {
        Some(self.at).into_iter().chain(self.before).find(|at| *at < moment)
    }
}

/// All that is known of units with this identity, the latest first.
pub fn recall(store: &LocalStore, identity: Digest) -> Vec<Known> {
    let bytes = store.known(identity).unwrap_or_default();
    unframe(Kind::Known, "known", &bytes).unwrap_or_default()
}

/// Adds a recipe; the oldest goes.
pub fn remember(store: &LocalStore, recipe: Recipe, now: Timestamp) -> Result<()> {
    let identity = recipe.identity();
    let mut known = recall(store, identity);
    add(&mut known, recipe, now, RECIPES);
    store.put_known(identity, &frame(Kind::Known, &known))
}

fn add(known: &mut Vec<Known>, recipe: Recipe, now: Timestamp, limit: usize) {
    let same = known.iter().position(|known| known.recipe.stored == recipe.stored);
    let before = same.map(|index| known.remove(index).at);
    known.insert(0, Known { at: now, before, recipe });
    known.truncate(limit);
}

/// What those who share a remote know of the units of one workspace and command.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Shared {
    units: BTreeMap<Digest, Vec<Known>>,
}

impl Shared {
    /// The name of the object: the same on all machines, with any lockfile and any toolchain.
    pub fn name(members: &BTreeSet<String>, command: &str) -> Digest {
        Digest::of_value(Domain::SharedKnowledge, &(members, command))
    }

    /// Decodes; what cannot be read is as good as nothing.
    pub fn decode(bytes: &[u8]) -> Self {
        unframe(Kind::Shared, "known", bytes).unwrap_or_default()
    }

    /// Encodes for the remote.
    pub fn encode(&self) -> Vec<u8> {
        frame(Kind::Shared, self)
    }

    /// Adds what a build was made from; the oldest goes.
    pub fn add(&mut self, recipes: impl IntoIterator<Item = Recipe>, now: Timestamp) {
        for recipe in recipes {
            add(self.units.entry(recipe.identity()).or_default(), recipe, now, SHARED_RECIPES);
        }
        let mut ages: Vec<_> = self.units.values().flatten().map(|known| known.at).collect();
        if ages.len() > ALL_SHARED {
            ages.sort_by(|one, other| other.cmp(one));
            let oldest = ages[ALL_SHARED];
            self.units.values_mut().for_each(|known| known.retain(|known| known.at > oldest));
            self.units.retain(|_, known| !known.is_empty());
        }
    }

    /// All that is known of units with this identity.
    pub fn of(&self, identity: Digest) -> Vec<Known> {
        self.units.get(&identity).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) fn recipe(name: &str) -> Recipe {
    tests::recipe_of(name, 1)
}

#[cfg(test)]
#[path = "known_tests.rs"]
pub(crate) mod tests;

//! What is kept of the inputs of a plan's keys, for explanations.
//!
//! **Invariant.** Nothing is copied or hashed before somebody asks for a [`Recipe`]: a build in which nothing is compiled
//! asks for none.

use std::collections::{BTreeMap, BTreeSet};

use super::{BuildPlan, Unit};
use crate::digest::Digest;
use crate::event::UnitId;
use crate::key::KeyInputs;
use crate::key::recipe::{Class, Part, Parts, Recipe};

/// What stored keys are made of besides inputs.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Places {
    /// Linker and C library.
    pub host: Option<Class>,
    /// The same, with C compiler and system.
    pub native: Option<Class>,
    /// The path of the workspace.
    pub workspace: Option<Digest>,
}

impl Places {
    /// What native code depends on is good only together with the host.
    pub(super) fn new(host: Option<&Class>, native: Option<&Class>, workspace: Option<Digest>) -> Self {
        let native = host.zip(native).map(|(host, native)| Class {
            digest: Digest::of(format!("{} {}", host.digest, native.digest)),
            parts: host.parts.clone().into_iter().chain(native.parts.clone()).collect(),
        });
        Self { host: host.cloned(), native, workspace }
    }

    fn class(&self, unit: &Unit) -> Option<&Class> {
        if unit.native { self.native.as_ref() } else { self.host.as_ref().filter(|_| unit.is_of_host()) }
    }

    /// What is folded into the key of a unit, in this order.
    pub(super) fn digests(&self, unit: &Unit) -> impl Iterator<Item = Digest> {
        let class = self.class(unit).map(|class| class.digest);
        class.into_iter().chain(self.workspace.filter(|_| !unit.external))
    }

    fn parts(&self, unit: &Unit) -> Parts {
        let parts = self.class(unit).map(|class| class.parts.clone()).unwrap_or_default();
        let workspace = self.workspace.filter(|_| !unit.external).map(Part::silent);
        parts.into_iter().chain(workspace.map(|part| ("workspace".into(), part))).collect()
    }
}

impl BuildPlan {
    /// What a unit is made from; nothing where that is not known.
    ///
    /// There is a recipe of a unit that is not stored as well, if others that are depend on it.
    pub fn recipe(&self, id: UnitId) -> Option<Recipe> {
        let unit = self.unit(id);
        let inputs = self.inputs(id)?;
        let named =
            |id: UnitId| Some((self.inputs(id)?.key(), format!("{} {}", self.unit(id).package, self.unit(id).version)));
        let names: BTreeMap<_, _> = unit.dependencies.iter().filter_map(|dependency| named(dependency.unit)).collect();
        let stored = unit.key.unwrap_or_else(|_| inputs.key());
        Some(Recipe::new(inputs, stored, self.places.parts(unit), names))
    }

    /// The units among these and all that they depend on, of which there is a recipe.
    pub fn recipes_below(&self, units: impl IntoIterator<Item = UnitId>) -> BTreeMap<UnitId, Recipe> {
        let mut recipes = BTreeMap::new();
        let mut open: Vec<_> = units.into_iter().collect();
        while let Some(id) = open.pop() {
            if !recipes.contains_key(&id)
                && let Some(recipe) = self.recipe(id)
            {
                recipes.insert(id, recipe);
                open.extend(self.unit(id).dependencies.iter().map(|dependency| dependency.unit));
            }
        }
        recipes
    }

    /// What the units are made from that others may have, too.
    pub fn shared_recipes(&self) -> Vec<Recipe> {
        let shared = self.cacheable().into_iter().filter(|(id, _)| self.unit(*id).external);
        shared.filter_map(|(id, _)| self.recipe(id)).collect()
    }

    /// The names of the packages that are built where they are edited.
    pub fn member_names(&self) -> BTreeSet<String> {
        self.units.iter().filter(|unit| !unit.external).map(|unit| unit.package.clone()).collect()
    }

    fn inputs(&self, UnitId(index): UnitId) -> Option<&KeyInputs> {
        self.inputs.get(index)?.as_ref()
    }
}

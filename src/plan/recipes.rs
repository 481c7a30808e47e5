//! What is kept of the inputs of a plan's keys, for explanations.
//!
//! **Invariant.** Nothing is copied or hashed before somebody asks for a [`Recipe`]: a build in which nothing is compiled
//! asks for none.

use std::collections::{BTreeMap, BTreeSet};

use super::{BuildPlan, Unit};
use crate::digest::{Digest, Domain};
use crate::event::UnitId;
use crate::key::KeyInputs;
use crate::key::recipe::{Class, Part, Parts, Recipe};
use crate::rustc::Toolchain;

/// What stored keys are made of besides inputs.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Places {
    /// Linker and C library of this host.
    host: Option<Class>,
    /// The same, with the C compiler and the system, for native code.
    native: Option<Class>,
    /// Linker and C library of each other platform.
    targets: BTreeMap<String, Class>,
    /// The platform of this host.
    here: String,
    /// The path of the workspace, if members contain it.
    workspace: Option<Digest>,
}

impl Places {
    /// What native code depends on is good only together with the host.
    pub(super) fn new(toolchain: &Toolchain, native: Option<&Class>, workspace: Option<Digest>) -> Self {
        let host = toolchain.host_class.as_ref();
        let native = host.zip(native).map(|(host, native)| Class {
            digest: Digest::of_value(Domain::HostClass, &[("host", host.digest), ("native", native.digest)]),
            parts: host.parts.clone().into_iter().chain(native.parts.clone()).collect(),
        });
        let (targets, here) = (toolchain.target_classes.clone(), toolchain.host().to_owned());
        Self { host: host.cloned(), native, targets, here, workspace }
    }

    /// Whether it is known with what a unit was linked, or on what it was run.
    pub(super) fn is_known(&self, unit: &Unit) -> bool {
        match self.elsewhere(unit) {
            Some(platform) => self.targets.contains_key(platform),
            None => self.host.is_some(),
        }
    }

    /// Whether C compiler and system of this host are known.
    pub(super) fn native_is_known(&self) -> bool {
        self.native.is_some()
    }

    /// The other platform that a unit is linked for. The runs of build scripts are here, whatever they are for.
    fn elsewhere<'a>(&self, unit: &'a Unit) -> Option<&'a str> {
        unit.platform.as_deref().filter(|platform| unit.is_linked() && *platform != self.here)
    }

    /// The classes of machines on which a unit is good.
    fn classes(&self, unit: &Unit) -> impl Iterator<Item = &Class> {
        let elsewhere = self.elsewhere(unit);
        let here = match unit.native {
            true => self.native.as_ref(),
            false => self.host.as_ref().filter(|_| unit.is_of_host() && elsewhere.is_none()),
        };
        here.into_iter().chain(elsewhere.and_then(|platform| self.targets.get(platform)))
    }

    /// What is folded into the key of a unit, in this order.
    pub(super) fn digests(&self, unit: &Unit) -> impl Iterator<Item = Digest> {
        let classes = self.classes(unit).map(|class| class.digest);
        classes.chain(self.workspace.filter(|_| !unit.external)).chain(outside(unit))
    }

    fn parts(&self, unit: &Unit) -> Parts {
        let parts = self.classes(unit).flat_map(|class| class.parts.clone());
        let workspace = self.workspace.filter(|_| !unit.external).map(|digest| ("workspace", digest));
        let directories = workspace.into_iter().chain(outside(unit).map(|digest| ("packages outside", digest)));
        parts.chain(directories.map(|(name, digest)| (name.to_owned(), Part::silent(digest)))).collect()
    }
}

/// The paths of the packages outside of the workspace that come into a unit.
fn outside(unit: &Unit) -> Option<Digest> {
    (!unit.outside.is_empty()).then(|| Digest::of_value(Domain::RootPath, &unit.outside))
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

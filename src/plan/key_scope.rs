//! The scope of stored keys, and the inputs of a plan's units, for explanations.
//!
//! **Invariant.** Nothing is copied or hashed before [`UnitInputs`] are requested: a build that compiles nothing
//! requests none.

use std::collections::{BTreeMap, BTreeSet};

use super::{BuildPlan, Unit};
use crate::digest::{Digest, Domain};
use crate::event::UnitId;
use crate::key::unit_inputs::{Component, Components, HostClass, UnitInputs};
use crate::rustc::Toolchain;

/// What stored keys are computed from besides the inputs of the units.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct KeyScope {
    /// Linker and C library of this host.
    host: Option<HostClass>,
    /// The same, with the C compiler and the system, for native code.
    native: Option<HostClass>,
    /// Linker and C library of each other platform.
    targets: BTreeMap<String, HostClass>,
    /// The platform of this host.
    host_platform: String,
    /// The path of the workspace, if members contain it.
    workspace: Option<Digest>,
}

impl KeyScope {
    /// The class for native code is valid only together with the class of the host.
    pub(super) fn new(toolchain: &Toolchain, native: Option<&HostClass>, workspace: Option<Digest>) -> Self {
        let host = toolchain.host_class.as_ref();
        let native = host.zip(native).map(|(host, native)| HostClass {
            digest: Digest::of_value(Domain::HostClass, &[("host", host.digest), ("native", native.digest)]),
            components: host.components.clone().into_iter().chain(native.components.clone()).collect(),
        });
        let (targets, host_platform) = (toolchain.target_classes.clone(), toolchain.host().to_owned());
        Self { host: host.cloned(), native, targets, host_platform, workspace }
    }

    /// Whether the class of the platform that links or runs a unit is known.
    pub(super) fn is_known(&self, unit: &Unit) -> bool {
        match self.cross_platform(unit) {
            Some(platform) => self.targets.contains_key(platform),
            None => self.host.is_some(),
        }
    }

    /// Whether the C compiler and the system of this host are known.
    pub(super) fn native_is_known(&self) -> bool {
        self.native.is_some()
    }

    /// The other platform that a unit is linked for. Build scripts run on the host, whatever they are for.
    fn cross_platform<'a>(&self, unit: &'a Unit) -> Option<&'a str> {
        unit.platform.as_deref().filter(|platform| unit.is_linked() && *platform != self.host_platform)
    }

    /// The host classes for which a unit is valid.
    fn classes(&self, unit: &Unit) -> impl Iterator<Item = &HostClass> {
        let cross_platform = self.cross_platform(unit);
        let host = match unit.native {
            true => self.native.as_ref(),
            false => self.host.as_ref().filter(|_| unit.depends_on_host() && cross_platform.is_none()),
        };
        host.into_iter().chain(cross_platform.and_then(|platform| self.targets.get(platform)))
    }

    /// The digests that are folded into the key of a unit, in this order.
    pub(super) fn digests(&self, unit: &Unit) -> impl Iterator<Item = Digest> {
        let classes = self.classes(unit).map(|class| class.digest);
        classes.chain(self.workspace.filter(|_| !unit.external)).chain(outside_dirs(unit))
    }

    fn components(&self, unit: &Unit) -> Components {
        let components = self.classes(unit).flat_map(|class| class.components.clone());
        let workspace = self.workspace.filter(|_| !unit.external).map(|digest| ("workspace", digest));
        let directories = workspace.into_iter().chain(outside_dirs(unit).map(|digest| ("packages outside", digest)));
        components.chain(directories.map(|(name, digest)| (name.to_owned(), Component::opaque(digest)))).collect()
    }
}

/// The paths of the packages outside of the workspace that a unit contains.
fn outside_dirs(unit: &Unit) -> Option<Digest> {
    (!unit.outside_dirs.is_empty()).then(|| Digest::of_value(Domain::RootPath, &unit.outside_dirs))
}

impl BuildPlan {
    /// The inputs of a unit, if they are known.
    ///
    /// A unit that is not stored has inputs as well, if stored units depend on it.
    pub fn unit_inputs(&self, id: UnitId) -> Option<UnitInputs> {
        let unit = self.unit(id);
        let inputs = self.key_inputs(id)?;
        let named = |id: UnitId| {
            Some((self.key_inputs(id)?.key(), format!("{} {}", self.unit(id).package, self.unit(id).version)))
        };
        let names: BTreeMap<_, _> = unit.dependencies.iter().filter_map(|dependency| named(dependency.unit)).collect();
        let stored = unit.key.unwrap_or_else(|_| inputs.key());
        Some(UnitInputs::new(inputs, stored, self.key_scope.components(unit), names))
    }

    /// The inputs of these units and of everything that they depend on, as far as they are known.
    pub fn unit_inputs_below(&self, units: impl IntoIterator<Item = UnitId>) -> BTreeMap<UnitId, UnitInputs> {
        let mut all = BTreeMap::new();
        let mut open: Vec<_> = units.into_iter().collect();
        while let Some(id) = open.pop() {
            if !all.contains_key(&id)
                && let Some(unit_inputs) = self.unit_inputs(id)
            {
                all.insert(id, unit_inputs);
                open.extend(self.unit(id).dependencies.iter().map(|dependency| dependency.unit));
            }
        }
        all
    }

    /// The inputs of the units that other workspaces may share.
    pub fn shared_unit_inputs(&self) -> Vec<UnitInputs> {
        let shared = self.cacheable().into_iter().filter(|(id, _)| self.unit(*id).external);
        shared.filter_map(|(id, _)| self.unit_inputs(id)).collect()
    }

    /// The names of all members.
    pub fn member_names(&self) -> BTreeSet<String> {
        self.units.iter().filter(|unit| !unit.external).map(|unit| unit.package.clone()).collect()
    }
}

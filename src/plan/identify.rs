//! Finds the unit that a rustc command line belongs to.
//!
//! It never guesses between units that could be cached: if two of them match, it returns none.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::{BuildPlan, Unit};
use crate::event::UnitId;
use crate::rustc::{Emit, Invocation};

impl BuildPlan {
    /// The unit of a command line that runs in `directory`.
    ///
    /// `outputs` maps the metadata files seen so far to their units; it tells apart units that differ only in their
    /// dependencies. `claimed` are units that were compiled already: if several uncacheable units match, the first
    /// unclaimed one is taken, which matters only to the report. `script_features` returns the features that the build
    /// script of a unit's package passed to the compiler; cargo does not know them.
    pub fn identify(
        &self,
        invocation: &Invocation,
        directory: &Utf8Path,
        outputs: &BTreeMap<Utf8PathBuf, UnitId>,
        claimed: &BTreeSet<UnitId>,
        script_features: impl Fn(&Unit) -> BTreeSet<String>,
    ) -> Option<UnitId> {
        let source = directory.join(invocation.source.as_ref()?);
        let candidates = self.by_root_file.get(&source)?.iter().copied();
        let has_features = |unit: &Unit| {
            invocation.features == unit.features
                || invocation.features.is_superset(&unit.features)
                    && unit.features.union(&script_features(unit)).eq(&invocation.features)
        };
        let fits = |unit: &Unit| fits(unit, invocation) && has_features(unit);
        let mut candidates: Vec<_> = candidates.filter(|id| fits(self.unit(*id))).collect();
        narrow(&mut candidates, |id| has_profile(self.unit(id), invocation));
        narrow(&mut candidates, |id| self.has_dependencies(id, invocation, outputs));
        match candidates[..] {
            [one] => Some(one),
            _ if candidates.iter().any(|id| self.unit(*id).key.is_ok()) => None,
            _ => candidates.iter().find(|id| !claimed.contains(id)).copied(),
        }
    }

    /// Whether every `--extern` whose unit is known is a dependency of this unit under that name.
    fn has_dependencies(&self, id: UnitId, invocation: &Invocation, outputs: &BTreeMap<Utf8PathBuf, UnitId>) -> bool {
        let dependencies = &self.unit(id).dependencies;
        invocation.externs.iter().all(|external| {
            let unit = external.path.as_ref().and_then(|path| outputs.get(&path.with_extension("")));
            unit.is_none_or(|unit| dependencies.iter().any(|dep| dep.unit == *unit && dep.extern_name == external.name))
        })
    }
}

/// Keeps the candidates that pass, if there are several.
fn narrow(candidates: &mut Vec<UnitId>, passes: impl Fn(UnitId) -> bool) {
    if candidates.len() > 1 {
        candidates.retain(|id| passes(*id));
    }
}

/// Compares what must always agree.
fn fits(unit: &Unit, invocation: &Invocation) -> bool {
    let links = invocation.emit.contains(&Emit::Link);
    let mode = match unit.mode.as_str() {
        "build" => links && !invocation.test,
        "test" => links && invocation.test,
        "check" => !links && unit.harness.is_none_or(|harness| harness == invocation.test),
        _ => false,
    };
    mode && invocation.crate_name.as_deref() == Some(&unit.target.replace('-', "_"))
        && invocation.target == unit.platform
        && (invocation.test || invocation.crate_types == unit.crate_types)
}

/// Whether the flags that cargo derives from a profile are those of this unit. Cargo omits a flag that has rustc's
/// default value.
fn has_profile(unit: &Unit, invocation: &Invocation) -> bool {
    let flag = |name: &str, default: &str| invocation.codegen.get(name).map_or(default, String::as_str).to_owned();
    let field = |name: &str| match unit.profile.fields.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let panic = field("panic");
    flag("opt-level", "0") == field("opt_level")
        && flag("debuginfo", "0") == field("debuginfo")
        && (flag("panic", "unwind") == panic || panic.is_empty())
        && flag("codegen-units", "") == field("codegen_units")
}

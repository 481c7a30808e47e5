//! Which units native code comes into, as far as a plan can tell.
//!
//! A build script is there for native code if its manifest has `links`, or if it depends on one of the packages that
//! compile or find such code. What it makes depends on more than its run: on the C compiler and on what is installed.

use std::collections::BTreeSet;

use super::{PlanInputs, Unit};
use crate::event::UnitId;

/// Packages that compile native code, or find it.
const TOOLS: &[&str] = &[
    "autotools",
    "bindgen",
    "cc",
    "cmake",
    "cxx-build",
    "gcc",
    "metadeps",
    "nasm-rs",
    "openssl-src",
    "pkg-config",
    "system-deps",
    "vcpkg",
];

/// Marks the runs of such scripts, the crates of their packages, and what is linked with what they make.
pub(super) fn mark(inputs: &PlanInputs<'_>, units: &mut [Unit]) {
    let runs: BTreeSet<_> = (0..units.len()).map(UnitId).filter(|id| is_native_run(inputs, units, *id)).collect();
    let mut seen = vec![None; units.len()];
    for index in 0..units.len() {
        let reaches = reaches(units, UnitId(index), &runs, &mut seen);
        let own = units[index].dependencies.iter().any(|dependency| runs.contains(&dependency.unit));
        units[index].native = runs.contains(&UnitId(index)) || own || reaches && units[index].is_linked();
    }
}

fn is_native_run(inputs: &PlanInputs<'_>, units: &[Unit], UnitId(index): UnitId) -> bool {
    let unit = &units[index];
    // Nothing is known of the C compiler for another platform.
    let is_here = unit.platform.as_deref().is_none_or(|platform| platform == inputs.toolchain.host());
    let links = || inputs.packages.get(&inputs.graph.units[index].pkg_id).is_some_and(|package| package.links);
    unit.is_script_run() && is_here && (links() || uses_tools(units, unit))
}

/// Whether the script itself depends on one of the tools.
fn uses_tools(units: &[Unit], run: &Unit) -> bool {
    let of = |unit: &Unit| unit.dependencies.iter().map(|dependency| dependency.unit.0).collect::<Vec<_>>();
    let scripts =
        of(run).into_iter().filter(|index| units[*index].kind == "custom-build" && !units[*index].is_script_run());
    scripts.flat_map(|script| of(&units[script])).any(|tool| TOOLS.contains(&units[tool].package.as_str()))
}

fn reaches(units: &[Unit], UnitId(index): UnitId, runs: &BTreeSet<UnitId>, seen: &mut Vec<Option<bool>>) -> bool {
    if let Some(reaches) = seen[index] {
        return reaches;
    }
    let mut dependencies = units[index].dependencies.iter().map(|dependency| dependency.unit);
    let result = dependencies.any(|unit| runs.contains(&unit) || self::reaches(units, unit, runs, seen));
    seen[index] = Some(result);
    result
}

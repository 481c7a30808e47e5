//! Finds the units that contain native code or are built with it, as far as a plan can tell.
//!
//! A build script is for native code if its manifest has `links`, or if it depends on a package that compiles or finds
//! such code. Its output depends on more than its run: on the C compiler and on installed libraries.

use std::collections::BTreeSet;

use super::{PlanInputs, Unit};
use crate::event::UnitId;

/// Packages that compile or find native code.
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

/// Marks the runs of such scripts, the crates of their packages, and everything linked with their output.
pub(super) fn mark(inputs: &PlanInputs<'_>, units: &mut [Unit]) {
    let runs: BTreeSet<_> = (0..units.len()).map(UnitId).filter(|id| is_native_run(inputs, units, *id)).collect();
    let mut seen = vec![None; units.len()];
    for index in 0..units.len() {
        let depends_on_run = depends_on_run(units, UnitId(index), &runs, &mut seen);
        let has_native_run = units[index].dependencies.iter().any(|dependency| runs.contains(&dependency.unit));
        units[index].native =
            runs.contains(&UnitId(index)) || has_native_run || depends_on_run && units[index].is_linked();
    }
}

fn is_native_run(inputs: &PlanInputs<'_>, units: &[Unit], UnitId(index): UnitId) -> bool {
    let unit = &units[index];
    // The C compiler for another platform is not known.
    let is_here = unit.platform.as_deref().is_none_or(|platform| platform == inputs.toolchain.host());
    let links = || inputs.packages.get(&inputs.graph.units[index].pkg_id).is_some_and(|package| package.links);
    unit.is_script_run() && is_here && (links() || uses_tools(units, unit))
}

/// Whether the script itself depends on one of the tools.
fn uses_tools(units: &[Unit], run: &Unit) -> bool {
    let dependencies = |unit: &Unit| unit.dependencies.iter().map(|dependency| dependency.unit.0).collect::<Vec<_>>();
    let scripts = dependencies(run)
        .into_iter()
        .filter(|index| units[*index].kind == "custom-build" && !units[*index].is_script_run());
    scripts.flat_map(|script| dependencies(&units[script])).any(|tool| TOOLS.contains(&units[tool].package.as_str()))
}

fn depends_on_run(
    units: &[Unit],
    UnitId(index): UnitId,
    runs: &BTreeSet<UnitId>,
    seen: &mut Vec<Option<bool>>,
) -> bool {
    if let Some(known) = seen[index] {
        return known;
    }
    let mut dependencies = units[index].dependencies.iter().map(|dependency| dependency.unit);
    let result = dependencies.any(|unit| runs.contains(&unit) || depends_on_run(units, unit, runs, seen));
    seen[index] = Some(result);
    result
}

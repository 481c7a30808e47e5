//! Packages in directories outside of the workspace, and everything built with them.
//!
//! If the path of the workspace is remapped, members are valid in every checkout. The path of a package outside of the
//! workspace is not remapped. Its outputs, including the metadata, contain that path, and so do those of its
//! dependents. They are valid only where the package is at the same path.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::Unit;

/// Records for each unit the directories of such packages that it is built with.
pub(super) fn mark(workspace: &Utf8Path, units: &mut [Unit]) {
    let mut dependents = BTreeMap::<_, Vec<_>>::new();
    for (index, unit) in units.iter().enumerate() {
        unit.dependencies.iter().for_each(|edge| dependents.entry(edge.unit.0).or_default().push(index));
    }
    let is_outside = |unit: &&Unit| !unit.external && !unit.package_dir.starts_with(workspace);
    let directories: BTreeSet<_> = units.iter().filter(is_outside).map(|unit| unit.package_dir.clone()).collect();
    for directory in directories {
        let is_in_it = |(_, unit): &(usize, &Unit)| !unit.external && unit.package_dir == directory;
        let mut open: Vec<_> = units.iter().enumerate().filter(is_in_it).map(|(index, _)| index).collect();
        while let Some(index) = open.pop() {
            if units[index].outside_dirs.insert(directory.clone()) {
                open.extend(dependents.get(&index).into_iter().flatten());
            }
        }
    }
}

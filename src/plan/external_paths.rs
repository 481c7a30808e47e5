//! Packages in directories outside of the workspace, and all that is made with them.
//!
//! Where members are compiled with another path in the place of the workspace's, they are good in every checkout. The path of
//! such a package is replaced by no other: it is in what is compiled of it, in the metadata too, and so in all that depends
//! on it. These are good only where the package is in the same place.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::Unit;

/// Notes for each unit which of these packages come into it.
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

//! Tells apart the two units of a crate that is checked with and without its tests.
//!
//! `cargo check --all-targets` checks a crate twice, and cargo's unit graph describes both in the same way
//! (`core/compiler/unit_graph.rs`: the mode is `check`, with or without a test harness). A unit that others depend on
//! has no harness. If neither has dependents, the one with more dependencies has the harness, because it also
//! has the development dependencies. If they are alike in every way, the choice is arbitrary but always the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo::GraphUnit;

/// Whether each unit of such a pair has a test harness. Absent for a unit without a counterpart.
pub(super) fn harnesses(graph: &[GraphUnit]) -> BTreeMap<usize, bool> {
    let used: BTreeSet<_> = graph.iter().flat_map(|unit| &unit.dependencies).map(|edge| edge.index).collect();
    let mut alike = BTreeMap::<_, Vec<usize>>::new();
    for (index, unit) in graph.iter().enumerate().filter(|(_, unit)| unit.mode == "check") {
        let GraphUnit { pkg_id, target, profile, platform, features, .. } = unit;
        let like = (pkg_id, &target.kind, &target.name, &profile.name, platform, features);
        alike.entry(like).or_default().push(index);
    }
    let mut harnesses = BTreeMap::new();
    for mut pair in alike.into_values().filter(|pair| pair.len() == 2) {
        pair.sort_by_key(|index| (!used.contains(index), graph[*index].dependencies.len()));
        harnesses.extend(pair.into_iter().zip([false, true]));
    }
    harnesses
}

#[cfg(test)]
mod tests {
    use crate::cargo::UnitGraph;

    /// Units of one target, given by their dependencies, and one further unit that depends on those in `used`.
    fn harnesses(dependencies: &[&[usize]], used: &[usize]) -> Vec<Option<bool>> {
        let unit = |name: &str, dependencies: &[usize]| {
            let edge = |index| serde_json::json!({ "index": index, "extern_crate_name": "x", "noprelude": false });
            serde_json::json!({
                "pkg_id": format!("path+file:///{name}#0.1.0"),
                "target": { "kind": ["lib"], "crate_types": ["lib"], "name": name, "src_path": "/lib.rs", "edition": "2021" },
                "profile": { "name": "dev", "opt_level": "0", "lto": "false" },
                "platform": null, "mode": "check", "features": [],
                "dependencies": dependencies.iter().map(edge).collect::<Vec<_>>(),
            })
        };
        let mut units: Vec<_> = dependencies.iter().map(|dependencies| unit("twin", dependencies)).collect();
        units.extend([unit("other", used), unit("third", &[])]);
        let graph = serde_json::json!({ "version": 1, "units": units, "roots": [] }).to_string();
        let marked = super::harnesses(&UnitGraph::parse(&graph).unwrap().units);
        (0..dependencies.len()).map(|index| marked.get(&index).copied()).collect()
    }

    #[test]
    fn a_unit_with_dependents_has_no_harness() {
        assert_eq!(harnesses(&[&[], &[]], &[0]), [Some(false), Some(true)]);
        assert_eq!(harnesses(&[&[], &[]], &[1]), [Some(true), Some(false)]);
        assert_eq!(harnesses(&[&[3, 2], &[3]], &[0]), [Some(false), Some(true)]);
    }

    #[test]
    fn without_dependents_the_unit_with_more_dependencies_has_the_harness() {
        assert_eq!(harnesses(&[&[3, 2], &[3]], &[]), [Some(true), Some(false)]);
        assert_eq!(harnesses(&[&[], &[]], &[]), [Some(false), Some(true)]);
    }

    #[test]
    fn a_unit_without_a_counterpart_has_no_known_harness() {
        assert_eq!(harnesses(&[&[]], &[0]), [None]);
    }
}

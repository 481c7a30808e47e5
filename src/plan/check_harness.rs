//! Which of two like units is checked with its tests.
//!
//! `cargo check --all-targets` checks a crate twice, and cargo's unit graph says the same of both
//! (`core/compiler/unit_graph.rs`: the mode is `check`, with or without a test harness). What others depend on has no
//! harness; where nothing does, the one with more dependencies has it, those for development; and two that are alike in
//! everything may be told apart in either way, as long as it is always the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo::GraphUnit;

/// For each unit of such a pair, whether it has a test harness. For a unit without a counterpart this is not known.
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

    /// Units of one target, by their dependencies, and one more unit that depends on those of `used`.
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
    fn of_two_the_one_that_others_use_has_no_harness() {
        assert_eq!(harnesses(&[&[], &[]], &[0]), [Some(false), Some(true)]);
        assert_eq!(harnesses(&[&[], &[]], &[1]), [Some(true), Some(false)]);
        assert_eq!(harnesses(&[&[3, 2], &[3]], &[0]), [Some(false), Some(true)]);
    }

    #[test]
    fn of_two_that_nobody_uses_the_one_with_more_dependencies_has_it() {
        assert_eq!(harnesses(&[&[3, 2], &[3]], &[]), [Some(true), Some(false)]);
        assert_eq!(harnesses(&[&[], &[]], &[]), [Some(false), Some(true)]);
    }

    #[test]
    fn of_one_nobody_knows() {
        assert_eq!(harnesses(&[&[]], &[0]), [None]);
    }
}

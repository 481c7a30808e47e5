//! Resolves the LTO setting of each unit.
//!
//! Mirrors cargo's `core/compiler/lto.rs`: the content of a library depends on who links it. The names say what rustc
//! has to produce (bitcode, object code or both) or that it runs LTO itself.

use crate::cargo::{GraphUnit, UnitGraph};

const RUN: &str = "run";
const OFF: &str = "off";
const BITCODE: &str = "bitcode";
const BOTH: &str = "object-and-bitcode";
const OBJECT: &str = "object";

/// The resolved setting of each unit.
pub(super) fn resolve(graph: &UnitGraph) -> Vec<&'static str> {
    let mut resolved = vec![None; graph.units.len()];
    for &root in &graph.roots {
        calculate(graph, root, of_root(&graph.units[root]), &mut resolved);
    }
    resolved.into_iter().map(|lto| lto.unwrap_or(OBJECT)).collect()
}

fn of_root(unit: &GraphUnit) -> &'static str {
    match unit.profile.lto.as_str() {
        "false" => OBJECT,
        "off" => OFF,
        _ if for_host(unit) => OBJECT,
        _ if needs_object(unit) => when_needs_object(unit),
        _ => BITCODE,
    }
}

fn calculate(graph: &UnitGraph, index: usize, parent: &'static str, resolved: &mut [Option<&'static str>]) {
    let unit = &graph.units[index];
    let lto = if for_host(unit) {
        OBJECT
    } else if can_lto(unit) {
        match unit.profile.lto.as_str() {
            "false" => OBJECT,
            "off" => OFF,
            _ => RUN,
        }
    } else {
        match (parent, needs_object(unit)) {
            (RUN, false) => BITCODE,
            (RUN | BITCODE, true) => when_needs_object(unit),
            _ => parent,
        }
    };
    let merged = resolved[index].map_or(lto, |before| merge(before, lto));
    if resolved[index].replace(merged) == Some(merged) {
        return;
    }
    for dependency in &unit.dependencies {
        calculate(graph, dependency.index, merged, resolved);
    }
}

/// A unit with several dependents has to satisfy all of them.
fn merge(before: &'static str, now: &'static str) -> &'static str {
    match (before, now) {
        _ if before == now => now,
        (RUN, _) | (_, RUN) => RUN,
        (OFF, OBJECT) | (OBJECT, OFF) => OBJECT,
        _ => BOTH,
    }
}

/// Build scripts and procedural macros are never linked with LTO.
fn for_host(unit: &GraphUnit) -> bool {
    unit.target.kind.iter().any(|kind| kind == "custom-build" || kind == "proc-macro")
}

fn crate_types(unit: &GraphUnit) -> Vec<&str> {
    if matches!(unit.mode.as_str(), "test" | "doctest") {
        return vec!["bin"];
    }
    unit.target.crate_types.iter().map(String::as_str).collect()
}

fn can_lto(unit: &GraphUnit) -> bool {
    crate_types(unit).iter().all(|kind| matches!(*kind, "bin" | "staticlib" | "cdylib"))
}

fn needs_object(unit: &GraphUnit) -> bool {
    crate_types(unit).iter().any(|kind| matches!(*kind, "dylib" | "proc-macro" | "bin" | "staticlib" | "cdylib"))
}

fn when_needs_object(unit: &GraphUnit) -> &'static str {
    if crate_types(unit).iter().all(|kind| matches!(*kind, "dylib" | "proc-macro")) { OBJECT } else { BOTH }
}

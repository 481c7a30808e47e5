//! Linked libraries that cannot be cached.
//!
//! - A `dylib` that others depend on: its dependents do not contain its code, and its metadata does not describe
//!   everything in it.
//! - A library for a platform whose linkers write further or other files, which xcache does not know. The same holds
//!   for library types that rustc may add.
//! - Two libraries with the same output file. Cargo puts no hash into the names of a `cdylib` or a `dylib` of a package
//!   in a directory (`core/compiler/build_runner/compilation_files.rs`, `use_extra_filename`), and warns about such a
//!   build.

use std::collections::{BTreeMap, BTreeSet};

use super::Unit;
use crate::event::UnitId;

/// The crate types whose files are known.
const KNOWN_TYPES: &[&str] = &["bin", "cdylib", "dylib", "lib", "proc-macro", "rlib", "staticlib"];
/// Parts of the names of platforms whose linkers write further files.
const EXTRA_FILE_PLATFORMS: &[&str] = &["-aix", "-cygwin", "-emscripten", "-uefi", "-windows"];

/// The units that are not cached. `host` is the platform of this machine.
pub(super) fn refused(units: &[Unit], host: &str) -> BTreeSet<UnitId> {
    let used: BTreeSet<_> = units.iter().flat_map(|unit| &unit.dependencies).map(|edge| edge.unit).collect();
    let all = || units.iter().enumerate().map(|(index, unit)| (UnitId(index), unit));
    let dynamic = all().filter(|(_, unit)| is_dynamic(unit));
    let is_loaded_by_others = |id: UnitId, unit: &Unit| unit.has_type(&["dylib"]) && used.contains(&id);
    let uncacheable = dynamic.filter(|(id, unit)| is_loaded_by_others(*id, unit) || has_extra_files(unit, host));
    let is_known = |unit: &Unit| unit.crate_types.iter().all(|of| KNOWN_TYPES.contains(&of.as_str()));
    let unknown = all().filter(|(_, unit)| unit.mode == "build" && !is_known(unit));
    uncacheable.chain(unknown).map(|(id, _)| id).chain(same_file_units(all())).collect()
}

/// Whether it is a library that a program loads at run time.
fn is_dynamic(unit: &Unit) -> bool {
    unit.mode == "build" && unit.has_type(&["cdylib", "dylib"])
}

fn has_extra_files(unit: &Unit, host: &str) -> bool {
    let platform = unit.platform.as_deref().unwrap_or(host);
    EXTRA_FILE_PLATFORMS.iter().any(|part| platform.contains(part))
}

/// All units whose output file has the same name as another's.
fn same_file_units<'a>(units: impl Iterator<Item = (UnitId, &'a Unit)>) -> impl Iterator<Item = UnitId> {
    let is_without_hash = |unit: &Unit| is_dynamic(unit) && !unit.external && unit.kind != "example";
    let mut places = BTreeMap::<_, Vec<_>>::new();
    for (id, unit) in units.filter(|(_, unit)| is_without_hash(unit)) {
        places.entry((unit.profile_dir(), unit.target.replace('-', "_"))).or_default().push(id);
    }
    places.into_values().filter(|units| units.len() > 1).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library: its package, its types, its platform, and the index of its dependency.
    type Described<'a> = (&'a str, &'a [&'a str], Option<&'a str>, Option<usize>);

    fn refused(units: &[Described<'_>]) -> Vec<usize> {
        let unit = |(package, types, platform, dependency): &Described<'_>| {
            let dependency = dependency.map(|index| {
                serde_json::json!({
                    "index": index, "extern_crate_name": "x", "public": false, "noprelude": false
                })
            });
            serde_json::json!({
                "pkg_id": format!("path+file:///{package}#0.1.0"), "platform": platform, "mode": "build", "features": [],
                "target": {
                    "kind": types, "crate_types": types, "name": "made-up", "src_path": "/lib.rs", "edition": "2021",
                },
                "profile": { "name": "dev", "opt_level": "0", "lto": "false" },
                "dependencies": dependency.into_iter().collect::<Vec<_>>(),
            })
        };
        let graph =
            serde_json::json!({ "version": 1, "units": units.iter().map(unit).collect::<Vec<_>>(), "roots": [] });
        let graph = crate::cargo::UnitGraph::parse(&graph.to_string()).unwrap();
        let packages = crate::cargo::packages(&graph, None).unwrap();
        let units: Vec<_> =
            graph.units.iter().map(|unit| super::super::from_graph(unit, &packages[&unit.pkg_id])).collect();
        super::refused(&units, "x86_64-unknown-linux-gnu").into_iter().map(|UnitId(index)| index).collect()
    }

    #[test]
    fn a_dylib_with_dependents_is_refused() {
        assert_eq!(refused(&[("a", &["dylib"], None, None), ("b", &["dylib"], Some("x"), Some(0))]), [0]);
        assert_eq!(refused(&[("a", &["dylib", "rlib"], None, None), ("b", &["lib"], None, Some(0))]), [0]);
        assert_eq!(refused(&[("a", &["cdylib", "rlib"], None, None), ("b", &["lib"], None, Some(0))]), [0; 0]);
        assert_eq!(refused(&[("a", &["staticlib"], None, None), ("b", &["lib"], None, Some(0))]), [0; 0]);
    }

    #[test]
    fn a_dynamic_library_is_refused_where_linkers_write_further_files() {
        for platform in ["x86_64-pc-windows-gnu", "x86_64-pc-windows-msvc", "wasm32-unknown-emscripten"] {
            assert_eq!(refused(&[("a", &["cdylib"], Some(platform), None)]), [0], "{platform}");
            assert_eq!(refused(&[("a", &["staticlib"], Some(platform), None)]), [0; 0], "{platform}");
        }
        for platform in ["aarch64-apple-darwin", "wasm32-unknown-unknown", "x86_64-unknown-linux-musl"] {
            assert_eq!(refused(&[("a", &["cdylib"], Some(platform), None)]), [0; 0], "{platform}");
        }
    }

    #[test]
    fn a_library_of_an_unknown_type_is_refused() {
        assert_eq!(refused(&[("a", &["lib", "sdylib"], None, None), ("b", &["lib", "rlib"], None, None)]), [0]);
    }

    #[test]
    fn libraries_with_the_same_output_file_are_refused() {
        let one: Described<'_> = ("a", &["cdylib", "rlib"], None, None);
        assert_eq!(refused(&[one, ("b", &["dylib"], None, None)]), [0, 1], "two packages");
        assert_eq!(refused(&[one, one]), [0, 1], "with other features, or in another profile of the same directory");
        assert_eq!(refused(&[one, ("b", &["cdylib"], Some("x86_64-unknown-linux-gnu"), None)]), [0; 0]);
        assert_eq!(refused(&[one, ("b", &["staticlib", "lib"], None, None)]), [0; 0], "the file name contains a hash");
    }
}

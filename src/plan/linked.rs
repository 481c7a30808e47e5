//! Libraries that are linked, and cannot be kept.
//!
//! - A `dylib` that others depend on: its code is not in what is linked with it, and its metadata does not tell of all that
//!   is in it.
//! - On some platforms linkers write more files than the library, or others: nobody has looked at what they are. Nor are the
//!   files known of kinds of libraries that are yet to come.
//! - Two libraries that come to the same file. Cargo has no hash in the names of a `cdylib` or a `dylib` in a directory
//!   (`core/compiler/build_runner/compilation_files.rs`, `use_extra_filename`), and warns of such a build.

use std::collections::{BTreeMap, BTreeSet};

use super::Unit;
use crate::event::UnitId;

/// All whose files are known.
const KNOWN: &[&str] = &["bin", "cdylib", "dylib", "lib", "proc-macro", "rlib", "staticlib"];
/// Parts of the names of platforms with such linkers.
const WITH_MORE_FILES: &[&str] = &["-aix", "-cygwin", "-emscripten", "-uefi", "-windows"];

/// Those that are not kept. `host` is the platform that this is.
pub(super) fn refused(units: &[Unit], host: &str) -> BTreeSet<UnitId> {
    let used: BTreeSet<_> = units.iter().flat_map(|unit| &unit.dependencies).map(|edge| edge.unit).collect();
    let all = || units.iter().enumerate().map(|(index, unit)| (UnitId(index), unit));
    let dynamic = all().filter(|(_, unit)| is_dynamic(unit));
    let is_loaded_by_others = |id: UnitId, unit: &Unit| unit.has_type(&["dylib"]) && used.contains(&id);
    let alone = dynamic.filter(|(id, unit)| is_loaded_by_others(*id, unit) || has_more_files(unit, host));
    let is_known = |unit: &Unit| unit.crate_types.iter().all(|of| KNOWN.contains(&of.as_str()));
    let unknown = all().filter(|(_, unit)| unit.mode == "build" && !is_known(unit));
    alone.chain(unknown).map(|(id, _)| id).chain(with_same_file(all())).collect()
}

/// A library that is loaded when a program runs.
fn is_dynamic(unit: &Unit) -> bool {
    unit.mode == "build" && unit.has_type(&["cdylib", "dylib"])
}

fn has_more_files(unit: &Unit, host: &str) -> bool {
    let platform = unit.platform.as_deref().unwrap_or(host);
    WITH_MORE_FILES.iter().any(|part| platform.contains(part))
}

/// All whose files have the names of another one's.
fn with_same_file<'a>(units: impl Iterator<Item = (UnitId, &'a Unit)>) -> impl Iterator<Item = UnitId> {
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

    /// A library of a package, of these types, for a platform, and the one that it depends on.
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
            graph.units.iter().map(|unit| super::super::joined(unit, &packages[&unit.pkg_id])).collect();
        super::refused(&units, "x86_64-unknown-linux-gnu").into_iter().map(|UnitId(index)| index).collect()
    }

    #[test]
    fn a_dylib_is_refused_where_others_depend_on_it() {
        assert_eq!(refused(&[("a", &["dylib"], None, None), ("b", &["dylib"], Some("x"), Some(0))]), [0]);
        assert_eq!(refused(&[("a", &["dylib", "rlib"], None, None), ("b", &["lib"], None, Some(0))]), [0]);
        assert_eq!(refused(&[("a", &["cdylib", "rlib"], None, None), ("b", &["lib"], None, Some(0))]), [0; 0]);
        assert_eq!(refused(&[("a", &["staticlib"], None, None), ("b", &["lib"], None, Some(0))]), [0; 0]);
    }

    #[test]
    fn a_library_that_is_loaded_is_refused_where_linkers_write_more() {
        for platform in ["x86_64-pc-windows-gnu", "x86_64-pc-windows-msvc", "wasm32-unknown-emscripten"] {
            assert_eq!(refused(&[("a", &["cdylib"], Some(platform), None)]), [0], "{platform}");
            assert_eq!(refused(&[("a", &["staticlib"], Some(platform), None)]), [0; 0], "{platform}");
        }
        for platform in ["aarch64-apple-darwin", "wasm32-unknown-unknown", "x86_64-unknown-linux-musl"] {
            assert_eq!(refused(&[("a", &["cdylib"], Some(platform), None)]), [0; 0], "{platform}");
        }
    }

    #[test]
    fn a_library_of_a_kind_that_is_not_known_is_refused() {
        assert_eq!(refused(&[("a", &["lib", "sdylib"], None, None), ("b", &["lib", "rlib"], None, None)]), [0]);
    }

    #[test]
    fn libraries_that_come_to_the_same_file_are_refused() {
        let one: Described<'_> = ("a", &["cdylib", "rlib"], None, None);
        assert_eq!(refused(&[one, ("b", &["dylib"], None, None)]), [0, 1], "of two packages");
        assert_eq!(refused(&[one, one]), [0, 1], "with other features, or in another profile of the same directory");
        assert_eq!(refused(&[one, ("b", &["cdylib"], Some("x86_64-unknown-linux-gnu"), None)]), [0; 0]);
        assert_eq!(refused(&[one, ("b", &["staticlib", "lib"], None, None)]), [0; 0], "it has a hash");
    }
}

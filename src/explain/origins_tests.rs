//! Origins in a workspace with the member `app`. It depends on `apex` and, for tests, on `helper`. `apex` depends on
//! `base`. The feature `full` of `app` enables `noisy` of `apex`, which enables `loud` of `base`.

use serde_json::{Value, json};

use super::*;

fn dependency(name: &str, kind: Option<&str>, features: &[&str]) -> Value {
    json!({
        "name": name, "source": null, "req": "*", "kind": kind, "rename": null, "optional": false,
        "uses_default_features": true, "features": features, "target": null, "registry": null, "path": format!("/w/{name}"),
    })
}

fn package(name: &str, dependencies: &[Value], features: Value) -> Value {
    json!({
        "name": name, "version": "1.0.0", "id": format!("path+file:///w/{name}#1.0.0"), "license": null,
        "license_file": null, "description": null, "source": null, "dependencies": dependencies, "targets": [{
            "kind": ["lib"], "crate_types": ["lib"], "name": name, "src_path": format!("/w/{name}/src/lib.rs"),
            "edition": "2021", "doc": true, "doctest": true, "test": true,
        }],
        "features": features, "manifest_path": format!("/w/{name}/Cargo.toml"), "metadata": null, "publish": null,
        "authors": [], "categories": [], "keywords": [], "readme": null, "repository": null, "homepage": null,
        "documentation": null, "edition": "2021", "links": null, "default_run": null, "rust_version": null,
    })
}

fn node(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
    let id = |name: &str| format!("path+file:///w/{name}#1.0.0");
    let deps: Vec<_> = dependencies
        .iter()
        .map(|(name, kind)| json!({ "name": name, "pkg": id(name), "dep_kinds": [{ "kind": kind, "target": null }] }))
        .collect();
    let ids: Vec<_> = dependencies.iter().map(|(name, _)| id(name)).collect();
    json!({ "id": id(name), "dependencies": ids, "deps": deps, "features": [] })
}

fn origins() -> Origins {
    let dev = Some("dev");
    let metadata = json!({
        "packages": [
            package("app", &[dependency("apex", None, &[]), dependency("helper", dev, &[])], json!({ "full": ["apex/noisy"] })),
            package("apex", &[dependency("base", None, &["plain"])], json!({ "noisy": ["base/loud"] })),
            package("helper", &[], json!({})),
            package("base", &[dependency("tested", dev, &[])], json!({ "loud": [], "plain": [], "unused": [] })),
            package("tested", &[], json!({})),
        ],
        "workspace_members": ["path+file:///w/app#1.0.0"],
        "workspace_default_members": ["path+file:///w/app#1.0.0"],
        "resolve": { "root": null, "nodes": [
            node("app", &[("apex", None), ("helper", dev)]), node("apex", &[("base", None)]), node("helper", &[]),
            node("base", &[("tested", dev)]), node("tested", &[]),
        ] },
        "target_directory": "/w/target", "version": 1, "workspace_root": "/w", "metadata": null,
    });
    Origins::parse(&metadata.to_string()).unwrap()
}

#[test]
fn a_package_has_the_shortest_path_from_a_member() {
    let origins = origins();
    let path = |name| origins.path(name, "1.0.0").map(|path| path.join(" → "));
    assert_eq!(path("base").as_deref(), Some("app → apex → base"));
    assert_eq!(path("helper").as_deref(), Some("app → helper"), "a member's own dev-dependency");
    assert_eq!(path("app").as_deref(), Some("app"));
    assert_eq!(path("tested"), None, "cargo builds the dev-dependencies of members only");
    assert_eq!(origins.path("base", "2.0.0"), None);
}

#[test]
fn a_feature_has_the_path_of_the_features_that_enable_it() {
    let origins = origins();
    let feature = |name| origins.feature("base", "1.0.0", name).map(|path| path.join(" → "));
    assert_eq!(feature("loud").as_deref(), Some("app/full → apex/noisy → base"));
    assert_eq!(feature("plain").as_deref(), Some("app → apex → base"));
    assert_eq!(feature("unused"), None);
    assert_eq!(feature("missing"), None);
}

#[test]
fn invalid_metadata_is_an_error() {
    assert!(Origins::parse("{}").is_err());
}

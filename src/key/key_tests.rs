//! Changes the inputs of a key in one place at a time.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::reference::field_changes::variants;

/// Inputs in which every field has a value to change.
fn inputs(source: Source) -> KeyInputs {
    let texts = |text: &str| BTreeSet::from([text.to_owned()]);
    let named = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let edge =
        |name: &str| DependencyKey { extern_name: name.into(), noprelude: false, key: UnitKey(Digest::of(name)) };
    KeyInputs {
        rustc: "rustc 1".into(),
        standard_library: Some(Digest::of("library")),
        cargo: "cargo 1".into(),
        name: "one".into(),
        version: "1.0.0".into(),
        source,
        target_kind: texts("lib"),
        target_name: "one".into(),
        crate_types: texts("lib"),
        root_file: "src/lib.rs".into(),
        edition: "2024".into(),
        mode: "build".into(),
        profile: BTreeMap::from([("opt_level".to_owned(), json!("0")), ("debuginfo".to_owned(), json!(2))]),
        lto: "object".into(),
        features: texts("std"),
        platform: Some("wasm32-wasip1".into()),
        rustflags: vec!["-g".to_owned(), "-O".to_owned()],
        environment: named("RUSTC_BOOTSTRAP", "1"),
        member_inputs: named("file .env", "digest"),
        config: BTreeMap::from([("unstable".to_owned(), json!({ "x": true }))]),
        dependencies: BTreeSet::from([edge("a"), edge("b")]),
    }
}

fn sources() -> [Source; 3] {
    [
        Source::Registry { registry: "registry".into(), checksum: "checksum".into() },
        Source::Git { repository: "registry".into(), revision: "checksum".into() },
        Source::Directory { content: Digest::of("content") },
    ]
}

/// Further changes: an absent value, and an additional element of each collection.
fn more(inputs: &KeyInputs) -> Vec<(String, KeyInputs)> {
    let all = serde_json::to_value(inputs).unwrap();
    let mut more = Vec::new();
    for (name, part) in all.as_object().unwrap() {
        let other = match part {
            Value::Array(list) if name != "dependencies" => json!([list.clone(), vec![json!("another")]].concat()),
            Value::Object(table) if name != "source" => {
                let mut table = table.clone();
                table.insert("another".into(), json!("another"));
                json!(table)
            }
            Value::String(_) if ["platform", "standard_library"].contains(&name.as_str()) => Value::Null,
            _ => continue,
        };
        let mut changed = all.clone();
        changed[name] = other;
        more.push((format!("{name}, more or less"), serde_json::from_value(changed).unwrap()));
    }
    more
}

#[test]
fn each_input_alone_changes_the_key() {
    let mut keys = BTreeSet::new();
    for source in sources() {
        let plain = inputs(source);
        assert!(keys.insert(plain.key()), "another kind of source");
        assert_eq!(plain.clone().key(), plain.key());
        let value = serde_json::to_value(&plain).unwrap();
        let changed = variants(&value).into_iter().filter(|(path, _)| path != ".source.kind");
        let changed: Vec<_> = changed.map(|(path, other)| (path, serde_json::from_value(other).unwrap())).collect();
        let fields = value.as_object().unwrap().keys();
        let is_changed = |field: &&String| changed.iter().any(|(path, _)| path.starts_with(&format!(".{field}")));
        assert_eq!(fields.filter(|field| !is_changed(field)).collect::<Vec<_>>(), [""; 0]);
        let here: Vec<(String, KeyInputs)> = changed.into_iter().chain(more(&plain)).collect();
        for (path, other) in here {
            assert_ne!(other, plain, "{path}");
            assert!(keys.insert(other.key()), "{path} does not change the key");
        }
    }
    assert!(keys.len() > 3 * 40, "{} keys", keys.len());
}

#[test]
fn a_key_differs_in_each_scope() {
    let (one, other) = (UnitKey(Digest::of("one")), UnitKey(Digest::of("other")));
    let (here, there) = (Digest::of("here"), Digest::of("there"));
    let keys = [
        one,
        one.scoped(here),
        one.scoped(there),
        other.scoped(here),
        one.scoped(here).scoped(there),
        one.scoped(there).scoped(here),
    ];
    assert_eq!(BTreeSet::from(keys).len(), keys.len());
    assert_eq!(one.scoped(here), keys[1]);
}

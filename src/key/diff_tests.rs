//! Checks that each input of a key has a sentence that describes a change of it.

use serde_json::json;

use super::super::unit_inputs::Component;
use super::*;
use crate::digest::Digest;

fn inputs() -> KeyInputs {
    KeyInputs {
        rustc: "rustc 1.94.0 (aaaa 2026-01-01)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nLLVM version: 21.1.0\n"
            .into(),
        standard_library: Some(Digest::of("std")),
        cargo: "cargo 1.94.0 (bbbb 2026-01-01)".into(),
        name: "serde".into(),
        version: "1.0.1".into(),
        source: registry("crates", "0123456789abcdef"),
        target_kind: ["lib".to_owned()].into(),
        target_name: "serde".into(),
        crate_types: ["lib".to_owned()].into(),
        root_file: "src/lib.rs".into(),
        edition: "2021".into(),
        mode: "build".into(),
        profile: [("opt_level".to_owned(), json!("0")), ("debuginfo".to_owned(), json!(2))].into(),
        lto: "object".into(),
        features: ["std".to_owned()].into(),
        platform: None,
        rustflags: Vec::new(),
        environment: BTreeMap::new(),
        member_inputs: [("file .env".to_owned(), String::new()), ("inherited".to_owned(), "[lints]".to_owned())].into(),
        config: BTreeMap::new(),
        dependencies: BTreeSet::from([edge("libc", "libc 1")]),
    }
}

fn registry(registry: &str, checksum: &str) -> Source {
    Source::Registry { registry: registry.into(), checksum: checksum.into() }
}

fn git(revision: &str) -> Source {
    Source::Git { repository: "https://git/serde".into(), revision: revision.into() }
}

fn key(text: &str) -> UnitKey {
    UnitKey(Digest::of(text))
}

fn edge(extern_name: &str, input: &str) -> DependencyKey {
    DependencyKey { extern_name: extern_name.into(), noprelude: false, key: key(input) }
}

fn unit_inputs(inputs: &KeyInputs, scope: &[(&str, Component)]) -> UnitInputs {
    let scope = scope.iter().map(|(name, component)| ((*name).to_owned(), component.clone())).collect();
    UnitInputs::new(inputs, inputs.key(), scope, BTreeMap::new())
}

fn sentences(before: &UnitInputs, now: &UnitInputs) -> Vec<String> {
    between(before, now).changes.iter().map(ToString::to_string).collect()
}

type Case = (&'static str, fn(&mut KeyInputs), &'static str);

/// For each field, a change of it and the sentence that describes the change. Dependencies are left out, because
/// explanations follow them.
const CASES: &[Case] = &[
    (
        "rustc",
        |inputs| inputs.rustc = inputs.rustc.replace("rustc 1.94.0 (aaaa", "rustc 1.95.0 (cccc"),
        "rustc 1.94.0 (aaaa 2026-01-01) → rustc 1.95.0 (cccc 2026-01-01)",
    ),
    (
        "rustc",
        |inputs| inputs.rustc = inputs.rustc.replace("21.1.0", "21.2.0"),
        "LLVM version: 21.1.0 → LLVM version: 21.2.0",
    ),
    ("standard_library", |inputs| inputs.standard_library = None, "another build of the standard library"),
    ("cargo", |inputs| inputs.cargo = "cargo 1.95.0".into(), "cargo 1.94.0 (bbbb 2026-01-01) → cargo 1.95.0"),
    ("name", |inputs| inputs.name = "other".into(), "package: \"other\" instead of \"serde\""),
    ("version", |inputs| inputs.version = "1.0.2".into(), "version 1.0.1 → 1.0.2"),
    (
        "source",
        |inputs| inputs.source = registry("crates", "fedcba9876543210"),
        "checksum: fedcba987654 instead of 0123456789ab",
    ),
    ("source", |inputs| inputs.source = registry("mine", "0123456789abcdef"), "registry: mine instead of crates"),
    ("source", |inputs| inputs.source = git("1234"), "from a git repository instead of a registry"),
    (
        "target_kind",
        |inputs| inputs.target_kind.extend(["rlib".to_owned()]),
        "target kind: \"lib, rlib\" instead of \"lib\"",
    ),
    ("target_name", |inputs| inputs.target_name = "s".into(), "target: \"s\" instead of \"serde\""),
    (
        "crate_types",
        |inputs| inputs.crate_types = ["rlib".to_owned()].into(),
        "crate types: \"rlib\" instead of \"lib\"",
    ),
    ("root_file", |inputs| inputs.root_file = "lib.rs".into(), "root file: \"lib.rs\" instead of \"src/lib.rs\""),
    ("edition", |inputs| inputs.edition = "2024".into(), "edition 2021 → 2024"),
    ("mode", |inputs| inputs.mode = "check".into(), "mode: \"check\" instead of \"build\""),
    (
        "profile",
        |inputs| drop(inputs.profile.insert("opt_level".into(), json!("3"))),
        "profile: opt-level 3 instead of 0",
    ),
    ("lto", |inputs| inputs.lto = "bitcode".into(), "LTO for this unit: \"bitcode\" instead of \"object\""),
    ("features", |inputs| inputs.features.extend(["derive".to_owned()]), "feature \"derive\" added"),
    ("features", |inputs| inputs.features.clear(), "feature \"std\" removed"),
    (
        "platform",
        |inputs| inputs.platform = Some("aarch64-apple-darwin".into()),
        "platform: aarch64-apple-darwin instead of the host",
    ),
    (
        "rustflags",
        |inputs| inputs.rustflags.extend(["-C".into(), "target-cpu=native".into()]),
        "rustflags: \"-C target-cpu=native\" instead of \"\"",
    ),
    (
        "environment",
        |inputs| drop(inputs.environment.insert("RUSTC_BOOTSTRAP".into(), "1".into())),
        "RUSTC_BOOTSTRAP: \"1\" instead of nothing",
    ),
    (
        "surroundings",
        |inputs| drop(inputs.member_inputs.insert("file .env".into(), "SECRET".into())),
        ".env in the workspace's directory was changed, added or removed",
    ),
    (
        "surroundings",
        |inputs| drop(inputs.member_inputs.insert("variable DATABASE_URL".into(), "SECRET".into())),
        "the variable DATABASE_URL has another value",
    ),
    (
        "surroundings",
        |inputs| drop(inputs.member_inputs.insert("configured variables".into(), "{\"TOKEN\":\"SECRET\"}".into())),
        "[env] of cargo's configuration has other values",
    ),
    (
        "surroundings",
        |inputs| drop(inputs.member_inputs.insert("workspace paths".into(), "remapped".into())),
        "workspace-paths is set to something else",
    ),
    (
        "surroundings",
        |inputs| drop(inputs.member_inputs.insert("inherited".into(), "[package]".into())),
        "what members inherit from the workspace's Cargo.toml has changed",
    ),
    (
        "config",
        |inputs| drop(inputs.config.insert("unstable".into(), json!({ "panic-abort-tests": true }))),
        "`unstable.panic-abort-tests` of cargo's configuration: \"true\" instead of nothing",
    ),
    (
        "config",
        |inputs| drop(inputs.config.insert("env".into(), json!({ "TOKEN": { "value": "SECRET" } }))),
        "`env.TOKEN.value` of cargo's configuration has another value",
    ),
    (
        "config",
        |inputs| drop(inputs.config.insert("target".into(), json!({ "here": { "runner": "run --token=SECRET" } }))),
        "`target.here.runner` of cargo's configuration has another value",
    ),
];

#[test]
fn every_input_of_a_key_has_a_sentence_without_secrets() {
    let before = unit_inputs(&inputs(), &[]);
    for (field, change, sentence) in CASES {
        let mut changed = inputs();
        change(&mut changed);
        assert_ne!(changed.key(), inputs().key(), "{field}");
        let now = unit_inputs(&changed, &[]);
        assert_eq!(sentences(&before, &now), [*sentence], "{field}");
        let kept = serde_json::to_string(&now).unwrap();
        assert!(!kept.contains("SECRET"), "{field}: {kept}");
    }
}

#[test]
fn no_field_of_the_inputs_is_forgotten() {
    let fields = serde_json::to_value(inputs()).unwrap();
    let fields: BTreeSet<_> = fields.as_object().unwrap().keys().map(String::as_str).collect();
    let tested: BTreeSet<_> = CASES.iter().map(|(field, ..)| *field).chain(["dependencies"]).collect();
    assert_eq!(fields, tested);
}

#[test]
fn each_kind_of_source_has_a_sentence_for_what_differs() {
    let with = |source: &Source| unit_inputs(&KeyInputs { source: source.clone(), ..inputs() }, &[]);
    let sentence_for = |before: &Source, now: &Source| sentences(&with(before), &with(now));
    let directory = |text: &str| Source::Directory { content: Digest::of(text) };
    assert_eq!(
        sentence_for(&git("0123456789abcdef"), &git("fedcba9876543210")),
        ["git revision 0123456789ab → fedcba987654"]
    );
    let moved = Source::Git { repository: "https://git/fork".into(), revision: "1".into() };
    assert_eq!(sentence_for(&git("1"), &moved), ["repository: https://git/fork instead of https://git/serde"]);
    assert_eq!(sentence_for(&directory("a"), &directory("b")), ["files in its directory have changed"]);
    assert_eq!(sentence_for(&git("1"), &directory("b")), ["from a directory instead of a git repository"]);
}

#[test]
fn a_new_version_is_reported_without_its_checksum() {
    let bumped = KeyInputs { version: "1.0.2".into(), source: registry("crates", "fedc"), ..inputs() };
    assert_eq!(sentences(&unit_inputs(&inputs(), &[]), &unit_inputs(&bumped, &[])), ["version 1.0.1 → 1.0.2"]);
}

#[test]
fn every_component_of_a_scope_has_a_sentence() {
    let cases = [
        ("linker", "cc 12", "cc 13", "linker: cc 13 instead of cc 12"),
        ("C library", "ldd 2.36", "ldd 2.41", "C library: ldd 2.41 instead of ldd 2.36"),
        ("C compiler", "cc 12\nfree", "cc 12\nfree software", "C compiler changed"),
        ("system", "Debian 12", "Debian 13", "system: Debian 13 instead of Debian 12"),
        ("cmake", "", "cmake 3", "cmake: cmake 3, which was absent before"),
        ("cmake", "cmake 3", "", "cmake: cmake 3 is gone"),
    ];
    let scope = |name: &'static str, description: &str| match description {
        "" => Vec::new(),
        description => vec![(name, Component::described(description))],
    };
    for (name, from, to, sentence) in cases {
        let (before, now) = (unit_inputs(&inputs(), &scope(name, from)), unit_inputs(&inputs(), &scope(name, to)));
        assert_eq!(sentences(&before, &now), [sentence]);
    }
    let silent =
        |name: &'static str, text: &str| unit_inputs(&inputs(), &[(name, Component::opaque(Digest::of(text)))]);
    let sentence_for = |name| sentences(&silent(name, "/a"), &silent(name, "/b"));
    assert_eq!(sentence_for("workspace"), ["the workspace is at another path"]);
    assert_eq!(sentence_for("packages outside"), ["a package outside of the workspace is at another path"]);
    assert_eq!(sentence_for("installed headers and libraries"), ["installed headers and libraries changed"]);
}

#[test]
fn dependencies_are_paired_by_the_name_they_are_imported_under() {
    let with = |edges: &[DependencyKey]| {
        unit_inputs(&KeyInputs { dependencies: edges.iter().cloned().collect(), ..inputs() }, &[])
    };
    let before = with(&[edge("libc", "1"), edge("log", "1"), edge("gone", "1")]);
    let now = with(&[edge("libc", "2"), edge("log", "1"), edge("new", "1")]);
    let diff = between(&before, &now);
    let edges: Vec<_> = diff.edges.iter().map(|edge| (edge.extern_name, edge.from, edge.to)).collect();
    let (one, two) = (Some(key("1")), Some(key("2")));
    assert_eq!(edges, [("gone", one, None), ("libc", one, two), ("new", None, one)]);
    assert_eq!((diff.changes.len(), diff.distance()), (0, 3));
}

#[test]
fn the_same_inputs_do_not_differ() {
    let unit_inputs = unit_inputs(&inputs(), &[("linker", Component::described("cc"))]);
    assert_eq!(between(&unit_inputs, &unit_inputs), KeyDiff::default());
}

#[test]
fn dependencies_have_sentences() {
    let words = |from: Option<&str>, to: Option<&str>| {
        change(Input::Dependency, Some("libc"), from.map(Into::into), to.map(Into::into)).to_string()
    };
    assert_eq!(words(Some("0.2.180"), Some("0.2.181")), "dependency libc 0.2.180 → 0.2.181");
    assert_eq!(words(Some("1"), Some("1")), "dependency libc 1 was built from other inputs");
    assert_eq!(words(None, Some("1")), "dependency libc 1 added");
    assert_eq!(words(Some("1"), None), "dependency libc 1 removed");
    assert_eq!(words(None, None), "dependency libc is imported in another way");
}

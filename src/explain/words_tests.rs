//! Every cause, reason and difference has words.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::event::UncacheableReason;
use crate::report::present::name;
use crate::report::tests::variants;

fn package(is_in_directory: bool) -> Subject {
    Subject::Package("serde".into(), "1.0.1".into(), is_in_directory)
}

fn say(what: &CauseKind) -> String {
    text(&package(false), what, RemoteHistory::NoRemote, None)
}

/// All variants of an enum without data.
fn all<T: JsonSchema + DeserializeOwned>() -> Vec<T> {
    variants::<T>().into_iter().map(|name| serde_json::from_value(Value::String(name)).unwrap()).collect()
}

#[test]
fn every_reason_has_its_own_sentence() {
    let reasons = all::<UncacheableReason>();
    for reason in &reasons {
        let text = say(&CauseKind::Uncacheable { reason: *reason });
        assert!(text.starts_with("serde is not cached: "), "{}", name(reason));
    }
    let texts = BTreeSet::from_iter(reasons.iter().map(|reason| say(&CauseKind::NotKept { reason: *reason })));
    assert_eq!((texts.len(), reasons.len() > 20), (reasons.len(), true));
    let misses = all::<MissReason>();
    let unusable = |reason: &MissReason| say(&CauseKind::Unusable { reason: *reason, differences: vec![] });
    assert_eq!((BTreeSet::from_iter(misses.iter().map(unusable)).len(), misses.len()), (10, 10));
}

#[test]
fn every_difference_is_named() {
    let details = [
        (MissReason::Invocation, json!({ "kind": "command-line" }), "flags or configuration"),
        (
            MissReason::Invocation,
            json!({ "kind": "rendering" }),
            "how diagnostics are printed: colours, width or format",
        ),
        (MissReason::PathBound, json!({ "kind": "path", "root": "cargo-home" }), "the path of CARGO_HOME"),
        (MissReason::PathBound, json!({ "kind": "path", "root": "build-dir" }), "the path of the target directory"),
        (MissReason::PathBound, json!({ "kind": "path", "root": "workspace" }), "the path of the workspace"),
        (MissReason::PathBound, json!({ "kind": "path", "root": "sysroot" }), "the path of the toolchain"),
        (MissReason::Environment, json!({ "kind": "variable", "name": "GREETING" }), "GREETING"),
        (MissReason::Input, json!({ "kind": "file", "path": "{{build-dir}}/x/out/y.rs" }), "<build-dir>/x/out/y.rs"),
        (MissReason::Input, json!({ "kind": "content" }), "files of its package changed during the build"),
        (MissReason::Input, json!({ "kind": "unobserved" }), "it was recorded without observing what it reads"),
        (MissReason::Input, json!({ "kind": "unseen", "what": "asks for the time" }), "it asks for the time"),
        (MissReason::Input, json!({ "kind": "script" }), "the outputs of its build script"),
        (MissReason::Input, json!({ "kind": "linked" }), "the native code that it is linked with"),
        (MissReason::Dependency, json!({ "kind": "dependency", "name": "libc" }), "libc"),
        (MissReason::Dependency, json!({ "kind": "reruns" }), "a build script that runs each time"),
        (MissReason::Corrupt, json!({ "kind": "damaged", "object": "file/ab", "reason": "short" }), "file/ab: short"),
        (MissReason::Restore, json!({ "kind": "failed", "message": "disk full" }), "disk full"),
    ];
    let sentences = [
        (json!({ "kind": "observed", "path": "/usr/include/zlib.h" }), "/usr/include/zlib.h changed"),
        (json!({ "kind": "observed", "path": "{{workspace}}/a.sql" }), "<workspace>/a.sql changed"),
        (json!({ "kind": "observed", "path": "$PATH/cc" }), "cc, which is found in PATH, changed"),
        (json!({ "kind": "asked", "name": "POSTGRES_URL" }), "it read POSTGRES_URL, which has another value"),
    ];
    let details = details.map(|(reason, json, words)| (reason, json, format!("{} ({words})", describe_miss(reason))));
    let sentences = sentences.map(|(json, words)| (MissReason::Observed, json, words.to_owned()));
    let mut kinds = BTreeSet::new();
    for (reason, json, words) in details.into_iter().chain(sentences) {
        kinds.insert(json["kind"].to_string());
        let differences = vec![serde_json::from_value(json).unwrap()];
        assert_eq!(say(&CauseKind::Unusable { reason, differences }), format!("serde: {words}"));
    }
    let schema = schemars::schema_for!(Difference).to_value();
    let all = schema["oneOf"].as_array().expect("documented variants are a list").iter();
    let all = BTreeSet::from_iter(all.map(|variant| variant["properties"]["kind"]["const"].to_string()));
    assert_eq!(kinds, all);
}

#[test]
fn the_other_causes_have_words() {
    assert_eq!(say(&CauseKind::New), "serde was never built before on this machine");
    assert!(say(&CauseKind::Gone).starts_with("serde: recorded before with the same inputs, but its entry is gone"));
    assert_eq!(say(&CauseKind::Again), "serde: it was in the store, and cargo had it made again");
    assert_eq!(say(&CauseKind::Unknown), "serde: what it was made from is not known any more");
    let [no_remote, queried, unavailable] =
        [RemoteHistory::NoRemote, RemoteHistory::Queried, RemoteHistory::Unavailable].map(never_built);
    assert!(no_remote != queried && queried != unavailable, "{no_remote}; {queried}");
    assert!(unavailable.contains("remote does not say"), "{unavailable}");
}

#[test]
fn a_changed_version_comes_before_other_changes() {
    let change = |input, name: Option<&str>, from: Option<&str>, to: Option<&str>| Change {
        input,
        name: name.map(Into::into),
        from: from.map(Into::into),
        to: to.map(Into::into),
    };
    let bump = change(Input::Version, None, Some("1.0.0"), Some("1.0.1"));
    let feature = change(Input::Feature, Some("derive"), None, Some("on"));
    let changed = |changes: &[&Change], subject: &Subject| {
        let changes = changes.iter().map(|change| (*change).clone()).collect();
        text(subject, &CauseKind::Changed { changes }, RemoteHistory::NoRemote, None)
    };
    assert_eq!(changed(&[&bump], &package(false)), "dependency serde 1.0.0 → 1.0.1");
    assert_eq!(changed(&[&bump], &package(true)), "package serde 1.0.0 → 1.0.1");
    assert_eq!(
        changed(&[&feature, &bump], &package(false)),
        "dependency serde 1.0.0 → 1.0.1; feature \"derive\" added"
    );
    assert_eq!(changed(&[&feature], &package(false)), "serde: feature \"derive\" added");
    let cargo = change(Input::Cargo, None, Some("cargo 1"), Some("cargo 2"));
    assert_eq!(changed(&[&cargo], &Subject::Build), "cargo 1 → cargo 2");
}

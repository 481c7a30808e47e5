//! Every cause, reason and difference has words.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::event::UncacheableReason;
use crate::report::tests::{assert_page, variants};

fn package(is_in_directory: bool) -> Subject {
    Subject::Package("serde".into(), "1.0.1".into(), is_in_directory)
}

/// All variants of an enum without data.
fn all<T: JsonSchema + DeserializeOwned>() -> impl Iterator<Item = T> {
    variants::<T>().into_iter().map(|name| serde_json::from_value(Value::String(name)).unwrap())
}

/// Differences, each with the reason of the miss.
fn differences() -> Vec<(MissReason, Value)> {
    vec![
        (MissReason::Invocation, json!({ "kind": "command-line" })),
        (MissReason::Invocation, json!({ "kind": "rendering" })),
        (MissReason::PathBound, json!({ "kind": "path", "root": "cargo-home" })),
        (MissReason::PathBound, json!({ "kind": "path", "root": "build-dir" })),
        (MissReason::PathBound, json!({ "kind": "path", "root": "workspace" })),
        (MissReason::PathBound, json!({ "kind": "path", "root": "sysroot" })),
        (MissReason::Environment, json!({ "kind": "variable", "name": "GREETING" })),
        (MissReason::Input, json!({ "kind": "file", "path": "{{build-dir}}/x/out/y.rs" })),
        (MissReason::Input, json!({ "kind": "content" })),
        (MissReason::Input, json!({ "kind": "unobserved" })),
        (MissReason::Input, json!({ "kind": "unseen", "what": "asks for the time" })),
        (MissReason::Input, json!({ "kind": "script" })),
        (MissReason::Input, json!({ "kind": "linked" })),
        (MissReason::Dependency, json!({ "kind": "dependency", "name": "libc" })),
        (MissReason::Dependency, json!({ "kind": "reruns" })),
        (MissReason::Corrupt, json!({ "kind": "damaged", "object": "file/ab", "reason": "short" })),
        (MissReason::Restore, json!({ "kind": "failed", "message": "disk full" })),
        (MissReason::Observed, json!({ "kind": "observed", "path": "/usr/include/zlib.h" })),
        (MissReason::Observed, json!({ "kind": "observed", "path": "{{workspace}}/a.sql" })),
        (MissReason::Observed, json!({ "kind": "observed", "path": "$PATH/cc" })),
        (MissReason::Observed, json!({ "kind": "asked", "name": "POSTGRES_URL" })),
    ]
}

#[test]
fn every_cause_has_words_of_its_own() {
    let differing = differences()
        .into_iter()
        .map(|(reason, json)| CauseKind::Unusable { reason, differences: vec![serde_json::from_value(json).unwrap()] });
    let unusable = all().map(|reason| CauseKind::Unusable { reason, differences: vec![] });
    let not_kept = all::<UncacheableReason>().map(|reason| CauseKind::NotKept { reason });
    let uncacheable = all::<UncacheableReason>().map(|reason| CauseKind::Uncacheable { reason });
    let others = [CauseKind::Gone, CauseKind::Again, CauseKind::Unknown];
    let causes = others.into_iter().chain(unusable).chain(differing).chain(not_kept).chain(uncacheable);
    let say = |what, history| text(&package(false), &what, history, None);
    let histories = [RemoteHistory::NoRemote, RemoteHistory::Queried, RemoteHistory::Unavailable];
    let texts = histories.map(|history| say(CauseKind::New, history)).into_iter();
    let texts: Vec<_> = texts.chain(causes.map(|what| say(what, RemoteHistory::NoRemote))).collect();
    assert_eq!(BTreeSet::from_iter(&texts).len(), texts.len());
    assert_page("causes.txt", &(texts.join("\n") + "\n"));
    let schema = schemars::schema_for!(Difference).to_value();
    let kinds = schema["oneOf"].as_array().expect("documented variants are a list").iter();
    let kinds = BTreeSet::from_iter(kinds.map(|variant| variant["properties"]["kind"]["const"].clone().to_string()));
    assert_eq!(kinds, differences().into_iter().map(|(_, json)| json["kind"].to_string()).collect());
}

#[test]
fn a_changed_version_comes_before_other_changes() {
    let change = |input, name: Option<&str>, from: Option<&str>, to: Option<&str>| {
        let [name, from, to] = [name, from, to].map(|text| text.map(Into::into));
        Change { input, name, from, to }
    };
    let bump = || change(Input::Version, None, Some("1.0.0"), Some("1.0.1"));
    let feature = || change(Input::Feature, Some("derive"), None, Some("on"));
    let cargo = change(Input::Cargo, None, Some("cargo 1"), Some("cargo 2"));
    for (subject, changes, expected) in [
        (package(false), vec![bump()], "dependency serde 1.0.0 → 1.0.1"),
        (package(true), vec![bump()], "package serde 1.0.0 → 1.0.1"),
        (package(false), vec![feature(), bump()], "dependency serde 1.0.0 → 1.0.1; feature \"derive\" added"),
        (package(false), vec![feature()], "serde: feature \"derive\" added"),
        (Subject::Build, vec![cargo], "cargo 1 → cargo 2"),
    ] {
        assert_eq!(text(&subject, &CauseKind::Changed { changes }, RemoteHistory::NoRemote, None), expected);
    }
}

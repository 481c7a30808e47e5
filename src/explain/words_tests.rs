//! Words for each cause, reason and difference.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;
use crate::event::UncacheableReason;
use crate::report::present::name;

fn package(is_in_directory: bool) -> Subject {
    Subject::Package("serde".into(), "1.0.1".into(), is_in_directory)
}

fn say(what: &CauseKind) -> String {
    text(&package(false), what, RemoteHistory::NoRemote, None)
}

/// All variants of an enum without data.
fn all<T: JsonSchema + DeserializeOwned>() -> Vec<T> {
    let schema = schemars::schema_for!(T).to_value();
    let variants = schema["oneOf"].as_array().expect("documented variants are a list");
    variants.iter().map(|variant| serde_json::from_value(variant["const"].clone()).unwrap()).collect()
}

#[test]
fn every_reason_has_a_sentence_of_its_own() {
    let mut said = std::collections::BTreeSet::new();
    let reasons = all::<UncacheableReason>();
    for reason in &reasons {
        assert!(
            say(&CauseKind::Uncacheable { reason: *reason }).starts_with("serde is not cached: "),
            "{}",
            name(reason)
        );
        said.insert(say(&CauseKind::NotKept { reason: *reason }));
    }
    assert_eq!((said.len(), reasons.len() > 20), (reasons.len(), true));
    let misses = all::<MissReason>();
    let said = misses.iter().map(|reason| say(&CauseKind::Unusable { reason: *reason, differences: vec![] }));
    let said: std::collections::BTreeSet<_> = said.collect();
    assert_eq!((said.len(), misses.len()), (10, 10));
}

#[test]
fn every_difference_is_named() {
    // A new one does not compile here: give it words, and a line below.
    let known = |difference: &Difference| match difference {
        Difference::CommandLine
        | Difference::Rendering
        | Difference::Path { .. }
        | Difference::Variable { .. }
        | Difference::File { .. }
        | Difference::Observed { .. }
        | Difference::Asked { .. }
        | Difference::Content
        | Difference::Unobserved
        | Difference::Unseen { .. }
        | Difference::Script
        | Difference::Linked
        | Difference::Dependency { .. }
        | Difference::Reruns
        | Difference::Damaged { .. }
        | Difference::Failed { .. } => 16,
    };
    let cases = [
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
        (MissReason::Input, json!({ "kind": "content" }), "files of its package, while the build went on"),
        (MissReason::Input, json!({ "kind": "unobserved" }), "it was recorded where nobody could see what it reads"),
        (MissReason::Input, json!({ "kind": "unseen", "what": "asks for the time" }), "it asks for the time"),
        (MissReason::Input, json!({ "kind": "script" }), "what its build script has made"),
        (MissReason::Input, json!({ "kind": "linked" }), "native code it is linked with"),
        (MissReason::Dependency, json!({ "kind": "dependency", "name": "libc" }), "libc"),
        (MissReason::Dependency, json!({ "kind": "reruns" }), "a build script that runs each time"),
        (
            MissReason::Corrupt,
            json!({ "kind": "damaged", "object": "file/ab", "reason": "too short" }),
            "file/ab: too short",
        ),
        (MissReason::Restore, json!({ "kind": "failed", "message": "disk full" }), "disk full"),
    ];
    let mut kinds = std::collections::BTreeSet::new();
    for (reason, difference, words) in cases {
        kinds.insert(difference["kind"].as_str().unwrap().to_owned());
        let difference: Difference = serde_json::from_value(difference).unwrap();
        assert_eq!(known(&difference), 16);
        let said = say(&CauseKind::Unusable { reason, differences: vec![difference] });
        assert_eq!(said, format!("serde: {} ({words})", describe_miss(reason)));
    }
    for (difference, words) in [
        (json!({ "kind": "observed", "path": "/usr/include/zlib.h" }), "serde: /usr/include/zlib.h changed"),
        (json!({ "kind": "observed", "path": "{{workspace}}/a.sql" }), "serde: <workspace>/a.sql changed"),
        (json!({ "kind": "observed", "path": "$PATH/cc" }), "serde: cc, which PATH leads to, changed"),
        (json!({ "kind": "asked", "name": "POSTGRES_URL" }), "serde: it read POSTGRES_URL, which has another value"),
    ] {
        kinds.insert(difference["kind"].as_str().unwrap().to_owned());
        let difference: Difference = serde_json::from_value(difference).unwrap();
        let said = say(&CauseKind::Unusable { reason: MissReason::Observed, differences: vec![difference] });
        assert_eq!(said, words);
    }
    assert_eq!(kinds.len(), 16);
}

#[test]
fn the_other_causes_have_words() {
    assert_eq!(say(&CauseKind::New), "serde was never built before on this machine");
    assert!(say(&CauseKind::Gone).starts_with("serde: recorded before with the same inputs, but its entry is gone"));
    assert_eq!(say(&CauseKind::Again), "serde: it was in the store, and cargo had it made again");
    assert_eq!(say(&CauseKind::Unknown), "serde: what it was made from is not known any more");
    let said = [RemoteHistory::NoRemote, RemoteHistory::Queried, RemoteHistory::Unavailable].map(never);
    assert!(said[0] != said[1] && said[1] != said[2] && said[2].contains("remote does not say"), "{said:?}");
}

#[test]
fn a_bump_comes_first_and_the_rest_behind_it() {
    let change = |input, name: Option<&str>, from: Option<&str>, to: Option<&str>| Change {
        input,
        name: name.map(Into::into),
        from: from.map(Into::into),
        to: to.map(Into::into),
    };
    let bump = change(Input::Version, None, Some("1.0.0"), Some("1.0.1"));
    let feature = change(Input::Feature, Some("derive"), None, Some("on"));
    let changed = |changes: &[&Change], subject: &Subject| {
        text(
            subject,
            &CauseKind::Changed { changes: changes.iter().map(|it| (*it).clone()).collect() },
            RemoteHistory::NoRemote,
            None,
        )
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

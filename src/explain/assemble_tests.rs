//! What the report says of the session as a whole, where nothing else is known.

use super::*;
use crate::report::{CorruptObject, RemoteFailure};

fn unit(package: &str, outcome: Outcome) -> UnitReport {
    UnitReport {
        package: package.into(),
        version: "1.0.0".into(),
        target: package.into(),
        kind: "lib".into(),
        mode: "build".into(),
        platform: None,
        dependencies: Vec::new(),
        features: Vec::new(),
        key: None,
        rejected: None,
        outcome,
    }
}

fn miss(reason: MissReason) -> Outcome {
    let (recorded_bytes, not_recorded) = (Some(1), None);
    Outcome::Miss {
        reason: Some(reason),
        compile_ms: 1,
        failed: false,
        recorded_bytes,
        path_bound: false,
        not_recorded,
    }
}

fn texts(report: &Report, selections: &[Selection]) -> (Vec<String>, Vec<String>) {
    let explanation = Explanation::new(report, Sources { selections, ..Sources::default() }, |_| Vec::new());
    (explanation.causes.into_iter().map(|cause| cause.text).collect(), explanation.notes)
}

#[test]
fn what_the_session_met_is_said_of_the_units_it_concerns() {
    let report = Report {
        units: vec![
            unit("far", miss(MissReason::RemoteFailed)),
            unit("away", miss(MissReason::RemoteFailed)),
            unit("broken", miss(MissReason::Corrupt)),
            unit("full", miss(MissReason::Restore)),
            unit("there", Outcome::Fresh),
        ],
        remote_failed: Some(RemoteFailure { remote: "s3://b".into(), message: "Slow Down".into() }),
        corrupt_objects: vec![CorruptObject { object: "blob/ab".into(), reason: "too short".into() }],
        warnings: vec!["no space left".into()],
        ..Report::default()
    };
    let (causes, notes) = texts(&report, &[]);
    let expected = [
        "the remote did not answer in time, or gave an error (Slow Down)",
        "broken: the stored object was damaged (blob/ab: too short)",
        "full: it could not be copied into the target directory (no space left)",
    ];
    assert_eq!((causes, notes), (expected.map(str::to_owned).to_vec(), Vec::new()));
}

#[test]
fn only_what_was_asked_about_is_explained() {
    let rejected = UnitReport { rejected: Some("the dependency info changed".into()), ..unit("there", Outcome::Fresh) };
    let report = Report { units: vec![unit("full", miss(MissReason::Restore)), rejected], ..Report::default() };
    let (causes, notes) = texts(&report, &[Selection::parse("there")]);
    assert_eq!(causes, [""; 0]);
    let note = "there was in the target directory, and cargo did not take it as fresh: the dependency info changed";
    assert_eq!(notes, [note]);
    assert_eq!(texts(&report, &[]).1, [""; 0]);
}

#[test]
fn a_build_without_a_plan_says_why() {
    let report = Report { plan_failed: Some("no manifest".into()), ..Report::default() };
    let (_, notes) = texts(&report, &[]);
    assert!(notes[0].ends_with("cargo ran without the cache: no manifest"), "{notes:?}");
}

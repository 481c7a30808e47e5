//! Explanations from the report alone.

use super::*;
use crate::report::RemoteFailure;
use crate::report::tests::{missed, unit};

fn miss(reason: MissReason) -> Outcome {
    missed(reason, None)
}

fn texts(report: &Report, selections: &[Selection]) -> (Vec<String>, Vec<String>) {
    let explanation = Explanation::new(report, Sources { selections, ..Sources::default() }, |_| Vec::new());
    (explanation.causes.into_iter().map(|cause| cause.text).collect(), explanation.notes)
}

#[test]
fn failures_of_the_session_explain_the_units_that_they_affect() {
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
fn only_selected_crates_are_explained() {
    let rejected = UnitReport { rejected: Some("the dependency info changed".into()), ..unit("there", Outcome::Fresh) };
    let report = Report { units: vec![unit("full", miss(MissReason::Restore)), rejected], ..Report::default() };
    let (causes, notes) = texts(&report, &[Selection::parse("there")]);
    assert_eq!(causes, [""; 0]);
    let note = "there was in the target directory, but cargo did not accept it as fresh: the dependency info changed";
    assert_eq!(notes, [note]);
    assert_eq!(texts(&report, &[]).1, [""; 0]);
}

#[test]
fn a_build_without_a_plan_has_a_note_with_the_reason() {
    let report = Report { plan_failed: Some("no manifest".into()), ..Report::default() };
    let (_, notes) = texts(&report, &[]);
    assert!(notes[0].ends_with("cargo ran without the cache: no manifest"), "{notes:?}");
}

use proptest::prelude::*;

use super::super::tests::{Fate, report, session, sessions};
use super::*;
use crate::event::{MissReason, Tier, UncacheableReason};
use crate::report::present::name;

const LOCAL_HIT: Fate = Fate::Hit { tier: Tier::Local, millis: 20, compile_millis: 1500 };

fn miss(reason: MissReason) -> Fate {
    Fate::miss(reason, 1500)
}

/// `package version kind → package version kind` for each change; a dash for a unit that is absent.
fn changes(comparison: &Comparison) -> Vec<String> {
    let state = |unit: &Option<UnitReport>| match unit {
        Some(unit) => format!("{} {} {}", unit.package, unit.version, name(OutcomeKind::of(&unit.outcome))),
        None => "-".into(),
    };
    comparison.changed.iter().map(|change| format!("{} → {}", state(&change.before), state(&change.after))).collect()
}

#[test]
fn only_units_with_another_outcome_or_reason_are_listed() {
    let before = report(&[miss(MissReason::Absent), LOCAL_HIT, miss(MissReason::Absent)]);
    let after = report(&[LOCAL_HIT, LOCAL_HIT, miss(MissReason::Dependency)]);
    let comparison = Comparison::of(&before, &after);
    assert_eq!(comparison.unchanged, 1);
    let expected = ["package-0 1.2.3 miss → package-0 1.2.3 local-hit", "package-2 1.2.3 miss → package-2 1.2.3 miss"];
    assert_eq!(changes(&comparison), expected);
}

#[test]
fn another_compile_time_is_no_change() {
    let [before, after] = [1, 900].map(|millis| report(&[Fate::uncacheable(UncacheableReason::Path, millis)]));
    assert_eq!(Comparison::of(&before, &after).changed, []);
}

#[test]
fn another_version_is_the_same_unit_and_a_new_package_is_another() {
    let before = report(&[LOCAL_HIT, LOCAL_HIT]);
    let mut after = report(&[miss(MissReason::Absent), LOCAL_HIT]);
    after.units[0].version = "1.3.0".into();
    after.units[1].package = "other".into();
    let mut changes = changes(&Comparison::of(&before, &after));
    changes.sort();
    let expected = [
        "- → other 1.2.3 local-hit",
        "package-0 1.2.3 local-hit → package-0 1.3.0 miss",
        "package-1 1.2.3 local-hit → -",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn two_versions_of_a_package_are_compared_with_the_same_versions() {
    let mut before = report(&[LOCAL_HIT, LOCAL_HIT]);
    let mut after = report(&[LOCAL_HIT, miss(MissReason::Absent)]);
    for (report, versions) in [(&mut before, ["1.0.0", "2.0.0"]), (&mut after, ["2.0.0", "1.0.0"])] {
        for (unit, version) in report.units.iter_mut().zip(versions) {
            unit.package = "twice".into();
            unit.target = "twice".into();
            unit.version = version.into();
        }
    }
    assert_eq!(changes(&Comparison::of(&before, &after)), ["twice 1.0.0 local-hit → twice 1.0.0 miss"]);
}

#[test]
fn a_phase_that_did_not_end_has_no_duration() {
    let span = |start_ms, end_ms| PhaseSpan { phase: Phase::Build, start_ms, end_ms };
    let change = phases(&[span(5, Some(9)), span(10, Some(11))], &[span(5, None)]);
    assert_eq!(change, [PhaseChange { phase: Phase::Build, before_ms: Some(5), after_ms: None }]);
}

proptest! {
    #[test]
    fn every_unit_of_both_builds_is_in_exactly_one_pair((one, code) in sessions(), (other, _) in sessions()) {
        let [before, after] = [one, other].map(|fates| Report::from_events(&session(&fates, code)));
        let pairs = pairs(&before.units, &after.units);
        prop_assert_eq!(pairs.iter().filter(|pair| pair.0.is_some()).count(), before.units.len());
        prop_assert_eq!(pairs.iter().filter(|pair| pair.1.is_some()).count(), after.units.len());
        let comparison = Comparison::of(&before, &after);
        prop_assert_eq!(comparison.changed.len() + comparison.unchanged, pairs.len());
    }

    #[test]
    fn a_build_does_not_differ_from_itself((fates, code) in sessions()) {
        let report = Report::from_events(&session(&fates, code));
        let comparison = Comparison::of(&report, &report);
        prop_assert_eq!(comparison.changed, []);
        prop_assert_eq!(comparison.unchanged, fates.len());
    }
}

#[test]
fn units_that_differ_in_features_only_are_not_mixed_up() {
    let mut before = report(&[LOCAL_HIT, miss(MissReason::Absent)]);
    for unit in &mut before.units {
        (unit.package, unit.target) = ("twice".into(), "twice".into());
    }
    before.units[0].features = vec!["std".into()];
    let mut after = before.clone();
    after.units.reverse();
    assert_eq!(Comparison::of(&before, &after).changed, []);
}

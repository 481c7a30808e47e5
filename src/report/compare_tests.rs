use proptest::prelude::*;

use super::super::tests::{Fate, planned, session, sessions};
use super::*;
use crate::event::{MissReason, Tier};

fn report(fates: &[Fate]) -> Report {
    Report::from_events(&session(fates, Some(0)))
}

fn miss(reason: MissReason) -> Fate {
    Fate::Miss { reason, millis: 1500, recorded: Ok(false) }
}

fn hit(tier: Tier) -> Fate {
    Fate::Hit { tier, millis: 20, compile_millis: 1500 }
}

/// Package, version and kind, before and after.
fn steps(comparison: &Comparison) -> Vec<[Option<(String, String, OutcomeKind)>; 2]> {
    let state = |unit: &Option<UnitReport>| {
        unit.as_ref().map(|unit| (unit.package.clone(), unit.version.clone(), OutcomeKind::of(&unit.outcome)))
    };
    comparison.changed.iter().map(|change| [state(&change.before), state(&change.after)]).collect()
}

fn state(package: &str, version: &str, kind: OutcomeKind) -> Option<(String, String, OutcomeKind)> {
    Some((package.into(), version.into(), kind))
}

#[test]
fn units_with_another_outcome_or_reason_are_listed_and_no_others() {
    let before = report(&[miss(MissReason::Absent), hit(Tier::Local), miss(MissReason::Absent)]);
    let after = report(&[hit(Tier::Local), hit(Tier::Local), miss(MissReason::Dependency)]);
    let comparison = Comparison::of(&before, &after);
    assert_eq!(comparison.unchanged, 1);
    let steps = steps(&comparison);
    assert_eq!(
        steps[0],
        [state("package-0", "1.2.3", OutcomeKind::Miss), state("package-0", "1.2.3", OutcomeKind::LocalHit)]
    );
    assert_eq!(
        steps[1],
        [state("package-2", "1.2.3", OutcomeKind::Miss), state("package-2", "1.2.3", OutcomeKind::Miss)]
    );
    assert_eq!(steps.len(), 2);
}

#[test]
fn how_long_something_took_is_no_change_of_a_unit() {
    let before = report(&[Fate::Uncacheable { reason: crate::event::UncacheableReason::Path, millis: 1 }]);
    let after = report(&[Fate::Uncacheable { reason: crate::event::UncacheableReason::Path, millis: 900 }]);
    assert_eq!(Comparison::of(&before, &after).changed, []);
}

#[test]
fn another_version_is_the_same_unit_and_a_new_package_is_another() {
    let before = report(&[hit(Tier::Local), hit(Tier::Local)]);
    let mut after = report(&[miss(MissReason::Absent), hit(Tier::Local)]);
    after.units[0].version = "1.3.0".into();
    after.units[1].package = "other".into();
    let steps = steps(&Comparison::of(&before, &after));
    assert!(steps.contains(&[
        state("package-0", "1.2.3", OutcomeKind::LocalHit),
        state("package-0", "1.3.0", OutcomeKind::Miss)
    ]));
    assert!(steps.contains(&[state("package-1", "1.2.3", OutcomeKind::LocalHit), None]));
    assert!(steps.contains(&[None, state("other", "1.2.3", OutcomeKind::LocalHit)]));
}

#[test]
fn of_two_versions_of_a_package_the_same_ones_belong_together() {
    let mut before = report(&[hit(Tier::Local), hit(Tier::Local)]);
    let mut after = report(&[hit(Tier::Local), miss(MissReason::Absent)]);
    for (report, versions) in [(&mut before, ["1.0.0", "2.0.0"]), (&mut after, ["2.0.0", "1.0.0"])] {
        for (unit, version) in report.units.iter_mut().zip(versions) {
            unit.package = "twice".into();
            unit.target = "twice".into();
            unit.version = version.into();
        }
    }
    let comparison = Comparison::of(&before, &after);
    let step = [state("twice", "1.0.0", OutcomeKind::LocalHit), state("twice", "1.0.0", OutcomeKind::Miss)];
    assert_eq!(steps(&comparison), [step]);
}

#[test]
fn a_phase_that_did_not_end_has_no_length() {
    let span = |start_ms, end_ms| PhaseSpan { phase: Phase::Build, start_ms, end_ms };
    let change = phases(&[span(5, Some(9)), span(10, Some(11))], &[span(5, None)]);
    assert_eq!(change, [PhaseChange { phase: Phase::Build, before_ms: Some(5), after_ms: None }]);
}

proptest! {
    #[test]
    fn every_unit_of_both_is_in_exactly_one_pair((one, code) in sessions(), (other, _) in sessions()) {
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
fn units_of_one_target_with_other_features_are_not_mixed_up() {
    let mut planned = planned(0, &Fate::Untouched);
    planned.features = vec!["std".into()];
    let mut before = report(&[hit(Tier::Local), miss(MissReason::Absent)]);
    for unit in &mut before.units {
        (unit.package, unit.target) = (planned.package.clone(), planned.target.clone());
    }
    before.units[0].features = planned.features;
    let mut after = before.clone();
    after.units.reverse();
    assert_eq!(Comparison::of(&before, &after).changed, []);
}

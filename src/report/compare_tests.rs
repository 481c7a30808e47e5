use proptest::prelude::*;

use super::super::tests::{Fate, report, session, sessions};
use super::*;
use crate::event::{MissReason, Tier, UncacheableReason};
use crate::report::present::name;

/// A package, its version, a feature, and what happens to the unit.
type Unit = (&'static str, &'static str, &'static str, Fate);

const HIT: Fate = Fate::Hit { tier: Tier::Local, millis: 20, compile_millis: 1500 };
const MISS: Fate = Fate::Miss { reason: MissReason::Absent, millis: 1500, recorded: Ok(false) };

fn build(units: &[Unit]) -> Report {
    let mut report = report(&units.iter().map(|(.., fate)| *fate).collect::<Vec<_>>());
    for (unit, (package, version, feature, _)) in report.units.iter_mut().zip(units) {
        (unit.package, unit.target, unit.version) = ((*package).into(), (*package).into(), (*version).into());
        unit.features = vec![(*feature).into()];
    }
    report
}

/// `package version kind → package version kind` for each change; a dash for a unit that is absent.
fn changes(before: &[Unit], after: &[Unit]) -> Vec<String> {
    let state = |unit: &Option<UnitReport>| match unit {
        Some(unit) => format!("{} {} {}", unit.package, unit.version, name(unit.outcome.kind())),
        None => "-".into(),
    };
    let changed = Comparison::of(&build(before), &build(after)).changed;
    changed.iter().map(|change| format!("{} → {}", state(&change.before), state(&change.after))).collect()
}

#[test]
fn only_units_with_another_outcome_or_reason_are_listed() {
    let dependency = Fate::miss(MissReason::Dependency, 1500);
    let before = [("a", "1.0.0", "", MISS), ("b", "1.0.0", "", HIT), ("c", "1.0.0", "", MISS)];
    let after = [("a", "1.0.0", "", HIT), ("b", "1.0.0", "", HIT), ("c", "1.0.0", "", dependency)];
    assert_eq!(changes(&before, &after), ["a 1.0.0 miss → a 1.0.0 local-hit", "c 1.0.0 miss → c 1.0.0 miss"]);
    let [before, after] = [1, 900].map(|millis| ("a", "1.0.0", "", Fate::uncacheable(UncacheableReason::Path, millis)));
    assert_eq!(changes(&[before], &[after]), [""; 0], "another compile time is no change");
}

#[test]
fn another_version_is_the_same_unit_and_a_new_package_is_another() {
    let before = [("a", "1.2.3", "", HIT), ("b", "1.2.3", "", HIT)];
    let after = [("a", "1.3.0", "", MISS), ("c", "1.2.3", "", HIT)];
    let expected = ["a 1.2.3 local-hit → a 1.3.0 miss", "b 1.2.3 local-hit → -", "- → c 1.2.3 local-hit"];
    assert_eq!(changes(&before, &after), expected);
}

#[test]
fn several_units_of_a_package_are_compared_with_the_most_similar_ones() {
    let before = [("twice", "1.0.0", "", HIT), ("twice", "2.0.0", "", HIT)];
    let after = [("twice", "2.0.0", "", HIT), ("twice", "1.0.0", "", MISS)];
    assert_eq!(changes(&before, &after), ["twice 1.0.0 local-hit → twice 1.0.0 miss"]);
    let (one, other) = (("twice", "1.0.0", "std", HIT), ("twice", "1.0.0", "", MISS));
    assert_eq!(changes(&[one, other], &[other, one]), [""; 0], "only the features differ");
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
        let same = Comparison::of(&before, &before);
        prop_assert_eq!((same.changed, same.unchanged), (vec![], before.units.len()), "a build and itself");
    }
}

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::tests::{Fate, planned, report};
use super::super::{Outcome, Report};
use super::*;
use crate::digest::Digest;
use crate::event::{MissReason, Tier};

fn compiled(dependencies: &[usize], compile_ms: u64) -> UnitReport {
    let unit = report(&[Fate::miss(MissReason::Absent, compile_ms)]).units.remove(0);
    UnitReport { dependencies: dependencies.iter().copied().map(UnitId).collect(), ..unit }
}

fn path(units: &[UnitReport]) -> Vec<usize> {
    critical_path(units).into_iter().map(|unit| unit.0).collect()
}

fn spent(units: &[UnitReport], id: usize) -> u64 {
    units[id].outcome.spent_ms().unwrap_or(0)
}

/// A graph in which each unit depends on units before it.
fn graphs() -> impl Strategy<Value = Vec<UnitReport>> {
    let unit = (prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0_u64..100);
    prop::collection::vec(unit, 0..12).prop_map(|units| {
        let units = units.into_iter().enumerate().map(|(id, (dependencies, millis))| {
            let before = dependencies.iter().filter(|_| id > 0).map(|index| index.index(id));
            compiled(&before.collect::<Vec<_>>(), millis)
        });
        units.collect()
    })
}

/// The cost of the most expensive chain that ends with this unit, by trying all chains.
fn chain_cost(units: &[UnitReport], id: usize) -> u64 {
    let before = units[id].dependencies.iter().map(|before| chain_cost(units, before.0)).max();
    before.unwrap_or(0) + spent(units, id)
}

proptest! {
    #[test]
    fn no_chain_costs_more_than_the_critical_path(units in graphs()) {
        let path = path(&units);
        let cost: u64 = path.iter().map(|id| spent(&units, *id)).sum();
        prop_assert_eq!(cost, (0..units.len()).map(|id| chain_cost(&units, id)).max().unwrap_or(0));
        prop_assert!(path.is_sorted());
    }

    #[test]
    fn a_span_never_ends_before_it_begins_whatever_the_events_are(
        events in prop::collection::vec((any::<u64>(), any::<u64>(), 0_usize..3), 0..9),
    ) {
        let compiled = events.iter().map(|(at_ms, millis, unit)| {
            let kind = EventKind::Compiled { unit: UnitId(*unit), millis: *millis, success: true };
            Event { at_ms: *at_ms, kind }
        });
        let spans = spans(&compiled.collect::<Vec<_>>(), &[planned(0, &Fate::UNTOUCHED)]);
        prop_assert!(spans.iter().all(|span| span.start_ms <= span.end_ms && span.unit == Some(UnitId(0))));
        prop_assert!(spans.is_sorted_by_key(|span| span.start_ms));
    }
}

#[test]
fn the_critical_path_has_compiled_units_only_and_survives_circles() {
    assert_eq!(path(&[compiled(&[1], 5), compiled(&[0], 7), compiled(&[9], 1)]), [1, 0]);
    assert_eq!(path(&[compiled(&[0], 5)]), [0]);
    let fresh = UnitReport { outcome: Outcome::Fresh, ..compiled(&[0], 100) };
    assert_eq!(path(&[compiled(&[], 5), fresh, compiled(&[1], 10)]), [0, 2]);
    assert_eq!(path(&[]), [0; 0]);
}

#[test]
fn each_activity_is_a_span_that_ends_with_its_event() {
    let (unit, key) = (UnitId(0), UnitKey(Digest::of("a key")));
    let upload = |key, package: &str| EventKind::Uploaded { key, package: package.into(), bytes: 7, millis: 1 };
    let kinds = [
        EventKind::Found { unit, tier: Tier::Remote, transferred: 10, millis: 20 },
        EventKind::Found { unit, tier: Tier::Local, transferred: 0, millis: 0 },
        EventKind::Hydrated { unit, bytes: 5, millis: 2, compile_millis: 9 },
        EventKind::Restored { unit, bytes: 6, millis: 3, compile_millis: 9 },
        EventKind::Compiled { unit, millis: 40, success: false },
        EventKind::PassedThrough { what: "probe".into(), millis: 4 },
        upload(key, "package-0 1.2.3"),
        upload(UnitKey(Digest::of("another")), "older 1.0.0"),
    ];
    let events = kinds.map(|kind| Event { at_ms: 100, kind });
    let planned = PlannedUnit { key: Some(key), ..planned(0, &Fate::UNTOUCHED) };
    let found = spans(&events, &[planned]).into_iter();
    let found = found.map(|span| (span.kind, span.unit, span.name, 100 - span.start_ms, span.bytes));
    let expected = [
        (SpanKind::Fetch, Some(unit), None, 20, Some(10)),
        (SpanKind::Hydrate, Some(unit), None, 2, Some(5)),
        (SpanKind::Restore, Some(unit), None, 3, Some(6)),
        (SpanKind::Compile, Some(unit), None, 40, None),
        (SpanKind::PassedThrough, None, Some("probe".into()), 4, None),
        (SpanKind::Upload, None, Some("older 1.0.0".into()), 1, Some(7)),
        (SpanKind::Upload, Some(unit), None, 1, Some(7)),
    ];
    assert_eq!(BTreeSet::from_iter(found), BTreeSet::from(expected));
}

#[test]
fn reports_of_older_versions_can_be_read() {
    let report = report(&[Fate::UNTOUCHED]);
    let mut json = serde_json::to_value(&report).unwrap();
    json.as_object_mut().unwrap().remove("spans");
    json["units"][0].as_object_mut().unwrap().remove("dependencies");
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

use proptest::prelude::*;

use super::super::tests::{Fate, planned, report};
use super::super::{Outcome, Report};
use super::*;
use crate::digest::Digest;
use crate::event::{MissReason, Tier};

fn compiled(dependencies: &[usize], compile_ms: u64) -> UnitReport {
    let mut unit = report(&[Fate::miss(MissReason::Absent, compile_ms)]).units.remove(0);
    unit.dependencies = dependencies.iter().copied().map(UnitId).collect();
    unit
}

fn path(units: &[UnitReport]) -> Vec<usize> {
    critical_path(units).into_iter().map(|unit| unit.0).collect()
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
    before.unwrap_or(0) + units[id].outcome.spent_ms()
}

proptest! {
    #[test]
    fn no_chain_costs_more_than_the_critical_path(units in graphs()) {
        let path = path(&units);
        let cost: u64 = path.iter().map(|id| units[*id].outcome.spent_ms()).sum();
        let most = (0..units.len()).map(|id| chain_cost(&units, id)).max().unwrap_or(0);
        prop_assert_eq!(cost, most);
        prop_assert!(path.is_sorted());
    }

    #[test]
    fn a_span_never_ends_before_it_begins_whatever_the_events_are(
        events in prop::collection::vec((any::<u64>(), any::<u64>(), 0_usize..3), 0..9),
    ) {
        let plan = Event { at_ms: 0, kind: EventKind::Planned { units: vec![planned(0, &Fate::Untouched)] } };
        let compiled = events.iter().map(|(at_ms, millis, unit)| {
            let kind = EventKind::Compiled { unit: UnitId(*unit), millis: *millis, success: true };
            Event { at_ms: *at_ms, kind }
        });
        let spans = spans(&[plan].into_iter().chain(compiled).collect::<Vec<_>>());
        prop_assert!(spans.iter().all(|span| span.start_ms <= span.end_ms && span.unit == Some(UnitId(0))));
        prop_assert!(spans.is_sorted_by_key(|span| span.start_ms));
    }
}

#[test]
fn a_circle_of_dependencies_has_a_critical_path() {
    let circle = [compiled(&[1], 5), compiled(&[0], 7), compiled(&[9], 1)];
    assert_eq!(path(&circle), [1, 0]);
    assert_eq!(path(&[compiled(&[0], 5)]), [0]);
}

#[test]
fn units_that_were_not_compiled_are_not_on_the_critical_path() {
    let mut units = [compiled(&[], 5), compiled(&[0], 100), compiled(&[1], 10)];
    units[1].outcome = Outcome::Fresh;
    assert_eq!(path(&units), [0, 2]);
    assert_eq!(path(&[]), [0; 0]);
}

#[test]
fn each_activity_is_a_span_that_ends_with_its_event() {
    let key = UnitKey(Digest::of("a key"));
    let mut unit = planned(0, &Fate::Untouched);
    unit.key = Some(key);
    let upload = |key, package: &str| EventKind::Uploaded { key, package: package.into(), bytes: 7, millis: 1 };
    let unit_0 = UnitId(0);
    let kinds = [
        EventKind::Planned { units: vec![unit] },
        EventKind::Found { unit: unit_0, tier: Tier::Remote, transferred: 10, millis: 20 },
        EventKind::Found { unit: unit_0, tier: Tier::Local, transferred: 0, millis: 0 },
        EventKind::Hydrated { unit: unit_0, bytes: 5, millis: 2, compile_millis: 9 },
        EventKind::Restored { unit: unit_0, bytes: 6, millis: 3, compile_millis: 9 },
        EventKind::Compiled { unit: unit_0, millis: 40, success: false },
        EventKind::PassedThrough { what: "probe".into(), millis: 4 },
        upload(key, "package-0 1.2.3"),
        upload(UnitKey(Digest::of("another")), "older 1.0.0"),
    ];
    let events: Vec<_> = kinds.into_iter().map(|kind| Event { at_ms: 100, kind }).collect();
    let mut found: Vec<_> = spans(&events)
        .into_iter()
        .map(|span| (span.kind, span.unit, span.name.unwrap_or_default(), 100 - span.start_ms, span.bytes))
        .collect();
    found.sort();
    let unit = Some(unit_0);
    let expected = [
        (SpanKind::Fetch, unit, String::new(), 20, Some(10)),
        (SpanKind::Hydrate, unit, String::new(), 2, Some(5)),
        (SpanKind::Restore, unit, String::new(), 3, Some(6)),
        (SpanKind::Compile, unit, String::new(), 40, None),
        (SpanKind::PassedThrough, None, "probe".into(), 4, None),
        (SpanKind::Upload, None, "older 1.0.0".into(), 1, Some(7)),
        (SpanKind::Upload, unit, String::new(), 1, Some(7)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn reports_of_older_versions_can_be_read() {
    let report = report(&[Fate::Untouched]);
    let mut json = serde_json::to_value(&report).unwrap();
    json.as_object_mut().unwrap().remove("spans");
    json["units"][0].as_object_mut().unwrap().remove("dependencies");
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

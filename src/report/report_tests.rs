use proptest::prelude::*;

use super::*;
use crate::event::{EventKind, PlannedUnit, UnitId};

/// What happens to one unit in a generated session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Hit {
        tier: Tier,
        millis: u64,
        compile_millis: u64,
    },
    Hydrated {
        millis: u64,
        /// If cargo did not accept the unit as fresh: whether the wrapper restored it then.
        rejected: Option<bool>,
    },
    Fresh {
        found: bool,
    },
    Miss {
        reason: MissReason,
        millis: u64,
        /// Whether the entry is bound, or why there is none.
        recorded: Result<bool, UncacheableReason>,
    },
    Uncacheable {
        reason: UncacheableReason,
        millis: u64,
    },
    BuildScriptRun,
    Untouched,
}

impl Fate {
    pub(super) fn hit(tier: Tier, compile_millis: u64) -> Self {
        Self::Hit { tier, millis: 20, compile_millis }
    }

    /// A miss that was recorded.
    pub(super) fn miss(reason: MissReason, millis: u64) -> Self {
        Self::Miss { reason, millis, recorded: Ok(false) }
    }

    pub(super) fn uncacheable(reason: UncacheableReason, millis: u64) -> Self {
        Self::Uncacheable { reason, millis }
    }
}

/// The report of a successful session in which the units have these fates.
pub(crate) fn report(fates: &[Fate]) -> Report {
    Report::from_events(&session(fates, Some(0)))
}

/// A unit outside of any session.
#[cfg(feature = "explain")]
pub(crate) fn unit(package: &str, outcome: Outcome) -> UnitReport {
    let [unit] = <[_; 1]>::try_from(report(&[Fate::Untouched]).units).expect("there is one fate");
    UnitReport { package: package.into(), version: "1.0.0".into(), target: package.into(), outcome, ..unit }
}

#[cfg(feature = "explain")]
pub(crate) fn missed(reason: impl Into<Option<MissReason>>, not_recorded: Option<UncacheableReason>) -> Outcome {
    let (reason, recorded_bytes) = (reason.into(), None);
    Outcome::Miss { reason, compile_ms: 1, failed: false, recorded_bytes, path_bound: false, not_recorded }
}

/// The text that a function writes, without styles.
pub(crate) fn plain(render: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut styled = Vec::new();
    render(&mut styled).unwrap();
    let mut rest = String::from_utf8(styled).unwrap();
    while let Some(start) = rest.find('\x1b') {
        let end = start + rest[start..].find('m').unwrap();
        rest.replace_range(start..=end, "");
    }
    rest
}

/// The names of the variants of an enum without data, in JSON.
pub(crate) fn variants<T: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(T).to_value();
    let variants = schema["oneOf"].as_array().expect("documented variants are a list");
    let names: Vec<_> = variants.iter().map(|variant| variant["const"].as_str().unwrap().to_owned()).collect();
    assert!(names.len() > 5);
    names
}

pub(super) fn planned(index: usize, fate: &Fate) -> PlannedUnit {
    let (mode, uncacheable) = match fate {
        Fate::Uncacheable { reason, .. } => ("build", Some(*reason)),
        Fate::BuildScriptRun => ("run-custom-build", Some(UncacheableReason::BuildScriptRun)),
        _ => ("build", None),
    };
    PlannedUnit {
        package: format!("package-{index}"),
        version: "1.2.3".into(),
        target: format!("package_{index}"),
        kind: if mode == "build" { "lib" } else { "custom-build" }.into(),
        mode: mode.into(),
        platform: None,
        features: Vec::new(),
        key: None,
        uncacheable,
        dependencies: Vec::new(),
    }
}

/// The event about a unit in the prefetch.
fn prefetched(unit: UnitId, fate: &Fate) -> Option<EventKind> {
    match *fate {
        Fate::Hit { tier, .. } => Some(EventKind::Found { unit, tier, transferred: 10, millis: 3 }),
        Fate::Hydrated { .. } => Some(EventKind::Found { unit, tier: Tier::Remote, transferred: 10, millis: 3 }),
        Fate::Fresh { found: true } => Some(EventKind::Found { unit, tier: Tier::Local, transferred: 0, millis: 0 }),
        Fate::Miss { reason, .. } => Some(EventKind::Missed { unit, reason }),
        _ => None,
    }
}

/// The events about a unit in the build.
fn built(unit: UnitId, fate: &Fate) -> Vec<EventKind> {
    match *fate {
        Fate::Hit { millis, compile_millis, .. } => {
            vec![EventKind::Restored { unit, bytes: 100, millis, compile_millis }]
        }
        Fate::Hydrated { millis, rejected } => {
            let hydrated = EventKind::Hydrated { unit, bytes: 100, millis, compile_millis: 50 };
            let after = match rejected {
                Some(true) => Some(EventKind::Restored { unit, bytes: 100, millis, compile_millis: 50 }),
                Some(false) => Some(EventKind::Compiled { unit, millis: 40, success: true }),
                None => None,
            };
            let rejection = || EventKind::Rejected { unit, reason: "the rustflags changed".into() };
            [hydrated].into_iter().chain(after.into_iter().flat_map(|after| [after, rejection()])).collect()
        }
        Fate::Miss { millis, recorded, .. } => vec![
            EventKind::Compiled { unit, millis, success: true },
            match recorded {
                Ok(path_bound) => EventKind::Recorded { unit, bytes: 1000, path_bound },
                Err(reason) => EventKind::NotRecorded { unit, reason },
            },
        ],
        Fate::Uncacheable { millis, .. } => vec![EventKind::Compiled { unit, millis, success: true }],
        Fate::Fresh { .. } | Fate::BuildScriptRun | Fate::Untouched => Vec::new(),
    }
}

/// A complete session in which the units have these fates.
pub(crate) fn session(fates: &[Fate], code: Option<i32>) -> Vec<Event> {
    let ids = || fates.iter().enumerate().map(|(index, fate)| (UnitId(index), fate));
    let started = EventKind::SessionStarted {
        command: vec!["build".into(), "--release".into()],
        version: "0.1.0".into(),
        started: jiff::Timestamp::UNIX_EPOCH,
        remote: Some("s3://bucket/prefix".into()),
    };
    let units = fates.iter().enumerate().map(|(index, fate)| planned(index, fate)).collect();
    let start = |phase| EventKind::PhaseStarted { phase };
    let finish = |phase| EventKind::PhaseFinished { phase };
    let mut kinds = vec![started, start(Phase::Plan), EventKind::Planned { units }, finish(Phase::Plan)];
    kinds.push(start(Phase::Prefetch));
    kinds.extend(ids().filter_map(|(unit, fate)| prefetched(unit, fate)));
    kinds.extend([finish(Phase::Prefetch), start(Phase::Build)]);
    kinds.extend(ids().flat_map(|(unit, fate)| built(unit, fate)));
    kinds.extend([
        EventKind::Warning { message: "something".into() },
        EventKind::CargoFinished { code },
        finish(Phase::Build),
        EventKind::UploadFinished { sent: 2, left: 1, bytes: 2000 },
        EventKind::RemoteTraffic { requests: 7, received: 5000, sent: 2500 },
        EventKind::SessionFinished,
    ]);
    kinds.into_iter().enumerate().map(|(index, kind)| Event { at_ms: index as u64 * 10, kind }).collect()
}

/// The outcome of a unit of this fate.
fn expected(fate: &Fate, code: Option<i32>) -> Outcome {
    let hit = |tier, restore_ms, compile_ms, hydrated| Outcome::Hit {
        tier,
        transferred_bytes: 10,
        restored_bytes: 100,
        restore_ms,
        compile_ms,
        hydrated,
    };
    match *fate {
        Fate::Hit { tier, millis, compile_millis } => hit(tier, millis, compile_millis, false),
        Fate::Hydrated { rejected: Some(false), .. } => Outcome::Miss {
            reason: None,
            compile_ms: 40,
            failed: false,
            recorded_bytes: None,
            path_bound: false,
            not_recorded: None,
        },
        Fate::Hydrated { millis, rejected } => hit(Tier::Remote, millis, 50, rejected.is_none()),
        Fate::Miss { reason, millis, recorded } => Outcome::Miss {
            reason: Some(reason),
            compile_ms: millis,
            failed: false,
            recorded_bytes: recorded.ok().map(|_| 1000),
            path_bound: recorded == Ok(true),
            not_recorded: recorded.err(),
        },
        Fate::Uncacheable { reason, millis } => {
            Outcome::Uncacheable { reason, compile_ms: Some(millis), failed: false }
        }
        Fate::BuildScriptRun => {
            Outcome::Uncacheable { reason: UncacheableReason::BuildScriptRun, compile_ms: None, failed: false }
        }
        Fate::Fresh { .. } | Fate::Untouched if code == Some(0) => Outcome::Fresh,
        Fate::Fresh { .. } | Fate::Untouched => Outcome::NotReached,
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    let tier = prop_oneof![Just(Tier::Local), Just(Tier::Remote)];
    let miss = prop_oneof![Just(MissReason::Absent), Just(MissReason::Dependency), Just(MissReason::RemoteFailed)];
    let reason =
        prop_oneof![Just(UncacheableReason::ProcMacro), Just(UncacheableReason::Native), Just(UncacheableReason::Path)];
    let recorded = prop_oneof![any::<bool>().prop_map(Ok), reason.clone().prop_map(Err)];
    prop_oneof![
        (tier, any::<u32>(), any::<u32>()).prop_map(|(tier, millis, compile)| Fate::Hit {
            tier,
            millis: millis.into(),
            compile_millis: compile.into()
        }),
        (any::<u32>(), any::<Option<bool>>())
            .prop_map(|(millis, rejected)| Fate::Hydrated { millis: millis.into(), rejected }),
        any::<bool>().prop_map(|found| Fate::Fresh { found }),
        (miss, any::<u32>(), recorded).prop_map(|(reason, millis, recorded)| Fate::Miss {
            reason,
            millis: millis.into(),
            recorded
        }),
        (reason, any::<u64>()).prop_map(|(reason, millis)| Fate::Uncacheable { reason, millis }),
        Just(Fate::BuildScriptRun),
        Just(Fate::Untouched),
    ]
}

pub(crate) fn sessions() -> impl Strategy<Value = (Vec<Fate>, Option<i32>)> {
    (prop::collection::vec(fate(), 0..12), prop_oneof![Just(Some(0)), Just(Some(101)), Just(None)])
}

fn assert_sums_match(report: &Report) {
    let totals = &report.totals;
    assert_eq!(totals.units, report.units.len());
    assert_eq!(totals.units, totals.hits + totals.fresh + totals.misses + totals.uncacheable + totals.not_reached);
    assert_eq!(totals.hits, totals.hits_local + totals.hits_remote);
    let without_reason = |unit: &&UnitReport| matches!(unit.outcome, Outcome::Miss { reason: None, .. });
    let without_reason = report.units.iter().filter(without_reason).count();
    assert_eq!(totals.misses, without_reason + totals.misses_by_reason.values().map(|c| c.units).sum::<usize>());
    assert_eq!(totals.uncacheable, totals.uncacheable_by_reason.values().map(|c| c.units).sum::<usize>());
}

/// Whether the events justify the outcome of a unit.
fn is_justified(events: &[Event], unit: UnitId, outcome: &Outcome) -> bool {
    let any = |wanted: &dyn Fn(&EventKind) -> bool| events.iter().any(|event| wanted(&event.kind));
    match outcome {
        Outcome::Hit { .. } => any(&|kind| match kind {
            EventKind::Restored { unit: u, .. } | EventKind::Hydrated { unit: u, .. } => *u == unit,
            _ => false,
        }),
        Outcome::Miss { .. } | Outcome::Uncacheable { compile_ms: Some(_), .. } => {
            any(&|kind| matches!(kind, EventKind::Compiled { unit: u, .. } if *u == unit))
        }
        Outcome::Fresh => any(&|kind| matches!(kind, EventKind::CargoFinished { code: Some(0) })),
        Outcome::Uncacheable { compile_ms: None, .. } | Outcome::NotReached => true,
    }
}

/// Asserts that the report of the beginning of a session is a lower bound of the whole report, and that the events
/// justify each outcome.
pub(crate) fn assert_nothing_is_made_up(prefix: &[Event], events: &[Event]) {
    let (report, whole) = (Report::from_events(prefix), Report::from_events(events));
    assert_sums_match(&report);
    for (index, unit) in report.units.iter().enumerate() {
        assert!(is_justified(prefix, UnitId(index), &unit.outcome), "{:?}", unit.outcome);
    }
    let (some, all) = (&report.totals, &whole.totals);
    // Only the end of a session shows which hydrated units cargo did not accept.
    assert!(some.hits <= all.hits + all.rejected);
    assert!(some.restored_bytes <= all.restored_bytes + 100 * all.rejected as u64);
    assert!(some.misses <= all.misses && some.fresh <= all.fresh);
    assert!(some.recorded_bytes <= all.recorded_bytes);
    assert!(some.received_bytes <= all.received_bytes && some.requests <= all.requests);
    assert!(report.warnings.iter().all(|warning| whole.warnings.contains(warning)));
}

proptest! {
    #[test]
    fn every_unit_has_the_outcome_of_its_events((fates, code) in sessions()) {
        let report = Report::from_events(&session(&fates, code));
        prop_assert!(report.complete);
        prop_assert_eq!(report.exit_code, code);
        let outcomes: Vec<_> = report.units.iter().map(|unit| unit.outcome.clone()).collect();
        let expected: Vec<_> = fates.iter().map(|fate| expected(fate, code)).collect();
        prop_assert_eq!(outcomes, expected);
        assert_sums_match(&report);
    }

    #[test]
    fn a_log_that_ends_early_is_incomplete_and_its_events_justify_every_claim(
        (fates, code) in sessions(),
        cut in any::<prop::sample::Index>(),
    ) {
        let events = session(&fates, code);
        let prefix = &events[..cut.index(events.len())];
        let report = Report::from_events(prefix);
        prop_assert!(!report.complete);
        prop_assert!(report.units.is_empty() || report.units.len() == fates.len());
        assert_nothing_is_made_up(prefix, &events);
    }

    #[test]
    fn sums_match_whatever_the_order_of_events(
        events in sessions().prop_flat_map(|(fates, code)| Just(session(&fates, code)).prop_shuffle()),
    ) {
        assert_sums_match(&Report::from_events(&events));
    }

    #[test]
    fn a_report_survives_a_round_trip_through_json((fates, code) in sessions()) {
        let report = Report::from_events(&session(&fates, code));
        let json = serde_json::to_string(&report).unwrap();
        prop_assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}

fn events(kinds: impl IntoIterator<Item = EventKind>) -> Vec<Event> {
    kinds.into_iter().map(|kind| Event { at_ms: 5, kind }).collect()
}

#[test]
fn no_events_are_an_incomplete_report() {
    assert_eq!(Report::from_events(&[]), Report::default());
}

#[test]
fn the_time_saved_is_never_negative() {
    let hit = |millis, compile_millis| Fate::Hit { tier: Tier::Local, millis, compile_millis };
    let saved = |fates: &[Fate]| report(fates).totals.saved_ms;
    assert_eq!(saved(&[hit(10, 1000), hit(30, 20)]), 980);
    assert_eq!(saved(&[hit(10, 1)]), 0);
}

#[test]
fn a_unit_that_the_store_and_the_target_directory_have_is_fresh() {
    assert_eq!(report(&[Fate::Fresh { found: true }]).units[0].outcome, Outcome::Fresh);
}

#[test]
fn documentation_is_not_reported_as_fresh() {
    let unit = PlannedUnit { mode: "doc".into(), ..planned(0, &Fate::Untouched) };
    let log = events([EventKind::Planned { units: vec![unit] }, EventKind::CargoFinished { code: Some(0) }]);
    let outcome = &Report::from_events(&log).units[0].outcome;
    assert_eq!(*outcome, Outcome::Uncacheable { reason: UncacheableReason::Doc, compile_ms: None, failed: false });
}

#[test]
fn events_about_units_outside_of_the_plan_are_ignored() {
    let restored = EventKind::Restored { unit: UnitId(usize::MAX), bytes: 1, millis: 1, compile_millis: 9 };
    let found = EventKind::Found { unit: UnitId(3), tier: Tier::Remote, transferred: 9, millis: 1 };
    let totals = Report::from_events(&events([restored, found])).totals;
    assert_eq!(totals, Totals::default());
}

#[test]
fn phases_keep_their_times_and_may_overlap() {
    let at = |at_ms, kind| Event { at_ms, kind };
    let report = Report::from_events(&[
        at(0, EventKind::PhaseStarted { phase: Phase::Prefetch }),
        at(5, EventKind::PhaseStarted { phase: Phase::Build }),
        at(9, EventKind::PhaseFinished { phase: Phase::Prefetch }),
    ]);
    let prefetch = PhaseSpan { phase: Phase::Prefetch, start_ms: 0, end_ms: Some(9) };
    let build = PhaseSpan { phase: Phase::Build, start_ms: 5, end_ms: None };
    assert_eq!(report.phases, [prefetch, build]);
}

#[test]
fn a_warning_is_listed_once() {
    let warning = || EventKind::Warning { message: "twice".into() };
    assert_eq!(Report::from_events(&events([warning(), warning()])).warnings, ["twice"]);
}

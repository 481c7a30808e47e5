use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::event::{EventKind, PlannedUnit, UnitId};

/// What happens to one unit in a generated session. `rejected` says whether the wrapper restored the unit, if cargo did
/// not accept it as fresh; `recorded` whether the entry is bound, or why there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Hit { tier: Tier, millis: u64, compile_millis: u64 },
    Hydrated { millis: u64, rejected: Option<bool> },
    Fresh { found: bool },
    Miss { reason: MissReason, millis: u64, recorded: Result<bool, UncacheableReason> },
    Uncacheable { reason: UncacheableReason, millis: u64 },
    BuildScriptRun,
}

impl Fate {
    /// Nothing happens to the unit.
    pub(super) const UNTOUCHED: Self = Self::Fresh { found: false };

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

    /// The event in the prefetch, the events in the build, and the outcome that they mean. Without an outcome, the unit
    /// is fresh if the build succeeds.
    fn events(self, unit: UnitId) -> (Option<EventKind>, Vec<EventKind>, Option<Outcome>) {
        let found = |tier, transferred| Some(EventKind::Found { unit, tier, transferred, millis: 3 });
        let compiled = |millis| EventKind::Compiled { unit, millis, success: true };
        let restored = |millis, compile_millis| EventKind::Restored { unit, bytes: 100, millis, compile_millis };
        let hit = |tier, restore_ms, compile_ms, hydrated| {
            let (transferred_bytes, restored_bytes) = (10, 100);
            Some(Outcome::Hit { tier, transferred_bytes, restored_bytes, restore_ms, compile_ms, hydrated })
        };
        let uncacheable = |reason, compile_ms| Some(Outcome::Uncacheable { reason, compile_ms, failed: false });
        match self {
            Self::Hit { tier, millis, compile_millis } => {
                (found(tier, 10), vec![restored(millis, compile_millis)], hit(tier, millis, compile_millis, false))
            }
            Self::Hydrated { millis, rejected } => {
                let hydrated = EventKind::Hydrated { unit, bytes: 100, millis, compile_millis: 50 };
                let rejection = || EventKind::Rejected { unit, reason: "the rustflags changed".into() };
                let (after, outcome) = match rejected {
                    None => (vec![], hit(Tier::Remote, millis, 50, true)),
                    Some(true) => (vec![restored(millis, 50), rejection()], hit(Tier::Remote, millis, 50, false)),
                    Some(false) => (vec![compiled(40), rejection()], Some(miss(None, 40, None, None))),
                };
                (found(Tier::Remote, 10), [vec![hydrated], after].concat(), outcome)
            }
            Self::Fresh { found: is_found } => (found(Tier::Local, 0).filter(|_| is_found), vec![], None),
            Self::Miss { reason, millis, recorded } => {
                let after = match recorded {
                    Ok(path_bound) => EventKind::Recorded { unit, bytes: 1000, path_bound },
                    Err(reason) => EventKind::NotRecorded { unit, reason },
                };
                let outcome = miss(Some(reason), millis, recorded.ok(), recorded.err());
                (Some(EventKind::Missed { unit, reason }), vec![compiled(millis), after], Some(outcome))
            }
            Self::Uncacheable { reason, millis } => (None, vec![compiled(millis)], uncacheable(reason, Some(millis))),
            Self::BuildScriptRun => (None, vec![], uncacheable(UncacheableReason::BuildScriptRun, None)),
        }
    }
}

/// A miss. `recorded` is absent if there is no entry, or whether the entry is bound.
fn miss(
    reason: Option<MissReason>,
    compile_ms: u64,
    recorded: Option<bool>,
    not_recorded: Option<UncacheableReason>,
) -> Outcome {
    let (recorded_bytes, path_bound) = (recorded.map(|_| 1000), recorded == Some(true));
    Outcome::Miss { reason, compile_ms, failed: false, recorded_bytes, path_bound, not_recorded }
}

/// The report of a successful session in which the units have these fates.
pub(crate) fn report(fates: &[Fate]) -> Report {
    Report::from_events(&session(fates, Some(0)))
}

/// The report of a session in which almost everything happens.
pub(super) fn sample() -> Report {
    report(&[
        Fate::hit(Tier::Local, 2_000),
        Fate::hit(Tier::Remote, 40_000),
        Fate::Hydrated { millis: 3, rejected: None },
        Fate::miss(MissReason::Absent, 1500),
        Fate::Miss { reason: MissReason::Dependency, millis: 1500, recorded: Err(UncacheableReason::Native) },
        Fate::uncacheable(UncacheableReason::ProcMacro, 3000),
        Fate::uncacheable(UncacheableReason::Incremental, 200),
        Fate::BuildScriptRun,
        Fate::UNTOUCHED,
    ])
}

/// A unit outside of any session.
#[cfg(feature = "explain")]
pub(crate) fn unit(package: &str, outcome: Outcome) -> UnitReport {
    let unit = report(&[Fate::UNTOUCHED]).units.remove(0);
    UnitReport { package: package.into(), version: "1.0.0".into(), target: package.into(), outcome, ..unit }
}

#[cfg(feature = "explain")]
pub(crate) fn missed(reason: impl Into<Option<MissReason>>, not_recorded: Option<UncacheableReason>) -> Outcome {
    miss(reason.into(), 1, None, not_recorded)
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

/// A file of the repository; empty if it is missing.
pub(super) fn checked_in(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

/// Asserts that a file in the repository has this text; XCACHE_BLESS=1 writes it.
pub(super) fn assert_checked_in(path: &str, text: &str) {
    if std::env::var_os("XCACHE_BLESS").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), text).unwrap();
    }
    let written = checked_in(path);
    assert!(written == text, "{path} is out of date; XCACHE_BLESS=1 writes it; now it is:\n{text}");
}

/// Asserts that a page is the one in `tests/pages`; XCACHE_BLESS=1 writes it.
pub(crate) fn assert_page(name: &str, page: &str) {
    assert_checked_in(&format!("tests/pages/{name}"), page);
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

/// A complete session in which the units have these fates.
pub(crate) fn session(fates: &[Fate], code: Option<i32>) -> Vec<Event> {
    let of_units = || fates.iter().enumerate().map(|(index, fate)| fate.events(UnitId(index)));
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
    kinds.extend(of_units().filter_map(|(prefetched, ..)| prefetched));
    kinds.extend([finish(Phase::Prefetch), start(Phase::Build)]);
    kinds.extend(of_units().flat_map(|(_, built, _)| built));
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

fn fate() -> impl Strategy<Value = Fate> {
    let tier = prop::sample::select(vec![Tier::Local, Tier::Remote]);
    let miss = prop::sample::select(vec![MissReason::Absent, MissReason::Dependency, MissReason::RemoteFailed]);
    let reasons = vec![UncacheableReason::ProcMacro, UncacheableReason::Native, UncacheableReason::Path];
    let reason = prop::sample::select(reasons);
    let recorded = prop_oneof![any::<bool>().prop_map(Ok), reason.clone().prop_map(Err)];
    let millis = || any::<u32>().prop_map(u64::from);
    prop_oneof![
        (tier, millis(), millis()).prop_map(|(tier, millis, compile_millis)| Fate::Hit {
            tier,
            millis,
            compile_millis
        }),
        (millis(), any::<Option<bool>>()).prop_map(|(millis, rejected)| Fate::Hydrated { millis, rejected }),
        any::<bool>().prop_map(|found| Fate::Fresh { found }),
        (miss, millis(), recorded).prop_map(|(reason, millis, recorded)| Fate::Miss { reason, millis, recorded }),
        (reason, any::<u64>()).prop_map(|(reason, millis)| Fate::Uncacheable { reason, millis }),
        Just(Fate::BuildScriptRun),
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
        let untouched = if code == Some(0) { Outcome::Fresh } else { Outcome::NotReached };
        for (index, (unit, fate)) in report.units.iter().zip(fates).enumerate() {
            let (.., outcome) = fate.events(UnitId(index));
            prop_assert_eq!(&unit.outcome, &outcome.unwrap_or(untouched.clone()));
        }
        assert_sums_match(&report);
        let json = serde_json::to_string(&report).unwrap();
        prop_assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report, "a round trip through JSON");
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
}

fn events(kinds: impl IntoIterator<Item = EventKind>) -> Vec<Event> {
    kinds.into_iter().map(|kind| Event { at_ms: 5, kind }).collect()
}

#[test]
fn no_events_are_an_incomplete_report() {
    assert_eq!(Report::from_events(&[]), Report { schema_version: SCHEMA_VERSION, ..Report::default() });
}

#[test]
fn the_time_saved_is_never_negative() {
    let hit = |millis, compile_millis| Fate::Hit { tier: Tier::Local, millis, compile_millis };
    let saved = |fates: &[Fate]| report(fates).totals.saved_ms;
    assert_eq!((saved(&[hit(10, 1000), hit(30, 20)]), saved(&[hit(10, 1)])), (980, 0));
}

#[test]
fn documentation_is_not_reported_as_fresh() {
    let unit = PlannedUnit { mode: "doc".into(), ..planned(0, &Fate::UNTOUCHED) };
    let log = events([EventKind::Planned { units: vec![unit] }, EventKind::CargoFinished { code: Some(0) }]);
    let outcome = &Report::from_events(&log).units[0].outcome;
    assert_eq!(*outcome, Outcome::Uncacheable { reason: UncacheableReason::Doc, compile_ms: None, failed: false });
}

#[test]
fn events_about_units_outside_of_the_plan_are_ignored() {
    let restored = EventKind::Restored { unit: UnitId(usize::MAX), bytes: 1, millis: 1, compile_millis: 9 };
    let found = EventKind::Found { unit: UnitId(3), tier: Tier::Remote, transferred: 9, millis: 1 };
    assert_eq!(Report::from_events(&events([restored, found])).totals, Totals::default());
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

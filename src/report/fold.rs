//! The fold itself: one pass over the events, then one outcome for each unit, then the sums.
//!
//! The tracks of the units are separate from the plan until the end, so events about units outside of the plan have no
//! effect. Sums saturate, because events may come from a file.

use std::collections::BTreeMap;

use super::{
    CorruptObject, Count, Outcome, PassedThrough, PhaseSpan, RemoteFailure, Report, SCHEMA_VERSION, Totals, UnitReport,
    advice, timeline,
};
use crate::event::{Event, EventKind, MissReason, PlannedUnit, Tier, UncacheableReason, UnitId};

pub(super) fn fold(events: &[Event]) -> Report {
    let report = Report { schema_version: SCHEMA_VERSION, ..Report::default() };
    let mut fold = Fold { report, ..Fold::default() };
    for event in events {
        fold.report.duration_ms = fold.report.duration_ms.max(event.at_ms);
        fold.apply(event.at_ms, &event.kind);
    }
    let report = Report { spans: timeline::spans(events, fold.planned), ..fold.finish() };
    Report { advice: advice::advice(&report, events), ..report }
}

#[derive(Default)]
struct Fold<'a> {
    report: Report,
    planned: &'a [PlannedUnit],
    tracks: BTreeMap<UnitId, UnitTrack<'a>>,
    /// The bytes received according to the remote's own totals, which include objects that belong to no unit.
    received: Option<u64>,
}

impl<'a> Fold<'a> {
    fn apply(&mut self, at_ms: u64, kind: &'a EventKind) {
        let report = &mut self.report;
        match kind {
            EventKind::SessionStarted { command, version, started, remote } => {
                (report.command, report.remote) = (command.clone(), remote.clone());
                (report.xcache_version, report.started) = (Some(version.clone()), Some(*started));
            }
            EventKind::PhaseStarted { phase } => {
                report.phases.push(PhaseSpan { phase: *phase, start_ms: at_ms, end_ms: None });
            }
            EventKind::PhaseFinished { phase } => {
                let mut open = report.phases.iter_mut().rev();
                let latest = open.find(|span| span.phase == *phase && span.end_ms.is_none());
                latest.into_iter().for_each(|span| span.end_ms = Some(at_ms));
            }
            EventKind::Planned { units } => self.planned = units,
            EventKind::NothingToPlan => report.noop = true,
            EventKind::PlanFailed { reason } => report.plan_failed = Some(reason.clone()),
            EventKind::Unproven { reason } => report.unproven = Some(reason.clone()),
            EventKind::GraphIndexFound { entries } => report.graph_index_entries = Some(*entries),
            EventKind::Found { unit, tier, transferred, .. } => {
                let track = self.track(*unit);
                track.tier = Some(*tier);
                add(&mut track.transferred, *transferred);
            }
            EventKind::Missed { unit, reason } => self.track(*unit).missed = Some(*reason),
            EventKind::Hydrated { unit, .. } | EventKind::Restored { unit, .. } | EventKind::Compiled { unit, .. } => {
                self.track(*unit).produced = Some(kind);
            }
            EventKind::Rejected { unit, reason } => self.track(*unit).rejected = Some(reason),
            EventKind::Recorded { unit, bytes, path_bound } => self.track(*unit).recorded = Some((*bytes, *path_bound)),
            EventKind::NotRecorded { unit, reason } => self.track(*unit).not_recorded = Some(*reason),
            EventKind::LeftOut { unit } => self.track(*unit).left_out = true,
            EventKind::UploadFinished { sent, left, bytes } => {
                let totals = &mut report.totals;
                (totals.uploaded, totals.uploaded_bytes, totals.not_uploaded) = (*sent, *bytes, *left);
            }
            EventKind::RemoteTraffic { requests, received, sent } => {
                (report.totals.requests, report.totals.sent_bytes) = (*requests, *sent);
                self.received = Some(*received);
            }
            EventKind::PassedThrough { what, millis } => {
                report.passed_through.push(PassedThrough { what: what.clone(), millis: *millis });
            }
            EventKind::CorruptObject { object, reason } => {
                report.corrupt_objects.push(CorruptObject { object: object.clone(), reason: reason.clone() });
            }
            EventKind::RemoteFailed { remote, message } => {
                let failure = || RemoteFailure { remote: remote.clone(), message: message.clone() };
                report.remote_failed.get_or_insert_with(failure);
            }
            EventKind::Warning { message } if report.warnings.contains(message) => {}
            EventKind::Warning { message } => report.warnings.push(message.clone()),
            EventKind::CargoFinished { code } => report.exit_code = *code,
            EventKind::SessionFinished => report.complete = true,
            EventKind::CargoStatus { .. }
            | EventKind::Linked { .. }
            | EventKind::Machine { .. }
            | EventKind::Evicted { .. }
            | EventKind::Differs { .. }
            | EventKind::PrefetchProgress { .. }
            | EventKind::Uploaded { .. }
            | EventKind::UploadProgress { .. } => {}
        }
    }

    fn track(&mut self, unit: UnitId) -> &mut UnitTrack<'a> {
        self.tracks.entry(unit).or_default()
    }

    fn finish(mut self) -> Report {
        let built = self.report.exit_code == Some(0);
        let mut transferred = 0;
        for (id, unit) in self.planned.iter().enumerate() {
            let track = self.tracks.remove(&UnitId(id)).unwrap_or_default();
            add(&mut transferred, track.transferred);
            self.report.units.push(track.report(unit.clone(), built));
        }
        self.report.totals.received_bytes = self.received.unwrap_or(transferred);
        self.report.totals.add_units(&self.report.units);
        self.report
    }
}

/// The events about one unit. A later event of the same kind replaces an earlier one.
#[derive(Default)]
struct UnitTrack<'a> {
    tier: Option<Tier>,
    transferred: u64,
    missed: Option<MissReason>,
    /// Cargo's reason, if it did not accept the hydrated unit as fresh.
    rejected: Option<&'a str>,
    /// How the unit's outputs got into the build directory: `Hydrated`, `Restored` or `Compiled`.
    produced: Option<&'a EventKind>,
    /// The bytes stored, and whether the entry is bound.
    recorded: Option<(u64, bool)>,
    not_recorded: Option<UncacheableReason>,
    left_out: bool,
}

impl UnitTrack<'_> {
    fn report(&self, unit: PlannedUnit, built: bool) -> UnitReport {
        let (outcome, rejected) = (self.outcome(&unit, built), self.rejected.map(str::to_owned));
        let PlannedUnit { package, version, target, kind, mode, platform, features, key, dependencies, .. } = unit;
        UnitReport { package, version, target, kind, mode, platform, features, key, dependencies, rejected, outcome }
    }

    fn outcome(&self, unit: &PlannedUnit, built: bool) -> Outcome {
        let hit = |bytes, millis, compile_millis, hydrated| Outcome::Hit {
            // The wrapper restores from the local store. Only `Found` says that the unit came from the remote.
            tier: self.tier.unwrap_or(Tier::Local),
            transferred_bytes: self.transferred,
            restored_bytes: bytes,
            restore_ms: millis,
            compile_ms: compile_millis,
            hydrated,
        };
        let without_events = without_events(unit);
        match (self.produced, unit.uncacheable.or(without_events)) {
            (Some(EventKind::Hydrated { bytes, millis, compile_millis, .. }), _) => {
                hit(*bytes, *millis, *compile_millis, true)
            }
            (Some(EventKind::Restored { bytes, millis, compile_millis, .. }), _) => {
                hit(*bytes, *millis, *compile_millis, false)
            }
            (Some(EventKind::Compiled { millis, success, .. }), Some(reason)) => {
                Outcome::Uncacheable { reason, compile_ms: Some(*millis), failed: !success }
            }
            (Some(EventKind::Compiled { millis, success, .. }), None) => Outcome::Miss {
                reason: self.missed,
                compile_ms: *millis,
                failed: !success,
                recorded_bytes: self.recorded.map(|(bytes, _)| bytes),
                path_bound: self.recorded.is_some_and(|(_, path_bound)| path_bound),
                not_recorded: self.not_recorded,
            },
            (_, Some(reason)) if without_events.is_some() => {
                Outcome::Uncacheable { reason, compile_ms: None, failed: false }
            }
            _ if built && !self.left_out => Outcome::Fresh,
            _ => Outcome::NotReached,
        }
    }
}

/// The reason of an uncacheable unit that has no events, because cargo does not call rustc for it.
fn without_events(unit: &PlannedUnit) -> Option<UncacheableReason> {
    match unit.mode.as_str() {
        "run-custom-build" => unit.uncacheable,
        "doc" | "doctest" | "docscrape" => Some(UncacheableReason::Doc),
        _ => None,
    }
}

impl Totals {
    fn add_units(&mut self, units: &[UnitReport]) {
        let mut compiled_before = 0;
        for unit in units {
            let compile_ms = unit.outcome.compiled_ms().unwrap_or(0);
            add(&mut self.compile_ms, compile_ms);
            self.units += 1;
            self.rejected += usize::from(unit.rejected.is_some());
            match &unit.outcome {
                Outcome::Hit { tier, restored_bytes, restore_ms, hydrated, compile_ms, .. } => {
                    self.hits += 1;
                    self.hydrated += usize::from(*hydrated);
                    self.hits_local += usize::from(*tier == Tier::Local);
                    self.hits_remote += usize::from(*tier == Tier::Remote);
                    add(&mut self.restored_bytes, *restored_bytes);
                    add(&mut self.restore_ms, *restore_ms);
                    add(&mut compiled_before, *compile_ms);
                }
                Outcome::Fresh => self.fresh += 1,
                Outcome::Miss { reason, recorded_bytes, .. } => {
                    self.misses += 1;
                    self.recorded += usize::from(recorded_bytes.is_some());
                    add(&mut self.recorded_bytes, recorded_bytes.unwrap_or(0));
                    if let Some(reason) = reason {
                        self.misses_by_reason.entry(*reason).or_default().add(compile_ms);
                    }
                }
                Outcome::Uncacheable { reason, .. } => {
                    self.uncacheable += 1;
                    self.uncacheable_by_reason.entry(*reason).or_default().add(compile_ms);
                }
                Outcome::NotReached => self.not_reached += 1,
            }
        }
        self.saved_ms = compiled_before.saturating_sub(self.restore_ms);
    }
}

impl Count {
    fn add(&mut self, compile_ms: u64) {
        self.units += 1;
        add(&mut self.compile_ms, compile_ms);
    }
}

fn add(sum: &mut u64, value: u64) {
    *sum = sum.saturating_add(value);
}

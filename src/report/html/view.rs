//! What the page shows, as the template wants it: numbers with their words.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::text;
use super::super::{Outcome, Report, UnitReport};
use super::groups::{Group, groups};
use super::tracks::{Timeline, share};
use crate::event::{Tier, UnitId};
use crate::report::advice::{Advice, AdviceName};
use crate::report::reasons::name;
use crate::report::timeline::critical_path;

/// So many of the slowest compilations are listed.
const SLOWEST: usize = 10;

#[derive(Serialize)]
pub(super) struct Page {
    version: String,
    command: String,
    started: Option<String>,
    duration: String,
    exit_code: Option<i32>,
    complete: bool,
    noop: bool,
    remote: Option<String>,
    notes: Vec<Note>,
    advice: Vec<Advised>,
    figures: Vec<Figure>,
    outcomes: Vec<Share>,
    timeline: Option<Timeline>,
    critical: Chain,
    slowest: Vec<Bar>,
    reasons: Vec<Group>,
    units: Vec<Row>,
}

/// Something to be said before all else.
#[derive(Serialize)]
struct Note {
    is_error: bool,
    text: String,
}

impl Note {
    fn warning(text: String) -> Self {
        Self { is_error: false, text }
    }

    fn error(text: String) -> Self {
        Self { is_error: true, text }
    }
}

/// What would make builds faster.
#[derive(Serialize)]
struct Advised {
    name: String,
    message: String,
    worth: Option<String>,
    action: String,
}

/// One large number.
#[derive(Serialize)]
struct Figure {
    label: &'static str,
    value: String,
    about: String,
}

/// How many units came to one outcome.
#[derive(Serialize)]
struct Share {
    outcome: &'static str,
    label: &'static str,
    units: usize,
    percent: String,
}

#[derive(Serialize)]
struct Chain {
    time: String,
    links: Vec<Bar>,
}

/// A unit with how long it took.
#[derive(Serialize)]
struct Bar {
    unit: usize,
    name: String,
    outcome: &'static str,
    reason: String,
    time: String,
    percent: String,
}

/// A unit in the table.
#[derive(Serialize)]
struct Row {
    id: usize,
    name: String,
    version: String,
    target: String,
    features: String,
    outcome: &'static str,
    label: String,
    reason: String,
    compile: Cell,
    restore: Cell,
    bytes: Cell,
    is_critical: bool,
    failed: bool,
}

/// A number, and how it is written.
#[derive(Serialize, Default)]
struct Cell {
    value: Option<u64>,
    text: String,
}

impl Cell {
    fn new(value: Option<u64>, write: impl Fn(u64) -> String) -> Self {
        Self { value, text: value.map(write).unwrap_or_default() }
    }
}

impl Advised {
    fn new(advice: &Advice) -> Self {
        let Advice { message, worth_ms, action, .. } = advice;
        let (name, worth) = (name(advice.name), worth_ms.map(time));
        Self { name, message: message.clone(), worth, action: action.clone() }
    }
}

impl Page {
    pub(super) fn new(report: &Report) -> Self {
        let critical = critical_path(&report.units);
        let is_critical = BTreeSet::from_iter(critical.iter().copied());
        Self {
            version: report.xcache_version.clone().unwrap_or_default(),
            command: format!("cargo {}", report.command.join(" ")),
            started: report.started.map(|started| started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
            duration: time(report.duration_ms),
            exit_code: report.exit_code,
            complete: report.complete,
            noop: report.noop && report.units.is_empty(),
            remote: report.remote.clone(),
            notes: notes(report),
            advice: report.advice.iter().map(Advised::new).collect(),
            figures: figures(report),
            outcomes: outcomes(report),
            timeline: Timeline::new(report, &is_critical),
            slowest: slowest(&report.units),
            reasons: groups(&report.units),
            units: rows(&report.units, &is_critical),
            critical: chain(&report.units, &critical),
        }
    }
}

/// `12 ms`, `1.2 s`, `3m 05s`.
pub(super) fn time(millis: u64) -> String {
    if millis < 1000 { format!("{millis} ms") } else { text::duration(millis) }
}

/// The kind, with what tells two units of a package apart.
fn target(unit: &UnitReport) -> String {
    let UnitReport { package, target, kind, mode, .. } = unit;
    match kind.as_str() {
        "custom-build" if mode == "run-custom-build" => "custom-build run".into(),
        "bin" | "test" | "bench" | "example" if target != package => format!("{kind} {target}"),
        _ => kind.clone(),
    }
}

/// The outcome's name in the style, and for people.
pub(super) fn class(outcome: &Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Hit { .. } => ("hit", "hit"),
        Outcome::Fresh => ("fresh", "fresh"),
        Outcome::Miss { .. } => ("miss", "miss"),
        Outcome::Uncacheable { .. } => ("uncacheable", "not cacheable"),
        Outcome::NotReached => ("not-reached", "not reached"),
    }
}

pub(super) fn has_failed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Miss { failed: true, .. } | Outcome::Uncacheable { failed: true, .. })
}

fn notes(report: &Report) -> Vec<Note> {
    let mut notes = Vec::new();
    if !report.complete {
        let incomplete = "Incomplete: the session did not come to its end. What follows is what had happened by then; \
                          every sum is a lower bound.";
        notes.push(Note::error(incomplete.into()));
    }
    notes.extend(
        report
            .plan_failed
            .iter()
            .map(|reason| Note::error(format!("There was no plan, and cargo ran without the cache: {reason}"))),
    );
    let failed: Vec<_> = report.units.iter().filter(|unit| has_failed(&unit.outcome)).map(text::title).collect();
    if !failed.is_empty() {
        notes.push(Note::error(format!("Not compiled, because of an error: {}", failed.join(", "))));
    }
    notes.extend(
        report
            .remote_failed
            .iter()
            .map(|failure| Note::warning(format!("The remote {} was given up: {}", failure.remote, failure.message))),
    );
    notes.extend(report.warnings.iter().cloned().map(Note::warning));
    let corrupt = |object: &super::super::CorruptObject| {
        Note::warning(format!("Corrupt, and ignored: {}: {}", object.object, object.reason))
    };
    notes.extend(report.corrupt_objects.iter().map(corrupt));
    let rejected = report.units.iter().filter_map(|unit| Some((unit, unit.rejected.as_ref()?)));
    let rejected =
        rejected.map(|(unit, reason)| format!("Cargo did not take {} as fresh: {reason}", text::title(unit)));
    notes.extend(rejected.map(Note::warning));
    let is_advised = report.advice.iter().any(|advice| advice.name == AdviceName::NotUploaded);
    if report.totals.not_uploaded > 0 && !is_advised {
        let left = report.totals.not_uploaded;
        notes.push(Note::warning(format!("Units that were not uploaded: {left}. `cargo xcache push` sends them.")));
    }
    notes
}

fn figures(report: &Report) -> Vec<Figure> {
    let totals = &report.totals;
    // A number stays on one line with its unit.
    let time = |millis| time(millis).replace(' ', "\u{a0}");
    let bytes = |bytes| text::bytes(bytes).replace(' ', "\u{a0}");
    let figure = |label, value: String, about: String| Figure { label, value, about };
    let mut figures = vec![
        figure(
            "Hits",
            totals.hits.to_string(),
            format!(
                "{} local, {} remote; {} before cargo started",
                totals.hits_local, totals.hits_remote, totals.hydrated
            ),
        ),
        figure("Misses", totals.misses.to_string(), format!("{} recorded for the next build", totals.recorded)),
        figure("Not cacheable", totals.uncacheable.to_string(), format!("of {} units in all", totals.units)),
        figure(
            "Saved",
            time(totals.saved_ms),
            format!("of compile time; {} spent on restoring", time(totals.restore_ms)),
        ),
        figure("Compiling", time(totals.compile_ms), "by rustc and build scripts, over all units".into()),
        figure("Restored", bytes(totals.restored_bytes), "written to the target directory".into()),
    ];
    if report.remote.is_some() {
        let (received, sent) = (bytes(totals.received_bytes), bytes(totals.sent_bytes));
        figures.push(figure("Received", received, format!("in {} requests; {sent} sent", totals.requests)));
    }
    figures
}

fn outcomes(report: &Report) -> Vec<Share> {
    let totals = &report.totals;
    let all = [
        ("hit", "hit", totals.hits),
        ("fresh", "fresh", totals.fresh),
        ("miss", "miss", totals.misses),
        ("uncacheable", "not cacheable", totals.uncacheable),
        ("not-reached", "not reached", totals.not_reached),
    ];
    let there = all.into_iter().filter(|(.., units)| *units > 0);
    let share = |(outcome, label, units)| {
        let percent = share(units as u64, totals.units as u64);
        Share { outcome, label, units, percent }
    };
    there.map(share).collect()
}

fn bar(units: &[UnitReport], id: usize, most: u64) -> Bar {
    let unit = &units[id];
    let spent = unit.outcome.compiled_ms().unwrap_or(0);
    let outcome = if has_failed(&unit.outcome) { "failed" } else { class(&unit.outcome).0 };
    let (time, percent) = (time(spent), share(spent, most));
    Bar { unit: id, name: text::title(unit), outcome, reason: text::reason(&unit.outcome), time, percent }
}

fn chain(units: &[UnitReport], path: &[UnitId]) -> Chain {
    let spent = |id: &UnitId| units[id.0].outcome.compiled_ms().unwrap_or(0);
    let most = path.iter().map(spent).max().unwrap_or(0);
    let total = path.iter().map(spent).fold(0, u64::saturating_add);
    Chain { time: time(total), links: path.iter().map(|id| bar(units, id.0, most)).collect() }
}

/// The compilations that took longest, if they took anything.
fn slowest(units: &[UnitReport]) -> Vec<Bar> {
    let spent = |id: &usize| units[*id].outcome.compiled_ms().unwrap_or(0);
    let mut ids: Vec<_> = (0..units.len()).filter(|id| spent(id) > 0).collect();
    ids.sort_by_key(|id| std::cmp::Reverse(spent(id)));
    let most = ids.first().map_or(0, spent);
    ids.iter().take(SLOWEST).map(|id| bar(units, *id, most)).collect()
}

/// The table's rows: what took longest first.
fn rows(units: &[UnitReport], is_critical: &BTreeSet<UnitId>) -> Vec<Row> {
    let mut ids: Vec<_> = (0..units.len()).collect();
    ids.sort_by_key(|id| std::cmp::Reverse(units[*id].outcome.spent_ms()));
    ids.into_iter().map(|id| Row::new(id, &units[id], is_critical.contains(&UnitId(id)))).collect()
}

impl Row {
    fn new(id: usize, unit: &UnitReport, is_critical: bool) -> Self {
        let (outcome, label) = class(&unit.outcome);
        let failed = has_failed(&unit.outcome);
        let (label, compile, restore, bytes) = match &unit.outcome {
            Outcome::Hit { tier, restored_bytes, restore_ms, compile_ms, .. } => {
                let label = if *tier == Tier::Local { "hit (local)" } else { "hit (remote)" };
                (label.to_owned(), Some(*compile_ms), Some(*restore_ms), Some(*restored_bytes))
            }
            Outcome::Miss { recorded_bytes, .. } => {
                (label.to_owned(), unit.outcome.compiled_ms(), None, *recorded_bytes)
            }
            outcome => (label.to_owned(), outcome.compiled_ms(), None, None),
        };
        let platform = unit.platform.iter().map(|platform| format!("for {platform}"));
        Self {
            id,
            name: unit.package.clone(),
            version: unit.version.clone(),
            target: [target(unit)].into_iter().chain(platform).collect::<Vec<_>>().join(" "),
            features: unit.features.join(", "),
            outcome,
            label: if failed { format!("{label}, failed") } else { label },
            reason: text::reason(&unit.outcome),
            compile: Cell::new(compile, time),
            restore: Cell::new(restore, time),
            bytes: Cell::new(bytes, text::bytes),
            is_critical,
            failed,
        }
    }
}

//! The report as a table: units by what happened to them, what keeps the others from being hits, and at the end, where
//! the eye is, the totals.

use std::cmp::Reverse;
use std::io::{self, Write};

use anstyle::Style;

use super::grid::{ATTENTION, BAD, Column, GOOD, Grid, NOTE, QUIET, line};
use super::{View, advice, bytes, causes, counted, duration, precise, units};
use crate::report::advice::AdviceName;
use crate::report::costs::Costs;
use crate::report::reasons::name;
use crate::report::{Outcome, OutcomeKind, Report, UnitReport};

/// How many rows there are of a kind that nobody has to do anything about, unless all are asked for.
pub(super) const SHOWN: usize = 10;

/// The whole report.
pub fn table(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    if let Some(reason) = &report.unproven {
        let text = format!("this cargo is not proven: {reason}; hits come by the rustc wrapper");
        line(out, view.width, NOTE, "Note", &text)?;
        writeln!(out)?;
    }
    units_table(report, view).write(out)?;
    causes::write(report, view, out)?;
    if !report.units.is_empty() {
        writeln!(out)?;
    }
    advice::write(report, view, out)?;
    remarks(report, view, out)?;
    totals(report, view, out)
}

fn units_table(report: &Report, view: View) -> Grid {
    let (text, number, extra) = (Column::Text, Column::Number, Column::Extra);
    let mut grid = Grid::new(
        view.width,
        [("unit", text), ("reason", text), ("compile", number), ("restore", extra), ("size", extra)],
    );
    let mut units: Vec<_> = report.units.iter().collect();
    let name = |unit: &UnitReport| (unit.package.clone(), unit.version.clone(), unit.kind.clone());
    units.sort_by_cached_key(|unit| (OutcomeKind::of(&unit.outcome), Reverse(compile_ms(&unit.outcome)), name(unit)));
    for of_kind in units.chunk_by(|one, other| OutcomeKind::of(&one.outcome) == OutcomeKind::of(&other.outcome)) {
        add_kind(&mut grid, of_kind, view.all, report.unproven.is_some());
    }
    grid
}

/// The units of one kind. Where all hits come by the wrapper, that is not said of each.
fn add_kind(grid: &mut Grid, units: &[&UnitReport], all: bool, by_the_wrapper: bool) {
    let kind = OutcomeKind::of(&units[0].outcome);
    let (style, verb) = verb(kind);
    let is_long = !all && !kind.is_compiled() && units.len() > SHOWN + 1;
    let (shown, rest) = units.split_at(if is_long { SHOWN } else { units.len() });
    for unit in shown {
        let outcome = &unit.outcome;
        let is_said = by_the_wrapper && matches!(outcome, Outcome::Hit { .. });
        let reason = if is_said { String::new() } else { reason(outcome) };
        let cells = [title(unit), reason, seconds(compile_ms(outcome)), seconds(restore_ms(outcome))];
        let [unit, reason, compile, restore] = cells;
        let size = size(outcome).map_or_else(String::new, bytes);
        grid.add(style, verb, [unit, reason, compile, restore, size]);
    }
    if !rest.is_empty() {
        let sum = |of: fn(&Outcome) -> Option<u64>| {
            rest.iter().filter_map(|unit| of(&unit.outcome)).reduce(u64::saturating_add)
        };
        let title = format!("… and {} more, each with --all", rest.len());
        let size = sum(size).map_or_else(String::new, bytes);
        grid.add(QUIET, "", [title, String::new(), seconds(sum(compile_ms)), seconds(sum(restore_ms)), size]);
    }
}

/// As a status line has it.
pub(super) fn verb(kind: OutcomeKind) -> (Style, &'static str) {
    match kind {
        OutcomeKind::Failed => (BAD, "Failed"),
        OutcomeKind::Miss => (ATTENTION, "Miss"),
        OutcomeKind::Uncacheable => (ATTENTION, "Uncacheable"),
        OutcomeKind::RemoteHit => (GOOD, "Remote hit"),
        OutcomeKind::LocalHit => (GOOD, "Local hit"),
        OutcomeKind::Fresh => (NOTE, "Fresh"),
        OutcomeKind::NotReached => (QUIET, "Not reached"),
    }
}

/// `anyhow 1.0.104 (build script)`.
pub(in crate::report) fn title(unit: &UnitReport) -> String {
    let UnitReport { package, version, target, kind, mode, .. } = unit;
    let what = match (kind.as_str(), mode.as_str()) {
        ("custom-build", "run-custom-build") => "build script run".into(),
        ("custom-build", _) => "build script".into(),
        ("lib", "build") => return format!("{package} {version}"),
        ("bin" | "test" | "bench" | "example", _) if target != package => format!("{kind} {target}"),
        _ => kind.clone(),
    };
    let mode = match mode.as_str() {
        "build" | "run-custom-build" => String::new(),
        mode if what == "lib" => return format!("{package} {version} ({mode})"),
        mode => format!(", {mode}"),
    };
    format!("{package} {version} ({what}{mode})")
}

/// `absent; not recorded: native`.
pub(in crate::report) fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Miss { reason, path_bound, not_recorded, .. } => {
            let mut parts = Vec::from_iter(reason.map(name));
            if *path_bound {
                parts.push("recorded path-bound".into());
            }
            parts.extend(not_recorded.map(|reason| format!("not recorded: {}", name(reason))));
            parts.join("; ")
        }
        Outcome::Uncacheable { reason, .. } => name(reason),
        Outcome::Hit { hydrated: false, .. } => "by the wrapper".into(),
        Outcome::Hit { .. } | Outcome::Fresh | Outcome::NotReached => String::new(),
    }
}

/// What rustc took, now or when the unit was made.
fn compile_ms(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Hit { compile_ms, .. } => Some(*compile_ms),
        _ => outcome.compiled_ms(),
    }
}

fn restore_ms(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Hit { restore_ms, .. } => Some(*restore_ms),
        _ => None,
    }
}

/// What is in the target directory by a hit, or in the store by a miss.
fn size(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Hit { restored_bytes, .. } => Some(*restored_bytes),
        Outcome::Miss { recorded_bytes, .. } => *recorded_bytes,
        _ => None,
    }
}

fn seconds(millis: Option<u64>) -> String {
    millis.map_or_else(String::new, precise)
}

/// What is unusual.
fn remarks(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    let warn = |out: &mut dyn Write, text: &str| line(out, view.width, ATTENTION, "Warning", text);
    for unit in &report.units {
        if let Some(reason) = &unit.rejected {
            warn(out, &format!("cargo did not take {} as fresh: {reason}", title(unit)))?;
        }
    }
    if let Some(reason) = &report.plan_failed {
        warn(out, &format!("there was no plan: {reason}"))?;
    }
    if let Some(failure) = &report.remote_failed {
        warn(out, &format!("the remote was given up: {}", failure.message))?;
    }
    for corrupt in &report.corrupt_objects {
        warn(out, &format!("damaged, ignored: {}: {}", corrupt.object, corrupt.reason))?;
    }
    let is_advised = report.advice.iter().any(|advice| advice.name == AdviceName::NotUploaded);
    if report.totals.not_uploaded > 0 && !is_advised {
        let left = units(report.totals.not_uploaded);
        warn(out, &format!("not uploaded: {left}; `cargo xcache push` sends them"))?;
    }
    report.warnings.iter().try_for_each(|warning| warn(out, warning))
}

fn totals(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    let totals = &report.totals;
    line(out, view.width, NOTE, "Session", &format!("cargo {}", report.command.join(" ")))?;
    line(out, view.width, NOTE, "", &session(report))?;
    if !report.phases.is_empty() {
        line(out, view.width, NOTE, "Phases", &phases(report))?;
    }
    line(out, view.width, NOTE, "Units", &unit_counts(report))?;
    let (compiling, restoring, saved) = (totals.compile_ms, totals.restore_ms, totals.saved_ms);
    let time = [(compiling, "compiling"), (restoring, "restoring"), (saved, "of compile time saved")];
    let time = time.map(|(millis, what)| format!("{} {what}", duration(millis)));
    line(out, view.width, NOTE, "Time", &time.join(", "))?;
    if let Some(remote) = &report.remote {
        let (requests, received, sent) = (totals.requests, bytes(totals.received_bytes), bytes(totals.sent_bytes));
        line(
            out,
            view.width,
            NOTE,
            "Remote",
            &format!("{remote}: {requests} requests, {received} received, {sent} sent"),
        )?;
    }
    report.costs.iter().try_for_each(|costs| line(out, view.width, NOTE, "Costs", &money(costs)))
}

/// `0.1640 saved by not compiling, 0.0105 spent (0.0080 received, 0.0020 sent, 0.0005 requests), 0.1535 gained`.
pub(super) fn money(costs: &Costs) -> String {
    let Costs { saved, received, sent, requests, gained } = costs;
    let spent = format!("{:.4} spent ({received:.4} received, {sent:.4} sent, {requests:.4} requests)", costs.spent());
    let result = if *gained < 0.0 { "lost" } else { "gained" };
    format!("{saved:.4} saved by not compiling, {spent}, {:.4} {result}", gained.abs())
}

/// `started 2026-05-04 10:11:12 UTC, took 12.3 s, exit code 0`.
fn session(report: &Report) -> String {
    let mut parts = Vec::new();
    if let Some(started) = report.started {
        parts.push(format!("started {}", started.strftime("%Y-%m-%d %H:%M:%S UTC")));
    }
    parts.push(format!("took {}", duration(report.duration_ms)));
    parts.extend(report.exit_code.map(|code| format!("exit code {code}")));
    if report.noop {
        parts.push("nothing had changed: cargo was started without a plan".into());
    }
    if !report.complete {
        parts.push("incomplete: the session did not come to its end".into());
    }
    parts.join(", ")
}

/// `plan 0.0–0.1 s, prefetch 0.1–1.4 s`.
fn phases(report: &Report) -> String {
    let seconds = |millis: u64| format!("{}.{}", millis / 1000, millis % 1000 / 100);
    let spans = report.phases.iter().map(|span| {
        let end = span.end_ms.map_or_else(|| "?".to_owned(), seconds);
        format!("{} {}–{end} s", name(span.phase), seconds(span.start_ms))
    });
    spans.collect::<Vec<_>>().join(", ")
}

/// `16: 3 hits (2 remote, 1 local; 3 before cargo started), 14 misses, 2 not cacheable`.
fn unit_counts(report: &Report) -> String {
    let totals = &report.totals;
    let hits = match totals.hits {
        0 => String::new(),
        hits => format!(
            "{} ({} remote, {} local; {} before cargo started)",
            counted(hits, "hit", "hits"),
            totals.hits_remote,
            totals.hits_local,
            totals.hydrated
        ),
    };
    let misses = if totals.misses == 1 { "miss" } else { "misses" };
    let others = [
        (totals.misses, misses),
        (totals.uncacheable, "not cacheable"),
        (totals.fresh, "fresh"),
        (totals.not_reached, "not reached"),
    ];
    let others = others.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let parts: Vec<_> = [hits].into_iter().filter(|hits| !hits.is_empty()).chain(others).collect();
    let planned = match parts.is_empty() {
        true => "none were planned".into(),
        false => format!("{}: {}", totals.units, parts.join(", ")),
    };
    match report.passed_through.len() {
        0 => planned,
        calls => format!("{planned}; calls of rustc for none of them: {calls}"),
    }
}

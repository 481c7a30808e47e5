//! The report as a table: units by what happened to them, what keeps the others from being hits, and at the end, where
//! the eye is, the totals.

use std::cmp::Reverse;
use std::io::{self, Write};

use anstyle::Style;

use super::grid::{Column, Grid};
use super::{View, advice, causes};
use crate::report::present::lines::{ATTENTION, BAD, GOOD, NOTE, QUIET, line};
use crate::report::present::{
    any, bytes, capitalized, counted, duration, joined, money, name, precise, reason, times, timestamp, title, traffic,
    units,
};
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
    units.sort_by_cached_key(|unit| (OutcomeKind::of(&unit.outcome), Reverse(unit.outcome.compile_ms()), name(unit)));
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
        let cells = [title(unit), reason, seconds(outcome.compile_ms()), seconds(outcome.restore_ms())];
        let [unit, reason, compile, restore] = cells;
        let size = outcome.size().map_or_else(String::new, bytes);
        grid.add(style, &verb, [unit, reason, compile, restore, size]);
    }
    if !rest.is_empty() {
        let sum = |of: fn(&Outcome) -> Option<u64>| {
            rest.iter().filter_map(|unit| of(&unit.outcome)).reduce(u64::saturating_add)
        };
        let title = format!("… and {} more, each with --all", rest.len());
        let size = sum(Outcome::size).map_or_else(String::new, bytes);
        grid.add(
            QUIET,
            "",
            [title, String::new(), seconds(sum(Outcome::compile_ms)), seconds(sum(Outcome::restore_ms)), size],
        );
    }
}

/// As a status line has it.
pub(super) fn verb(kind: OutcomeKind) -> (Style, String) {
    let style = match kind {
        OutcomeKind::Failed => BAD,
        OutcomeKind::Miss | OutcomeKind::Uncacheable => ATTENTION,
        OutcomeKind::RemoteHit | OutcomeKind::LocalHit => GOOD,
        OutcomeKind::Fresh => NOTE,
        OutcomeKind::NotReached => QUIET,
    };
    (style, capitalized(&name(kind)))
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
    if let Some(left) = report.not_uploaded_without_advice() {
        warn(out, &format!("not uploaded: {}; `cargo xcache push` sends them", units(left)))?;
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
    line(out, view.width, NOTE, "Time", &times(totals.compile_ms, totals.restore_ms, totals.saved_ms))?;
    if let Some(remote) = &report.remote {
        let traffic = traffic(totals.requests, totals.received_bytes, totals.sent_bytes);
        line(out, view.width, NOTE, "Remote", &format!("{remote}: {traffic}"))?;
    }
    report.costs.iter().try_for_each(|costs| line(out, view.width, NOTE, "Costs", &money(costs)))
}

/// `started 2026-05-04 10:11:12 UTC, took 12.3 s, exit code 0`.
fn session(report: &Report) -> String {
    joined([
        report.started.map(|started| format!("started {}", timestamp(started))),
        Some(format!("took {}", duration(report.duration_ms))),
        report.exit_code.map(|code| format!("exit code {code}")),
        report.noop.then(|| "nothing had changed: cargo was started without a plan".into()),
        (!report.complete).then(|| "incomplete: the session did not come to its end".into()),
    ])
}

/// `plan 0.0–0.1 s, prefetch 0.1–1.4 s`.
fn phases(report: &Report) -> String {
    let seconds = |millis: u64| format!("{}.{}", millis / 1000, millis % 1000 / 100);
    let spans = report.phases.iter().map(|span| {
        let end = span.end_ms.map_or_else(|| "?".to_owned(), seconds);
        Some(format!("{} {}–{end} s", name(span.phase), seconds(span.start_ms)))
    });
    joined(spans)
}

/// `16: 3 hits (2 remote, 1 local; 3 before cargo started), 14 misses, 2 not cacheable`.
fn unit_counts(report: &Report) -> String {
    let totals = &report.totals;
    let hits = format!(
        "{} ({} remote, {} local; {} before cargo started)",
        counted(totals.hits, "hit", "hits"),
        totals.hits_remote,
        totals.hits_local,
        totals.hydrated
    );
    let outcomes = joined([
        (totals.hits > 0).then_some(hits),
        any(totals.misses, "miss", "misses"),
        any(totals.uncacheable, "not cacheable", "not cacheable"),
        any(totals.fresh, "fresh", "fresh"),
        any(totals.not_reached, "not reached", "not reached"),
    ]);
    let planned = match outcomes.is_empty() {
        true => "none were planned".into(),
        false => format!("{}: {outcomes}", totals.units),
    };
    match report.passed_through.len() {
        0 => planned,
        calls => format!("{planned}; calls of rustc for none of them: {calls}"),
    }
}

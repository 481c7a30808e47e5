//! The report as tables: the units by outcome, the causes of misses, advice and problems. The totals come last, where a
//! terminal shows them.

use std::cmp::Reverse;
use std::io::{self, Write};

use anstyle::Style;

use super::grid::{Column, Grid};
use super::{View, causes};
use crate::report::present::lines::{ATTENTION, BAD, GOOD, NOTE, QUIET, line};
use crate::report::present::{
    bytes, capitalized, counted, duration, joined, money, name, nonzero, precise, problems, reason, times, timestamp,
    title, traffic,
};
use crate::report::{Outcome, OutcomeKind, Report, UnitReport};

/// The number of rows for units that were not compiled, unless the user asks for all.
const SHOWN: usize = 10;

/// Writes the whole report.
pub fn table(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    if let Some(reason) = &report.unproven {
        let text = format!("this cargo is not proven: {reason}; the rustc wrapper restores hits");
        line(out, view.width, NOTE, "Note", &text)?;
        writeln!(out)?;
    }
    units_table(report, view).write(out)?;
    causes::write(report, view, out)?;
    if !report.units.is_empty() {
        writeln!(out)?;
    }
    advice(report, view, out)?;
    let plan_failed = report.plan_failed.iter().map(|reason| format!("there was no plan: {reason}"));
    let mut warnings = plan_failed.chain(problems(report));
    warnings.try_for_each(|warning| line(out, view.width, ATTENTION, "Warning", &warning))?;
    totals(report, view, out)
}

/// Writes all advice, each with its action below it.
fn advice(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    for advice in &report.advice {
        let message = format!("{} ({})", advice.message, name(advice.name));
        line(out, view.width, ATTENTION, "Advice", &message)?;
        advice.action.lines().try_for_each(|action| line(out, view.width, NOTE, "", action))?;
    }
    if report.advice.is_empty() { Ok(()) } else { writeln!(out) }
}

fn units_table(report: &Report, view: View) -> Grid {
    let (text, number, optional) = (Column::Text, Column::Number, Column::Optional);
    let columns = [("unit", text), ("reason", text), ("compile", number), ("restore", optional), ("size", optional)];
    let mut grid = Grid::new(view.width, &columns);
    let mut units: Vec<_> = report.units.iter().collect();
    let name = |unit: &UnitReport| (unit.package.clone(), unit.version.clone(), unit.kind.clone());
    units.sort_by_cached_key(|unit| (OutcomeKind::of(&unit.outcome), Reverse(unit.outcome.compile_ms()), name(unit)));
    for of_kind in units.chunk_by(|one, other| OutcomeKind::of(&one.outcome) == OutcomeKind::of(&other.outcome)) {
        add_kind(&mut grid, of_kind, view.all, report.unproven.is_some());
    }
    grid
}

/// Adds the units of one kind. If the wrapper restores all hits, the rows do not repeat that as a reason.
fn add_kind(grid: &mut Grid, units: &[&UnitReport], all: bool, by_the_wrapper: bool) {
    let kind = OutcomeKind::of(&units[0].outcome);
    let (style, verb) = verb(kind);
    let (shown, rest, more) = shown(units, all || kind.is_compiled());
    let numbers = |units: &[&UnitReport]| {
        let sum = |of: fn(&Outcome) -> Option<u64>| {
            units.iter().filter_map(|unit| of(&unit.outcome)).reduce(u64::saturating_add)
        };
        let words = |value: Option<u64>, words: fn(u64) -> String| value.map_or_else(String::new, words);
        let [compile, restore] = [Outcome::compile_ms, Outcome::restore_ms].map(|of| words(sum(of), precise));
        [compile, restore, words(sum(Outcome::size), bytes)]
    };
    for unit in shown {
        let is_hit = matches!(unit.outcome, Outcome::Hit { .. });
        let reason = if by_the_wrapper && is_hit { String::new() } else { reason(&unit.outcome) };
        let [compile, restore, size] = numbers(&[*unit]);
        grid.add(style, &verb, [title(unit), reason, compile, restore, size]);
    }
    if let Some(more) = more {
        let [compile, restore, size] = numbers(rest);
        grid.add(QUIET, "", [more, String::new(), compile, restore, size]);
    }
}

/// The items that get a row of their own, the others, and a text for a common row of these.
pub(super) fn shown<T>(items: &[T], all: bool) -> (&[T], &[T], Option<String>) {
    let is_long = !all && items.len() > SHOWN + 1;
    let (shown, rest) = items.split_at(if is_long { SHOWN } else { items.len() });
    (shown, rest, is_long.then(|| format!("… and {} more, each with --all", rest.len())))
}

/// The verb of a row.
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
        nonzero(totals.misses, "miss", "misses"),
        nonzero(totals.uncacheable, "not cacheable", "not cacheable"),
        nonzero(totals.fresh, "fresh", "fresh"),
        nonzero(totals.not_reached, "not reached", "not reached"),
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

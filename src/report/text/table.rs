//! The report as tables: the units by outcome, the causes of misses, advice and problems. The totals come last, where a
//! terminal shows them.

use std::cmp::Reverse;
use std::io::{self, Write};

use anstyle::Style;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::View;
use super::grid::{Column, Grid};
use crate::report::outcome::{CompileCause, Sum, grouped};
use crate::report::present::lines::{ATTENTION, BAD, GOOD, NOTE, QUIET, line, lines};
use crate::report::present::{
    bytes, capitalized, duration, joined, money, name, nonzero, precise, problems, reason, times, timestamp, title,
    traffic, units,
};
use crate::report::{Outcome, OutcomeKind, Report, UnitReport};

const HEADING: Style = Style::new().bold();

/// Writes the whole report.
pub fn table(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    if let Some(reason) = &report.unproven {
        let text = format!("this cargo is not proven: {reason}; the rustc wrapper restores hits");
        line(out, view.width, NOTE, "Note", &text)?;
        writeln!(out)?;
    }
    units_table(report, view).write(out)?;
    causes(report, view, out)?;
    if !report.units.is_empty() {
        writeln!(out)?;
    }
    advice(report, view, out)?;
    let plan_failed = report.plan_failed.iter().map(|reason| format!("there was no plan: {reason}"));
    let mut warnings = plan_failed.chain(problems(report));
    warnings.try_for_each(|warning| line(out, view.width, ATTENTION, "Warning", &warning))?;
    totals(report, view, out)
}

fn units_table(report: &Report, view: View) -> Grid {
    let (text, number, optional) = (Column::Text, Column::Number, Column::Optional);
    let columns = [("unit", text), ("reason", text), ("compile", number), ("restore", optional), ("size", optional)];
    let mut grid = Grid::new(view.width, &columns);
    let mut units: Vec<_> = report.units.iter().collect();
    let name = |unit: &UnitReport| (unit.package.clone(), unit.version.clone(), unit.kind.clone());
    units.sort_by_cached_key(|unit| (unit.outcome.kind(), Reverse(unit.outcome.compile_ms()), name(unit)));
    for of_kind in units.chunk_by(|one, other| one.outcome.kind() == other.outcome.kind()) {
        let kind = of_kind[0].outcome.kind();
        let row = |unit: &&UnitReport| {
            // If the wrapper restores all hits, the rows do not repeat that as a reason.
            let is_implied = report.unproven.is_some() && matches!(unit.outcome, Outcome::Hit { .. });
            let reason = if is_implied { String::new() } else { reason(&unit.outcome) };
            cells(title(unit), reason, Sum::of([*unit]))
        };
        let rest = |units: &[&UnitReport]| cells(String::new(), String::new(), Sum::of(units.iter().copied()));
        grid.add_group(verb(kind), of_kind, view.all || kind.is_compiled(), row, rest);
    }
    grid
}

fn cells(title: String, reason: String, sum: Sum) -> [String; 5] {
    let numbers = [sum.compile_ms.map(precise), sum.restore_ms.map(precise), sum.bytes.map(bytes)];
    let [compile, restore, size] = numbers.map(Option::unwrap_or_default);
    [title, reason, compile, restore, size]
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

/// Writes a heading and a row for each cause of a compilation, the most expensive first; nothing if there is no cause.
fn causes(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    let causes = grouped(&report.units, CompileCause::of);
    if causes.is_empty() {
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = view.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for (cause, _, sum) in causes {
        let (description, advice) = cause.describe();
        table.add_row([
            Cell::new(cause.name()),
            Cell::new(units(sum.units)).set_alignment(CellAlignment::Right),
            Cell::new(duration(sum.compile_ms())).set_alignment(CellAlignment::Right),
            Cell::new([description].into_iter().chain(advice).collect::<Vec<_>>().join("\n")),
        ]);
    }
    writeln!(out, "\n{HEADING}Not cached, and what would change that{HEADING:#}\n")?;
    writeln!(out, "{}", table.trim_fmt())
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

fn totals(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    let totals = &report.totals;
    let traffic = traffic(totals.requests, totals.received_bytes, totals.sent_bytes);
    let texts = [
        ("Session", Some(format!("cargo {}", report.command.join(" ")))),
        ("", Some(session(report))),
        ("Phases", Some(phases(report)).filter(|phases| !phases.is_empty())),
        ("Units", Some(unit_counts(report))),
        ("Time", Some(times(totals.compile_ms, totals.restore_ms, totals.saved_ms))),
        ("Remote", report.remote.as_ref().map(|remote| format!("{remote}: {traffic}"))),
        ("Costs", report.costs.as_ref().map(money)),
    ];
    lines(out, view.width, NOTE, texts)
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
    joined(report.phases.iter().map(|span| {
        let end = span.end_ms.map_or_else(|| "?".to_owned(), seconds);
        Some(format!("{} {}–{end} s", name(span.phase), seconds(span.start_ms)))
    }))
}

/// `16: 3 hits (2 remote, 1 local; 3 before cargo started), 14 misses, 2 not cacheable`.
fn unit_counts(report: &Report) -> String {
    let totals = &report.totals;
    let hits = nonzero(totals.hits, "hit", "hits").map(|hits| {
        let (remote, local, hydrated) = (totals.hits_remote, totals.hits_local, totals.hydrated);
        format!("{hits} ({remote} remote, {local} local; {hydrated} before cargo started)")
    });
    let outcomes = joined([
        hits,
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

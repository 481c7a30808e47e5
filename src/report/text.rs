//! The report in words: a [`summary`] of a few lines after a build, and the [`table`] of every unit.
//!
//! Both write ANSI styles; whoever owns the stream strips them where they are not wanted. Neither asks the terminal
//! anything: the width is an argument.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::reasons::{describe_miss, miss_advice, name};
use super::{Count, Outcome, Report, Totals, UnitReport};
use crate::event::{MissReason, Reason, Tier};

/// The style of a status verb, as cargo has it.
const STATUS: Style = AnsiColor::Green.on_default().bold();
const HEADING: Style = Style::new().bold();

/// One to three lines after a build, in cargo's manner. Nothing where neither a hit nor a miss happened.
pub fn summary(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let totals = &report.totals;
    if totals.hits + totals.misses > 0 {
        status(out, "Cached", cached(totals, report))?;
        if let Some(compiled) = compiled(report) {
            status(out, "Compiled", compiled)?;
        }
    }
    match (totals.uploaded, totals.not_uploaded) {
        (0, 0) => Ok(()),
        (sent, 0) => status(out, "Uploaded", format!("{} ({})", units(sent), bytes(totals.uploaded_bytes))),
        (sent, left) => {
            let rest = "the rest stays in the local store: `cargo xcache push` sends it";
            status(out, "Uploaded", format!("{sent} of {}; {rest}", units(sent + left)))
        }
    }
}

/// `12.3 MB`.
pub fn bytes(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

/// `0.4 s`, `41.3 s`, `3m 05s`.
pub fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{}.{} s", seconds, millis % 1000 / 100),
        _ => format!("{}m {:02}s", seconds / 60, seconds % 60),
    }
}

fn status(out: &mut dyn Write, verb: &str, message: impl Display) -> io::Result<()> {
    writeln!(out, "{STATUS}{verb:>12}{STATUS:#} {message}")
}

/// `153 of 180 units (12 local, 141 remote, 84.2 MB), saved 41.3 s of compile time`.
fn cached(totals: &Totals, report: &Report) -> String {
    let asked = totals.hits + report.units.iter().filter(|unit| unit.outcome.compiled_ms().is_some()).count();
    let mut origins = Vec::new();
    if totals.hits_local > 0 {
        origins.push(format!("{} local", totals.hits_local));
    }
    if totals.hits_remote > 0 {
        origins.push(format!("{} remote", totals.hits_remote));
        origins.push(bytes(totals.received_bytes));
    }
    let mut line = format!("{} of {}", totals.hits, units(asked));
    if !origins.is_empty() {
        line += &format!(" ({})", origins.join(", "));
    }
    if totals.saved_ms >= 100 {
        line += &format!(", saved {} of compile time", duration(totals.saved_ms));
    }
    line
}

/// `3 misses, 24 not cacheable (8 proc-macro, 10 build-script)`. A miss that could not be recorded will be one again:
/// it counts by that reason.
fn compiled(report: &Report) -> Option<String> {
    let mut misses = 0;
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    for unit in &report.units {
        match unit.outcome {
            Outcome::Uncacheable { reason, compile_ms: Some(_), .. }
            | Outcome::Miss { not_recorded: Some(reason), .. } => *reasons.entry(reason).or_default() += 1,
            Outcome::Miss { .. } => misses += 1,
            _ => {}
        }
    }
    let mut parts = Vec::new();
    match misses {
        0 => {}
        1 => parts.push("1 miss".to_owned()),
        misses => parts.push(format!("{misses} misses")),
    }
    if !reasons.is_empty() {
        let list: Vec<_> = reasons.iter().map(|(reason, units)| format!("{units} {}", name(reason))).collect();
        parts.push(format!("{} not cacheable ({})", reasons.values().sum::<usize>(), list.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn units(number: usize) -> String {
    format!("{number} {}", if number == 1 { "unit" } else { "units" })
}

/// The whole report: a header, a row for every unit, and what keeps the others from being hits.
///
/// `width` is the terminal's; without it, lines are as long as they need to be.
pub fn table(report: &Report, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    header(report, out)?;
    if !report.units.is_empty() {
        writeln!(out, "\n{}", units_table(report, width).trim_fmt())?;
    }
    let causes = causes(report);
    if !causes.is_empty() {
        writeln!(out, "\n{HEADING}Not cached, and what would change that{HEADING:#}\n")?;
        writeln!(out, "{}", causes_table(&causes, width).trim_fmt())?;
    }
    Ok(())
}

fn header(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let totals = &report.totals;
    writeln!(out, "{HEADING}cargo {}{HEADING:#}", report.command.join(" "))?;
    writeln!(out, "{}", session_line(report))?;
    if !report.phases.is_empty() {
        writeln!(out, "phases: {}", phases(report))?;
    }
    writeln!(
        out,
        "units: {} hits ({} local, {} remote; {} before cargo started), {} fresh, {} misses, {} not cacheable, {} not reached",
        totals.hits,
        totals.hits_local,
        totals.hits_remote,
        totals.hydrated,
        totals.fresh,
        totals.misses,
        totals.uncacheable,
        totals.not_reached
    )?;
    writeln!(
        out,
        "time: {} compiling, {} restoring, {} of compile time saved",
        duration(totals.compile_ms),
        duration(totals.restore_ms),
        duration(totals.saved_ms)
    )?;
    if let Some(remote) = &report.remote {
        let (requests, received, sent) = (totals.requests, bytes(totals.received_bytes), bytes(totals.sent_bytes));
        writeln!(out, "remote {remote}: {requests} requests, {received} received, {sent} sent")?;
    }
    remarks(report, out)
}

/// `started 2026-05-04 10:11:12 UTC, took 12.3 s, exit code 0`.
fn session_line(report: &Report) -> String {
    let mut parts = Vec::new();
    if let Some(started) = report.started {
        parts.push(format!("started {}", started.strftime("%Y-%m-%d %H:%M:%S UTC")));
    }
    parts.push(format!("took {}", duration(report.duration_ms)));
    if let Some(code) = report.exit_code {
        parts.push(format!("exit code {code}"));
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

fn remarks(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.settled {
        writeln!(out, "the same command had succeeded before: cargo was started without a plan")?;
    }
    for unit in &report.units {
        if let Some(reason) = &unit.rejected {
            let (package, version, target) = (&unit.package, &unit.version, &unit.target);
            writeln!(out, "cargo did not take {package} {version} ({target}) as fresh: {reason}")?;
        }
    }
    if let Some(reason) = &report.plan_failed {
        writeln!(out, "no plan: {reason}")?;
    }
    if let Some(failure) = &report.remote_failed {
        writeln!(out, "remote given up: {}", failure.message)?;
    }
    if report.totals.not_uploaded > 0 {
        writeln!(out, "not uploaded: {}; `cargo xcache push` sends them", units(report.totals.not_uploaded))?;
    }
    if !report.passed_through.is_empty() {
        writeln!(out, "rustc calls outside the plan: {}", report.passed_through.len())?;
    }
    for corrupt in &report.corrupt_objects {
        writeln!(out, "corrupt, ignored: {}: {}", corrupt.object, corrupt.reason)?;
    }
    report.warnings.iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))
}

fn units_table(report: &Report, width: Option<u16>) -> Table {
    let mut units: Vec<_> = report.units.iter().collect();
    units.sort_by_key(|unit| (std::cmp::Reverse(unit.outcome.spent_ms()), &unit.package, &unit.version, &unit.kind));
    let mut table = plain_table(width);
    table.set_header(["package", "version", "target", "outcome", "reason", "compile ms", "restore ms", "bytes"]);
    for unit in units {
        table.add_row(row(unit));
    }
    for column in 5..8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn row(unit: &UnitReport) -> [String; 8] {
    let (outcome, reason, compile, restore, bytes) = match &unit.outcome {
        Outcome::Hit { tier, restored_bytes, restore_ms, compile_ms, .. } => {
            let outcome = if *tier == Tier::Local { "hit (local)" } else { "hit (remote)" };
            (outcome, String::new(), Some(*compile_ms), Some(*restore_ms), Some(*restored_bytes))
        }
        Outcome::Fresh => ("fresh", String::new(), None, None, None),
        Outcome::Miss { compile_ms, recorded_bytes, failed, .. } => {
            let outcome = if *failed { "miss, failed" } else { "miss" };
            (outcome, miss_reason(&unit.outcome), Some(*compile_ms), None, *recorded_bytes)
        }
        Outcome::Uncacheable { reason, compile_ms, failed } => {
            let outcome = if *failed { "uncacheable, failed" } else { "uncacheable" };
            (outcome, name(reason), *compile_ms, None, None)
        }
        Outcome::NotReached => ("not reached", String::new(), None, None, None),
    };
    let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let (package, version) = (unit.package.clone(), unit.version.clone());
    [package, version, target(unit), outcome.into(), reason, number(compile), number(restore), number(bytes)]
}

/// `absent; not recorded: native`.
fn miss_reason(outcome: &Outcome) -> String {
    let Outcome::Miss { reason, path_bound, not_recorded, .. } = outcome else { return String::new() };
    let mut parts = Vec::from_iter(reason.map(name));
    if *path_bound {
        parts.push("recorded path-bound".into());
    }
    parts.extend(not_recorded.map(|reason| format!("not recorded: {}", name(reason))));
    parts.join("; ")
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

/// What keeps a unit from being a hit. Each unit has one cause: the one that holds for the next build, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Reason(Reason),
    Miss(Option<MissReason>),
}

impl Cause {
    fn of(outcome: &Outcome) -> Option<Self> {
        match *outcome {
            Outcome::Uncacheable { reason, .. } | Outcome::Miss { not_recorded: Some(reason), .. } => {
                Some(Self::Reason(reason))
            }
            Outcome::Miss { path_bound: true, .. } => Some(Self::Reason(Reason::PathBound)),
            Outcome::Miss { reason, .. } => Some(Self::Miss(reason)),
            Outcome::Hit { .. } | Outcome::Fresh | Outcome::NotReached => None,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Reason(reason) => name(reason),
            Self::Miss(Some(reason)) => format!("miss: {}", name(reason)),
            Self::Miss(None) => "miss".into(),
        }
    }

    fn words(self) -> String {
        let (description, advice) = match self {
            Self::Reason(reason) => (reason.describe(), reason.advice()),
            Self::Miss(Some(reason)) => (describe_miss(reason), miss_advice(reason)),
            Self::Miss(None) => ("the log does not say why", None),
        };
        advice.map_or_else(|| description.to_owned(), |advice| format!("{description}\n{advice}"))
    }
}

/// The causes, the most expensive first.
fn causes(report: &Report) -> Vec<(Cause, Count)> {
    let mut causes: BTreeMap<Cause, Count> = BTreeMap::new();
    for outcome in report.units.iter().map(|unit| &unit.outcome) {
        if let Some(cause) = Cause::of(outcome) {
            causes.entry(cause).or_default().add(outcome.compiled_ms().unwrap_or(0));
        }
    }
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse((count.compile_ms, count.units)));
    causes
}

fn causes_table(causes: &[(Cause, Count)], width: Option<u16>) -> Table {
    let mut table = plain_table(width);
    for (cause, count) in causes {
        let units = format!("{} {}", count.units, if count.units == 1 { "unit" } else { "units" });
        table.add_row([
            Cell::new(cause.name()),
            Cell::new(units).set_alignment(CellAlignment::Right),
            Cell::new(duration(count.compile_ms)).set_alignment(CellAlignment::Right),
            Cell::new(cause.words()),
        ]);
    }
    table
}

/// No lines, two spaces between columns.
fn plain_table(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;

//! The report as text: a [`summary`] of a few lines after a build, the [`table`] of its units, the [`sessions`] of a
//! target directory, the [`comparison`] of two, and [`stats`] over all.
//!
//! All write ANSI styles, and leave it to the owner of the stream to strip them. None queries the terminal: the width
//! is in the [`View`].

mod comparison;
mod grid;
mod table;

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;

pub use self::comparison::comparison;
use self::grid::{Column, Grid};
pub use self::table::table;
pub use super::present::bytes;
use super::present::lines::{BAD, GOOD, NOTE, QUIET, lines};
use super::present::{duration, joined, money, name, nonzero, times, timestamp, traffic, units};
use super::sessions::{Session, Sessions};
use super::stats::{Stats, Tally};
use super::{Outcome, Report, Totals};
use crate::event::UncacheableReason;

/// The width of the output, and how much of the report it shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// The terminal's width; without it, lines may have any length.
    pub width: Option<u16>,
    /// Whether every unit has a row. If not, only the most expensive of the units that were not compiled have one.
    pub all: bool,
}

/// Writes up to three lines after a build, in cargo's style. The first two are absent if there was neither a hit nor a
/// miss.
pub fn summary(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let totals = &report.totals;
    let is_cached = totals.hits + totals.misses > 0;
    let rest = "the rest stays in the local store: `cargo xcache push` sends it";
    let uploaded = match (totals.uploaded, totals.not_uploaded) {
        (0, 0) => None,
        (sent, 0) => Some(format!("{} ({})", units(sent), bytes(totals.uploaded_bytes))),
        (sent, left) => Some(format!("{sent} of {}; {rest}", units(sent + left))),
    };
    let texts = [
        ("Cached", is_cached.then(|| cached(totals, report))),
        ("Compiled", compiled(report).filter(|_| is_cached)),
        ("Uploaded", uploaded),
    ];
    lines(out, None, GOOD, texts)
}

/// `153 of 180 units (12 local, 141 remote, 84.2 MB), saved 41.3 s of compile time`.
fn cached(totals: &Totals, report: &Report) -> String {
    let built = totals.hits + report.units.iter().filter(|unit| unit.outcome.compiled_ms().is_some()).count();
    let remote = nonzero(totals.hits_remote, "remote", "remote");
    let received = remote.as_ref().map(|_| bytes(totals.received_bytes));
    let origins = match joined([nonzero(totals.hits_local, "local", "local"), remote, received]) {
        origins if origins.is_empty() => origins,
        origins => format!(" ({origins})"),
    };
    let cached = format!("{} of {}{origins}", totals.hits, units(built));
    let saved = format!("saved {} of compile time", duration(totals.saved_ms));
    joined([Some(cached), (totals.saved_ms >= 100).then_some(saved)])
}

/// `3 misses, 24 not cacheable (8 proc-macro, 10 build-script)`. A miss that could not be recorded will be a miss
/// again, so it counts as not cacheable.
fn compiled(report: &Report) -> Option<String> {
    let mut misses = 0;
    let mut reasons: BTreeMap<UncacheableReason, usize> = BTreeMap::new();
    for unit in &report.units {
        match unit.outcome {
            Outcome::Uncacheable { reason, compile_ms: Some(_), .. }
            | Outcome::Miss { not_recorded: Some(reason), .. } => *reasons.entry(reason).or_default() += 1,
            Outcome::Miss { .. } => misses += 1,
            _ => {}
        }
    }
    let list = joined(reasons.iter().map(|(reason, units)| Some(format!("{units} {}", name(reason)))));
    let not_cacheable = format!("{} not cacheable ({list})", reasons.values().sum::<usize>());
    let text = joined([nonzero(misses, "miss", "misses"), (!reasons.is_empty()).then_some(not_cacheable)]);
    (!text.is_empty()).then_some(text)
}

/// Writes the sessions, newest first, with their times in UTC and with the numbers that `--compare` accepts.
pub fn sessions(sessions: &Sessions, view: View, out: &mut dyn Write) -> io::Result<()> {
    let texts = ["started", "command"].map(|name| (name, Column::Text));
    let numbers = ["took", "hits", "misses", "saved"].map(|name| (name, Column::Number));
    let optional = ["uncacheable", "received", "fresh"].map(|name| (name, Column::Optional));
    let columns = [&[("#", Column::Number)][..], &texts, &numbers, &optional].concat();
    let mut grid = Grid::new(view.width, &columns);
    for (index, session) in sessions.sessions.iter().enumerate() {
        let count = |units: usize| if session.units == 0 { String::new() } else { units.to_string() };
        let nonzero = |value: u64, words: fn(u64) -> String| if value > 0 { words(value) } else { String::new() };
        let cells = [
            index.to_string(),
            session.started.map_or_else(String::new, |started| started.strftime("%m-%d %H:%M:%S").to_string()),
            session.command.join(" "),
            duration(session.duration_ms),
            count(session.hits),
            count(session.misses),
            nonzero(session.saved_ms, duration),
            count(session.uncacheable),
            nonzero(session.received_bytes, bytes),
            count(session.fresh),
        ];
        let (style, verb) = end(session);
        grid.add(style, verb, cells);
    }
    grid.write(out)
}

/// How a session ended.
fn end(session: &Session) -> (Style, &'static str) {
    match session.exit_code {
        _ if !session.complete => (BAD, "Incomplete"),
        Some(0) if session.noop && session.units == 0 => (QUIET, "No change"),
        Some(0) => (GOOD, "Built"),
        Some(_) => (BAD, "Failed"),
        None => (NOTE, "Ended"),
    }
}

/// Writes the sums over all sessions and the size of the local store, a line for each subject.
pub fn stats(stats: &Stats, view: View, out: &mut dyn Write) -> io::Result<()> {
    let Stats { schema_version: _, tally, store, costs } = stats;
    let Tally { sessions, hits, hits_local, hits_remote, misses, uncacheable, .. } = tally;
    let count = |number: u64, what: &str| (number > 0).then(|| format!("{number} {what}"));
    let sessions =
        joined([Some(sessions.to_string()), count(tally.failed, "failed"), count(tally.noop, "with nothing to do")]);
    let rate = hits.saturating_mul(100).checked_div(hits.saturating_add(*misses));
    let rate = rate.map_or_else(String::new, |rate| format!(": {rate} %"));
    let hits = format!("{hits} hits ({hits_remote} remote, {hits_local} local)");
    let (entries, size, max) = (units(store.entries), bytes(store.bytes), bytes(store.max_bytes));
    let texts = [
        ("Since", tally.since.map(timestamp)),
        ("Sessions", Some(sessions)),
        ("Units", Some(format!("{hits}, {misses} misses{rate}; {uncacheable} not cacheable"))),
        ("Time", Some(times(tally.compile_ms, tally.restore_ms, tally.saved_ms))),
        ("Remote", Some(traffic(tally.requests, tally.received_bytes, tally.sent_bytes))),
        ("Store", Some(format!("{}: {entries} in {} files, {size} of at most {max}", store.directory, store.files))),
        ("Costs", costs.as_ref().map(money)),
    ];
    lines(out, view.width, NOTE, texts)
}

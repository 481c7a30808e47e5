//! A comparison of two builds: the units that changed, grouped by outcome, and the totals of both at the end.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::View;
use super::grid::{Column, Grid};
use super::table::verb;
use crate::report::compare::{Comparison, UnitChange};
use crate::report::present::lines::{ATTENTION, NOTE, QUIET, lines};
use crate::report::present::{bytes, duration, joined, name, precise, reason, timestamp, title, units};
use crate::report::sessions::Session;
use crate::report::{OutcomeKind, UnitReport};

/// The name of a total, its value, and its format.
type Total = (&'static str, fn(&Session) -> u64, fn(u64) -> String);

/// The totals that are compared.
const TOTALS: [Total; 11] = [
    ("Took", |session| session.duration_ms, duration),
    ("Hits", |session| session.hits as u64, number),
    ("Misses", |session| session.misses as u64, number),
    ("Uncacheable", |session| session.uncacheable as u64, number),
    ("Fresh", |session| session.fresh as u64, number),
    ("Compiling", |session| session.compile_ms, duration),
    ("Saved", |session| session.saved_ms, duration),
    ("Received", |session| session.received_bytes, bytes),
    ("Sent", |session| session.sent_bytes, bytes),
    ("Requests", |session| session.requests, number),
    ("Not reached", |session| session.not_reached as u64, number),
];

fn number(number: u64) -> String {
    number.to_string()
}

/// Writes the comparison.
pub fn comparison(comparison: &Comparison, view: View, out: &mut dyn Write) -> io::Result<()> {
    changes(&comparison.changed, view).write(out)?;
    if !comparison.changed.is_empty() {
        writeln!(out)?;
    }
    let (changed, unchanged) = (units(comparison.changed.len()), comparison.unchanged);
    let texts = [
        ("Before", Some(session(&comparison.before))),
        ("After", Some(session(&comparison.after))),
        ("Units", Some(format!("{changed} changed, {unchanged} as before"))),
    ];
    lines(out, view.width, NOTE, texts)?;
    totals(comparison, view).write(out)
}

fn changes(changed: &[UnitChange], view: View) -> Grid {
    let (text, number) = (Column::Text, Column::Number);
    let columns = [("unit", text), ("was", text), ("reason", text), ("before", number), ("after", number)];
    let mut grid = Grid::new(view.width, &columns);
    let mut changed: Vec<_> = changed.iter().collect();
    let cost = |change: &UnitChange| spent(&change.after).max(spent(&change.before));
    // Units that still exist come first, and of these, the compiled ones.
    changed.sort_by_cached_key(|change| {
        (step(change).0.is_none(), step(change), Reverse(cost(change)), titles(change), reasons(change))
    });
    for group in changed.chunk_by(|one, other| step(one) == step(other)) {
        let (after, before) = step(group[0]);
        let verb = after.map_or_else(|| (NOTE, "Gone".to_owned()), verb);
        let was = before.map_or_else(|| "not there".to_owned(), |before| name(before).replace('-', " "));
        let row = |change: &&UnitChange| {
            let time = |unit| spent(unit).map_or_else(String::new, precise);
            [titles(change), was.clone(), reasons(change), time(&change.before), time(&change.after)]
        };
        let all = view.all || after.is_some_and(OutcomeKind::is_compiled);
        grid.add_group(verb, group, all, row, |_| Default::default());
    }
    grid
}

/// The outcomes of a changed unit: now, and before.
fn step(change: &UnitChange) -> (Option<OutcomeKind>, Option<OutcomeKind>) {
    let kind = |unit: &Option<UnitReport>| unit.as_ref().map(|unit| unit.outcome.kind());
    (kind(&change.after), kind(&change.before))
}

fn spent(unit: &Option<UnitReport>) -> Option<u64> {
    unit.as_ref()?.outcome.spent_ms()
}

/// `memchr 2.8.2 → 2.8.3`.
fn titles(change: &UnitChange) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) if before.version != after.version => {
            title(after).replacen(&after.version, &format!("{} → {}", before.version, after.version), 1)
        }
        (before, after) => after.as_ref().or(before.as_ref()).map_or_else(String::new, title),
    }
}

/// `dependency, was absent`, and the features that were added and removed.
fn reasons(change: &UnitChange) -> String {
    let is_compiled = |unit: &&UnitReport| unit.outcome.kind().is_compiled();
    let of = |unit: &Option<UnitReport>| {
        unit.as_ref().filter(is_compiled).map_or_else(String::new, |unit| reason(&unit.outcome))
    };
    let (before, after) = (of(&change.before), of(&change.after));
    let mut parts = match (before.as_str(), after.as_str()) {
        (before, after) if before == after || before.is_empty() => vec![after.to_owned()],
        (before, "") => vec![format!("was {before}")],
        (before, after) => vec![after.to_owned(), format!("was {before}")],
    };
    if let (Some(before), Some(after)) = (&change.before, &change.after) {
        for (one, other, sign) in [(after, before, '+'), (before, after, '-')] {
            let only = one.features.iter().filter(|feature| !other.features.contains(feature));
            parts.extend(only.map(|feature| format!("{sign}{feature}")));
        }
    }
    joined(parts.into_iter().map(Some))
}

/// `cargo build, started 2026-05-04 10:11:12 UTC, exit code 0`.
fn session(session: &Session) -> String {
    joined([
        Some(format!("cargo {}", session.command.join(" "))),
        session.started.map(|started| format!("started {}", timestamp(started))),
        session.exit_code.map(|code| format!("exit code {code}")),
        (session.noop && session.units == 0).then(|| "nothing was planned, since nothing had changed".into()),
        (!session.complete).then(|| "incomplete".into()),
    ])
}

fn totals(comparison: &Comparison, view: View) -> Grid {
    let number = Column::Number;
    let mut grid = Grid::new(view.width, &[("before", number), ("after", number), ("change", number)]);
    for (verb, value, words) in TOTALS {
        let (before, after) = (value(&comparison.before), value(&comparison.after));
        if (before, after) != (0, 0) {
            add_sum(&mut grid, verb, [Some(before), Some(after)], words);
        }
    }
    for phase in &comparison.phases {
        add_sum(&mut grid, &name(phase.phase), [phase.before_ms, phase.after_ms], duration);
    }
    grid
}

fn add_sum(grid: &mut Grid, verb: &str, values: [Option<u64>; 2], words: fn(u64) -> String) {
    let [before, after] = values.map(|value| value.map_or_else(|| "–".into(), words));
    let change = match values {
        [Some(before), Some(after)] if after > before => format!("+{}", words(after - before)),
        [Some(before), Some(after)] if after < before => format!("-{}", words(before - after)),
        _ => String::new(),
    };
    let change = if change.trim_start_matches(['+', '-']) == words(0) { String::new() } else { change };
    grid.add(if change.is_empty() { QUIET } else { ATTENTION }, verb, [before, after, change]);
}

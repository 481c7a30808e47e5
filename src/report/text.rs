//! The report in words: a [`summary`] of a few lines after a build, the [`table`] of its units, the [`sessions`] of a
//! directory, how two of them [differ](comparison), and [`stats`] over all.
//!
//! All write ANSI styles; whoever owns the stream strips them where they are not wanted. None asks the terminal anything:
//! the width is in the [`View`].

mod advice;
mod causes;
mod comparison;
mod grid;
mod sessions;
mod stats;
mod table;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use bytesize::ByteSize;

pub use self::comparison::comparison;
use self::grid::GOOD;
pub use self::sessions::sessions;
pub use self::stats::stats;
pub use self::table::table;
pub(super) use self::table::{reason, title};
use super::reasons::name;
use super::{Outcome, Report, Totals};
use crate::event::UncacheableReason;

/// How much is shown, and on what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// The terminal's width; without it, lines are as long as they need to be.
    pub width: Option<u16>,
    /// Every unit has a row, not just those that took longest of each kind.
    pub all: bool,
}

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

/// `0.04 s`, `41.30 s`, `3m 05s`: where many stand below each other.
fn precise(millis: u64) -> String {
    match millis {
        0..60_000 => format!("{}.{:02} s", millis / 1000, millis % 1000 / 10),
        _ => duration(millis),
    }
}

fn status(out: &mut dyn Write, verb: &str, message: impl Display) -> io::Result<()> {
    grid::line(out, None, GOOD, verb, &message.to_string())
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
    let mut reasons: BTreeMap<UncacheableReason, usize> = BTreeMap::new();
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

pub(super) fn units(number: usize) -> String {
    counted(number, "unit", "units")
}

pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;

//! The report as text: a [`summary`] of a few lines after a build, the [`table`] of its units, the [`sessions`] of a
//! target directory, the [`comparison`] of two, and [`stats`] over all.
//!
//! All write ANSI styles, and leave it to the owner of the stream to strip them. None queries the terminal: the width
//! is in the [`View`].

mod causes;
mod comparison;
mod grid;
mod sessions;
mod stats;
mod table;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

pub use self::comparison::comparison;
pub use self::sessions::sessions;
pub use self::stats::stats;
pub use self::table::table;
pub use super::present::bytes;
use super::present::lines::{self, GOOD};
use super::present::{duration, joined, name, nonzero, units};
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

fn status(out: &mut dyn Write, verb: &str, message: impl Display) -> io::Result<()> {
    lines::line(out, None, GOOD, verb, &message.to_string())
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

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;

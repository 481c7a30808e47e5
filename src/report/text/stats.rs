//! Sums over all sessions, and the size of the local store.

use std::io::{self, Write};

use super::View;
use crate::report::present::lines::{NOTE, line};
use crate::report::present::{bytes, money, times, timestamp, traffic, units};
use crate::report::stats::{Stats, Tally};

/// Writes the sums, a line for each subject.
pub fn stats(stats: &Stats, view: View, out: &mut dyn Write) -> io::Result<()> {
    let Stats { schema_version: _, tally, store, costs } = stats;
    if let Some(since) = tally.since {
        line(out, view.width, NOTE, "Since", &timestamp(since))?;
    }
    line(out, view.width, NOTE, "Sessions", &sessions(tally))?;
    line(out, view.width, NOTE, "Units", &outcomes(tally))?;
    line(out, view.width, NOTE, "Time", &times(tally.compile_ms, tally.restore_ms, tally.saved_ms))?;
    line(out, view.width, NOTE, "Remote", &traffic(tally.requests, tally.received_bytes, tally.sent_bytes))?;
    let (entries, size, max) = (units(store.entries), bytes(store.bytes), bytes(store.max_bytes));
    let contents = format!("{}: {entries} in {} files, {size} of at most {max}", store.directory, store.files);
    line(out, view.width, NOTE, "Store", &contents)?;
    costs.iter().try_for_each(|costs| line(out, view.width, NOTE, "Costs", &money(costs)))
}

/// `12, 1 failed, 4 with nothing to do`.
fn sessions(tally: &Tally) -> String {
    let mut text = tally.sessions.to_string();
    for (count, what) in [(tally.failed, "failed"), (tally.noop, "with nothing to do")] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}

/// `30 hits (20 remote, 10 local), 10 misses: 75 %; 4 not cacheable`.
fn outcomes(tally: &Tally) -> String {
    let Tally { hits, hits_local, hits_remote, misses, uncacheable, .. } = tally;
    let rate = match hits.saturating_add(*misses) {
        0 => String::new(),
        requested => format!(": {} %", hits.saturating_mul(100) / requested),
    };
    format!(
        "{hits} hits ({hits_remote} remote, {hits_local} local), {misses} misses{rate}; {uncacheable} not cacheable"
    )
}

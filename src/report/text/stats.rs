//! Sums over all sessions, and what the local store holds.

use std::io::{self, Write};

use super::grid::{NOTE, line};
use super::table::money;
use super::{View, bytes, duration, units};
use crate::report::stats::{Stats, Tally};

/// A line for each thing that is counted.
pub fn stats(stats: &Stats, view: View, out: &mut dyn Write) -> io::Result<()> {
    let Stats { schema_version: _, tally, store, costs } = stats;
    if let Some(since) = tally.since {
        line(out, view.width, NOTE, "Since", &since.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())?;
    }
    line(out, view.width, NOTE, "Sessions", &sessions(tally))?;
    line(out, view.width, NOTE, "Units", &outcomes(tally))?;
    let (compiling, restoring, saved) = (tally.compile_ms, tally.restore_ms, tally.saved_ms);
    let time = [(compiling, "compiling"), (restoring, "restoring"), (saved, "of compile time saved")];
    let time = time.map(|(millis, what)| format!("{} {what}", duration(millis)));
    line(out, view.width, NOTE, "Time", &time.join(", "))?;
    let (received, sent) = (bytes(tally.received_bytes), bytes(tally.sent_bytes));
    line(out, view.width, NOTE, "Remote", &format!("{} requests, {received} received, {sent} sent", tally.requests))?;
    let (entries, size, max) = (units(store.entries), bytes(store.bytes), bytes(store.max_bytes));
    let held = format!("{}: {entries} in {} files, {size} of at most {max}", store.directory, store.files);
    line(out, view.width, NOTE, "Store", &held)?;
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
        asked => format!(": {} %", hits.saturating_mul(100) / asked),
    };
    format!(
        "{hits} hits ({hits_remote} remote, {hits_local} local), {misses} misses{rate}; {uncacheable} not cacheable"
    )
}

//! Sums over all sessions that used a local store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::costs::{Amounts, Costs};
use super::{Report, SCHEMA_VERSION, Totals};
use crate::event::Timestamp;

/// The output of `cargo xcache stats`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// The version of the report's JSON form.
    pub schema_version: u32,
    /// Sums over the sessions.
    #[serde(flatten)]
    pub tally: Tally,
    /// The local store.
    pub store: StoreSize,
    /// What was saved and spent, if prices are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
}

/// What the local store contains now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StoreSize {
    /// Where it is.
    pub directory: String,
    /// Units in it.
    pub entries: usize,
    /// Their files. A file that units share counts once.
    pub files: usize,
    /// Bytes of everything in the store.
    pub bytes: u64,
    /// The size that it is kept below.
    pub max_bytes: u64,
}

/// Sums over sessions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// When the first session began.
    pub since: Option<Timestamp>,
    /// The number of sessions.
    pub sessions: u64,
    /// Sessions in which cargo's exit code was not 0.
    pub failed: u64,
    /// Sessions that had nothing to do and made no plan.
    #[serde(alias = "settled")]
    pub noop: u64,
    /// Hits.
    pub hits: u64,
    /// Hits from the local store.
    pub hits_local: u64,
    /// Hits from the remote store.
    pub hits_remote: u64,
    /// Units that could have been hits and were compiled.
    pub misses: u64,
    /// Units that the cache does not take.
    pub uncacheable: u64,
    /// How long rustc took in all sessions, in milliseconds.
    pub compile_ms: u64,
    /// How long restoring took, in milliseconds.
    pub restore_ms: u64,
    /// Compile time saved, in milliseconds.
    pub saved_ms: u64,
    /// Bytes received from remotes.
    pub received_bytes: u64,
    /// Bytes sent to remotes.
    pub sent_bytes: u64,
    /// Requests sent to remotes.
    pub requests: u64,
}

impl Tally {
    /// The sums of one session.
    pub fn of(report: &Report) -> Self {
        Self {
            since: report.started,
            sessions: 1,
            failed: u64::from(report.exit_code.is_some_and(|code| code != 0)),
            noop: u64::from(report.had_nothing_to_do()),
            ..Self::of_traffic(report)
        }
        .with_units(&report.totals)
    }

    /// The traffic with a remote outside of a session.
    pub fn of_traffic(report: &Report) -> Self {
        let totals = &report.totals;
        let (received_bytes, sent_bytes, requests) = (totals.received_bytes, totals.sent_bytes, totals.requests);
        Self { received_bytes, sent_bytes, requests, ..Self::default() }
    }

    fn with_units(self, totals: &Totals) -> Self {
        Self {
            hits: totals.hits as u64,
            hits_local: totals.hits_local as u64,
            hits_remote: totals.hits_remote as u64,
            misses: totals.misses as u64,
            uncacheable: totals.uncacheable as u64,
            compile_ms: totals.compile_ms,
            restore_ms: totals.restore_ms,
            saved_ms: totals.saved_ms,
            ..self
        }
    }

    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        self.since = [self.since, other.since].into_iter().flatten().min();
        let numbers = [
            (&mut self.sessions, other.sessions),
            (&mut self.failed, other.failed),
            (&mut self.noop, other.noop),
            (&mut self.hits, other.hits),
            (&mut self.hits_local, other.hits_local),
            (&mut self.hits_remote, other.hits_remote),
            (&mut self.misses, other.misses),
            (&mut self.uncacheable, other.uncacheable),
            (&mut self.compile_ms, other.compile_ms),
            (&mut self.restore_ms, other.restore_ms),
            (&mut self.saved_ms, other.saved_ms),
            (&mut self.received_bytes, other.received_bytes),
            (&mut self.sent_bytes, other.sent_bytes),
            (&mut self.requests, other.requests),
        ];
        numbers.into_iter().for_each(|(sum, number)| *sum = sum.saturating_add(number));
    }

    /// The amounts that have a price.
    pub fn amounts(&self) -> Amounts {
        let Self { saved_ms, received_bytes, sent_bytes, requests, .. } = *self;
        Amounts { saved_ms, received_bytes, sent_bytes, requests }
    }
}

impl Stats {
    /// Combines the sums, the size of the store, and the costs.
    pub fn new(tally: Tally, store: StoreSize, prices: crate::config::Prices) -> Self {
        let costs = Costs::of(tally.amounts(), prices);
        Self { schema_version: SCHEMA_VERSION, tally, store, costs }
    }

    /// The JSON schema.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{session, sessions};
    use super::*;

    proptest! {
        #[test]
        fn the_sums_are_those_of_the_reports(sessions in prop::collection::vec(sessions(), 0..5)) {
            let reports: Vec<_> =
                sessions.iter().map(|(fates, code)| Report::from_events(&session(fates, *code))).collect();
            let mut tally = Tally::default();
            reports.iter().for_each(|report| tally.add(&Tally::of(report)));
            let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>() as u64;
            prop_assert_eq!(tally.sessions, reports.len() as u64);
            prop_assert_eq!(tally.hits, sum(|report| report.totals.hits));
            prop_assert_eq!(tally.hits, tally.hits_local + tally.hits_remote);
            prop_assert_eq!(tally.misses, sum(|report| report.totals.misses));
            prop_assert_eq!(tally.uncacheable, sum(|report| report.totals.uncacheable));
            prop_assert_eq!(tally.failed, sum(|report| usize::from(report.exit_code == Some(101))));
            prop_assert_eq!((tally.received_bytes, tally.requests), (5000 * tally.sessions, 7 * tally.sessions));
            prop_assert_eq!(tally.since, reports.first().and_then(|report| report.started));
        }
    }

    #[test]
    fn a_push_is_no_session() {
        let report = Report::from_events(&session(&[], Some(0)));
        let tally = Tally::of_traffic(&report);
        assert_eq!((tally.sessions, tally.sent_bytes, tally.since), (0, 2500, None));
    }
}

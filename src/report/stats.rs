//! Sums over all sessions that used a local store, and what the cache saved and cost in money.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Report, SCHEMA_VERSION, Totals};
use crate::config::Prices;
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
        let totals = &report.totals;
        Self {
            since: report.started,
            sessions: 1,
            failed: u64::from(report.exit_code.is_some_and(|code| code != 0)),
            noop: u64::from(report.had_nothing_to_do()),
            hits: totals.hits as u64,
            hits_local: totals.hits_local as u64,
            hits_remote: totals.hits_remote as u64,
            misses: totals.misses as u64,
            uncacheable: totals.uncacheable as u64,
            compile_ms: totals.compile_ms,
            restore_ms: totals.restore_ms,
            saved_ms: totals.saved_ms,
            ..Self::of_traffic(report)
        }
    }

    /// The traffic with a remote outside of a session.
    pub fn of_traffic(report: &Report) -> Self {
        let Totals { received_bytes, sent_bytes, requests, .. } = report.totals;
        Self { received_bytes, sent_bytes, requests, ..Self::default() }
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

    /// The costs, if any price is set.
    pub fn costs(&self, prices: Prices) -> Option<Costs> {
        const MINUTE: f64 = 60_000.0;
        const GB: f64 = 1e9;
        let Prices { core_minute, gb_received, gb_sent, request } = prices;
        let saved = self.saved_ms as f64 / MINUTE * core_minute;
        let received = self.received_bytes as f64 / GB * gb_received;
        let sent = self.sent_bytes as f64 / GB * gb_sent;
        let requests = self.requests as f64 * request;
        let costs = Costs { saved, received, sent, requests, gained: saved - received - sent - requests };
        (prices != Prices::default()).then_some(costs)
    }
}

/// Amounts of money, at the prices that the user has set.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Costs {
    /// What the saved compile time would have cost.
    pub saved: f64,
    /// What receiving cost.
    pub received: f64,
    /// What sending cost.
    pub sent: f64,
    /// What the requests cost.
    pub requests: f64,
    /// `saved`, less everything that was spent.
    pub gained: f64,
}

impl Costs {
    /// Everything that was spent.
    pub fn spent(&self) -> f64 {
        self.received + self.sent + self.requests
    }
}

impl Stats {
    /// Combines the sums, the size of the store, and the costs.
    pub fn new(tally: Tally, store: StoreSize, prices: Prices) -> Self {
        Self { schema_version: SCHEMA_VERSION, costs: tally.costs(prices), tally, store }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{report, session, sessions};
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
    fn each_amount_is_multiplied_by_its_price() {
        let prices = Prices { core_minute: 2.0, gb_received: 0.5, gb_sent: 0.125, request: 0.0005 };
        let (received_bytes, sent_bytes, requests) = (500_000_000, 2_000_000_000, 1000);
        let tally = |saved_ms| Tally { saved_ms, received_bytes, sent_bytes, requests, ..Tally::default() };
        let costs = tally(90_000).costs(prices).unwrap();
        assert_eq!(costs, Costs { saved: 3.0, received: 0.25, sent: 0.25, requests: 0.5, gained: 2.0 });
        assert_eq!(costs.spent(), 1.0);
        assert_eq!(tally(0).costs(prices).unwrap().gained, -1.0, "a cache may cost more than it saves");
        assert_eq!(tally(90_000).costs(Prices::default()), None);
    }

    #[test]
    fn a_push_counts_its_traffic_and_no_session() {
        let tally = Tally::of_traffic(&report(&[]));
        assert_eq!((tally.sessions, tally.sent_bytes, tally.since), (0, 2500, None));
    }
}

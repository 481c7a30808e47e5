//! What the cache saved and what it cost, in the user's own currency.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Prices;

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

/// The amounts that have a price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amounts {
    /// Compile time saved, in milliseconds.
    pub saved_ms: u64,
    /// Bytes received from the remote.
    pub received_bytes: u64,
    /// Bytes sent to the remote.
    pub sent_bytes: u64,
    /// Requests sent to the remote.
    pub requests: u64,
}

impl Costs {
    /// The costs, if any price is set.
    pub fn of(amounts: Amounts, prices: Prices) -> Option<Self> {
        const MINUTE: f64 = 60_000.0;
        const GB: f64 = 1e9;
        let Prices { core_minute, gb_received, gb_sent, request } = prices;
        let saved = amounts.saved_ms as f64 / MINUTE * core_minute;
        let received = amounts.received_bytes as f64 / GB * gb_received;
        let sent = amounts.sent_bytes as f64 / GB * gb_sent;
        let requests = amounts.requests as f64 * request;
        let costs = Self { saved, received, sent, requests, gained: saved - received - sent - requests };
        (prices != Prices::default()).then_some(costs)
    }

    /// Everything that was spent.
    pub fn spent(&self) -> f64 {
        self.received + self.sent + self.requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_amount_has_its_price() {
        let amounts =
            Amounts { saved_ms: 90_000, received_bytes: 500_000_000, sent_bytes: 2_000_000_000, requests: 1000 };
        let prices = Prices { core_minute: 2.0, gb_received: 0.5, gb_sent: 0.125, request: 0.0005 };
        let costs = Costs::of(amounts, prices).unwrap();
        assert_eq!(costs, Costs { saved: 3.0, received: 0.25, sent: 0.25, requests: 0.5, gained: 2.0 });
        assert_eq!(costs.spent(), 1.0);
    }

    #[test]
    fn a_cache_may_cost_more_than_it_saves() {
        let amounts = Amounts { requests: 10, ..Amounts::default() };
        let costs = Costs::of(amounts, Prices { request: 1.0, ..Prices::default() }).unwrap();
        assert_eq!((costs.saved, costs.gained), (0.0, -10.0));
    }

    #[test]
    fn without_prices_nothing_is_said_about_money() {
        assert_eq!(Costs::of(Amounts { saved_ms: 9, ..Amounts::default() }, Prices::default()), None);
    }
}

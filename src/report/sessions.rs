//! Several sessions, one line for each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Report, SCHEMA_VERSION};

/// The last sessions in a target directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sessions {
    /// The version of the report's JSON form.
    pub schema_version: u32,
    /// The sessions, the newest first. A session's position is the number that `--compare` takes.
    pub sessions: Vec<Session>,
}

/// A session without its units.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Cargo's arguments.
    pub command: Vec<String>,
    /// When it began.
    pub started: Option<jiff::Timestamp>,
    /// Milliseconds from its start to its end.
    pub duration_ms: u64,
    /// Cargo's exit code, if it ended and was not killed.
    pub exit_code: Option<i32>,
    /// Whether it reached its regular end. If not, every number is a lower bound.
    pub complete: bool,
    /// Whether cargo started without a plan, because nothing had changed.
    pub noop: bool,
    /// Units of the plan.
    pub units: usize,
    /// Hits.
    pub hits: usize,
    /// Units that could have been hits and were compiled.
    pub misses: usize,
    /// Units that the cache does not take.
    pub uncacheable: usize,
    /// Units that the target directory already had.
    pub fresh: usize,
    /// Units that cargo did not get to.
    pub not_reached: usize,
    /// How long rustc took, over all units, in milliseconds.
    pub compile_ms: u64,
    /// Compile time saved, in milliseconds.
    pub saved_ms: u64,
    /// Bytes received from the remote.
    pub received_bytes: u64,
    /// Bytes sent to the remote.
    pub sent_bytes: u64,
    /// Requests sent to the remote.
    pub requests: u64,
}

impl Sessions {
    /// A line for each report, in the same order.
    pub fn of(reports: &[Report]) -> Self {
        Self { schema_version: SCHEMA_VERSION, sessions: reports.iter().map(Session::of).collect() }
    }
}

impl Session {
    /// A report without its units.
    pub fn of(report: &Report) -> Self {
        let totals = &report.totals;
        Self {
            command: report.command.clone(),
            started: report.started,
            duration_ms: report.duration_ms,
            exit_code: report.exit_code,
            complete: report.complete,
            noop: report.noop,
            units: totals.units,
            hits: totals.hits,
            misses: totals.misses,
            uncacheable: totals.uncacheable,
            fresh: totals.fresh,
            not_reached: totals.not_reached,
            compile_ms: totals.compile_ms,
            saved_ms: totals.saved_ms,
            received_bytes: totals.received_bytes,
            sent_bytes: totals.sent_bytes,
            requests: totals.requests,
        }
    }
}

//! The report: what happened to every unit of a build, and why.
//!
//! [`Report::from_events`] folds the events of one session; [`text`] and [`html`] render the result for people and
//! [`Report::schema`] describes its JSON form. [`reasons`] says what each miss reason means. [`sessions`] and [`compare`]
//! look at more than one report, [`stats`] at all there ever were; [`markdown`] and [`metrics`] are for CI services.
//! [`advice`] says what would make builds faster.
//!
//! **Invariants.** A pure fold: no I/O, no clock, nothing but the events. Every unit of the plan is there exactly once, in
//! the plan's order, with exactly one [`Outcome`], and the totals are sums over the units. A list of events that stops
//! early gives a report whose [`Report::complete`] is false, whose totals are lower bounds (but for hits that cargo would
//! not have taken in the end), and which claims nothing that no event says.

pub mod advice;
mod cause;
pub mod compare;
pub mod costs;
mod fold;
pub mod html;
mod kind;
pub mod markdown;
pub mod metrics;
pub mod reasons;
pub mod sessions;
pub mod stats;
pub mod text;
pub mod timeline;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::advice::Advice;
use self::costs::{Amounts, Costs};
pub use self::kind::OutcomeKind;
use self::timeline::Span;
use crate::config::Prices;
use crate::event::{Event, MissReason, Phase, Tier, UncacheableReason, UnitId};
use crate::key::UnitKey;

/// The version of the report's JSON form; it changes when a field is removed or changes its meaning.
pub const SCHEMA_VERSION: u32 = 2;

/// What happened in one session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The session came to its regular end. Otherwise every total is a lower bound.
    pub complete: bool,
    /// The version of xcache that wrote it.
    pub xcache_version: Option<String>,
    /// Cargo's arguments.
    pub command: Vec<String>,
    /// When the session began.
    pub started: Option<jiff::Timestamp>,
    /// Milliseconds from the session's begin to its last event.
    pub duration_ms: u64,
    /// Cargo's exit code, where it ended and was not killed.
    pub exit_code: Option<i32>,
    /// Why there was no plan, where there was none: cargo then ran without the cache.
    pub plan_failed: Option<String>,
    /// Why nothing was put into the build directory before cargo started, where that is so for all units: what this cargo
    /// takes as fresh is not proven.
    #[serde(default)]
    pub unproven: Option<String>,
    /// The same command had succeeded before and nothing had changed: cargo was started without a plan. There is one all
    /// the same if a crate was compiled.
    #[serde(default)]
    pub noop: bool,
    /// The remote's URL, where one is configured.
    pub remote: Option<String>,
    /// Why the remote was given up, where it was.
    pub remote_failed: Option<RemoteFailure>,
    /// How many entries the remote listed for this lockfile and command, where it knew them.
    pub graph_index_entries: Option<usize>,
    /// The phases, in the order in which they began. They may overlap.
    pub phases: Vec<PhaseSpan>,
    /// Sums.
    pub totals: Totals,
    /// Every unit of the plan, in the plan's order.
    pub units: Vec<UnitReport>,
    /// What took time and when, in the order in which it began.
    #[serde(default)]
    pub spans: Vec<Span>,
    /// Calls of rustc that belong to no unit of the plan.
    pub passed_through: Vec<PassedThrough>,
    /// Damaged objects that were found and ignored.
    pub corrupt_objects: Vec<CorruptObject>,
    /// Warnings, each once.
    pub warnings: Vec<String>,
    /// What would make builds faster, what is worth most first.
    #[serde(default)]
    pub advice: Vec<Advice>,
    /// What was saved and spent, where prices are set when the report is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
}

/// Why the remote was given up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RemoteFailure {
    /// Its URL.
    pub remote: String,
    /// The server's own words.
    pub message: String,
}

/// When a phase began and ended, in milliseconds since the session began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// When it began.
    pub start_ms: u64,
    /// When it ended, where it did.
    pub end_ms: Option<u64>,
}

/// A call of rustc that belongs to no unit of the plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PassedThrough {
    /// The crate's name, or the query.
    pub what: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// A damaged object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CorruptObject {
    /// Its name in the store.
    pub object: String,
    /// What does not fit.
    pub reason: String,
}

/// A unit and what happened to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UnitReport {
    /// Package name.
    pub package: String,
    /// Package version.
    pub version: String,
    /// Target name.
    pub target: String,
    /// Cargo's target kind: `lib`, `proc-macro`, `custom-build`, `bin` …
    pub kind: String,
    /// Cargo's compile mode: `build`, `check`, `run-custom-build` …
    pub mode: String,
    /// The target triple, where one was asked for.
    pub platform: Option<String>,
    /// Enabled features.
    pub features: Vec<String>,
    /// Its key, where it can be cached.
    pub key: Option<UnitKey>,
    /// What has to be there before it can be compiled; indices into the report's units.
    #[serde(default)]
    pub dependencies: Vec<UnitId>,
    /// It was put into the build directory, and cargo did not take it as fresh: cargo's reason.
    #[serde(default)]
    pub rejected: Option<String>,
    /// What happened to it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What happened to a unit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// Restored from the cache instead of compiled.
    Hit {
        /// Where it was found first.
        tier: Tier,
        /// Bytes transferred for it.
        transferred_bytes: u64,
        /// Bytes written to the target directory.
        restored_bytes: u64,
        /// How long that took, in milliseconds.
        restore_ms: u64,
        /// How long rustc, or the build script, took when it was made, in milliseconds.
        compile_ms: u64,
        /// It was in the build directory before cargo was started, which started no process for it.
        #[serde(default)]
        hydrated: bool,
    },
    /// Cargo did not call rustc for it: the target directory had it already.
    Fresh,
    /// It could have been a hit, and was compiled.
    Miss {
        /// Why; nothing where the log does not say.
        reason: Option<MissReason>,
        /// How long rustc took, in milliseconds.
        compile_ms: u64,
        /// rustc exited with an error.
        failed: bool,
        /// Bytes stored, where it is in the local store now.
        recorded_bytes: Option<u64>,
        /// What was stored holds a path of this machine.
        path_bound: bool,
        /// Why it was not stored, where it was not.
        not_recorded: Option<UncacheableReason>,
    },
    /// The cache does not take units like this one.
    Uncacheable {
        /// Why.
        reason: UncacheableReason,
        /// How long rustc took, in milliseconds, where it was called.
        compile_ms: Option<u64>,
        /// rustc exited with an error.
        failed: bool,
    },
    /// Cargo did not come to it, as far as the log says: the build failed or was killed, or the log ends early.
    NotReached,
}

/// A number of units and what was spent on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// How many.
    pub units: usize,
    /// What rustc took for them in this session, in milliseconds.
    pub compile_ms: u64,
}

/// Sums over a session.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Units of the plan.
    pub units: usize,
    /// Units restored.
    pub hits: usize,
    /// Of those, found in the local store.
    pub hits_local: usize,
    /// Of those, found in the remote store.
    pub hits_remote: usize,
    /// Of those, in the build directory before cargo was started.
    #[serde(default)]
    pub hydrated: usize,
    /// Units that were put there, and that cargo did not take as fresh.
    #[serde(default)]
    pub rejected: usize,
    /// Units the target directory had already.
    pub fresh: usize,
    /// Units compiled that could have been hits.
    pub misses: usize,
    /// Units the cache does not take.
    pub uncacheable: usize,
    /// Units cargo did not come to.
    pub not_reached: usize,
    /// Misses by reason; one whose reason is not in the log is in `misses` only.
    pub misses_by_reason: BTreeMap<MissReason, Count>,
    /// Units the cache does not take, by reason.
    pub uncacheable_by_reason: BTreeMap<UncacheableReason, Count>,
    /// Misses that are in the local store now.
    pub recorded: usize,
    /// Bytes stored for them.
    pub recorded_bytes: u64,
    /// Bytes received from the remote.
    pub received_bytes: u64,
    /// Bytes sent to the remote.
    pub sent_bytes: u64,
    /// Requests sent to the remote.
    pub requests: u64,
    /// Units uploaded.
    pub uploaded: usize,
    /// Bytes uploaded for them.
    pub uploaded_bytes: u64,
    /// Units that were to be uploaded and stay in the local store only.
    pub not_uploaded: usize,
    /// Bytes written to the target directory.
    pub restored_bytes: u64,
    /// What rustc took in this session, over all units, in milliseconds.
    pub compile_ms: u64,
    /// What restoring took, over all hits, in milliseconds.
    pub restore_ms: u64,
    /// What rustc took when the hits were compiled, less what restoring them took; never below 0. Summed over units
    /// that may run in parallel, so compile time and not wall-clock time.
    pub saved_ms: u64,
}

impl Report {
    /// Folds the events of one session, or the beginning of them.
    pub fn from_events(events: &[Event]) -> Self {
        fold::fold(events)
    }

    /// Cargo was started without a plan, and none was made later, as nothing was compiled.
    pub fn had_nothing_to_do(&self) -> bool {
        self.noop && self.units.is_empty()
    }

    /// The same with what it means in money.
    #[must_use]
    pub fn with_prices(self, prices: Prices) -> Self {
        let Totals { saved_ms, received_bytes, sent_bytes, requests, .. } = self.totals;
        let costs = Costs::of(Amounts { saved_ms, received_bytes, sent_bytes, requests }, prices);
        Self { costs, ..self }
    }

    /// The JSON schema of a report.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

impl Default for Report {
    fn default() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            complete: false,
            xcache_version: None,
            command: Vec::new(),
            started: None,
            duration_ms: 0,
            exit_code: None,
            plan_failed: None,
            unproven: None,
            noop: false,
            remote: None,
            remote_failed: None,
            graph_index_entries: None,
            phases: Vec::new(),
            totals: Totals::default(),
            units: Vec::new(),
            spans: Vec::new(),
            passed_through: Vec::new(),
            corrupt_objects: Vec::new(),
            warnings: Vec::new(),
            advice: Vec::new(),
            costs: None,
        }
    }
}

impl Outcome {
    /// What rustc took in this session, in milliseconds, where it was called.
    pub fn compiled_ms(&self) -> Option<u64> {
        match self {
            Self::Miss { compile_ms, .. } => Some(*compile_ms),
            Self::Uncacheable { compile_ms, .. } => *compile_ms,
            Self::Hit { .. } | Self::Fresh | Self::NotReached => None,
        }
    }

    /// What was spent on the unit in this session, in milliseconds: compiling or restoring.
    pub fn spent_ms(&self) -> u64 {
        match self {
            Self::Hit { restore_ms, .. } => *restore_ms,
            _ => self.compiled_ms().unwrap_or(0),
        }
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod book_tests;
#[cfg(test)]
#[path = "report_tests.rs"]
pub(crate) mod tests;

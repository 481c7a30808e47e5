//! The report: what happened to every unit of a build, and why.
//!
//! [`Report::from_events`] folds the events of one session. [`text`] and, with the feature of this name, `html` render
//! the result for people, and the book has the schema of its JSON form. [`outcome`] explains what happened to a unit.
//! [`sessions`] and [`compare`] cover several reports, and [`stats`] all sessions. [`markdown`] and [`metrics`] are for
//! CI services. [`advice`] says what would make builds faster. [`present`] has the words and numbers that all of them
//! share.
//!
//! **Invariants.** The report is a pure fold over the events: no I/O, no clock. It contains every unit of the plan
//! exactly once, in the plan's order, with exactly one [`Outcome`], and the totals are sums over the units. If the list
//! of events stops early, [`Report::complete`] is false, the totals are lower bounds (except hits that cargo would not
//! have accepted in the end), and the report claims nothing that no event states.

pub mod advice;
pub mod compare;
mod fold;
#[cfg(feature = "html")]
pub mod html;
pub mod markdown;
pub mod metrics;
pub mod outcome;
pub mod present;
pub mod sessions;
pub mod stats;
pub mod text;
pub mod timeline;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::advice::{Advice, AdviceName};
pub use self::outcome::OutcomeKind;
use self::stats::{Costs, Tally};
use self::timeline::Span;
use crate::config::Prices;
use crate::event::{Event, MissReason, Phase, Tier, UncacheableReason, UnitId};
use crate::key::UnitKey;

/// The version of the report's JSON form. It changes when a field is removed or changes its meaning.
pub const SCHEMA_VERSION: u32 = 2;

/// What happened in one session.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this form.
    pub schema_version: u32,
    /// Whether the session reached its regular end. If not, every total is a lower bound.
    pub complete: bool,
    /// The version of xcache that wrote it.
    pub xcache_version: Option<String>,
    /// Cargo's arguments.
    pub command: Vec<String>,
    /// When the session began.
    pub started: Option<jiff::Timestamp>,
    /// Milliseconds from the start of the session to its last event.
    pub duration_ms: u64,
    /// Cargo's exit code, if it ended and was not killed.
    pub exit_code: Option<i32>,
    /// Why planning failed, if it did: cargo then ran without the cache.
    pub plan_failed: Option<String>,
    /// Why no unit was hydrated, if that applies to all of them: it is not proven that this cargo would accept them as
    /// fresh.
    #[serde(default)]
    pub unproven: Option<String>,
    /// Whether the same command had succeeded before and nothing had changed, so that cargo started without a plan. If
    /// cargo compiled a crate after all, the plan was made then.
    #[serde(default)]
    pub noop: bool,
    /// The remote's URL, if one is configured.
    pub remote: Option<String>,
    /// Why the session gave up the remote, if it did.
    pub remote_failed: Option<RemoteFailure>,
    /// How many entries the remote listed for this lockfile and command, if it knew them.
    pub graph_index_entries: Option<usize>,
    /// The phases, in the order in which they began. Phases may overlap.
    pub phases: Vec<PhaseSpan>,
    /// Sums.
    pub totals: Totals,
    /// Every unit of the plan, in the plan's order.
    pub units: Vec<UnitReport>,
    /// The timeline: activities in the order in which they began.
    #[serde(default)]
    pub spans: Vec<Span>,
    /// Calls of rustc that belong to no unit of the plan.
    pub passed_through: Vec<PassedThrough>,
    /// Damaged objects that were found and ignored.
    pub corrupt_objects: Vec<CorruptObject>,
    /// Warnings, without repetitions.
    pub warnings: Vec<String>,
    /// What would make builds faster, the most valuable first.
    #[serde(default)]
    pub advice: Vec<Advice>,
    /// What was saved and spent, if prices are set when the report is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
}

/// Why the session gave up the remote.
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
    /// When it ended, if it did.
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
    /// The target triple, if the command names one.
    pub platform: Option<String>,
    /// Enabled features.
    pub features: Vec<String>,
    /// Its key, if it can be cached.
    pub key: Option<UnitKey>,
    /// The units that must exist before it can be compiled, as indices into the report's units.
    #[serde(default)]
    pub dependencies: Vec<UnitId>,
    /// Cargo's reason, if the unit was hydrated and cargo did not accept it as fresh.
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
    /// The unit came from the cache.
    Hit {
        /// The store that it was found in.
        tier: Tier,
        /// Bytes transferred for it.
        transferred_bytes: u64,
        /// Bytes written to the target directory.
        restored_bytes: u64,
        /// How long that took, in milliseconds.
        restore_ms: u64,
        /// How long rustc, or the build script, took when the unit was made, in milliseconds.
        compile_ms: u64,
        /// Whether the unit was in the build directory before cargo looked there, so that cargo started no process for
        /// it.
        #[serde(default)]
        hydrated: bool,
    },
    /// Cargo did not call rustc for the unit, because the target directory already had it.
    Fresh,
    /// The unit could have been a hit, and was compiled.
    Miss {
        /// Why, if the log says so.
        reason: Option<MissReason>,
        /// How long rustc took, in milliseconds.
        compile_ms: u64,
        /// Whether rustc exited with an error.
        failed: bool,
        /// Bytes stored, if the unit is in the local store now.
        recorded_bytes: Option<u64>,
        /// Whether the stored files hold a path of this machine.
        path_bound: bool,
        /// Why the unit was not stored, if it was not.
        not_recorded: Option<UncacheableReason>,
    },
    /// The cache does not take units like this one.
    Uncacheable {
        /// Why.
        reason: UncacheableReason,
        /// How long rustc took, in milliseconds, if cargo called it.
        compile_ms: Option<u64>,
        /// Whether rustc exited with an error.
        failed: bool,
    },
    /// As far as the log shows, cargo did not get to the unit: the build failed or was killed, or the log ends early.
    NotReached,
}

/// A number of units, and the time spent on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// How many.
    pub units: usize,
    /// How long rustc took for them in this session, in milliseconds.
    pub compile_ms: u64,
}

/// Sums over a session.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Units of the plan.
    pub units: usize,
    /// Hits.
    pub hits: usize,
    /// Hits from the local store.
    pub hits_local: usize,
    /// Hits from the remote store.
    pub hits_remote: usize,
    /// Hits that were in the build directory before cargo looked there.
    #[serde(default)]
    pub hydrated: usize,
    /// Units that were placed there, but that cargo did not accept as fresh.
    #[serde(default)]
    pub rejected: usize,
    /// Units that the target directory already had.
    pub fresh: usize,
    /// Units that could have been hits and were compiled.
    pub misses: usize,
    /// Units that the cache does not take.
    pub uncacheable: usize,
    /// Units that cargo did not get to.
    pub not_reached: usize,
    /// Misses by reason. A miss whose reason is not in the log counts in `misses` only.
    pub misses_by_reason: BTreeMap<MissReason, Count>,
    /// Units that the cache does not take, by reason.
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
    /// Units that should have been uploaded and are still only in the local store.
    pub not_uploaded: usize,
    /// Bytes written to the target directory.
    pub restored_bytes: u64,
    /// How long rustc took in this session, over all units, in milliseconds.
    pub compile_ms: u64,
    /// How long restoring took, over all hits, in milliseconds.
    pub restore_ms: u64,
    /// How long rustc took when the hits were compiled, less the time for restoring them; never below 0. The sum is
    /// over units that may run in parallel, so it is compile time and not wall-clock time.
    pub saved_ms: u64,
}

impl Report {
    /// Folds the events of one session, or the first part of them.
    pub fn from_events(events: &[Event]) -> Self {
        fold::fold(events)
    }

    /// Whether cargo started without a plan, and none was made later because nothing was compiled.
    pub fn had_nothing_to_do(&self) -> bool {
        self.noop && self.units.is_empty()
    }

    /// The number of units that should have been uploaded and were not, unless there is advice about them.
    fn not_uploaded_without_advice(&self) -> Option<usize> {
        let is_advised = self.advice.iter().any(|advice| advice.name == AdviceName::NotUploaded);
        Some(self.totals.not_uploaded).filter(|left| *left > 0 && !is_advised)
    }

    /// The same report, with its costs.
    #[must_use]
    pub fn with_prices(self, prices: Prices) -> Self {
        Self { costs: Tally::of(&self).costs(prices), ..self }
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod book_tests;
#[cfg(test)]
#[path = "pages_tests.rs"]
mod pages_tests;
#[cfg(test)]
#[path = "report_tests.rs"]
pub(crate) mod tests;

//! Explanations: why the last build compiled what it compiled.
//!
//! When a unit is recorded, its inputs are added to its history ([`crate::store::input_history`]); the misses of a
//! build are stored beside its report ([`LastBuild`]). An [`Explanation`] compares the two ([`causes`]), says who
//! brings a package in ([`Origins`]), and is shown as [`text`] or as JSON.
//!
//! **Invariants.** A build writes little and asks nothing for this: one small file for each unit that it records, and one
//! for itself if there is anything to explain. Explaining writes nothing. No value of a variable is kept or shown unless
//! it is one of the compiler's own flags or settings.

mod assemble;
pub mod causes;
mod last;
mod origins;
pub mod remote;
mod select;
pub mod text;
mod words;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::assemble::Sources;
pub use self::last::LastBuild;
pub use self::origins::Origins;
pub use self::select::{Selection, similar};
pub use self::words::RemoteHistory;
use crate::event::{Difference, MissReason, UncacheableReason};
use crate::key::diff::Change;
pub use crate::store::input_history::RecordedInputs;

/// The version of the JSON form; it changes when a field is removed or changes its meaning.
pub const SCHEMA_VERSION: u32 = 2;

/// Why units were compiled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Cargo's arguments in the build that is explained.
    pub command: Vec<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How many units it had.
    pub planned: usize,
    /// How many of them were misses.
    pub misses: usize,
    /// How many the cache does not take.
    pub uncacheable: usize,
    /// The causes: those of most units first.
    pub causes: Vec<Cause>,
    /// The misses, or the units that were asked for.
    pub units: Vec<Explained>,
    /// What else should be known.
    pub notes: Vec<String>,
}

/// A unit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    /// Package name.
    pub package: String,
    /// Package version.
    pub version: String,
    /// Target name.
    pub target: String,
    /// Cargo's target kind.
    pub kind: String,
    /// Cargo's compile mode.
    pub mode: String,
    /// What happened to it: `hit`, `fresh`, `miss`, `uncacheable` or `not-reached`.
    pub outcome: String,
    /// Its causes, as positions in [`Explanation::causes`].
    pub causes: Vec<usize>,
    /// When what it was compared with was recorded.
    pub compared_with: Option<Timestamp>,
    /// The packages from a workspace member to its own, where that is known.
    pub path: Vec<String>,
}

/// Why units were compiled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// What it is.
    #[serde(flatten)]
    pub what: CauseKind,
    /// The package it is about; nothing where it is about the whole build.
    pub package: Option<String>,
    /// In words.
    pub text: String,
    /// The packages from a workspace member to that package, where that is known.
    pub path: Vec<String>,
    /// The units to which it happened, as positions in [`Explanation::units`].
    pub units: Vec<usize>,
    /// Those that only depend on these.
    pub followers: Vec<usize>,
}

/// What a cause is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "cause")]
pub enum CauseKind {
    /// Inputs differ from those of the nearest unit that is known.
    Changed {
        /// Which.
        changes: Vec<Change>,
    },
    /// No such unit is known.
    New,
    /// It was recorded with the same inputs, and its entry is not there any more.
    Gone,
    /// There was an entry, and it could not be used.
    Unusable {
        /// Why.
        reason: MissReason,
        /// In what it did not fit, as far as that is known.
        differences: Vec<Difference>,
    },
    /// It is compiled each time, since it cannot be kept.
    NotKept {
        /// Why.
        reason: UncacheableReason,
    },
    /// The cache does not take it.
    Uncacheable {
        /// Why.
        reason: UncacheableReason,
    },
    /// Cargo had it made again, though there was an entry.
    Again,
    /// What it was made from is not known any more.
    Unknown,
}

impl Explanation {
    /// The JSON schema of an explanation.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

#[cfg(test)]
#[path = "explain/explain_tests.rs"]
mod tests;

//! Explanations: why the last build compiled its units.
//!
//! A build that records a unit keeps the unit inputs in the input history ([`crate::store::input_history`]). It keeps
//! the inputs of its misses beside its report ([`LastBuild`]). An [`Explanation`] compares the two ([`causes`]), says
//! which package requires another one ([`Origins`]), and is shown as [`text`] or as JSON.
//!
//! **Invariants.** Explanations cost a build little: it sends no request for them, and writes one small file for each
//! unit that it records, and one for itself if there is anything to explain. Explaining writes nothing. No value of a
//! variable is kept or shown, unless it is a flag or a setting for the compiler.

mod assemble;
pub mod causes;
mod origins;
pub mod remote;
mod select;
pub mod text;
mod words;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::assemble::Sources;
pub use self::origins::Origins;
pub use self::select::{Selection, similar};
pub use self::words::RemoteHistory;
use crate::event::{Difference, MissReason, UncacheableReason};
pub use crate::history::LastBuild;
use crate::key::diff::Change;
pub use crate::store::input_history::RecordedInputs;

/// The version of the JSON form. It changes when a field is removed or changes its meaning.
pub const SCHEMA_VERSION: u32 = 2;

/// Why units were compiled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The version of this form.
    pub schema_version: u32,
    /// Cargo's arguments in the build that is explained.
    pub command: Vec<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How many units it had.
    pub planned: usize,
    /// How many of them were misses.
    pub misses: usize,
    /// How many of them the cache does not take.
    pub uncacheable: usize,
    /// The causes, those of most units first.
    pub causes: Vec<Cause>,
    /// The misses, or the units that the user named.
    pub units: Vec<Explained>,
    /// Further notes for the user.
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
    /// Its causes, as indices into `causes` of the explanation.
    pub causes: Vec<usize>,
    /// When the unit that it was compared with was recorded.
    pub compared_with: Option<Timestamp>,
    /// The packages from a workspace member to its own package, if known.
    pub path: Vec<String>,
}

/// Why units were compiled.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// What it is.
    #[serde(flatten)]
    pub what: CauseKind,
    /// The package that it is about. Absent if it is about the whole build.
    pub package: Option<String>,
    /// The cause in words.
    pub text: String,
    /// The packages from a workspace member to that package, if known.
    pub path: Vec<String>,
    /// The units that it affects directly, as indices into `units` of the explanation.
    pub units: Vec<usize>,
    /// The units that merely depend on these, as indices, too.
    pub followers: Vec<usize>,
}

/// The kind of a cause.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "cause")]
pub enum CauseKind {
    /// Inputs differ from those of the nearest known unit.
    Changed {
        /// The inputs that differ.
        changes: Vec<Change>,
    },
    /// No such unit is known.
    New,
    /// The unit was recorded with the same inputs, but its entry is gone.
    Gone,
    /// An entry existed but could not be used.
    Unusable {
        /// Why.
        reason: MissReason,
        /// How it did not fit, as far as known.
        differences: Vec<Difference>,
    },
    /// The unit is compiled each time, because it cannot be recorded.
    NotKept {
        /// Why.
        reason: UncacheableReason,
    },
    /// The cache does not take the unit.
    Uncacheable {
        /// Why.
        reason: UncacheableReason,
    },
    /// Cargo reran it, although there was an entry.
    Again,
    /// The unit's inputs are no longer known.
    Unknown,
}

//! [`Outcome`]s by what they mean for the reader.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::event::Tier;

/// An outcome without its numbers, in the order in which somebody would look at them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// rustc was called and exited with an error.
    Failed,
    /// It could have been a hit, and was compiled.
    Miss,
    /// The cache does not take units like this one.
    Uncacheable,
    /// A hit that came from the remote store.
    RemoteHit,
    /// A hit that was in the local store.
    LocalHit,
    /// The target directory had it already.
    Fresh,
    /// Cargo did not come to it.
    NotReached,
}

impl OutcomeKind {
    /// What an outcome is.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Miss { failed: true, .. } | Outcome::Uncacheable { failed: true, .. } => Self::Failed,
            Outcome::Miss { .. } => Self::Miss,
            Outcome::Uncacheable { .. } => Self::Uncacheable,
            Outcome::Hit { tier: Tier::Remote, .. } => Self::RemoteHit,
            Outcome::Hit { tier: Tier::Local, .. } => Self::LocalHit,
            Outcome::Fresh => Self::Fresh,
            Outcome::NotReached => Self::NotReached,
        }
    }

    /// The cache did not spare compiling it.
    pub fn is_compiled(self) -> bool {
        self <= Self::Uncacheable
    }
}

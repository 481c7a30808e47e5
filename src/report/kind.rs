//! Outcomes as the views group, order and colour them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::event::Tier;

/// An outcome without its numbers, in the order of interest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// rustc exited with an error.
    Failed,
    /// The unit could have been a hit, and was compiled.
    Miss,
    /// The cache does not take units like this one.
    Uncacheable,
    /// A hit that came from the remote store.
    RemoteHit,
    /// A hit that was in the local store.
    LocalHit,
    /// The target directory already had the unit.
    Fresh,
    /// Cargo did not get to the unit.
    NotReached,
}

impl OutcomeKind {
    /// The kind of an outcome.
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

    /// Whether the unit was compiled.
    pub fn is_compiled(self) -> bool {
        self <= Self::Uncacheable
    }
}

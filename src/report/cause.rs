//! Causes: why units were not hits, and what would change that.

use super::Outcome;
use super::present::name;
use super::reasons::{describe_miss, miss_advice};
use crate::event::{MissReason, UncacheableReason};

/// Why a unit was not a hit. Of several reasons, the cause is the one that will also hold for the next build.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CompileCause {
    Uncacheable(UncacheableReason),
    Miss(Option<MissReason>),
}

impl CompileCause {
    pub(super) fn of(outcome: &Outcome) -> Option<Self> {
        match *outcome {
            Outcome::Uncacheable { reason, .. } | Outcome::Miss { not_recorded: Some(reason), .. } => {
                Some(Self::Uncacheable(reason))
            }
            Outcome::Miss { path_bound: true, .. } => Some(Self::Uncacheable(UncacheableReason::PathBound)),
            Outcome::Miss { reason, .. } => Some(Self::Miss(reason)),
            Outcome::Hit { .. } | Outcome::Fresh | Outcome::NotReached => None,
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Uncacheable(reason) => name(reason),
            Self::Miss(Some(reason)) => format!("miss: {}", name(reason)),
            Self::Miss(None) => "miss".into(),
        }
    }

    /// The meaning of the cause, and advice.
    pub(super) fn describe(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Uncacheable(reason) => (reason.describe(), reason.advice()),
            Self::Miss(Some(reason)) => (describe_miss(reason), miss_advice(reason)),
            Self::Miss(None) => ("the log does not say why", None),
        }
    }

    /// The description and the advice, for a cell of a table.
    pub(super) fn words(self) -> String {
        let (description, advice) = self.describe();
        advice.map_or_else(|| description.to_owned(), |advice| format!("{description}\n{advice}"))
    }
}

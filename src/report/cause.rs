//! What keeps units from being hits, and what would change that.

use super::Outcome;
use super::present::name;
use super::reasons::{describe_miss, miss_advice};
use crate::event::{MissReason, UncacheableReason};

/// What keeps a unit from being a hit. Each unit has one cause: the one that holds for the next build, too.
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

    /// What it means, and what would change it.
    pub(super) fn describe(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Uncacheable(reason) => (reason.describe(), reason.advice()),
            Self::Miss(Some(reason)) => (describe_miss(reason), miss_advice(reason)),
            Self::Miss(None) => ("the log does not say why", None),
        }
    }

    /// Both, for a cell of a table.
    pub(super) fn words(self) -> String {
        let (description, advice) = self.describe();
        advice.map_or_else(|| description.to_owned(), |advice| format!("{description}\n{advice}"))
    }
}

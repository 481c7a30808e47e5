//! Outcomes as the views group, order, name and explain them, and sums over them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::present::name;
use super::{Outcome, UnitReport};
use crate::event::{MissReason, Tier, UncacheableReason};

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
    /// Whether the unit was compiled.
    pub fn is_compiled(self) -> bool {
        self <= Self::Uncacheable
    }
}

impl Outcome {
    /// The outcome without its numbers.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Miss { failed: true, .. } | Self::Uncacheable { failed: true, .. } => OutcomeKind::Failed,
            Self::Miss { .. } => OutcomeKind::Miss,
            Self::Uncacheable { .. } => OutcomeKind::Uncacheable,
            Self::Hit { tier: Tier::Remote, .. } => OutcomeKind::RemoteHit,
            Self::Hit { tier: Tier::Local, .. } => OutcomeKind::LocalHit,
            Self::Fresh => OutcomeKind::Fresh,
            Self::NotReached => OutcomeKind::NotReached,
        }
    }

    /// The name in the JSON report, and the name within a sentence or a list.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Hit { .. } => ("hit", "hit"),
            Self::Fresh => ("fresh", "fresh"),
            Self::Miss { .. } => ("miss", "miss"),
            Self::Uncacheable { .. } => ("uncacheable", "not cacheable"),
            Self::NotReached => ("not-reached", "not reached"),
        }
    }

    /// The name in the JSON report.
    pub fn name(&self) -> &'static str {
        self.names().0
    }

    /// The name within a sentence or a list.
    pub fn label(&self) -> &'static str {
        self.names().1
    }

    /// How long rustc took in this session, in milliseconds, if cargo called it.
    pub fn compiled_ms(&self) -> Option<u64> {
        match self {
            Self::Miss { compile_ms, .. } => Some(*compile_ms),
            Self::Uncacheable { compile_ms, .. } => *compile_ms,
            Self::Hit { .. } | Self::Fresh | Self::NotReached => None,
        }
    }

    /// How long rustc took, in milliseconds: in this session, or for a hit when the entry was recorded.
    pub(super) fn compile_ms(&self) -> Option<u64> {
        match self {
            Self::Hit { compile_ms, .. } => Some(*compile_ms),
            _ => self.compiled_ms(),
        }
    }

    /// How long restoring a hit took, in milliseconds.
    pub(super) fn restore_ms(&self) -> Option<u64> {
        match self {
            Self::Hit { restore_ms, .. } => Some(*restore_ms),
            _ => None,
        }
    }

    /// The bytes that a hit wrote to the target directory, or a miss to the local store.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Hit { restored_bytes, .. } => Some(*restored_bytes),
            Self::Miss { recorded_bytes, .. } => *recorded_bytes,
            _ => None,
        }
    }

    /// The time spent on the unit in this session, in milliseconds: compiling or restoring it.
    pub fn spent_ms(&self) -> Option<u64> {
        self.restore_ms().or(self.compiled_ms())
    }
}

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

    /// The meaning of the cause, and what would change it.
    pub(super) fn describe(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Uncacheable(reason) => (reason.describe(), reason.advice()),
            Self::Miss(Some(reason)) => (describe_miss(reason), Some(miss_advice(reason))),
            Self::Miss(None) => ("the log does not say why", None),
        }
    }
}

/// What a miss reason means, in a few words. [`UncacheableReason`] has methods for its descriptions and advice.
pub fn describe_miss(reason: MissReason) -> &'static str {
    match reason {
        MissReason::Absent => "no store has it",
        MissReason::Corrupt => "the stored object was damaged",
        MissReason::RemoteFailed => "the remote did not answer in time, or gave an error",
        MissReason::Dependency => "a dependency differs from the one it was compiled against",
        MissReason::Invocation => "rustc's command line differs from the recorded one",
        MissReason::Environment => "a variable it reads through env! has another value",
        MissReason::Input => "a generated file it reads has other content",
        MissReason::Observed => "something that it was observed to read has changed",
        MissReason::PathBound => "the stored output holds a path of another machine",
        MissReason::Restore => "it could not be copied into the target directory",
    }
}

/// What would make the unit a hit.
pub(super) fn miss_advice(reason: MissReason) -> &'static str {
    match reason {
        MissReason::Absent => "nothing to do: once it is recorded, the same unit is a hit next time",
        MissReason::Corrupt => "nothing to do: the rebuilt unit replaces it",
        MissReason::RemoteFailed => "see the warning for the service's own words; check the remote and `timeout`",
        MissReason::Dependency => "nothing to do: it is recorded against the dependency that was built now",
        MissReason::Invocation => "build with the same flags and configuration everywhere",
        MissReason::Environment => "give the variable the same value on all machines",
        MissReason::Input => "make the build script that writes the file produce the same output every time",
        MissReason::Observed => "nothing to do if the change is intended; else make it the same on all machines",
        MissReason::PathBound => "keep CARGO_HOME and the target directory at the same paths on all machines",
        MissReason::Restore => "check the free space and the permissions of the target directory",
    }
}

/// Sums over units. A sum is absent if no unit has the number.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) units: usize,
    pub(super) compile_ms: Option<u64>,
    pub(super) restore_ms: Option<u64>,
    pub(super) bytes: Option<u64>,
}

impl Sum {
    pub(super) fn of<'a>(units: impl IntoIterator<Item = &'a UnitReport>) -> Self {
        let add = |sum: Option<u64>, number: Option<u64>| match (sum, number) {
            (Some(sum), Some(number)) => Some(sum.saturating_add(number)),
            (sum, number) => sum.or(number),
        };
        units.into_iter().map(|unit| &unit.outcome).fold(Self::default(), |sum, outcome| Self {
            units: sum.units + 1,
            compile_ms: add(sum.compile_ms, outcome.compile_ms()),
            restore_ms: add(sum.restore_ms, outcome.restore_ms()),
            bytes: add(sum.bytes, outcome.size()),
        })
    }

    pub(super) fn compile_ms(&self) -> u64 {
        self.compile_ms.unwrap_or(0)
    }
}

/// The units by a key, with an example and the sums of each group, the most expensive first. Units without a key are
/// left out.
pub(super) fn grouped<K: Ord>(units: &[UnitReport], key: impl Fn(&Outcome) -> Option<K>) -> Vec<(K, &UnitReport, Sum)> {
    let mut groups: BTreeMap<K, Vec<&UnitReport>> = BTreeMap::new();
    for unit in units {
        if let Some(key) = key(&unit.outcome) {
            groups.entry(key).or_default().push(unit);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().map(|(key, units)| (key, units[0], Sum::of(units))).collect();
    groups.sort_by_key(|(.., sum)| Reverse((sum.compile_ms(), sum.units)));
    groups
}

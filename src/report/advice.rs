//! Advice: what made this build slower than necessary, and what would change that.
//!
//! [`linking`] looks at programs, and [`units`] at compilations, the two stores and the target directory.
//!
//! **Invariants.** Pure, like the rest of the report. All advice rests on figures of this session, and states them. The
//! worth of advice is the time spent on the matter: an upper limit of what following it saves, not an estimate. Advice
//! worth less than a second is left out.

mod linking;
mod units;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Outcome, Report, UnitReport};
use crate::event::{Event, EventKind, LinkedProgram, UnitId};

/// Advice below this worth is left out, in milliseconds.
const MIN_WORTH_MS: u64 = 1000;
/// How many items a message lists.
const SHOWN: usize = 3;

/// Something that would make builds faster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// The kind of advice.
    pub name: AdviceName,
    /// The finding, in one sentence.
    pub message: String,
    /// The numbers it rests on. Their names end in the unit of measurement: `_ms`, `_bytes`, or a plural.
    pub figures: BTreeMap<String, u64>,
    /// The time spent on the matter in this session, in milliseconds: following the advice saves that much at most.
    /// Absent if the advice does not count time.
    pub worth_ms: Option<u64>,
    /// What to do: a command, or lines for a configuration file.
    pub action: String,
}

/// The kind of advice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdviceName {
    /// Linking took long, and a faster linker is installed.
    FasterLinker,
    /// Programs consist mostly of debug information.
    DebugInfo,
    /// Crates were compiled in several versions.
    DuplicateVersions,
    /// Members were compiled incrementally in CI.
    IncrementalInCi,
    /// Units took longer to restore than to compile.
    SlowRestore,
    /// Units took longer to fetch than to compile.
    SlowRemote,
    /// Units were compiled because the remote failed.
    RemoteFailed,
    /// Units should have been uploaded and were not.
    NotUploaded,
    /// The local store does not hold this build.
    StoreTooSmall,
}

impl Advice {
    /// Advice, unless it counts time and is not worth enough.
    fn new<const N: usize>(
        name: AdviceName,
        worth_ms: impl Into<Option<u64>>,
        figures: [(&str, u64); N],
        message: String,
        action: impl Into<String>,
    ) -> Option<Self> {
        let worth_ms = worth_ms.into();
        let figures = figures.map(|(name, value)| (name.to_owned(), value)).into();
        let advice = Self { name, message, figures, worth_ms, action: action.into() };
        worth_ms.is_none_or(|worth| worth >= MIN_WORTH_MS).then_some(advice)
    }
}

/// All advice for a session, the most valuable first.
pub(super) fn advice(report: &Report, events: &[Event]) -> Vec<Advice> {
    let input = AdviceInput::of(report, events);
    let rules = [
        linking::faster_linker,
        linking::debug_info,
        units::duplicate_versions,
        units::incremental_in_ci,
        units::slow_restore,
        units::slow_remote,
        units::remote_failed,
        units::not_uploaded,
        units::too_small,
    ];
    let mut advice: Vec<Advice> = rules.iter().filter_map(|rule| rule(&input)).collect();
    advice.sort_by_key(|advice| (Reverse(advice.worth_ms), advice.name));
    advice
}

/// The input of all advice.
struct AdviceInput<'a> {
    report: &'a Report,
    /// The linked programs.
    programs: Vec<(&'a UnitReport, &'a LinkedProgram)>,
    ci: bool,
    host: &'a str,
    /// The installed linkers.
    linkers: &'a [String],
    /// Units of this build that the local store had to remove, and the store's size limit.
    evicted: Option<(&'a [UnitId], u64)>,
}

impl<'a> AdviceInput<'a> {
    fn of(report: &'a Report, events: &'a [Event]) -> Self {
        let mut input = Self { report, programs: Vec::new(), ci: false, host: "", linkers: &[], evicted: None };
        for event in events {
            match &event.kind {
                EventKind::Linked { unit, program } => {
                    input.programs.extend(report.units.get(unit.0).map(|unit| (unit, program)));
                }
                EventKind::Machine { ci, host, linkers } => {
                    (input.ci, input.host, input.linkers) = (*ci, host, linkers);
                }
                EventKind::Evicted { units, max_bytes } => input.evicted = Some((units, *max_bytes)),
                _ => {}
            }
        }
        input
    }

    /// The units whose outcome meets a condition.
    fn units(&self, condition: impl Fn(&Outcome) -> bool) -> impl Iterator<Item = &'a UnitReport> {
        self.report.units.iter().filter(move |unit| condition(&unit.outcome))
    }
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;

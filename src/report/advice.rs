//! Advice: what made this build slower than it has to be, and what would change that.
//!
//! [`linking`] looks at programs, [`compiling`] at what was compiled, [`stores`] at what was not brought or kept well.
//!
//! **Invariants.** Pure, like the rest of the report. Each advice rests on what happened in this very session and says by
//! which figure. What it is worth is what was spent on the matter: following it saves that at most, and nobody guesses
//! how much of it. What is worth less than a second is not said.

mod compiling;
mod linking;
mod stores;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Report, UnitReport};
use crate::event::{Event, EventKind, LinkedProgram, UnitId};

/// What is worth less is not said.
const WORTH_SAYING: u64 = 1000;

/// Something that would make builds faster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// Which.
    pub name: AdviceName,
    /// What was found, in one sentence.
    pub message: String,
    /// The numbers it rests on. Their names end with what they count: `_ms`, `_bytes`, or a plural.
    pub figures: BTreeMap<String, u64>,
    /// What was spent on it in this session, in milliseconds: following the advice saves that at most. Nothing where it is
    /// not time that was counted.
    pub worth_ms: Option<u64>,
    /// What to do: a command, or lines for a configuration file.
    pub action: String,
}

/// The kinds of [`Advice`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdviceName {
    /// Linking took long, and there are faster linkers.
    FasterLinker,
    /// Programs are made of debug information for the most part.
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
    /// Units were to be uploaded and were not.
    NotUploaded,
    /// The local store does not hold this build.
    StoreTooSmall,
}

impl Advice {
    fn new<const N: usize>(
        name: AdviceName,
        worth_ms: impl Into<Option<u64>>,
        figures: [(&str, u64); N],
        message: String,
        action: impl Into<String>,
    ) -> Self {
        let figures = figures.map(|(name, value)| (name.to_owned(), value)).into();
        Self { name, message, figures, worth_ms: worth_ms.into(), action: action.into() }
    }
}

/// All that is worth saying of a session, what is worth most first.
pub(super) fn advice(report: &Report, events: &[Event]) -> Vec<Advice> {
    let input = AdviceInput::of(report, events);
    let all = [
        linking::faster_linker(&input),
        linking::debug_info(&input),
        compiling::duplicate_versions(&input),
        compiling::incremental_in_ci(&input),
        stores::slow_restore(&input),
        stores::slow_remote(&input),
        stores::remote_failed(&input),
        stores::not_uploaded(&input),
        stores::too_small(&input),
    ];
    let mut advice: Vec<_> = all.into_iter().flatten().collect();
    advice.retain(|advice| advice.worth_ms.is_none_or(|worth| worth >= WORTH_SAYING));
    advice.sort_by_key(|advice| (Reverse(advice.worth_ms), advice.name));
    advice
}

/// What advice is made from.
struct AdviceInput<'a> {
    report: &'a Report,
    /// What was linked.
    programs: Vec<(&'a UnitReport, &'a LinkedProgram)>,
    ci: bool,
    host: &'a str,
    /// Linkers that can be called by name.
    linkers: &'a [String],
    /// Units of this build that are not in the local store any more, and the size it is kept below.
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
}

/// Events are data from a file: no sum of them overflows.
fn sum(values: impl IntoIterator<Item = u64>) -> u64 {
    values.into_iter().fold(0, u64::saturating_add)
}

/// The first few of a list, which is in the order of what matters most.
fn first_few(items: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;

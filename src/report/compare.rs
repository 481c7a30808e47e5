//! What changed between two builds.
//!
//! Units of the two builds match if they have the same package, target, mode and platform. If several units match (two
//! versions of a package, or one version with two sets of features), the most similar ones form pairs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sessions::Session;
use super::{Outcome, PhaseSpan, Report, SCHEMA_VERSION, UnitReport};
use crate::event::Phase;

/// What changed from one build to another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The version of the report's JSON form.
    pub schema_version: u32,
    /// The first build.
    pub before: Session,
    /// The second.
    pub after: Session,
    /// Each phase of either build, in the order in which they began.
    pub phases: Vec<PhaseChange>,
    /// Units with another outcome, reason, version or set of features, and units that only one of the builds has.
    pub changed: Vec<UnitChange>,
    /// How many units did not change.
    pub unchanged: usize,
}

/// How long a phase took, in milliseconds. Absent if it did not end, or did not occur.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PhaseChange {
    /// Which.
    pub phase: Phase,
    /// In the first build.
    pub before_ms: Option<u64>,
    /// In the second.
    pub after_ms: Option<u64>,
}

/// A unit in two builds, one of which may lack it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UnitChange {
    /// In the first build.
    pub before: Option<UnitReport>,
    /// In the second.
    pub after: Option<UnitReport>,
}

impl Comparison {
    /// Compares two reports.
    pub fn of(before: &Report, after: &Report) -> Self {
        let pairs = pairs(&before.units, &after.units);
        let change = |(one, other): &Pair<'_>| UnitChange { before: one.cloned(), after: other.cloned() };
        let changed: Vec<_> = pairs.iter().filter(|(one, other)| is_changed(*one, *other)).map(change).collect();
        Self {
            schema_version: SCHEMA_VERSION,
            before: Session::of(before),
            after: Session::of(after),
            phases: phases(&before.phases, &after.phases),
            unchanged: pairs.len() - changed.len(),
            changed,
        }
    }
}

type Pair<'a> = (Option<&'a UnitReport>, Option<&'a UnitReport>);

/// Pairs the units of both builds. Every unit is in exactly one pair.
fn pairs<'a>(before: &'a [UnitReport], after: &'a [UnitReport]) -> Vec<Pair<'a>> {
    let mut groups: BTreeMap<_, (Vec<&UnitReport>, Vec<&UnitReport>)> = BTreeMap::new();
    before.iter().for_each(|unit| groups.entry(identity(unit)).or_default().0.push(unit));
    after.iter().for_each(|unit| groups.entry(identity(unit)).or_default().1.push(unit));
    groups.into_values().flat_map(|(before, after)| pairs_by_similarity(before, after)).collect()
}

fn identity(unit: &UnitReport) -> impl Ord + use<'_> {
    let UnitReport { package, target, kind, mode, platform, .. } = unit;
    (package, target, kind, mode, platform)
}

/// Pairs the units of one target, the most similar first, and the rest in order.
fn pairs_by_similarity<'a>(mut before: Vec<&'a UnitReport>, mut after: Vec<&'a UnitReport>) -> Vec<Pair<'a>> {
    let alike: [fn(&UnitReport, &UnitReport) -> bool; 4] = [
        |one, other| one.key.is_some() && one.key == other.key,
        |one, other| (&one.version, &one.features) == (&other.version, &other.features),
        |one, other| one.version == other.version,
        |_, _| true,
    ];
    let mut pairs = Vec::new();
    for alike in alike {
        before.retain(|one| match after.iter().position(|other| alike(one, other)) {
            Some(index) => {
                pairs.push((Some(*one), Some(after.remove(index))));
                false
            }
            None => true,
        });
    }
    pairs.extend(before.into_iter().map(|unit| (Some(unit), None)));
    pairs.extend(after.into_iter().map(|unit| (None, Some(unit))));
    pairs
}

fn is_changed(before: Option<&UnitReport>, after: Option<&UnitReport>) -> bool {
    let compared = |unit: &UnitReport| (unit.version.clone(), unit.features.clone(), without_numbers(&unit.outcome));
    before.map(compared) != after.map(compared)
}

fn without_numbers(outcome: &Outcome) -> impl PartialEq + use<> {
    let reasons = match outcome {
        Outcome::Miss { reason, path_bound, not_recorded, .. } => (*reason, *path_bound, *not_recorded),
        Outcome::Uncacheable { reason, .. } => (None, false, Some(*reason)),
        Outcome::Hit { .. } | Outcome::Fresh | Outcome::NotReached => (None, false, None),
    };
    (outcome.kind(), reasons)
}

fn phases(before: &[PhaseSpan], after: &[PhaseSpan]) -> Vec<PhaseChange> {
    let mut names: Vec<Phase> = Vec::new();
    for span in after.iter().chain(before) {
        if !names.contains(&span.phase) {
            names.push(span.phase);
        }
    }
    let change = |phase| PhaseChange { phase, before_ms: took(before, phase), after_ms: took(after, phase) };
    names.into_iter().map(change).collect()
}

/// The total time of a phase, if it occurred and always ended.
fn took(spans: &[PhaseSpan], phase: Phase) -> Option<u64> {
    let mut took = None;
    for span in spans.iter().filter(|span| span.phase == phase) {
        took = Some(took.unwrap_or(0) + span.end_ms?.saturating_sub(span.start_ms));
    }
    took
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;

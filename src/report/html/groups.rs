//! The units by outcome and reason, with what they cost and what would change that.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::cause::CompileCause;
use super::super::text;
use super::super::{Outcome, UnitReport};
use super::tracks::share;
use super::view::{class, time};
use crate::event::Tier;

/// The units of one outcome and reason.
#[derive(Serialize)]
pub(super) struct Group {
    outcome: &'static str,
    label: &'static str,
    reason: String,
    description: String,
    advice: Option<&'static str>,
    units: usize,
    /// `1.2 s`, or `1.2 s avoided`.
    time: String,
    percent: String,
    bytes: Option<String>,
}

/// What the units of a group come to.
#[derive(Default)]
struct Sum {
    units: usize,
    millis: u64,
    bytes: Option<u64>,
}

/// The units by outcome and reason: hits first, then what cost most.
pub(super) fn groups(units: &[UnitReport]) -> Vec<Group> {
    let mut sums: BTreeMap<_, (Sum, &Outcome)> = BTreeMap::new();
    for UnitReport { outcome, .. } in units {
        let (class, _) = class(outcome);
        let (sum, _) = sums.entry((class, group(outcome))).or_insert_with(|| (Sum::default(), outcome));
        let (millis, bytes) = match outcome {
            Outcome::Hit { compile_ms, restored_bytes, .. } => (*compile_ms, Some(*restored_bytes)),
            Outcome::Miss { compile_ms, recorded_bytes, .. } => (*compile_ms, *recorded_bytes),
            outcome => (outcome.compiled_ms().unwrap_or(0), None),
        };
        sum.units += 1;
        sum.millis = sum.millis.saturating_add(millis);
        sum.bytes = sum.bytes.map_or(bytes, |sum| Some(sum.saturating_add(bytes.unwrap_or(0))));
    }
    let most = sums.values().map(|(sum, _)| sum.millis).max().unwrap_or(0);
    let mut sums: Vec<_> = sums.into_values().collect();
    sums.sort_by_key(|(sum, outcome)| (class(outcome).0 != "hit", std::cmp::Reverse((sum.millis, sum.units))));
    sums.into_iter().map(|(sum, outcome)| Group::new(&sum, outcome, most)).collect()
}

/// The name of a group within its outcome.
fn group(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Hit { tier, hydrated, .. } => {
            let tier = if *tier == Tier::Local { "local" } else { "remote" };
            format!("{tier}, {}", if *hydrated { "hydrated" } else { "restored" })
        }
        outcome => CompileCause::of(outcome).map_or_else(String::new, CompileCause::name),
    }
}

impl Group {
    fn new(sum: &Sum, outcome: &Outcome, most: u64) -> Self {
        let (description, advice) = describe(outcome);
        let avoided = if matches!(outcome, Outcome::Hit { .. }) { " avoided" } else { "" };
        let (class, label) = class(outcome);
        Self {
            outcome: class,
            label,
            reason: group(outcome).trim_start_matches("miss: ").to_owned(),
            description: description.into(),
            advice,
            units: sum.units,
            time: if sum.millis > 0 { format!("{}{avoided}", time(sum.millis)) } else { String::new() },
            percent: share(sum.millis, most),
            bytes: sum.bytes.map(text::bytes),
        }
    }
}

/// What an outcome means, and what would change it.
fn describe(outcome: &Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Hit { hydrated: true, .. } => {
            ("in its place before cargo looked there: cargo started no process", None)
        }
        Outcome::Hit { .. } => ("brought when cargo asked for it", None),
        Outcome::Fresh => ("the target directory had it already, and cargo did not ask for it", None),
        Outcome::NotReached => ("cargo did not come to it", None),
        outcome => CompileCause::of(outcome).map_or(("", None), CompileCause::describe),
    }
}

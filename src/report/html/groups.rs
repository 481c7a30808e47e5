//! The units by outcome and reason, with their cost and advice.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::share;
use crate::report::cause::CompileCause;
use crate::report::present::name;
use crate::report::{Outcome, UnitReport};

/// Sums over the units of a group.
#[derive(Default)]
struct Sum {
    units: usize,
    millis: u64,
    bytes: Option<u64>,
}

/// The units by outcome and reason: hits first, then by cost.
pub(super) fn groups(units: &[UnitReport]) -> Vec<Value> {
    let mut sums: BTreeMap<_, (Sum, &Outcome)> = BTreeMap::new();
    for UnitReport { outcome, .. } in units {
        let (sum, _) = sums.entry((outcome.name(), group(outcome))).or_insert_with(|| (Sum::default(), outcome));
        let (millis, bytes) = (outcome.compile_ms().unwrap_or(0), outcome.size());
        sum.units += 1;
        sum.millis = sum.millis.saturating_add(millis);
        sum.bytes = sum.bytes.map_or(bytes, |sum| Some(sum.saturating_add(bytes.unwrap_or(0))));
    }
    let most = sums.values().map(|(sum, _)| sum.millis).max().unwrap_or(0);
    let mut sums: Vec<_> = sums.into_values().collect();
    sums.sort_by_key(|(sum, outcome)| (outcome.name() != "hit", std::cmp::Reverse((sum.millis, sum.units))));
    sums.into_iter().map(|(sum, outcome)| entry(&sum, outcome, most)).collect()
}

/// The name of a group within its outcome.
fn group(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Hit { tier, hydrated, .. } => {
            format!("{}, {}", name(tier), if *hydrated { "hydrated" } else { "restored" })
        }
        outcome => CompileCause::of(outcome).map_or_else(String::new, CompileCause::name),
    }
}

fn entry(sum: &Sum, outcome: &Outcome, most: u64) -> Value {
    let (description, advice) = describe(outcome);
    json!({
        "outcome": outcome.name(),
        "label": outcome.label(),
        "reason": group(outcome).trim_start_matches("miss: "),
        "description": description,
        "advice": advice,
        "units": sum.units,
        "compile_ms": sum.millis,
        "percent": share(sum.millis, most),
        "bytes": sum.bytes,
    })
}

/// The meaning of an outcome, and advice.
fn describe(outcome: &Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Hit { hydrated: true, .. } => ("in place before cargo looked: cargo started no process for it", None),
        Outcome::Hit { .. } => ("restored when cargo asked for it", None),
        Outcome::Fresh => ("the target directory had it already, and cargo did not call rustc for it", None),
        Outcome::NotReached => ("cargo did not get to it", None),
        outcome => CompileCause::of(outcome).map_or(("", None), CompileCause::describe),
    }
}

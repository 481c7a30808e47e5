//! The timeline: when a session spent time on what. This is a second fold over the same events.
//!
//! [`spans`] returns the start and end of each fetch, each unit that was placed or restored, each run of rustc or of a
//! build script, and each upload. [`critical_path`] finds the compilations that had to wait for one another.
//!
//! **Invariants.** Pure, like the rest of the report. A span never ends before it begins. Since the events may come
//! from a file, units outside of the plan have no spans, and dependencies may be out of range or circular.

use std::cmp::Reverse;
use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UnitReport;
use crate::event::{Event, EventKind, PlannedUnit, UnitId};
use crate::key::UnitKey;

/// An activity that took time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// The kind of activity.
    pub kind: SpanKind,
    /// The unit of the plan, as an index into the report's units.
    pub unit: Option<UnitId>,
    /// Its name, if it is not a unit of the plan.
    pub name: Option<String>,
    /// When it began, in milliseconds since the session began.
    pub start_ms: u64,
    /// When it ended, in milliseconds since the session began.
    pub end_ms: u64,
    /// Bytes transferred or written.
    pub bytes: Option<u64>,
}

/// The kind of an activity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SpanKind {
    /// A pack was fetched from the remote and unpacked into the local store.
    Fetch,
    /// A unit was placed in the build directory before cargo looked there.
    Hydrate,
    /// The wrapper restored a unit when cargo asked for it.
    Restore,
    /// rustc, or the build script, ran for a unit.
    Compile,
    /// rustc ran for something that is not in the plan.
    PassedThrough,
    /// A unit was packed and sent to the remote.
    Upload,
}

/// The activities in the events, in the order in which they began.
pub(super) fn spans(events: &[Event], planned: &[PlannedUnit]) -> Vec<Span> {
    let by_key: HashMap<_, _> =
        planned.iter().enumerate().rev().filter_map(|(id, unit)| Some((unit.key?, UnitId(id)))).collect();
    let mut spans: Vec<_> = events.iter().filter_map(|event| span(event, planned.len(), &by_key)).collect();
    spans.sort_by_key(|span| (span.start_ms, span.end_ms));
    spans
}

fn span(event: &Event, planned: usize, by_key: &HashMap<UnitKey, UnitId>) -> Option<Span> {
    let unit_span = |kind, unit: &UnitId, bytes, millis: &u64| (kind, Some(*unit), None, bytes, *millis);
    let (kind, unit, name, bytes, millis) = match &event.kind {
        EventKind::Found { transferred: 0, .. } => return None,
        EventKind::Found { unit, transferred, millis, .. } => {
            unit_span(SpanKind::Fetch, unit, Some(*transferred), millis)
        }
        EventKind::Hydrated { unit, bytes, millis, .. } => unit_span(SpanKind::Hydrate, unit, Some(*bytes), millis),
        EventKind::Restored { unit, bytes, millis, .. } => unit_span(SpanKind::Restore, unit, Some(*bytes), millis),
        EventKind::Compiled { unit, millis, .. } => unit_span(SpanKind::Compile, unit, None, millis),
        EventKind::PassedThrough { what, millis } => (SpanKind::PassedThrough, None, Some(what), None, *millis),
        EventKind::Uploaded { key, package, bytes, millis } => {
            let unit = by_key.get(key).copied();
            (SpanKind::Upload, unit, unit.is_none().then_some(package), Some(*bytes), *millis)
        }
        _ => return None,
    };
    let start_ms = event.at_ms.saturating_sub(millis);
    let span = Span { kind, unit, name: name.cloned(), start_ms, end_ms: event.at_ms, bytes };
    unit.is_none_or(|unit| unit.0 < planned).then_some(span)
}

/// The chain of dependencies with the longest sum of compile times, dependencies first. Units that were not compiled
/// are left out.
///
/// Cargo starts a crate as soon as its dependencies have metadata, so the chain may take less wall-clock time than its
/// sum.
pub fn critical_path(units: &[UnitReport]) -> Vec<UnitId> {
    let cost = |id: usize| units[id].outcome.compiled_ms().unwrap_or(0);
    let dependencies = |id: usize| units[id].dependencies.iter().map(|unit| unit.0).filter(|id| *id < units.len());
    // For each unit: the cost of the longest chain that ends with it, and the unit before it in that chain. A
    // dependency without a value here is part of a circle.
    let mut longest: Vec<Option<(u64, Option<usize>)>> = vec![None; units.len()];
    for id in dependencies_first(units.len(), |id| dependencies(id).collect()) {
        let before = dependencies(id).filter_map(|before| Some((longest[before]?.0, Reverse(before)))).max();
        let (spent, before) = before.map_or((0, None), |(spent, Reverse(before))| (spent, Some(before)));
        longest[id] = Some((spent.saturating_add(cost(id)), before));
    }
    let last = (0..units.len()).max_by_key(|id| (longest[*id].map(|(spent, _)| spent), Reverse(*id)));
    let path = std::iter::successors(last, |id| longest[*id]?.1);
    let mut path: Vec<_> = path.filter(|id| cost(*id) > 0).map(UnitId).collect();
    path.reverse();
    path
}

/// All units in an order in which dependencies precede their dependents, except in circles. Not recursive, because
/// chains may be long.
fn dependencies_first(units: usize, dependencies: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let mut order = Vec::with_capacity(units);
    let mut seen = vec![false; units];
    for root in 0..units {
        let mut open = vec![(root, false)];
        while let Some((id, is_done)) = open.pop() {
            if is_done {
                order.push(id);
            } else if !std::mem::replace(&mut seen[id], true) {
                open.push((id, true));
                open.extend(dependencies(id).into_iter().filter(|id| !seen[*id]).map(|id| (id, false)));
            }
        }
    }
    order
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;

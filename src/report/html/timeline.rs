//! The timeline: a track for each kind of activity, with as many lanes as overlapping activities need.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::event::Phase;
use crate::report::present::name;
use crate::report::timeline::{Span, SpanKind};
use crate::report::{OutcomeKind, PhaseSpan, Report, UnitReport};

/// The tracks below that of the phases, in the order of their activities in a session.
const TRACKS: &[(&str, &str, &[SpanKind])] = &[
    ("Fetch: packs from the remote", "thin", &[SpanKind::Fetch]),
    ("Hydrate: units placed in the build directory", "thin", &[SpanKind::Hydrate]),
    (
        "Build: rustc and build scripts, in parallel lanes",
        "high",
        &[SpanKind::Compile, SpanKind::Restore, SpanKind::PassedThrough],
    ),
    ("Upload: packs to the remote", "thin", &[SpanKind::Upload]),
];

/// The tracks that are not empty. `rows` are the units as the page shows them.
pub(super) fn tracks(report: &Report, rows: &[Value]) -> Vec<Value> {
    let phases: Vec<_> = report.phases.iter().map(|span| vec![phase(span)]).collect();
    let spans = TRACKS.iter().map(|(label, class, kinds)| {
        let spans = report.spans.iter().filter(|span| kinds.contains(&span.kind));
        let blocks = lanes(spans, |span| (span.start_ms, span.end_ms)).into_iter();
        let blocks = blocks.map(|lane| lane.into_iter().map(|span| block(span, report, rows)).collect()).collect();
        (*label, *class, blocks)
    });
    let tracks = [("Phases", "phases", phases)].into_iter().chain(spans).filter(|(.., lanes)| !lanes.is_empty());
    tracks.map(|(label, class, lanes)| json!({ "label": label, "class": class, "lanes": lanes })).collect()
}

/// The classes of all blocks, for the legend.
pub(super) fn classes(report: &Report) -> BTreeSet<&'static str> {
    let phase = report.phases.first().map(|_| "phase");
    let spans = report.spans.iter().flat_map(|span| {
        let unit = unit(span, report);
        let is_script = span.kind == SpanKind::Compile && unit.is_some_and(is_script_run);
        [look(span.kind, unit).0].into_iter().chain(is_script.then_some("script"))
    });
    phase.into_iter().chain(spans).collect()
}

fn phase(span: &PhaseSpan) -> Value {
    json!({
        "class": "phase",
        "name": name(span.phase),
        "what": describe(span.phase),
        "start_ms": span.start_ms,
        "end_ms": span.end_ms,
        "bytes": null,
        "row": null,
        "is_compile": false,
    })
}

fn block(span: &Span, report: &Report, rows: &[Value]) -> Value {
    let (class, what) = look(span.kind, unit(span, report));
    json!({
        "class": class,
        "name": span.name,
        "what": what,
        "start_ms": span.start_ms,
        "end_ms": span.end_ms,
        "bytes": span.bytes,
        "row": span.unit.and_then(|id| rows.get(id.0)),
        "is_compile": span.kind == SpanKind::Compile,
    })
}

fn unit<'a>(span: &Span, report: &'a Report) -> Option<&'a UnitReport> {
    report.units.get(span.unit?.0)
}

fn is_script_run(unit: &UnitReport) -> bool {
    unit.mode == "run-custom-build"
}

/// The class of a block, and its activity in words.
fn look(kind: SpanKind, unit: Option<&UnitReport>) -> (&'static str, &'static str) {
    match kind {
        SpanKind::Fetch => ("fetch", "fetched and unpacked"),
        SpanKind::Hydrate => ("hit", "placed in the build directory"),
        SpanKind::Restore => ("hit", "restored when cargo asked for it"),
        SpanKind::PassedThrough => ("outside", "compiled for something outside of the plan"),
        SpanKind::Upload => ("upload", "packed and sent"),
        SpanKind::Compile => {
            let class = match unit.map(|unit| unit.outcome.kind()) {
                Some(OutcomeKind::Failed) => "failed",
                Some(OutcomeKind::Uncacheable) => "uncacheable",
                // This includes hits that were first compiled for something else.
                Some(_) => "miss",
                None => "outside",
            };
            (class, if unit.is_some_and(is_script_run) { "build script run" } else { "compiled" })
        }
    }
}

fn describe(phase: Phase) -> &'static str {
    match phase {
        Phase::Plan => "xcache asks cargo for the workspace and its units",
        Phase::Prefetch => "entries and packs are copied to the local store",
        Phase::Hydrate => "units are placed in the build directory",
        Phase::Build => "cargo runs",
        Phase::Upload => "the remaining units are sent to the remote",
    }
}

/// Puts each item into the first lane that is free when its interval begins. The items are ordered by their beginnings.
///
/// An interval takes at least a millisecond, so intervals that begin and end in the same millisecond do not cover each
/// other.
fn lanes<T>(items: impl IntoIterator<Item = T>, interval: impl Fn(&T) -> (u64, u64)) -> Vec<Vec<T>> {
    let mut lanes: Vec<(u64, Vec<T>)> = Vec::new();
    for item in items {
        let (start, end) = interval(&item);
        let end = end.max(start.saturating_add(1));
        match lanes.iter_mut().find(|(free, _)| *free <= start) {
            Some((free, lane)) => {
                *free = end;
                lane.push(item);
            }
            None => lanes.push((end, vec![item])),
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn lanes(spans: &[(u64, u64)]) -> Vec<Vec<(u64, u64)>> {
        super::lanes(spans.iter().copied(), |span| *span)
    }

    #[test]
    fn overlapping_intervals_have_lanes_of_their_own_and_consecutive_ones_share_one() {
        assert_eq!(lanes(&[(0, 10), (2, 5), (5, 9), (10, 11)]), [[(0, 10), (10, 11)], [(2, 5), (5, 9)]]);
        assert_eq!(lanes(&[(4, 4), (4, 4), (5, 5)]), [vec![(4, 4), (5, 5)], vec![(4, 4)]]);
        assert_eq!(lanes(&[]), [[(0, 0); 0]; 0]);
    }

    proptest! {
        #[test]
        fn as_many_intervals_overlap_as_there_are_lanes(spans in prop::collection::vec((0_u64..50, 1_u64..20), 0..40)) {
            let mut spans: Vec<_> = spans.into_iter().map(|(start, length)| (start, start + length)).collect();
            spans.sort_unstable();
            let lanes = lanes(&spans);
            let overlapping = |at| spans.iter().filter(|(start, end)| (*start..*end).contains(&at)).count();
            prop_assert_eq!(lanes.len(), (0..70).map(overlapping).max().unwrap_or(0));
            prop_assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), spans.len());
            prop_assert!(lanes.iter().all(|lane| lane.windows(2).all(|pair| pair[0].1 <= pair[1].0)));
        }
    }
}

//! The timeline: a track for each kind of activity, with as many lanes as overlapping activities need.

use std::collections::BTreeSet;

use serde::Serialize;

use super::lanes::lanes;
use super::share;
use crate::event::{Phase, UnitId};
use crate::report::present::{bytes, name, reason, time, title};
use crate::report::timeline::{Span, SpanKind};
use crate::report::{Outcome, PhaseSpan, Report, UnitReport};

#[derive(Serialize)]
pub(super) struct Timeline {
    duration_ms: u64,
    tracks: Vec<Track>,
    /// The classes of blocks that occur, with their meaning.
    legend: Vec<(&'static str, &'static str)>,
    has_scripts: bool,
}

#[derive(Serialize)]
struct Track {
    label: &'static str,
    /// The CSS class of the track.
    style: &'static str,
    lanes: Vec<Vec<Block>>,
}

/// A span or a phase, as the page draws it.
#[derive(Default, Serialize)]
struct Block {
    unit: Option<usize>,
    class: &'static str,
    is_critical: bool,
    is_script: bool,
    /// Where the name is, if the block has no room for it: `after` or `before`.
    label: Option<&'static str>,
    /// Its position, as a CSS style.
    position: String,
    name: String,
    /// Lines for the tooltip.
    details: String,
}

/// The tracks, in the order of their activities in a session.
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

/// The classes of blocks, with their meaning.
const LEGEND: &[(&str, &str)] = &[
    ("phase", "phase"),
    ("fetch", "fetched"),
    ("hit", "hit: hydrated or restored"),
    ("miss", "miss: compiled"),
    ("uncacheable", "not cacheable: compiled"),
    ("failed", "failed"),
    ("outside", "rustc for something outside of the plan"),
    ("upload", "uploaded"),
];

impl Timeline {
    /// The timeline of a report; absent if it has neither phases nor spans.
    pub(super) fn new(report: &Report, is_critical: &BTreeSet<UnitId>) -> Option<Self> {
        let ends = report.spans.iter().map(|span| span.end_ms).chain([report.duration_ms, 1]);
        let canvas = Canvas { report, is_critical, duration_ms: ends.max()? };
        let mut tracks = Vec::from_iter(canvas.phases());
        tracks.extend(TRACKS.iter().filter_map(|(label, style, kinds)| canvas.track(label, style, kinds)));
        let blocks = || tracks.iter().flat_map(|track| track.lanes.iter().flatten());
        let legend = LEGEND.iter().filter(|(class, _)| blocks().any(|block| block.class == *class)).copied().collect();
        let has_scripts = blocks().any(|block| block.is_script);
        (!tracks.is_empty()).then_some(Self { duration_ms: canvas.duration_ms, legend, has_scripts, tracks })
    }
}

struct Canvas<'a> {
    report: &'a Report,
    is_critical: &'a BTreeSet<UnitId>,
    duration_ms: u64,
}

impl Canvas<'_> {
    fn phases(&self) -> Option<Track> {
        let phase = |span: &PhaseSpan| {
            let end_ms = span.end_ms.unwrap_or(self.duration_ms);
            let open = if span.end_ms.is_none() { "\nthe phase did not end" } else { "" };
            vec![Block {
                class: "phase",
                label: self.label(span.start_ms, end_ms),
                position: self.position(span.start_ms, end_ms),
                name: name(span.phase),
                details: format!("{}{open}\n{}", describe(span.phase), when(span.start_ms, end_ms)),
                ..Block::default()
            }]
        };
        let lanes: Vec<_> = self.report.phases.iter().map(phase).collect();
        (!lanes.is_empty()).then_some(Track { label: "Phases", style: "phases", lanes })
    }

    fn track(&self, label: &'static str, style: &'static str, kinds: &[SpanKind]) -> Option<Track> {
        let spans: Vec<_> = self.report.spans.iter().filter(|span| kinds.contains(&span.kind)).collect();
        let lanes = lanes(spans.iter().map(|span| (span.start_ms, span.end_ms)));
        let lanes = lanes.into_iter().map(|lane| lane.into_iter().map(|index| self.block(spans[index])).collect());
        (!spans.is_empty()).then(|| Track { label, style, lanes: lanes.collect() })
    }

    fn block(&self, span: &Span) -> Block {
        let unit = span.unit.and_then(|id| Some((id, self.report.units.get(id.0)?)));
        let is_compile = span.kind == SpanKind::Compile;
        let is_critical = is_compile && unit.is_some_and(|(id, _)| self.is_critical.contains(&id));
        Block {
            unit: unit.map(|(id, _)| id.0),
            class: span_class(span.kind, unit.map(|(_, unit)| &unit.outcome)),
            is_critical,
            is_script: is_compile && unit.is_some_and(|(_, unit)| unit.mode == "run-custom-build"),
            label: None,
            position: self.position(span.start_ms, span.end_ms),
            name: unit.map_or_else(|| span.name.clone().unwrap_or_default(), |(_, unit)| title(unit)),
            details: details(span, unit.map(|(_, unit)| unit), is_critical),
        }
    }

    /// The place of the name of a block that has a lane of its own.
    fn label(&self, start_ms: u64, end_ms: u64) -> Option<&'static str> {
        let is_short = end_ms.saturating_sub(start_ms) < self.duration_ms / 12;
        is_short.then_some(if end_ms > self.duration_ms / 2 { "before" } else { "after" })
    }

    fn position(&self, start_ms: u64, end_ms: u64) -> String {
        let [left, width] = [start_ms, end_ms.saturating_sub(start_ms)].map(|part| share(part, self.duration_ms));
        format!("left:{left}%;width:{width}%")
    }
}

fn span_class(kind: SpanKind, outcome: Option<&Outcome>) -> &'static str {
    match (kind, outcome) {
        (SpanKind::Fetch, _) => "fetch",
        (SpanKind::Hydrate | SpanKind::Restore, _) => "hit",
        (SpanKind::Upload, _) => "upload",
        (SpanKind::Compile, Some(outcome)) if outcome.has_failed() => "failed",
        (SpanKind::Compile, Some(Outcome::Uncacheable { .. })) => "uncacheable",
        // This includes hits that were first compiled for something else.
        (SpanKind::Compile, Some(_)) => "miss",
        (SpanKind::Compile | SpanKind::PassedThrough, _) => "outside",
    }
}

/// The activity and the outcome of the unit, on separate lines.
fn details(span: &Span, unit: Option<&UnitReport>, is_critical: bool) -> String {
    let bytes = span.bytes.map(bytes);
    let bytes = bytes.map(|bytes| format!(", {bytes}")).unwrap_or_default();
    let is_run = unit.is_some_and(|unit| unit.mode == "run-custom-build");
    let what = match span.kind {
        SpanKind::Fetch => "fetched and unpacked",
        SpanKind::Hydrate => "placed in the build directory",
        SpanKind::Restore => "restored when cargo asked for it",
        SpanKind::Compile if is_run => "build script run",
        SpanKind::Compile => "compiled",
        SpanKind::PassedThrough => "compiled for something outside of the plan",
        SpanKind::Upload => "packed and sent",
    };
    let took = time(span.end_ms.saturating_sub(span.start_ms));
    let mut lines = vec![format!("{what} in {took}{bytes}"), when(span.start_ms, span.end_ms)];
    if let Some(unit) = unit {
        let label = unit.outcome.label();
        let reason = Some(reason(&unit.outcome)).filter(|reason| !reason.is_empty());
        lines.push(reason.map_or_else(|| label.to_owned(), |reason| format!("{label}: {reason}")));
        if let Outcome::Hit { compile_ms, .. } = unit.outcome {
            lines.push(format!("it took {} to compile", time(compile_ms)));
        }
    }
    if is_critical {
        lines.push("on the critical path".into());
    }
    lines.join("\n")
}

/// `from 1.234 s to 2.000 s`.
fn when(start_ms: u64, end_ms: u64) -> String {
    let seconds = |millis: u64| format!("{}.{:03} s", millis / 1000, millis % 1000);
    format!("from {} to {}", seconds(start_ms), seconds(end_ms))
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

//! The timeline: tracks of what is alike, each with as many lanes as it needs.

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
    /// What colours there are, with their meaning.
    legend: Vec<(&'static str, &'static str)>,
    has_scripts: bool,
}

#[derive(Serialize)]
struct Track {
    label: &'static str,
    /// How the track is drawn.
    style: &'static str,
    lanes: Vec<Vec<Block>>,
}

/// A span as it is drawn.
#[derive(Serialize)]
struct Block {
    unit: Option<usize>,
    class: &'static str,
    is_critical: bool,
    is_script: bool,
    /// Where the name stands: `inside`, or where there is no room for it, `after` or `before`.
    label: &'static str,
    left: String,
    width: String,
    name: String,
    /// A line for each thing to say.
    details: String,
}

/// The tracks, from what comes first in a session.
const TRACKS: &[(&str, &str, &[SpanKind])] = &[
    ("Fetch: packs from the remote", "thin", &[SpanKind::Fetch]),
    ("Hydrate: units put into the build directory", "thin", &[SpanKind::Hydrate]),
    (
        "Build: rustc and build scripts, a lane for each that ran beside others",
        "high",
        &[SpanKind::Compile, SpanKind::Restore, SpanKind::PassedThrough],
    ),
    ("Upload: packs to the remote", "thin", &[SpanKind::Upload]),
];

/// All colours of the timeline.
const LEGEND: &[(&str, &str)] = &[
    ("phase", "phase"),
    ("fetch", "fetched"),
    ("hit", "hit: hydrated or restored"),
    ("miss", "miss: compiled"),
    ("uncacheable", "not cacheable: compiled"),
    ("failed", "failed"),
    ("outside", "rustc, for no unit of the plan"),
    ("upload", "uploaded"),
];

impl Timeline {
    /// Nothing where nothing is known to have taken time.
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
            let open = if span.end_ms.is_none() { "\nit did not come to its end" } else { "" };
            let (left, width) = self.place(span.start_ms, end_ms);
            let details = format!("{}{open}\n{}", about(span.phase), when(span.start_ms, end_ms));
            let block = Block {
                unit: None,
                class: "phase",
                is_critical: false,
                is_script: false,
                label: self.label(span.start_ms, end_ms),
                left,
                width,
                name: name(span.phase),
                details,
            };
            vec![block]
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
        let is_run = |unit: &UnitReport| unit.mode == "run-custom-build";
        let is_critical = span.kind == SpanKind::Compile && unit.is_some_and(|(id, _)| self.is_critical.contains(&id));
        let (left, width) = self.place(span.start_ms, span.end_ms);
        Block {
            unit: unit.map(|(id, _)| id.0),
            class: span_class(span.kind, unit.map(|(_, unit)| &unit.outcome)),
            is_critical,
            is_script: span.kind == SpanKind::Compile && unit.is_some_and(|(_, unit)| is_run(unit)),
            label: "inside",
            left,
            width,
            name: unit.map_or_else(|| span.name.clone().unwrap_or_default(), |(_, unit)| title(unit)),
            details: details(span, unit.map(|(_, unit)| unit), is_critical),
        }
    }

    /// For a block that has a lane of its own.
    fn label(&self, start_ms: u64, end_ms: u64) -> &'static str {
        let is_short = end_ms.saturating_sub(start_ms) < self.duration_ms / 12;
        match end_ms > self.duration_ms / 2 {
            _ if !is_short => "inside",
            true => "before",
            false => "after",
        }
    }

    fn place(&self, start_ms: u64, end_ms: u64) -> (String, String) {
        (share(start_ms, self.duration_ms), share(end_ms.saturating_sub(start_ms), self.duration_ms))
    }
}

fn span_class(kind: SpanKind, outcome: Option<&Outcome>) -> &'static str {
    match (kind, outcome) {
        (SpanKind::Fetch, _) => "fetch",
        (SpanKind::Hydrate | SpanKind::Restore, _) => "hit",
        (SpanKind::Upload, _) => "upload",
        (SpanKind::Compile, Some(outcome)) if outcome.has_failed() => "failed",
        // A unit that was restored after all had first been compiled for something else.
        (SpanKind::Compile, Some(Outcome::Uncacheable { .. })) => "uncacheable",
        (SpanKind::Compile, Some(_)) => "miss",
        (SpanKind::Compile | SpanKind::PassedThrough, _) => "outside",
    }
}

/// What was done, and how that came, a line each.
fn details(span: &Span, unit: Option<&UnitReport>, is_critical: bool) -> String {
    let bytes = span.bytes.map(bytes);
    let bytes = bytes.map(|bytes| format!(", {bytes}")).unwrap_or_default();
    let is_run = unit.is_some_and(|unit| unit.mode == "run-custom-build");
    let what = match span.kind {
        SpanKind::Fetch => "fetched and unpacked",
        SpanKind::Hydrate => "put into the build directory",
        SpanKind::Restore => "restored when cargo asked for it",
        SpanKind::Compile if is_run => "build script run",
        SpanKind::Compile => "compiled",
        SpanKind::PassedThrough => "compiled, but for no unit of the plan",
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

fn about(phase: Phase) -> &'static str {
    match phase {
        Phase::Plan => "cargo is asked for the workspace and its units",
        Phase::Prefetch => "entries and packs are brought into the local store",
        Phase::Hydrate => "units are put into the build directory",
        Phase::Build => "cargo runs",
        Phase::Upload => "what is left is sent to the remote",
    }
}

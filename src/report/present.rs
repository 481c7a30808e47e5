//! The words and numbers that text, Markdown, HTML, advice and explanations share: sizes, times, plurals, the names of
//! outcomes and reasons, the titles of units. [`lines`] writes lines for a terminal.
//!
//! **Invariants.** Pure. Independent of the format: nothing here is escaped, and only [`lines`] uses styles and widths.

pub mod lines;

use bytesize::ByteSize;
use serde::Serialize;

use super::stats::Costs;
use super::{Outcome, Report, UnitReport};

/// `12.3 MB`.
pub fn bytes(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

/// `0.4 s`, `41.3 s`, `3m 05s`.
pub fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{}.{} s", seconds, millis % 1000 / 100),
        _ => format!("{}m {:02}s", seconds / 60, seconds % 60),
    }
}

/// `12 ms`, `1.2 s`, `3m 05s`: for times that may be short.
pub fn time(millis: u64) -> String {
    if millis < 1000 { format!("{millis} ms") } else { duration(millis) }
}

/// `0.04 s`, `41.30 s`, `3m 05s`: for columns.
pub(super) fn precise(millis: u64) -> String {
    match millis {
        0..60_000 => format!("{}.{:02} s", millis / 1000, millis % 1000 / 10),
        _ => duration(millis),
    }
}

/// `2026-05-04 10:11:12 UTC`.
pub(super) fn timestamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `1 unit`, `12 units`.
pub fn units(number: usize) -> String {
    counted(number, "unit", "units")
}

/// `1 miss`, `12 misses`.
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The parts that are present and not empty, as a list.
pub(super) fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// `7 misses`; absent for zero.
pub(super) fn nonzero(number: usize, one: &str, many: &str) -> Option<String> {
    (number > 0).then(|| counted(number, one, many))
}

/// `1.2 s compiling, 0.0 s restoring, 12.3 s of compile time saved`.
pub(super) fn times(compile_ms: u64, restore_ms: u64, saved_ms: u64) -> String {
    let [compiling, restoring, saved] = [compile_ms, restore_ms, saved_ms].map(duration);
    format!("{compiling} compiling, {restoring} restoring, {saved} of compile time saved")
}

/// `7 requests, 5.0 kB received, 2.5 kB sent`.
pub(super) fn traffic(requests: u64, received_bytes: u64, sent_bytes: u64) -> String {
    format!("{requests} requests, {} received, {} sent", bytes(received_bytes), bytes(sent_bytes))
}

/// `0.1640 saved by not compiling, 0.0105 spent (0.0080 received, 0.0020 sent, 0.0005 requests), 0.1535 gained`.
pub(super) fn money(costs: &Costs) -> String {
    let Costs { saved, received, sent, requests, gained } = costs;
    let spent = format!("{:.4} spent ({received:.4} received, {sent:.4} sent, {requests:.4} requests)", costs.spent());
    let result = if *gained < 0.0 { "lost" } else { "gained" };
    format!("{saved:.4} saved by not compiling, {spent}, {:.4} {result}", gained.abs())
}

/// The name of a kind, reason, phase or tier in the JSON report.
pub fn name(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("{other:?} is no name: only enums without data have one"),
    }
}

/// A name at the beginning of a line: `Not reached`.
pub fn capitalized(name: &str) -> String {
    let words = name.replace('-', " ");
    words.get(..1).map_or_else(String::new, |first| first.to_uppercase() + &words[1..])
}

/// `anyhow 1.0.104 (build script)`.
pub(super) fn title(unit: &UnitReport) -> String {
    let UnitReport { package, version, target, kind, mode, .. } = unit;
    let what = match (kind.as_str(), mode.as_str()) {
        ("custom-build", "run-custom-build") => "build script run".into(),
        ("custom-build", _) => "build script".into(),
        ("lib", "build") => return format!("{package} {version}"),
        ("bin" | "test" | "bench" | "example", _) if target != package => format!("{kind} {target}"),
        _ => kind.clone(),
    };
    let mode = match mode.as_str() {
        "build" | "run-custom-build" => String::new(),
        mode if what == "lib" => return format!("{package} {version} ({mode})"),
        mode => format!(", {mode}"),
    };
    format!("{package} {version} ({what}{mode})")
}

/// The problems of a session, except for a failed plan. Warnings are verbatim.
pub(super) fn problems(report: &Report) -> impl Iterator<Item = String> + '_ {
    let remote_failed = report.remote_failed.iter();
    let remote_failed = remote_failed.map(|failure| format!("the remote was given up: {}", failure.message));
    let corrupt = report.corrupt_objects.iter();
    let corrupt = corrupt.map(|object| format!("damaged, ignored: {}: {}", object.object, object.reason));
    let rejected = report.units.iter().filter_map(|unit| {
        let reason = unit.rejected.as_ref()?;
        Some(format!("cargo did not accept {} as fresh: {reason}", title(unit)))
    });
    let left = report.not_uploaded_without_advice();
    let left = left.map(|left| format!("not uploaded: {}; `cargo xcache push` sends them", units(left)));
    remote_failed.chain(corrupt).chain(rejected).chain(left).chain(report.warnings.iter().cloned())
}

/// `absent; not recorded: native`.
pub(super) fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Miss { reason, path_bound, not_recorded, .. } => {
            let mut parts = Vec::from_iter(reason.map(name));
            if *path_bound {
                parts.push("recorded path-bound".into());
            }
            parts.extend(not_recorded.map(|reason| format!("not recorded: {}", name(reason))));
            parts.join("; ")
        }
        Outcome::Uncacheable { reason, .. } => name(reason),
        Outcome::Hit { hydrated: false, .. } => "by the wrapper".into(),
        Outcome::Hit { .. } | Outcome::Fresh | Outcome::NotReached => String::new(),
    }
}

/// `a, b and 3 more`: the first `shown` items, and the number of the rest.
pub fn first_few(items: &[String], shown: usize) -> String {
    let list = items.iter().take(shown).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(shown) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

//! What the page shows, as the template wants it: numbers with their words.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::groups::groups;
use super::share;
use super::tracks::Timeline;
use crate::event::UnitId;
use crate::report::advice::Advice;
use crate::report::present::{bytes, name, reason, time, timestamp, title};
use crate::report::timeline::critical_path;
use crate::report::{Outcome, Report, UnitReport};

/// So many of the slowest compilations are listed.
const SLOWEST: usize = 10;

/// What the template is given.
pub(super) fn page(report: &Report) -> Value {
    let critical = critical_path(&report.units);
    let is_critical = BTreeSet::from_iter(critical.iter().copied());
    json!({
        "version": report.xcache_version.as_deref().unwrap_or_default(),
        "command": format!("cargo {}", report.command.join(" ")),
        "started": report.started.map(timestamp),
        "duration": time(report.duration_ms),
        "exit_code": report.exit_code,
        "complete": report.complete,
        "noop": report.had_nothing_to_do(),
        "remote": report.remote,
        "notes": notes(report),
        "advice": report.advice.iter().map(advice).collect::<Vec<_>>(),
        "figures": figures(report),
        "outcomes": outcomes(report),
        "timeline": Timeline::new(report, &is_critical),
        "slowest": slowest(&report.units),
        "reasons": groups(&report.units),
        "units": rows(&report.units, &is_critical),
        "critical": chain(&report.units, &critical),
    })
}

/// What would make builds faster.
fn advice(advice: &Advice) -> Value {
    let Advice { message, worth_ms, action, .. } = advice;
    json!({ "name": name(advice.name), "message": message, "worth": worth_ms.map(time), "action": action })
}

/// A number, and how it is written.
fn cell(value: Option<u64>, write: impl Fn(u64) -> String) -> Value {
    json!({ "value": value, "text": value.map(write).unwrap_or_default() })
}

/// The kind, with what tells two units of a package apart.
fn target(unit: &UnitReport) -> String {
    let UnitReport { package, target, kind, mode, .. } = unit;
    match kind.as_str() {
        "custom-build" if mode == "run-custom-build" => "custom-build run".into(),
        "bin" | "test" | "bench" | "example" if target != package => format!("{kind} {target}"),
        _ => kind.clone(),
    }
}

/// What is to be said before all else.
fn notes(report: &Report) -> Vec<Value> {
    let error = |text: String| json!({ "is_error": true, "text": text });
    let warning = |text: String| json!({ "is_error": false, "text": text });
    let incomplete = "Incomplete: the session did not come to its end. What follows is what had happened by then; every \
                      sum is a lower bound.";
    let no_plan = |reason: &String| format!("There was no plan, and cargo ran without the cache: {reason}");
    let failed: Vec<_> = report.units.iter().filter(|unit| unit.outcome.has_failed()).map(title).collect();
    let failed = (!failed.is_empty()).then(|| format!("Not compiled, because of an error: {}", failed.join(", ")));
    let errors = (!report.complete).then(|| incomplete.to_owned()).into_iter();
    let errors = errors.chain(report.plan_failed.as_ref().map(no_plan)).chain(failed);

    let no_remote = report.remote_failed.as_ref();
    let no_remote = no_remote.map(|failure| format!("The remote {} was given up: {}", failure.remote, failure.message));
    let corrupt = report.corrupt_objects.iter();
    let corrupt = corrupt.map(|object| format!("Corrupt, and ignored: {}: {}", object.object, object.reason));
    let rejected = report.units.iter().filter_map(|unit| {
        let reason = unit.rejected.as_ref()?;
        Some(format!("Cargo did not take {} as fresh: {reason}", title(unit)))
    });
    let left = report.not_uploaded_without_advice();
    let left = left.map(|left| format!("Units that were not uploaded: {left}. `cargo xcache push` sends them."));
    let warnings = no_remote.into_iter().chain(report.warnings.iter().cloned()).chain(corrupt).chain(rejected);
    errors.map(error).chain(warnings.chain(left).map(warning)).collect()
}

/// The large numbers.
fn figures(report: &Report) -> Vec<Value> {
    let totals = &report.totals;
    // A number stays on one line with its unit.
    let time = |millis| time(millis).replace(' ', "\u{a0}");
    let bytes = |number| bytes(number).replace(' ', "\u{a0}");
    let (local, remote, hydrated) = (totals.hits_local, totals.hits_remote, totals.hydrated);
    let sent = bytes(totals.sent_bytes);
    let received = format!("in {} requests; {sent} sent", totals.requests);
    let figures = [
        ("Hits", totals.hits.to_string(), format!("{local} local, {remote} remote; {hydrated} before cargo started")),
        ("Misses", totals.misses.to_string(), format!("{} recorded for the next build", totals.recorded)),
        ("Not cacheable", totals.uncacheable.to_string(), format!("of {} units in all", totals.units)),
        ("Saved", time(totals.saved_ms), format!("of compile time; {} spent on restoring", time(totals.restore_ms))),
        ("Compiling", time(totals.compile_ms), "by rustc and build scripts, over all units".into()),
        ("Restored", bytes(totals.restored_bytes), "written to the target directory".into()),
    ];
    let figures = figures
        .into_iter()
        .chain(report.remote.is_some().then(|| ("Received", bytes(totals.received_bytes), received)));
    figures.map(|(label, value, about)| json!({ "label": label, "value": value, "about": about })).collect()
}

/// How many units came to each outcome.
fn outcomes(report: &Report) -> Vec<Value> {
    let totals = &report.totals;
    let all = [
        ("hit", "hit", totals.hits),
        ("fresh", "fresh", totals.fresh),
        ("miss", "miss", totals.misses),
        ("uncacheable", "not cacheable", totals.uncacheable),
        ("not-reached", "not reached", totals.not_reached),
    ];
    let there = all.into_iter().filter(|(.., units)| *units > 0);
    there.map(|(outcome, label, units)| json!({ "outcome": outcome, "label": label, "units": units })).collect()
}

/// A unit with how long it took.
fn bar(units: &[UnitReport], id: usize, most: u64) -> Value {
    let unit = &units[id];
    let spent = unit.outcome.compiled_ms().unwrap_or(0);
    json!({
        "unit": id,
        "name": title(unit),
        "outcome": if unit.outcome.has_failed() { "failed" } else { unit.outcome.name() },
        "reason": reason(&unit.outcome),
        "time": time(spent),
        "percent": share(spent, most),
    })
}

fn chain(units: &[UnitReport], path: &[UnitId]) -> Value {
    let spent = |id: &UnitId| units[id.0].outcome.compiled_ms().unwrap_or(0);
    let most = path.iter().map(spent).max().unwrap_or(0);
    let total = path.iter().map(spent).fold(0, u64::saturating_add);
    json!({ "time": time(total), "links": path.iter().map(|id| bar(units, id.0, most)).collect::<Vec<_>>() })
}

/// The compilations that took longest, if they took anything.
fn slowest(units: &[UnitReport]) -> Vec<Value> {
    let spent = |id: &usize| units[*id].outcome.compiled_ms().unwrap_or(0);
    let mut ids: Vec<_> = (0..units.len()).filter(|id| spent(id) > 0).collect();
    ids.sort_by_key(|id| std::cmp::Reverse(spent(id)));
    let most = ids.first().map_or(0, spent);
    ids.iter().take(SLOWEST).map(|id| bar(units, *id, most)).collect()
}

/// The table's rows: what took longest first.
fn rows(units: &[UnitReport], is_critical: &BTreeSet<UnitId>) -> Vec<Value> {
    let mut ids: Vec<_> = (0..units.len()).collect();
    ids.sort_by_key(|id| std::cmp::Reverse(units[*id].outcome.spent_ms()));
    ids.into_iter().map(|id| row(id, &units[id], is_critical.contains(&UnitId(id)))).collect()
}

fn row(id: usize, unit: &UnitReport, is_critical: bool) -> Value {
    let UnitReport { package, version, features, platform, outcome, .. } = unit;
    let failed = outcome.has_failed();
    let label = match outcome {
        Outcome::Hit { tier, .. } => format!("hit ({})", name(tier)),
        outcome if failed => format!("{}, failed", outcome.label()),
        outcome => outcome.label().into(),
    };
    let platform = platform.iter().map(|platform| format!("for {platform}"));
    let target = [target(unit)].into_iter().chain(platform).collect::<Vec<_>>().join(" ");
    json!({
        "id": id,
        "name": package,
        "version": version,
        "target": target,
        "features": features.join(", "),
        "outcome": outcome.name(),
        "label": label,
        "reason": reason(outcome),
        "compile": cell(outcome.compile_ms(), time),
        "restore": cell(outcome.restore_ms(), time),
        "bytes": cell(outcome.size(), bytes),
        "is_critical": is_critical,
        "failed": failed,
    })
}

//! What the template cannot derive from the report itself.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::groups::groups;
use super::share;
use super::tracks::Timeline;
use crate::event::UnitId;
use crate::report::present::{name, problems, reason, timestamp, title};
use crate::report::timeline::critical_path;
use crate::report::{Outcome, Report, UnitReport};

/// How many of the slowest compilations are listed.
const SLOWEST: usize = 10;

/// The variable `page` of the template.
pub(super) fn page(report: &Report) -> Value {
    let units = &report.units;
    let critical = critical_path(units);
    let is_critical = BTreeSet::from_iter(critical.iter().copied());
    json!({
        "started": report.started.map(timestamp),
        "notes": notes(report),
        "timeline": Timeline::new(report, &is_critical),
        "slowest": bars(units, &slowest(units)),
        "critical": bars(units, &critical),
        "critical_ms": critical.iter().map(|id| compile_ms(units, *id)).fold(0, u64::saturating_add),
        "groups": groups(units),
        "rows": rows(units, &is_critical),
    })
}

/// The kind of a unit, with the name of its target if the package has several of this kind.
fn target(unit: &UnitReport) -> String {
    let UnitReport { package, target, kind, mode, .. } = unit;
    match kind.as_str() {
        "custom-build" if mode == "run-custom-build" => "custom-build run".into(),
        "bin" | "test" | "bench" | "example" if target != package => format!("{kind} {target}"),
        _ => kind.clone(),
    }
}

/// Errors and warnings, for the top of the page.
fn notes(report: &Report) -> Vec<Value> {
    let incomplete = "Incomplete: the session did not come to its end. The page shows what had happened by then; every \
                      sum is a lower bound.";
    let incomplete = (!report.complete).then(|| incomplete.to_owned());
    let plan_failed = report.plan_failed.as_ref();
    let plan_failed = plan_failed.map(|reason| format!("There was no plan; cargo ran without the cache: {reason}"));
    let failed: Vec<_> = report.units.iter().filter(|unit| unit.outcome.has_failed()).map(title).collect();
    let failed = (!failed.is_empty()).then(|| format!("Not compiled, because of an error: {}", failed.join(", ")));
    let errors = [incomplete, plan_failed, failed].into_iter().flatten().map(|text| (true, text));
    let notes = errors.chain(problems(report).map(|text| (false, text)));
    notes.map(|(is_error, text)| json!({ "is_error": is_error, "text": text })).collect()
}

fn compile_ms(units: &[UnitReport], id: UnitId) -> u64 {
    units[id.0].outcome.compiled_ms().unwrap_or(0)
}

/// The units that took longest to compile in this session.
fn slowest(units: &[UnitReport]) -> Vec<UnitId> {
    let mut ids: Vec<_> = (0..units.len()).map(UnitId).filter(|id| compile_ms(units, *id) > 0).collect();
    ids.sort_by_key(|id| Reverse(compile_ms(units, *id)));
    ids.truncate(SLOWEST);
    ids
}

/// Units with their compile times, each relative to the longest.
fn bars(units: &[UnitReport], ids: &[UnitId]) -> Vec<Value> {
    let longest = ids.iter().map(|id| compile_ms(units, *id)).max().unwrap_or(0);
    let bar = |id: &UnitId| {
        let unit = &units[id.0];
        json!({
            "unit": id.0,
            "name": title(unit),
            "outcome": if unit.outcome.has_failed() { "failed" } else { unit.outcome.name() },
            "reason": reason(&unit.outcome),
            "compile_ms": compile_ms(units, *id),
            "percent": share(compile_ms(units, *id), longest),
        })
    };
    ids.iter().map(bar).collect()
}

/// The rows of the table, the slowest units first.
fn rows(units: &[UnitReport], is_critical: &BTreeSet<UnitId>) -> Vec<Value> {
    let mut rows: Vec<_> = units.iter().enumerate().collect();
    rows.sort_by_key(|(_, unit)| Reverse(unit.outcome.spent_ms()));
    rows.into_iter().map(|(id, unit)| row(id, unit, is_critical.contains(&UnitId(id)))).collect()
}

fn row(id: usize, unit: &UnitReport, is_critical: bool) -> Value {
    let outcome = &unit.outcome;
    let failed = outcome.has_failed();
    let label = match outcome {
        Outcome::Hit { tier, .. } => format!("hit ({})", name(tier)),
        outcome if failed => format!("{}, failed", outcome.label()),
        outcome => outcome.label().into(),
    };
    json!({
        "id": id,
        "unit": unit,
        "target": target(unit),
        "label": label,
        "reason": reason(outcome),
        "compile_ms": outcome.compile_ms(),
        "restore_ms": outcome.restore_ms(),
        "bytes": outcome.size(),
        "is_critical": is_critical,
        "failed": failed,
    })
}

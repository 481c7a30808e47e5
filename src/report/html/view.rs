//! What the template cannot derive from the report itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::timeline::{classes, tracks};
use crate::event::UnitId;
use crate::report::outcome::{CompileCause, Sum, grouped};
use crate::report::present::{name, problems, reason, timestamp, title};
use crate::report::timeline::critical_path;
use crate::report::{Outcome, OutcomeKind, Report, UnitReport};

/// The variable `page` of the template.
pub(super) fn page(report: &Report) -> Value {
    let critical = critical_path(&report.units);
    let is_critical = BTreeSet::from_iter(&critical);
    let units = report.units.iter().enumerate().map(|(id, unit)| row(id, unit, is_critical.contains(&UnitId(id))));
    let units: Vec<_> = units.collect();
    json!({
        "started": report.started.map(timestamp),
        "notes": notes(report),
        "duration_ms": report.spans.iter().map(|span| span.end_ms).fold(report.duration_ms.max(1), u64::max),
        "tracks": tracks(report, &units),
        "classes": classes(report),
        "critical": critical.iter().map(|id| &units[id.0]).collect::<Vec<_>>(),
        "critical_ms": Sum::of(critical.iter().map(|id| &report.units[id.0])).compile_ms(),
        "groups": groups(&report.units),
        "units": units,
    })
}

/// A unit, with the words and numbers of its row.
fn row(id: usize, unit: &UnitReport, is_critical: bool) -> Value {
    let outcome = &unit.outcome;
    let failed = outcome.kind() == OutcomeKind::Failed;
    let label = match outcome {
        Outcome::Hit { tier, .. } => format!("hit ({})", name(tier)),
        outcome if failed => format!("{}, failed", outcome.label()),
        outcome => outcome.label().into(),
    };
    json!({
        "id": id,
        "unit": unit,
        "title": title(unit),
        "target": target(unit),
        "class": if failed { "failed" } else { outcome.name() },
        "outcome": outcome.label(),
        "label": label,
        "reason": reason(outcome),
        "compile_ms": outcome.compile_ms(),
        "compiled_ms": outcome.compiled_ms(),
        "restore_ms": outcome.restore_ms(),
        "spent_ms": outcome.spent_ms().unwrap_or(0),
        "bytes": outcome.size(),
        "is_critical": is_critical,
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
    let plan_failed = report.plan_failed.as_ref();
    let failed = report.units.iter().filter(|unit| unit.outcome.kind() == OutcomeKind::Failed);
    let failed: Vec<_> = failed.map(title).collect();
    let errors = [
        (!report.complete).then(|| incomplete.to_owned()),
        plan_failed.map(|reason| format!("There was no plan; cargo ran without the cache: {reason}")),
        (!failed.is_empty()).then(|| format!("Not compiled, because of an error: {}", failed.join(", "))),
    ];
    let errors = errors.into_iter().flatten().map(|text| ("error", text));
    let notes = errors.chain(problems(report).map(|text| ("warning", text)));
    notes.map(|(class, text)| json!({ "class": class, "text": text })).collect()
}

/// The units by outcome and reason, with their costs and advice: hits first, then by cost.
fn groups(units: &[UnitReport]) -> Vec<Value> {
    let group = |outcome: &Outcome| match outcome {
        Outcome::Hit { tier, hydrated, .. } => {
            format!("{}, {}", name(tier), if *hydrated { "hydrated" } else { "restored" })
        }
        outcome => CompileCause::of(outcome).map_or_else(String::new, CompileCause::name),
    };
    let mut groups = grouped(units, |outcome| Some((outcome.name(), group(outcome))));
    groups.sort_by_key(|((outcome, _), ..)| *outcome != "hit");
    let group = |((class, reason), unit, sum): ((&str, String), &UnitReport, Sum)| {
        let (description, advice) = describe(&unit.outcome);
        json!({
            "class": class,
            "label": unit.outcome.label(),
            "reason": reason.trim_start_matches("miss: "),
            "description": description,
            "advice": advice,
            "units": sum.units,
            "compile_ms": sum.compile_ms(),
            "bytes": sum.bytes,
        })
    };
    groups.into_iter().map(group).collect()
}

/// The meaning of an outcome, and what would change it.
fn describe(outcome: &Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Hit { hydrated: true, .. } => ("in place before cargo looked: cargo started no process for it", None),
        Outcome::Hit { .. } => ("restored when cargo asked for it", None),
        Outcome::Fresh => ("the target directory had it already, and cargo did not call rustc for it", None),
        Outcome::NotReached => ("cargo did not get to it", None),
        outcome => CompileCause::of(outcome).map_or(("", None), CompileCause::describe),
    }
}

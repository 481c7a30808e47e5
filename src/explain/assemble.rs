//! Makes an [`Explanation`] from a report and further sources.
//!
//! **Invariant.** Every cause is listed once, however many units share it.

use std::collections::{BTreeMap, BTreeSet};

use super::causes::{Causes, FoundCause, Subject, Verdict, identity};
use super::words::{RemoteHistory, text};
use super::{Cause, CauseKind, Explained, Explanation, LastBuild, Origins, RecordedInputs, SCHEMA_VERSION, Selection};
use crate::digest::Digest;
use crate::event::{Difference, MissReason, UnitId};
use crate::key::diff::Change;
use crate::report::{CorruptObject, Outcome, Report, UnitReport};

/// The sources of an explanation, besides the report and the input history.
#[derive(Clone, Copy, Default)]
pub struct Sources<'a> {
    /// What the build kept about its misses, if it is available.
    pub last: Option<&'a LastBuild>,
    /// The crates to explain; if empty, all misses.
    pub selections: &'a [Selection],
    /// The package graph, if it is available.
    pub origins: Option<&'a Origins>,
    /// Whether the remote's input history is part of the histories.
    pub remote_history: RemoteHistory,
}

impl Explanation {
    /// Explains a build. `history_of` returns the input history of the units with an identity.
    pub fn new(report: &Report, sources: Sources<'_>, history_of: impl Fn(Digest) -> Vec<RecordedInputs>) -> Self {
        let unknown = LastBuild::default();
        let causes = Causes::new(sources.last.unwrap_or(&unknown), history_of);
        let chosen: Vec<_> = report.units.iter().enumerate().filter(|(_, unit)| is_chosen(sources, unit)).collect();
        let verdicts = chosen.iter().map(|(id, unit)| with_session(causes.of(UnitId(*id), unit), unit, report));
        let verdicts: Vec<_> = verdicts.collect();
        let causes = merge(&verdicts, sources);
        let indices: BTreeMap<_, _> = causes.iter().map(|(id, _)| id).zip(0..).collect();
        let units = chosen.iter().zip(&verdicts).map(|((_, unit), verdict)| {
            let causes = verdict.all().map(|found| indices[&identity(found)]);
            explained(unit, causes.collect(), verdict, sources)
        });
        Self {
            schema_version: SCHEMA_VERSION,
            command: report.command.clone(),
            started: report.started,
            planned: report.totals.units,
            misses: report.totals.misses,
            uncacheable: report.totals.uncacheable,
            units: units.collect(),
            notes: notes(report, sources).chain(chosen.iter().filter_map(|(_, unit)| rejected(unit))).collect(),
            causes: causes.into_iter().map(|(_, cause)| cause).collect(),
        }
    }
}

fn is_chosen(sources: Sources<'_>, unit: &UnitReport) -> bool {
    match sources.selections {
        [] => matches!(unit.outcome, Outcome::Miss { .. }),
        selections => selections.iter().any(|selection| selection.matches(unit)),
    }
}

/// Completes causes without differences by what happened to the whole session.
fn with_session(mut verdict: Verdict, unit: &UnitReport, report: &Report) -> Verdict {
    let complete = |(subject, what): FoundCause| match what {
        CauseKind::Unusable { reason, differences } if differences.is_empty() => {
            (subject, CauseKind::Unusable { reason, differences: session_differences(reason, unit, report) })
        }
        what => (subject, what),
    };
    verdict.own = verdict.own.into_iter().map(complete).collect();
    verdict
}

fn session_differences(reason: MissReason, unit: &UnitReport, report: &Report) -> Vec<Difference> {
    let failed = |message: &String| Difference::Failed { message: message.clone() };
    match reason {
        MissReason::RemoteFailed => report.remote_failed.iter().map(|failure| failed(&failure.message)).collect(),
        MissReason::Restore => report.warnings.iter().map(failed).collect(),
        MissReason::Corrupt => {
            let key = unit.key.map(|key| key.to_string()).unwrap_or_default();
            let (own, others): (Vec<_>, Vec<_>) =
                report.corrupt_objects.iter().partition(|object| object.object.contains(&key));
            let objects = if own.is_empty() { others } else { own };
            let damaged = |object: &CorruptObject| Difference::Damaged {
                object: object.object.clone(),
                reason: object.reason.clone(),
            };
            objects.into_iter().map(damaged).collect()
        }
        _ => Vec::new(),
    }
}

/// The causes of all units with their identities, each once, those of most units first.
fn merge(verdicts: &[Verdict], sources: Sources<'_>) -> Vec<(FoundCause, Cause)> {
    let mut merged: BTreeMap<FoundCause, BTreeSet<Change>> = BTreeMap::new();
    for found in verdicts.iter().flat_map(Verdict::all) {
        let all = merged.entry(identity(found)).or_default();
        if let (_, CauseKind::Changed { changes }) = found {
            all.extend(changes.iter().cloned());
        }
    }
    let cause = |(id, changes): (FoundCause, BTreeSet<Change>)| {
        let what = match &id.1 {
            CauseKind::Changed { .. } => CauseKind::Changed { changes: changes.into_iter().collect() },
            what => what.clone(),
        };
        let cause = cause(&id, what, verdicts, sources);
        (id, cause)
    };
    let mut causes: Vec<_> = merged.into_iter().map(cause).collect();
    let size = |cause: &Cause| cause.units.len() + cause.followers.len();
    causes.sort_by(|(_, one), (_, other)| size(other).cmp(&size(one)).then_with(|| one.text.cmp(&other.text)));
    causes
}

fn cause(id: &FoundCause, what: CauseKind, verdicts: &[Verdict], sources: Sources<'_>) -> Cause {
    let is_among = |found: &BTreeSet<FoundCause>| found.iter().any(|found| identity(found) == *id);
    let affected = |matches: &dyn Fn(&Verdict) -> bool| -> Vec<usize> {
        verdicts.iter().enumerate().filter(|(_, verdict)| matches(verdict)).map(|(index, _)| index).collect()
    };
    let named = match &id.0 {
        Subject::Build => None,
        Subject::Package(name, version, _) => Some((name, version)),
    };
    Cause {
        text: text(&id.0, &what, sources.remote_history, sources.origins),
        what,
        package: named.map(|(name, version)| format!("{name} {version}")),
        path: named.map_or_else(Vec::new, |(name, version)| path(name, version, sources)),
        units: affected(&|verdict| is_among(&verdict.own)),
        followers: affected(&|verdict| !is_among(&verdict.own) && is_among(&verdict.inherited)),
    }
}

/// The packages from a workspace member to this one, if known.
fn path(name: &str, version: &str, sources: Sources<'_>) -> Vec<String> {
    sources.origins.and_then(|origins| origins.path(name, version)).unwrap_or_default()
}

fn explained(unit: &UnitReport, causes: BTreeSet<usize>, verdict: &Verdict, sources: Sources<'_>) -> Explained {
    Explained {
        package: unit.package.clone(),
        version: unit.version.clone(),
        target: unit.target.clone(),
        kind: unit.kind.clone(),
        mode: unit.mode.clone(),
        outcome: unit.outcome.name().into(),
        causes: causes.into_iter().collect(),
        compared_with: verdict.compared_with,
        path: path(&unit.package, &unit.version, sources),
    }
}

/// Cargo's reason, if it did not accept a hydrated unit as fresh.
fn rejected(unit: &UnitReport) -> Option<String> {
    let reason = unit.rejected.as_ref()?;
    Some(format!("{} was in the target directory, but cargo did not accept it as fresh: {reason}", unit.package))
}

fn notes(report: &Report, sources: Sources<'_>) -> impl Iterator<Item = String> + use<> {
    let plan_failed = report.plan_failed.as_ref();
    let is_absent = report.totals.misses_by_reason.contains_key(&MissReason::Absent);
    let notes = [
        plan_failed.map(|reason| format!("the build could not be planned, so cargo ran without the cache: {reason}")),
        report
            .had_nothing_to_do()
            .then(|| "nothing had changed since the build before, so nothing was planned or compiled".to_owned()),
        (sources.last.is_none() && is_absent).then(|| {
            "what the units were made from was not kept, or cannot be read: build again to have it kept".to_owned()
        }),
    ];
    notes.into_iter().flatten()
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;

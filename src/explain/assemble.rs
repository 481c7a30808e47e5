//! Makes an [`Explanation`] from a report and further sources.
//!
//! **Invariant.** Every cause is listed once, however many units share it.

use std::collections::{BTreeMap, BTreeSet};

use super::causes::{Causes, FoundCause, Subject, Verdict, merge};
use super::words::{RemoteHistory, text};
use super::{Cause, CauseKind, Explained, Explanation, LastBuild, Origins, RecordedInputs, SCHEMA_VERSION, Selection};
use crate::digest::Digest;
use crate::event::{Difference, MissReason, UnitId};
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
        let verdicts: Vec<_> =
            chosen.iter().map(|(id, unit)| with_session(causes.of(UnitId(*id), unit), unit, report)).collect();
        let all = verdicts.iter().flat_map(|verdict| verdict.own.iter().chain(&verdict.inherited)).cloned();
        let list = CauseList::new(all, &verdicts, sources);
        let units = chosen.iter().zip(&verdicts).map(|((_, unit), verdict)| list.explained(unit, verdict, sources));
        Self {
            schema_version: SCHEMA_VERSION,
            command: report.command.clone(),
            started: report.started,
            planned: report.totals.units,
            misses: report.totals.misses,
            uncacheable: report.totals.uncacheable,
            units: units.collect(),
            causes: list.causes,
            notes: notes(report, sources).chain(chosen.iter().filter_map(|(_, unit)| rejected(unit))).collect(),
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

/// The causes of all units, each once.
struct CauseList {
    causes: Vec<Cause>,
    indices: BTreeMap<FoundCause, usize>,
}

impl CauseList {
    fn new(found: impl Iterator<Item = FoundCause>, verdicts: &[Verdict], sources: Sources<'_>) -> Self {
        let merged = merge(found).into_iter();
        let all = merged.flat_map(|(subject, whats)| whats.into_iter().map(move |what| (subject.clone(), what)));
        let mut causes: Vec<_> = all.map(|found| (cause(&found, verdicts, sources), found)).collect();
        let size = |cause: &Cause| cause.units.len() + cause.followers.len();
        causes.sort_by(|(one, _), (other, _)| size(other).cmp(&size(one)).then_with(|| one.text.cmp(&other.text)));
        let (causes, found): (Vec<_>, Vec<_>) = causes.into_iter().unzip();
        Self { causes, indices: found.into_iter().zip(0..).collect() }
    }

    fn explained(&self, unit: &UnitReport, verdict: &Verdict, sources: Sources<'_>) -> Explained {
        let has = |found: &FoundCause| contains(&verdict.own, found) || contains(&verdict.inherited, found);
        let causes: BTreeSet<_> =
            self.indices.iter().filter(|(found, _)| has(found)).map(|(_, index)| *index).collect();
        let path = sources.origins.and_then(|origins| origins.path(&unit.package, &unit.version));
        Explained {
            package: unit.package.clone(),
            version: unit.version.clone(),
            target: unit.target.clone(),
            kind: unit.kind.clone(),
            mode: unit.mode.clone(),
            outcome: unit.outcome.name().into(),
            causes: causes.into_iter().collect(),
            compared_with: verdict.compared_with,
            path: path.unwrap_or_default(),
        }
    }
}

/// Whether a set contains a merged cause. All changes of a package are one cause, even if a unit has some of them only.
fn contains(causes: &BTreeSet<FoundCause>, (subject, what): &FoundCause) -> bool {
    let is_changed = |what: &CauseKind| matches!(what, CauseKind::Changed { .. });
    let is_same =
        |other: &CauseKind| other == what || *subject != Subject::Build && is_changed(other) && is_changed(what);
    causes.iter().any(|(of, other)| of == subject && is_same(other))
}

fn cause(found: &FoundCause, verdicts: &[Verdict], sources: Sources<'_>) -> Cause {
    let (subject, what) = found;
    let units = |matches: &dyn Fn(&Verdict) -> bool| -> Vec<usize> {
        verdicts.iter().enumerate().filter(|(_, verdict)| matches(verdict)).map(|(index, _)| index).collect()
    };
    let named = match subject {
        Subject::Build => None,
        Subject::Package(name, version, _) => Some((name, version)),
    };
    let path = named.zip(sources.origins).and_then(|((name, version), origins)| origins.path(name, version));
    Cause {
        text: text(subject, what, sources.remote_history, sources.origins),
        what: what.clone(),
        package: named.map(|(name, version)| format!("{name} {version}")),
        path: path.unwrap_or_default(),
        units: units(&|verdict| contains(&verdict.own, found)),
        followers: units(&|verdict| !contains(&verdict.own, found) && contains(&verdict.inherited, found)),
    }
}

/// Cargo's reason, if it did not accept a hydrated unit as fresh.
fn rejected(unit: &UnitReport) -> Option<String> {
    let reason = unit.rejected.as_ref()?;
    Some(format!("{} was in the target directory, but cargo did not accept it as fresh: {reason}", unit.package))
}

fn notes(report: &Report, sources: Sources<'_>) -> impl Iterator<Item = String> + use<> {
    let plan_failed = report.plan_failed.as_ref();
    let plan_failed =
        plan_failed.map(|reason| format!("the build could not be planned, so cargo ran without the cache: {reason}"));
    let noop = "nothing had changed since the build before, so nothing was planned or compiled";
    let is_absent = report.totals.misses_by_reason.contains_key(&MissReason::Absent);
    let forgotten = "what the units were made from was not kept, or cannot be read: build again to have it kept";
    let noop = report.had_nothing_to_do().then(|| noop.to_owned());
    let forgotten = (sources.last.is_none() && is_absent).then(|| forgotten.to_owned());
    [plan_failed, noop, forgotten].into_iter().flatten()
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;

//! A report, and what is known besides, to an [`Explanation`].
//!
//! **Invariant.** Every cause of a unit is in the list once, however many units share it.

use std::collections::{BTreeMap, BTreeSet};

use super::causes::{Causes, FoundCause, Subject, Verdict, merge};
use super::words::{RemoteHistory, text};
use super::{Cause, CauseKind, Explained, Explanation, LastBuild, Origins, RecordedInputs, SCHEMA_VERSION, Selection};
use crate::digest::Digest;
use crate::event::{Difference, MissReason, UnitId};
use crate::report::{Outcome, Report, UnitReport};

/// Everything an explanation is made from, besides the input history of units.
#[derive(Clone, Copy, Default)]
pub struct Sources<'a> {
    /// What is kept of the build; nothing where nothing was kept.
    pub last: Option<&'a LastBuild>,
    /// The crates that are asked about; none for all that were missed.
    pub selections: &'a [Selection],
    /// Who brings packages in, where that is known.
    pub origins: Option<&'a Origins>,
    /// What is known beyond this machine.
    pub remote_history: RemoteHistory,
}

impl Explanation {
    /// Explains a build. `history_of` returns all that is recorded of units with an identity.
    pub fn new(report: &Report, sources: Sources<'_>, history_of: impl Fn(Digest) -> Vec<RecordedInputs>) -> Self {
        let nothing = LastBuild::default();
        let causes = Causes::new(sources.last.unwrap_or(&nothing), history_of);
        let chosen: Vec<_> = report.units.iter().enumerate().filter(|(_, unit)| is_chosen(sources, unit)).collect();
        let verdicts: Vec<_> =
            chosen.iter().map(|(index, unit)| detailed(causes.of(UnitId(*index), unit), unit, report)).collect();
        let all = verdicts.iter().flat_map(|verdict| verdict.own.iter().chain(&verdict.inherited)).cloned();
        let list = Listing::new(all, &verdicts, sources);
        let unit = |((_, unit), verdict): (&(usize, &UnitReport), &Verdict)| list.explained(unit, verdict, sources);
        let units = chosen.iter().zip(&verdicts).map(unit).collect();
        Self {
            schema_version: SCHEMA_VERSION,
            command: report.command.clone(),
            started: report.started,
            planned: report.totals.units,
            misses: report.totals.misses,
            uncacheable: report.totals.uncacheable,
            causes: list.causes,
            units,
            notes: notes(report, sources)
                .into_iter()
                .chain(chosen.iter().filter_map(|(_, unit)| rejected(unit)))
                .collect(),
        }
    }
}

fn is_chosen(sources: Sources<'_>, unit: &UnitReport) -> bool {
    match sources.selections {
        [] => matches!(unit.outcome, Outcome::Miss { .. }),
        selections => selections.iter().any(|selection| selection.matches(unit)),
    }
}

/// Adds what the report says of the session as a whole where nothing is known of the unit.
fn detailed(mut verdict: Verdict, unit: &UnitReport, report: &Report) -> Verdict {
    let add = |(subject, what): FoundCause| match what {
        CauseKind::Unusable { reason, differences } if differences.is_empty() => {
            (subject, CauseKind::Unusable { reason, differences: of_session(reason, unit, report) })
        }
        what => (subject, what),
    };
    verdict.own = verdict.own.into_iter().map(add).collect();
    verdict
}

fn of_session(reason: MissReason, unit: &UnitReport, report: &Report) -> Vec<Difference> {
    let failed = |message: &String| Difference::Failed { message: message.clone() };
    match reason {
        MissReason::RemoteFailed => report.remote_failed.iter().map(|failure| failed(&failure.message)).collect(),
        MissReason::Restore => report.warnings.iter().map(failed).collect(),
        MissReason::Corrupt => {
            let key = unit.key.map(|key| key.to_string()).unwrap_or_default();
            let (own, others): (Vec<_>, Vec<_>) =
                report.corrupt_objects.iter().partition(|object| object.object.contains(&key));
            let objects = if own.is_empty() { others } else { own };
            let damaged = objects.into_iter().map(|object| (object.object.clone(), object.reason.clone()));
            damaged.map(|(object, reason)| Difference::Damaged { object, reason }).collect()
        }
        _ => Vec::new(),
    }
}

/// The causes of all units, each once.
struct Listing {
    causes: Vec<Cause>,
    /// Where each is.
    places: BTreeMap<FoundCause, usize>,
}

impl Listing {
    fn new(found: impl Iterator<Item = FoundCause>, verdicts: &[Verdict], sources: Sources<'_>) -> Self {
        let mut all: Vec<FoundCause> = Vec::new();
        for (subject, whats) in merge(found) {
            all.extend(whats.into_iter().map(|what| (subject.clone(), what)));
        }
        let mut causes: Vec<_> = all.into_iter().map(|found| (cause(&found, verdicts, sources), found)).collect();
        let size = |cause: &Cause| cause.units.len() + cause.followers.len();
        causes.sort_by(|(one, _), (other, _)| size(other).cmp(&size(one)).then_with(|| one.text.cmp(&other.text)));
        let places = causes.iter().enumerate().map(|(index, (_, found))| (found.clone(), index)).collect();
        Self { causes: causes.into_iter().map(|(cause, _)| cause).collect(), places }
    }

    fn explained(&self, unit: &UnitReport, verdict: &Verdict, sources: Sources<'_>) -> Explained {
        let origins = sources.origins;
        let has = |found: &&FoundCause| holds(&verdict.own, found) || holds(&verdict.inherited, found);
        let causes: BTreeSet<_> = self.places.iter().filter(|(found, _)| has(found)).map(|(_, index)| *index).collect();
        Explained {
            package: unit.package.clone(),
            version: unit.version.clone(),
            target: unit.target.clone(),
            kind: unit.kind.clone(),
            mode: unit.mode.clone(),
            outcome: unit.outcome.name().into(),
            causes: causes.into_iter().collect(),
            compared_with: verdict.compared_with,
            path: origins.and_then(|origins| origins.path(&unit.package, &unit.version)).unwrap_or_default(),
        }
    }
}

/// Whether a cause is among these. All that happened to a package is one cause, whatever of it is seen in one unit.
fn holds(causes: &BTreeSet<FoundCause>, (subject, what): &FoundCause) -> bool {
    causes.iter().any(|(of, other)| {
        of == subject
            && (other == what
                || *of != Subject::Build
                    && matches!((other, what), (CauseKind::Changed { .. }, CauseKind::Changed { .. })))
    })
}

fn cause(found: &FoundCause, verdicts: &[Verdict], sources: Sources<'_>) -> Cause {
    let (subject, what) = found;
    let which = |holds: &dyn Fn(&Verdict) -> bool| -> Vec<usize> {
        verdicts.iter().enumerate().filter(|(_, verdict)| holds(verdict)).map(|(index, _)| index).collect()
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
        units: which(&|verdict| holds(&verdict.own, found)),
        followers: which(&|verdict| !holds(&verdict.own, found) && holds(&verdict.inherited, found)),
    }
}

/// What cargo said of a unit that was put into the build directory in vain.
fn rejected(unit: &UnitReport) -> Option<String> {
    let reason = unit.rejected.as_ref()?;
    Some(format!("{} was in the target directory, and cargo did not take it as fresh: {reason}", unit.package))
}

fn notes(report: &Report, sources: Sources<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(reason) = &report.plan_failed {
        notes.push(format!("the build could not be planned, so cargo ran without the cache: {reason}"));
    }
    if report.noop && report.units.is_empty() {
        notes.push("nothing had changed since the build before, so nothing was planned or compiled".into());
    }
    let missed_by_key = report.totals.misses_by_reason.contains_key(&MissReason::Absent);
    if sources.last.is_none() && missed_by_key {
        notes.push("what the units were made from was not kept, or cannot be read: build again to have it kept".into());
    }
    notes
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;

//! The causes of misses.
//!
//! A unit whose key is absent is compared with the most similar unit inputs that had been recorded when the build
//! began. Differences of the unit itself are its own causes. If a dependency differs, the unit inherits the causes of
//! the dependency. So a change of one package is one cause, and all its dependents follow.
//!
//! **Invariant.** Pure: all unit inputs are passed in.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::{CauseKind, LastBuild, RecordedInputs};
use crate::digest::Digest;
use crate::event::{MissReason, UnitId};
use crate::key::diff::{Change, Edge, Input, between};
use crate::key::unit_inputs::UnitInputs;
use crate::key::{Source, UnitKey};
use crate::report::{Outcome, UnitReport};

/// The modes in which a unit may have been compiled before. Another mode is a change, and does not make a unit new.
const MODES: &[&str] = &["build", "check", "test"];

/// The subject of a cause.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// The whole build.
    Build,
    /// A package: name, version, and whether it is in a directory.
    Package(String, String, bool),
}

/// A cause without its text.
pub type FoundCause = (Subject, CauseKind);

/// The causes of a unit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Verdict {
    /// The causes in the unit itself.
    pub own: BTreeSet<FoundCause>,
    /// The causes in its dependencies.
    pub inherited: BTreeSet<FoundCause>,
    /// When the inputs that it was compared with were recorded.
    pub compared_with: Option<Timestamp>,
}

/// Finds causes.
pub struct Causes<'a> {
    last: &'a LastBuild,
    /// The unit inputs of the last build, by the unscoped key, which the inputs of dependents contain.
    by_key: HashMap<UnitKey, &'a UnitInputs>,
    histories: HashMap<Digest, Vec<RecordedInputs>>,
    began: Timestamp,
    /// The results of comparisons, by the stored keys of both units: many paths may lead to the same dependency.
    compared: RefCell<HashMap<(UnitKey, UnitKey), OwnAndInherited>>,
}

/// The causes in a unit itself, and in its dependencies.
type OwnAndInherited = (BTreeSet<FoundCause>, BTreeSet<FoundCause>);

/// The identities with a useful history: those of the units, also in other modes and for other platforms.
pub fn identities(last: &LastBuild) -> BTreeSet<Digest> {
    last.unit_inputs
        .values()
        .flat_map(|unit_inputs| std::iter::once(unit_inputs.identity()).chain(siblings(unit_inputs)))
        .collect()
}

fn siblings(unit_inputs: &UnitInputs) -> Vec<Digest> {
    let mut siblings = Vec::new();
    let host = unit_inputs.inputs.rustc.lines().find_map(|line| line.strip_prefix("host: ")).map(Into::into);
    let platforms = BTreeSet::from([None, host, unit_inputs.inputs.platform.clone()]);
    if unit_inputs.inputs.mode == "run-custom-build" {
        return siblings;
    }
    for mode in MODES {
        for platform in &platforms {
            let mut other = unit_inputs.clone();
            other.inputs.mode = (*mode).into();
            other.inputs.platform.clone_from(platform);
            siblings.push(other.identity());
        }
    }
    siblings
}

impl<'a> Causes<'a> {
    /// `history_of` returns the input history of the units with an identity.
    pub fn new(last: &'a LastBuild, history_of: impl Fn(Digest) -> Vec<RecordedInputs>) -> Self {
        let histories = identities(last).into_iter().map(|identity| (identity, history_of(identity))).collect();
        let by_key = last.unit_inputs.values().map(|unit_inputs| (unit_inputs.key, unit_inputs)).collect();
        let began = last.started.unwrap_or(Timestamp::MAX);
        Self { last, by_key, histories, began, compared: RefCell::default() }
    }

    /// The causes of one unit.
    pub fn of(&self, id: UnitId, unit: &UnitReport) -> Verdict {
        let subject = Subject::Package(unit.package.clone(), unit.version.clone(), self.is_in_directory(id));
        let own = |what| Verdict { own: [(subject.clone(), what)].into(), ..Verdict::default() };
        let (reason, not_recorded) = match &unit.outcome {
            Outcome::Uncacheable { reason, .. } => return own(CauseKind::Uncacheable { reason: *reason }),
            Outcome::Miss { reason, not_recorded, .. } => (*reason, *not_recorded),
            Outcome::Hit { .. } | Outcome::Fresh | Outcome::NotReached => return Verdict::default(),
        };
        let differences: Vec<_> = self.last.differences.get(&id).into_iter().flatten().cloned().collect();
        match reason {
            Some(MissReason::Absent) => {}
            Some(MissReason::RemoteFailed) => {
                let what = CauseKind::Unusable { reason: MissReason::RemoteFailed, differences };
                return Verdict { own: [(Subject::Build, what)].into(), ..Verdict::default() };
            }
            Some(reason) => return own(CauseKind::Unusable { reason, differences }),
            None if differences.is_empty() => return own(CauseKind::Again),
            None => return own(CauseKind::Unusable { reason: MissReason::Environment, differences }),
        }
        let verdict = match self.last.unit_inputs.get(&id) {
            Some(unit_inputs) => self.of_absent(&subject, unit_inputs),
            None => own(CauseKind::Unknown),
        };
        let is_new = verdict.own.iter().any(|(_, what)| *what == CauseKind::New);
        match not_recorded {
            Some(reason) if is_new => own(CauseKind::NotKept { reason }),
            _ => verdict,
        }
    }

    fn is_in_directory(&self, id: UnitId) -> bool {
        self.last.unit_inputs.get(&id).is_some_and(is_in_directory)
    }

    fn of_absent(&self, subject: &Subject, now: &UnitInputs) -> Verdict {
        let history = self.history(now.identity());
        let same = history.iter().find(|known| known.unit_inputs.stored == now.stored);
        if let Some(at) = same.and_then(|known| known.as_of(self.began)) {
            let own = [(subject.clone(), CauseKind::Gone)].into();
            return Verdict { own, compared_with: Some(at), ..Verdict::default() };
        }
        let Some((at, before)) = self.nearest(now) else {
            return Verdict { own: [(subject.clone(), CauseKind::New)].into(), ..Verdict::default() };
        };
        let (own, inherited) = self.compare(before, now);
        Verdict { own, inherited, compared_with: Some(at) }
    }

    fn history(&self, identity: Digest) -> &[RecordedInputs] {
        self.histories.get(&identity).map(Vec::as_slice).unwrap_or_default()
    }

    /// The inputs with the fewest differences; among these, those of a compatible version; among these, the latest.
    fn nearest(&self, now: &UnitInputs) -> Option<(Timestamp, &UnitInputs)> {
        let nearest = |history: &'_ [RecordedInputs]| -> Option<usize> {
            let known = history.iter().enumerate();
            let known = known.filter_map(|(index, known)| Some((index, known, known.as_of(self.began)?)));
            let other = known.filter(|(_, known, _)| known.unit_inputs.stored != now.stored);
            let rank = |known: &RecordedInputs, at| {
                let distance = between(&known.unit_inputs, now).distance();
                (distance, !is_compatible(&known.unit_inputs.inputs.version, &now.inputs.version), Reverse(at))
            };
            other.min_by_key(|(_, known, at)| rank(known, *at)).map(|(index, ..)| index)
        };
        let histories = std::iter::once(now.identity()).chain(siblings(now));
        histories.map(|identity| self.history(identity)).find_map(|history| {
            let known = &history[nearest(history)?];
            Some((known.as_of(self.began)?, &known.unit_inputs))
        })
    }

    fn compare(&self, before: &UnitInputs, now: &UnitInputs) -> OwnAndInherited {
        let pair = (before.stored, now.stored);
        if let Some(known) = self.compared.borrow().get(&pair) {
            return known.clone();
        }
        let causes = self.compare_anew(before, now);
        self.compared.borrow_mut().insert(pair, causes.clone());
        causes
    }

    fn compare_anew(&self, before: &UnitInputs, now: &UnitInputs) -> OwnAndInherited {
        let diff = between(before, now);
        let (of_build, mut of_package): (Vec<_>, Vec<_>) =
            diff.changes.into_iter().partition(|change| change.input.is_of_build());
        let mut own: BTreeSet<_> = of_build.into_iter().map(|change| (Subject::Build, changed(vec![change]))).collect();
        let mut inherited = BTreeSet::new();
        for edge in diff.edges {
            match self.dependency(before, now, edge) {
                Dependency::Own(change) => of_package.extend(change),
                Dependency::Inherited(causes) => inherited.extend(causes),
            }
        }
        if !of_package.is_empty() {
            of_package.sort();
            own.insert((subject(now), changed(of_package)));
        }
        (own, inherited)
    }

    fn dependency(&self, before: &UnitInputs, now: &UnitInputs, edge: Edge<'_>) -> Dependency {
        let names = [edge.from.and_then(|key| before.names.get(&key)), edge.to.and_then(|key| now.names.get(&key))];
        let [(_, from), (name, to)] = names.map(|name| name.and_then(|name| name.split_once(' ')).unwrap_or_default());
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let change = |name: &str| Change {
            input: Input::Dependency,
            name: Some(name.to_owned()),
            from: text(from),
            to: text(to),
        };
        let (Some(old), Some(new)) = (edge.from, edge.to) else {
            let name = names.into_iter().flatten().find_map(|name| name.split(' ').next());
            // The dependency on the package's own build script differs whenever the version of the package does.
            let name = name.unwrap_or(edge.extern_name);
            return Dependency::Own((name != now.inputs.name).then(|| change(name)));
        };
        if old == new {
            return Dependency::Own(Some(Change { from: None, to: None, ..change(edge.extern_name) }));
        }
        let causes = self.by_key.get(&new).and_then(|now| {
            let known = |unit_inputs: &&UnitInputs| unit_inputs.key == old;
            let exactly = self.history(now.identity()).iter().map(|known| &known.unit_inputs).find(known);
            let before = exactly.or_else(|| self.nearest(now).map(|(_, unit_inputs)| unit_inputs))?;
            let (own, inherited) = self.compare(before, now);
            Some(own.into_iter().chain(inherited).collect::<BTreeSet<_>>())
        });
        match causes.filter(|causes| !causes.is_empty()) {
            Some(causes) => Dependency::Inherited(causes),
            None => Dependency::Inherited([self.by_name(name, from, to, new, change(name))].into()),
        }
    }

    /// The cause for a dependency of which only the name and the versions are known.
    fn by_name(&self, name: &str, from: &str, to: &str, key: UnitKey, change: Change) -> FoundCause {
        let is_in_directory = self.by_key.get(&key).is_some_and(|unit_inputs| is_in_directory(unit_inputs));
        let subject = Subject::Package(name.into(), to.into(), is_in_directory);
        match from == to || from.is_empty() {
            true => (subject, changed(vec![change])),
            false => (subject, changed(vec![Change { input: Input::Version, name: None, ..change }])),
        }
    }
}

/// Whether cargo could replace one version by the other. A graph may have several incompatible versions of a package.
fn is_compatible(one: &str, other: &str) -> bool {
    let mut numbers = one.split(['.', '-', '+']).zip(other.split(['.', '-', '+']));
    numbers.find(|(one, other)| (*one, *other) != ("0", "0")).is_none_or(|(one, other)| one == other)
}

/// What a dependency that differs means for its dependent.
enum Dependency {
    /// The dependent itself changed, or nothing is worth mentioning.
    Own(Option<Change>),
    /// The dependent inherits these causes.
    Inherited(BTreeSet<FoundCause>),
}

fn changed(changes: Vec<Change>) -> CauseKind {
    CauseKind::Changed { changes }
}

fn subject(unit_inputs: &UnitInputs) -> Subject {
    Subject::Package(unit_inputs.inputs.name.clone(), unit_inputs.inputs.version.clone(), is_in_directory(unit_inputs))
}

fn is_in_directory(unit_inputs: &UnitInputs) -> bool {
    matches!(unit_inputs.inputs.source, Source::Directory { .. })
}

/// Merges the changes that were found in several units of a package into one cause.
pub fn merge(causes: impl IntoIterator<Item = FoundCause>) -> BTreeMap<Subject, BTreeSet<CauseKind>> {
    let mut merged: BTreeMap<Subject, (BTreeSet<Change>, BTreeSet<CauseKind>)> = BTreeMap::new();
    for (subject, what) in causes {
        let is_of_build = subject == Subject::Build;
        let (changes, others) = merged.entry(subject).or_default();
        match what {
            CauseKind::Changed { changes: more } if !is_of_build => changes.extend(more),
            other => drop(others.insert(other)),
        }
    }
    let whole = |(changes, mut others): (BTreeSet<Change>, BTreeSet<CauseKind>)| {
        if !changes.is_empty() {
            others.insert(changed(changes.into_iter().collect()));
        }
        others
    };
    merged.into_iter().map(|(subject, parts)| (subject, whole(parts))).collect()
}

#[cfg(test)]
#[path = "causes_tests.rs"]
mod tests;

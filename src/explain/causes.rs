//! The causes of misses.
//!
//! A unit whose key is absent is compared with the most similar unit inputs that had been recorded when the build
//! began. Differences of the unit itself are its own causes. If a dependency differs, the unit inherits the causes of
//! the dependency. So a change of one package is one cause, and all its dependents follow.
//!
//! **Invariant.** Pure: all unit inputs are passed in.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

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

impl Verdict {
    /// A verdict with one cause, in the unit itself.
    fn own(subject: Subject, what: CauseKind) -> Self {
        Self { own: [(subject, what)].into(), ..Self::default() }
    }

    /// All causes.
    pub fn all(&self) -> impl Iterator<Item = &FoundCause> {
        self.own.iter().chain(&self.inherited)
    }
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
    if unit_inputs.inputs.mode == "run-custom-build" {
        return Vec::new();
    }
    let host = unit_inputs.inputs.rustc.lines().find_map(|line| line.strip_prefix("host: ")).map(Into::into);
    let platforms = BTreeSet::from([None, host, unit_inputs.inputs.platform.clone()]);
    let sibling = |mode: &str, platform: &Option<String>| {
        let mut other = unit_inputs.clone();
        (other.inputs.mode, other.inputs.platform) = (mode.into(), platform.clone());
        other.identity()
    };
    MODES.iter().flat_map(|mode| platforms.iter().map(|platform| sibling(mode, platform))).collect()
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
        let now = self.last.unit_inputs.get(&id);
        let is_in_directory = now.is_some_and(is_in_directory);
        let subject = Subject::Package(unit.package.clone(), unit.version.clone(), is_in_directory);
        let differences: Vec<_> = self.last.differences.get(&id).into_iter().flatten().cloned().collect();
        let (reason, not_recorded) = match &unit.outcome {
            Outcome::Uncacheable { reason, .. } => {
                return Verdict::own(subject, CauseKind::Uncacheable { reason: *reason });
            }
            Outcome::Miss { reason: None, .. } if differences.is_empty() => {
                return Verdict::own(subject, CauseKind::Again);
            }
            Outcome::Miss { reason, not_recorded, .. } => (reason.unwrap_or(MissReason::Environment), *not_recorded),
            Outcome::Hit { .. } | Outcome::Fresh | Outcome::NotReached => return Verdict::default(),
        };
        if reason != MissReason::Absent {
            let subject = if reason == MissReason::RemoteFailed { Subject::Build } else { subject };
            return Verdict::own(subject, CauseKind::Unusable { reason, differences });
        }
        let verdict = match now {
            Some(now) => self.of_absent(&subject, now),
            None => Verdict::own(subject.clone(), CauseKind::Unknown),
        };
        match not_recorded {
            Some(reason) if verdict.own.contains(&(subject.clone(), CauseKind::New)) => {
                Verdict::own(subject, CauseKind::NotKept { reason })
            }
            _ => verdict,
        }
    }

    fn of_absent(&self, subject: &Subject, now: &UnitInputs) -> Verdict {
        let history = self.history(now.identity());
        let same = history.iter().find(|known| known.unit_inputs.stored == now.stored);
        if let Some(at) = same.and_then(|known| known.as_of(self.began)) {
            return Verdict { compared_with: Some(at), ..Verdict::own(subject.clone(), CauseKind::Gone) };
        }
        let Some((at, before)) = self.nearest(now) else { return Verdict::own(subject.clone(), CauseKind::New) };
        let (own, inherited) = self.compare(before, now);
        Verdict { own, inherited, compared_with: Some(at) }
    }

    fn history(&self, identity: Digest) -> &[RecordedInputs] {
        self.histories.get(&identity).map(Vec::as_slice).unwrap_or_default()
    }

    /// The inputs with the fewest differences; among these, those of a compatible version; among these, the latest.
    fn nearest(&self, now: &UnitInputs) -> Option<(Timestamp, &UnitInputs)> {
        let mut histories = std::iter::once(now.identity()).chain(siblings(now));
        histories.find_map(|identity| {
            let others = self.history(identity).iter().filter(|known| known.unit_inputs.stored != now.stored);
            let others = others.filter_map(|known| Some((known.as_of(self.began)?, &known.unit_inputs)));
            others.min_by_key(|(at, other)| {
                let is_compatible = is_compatible(&other.inputs.version, &now.inputs.version);
                (between(other, now).distance(), !is_compatible, Reverse(*at))
            })
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

/// What identifies a cause: all changes of a package are one cause, even if a unit has some of them only.
pub fn identity((subject, what): &FoundCause) -> FoundCause {
    match (subject, what) {
        (Subject::Package(..), CauseKind::Changed { .. }) => (subject.clone(), changed(Vec::new())),
        _ => (subject.clone(), what.clone()),
    }
}

#[cfg(test)]
#[path = "causes_tests.rs"]
mod tests;

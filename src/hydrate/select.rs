//! Chooses the units that may be placed: closed sets, each unit with exactly the dependencies it was compiled against.
//!
//! Every unit of a plan gets one of three placements: it is *out* (left to cargo and the wrapper), *kept* (the build
//! directory has it already, and cargo would take it as fresh), or *chosen* (it is placed). A unit is out if one of its
//! dependencies is out.
//!
//! **Invariant.** This module writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::sync::Arc;

use camino::Utf8PathBuf;

use super::fingerprint::{Fingerprint, from_hex, to_hex};
use super::{Hydration, PROGRAM, dependency_outputs, is_input_here, linked_with, links, printed};
use crate::digest::Digest;
use crate::entry::{DependencyRecord, Entry, FileKind, FileRecord, Fresh};
use crate::event::UnitId;
use crate::plan::{PRIMARY, Unit};
use crate::roots::{Root, RootedPath};
use crate::rustc::outputs::metadata_digest;
use crate::rustc::variables;

/// A unit that is placed or kept.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub unit: UnitId,
    pub entry: Arc<Entry>,
    /// The directory of its profile.
    pub profile: Utf8PathBuf,
    /// The fingerprint that cargo would compute here.
    pub fingerprint: Fingerprint,
    /// The fingerprint's hash.
    pub hash: u64,
}

impl Chosen {
    /// Cargo's files of the unit. Only units that have them are chosen.
    pub(super) fn fresh(&self) -> &Fresh {
        self.entry.fresh.as_ref().expect("a unit without cargo's files is out")
    }

    /// The directory of its outputs. For the run of a build script, this is its `OUT_DIR`.
    pub(super) fn outputs(&self) -> Utf8PathBuf {
        self.profile.join(&self.fresh().directory)
    }

    /// The file with the hash of its fingerprint.
    pub(super) fn hash_file(&self) -> Utf8PathBuf {
        let fresh = self.fresh();
        self.profile.join(&fresh.fingerprint_dir).join(&fresh.name)
    }
}

enum Placement {
    Out,
    Kept(Chosen),
    Place(Chosen),
}

impl Placement {
    fn chosen(&self) -> Option<&Chosen> {
        match self {
            Self::Out => None,
            Self::Kept(chosen) | Self::Place(chosen) => Some(chosen),
        }
    }
}

/// Decides on all units of a plan, dependencies first.
pub(super) struct Selection<'a, F> {
    hydration: &'a Hydration<'a>,
    entry_of: F,
    placements: BTreeMap<UnitId, Placement>,
    /// The units in the order in which they were decided.
    order: Vec<UnitId>,
    same: HashMap<UnitId, bool>,
}

/// A dependency that is not out.
struct Edge<'a> {
    name: &'a str,
    unit: UnitId,
    chosen: &'a Chosen,
    kept: bool,
}

impl<'a, F: Fn(UnitId) -> Option<Arc<Entry>>> Selection<'a, F> {
    pub(super) fn new(hydration: &'a Hydration<'a>, entry_of: F) -> Self {
        Self { hydration, entry_of, placements: BTreeMap::new(), order: Vec::new(), same: HashMap::new() }
    }

    /// The units to place, each after its dependencies.
    pub(super) fn choose(mut self) -> Vec<Chosen> {
        for (unit, _) in self.hydration.plan.cacheable() {
            self.decide(unit);
        }
        let mut placements = self.placements;
        let chosen = self.order.into_iter().filter_map(|unit| match placements.remove(&unit) {
            Some(Placement::Place(chosen)) => Some(chosen),
            _ => None,
        });
        chosen.collect()
    }

    fn decide(&mut self, unit: UnitId) {
        if self.placements.contains_key(&unit) {
            return;
        }
        for dependency in &self.hydration.plan.unit(unit).dependencies {
            self.decide(dependency.unit);
        }
        let placement = self.evaluate(unit).unwrap_or(Placement::Out);
        self.placements.insert(unit, placement);
        self.order.push(unit);
    }

    fn evaluate(&mut self, id: UnitId) -> Option<Placement> {
        let hydration = self.hydration;
        let unit = hydration.plan.unit(id);
        unit.key.ok()?;
        let entry = (self.entry_of)(id)?;
        let fresh = entry.fresh.as_ref()?;
        if fresh.layout != hydration.site.format.layout || fresh.profile_dir != unit.profile_dir() {
            return None;
        }
        let edges = self.edges(unit)?;
        if !self.holds(unit, &entry, &edges) || self.linked_with(id, unit) != Some(entry.constraints.linked) {
            return None;
        }
        let fingerprint = self.fingerprint(unit, fresh, &edges)?;
        let hash = fingerprint.hash();
        let chosen =
            Chosen { unit: id, profile: hydration.site.profile(unit)?, entry: Arc::clone(&entry), fingerprint, hash };
        let kept: BTreeSet<_> = edges.iter().filter(|edge| edge.kept).map(|edge| edge.unit).collect();
        if kept.len() == edges.len() && is_in_place(&chosen) {
            return Some(Placement::Kept(chosen));
        }
        let macros = hydration.plan.macros_of(id).filter(|id| self.is_kept(*id));
        let kept: BTreeSet<_> = kept.into_iter().chain(macros).collect();
        kept.into_iter().all(|unit| self.is_same(unit)).then_some(Placement::Place(chosen))
    }

    /// The unit's dependencies; `None` if one of them is out.
    fn edges<'b>(&'b self, unit: &'b Unit) -> Option<Vec<Edge<'b>>> {
        let edge = |dependency: &'b crate::plan::Dependency| {
            let placement = self.placements.get(&dependency.unit)?;
            Some(Edge {
                name: &dependency.extern_name,
                unit: dependency.unit,
                chosen: placement.chosen()?,
                kept: matches!(placement, Placement::Kept(_)),
            })
        };
        unit.dependencies.iter().map(edge).collect()
    }

    fn is_kept(&self, id: UnitId) -> bool {
        matches!(self.placements.get(&id), Some(Placement::Kept(_)))
    }

    /// Whether the entry's conditions hold with these dependencies, as far as cargo's fingerprint does not cover them.
    fn holds(&self, unit: &Unit, entry: &Entry, edges: &[Edge<'_>]) -> bool {
        let plan = self.hydration.plan;
        let roots = self.hydration.site.roots;
        let constraints = &entry.constraints;
        let run = unit.script_run(plan).and_then(|run| edges.iter().find(|edge| edge.unit == run));
        let crates = edges.iter().filter(|edge| plan.unit(edge.unit).is_crate());
        let records: Option<Vec<_>> = crates
            .map(|edge| {
                let metadata = edge.chosen.entry.metadata?;
                Some(DependencyRecord { extern_name: edge.name.to_owned(), metadata })
            })
            .collect();
        let compiled_against = || {
            records.is_some_and(|mut records| {
                records.sort();
                records == constraints.dependencies
            })
        };
        let script = match unit.is_script_run() {
            true => dependency_outputs(edges.iter().map(|edge| (plan.unit(edge.unit), edge.chosen.entry.metadata))),
            false => Some(run.and_then(|run| run.chosen.entry.metadata)),
        };
        let program = || {
            let program = edges
                .iter()
                .find(|edge| plan.unit(edge.unit).kind == "custom-build" && plan.unit(edge.unit).is_crate())?;
            let mut files = program.chosen.entry.files.iter();
            let metadata = files.find(|file| file.kind == FileKind::Executable)?.digest;
            Some([DependencyRecord { extern_name: PROGRAM.into(), metadata }])
        };
        let is_of_these = match unit.is_script_run() {
            true => program().is_some_and(|program| constraints.dependencies == program),
            false => compiled_against(),
        };
        is_of_these
            && Some(constraints.script) == script
            && self.has_inputs(entry, run.map(|run| run.chosen.fresh()))
            && constraints.bound.iter().all(|(root, digest)| roots.digest(*root) == Some(*digest))
            && self.has_environment(unit, entry, run.map(|run| run.chosen.fresh()))
            && self.hydration.machine.difference(entry.key, &constraints.observed).is_none()
    }

    /// The digest of what is linked into a unit. All runs and macros that it comes from are decided by now.
    fn linked_with(&self, id: UnitId, unit: &Unit) -> Option<Option<Digest>> {
        let entry = |id| Some(&self.placements.get(&id)?.chosen()?.entry);
        let made = |run| {
            let (unit, entry) = (self.hydration.plan.unit(run), entry(run)?);
            if links(unit, entry) { entry.metadata.map(Some) } else { Some(None) }
        };
        let code = |id| Some(entry(id)?.code);
        if !unit.is_script_run() { linked_with(self.hydration.plan, id, made, code) } else { Some(None) }
    }

    /// Whether the files that were read outside of the package are the same. Those that its own build script made are
    /// part of the script's digest, and may not exist yet.
    fn has_inputs(&self, entry: &Entry, script: Option<&Fresh>) -> bool {
        let roots = self.hydration.site.roots;
        let own = script.map(|script| format!("/{}/{}/", script.profile_dir, script.directory));
        let is_own = |path: &RootedPath| match (path, &own) {
            (RootedPath::Below { root: Root::BuildDir, rest }, Some(own)) => rest.starts_with(own),
            _ => false,
        };
        entry.constraints.inputs.iter().all(|input| is_own(&input.path) || is_input_here(input, roots))
    }

    /// Whether the variables that were read have their recorded values. Those that cargo sets follow from the package
    /// and the roots, and those that a build script sets follow from its output.
    fn has_environment(&self, unit: &Unit, entry: &Entry, script: Option<&Fresh>) -> bool {
        let set_by_script = |name: &str| script.is_some_and(|script| is_set_by(script, name));
        let implied = |name: &str| !unit.is_script_run() && (is_set_by_cargo(name) || set_by_script(name));
        if entry.constraints.environment.keys().any(|name| depends_on_command(name)) {
            return false;
        }
        let mut variables = entry.constraints.environment.iter();
        let here = |name: &str| variables::digest(name, self.variable(name).as_deref(), self.hydration.site.roots, &[]);
        variables.all(|(name, digest)| implied(name) || here(name) == *digest)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.hydration.environment.get(OsStr::new(name))?.to_str().map(Into::into)
    }

    /// The fingerprint as cargo would compute it here; `None` if the recorded hash cannot be reproduced, because this
    /// cargo hashes in another way or a watched variable has another value.
    fn fingerprint(&self, unit: &Unit, fresh: &Fresh, edges: &[Edge<'_>]) -> Option<Fingerprint> {
        let mut fingerprint = Fingerprint::parse(&fresh.fingerprint, self.hydration.site.format.generation).ok()?;
        for (name, value) in fingerprint.environment_mut() {
            *value = self.variable(name);
        }
        if Some(fingerprint.hash()) != from_hex(&fresh.hash) {
            return None;
        }
        let hashed = |edge: &&Edge<'_>| self.hydration.plan.unit(edge.unit).kind != "bin";
        let hashes = hashes(&fingerprint, &edges.iter().filter(hashed).collect::<Vec<_>>())?;
        fingerprint.replace_dependencies(|hash| hashes.get(&hash).copied());
        if let Some(source) = &fresh.source {
            let source = self.hydration.site.roots.resolve(source)?;
            fingerprint.set_path(self.hydration.site.hash_source(unit, &source));
        }
        Some(fingerprint)
    }

    /// Whether a kept unit is, by content, that of its entry, and not one that plain cargo has compiled. For a macro,
    /// and for a library that is not only for crates, all of the code counts, not only the metadata.
    fn is_same(&mut self, id: UnitId) -> bool {
        if let Some(same) = self.same.get(&id) {
            return *same;
        }
        let same = self.placements.get(&id).and_then(Placement::chosen).is_some_and(|known| {
            let unit = self.hydration.plan.unit(id);
            let directory = known.profile.join(&known.fresh().directory);
            let outputs = || known.entry.files.iter().filter(|file| file.kind != FileKind::DepInfo);
            if outputs().any(|file| matches!(file.kind, FileKind::Dylib | FileKind::Archive)) {
                let now = |file: &FileRecord| Digest::of_file(directory.join(&file.name).as_std_path()).ok();
                return outputs().all(|file| now(file) == Some(file.digest));
            }
            let metadata = if unit.is_script_run() {
                self.hydration.site.script_digest(unit, &directory)
            } else {
                let rank =
                    |kind| [FileKind::Rmeta, FileKind::Rlib].iter().position(|first| *first == kind).unwrap_or(9);
                let file = outputs().min_by_key(|file| rank(file.kind));
                file.and_then(|file| metadata_digest(directory.join(&file.name).as_std_path()).ok())
            };
            metadata.is_some() && metadata == known.entry.metadata
        });
        self.same.insert(id, same);
        same
    }
}

/// Maps the recorded hash of each dependency in a fingerprint to the one it has here. Fingerprints do not list
/// programs.
fn hashes(fingerprint: &Fingerprint, edges: &[&Edge<'_>]) -> Option<HashMap<u64, u64>> {
    let mut hashes = HashMap::new();
    for (name, recorded) in fingerprint.dependencies() {
        let mut named = edges.iter().filter(|edge| edge.name == name);
        let edge = match (named.next(), named.next()) {
            (Some(only), None) => only,
            _ => edges.iter().find(|edge| from_hex(&edge.chosen.fresh().hash) == Some(recorded))?,
        };
        hashes.insert(recorded, edge.chosen.hash);
    }
    (fingerprint.dependencies().count() == edges.len()).then_some(hashes)
}

/// Whether cargo sets this variable for rustc according to the whole command, and not to the unit alone.
fn depends_on_command(name: &str) -> bool {
    [PRIMARY, "CARGO_TARGET_TMPDIR", "CARGO_RUSTC_CURRENT_DIR"].contains(&name)
}

/// Whether cargo sets this variable for rustc (`core/compiler/compilation.rs`, `fill_env`;
/// `core/compiler/mod.rs`).
fn is_set_by_cargo(name: &str) -> bool {
    const NAMES: &[&str] =
        &["OUT_DIR", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_CRATE_NAME", "CARGO_BIN_NAME", "CARGO"];
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_BIN_EXE_") || NAMES.contains(&name)
}

/// Whether a build script set this variable for its package.
fn is_set_by(script: &Fresh, name: &str) -> bool {
    script.files.iter().flat_map(|file| printed::variables(&file.content)).any(|set| set == name)
}

/// Whether cargo would take the unit as fresh: its hash and its outputs exist, no matter who compiled them.
fn is_in_place(chosen: &Chosen) -> bool {
    let fresh = chosen.fresh();
    let outputs = chosen.entry.files.iter().filter(|file| file.kind != FileKind::DepInfo);
    let mut outputs = outputs.map(|file| chosen.profile.join(&fresh.directory).join(&file.name));
    fs::read_to_string(chosen.hash_file()).is_ok_and(|hash| hash == to_hex(chosen.hash))
        && outputs.all(|path| path.exists())
}

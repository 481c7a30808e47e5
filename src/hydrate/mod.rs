//! Places units in the build directory, so that cargo finds them fresh and starts no process for them.
//!
//! A [`Site`] knows where cargo keeps its files, [`collect`] reads them for an entry, and [`fingerprint`] knows their
//! content. [`select`] decides which units may be placed, and [`place`] writes them. [`Hydrating`] does this for a
//! whole plan. Afterwards, [`Hydrated::rejected`] lists the units that cargo did not take as fresh, with its reasons.
//!
//! **Invariants.** Only closed sets are placed: a unit together with exactly the units it was compiled against, or on
//! top of units that are in the build directory already and are the same by content. The files of a unit are compared
//! with their digests first, and the hash of its fingerprint is written last, so an interruption leaves units that
//! cargo simply builds. Cargo's own [locks](Locks) are held throughout. Cargo decides by its own fingerprint whether a
//! unit is fresh: if a unit was placed wrongly, cargo calls the rustc wrapper for it.

mod collect;
pub mod fingerprint;
mod generated;
mod linking;
mod place;
mod printed;
mod select;
mod stray_writes;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};

pub use self::collect::{ScriptRun, Site, generated_files, own_dirs};
use self::fingerprint::{Fingerprint, difference, to_hex};
pub use self::generated::make;
pub use self::linking::LinkedLibraries;
pub use self::place::dep_info;
use self::place::{Times, Timing};
pub use self::printed::printed;
use self::select::{Chosen, Selection};
pub use self::stray_writes::WorkspaceSnapshot;
use crate::cargo::layout;
use crate::digest::{Digest, Domain};
use crate::entry::{Entry, InputRecord};
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog, UnitId};
use crate::inputs::MachineState;
use crate::plan::{BuildPlan, Unit};
use crate::roots::{Root, Roots};
use crate::store::LocalStore;
use crate::store::local::FILE_TIME;

/// The context of a hydration.
pub struct Hydration<'a> {
    /// Where the units are placed.
    pub site: Site<'a>,
    /// The units.
    pub plan: &'a BuildPlan,
    /// The store that has their files.
    pub store: &'a LocalStore,
    /// The environment that cargo will see.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// The state of this machine, against which observed inputs are compared.
    pub machine: &'a MachineState,
    /// Where events go.
    pub log: &'a EventLog,
}

/// The units that were placed.
#[derive(Debug, Default)]
pub struct Hydrated {
    placed: BTreeMap<UnitId, Placed>,
}

/// A unit that was placed.
#[derive(Debug)]
struct Placed {
    fingerprint: Fingerprint,
    /// The file with the fingerprint's hash.
    hash_file: Utf8PathBuf,
    /// For the run of a build script: the file with the script's output, and the time that it was given.
    output: Option<(Utf8PathBuf, SystemTime)>,
}

/// A unit whose files could not be placed.
#[derive(Debug)]
pub struct Failure {
    /// The unit.
    pub unit: UnitId,
    /// Its entry.
    pub entry: Arc<Entry>,
    /// The error.
    pub error: Error,
}

/// Cargo's own locks on the directories of all profiles that units may be placed in. They are held until this is
/// dropped.
#[derive(Debug)]
pub struct Locks {
    profiles: BTreeSet<Utf8PathBuf>,
    _files: Vec<File>,
}

impl Locks {
    /// Takes the locks, and waits while another process builds there.
    pub fn take(site: &Site<'_>, plan: &BuildPlan, log: &EventLog) -> Result<Self> {
        let units = plan.cacheable().into_iter().map(|(unit, _)| plan.unit(unit));
        let profiles: BTreeSet<_> = units.filter_map(|unit| site.profile(unit)).collect();
        Ok(Self { _files: layout::lock(&profiles, site.format.generation, || report_waiting(log))?, profiles })
    }
}

/// A hydration in progress: units are placed as their files arrive, and committed at the end.
pub struct Hydrating<'a> {
    hydration: &'a Hydration<'a>,
    _locks: Locks,
    chosen: Vec<Chosen>,
    times: Times,
    /// The units that have been placed.
    placed: BTreeMap<UnitId, Timing>,
    failures: Vec<Failure>,
}

impl<'a> Hydrating<'a> {
    /// Chooses among the units that have an entry, whether or not its files have arrived, and invalidates the units
    /// that are in their place.
    ///
    /// After an error, nothing is placed. Some units may have been invalidated, and cargo builds these.
    pub fn begin(
        hydration: &'a Hydration<'a>,
        locks: Locks,
        entry: impl Fn(UnitId) -> Option<Arc<Entry>>,
    ) -> Result<Self> {
        // This is checked under the locks, since another process may just have built there.
        let is_unused = locks.profiles.iter().all(|profile| hydration.site.format.layout.is_unused(profile));
        let chosen = Selection::new(hydration, entry).choose();
        let times = times(hydration, is_unused, &chosen);
        place::invalidate(&chosen)?;
        Ok(Self { hydration, _locks: locks, chosen, times, placed: BTreeMap::new(), failures: Vec::new() })
    }

    /// Places the units that have arrived by now. A unit whose entry has been replaced is left out.
    pub fn place(&mut self, arrived: impl Fn(UnitId) -> Option<Arc<Entry>>) {
        let is_open =
            |unit| !self.placed.contains_key(&unit) && self.failures.iter().all(|failure| failure.unit != unit);
        let open = self.chosen.iter().filter(|one| is_open(one.unit));
        let arrived: Vec<_> = open.filter(|one| arrived(one.unit).is_some_and(|entry| entry == one.entry)).collect();
        let (placed, failures) = place::place(self.hydration, &arrived, self.times);
        self.placed.extend(placed);
        self.failures.extend(failures);
    }

    /// Commits nothing.
    pub fn abandon(self) {
        let begun = self.begun();
        place::withdraw(self.hydration, self.chosen.iter().filter(|one| begun.contains(&one.unit)));
    }

    /// The units that some files may have been placed of.
    fn begun(&self) -> BTreeSet<UnitId> {
        let failed = self.failures.iter().map(|failure| failure.unit);
        self.placed.keys().copied().chain(failed).collect()
    }

    /// Commits the placed units, except for those that depend on a unit that was not placed.
    pub fn finish(self) -> (Hydrated, Vec<Failure>) {
        let begun = self.begun();
        let Self { hydration, chosen, times, placed: mut timings, failures, _locks } = self;
        remove_dependents(hydration.plan, &chosen, &mut timings);
        place::commit(hydration, &chosen, &mut timings);
        let is_left = |one: &&Chosen| begun.contains(&one.unit) && !timings.contains_key(&one.unit);
        place::withdraw(hydration, chosen.iter().filter(is_left));
        let mut placed = BTreeMap::new();
        for one in chosen {
            let Some(Timing { millis, ended }) = timings.get(&one.unit).copied() else { continue };
            let (bytes, compile_millis) = (one.entry.size(), one.entry.compile_ms);
            let hydrated = EventKind::Hydrated { unit: one.unit, bytes, millis, compile_millis };
            hydration.log.record_past(ended.elapsed(), hydrated);
            placed.insert(one.unit, Placed::new(hydration, one, times));
        }
        (Hydrated { placed }, failures)
    }
}

/// A digest of the outputs that the run of a build script receives from the runs it depends on (`DEP_…` variables).
///
/// `dependencies` are the units it depends on, with the digests of their outputs. The result is `None` if a digest is
/// unknown, and `Some(None)` if there are no such runs.
pub fn dependency_outputs<'a>(
    dependencies: impl Iterator<Item = (&'a Unit, Option<Digest>)>,
) -> Option<Option<Digest>> {
    let runs = dependencies.filter(|(unit, _)| unit.is_script_run());
    let mut made = runs.map(|(unit, digest)| Some((&unit.package, digest?))).collect::<Option<Vec<_>>>()?;
    made.sort();
    Some((!made.is_empty()).then(|| Digest::of_value(Domain::DependencyOutputs, &made)))
}

/// Whether a file that was read has the same content here.
pub fn is_input_here(input: &InputRecord, roots: &Roots) -> bool {
    let here = roots.resolve(&input.path).and_then(|path| Digest::of_file(path.as_std_path()).ok());
    here == Some(input.digest)
}

/// Reports the wait in cargo's words.
fn report_waiting(log: &EventLog) {
    log.record(EventKind::CargoStatus { line: "    Blocking waiting for file lock on build directory".into() });
}

/// The modification times of the placed files.
///
/// Cargo requires that an output is no older than those of its dependencies, and that the files a build script read are
/// no newer than its output, unless they are below `CARGO_HOME` (`core/compiler/fingerprint/mod.rs`,
/// `check_filesystem`). In a build directory without earlier builds, all outputs can have the time of the store's
/// files, and so be linked from it. Anywhere else they get the current time.
fn times(hydration: &Hydration<'_>, is_unused: bool, chosen: &[Chosen]) -> Times {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Files that were built a moment ago may be newer than the last whole second.
    let now = UNIX_EPOCH + if is_unused { Duration::from_secs(now.as_secs()) } else { now };
    if is_unused && chosen.iter().all(|one| may_be_old(hydration, one)) {
        return Times { outputs: UNIX_EPOCH + FILE_TIME, link: true, members: now };
    }
    Times { outputs: now, link: false, members: now }
}

/// Whether cargo would accept the unit with the time of the store's files: its package and the files that it watches
/// are exempt from the comparison, and no dependency is a member. A member is no obstacle, since its files always get
/// the current time.
fn may_be_old(hydration: &Hydration<'_>, chosen: &Chosen) -> bool {
    let unit = hydration.plan.unit(chosen.unit);
    let home = hydration.site.roots.get(Root::CargoHome);
    let is_external = |id| hydration.plan.unit(id).external;
    let in_home = |directory: &Path| home.is_some_and(|home| directory.starts_with(home));
    let mut declared = chosen.fingerprint.changed_paths();
    !unit.external
        || in_home(unit.package_dir.as_std_path())
            && declared.all(|path| !path.is_absolute() || in_home(path))
            && unit.dependencies.iter().all(|dependency| is_external(dependency.unit))
}

/// Leaves out the units that depend on a unit that was not placed.
fn remove_dependents(plan: &BuildPlan, chosen: &[Chosen], placed: &mut BTreeMap<UnitId, Timing>) {
    let mut gone: BTreeSet<_> = chosen.iter().map(|one| one.unit).filter(|unit| !placed.contains_key(unit)).collect();
    // `chosen` has dependencies first.
    for one in chosen {
        if plan.unit(one.unit).dependencies.iter().any(|dependency| gone.contains(&dependency.unit)) {
            gone.insert(one.unit);
            placed.remove(&one.unit);
        }
    }
}

/// Whether the run of a build script is for native code, or printed anything about linking.
fn links(run: &Unit, entry: &Entry) -> bool {
    let files = entry.fresh.iter().flat_map(|fresh| &fresh.files);
    run.native || files.into_iter().any(|file| printed::links(&file.content))
}

/// The name of a build script's program among the dependencies of its run.
pub const PROGRAM: &str = "build-script";

/// A digest of what is linked into a unit, or into the macros that its compiler loads: the outputs of the runs that
/// link anything, and the code of the macros.
///
/// `made` returns the digest of a run's outputs, or `Some(None)` if the run links nothing. `code` returns that of a
/// macro's code. The result is `None` if either is unknown, and `Some(None)` if there is nothing to digest.
pub fn linked_with(
    plan: &BuildPlan,
    id: UnitId,
    made: impl Fn(UnitId) -> Option<Option<Digest>>,
    code: impl Fn(UnitId) -> Option<Option<Digest>>,
) -> Option<Option<Digest>> {
    let described = |id: UnitId, digest| {
        let Unit { package, version, features, .. } = plan.unit(id);
        (package, version, features, digest)
    };
    let runs = plan.code_runs(id).into_iter().map(|run| Some(made(run)?.map(|made| described(run, made))));
    let mut made: Vec<_> = runs.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
    let codes = plan.macros_of(id).map(|id| Some(code(id)?.map(|code| described(id, code))));
    let mut codes: Vec<_> = codes.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
    made.sort();
    codes.sort();
    let is_any = !made.is_empty() || !codes.is_empty();
    Some(is_any.then(|| Digest::of_value(Domain::Linked, &(made, codes))))
}

impl Placed {
    fn new(hydration: &Hydration<'_>, chosen: Chosen, times: Times) -> Self {
        let is_run = hydration.plan.unit(chosen.unit).is_script_run();
        let name = hydration.site.format.layout.script_output();
        let fresh = chosen.fresh();
        let output = fresh.files.iter().find(|file| is_run && file.path.rsplit('/').next() == Some(name));
        Self {
            // Runs of members' scripts are never placed, so `times.members` does not matter.
            output: output.map(|file| (chosen.profile.join(&file.path), times.outputs)),
            hash_file: chosen.hash_file(),
            fingerprint: chosen.fingerprint,
        }
    }

    /// Whether cargo has run the build script although its run was placed.
    fn ran_again(&self) -> bool {
        let modified = |path: &Utf8Path| std::fs::metadata(path).and_then(|metadata| metadata.modified());
        self.output.as_ref().is_some_and(|(path, time)| modified(path).is_ok_and(|modified| modified != *time))
    }

    /// Cargo's reason, from the fingerprint that it has written since.
    fn reason(&self) -> String {
        let hash = to_hex(self.fingerprint.hash());
        let json = || std::fs::read_to_string(self.hash_file.with_extension("json")).ok();
        let now = json().and_then(|json| self.fingerprint.parse_like(&json).ok());
        match now {
            _ if std::fs::read_to_string(&self.hash_file).is_ok_and(|now| now == hash) => {
                "a file is missing, or older than one of its inputs".into()
            }
            Some(now) => difference(&self.fingerprint, &now).unwrap_or_else(|| "the build was not completed".into()),
            None => "cargo's new fingerprint cannot be read".into(),
        }
    }
}

impl Hydrated {
    /// Whether this unit was placed.
    pub fn has(&self, unit: UnitId) -> bool {
        self.placed.contains_key(&unit)
    }

    /// The placed units that cargo did not take as fresh, with its reasons. `called` are the units that cargo called
    /// rustc for. Call this once cargo has ended.
    pub fn rejected(&self, called: &BTreeSet<UnitId>) -> Vec<(UnitId, String)> {
        let rejected = self.placed.iter().filter(|(unit, placed)| called.contains(unit) || placed.ran_again());
        rejected.map(|(unit, placed)| (*unit, placed.reason())).collect()
    }
}

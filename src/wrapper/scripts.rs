//! The runs of build scripts.
//!
//! Cargo starts a build script itself, without asking the wrapper. When it asks for the package's crate, the script has
//! run: the session then examines the output of the run, and records it. A known run is replayed if cargo has to start
//! it nevertheless, because it depends on the output of a script that runs every time. Its program has been replaced by
//! a [stand-in](super::stand_in), which asks this module.
//!
//! **Invariants.** A run is replayed only if all constraints of its entry hold, the runs that it depends on have the
//! recorded output, and `OUT_DIR` contains only files that the run made. A run is recorded only if it began in this
//! session and with an empty `OUT_DIR`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

use super::call::Call;
use super::context::{BuildContext, PlannedBuild, Stores};
use super::observed::{ObservedRun, miss_reason};
use super::protocol::Request;
use super::record::record_script;
use super::restore::{Variables, other_dependencies, other_paths, other_variables};
use super::script_observations::ScriptObservations;
use super::stand_in::{Runs, StandIns};

use crate::digest::{Digest, Domain};
use crate::entry::{Constraints, DependencyRecord, Entry, FileKind, Fresh};
use crate::error::Result;
use crate::event::{Difference, EventKind, MissReason, UncacheableReason, UnitId};
use crate::fs::remove_children;
use crate::hydrate::{
    LinkedLibraries, PROGRAM, ScriptRun, Site, WorkspaceSnapshot, dependency_outputs, generated_files, linked_with,
    make, printed,
};
use crate::key::UnitKey;
use crate::plan::Unit;
use crate::prefetch::Lookup;
use crate::rustc::{linker, variables};

/// Variables that cargo or rustup set for rustc, and that differ between machines or calls.
const VARYING_VARIABLES: &[&str] = &[
    "DYLD_FALLBACK_LIBRARY_PATH",
    "LD_LIBRARY_PATH",
    "MAKEFLAGS",
    "MFLAGS",
    "PATH",
    "RUSTC_WRAPPER",
    "RUST_RECURSION_COUNT",
];

/// The output of a build script.
pub(super) struct Printed {
    pub stdout: String,
    pub stderr: String,
}

/// The libraries of a run, which are linked into its dependents.
#[derive(Clone)]
enum RunLibraries {
    /// None.
    None,
    /// Those that its output determines.
    FromOutput,
    /// Shared libraries, by the names for which the linker looks.
    Shared(Vec<String>),
    /// Not known.
    Unknown,
}

/// The session's runs.
pub(super) struct Scripts {
    build: Arc<PlannedBuild>,
    started: SystemTime,
    /// The surroundings of the build directory before any build script ran.
    before: WorkspaceSnapshot,
    /// The `OUT_DIR`s that were not empty then: their files may come from an earlier run.
    used: BTreeSet<Utf8PathBuf>,
    stand_ins: Arc<StandIns>,
    observations: Arc<ScriptObservations>,
    /// The directories that the linker searches by default.
    default_library_dirs: OnceLock<Option<Vec<Utf8PathBuf>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The output digests of examined runs, by `OUT_DIR`.
    by_out_dir: BTreeMap<Utf8PathBuf, Option<Digest>>,
    /// The same, by unit.
    by_run: BTreeMap<UnitId, Digest>,
    /// The libraries of examined runs.
    libraries: BTreeMap<UnitId, RunLibraries>,
    /// The programs of scripts that were compiled or placed.
    programs: BTreeMap<UnitId, Utf8PathBuf>,
    /// The `OUT_DIR` of each run whose stand-in has asked.
    started: BTreeMap<UnitId, Utf8PathBuf>,
}

impl Scripts {
    /// Puts stand-ins in place of the scripts in the build directory that cargo may start.
    pub(super) fn new(
        build: Arc<PlannedBuild>,
        stand_ins: Arc<StandIns>,
        observations: Arc<ScriptObservations>,
    ) -> Self {
        let before = WorkspaceSnapshot::of(&build.context.site());
        let started = SystemTime::now();
        let used =
            build.context.profiles().iter().flat_map(|(layout, profile)| layout.used_out_dirs(profile)).collect();
        let (default_library_dirs, state) = (OnceLock::new(), Mutex::default());
        let scripts = Self { build, started, before, used, stand_ins, observations, default_library_dirs, state };
        scripts.put_stand_ins();
        scripts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The runs that are not in the build directory, as far as is known.
    fn runs_to_come(&self) -> impl Iterator<Item = UnitId> {
        let BuildContext { plan, .. } = &self.build.context;
        let hydrated = &self.build.hydrated;
        plan.script_runs().filter(|run| !hydrated.has(*run))
    }

    /// Puts stand-ins in place of scripts that were placed but still have to run, and of those from earlier builds.
    fn put_stand_ins(&self) {
        let BuildContext { plan, .. } = &self.build.context;
        let hydrated = &self.build.hydrated;
        let scripts = plan.script_runs().filter_map(|run| plan.script_of(run)).filter(|script| hydrated.has(*script));
        let placed: BTreeMap<_, _> = scripts.filter_map(|script| Some((self.program_of(script)?, script))).collect();
        for (program, several) in self.build.context.scripts() {
            match placed.get(&program) {
                Some(script) => self.put_stand_in(*script, &program, self.runs_to_come()),
                None => self.stand_ins.put(Runs::unknown(several), &program),
            }
        }
    }

    /// The program of a script that was placed.
    fn program_of(&self, script: UnitId) -> Option<Utf8PathBuf> {
        let BuildContext { plan, .. } = &self.build.context;
        let Stores { prefetch, .. } = &self.build.stores;
        let entry = prefetch.found(script)?;
        let program = entry.files.iter().find(|file| file.kind == FileKind::Executable)?;
        let profile = self.build.context.site().profile(plan.unit(script))?;
        Some(profile.join(&entry.fresh.as_ref()?.directory).join(&program.name))
    }

    /// Replaces a script that cargo has requested by a stand-in. All of its runs follow, including those in the build
    /// directory.
    pub(super) fn place_stand_in(&self, script: UnitId, program: &Utf8Path) {
        self.put_stand_in(script, program, self.build.context.plan.script_runs());
    }

    /// Replaces a script's program by a stand-in if any of these runs belongs to it.
    fn put_stand_in(&self, script: UnitId, program: &Utf8Path, runs: impl Iterator<Item = UnitId>) {
        self.state().programs.insert(script, program.to_owned());
        let mut runs = runs.filter(|run| self.build.context.plan.script_of(*run) == Some(script));
        match (runs.next(), runs.next()) {
            (None, _) => {}
            // A script may run for the host and for a target. The stand-in cannot tell which of the two asks.
            (Some(_), Some(_)) => self.stand_ins.put(Runs::Several, program),
            (Some(run), None) => self.stand_ins.put(Runs::One(run), program),
        }
    }

    /// The path of a run's program, or of its stand-in.
    fn program_path(&self, run: UnitId) -> Option<Utf8PathBuf> {
        let script = self.build.context.plan.script_of(run)?;
        let told = self.state().programs.get(&script).cloned();
        told.or_else(|| self.program_of(script))
    }

    /// The program of a run, by content; `None` if it is not known.
    fn program(&self, run: UnitId) -> Option<Vec<DependencyRecord>> {
        let metadata = StandIns::content(&self.program_path(run)?)?;
        Some(vec![DependencyRecord { extern_name: PROGRAM.into(), metadata }])
    }

    /// The output of a known run, whose files are then in `OUT_DIR`.
    pub(super) fn replay(&self, request: &Request) -> Option<Printed> {
        let BuildContext { plan, roots, .. } = &self.build.context;
        let Stores { prefetch, log, .. } = &self.build.stores;
        let run = self.stand_ins.run_of(Utf8Path::new(&request.program))?;
        let out_dir = Utf8Path::new(request.environment.get("OUT_DIR")?);
        self.state().started.insert(run, out_dir.to_owned());
        let Lookup::Hit(entry, _) = prefetch.lookup(run) else { return None };
        let fresh = entry.fresh.as_ref()?;
        let start = Instant::now();
        if self.program(run).as_ref() != Some(&entry.constraints.dependencies)
            || !self.holds(plan.unit(run), &entry, fresh, out_dir)
        {
            return None;
        }
        let printed = |name| {
            let file = fresh.files.iter().find(|file| file.path.rsplit('/').next() == Some(name))?;
            printed(&file.content, roots)
        };
        let (stdout, stderr) = (printed(fresh.layout.script_output())?, printed("stderr")?);
        if let Err(error) = self.write_files(&entry, out_dir) {
            prefetch.revoke(run, self.build.stores.unusable(run, &entry, error));
            self.empty(out_dir);
            return None;
        }
        let mut state = self.state();
        state.by_out_dir.insert(out_dir.to_owned(), entry.metadata);
        state.by_run.extend(entry.metadata.map(|digest| (run, digest)));
        drop(state);
        let (bytes, millis, compile_millis) = (entry.size(), start.elapsed().as_millis() as u64, entry.compile_ms);
        log.record(EventKind::Restored { unit: run, bytes, millis, compile_millis });
        Some(Printed { stdout, stderr })
    }

    /// Whether the conditions of a recorded run hold here and now.
    fn holds(&self, unit: &Unit, entry: &Entry, fresh: &Fresh, out_dir: &Utf8Path) -> bool {
        let BuildContext { roots, environment, .. } = &self.build.context;
        let Constraints { environment: variables, script, bound, inputs, observed, .. } = &entry.constraints;
        let is_here = || Some(self.build.context.site().profile(unit)?.join(&fresh.directory) == out_dir);
        let variable = |name: &String| environment.get(OsStr::new(name))?.to_str();
        let digest = |name: &String| variables::digest(name, variable(name), roots, &[]);
        let is_known = |name: &String| entry.files.iter().any(|file| file.name == *name);
        is_here() == Some(true)
            && self.dependency_outputs(unit) == Some(*script)
            && inputs.is_empty()
            && self.build.context.machine.difference(entry.key, observed).is_none()
            && variables.iter().all(|(name, value)| digest(name) == *value)
            && other_paths(bound, roots).is_empty()
            && generated_files(out_dir).is_some_and(|names| names.iter().all(is_known))
    }

    /// Empties an `OUT_DIR` before its script runs, which may read or append to what it finds. If this fails, the run is
    /// not recorded.
    fn empty(&self, out_dir: &Utf8Path) {
        if let Err(error) = remove_children(out_dir.as_std_path()) {
            self.build.stores.log.warn(error);
            self.state().by_out_dir.insert(out_dir.to_owned(), None);
        }
    }

    /// Writes the files of a run. If this fails, some may be in place.
    fn write_files(&self, entry: &Entry, out_dir: &Utf8Path) -> Result<()> {
        for file in &entry.files {
            let BuildContext { roots, .. } = &self.build.context;
            let Stores { store, .. } = &self.build.stores;
            if !make(file, out_dir, store, roots)? {
                store.copy_out(file, out_dir.join(&file.name).as_std_path())?;
            }
        }
        Ok(())
    }

    /// Remembers the libraries of the package's build script. If its output cannot be read, the command line shows
    /// whether there are any: cargo passes them on.
    pub(super) fn note_linking(&self, unit: &Unit, call: &Call) {
        let Some(run) = unit.script_run(&self.build.context.plan) else { return };
        let libraries = match call.script_dir().and_then(|out_dir| self.read_libraries(run, out_dir)) {
            None if !call.invocation.links_native => RunLibraries::None,
            libraries => libraries.unwrap_or(RunLibraries::Unknown),
        };
        self.state().libraries.insert(run, libraries);
    }

    /// The libraries of the run with this `OUT_DIR`; `None` if cargo's files of the run are missing.
    fn read_libraries(&self, run: UnitId, out_dir: &Utf8Path) -> Option<RunLibraries> {
        let (site, unit) = (self.build.context.site(), self.build.context.plan.unit(run));
        Some(match site.linking(unit, out_dir)? {
            LinkedLibraries::Own => RunLibraries::FromOutput,
            LinkedLibraries::Nothing => RunLibraries::None,
            // A script that prints directories alone prints them for libraries that sources name. These are not known.
            LinkedLibraries::System { is_static: false } => {
                let libraries = site.libraries(unit, out_dir).filter(|names| !names.is_empty());
                libraries.map_or(RunLibraries::Unknown, RunLibraries::Shared)
            }
            LinkedLibraries::System { is_static: true } | LinkedLibraries::Unclear => RunLibraries::Unknown,
        })
    }

    /// The libraries that the package's own build script links.
    pub(super) fn linking(&self, unit: &Unit, call: &Call) -> Option<LinkedLibraries> {
        let run = unit.script_run(&self.build.context.plan)?;
        self.build.context.site().linking(self.build.context.plan.unit(run), call.script_dir()?)
    }

    /// The output digest of the package's own build script. Records the run on the first request.
    pub(super) fn script_output(&self, id: UnitId, call: &Call) -> Option<Digest> {
        let plan = &self.build.context.plan;
        let run = plan.unit(id).script_run(plan)?;
        let out_dir = call.script_dir()?;
        let known = self.state().by_out_dir.get(out_dir).copied();
        let known = known.unwrap_or_else(|| self.note_run(run, call, out_dir));
        // Units that depend on the run cannot use this digest: it does not cover the values that they receive.
        known.or_else(|| self.visible_output(plan.unit(id), call, out_dir))
    }

    /// Examines the output of a run for the first time.
    fn note_run(&self, run: UnitId, call: &Call, out_dir: &Utf8Path) -> Option<Digest> {
        let (site, unit) = (self.build.context.site(), self.build.context.plan.unit(run));
        let digest = site.script_digest(unit, out_dir);
        let is_first = self.state().by_out_dir.insert(out_dir.to_owned(), digest).is_none();
        self.state().by_run.extend(digest.map(|digest| (run, digest)));
        if let (true, Some(digest), Ok(key)) = (is_first, digest, unit.key) {
            self.record(run, key, call, digest, site);
        }
        digest
    }

    /// The output digest of the package's own build script, if there is one; `None` if the output is not known.
    pub(super) fn script_output_if_any(&self, id: UnitId, call: &Call) -> Option<Option<Digest>> {
        let has_run = self.build.context.plan.unit(id).script_run(&self.build.context.plan).is_some();
        let made = self.script_output(id, call);
        (made.is_some() || !has_run).then_some(made)
    }

    /// A digest of the visible output if cargo's record of a run is missing or not text: its files, and the variables
    /// that rustc has and cargo has not. Flags are compared with the command line.
    fn visible_output(&self, unit: &Unit, call: &Call, out_dir: &Utf8Path) -> Option<Digest> {
        let BuildContext { roots, environment, .. } = &self.build.context;
        let here = call.variables(unit, roots);
        let set = call.request.environment.iter().filter(|(name, value)| {
            !name.starts_with("CARGO")
                && !VARYING_VARIABLES.contains(&name.as_str())
                && environment.get(OsStr::new(name)).and_then(|it| it.to_str()) != Some(value)
        });
        let set: BTreeMap<_, _> = set.map(|(name, _)| (name, here.digest(name))).collect();
        let names = generated_files(out_dir)?;
        let digest = |name: &String| Some((name.clone(), Digest::of_file(out_dir.join(name).as_std_path()).ok()?));
        let files: Vec<_> = names.iter().map(digest).collect::<Option<_>>()?;
        Some(Digest::of_value(Domain::ScriptRun, &(set, files)))
    }

    fn record(&self, run: UnitId, key: UnitKey, call: &Call, digest: Digest, site: Site<'_>) {
        let Some(out_dir) = call.script_dir() else { return };
        let BuildContext { plan, roots, .. } = &self.build.context;
        let Stores { store, prefetch, log, .. } = &self.build.stores;
        let unit = plan.unit(run);
        let (began, took) = site.script_time(unit, out_dir).unwrap_or((SystemTime::UNIX_EPOCH, Duration::ZERO));
        let millis = took.as_millis() as u64;
        // The clock of file times is some milliseconds behind. A stand-in has asked in this session for certain.
        let has_asked = self.state().started.get(&run).is_some_and(|asked| asked == out_dir);
        if began < self.started && !has_asked {
            return;
        }
        let ago = (began + took).elapsed().unwrap_or_default();
        log.record_past(ago, EventKind::Compiled { unit: run, millis, success: true });
        let (dependency_outputs, program) = (self.dependency_outputs(unit), self.program(run));
        let here = Variables { environment: &call.request.environment, roots, own: Vec::new() };
        let found = prefetch.lookup(run);
        let (declared, other) = match &found {
            Lookup::Hit(entry, _) => {
                let Constraints { environment, observed, .. } = &entry.constraints;
                (other_variables(environment, &here), self.build.context.machine.difference(entry.key, observed))
            }
            Lookup::Miss(_) => (Vec::new(), None),
        };
        match found {
            Lookup::Hit(..) if !declared.is_empty() => {
                self.build.stores.record_differences(run, declared);
                log.record(EventKind::Missed { unit: run, reason: MissReason::Environment });
            }
            Lookup::Hit(..) if other.is_some() => {
                let reason = other.as_ref().map_or(MissReason::Input, miss_reason);
                self.build.stores.record_differences(run, other);
                log.record(EventKind::Missed { unit: run, reason });
            }
            Lookup::Hit(entry, _)
                if program.as_ref().is_some_and(|program| *program != entry.constraints.dependencies) =>
            {
                let here = program.as_deref().unwrap_or_default();
                self.build.stores.record_differences(run, other_dependencies(&entry.constraints.dependencies, here));
                log.record(EventKind::Missed { unit: run, reason: MissReason::Dependency });
            }
            Lookup::Hit(entry, _)
                if entry.metadata == Some(digest)
                    && dependency_outputs.is_none_or(|it| it == entry.constraints.script) =>
            {
                // The entry fits, yet the script ran: it depends on a run that was not examined in time.
                self.build.stores.record_differences(run, [Difference::Reruns]);
                return log.record(EventKind::Missed { unit: run, reason: MissReason::Dependency });
            }
            // A run that it depends on has another output.
            Lookup::Hit(..) => log.record(EventKind::Missed { unit: run, reason: MissReason::Dependency }),
            Lookup::Miss(reason) => self.build.record_path_differences(run, reason),
        }
        let Some(dependency_outputs) = dependency_outputs else {
            return log.record(EventKind::NotRecorded { unit: run, reason: UncacheableReason::OutsideInput });
        };
        let Some(program) = program else {
            return log.record(EventKind::NotRecorded { unit: run, reason: UncacheableReason::ForeignDependency });
        };
        if self.used.contains(out_dir) {
            return log.record(EventKind::NotRecorded { unit: run, reason: UncacheableReason::UsedDirectory });
        }
        let plain = |name: &str| name.replace('-', "_");
        let is_target = |name: &str| plan.targets().any(|target| plain(target) == plain(name));
        let observation = self.observations.take(out_dir);
        let is_seen = observation.as_ref().is_some_and(|(_, observation)| observation.is_ok());
        if !is_seen && site.wrote_outside(unit, began, &self.before, is_target) {
            return log.record(EventKind::NotRecorded { unit: run, reason: UncacheableReason::OutsideOutput });
        }
        match site.script(unit, out_dir, store) {
            Ok(Some(Ok(script))) => {
                let path = self.program_path(run);
                let ScriptRun { is_declared, reason_if_unobserved, ref made, .. } = script;
                let ran = ObservedRun {
                    unit,
                    key,
                    program: path.as_deref(),
                    out_dir,
                    is_declared,
                    reason_if_unobserved,
                    made,
                };
                match self.build.inputs_of_run(run, &ran, observation) {
                    Ok(observed) => {
                        let entry =
                            record_script(unit, key, script, (dependency_outputs, program), observed, roots, millis);
                        self.build.keep(run, entry);
                    }
                    Err(reason) => log.record(EventKind::NotRecorded { unit: run, reason }),
                }
            }
            Ok(Some(Err(reason))) => log.record(EventKind::NotRecorded { unit: run, reason }),
            Ok(None) => {}
            Err(error) => self.build.stores.warn_not_writable(&error),
        }
    }

    /// A digest of the outputs of the runs that a run depends on; `None` if one of them is not known.
    fn dependency_outputs(&self, unit: &Unit) -> Option<Option<Digest>> {
        let dependencies = unit.dependencies.iter().map(|dependency| dependency.unit);
        dependency_outputs(dependencies.map(|id| (self.build.context.plan.unit(id), self.output(id))))
    }

    /// A digest of the code that is linked into a unit besides crates, or into the macros that it loads: the outputs of
    /// runs that link libraries, the `code` of macros, and, in a call that was not observed, the libraries that the
    /// linker finds. `None` if any of this is not known.
    pub(super) fn linked_with(
        &self,
        id: UnitId,
        call: &Call,
        is_seen: bool,
        code: impl Fn(UnitId) -> Option<Option<Digest>>,
    ) -> Option<Option<Digest>> {
        let plan = &self.build.context.plan;
        let made = |run| match self.libraries(run) {
            RunLibraries::None if !plan.unit(run).native => Some(None),
            _ => self.output(run).map(Some),
        };
        let made = linked_with(plan, id, made, code)?;
        if is_seen {
            return Some(made);
        }
        let mut names = BTreeSet::new();
        for run in plan.code_runs(id) {
            match self.libraries(run) {
                RunLibraries::None | RunLibraries::FromOutput => {}
                RunLibraries::Shared(libraries) => names.extend(libraries),
                RunLibraries::Unknown => return None,
            }
        }
        if names.is_empty() {
            return Some(made);
        }
        let directories = self.library_dirs(plan.unit(id), call)?;
        let found = linker::digest(names.iter().map(String::as_str), &directories)?;
        Some(Some(Digest::of_value(Domain::Linked, &(made, found))))
    }

    /// The directories that the linker searches for libraries, in order; `None` for another platform.
    fn library_dirs(&self, unit: &Unit, call: &Call) -> Option<Vec<Utf8PathBuf>> {
        let own =
            self.default_library_dirs.get_or_init(|| linker::search_directories(&self.build.context.linker)).as_ref();
        let own = own.filter(|_| unit.platform.is_none())?;
        Some(call.invocation.library_dirs.iter().chain(own).cloned().collect())
    }

    /// The libraries of a run that was examined, or that is in the build directory as it was recorded.
    fn libraries(&self, run: UnitId) -> RunLibraries {
        let noted = self.state().libraries.get(&run).cloned();
        let kept = || {
            let BuildContext { plan, .. } = &self.build.context;
            let Stores { prefetch, .. } = &self.build.stores;
            let entry = prefetch.found(run)?;
            let directory = self.build.context.site().profile(plan.unit(run))?.join(&entry.fresh.as_ref()?.directory);
            self.read_libraries(run, &directory)
        };
        noted.or_else(kept).unwrap_or(RunLibraries::Unknown)
    }

    /// The output digest of a run from this session, or from the entry that was placed.
    fn output(&self, run: UnitId) -> Option<Digest> {
        let Stores { prefetch, .. } = &self.build.stores;
        let hydrated = &self.build.hydrated;
        let placed = || prefetch.found(run).filter(|_| hydrated.has(run)).and_then(|entry| entry.metadata);
        let made = self.state().by_run.get(&run).copied();
        made.or_else(placed).or_else(|| self.output_of_started_run(run))
    }

    /// The output digest of a run whose stand-in has asked. Dependent runs start after it.
    fn output_of_started_run(&self, run: UnitId) -> Option<Digest> {
        let out_dir = self.state().started.get(&run).cloned()?;
        self.build.context.site().script_digest(self.build.context.plan.unit(run), &out_dir)
    }
}

//! A session: one cargo command with the cache around it.
//!
//! [`run`] has one line for each phase:
//!
//! ```text
//! survey ─► graph index ─► plan ─► prefetch ─► hydrate ─► cargo with the wrapper ─► upload ─► report
//! ```
//!
//! [`Session::plan`] returns a [`Start`], [`Session::build`] turns it into an [`Ended`], and [`Session::finish`] does
//! the rest. The phases overlap: packs arrive from the graph index on, while cargo reads its manifests
//! ([`hydrate_while_starting`]).
//!
//! If the same command has just succeeded and nothing has changed, cargo starts at once. The phases before it then run
//! only if cargo asks the wrapper to compile something ([`noop`]).
//!
//! **Invariants.** Cargo runs exactly once, with the user's arguments, whatever else fails: if something cannot be
//! planned, read or written, the session warns once and continues without it. The exit status is cargo's. A session
//! leaves nothing behind except the content of the stores, the report in the target directory, and its results for a CI
//! service.

mod advice_events;
mod cargo_inputs;
mod driver;
mod finish;
mod flag_inputs;
mod graph;
mod hydrate_while_starting;
mod incremental;
mod linking;
mod native;
mod noop;
mod planning;
pub mod proof;
mod push;
mod rustc_info;
mod survey;
mod tools;
mod unpacked;
mod warm;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use self::noop::NoopRecord;
use self::planning::{Prepared, Teardown, prepare};
use self::rustc_info::RustcInfo;
use self::unpacked::UnpackingCommand;
use self::warm::WholeSeconds;
use crate::cargo::{Cargo, Invocation, Workspace, unpacking};
use crate::config::{Settings, Switch};
use crate::error::Error;
use crate::event::{EventKind, EventLog, Phase};
use crate::hydrate::Hydrated;
use crate::plan::BuildPlan;
use crate::process::Running;
use crate::report::Report;
use crate::store::LocalStore;
use crate::wrapper::{PlanSource, PlannedBuild, Planner, UserWrapper, Wrapper, WrapperContext};
pub use push::push;
pub use survey::workspace_directory;
pub use warm::Warm;

/// The input of a session.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command that is planned.
    pub invocation: Invocation,
    /// The command that cargo runs, if it differs from the planned one.
    pub runs: Option<Invocation>,
    /// The cargo that started us (`CARGO`).
    pub cargo: Option<PathBuf>,
    /// This binary, which also runs as the wrapper.
    pub executable: PathBuf,
    /// The resolved settings.
    pub settings: Settings,
    /// The process's environment.
    pub environment: Environment,
    /// The process's current directory.
    pub directory: PathBuf,
    /// Whether a progress bar shows what arrives. Cargo would draw over it, so it starts when everything has arrived.
    pub is_watched: bool,
    /// How far to build, if only dependencies are wanted.
    pub warm: Option<Warm>,
}

/// The environment that a session was started with.
#[derive(Clone, Debug, Default)]
pub struct Environment(pub BTreeMap<OsString, OsString>);

impl Environment {
    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable that is set, not empty, and UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str()
    }

    /// `CARGO_HOME`, by cargo's rules (those of the `home` crate).
    fn cargo_home(&self, directory: &Path) -> Option<PathBuf> {
        match self.get("CARGO_HOME") {
            Some(home) => Some(directory.join(home)),
            None => std::env::home_dir().map(|home| home.join(".cargo")),
        }
    }
}

/// Passes a signal on to a session: cargo ends first, then the session.
#[derive(Debug, Default)]
pub struct Interrupt {
    interrupted: AtomicBool,
    cargo: Running,
}

impl Interrupt {
    /// Notes that the user wants the session to end, and returns cargo's process id if it runs.
    pub fn interrupt(&self) -> Option<u32> {
        self.interrupted.store(true, Ordering::SeqCst);
        self.cargo.id()
    }
}

/// The result of a session.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Cargo's exit code, or 128 plus the number of the signal that killed it.
    pub code: i32,
    /// The report.
    pub report: Report,
}

/// Runs cargo with the cache around it.
pub fn run(options: &Options, log: &EventLog, interrupt: &Interrupt) -> Outcome {
    let session = Session::new(options, log, interrupt);
    let store = session.open_store();
    // Plan, keys, and the first half of the prefetch.
    let start = session.plan(&store);
    let report_dir = start.report_dir();
    // The rest of the prefetch, hydration and cargo. Misses are recorded and uploaded meanwhile.
    let ended = session.build(start);
    // The rest of the upload.
    let code = session.finish(ended);
    log.record(EventKind::SessionFinished);
    let report = Report::from_events(&log.events());
    finish::write_results(options, &report, report_dir.as_deref().map(Utf8Path::as_std_path), store.kept());
    Outcome { code, report }
}

/// The state that all phases share.
struct Session<'a> {
    cargo: Cargo,
    options: &'a Options,
    log: &'a EventLog,
    interrupt: &'a Interrupt,
}

/// The local store of a session.
enum SessionStore {
    /// The user's.
    Local(Arc<LocalStore>),
    /// A temporary one, removed with the session.
    Temporary(Arc<LocalStore>, #[expect(dead_code, reason = "dropping it removes the directory")] TempDir),
    /// No store, for this reason.
    None(Error),
}

impl SessionStore {
    /// The store, if it outlives the session.
    fn kept(&self) -> Option<&LocalStore> {
        if let Self::Local(store) = self { Some(store) } else { None }
    }
}

/// How to start cargo.
enum Start {
    /// As if there were no cache.
    WithoutCache,
    /// Not at all, because cargo without the cache cannot do what the user wants.
    Refused { code: i32 },
    /// With a plan, whose entries and packs are already requested.
    Planned(Box<Prepared>),
    /// Before there is a plan. One is made if cargo compiles something.
    OnDemand(Box<OnDemand>),
}

impl Start {
    /// The target directory for the report, if it is known.
    fn report_dir(&self) -> Option<Utf8PathBuf> {
        match self {
            Self::WithoutCache | Self::Refused { .. } => None,
            Self::Planned(prepared) => Some(prepared.teardown.workspace.target_dir.clone()),
            Self::OnDemand(on_demand) => on_demand.report_dir.clone(),
        }
    }
}

/// A plan that is made when cargo asks for the first crate.
struct OnDemand {
    /// What the wrapper needs before there is a plan.
    context: WrapperContext,
    /// The build directory, if it is known.
    build_dir: Option<Utf8PathBuf>,
    /// The target directory for the report, if it is known.
    report_dir: Option<Utf8PathBuf>,
    prepare: PrepareOnDemand,
}

/// Makes a plan, given the directory that the first crate is compiled into. Returns `None` if it cannot.
type PrepareOnDemand = Box<dyn FnOnce(&Utf8Path) -> Option<Prepared> + Send>;

/// How the build of a session ended.
enum Ended {
    /// Without a plan, or without the wrapper that would use it: there is nothing left to do.
    WithoutPlan { code: i32 },
    /// With a plan, whether or not cargo had to run.
    WithPlan { code: i32, build: Box<PlannedBuild>, teardown: Box<Teardown> },
}

impl Ended {
    fn with_plan(code: i32, build: PlannedBuild, teardown: Teardown) -> Self {
        Self::WithPlan { code, build: Box::new(build), teardown: Box::new(teardown) }
    }
}

impl<'a> Session<'a> {
    fn new(options: &'a Options, log: &'a EventLog, interrupt: &'a Interrupt) -> Self {
        let cargo = Cargo::new(options.cargo.clone(), options.invocation.clone())
            .running(options.runs.clone())
            .without_incremental(incremental::is_stripped(options));
        Self { cargo, options, log, interrupt }
    }

    fn open_store(&self) -> SessionStore {
        match LocalStore::open(&self.options.settings.dir) {
            Ok(store) => SessionStore::Local(Arc::new(store)),
            Err(error) if self.options.warm.is_some() => {
                self.log.warn(format!("nothing is kept beyond the build directory: {error}"));
                match warm::temporary_store() {
                    Ok((store, directory)) => SessionStore::Temporary(Arc::new(store), directory),
                    Err(error) => SessionStore::None(error),
                }
            }
            Err(error) => SessionStore::None(error),
        }
    }

    /// Decides how to start cargo, and makes a plan if one is needed now.
    fn plan(&self, store: &SessionStore) -> Start {
        let store = match store {
            SessionStore::Local(store) | SessionStore::Temporary(store, _) => store.clone(),
            SessionStore::None(error) => return self.without_plan(error),
        };
        if unpacking(&self.options.invocation).is_some() {
            return match UnpackingCommand::of(self.options, &self.cargo) {
                Some(command) => self.plan_when_unpacked(store, command),
                None => Start::WithoutCache,
            };
        }
        if self.options.warm.is_none()
            && let Some(record) = NoopRecord::recall(self.options, &store)
        {
            return self.plan_if_needed(store, record);
        }
        match self.log.phase(Phase::Plan, || prepare(self.options, &self.cargo, store, self.log)) {
            Ok(prepared) => Start::Planned(Box::new(prepared)),
            Err(error) => self.without_plan(&error),
        }
    }

    /// Says why there is no plan. Cargo then runs without the cache, unless the session is for `warm`.
    fn without_plan(&self, error: &Error) -> Start {
        if self.options.warm.is_some() {
            return Start::Refused { code: self.refuse(error) };
        }
        self.log.record(EventKind::PlanFailed { reason: error.to_string() });
        Start::WithoutCache
    }

    /// Starts without a plan, since nothing should be compiled. The plan is made if something is.
    fn plan_if_needed(&self, store: Arc<LocalStore>, record: NoopRecord) -> Start {
        self.log.record(EventKind::NothingToPlan);
        let NoopRecord { user_wrapper, scripts, target_dir, build_dir, .. } = record.clone();
        let context = self.wrapper_context(store.clone(), user_wrapper, scripts);
        let (options, cargo, log) = (self.options.clone(), self.cargo.clone(), self.log.clone());
        // What cargo reads may have changed before cargo started.
        let prepare = Box::new(move |_: &Utf8Path| prepare_now(&options, &cargo, store, &log, || record.holds()));
        let (build_dir, report_dir) = (Some(build_dir), Some(target_dir));
        Start::OnDemand(Box::new(OnDemand { context, build_dir, report_dir, prepare }))
    }

    /// Starts without a plan. The plan is made when cargo has unpacked the package that it compiles.
    fn plan_when_unpacked(&self, store: Arc<LocalStore>, command: UnpackingCommand) -> Start {
        let build_dir = command.build_dir.clone();
        let config = self.cargo.config();
        let wrapper = config.and_then(|config| tools::Wrapper::find(self.options, &self.cargo, &config, &store));
        let user_wrapper = match wrapper {
            Ok(wrapper) => wrapper.map(|wrapper| wrapper.user),
            Err(error) => return self.without_plan(&error),
        };
        let context = self.wrapper_context(store.clone(), user_wrapper, Vec::new());
        let (options, log) = (self.options.clone(), self.log.clone());
        let prepare = Box::new(move |out_dir: &Utf8Path| {
            let unpacked = command.build(&options, out_dir)?;
            let cargo = Cargo::new(options.cargo.clone(), unpacked.options.invocation.clone());
            let Prepared { teardown, context, stores } = prepare_now(&unpacked.options, &cargo, store, &log, || true)?;
            // Cargo unpacks the package again the next time, so a no-op record would be of no use.
            Some(Prepared { context, stores, teardown: Teardown { cargo_inputs: None, ..teardown } })
        });
        Start::OnDemand(Box::new(OnDemand { context, report_dir: build_dir.clone(), build_dir, prepare }))
    }

    /// What the wrapper needs before there is a plan.
    fn wrapper_context(
        &self,
        store: Arc<LocalStore>,
        user_wrapper: Option<UserWrapper>,
        scripts: Vec<(Utf8PathBuf, bool)>,
    ) -> WrapperContext {
        let is_observing = self.options.settings.observe == Switch::On;
        WrapperContext { store, user_wrapper, scripts, is_observing, log: self.log.clone() }
    }

    /// Runs cargo.
    fn build(&self, start: Start) -> Ended {
        match start {
            Start::WithoutCache => Ended::WithoutPlan { code: self.run_cargo(None) },
            Start::Refused { code } => Ended::WithoutPlan { code },
            Start::Planned(prepared) => self.build_planned(*prepared),
            Start::OnDemand(on_demand) => self.build_on_demand(*on_demand),
        }
    }

    /// Builds with a plan: units are requested before cargo starts, and placed before cargo looks for them.
    fn build_planned(&self, prepared: Prepared) -> Ended {
        let workspace = &prepared.teardown.workspace;
        let rustc_info = RustcInfo::of(&workspace.build_dir);
        let whole_seconds =
            self.options.warm.map(|_| WholeSeconds::begin(profile_dirs(&prepared.context.plan, workspace)));
        let ended = match self.options.warm {
            Some(Warm::Fetch) => self.fetch(prepared),
            Some(Warm::Place) => self.place(prepared),
            Some(Warm::Compile) | None => self.build_while_hydrating(prepared),
        };
        rustc_info.put_back();
        if let (Some(whole_seconds), Ended::WithPlan { .. }) = (whole_seconds, &ended) {
            whole_seconds.truncate();
        }
        ended
    }

    /// Starts cargo at once, and plans when cargo first asks the wrapper to compile something.
    fn build_on_demand(&self, on_demand: OnDemand) -> Ended {
        let OnDemand { context, build_dir, prepare, .. } = on_demand;
        let (sender, receiver) = mpsc::channel();
        let plan: Planner = Box::new(move |out_dir| {
            let Prepared { context, stores, teardown } = prepare(out_dir)?;
            sender.send(teardown).ok()?;
            Some(PlannedBuild { context, stores, hydrated: Hydrated::default() })
        });
        let rustc_info = build_dir.as_deref().map(RustcInfo::of);
        let ended = self.build_wrapped(context, PlanSource::OnDemand(plan), || {}, || receiver.try_recv().ok());
        rustc_info.into_iter().for_each(RustcInfo::put_back);
        ended
    }

    /// Runs cargo with the wrapper. Calls `stop` when cargo has ended, and `teardown` when the wrapper has.
    fn build_wrapped(
        &self,
        context: WrapperContext,
        source: PlanSource,
        stop: impl FnOnce(),
        teardown: impl FnOnce() -> Option<Teardown>,
    ) -> Ended {
        let wrapper = match Wrapper::start(context, source, &self.options.executable) {
            Ok(wrapper) => wrapper,
            Err(error) if self.options.warm.is_some() => return Ended::WithoutPlan { code: self.refuse(&error) },
            Err(error) => {
                self.log.warn(format!("building without the cache: {error}"));
                return Ended::WithoutPlan { code: self.run_cargo(None) };
            }
        };
        let code = self.run_cargo(Some(wrapper.program()));
        stop();
        let build = wrapper.stop();
        match build.zip(teardown()) {
            Some((build, teardown)) => Ended::with_plan(code, build, teardown),
            None => Ended::WithoutPlan { code },
        }
    }

    /// Runs cargo to its end.
    fn run_cargo(&self, wrapper: Option<&Path>) -> i32 {
        let Self { cargo, options, log, interrupt } = self;
        log.phase(Phase::Build, || {
            let replaced = options.environment.0.get(OsStr::new("RUSTC_WRAPPER")).map(OsString::as_os_str);
            let status = interrupt.cargo.run(&mut cargo.build(wrapper, replaced));
            let code = match status {
                Ok(status) => exit_code(status),
                Err(error) => {
                    log.warn(format!("cannot run cargo: {error}"));
                    101
                }
            };
            log.record(EventKind::CargoFinished { code: Some(code) });
            code
        })
    }
}

/// Plans while cargo runs, and waits until all packs have arrived. Returns `None` if that fails or if `holds` says that
/// the plan is not the one that cargo started with.
fn prepare_now(
    options: &Options,
    cargo: &Cargo,
    store: Arc<LocalStore>,
    log: &EventLog,
    holds: impl FnOnce() -> bool,
) -> Option<Prepared> {
    let prepared = log.phase(Phase::Plan, || prepare(options, cargo, store, log));
    let prepared = prepared.map_err(|error| log.record(EventKind::PlanFailed { reason: error.to_string() }));
    let prepared = prepared.ok().filter(|_| holds())?;
    prepared.stores.prefetch.wait();
    log.record(EventKind::PhaseFinished { phase: Phase::Prefetch });
    Some(prepared)
}

/// The directories of all profiles, in the build directory and in the target directory.
fn profile_dirs(plan: &BuildPlan, workspace: &Workspace) -> Vec<Utf8PathBuf> {
    let Workspace { build_dir, target_dir, .. } = workspace;
    let names = plan.profile_dirs();
    [build_dir, target_dir].iter().flat_map(|directory| names.iter().map(|name| directory.join(name))).collect()
}

/// A process's exit code. For a signal, this is 128 plus its number, as in a shell.
pub fn exit_code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(101)
}

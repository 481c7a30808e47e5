//! A session: one cargo command, with the cache around it.
//!
//! [`run`] is the product, one line a phase:
//!
//! ```text
//! survey ─► graph index ─► plan ─► prefetch ─► hydrate ─► cargo with the wrapper ─► upload ─► report
//! ```
//!
//! They overlap: packs come in from the graph index on, and cargo reads its manifests while they do
//! ([`hydrate_while_starting`]).
//!
//! Where the same command has just succeeded and nothing has changed, cargo is started at once, and the phases before
//! it come only if the wrapper is asked to compile something ([`noop`]).
//!
//! **Invariants.** Cargo runs exactly once, with the user's arguments, whatever else fails: what cannot be planned, read
//! or written costs one warning and is done without. The exit status is cargo's. Nothing of a session survives it except
//! what is in the stores, the report in the target directory, and what a CI service is told.

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
mod rustc_info;
mod survey;
mod tools;
mod unpacked;
mod warm;

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};

use self::noop::NoopRecord;
use self::planning::{Prepared, Teardown, prepare};
use self::rustc_info::RustcInfo;
use self::unpacked::UnpackingCommand;
use crate::cargo::{Cargo, Invocation, Workspace, unpacking};
use crate::config::{Settings, Switch};
use crate::digest::Digest;
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog, Phase, session_name};
use crate::history::LastBuild;
use crate::key::UnitKey;
use crate::ledger::Ledger;
use crate::plan::BuildPlan;
use crate::process::Running;
use crate::report::Report;
use crate::report::stats::Tally;
use crate::store::input_history::SharedHistory;
use crate::store::{LocalStore, RemoteStore, Runtime, gc};
use crate::upload::{Upload, UploadSummary};
use crate::wrapper::{PlanSource, Planner, Services, Wrapper, WrapperContext};
pub use survey::workspace_directory;
pub use warm::Warm;

/// Everything a session is given.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command that is planned.
    pub invocation: Invocation,
    /// What the user asked cargo for, where it is planned as that.
    pub runs: Option<Invocation>,
    /// The cargo that started us (`CARGO`).
    pub cargo: Option<PathBuf>,
    /// This binary, to be run as the wrapper.
    pub executable: PathBuf,
    /// The resolved settings.
    pub settings: Settings,
    /// The process's environment.
    pub environment: Environment,
    /// The process's current directory.
    pub directory: PathBuf,
    /// Somebody watches what arrives: cargo, which would draw over that, starts when it is over.
    pub is_watched: bool,
    /// Dependencies only, and how far.
    pub warm: Option<Warm>,
}

/// The environment a session was started with.
#[derive(Clone, Debug, Default)]
pub struct Environment(pub BTreeMap<OsString, OsString>);

impl Environment {
    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable, where it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str()
    }
}

/// How a signal reaches a session: cargo ends first, then the session.
#[derive(Debug, Default)]
pub struct Interrupt {
    interrupted: AtomicBool,
    cargo: Running,
}

impl Interrupt {
    /// Says that the user wants an end, and returns cargo's process id if it runs.
    pub fn interrupt(&self) -> Option<u32> {
        self.interrupted.store(true, Ordering::SeqCst);
        self.cargo.id()
    }
}

/// How a session ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Cargo's exit code; 128 and the signal's number where it was killed.
    pub code: i32,
    /// What happened.
    pub report: Report,
}

/// Runs cargo with the cache around it.
pub fn run(options: &Options, log: &EventLog, interrupt: &Interrupt) -> Outcome {
    let cargo = Cargo::new(options.cargo.clone(), options.invocation.clone())
        .running(options.runs.clone())
        .without_incremental(incremental::is_stripped(options));
    let session = Session { cargo, options, log, interrupt };
    let store = LocalStore::open(&options.settings.dir);
    let (code, target_dir) = match &store {
        Ok(store) => session.with_store(Arc::new(store.clone())),
        Err(error) if options.warm.is_some() => session.with_temporary_store(error),
        Err(error) => session.without_plan(error),
    };
    log.record(EventKind::SessionFinished);
    let report = Report::from_events(&log.events());
    finish::write_results(options, &report, target_dir.as_deref().map(Utf8Path::as_std_path), store.as_ref().ok());
    Outcome { code, report }
}

/// What all phases need.
struct Session<'a> {
    cargo: Cargo,
    options: &'a Options,
    log: &'a EventLog,
    interrupt: &'a Interrupt,
}

/// Cargo's exit code, and where the report goes.
type Ended = (i32, Option<Utf8PathBuf>);

impl Session<'_> {
    fn with_store(&self, store: Arc<LocalStore>) -> Ended {
        if unpacking(&self.options.invocation).is_some() {
            return match UnpackingCommand::of(self.options, &self.cargo) {
                Some(command) => self.with_plan_when_unpacked(store, command),
                None => (self.build(None), None),
            };
        }
        if self.options.warm.is_none()
            && let Some(record) = NoopRecord::recall(self.options, &store)
        {
            return self.with_plan_on_demand(store, record);
        }
        match self.log.phase(Phase::Plan, || prepare(self.options, &self.cargo, store, self.log)) {
            Ok(prepared) => self.with_plan(prepared),
            Err(error) => self.without_plan(&error),
        }
    }

    /// There is no plan: the user is told why, and cargo runs as it would without the cache.
    fn without_plan(&self, error: &Error) -> Ended {
        if self.options.warm.is_some() {
            return (self.refuse(error), None);
        }
        self.log.record(EventKind::PlanFailed { reason: error.to_string() });
        (self.build(None), None)
    }

    /// The usual way: what cargo needs is on its way before it starts, and in its place before cargo looks for it.
    fn with_plan(&self, prepared: Prepared) -> Ended {
        let Prepared { services, teardown } = prepared;
        let context = WrapperContext {
            store: services.store.clone(),
            user_wrapper: teardown.user_wrapper.clone(),
            scripts: Vec::new(),
            is_observing: self.is_observing(),
            log: self.log.clone(),
        };
        let target_dir = teardown.workspace.target_dir.clone();
        let rustc_info = RustcInfo::of(&teardown.workspace.build_dir);
        let since = self.options.warm.map(|_| warm::wait_for_next_second(&profiles(&services, &teardown)));
        let (code, services) = match self.options.warm {
            Some(Warm::Fetch) => (0, Some(self.fetch(services))),
            Some(Warm::Place) => (0, Some(self.place(services))),
            Some(Warm::Compile) | None => self.build_while_hydrating(context, services),
        };
        rustc_info.put_back();
        if let Some(services) = services {
            if let Some(since) = since {
                warm::truncate_times(&profiles(&services, &teardown), since);
            }
            self.finish(services, teardown, code);
        }
        (code, Some(target_dir))
    }

    /// Nothing is expected to be compiled: the plan is made if something is.
    fn with_plan_on_demand(&self, store: Arc<LocalStore>, record: NoopRecord) -> Ended {
        self.log.record(EventKind::NothingToPlan);
        let teardown = Arc::new(Mutex::new(None));
        let plan: Planner = Box::new({
            let (options, cargo, log) = (self.options.clone(), self.cargo.clone(), self.log.clone());
            let (store, teardown, record) = (store.clone(), teardown.clone(), record.clone());
            // Cargo may have been started with something else.
            move |_| prepare_now(&options, &cargo, store, &log, &teardown, || record.holds())
        });
        let NoopRecord { user_wrapper, scripts, target_dir, .. } = record.clone();
        let is_observing = self.is_observing();
        let context = WrapperContext { store, user_wrapper, scripts, is_observing, log: self.log.clone() };
        let rustc_info = RustcInfo::of(&record.build_dir);
        let (code, services) = self.build_wrapped(context, PlanSource::OnDemand(plan), || {});
        rustc_info.put_back();
        let teardown = teardown.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some((services, teardown)) = services.zip(teardown) {
            self.finish(services, teardown, code);
        }
        (code, Some(target_dir))
    }

    /// What is compiled is known when cargo has unpacked it.
    fn with_plan_when_unpacked(&self, store: Arc<LocalStore>, command: UnpackingCommand) -> Ended {
        let teardown = Arc::new(Mutex::new(None));
        let build_dir = command.build_dir.clone();
        let config = self.cargo.config();
        let wrapper = config.and_then(|config| tools::Wrapper::find(self.options, &self.cargo, &config, &store));
        let user_wrapper = match wrapper {
            Ok(wrapper) => wrapper.map(|wrapper| wrapper.user),
            Err(error) => return self.without_plan(&error),
        };
        let plan: Planner = Box::new({
            let (options, log) = (self.options.clone(), self.log.clone());
            let (store, teardown) = (store.clone(), teardown.clone());
            move |out_dir| {
                let unpacked = command.build(&options, out_dir)?;
                let cargo = Cargo::new(options.cargo.clone(), unpacked.options.invocation.clone());
                prepare_now(&unpacked.options, &cargo, store, &log, &teardown, || true)
            }
        });
        let context = WrapperContext {
            store,
            user_wrapper,
            scripts: Vec::new(),
            is_observing: self.is_observing(),
            log: self.log.clone(),
        };
        let rustc_info = build_dir.as_deref().map(RustcInfo::of);
        let (code, services) = self.build_wrapped(context, PlanSource::OnDemand(plan), || {});
        rustc_info.into_iter().for_each(RustcInfo::put_back);
        let teardown = teardown.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some((services, teardown)) = services.zip(teardown) {
            // The next time, it will be unpacked again.
            self.finish(services, Teardown { cargo_inputs: None, ..teardown }, code);
        }
        (code, build_dir)
    }

    fn is_observing(&self) -> bool {
        self.options.settings.observe == Switch::On
    }

    /// Cargo with the wrapper; `ended` is called when cargo has ended.
    fn build_wrapped(
        &self,
        context: WrapperContext,
        source: PlanSource,
        ended: impl FnOnce(),
    ) -> (i32, Option<Services>) {
        match Wrapper::start(context, source, &self.options.executable) {
            Ok(wrapper) => {
                let code = self.build(Some(wrapper.program()));
                ended();
                (code, wrapper.stop())
            }
            Err(error) if self.options.warm.is_some() => (self.refuse(&error), None),
            Err(error) => {
                self.log.warn(format!("building without the cache: {error}"));
                (self.build(None), None)
            }
        }
    }

    /// Uploads what is left, and keeps the local store within its size.
    fn finish(&self, services: Services, teardown: Teardown, code: i32) {
        let Teardown { workspace, graph_key, remote, user_wrapper, cargo_inputs, proof, host, runtime } = teardown;
        let is_kept = code == 0 && self.options.warm.is_none();
        let noop = cargo_inputs.filter(|_| is_kept).map(|inputs| (inputs, services.profiles(), services.scripts()));
        let Services { plan, store, prefetch, upload, .. } = services;
        prefetch.stop();
        advice_events::record_machine(&self.options.environment, host, self.log);
        let shared = SharedHistory::name(&plan.member_names(), self.options.invocation.planning_command());
        self.keep_explanation(&plan, shared, &workspace.target_dir);
        if let Some((cargo_inputs, profiles, scripts)) = noop {
            NoopRecord::remember(self.options, &store, &workspace, &profiles, scripts, user_wrapper, cargo_inputs);
        }
        let proof = proof.map(|proof| (proof, remote.clone().filter(|_| upload.is_some())));
        if let (Some(upload), Some(remote)) = (upload, &remote) {
            let known = prefetch.known_entries();
            let is_known: HashSet<_> = known.iter().map(|entry| entry.key).collect();
            let is_stored = |key: &UnitKey| is_known.contains(key) || matches!(store.entry(*key), Ok(Some(_)));
            let keys: Vec<UnitKey> = plan.shared_keys().filter(is_stored).collect();
            let only_local = known.into_iter().filter(|entry| !is_marked(&store, remote, entry));
            only_local.for_each(|entry| upload.send(Entry::clone(&entry)));
            let graph = (!prefetch.index_lists(&keys)).then_some((graph_key, keys));
            let may_send = graph.is_some() || !upload.is_idle();
            let upload = if may_send { upload.with_shared_history(shared, plan.shared_unit_inputs()) } else { upload };
            self.log.phase(Phase::Upload, || upload.finish(graph, &self.interrupt.interrupted));
        } else if let Some(remote) = remote {
            remote.close();
        }
        if let Some((proof, remote)) = proof {
            proof.end(&runtime, remote.as_deref());
        }
        let max_size = self.options.settings.max_size.as_u64();
        match gc::collect_if_due(&store, max_size) {
            Ok(Some(collected)) if collected.entries > 0 => {
                advice_events::record_evicted(&plan, &store, max_size, self.log)
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the local store was not cleaned up"),
        }
        drop(runtime);
    }

    /// Like the report, it is worth nothing if it costs anything.
    fn keep_explanation(&self, plan: &BuildPlan, shared: Digest, target_dir: &Utf8Path) {
        let last = LastBuild::new(plan, shared, &self.log.events()).filter(|_| target_dir.is_dir());
        if let Some(Err(error)) = last.map(|last| last.write(target_dir.as_std_path())) {
            tracing::debug!(%error, "what the build was made from was not kept");
        }
    }

    /// Runs cargo to its end.
    fn build(&self, wrapper: Option<&Path>) -> i32 {
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

/// A plan while cargo runs, once all that the cache has is here; nothing where there is none, or where it no longer
/// holds.
fn prepare_now(
    options: &Options,
    cargo: &Cargo,
    store: Arc<LocalStore>,
    log: &EventLog,
    teardown: &Mutex<Option<Teardown>>,
    holds: impl FnOnce() -> bool,
) -> Option<Services> {
    let prepared = log.phase(Phase::Plan, || prepare(options, cargo, store, log));
    let prepared = prepared.map_err(|error| log.record(EventKind::PlanFailed { reason: error.to_string() }));
    let prepared = prepared.ok().filter(|_| holds())?;
    prepared.services.prefetch.wait();
    log.record(EventKind::PhaseFinished { phase: Phase::Prefetch });
    *teardown.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(prepared.teardown);
    Some(prepared.services)
}

/// The directories of all profiles, wherever cargo has them.
fn profiles(services: &Services, teardown: &Teardown) -> Vec<Utf8PathBuf> {
    let Workspace { build_dir, target_dir, .. } = &teardown.workspace;
    let names = services.plan.profile_dirs();
    [build_dir, target_dir].iter().flat_map(|directory| names.iter().map(|name| directory.join(name))).collect()
}

/// A process's exit code; 128 and the number for a signal, as a shell says it.
pub fn exit_code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(101)
}

/// Whether this very entry is marked as being in the remote: one that was recorded anew has no pack yet.
fn is_marked(store: &LocalStore, remote: &RemoteStore, entry: &Entry) -> bool {
    entry.pack.is_some() && store.is_pushed(remote.id(), entry.key)
}

/// Sends every local entry that the remote does not have, whatever is marked.
pub fn push(settings: &Settings, log: &EventLog, interrupt: &Interrupt) -> Result<UploadSummary> {
    let Some(url) = settings.remote.as_deref() else {
        return Err(Error::Config { name: "remote".into(), reason: "there is nowhere to push to".into() });
    };
    let store = Arc::new(LocalStore::open(&settings.dir)?);
    let runtime = Runtime::new()?;
    let remote = Arc::new(RemoteStore::open(url, settings, log)?);
    let upload = Upload::new(&runtime, store.clone(), remote.clone(), log.clone(), settings);
    for entry in store.entries()? {
        match is_marked(&store, &remote, &entry) {
            true => upload.verify(entry),
            false => upload.send(entry),
        }
    }
    let summary = log.phase(Phase::Upload, || upload.finish(None, &interrupt.interrupted));
    let traffic = Tally::of_traffic(&Report::from_events(&log.events()));
    if let Err(error) = Ledger::of(&store).record(&session_name(None), &traffic) {
        tracing::debug!(%error, "the push was not counted");
    }
    Ok(summary)
}

//! A session: one cargo command, with the cache around it.
//!
//! [`run`] is the product, one line a phase:
//!
//! ```text
//! survey ─► graph index ─► plan ─► prefetch ─► (hydrate) ─► cargo with the wrapper ─► upload ─► report
//! ```
//!
//! **Invariants.** Cargo runs exactly once, with the user's arguments, whatever else fails: what cannot be planned, read
//! or written costs one warning and is done without. The exit status is cargo's. Nothing of a session survives it except
//! what is in the stores and the report in the target directory.

mod survey;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::cargo::{Cargo, Invocation, Workspace};
use crate::config::Settings;
use crate::digest::Digest;
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog, Phase};
use crate::fs;
use crate::key::UnitKey;
use crate::plan::{BuildPlan, PlanInputs, content};
use crate::prefetch::Prefetch;
use crate::report::Report;
use crate::store::{LocalStore, RemoteStore, Runtime, gc};
use crate::upload::{Upload, UploadSummary};
use crate::wrapper::{Services, Wrapper};
use survey::Survey;
pub use survey::workspace_directory;

/// Everything a session is given.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the user asked cargo for.
    pub invocation: Invocation,
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
    cargo: AtomicU32,
}

impl Interrupt {
    /// Says that the user wants an end, and returns cargo's process id if it runs.
    pub fn interrupt(&self) -> Option<u32> {
        self.interrupted.store(true, Ordering::SeqCst);
        Some(self.cargo.load(Ordering::SeqCst)).filter(|pid| *pid != 0)
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
    let cargo = Cargo::new(options.cargo.clone(), options.invocation.clone());
    let ready = log.phase(Phase::Plan, || prepare(options, &cargo, log));
    let (code, target_dir) = match ready {
        Ok(ready) => {
            log.phase(Phase::Prefetch, || ready.services.prefetch.wait());
            build_and_record(options, &cargo, ready, log, interrupt)
        }
        Err(error) => {
            log.record(EventKind::PlanFailed { reason: error.to_string() });
            (build(&cargo, None, log, interrupt), None)
        }
    };
    log.record(EventKind::SessionFinished);
    let report = Report::from_events(&log.events());
    if let Some(target_dir) = target_dir {
        keep_report(&report, target_dir.as_std_path());
    }
    Outcome { code, report }
}

/// Where the last report of a target directory is kept.
pub fn report_path(target_dir: &Path) -> PathBuf {
    target_dir.join("xcache").join("report.json")
}

/// Everything that has to be known before cargo starts.
struct Ready {
    workspace: Workspace,
    graph_key: Digest,
    services: Services,
    remote: Option<Arc<RemoteStore>>,
    /// Everything that goes on in the background ends with it.
    runtime: Runtime,
}

/// Survey, graph index, plan; the packs are on their way when this returns.
fn prepare(options: &Options, cargo: &Cargo, log: &EventLog) -> Result<Ready> {
    let store = Arc::new(LocalStore::open(&options.settings.dir)?);
    let survey = Survey::take(options, cargo, &store)?;
    make_target_dir(&survey.workspace)?;
    let graph_key = survey.graph_key(options);
    let runtime = Runtime::new()?;
    let remote = open_remote(options, log);
    let prefetch = Prefetch::new(&runtime, store.clone(), remote.clone(), log.clone(), &options.settings);
    prefetch.start_graph(graph_key);

    let platforms = survey.platforms();
    let packages = |fetched| cargo.packages(&platforms, &store.scratch(), fetched);
    let say = |line: &str| log.record(EventKind::CargoStatus { line: line.to_owned() });
    let (graph, fetched) = rayon::join(|| cargo.unit_graph(say), || packages(true));
    let graph = graph?;
    let packages = fetched.or_else(|_| packages(false))?;
    let lockfile = survey.lockfile()?;
    let user_wrapper = survey.user_wrapper(&options.environment);
    let inputs = PlanInputs {
        graph: &graph,
        packages: &packages,
        lockfile: &lockfile,
        toolchain: &survey.toolchain,
        config: &survey.config,
        environment_rustflags: survey::environment_rustflags(&options.environment),
        environment: survey::key_environment(&options.environment, user_wrapper.as_deref()),
    };
    let plan = BuildPlan::new(&inputs, content::digest)?;
    log.record(EventKind::Planned { units: plan.planned() });
    prefetch.want(plan.cacheable(), survey.roots.clone());
    let upload = remote
        .clone()
        .filter(|_| options.settings.upload)
        .map(|remote| Upload::new(&runtime, store.clone(), remote, log.clone(), &options.settings));
    let services = Services { plan, roots: survey.roots, store, prefetch, upload, user_wrapper, log: log.clone() };
    Ok(Ready { workspace: survey.workspace, graph_key, services, remote, runtime })
}

/// Makes the target directory as cargo would (`util/paths.rs`), so that the planning run can keep rustc's answers there
/// for the next plain `cargo build`.
fn make_target_dir(workspace: &Workspace) -> Result<()> {
    for directory in [&workspace.target_dir, &workspace.build_dir] {
        if !directory.exists() {
            fs::create_dir_all(directory.as_std_path())?;
            cachedir::add_tag(directory).map_err(Error::io("write to", directory))?;
        }
    }
    Ok(())
}

/// A remote that cannot even be opened is a warning.
fn open_remote(options: &Options, log: &EventLog) -> Option<Arc<RemoteStore>> {
    let url = options.settings.remote.as_deref()?;
    match RemoteStore::open(url, &options.settings, log) {
        Ok(remote) => Some(Arc::new(remote)),
        Err(error) => {
            log.record(EventKind::RemoteFailed { remote: url.to_owned(), message: error.to_string() });
            None
        }
    }
}

/// Cargo with the wrapper, then what is left to do.
fn build_and_record(
    options: &Options,
    cargo: &Cargo,
    ready: Ready,
    log: &EventLog,
    interrupt: &Interrupt,
) -> (i32, Option<camino::Utf8PathBuf>) {
    let Ready { workspace, graph_key, services, remote, runtime } = ready;
    let code = match Wrapper::start(services, &options.executable) {
        Ok(wrapper) => {
            let in_environment = options.environment.get("RUSTC_WRAPPER").is_some();
            let code = build(cargo, Some((&wrapper.program(), in_environment)), log, interrupt);
            if let Some(services) = wrapper.stop() {
                finish(services, remote.as_deref(), graph_key, options, log, interrupt);
            }
            code
        }
        Err(error) => {
            log.warn(format!("building without the cache: {error}"));
            build(cargo, None, log, interrupt)
        }
    };
    drop(runtime);
    (code, Some(workspace.target_dir))
}

/// Uploads what is left, and keeps the local store within its size.
fn finish(
    services: Services,
    remote: Option<&RemoteStore>,
    graph_key: Digest,
    options: &Options,
    log: &EventLog,
    interrupt: &Interrupt,
) {
    let Services { plan, store, prefetch, upload, .. } = services;
    prefetch.stop();
    if let (Some(upload), Some(remote)) = (upload, remote) {
        let keys = plan.cacheable().into_iter().map(|(_, key)| key);
        let keys: Vec<UnitKey> = keys.filter(|key| matches!(store.entry(*key), Ok(Some(_)))).collect();
        let only_local = prefetch.known_entries().into_iter().filter(|entry| !store.is_pushed(remote.id(), entry.key));
        only_local.for_each(|entry| upload.send(Entry::clone(&entry)));
        let graph = (!prefetch.index_lists(&keys)).then_some((graph_key, keys));
        log.phase(Phase::Upload, || upload.finish(graph, &interrupt.interrupted));
    } else if let Some(remote) = remote {
        remote.close();
    }
    if let Err(error) = gc::collect_if_due(&store, options.settings.max_size.as_u64()) {
        tracing::debug!(%error, "the local store was not cleaned up");
    }
}

/// Runs cargo to its end.
fn build(cargo: &Cargo, wrapper: Option<(&Path, bool)>, log: &EventLog, interrupt: &Interrupt) -> i32 {
    log.phase(Phase::Build, || {
        let (program, in_environment) = wrapper.unzip();
        let status = cargo.build(program, in_environment.unwrap_or_default()).spawn().and_then(|mut child| {
            interrupt.cargo.store(child.id(), Ordering::SeqCst);
            let status = child.wait();
            interrupt.cargo.store(0, Ordering::SeqCst);
            status
        });
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

/// A process's exit code; 128 and the number for a signal, as a shell says it.
pub fn exit_code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(101)
}

/// The report is worth nothing if it costs anything: failures are not mentioned.
fn keep_report(report: &Report, target_dir: &Path) {
    if target_dir.is_dir()
        && let Ok(json) = serde_json::to_vec(report)
        && let Err(error) = fs::write_atomic(&report_path(target_dir), &json)
    {
        tracing::debug!(%error, "the report was not kept");
    }
}

/// Sends every local entry that the remote does not have.
pub fn push(settings: &Settings, log: &EventLog, interrupt: &Interrupt) -> Result<UploadSummary> {
    let Some(url) = settings.remote.as_deref() else {
        return Err(Error::Config { name: "remote".into(), reason: "there is nowhere to push to".into() });
    };
    let store = Arc::new(LocalStore::open(&settings.dir)?);
    let runtime = Runtime::new()?;
    let remote = Arc::new(RemoteStore::open(url, settings, log)?);
    let entries: Vec<Entry> = store.unpushed(remote.id())?;
    let upload = Upload::new(&runtime, store, remote, log.clone(), settings);
    entries.into_iter().for_each(|entry| upload.send(entry));
    Ok(log.phase(Phase::Upload, || upload.finish(None, &interrupt.interrupted)))
}

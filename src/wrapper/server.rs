//! The session's side of the wrapper: what to do with each rustc call.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use camino::Utf8PathBuf;
use interprocess::local_socket::traits::{Listener as _, Stream as _};
use interprocess::local_socket::{Listener, ListenerOptions, Stream};
use tempfile::TempDir;

use super::client::NAME;
use super::metadata::MetadataDigests;
use super::protocol::{Capture, Finished, Released, Request, Response, receive, send, socket};
use super::record::{Compiled, Output, Recorded, expected_outputs, open_outputs, record};
use super::restore::{dependency_records, restore, violation};
use crate::digest::Digest;
use crate::entry::{DependencyRecord, Entry};
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog, MissReason, Reason, UnitId};
use crate::key::UnitKey;
use crate::plan::{BuildPlan, Unit};
use crate::prefetch::{Lookup, Prefetch};
use crate::probe::{self, Answer};
use crate::roots::{Root, Roots};
use crate::rustc::Invocation;
use crate::rustc::outputs::PathScanner;
use crate::store::LocalStore;
use crate::upload::Upload;

/// What the wrapper's decisions rest on.
pub struct Services {
    /// The plan of this build.
    pub plan: BuildPlan,
    /// Where things are on this machine.
    pub roots: Roots,
    /// The local store.
    pub store: Arc<LocalStore>,
    /// Where entries come from.
    pub prefetch: Prefetch,
    /// Where recorded entries go.
    pub upload: Option<Upload>,
    /// A wrapper of the user's own.
    pub user_wrapper: Option<String>,
    /// What happens.
    pub log: EventLog,
}

/// The wrapper, ready for cargo: accepts calls until it is stopped.
pub struct Wrapper {
    directory: TempDir,
    coordinator: Arc<Coordinator>,
    accepting: JoinHandle<Vec<JoinHandle<()>>>,
}

impl Wrapper {
    /// Makes a directory with the link and the socket, and starts to listen.
    pub fn start(services: Services, executable: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("xcache-")
            .tempdir()
            .map_err(Error::io("create a directory in", std::env::temp_dir()))?;
        let link = directory.path().join(format!("{NAME}{}", std::env::consts::EXE_SUFFIX));
        link_executable(executable, &link).map_err(Error::io("create", &link))?;
        let listener = socket(directory.path())
            .and_then(|name| ListenerOptions::new().name(name).create_sync())
            .map_err(Error::io("listen in", directory.path()))?;
        let coordinator = Arc::new(Coordinator::new(services));
        let accepting = thread::spawn({
            let coordinator = coordinator.clone();
            move || accept(&listener, &coordinator)
        });
        Ok(Self { directory, coordinator, accepting })
    }

    /// The program cargo has to put before rustc.
    pub fn program(&self) -> PathBuf {
        self.directory.path().join(format!("{NAME}{}", std::env::consts::EXE_SUFFIX))
    }

    /// Stops listening, waits until everything compiled is recorded, and gives the services back.
    pub fn stop(self) -> Option<Services> {
        let Self { directory, coordinator, accepting } = self;
        coordinator.stopping.store(true, Ordering::SeqCst);
        // The listener wakes up for one more caller, sees that it is over, and ends.
        if socket(directory.path()).and_then(Stream::connect).is_ok() {
            let connections = accepting.join().unwrap_or_default();
            connections.into_iter().for_each(|connection| drop(connection.join()));
        }
        Arc::into_inner(coordinator).map(|coordinator| coordinator.services)
    }
}

#[cfg(unix)]
fn link_executable(executable: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(executable, link)
}

#[cfg(not(unix))]
fn link_executable(executable: &Path, link: &Path) -> io::Result<()> {
    std::fs::hard_link(executable, link).or_else(|_| std::fs::copy(executable, link).map(drop))
}

/// One thread a call: there are never more calls at a time than cargo has job slots.
fn accept(listener: &Listener, coordinator: &Arc<Coordinator>) -> Vec<JoinHandle<()>> {
    let mut connections = Vec::new();
    loop {
        let stream = listener.accept();
        if coordinator.stopping.load(Ordering::SeqCst) {
            return connections;
        }
        let Ok(stream) = stream else { continue };
        connections.retain(|connection: &JoinHandle<()>| !connection.is_finished());
        let coordinator = coordinator.clone();
        connections.push(thread::spawn(move || {
            // A wrapper that went away has run rustc itself, or was killed with it.
            let _ = coordinator.serve(stream);
        }));
    }
}

/// The decisions.
struct Coordinator {
    services: Services,
    scanner: PathScanner,
    metadata: MetadataDigests,
    state: Mutex<State>,
    stopping: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Units that cargo asked for.
    claimed: BTreeSet<UnitId>,
    /// Units whose outputs came from this session: restored, or compiled with remapped paths.
    ours: BTreeSet<UnitId>,
    /// Outputs without their extension, by unit.
    outputs: BTreeMap<Utf8PathBuf, UnitId>,
    /// The store cannot be written; said once.
    store_failed: bool,
}

/// A rustc call, understood.
struct Call {
    request: Request,
    invocation: Invocation,
    directory: Utf8PathBuf,
    out_dir: Utf8PathBuf,
}

impl Coordinator {
    fn new(services: Services) -> Self {
        let scanner = PathScanner::new(&services.roots);
        Self {
            services,
            scanner,
            metadata: MetadataDigests::default(),
            state: Mutex::default(),
            stopping: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn serve(&self, stream: Stream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let request: Request = receive(&mut stream)?;
        // A workspace wrapper (clippy-driver) has the compiler's path as its first argument.
        let arguments = match request.arguments.first() {
            Some(first) if Path::new(first).is_absolute() && !first.ends_with(".rs") => &request.arguments[1..],
            _ => &request.arguments[..],
        };
        let invocation = Invocation::parse(arguments);
        if !invocation.is_compile() {
            return self.query(&mut stream, &request);
        }
        let directory = Utf8PathBuf::from(&request.directory);
        let out_dir = directory.join(invocation.out_dir.clone().unwrap_or_default());
        let call = Call { invocation, directory, out_dir, request };
        match self.identify(&call) {
            Some(id) => self.unit(&mut stream, id, &call),
            None => {
                let what = call.invocation.crate_name.unwrap_or_default();
                self.run_plainly(&mut stream, |millis, _| EventKind::PassedThrough { what, millis })
            }
        }
    }

    /// Not a compile: one of cargo's questions, or something of a build script's.
    fn query(&self, stream: &mut BufReader<Stream>, request: &Request) -> io::Result<()> {
        let arguments: Vec<_> = request.arguments.iter().map(String::as_str).collect();
        let asked_by_cargo = matches!(arguments[..], ["-vV"] | ["-", "--crate-name", "___", ..]);
        let variable = |name: &str| request.environment.get(name).cloned();
        let key = probe::key(&request.program, &request.arguments, variable).filter(|_| asked_by_cargo);
        let Some(key) = key else {
            return send(stream.get_mut(), &self.run(Vec::new(), Vec::new(), Capture::Status));
        };
        if let Some(Answer { stdout, stderr }) = probe::recall(&self.services.store, key) {
            return send(stream.get_mut(), &Response::Print { stdout, stderr, code: 0 });
        }
        send(stream.get_mut(), &self.run(Vec::new(), Vec::new(), Capture::Everything))?;
        let Finished { code, stdout, stderr, .. } = receive(stream)?;
        // Failures are asked again: what made them fail may be gone.
        if code == Some(0) {
            probe::remember(&self.services.store, key, &Answer { stdout, stderr });
        }
        Ok(())
    }

    /// The unit of a call. A build script that runs cargo itself may compile the same crate in a directory of its own: that
    /// is another build, and none of its units is ours.
    fn identify(&self, call: &Call) -> Option<UnitId> {
        let below = call.out_dir.strip_prefix(self.services.roots.get(Root::BuildDir)?).ok()?;
        if below.parent()?.components().any(|part| part.as_str() == "out") {
            return None;
        }
        let mut state = self.state();
        let plan = &self.services.plan;
        let id = plan.identify(&call.invocation, &call.directory, &state.outputs, &state.claimed)?;
        state.claimed.insert(id);
        for output in expected_outputs(&call.invocation, &call.out_dir) {
            state.outputs.insert(output.with_extension(""), id);
        }
        Some(id)
    }

    fn unit(&self, stream: &mut BufReader<Stream>, id: UnitId, call: &Call) -> io::Result<()> {
        let unit = self.services.plan.unit(id);
        let compiled = move |millis, success| EventKind::Compiled { unit: id, millis, success };
        if !unit.external || unit.key.is_err() && !matches!(unit.key, Err(Reason::ProcMacro | Reason::Linked)) {
            return self.run_plainly(stream, compiled);
        }
        let key = match (unit.key, self.uncacheable(unit, &call.invocation)) {
            (Ok(key), None) => key,
            (planned, reason) => {
                self.state().ours.insert(id);
                self.run_remapped(stream, compiled)?;
                if let (Ok(_), Some(reason)) = (planned, reason) {
                    self.services.log.record(EventKind::NotRecorded { unit: id, reason });
                }
                return Ok(());
            }
        };
        match self.hit(id, call) {
            Ok(stderr) => send(stream.get_mut(), &Response::Print { stdout: String::new(), stderr, code: 0 }),
            Err(reason) => {
                if let Some(reason) = reason {
                    self.services.log.record(EventKind::Missed { unit: id, reason });
                }
                self.miss(stream, id, key, call)
            }
        }
    }

    /// What the command line says that the plan could not know.
    fn uncacheable(&self, unit: &Unit, invocation: &Invocation) -> Option<Reason> {
        let native = invocation.links_native && unit.has_build_script(&self.services.plan);
        invocation.uncacheable().or(native.then_some(Reason::Native))
    }

    /// Restores a unit, or says why not; nothing to say where the miss is known already.
    fn hit(&self, id: UnitId, call: &Call) -> Result<String, Option<MissReason>> {
        let Services { prefetch, roots, store, log, .. } = &self.services;
        let entry = match prefetch.lookup(id) {
            Lookup::Hit(entry, _) => entry,
            Lookup::Miss(_) => return Err(None),
        };
        let environment = &call.request.environment;
        if let Some(reason) = violation(&entry, &call.invocation, environment, roots, &self.metadata) {
            return Err(Some(reason));
        }
        let start = Instant::now();
        let printed = restore(&entry, &call.invocation, &call.out_dir, store, roots).map_err(|error| match error {
            Error::Corrupt { object, reason } => {
                store.discard(&entry);
                log.record(EventKind::CorruptObject { object, reason });
                Some(MissReason::Corrupt)
            }
            error => {
                log.warn(error);
                Some(MissReason::Restore)
            }
        })?;
        self.state().ours.insert(id);
        log.record(EventKind::Restored {
            unit: id,
            bytes: entry.size(),
            millis: start.elapsed().as_millis() as u64,
            compile_millis: entry.compile_ms,
        });
        Ok(printed)
    }

    /// Has rustc run, and records what it wrote.
    fn miss(&self, stream: &mut BufReader<Stream>, id: UnitId, key: UnitKey, call: &Call) -> io::Result<()> {
        let dependencies = dependency_records(&call.invocation, &self.metadata);
        self.state().ours.insert(id);
        let Services { roots, log, .. } = &self.services;
        send(stream.get_mut(), &self.run(roots.remap_arguments(), roots.unmap_pairs(), Capture::Stderr))?;
        let finished: Finished = receive(stream)?;
        let outputs = open_outputs(&call.invocation, &call.out_dir);
        send(stream.get_mut(), &Released)?;
        let success = finished.code == Some(0);
        log.record(EventKind::Compiled { unit: id, millis: finished.millis, success });
        if !success {
            return Ok(());
        }
        let recorded = dependencies.and_then(|dependencies| match self.foreign_dependency(id, &dependencies) {
            true => Ok(Recorded::Not(Reason::ForeignDependency)),
            false => self.record(id, key, call, dependencies, &finished, outputs?),
        });
        match recorded {
            Ok(Recorded::Entry(entry)) => self.keep(id, *entry),
            Ok(Recorded::Not(reason)) => log.record(EventKind::NotRecorded { unit: id, reason }),
            Err(error) => self.store_failed(&error),
        }
        Ok(())
    }

    fn record(
        &self,
        id: UnitId,
        key: UnitKey,
        call: &Call,
        dependencies: Vec<DependencyRecord>,
        finished: &Finished,
        outputs: Vec<Output>,
    ) -> Result<Recorded> {
        let Services { plan, roots, store, .. } = &self.services;
        let compiled = Compiled {
            unit: plan.unit(id),
            key,
            invocation: &call.invocation,
            directory: &call.directory,
            environment: &call.request.environment,
            dependencies,
            finished,
            outputs,
        };
        record(compiled, store, roots, &self.scanner)
    }

    fn keep(&self, id: UnitId, entry: Entry) {
        let Services { store, upload, log, .. } = &self.services;
        if let Err(error) = store.put_entry(&entry) {
            return self.store_failed(&error);
        }
        let path_bound = !entry.constraints.bound.is_empty();
        log.record(EventKind::Recorded { unit: id, bytes: entry.size(), path_bound });
        if let Some(upload) = upload {
            upload.send(entry);
        }
    }

    fn store_failed(&self, error: &Error) {
        if !std::mem::replace(&mut self.state().store_failed, true) {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            self.services.log.warn(format!("what is compiled cannot be kept: {error}{hint}"));
        }
    }

    /// Whether a dependency was compiled by plain cargo: an entry made against it would be of no use anywhere else.
    ///
    /// A dependency is known if this session made it, if an earlier one did, or if it is the very file that its entry in
    /// the store describes.
    fn foreign_dependency(&self, id: UnitId, records: &[DependencyRecord]) -> bool {
        let Services { plan, prefetch, store, .. } = &self.services;
        plan.unit(id).dependencies.iter().any(|dependency| {
            let Some(record) = records.iter().find(|record| record.extern_name == dependency.extern_name) else {
                return false;
            };
            let mark = Digest::of(format!("compiled with remapped paths: {}", record.metadata));
            if self.state().ours.contains(&dependency.unit) {
                if plan.unit(dependency.unit).key.is_err() {
                    // Where the store cannot be written, later sessions record less: nothing else is lost.
                    let _ = store.put_probe(mark, &[]);
                }
                return false;
            }
            let known = match prefetch.lookup(dependency.unit) {
                Lookup::Hit(entry, _) => entry.metadata(),
                Lookup::Miss(_) => None,
            };
            known != Some(record.metadata) && store.probe(mark).is_none()
        })
    }

    fn run_plainly(
        &self,
        stream: &mut BufReader<Stream>,
        event: impl FnOnce(u64, bool) -> EventKind,
    ) -> io::Result<()> {
        send(stream.get_mut(), &self.run(Vec::new(), Vec::new(), Capture::Status))?;
        self.finish(stream, event)
    }

    /// Compiles with remapped paths what is not recorded: its dependents are, and must find the same metadata anywhere.
    fn run_remapped(
        &self,
        stream: &mut BufReader<Stream>,
        event: impl FnOnce(u64, bool) -> EventKind,
    ) -> io::Result<()> {
        let roots = &self.services.roots;
        send(stream.get_mut(), &self.run(roots.remap_arguments(), roots.unmap_pairs(), Capture::Status))?;
        self.finish(stream, event)
    }

    fn finish(&self, stream: &mut BufReader<Stream>, event: impl FnOnce(u64, bool) -> EventKind) -> io::Result<()> {
        let finished: Finished = receive(stream)?;
        self.services.log.record(event(finished.millis, finished.code == Some(0)));
        Ok(())
    }

    fn run(&self, arguments: Vec<String>, replacements: Vec<(String, String)>, capture: Capture) -> Response {
        Response::Run { wrapper: self.services.user_wrapper.clone(), arguments, replacements, capture }
    }
}

//! The session's side of the wrapper: listens, and answers what needs no plan.
//!
//! [`Wrapper`] accepts calls until it is stopped. This module answers cargo's questions about the compiler; [`Units`]
//! decides about crates. The units may have to be waited for ([`PlanSource::Pending`]) or planned first: a session that
//! expects no compilation starts cargo without a plan ([`PlanSource::OnDemand`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, Once, OnceLock};
use std::thread::{self, JoinHandle};

use camino::{Utf8Path, Utf8PathBuf};
use interprocess::local_socket::traits::{Listener as _, Stream as _};
use interprocess::local_socket::{Listener, ListenerOptions, Stream};

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::client::NAME;
use super::context::PlannedBuild;
use super::conversation::Conversation;
use super::protocol::{Capture, Finished, Request, Role, ScriptObserved, socket};
use super::script_observations::ScriptObservations;
use super::scripts::Printed;
use super::stand_in::{Runs, StandIns};
use super::units::Units;
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog};
use crate::link::Link;
use crate::observe;
use crate::probe::{self, ProgramOutput};
use crate::rustc::Invocation;
use crate::rustc::diagnostics::Unmapping;
use crate::store::LocalStore;

/// The user's own wrapper.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserWrapper {
    /// The program, absolute if it was found: cargo starts it in the directories of packages.
    pub program: String,
    /// The value that cargo would pass to build scripts.
    #[serde(rename = "told")]
    pub name_for_scripts: String,
}

/// What the server needs without a plan.
#[derive(Clone)]
pub struct WrapperContext {
    /// The local store.
    pub store: Arc<LocalStore>,
    /// The user's own wrapper.
    pub user_wrapper: Option<UserWrapper>,
    /// The programs of build scripts that may have to run without a plan, each with whether it may run several times.
    pub scripts: Vec<(Utf8PathBuf, bool)>,
    /// Whether scripts are observed.
    pub is_observing: bool,
    /// The session's events.
    pub log: EventLog,
}

/// Makes a plan, if possible, when cargo compiles a crate after all; the argument is the crate's output directory.
pub type Planner = Box<dyn FnOnce(&Utf8Path) -> Option<PlannedBuild> + Send>;

/// How the server gets the plan.
pub enum PlanSource {
    /// The plan is in preparation. Cargo is delayed until then, before it looks into the build directory.
    Pending(Receiver<PlannedBuild>),
    /// The plan is made when it is needed.
    OnDemand(Planner),
}

/// The running server.
pub struct Wrapper {
    /// The link to this binary. Its directory also contains the socket.
    link: Link,
    coordinator: Arc<Coordinator>,
    accepting: JoinHandle<Vec<JoinHandle<()>>>,
}

impl Wrapper {
    /// Creates a directory with the link and the socket, and starts listening.
    pub fn start(context: WrapperContext, source: PlanSource, executable: &Path) -> Result<Self> {
        let link = Link::new(executable, NAME)?;
        let listener = socket(link.directory())
            .and_then(|name| ListenerOptions::new().name(name).create_sync())
            .map_err(Error::io("listen in", link.directory()))?;
        let coordinator = Arc::new(Coordinator::new(context, source, &link));
        let accepting = thread::spawn({
            let coordinator = coordinator.clone();
            move || accept(&listener, &coordinator)
        });
        Ok(Self { link, coordinator, accepting })
    }

    /// The program that cargo has to start in front of rustc.
    pub fn program(&self) -> &Path {
        self.link.program()
    }

    /// Stops listening, waits until everything that was compiled is recorded, and returns the planned build.
    pub fn stop(self) -> Option<PlannedBuild> {
        let Self { link, coordinator, accepting } = self;
        coordinator.stopping.store(true, Ordering::SeqCst);
        if coordinator.is_pending {
            coordinator.pending_units();
        }
        // This wakes the listener, which then sees `stopping`.
        if socket(link.directory()).and_then(Stream::connect).is_ok() {
            let connections = accepting.join().unwrap_or_default();
            connections.into_iter().for_each(|connection| drop(connection.join()));
        }
        coordinator.stand_ins.remove();
        Arc::into_inner(coordinator)?.units.into_inner().flatten().and_then(Units::finish)
    }
}

/// Starts a thread for each call. There are never more than cargo has job slots.
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
            // The wrapper has run rustc itself, or was killed.
            let _ = coordinator.serve(stream);
        }));
    }
}

struct Coordinator {
    context: WrapperContext,
    /// Taken by the first thread that needs the units.
    plan: Mutex<Option<Planner>>,
    units: OnceLock<Option<Units>>,
    /// Whether the plan is in preparation.
    is_pending: bool,
    /// The stand-ins for the programs of build scripts.
    stand_ins: Arc<StandIns>,
    /// The observations of build scripts.
    observations: Arc<ScriptObservations>,
    /// The session's directory, with the library for C compilers once it is needed.
    directory: PathBuf,
    has_interposer: Once,
    /// How often cargo has asked for the compiler's version.
    version_queries: AtomicUsize,
    stopping: Arc<AtomicBool>,
}

impl Coordinator {
    fn new(context: WrapperContext, source: PlanSource, link: &Link) -> Self {
        let is_pending = matches!(source, PlanSource::Pending(_));
        let plan: Planner = match source {
            PlanSource::Pending(build) => Box::new(move |_| build.recv().ok()),
            PlanSource::OnDemand(plan) => plan,
        };
        let stand_ins = Arc::new(StandIns::new(link.program()));
        context.scripts.iter().for_each(|(script, several)| stand_ins.put(Runs::unknown(*several), script));
        let (plan, units, stopping) = (Mutex::new(Some(plan)), OnceLock::new(), Arc::default());
        let (version_queries, observations) = (AtomicUsize::new(0), Arc::default());
        let (directory, has_interposer) = (link.directory().to_owned(), Once::new());
        Self {
            context,
            plan,
            units,
            is_pending,
            stand_ins,
            observations,
            directory,
            has_interposer,
            version_queries,
            stopping,
        }
    }

    /// Waits for the units of a plan in preparation.
    fn pending_units(&self) -> Option<&Units> {
        self.units(Utf8Path::new(""))
    }

    /// The units. The first call, which compiles into `out_dir`, gets the plan.
    fn units(&self, out_dir: &Utf8Path) -> Option<&Units> {
        let make = || {
            let plan = self.plan.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()?;
            Some(Units::new(plan(out_dir)?, self.stand_ins.clone(), self.observations.clone(), self.stopping.clone()))
        };
        self.units.get_or_init(make).as_ref()
    }

    fn serve(&self, stream: Stream) -> io::Result<()> {
        let wrapper = self.context.user_wrapper.as_ref().map(|wrapper| wrapper.program.clone());
        let (request, mut conversation) = Conversation::begin(stream, wrapper)?;
        if request.role == Role::Script {
            return self.script(conversation, &request);
        }
        let arguments = without_compiler(&request.arguments);
        let driver = (arguments.len() < request.arguments.len()).then(|| request.program.clone());
        let invocation = Invocation::parse(arguments);
        if !invocation.is_compile() {
            return self.query(conversation, &request);
        }
        let out_dir = invocation.out_dir.as_deref().unwrap_or(Utf8Path::new(""));
        let out_dir = Utf8Path::new(&request.directory).join(out_dir);
        let units = self.units(&out_dir);
        let call = Call::new(request, invocation, driver, units.map(|units| &units.build().context.roots));
        match units.and_then(|units| Some((units, units.identify(&call)?))) {
            Some((units, id)) => units.serve(conversation, id, &call),
            None => {
                let what = call.invocation.crate_name.unwrap_or_default();
                let Finished { millis, .. } =
                    conversation.run(Vec::new(), Unmapping::default(), Capture::Status, false)?;
                self.context.log.record(EventKind::PassedThrough { what, millis });
                Ok(())
            }
        }
    }

    /// Answers a stand-in: replays the run, or has the script started. Without a plan, no run is known.
    fn script(&self, mut conversation: Conversation, request: &Request) -> io::Result<()> {
        let units = if self.is_pending { self.pending_units() } else { self.units.get().and_then(Option::as_ref) };
        if let Some(Printed { stdout, stderr }) = units.and_then(|units| units.replay(request)) {
            return conversation.print(stdout, stderr);
        }
        self.stand_ins.restore_program(Utf8Path::new(&request.program));
        let wrapper = self.context.user_wrapper.as_ref().map(|wrapper| wrapper.name_for_scripts.clone());
        let is_observed = self.context.is_observing;
        if is_observed {
            self.has_interposer.call_once(|| observe::provide_interposer(&self.directory));
        }
        conversation.start_script(wrapper, is_observed)?;
        if is_observed && let Some(out_dir) = request.environment.get("OUT_DIR") {
            let ScriptObserved(observation) = conversation.wait_for_script()?;
            self.observations.note(out_dir.into(), (request.environment.clone(), observation));
            if let Some(units) = units {
                units.replace_debug_paths(request, Utf8Path::new(out_dir));
            }
            conversation.release()?;
        }
        Ok(())
    }

    /// Waits for the plan at cargo's second question for the version. Cargo asks at its start, and once more
    /// (`core/profiles.rs`, `Profiles::new`) between resolving the packages and locking the build directory. So it
    /// waits while units are being placed. A cargo that does not ask waits for the lock.
    fn delay_cargo(&self) {
        if self.is_pending && self.version_queries.fetch_add(1, Ordering::SeqCst) > 0 {
            self.pending_units();
        }
    }

    /// Answers a question of cargo's or of a build script's.
    fn query(&self, mut conversation: Conversation, request: &Request) -> io::Result<()> {
        let arguments: Vec<_> = request.arguments.iter().map(String::as_str).collect();
        // The user's own wrapper may change the compiler's answer.
        let is_remembered =
            self.context.user_wrapper.is_none() && matches!(arguments[..], ["-vV"] | ["-", "--crate-name", "___", ..]);
        if without_compiler(&request.arguments) == ["-vV"] {
            self.delay_cargo();
        }
        let variable = |name: &str| request.environment.get(name).cloned();
        let key = probe::key(&request.program, &request.arguments, variable).filter(|_| is_remembered);
        let Some(key) = key else {
            return conversation.run_without_report();
        };
        if let Some(ProgramOutput { stdout, stderr }) = probe::recall(&self.context.store, key) {
            return conversation.print(stdout, stderr);
        }
        let Finished { code, stdout, stderr, .. } =
            conversation.run(Vec::new(), Unmapping::default(), Capture::Everything, false)?;
        // A failure is not remembered: its cause may disappear.
        if code == Some(0) {
            probe::remember(&self.context.store, key, &ProgramOutput { stdout, stderr });
        }
        Ok(())
    }
}

/// The arguments without the compiler, the first argument of a workspace wrapper (`clippy-driver`). Cargo's own begin
/// with an option.
fn without_compiler(arguments: &[String]) -> &[String] {
    match arguments.split_first() {
        Some((first, others)) if !first.starts_with('-') && !first.ends_with(".rs") => others,
        _ => arguments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_argument_of_a_workspace_wrapper_is_the_compiler() {
        let without = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            without_compiler(&words).join(" ")
        };
        assert_eq!(without(&["-vV"]), "-vV");
        assert_eq!(without(&["/toolchain/bin/rustc", "-vV"]), "-vV");
        assert_eq!(without(&["rustc", "-vV"]), "-vV", "the name as in PATH");
        assert_eq!(without(&["src/lib.rs", "--crate-name", "a"]), "src/lib.rs --crate-name a");
        assert_eq!(without(&["-", "--crate-name", "___"]), "- --crate-name ___");
    }
}

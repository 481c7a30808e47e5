//! The session's side of the wrapper: listening, and answering what needs no plan.
//!
//! [`Wrapper`] accepts calls until it is stopped. Cargo's questions about the compiler are answered here; what compiles
//! a crate goes to [`Units`], which may have to be waited for ([`PlanSource::Pending`]) or to be planned first: a
//! session that expects nothing to be compiled starts cargo without a plan ([`PlanSource::OnDemand`]).

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

/// A wrapper of the user's own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserWrapper {
    /// What is started. It is absolute where it was found: cargo starts it in the directories of packages.
    pub program: String,
    /// What cargo would tell build scripts.
    #[serde(rename = "told")]
    pub name_for_scripts: String,
}

/// What is needed without a plan.
#[derive(Clone)]
pub struct WrapperContext {
    /// The local store.
    pub store: Arc<LocalStore>,
    /// A wrapper of the user's own.
    pub user_wrapper: Option<UserWrapper>,
    /// The programs of build scripts that are in the build directory and have to run unplanned, if at all; and whether one
    /// may run several times.
    pub scripts: Vec<(Utf8PathBuf, bool)>,
    /// What scripts look at is observed.
    pub is_observing: bool,
    /// What happens.
    pub log: EventLog,
}

/// Makes a plan when the first crate is compiled after all, into this directory. Nothing where there is none to be had.
pub type Planner = Box<dyn FnOnce(&Utf8Path) -> Option<PlannedBuild> + Send>;

/// How it becomes known what to do with the crates that cargo will ask for.
pub enum PlanSource {
    /// It is being prepared. Cargo is held up before it looks into the build directory until it is there.
    Pending(Receiver<PlannedBuild>),
    /// It is found out when it is needed.
    OnDemand(Planner),
}

/// The wrapper, ready for cargo: accepts calls until it is stopped.
pub struct Wrapper {
    /// The directory has the socket, too.
    link: Link,
    coordinator: Arc<Coordinator>,
    accepting: JoinHandle<Vec<JoinHandle<()>>>,
}

impl Wrapper {
    /// Makes a directory with the link and the socket, and starts to listen.
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

    /// The program cargo has to put before rustc.
    pub fn program(&self) -> &Path {
        self.link.program()
    }

    /// Stops listening, waits until everything compiled is recorded, and gives the build back, if there was a plan.
    pub fn stop(self) -> Option<PlannedBuild> {
        let Self { link, coordinator, accepting } = self;
        coordinator.stopping.store(true, Ordering::SeqCst);
        if coordinator.is_pending {
            coordinator.pending_units();
        }
        // The listener wakes up for one more caller, sees that it is over, and ends.
        if socket(link.directory()).and_then(Stream::connect).is_ok() {
            let connections = accepting.join().unwrap_or_default();
            connections.into_iter().for_each(|connection| drop(connection.join()));
        }
        coordinator.stand_ins.remove();
        Arc::into_inner(coordinator)?.units.into_inner().flatten().and_then(Units::finish)
    }
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

struct Coordinator {
    context: WrapperContext,
    /// Taken by whoever needs the units first.
    plan: Mutex<Option<Planner>>,
    units: OnceLock<Option<Units>>,
    /// The plan is being prepared anyway.
    is_pending: bool,
    /// Before the programs of build scripts.
    stand_ins: Arc<StandIns>,
    /// What build scripts have looked at.
    observations: Arc<ScriptObservations>,
    /// Of the session: with the library for compilers of C, once a script is to be observed.
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

    /// The decisions of a plan that is being prepared anyway.
    fn pending_units(&self) -> Option<&Units> {
        self.units(Utf8Path::new(""))
    }

    /// The same of any plan; `out_dir` is where the first crate is compiled to.
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

    /// A build script is to be started. Where nothing was planned, nothing is known of it.
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
            let ScriptObserved(observation) = conversation.script_observed()?;
            self.observations.note(out_dir.into(), (request.environment.clone(), observation));
            if let Some(units) = units {
                units.generalize(request, Utf8Path::new(out_dir));
            }
            conversation.release()?;
        }
        Ok(())
    }

    /// Cargo asks for the version when it starts, and once more (`core/profiles.rs`, `Profiles::new`) when it has
    /// resolved the packages and before it locks the build directory: this is where it waits for what is still put
    /// there. Where it does not ask, it waits for the lock.
    fn delay_cargo(&self) {
        if self.is_pending && self.version_queries.fetch_add(1, Ordering::SeqCst) > 0 {
            self.pending_units();
        }
    }

    /// Not a compile: one of cargo's questions, or something of a build script's.
    fn query(&self, mut conversation: Conversation, request: &Request) -> io::Result<()> {
        let arguments: Vec<_> = request.arguments.iter().map(String::as_str).collect();
        // A wrapper of the user's may change what the compiler says.
        let is_remembered =
            self.context.user_wrapper.is_none() && matches!(arguments[..], ["-vV"] | ["-", "--crate-name", "___", ..]);
        if without_compiler(&request.arguments) == ["-vV"] {
            self.delay_cargo();
        }
        let variable = |name: &str| request.environment.get(name).cloned();
        let key = probe::key(&request.program, &request.arguments, variable).filter(|_| is_remembered);
        let Some(key) = key else {
            return conversation.run_unwatched();
        };
        if let Some(ProgramOutput { stdout, stderr }) = probe::recall(&self.context.store, key) {
            return conversation.print(stdout, stderr);
        }
        let Finished { code, stdout, stderr, .. } =
            conversation.run(Vec::new(), Unmapping::default(), Capture::Everything, false)?;
        // Failures are asked again: what made them fail may be gone.
        if code == Some(0) {
            probe::remember(&self.context.store, key, &ProgramOutput { stdout, stderr });
        }
        Ok(())
    }
}

/// The arguments, but for the compiler that a workspace wrapper (clippy-driver) has as its first. Cargo's own begin
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
    fn a_workspace_wrapper_has_the_compiler_before_what_is_asked() {
        let asked = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            without_compiler(&words).join(" ")
        };
        assert_eq!(asked(&["-vV"]), "-vV");
        assert_eq!(asked(&["/toolchain/bin/rustc", "-vV"]), "-vV");
        assert_eq!(asked(&["rustc", "-vV"]), "-vV", "as it is called in PATH");
        assert_eq!(asked(&["src/lib.rs", "--crate-name", "a"]), "src/lib.rs --crate-name a");
        assert_eq!(asked(&["-", "--crate-name", "___"]), "- --crate-name ___");
    }
}

//! Typed events: everything that happens in a session, as it happens.
//!
//! The report is a fold over the list of events and nothing else ([`crate::report`]). The terminal, too, receives
//! progress only as events: an [`Observer`] gets each one as it is recorded. The log keeps events in memory; [`lines`]
//! is their form in a file.

pub mod lines;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key::UnitKey;
use crate::roots::Root;

/// A unit's position in the plan.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct UnitId(pub usize);

/// Why the cache does not take a unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UncacheableReason {
    /// A procedural macro for a host whose linker cannot be identified, or of a member that is not cached.
    ProcMacro,
    /// The program of a build script, in the same two cases.
    BuildScript,
    /// The run of a member's build script, or of any on a host whose linker cannot be identified.
    BuildScriptRun,
    /// A binary, in the same two cases.
    Bin,
    /// A test, a benchmark or an example, in the same two cases; a doctest always.
    Test,
    /// A linked library that cannot be recorded, or a program linked with flags that were not observed.
    Linked,
    /// rustdoc's output.
    Doc,
    /// A package in a directory, if members are not cached.
    Path,
    /// Compiled with `-C incremental`, on top of an earlier compilation.
    Incremental,
    /// Native code of unknown origin.
    Native,
    /// The output holds a path of the machine that compiled it.
    PathBound,
    /// The source has neither a checksum nor a revision.
    NoIdentity,
    /// Part of a standard library that cargo compiles, or dependent on it.
    StandardLibrary,
    /// A JSON file describes the target.
    CustomTarget,
    /// A compiler option reads a file that no key covers.
    CompilerInput,
    /// Compiled for the processor of this machine (`target-cpu=native`), which cannot be identified.
    HostCpu,
    /// rustc writes further files beside the output.
    SideFiles,
    /// A dependency in the target directory was compiled without the cache.
    ForeignDependency,
    /// The build script reads something outside of its package, names a missing file, or receives values from another
    /// script about which nothing is known.
    OutsideInput,
    /// The build script finds a library of the system.
    SystemLibrary,
    /// A source file was written during the build.
    ChangedMeanwhile,
    /// The build script created a pipe or a socket.
    SpecialFiles,
    /// The build script wrote outside of `OUT_DIR`.
    OutsideOutput,
    /// The build script started with files of an earlier run in `OUT_DIR`.
    UsedDirectory,
    /// Another rustc compiled the unit than the one that cargo queried.
    OtherCompiler,
    /// rustc was called in a way that fits no unit of the plan, or more than one.
    Unplanned,
    /// The unit does something that cannot be observed.
    Unseen,
    /// What the unit reads was not observed.
    Unobserved,
}

impl UncacheableReason {
    /// What the reason means, in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::ProcMacro => "a procedural macro of a member, or for a host whose linker is not known",
            Self::BuildScript => "a build script of a member, or for a host whose linker is not known",
            Self::BuildScriptRun => "a build script of a member, or on a host whose linker is not known: it runs",
            Self::Bin => "for a host whose linker is not known, or members are not cached",
            Self::Test => "for a host whose linker is not known, or members are not cached; doctests never are",
            Self::Linked => {
                "a library whose files are not known, a dylib with dependents, or linked with unobserved flags"
            }
            Self::Doc => "rustdoc output is not cached",
            Self::Path => "packages in directories are not cached in this session",
            Self::Incremental => "compiled incrementally, on top of an earlier compilation",
            Self::Native => "native code of unknown origin",
            Self::PathBound => "the output holds a path of this machine",
            Self::NoIdentity => "its source has neither a checksum nor a revision",
            Self::StandardLibrary => "part of a standard library that cargo compiles (-Zbuild-std), or dependent on it",
            Self::CustomTarget => "the target is described by a file",
            Self::CompilerInput => "a compiler option reads a file that no key covers",
            Self::HostCpu => "compiled for the processor of this machine (target-cpu=native)",
            Self::SideFiles => "rustc writes files beside the library",
            Self::ForeignDependency => "a dependency in the target directory was compiled without the cache",
            Self::OutsideInput => {
                "its build script reads outside of its package, or receives values from an unknown run"
            }
            Self::SystemLibrary => "its build script finds a library of the system: it runs",
            Self::ChangedMeanwhile => "a source file was written during the build",
            Self::SpecialFiles => "its build script creates pipes or sockets",
            Self::OutsideOutput => "its build script writes outside of OUT_DIR: it runs",
            Self::OtherCompiler => "another rustc compiled it than the one that cargo queried",
            Self::UsedDirectory => "its build script started with files of an earlier run in OUT_DIR",
            Self::Unplanned => "rustc was called in a way that fits no unit of the plan",
            Self::Unseen => "it does something that cannot be observed",
            Self::Unobserved => "its inputs were not observed",
        }
    }

    /// What the user can do about it, if anything.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Incremental => {
                Some("set XCACHE_INCREMENTAL=strip, or CARGO_INCREMENTAL=0 (CI gains nothing from incremental builds)")
            }
            Self::PathBound => {
                Some("is a hit only in the same directories: keep CARGO_HOME and the target directory at one path")
            }
            Self::NoIdentity => Some("commit Cargo.lock with checksums, or depend on a registry or a git revision"),
            Self::SideFiles => Some("leave out -C save-temps, -C split-debuginfo=unpacked and further --emit kinds"),
            Self::HostCpu => Some("name a processor, for example -C target-cpu=x86-64-v3"),
            Self::ForeignDependency => Some("is cached after a build that starts with an empty target directory"),
            Self::CustomTarget => Some("use a built-in target triple"),
            _ => None,
        }
    }
}

/// Why a unit that could have been a hit was not one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissReason {
    /// No store has an entry for this key.
    Absent,
    /// A stored object was damaged.
    Corrupt,
    /// The remote did not answer in time, or returned an error.
    RemoteFailed,
    /// A dependency differs from the one that the unit was compiled against.
    Dependency,
    /// rustc's command line differs.
    Invocation,
    /// A variable read through `env!` has another value.
    Environment,
    /// A generated file that the unit reads has other content.
    Input,
    /// Something that the unit was observed to read has changed.
    Observed,
    /// The entry holds a path of another machine.
    PathBound,
    /// The unit could not be copied into the target directory.
    Restore,
}

/// How an existing entry does not fit, or what else prevented its use. Never contains a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Difference {
    /// rustc's command line.
    CommandLine,
    /// The form in which cargo asks for diagnostics.
    Rendering,
    /// The entry holds the path of this directory, and the directory has another path here.
    Path {
        /// Which.
        root: Root,
    },
    /// The value of a variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// The content of a file.
    File {
        /// Its path, relative to a root if it is below one: `<workspace>/src/lib.rs`.
        path: String,
    },
    /// What is at a path that the unit was observed to look at.
    Observed {
        /// Its path, relative to a root if it is below one.
        path: String,
    },
    /// The value of a variable that the unit may ask for.
    Asked {
        /// Its name.
        name: String,
    },
    /// The content of the package's directory has changed since the plan was made.
    Content,
    /// The entry was recorded without observation.
    Unobserved,
    /// The unit does something that cannot be observed.
    Unseen {
        /// A few words that complete "it …".
        what: String,
    },
    /// What the package's own build script produced.
    Script,
    /// What build scripts for native code produced and the unit is linked with.
    Linked,
    /// A dependency, by content.
    Dependency {
        /// The name it is imported under.
        name: String,
    },
    /// The run of a build script that the unit depends on happens every time.
    Reruns,
    /// A stored object was damaged.
    Damaged {
        /// Its name in the store.
        object: String,
        /// What does not fit.
        reason: String,
    },
    /// The unit could not be put into the target directory.
    Failed {
        /// Why.
        message: String,
    },
}

/// The store that a hit came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// The local store.
    Local,
    /// The remote store.
    Remote,
}

/// The phases of a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// xcache asks cargo for the workspace and, unless it remembers them, for its units.
    Plan,
    /// xcache brings entries and packs into the local store. With a remote, this begins while cargo still plans.
    Prefetch,
    /// xcache places units in the build directory, so that cargo finds them fresh.
    Hydrate,
    /// Cargo runs.
    Build,
    /// xcache sends what is left to the remote.
    Upload,
}

/// A unit of the plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlannedUnit {
    /// Package name.
    pub package: String,
    /// Package version.
    pub version: String,
    /// Target name.
    pub target: String,
    /// Cargo's target kind: `lib`, `proc-macro`, `custom-build`, `bin` …
    pub kind: String,
    /// Cargo's compile mode: `build`, `check`, `run-custom-build` …
    pub mode: String,
    /// The target triple, if the command names one.
    pub platform: Option<String>,
    /// Enabled features.
    pub features: Vec<String>,
    /// Its key, if it can be cached.
    pub key: Option<UnitKey>,
    /// Why it cannot be cached, if that is known before it is compiled.
    pub uncacheable: Option<UncacheableReason>,
    /// The units that must exist before it can be compiled.
    #[serde(default)]
    pub dependencies: Vec<UnitId>,
}

/// A program or procedural macro that was linked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkedProgram {
    /// Processor time of the processes that rustc started, that is, of the linker, in milliseconds. Absent if the
    /// system does not report it.
    pub linker_millis: Option<u64>,
    /// The linker's name for itself in the file. GNU's leaves none.
    pub linker: Option<String>,
    /// The file's size.
    pub bytes: u64,
    /// Bytes of debug information in it.
    pub debug_bytes: u64,
    /// Bytes of line tables in it.
    pub line_bytes: u64,
    /// The profile it was compiled in.
    pub profile: String,
    /// Whether that profile asks for full debug information.
    pub full_debug: bool,
}

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum EventKind {
    /// A session began.
    SessionStarted {
        /// `cargo`'s arguments.
        command: Vec<String>,
        /// The version of xcache.
        version: String,
        /// When the session began.
        started: Timestamp,
        /// The remote's URL, if one is configured.
        remote: Option<String>,
    },
    /// A phase began.
    PhaseStarted {
        /// Which.
        phase: Phase,
    },
    /// A phase ended.
    PhaseFinished {
        /// Which.
        phase: Phase,
    },
    /// The units are known.
    Planned {
        /// All units, in the plan's order. Other events refer to a unit by its index.
        units: Vec<PlannedUnit>,
    },
    /// Cargo printed a status line about the lockfile or the sources while it planned.
    CargoStatus {
        /// The line as cargo prints it, without colours.
        line: String,
    },
    /// The same command has succeeded here before, and nothing has changed since: cargo starts without a plan.
    NothingToPlan,
    /// Planning failed: cargo runs without the cache.
    PlanFailed {
        /// Why, in one line.
        reason: String,
    },
    /// Nothing is placed in the build directory, because it is not proven that this cargo would accept it as fresh.
    Unproven {
        /// Why, in one line.
        reason: String,
    },
    /// The remote knew this lockfile and command.
    GraphIndexFound {
        /// How many entries it lists.
        entries: usize,
    },
    /// A unit was found in a tier and is now in the local store.
    Found {
        /// Which unit.
        unit: UnitId,
        /// Where it was.
        tier: Tier,
        /// Bytes transferred for it.
        transferred: u64,
        /// How long its pack took to arrive and to be unpacked, in milliseconds; 0 if none was fetched.
        #[serde(default)]
        millis: u64,
    },
    /// No entry was found for a unit, or the entry found cannot be used.
    Missed {
        /// Which unit.
        unit: UnitId,
        /// Why.
        reason: MissReason,
    },
    /// How the entry of a unit that was missed does not fit.
    Differs {
        /// Which unit.
        unit: UnitId,
        /// How.
        difference: Difference,
    },
    /// Progress of the prefetch.
    PrefetchProgress {
        /// Units that are found or missed so far.
        done: usize,
        /// Units to look up.
        total: usize,
        /// Bytes transferred so far.
        bytes: u64,
    },
    /// A unit was placed in the build directory, with cargo's own fingerprint, before cargo looked there.
    Hydrated {
        /// Which unit.
        unit: UnitId,
        /// Bytes that the unit occupies in the target directory.
        bytes: u64,
        /// How long that took, in milliseconds.
        millis: u64,
        /// How long rustc or the build script took when the unit was made, in milliseconds.
        compile_millis: u64,
    },
    /// Cargo did not accept a hydrated unit as fresh.
    Rejected {
        /// Which unit.
        unit: UnitId,
        /// Cargo's own reason, if it is known.
        reason: String,
    },
    /// The wrapper restored a unit's outputs, so rustc did not compile it.
    Restored {
        /// Which unit.
        unit: UnitId,
        /// Bytes written to the target directory.
        bytes: u64,
        /// How long that took, in milliseconds.
        millis: u64,
        /// How long rustc took when the unit was compiled, in milliseconds.
        compile_millis: u64,
    },
    /// rustc, or the build script, ran for a unit.
    Compiled {
        /// Which unit.
        unit: UnitId,
        /// How long it took, in milliseconds.
        millis: u64,
        /// Whether it exited with success.
        success: bool,
    },
    /// A unit was left out, because the command compiles dependencies only.
    LeftOut {
        /// Which unit.
        unit: UnitId,
    },
    /// A program or a procedural macro was linked: what its file contains.
    Linked {
        /// Which unit.
        unit: UnitId,
        /// The file, and the time for linking it.
        #[serde(flatten)]
        program: LinkedProgram,
    },
    /// The machine on which something was compiled.
    Machine {
        /// Whether it builds for a CI service.
        ci: bool,
        /// Its platform.
        host: String,
        /// Linkers that are installed. xcache looks for them only if something was linked.
        linkers: Vec<String>,
    },
    /// The local store was trimmed, and lost units of this build.
    Evicted {
        /// Which.
        units: Vec<UnitId>,
        /// The size it is kept below, in bytes.
        max_bytes: u64,
    },
    /// A compiled unit is in the local store now.
    Recorded {
        /// Which unit.
        unit: UnitId,
        /// Bytes stored.
        bytes: u64,
        /// Whether it holds a path of this machine.
        path_bound: bool,
    },
    /// A compiled unit was not recorded.
    NotRecorded {
        /// Which unit.
        unit: UnitId,
        /// Why.
        reason: UncacheableReason,
    },
    /// rustc ran for something that is not in the plan.
    PassedThrough {
        /// The value of `--crate-name`, or the query.
        what: String,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A damaged object was found and is ignored.
    CorruptObject {
        /// Its name.
        object: String,
        /// What does not fit.
        reason: String,
    },
    /// The session gave up the remote.
    RemoteFailed {
        /// Its URL.
        remote: String,
        /// The server's own words.
        message: String,
    },
    /// Progress of the upload.
    UploadProgress {
        /// Units sent.
        done: usize,
        /// Units to send.
        total: usize,
        /// Bytes sent so far.
        bytes: u64,
    },
    /// A unit is in the remote now.
    Uploaded {
        /// Its key. The unit may be from the plan of an earlier session.
        key: UnitKey,
        /// The package and its version.
        package: String,
        /// Bytes sent.
        bytes: u64,
        /// How long packing and sending took, in milliseconds.
        millis: u64,
    },
    /// All uploads have ended.
    UploadFinished {
        /// Units sent.
        sent: usize,
        /// Units that are still only in the local store.
        left: usize,
        /// Bytes sent.
        bytes: u64,
    },
    /// The traffic with the remote in total.
    RemoteTraffic {
        /// Requests sent.
        requests: u64,
        /// Bytes received.
        received: u64,
        /// Bytes sent.
        sent: u64,
    },
    /// Something the user should know; the build goes on.
    Warning {
        /// One line.
        message: String,
    },
    /// Cargo ended.
    CargoFinished {
        /// Its exit code, unless it was killed.
        code: Option<i32>,
    },
    /// The session reached its regular end.
    SessionFinished,
}

/// What happened, and when. For an activity, this is its end. An event that xcache learns of late has a time in the
/// past.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Milliseconds since the session began.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Receives events as they happen. It must be quick: it is called on the thread on which the event happened.
pub trait Observer: Send + Sync {
    /// Called once for each event, in order.
    fn observe(&self, event: &Event);
}

/// An observer that ignores all events.
impl Observer for () {
    fn observe(&self, _: &Event) {}
}

/// The wall clock, for [`EventKind::SessionStarted`].
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A unique name for the session of this process. Names sort by the start of the session.
pub fn session_name(started: Option<Timestamp>) -> String {
    let started = started.unwrap_or_else(now);
    format!("{}-{}", started.strftime("%Y%m%dT%H%M%S%3fZ"), std::process::id())
}

/// The list of events of one session.
#[derive(Clone)]
pub struct EventLog {
    inner: Arc<Inner>,
}

struct Inner {
    start: Instant,
    events: Mutex<Vec<Event>>,
    observer: Arc<dyn Observer>,
}

impl EventLog {
    /// An empty log whose clock starts now.
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { inner: Arc::new(Inner { start: Instant::now(), events: Mutex::default(), observer }) }
    }

    /// Records an event.
    pub fn record(&self, kind: EventKind) {
        self.record_past(Duration::ZERO, kind);
    }

    /// Records an event that happened some time ago.
    pub fn record_past(&self, ago: Duration, kind: EventKind) {
        let at_ms = self.inner.start.elapsed().saturating_sub(ago).as_millis() as u64;
        let event = Event { at_ms, kind };
        let mut events = self.inner.events.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.inner.observer.observe(&event);
        events.push(event);
    }

    /// A one-line warning.
    pub fn warn(&self, message: impl ToString) {
        self.record(EventKind::Warning { message: message.to_string() });
    }

    /// Runs a phase between its two events.
    pub fn phase<T>(&self, phase: Phase, run: impl FnOnce() -> T) -> T {
        self.record(EventKind::PhaseStarted { phase });
        let result = run();
        self.record(EventKind::PhaseFinished { phase });
        result
    }

    /// Whether an event matches.
    pub fn has(&self, matches: impl Fn(&EventKind) -> bool) -> bool {
        let events = self.inner.events.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        events.iter().any(|event| matches(&event.kind))
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Event> {
        self.inner.events.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_recorded_late_has_its_own_time() {
        let log = EventLog::new(Arc::new(()));
        log.record(EventKind::NothingToPlan);
        log.record_past(Duration::from_secs(3600), EventKind::SessionFinished);
        assert_eq!(log.events()[1], Event { at_ms: 0, kind: EventKind::SessionFinished });
    }

    #[test]
    fn a_log_of_an_older_version_can_be_read() {
        let found = r#"{"at_ms":7,"event":"found","unit":1,"tier":"remote","transferred":9}"#;
        let event: Event = serde_json::from_str(found).unwrap();
        assert_eq!(event.kind, EventKind::Found { unit: UnitId(1), tier: Tier::Remote, transferred: 9, millis: 0 });
        let unit = r#"{"package":"a","version":"1","target":"a","kind":"lib","mode":"build","features":[]}"#;
        let planned = format!(r#"{{"at_ms":7,"event":"planned","units":[{unit}]}}"#);
        let event: Event = serde_json::from_str(&planned).unwrap();
        assert!(matches!(event.kind, EventKind::Planned { units } if units[0].dependencies.is_empty()));
    }
}

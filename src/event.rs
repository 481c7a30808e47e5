//! Typed events: everything that happens in a session, as it happens.
//!
//! The report is a fold over the list of events and of nothing else ([`crate::report`]). The terminal, too, learns of
//! progress only through them: an [`Observer`] is told of each event as it is recorded. Defining them is pure; the log
//! only keeps them in memory. [`lines`] is what they are in a file.

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

/// Why a unit is not taken from the cache, now or ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UncacheableReason {
    /// A procedural macro: linked for the host.
    ProcMacro,
    /// A build script's binary.
    BuildScript,
    /// The run of a build script.
    BuildScriptRun,
    /// A binary.
    Bin,
    /// A test harness, benchmark or example.
    Test,
    /// A library for other languages, or one that is loaded, which cannot be kept.
    Linked,
    /// rustdoc output.
    Doc,
    /// A workspace member or another package in a directory.
    Path,
    /// Compiled with `-C incremental`, on top of an earlier compilation.
    Incremental,
    /// Native code of which nothing says what it was made from.
    Native,
    /// The output holds a path of the machine that compiled it.
    PathBound,
    /// The source has neither checksum nor revision.
    NoIdentity,
    /// Of a standard library that cargo compiles, or above it.
    StandardLibrary,
    /// A target given as a JSON file.
    CustomTarget,
    /// A compiler option reads a file that the cache does not know.
    CompilerInput,
    /// Compiled for the processor of this machine.
    HostCpu,
    /// rustc writes files beside the library.
    SideFiles,
    /// A dependency in the target directory was compiled without the cache.
    ForeignDependency,
    /// A build script that reads something outside of its package, or depends on one of which nothing is known.
    OutsideInput,
    /// A build script that found a library of the system.
    SystemLibrary,
    /// A source file was written while the build went on.
    ChangedMeanwhile,
    /// A build script made links or empty directories.
    SpecialFiles,
    /// A build script wrote outside of `OUT_DIR`.
    OutsideOutput,
    /// A build script ran where an earlier run had left files.
    UsedDirectory,
    /// Another rustc has compiled it than the one that was asked what it is.
    OtherCompiler,
    /// rustc was called in a way that fits no unit, or more than one.
    Unplanned,
    /// It does something that cannot be observed.
    Unseen,
    /// Nobody could see what it reads.
    Unobserved,
}

impl UncacheableReason {
    /// What the reason means, in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::ProcMacro => "a procedural macro in a directory, or for a host whose linker is not known",
            Self::BuildScript => "a build script in a directory, or for a host whose linker is not known",
            Self::BuildScriptRun => "a build script in a directory, or on a host that is not known: it runs",
            Self::Bin => "for a host whose linker is not known, or members are not cached",
            Self::Test => "for a host whose linker is not known, or members are not cached; doctests never are",
            Self::Linked => "a dylib that others depend on, or linked in a way that is not known",
            Self::Doc => "rustdoc output is not cached",
            Self::Path => "packages in directories are not cached in this session",
            Self::Incremental => "compiled incrementally, on top of an earlier compilation",
            Self::Native => "native code of which nothing says what it was made from",
            Self::PathBound => "the output holds a path of this machine",
            Self::NoIdentity => "its source has neither a checksum nor a revision",
            Self::StandardLibrary => {
                "the standard library is compiled (-Zbuild-std), and this is of it or depends on it"
            }
            Self::CustomTarget => "the target is described by a file",
            Self::CompilerInput => "a compiler option reads a file the cache does not know",
            Self::HostCpu => "compiled for the processor of this machine (target-cpu=native)",
            Self::SideFiles => "rustc writes files beside the library",
            Self::ForeignDependency => "a dependency in the target directory was compiled without the cache",
            Self::OutsideInput => {
                "its build script reads outside of its package, or hears from one of which nothing is known"
            }
            Self::SystemLibrary => "its build script finds a library of the system: it runs",
            Self::ChangedMeanwhile => "a source file was written while the build went on",
            Self::SpecialFiles => "its build script makes pipes or sockets",
            Self::OutsideOutput => "its build script writes outside of OUT_DIR: it runs",
            Self::OtherCompiler => "another rustc has compiled it than the one that says what it is",
            Self::UsedDirectory => "its build script ran where an earlier run had left files",
            Self::Unplanned => "rustc was called in a way that fits no unit of the plan",
            Self::Unseen => "it does something that cannot be observed",
            Self::Unobserved => "nobody could see what it reads",
        }
    }

    /// What would change that, where the user can do something.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Incremental => {
                Some("set XCACHE_INCREMENTAL=strip, or CARGO_INCREMENTAL=0 (CI gains nothing from incremental builds)")
            }
            Self::PathBound => Some(
                "hits again where the same directories are used: keep CARGO_HOME and the target directory at one path",
            ),
            Self::NoIdentity => Some("commit Cargo.lock with checksums, or depend on a registry or a git revision"),
            Self::SideFiles => Some("leave out -C save-temps, -C split-debuginfo=unpacked and further --emit kinds"),
            Self::HostCpu => Some("name a processor, for example -C target-cpu=x86-64-v3"),
            Self::ForeignDependency => Some("is cached after a build that starts with an empty target directory"),
            Self::CustomTarget => Some("use a built-in target triple"),
            _ => None,
        }
    }
}

/// Why a unit that could have been a hit was not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissReason {
    /// No store has an entry of this key.
    Absent,
    /// A stored object was damaged.
    Corrupt,
    /// The remote did not answer in time, or gave an error.
    RemoteFailed,
    /// A dependency differs from the one it was compiled against.
    Dependency,
    /// rustc's command line differs.
    Invocation,
    /// A variable read through `env!` differs.
    Environment,
    /// A generated file it reads differs.
    Input,
    /// Something it was seen to read differs.
    Observed,
    /// It holds a path of another machine.
    PathBound,
    /// It could not be copied into the target directory.
    Restore,
}

/// In what an entry, which was there, does not fit; or what else kept it from being used. Never a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Difference {
    /// rustc's command line.
    CommandLine,
    /// How diagnostics are asked for.
    Rendering,
    /// The path of this directory is in it, and is another one here.
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
        /// Its path; below a root, from that one: `<workspace>/src/lib.rs`.
        path: String,
    },
    /// What is at a path that it was seen to look at.
    Observed {
        /// Its path; below a root, from that one.
        path: String,
    },
    /// The value of a variable that it may ask for.
    Asked {
        /// Its name.
        name: String,
    },
    /// The content of the package's directory has changed since it was planned.
    Content,
    /// It was recorded without having been observed.
    Unobserved,
    /// It does something that cannot be observed.
    Unseen {
        /// In a few words, as the end of "it …".
        what: String,
    },
    /// What the package's own build script has made.
    Script,
    /// What build scripts for native code have made that it is linked with.
    Linked,
    /// A dependency, by content.
    Dependency {
        /// The name it is imported under.
        name: String,
    },
    /// A build script's run that it depends on happens each time.
    Reruns,
    /// A stored object was damaged.
    Damaged {
        /// Its name in the store.
        object: String,
        /// What does not fit.
        reason: String,
    },
    /// It could not be put into the target directory.
    Failed {
        /// Why.
        message: String,
    },
}

/// Which tier a hit came from.
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
    /// Asking cargo for the workspace and, unless they are remembered, for its units.
    Plan,
    /// Bringing entries and packs into the local store. With a remote it begins while the build is still planned.
    Prefetch,
    /// Putting units into the build directory, for cargo to find them fresh.
    Hydrate,
    /// Cargo's own run.
    Build,
    /// Sending what is left to the remote.
    Upload,
}

/// A unit as the plan has it.
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
    /// The target triple, where one was asked for.
    pub platform: Option<String>,
    /// Enabled features.
    pub features: Vec<String>,
    /// Its key, where it can be cached.
    pub key: Option<UnitKey>,
    /// Why it cannot be cached, where that is known before it is compiled.
    pub uncacheable: Option<UncacheableReason>,
    /// What has to be there before it can be compiled.
    #[serde(default)]
    pub dependencies: Vec<UnitId>,
}

/// A program or procedural macro that was linked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LinkedProgram {
    /// Processor time of what rustc started, which is the linker, in milliseconds; nothing where the system does not say.
    pub linker_millis: Option<u64>,
    /// What the linker calls itself in the file; GNU's does not.
    pub linker: Option<String>,
    /// The file's size.
    pub bytes: u64,
    /// Of that, debug information.
    pub debug_bytes: u64,
    /// Of that, what tells which line code is from.
    pub line_bytes: u64,
    /// The profile it was compiled in.
    pub profile: String,
    /// That profile asks for all debug information.
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
        /// Wall-clock time.
        started: Timestamp,
        /// The remote's URL, where one is configured.
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
        /// In the plan's order: the index is the [`UnitId`].
        units: Vec<PlannedUnit>,
    },
    /// Cargo said something about the lockfile or the sources while it planned.
    CargoStatus {
        /// As cargo prints it without colours.
        line: String,
    },
    /// The same command has succeeded here before and nothing has changed since: cargo is started without a plan.
    NothingToPlan,
    /// There is no plan: cargo runs without the cache.
    PlanFailed {
        /// Why, in one line.
        reason: String,
    },
    /// Nothing is put into the build directory: whether this cargo would take it as fresh is not proven.
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
        /// How long its pack took to arrive and be unpacked; nothing where none was fetched.
        #[serde(default)]
        millis: u64,
    },
    /// A unit was not found, or what was found cannot be used.
    Missed {
        /// Which unit.
        unit: UnitId,
        /// Why.
        reason: MissReason,
    },
    /// In what the entry of a unit that was missed does not fit.
    Differs {
        /// Which unit.
        unit: UnitId,
        /// In what.
        difference: Difference,
    },
    /// How much of the prefetch is done.
    PrefetchProgress {
        /// Units decided.
        done: usize,
        /// Units asked for.
        total: usize,
        /// Bytes transferred so far.
        bytes: u64,
    },
    /// A unit is in the build directory with cargo's own fingerprint of it, before cargo was started.
    Hydrated {
        /// Which unit.
        unit: UnitId,
        /// Bytes that are in the target directory by it.
        bytes: u64,
        /// How long that took.
        millis: u64,
        /// How long rustc or the build script took when it was made.
        compile_millis: u64,
    },
    /// Cargo did not take a hydrated unit as fresh.
    Rejected {
        /// Which unit.
        unit: UnitId,
        /// Cargo's own reason, where it can be told.
        reason: String,
    },
    /// A unit's outputs were restored instead of compiled.
    Restored {
        /// Which unit.
        unit: UnitId,
        /// Bytes written to the target directory.
        bytes: u64,
        /// How long that took.
        millis: u64,
        /// How long rustc took when it was compiled.
        compile_millis: u64,
    },
    /// rustc, or the build script, was run for a unit.
    Compiled {
        /// Which unit.
        unit: UnitId,
        /// How long it took.
        millis: u64,
        /// It exited with success.
        success: bool,
    },
    /// A unit is none of those that were asked for: only dependencies are compiled.
    LeftOut {
        /// Which unit.
        unit: UnitId,
    },
    /// A program or a procedural macro was linked: what its file says.
    Linked {
        /// Which unit.
        unit: UnitId,
        /// What it is, and what linking it took.
        #[serde(flatten)]
        program: LinkedProgram,
    },
    /// On what machine something was compiled.
    Machine {
        /// It builds for a CI service.
        ci: bool,
        /// The platform it is.
        host: String,
        /// Linkers that can be called by name. They are looked for only where something was linked.
        linkers: Vec<String>,
    },
    /// The local store was made smaller, and units of this very build went.
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
        /// It holds a path of this machine.
        path_bound: bool,
    },
    /// A compiled unit was not recorded.
    NotRecorded {
        /// Which unit.
        unit: UnitId,
        /// Why.
        reason: UncacheableReason,
    },
    /// rustc was run for something that is not in the plan.
    PassedThrough {
        /// `--crate-name`, or the query.
        what: String,
        /// How long it took.
        millis: u64,
    },
    /// A damaged object was found, and is ignored.
    CorruptObject {
        /// Its name.
        object: String,
        /// What does not fit.
        reason: String,
    },
    /// The remote is not used any more in this session.
    RemoteFailed {
        /// Its URL.
        remote: String,
        /// The server's own words.
        message: String,
    },
    /// How much of the upload is done.
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
        /// Its key: it may be of an earlier session's plan.
        key: UnitKey,
        /// The package and its version.
        package: String,
        /// Bytes sent.
        bytes: u64,
        /// How long packing and sending took.
        millis: u64,
    },
    /// The uploads are over.
    UploadFinished {
        /// Units sent.
        sent: usize,
        /// Units that stay in the local store only.
        left: usize,
        /// Bytes sent.
        bytes: u64,
    },
    /// What the remote was asked, in all.
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
        /// Its exit code, where it was not killed.
        code: Option<i32>,
    },
    /// The session came to its regular end.
    SessionFinished,
}

/// An [`EventKind`] and when it happened. What took time has ended then; what is learned late has a time in the past.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Milliseconds since the session began.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Somebody who wants to see events as they happen. Must be quick: it is called on the thread the event happened on.
pub trait Observer: Send + Sync {
    /// Called once for each event, in order.
    fn observe(&self, event: &Event);
}

/// An observer of nothing.
impl Observer for () {
    fn observe(&self, _: &Event) {}
}

/// The wall clock, for [`EventKind::SessionStarted`].
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A name for the session of this process, which no other has and which sorts by when it began.
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

    /// Whether there is an event like this.
    pub fn has(&self, is_like: impl Fn(&EventKind) -> bool) -> bool {
        let events = self.inner.events.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        events.iter().any(|event| is_like(&event.kind))
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
    fn what_is_recorded_late_has_the_time_at_which_it_happened() {
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

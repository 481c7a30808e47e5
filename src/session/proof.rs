//! Whether what this program knows of cargo's files holds for a cargo: proven with that very cargo.
//!
//! A cargo that was not seen before builds a small workspace, while it builds the user's ([`prover`]). What was found out
//! is remembered in the local store, by the content of cargo's binary and the options that change what it writes. Until
//! then, and where the proof fails, nothing is put into its build directory: cargo asks the rustc wrapper.
//!
//! **Invariants.** No build waits for a proof, and none outlives its session: one that is not done by then is broken off,
//! and the next session's goes on from there. Nothing of it is seen by what is built: it has a directory, a store, a
//! `CARGO_HOME` and an environment of its own.

mod prover;
mod workspace;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::prover::run_if_prover;
use super::Options;
use super::survey::{Survey, UNSTABLE_VARIABLES};
use crate::cargo::format::{self, Layout};
use crate::cargo::{Cargo, CargoConfig, Format};
use crate::digest::{Digest, Domain};
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog};
use crate::probe::Program;
use crate::process;
use crate::store::remote::Direction;
use crate::store::{LocalStore, RemoteStore, Runtime};

/// A hidden switch, for tests and benchmarks: `off`, or the name of a format to be believed.
pub(super) const SWITCH: &str = "XCACHE_HYDRATE";
/// The same: as it is, but a session waits until a proof is done.
const PROVE: &str = "prove";
/// What others have found out is not waited for any longer than this, once there is a plan.
const HINT_PATIENCE: Duration = Duration::from_secs(1);
/// Processes that have ended may still be there for whoever asks, where nobody looks after them.
#[cfg(unix)]
const GROUP_PATIENCE: Duration = Duration::from_millis(100);
#[cfg(unix)]
const GROUP_TICK: Duration = Duration::from_millis(2);
/// With another version of what is proven, everything is proven again.
const VERSION: u32 = 1;
/// Variables by which cargo is told to write something else than it would.
const VARIABLES: &[&str] = &[
    "CARGO_BUILD_FINGERPRINT",
    "CARGO_BUILD_SBOM",
    "RUSTC_BOOTSTRAP",
    "__CARGO_TEMPORARY_BUILD_DIR_NEW_LAYOUT_OPT_OUT",
];
/// What the prover needs of the environment to start compilers and linkers.
const PASSED_VARIABLES: &[&str] = &[
    "PATH",
    "TMPDIR",
    "TMP",
    "TEMP",
    "SYSTEMROOT",
    "SystemRoot",
    "USERPROFILE",
    "LD_LIBRARY_PATH",
    "DEVELOPER_DIR",
    "SDKROOT",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
];
/// Options with which the small workspace would compile the standard library.
const UNSUPPORTED: &[&str] = &["build-std"];

/// What is known of a cargo.
pub(super) struct FormatStatus {
    /// What it writes: proven, or likely.
    pub format: Format,
    state: State,
}

enum State {
    Proven,
    /// Why not.
    Unproven(String),
    /// Nobody knows yet.
    Pending(Box<PendingProof>),
}

/// What a proof is of, and where it is remembered.
struct PendingProof {
    key: Digest,
    request: Request,
    /// What the remote says, if there is one.
    hint: Option<Receiver<Option<Vec<u8>>>>,
}

/// What decides what a cargo writes into its build directory.
#[derive(Serialize)]
struct Subject<'a> {
    version: u32,
    /// What is known of all formats.
    formats: &'a str,
    /// The content of its binary.
    cargo: Digest,
    /// Of its configuration and of the command.
    settings: BTreeMap<String, &'a Value>,
    variables: Vec<(&'a str, Option<&'a str>)>,
}

/// What the prover is told.
#[derive(Clone, Serialize, Deserialize)]
struct Request {
    /// The local store, and the name that the answer has in it.
    store: PathBuf,
    key: Digest,
    directory: PathBuf,
    executable: PathBuf,
    cargo: PathBuf,
    rustc: PathBuf,
    /// The names of formats, in the order in which to try them.
    formats: Vec<String>,
    options: Vec<String>,
    /// TOML for the configuration of the small workspace.
    config: String,
}

/// What was found out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct ProofResult {
    /// The name of the format that holds.
    format: Option<String>,
    /// Why none does.
    reason: Option<String>,
}

impl ProofResult {
    fn state(&self) -> (Option<Format>, State) {
        match self.format.as_deref().and_then(Format::named) {
            Some(format) => (Some(format), State::Proven),
            None => (None, State::Unproven(self.reason.clone().unwrap_or_default())),
        }
    }
}

impl FormatStatus {
    /// What is remembered of the cargo of this session.
    pub(super) fn of(options: &Options, cargo: &Cargo, survey: &Survey, store: &LocalStore) -> Self {
        let settings = FormatSettings(&survey.config);
        let format = Format::likely(&survey.toolchain.cargo, settings.layout());
        let unproven = |reason: String| Self { format, state: State::Unproven(reason) };
        match options.environment.text(SWITCH) {
            Some("off") => return unproven(format!("{SWITCH} is off")),
            None | Some(PROVE) => {}
            Some(name) => match Format::named(name) {
                Some(format) => return Self { format, state: State::Proven },
                None => return unproven(format!("{SWITCH} names no format")),
            },
        }
        if let Some(option) = settings.unsupported_option() {
            return unproven(format!("a proof with {option} would take too long"));
        }
        let Some(program) = program(options, cargo) else {
            return unproven("which one runs is not known".into());
        };
        let Some(content) = program.content(store) else {
            return unproven(format!("{} cannot be read", program.path().display()));
        };
        let key = settings.key(content, options);
        match recall(store.proof(key)) {
            Some(result) => {
                let (proven, state) = result.state();
                Self { format: proven.unwrap_or(format), state }
            }
            None => {
                let request = settings.request(format, &program, survey, options, store.root(), key);
                Self { format, state: State::Pending(Box::new(PendingProof { key, request, hint: None })) }
            }
        }
    }

    /// Asks others who have a cargo like this, in the background.
    pub(super) fn request_hint(&mut self, runtime: &Runtime, remote: Option<&Arc<RemoteStore>>) {
        let (State::Pending(pending), Some(remote)) = (&mut self.state, remote) else { return };
        let (sender, hint) = mpsc::channel();
        let (remote, key) = (remote.clone(), pending.key);
        pending.hint = Some(hint);
        // Nobody listens any more where it takes too long.
        runtime.handle().spawn(async move { drop(sender.send(remote.proof(key).await.ok().flatten())) });
    }

    /// What holds in this session. Where nothing is known, a proof is begun.
    pub(super) fn resolve(
        self,
        options: &Options,
        store: &Arc<LocalStore>,
        log: &EventLog,
    ) -> (Format, bool, Option<RunningProof>) {
        let Self { mut format, mut state } = self;
        let mut proof = None;
        if let State::Pending(pending) = state {
            let PendingProof { key, request, hint } = *pending;
            let hint = hint.and_then(|hint| hint.recv_timeout(HINT_PATIENCE).ok().flatten());
            state = match recall(hint) {
                Some(result) if result.format.is_some() => {
                    remember(store, key, &result);
                    let (proven, state) = result.state();
                    format = proven.unwrap_or(format);
                    state
                }
                _ => {
                    let is_awaited = options.environment.text(SWITCH) == Some(PROVE);
                    proof = RunningProof::begin(&request, options, is_awaited)
                        .inspect_err(|error| tracing::debug!(%error, "nothing is proven of this cargo"))
                        .ok();
                    State::Unproven("it is new here, and looked into while it builds".into())
                }
            };
        }
        match state {
            State::Unproven(reason) => {
                log.record(EventKind::Unproven { reason });
                (format, false, proof)
            }
            _ => (format, true, proof),
        }
    }
}

fn recall(bytes: Option<Vec<u8>>) -> Option<ProofResult> {
    serde_json::from_slice(&bytes?).ok()
}

fn remember(store: &LocalStore, key: Digest, result: &ProofResult) {
    let bytes = serde_json::to_vec(result).expect("text");
    if let Err(error) = store.put_proof(key, &bytes) {
        tracing::debug!(%error, "what was proven is not remembered");
    }
}

/// The cargo that runs, if that can be told.
fn program(options: &Options, cargo: &Cargo) -> Option<Program> {
    let variable = |name: &str| options.environment.get(name).map(OsStr::to_owned);
    let found = Program::find(cargo.program(), &options.directory, variable("PATH").as_deref())?;
    let toolchain = options.invocation.toolchain.as_deref();
    match found.resolved(variable).filter(|_| toolchain.is_none()) {
        Some(program) => Some(program),
        None => {
            let mut command = Command::new(found.rustup()?);
            command.args(["which", "cargo"]).current_dir(&options.directory);
            command.args(toolchain.into_iter().flat_map(|name| ["--toolchain", name.trim_start_matches('+')]));
            let path = process::output(&mut command).ok()?;
            Program::find(path.trim(), &options.directory, None)
        }
    }
}

fn of_toolchain(survey: &Survey, name: &str) -> PathBuf {
    survey.toolchain.sysroot.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)).into()
}

/// What changes what a cargo writes.
struct FormatSettings<'a>(&'a CargoConfig);

impl FormatSettings<'_> {
    /// The arrangement that is asked for, if one is.
    fn layout(&self) -> Option<Layout> {
        self.names().iter().any(|name| name == "build-dir-new-layout").then_some(Layout::PerUnit)
    }

    fn unsupported_option(&self) -> Option<String> {
        self.names().into_iter().find(|name| UNSUPPORTED.contains(&name.as_str())).map(|name| format!("-Z{name}"))
    }

    /// The names of all that is switched on.
    fn names(&self) -> Vec<String> {
        let table = self.0.unstable().and_then(Value::as_object).into_iter().flatten();
        let in_config = table.filter(|(_, value)| **value != Value::Bool(false)).map(|(name, _)| name.clone());
        let options = self.0.options().into_iter().filter(|option| !option.ends_with("=false"));
        let named = options.map(|option| {
            let name = option.split('=').next().unwrap_or(option);
            let variable = name.strip_prefix(UNSTABLE_VARIABLES);
            variable.map_or_else(|| name.to_owned(), |name| name.to_lowercase().replace('_', "-"))
        });
        named.chain(in_config).collect()
    }

    /// Where a proof is remembered.
    fn key(&self, cargo: Digest, options: &Options) -> Digest {
        let variables = VARIABLES.iter().map(|name| (*name, options.environment.text(name))).collect();
        let (formats, settings) = (format::DESCRIPTION, self.0.format_settings());
        Digest::of_value(Domain::Proof, &Subject { version: VERSION, formats, cargo, settings, variables })
    }

    fn request(
        &self,
        likely: Format,
        cargo: &Program,
        survey: &Survey,
        options: &Options,
        store: &Path,
        key: Digest,
    ) -> Request {
        let others = Format::all().filter(|format| *format != likely);
        // The variables are the prover's as well.
        let flags = self.0.options().into_iter().filter(|option| !option.starts_with(UNSTABLE_VARIABLES));
        Request {
            store: store.parent().unwrap_or(store).to_owned(),
            key,
            directory: store.join("tmp").join(format!("proof-{}", &key.to_string()[..16])),
            executable: options.executable.clone(),
            cargo: cargo.path().to_owned(),
            rustc: of_toolchain(survey, "rustc"),
            formats: [likely].into_iter().chain(others).map(Format::name).collect(),
            config: self.config(),
            options: flags.map(Into::into).collect(),
        }
    }

    /// Cargo's configuration, as far as it matters.
    fn config(&self) -> String {
        let mut config = toml::Table::new();
        for (name, value) in self.0.format_settings() {
            let Ok(value) = toml::Value::try_from(value) else { continue };
            match name.split_once('.') {
                Some((table, key)) => {
                    let table = config.entry(table).or_insert_with(|| toml::Table::new().into());
                    table.as_table_mut().and_then(|table| table.insert(key.into(), value));
                }
                None if value.is_table() => drop(config.insert(name, value)),
                // Those of the command are given to the prover as such.
                None => {}
            }
        }
        config.insert("target".into(), self.0.linkers().into());
        config.to_string()
    }
}

/// A proof that is being made.
pub(super) struct RunningProof {
    key: Digest,
    child: Child,
    /// When it is closed, the prover ends.
    stdin: Option<ChildStdin>,
    /// A session waits for it.
    is_awaited: bool,
    result: Receiver<Option<ProofResult>>,
}

impl RunningProof {
    fn begin(request: &Request, options: &Options, is_awaited: bool) -> Result<Self> {
        let mut command = Command::new(&options.executable);
        command.arg(prover::NAME).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let passed = PASSED_VARIABLES.iter().chain(VARIABLES).map(OsStr::new);
        let variables = passed.filter_map(|name| Some((name, options.environment.0.get(name)?)));
        command.envs(variables);
        let is_option = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(UNSTABLE_VARIABLES));
        command.envs(options.environment.0.iter().filter(|(name, _)| is_option(name)));
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = process::start(&mut command).map_err(Error::io("run", &options.executable))?;
        let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let line = serde_json::to_string(request).expect("paths and text") + "\n";
        // A prover that does not read gives no answer.
        stdin.as_mut().and_then(|stdin| stdin.write_all(line.as_bytes()).ok());
        let (sender, result) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            let received = stdout.and_then(|mut stdout| stdout.read_to_string(&mut text).ok());
            // Nobody listens when the session is over.
            let _ = sender.send(received.and_then(|_| serde_json::from_str(&text).ok()));
        });
        Ok(Self { key: request.key, child, stdin, is_awaited, result })
    }

    /// Tells the remote what was found out by now. Where nothing was, the prover is broken off.
    pub(super) fn end(mut self, runtime: &Runtime, remote: Option<&RemoteStore>) {
        let received = if self.is_awaited { self.result.recv().ok() } else { self.result.try_recv().ok() };
        drop(self.stdin.take());
        let _ = self.child.wait();
        wait_for_group(self.child.id());
        let Some(result) = received else { return };
        let result = result.filter(|result| result.format.is_some());
        if let Some((result, remote)) = result.zip(remote.filter(|remote| !remote.is_open(Direction::Write))) {
            let bytes = serde_json::to_vec(&result).expect("text");
            let put = async { tokio::time::timeout(HINT_PATIENCE, remote.put_proof(self.key, &bytes)).await };
            drop(runtime.handle().block_on(put));
        }
    }
}

/// What was killed takes a moment to be gone, and its files may be removed next.
#[cfg(unix)]
fn wait_for_group(leader: u32) {
    let leader = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw);
    let is_there = |group| rustix::process::test_kill_process_group(group).is_ok();
    let mut left = GROUP_PATIENCE;
    while leader.is_some_and(is_there) && !left.is_zero() {
        thread::sleep(GROUP_TICK);
        left = left.saturating_sub(GROUP_TICK);
    }
}

#[cfg(not(unix))]
fn wait_for_group(_: u32) {}

//! Proofs that a format describes how a cargo writes its files, made with that very cargo.
//!
//! A cargo that is new here builds a small workspace beside the user's ([`prover`]). The result is kept in the local
//! store, under the content of cargo's binary and the options that change what it writes. Until there is a result, and
//! if no format holds, nothing is placed in the build directory: the wrapper restores the hits.
//!
//! **Invariants.** No build waits for a proof, and no proof outlives its session: an unfinished one is stopped, and the
//! next session continues it. The user's build does not notice it: a proof has its own directory, store, `CARGO_HOME`
//! and environment.

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

/// A hidden switch for tests and benchmarks: `off`, [`PROVE`], or the name of a format to use without a proof.
pub(super) const SWITCH: &str = "XCACHE_HYDRATE";
/// Makes the session wait for its proof.
const PROVE: &str = "prove";
/// How long a session with a plan waits for the remote's proof, and how long it takes at most to send its own.
const REMOTE_PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait for killed processes to disappear. They stay visible until their parent has reaped them.
#[cfg(unix)]
const GROUP_PATIENCE: Duration = Duration::from_millis(100);
#[cfg(unix)]
const GROUP_TICK: Duration = Duration::from_millis(2);
/// The version of the proof. Another version invalidates all earlier proofs.
const VERSION: u32 = 1;
/// Variables that change what cargo writes.
const VARIABLES: &[&str] = &[
    "CARGO_BUILD_FINGERPRINT",
    "CARGO_BUILD_SBOM",
    "RUSTC_BOOTSTRAP",
    "__CARGO_TEMPORARY_BUILD_DIR_NEW_LAYOUT_OPT_OUT",
];
/// Variables that the prover needs to start compilers and linkers.
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

/// The format of a cargo, and whether it is proven.
pub(super) struct FormatStatus {
    /// The proven format, or the likely one.
    pub format: Format,
    state: State,
}

enum State {
    Proven,
    /// Not proven, for this reason.
    Unproven(String),
    /// The local store has no result yet.
    Pending(Box<PendingProof>),
}

/// A proof that this machine has not made yet.
struct PendingProof {
    key: Digest,
    request: Request,
    /// The remote's answer, if there is a remote.
    hint: Option<Receiver<Option<Vec<u8>>>>,
}

/// Everything that decides what a cargo writes into its build directory.
#[derive(Serialize)]
struct Subject<'a> {
    version: u32,
    /// The description of all formats.
    formats: &'a str,
    /// The content of cargo's binary.
    cargo: Digest,
    /// Settings from the configuration and from the command.
    settings: BTreeMap<String, &'a Value>,
    variables: Vec<(&'a str, Option<&'a str>)>,
}

/// The input of the prover.
#[derive(Clone, Serialize, Deserialize)]
struct Request {
    /// The local store. The result is kept in it under `key`.
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

/// The result of a proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct ProofResult {
    /// The name of the format that holds.
    format: Option<String>,
    /// Why no format holds.
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
    /// What the local store knows about the cargo of this session.
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
            return unproven("xcache cannot tell which cargo runs".into());
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

    /// Requests a pending proof from the remote, in the background.
    pub(super) fn request_hint(&mut self, runtime: &Runtime, remote: Option<&Arc<RemoteStore>>) {
        let (State::Pending(pending), Some(remote)) = (&mut self.state, remote) else { return };
        let (sender, hint) = mpsc::channel();
        let (remote, key) = (remote.clone(), pending.key);
        pending.hint = Some(hint);
        // Sending fails if the session no longer waits.
        runtime.handle().spawn(async move { drop(sender.send(remote.proof(key).await.ok().flatten())) });
    }

    /// Decides the format of this session, and whether it is proven. Starts a proof if there is no result.
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
            let hint = hint.and_then(|hint| hint.recv_timeout(REMOTE_PATIENCE).ok().flatten());
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
                        .inspect_err(|error| tracing::debug!(%error, "the prover does not start"))
                        .ok();
                    State::Unproven("it is new here, and the proof runs beside this build".into())
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
        tracing::debug!(%error, "the proof was not stored");
    }
}

/// The cargo that runs, as far as it can be found.
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

/// The settings that change what a cargo writes.
struct FormatSettings<'a>(&'a CargoConfig);

impl FormatSettings<'_> {
    /// The layout that the user asks for, if any.
    fn layout(&self) -> Option<Layout> {
        self.names().iter().any(|name| name == "build-dir-new-layout").then_some(Layout::PerUnit)
    }

    fn unsupported_option(&self) -> Option<String> {
        self.names().into_iter().find(|name| UNSUPPORTED.contains(&name.as_str())).map(|name| format!("-Z{name}"))
    }

    /// The names of all unstable options that are on.
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

    /// The key of a proof in the stores.
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
        // The prover inherits the variables.
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

    /// The part of cargo's configuration that changes what it writes, and the linkers.
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
                // The prover receives the options of the command separately.
                None => {}
            }
        }
        config.insert("target".into(), self.0.linkers().into());
        config.to_string()
    }
}

/// A prover that is running.
pub(super) struct RunningProof {
    key: Digest,
    child: Child,
    /// The prover ends when this is closed.
    stdin: Option<ChildStdin>,
    /// Whether the session waits for the result.
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
        // If the prover does not read its request, it gives no answer either.
        stdin.as_mut().and_then(|stdin| stdin.write_all(line.as_bytes()).ok());
        let (sender, result) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            let received = stdout.and_then(|mut stdout| stdout.read_to_string(&mut text).ok());
            // Sending fails when the session is over.
            let _ = sender.send(received.and_then(|_| serde_json::from_str(&text).ok()));
        });
        Ok(Self { key: request.key, child, stdin, is_awaited, result })
    }

    /// Stops the prover. If it has a result, sends it to the remote.
    pub(super) fn end(mut self, runtime: &Runtime, remote: Option<&RemoteStore>) {
        let received = if self.is_awaited { self.result.recv().ok() } else { self.result.try_recv().ok() };
        drop(self.stdin.take());
        let _ = self.child.wait();
        wait_for_group(self.child.id());
        let Some(result) = received else { return };
        let result = result.filter(|result| result.format.is_some());
        if let Some((result, remote)) = result.zip(remote.filter(|remote| !remote.is_open(Direction::Write))) {
            let bytes = serde_json::to_vec(&result).expect("text");
            let put = async { tokio::time::timeout(REMOTE_PATIENCE, remote.put_proof(self.key, &bytes)).await };
            drop(runtime.handle().block_on(put));
        }
    }
}

/// Waits until the killed processes are gone, because their files may be removed next.
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

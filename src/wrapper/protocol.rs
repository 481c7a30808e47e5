//! The protocol between wrapper and session: one JSON value per line, over a local socket.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::Path;

use interprocess::local_socket::{GenericFilePath, Name, ToFsName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::observe;
use crate::rustc::diagnostics::Unmapping;

/// The wrapper's first argument from a stand-in, followed by the stand-in's path and the script's arguments.
pub(super) const SCRIPT: &str = "--build-script";

/// Who sends a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// The wrapper of the compiler.
    Compiler,
    /// The stand-in of a build script.
    Script,
}

/// The first message: what cargo asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// Who sends it.
    pub role: Role,
    /// The compiler, or the workspace wrapper in front of it; or the build script.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The current directory.
    pub directory: String,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

/// The session's answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Response {
    /// Nothing to run: print this and exit.
    Print { stdout: String, stderr: String, code: i32 },
    /// Start the build script. Its program is in its place, or beside it if it is started more than once.
    Start {
        /// The user's own wrapper, as cargo would have passed it.
        wrapper: Option<String>,
        /// Whether to [report](ScriptObserved) what the script reads.
        is_observed: bool,
    },
    /// Run the command, and report the result if `capture` says so.
    Run {
        /// The user's own wrapper, which starts the command.
        wrapper: Option<String>,
        /// Arguments to put before cargo's.
        arguments: Vec<String>,
        /// Restores the real paths in messages.
        unmapping: Unmapping,
        /// What to report at the end.
        capture: Capture,
        /// Whether to report what it reads, too.
        is_observed: bool,
    },
}

/// What a wrapper reports about a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Capture {
    /// Its status and time.
    Status,
    /// The same, and what it printed to stderr.
    Stderr,
    /// The same, and what it printed to stdout.
    Everything,
}

/// The wrapper's last message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    pub code: Option<i32>,
    pub millis: u64,
    /// The processor time of rustc's child processes, if the system provides it.
    pub linker_millis: Option<u64>,
    pub stdout: String,
    /// As the compiler printed it.
    pub stderr: String,
    /// What it read, if it was observed.
    pub observation: Option<observe::Result>,
}

/// A stand-in's last message: what the observed script read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ScriptObserved(pub observe::Result);

/// The session's last message after a captured run: it has opened the outputs, or received an observation, and cargo
/// may continue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Released;

pub(super) fn send(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.flush()
}

pub(super) fn receive<T: DeserializeOwned>(stream: &mut impl BufRead) -> io::Result<T> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

/// The socket of the session with this directory.
pub(super) fn socket(directory: &Path) -> io::Result<Name<'static>> {
    let path = if cfg!(windows) {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        Path::new(r"\\.\pipe").join(&*name)
    } else {
        directory.join("socket")
    };
    path.to_fs_name::<GenericFilePath>().map(Name::into_owned)
}

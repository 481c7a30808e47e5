//! What wrapper and session say to each other: one JSON value a line, over a local socket.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::Path;

use interprocess::local_socket::{GenericFilePath, Name, ToFsName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::observe;
use crate::rustc::diagnostics::Unmapping;

/// The first argument where a build script's stand-in asks; its path and the script's arguments follow.
pub(super) const SCRIPT: &str = "--build-script";

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// The wrapper of the compiler.
    Compiler,
    /// The stand-in of a build script.
    Script,
}

/// The first word: what cargo asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// Who asks.
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
    /// A build script has to run. Its program is in its place, or beside it if it is started more than once.
    Start {
        /// A wrapper of the user's own, of which cargo would have told it.
        wrapper: Option<String>,
        /// What it looks at is to be [reported](ScriptObserved).
        is_observed: bool,
    },
    /// Run the command, and report its end if `capture` says so.
    Run {
        /// A wrapper of the user's own, to be put in front.
        wrapper: Option<String>,
        /// Arguments to put before cargo's.
        arguments: Vec<String>,
        /// What makes the messages name the files that exist.
        unmapping: Unmapping,
        /// What to report when it ends.
        capture: Capture,
        /// Also what it has looked at.
        is_observed: bool,
    },
}

/// What a wrapper reports of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Capture {
    /// Its status and time.
    Status,
    /// And what it printed to stderr.
    Stderr,
    /// And what it printed to stdout.
    Everything,
}

/// The wrapper's last word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    pub code: Option<i32>,
    pub millis: u64,
    /// Processor time of what rustc started, where it can be told.
    pub linker_millis: Option<u64>,
    pub stdout: String,
    /// As the compiler printed it.
    pub stderr: String,
    /// What it looked at, where that was to be observed.
    pub observation: Option<observe::Result>,
}

/// The stand-in's last word, where a script was to be observed: what it looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ScriptObserved(pub observe::Result);

/// The session's last word after a captured run: it has opened the outputs, or received what a script looked at, and
/// cargo may go on.
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

/// The socket of the session that lives in `directory`.
pub(super) fn socket(directory: &Path) -> io::Result<Name<'static>> {
    let path = if cfg!(windows) {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        Path::new(r"\\.\pipe").join(&*name)
    } else {
        directory.join("socket")
    };
    path.to_fs_name::<GenericFilePath>().map(Name::into_owned)
}

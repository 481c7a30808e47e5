//! The observer on platforms that it does not support.

use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitCode};

use super::{Result, Unseen};

/// Stands for the observation of a command that runs unobserved.
#[derive(Debug)]
pub struct Observation;

impl Observation {
    /// Returns the reason.
    pub fn finish(self) -> Result {
        Err(Unseen("there is no observer for this platform".into()))
    }
}

/// Starts a command.
pub fn spawn(command: &mut Command) -> io::Result<(Child, Observation)> {
    Ok((crate::process::start(command)?, Observation))
}

/// Starts a command from a session's directory.
pub fn spawn_with(_: &Path, command: &mut Command) -> io::Result<(Child, Observation)> {
    spawn(command)
}

/// Does nothing: no program would load the library.
pub fn provide_interposer(_: &Path) {}

/// Does nothing: no process is stopped.
pub fn resume_remaining() -> ExitCode {
    ExitCode::SUCCESS
}

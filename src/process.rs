//! Runs other programs: to query them, or in our place.
//!
//! While a process starts, it has all our open files for an instant, and a file that is open for writing cannot be
//! executed (`ETXTBSY`). So code that writes a program for others to start does so [while nothing is started
//! here](while_nothing_starts).

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, RwLock};
use std::thread;

use crate::error::{Error, Result};

static STARTING: RwLock<()> = RwLock::new(());

/// Calls `act` at a time at which no process is being started.
pub fn while_nothing_starts<T>(act: impl FnOnce() -> T) -> T {
    let _nothing_starts = STARTING.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    act()
}

/// Starts a command, but not during [`while_nothing_starts`]. A session starts every process through this function.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let _starting = STARTING.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    #[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "the lock is held"))]
    command.spawn()
}

/// Runs a command to its end and returns its output. If it fails, the error is its first error line.
pub fn output(command: &mut Command) -> Result<String> {
    output_observed(command, |_| {})
}

/// Like [`output`], and passes each line of standard error to `line` as it is written.
pub fn output_observed(command: &mut Command, mut line: impl FnMut(&str)) -> Result<String> {
    let shown = shown(command);
    let failed = |reason: String| Error::Command { command: shown.clone(), reason };
    let io_failed = |error: io::Error| failed(error.to_string());
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = start(piped).map_err(io_failed)?;
    let mut pipe = child.stdout.take().expect("stdout is piped");
    let stdout = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    });
    let mut stderr = String::new();
    for text in BufReader::new(child.stderr.take().expect("stderr is piped")).lines().map_while(io::Result::ok) {
        line(&text);
        stderr.push_str(&text);
        stderr.push('\n');
    }
    let stdout = stdout.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(io_failed)?;
    if !child.wait().map_err(io_failed)?.success() {
        return Err(failed(first_error(&stderr).to_owned()));
    }
    String::from_utf8(stdout).map_err(|_| failed("its output is not UTF-8".into()))
}

/// A child to which signals are forwarded.
#[derive(Debug, Default)]
pub struct Running {
    /// Locked while the child starts, so that a signal at that time finds it.
    child: Mutex<Option<u32>>,
}

impl Running {
    /// The process id of the running child.
    pub fn id(&self) -> Option<u32> {
        *self.lock()
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &mut Command) -> io::Result<ExitStatus> {
        let mut running = self.lock();
        let mut child = start(command)?;
        *running = Some(child.id());
        drop(running);
        let status = child.wait();
        *self.lock() = None;
        status
    }

    fn lock(&self) -> MutexGuard<'_, Option<u32>> {
        self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The command for error messages: the program's name and its first arguments.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let arguments = command.get_args().take(2).map(|argument| argument.to_string_lossy());
    std::iter::once(program.to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// The first line that begins with `error:`, or else the last line.
fn first_error(stderr: &str) -> &str {
    let mut lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it printed nothing");
    lines.find_map(|line| line.strip_prefix("error: ")).unwrap_or(last)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_program_written_while_nothing_starts_can_be_started_at_once() {
        let dir = tempfile::tempdir().expect("the directory is created");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    start(&mut Command::new("true")).and_then(|mut child| child.wait()).expect("it starts");
                }
            });
            for number in 0..200 {
                let program = dir.path().join(number.to_string());
                while_nothing_starts(|| {
                    std::fs::write(&program, "#!/bin/sh\n")?;
                    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))
                })
                .expect("the program is written");
                let started = start(&mut Command::new(&program)).and_then(|mut child| child.wait());
                assert!(started.expect("no process has it open for writing").success());
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}

//! One process: its command line, its time limit, its output.
//!
//! Each process leads its own process group, so that it can be ended with all its children.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{PipeReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// No process of the tests takes nearly as long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(240);

/// A process to be started.
pub struct Invocation {
    command: Command,
    input: Vec<u8>,
    limit: Duration,
}

impl Invocation {
    /// Passes on nothing of this process's environment except what `command` sets.
    pub fn new(command: Command) -> Self {
        Self { command, input: Vec::new(), limit: LIMIT }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Unsets a variable.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Runs it in another directory.
    #[must_use]
    pub fn in_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Provides its standard input.
    #[must_use]
    pub fn input(mut self, input: &str) -> Self {
        self.input = input.into();
        self
    }

    /// Shortens the time limit, for something that must not hang.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(mut self) -> Output {
        let what = format!("{:?}", self.command);
        self.command.stdin(Stdio::piped());
        let (stdout, stdout_writer) = std::io::pipe().expect("a pipe can be created");
        let (stderr, stderr_writer) = std::io::pipe().expect("a pipe can be created");
        self.command.stdout(stdout_writer).stderr(stderr_writer).process_group(0);
        let child = self.command.spawn().unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        // The command holds the writing ends.
        drop(self.command);
        let (status, stdout, stderr) = communicate(child, &self.input, stdout, stderr, self.limit, &what);
        Output { what, status, stdout, stderr }
    }

    /// Runs it, and expects success.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.run().ok()
    }

    /// Runs it to its end with nothing reading its standard output.
    #[track_caller]
    pub fn run_unread(mut self) -> (ExitStatus, String) {
        let what = format!("{:?}", self.command);
        let (reader, writer) = std::io::pipe().expect("a pipe can be created");
        drop(reader);
        let child = self.command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let watch = Watch::start(group(&child), self.limit);
        let output = child.wait_with_output().expect("a child can be waited for");
        assert!(watch.stop(), "{what} did not end within {:?}", self.limit);
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts it without waiting. Its output is discarded.
    #[track_caller]
    pub fn start(mut self) -> Running {
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let what = format!("{:?}", self.command);
        let child = self.command.spawn().unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        Running { child, what, limit: self.limit }
    }
}

fn communicate(
    mut child: Child,
    input: &[u8],
    stdout: PipeReader,
    stderr: PipeReader,
    limit: Duration,
    what: &str,
) -> (ExitStatus, String, String) {
    let group = group(&child);
    let mut stdin = child.stdin.take().expect("its standard input is a pipe");
    // A program that does not read its input may have closed it.
    let _ = stdin.write_all(input);
    drop(stdin);
    let watch = Watch::start(group, limit);
    let stderr = thread::spawn(move || read(stderr));
    let stdout = read(stdout);
    let stderr = stderr.join().expect("reading does not panic");
    let status = child.wait().expect("a child can be waited for");
    let in_time = watch.stop();
    assert!(in_time, "{what} did not end within {limit:?}\n{stdout}\n{stderr}");
    (status, stdout, stderr)
}

fn read(mut pipe: PipeReader) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).expect("a pipe can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn group(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids are small"))
}

/// Kills a process group when its time is over.
struct Watch {
    stop: mpsc::Sender<()>,
    thread: thread::JoinHandle<bool>,
}

impl Watch {
    fn start(group: Pid, limit: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let over = stopped.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if over {
                let _ = killpg(group, Signal::SIGKILL);
            }
            !over
        });
        Self { stop, thread }
    }

    /// Whether the process ended by itself.
    fn stop(self) -> bool {
        let _ = self.stop.send(());
        self.thread.join().expect("waiting does not panic")
    }
}

/// A process that was started, the leader of its group.
pub struct Running {
    child: Child,
    what: String,
    limit: Duration,
}

impl Running {
    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(group(&self.child), signal);
    }

    /// Sends a signal to the process and all its children, as a terminal does.
    pub fn signal_all(&self, signal: Signal) {
        let _ = killpg(group(&self.child), signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let watch = Watch::start(group(&self.child), self.limit);
        let status = self.child.wait().expect("a child can be waited for");
        assert!(watch.stop(), "{} did not end within {:?}", self.what, self.limit);
        status
    }

    /// Whether a process that it started still runs. Ended processes that wait for their parent do not count.
    pub fn has_survivors(&self) -> bool {
        let group = group(&self.child);
        killpg(group, None) != Err(nix::errno::Errno::ESRCH) && runs(group).unwrap_or(true)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A child that is not reaped keeps its id, so no other process can be hit by mistake.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal_all(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Whether a process group has a running process. `None` if the system does not tell.
fn runs(group: Pid) -> Option<bool> {
    let processes = fs::read_dir("/proc").ok().filter(|_| cfg!(target_os = "linux"))?;
    let stats = processes.flatten().filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    Some(stats.filter_map(|stat| living_group(&stat)).any(|living| living == group.as_raw()))
}

/// The group of a process that has not ended, from its `/proc/<pid>/stat`: `42 (name) S parent group …`.
fn living_group(stat: &str) -> Option<i32> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}

/// The output of a process.
#[derive(Clone)]
pub struct Output {
    what: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Its exit code. `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The same with other texts.
    #[must_use]
    pub fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Self { stdout: change(&self.stdout), stderr: change(&self.stderr), ..self.clone() }
    }

    /// Expects success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Expects failure.
    #[track_caller]
    pub fn fails(self) -> Self {
        assert!(!self.status.success(), "this should have failed: {self}");
        self
    }

    /// All lines of standard error that begin with `warning:`.
    pub fn warnings(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.starts_with("warning:")).collect()
    }

    /// Standard error without xcache's summary and without times: what cargo and its children wrote.
    pub fn cargo_stderr(&self) -> String {
        self.stderr.lines().filter(|line| !is_summary(line)).map(without_times).collect::<Vec<_>>().join("\n")
    }

    /// Standard output without the times that test harnesses print.
    pub fn timeless_stdout(&self) -> String {
        self.stdout.lines().map(without_times).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, status, stdout, stderr } = self;
        let signal = status.signal().map(|signal| format!(" (signal {signal})")).unwrap_or_default();
        write!(formatter, "{what}\n{status}{signal}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// The lines that xcache adds after a build. Cargo does not use these verbs there.
fn is_summary(line: &str) -> bool {
    let line = line.trim_start();
    ["Cached ", "Compiled ", "Uploaded "].iter().any(|verb| line.starts_with(verb))
}

/// Replaces times such as `0.52s`, which depend on the machine.
fn without_times(line: &str) -> String {
    let is_time = |word: &str| {
        let digits = word.trim_end_matches([';', ',', ')']).strip_suffix('s').unwrap_or_default();
        digits.contains('.') && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    line.split(' ').map(|word| if is_time(word) { "[TIME]" } else { word }).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_replaced() {
        assert_eq!(without_times("finished in 0.52s"), "finished in [TIME]");
        assert_eq!(without_times("v1.0.2 of cratess"), "v1.0.2 of cratess");
    }

    #[test]
    fn output_and_exit_status_are_returned() {
        let mut command = Command::new("sh");
        command.args(["-c", "cat; echo problem >&2; exit 3"]);
        let output = Invocation::new(command).input("question").run();
        assert_eq!((output.code(), &*output.stdout, &*output.stderr), (Some(3), "question", "problem\n"));
    }

    #[test]
    fn ended_processes_do_not_count_as_members_of_a_group() {
        assert_eq!(living_group("7 (a) b) S 1 42 42 0 -1"), Some(42));
        assert_eq!(living_group("7 (a) b) Z 1 42 42 0 -1"), None);
    }

    #[test]
    fn a_process_survives_until_it_has_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & exit 0"]);
        let mut running = Invocation::new(command).start();
        running.wait();
        assert!(running.has_survivors());
        running.signal_all(Signal::SIGKILL);
        crate::wait_until("the process has ended", || !running.has_survivors());
    }

    #[test]
    #[should_panic(expected = "did not end within")]
    fn a_hanging_process_is_killed_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & wait"]);
        Invocation::new(command).within(Duration::from_millis(200)).run();
    }
}

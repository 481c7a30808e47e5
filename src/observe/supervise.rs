//! The thread that receives notifications of calls, records their paths, and resumes them.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::{self, JoinHandle};

use super::filter::{self, Call};
use super::journal::{self, Note};
use super::notes::{self, Notes};
use super::sys::{self, Installed, Stopped, Wakeup};
use super::{Access, RESUME_REMAINING, Result, Seen, Unknown, Unseen, Use, Uses, Was};
use crate::process;

/// The descriptor that stands for a thread's working directory.
const WORKING_DIRECTORY: i32 = libc::AT_FDCWD;
/// The size of the flags at the beginning of openat2's structure.
const FLAGS: usize = 8;

/// The observation of a running command.
#[derive(Debug)]
pub struct Observation {
    supervisor: JoinHandle<Result>,
    /// Dropped to end the observation.
    over: UnixStream,
}

/// Starts a command and observes it. The calling thread must live as long as the command.
pub fn spawn(command: &mut Command) -> io::Result<(Child, Observation)> {
    spawn_noting(command, None)
}

/// Starts and observes a command, with a journal for programs that load the library.
pub(super) fn spawn_noting(command: &mut Command, notes: Option<Notes>) -> io::Result<(Child, Observation)> {
    let (here, there) = UnixStream::pair()?;
    let (over, closed) = UnixStream::pair()?;
    sys::install_filter(command, filter::program(notes.as_ref().map(Notes::pass)), there);
    // The new process is stopped at its `exec` already, so the supervisor must listen by then.
    let supervisor = thread::spawn(move || supervise(&here, &closed, notes));
    let child = process::start(command);
    Ok((child?, Observation { supervisor, over }))
}

impl Observation {
    /// Returns what was seen. To be called when the command has ended.
    pub fn finish(self) -> Result {
        drop(self.over);
        self.supervisor.join().unwrap_or_else(|_| Err(Unseen("the observer has failed".into())))
    }
}

fn supervise(from: &UnixStream, closed: &UnixStream, mut notes: Option<Notes>) -> Result {
    let (listener, is_confined) = match sys::receive(from) {
        Ok(Installed::Listener { fd, is_confined }) => (fd, is_confined),
        Ok(Installed::Refused(error)) => return Err(refusal(error)),
        Err(error) => return Err(Unseen(error.to_string())),
    };
    sys::take_turns(listener.as_fd());
    let mut watch = Watch { seen: Seen { is_confined, ..Seen::default() }, ..Watch::default() };
    loop {
        match sys::wait(listener.as_fd(), closed.as_fd()) {
            Wakeup::Call => {
                let Some(stopped) = sys::next_call(listener.as_fd()) else { continue };
                watch.seen.stopped += 1;
                // Notes come first, so that causes precede their effects.
                notes.iter_mut().for_each(|notes| notes.read(|note| watch.add_note(note)));
                match &notes {
                    Some(notes) if asks_for_journal(&stopped) => {
                        sys::answer_with_file(listener.as_fd(), &stopped, notes.file())
                    }
                    _ => {
                        watch.add_call(&stopped);
                        for path in watch.created.drain(..) {
                            notes.iter_mut().for_each(|notes| notes.before_creating(&path));
                        }
                        sys::resume(listener.as_fd(), &stopped);
                    }
                }
            }
            Wakeup::Over => break,
            Wakeup::Closed => {
                resume_in_background(listener);
                break;
            }
        }
    }
    if let Some(notes) = &mut notes {
        notes.read(|note| watch.add_note(note));
        watch.paths.remove(notes.library());
        if !notes.is_whole() {
            watch.unknown(Unknown::Lost);
        }
    }
    Ok(watch.seen())
}

/// Whether this is the library's call that asks for the journal.
fn asks_for_journal(stopped: &Stopped) -> bool {
    const FLAGS: u64 = (libc::O_RDWR | libc::O_CLOEXEC) as u64;
    let is_one = stopped.architecture == filter::ARCHITECTURE && i64::from(stopped.number) == libc::SYS_openat;
    let name = || sys::text(stopped.thread, stopped.arguments[1]);
    is_one
        && stopped.arguments[2] == FLAGS
        && name().is_some_and(|name| name == journal::NAME[..journal::NAME.len() - 1])
}

fn refusal(error: i32) -> Unseen {
    let error = io::Error::from_raw_os_error(error);
    Unseen(match error.raw_os_error() {
        Some(libc::EBUSY) => "another seccomp listener observes it already".into(),
        _ => format!("the kernel refuses the filter (seccomp: {error})"),
    })
}

/// Hands the processes that outlive the command to a process that only resumes their calls. Without an answer, their
/// calls would fail.
fn resume_in_background(listener: OwnedFd) {
    let Ok(program) = std::env::current_exe() else { return };
    let name = std::env::args_os().next().unwrap_or_else(|| program.clone().into());
    let mut command = Command::new(program);
    std::os::unix::process::CommandExt::arg0(&mut command, name);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.arg(RESUME_REMAINING).stdin(sys::into_file(listener)).stdout(Stdio::null()).stderr(Stdio::null());
    // The process ends when they do, and is not waited for.
    if let Err(error) = process::start(command.current_dir("/")) {
        tracing::debug!(%error, "the remaining observed processes cannot be resumed");
    }
}

/// Resumes all calls of the listener at standard input, until no observed process is left.
pub fn resume_remaining() -> ExitCode {
    let listener = io::stdin();
    let Ok((_open, never)) = UnixStream::pair() else { return ExitCode::FAILURE };
    while sys::wait(listener.as_fd(), never.as_fd()) == Wakeup::Call {
        if let Some(stopped) = sys::next_call(listener.as_fd()) {
            sys::resume(listener.as_fd(), &stopped);
        }
    }
    ExitCode::SUCCESS
}

/// What has been seen so far.
#[derive(Default)]
struct Watch {
    seen: Seen,
    /// The future [`Seen::paths`].
    paths: HashMap<String, Access>,
    /// The program that each thread runs, as an index into [`Seen::programs`].
    threads: HashMap<u32, u16>,
    /// The index of each program that writes notes, by the digest of its path.
    noting: HashMap<u64, u16>,
    /// Canonical paths of directories.
    canonical: HashMap<String, Option<String>>,
    /// The paths at which the current call creates or changes something.
    created: Vec<String>,
}

impl Watch {
    fn seen(self) -> Seen {
        Seen { paths: self.paths.into_iter().collect(), ..self.seen }
    }

    fn add_call(&mut self, stopped: &Stopped) {
        let Some(call) = filter::call(stopped.architecture, stopped.number) else {
            return self.unknown(Unknown::Architecture);
        };
        let argument = |index: usize| stopped.arguments[index];
        match call {
            Call::Open { at, path, flags } => self.open(stopped, at, path, argument(flags)),
            Call::OpenHow { at, path, how } => {
                let flags = sys::bytes::<FLAGS>(stopped.thread, argument(how) as usize, FLAGS);
                match flags.and_then(|flags| Some(u64::from_ne_bytes(flags.try_into().ok()?))) {
                    Some(flags) => self.open(stopped, Some(at), path, flags),
                    None => self.unknown(Unknown::Path),
                }
            }
            Call::Create { path } => self.path(stopped, None, path, Use::Make),
            Call::Look { at, path, flags } => {
                let flags = flags.map_or(0, argument);
                let is_of_link = flags & libc::AT_SYMLINK_NOFOLLOW as u64 != 0;
                self.path(stopped, at, path, if is_of_link { Use::LookAtLink } else { Use::Look });
            }
            Call::LookAtLink { at, path } => self.path(stopped, at, path, Use::LookAtLink),
            Call::List { directory } => match open_path(stopped.thread, argument(directory) as i32) {
                Some(path) => self.add(stopped.thread, path, Use::List),
                None => self.unknown(Unknown::Path),
            },
            Call::Make { at, path } | Call::Remove { at, path } => self.path(stopped, at, path, Use::Make),
            Call::Rename { from, to } => {
                self.path(stopped, from.0, from.1, Use::Make);
                self.path(stopped, to.0, to.1, Use::Make);
            }
            Call::Start { at, path } => {
                self.path(stopped, at, path, Use::Start);
                // If the call succeeds, the thread runs another program.
                self.threads.remove(&stopped.thread);
            }
            Call::Connect { address, length } => self.connect(stopped, argument(address), argument(length)),
            Call::Unobservable(unknown) => self.unknown(unknown),
        }
    }

    fn unknown(&mut self, unknown: Unknown) {
        self.seen.unknown.insert(unknown);
    }

    fn open(&mut self, stopped: &Stopped, at: Option<usize>, path: usize, flags: u64) {
        let has = |flag: i32| flags & flag as u64 == flag as u64;
        let is_read = flags & libc::O_ACCMODE as u64 != libc::O_WRONLY as u64 && !has(libc::O_TRUNC);
        // A file without a name: the path is that of its directory.
        if has(libc::O_TMPFILE) {
            return self.path(stopped, at, path, Use::Look);
        }
        if has(libc::O_CREAT) || flags & libc::O_ACCMODE as u64 != libc::O_RDONLY as u64 {
            self.path(stopped, at, path, Use::Make);
        }
        match () {
            () if has(libc::O_PATH) => self.path(stopped, at, path, Use::Look),
            () if is_read => self.path(stopped, at, path, Use::Read),
            () => {}
        }
        if has(libc::O_NOFOLLOW) {
            self.path(stopped, at, path, Use::LookAtLink);
        }
    }

    /// Records a connection as unknown, except to a socket file that does not exist, such as that of a name service.
    fn connect(&mut self, stopped: &Stopped, address: u64, length: u64) {
        let bytes = sys::bytes::<128>(stopped.thread, address as usize, length as usize).unwrap_or_default();
        let family = bytes.first_chunk::<2>().map_or(0, |family| u16::from_ne_bytes(*family));
        match i32::from(family) {
            libc::AF_UNIX if bytes.get(2).is_some_and(|byte| *byte != 0) => {
                let path: Vec<_> = bytes[2..].iter().copied().take_while(|byte| *byte != 0).collect();
                match String::from_utf8(path) {
                    Ok(path) if path.starts_with('/') && !Path::new(&path).exists() => {
                        self.add(stopped.thread, path, Use::Look);
                    }
                    _ => self.unknown(Unknown::Socket),
                }
            }
            // A request to the kernel about the network.
            libc::AF_NETLINK => {}
            _ => self.unknown(Unknown::Socket),
        }
    }

    /// Records a path in memory, which is relative to the directory of the argument `at`.
    fn path(&mut self, stopped: &Stopped, at: Option<usize>, path: usize, used: Use) {
        let Some(text) = sys::text(stopped.thread, stopped.arguments[path]) else {
            // A call with a null pointer fails.
            if stopped.arguments[path] != 0 {
                self.unknown(Unknown::Path);
            }
            return;
        };
        let Ok(text) = String::from_utf8(text) else { return self.unknown(Unknown::Path) };
        let descriptor = at.map_or(WORKING_DIRECTORY, |at| stopped.arguments[at] as i32);
        let base = match (text.starts_with('/'), text.is_empty()) {
            (true, _) => String::new(),
            // An empty path stands for the open file itself, or for nothing.
            (_, true) if descriptor == WORKING_DIRECTORY => return,
            _ => match open_path(stopped.thread, descriptor) {
                Some(base) => base,
                None => return self.unknown(Unknown::Path),
            },
        };
        let whole = match (base.is_empty(), text.is_empty()) {
            (true, _) => text,
            (_, true) => base,
            _ => format!("{base}/{text}"),
        };
        self.add(stopped.thread, whole, used);
    }

    fn add(&mut self, thread: u32, path: String, used: Use) {
        let path = self.normalized(path);
        let by = self.program(thread);
        if used == Use::Make {
            self.created.push(path.clone());
        }
        self.add_by(by, path, used, state_at);
    }

    /// Records a note of the library.
    fn add_note(&mut self, note: &Note<'_>) {
        let Ok(path) = String::from_utf8(note.path.to_vec()) else { return self.unknown(Unknown::Path) };
        let used = match note.used {
            journal::PROGRAM => {
                let index = self.index_of(path);
                self.noting.insert(note.program, index);
                return;
            }
            used if used == Use::Look as u8 => Use::Look,
            used if used == Use::LookAtLink as u8 => Use::LookAtLink,
            _ => Use::Read,
        };
        self.seen.noted += 1;
        let path = self.normalized(path);
        match self.noting.get(&note.program) {
            Some(&by) => self.add_by(by, path, used, |_| notes::noted_state(note)),
            None => self.unknown(Unknown::Lost),
        }
    }

    fn add_by(&mut self, by: u16, path: String, used: Use, state_at: impl FnOnce(&str) -> Was) {
        let access = match self.paths.get_mut(&path) {
            Some(access) => access,
            None => {
                let access = Access {
                    was: state_at(&path),
                    uses: Uses::default(),
                    by: BTreeSet::new(),
                    made_by: BTreeSet::new(),
                };
                self.paths.entry(path.clone()).or_insert(access)
            }
        };
        if access.uses.add(used) && used == Use::Start && changes_user(&path) {
            self.seen.unknown.insert(Unknown::Identity);
        }
        match used {
            Use::Read => drop(access.by.insert(by)),
            Use::Make => drop(access.made_by.insert(by)),
            _ => {}
        }
    }

    /// The index of the program that a thread runs.
    fn program(&mut self, thread: u32) -> u16 {
        if let Some(known) = self.threads.get(&thread) {
            return *known;
        }
        let path = std::fs::read_link(format!("/proc/{thread}/exe")).unwrap_or_default();
        let index = self.index_of(path.to_string_lossy().into_owned());
        self.threads.insert(thread, index);
        index
    }

    /// The index of a program in [`Seen::programs`].
    fn index_of(&mut self, path: String) -> u16 {
        let programs = &mut self.seen.programs;
        let index = programs.iter().position(|program| *program == path).unwrap_or_else(|| {
            programs.push(path);
            programs.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// A path without empty components, `.` and `..`. Links are resolved before a `..`.
    fn normalized(&mut self, path: String) -> String {
        if !path.contains("//") && !path.contains("/.") && (path.len() == 1 || !path.ends_with('/')) {
            return path;
        }
        let mut normalized = String::with_capacity(path.len());
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            match part {
                ".." => {
                    let canonical =
                        self.canonical.entry(normalized).or_insert_with_key(|directory| canonical(directory));
                    // The directory does not exist, so neither does the path.
                    let Some(canonical) = canonical else { return path };
                    normalized = canonical.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
                }
                part => {
                    normalized.push('/');
                    normalized.push_str(part);
                }
            }
        }
        if normalized.is_empty() { "/".into() } else { normalized }
    }
}

fn canonical(directory: &str) -> Option<String> {
    let directory = if directory.is_empty() { "/" } else { directory };
    std::fs::canonicalize(directory).ok()?.into_os_string().into_string().ok()
}

/// What is at a path now. Below `/proc`, that depends on the process that looks, so it is not examined.
fn state_at(path: &str) -> Was {
    if path.starts_with("/proc/") { Was::Other } else { Was::now(Path::new(path)) }
}

/// The path of a file or directory that a thread has open, or of its working directory.
fn open_path(thread: u32, descriptor: i32) -> Option<String> {
    let link = match descriptor {
        WORKING_DIRECTORY => format!("/proc/{thread}/cwd"),
        descriptor => format!("/proc/{thread}/fd/{descriptor}"),
    };
    let path = std::fs::read_link(link).ok()?.into_os_string().into_string().ok()?;
    path.starts_with('/').then_some(path)
}

/// Whether a program changes its user or group when it is started.
fn changes_user(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o6000 != 0)
}

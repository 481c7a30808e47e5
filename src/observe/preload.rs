//! The library that is loaded into compilers, and the journal in which it notes what they look at.
//!
//! The library is a part of this binary, and put beside the session's socket where it works: a program was started with it,
//! said nothing of it, and was seen. Everything else is the [observer's](super): without the library, or without a journal,
//! all is seen by it alone.
//!
//! **Invariant.** A variable of the user's by which something else is loaded is left alone.

#![expect(unsafe_code, reason = "the journal is memory that is shared with other processes")]

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::elf::{self, StartedBy};
use super::journal::{self, Found, Note, SEARCHED};
use super::supervise::{self, Observation};
use super::sys::Shared;
use super::{Was, seen::Mark};

/// As they were built with this crate, for C libraries of now and older ones; empty where they could not be.
const LIBRARIES: [&[u8]; 2] = [
    include_bytes!(concat!(env!("OUT_DIR"), "/interposer.so")),
    include_bytes!(concat!(env!("OUT_DIR"), "/interposer-older.so")),
];
/// Its name in a session's directory.
const NAME: &str = "interposer.so";
/// In what cargo and rustup have the loader search: directories in which it does not.
const BELOW: &[&str] = &[".fingerprint", "build", "deps", "examples", "incremental", "rustlib"];
/// What the loader reads.
const VARIABLE: &str = "LD_PRELOAD";

/// Puts the library into a session's directory, if one works here.
pub fn provide_interposer(directory: &Path) {
    if env::var_os(VARIABLE).is_some() {
        return;
    }
    let tried = directory.join(format!("{NAME}.new"));
    for library in LIBRARIES.into_iter().filter(|library| !library.is_empty()) {
        match fs::write(&tried, library).and_then(|()| works(&tried)) {
            Ok(true) => return drop(fs::rename(&tried, directory.join(NAME))),
            other => tracing::debug!(?other, "compilers of C cannot be observed by this library"),
        }
    }
    let _ = fs::remove_file(&tried);
}

/// Whether a program that is started with it says nothing of it, and notes what it looks at.
fn works(library: &Path) -> io::Result<bool> {
    fs::set_permissions(library, fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "test -e /"]).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
    let (child, observation) = supervise::spawn_noting(command.env(VARIABLE, library), Notes::new(library).ok())?;
    let output = child.wait_with_output()?;
    let has_noted = observation.finish().is_ok_and(|seen| seen.noted > 0);
    Ok(output.status.success() && output.stderr.is_empty() && has_noted)
}

/// Starts a command that is [seen](super::spawn), with the library if the session's directory has one.
pub fn spawn_with(directory: &Path, command: &mut Command) -> io::Result<(Child, Observation)> {
    let library = directory.join(NAME);
    let has_own = command.get_envs().any(|(name, _)| name == VARIABLE) || env::var_os(VARIABLE).is_some();
    let is_possible = !has_own && library.exists() && is_loaded(Path::new(command.get_program()));
    let notes = if is_possible { Notes::new(&library).ok() } else { None };
    match notes {
        Some(notes) => {
            let searched = searched(command).filter(|value| has_no_libraries(value));
            let notes = match searched {
                Some(value) => notes.with_needless(&value),
                None => notes,
            };
            supervise::spawn_noting(command.env(VARIABLE, library), Some(notes))
        }
        None => super::spawn(command),
    }
}

/// Whether a program has the library loaded: one that has not finds the variable in its environment.
fn is_loaded(program: &Path) -> bool {
    let by_name = program.components().count() == 1 && !program.is_absolute();
    let path = env::var_os("PATH").filter(|_| by_name).unwrap_or_default();
    let found = env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
    let head = head_of(found.as_deref().unwrap_or(program));
    match elf::started_by(&head) {
        StartedBy::Loader => true,
        StartedBy::Unknown => false,
        StartedBy::Program(path) => elf::started_by(&head_of(Path::new(OsStr::from_bytes(path)))) == StartedBy::Loader,
    }
}

/// The begin of a file; nothing where it cannot be read.
fn head_of(path: &Path) -> Vec<u8> {
    let mut head = Vec::with_capacity(elf::HEAD);
    let read = fs::File::open(path).and_then(|file| file.take(elf::HEAD as u64).read_to_end(&mut head));
    read.map(|_| head).unwrap_or_default()
}

/// The value of [`SEARCHED`] that a command gets.
fn searched(command: &Command) -> Option<OsString> {
    let is_it = |name: &OsStr| SEARCHED.strip_suffix(b"=") == Some(name.as_bytes());
    match command.get_envs().find(|(name, _)| is_it(name)) {
        Some((_, value)) => value.map(OsStr::to_owned),
        None => env::vars_os().find(|(name, _)| is_it(name)).map(|(_, value)| value),
    }
}

/// Whether the loader finds nothing in these directories, nor in those below them. What the compiler makes has a name that
/// nobody asks for.
fn has_no_libraries(directories: &OsStr) -> bool {
    let is_of_compiler = |name: &str| {
        let stem = name.strip_suffix(".so").and_then(|stem| stem.rsplit_once('-'));
        let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        stem.is_some_and(|(_, hash)| is_hash(hash)) || name.starts_with("libLLVM") && name.contains("-rust-")
    };
    let is_nothing = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let is_directory = || entry.file_type().is_ok_and(|of| !of.is_file()) && entry.path().is_dir();
        let is_searched = || is_directory() && !BELOW.iter().any(|below| name == *below);
        name.to_str().is_some_and(|name| !name.contains(".so") || is_of_compiler(name)) && !is_searched()
    };
    env::split_paths(directories).all(|directory| match fs::read_dir(&directory) {
        Ok(entries) => directory.is_absolute() && { entries }.all(|entry| entry.is_ok_and(|entry| is_nothing(&entry))),
        Err(error) => directory.is_absolute() && error.kind() == io::ErrorKind::NotFound,
    })
}

/// A path without links, as far as it leads to something.
fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(above), Some(name)) => real(above).join(name),
        _ => path.to_owned(),
    }
}

/// A journal, as its reader has it.
pub(super) struct Notes {
    memory: Shared,
    /// What nobody is to know of: the library, which everybody reads who notes.
    library: String,
    /// Where the next note stands.
    at: usize,
    /// What was being written when it was read.
    unfinished: Vec<usize>,
    /// The directories in which no library is found, without links.
    needless: Vec<PathBuf>,
}

impl Notes {
    pub(super) fn new(library: &Path) -> io::Result<Self> {
        let library = library.to_str().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
        let notes =
            Self { memory: Shared::new(journal::SIZE)?, library, at: 0, unfinished: Vec::new(), needless: Vec::new() };
        // Nobody meets it by chance.
        notes.journal().set_pass(RandomState::new().hash_one(NAME) | 1 << 63 | 1);
        Ok(notes)
    }

    /// With directories, as they stand in the variable, in which no library is found.
    fn with_needless(mut self, directories: &OsStr) -> Self {
        self.needless = env::split_paths(directories).map(|directory| real(&directory)).collect();
        self.journal().set_needless(directories.as_bytes());
        self
    }

    /// Before something is made at a path: where the loader might find it from now on, everybody looks again.
    pub(super) fn before_making(&mut self, path: &str) {
        if self.needless.is_empty() {
            return;
        }
        let path = Path::new(path);
        let path = path.parent().zip(path.file_name()).map_or(path.to_owned(), |(above, name)| real(above).join(name));
        let is_found = |directory: &PathBuf| match path.strip_prefix(directory) {
            Ok(below) => {
                let mut parts = below.components();
                let first = parts.next().map(|part| part.as_os_str());
                parts.next().is_none() || !BELOW.iter().any(|below| first == Some(OsStr::new(below)))
            }
            Err(_) => directory.starts_with(&path),
        };
        if self.needless.iter().any(is_found) {
            self.needless.clear();
            self.journal().forget_needless();
        }
    }

    /// What calls say that were noted.
    pub(super) fn pass(&self) -> u64 {
        self.journal().pass()
    }

    /// The path of the library.
    pub(super) fn library(&self) -> &str {
        &self.library
    }

    /// Whoever has it can note.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.memory.file()
    }

    pub(super) fn journal(&self) -> journal::Journal {
        // SAFETY: it is as long as it has to be, and lives as long as this.
        unsafe { journal::Journal::at(self.memory.base()) }
    }

    /// What was noted since the last time.
    pub(super) fn read(&mut self, mut each: impl FnMut(&Note<'_>)) {
        let journal = self.journal();
        self.unfinished.retain(|&at| match journal.read(at) {
            Found::Note(note, _) => {
                each(&note);
                false
            }
            _ => true,
        });
        loop {
            match journal.read(self.at) {
                Found::Note(note, next) => {
                    each(&note);
                    self.at = next;
                }
                Found::Unfinished(next) => {
                    self.unfinished.push(self.at);
                    self.at = next;
                }
                Found::Unknown | Found::End => return,
            }
        }
    }

    /// Whether nothing is missing; to be asked when nobody writes any more.
    pub(super) fn is_whole(&self) -> bool {
        self.unfinished.is_empty() && matches!(self.journal().read(self.at), Found::End)
    }
}

/// What was there when it was noted.
pub(super) fn was(note: &Note<'_>) -> Was {
    match note.was {
        journal::ABSENT => Was::Absent,
        journal::FILE => {
            let [device, inode, size, modified, changed] = note.mark;
            Was::File(Mark(device, inode, size, modified as i64, changed as i64))
        }
        journal::DIRECTORY => Was::Directory,
        _ => Was::Other,
    }
}

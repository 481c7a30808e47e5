//! The library that compilers load, which [notes](super::notes) what they look at.
//!
//! The library is part of this binary. It is put beside the session's socket if it works: a program that was started
//! with it printed no error, and its notes were read. Without the library or without a journal, the [observer](super)
//! sees everything by itself.
//!
//! **Invariant.** If the user has set `LD_PRELOAD`, it stays unchanged.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::elf::{self, StartedBy};
use super::journal::SEARCHED;
use super::notes::{NOT_SEARCHED_BELOW, Notes};
use super::supervise::{self, Observation};

/// The library as the build script has built it, for current C libraries and for older ones; empty if that failed.
const LIBRARIES: [&[u8]; 2] = [
    include_bytes!(concat!(env!("OUT_DIR"), "/interposer.so")),
    include_bytes!(concat!(env!("OUT_DIR"), "/interposer-older.so")),
];
/// The library's name in a session's directory.
const NAME: &str = "interposer.so";
/// The variable that makes the loader load the library.
const PRELOAD: &str = "LD_PRELOAD";

/// Puts the library into a session's directory, if one works here.
pub fn provide_interposer(directory: &Path) {
    if env::var_os(PRELOAD).is_some() {
        return;
    }
    let tried = directory.join(format!("{NAME}.new"));
    for library in LIBRARIES.into_iter().filter(|library| !library.is_empty()) {
        match fs::write(&tried, library).and_then(|()| works(&tried)) {
            Ok(true) => return drop(fs::rename(&tried, directory.join(NAME))),
            other => tracing::debug!(?other, "C compilers cannot be observed by this library"),
        }
    }
    let _ = fs::remove_file(&tried);
}

/// Whether a program that is started with the library prints no error, and notes what it looks at.
fn works(library: &Path) -> io::Result<bool> {
    fs::set_permissions(library, fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "test -e /"]).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
    let (child, observation) = supervise::spawn_noting(command.env(PRELOAD, library), Notes::new(library).ok())?;
    let output = child.wait_with_output()?;
    let has_noted = observation.finish().is_ok_and(|seen| seen.noted > 0);
    Ok(output.status.success() && output.stderr.is_empty() && has_noted)
}

/// Starts an [observed](super::spawn) command, with the library if the session's directory has it.
pub fn spawn_with(directory: &Path, command: &mut Command) -> io::Result<(Child, Observation)> {
    let library = directory.join(NAME);
    let has_own = command.get_envs().any(|(name, _)| name == PRELOAD) || env::var_os(PRELOAD).is_some();
    let is_possible = !has_own && library.exists() && loads_library(Path::new(command.get_program()));
    let notes = if is_possible { Notes::new(&library).ok() } else { None };
    match notes {
        Some(notes) => {
            let searched = searched(command).filter(|value| has_no_libraries(value));
            let notes = match searched {
                Some(value) => notes.with_skippable(&value),
                None => notes,
            };
            supervise::spawn_noting(command.env(PRELOAD, library), Some(notes))
        }
        None => super::spawn(command),
    }
}

/// Whether a program would load the library. Any other would find the variable in its environment.
fn loads_library(program: &Path) -> bool {
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

/// The first bytes of a file; empty if it cannot be read.
fn head_of(path: &Path) -> Vec<u8> {
    let mut head = Vec::with_capacity(elf::HEAD);
    let read = fs::File::open(path).and_then(|file| file.take(elf::HEAD as u64).read_to_end(&mut head));
    read.map(|_| head).unwrap_or_default()
}

/// The value of [`SEARCHED`] in the environment of a command.
fn searched(command: &Command) -> Option<OsString> {
    let is_it = |name: &OsStr| SEARCHED.strip_suffix(b"=") == Some(name.as_bytes());
    match command.get_envs().find(|(name, _)| is_it(name)) {
        Some((_, value)) => value.map(OsStr::to_owned),
        None => env::vars_os().find(|(name, _)| is_it(name)).map(|(_, value)| value),
    }
}

/// Whether the loader finds no library in these directories and in those below them. Libraries that rustc makes or
/// consists of do not count, since no other program asks for their names.
fn has_no_libraries(directories: &OsStr) -> bool {
    let is_rustcs = |name: &str| {
        let stem = name.strip_suffix(".so").and_then(|stem| stem.rsplit_once('-'));
        let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        stem.is_some_and(|(_, hash)| is_hash(hash)) || name.starts_with("libLLVM") && name.contains("-rust-")
    };
    let is_ignored = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let is_directory = || entry.file_type().is_ok_and(|of| !of.is_file()) && entry.path().is_dir();
        let is_searched = || is_directory() && !NOT_SEARCHED_BELOW.iter().any(|below| name == *below);
        name.to_str().is_some_and(|name| !name.contains(".so") || is_rustcs(name)) && !is_searched()
    };
    env::split_paths(directories).all(|directory| match fs::read_dir(&directory) {
        Ok(entries) => directory.is_absolute() && { entries }.all(|entry| entry.is_ok_and(|entry| is_ignored(&entry))),
        Err(error) => directory.is_absolute() && error.kind() == io::ErrorKind::NotFound,
    })
}

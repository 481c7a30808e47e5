//! The observer's side of the journal in which programs note what they look at.

#![expect(unsafe_code, reason = "the journal is memory that is shared with other processes")]

use std::env;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::journal::{self, Found, Note};
use super::seen::{Mark, Was};
use super::sys::Shared;

/// Subdirectories of the directories that cargo and rustup add to the loader's search. The loader does not search them.
pub(super) const NOT_SEARCHED_BELOW: &[&str] = &[".fingerprint", "build", "deps", "examples", "incremental", "rustlib"];

/// A path without links, as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(canonical), ..) => canonical,
        (Err(_), Some(above), Some(name)) => canonical(above).join(name),
        _ => path.to_owned(),
    }
}

/// The journal of an observation.
pub(super) struct Notes {
    memory: Shared,
    /// The path of the library. Every program that notes reads it, so it is not reported.
    library: String,
    /// The offset of the next note.
    at: usize,
    /// The offsets of notes that were still being written.
    unfinished: Vec<usize>,
    /// The directories that contain no library, without links.
    skippable: Vec<PathBuf>,
}

impl Notes {
    pub(super) fn new(library: &Path) -> io::Result<Self> {
        let library = library.to_str().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
        let notes =
            Self { memory: Shared::new(journal::SIZE)?, library, at: 0, unfinished: Vec::new(), skippable: Vec::new() };
        // A random number, so that no other call passes it by chance.
        notes.journal().set_pass(RandomState::new().hash_one(&notes.library) | 1 << 63 | 1);
        Ok(notes)
    }

    /// Notes that these directories, in the form of the variable, contain no library.
    pub(super) fn with_skippable(mut self, directories: &OsStr) -> Self {
        self.skippable = env::split_paths(directories).map(|directory| canonical(&directory)).collect();
        self.journal().set_skippable(directories.as_bytes());
        self
    }

    /// To be called before something is created at a path: if the loader might find it, every program searches again.
    pub(super) fn before_creating(&mut self, path: &str) {
        if self.skippable.is_empty() {
            return;
        }
        let path = Path::new(path);
        let path =
            path.parent().zip(path.file_name()).map_or(path.to_owned(), |(above, name)| canonical(above).join(name));
        let is_found = |directory: &PathBuf| match path.strip_prefix(directory) {
            Ok(below) => {
                let mut parts = below.components();
                let first = parts.next().map(|part| part.as_os_str());
                parts.next().is_none() || !NOT_SEARCHED_BELOW.iter().any(|below| first == Some(OsStr::new(below)))
            }
            Err(_) => directory.starts_with(&path),
        };
        if self.skippable.iter().any(is_found) {
            self.skippable.clear();
            self.journal().clear_skippable();
        }
    }

    /// The sixth argument of calls that were noted.
    pub(super) fn pass(&self) -> u64 {
        self.journal().pass()
    }

    /// The path of the library.
    pub(super) fn library(&self) -> &str {
        &self.library
    }

    /// The journal's file, for a process that is to note.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.memory.file()
    }

    pub(super) fn journal(&self) -> journal::Journal {
        // SAFETY: the memory has the journal's size, and lives as long as this value.
        unsafe { journal::Journal::at(self.memory.base()) }
    }

    /// Reads the notes that have been added since the last call.
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

    /// Whether no note is missing. To be called when no process writes any more.
    pub(super) fn is_whole(&self) -> bool {
        self.unfinished.is_empty() && matches!(self.journal().read(self.at), Found::End)
    }
}

/// What was at the path when it was noted.
pub(super) fn noted_state(note: &Note<'_>) -> Was {
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

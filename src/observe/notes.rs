//! The journal in which programs note what they look at, as its reader has it.

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

/// In what cargo and rustup have the loader search: directories in which it does not.
pub(super) const BELOW: &[&str] = &[".fingerprint", "build", "deps", "examples", "incremental", "rustlib"];

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
        notes.journal().set_pass(RandomState::new().hash_one(&notes.library) | 1 << 63 | 1);
        Ok(notes)
    }

    /// With directories, as they stand in the variable, in which no library is found.
    pub(super) fn with_needless(mut self, directories: &OsStr) -> Self {
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

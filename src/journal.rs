//! The journal: every event as a line of a file, written when the event happens.
//!
//! [`Journal`] stands in front of another [`Observer`] and passes every event on to it. The module [`lines`] defines
//! and reads the lines.
//!
//! **Invariants.** Each line is appended in one call, so sessions that share a file do not tear each other's lines. If
//! the file cannot be written, there is one warning, and no further attempt.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use camino::Utf8Path;

use crate::cargo::layout::make_tagged;
use crate::error::{Error, Result};
use crate::event::{Event, EventKind, Observer, lines};

/// Writes events to a file, and passes them on.
pub struct Journal {
    session: String,
    path: PathBuf,
    /// `None` after a failure.
    file: Mutex<Option<File>>,
    next: Arc<dyn Observer>,
}

impl Journal {
    /// Appends to this file, which is created if it is missing. `session` is a unique name.
    pub fn new(path: &Path, session: String, next: Arc<dyn Observer>) -> Self {
        let file = open(path).inspect_err(|error| warn(&*next, 0, error)).ok();
        Self { session, path: path.to_owned(), file: Mutex::new(file), next }
    }

    fn write(&self, event: &Event) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let written = file.as_mut().map(|file| file.write_all(&lines::write(&self.session, event)));
        written.transpose().map(drop).map_err(|error| {
            *file = None;
            Error::io("write", &self.path)(error)
        })
    }
}

impl Observer for Journal {
    fn observe(&self, event: &Event) {
        self.next.observe(event);
        if let Err(error) = self.write(event) {
            warn(&*self.next, event.at_ms, &error);
        }
    }
}

fn warn(observer: &dyn Observer, at_ms: u64, error: &Error) {
    let message = format!("{error}; events are not written");
    observer.observe(&Event { at_ms, kind: EventKind::Warning { message } });
}

/// Opens the file, and ends the last line if it was cut off. A missing directory is most likely the target directory,
/// so it is marked as cargo marks it.
fn open(path: &Path) -> Result<File> {
    if let Some(directory) = path.parent().and_then(Utf8Path::from_path) {
        make_tagged(directory)?;
    }
    let file = File::options().append(true).create(true).open(path).map_err(Error::io("open", path))?;
    if is_cut_off(path).unwrap_or(false) {
        (&file).write_all(b"\n").map_err(Error::io("write", path))?;
    }
    Ok(file)
}

/// Whether the last line has no end. Only a regular file can be read without blocking.
fn is_cut_off(path: &Path) -> io::Result<bool> {
    let metadata = path.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(false);
    }
    let (mut file, mut last) = (File::open(path)?, [0]);
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;

//! The journal: every event as a line of a file, at the moment it happens.
//!
//! [`Journal`] stands before another [`Observer`] and passes everything on to it. What a line is, and how a file of them
//! is read, is [`lines`]'.
//!
//! **Invariants.** A line is written by one call, to the end of the file, so sessions that share it do not tear each
//! other's lines. A file that cannot be written costs one warning, and nothing is written any more.

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
    /// Nothing once it could not be written.
    file: Mutex<Option<File>>,
    next: Arc<dyn Observer>,
}

impl Journal {
    /// Adds to this file, which is created where it is missing. `session` is a name no other session has.
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

/// If the last line was cut off, the next one begins after it. A directory that is missing is most likely the target
/// directory, which cargo marks when it makes it.
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

/// Only a plain file can be looked at without waiting for somebody.
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

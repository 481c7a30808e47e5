//! The ledger: sums over all sessions that used a local store.
//!
//! ```text
//! DIRECTORY/v1/stats/
//! ├── sessions/20260504T101112345Z-4711.json  one session
//! ├── total.json                              all sessions that were added up
//! └── lock                                    held meanwhile
//! ```
//!
//! Each session writes a file of its own, so it never waits for another. When there are many files, whoever gets the
//! lock adds them to the total.
//!
//! **Invariants.** A session counts once, even if a process is killed while it adds up: the total lists the sessions
//! that it includes and whose files may still exist. An unreadable file is not counted and does not disturb others.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use fs4::FileExt;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fs::{children, create_dir_all, read_optional, remove_file, write_atomic};
use crate::report::stats::Tally;
use crate::store::LocalStore;

/// The number of files from which on they are added up.
const MAX_FILES: usize = 64;

/// The sums of a store.
#[derive(Clone, Debug)]
pub struct Ledger {
    directory: PathBuf,
}

/// The content of `total.json`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Total {
    tally: Tally,
    /// Included sessions whose files may still exist.
    summed: BTreeSet<String>,
}

impl Ledger {
    /// The ledger of this store.
    pub fn of(store: &LocalStore) -> Self {
        Self { directory: store.root().join("stats") }
    }

    /// Adds a session. `name` is unique.
    pub fn record(&self, name: &str, tally: &Tally) -> Result<()> {
        let json = serde_json::to_vec(tally).expect("sums are plain data");
        write_atomic(&self.sessions().join(format!("{name}.json")), &json)?;
        if children(&self.sessions())?.len() <= MAX_FILES {
            return Ok(());
        }
        let lock = self.open_lock()?;
        if FileExt::try_lock(&lock).is_ok() { self.sum_up().map(drop) } else { Ok(()) }
    }

    /// The sums over all sessions. They can be read even if the store is read-only.
    pub fn total(&self) -> Result<Tally> {
        let lock =
            self.open_lock().and_then(|lock| FileExt::lock(&lock).map(|()| lock).map_err(self.lock_error("lock")));
        match lock.and_then(|_lock| self.sum_up()) {
            Ok(tally) => Ok(tally),
            Err(_) => Ok(self.summed()?.0.tally),
        }
    }

    /// Resets all sums.
    pub fn reset(&self) -> Result<()> {
        let lock = self.open_lock()?;
        FileExt::lock(&lock).map_err(self.lock_error("lock"))?;
        for path in self.files()? {
            remove_file(&path)?;
        }
        remove_file(&self.total_path())
    }

    /// Adds the files of sessions to the total. The caller holds the lock.
    fn sum_up(&self) -> Result<Tally> {
        let (total, files) = self.summed()?;
        let json = serde_json::to_vec(&total).expect("sums are plain data");
        write_atomic(&self.total_path(), &json)?;
        files.iter().try_for_each(|path| remove_file(path))?;
        Ok(total.tally)
    }

    /// The total including the files of sessions, and these files.
    fn summed(&self) -> Result<(Total, Vec<PathBuf>)> {
        let mut total: Total = read(&self.total_path()).unwrap_or_default();
        let files = self.files()?;
        let mut summed = BTreeSet::new();
        for path in &files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(tally) = read(path).filter(|_| !total.summed.contains(&name)) {
                total.tally.add(&tally);
            }
            summed.insert(name);
        }
        total.summed = summed;
        Ok((total, files))
    }

    fn sessions(&self) -> PathBuf {
        self.directory.join("sessions")
    }

    /// The files of sessions, without temporary ones.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = children(&self.sessions())?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        Ok(files)
    }

    fn total_path(&self) -> PathBuf {
        self.directory.join("total.json")
    }

    fn open_lock(&self) -> Result<File> {
        create_dir_all(&self.directory)?;
        let path = self.directory.join("lock");
        File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::io("open", &path))
    }

    fn lock_error(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        Error::io(action, self.directory.join("lock"))
    }
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&read_optional(path).ok()??).ok()
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;

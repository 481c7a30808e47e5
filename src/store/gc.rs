//! Keeps the local store below its size.
//!
//! Entries go first, least recently used first; then the raw files that no remaining entry names. Other processes may
//! read and write all the while: a file that is younger than [`YOUNG`] may belong to an entry that is about to be
//! written, so it stays. Should an entry lose a file all the same, it is an absent one. Whatever the size is, temporary
//! files of processes that were killed go, probe outputs that are a month old, the input history of units that were not
//! compiled for three months, and what was proven of a cargo three months ago.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs4::FileExt;

use super::local::{LocalStore, file_digest, size, walk};
use crate::digest::Digest;
use crate::entry::Entry;
use crate::error::{Error, Result};
use crate::fs::{children, read_optional, remove_file};
use crate::key::UnitKey;

/// A file this young may be one whose entry is not written yet.
const YOUNG: Duration = Duration::from_secs(60 * 60);
/// A temporary file this old belongs to a process that was killed.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// A probe output this old is found out again.
const FORGOTTEN: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The input history of a unit that was not compiled for so long is of no use for an explanation. A cargo that old is
/// proven again.
const OUTDATED: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How often [`collect_if_due`] does anything.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// What a collection removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Collected {
    /// Entries removed.
    pub entries: usize,
    /// Raw files removed.
    pub files: usize,
    /// Bytes freed.
    pub bytes: u64,
    /// Bytes that are left.
    pub left: u64,
}

/// Like [`collect`], at most once an hour; `None` where it was not due.
pub fn collect_if_due(store: &LocalStore, max: u64) -> Result<Option<Collected>> {
    let stamp = store.root().join("gc.stamp");
    if age(&stamp).is_some_and(|age| age < EVERY) {
        return Ok(None);
    }
    fs::write(&stamp, b"").map_err(Error::io("write", &stamp))?;
    collect(store, max).map(Some)
}

/// Brings the store below 90 % of `max` bytes if it is larger than `max`.
///
/// One process at a time: where another one is at it, nothing is done.
pub fn collect(store: &LocalStore, max: u64) -> Result<Collected> {
    collect_as_of(store, max, SystemTime::now())
}

fn collect_as_of(store: &LocalStore, max: u64, now: SystemTime) -> Result<Collected> {
    let path = store.root().join("gc.lock");
    let lock =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::io("open", &path))?;
    if FileExt::try_lock(&lock).is_err() {
        return Ok(Collected::default());
    }
    remove_stale(store)?;
    let mut collection = Collection::scan(store)?;
    if collection.total > max {
        collection.drop_entries(max / 10 * 9);
        collection.drop_files(now);
        collection.drop_markers();
        collection.drop_input_history(max);
    }
    // A process that is being started may have the file open for a moment longer.
    FileExt::unlock(&lock).map_err(Error::io("unlock", &path))?;
    Ok(Collected { left: collection.total, ..collection.collected })
}

/// What is in the store, and what is left of it.
struct Collection<'a> {
    store: &'a LocalStore,
    /// Oldest use first.
    units: Vec<Unit>,
    /// How many entries name a file.
    references: HashMap<Digest, usize>,
    dropped: HashSet<UnitKey>,
    total: u64,
    collected: Collected,
}

struct Unit {
    key: UnitKey,
    path: PathBuf,
    used: SystemTime,
    size: u64,
    files: Vec<(Digest, u64)>,
}

impl<'a> Collection<'a> {
    fn scan(store: &'a LocalStore) -> Result<Self> {
        let mut units: Vec<_> = store.keys()?.into_iter().filter_map(|(key, path)| Unit::read(key, path)).collect();
        units.sort_by_key(|unit| unit.used);
        let mut references = HashMap::new();
        for (digest, _) in units.iter().flat_map(|unit| &unit.files) {
            *references.entry(*digest).or_default() += 1;
        }
        let total = store.usage()?.bytes;
        let collected = Collected::default();
        Ok(Self { store, units, references, dropped: HashSet::new(), total, collected })
    }

    /// Drops entries until what would be left fits; the files themselves go in [`Self::drop_files`].
    fn drop_entries(&mut self, target: u64) {
        let mut expected = self.total;
        for unit in &self.units {
            if expected <= target {
                break;
            }
            if remove_file(&unit.path).is_err() {
                continue;
            }
            self.dropped.insert(unit.key);
            self.collected.entries += 1;
            self.collected.bytes += unit.size;
            self.total -= unit.size;
            expected = expected.saturating_sub(unit.size);
            for (digest, size) in &unit.files {
                let references = self.references.entry(*digest).or_default();
                *references -= 1;
                if *references == 0 {
                    expected = expected.saturating_sub(*size);
                }
            }
        }
    }

    fn drop_files(&mut self, now: SystemTime) {
        let named = |digest: Digest| self.references.get(&digest).is_some_and(|references| *references > 0);
        for path in walk(&self.store.root().join("file")).unwrap_or_default() {
            let used = file_digest(&path).is_some_and(named) || appeared(&path).is_none_or(|time| time + YOUNG > now);
            let size = size(&path);
            if !used && remove_file(&path).is_ok() {
                self.collected.files += 1;
                self.collected.bytes += size;
                self.total = self.total.saturating_sub(size);
            }
        }
    }

    /// Input history goes last, the oldest first: it is small, and tells what the entries were that have gone.
    fn drop_input_history(&mut self, max: u64) {
        let mut histories: Vec<_> = walk(&self.store.root().join("known")).unwrap_or_default();
        histories.sort_by_key(|path| std::cmp::Reverse(age(path)));
        for path in histories {
            if self.total <= max {
                return;
            }
            let size = size(&path);
            if remove_file(&path).is_ok() {
                self.collected.bytes += size;
                self.total = self.total.saturating_sub(size);
            }
        }
    }

    fn drop_markers(&self) {
        for remote in children(&self.store.root().join("pushed")).unwrap_or_default() {
            for path in walk(&remote).unwrap_or_default() {
                if file_digest(&path).is_some_and(|digest| self.dropped.contains(&UnitKey(digest))) {
                    remove_file(&path).ok();
                }
            }
        }
    }
}

impl Unit {
    /// Of an entry that cannot be read, only the size is known: it goes with the rest.
    fn read(key: UnitKey, path: PathBuf) -> Option<Self> {
        let used = fs::metadata(&path).ok()?.modified().ok()?;
        let bytes = read_optional(&path).ok()??;
        let entry = Entry::decode(key, &bytes).ok();
        let mut files: Vec<_> =
            entry.iter().flat_map(|entry| &entry.files).map(|file| (file.digest, file.size)).collect();
        files.sort_unstable();
        files.dedup();
        Some(Self { key, path, used, size: bytes.len() as u64, files })
    }
}

fn remove_stale(store: &LocalStore) -> Result<()> {
    let is_older = |path: &PathBuf, limit| age(path).is_some_and(|age| age > limit);
    let temporary = children(&store.root().join("tmp"))?.into_iter().filter(|path| is_older(path, STALE));
    let probes = walk(&store.root().join("probe"))?.into_iter().filter(|path| is_older(path, FORGOTTEN));
    let proofs = walk(&store.root().join("proof"))?.into_iter().filter(|path| is_older(path, OUTDATED));
    let histories = walk(&store.root().join("known"))?.into_iter().filter(|path| is_older(path, OUTDATED));
    probes.chain(proofs).chain(histories).for_each(|path| drop(remove_file(&path)));
    // A proof that was broken off has left a directory.
    temporary.for_each(|path| drop(fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path))));
    Ok(())
}

/// When a raw file came into the store, or was linked for the last time. Its modification time says nothing.
#[cfg(unix)]
fn appeared(path: &Path) -> Option<SystemTime> {
    let changed = std::os::unix::fs::MetadataExt::ctime(&fs::metadata(path).ok()?);
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(changed.try_into().ok()?))
}

/// When a raw file came into the store. Its modification time says nothing.
#[cfg(not(unix))]
fn appeared(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.created().ok()
}

/// How long ago a file was written.
fn age(path: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(fs::metadata(path).ok()?.modified().ok()?).ok()
}

#[cfg(test)]
#[path = "gc_tests.rs"]
mod tests;

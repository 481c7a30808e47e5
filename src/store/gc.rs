//! Keeps the local store below its maximum size.
//!
//! The least recently used entries go first, then the raw files that no remaining entry names. Other processes may read
//! and write at the same time: a file younger than [`YOUNG`] may belong to an entry that is not written yet, so it
//! stays. If an entry loses a file nevertheless, it counts as absent. At any size, some things are removed: temporary
//! files of killed processes, probes that are a month old, the input history of units that were not compiled for three
//! months, and proofs that are three months old.

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

/// A file younger than this may belong to an entry that is not written yet.
const YOUNG: Duration = Duration::from_secs(60 * 60);
/// A temporary file older than this belongs to a process that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// A probe older than this is removed, and made again if it is needed.
const PROBE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Input history older than this does not help to explain a miss. A proof older than this is made again.
const HISTORY_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// The shortest interval at which [`collect_if_due`] collects.
const COLLECTION_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// What a collection removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Collected {
    /// Entries removed.
    pub entries: usize,
    /// Raw files removed.
    pub files: usize,
    /// Bytes freed.
    pub bytes: u64,
    /// Bytes that remain.
    pub left: u64,
}

/// Like [`collect`], at most once an hour; `None` if it was not due.
pub fn collect_if_due(store: &LocalStore, max: u64) -> Result<Option<Collected>> {
    let stamp = store.root().join("gc.stamp");
    if age(&stamp).is_some_and(|age| age < COLLECTION_INTERVAL) {
        return Ok(None);
    }
    fs::write(&stamp, b"").map_err(Error::io("write", &stamp))?;
    collect(store, max).map(Some)
}

/// If the store is larger than `max` bytes, brings it below 90 % of that.
///
/// Only one process collects at a time. If another one is collecting, this does nothing.
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
    // A process that is being started may keep the file open a moment longer.
    FileExt::unlock(&lock).map_err(Error::io("unlock", &path))?;
    Ok(Collected { left: collection.total, ..collection.collected })
}

/// A collection in progress: what the store contains, and what was removed.
struct Collection<'a> {
    store: &'a LocalStore,
    /// The units, least recently used first.
    units: Vec<Unit>,
    /// The number of entries that name each file.
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

    /// Drops entries until the rest fits. [`Self::drop_files`] removes their files.
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
        let is_named = |digest: Digest| self.references.get(&digest).is_some_and(|references| *references > 0);
        for path in walk(&self.store.root().join("file")).unwrap_or_default() {
            let is_needed =
                file_digest(&path).is_some_and(is_named) || appeared(&path).is_none_or(|time| time + YOUNG > now);
            let size = size(&path);
            if !is_needed && remove_file(&path).is_ok() {
                self.collected.files += 1;
                self.collected.bytes += size;
                self.total = self.total.saturating_sub(size);
            }
        }
    }

    /// Drops input history last, the oldest first: it is small, and describes the entries that were dropped.
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
    /// Reads an entry. If it cannot be decoded, only its size is known, and it is dropped like any other.
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
    let temporary = children(&store.root().join("tmp"))?.into_iter().filter(|path| is_older(path, ABANDONED));
    let probes = walk(&store.root().join("probe"))?.into_iter().filter(|path| is_older(path, PROBE_LIFETIME));
    let proofs = walk(&store.root().join("proof"))?.into_iter().filter(|path| is_older(path, HISTORY_LIFETIME));
    let histories = walk(&store.root().join("known"))?.into_iter().filter(|path| is_older(path, HISTORY_LIFETIME));
    probes.chain(proofs).chain(histories).for_each(|path| drop(remove_file(&path)));
    // An interrupted proof leaves a directory.
    temporary.for_each(|path| drop(fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path))));
    Ok(())
}

/// When a raw file was stored or last linked. Its modification time is constant.
#[cfg(unix)]
fn appeared(path: &Path) -> Option<SystemTime> {
    let changed = std::os::unix::fs::MetadataExt::ctime(&fs::metadata(path).ok()?);
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(changed.try_into().ok()?))
}

/// When a raw file was stored. Its modification time is constant.
#[cfg(not(unix))]
fn appeared(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.created().ok()
}

/// The time since a file was written.
fn age(path: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(fs::metadata(path).ok()?.modified().ok()?).ok()
}

#[cfg(test)]
#[path = "gc_tests.rs"]
mod tests;

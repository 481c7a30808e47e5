//! The local tier: a plain directory that any number of processes and threads may use at once.
//!
//! [`LocalStore`] has four kinds of objects: entries by unit key, raw files by content, small probe outputs by whatever
//! digest the caller derives, and the input history of a unit by its identity. An entry is written after its files, and
//! an entry whose files are not all there is an absent one, so nothing has to be locked: the worst that a race or a
//! crash can do is a miss.
//!
//! **Invariants.** What is read is compared with its digest; what does not fit is removed. A raw file, once there, is
//! never written again and never touched: not even its modification time ([`FILE_TIME`]) or mode changes, so it may be
//! linked into any number of target directories. A store that cannot be written to can still be read.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use tempfile::{Builder, NamedTempFile};

use super::{sharded, with_checksum, without_checksum};
use crate::digest::Digest;
use crate::entry::{Entry, FileRecord, is_other_version, pack};
use crate::error::{Error, Result};
use crate::fs::{
    children, copy_hashing, create_dir_all, hash, make_world_readable, persist, read_optional, remove_file,
    temporary_file,
};
use crate::key::UnitKey;
use crate::process;

/// The modification time of every raw file: 2024-01-01 00:00:00 UTC. It is older than anything that is compiled from now
/// on, and the same for all, so that files which are linked into a target directory are of one age there.
pub const FILE_TIME: Duration = Duration::from_secs(1_704_067_200);

/// The directory of entries.
const ENTRIES: &str = "unit";
/// The directory of raw files.
const FILES: &str = "file";
/// The directories whose files count towards the store's size. Markers are empty.
pub(super) const COUNTED: &[&str] = &[ENTRIES, FILES, "probe", "known"];

/// Least recent use is kept to this precision: a lookup of what was used just now writes nothing.
const TOUCH_EVERY: Duration = Duration::from_secs(600);

/// A directory of entries and raw files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: Arc<Path>,
    /// Raw files that this process wrote and hashed on the way: they need not be hashed again to be used.
    written: Arc<Mutex<HashSet<Digest>>>,
    /// Markers of entries that this process has seen in a remote: others are what somebody has noted some time ago.
    seen: Arc<Mutex<HashSet<PathBuf>>>,
}

/// How much is in a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Entries.
    pub entries: usize,
    /// Raw files.
    pub files: usize,
    /// Bytes of everything that counts towards the store's size.
    pub bytes: u64,
}

impl LocalStore {
    /// Opens the store in `directory`, creating it where that is possible.
    ///
    /// A directory that may only be read is fine: then everything that writes returns an error.
    pub fn open(directory: &Path) -> Result<Self> {
        let root = directory.join("v1");
        match create_dir_all(&root.join("tmp")) {
            Err(Error::Io { source, .. }) if is_read_only(source.kind()) => {}
            other => other?,
        }
        Ok(Self { root: root.into(), written: Arc::default(), seen: Arc::default() })
    }

    /// The entry of a unit, if it is complete: all its files are there and have the right size.
    ///
    /// Nothing where there is none, or one of another format version. A damaged one is [`Error::Corrupt`], once.
    pub fn entry(&self, key: UnitKey) -> Result<Option<Entry>> {
        let path = self.entry_path(key);
        let Some(bytes) = read_optional(&path)?.filter(|bytes| !is_other_version(bytes)) else { return Ok(None) };
        let entry = match Entry::decode(key, &bytes) {
            Ok(entry) => entry,
            Err(error) => {
                self.remove(key).ok();
                return Err(error);
            }
        };
        if !entry.files.iter().all(|record| self.has_file(record.size, record.digest)) {
            self.remove(key).ok();
            return Ok(None);
        }
        touch(&path);
        Ok(Some(entry))
    }

    /// Stores an entry, replacing an older one of the same key. Its files must be in the store already.
    pub fn put_entry(&self, entry: &Entry) -> Result<()> {
        self.write(&self.entry_path(entry.key), &entry.encode())
    }

    /// Forgets an entry; its files stay until they are collected.
    pub fn remove(&self, key: UnitKey) -> Result<()> {
        remove_file(&self.entry_path(key))
    }

    /// Forgets an entry together with its files, one of which is damaged: what else there is may be, too.
    pub fn discard(&self, entry: &Entry) {
        // What cannot be removed is found to be damaged again, and compiled again.
        self.remove(entry.key).ok();
        entry.files.iter().for_each(|record| drop(remove_file(&self.file_path(record.digest))));
    }

    /// Stores bytes as a file: their size and digest, for a [`FileRecord`].
    pub fn add_bytes(&self, bytes: &[u8]) -> Result<(u64, Digest)> {
        let (size, digest) = (bytes.len() as u64, Digest::of(bytes));
        if !self.has_file(size, digest) {
            let mut file = self.temporary()?;
            file.write_all(bytes).map_err(Error::io("write", self.file_path(digest)))?;
            self.keep(file, size, digest)?;
        }
        Ok((size, digest))
    }

    /// Copies a stored file to `destination`, where it appears whole and with the current time, or not at all.
    ///
    /// A stored file that is damaged is removed and [`Error::Corrupt`].
    pub fn copy_out(&self, record: &FileRecord, destination: &Path) -> Result<()> {
        match record.kind.is_program() {
            true => process::while_nothing_starts(|| self.copy(record, destination)),
            false => self.copy(record, destination),
        }
    }

    /// The same, but as a hard link where that can be: whole, and as old as all files of the store.
    pub fn link_out(&self, record: &FileRecord, destination: &Path) -> Result<()> {
        let source = self.file_path(record.digest);
        self.check(record, &source)?;
        if hard_link(&source, destination).is_ok() { Ok(()) } else { self.copy_out(record, destination) }
    }

    fn copy(&self, record: &FileRecord, destination: &Path) -> Result<()> {
        let source = self.file_path(record.digest);
        let input = File::open(&source).map_err(Error::io("read", &source))?;
        let mut output = temporary_file(destination.parent().unwrap_or(Path::new(".")))?;
        let copied = copy_hashing(input, output.as_file_mut()).map_err(Error::io("copy a file to", destination))?;
        self.verify(record, copied)?;
        give_mode(output.as_file(), record).map_err(Error::io("write", destination))?;
        persist(output, destination)
    }

    /// Puts a stored file at `destination`, with this modification time: whole, or not at all.
    ///
    /// With `link` it is a hard link where that can be: on the same file system, to a file of this very time. Otherwise it
    /// shares the blocks where the file system can do that, or is a copy. A damaged one is as in [`LocalStore::copy_out`].
    pub fn place(&self, record: &FileRecord, destination: &Path, modified: SystemTime, link: bool) -> Result<()> {
        let put = || self.put(record, destination, modified, link);
        if record.kind.is_program() { process::while_nothing_starts(put) } else { put() }
    }

    fn put(&self, record: &FileRecord, destination: &Path, modified: SystemTime, link: bool) -> Result<()> {
        let source = self.file_path(record.digest);
        self.check(record, &source)?;
        let is_of_time =
            || fs::metadata(&source).and_then(|metadata| metadata.modified()).is_ok_and(|it| it == modified);
        if link && is_of_time() && hard_link(&source, destination).is_ok() {
            return Ok(());
        }
        let directory = destination.parent().unwrap_or(Path::new("."));
        let temporary = Builder::new().prefix(".xcache-").make_in(directory, |path| {
            reflink_copy::reflink_or_copy(&source, path)?;
            File::open(path)
        });
        let copy = temporary.map_err(Error::io("copy a file to", destination))?;
        give_mode(copy.as_file(), record)
            .and_then(|()| copy.as_file().set_modified(modified))
            .map_err(Error::io("write", destination))?;
        persist(copy, destination)
    }

    /// Compares a stored file with its record, unless this process has written it.
    fn check(&self, record: &FileRecord, source: &Path) -> Result<()> {
        if self.lock_written().contains(&record.digest) && self.has_file(record.size, record.digest) {
            return Ok(());
        }
        let file = File::open(source).map_err(Error::io("read", source))?;
        let hashed = hash(file).map_err(Error::io("read", source))?;
        self.verify(record, hashed)
    }

    fn lock_written(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.written.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The content of a stored file; for small ones.
    pub fn read(&self, record: &FileRecord) -> Result<Vec<u8>> {
        let path = self.file_path(record.digest);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        self.verify(record, (bytes.len() as u64, Digest::of(&bytes)))?;
        Ok(bytes)
    }

    /// The content of a stored file that is text.
    pub fn read_text(&self, record: &FileRecord) -> Result<String> {
        String::from_utf8(self.read(record)?).map_err(|error| Error::corrupt(format!("file/{}", record.digest), error))
    }

    /// Where the raw file of this content is, if it is there.
    pub fn file_path(&self, digest: Digest) -> PathBuf {
        self.root.join(FILES).join(sharded(digest))
    }

    /// Stores the files of a pack; the entry itself is the caller's to store, once this is `Ok`.
    ///
    /// Nothing is kept unless every digest matches. What the input reports is [`Error::Io`] with the pack's name, what
    /// the disk reports [`Error::Io`] with a path of this store, and anything else [`Error::Corrupt`].
    pub fn unpack(&self, entry: &Entry, input: impl Read) -> Result<()> {
        let object = || format!("unit/{}", entry.key);
        let pack = entry.pack.ok_or_else(|| Error::corrupt(object(), "it names no pack"))?;
        let name = format!("blob/{}", pack.digest);
        let (read_error, write_error) = (RefCell::new(None), RefCell::new(None));
        let mut files = Vec::new();
        let result = pack::read(pack, &entry.files, Noting { inner: input, error: &read_error }, |record| {
            let file = self.temporary().map_err(|error| note(&write_error, source_of(error)))?;
            let writer = file.as_file().try_clone().map_err(|error| note(&write_error, error))?;
            files.push((record.size, record.digest, file));
            Ok(Unpacked { inner: BufWriter::with_capacity(128 << 10, writer), error: &write_error })
        });
        if let Some(error) = write_error.into_inner() {
            return Err(Error::io("write to", &self.root)(error));
        }
        if let Some(error) = read_error.into_inner() {
            return Err(Error::io("read", &name)(error));
        }
        result.map_err(|error| Error::corrupt(name, error))?;
        files.into_iter().try_for_each(|(size, digest, file)| self.keep(file, size, digest))
    }

    /// Whether this entry was in that remote once. Somebody may have removed it from there.
    pub fn is_pushed(&self, remote_id: &str, key: UnitKey) -> bool {
        self.marker(remote_id, key).exists()
    }

    /// Whether this process has seen this entry in that remote.
    pub fn is_seen(&self, remote_id: &str, key: UnitKey) -> bool {
        self.lock_seen().contains(&self.marker(remote_id, key))
    }

    /// Notes that this entry is in that remote now.
    pub fn mark_pushed(&self, remote_id: &str, key: UnitKey) -> Result<()> {
        let marker = self.marker(remote_id, key);
        if !marker.exists() {
            self.write(&marker, b"")?;
        }
        self.lock_seen().insert(marker);
        Ok(())
    }

    /// Notes that this entry is not in that remote.
    pub fn unmark_pushed(&self, remote_id: &str, key: UnitKey) -> Result<()> {
        let marker = self.marker(remote_id, key);
        self.lock_seen().remove(&marker);
        remove_file(&marker)
    }

    fn lock_seen(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Every complete entry.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        Ok(self.keys()?.into_iter().filter_map(|(key, _)| self.entry(key).ok().flatten()).collect())
    }

    /// A small output that [`LocalStore::put_probe`] stored under this digest; nothing where there is none, or a damaged
    /// one.
    pub fn probe(&self, digest: Digest) -> Option<Vec<u8>> {
        without_checksum(digest, &read_optional(&self.probe_path(digest)).ok()??)
    }

    /// Stores a small output under a digest of whatever it depends on.
    pub fn put_probe(&self, digest: Digest, bytes: &[u8]) -> Result<()> {
        self.write(&self.probe_path(digest), &with_checksum(digest, bytes))
    }

    /// What was proven of a cargo, as [`LocalStore::put_proof`] stored it; nothing where it is damaged.
    pub fn proof(&self, key: Digest) -> Option<Vec<u8>> {
        without_checksum(key, &read_optional(&self.proof_path(key)).ok()??)
    }

    /// Stores what was proven of a cargo.
    pub fn put_proof(&self, key: Digest, bytes: &[u8]) -> Result<()> {
        self.write(&self.proof_path(key), &with_checksum(key, bytes))
    }

    /// The input history of this identity, as [`LocalStore::put_input_history`] stored it.
    pub fn input_history(&self, identity: Digest) -> Option<Vec<u8>> {
        read_optional(&self.input_history_path(identity)).ok()?
    }

    /// Stores the input history of this identity.
    pub fn put_input_history(&self, identity: Digest, bytes: &[u8]) -> Result<()> {
        self.write(&self.input_history_path(identity), bytes)
    }

    /// The directory with everything of this format version in it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How much there is.
    pub fn usage(&self) -> Result<Usage> {
        let mut bytes = 0;
        for directory in COUNTED {
            bytes += walk(&self.root.join(directory))?.iter().map(|path| size(path)).sum::<u64>();
        }
        let count = |directory| walk(&self.root.join(directory)).map(|files| files.len());
        Ok(Usage { entries: count(ENTRIES)?, files: count(FILES)?, bytes })
    }

    /// The keys of all stored entries, each with its file.
    pub(super) fn keys(&self) -> Result<Vec<(UnitKey, PathBuf)>> {
        let files = walk(&self.root.join(ENTRIES))?;
        Ok(files.into_iter().filter_map(|path| Some((UnitKey(file_digest(&path)?), path))).collect())
    }

    fn entry_path(&self, key: UnitKey) -> PathBuf {
        self.root.join(ENTRIES).join(sharded(key.0))
    }

    fn probe_path(&self, digest: Digest) -> PathBuf {
        self.root.join("probe").join(sharded(digest))
    }

    fn proof_path(&self, key: Digest) -> PathBuf {
        self.root.join("proof").join(key.to_string())
    }

    fn input_history_path(&self, identity: Digest) -> PathBuf {
        self.root.join("known").join(sharded(identity))
    }

    fn marker(&self, remote_id: &str, key: UnitKey) -> PathBuf {
        self.root.join("pushed").join(remote_id).join(sharded(key.0))
    }

    fn has_file(&self, size: u64, digest: Digest) -> bool {
        fs::metadata(self.file_path(digest)).is_ok_and(|metadata| metadata.len() == size)
    }

    fn temporary(&self) -> Result<NamedTempFile> {
        let directory = self.root.join("tmp");
        temporary_file(&directory).or_else(|_| {
            create_dir_all(&directory)?;
            temporary_file(&directory)
        })
    }

    /// Gives a raw file its name, unless there is one of this content already.
    fn keep(&self, file: NamedTempFile, size: u64, digest: Digest) -> Result<()> {
        if self.has_file(size, digest) {
            return Ok(());
        }
        let path = self.file_path(digest);
        file.as_file()
            .set_modified(SystemTime::UNIX_EPOCH + FILE_TIME)
            .and_then(|()| make_world_readable(file.as_file()))
            .map_err(Error::io("write", &path))?;
        rename(file, &path)?;
        self.lock_written().insert(digest);
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut file = self.temporary()?;
        file.write_all(bytes).map_err(Error::io("write", path))?;
        make_world_readable(file.as_file()).map_err(Error::io("write", path))?;
        rename(file, path)
    }

    fn verify(&self, record: &FileRecord, (size, digest): (u64, Digest)) -> Result<()> {
        if (size, digest) == (record.size, record.digest) {
            return Ok(());
        }
        remove_file(&self.file_path(record.digest)).ok();
        Err(Error::corrupt(format!("file/{}", record.digest), "its digest does not match"))
    }
}

/// Every file two levels below `directory`, which need not exist.
pub(super) fn walk(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for shard in children(directory)? {
        files.extend(children(&shard).unwrap_or_default());
    }
    Ok(files)
}

/// The length of a file; nothing for one that has just gone.
pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The digest that is a file's name.
pub(super) fn file_digest(path: &Path) -> Option<Digest> {
    path.file_name()?.to_str()?.parse().ok()
}

fn rename(file: NamedTempFile, path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        create_dir_all(directory)?;
    }
    persist(file, path)
}

/// Marks an entry as used. A store that cannot be written to has no use for the mark.
fn touch(path: &Path) {
    let now = SystemTime::now();
    let stale = |modified: SystemTime| now.duration_since(modified).is_ok_and(|age| age > TOUCH_EVERY);
    if fs::metadata(path).and_then(|metadata| metadata.modified()).is_ok_and(stale) {
        File::options().write(true).open(path).and_then(|file| file.set_modified(now)).ok();
    }
}

fn is_read_only(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// In the place of whatever is there.
fn hard_link(source: &Path, destination: &Path) -> io::Result<()> {
    match fs::hard_link(source, destination) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(destination)?;
            fs::hard_link(source, destination)
        }
        result => result,
    }
}

/// The mode that the compiler's own output has, or that a build script has given.
#[cfg(unix)]
fn give_mode(file: &File, record: &FileRecord) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let usual = if record.kind.is_program() { 0o755 } else { 0o644 };
    file.set_permissions(fs::Permissions::from_mode(record.mode.map_or(usual, |mode| mode & 0o777)))
}

/// The mode that the compiler's own output has.
#[cfg(not(unix))]
fn give_mode(_: &File, _: &FileRecord) -> io::Result<()> {
    Ok(())
}

/// The system's own error, so that its kind is not lost.
fn source_of(error: Error) -> io::Error {
    match error {
        Error::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

type ErrorCell = RefCell<Option<io::Error>>;

/// Keeps the error, and returns another of its kind.
fn note(cell: &ErrorCell, error: io::Error) -> io::Error {
    let kind = error.kind();
    cell.borrow_mut().get_or_insert(error);
    kind.into()
}

/// Tells an error of the input from one of what is done with it.
struct Noting<'a, R> {
    inner: R,
    error: &'a ErrorCell,
}

impl<R: Read> Read for Noting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| note(self.error, error))
    }
}

/// A raw file that is being written; it is flushed when it is dropped.
struct Unpacked<'a> {
    inner: BufWriter<File>,
    error: &'a ErrorCell,
}

impl Write for Unpacked<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.inner.write(buffer).map_err(|error| note(self.error, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(|error| note(self.error, error))
    }
}

impl Drop for Unpacked<'_> {
    fn drop(&mut self) {
        self.flush().ok();
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;

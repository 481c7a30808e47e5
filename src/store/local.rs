//! The local tier: a directory that any number of processes and threads may use at once.
//!
//! [`LocalStore`] contains entries by unit key, raw files by content, small probes by a digest that the caller
//! computes, and the input history of a unit by its identity. An entry is written after its files, and an entry with a
//! missing file counts as absent. So nothing is locked: the worst effect of a race or a crash is a miss.
//!
//! **Invariants.** Everything that is read is compared with its digest, and removed if it differs. A raw file never
//! changes once it is stored, not even its modification time ([`FILE_TIME`]) or mode, so any number of target
//! directories may link to it. A store that cannot be written can still be read.

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

/// The modification time of every raw file: 2024-01-01 00:00:00 UTC. It is older than anything that is compiled from
/// now on. It is the same for all, so files that are linked into a target directory have the same time there.
pub const FILE_TIME: Duration = Duration::from_secs(1_704_067_200);

/// The directory of entries.
const ENTRIES: &str = "unit";
/// The directory of raw files.
const FILES: &str = "file";
/// The directories whose files count towards the store's size. Markers are empty.
pub(super) const COUNTED: &[&str] = &[ENTRIES, FILES, "probe", "known"];

/// The precision of the time of last use: a second lookup soon after the first writes nothing.
const TOUCH_EVERY: Duration = Duration::from_secs(600);

/// A directory of entries and raw files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: Arc<Path>,
    /// Raw files that this process wrote, and hashed while it did. They need not be verified again.
    written: Arc<Mutex<HashSet<Digest>>>,
    /// Markers of entries that this process has seen in a remote. Any other marker may be out of date.
    seen: Arc<Mutex<HashSet<PathBuf>>>,
}

/// What a store contains.
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
    /// Opens the store in `directory`, and creates it if possible.
    ///
    /// In a directory that cannot be written, everything that writes returns an error.
    pub fn open(directory: &Path) -> Result<Self> {
        let root = directory.join("v1");
        match create_dir_all(&root.join("tmp")) {
            Err(Error::Io { source, .. }) if is_read_only(source.kind()) => {}
            other => other?,
        }
        Ok(Self { root: root.into(), written: Arc::default(), seen: Arc::default() })
    }

    /// The entry of a unit, if it is complete: all its files exist and have the right size.
    ///
    /// `None` if there is no entry, or one of another format version. A damaged entry is removed and returned once, as
    /// [`Error::Corrupt`].
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

    /// Removes an entry. Its files stay until they are collected.
    pub fn remove(&self, key: UnitKey) -> Result<()> {
        remove_file(&self.entry_path(key))
    }

    /// Removes an entry with a damaged file, and all its files: the others may be damaged, too.
    pub fn discard(&self, entry: &Entry) {
        // An entry that cannot be removed is found damaged and compiled again.
        self.remove(entry.key).ok();
        entry.files.iter().for_each(|record| drop(remove_file(&self.file_path(record.digest))));
    }

    /// Stores bytes as a file, and returns their size and digest for a [`FileRecord`].
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
    /// A damaged stored file is removed, and the result is [`Error::Corrupt`].
    pub fn copy_out(&self, record: &FileRecord, destination: &Path) -> Result<()> {
        match record.kind.is_program() {
            true => process::while_nothing_starts(|| self.copy(record, destination)),
            false => self.copy(record, destination),
        }
    }

    /// The same, but as a hard link if possible, which has the modification time of all files in the store.
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
        set_mode(output.as_file(), record).map_err(Error::io("write", destination))?;
        persist(output, destination)
    }

    /// Places a stored file at `destination` with this modification time, whole or not at all.
    ///
    /// With `link`, the file is a hard link if possible: on the same file system, and if the stored file has the same
    /// time. Otherwise it shares blocks with the stored file, if the file system supports that, or is a copy. Damage is
    /// treated as in [`LocalStore::copy_out`].
    pub fn place(&self, record: &FileRecord, destination: &Path, modified: SystemTime, link: bool) -> Result<()> {
        let place = || self.link_or_copy(record, destination, modified, link);
        if record.kind.is_program() { process::while_nothing_starts(place) } else { place() }
    }

    fn link_or_copy(&self, record: &FileRecord, destination: &Path, modified: SystemTime, link: bool) -> Result<()> {
        let source = self.file_path(record.digest);
        self.check(record, &source)?;
        let has_same_time =
            || fs::metadata(&source).and_then(|metadata| metadata.modified()).is_ok_and(|it| it == modified);
        if link && has_same_time() && hard_link(&source, destination).is_ok() {
            return Ok(());
        }
        let directory = destination.parent().unwrap_or(Path::new("."));
        let temporary = Builder::new().prefix(".xcache-").make_in(directory, |path| {
            reflink_copy::reflink_or_copy(&source, path)?;
            File::open(path)
        });
        let copy = temporary.map_err(Error::io("copy a file to", destination))?;
        set_mode(copy.as_file(), record)
            .and_then(|()| copy.as_file().set_modified(modified))
            .map_err(Error::io("write", destination))?;
        persist(copy, destination)
    }

    /// Compares a stored file with its record, unless this process wrote the file.
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

    /// The content of a stored file, which should be small.
    pub fn read(&self, record: &FileRecord) -> Result<Vec<u8>> {
        let path = self.file_path(record.digest);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        self.verify(record, (bytes.len() as u64, Digest::of(&bytes)))?;
        Ok(bytes)
    }

    /// The content of a stored text file.
    pub fn read_text(&self, record: &FileRecord) -> Result<String> {
        String::from_utf8(self.read(record)?).map_err(|error| Error::corrupt(format!("file/{}", record.digest), error))
    }

    /// The path of the raw file with this content, whether or not it exists.
    pub fn file_path(&self, digest: Digest) -> PathBuf {
        self.root.join(FILES).join(sharded(digest))
    }

    /// Stores the files of a pack. If this succeeds, the caller stores the entry.
    ///
    /// Nothing is kept unless every digest matches. An error of the input is an [`Error::Io`] with the pack's name, an
    /// error of the disk an [`Error::Io`] with a path of this store, and anything else an [`Error::Corrupt`].
    pub fn unpack(&self, entry: &Entry, input: impl Read) -> Result<()> {
        let object = || format!("unit/{}", entry.key);
        let pack = entry.pack.ok_or_else(|| Error::corrupt(object(), "it names no pack"))?;
        let name = format!("blob/{}", pack.digest);
        let (read_error, write_error) = (RefCell::new(None), RefCell::new(None));
        let mut files = Vec::new();
        let result = pack::read(pack, &entry.files, RecordingReader { inner: input, error: &read_error }, |record| {
            let file = self.temporary().map_err(|error| note(&write_error, source_of(error)))?;
            let writer = file.as_file().try_clone().map_err(|error| note(&write_error, error))?;
            files.push((record.size, record.digest, file));
            Ok(RecordingWriter { inner: BufWriter::with_capacity(128 << 10, writer), error: &write_error })
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

    /// Whether a marker says that this entry was in that remote. The entry may have disappeared since.
    pub fn is_pushed(&self, remote_id: &str, key: UnitKey) -> bool {
        self.marker(remote_id, key).exists()
    }

    /// Whether this process has seen this entry in that remote.
    pub fn is_seen(&self, remote_id: &str, key: UnitKey) -> bool {
        self.lock_seen().contains(&self.marker(remote_id, key))
    }

    /// Records that this entry is in that remote now.
    pub fn mark_pushed(&self, remote_id: &str, key: UnitKey) -> Result<()> {
        let marker = self.marker(remote_id, key);
        if !marker.exists() {
            self.write(&marker, b"")?;
        }
        self.lock_seen().insert(marker);
        Ok(())
    }

    /// Records that this entry is not in that remote.
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

    /// The probe that [`LocalStore::put_probe`] stored under this digest; `None` if it does not exist or is damaged.
    pub fn probe(&self, digest: Digest) -> Option<Vec<u8>> {
        without_checksum(digest, &read_optional(&self.probe_path(digest)).ok()??)
    }

    /// Stores a probe under a digest of everything that it depends on.
    pub fn put_probe(&self, digest: Digest, bytes: &[u8]) -> Result<()> {
        self.write(&self.probe_path(digest), &with_checksum(digest, bytes))
    }

    /// The proof that [`LocalStore::put_proof`] stored under this key; `None` if it does not exist or is damaged.
    pub fn proof(&self, key: Digest) -> Option<Vec<u8>> {
        without_checksum(key, &read_optional(&self.proof_path(key)).ok()??)
    }

    /// Stores a proof.
    pub fn put_proof(&self, key: Digest, bytes: &[u8]) -> Result<()> {
        self.write(&self.proof_path(key), &with_checksum(key, bytes))
    }

    /// The input history that [`LocalStore::put_input_history`] stored for this identity.
    pub fn input_history(&self, identity: Digest) -> Option<Vec<u8>> {
        read_optional(&self.input_history_path(identity)).ok()?
    }

    /// Stores the input history for this identity.
    pub fn put_input_history(&self, identity: Digest, bytes: &[u8]) -> Result<()> {
        self.write(&self.input_history_path(identity), bytes)
    }

    /// The directory that contains everything of this format version.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The number of entries and files, and their size.
    pub fn usage(&self) -> Result<Usage> {
        let mut bytes = 0;
        for directory in COUNTED {
            bytes += walk(&self.root.join(directory))?.iter().map(|path| size(path)).sum::<u64>();
        }
        let count = |directory| walk(&self.root.join(directory)).map(|files| files.len());
        Ok(Usage { entries: count(ENTRIES)?, files: count(FILES)?, bytes })
    }

    /// The keys of all stored entries, each with the path of its file.
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

    /// Gives a raw file its name, unless a file with this content exists.
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

/// All files two levels below `directory`; none if it does not exist.
pub(super) fn walk(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for shard in children(directory)? {
        files.extend(children(&shard).unwrap_or_default());
    }
    Ok(files)
}

/// The length of a file; 0 if it has just disappeared.
pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The digest in a file's name.
pub(super) fn file_digest(path: &Path) -> Option<Digest> {
    path.file_name()?.to_str()?.parse().ok()
}

fn rename(file: NamedTempFile, path: &Path) -> Result<()> {
    if let Some(directory) = path.parent() {
        create_dir_all(directory)?;
    }
    persist(file, path)
}

/// Updates an entry's time of last use. If the store cannot be written, that is not needed.
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

/// Creates a hard link, and replaces an existing file.
fn hard_link(source: &Path, destination: &Path) -> io::Result<()> {
    match fs::hard_link(source, destination) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(destination)?;
            fs::hard_link(source, destination)
        }
        result => result,
    }
}

/// Sets the mode that the compiler's output has, or that a build script has set.
#[cfg(unix)]
fn set_mode(file: &File, record: &FileRecord) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let usual = if record.kind.is_program() { 0o755 } else { 0o644 };
    file.set_permissions(fs::Permissions::from_mode(record.mode.map_or(usual, |mode| mode & 0o777)))
}

/// Does nothing: this system has no modes.
#[cfg(not(unix))]
fn set_mode(_: &File, _: &FileRecord) -> io::Result<()> {
    Ok(())
}

/// The system's own error, which keeps its kind.
fn source_of(error: Error) -> io::Error {
    match error {
        Error::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

type ErrorCell = RefCell<Option<io::Error>>;

/// Stores the error, and returns another one of the same kind.
fn note(cell: &ErrorCell, error: io::Error) -> io::Error {
    let kind = error.kind();
    cell.borrow_mut().get_or_insert(error);
    kind.into()
}

/// A reader that stores its errors, which distinguishes them from those of the processing.
struct RecordingReader<'a, R> {
    inner: R,
    error: &'a ErrorCell,
}

impl<R: Read> Read for RecordingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| note(self.error, error))
    }
}

/// A raw file that is being written. It is flushed when it is dropped.
struct RecordingWriter<'a> {
    inner: BufWriter<File>,
    error: &'a ErrorCell,
}

impl Write for RecordingWriter<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.inner.write(buffer).map_err(|error| note(self.error, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(|error| note(self.error, error))
    }
}

impl Drop for RecordingWriter<'_> {
    fn drop(&mut self) {
        self.flush().ok();
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;

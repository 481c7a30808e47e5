//! File-system writes that are complete or do not happen.
//!
//! Every write creates a temporary file in the same file system and renames it. A killed process leaves at most a
//! temporary file that nobody reads. Every error names the path.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::SystemTime;

use serde::{Serialize, Serializer};
use tempfile::{Builder, NamedTempFile};

use crate::digest::Digest;
use crate::error::{Error, Result};

/// The number of bytes that are read at a time.
const CHUNK: usize = 256 << 10;
/// The number of chunks that may wait to be written.
const MAX_WAITING_CHUNKS: usize = 4;

/// Creates a directory and its parents.
pub fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io("create", path))
}

/// Reads a file; `None` if it does not exist.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// The paths in a directory; none if it does not exist.
pub fn children(directory: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("list", directory)(error)),
    }
}

/// Removes a file if it exists.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes everything in a directory, if the directory exists.
pub fn remove_children(directory: &Path) -> Result<()> {
    children(directory)?.iter().try_for_each(|path| {
        let is_directory = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.map_err(Error::io("remove", path))
    })
}

/// Creates a temporary file in `directory`. It is removed unless it is persisted.
pub fn temporary_file(directory: &Path) -> Result<NamedTempFile> {
    Builder::new().prefix(".xcache-").tempfile_in(directory).map_err(Error::io("create a file in", directory))
}

/// Renames a temporary file to `path`, replacing any file there.
pub fn persist(file: NamedTempFile, path: &Path) -> Result<()> {
    file.persist(path).map_err(|error| Error::io("rename a file to", path)(error.error))?;
    Ok(())
}

/// Writes a small file through a temporary one beside it. Creates the directory of `path` if it is missing.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    create_dir_all(directory)?;
    let mut file = temporary_file(directory)?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    make_world_readable(file.as_file()).map_err(Error::io("write", path))?;
    persist(file, path)
}

/// The length and the digest of an input.
pub fn hash(input: impl Read) -> io::Result<(u64, Digest)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(input)?;
    Ok((hasher.count(), hasher.into()))
}

/// Copies an input, and returns its length and digest. One chunk is written while the next is hashed: for a program,
/// each of the two takes some tens of milliseconds.
pub fn copy_hashing(mut input: impl Read, mut output: impl Write + Send) -> io::Result<(u64, Digest)> {
    let mut hasher = blake3::Hasher::new();
    let mut read = |mut chunk: Vec<u8>| -> io::Result<Vec<u8>> {
        chunk.clear();
        input.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
        hasher.update(&chunk);
        Ok(chunk)
    };
    let first = read(Vec::new())?;
    output.write_all(&first)?;
    if first.len() == CHUNK {
        thread::scope(|scope| {
            let (filled, to_write) = mpsc::sync_channel(MAX_WAITING_CHUNKS);
            let (written, free) = mpsc::channel();
            let writing = scope.spawn(move || write_chunks(output, to_write, &written));
            loop {
                let chunk = read(free.try_recv().unwrap_or_default())?;
                // The writer returns its own error.
                if chunk.is_empty() || filled.send(chunk).is_err() {
                    break;
                }
            }
            drop(filled);
            writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
    }
    Ok((hasher.count(), hasher.into()))
}

/// Writes chunks as they arrive, and returns the buffers.
fn write_chunks(mut output: impl Write, to_write: Receiver<Vec<u8>>, written: &Sender<Vec<u8>>) -> io::Result<()> {
    for chunk in to_write {
        output.write_all(&chunk)?;
        // When everything is read, no buffer is needed.
        let _ = written.send(chunk);
    }
    Ok(())
}

/// Whether a file is executable.
#[cfg(unix)]
pub fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Whether a file is executable.
#[cfg(not(unix))]
pub fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// The state of a file: length, times and inode. It changes when the file is written, or moved away and back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Stamp {
    /// Its size.
    length: u64,
    /// When it was written.
    #[serde(serialize_with = "serialize_time")]
    modified: Option<SystemTime>,
    /// When anything about it last changed, including its place.
    #[serde(serialize_with = "serialize_time")]
    changed: Option<SystemTime>,
    /// Its identity, independent of its name.
    inode: u64,
}

impl Stamp {
    /// The stamp of a file now.
    pub fn of(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(Error::io("read", path))?;
        Ok(Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            changed: changed(&metadata),
            inode: inode(&metadata),
        })
    }

    /// When the file changed in any way, as far as the system records it. The modification time can be set to any
    /// value.
    pub fn changed(&self) -> SystemTime {
        self.changed.or(self.modified).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// Serializes the time since 1970, or, with `true`, the time until 1970.
fn serialize_time<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    let distance = |time: &SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (false, since),
        Err(before) => (true, before.duration()),
    };
    time.as_ref().map(distance).serialize(serializer)
}

#[cfg(unix)]
fn changed(metadata: &fs::Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let (seconds, nanoseconds) = (metadata.ctime().try_into().ok()?, metadata.ctime_nsec().try_into().ok()?);
    Some(SystemTime::UNIX_EPOCH + std::time::Duration::new(seconds, nanoseconds))
}

#[cfg(not(unix))]
fn changed(_: &fs::Metadata) -> Option<SystemTime> {
    None
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

/// Gives a file the mode of any other new file. Temporary files are private.
#[cfg(unix)]
pub fn make_world_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// Gives a file the mode of a program.
#[cfg(unix)]
pub fn make_executable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

/// Gives a file the mode of a program.
#[cfg(not(unix))]
pub fn make_executable(_: &File) -> io::Result<()> {
    Ok(())
}

/// Gives a file the mode of any other new file. Temporary files are private.
#[cfg(not(unix))]
pub fn make_world_readable(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::digest::Domain;
    use crate::reference::field_changes::{Change, assert_each_field_counts};

    #[test]
    fn a_copy_equals_its_input_for_any_number_of_chunks() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 20 * CHUNK + 7] {
            let input: Vec<u8> = (0..length).map(|index| (index / 3 % 251) as u8).collect();
            let mut output = Vec::new();
            let copied = copy_hashing(&*input, &mut output).unwrap();
            assert_eq!(copied, (length as u64, Digest::of(&input)), "{length}");
            assert_eq!(hash(&*input).unwrap(), copied, "{length}");
            assert!(output == input, "{length}");
        }
    }

    #[test]
    fn a_copy_ends_with_the_error_of_the_side_that_fails() {
        /// Fails after this many bytes.
        struct FailsAfter(usize);
        impl FailsAfter {
            fn take(&mut self, length: usize) -> io::Result<usize> {
                self.0 = self.0.checked_sub(length).ok_or(io::ErrorKind::StorageFull)?;
                Ok(length)
            }
        }
        impl Read for FailsAfter {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.take(buffer.len())
            }
        }
        impl Write for FailsAfter {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.take(buffer.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for bytes in [0, CHUNK, 3 * CHUNK, 9 * CHUNK] {
            let kind = |copied: io::Result<_>| copied.unwrap_err().kind();
            let full = copy_hashing(io::repeat(1).take(20 * CHUNK as u64), FailsAfter(bytes));
            assert_eq!(kind(full), io::ErrorKind::StorageFull, "{bytes}");
            let unreadable = copy_hashing(FailsAfter(bytes), io::sink());
            assert_eq!(kind(unreadable), io::ErrorKind::StorageFull, "{bytes}");
        }
    }

    #[test]
    fn each_part_of_a_stamp_makes_another_one() {
        let make = || Stamp { length: 1, modified: None, changed: None, inode: 1 };
        let changes: &[Change<Stamp>] = &[
            ("length", |stamp| stamp.length = 2),
            ("modified", |stamp| stamp.modified = Some(SystemTime::UNIX_EPOCH)),
            ("changed", |stamp| stamp.changed = Some(SystemTime::UNIX_EPOCH)),
            ("inode", |stamp| stamp.inode = 2),
        ];
        assert_each_field_counts(Domain::Stamps, make, changes);
    }

    #[test]
    fn a_file_of_any_time_has_a_stamp_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let digest = |modified: SystemTime| {
            File::create(&path).and_then(|file| file.set_modified(modified)).unwrap();
            let Stamp { length, modified, inode, .. } = Stamp::of(&path).unwrap();
            Digest::of_value(Domain::Stamps, &Stamp { length, modified, inode, changed: None })
        };
        let second = Duration::from_secs(1);
        let [before, at, after] =
            [SystemTime::UNIX_EPOCH - second, SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + second];
        let digests = [before, at, after].map(digest);
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
        assert_eq!(digest(before), digests[0]);
    }
}

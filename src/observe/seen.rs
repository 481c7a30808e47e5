//! What was seen: paths, what was at them when they were first looked at, and what was done with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;

use serde::{Deserialize, Serialize};

/// What a command and all its child processes looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Absolute paths, and what was done with them.
    pub paths: BTreeMap<String, Access>,
    /// The paths of the programs that looked.
    pub programs: Vec<String>,
    /// What could not be observed.
    pub unknown: BTreeSet<Unknown>,
    /// The number of accesses that the library noted.
    pub noted: u64,
    /// The number of calls at which a process was stopped.
    pub stopped: u64,
    /// Whether programs could not change their user, which makes those that have to do so fail.
    pub is_confined: bool,
}

impl Seen {
    /// Whether a program could not change its user as it is meant to, and so may have failed because it was observed.
    pub fn is_hindered(&self) -> bool {
        self.is_confined && self.unknown.contains(&Unknown::Identity)
    }
}

/// What was done with a path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Access {
    /// What was at the path when it was first looked at.
    pub was: Was,
    /// How it was used.
    pub uses: Uses,
    /// The programs that read it, as indices into [`Seen::programs`].
    pub by: BTreeSet<u16>,
    /// The programs that created, changed or removed something there.
    pub made_by: BTreeSet<u16>,
}

/// What is at a path, after all links are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Was {
    /// Nothing.
    Absent,
    /// A file.
    File(Mark),
    /// A directory.
    Directory,
    /// A device, a pipe or a socket.
    Other,
}

/// Identifies a file until it is written again: device, inode, size, and the times of modification and change in
/// nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Mark(pub u64, pub u64, pub u64, pub i64, pub i64);

impl Mark {
    /// The mark of a file.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let time = |seconds: i64, nanoseconds: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds);
        let (modified, changed) =
            (time(metadata.mtime(), metadata.mtime_nsec()), time(metadata.ctime(), metadata.ctime_nsec()));
        Self(metadata.dev(), metadata.ino(), metadata.len(), modified, changed)
    }

    /// The mark of a file.
    #[cfg(not(unix))]
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        Self(0, 0, metadata.len(), modified.map_or(0, |since| since.as_nanos() as i64), 0)
    }
}

impl Mark {
    /// Whether the file was changed so long ago that another change would give it another mark.
    pub fn is_reliable(self) -> bool {
        const LONG: i64 = 2_000_000_000;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as i64 - self.3.max(self.4) > LONG
    }
}

impl Was {
    /// Whether the same is still at a path, and nothing has been written there since.
    pub fn is_still(self, path: &std::path::Path) -> bool {
        let is_nothing = || path.symlink_metadata().is_err();
        Self::now(path) == self && (self != Self::Absent || is_nothing())
    }

    /// What is at a path now.
    pub fn now(path: &std::path::Path) -> Self {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Self::File(Mark::of(&metadata)),
            Ok(metadata) if metadata.is_dir() => Self::Directory,
            Ok(_) => Self::Other,
            Err(_) => Self::Absent,
        }
    }
}

/// One way to use a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Use {
    /// Ask whether something is there, and for its properties.
    Look = 1,
    /// Read it as a link.
    LookAtLink = 2,
    /// Read its content.
    Read = 4,
    /// List the names in it.
    List = 8,
    /// Start it.
    Start = 16,
    /// Create, change or remove something there.
    Make = 32,
}

/// A set of uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Uses(u8);

impl Uses {
    /// Whether it contains this use.
    pub fn has(self, one: Use) -> bool {
        self.0 & one as u8 != 0
    }

    /// Adds a use, and returns whether it is new.
    pub fn add(&mut self, one: Use) -> bool {
        let is_new = !self.has(one);
        self.0 |= one as u8;
        is_new
    }
}

/// Something that could not be observed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// A path that could not be read from memory, or is not UTF-8.
    Path,
    /// A request to another process, on this machine or another one.
    Socket,
    /// Requests to the kernel through io_uring.
    IoUring,
    /// Files that were opened by a handle instead of a path.
    FileHandle,
    /// Mounts or a root directory of its own.
    Namespace,
    /// A program for another processor.
    Architecture,
    /// The state of the machine or of processes (`/proc`, `/sys`).
    Machine,
    /// A file that changed during the observation.
    Changed,
    /// All variables at once.
    Environment,
    /// The clock.
    Clock,
    /// A process that was killed while it wrote a note.
    Lost,
    /// A program that runs as another user (set-user-ID or set-group-ID).
    Identity,
    /// A file that was left where other programs can find it.
    Made,
}

impl Unknown {
    /// A few words that complete "it …".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Path => "uses a path that is not UTF-8",
            Self::Socket => "communicates with another process over a socket",
            Self::IoUring => "reads files through io_uring",
            Self::FileHandle => "opens files without using their paths",
            Self::Namespace => "changes its view of the file system",
            Self::Architecture => "starts a program for another processor",
            Self::Machine => "reads the state of the machine",
            Self::Changed => "reads a file that changed meanwhile",
            Self::Environment => "reads all variables",
            Self::Clock => "asks for the time",
            Self::Lost => "was killed while it was observed",
            Self::Made => "leaves files where other programs can find them",
            Self::Identity => "starts a program that runs as another user",
        }
    }
}

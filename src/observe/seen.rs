//! What was seen: paths, what was there when they were asked for first, and what was done with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;

use serde::{Deserialize, Serialize};

/// What a command and all that it started looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Absolute paths, and what was done with them.
    pub paths: BTreeMap<String, Access>,
    /// The programs that did it, by their paths.
    pub programs: Vec<String>,
    /// What could not be seen.
    pub unknown: BTreeSet<Unknown>,
    /// How many accesses were noted by the library.
    pub noted: u64,
    /// At how many calls something was stopped.
    pub stopped: u64,
    /// It could not become anybody else, as it is allowed to: who needs that has failed.
    pub is_confined: bool,
}

impl Seen {
    /// Whether something could not become what it is meant to: then it may have failed because it was seen.
    pub fn is_hindered(&self) -> bool {
        self.is_confined && self.unknown.contains(&Unknown::Identity)
    }
}

/// What was done with a path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Access {
    /// What was there when it was asked for first.
    pub was: Was,
    /// What it was asked for.
    pub uses: Uses,
    /// By whom it was read: places in [`Seen::programs`].
    pub by: BTreeSet<u16>,
    /// By whom something was put there, or taken away.
    pub made_by: BTreeSet<u16>,
}

/// What is at a path, at the end of all links.
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

/// What tells whether a file was written again: device, inode, size, and when it was modified and changed, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Mark(pub u64, pub u64, pub u64, pub i64, pub i64);

impl Mark {
    /// Of a file.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let time = |seconds: i64, nanoseconds: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds);
        let (modified, changed) =
            (time(metadata.mtime(), metadata.mtime_nsec()), time(metadata.ctime(), metadata.ctime_nsec()));
        Self(metadata.dev(), metadata.ino(), metadata.len(), modified, changed)
    }

    /// Of a file.
    #[cfg(not(unix))]
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        Self(0, 0, metadata.len(), modified.map_or(0, |since| since.as_nanos() as i64), 0)
    }
}

impl Mark {
    /// Whether it was changed long enough ago that it would be another one after the next time.
    pub fn is_reliable(self) -> bool {
        const LONG: i64 = 2_000_000_000;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as i64 - self.3.max(self.4) > LONG
    }
}

impl Was {
    /// Whether it is still what is at a path: nobody has written there since.
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

/// What a path is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Use {
    /// Whether something is there, and how it is.
    Look = 1,
    /// Where it leads, as a link.
    LookAtLink = 2,
    /// What is in it.
    Read = 4,
    /// The names in it.
    List = 8,
    /// To be started.
    Start = 16,
    /// To put something there, or to take it away.
    Make = 32,
}

/// A set of uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Uses(u8);

impl Uses {
    /// Whether one is in it.
    pub fn has(self, one: Use) -> bool {
        self.0 & one as u8 != 0
    }

    /// Adds one; false where it was in it.
    pub fn add(&mut self, one: Use) -> bool {
        let is_new = !self.has(one);
        self.0 |= one as u8;
        is_new
    }
}

/// What could not be seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// A path in memory that could not be read, or is no text.
    Path,
    /// What another process was asked for, on this machine or another one.
    Socket,
    /// What the kernel was asked for beside its calls.
    IoUring,
    /// Files that have no path.
    FileHandle,
    /// A file system of its own.
    Namespace,
    /// A program for another processor.
    Architecture,
    /// What can be read of the machine and of processes (`/proc`).
    Machine,
    /// A file that was changed by what was seen, or while it was.
    Changed,
    /// All variables at once.
    Environment,
    /// The clock.
    Clock,
    /// Something that was ended while it noted what it looked at.
    Lost,
    /// A program that becomes another user.
    Identity,
    /// Something that was put where others can find it.
    Made,
}

impl Unknown {
    /// In a few words, as the end of "it …".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Path => "uses a path that is no text",
            Self::Socket => "asks another process over a socket",
            Self::IoUring => "reads files by io_uring",
            Self::FileHandle => "opens files that have no path",
            Self::Namespace => "has a file system of its own",
            Self::Architecture => "starts a program for another processor",
            Self::Machine => "asks for the state of the machine",
            Self::Changed => "reads a file that was changed meanwhile",
            Self::Environment => "reads all variables",
            Self::Clock => "asks for the time",
            Self::Lost => "is ended while it is observed",
            Self::Made => "writes where others can find it",
            Self::Identity => "starts a program that becomes another user",
        }
    }
}

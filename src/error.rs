//! Errors, with the path or key concerned, and hints about what to do next.
//!
//! Messages are lower-case fragments without a full stop. None of these errors ends a build: the session prints a
//! warning line and goes on without what failed.

use std::io;
use std::path::{Path, PathBuf};

/// The result of the library's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of the library.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file-system call failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The verb: `read`, `write`, `create` …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A stored object is damaged.
    #[error("{object} is corrupt: {reason}")]
    Corrupt {
        /// The object's name in the store.
        object: String,
        /// What does not fit.
        reason: String,
    },
    /// A setting has a value that cannot be used.
    #[error("invalid setting {name}: {reason}")]
    Config {
        /// The setting or file.
        name: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// Cargo, or a program that cargo would run, returned no usable output.
    #[error("`{command}` failed: {reason}")]
    Command {
        /// The command line, shortened.
        command: String,
        /// Its first error line, or what was wrong with its output.
        reason: String,
    },
    /// The remote store returned an error.
    #[error("{remote}: {message}")]
    Remote {
        /// The remote's URL.
        remote: String,
        /// The server's own words.
        message: String,
        /// Whether a retry may succeed.
        temporary: bool,
    },
}

impl Error {
    /// Wraps an [`io::Error`] with a verb and the path it concerns.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// A [`Error::Corrupt`].
    pub fn corrupt(object: impl Into<String>, reason: impl ToString) -> Self {
        Self::Corrupt { object: object.into(), reason: reason.to_string() }
    }

    /// What the user can do about it, if anything. `store` is the directory of the local store, the only one that a
    /// setting can move; empty if it is not known.
    pub fn hint(&self, store: &Path) -> Option<&'static str> {
        let Self::Io { source, path, .. } = self else {
            let is_setting = matches!(self, Self::Config { .. });
            return is_setting.then_some("`cargo xcache --help` lists every setting and its values");
        };
        let is_in_store = !store.as_os_str().is_empty() && path.starts_with(store);
        match (source.kind(), is_in_store) {
            (io::ErrorKind::StorageFull, true) => {
                Some("free some space, or set XCACHE_DIR to a directory on another disk")
            }
            (io::ErrorKind::StorageFull, false) => Some("free some space on the disk that this is on"),
            (io::ErrorKind::PermissionDenied, true) => Some("set XCACHE_DIR to a directory that you may write to"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_is_to_move_the_store_only_if_the_error_is_in_the_store() {
        let hint = |path: &str, kind: io::ErrorKind| Error::io("write", path)(kind.into()).hint(Path::new("/cache"));
        let is_about_the_store = |hint: Option<&str>| hint.is_some_and(|hint| hint.contains("XCACHE_DIR"));
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::PermissionDenied] {
            assert!(is_about_the_store(hint("/cache/v1/tmp/x", kind)), "{kind}");
            assert!(!is_about_the_store(hint("/build/target/debug/deps/x", kind)), "{kind}");
        }
        assert!(hint("/build/target/debug", io::ErrorKind::StorageFull).unwrap().contains("free some space"));
        assert_eq!(hint("/cache/v1", io::ErrorKind::NotFound), None);
        let denied = Error::io("read", "/etc/settings")(io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.hint(Path::new("")), None);
    }
}

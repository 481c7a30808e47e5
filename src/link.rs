//! This binary under another name, in a directory of its own.
//!
//! A process behaves according to the name that it was started by: through a [`Link`], it is the rustc wrapper, or the
//! `cargo` of `cargo xcache exec`. The directory contains only the link and its owner's files, and is removed with it.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, Result};

/// A directory with a link to this binary under another name.
#[derive(Debug)]
pub struct Link {
    directory: TempDir,
    program: PathBuf,
}

impl Link {
    /// Creates the directory and the link. `name` is without the system's suffix for programs.
    pub fn new(executable: &Path, name: &str) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("xcache-")
            .tempdir()
            .map_err(Error::io("create a directory in", std::env::temp_dir()))?;
        let program = directory.path().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        link(executable, &program).map_err(Error::io("create", &program))?;
        Ok(Self { directory, program })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The path of the link.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// Creates `link` as another path of a program.
#[cfg(unix)]
pub(crate) fn link(executable: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(executable, link)
}

/// Creates `link` as another path of a program.
#[cfg(not(unix))]
pub(crate) fn link(executable: &Path, link: &Path) -> io::Result<()> {
    std::fs::hard_link(executable, link).or_else(|_| std::fs::copy(executable, link).map(drop))
}

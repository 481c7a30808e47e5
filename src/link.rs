//! This binary under another name, in a directory of its own.
//!
//! What a process is depends on the name it was started by: under that of [`Link`] it is the rustc wrapper, or the `cargo`
//! of `cargo xcache exec`. The directory has nothing in it but the link and what its user puts there, and goes with it.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, Result};

/// A directory with this binary in it, under another name.
#[derive(Debug)]
pub struct Link {
    directory: TempDir,
    program: PathBuf,
}

impl Link {
    /// Makes the directory and the link; `name` is without the system's suffix for programs.
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

    /// The path of this binary in it.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// Makes `link` the same program.
#[cfg(unix)]
pub(crate) fn link(executable: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(executable, link)
}

/// Makes `link` the same program.
#[cfg(not(unix))]
pub(crate) fn link(executable: &Path, link: &Path) -> io::Result<()> {
    std::fs::hard_link(executable, link).or_else(|_| std::fs::copy(executable, link).map(drop))
}

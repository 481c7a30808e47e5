//! What CI services are told at the end of a session, in the way each of them wants it.
//!
//! | service | known by | what it gets |
//! |---|---|---|
//! | GitHub, and who does as it does | `GITHUB_STEP_SUMMARY` | some lines of Markdown at the end of that file |
//! | GitLab | `GITLAB_CI` | `<target-dir>/xcache/metrics.txt`, for `artifacts:reports:metrics` |

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::write_atomic;
use crate::report::Report;
use crate::report::markdown::markdown;
use crate::report::metrics::metrics;

/// Which services listen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Services {
    /// `GITHUB_STEP_SUMMARY`: a file.
    pub step_summary: Option<PathBuf>,
    /// `GITLAB_CI`.
    pub is_gitlab: bool,
}

impl Services {
    /// Tells them. A session that had nothing to do is one line, and leaves the metrics of the one before.
    pub fn publish(&self, report: &Report, target_dir: Option<&Path>) -> Result<()> {
        if let Some(target_dir) = target_dir.filter(|_| self.is_gitlab && !report.had_nothing_to_do()) {
            write_atomic(&target_dir.join("xcache").join("metrics.txt"), metrics(report).as_bytes())?;
        }
        self.step_summary.as_deref().map_or(Ok(()), |path| append(path, &markdown(report)))
    }
}

/// By one call, so that sessions side by side do not tear each other's lines.
fn append(path: &Path, text: &str) -> Result<()> {
    let written = File::options().append(true).create(true).open(path);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Error::io("write to", path))
}

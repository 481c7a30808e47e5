//! Publishes the result of a session for CI services, in the form that each expects.
//!
//! | service | detected by | output |
//! |---|---|---|
//! | GitHub, and compatible services | `GITHUB_STEP_SUMMARY` | Markdown, appended to that file |
//! | GitLab | `GITLAB_CI` | `<target-dir>/xcache/metrics.txt`, for `artifacts:reports:metrics` |

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::write_atomic;
use crate::report::Report;
use crate::report::markdown::markdown;
use crate::report::metrics::metrics;

/// The CI services that this session runs for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Services {
    /// The file in `GITHUB_STEP_SUMMARY`.
    pub step_summary: Option<PathBuf>,
    /// Whether `GITLAB_CI` is set.
    pub is_gitlab: bool,
}

impl Services {
    /// Writes the output for each service. A no-op session adds one line to the summary and keeps the metrics of the
    /// session before.
    pub fn publish(&self, report: &Report, target_dir: Option<&Path>) -> Result<()> {
        if let Some(target_dir) = target_dir.filter(|_| self.is_gitlab && !report.had_nothing_to_do()) {
            write_atomic(&target_dir.join("xcache").join("metrics.txt"), metrics(report).as_bytes())?;
        }
        self.step_summary.as_deref().map_or(Ok(()), |path| append(path, &markdown(report)))
    }
}

/// Appends with a single call, so that parallel sessions do not mix their lines.
fn append(path: &Path, text: &str) -> Result<()> {
    let written = File::options().append(true).create(true).open(path);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Error::io("write to", path))
}

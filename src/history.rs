//! The history of a target directory: its last report and earlier ones.
//!
//! ```text
//! <target-dir>/xcache/
//! ├── report.json                            the last one; a link where links exist
//! └── reports/20260504T101112345Z-4711.json  the last 20, named by start and process
//! ```
//!
//! A [`LastBuild`] keeps the data that an explanation needs beyond the last report.
//!
//! The last report is a link, because some file systems write a file to disk immediately when it replaces another, and
//! the build would wait.
//!
//! **Invariants.** Each file is written whole or not at all, by one process, under a unique name, so parallel sessions
//! need no lock. A report that cannot be read or has another version counts as absent.

mod last_build;

#[cfg(unix)]
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use tempfile::Builder;

pub use self::last_build::LastBuild;
use crate::error::{Error, Result};
use crate::event::session_name;
use crate::fs::{children, read_optional, remove_file, write_atomic};
use crate::report::{Report, SCHEMA_VERSION};

const REPORTS: &str = "reports";

/// The number of reports that are kept.
pub const KEPT: usize = 20;

/// The reports of one target directory.
#[derive(Clone, Debug)]
pub struct History {
    directory: PathBuf,
}

impl History {
    /// The history of this target directory, which may have none yet.
    pub fn of(target_dir: &Path) -> Self {
        Self { directory: target_dir.join("xcache") }
    }

    /// The path of the last report.
    pub fn newest(&self) -> PathBuf {
        self.directory.join("report.json")
    }

    /// Adds a report, and removes the oldest ones.
    pub fn keep(&self, report: &Report) -> Result<()> {
        let json = serde_json::to_vec(report).expect("a report is plain data");
        let name = format!("{}.json", session_name(report.started));
        write_atomic(&self.reports().join(&name), &json)?;
        if self.link_newest(&name).is_err() {
            write_atomic(&self.newest(), &json)?;
        }
        self.newest_first()?.iter().skip(KEPT).try_for_each(|path| remove_file(path))
    }

    #[cfg(unix)]
    fn link_newest(&self, name: &str) -> Result<()> {
        let target = Path::new(REPORTS).join(name);
        let link = Builder::new().prefix(".xcache-").make_in(&self.directory, |path| symlink(&target, path));
        let newest = self.newest();
        link.map_err(Error::io("create a link in", &self.directory))?
            .into_temp_path()
            .persist(&newest)
            .map_err(|error| Error::io("rename a link to", &newest)(error.error))
    }

    #[cfg(not(unix))]
    fn link_newest(&self, _: &str) -> Result<()> {
        Err(Error::io("create a link in", &self.directory)(std::io::ErrorKind::Unsupported.into()))
    }

    /// The last reports, the newest first.
    pub fn last(&self, count: usize) -> Result<Vec<Report>> {
        let reports = self.newest_first()?.into_iter().filter_map(|path| read_report(&path).ok().flatten());
        Ok(reports.take(count).collect())
    }

    fn reports(&self) -> PathBuf {
        self.directory.join(REPORTS)
    }

    /// The paths of all reports, without temporary files of other sessions.
    fn newest_first(&self) -> Result<Vec<PathBuf>> {
        let mut paths = children(&self.reports())?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort_unstable_by(|one, other| other.cmp(one));
        Ok(paths)
    }
}

/// The report in a file. Absent if there is no file, or if it is not a report of this version.
pub fn read_report(path: &Path) -> Result<Option<Report>> {
    let report = read_optional(path)?.and_then(|json| serde_json::from_slice::<Report>(&json).ok());
    Ok(report.filter(|report| report.schema_version == SCHEMA_VERSION))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::{SignedDuration, Timestamp};

    use super::*;

    fn report(second: i64) -> Report {
        let started = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        let command = vec![second.to_string()];
        Report { schema_version: SCHEMA_VERSION, started: Some(started), command, ..Report::default() }
    }

    fn commands(history: &History, count: usize) -> Vec<String> {
        history.last(count).unwrap().into_iter().flat_map(|report| report.command).collect()
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_are_removed() {
        let target = tempfile::tempdir().unwrap();
        let history = History::of(target.path());
        for second in 0..KEPT as i64 + 5 {
            history.keep(&report(second)).unwrap();
        }
        assert_eq!(fs::read_dir(history.reports()).unwrap().count(), KEPT);
        assert_eq!(commands(&history, 3), ["24", "23", "22"]);
        assert_eq!(commands(&history, usize::MAX).last().unwrap(), "5");
        assert_eq!(read_report(&history.newest()).unwrap(), Some(report(24)));
    }

    #[test]
    #[cfg(unix)]
    fn the_last_report_is_a_link_that_survives_a_move() {
        let target = tempfile::tempdir().unwrap();
        let history = History::of(&target.path().join("before"));
        fs::create_dir_all(target.path().join("before/xcache/report.json")).unwrap();
        assert!(history.keep(&report(1)).is_err());
        fs::remove_dir(history.newest()).unwrap();
        history.keep(&report(2)).unwrap();
        assert!(history.newest().is_symlink());
        fs::rename(target.path().join("before"), target.path().join("after")).unwrap();
        let history = History::of(&target.path().join("after"));
        assert_eq!(read_report(&history.newest()).unwrap(), Some(report(2)));
        let files = fs::read_dir(target.path().join("after/xcache")).unwrap().count();
        assert_eq!(files, 2, "no temporary file is left");
    }

    #[test]
    fn files_that_are_not_reports_are_skipped() {
        let target = tempfile::tempdir().unwrap();
        let history = History::of(target.path());
        history.keep(&report(1)).unwrap();
        history.keep(&Report { schema_version: SCHEMA_VERSION + 1, ..report(2) }).unwrap();
        fs::write(history.reports().join("30.json"), "{").unwrap();
        fs::write(history.reports().join(".xcache-new"), "").unwrap();
        assert_eq!(commands(&history, 10), ["1"]);
    }

    #[test]
    fn without_a_build_there_is_no_report() {
        let target = tempfile::tempdir().unwrap();
        let history = History::of(target.path());
        assert_eq!(history.last(10).unwrap(), []);
        assert_eq!(read_report(&history.newest()).unwrap(), None);
        assert!(!target.path().join("xcache").exists());
    }
}

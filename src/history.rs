//! The reports of a target directory: the last one, and those before it.
//!
//! ```text
//! <target-dir>/xcache/
//! ├── report.json                            the last one: where there are links, a link to it
//! └── reports/20260504T101112345Z-4711.json  the last 20, by when they began and in which process
//! ```
//!
//! A [`LastBuild`] keeps what an explanation needs beyond the last report.
//!
//! A link, since a file system may write a file to the disk at once when it replaces another one, and the build waits.
//!
//! **Invariants.** Each file is written whole or not at all, by one process, under a name that no other has; so sessions
//! that run side by side need no lock. A report that cannot be read, or is of another version, is one that is not there.

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

/// How many reports are kept.
pub const KEPT: usize = 20;

/// Where the reports of one target directory are.
#[derive(Clone, Debug)]
pub struct History {
    directory: PathBuf,
}

impl History {
    /// Of this target directory, in which there need not be any.
    pub fn of(target_dir: &Path) -> Self {
        Self { directory: target_dir.join("xcache") }
    }

    /// Where the last report is.
    pub fn newest(&self) -> PathBuf {
        self.directory.join("report.json")
    }

    /// Adds a report, and removes those that are too old.
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

    /// Temporary files of other sessions are none.
    fn newest_first(&self) -> Result<Vec<PathBuf>> {
        let mut paths = children(&self.reports())?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort_unstable_by(|one, other| other.cmp(one));
        Ok(paths)
    }
}

/// The report in a file; nothing where there is no file, or none of this version in it.
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
        Report { started: Some(started), command: vec![second.to_string()], ..Report::default() }
    }

    fn commands(history: &History, count: usize) -> Vec<String> {
        history.last(count).unwrap().into_iter().flat_map(|report| report.command).collect()
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_go() {
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
    fn the_last_report_is_a_link_that_can_be_moved_and_where_that_cannot_be_a_file() {
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
        assert_eq!(files, 2, "nothing temporary is left");
    }

    #[test]
    fn what_is_no_report_is_passed_over() {
        let target = tempfile::tempdir().unwrap();
        let history = History::of(target.path());
        history.keep(&report(1)).unwrap();
        history.keep(&Report { schema_version: SCHEMA_VERSION + 1, ..report(2) }).unwrap();
        fs::write(history.reports().join("30.json"), "{").unwrap();
        fs::write(history.reports().join(".xcache-new"), "").unwrap();
        assert_eq!(commands(&history, 10), ["1"]);
    }

    #[test]
    fn where_nothing_was_built_there_is_no_report() {
        let target = tempfile::tempdir().unwrap();
        let history = History::of(target.path());
        assert_eq!(history.last(10).unwrap(), []);
        assert_eq!(read_report(&history.newest()).unwrap(), None);
        assert!(!target.path().join("xcache").exists());
    }
}

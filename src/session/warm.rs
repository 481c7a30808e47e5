//! Dependencies without members: a build that stops where members begin.
//!
//! This is a session like any other, except that members are neither planned nor compiled ([`crate::wrapper`] answers
//! cargo in rustc's place), and that it can end before cargo starts. Afterwards every time in the build directory is a
//! whole second. Layers of images keep no fractions, and if they were cut off later, a unit could become older than its
//! inputs.
//!
//! **Invariant.** If members cannot be skipped, nothing is compiled.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::Utf8PathBuf;
use tempfile::TempDir;

use super::planning::Prepared;
use super::{Ended, Session};
use crate::error::{Error, Result};
use crate::hydrate::Hydrated;
use crate::store::LocalStore;
use crate::wrapper::PlannedBuild;

/// How far the clock of file systems may lag behind.
const CLOCK_LAG: Duration = Duration::from_millis(20);

/// How far to prepare dependencies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Warm {
    /// Bring sources and cached units to this machine.
    Fetch,
    /// Also place cached units in the build directory.
    Place,
    /// Also compile the rest.
    Compile,
}

impl Session<'_> {
    /// Ends a session without starting cargo, which cannot skip members without the cache. Returns the exit code of a
    /// cargo that fails.
    pub(super) fn refuse(&self, error: &Error) -> i32 {
        self.log.warn(format!("no dependencies are built: {error}"));
        101
    }

    /// Brings cached units to this machine.
    pub(super) fn fetch(&self, prepared: Prepared) -> Ended {
        let Prepared { context, stores, teardown } = prepared;
        self.wait_for_prefetch(&stores);
        Ended::with_plan(0, PlannedBuild { context, stores, hydrated: Hydrated::default() }, teardown)
    }

    /// Places cached units in the build directory.
    pub(super) fn place(&self, prepared: Prepared) -> Ended {
        let Prepared { context, stores, teardown } = prepared;
        let locks = self.lock(&context);
        Ended::with_plan(0, self.hydrate_until_fetched(context, stores, locks), teardown)
    }
}

/// A store that is removed with the session. A layer is useful without a store that outlives it.
pub(super) fn temporary_store() -> Result<(LocalStore, TempDir)> {
    let directory = tempfile::tempdir().map_err(Error::io("create a directory in", std::env::temp_dir()))?;
    Ok((LocalStore::open(directory.path())?, directory))
}

/// Truncates the times in the profile directories to whole seconds.
pub(super) struct WholeSeconds {
    profiles: Vec<Utf8PathBuf>,
    /// Files that are older keep their time.
    since: SystemTime,
}

impl WholeSeconds {
    /// If there are earlier builds, waits for the next second, so that everything written from now on belongs to a
    /// later second than those builds.
    pub(super) fn begin(profiles: Vec<Utf8PathBuf>) -> Self {
        if !profiles.iter().any(|profile| profile.exists()) {
            return Self { profiles, since: UNIX_EPOCH };
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let next = Duration::from_secs(now.as_secs() + 1);
        thread::sleep(next.saturating_sub(now) + CLOCK_LAG);
        Self { profiles, since: UNIX_EPOCH + next }
    }

    /// Cuts off fractions of seconds. This keeps the order of times, so fresh units stay fresh.
    pub(super) fn truncate(self) {
        self.profiles.iter().for_each(|profile| truncate_below(profile.as_std_path(), self.since));
    }
}

fn truncate_below(directory: &Path, since: SystemTime) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => truncate_below(&entry.path(), since),
            Ok(kind) if kind.is_file() => truncate_time(&entry.path(), since),
            _ => {}
        }
    }
    truncate_time(directory, since);
}

/// Truncates the time of a file or directory. If that fails, the time stays: at worst, cargo builds a unit again.
fn truncate_time(path: &Path, since: SystemTime) {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok().filter(|time| *time >= since);
    let Some(whole) = modified.and_then(whole_seconds) else { return };
    if let Err(error) = File::open(path).and_then(|file| file.set_modified(whole)) {
        tracing::debug!(path = %path.display(), %error, "the time was not truncated");
    }
}

/// The start of the time's second, unless the time is a whole second already.
fn whole_seconds(time: SystemTime) -> Option<SystemTime> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    (since.subsec_nanos() != 0).then(|| UNIX_EPOCH + Duration::from_secs(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_files_lose_fractions_of_seconds() {
        let directory = tempfile::tempdir().unwrap();
        let times = [1_000_100, 1_000_900, 2_000_000].map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
        let path = |index: usize| directory.path().join("sub").join(index.to_string());
        fs::create_dir(directory.path().join("sub")).unwrap();
        for (index, time) in times.iter().enumerate() {
            File::create(path(index)).and_then(|file| file.set_modified(*time)).unwrap();
        }
        truncate_below(directory.path(), UNIX_EPOCH + Duration::from_millis(1_000_500));
        let modified = |index| fs::metadata(path(index)).unwrap().modified().unwrap();
        assert_eq!(modified(0), times[0], "an older file keeps its time");
        assert_eq!([1, 2].map(modified), [1000, 2000].map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)));
    }
}

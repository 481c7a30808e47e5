//! Dependencies without what depends on them: a build that stops where members begin.
//!
//! It is a session like any other, but that members are neither planned for nor compiled ([`crate::wrapper`] answers cargo
//! in rustc's place), and that it can end before cargo is started. Afterwards every time in the build directory is a whole
//! second: layers of images keep no more, and what is cut off later may make a unit older than what it was made from.
//!
//! **Invariant.** Where members cannot be left out, nothing is compiled.

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

/// The clock that file systems go by is behind by as much as this.
const CLOCK: Duration = Duration::from_millis(20);

/// How far dependencies are made ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Warm {
    /// Sources, and what the cache has, are on this machine.
    Fetch,
    /// What the cache has is in the build directory.
    Place,
    /// All of them are in the build directory.
    Compile,
}

impl Session<'_> {
    /// Cargo without the cache does not know how to leave members out. The exit code is that of a cargo that fails.
    pub(super) fn refuse(&self, error: &Error) -> i32 {
        self.log.warn(format!("no dependencies are built: {error}"));
        101
    }

    /// What the cache has, to this machine.
    pub(super) fn fetch(&self, prepared: Prepared) -> Ended {
        let Prepared { context, stores, teardown } = prepared;
        self.wait_for_prefetch(&stores);
        Ended::with_plan(0, PlannedBuild { context, stores, hydrated: Hydrated::default() }, teardown)
    }

    /// What the cache has, to the build directory.
    pub(super) fn place(&self, prepared: Prepared) -> Ended {
        let Prepared { context, stores, teardown } = prepared;
        let locks = self.lock(&context);
        Ended::with_plan(0, self.hydrate_until_fetched(context, stores, locks), teardown)
    }
}

/// A store that ends with the session: a layer is worth something without one that outlives it.
pub(super) fn temporary_store() -> Result<(LocalStore, TempDir)> {
    let directory = tempfile::tempdir().map_err(Error::io("create a directory in", std::env::temp_dir()))?;
    Ok((LocalStore::open(directory.path())?, directory))
}

/// The directories of profiles, in which every time is a whole second afterwards.
pub(super) struct WholeSeconds {
    profiles: Vec<Utf8PathBuf>,
    /// What is older stays as it is.
    since: SystemTime,
}

impl WholeSeconds {
    /// Waits where somebody has built here until everything that is written from now on is of a later second than that.
    pub(super) fn begin(profiles: Vec<Utf8PathBuf>) -> Self {
        if !profiles.iter().any(|profile| profile.exists()) {
            return Self { profiles, since: UNIX_EPOCH };
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let next = Duration::from_secs(now.as_secs() + 1);
        thread::sleep(next.saturating_sub(now) + CLOCK);
        Self { profiles, since: UNIX_EPOCH + next }
    }

    /// Cuts off parts of seconds. That keeps the order of times, so what was fresh is fresh.
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

/// What cannot be changed keeps its time: at worst cargo builds something once more.
fn truncate_time(path: &Path, since: SystemTime) {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok().filter(|time| *time >= since);
    let Some(whole) = modified.and_then(whole_seconds) else { return };
    if let Err(error) = File::open(path).and_then(|file| file.set_modified(whole)) {
        tracing::debug!(path = %path.display(), %error, "its time was not changed");
    }
}

/// The whole second before, where it is not one already.
fn whole_seconds(time: SystemTime) -> Option<SystemTime> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    (since.subsec_nanos() != 0).then(|| UNIX_EPOCH + Duration::from_secs(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_seconds_are_cut_off_of_what_is_young() {
        let directory = tempfile::tempdir().unwrap();
        let times = [1_000_100, 1_000_900, 2_000_000].map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
        let path = |index: usize| directory.path().join("sub").join(index.to_string());
        fs::create_dir(directory.path().join("sub")).unwrap();
        for (index, time) in times.iter().enumerate() {
            File::create(path(index)).and_then(|file| file.set_modified(*time)).unwrap();
        }
        truncate_below(directory.path(), UNIX_EPOCH + Duration::from_millis(1_000_500));
        let modified = |index| fs::metadata(path(index)).unwrap().modified().unwrap();
        assert_eq!(modified(0), times[0], "it is older");
        assert_eq!([1, 2].map(modified), [1000, 2000].map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)));
    }
}

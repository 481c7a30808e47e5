//! What build scripts have looked at, until somebody asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use camino::{Utf8Path, Utf8PathBuf};

use crate::observe;

/// By `OUT_DIR`: a script may run before anybody knows what it is of.
#[derive(Debug, Default)]
pub(super) struct ScriptObservations {
    of_runs: Mutex<BTreeMap<Utf8PathBuf, ScriptObservation>>,
}

/// The environment that a script had, and what it looked at.
pub(super) type ScriptObservation = (BTreeMap<String, String>, observe::Result);

impl ScriptObservations {
    fn of_runs(&self) -> MutexGuard<'_, BTreeMap<Utf8PathBuf, ScriptObservation>> {
        self.of_runs.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Of the run that has just ended.
    pub(super) fn note(&self, out_dir: Utf8PathBuf, look: ScriptObservation) {
        self.of_runs().insert(out_dir, look);
    }

    /// What was seen of a run; nothing where it was not observed.
    pub(super) fn take(&self, out_dir: &Utf8Path) -> Option<ScriptObservation> {
        self.of_runs().remove(out_dir)
    }
}

//! Observations of build scripts, kept until their runs are recorded.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use camino::{Utf8Path, Utf8PathBuf};

use crate::observe;

/// By `OUT_DIR`: a script may run before its unit is known.
#[derive(Debug, Default)]
pub(super) struct ScriptObservations {
    by_out_dir: Mutex<BTreeMap<Utf8PathBuf, ScriptObservation>>,
}

/// The environment of a script, and its observation.
pub(super) type ScriptObservation = (BTreeMap<String, String>, observe::Result);

impl ScriptObservations {
    fn by_out_dir(&self) -> MutexGuard<'_, BTreeMap<Utf8PathBuf, ScriptObservation>> {
        self.by_out_dir.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Keeps the observation of a run that has just ended.
    pub(super) fn note(&self, out_dir: Utf8PathBuf, observation: ScriptObservation) {
        self.by_out_dir().insert(out_dir, observation);
    }

    /// Removes and returns the observation of a run.
    pub(super) fn take(&self, out_dir: &Utf8Path) -> Option<ScriptObservation> {
        self.by_out_dir().remove(out_dir)
    }
}

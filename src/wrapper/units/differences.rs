//! In what an entry does not fit: for the decision, and for whoever asks about it later.

use std::sync::Arc;

use super::{Call, Services, Units};
use crate::entry::Entry;
use crate::event::{Difference, EventKind, MissReason, UnitId};
use crate::wrapper::restore::other_paths;

impl Units {
    /// What nothing else tells and is not as it was then: what a member's package holds, what the package's build
    /// script has made, and native code that is linked. The packages of others are fixed by a checksum.
    pub(super) fn changed_since(&self, id: UnitId, entry: &Entry, call: &Call) -> Option<Difference> {
        let Services { plan, contents, .. } = &*self.services;
        let unit = plan.unit(id);
        let planned = |content| contents.package(&unit.package_dir).is_ok_and(|now| now.digest == content);
        match () {
            () if !unit.external && !unit.content.is_some_and(planned) => Some(Difference::Content),
            // Macros read what it has set and generated, and tell nobody.
            () if self.scripts.script_output_if_any(id, call) != Some(entry.constraints.script) => {
                Some(Difference::Script)
            }
            () if !self.is_linked_with(id, call, entry) => Some(Difference::Linked),
            () => None,
        }
    }
}

impl Services {
    /// Records in what the entry of a unit does not fit.
    pub(in crate::wrapper) fn record_differences(
        &self,
        unit: UnitId,
        differences: impl IntoIterator<Item = Difference>,
    ) {
        let events = differences.into_iter().map(|difference| EventKind::Differs { unit, difference });
        events.for_each(|event| self.log.record(event));
    }

    /// Says whose paths are in an entry that was not even looked at because of them.
    pub(in crate::wrapper) fn record_path_differences(&self, id: UnitId, reason: MissReason) {
        let Self { plan, prefetch, roots, .. } = self;
        if reason == MissReason::PathBound
            && let Ok(key) = plan.unit(id).key
        {
            let entry = prefetch.known_entries().into_iter().find(|entry| entry.key == key);
            let entry = entry.or_else(|| self.store.entry(key).ok().flatten().map(Arc::new));
            self.record_differences(
                id,
                entry.map(|entry| other_paths(&entry.constraints.bound, roots)).unwrap_or_default(),
            );
        }
    }
}

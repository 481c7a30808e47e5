//! What has changed since an entry was made.

use super::{BuildContext, Call, Units};
use crate::entry::Entry;
use crate::event::{Difference, UnitId};

impl Units {
    /// What nothing else tells and is not as it was then: what a member's package holds, what the package's build
    /// script has made, and native code that is linked. The packages of others are fixed by a checksum.
    pub(super) fn changed_since(&self, id: UnitId, entry: &Entry, call: &Call) -> Option<Difference> {
        let BuildContext { plan, contents, .. } = &self.build.context;
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

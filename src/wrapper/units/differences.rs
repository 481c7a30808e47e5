//! Differences between an entry and what is here.

use super::{BuildContext, Call, Units};
use crate::entry::Entry;
use crate::event::{Difference, UnitId};

impl Units {
    /// A difference in what no other condition covers: the content of a member's package, the output of the package's
    /// build script, and linked native code. External packages are fixed by a checksum.
    pub(super) fn changed_since(&self, id: UnitId, entry: &Entry, call: &Call) -> Option<Difference> {
        let BuildContext { plan, contents, .. } = &self.build.context;
        let unit = plan.unit(id);
        let planned = |content| contents.package(&unit.package_dir).is_ok_and(|now| now.digest == content);
        match () {
            () if !unit.external && !unit.content.is_some_and(planned) => Some(Difference::Content),
            // Macros may read what the script has set and generated, and nothing records that.
            () if self.scripts.script_output_if_any(id, call) != Some(entry.constraints.script) => {
                Some(Difference::Script)
            }
            () if !self.is_linked_with(id, call, entry) => Some(Difference::Linked),
            () => None,
        }
    }
}

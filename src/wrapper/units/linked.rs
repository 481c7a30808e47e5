//! Records facts about a program or dynamic library that was just linked.

use super::{Call, Units};
use crate::cargo::GraphProfile;
use crate::event::{EventKind, LinkedProgram, UnitId};
use crate::rustc::outputs::Contents;
use crate::rustc::written;
use crate::wrapper::protocol::Finished;

impl Units {
    /// Reads only the file's section table, so this costs a fraction of the linking.
    pub(super) fn note_linked(&self, id: UnitId, call: &Call, finished: &Finished) {
        let unit = self.build.context.plan.unit(id);
        let path = written::linked(&call.invocation, &call.out_dir).filter(|_| unit.is_linked());
        let Some(Contents { bytes, debug_bytes, line_bytes, linker }) =
            path.and_then(|path| Contents::of(path.as_std_path()))
        else {
            return;
        };
        let (profile, full_debug) = (unit.profile.name.clone(), has_full_debug_info(&unit.profile));
        let linker_millis = finished.linker_millis;
        let program = LinkedProgram { linker_millis, linker, bytes, debug_bytes, line_bytes, profile, full_debug };
        self.build.stores.log.record(EventKind::Linked { unit: id, program });
    }
}

/// Whether a profile asks for full debug information. Cargo writes the level as a number, or as a name if it has no
/// number.
fn has_full_debug_info(profile: &GraphProfile) -> bool {
    let level = profile.fields.get("debuginfo");
    level.is_some_and(|level| level.as_u64() == Some(2) || level.as_str() == Some("full"))
}

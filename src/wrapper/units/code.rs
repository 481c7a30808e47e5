//! What was linked into procedural macros, for those who use them.
//!
//! The metadata of a macro tells what it was compiled from, and not which archives and objects of the machine a linker put
//! into it. So who is compiled with a macro has [its code](crate::entry::Entry::code) as a condition.
//!
//! **Invariant.** A macro is known by what its linker was seen to read, or else by its whole content; where neither is
//! known, nothing that uses it is recorded or restored.

use super::{Call, Units};
use crate::digest::Digest;
use crate::entry::FileKind;
use crate::event::UnitId;
use crate::wrapper::protocol::Finished;
use crate::wrapper::record::linked_output;

impl Units {
    /// Remembers what was linked into a macro just now. Cargo must not go on before. `finished` is of one that is recorded.
    pub(super) fn note_code(&self, id: UnitId, call: &Call, finished: Option<&Finished>) {
        if !self.services.plan.is_macro(id) {
            return;
        }
        let content = || Digest::of_file(linked_output(&call.invocation, &call.out_dir)?.as_std_path()).ok();
        let code = match finished.map(|finished| self.services.code_of(id, call, finished.looked.as_ref())) {
            Some(Ok(code)) => Some(code),
            Some(Err(_)) if self.services.here.trusts() => Some(None),
            _ => content().map(Some),
        };
        self.state().codes.extend(code.map(|code| (id, code)));
    }

    /// The same of a macro that was restored.
    pub(super) fn set_code(&self, id: UnitId, code: Option<Digest>) {
        if self.services.plan.is_macro(id) {
            self.state().codes.insert(id, code);
        }
    }

    /// What was linked into a macro that is there; nothing where that is not known.
    pub(super) fn code(&self, id: UnitId) -> Option<Option<Digest>> {
        let code = self.state().codes.get(&id).copied();
        code.or_else(|| self.code_of_placed(id))
    }

    /// Of one that was placed, or that has been there before and is the same.
    fn code_of_placed(&self, id: UnitId) -> Option<Option<Digest>> {
        let services = &self.services;
        let entry = services.prefetch.found(id)?;
        let is_same = || {
            let library = entry.files.iter().find(|file| file.kind == FileKind::Dylib)?;
            let directory = services.site().profile(services.plan.unit(id))?.join(&entry.fresh.as_ref()?.directory);
            Some(Digest::of_file(directory.join(&library.name).as_std_path()).ok()? == library.digest)
        };
        let is_there = services.hydrated.has(id) || is_same() == Some(true);
        if is_there {
            self.state().codes.insert(id, entry.code);
        }
        is_there.then_some(entry.code)
    }

    /// What comes into a unit besides crates, or into the macros that make it; nothing where that is not known.
    pub(super) fn linked_with(&self, id: UnitId, call: &Call) -> Option<Option<Digest>> {
        self.scripts.linked_with(id, call, |id| self.code(id))
    }
}

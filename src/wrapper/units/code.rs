//! What was linked into procedural macros and libraries, for those who use them.
//!
//! Their metadata tells what they were compiled from, and not which archives and objects of the machine came into them. So
//! who is compiled with a macro has [its code](crate::entry::Entry::code) as a condition, and nothing is linked with a library
//! that holds objects which its own build script has not made, or it is not recorded.
//!
//! **Invariant.** A macro is known by what its linker was seen to read, or else by its whole content; where neither is
//! known, nothing that uses it is recorded or restored. Of libraries that were not compiled in this session only those are
//! known that were recorded.

use camino::Utf8PathBuf;

use super::{BuildContext, Call, Units};
use crate::digest::Digest;
use crate::entry::{Constraints, Entry, FileKind, Inputs};
use crate::event::UnitId;
use crate::hydrate::LinkedLibraries;
use crate::rustc::outputs::has_foreign_objects;
use crate::rustc::written::{library, linked};
use crate::wrapper::protocol::Finished;

impl Units {
    /// Remembers whether a library that was compiled just now holds objects that neither rustc nor its own build script has
    /// made. Cargo must not go on before.
    pub(super) fn note_objects(&self, id: UnitId, call: &Call) {
        let (unit, Call { invocation, out_dir, .. }) = (self.build.context.plan.unit(id), call);
        let is_own = || self.scripts.linking(unit, call) == Some(LinkedLibraries::Own);
        if !unit.is_linkable() || !invocation.links_native || is_own() {
            return;
        }
        let has_foreign = |path: Utf8PathBuf| std::fs::read(path).map_or(true, |bytes| has_foreign_objects(&bytes));
        // What is in a `dylib`, its linker knows.
        if library(invocation, out_dir).map_or_else(|| linked(invocation, out_dir).is_some(), has_foreign) {
            self.state().with_foreign_objects.insert(id);
        }
    }

    /// Whether what all libraries hold that a unit is linked with follows from what they were compiled from.
    fn has_known_libraries(&self, id: UnitId) -> bool {
        let BuildContext { plan, .. } = &self.build.context;
        let prefetch = &self.build.stores.prefetch;
        let hydrated = &self.build.hydrated;
        let is_known = |library: &UnitId| {
            let (is_compiled, has_foreign) = {
                let state = self.state();
                (state.claimed.contains(library), state.with_foreign_objects.contains(library))
            };
            if is_compiled { !has_foreign } else { hydrated.has(*library) || prefetch.found(*library).is_some() }
        };
        !plan.unit(id).is_linked() || plan.libraries_of(id).iter().all(is_known)
    }

    /// Remembers what was linked into a macro just now. Cargo must not go on before. `finished` is of one that is recorded.
    pub(super) fn note_code(&self, id: UnitId, call: &Call, finished: Option<&Finished>) {
        if !self.build.context.plan.is_macro(id) {
            return;
        }
        let content = || Digest::of_file(linked(&call.invocation, &call.out_dir)?.as_std_path()).ok();
        let finished = finished.filter(|_| self.has_known_libraries(id));
        let code = match finished.map(|finished| self.build.linked_code(id, call, finished.observation.as_ref())) {
            Some(Ok(code)) => Some(code),
            Some(Err(_)) if self.build.context.machine.trusts() => Some(None),
            _ => content().map(Some),
        };
        self.state().linked_code.extend(code.map(|code| (id, code)));
    }

    /// The same of a macro that was restored.
    pub(super) fn set_code(&self, id: UnitId, code: Option<Digest>) {
        if self.build.context.plan.is_macro(id) {
            self.state().linked_code.insert(id, code);
        }
    }

    /// What was linked into a macro that is there; nothing where that is not known.
    pub(super) fn code(&self, id: UnitId) -> Option<Option<Digest>> {
        let code = self.state().linked_code.get(&id).copied();
        code.or_else(|| self.code_of_placed(id))
    }

    /// Of one that was placed, or that has been there before and is the same.
    fn code_of_placed(&self, id: UnitId) -> Option<Option<Digest>> {
        let build = &self.build;
        let entry = build.stores.prefetch.found(id)?;
        let is_same = || {
            let library = entry.files.iter().find(|file| file.kind == FileKind::Dylib)?;
            let directory =
                build.context.site().profile(build.context.plan.unit(id))?.join(&entry.fresh.as_ref()?.directory);
            Some(Digest::of_file(directory.join(&library.name).as_std_path()).ok()? == library.digest)
        };
        let is_there = build.hydrated.has(id) || is_same() == Some(true);
        if is_there {
            self.state().linked_code.insert(id, entry.code);
        }
        is_there.then_some(entry.code)
    }

    /// What comes into a unit besides crates, or into the macros that make it; nothing where that is not known. What a
    /// linker finds is among the `inputs` where it was seen.
    pub(super) fn linked_with(&self, id: UnitId, call: &Call, inputs: &Inputs) -> Option<Option<Digest>> {
        let linked = || self.scripts.linked_with(id, call, inputs.is_seen(), |id| self.code(id));
        if self.has_known_libraries(id) { linked() } else { None }
    }

    /// Whether that is what was there when an entry was made.
    pub(super) fn is_linked_with(&self, id: UnitId, call: &Call, entry: &Entry) -> bool {
        let Constraints { observed, linked, .. } = &entry.constraints;
        self.linked_with(id, call, observed) == Some(*linked)
    }
}

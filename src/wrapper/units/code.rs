//! The code that is linked into procedural macros and libraries, as a condition of the units that use them.
//!
//! The metadata of a macro or library depends on its sources, not on the machine's archives and objects that are linked
//! into it. So units that are compiled with a macro have [its code](crate::entry::Entry::code) as a condition. And
//! units are not recorded if they are linked with a library that contains objects which its own build script has not
//! made.
//!
//! **Invariant.** A macro is identified by the observed inputs of its linker, or else by its whole content. If neither
//! is known, no unit that uses it is recorded or restored. Libraries that this session has not compiled are known only
//! if they were recorded.

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
    /// Remembers whether a new library contains objects from neither rustc nor its own build script. Must be called
    /// before cargo continues.
    pub(super) fn note_objects(&self, id: UnitId, call: &Call) {
        let (unit, Call { invocation, out_dir, .. }) = (self.build.context.plan.unit(id), call);
        let is_own = || self.scripts.linking(unit, call) == Some(LinkedLibraries::Own);
        if !unit.is_linkable() || !invocation.links_native || is_own() {
            return;
        }
        let has_foreign = |path: Utf8PathBuf| std::fs::read(path).map_or(true, |bytes| has_foreign_objects(&bytes));
        // The objects in a `dylib` cannot be examined.
        if library(invocation, out_dir).map_or_else(|| linked(invocation, out_dir).is_some(), has_foreign) {
            self.state().with_foreign_objects.insert(id);
        }
    }

    /// Whether the content of all libraries that are linked into a unit follows from their sources.
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

    /// Remembers what was linked into a new macro. Must be called before cargo continues. `finished` is present if the
    /// macro is recorded.
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

    /// Remembers what was linked into a macro that was restored.
    pub(super) fn note_restored_code(&self, id: UnitId, code: Option<Digest>) {
        if self.build.context.plan.is_macro(id) {
            self.state().linked_code.insert(id, code);
        }
    }

    /// The digest of what was linked into a macro; `None` if it is not known.
    pub(super) fn code(&self, id: UnitId) -> Option<Option<Digest>> {
        let code = self.state().linked_code.get(&id).copied();
        code.or_else(|| self.placed_code(id))
    }

    /// The same for a macro that was hydrated, or is unchanged since an earlier build.
    fn placed_code(&self, id: UnitId) -> Option<Option<Digest>> {
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

    /// A digest of the code that is linked into a unit besides crates, or into its macros; `None` if it is not known.
    /// Observed `inputs` include the libraries that the linker found.
    pub(super) fn linked_with(&self, id: UnitId, call: &Call, inputs: &Inputs) -> Option<Option<Digest>> {
        let linked = || self.scripts.linked_with(id, call, inputs.is_seen(), |id| self.code(id));
        if self.has_known_libraries(id) { linked() } else { None }
    }

    /// Whether this code is the one that the entry was made with.
    pub(super) fn is_linked_with(&self, id: UnitId, call: &Call, entry: &Entry) -> bool {
        let Constraints { observed, linked, .. } = &entry.constraints;
        self.linked_with(id, call, observed) == Some(*linked)
    }
}

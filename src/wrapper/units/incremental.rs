//! Whether a crate that is compiled incrementally starts without state of an earlier compilation.
//!
//! rustc keeps its state below the directory that cargo names, in `<crate>-<id>`, with one directory for each
//! compilation (`rustc_incremental`, `persist/fs.rs`). Each compilation creates one and removes the one before. The id
//! is rustc's private matter, and a package may have several crates of one name: a library, a program, their tests. So
//! the state before any crate of a name was compiled is compared with the state afterwards: a new directory was started
//! from nothing, a changed one was not.
//!
//! **Invariants.** If it is not certain that there was no state, the compilation counts as continued. If it is certain
//! that there is some, this is known before the compiler starts, and the compiler is not observed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Call, Units};
use crate::error::Result;
use crate::fs::children;
use crate::plan::Unit;
use crate::rustc::written::written;

/// The directories of all crates of one name, each with the names in it.
type SavedState = BTreeMap<PathBuf, BTreeSet<OsString>>;

/// The state before this session has compiled anything, by directory and crate name.
#[derive(Debug, Default)]
pub(super) struct EarlierState(BTreeMap<(Utf8PathBuf, String), Option<SavedState>>);

impl EarlierState {
    /// The state that crates of this name have left in a directory; `None` if it cannot be read.
    fn of(&mut self, directory: &Utf8Path, name: &str) -> Option<&SavedState> {
        let look = || saved_state(directory, name).ok();
        self.0.entry((directory.to_owned(), name.to_owned())).or_insert_with(look).as_ref()
    }
}

fn saved_state(directory: &Utf8Path, name: &str) -> Result<SavedState> {
    let is_of_name = |path: &PathBuf| {
        let id = path.file_name().and_then(|file| file.to_str()?.strip_prefix(name)?.strip_prefix('-'));
        id.is_some()
    };
    let names = |path: PathBuf| {
        let names = children(&path)?.into_iter().filter_map(|path| path.file_name().map(OsString::from)).collect();
        Ok((path, names))
    };
    children(directory.as_std_path())?.into_iter().filter(is_of_name).map(names).collect()
}

/// Whether everything that existed is unchanged, and something was added.
fn has_only_additions(before: &SavedState, now: &SavedState) -> bool {
    before.iter().all(|(path, names)| now.get(path) == Some(names)) && now.len() > before.len()
}

/// Whether a call is compiled incrementally although cargo did not plan it so, or the other way round.
pub(super) fn is_incremental_unlike_plan(unit: &Unit, call: &Call) -> bool {
    call.invocation.incremental.len() != usize::from(unit.is_incremental())
}

impl Units {
    /// Remembers the state of earlier compilations. Must be called before the session compiles anything that may add to
    /// it.
    pub(super) fn note_earlier(&self, call: &Call) {
        self.with_earlier(call, |_, _| ());
    }

    /// Whether a call certainly continues an earlier compilation. It counts as certain if the crate's outputs exist and
    /// there is state for its name.
    pub(super) fn continues_incremental(&self, call: &Call) -> bool {
        let is_built = || written(&call.invocation, &call.out_dir).iter().any(|path| path.exists());
        let has_state = |earlier: Option<&SavedState>| earlier.is_none_or(|earlier| !earlier.is_empty());
        self.with_earlier(call, |_, earlier| has_state(earlier)).is_some_and(|has_state| has_state && is_built())
    }

    /// Whether a finished call continued an earlier compilation, or may have.
    pub(super) fn has_continued_incremental(&self, call: &Call) -> bool {
        let is_new = |directory: &Utf8Path, name: &str, earlier: Option<&SavedState>| {
            earlier
                .zip(saved_state(directory, name).ok())
                .is_some_and(|(earlier, now)| has_only_additions(earlier, &now))
        };
        self.with_earlier(call, |(directory, name), earlier| !is_new(directory, name, earlier)).unwrap_or(false)
    }

    /// Calls `then` with the earlier state; `None` if the call is not compiled incrementally.
    fn with_earlier<T>(
        &self,
        call: &Call,
        then: impl FnOnce((&Utf8Path, &str), Option<&SavedState>) -> T,
    ) -> Option<T> {
        let directory = call.directory.join(call.invocation.incremental.first()?);
        let name = call.invocation.crate_name.as_deref()?;
        let mut state = self.state();
        Some(then((&directory, name), state.earlier.of(&directory, name)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_that_existed_and_has_changed_was_continued() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(temporary.path()).unwrap().join("incremental");
        let make = |name: &str| fs::create_dir_all(directory.join(name)).unwrap();
        let now = || saved_state(&directory, "demo").unwrap();
        let nothing = now();
        assert!(nothing.is_empty() && !has_only_additions(&nothing, &now()), "nothing has been compiled");
        make("demo-1abc/s-first");
        make("demos-2abc/s-first");
        let first = now();
        assert_eq!(first.len(), 1);
        assert!(has_only_additions(&nothing, &first));
        make("demo-3abc/s-first");
        assert!(has_only_additions(&first, &now()), "another crate of the same name");
        make("demo-1abc/s-second-working");
        assert!(!has_only_additions(&first, &now()), "either of them may have been compiled");
        fs::remove_dir_all(directory.join("demo-1abc")).unwrap();
        assert!(!has_only_additions(&first, &now()));
    }

    #[test]
    fn only_the_first_state_counts() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(temporary.path()).unwrap();
        let mut earlier = EarlierState::default();
        assert_eq!(earlier.of(directory, "demo"), Some(&SavedState::new()));
        fs::create_dir(directory.join("demo-1abc")).unwrap();
        assert_eq!(earlier.of(directory, "demo"), Some(&SavedState::new()));
        let file = directory.join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(earlier.of(&file, "demo"), None, "not a directory");
    }
}

//! Whether a crate that is compiled incrementally begins with nothing that an earlier compilation has left.
//!
//! rustc keeps what it needs for the next time in directories of its own, in the one that cargo names: `<crate>-<id>`, with
//! one directory for each compilation in it (`rustc_incremental`, `persist/fs.rs`). Each compilation makes one and removes
//! the one before. The id is rustc's private matter, and a package may have several crates of one name: a library, a
//! program, their tests. So what was there before any crate of a name was compiled is compared with what is there when one
//! has been: a directory that is new was begun with nothing, and one that has changed was not.
//!
//! **Invariants.** What cannot be told is taken for state. Where there is certain to be some, that is known before the
//! compiler starts, and nobody looks at what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Call, Units};
use crate::error::Result;
use crate::fs::children;
use crate::plan::Unit;
use crate::rustc::written::written;

/// The directories of all crates of one name, each with the names of what is in it.
type Kept = BTreeMap<PathBuf, BTreeSet<OsString>>;

/// What was there before this session had anything compiled.
#[derive(Debug, Default)]
pub(super) struct Earlier(BTreeMap<(Utf8PathBuf, String), Option<Kept>>);

impl Earlier {
    /// What crates of this name had left in a directory; nothing where that cannot be told.
    fn of(&mut self, directory: &Utf8Path, name: &str) -> Option<&Kept> {
        let look = || kept(directory, name).ok();
        self.0.entry((directory.to_owned(), name.to_owned())).or_insert_with(look).as_ref()
    }
}

fn kept(directory: &Utf8Path, name: &str) -> Result<Kept> {
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

/// Whether all that there was is as it was, and something has come.
fn has_only_additions(before: &Kept, now: &Kept) -> bool {
    before.iter().all(|(path, names)| now.get(path) == Some(names)) && now.len() > before.len()
}

/// Whether a call is compiled incrementally in another way than cargo has planned it.
pub(super) fn is_incremental_otherwise(unit: &Unit, call: &Call) -> bool {
    call.invocation.incremental.len() != usize::from(unit.is_incremental())
}

impl Units {
    /// Notes what there is of earlier compilations. To be called before anything is compiled that may add to it.
    pub(super) fn note_earlier(&self, call: &Call) {
        self.with_earlier(call, |_, _| ());
    }

    /// Whether a call is certain to go on from an earlier compilation. Where the crate was built here and there is
    /// something of its name, it is taken for that.
    pub(super) fn continues_incremental(&self, call: &Call) -> bool {
        let is_built = || written(&call.invocation, &call.out_dir).iter().any(|path| path.exists());
        let is_any = |earlier: Option<&Kept>| earlier.is_none_or(|earlier| !earlier.is_empty());
        self.with_earlier(call, |_, earlier| is_any(earlier)).is_some_and(|is_any| is_any && is_built())
    }

    /// Whether a call that has been compiled did not begin with nothing, or may not have.
    pub(super) fn has_continued_incremental(&self, call: &Call) -> bool {
        let is_new = |directory: &Utf8Path, name: &str, earlier: Option<&Kept>| {
            earlier.zip(kept(directory, name).ok()).is_some_and(|(earlier, now)| has_only_additions(earlier, &now))
        };
        self.with_earlier(call, |(directory, name), earlier| !is_new(directory, name, earlier)).unwrap_or(false)
    }

    /// Nothing where the call is not compiled incrementally.
    fn with_earlier<T>(&self, call: &Call, then: impl FnOnce((&Utf8Path, &str), Option<&Kept>) -> T) -> Option<T> {
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
    fn what_was_there_and_has_changed_was_gone_on_from() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(temporary.path()).unwrap().join("incremental");
        let make = |name: &str| fs::create_dir_all(directory.join(name)).unwrap();
        let now = || kept(&directory, "demo").unwrap();
        let nothing = now();
        assert!(nothing.is_empty() && !has_only_additions(&nothing, &now()), "nobody has compiled anything");
        make("demo-1abc/s-first");
        make("demos-2abc/s-first");
        let first = now();
        assert_eq!(first.len(), 1);
        assert!(has_only_additions(&nothing, &first));
        make("demo-3abc/s-first");
        assert!(has_only_additions(&first, &now()), "another crate of that name");
        make("demo-1abc/s-second-working");
        assert!(!has_only_additions(&first, &now()), "it may have been either of them");
        fs::remove_dir_all(directory.join("demo-1abc")).unwrap();
        assert!(!has_only_additions(&first, &now()));
    }

    #[test]
    fn what_was_there_first_is_what_counts() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(temporary.path()).unwrap();
        let mut earlier = Earlier::default();
        assert_eq!(earlier.of(directory, "demo"), Some(&Kept::new()));
        fs::create_dir(directory.join("demo-1abc")).unwrap();
        assert_eq!(earlier.of(directory, "demo"), Some(&Kept::new()));
        let file = directory.join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(earlier.of(&file, "demo"), None, "it is no directory");
    }
}

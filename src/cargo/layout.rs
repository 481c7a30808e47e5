//! The layout of cargo's build directory.
//!
//! Mirrors cargo's `core/compiler/layout.rs` and `core/compiler/build_runner/compilation_files.rs`, for both variants
//! of [`Layout`]. No other module knows the names in a build directory.
//!
//! **Invariant.** This module does not decide which layout a cargo uses (see [`format`](super::format)).

use std::collections::VecDeque;
use std::fs::{File, TryLockError};

use camino::{Utf8Path, Utf8PathBuf};

use super::format::Generation;
pub use crate::entry::Layout;
use crate::error::{Error, Result};
use crate::fs;

/// Directories of a profile that change whenever cargo adds or removes a unit.
pub const UNIT_DIRECTORIES: [&str; 2] = [".fingerprint", "build"];
/// What cargo itself makes in the directory of a profile before it runs anything.
pub const PROFILE_NAMES: [&str; 8] = [
    ".cargo-artifact-lock",
    ".cargo-build-lock",
    ".cargo-lock",
    ".fingerprint",
    "build",
    "deps",
    "examples",
    "incremental",
];
/// What cargo itself makes in a build directory.
pub const BUILD_DIR_NAMES: [&str; 2] = [".rustc_info.json", "CACHEDIR.TAG"];
/// The file whose modification time is the start of a build script.
pub const RUN_BEGAN: &str = "invoked.timestamp";

/// The locations of a unit's files, relative to the profile's directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitPaths {
    /// Its outputs; `OUT_DIR` for the run of a build script.
    pub outputs: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// The directory of cargo's files about the run of a build script.
    pub run: Option<String>,
}

/// The `OUT_DIR` that contains a path below a build directory, if any. Its name contains a hash of cargo's, so a
/// process that names such a path must have received it.
pub fn out_dir_of<'a>(build_dir: &Utf8Path, path: &'a Utf8Path) -> Option<&'a Utf8Path> {
    let is_named = |directory: &&Utf8Path| {
        let names: Vec<_> = directory.components().rev().take(4).map(|part| part.as_str()).collect();
        match names[..] {
            ["out", unit, "build", ..] => unit.rsplit_once('-').is_some_and(|(_, hash)| is_hash(hash)),
            ["out", hash, _, "build"] => is_hash(hash),
            _ => false,
        }
    };
    path.ancestors().take_while(|directory| directory.starts_with(build_dir)).find(is_named)
}

/// Whether a name has the form of cargo's hashes (`util/hex.rs`).
fn is_hash(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl Layout {
    /// The locations of a compiled unit's files, from the directory that rustc writes to and the hash in its file
    /// names.
    pub fn of_compiled(self, profile: &Utf8Path, package: &str, hash: &str, out_dir: &Utf8Path) -> Option<UnitPaths> {
        let outputs = out_dir.strip_prefix(profile).ok()?;
        let fingerprint = match self {
            Self::Classic if hash.is_empty() => return None,
            Self::Classic => format!(".fingerprint/{package}-{hash}"),
            Self::PerUnit => outputs.parent()?.join("fingerprint").into(),
        };
        Some(UnitPaths { outputs: outputs.to_string(), fingerprint, run: None })
    }

    /// The hash of a library whose file names contain none: a `cdylib` or a `dylib` of a package in a directory
    /// (`use_extra_filename`). All such libraries of a package share one fingerprint directory. It is the only one
    /// whose fingerprint was written after rustc ended and whose hash is in no file name.
    pub fn hash_of(self, profile: &Utf8Path, package: &str, target: &str, out_dir: &Utf8Path) -> Option<String> {
        let modified = |path: Utf8PathBuf| path.metadata().and_then(|file| file.modified()).ok();
        let stem = target.replace('-', "_");
        let ended = modified(out_dir.join(format!("{stem}.d")))?;
        let hash_of = |directory: &Utf8PathBuf| {
            let hash = directory.file_name()?.strip_prefix(package)?.strip_prefix('-')?;
            let is_after = modified(directory.join(format!("lib-{target}")))? >= ended;
            let is_of_others = hash.contains('-') || out_dir.join(format!("{stem}-{hash}.d")).exists();
            (is_after && !is_of_others).then(|| hash.to_owned())
        };
        let directories = children(&profile.join(".fingerprint"));
        let mut hashes = directories.iter().filter_map(hash_of);
        hashes.next().filter(|_| hashes.next().is_none())
    }

    /// The locations of the files of a build script's run, from `OUT_DIR`.
    pub fn of_run(self, profile: &Utf8Path, out_dir: &Utf8Path) -> Option<UnitPaths> {
        let outputs = out_dir.strip_prefix(profile).ok()?;
        let unit = outputs.parent()?;
        let (fingerprint, run) = match self {
            Self::Classic => (Utf8Path::new(".fingerprint").join(unit.file_name()?), unit.to_owned()),
            Self::PerUnit => (unit.join("fingerprint"), unit.join("run")),
        };
        Some(UnitPaths { outputs: outputs.to_string(), fingerprint: fingerprint.into(), run: Some(run.into()) })
    }

    /// The file that holds the standard output of a build script.
    pub fn script_output(self) -> &'static str {
        match self {
            Self::Classic => "output",
            Self::PerUnit => "stdout",
        }
    }

    /// All files that cargo keeps about the run of a build script.
    pub fn run_files(self) -> [&'static str; 4] {
        [self.script_output(), "stderr", "root-output", RUN_BEGAN]
    }

    /// The `OUT_DIR`s in a profile's directory that are not empty.
    pub fn used_out_dirs(self, profile: &Utf8Path) -> Vec<Utf8PathBuf> {
        let is_used = |out: &Utf8PathBuf| out.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_some());
        self.script_directories(profile).into_iter().map(|unit| unit.join("out")).filter(is_used).collect()
    }

    /// The programs of build scripts in a profile's directory, under the names that rustc gave them.
    pub fn scripts(self, profile: &Utf8Path) -> Vec<Utf8PathBuf> {
        let directories = self.script_directories(profile).into_iter();
        let outputs = directories.map(|unit| match self {
            Self::Classic => unit,
            Self::PerUnit => unit.join("out"),
        });
        let is_script = |path: &Utf8PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.starts_with("build_script_") && path.extension().is_none_or(|extension| extension == "exe")
        };
        outputs.flat_map(|outputs| children(&outputs)).filter(is_script).collect()
    }

    /// The package of a build script's program.
    pub fn package_of(self, script: &Utf8Path) -> Option<&str> {
        let unit = script.parent()?;
        match self {
            Self::Classic => Some(unit.file_name()?.rsplit_once('-')?.0),
            Self::PerUnit => unit.parent()?.parent()?.file_name(),
        }
    }

    /// The directories of build scripts and of their runs. If the layout has a directory for each unit, those of all
    /// units.
    fn script_directories(self, profile: &Utf8Path) -> Vec<Utf8PathBuf> {
        let packages = children(&profile.join("build"));
        match self {
            Self::Classic => packages,
            Self::PerUnit => packages.iter().flat_map(|package| children(package)).collect(),
        }
    }

    /// Whether nothing was ever built in a profile's directory.
    pub fn is_unused(self, profile: &Utf8Path) -> bool {
        let units = match self {
            Self::Classic => profile.join(".fingerprint"),
            Self::PerUnit => profile.join("build"),
        };
        units.read_dir_utf8().map_or(true, |mut entries| entries.next().is_none())
    }
}

fn children(directory: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = directory.read_dir_utf8().into_iter().flatten().flatten();
    entries.map(|entry| entry.path().to_owned()).collect()
}

/// Creates a directory, unless it exists, and marks it for backup programs to skip, as cargo does (`util/paths.rs`).
pub fn make_tagged(directory: &Utf8Path) -> Result<()> {
    if directory.exists() {
        return Ok(());
    }
    fs::create_dir_all(directory.as_std_path())?;
    cachedir::ensure_tag(directory).map_err(Error::io("write to", directory))
}

/// Takes cargo's own locks on the directories of profiles. While they are held, nobody else builds there.
///
/// It never waits for a lock while it holds another, because cargo also takes several of them, in its own order.
/// `waiting` is called if another process builds there. If the file system has no locks, cargo has none either.
pub fn lock<'a>(
    profiles: impl IntoIterator<Item = &'a Utf8PathBuf>,
    generation: &Generation,
    mut waiting: impl FnMut(),
) -> Result<Vec<File>> {
    let mut paths = VecDeque::new();
    for profile in profiles {
        // The build directory, or its subdirectory for a target.
        make_tagged(profile.parent().unwrap_or(profile))?;
        fs::create_dir_all(profile.as_std_path())?;
        paths.extend(generation.locks.iter().map(|name| profile.join(name)));
    }
    let (mut held, mut has_reported) = (Vec::new(), false);
    while let Some(path) = paths.get(held.len()) {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path);
        let file = file.map_err(Error::io("open", path))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let released = held.len();
            held.clear();
            if !std::mem::replace(&mut has_reported, true) {
                waiting();
            }
            file.lock().map_err(Error::io("lock", path))?;
            paths.rotate_left(released);
        }
        held.push(file);
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::Format;

    #[test]
    fn no_lock_is_held_while_waiting_for_another() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(temporary.path()).unwrap();
        let profiles = ["one", "two", "three"].map(|name| directory.join(name));
        let generation = Format::all().next().unwrap().generation;
        let held = lock(&profiles[1..2], generation, || unreachable!()).unwrap();
        let (sender, waits) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let all = scope.spawn(|| lock(&profiles, generation, || sender.send(()).unwrap()).unwrap());
            waits.recv().unwrap();
            let others = [&profiles[0], &profiles[2]].map(|profile| lock([profile], generation, || unreachable!()));
            drop((held, others));
            let all = all.join().unwrap();
            assert_eq!(all.len(), 3 * generation.locks.len());
            let is_locked = |profile: &Utf8PathBuf| {
                let file = File::open(profile.join(&generation.locks[0])).unwrap();
                matches!(file.try_lock(), Err(TryLockError::WouldBlock))
            };
            assert!(profiles.iter().all(is_locked));
        });
    }

    #[test]
    fn the_package_of_a_script_program_is_found() {
        let classic = Utf8Path::new("/t/debug/build/a-b-0123/build_script_build-0123");
        assert_eq!(Layout::Classic.package_of(classic), Some("a-b"));
        let per_unit = Utf8Path::new("/t/debug/build/a-b/0123/out/build_script_build");
        assert_eq!(Layout::PerUnit.package_of(per_unit), Some("a-b"));
    }

    #[test]
    fn the_fingerprint_of_a_library_without_a_hash_is_found() {
        let temporary = tempfile::tempdir().unwrap();
        let (profile, now) = (Utf8Path::from_path(temporary.path()).unwrap(), std::time::SystemTime::now());
        let out_dir = profile.join("deps");
        let write = |path: &str, seconds: u64| {
            let path = profile.join(path);
            fs::create_dir_all(path.parent().unwrap().as_std_path()).unwrap();
            let time = now + std::time::Duration::from_secs(seconds);
            File::create(path).unwrap().set_modified(time).unwrap();
        };
        let found = || Layout::Classic.hash_of(profile, "a", "a-b", &out_dir);
        assert_eq!(found(), None);
        write("deps/a_b.d", 1);
        write(".fingerprint/a-01/lib-a-b", 0);
        assert_eq!(found(), None, "it is older than the output");
        write(".fingerprint/a-02/lib-a-b", 1);
        assert_eq!(found().as_deref(), Some("02"));
        for other in ["a-03/lib-other", "a-04/test-lib-a-b", "a-c-05/lib-a-b", "other-06/lib-a-b"] {
            write(&format!(".fingerprint/{other}"), 1);
        }
        write(".fingerprint/a-07/lib-a-b", 1);
        assert_eq!(found(), None, "two candidates");
        write("deps/a_b-07.d", 1);
        assert_eq!(found().as_deref(), Some("02"), "the other belongs to a unit with a hash");
    }

    #[test]
    fn a_units_files_are_found_in_both_layouts() {
        let profile = Utf8Path::new("/t/debug");
        let paths = |outputs: &str, fingerprint: &str, run: Option<&str>| {
            let run = run.map(Into::into);
            Some(UnitPaths { outputs: outputs.into(), fingerprint: fingerprint.into(), run })
        };
        let classic = Layout::Classic.of_compiled(profile, "a-b", "01", "/t/debug/deps".into());
        assert_eq!(classic, paths("deps", ".fingerprint/a-b-01", None));
        let run = Layout::Classic.of_run(profile, "/t/debug/build/a-b-02/out".into());
        assert_eq!(run, paths("build/a-b-02/out", ".fingerprint/a-b-02", Some("build/a-b-02")));
        let new = Layout::PerUnit.of_compiled(profile, "a-b", "01", "/t/debug/build/a-b/01/out".into());
        assert_eq!(new, paths("build/a-b/01/out", "build/a-b/01/fingerprint", None));
        let run = Layout::PerUnit.of_run(profile, "/t/debug/build/a-b/02/out".into());
        assert_eq!(run, paths("build/a-b/02/out", "build/a-b/02/fingerprint", Some("build/a-b/02/run")));
        assert_eq!(Layout::Classic.of_compiled(profile, "a", "01", "/elsewhere/deps".into()), None);
        assert_eq!(Layout::Classic.of_compiled(profile, "a", "", "/t/debug/deps".into()), None);
    }
}

//! Records what a build script leaves in its `OUT_DIR`, and places it in another one.
//!
//! Files are recorded unchanged, with their modes; links by their targets; empty directories by their names. In the
//! texts that build systems leave for themselves ([`is_build_system_file`]), the paths of the script's own directories
//! and of `CARGO_HOME` are recorded as rooted paths. So these texts name what they would name if the script had run in
//! the other place. Build systems only use them to find files.
//!
//! **Invariant.** A record is the same wherever the script's own directories are, or says what it is bound to.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::{Digest, Domain};
use crate::entry::{FileKind, FileRecord};
use crate::error::{Error, Result};
use crate::process::while_nothing_starts;
use crate::roots::{PathScanner, Root, Roots, Value};
use crate::rustc::objects;
use crate::store::LocalStore;

/// The names of files that `cmake`, `make`, `ninja`, configuration scripts and compilers keep for their next run.
const BUILD_SYSTEM_FILES: &[&str] = &[
    "CMakeCache.txt",
    "CTestTestfile.cmake",
    "GNUmakefile",
    "Makefile",
    "build.ninja",
    "cmake_install.cmake",
    "compile_commands.json",
    "config.log",
    "config.status",
    "install_manifest.txt",
    "libtool",
    "makefile",
    "rules.ninja",
];
/// The extensions of such files: dependency lists, and the descriptions of libraries for `libtool` and `pkg-config`.
const BUILD_SYSTEM_EXTENSIONS: &[&str] = &["d", "la", "lo", "pc"];
/// Directories that contain only such files.
const BUILD_SYSTEM_DIRECTORY: &str = "CMakeFiles";

/// A file, link or empty directory below an `OUT_DIR`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct GeneratedItem {
    /// Its path below `OUT_DIR`.
    pub name: String,
    /// Its kind, as far as it is known without reading it.
    pub kind: FileKind,
    /// The mode of a file.
    pub mode: Option<u32>,
}

/// The record of a [`GeneratedItem`].
pub(super) struct RecordedItem {
    /// Its kind.
    pub kind: FileKind,
    /// The stored bytes.
    pub bytes: Vec<u8>,
    /// The roots that the bytes are bound to.
    pub bound: BTreeSet<Root>,
}

/// Everything below a directory, sorted by name; `None` if there is anything but files, links and directories.
pub(super) fn list(directory: &Utf8Path) -> Result<Option<Vec<GeneratedItem>>> {
    let (mut all, mut open) = (Vec::new(), vec![Utf8PathBuf::new()]);
    while let Some(below) = open.pop() {
        let path = directory.join(&below);
        let mut is_empty = true;
        for entry in path.read_dir_utf8().map_err(Error::io("list", &path))? {
            let entry = entry.map_err(Error::io("list", &path))?;
            let name = below.join(entry.file_name());
            let metadata = fs::symlink_metadata(entry.path()).map_err(Error::io("read", entry.path()))?;
            is_empty = false;
            match metadata.file_type() {
                kind if kind.is_dir() => open.push(name),
                kind if kind.is_file() => all.push(file(name.into(), &metadata)),
                kind if kind.is_symlink() => {
                    all.push(GeneratedItem { name: name.into(), kind: FileKind::Link, mode: None })
                }
                _ => return Ok(None),
            }
        }
        if is_empty && !below.as_str().is_empty() {
            all.push(GeneratedItem { name: below.into(), kind: FileKind::Directory, mode: None });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Some(all))
}

fn file(name: String, metadata: &fs::Metadata) -> GeneratedItem {
    let mode = mode(metadata);
    let kind = match mode {
        Some(mode) if mode & 0o111 != 0 => FileKind::GeneratedProgram,
        _ => FileKind::Generated,
    };
    GeneratedItem { name, kind, mode }
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> Option<u32> {
    Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> Option<u32> {
    None
}

/// Whether a build system keeps a file of this name for itself.
fn is_build_system_file(name: &Utf8Path) -> bool {
    name.components().any(|part| part.as_str() == BUILD_SYSTEM_DIRECTORY)
        || name.file_name().is_some_and(|name| BUILD_SYSTEM_FILES.contains(&name))
        || name.extension().is_some_and(|extension| BUILD_SYSTEM_EXTENSIONS.contains(&extension))
}

impl GeneratedItem {
    /// Reads the item. `own` are the script's own directories.
    pub(super) fn record(&self, directory: &Utf8Path, own: &[&Utf8Path], roots: &Roots) -> Result<RecordedItem> {
        let path = directory.join(&self.name);
        match self.kind {
            FileKind::Directory => Ok(RecordedItem { kind: self.kind, bytes: Vec::new(), bound: BTreeSet::new() }),
            FileKind::Link => {
                let target = path.read_link_utf8().map_err(Error::io("read", &path))?;
                RecordedItem::of_values(FileKind::Link, &[roots.record_value(target.as_str(), own)], roots)
            }
            kind => {
                let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
                let Some(text) = str::from_utf8(&bytes).ok().filter(|text| !text.contains('\0')) else {
                    let bound = objects::roots_in(&bytes, &PathScanner::new(roots));
                    return Ok(RecordedItem { kind, bytes, bound });
                };
                let known = with_cargo_home(own, roots);
                if is_build_system_file(Utf8Path::new(&self.name)) && first_named(text, &known, roots).is_some() {
                    return RecordedItem::of_values(FileKind::BuildSystemFile, &pieces(text, &known, roots), roots);
                }
                let bound = roots.held_by(text);
                Ok(RecordedItem { kind, bytes, bound })
            }
        }
    }

    /// The digest of its record.
    pub(super) fn digest(&self, directory: &Utf8Path, own: &[&Utf8Path], roots: &Roots) -> Result<Digest> {
        let RecordedItem { kind, bytes, .. } = self.record(directory, own, roots)?;
        Ok(Digest::of_value(Domain::ScriptRun, &(kind, Digest::of(bytes))))
    }
}

impl RecordedItem {
    fn of_values(kind: FileKind, values: &[Value], roots: &Roots) -> Result<Self> {
        let texts = values.iter().filter_map(|value| if let Value::Text(text) = value { Some(text) } else { None });
        let bound = texts.flat_map(|text| roots.held_by(text)).collect();
        let bytes = serde_json::to_vec(values).map_err(|error| Error::corrupt("a generated file", error))?;
        Ok(Self { kind, bytes, bound })
    }
}

/// The script's own directories, and `CARGO_HOME`: its programs are in `PATH`, which build systems write down. A home
/// of a single component is left out, since it would be found within other paths.
fn with_cargo_home<'a>(own: &[&'a Utf8Path], roots: &'a Roots) -> Vec<&'a Utf8Path> {
    let home = roots.get(Root::CargoHome).filter(|home| home.components().count() > 2);
    own.iter().copied().chain(home).collect()
}

/// A text, split where the path of one of the script's own directories begins and ends.
fn pieces(text: &str, own: &[&Utf8Path], roots: &Roots) -> Vec<Value> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((at, path)) = first_named(rest, own, roots) {
        if at > 0 {
            pieces.push(Value::Text(rest[..at].to_owned()));
        }
        pieces.push(roots.record_value(path.as_str(), own));
        rest = &rest[at + path.as_str().len()..];
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Value::Text(rest.to_owned()));
    }
    pieces
}

/// The first place in a text that names one of these directories. A match that continues as a longer name belongs to
/// another directory.
fn first_named<'a>(text: &str, own: &[&'a Utf8Path], roots: &Roots) -> Option<(usize, &'a Utf8Path)> {
    let is_whole = |at: usize, path: &Utf8Path| {
        let continues_name = |next: char| next.is_alphanumeric() || "._-+".contains(next);
        !text[at + path.as_str().len()..].starts_with(continues_name)
    };
    let is_rooted = |path: &&&Utf8Path| matches!(roots.record_value(path.as_str(), own), Value::Path(_));
    let found = own.iter().filter(is_rooted).filter_map(|path| {
        let mut places = text.match_indices(path.as_str()).map(|(at, _)| at);
        Some((places.find(|at| is_whole(*at, path))?, *path))
    });
    found.min_by_key(|(at, path)| (*at, std::cmp::Reverse(path.as_str().len())))
}

/// Places a directory, a link or a file of a build system below an `OUT_DIR`, and returns `false` for all other files,
/// which the store places. Links among the directories above it are removed.
pub fn make(record: &FileRecord, directory: &Utf8Path, store: &LocalStore, roots: &Roots) -> Result<bool> {
    let path = directory.join(&record.name);
    create_parents(directory, Utf8Path::new(&record.name))?;
    match record.kind {
        FileKind::Directory => crate::fs::create_dir_all(path.as_std_path())?,
        FileKind::Link => {
            crate::fs::remove_file(path.as_std_path())?;
            link(&resolved(record, store, roots)?, &path).map_err(Error::io("make a link at", &path))?;
        }
        FileKind::BuildSystemFile => {
            let text = resolved(record, store, roots)?;
            // The file may be a script that another process starts.
            while_nothing_starts(|| {
                let mut file = crate::fs::temporary_file(path.parent().unwrap_or(directory).as_std_path())?;
                file.write_all(text.as_bytes()).map_err(Error::io("write", &path))?;
                give_mode(file.as_file(), record.mode).map_err(Error::io("write", &path))?;
                crate::fs::persist(file, path.as_std_path())
            })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Creates the directories above a file, and replaces links by directories.
fn create_parents(directory: &Utf8Path, name: &Utf8Path) -> Result<()> {
    let mut path = directory.to_owned();
    for part in name.parent().into_iter().flat_map(Utf8Path::components) {
        path.push(part.as_str());
        if path.is_symlink() {
            crate::fs::remove_file(path.as_std_path())?;
        }
    }
    crate::fs::create_dir_all(path.as_std_path())
}

/// The text that was recorded in pieces, with the paths of this machine.
fn resolved(record: &FileRecord, store: &LocalStore, roots: &Roots) -> Result<String> {
    let corrupt = |reason: &str| Error::corrupt(format!("file/{}", record.digest), reason.to_owned());
    let pieces: Vec<Value> =
        serde_json::from_str(&store.read_text(record)?).map_err(|error| corrupt(&error.to_string()))?;
    let text: Option<String> = pieces.iter().map(|piece| roots.resolve_value(piece)).collect();
    text.ok_or_else(|| corrupt("it names an unknown root"))
}

#[cfg(unix)]
fn link(target: &str, path: &Utf8Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(_: &str, _: &Utf8Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn give_mode(file: &fs::File, mode: Option<u32>) -> io::Result<()> {
    let permissions = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    mode.map_or(Ok(()), |mode| file.set_permissions(permissions(mode)))
}

#[cfg(not(unix))]
fn give_mode(_: &fs::File, _: Option<u32>) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A machine with the `OUT_DIR` of a package.
    struct Machine {
        _temporary: tempfile::TempDir,
        roots: Roots,
        store: LocalStore,
        out: Utf8PathBuf,
        package: Utf8PathBuf,
    }

    impl Machine {
        fn new(target: &str) -> Self {
            let temporary = tempfile::tempdir().unwrap();
            let directory = Utf8Path::from_path(temporary.path()).unwrap().canonicalize_utf8().unwrap();
            let (home, target) = (directory.join("home"), directory.join(target));
            let roots = Roots::new([(Root::CargoHome, home.clone()), (Root::BuildDir, target.clone())]);
            let store = LocalStore::open(directory.join("store").as_std_path()).unwrap();
            let (out, package) = (target.join("debug/build/x-0/out"), home.join("registry/src/x-1.0.0"));
            fs::create_dir_all(&out).unwrap();
            Self { _temporary: temporary, roots, store, out, package }
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.out.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let home = self.roots.get(Root::CargoHome).unwrap();
            let text = text.replace("[OUT]", self.out.as_str()).replace("[PACKAGE]", self.package.as_str());
            let text = text.replace("[HOME]", home.as_str());
            fs::write(path, text).unwrap();
        }

        fn own(&self) -> [&Utf8Path; 2] {
            [&self.out, &self.package]
        }

        /// The records of all items, the roots that they are bound to, and their digests.
        fn record(&self) -> (Vec<FileRecord>, BTreeSet<Root>, Vec<Digest>) {
            let (mut files, mut bound, mut digests) = (Vec::new(), BTreeSet::new(), Vec::new());
            for found in list(&self.out).unwrap().unwrap() {
                let recorded = found.record(&self.out, &self.own(), &self.roots).unwrap();
                let (size, digest) = self.store.add_bytes(&recorded.bytes).unwrap();
                digests.push(found.digest(&self.out, &self.own(), &self.roots).unwrap());
                files.push(FileRecord { name: found.name, kind: recorded.kind, size, digest, mode: found.mode });
                bound.extend(recorded.bound);
            }
            (files, bound, digests)
        }
    }

    const TEXT: &str = "cd [OUT]/build && cc -I[OUT]/include -I[PACKAGE]/src '[PACKAGE]' [OUT]put\n";

    #[test]
    fn files_of_build_systems_name_the_directories_that_they_are_placed_in() {
        let (here, there) = (Machine::new("target"), Machine::new("a-longer-target"));
        for machine in [&here, &there] {
            machine.write("build/Makefile", TEXT);
            machine.write("build/CMakeFiles/x.dir/link.txt", TEXT);
            machine.write("build/CMakeFiles/x.dir/x.c.o", "\0 an object");
            machine.write("config.log", "PATH: [HOME]/bin\nPATH: /usr/bin\n");
            machine.write("include/x.h", "#define X 1\n");
            machine.write("plain.d", "x.o: x.c\n");
            fs::create_dir(machine.out.join("empty")).unwrap();
            std::os::unix::fs::symlink("include", machine.out.join("headers")).unwrap();
            std::os::unix::fs::symlink(machine.out.join("include"), machine.out.join("absolute")).unwrap();
        }
        let (files, bound, digests) = here.record();
        // `[OUT]put` is a path below the build directory, but not one of the script's own.
        assert_eq!(bound, [Root::BuildDir].into());
        for machine in [&here, &there] {
            machine.write("build/Makefile", &TEXT.replace(" [OUT]put", ""));
            machine.write("build/CMakeFiles/x.dir/link.txt", "");
        }
        let (moved, bound, digests_here) = here.record();
        assert_eq!(bound, BTreeSet::new());
        assert_ne!(digests, digests_here);
        assert_eq!(digests_here, there.record().2, "the digests do not depend on the place");
        let kind = |name: &str| files.iter().find(|file| file.name == name).unwrap().kind;
        assert_eq!((kind("build/Makefile"), kind("include/x.h")), (FileKind::BuildSystemFile, FileKind::Generated));
        assert_eq!((kind("plain.d"), kind("build/CMakeFiles/x.dir/x.c.o")), (FileKind::Generated, FileKind::Generated));
        assert_eq!((kind("empty"), kind("headers")), (FileKind::Directory, FileKind::Link));

        let expected: Vec<_> = ["build/Makefile"].map(|name| fs::read_to_string(there.out.join(name)).unwrap()).into();
        fs::remove_dir_all(&there.out).unwrap();
        fs::create_dir_all(&there.out).unwrap();
        for file in &moved {
            let is_made = make(file, &there.out, &here.store, &there.roots).unwrap();
            assert_eq!(is_made, !matches!(file.kind, FileKind::Generated), "{}", file.name);
        }
        assert_eq!(fs::read_to_string(there.out.join("build/Makefile")).unwrap(), expected[0]);
        let log = format!("PATH: {}/bin\nPATH: /usr/bin\n", there.roots.get(Root::CargoHome).unwrap());
        assert_eq!(fs::read_to_string(there.out.join("config.log")).unwrap(), log);
        assert_eq!(there.out.join("headers").read_link_utf8().unwrap(), "include");
        assert_eq!(there.out.join("absolute").read_link_utf8().unwrap(), there.out.join("include"));
        assert!(there.out.join("empty").is_dir());
    }

    #[test]
    fn a_path_in_any_other_text_binds() {
        let machine = Machine::new("target");
        machine.write("config.h", "#define DATA \"[OUT]/share\"\n");
        let (files, bound, _) = machine.record();
        assert_eq!((files[0].kind, bound), (FileKind::Generated, [Root::BuildDir].into()));
        machine.write("config.h", "#define PATH \"[HOME]/bin\"\n");
        assert!(machine.record().1.contains(&Root::CargoHome));
        machine.write("config.h", "");
        machine.write("config.log", "PATH: [HOME]-of-another/bin\n");
        assert!(machine.record().1.contains(&Root::CargoHome));
    }

    #[test]
    fn nothing_is_placed_through_a_link() {
        let machine = Machine::new("target");
        let elsewhere = machine.package.join("elsewhere");
        fs::create_dir_all(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, machine.out.join("build")).unwrap();
        let (size, digest) = machine.store.add_bytes(b"[]").unwrap();
        let name = "build/Makefile".to_owned();
        make(
            &FileRecord { name, kind: FileKind::BuildSystemFile, size, digest, mode: None },
            &machine.out,
            &machine.store,
            &machine.roots,
        )
        .unwrap();
        assert!(!machine.out.join("build").is_symlink() && machine.out.join("build/Makefile").is_file());
        assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
    }

    #[test]
    fn a_socket_cannot_be_recorded() {
        let machine = Machine::new("target");
        let _listener = std::os::unix::net::UnixListener::bind(machine.out.join("socket")).unwrap();
        assert_eq!(list(&machine.out).unwrap(), None);
    }
}

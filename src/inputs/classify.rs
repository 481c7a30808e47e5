//! Decides which of the observed paths are inputs.
//!
//! Most are fixed: the sources of a package by its checksum, the toolchain by the compiler's identity, and outputs of
//! other units by other conditions of the entry. Some do not matter, such as the number of processors. What is neither
//! fixed nor a file (the state of the machine) is unknown.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::Subject;
use crate::cargo::layout::PROFILE_NAMES;
use crate::observe::{Access, Seen, Unknown, Use, Was};
use crate::roots::{Root, Roots};

/// What programs ask about themselves and their resources: the beginnings of paths below `/proc/<process>`.
const PROCESS_PATHS: &[&str] = &[
    "",
    "/auxv",
    "/cgroup",
    "/exe",
    "/fd",
    "/limits",
    "/maps",
    "/mountinfo",
    "/mounts",
    "/smaps",
    "/stat",
    "/statm",
    "/status",
    "/task",
];
/// What programs ask about the machine without consequences for their outputs: its size, and features of the kernel.
const MACHINE_PATHS: &[&str] = &[
    "/proc",
    "/proc/filesystems",
    "/proc/meminfo",
    "/proc/mounts",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/vm/overcommit_memory",
    "/sys",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];
/// Directories for files that no other program looks for.
const TEMPORARY: &[&str] = &["/dev/shm", "/tmp", "/var/tmp"];
/// The variable with another such directory.
const TEMPORARY_VARIABLE: &str = "TMPDIR";
/// Parts of the C library and of the compiler's runtime, whose versions are in the host class.
const C_LIBRARY: &[&str] =
    &["ld-linux", "ld-musl", "libc.", "libdl.", "libgcc_s.", "libm.", "libpthread.", "librt.", "libutil."];
/// Directories with what a host links into everything, and with the parts of linkers.
const HOST_DIRECTORIES: &[&str] =
    &["/etc", "/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share"];
/// The beginnings of the names of objects and archives there that are linked into everything.
const LINKED_INTO_EVERYTHING: &[&str] =
    &["Scrt", "crt", "gcrt", "libc.", "libc_nonshared.", "libgcc.", "libgcc_eh.", "libm.", "rcrt"];
/// Files that the loader reads to find libraries.
const LOADER: &[&str] = &["/etc/ld.so.cache", "/etc/ld.so.preload"];
/// Programs that take no names of variables from the files that they read, by the first words of their names.
const NOT_READING_NAMES: &[&str] = &[
    "ar",
    "as",
    "cc1",
    "cc1plus",
    "cargo",
    "clippy-driver",
    "collect2",
    "ld",
    "lld",
    "lto",
    "mold",
    "nm",
    "objcopy",
    "ranlib",
    "rustc",
    "strip",
    "wild",
];
/// Parts of a toolchain that read variables of their own.
const LINTERS: &[&str] = &["clippy-driver"];
/// Programs that compile C.
const COMPILERS: &[&str] = &["c++", "cc", "clang", "g++", "gcc"];
/// Programs that link, by the first words of their names.
const LINKERS: &[&str] = &["collect2", "ld", "lld", "lto", "mold", "wild"];

/// The offset of the type in an ELF file.
const TYPE: usize = 16;

/// What a path means for a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PathKind {
    /// It is the same wherever the unit may be used, or does not matter.
    Fixed,
    /// It may differ elsewhere.
    Input,
}

/// The known directories, each also by its canonical path.
pub(super) struct KnownDirectories<'a> {
    pub(super) subject: &'a Subject<'a>,
    fixed: Vec<Utf8PathBuf>,
    own: Vec<Utf8PathBuf>,
    built: Vec<Utf8PathBuf>,
    toolchain: Vec<Utf8PathBuf>,
    temporary: Vec<Utf8PathBuf>,
    /// Directories that exist wherever the unit is used, so the existence of their parents is no condition.
    above: Vec<Utf8PathBuf>,
}

impl<'a> KnownDirectories<'a> {
    pub(super) fn new(roots: &Roots, subject: &'a Subject<'a>) -> Self {
        let root = |root| roots.get(root);
        let built = [Root::BuildDir, Root::TargetDir].into_iter().filter_map(root);
        let above = [Root::CargoHome, Root::Workspace, Root::BuildDir, Root::TargetDir].into_iter().filter_map(root);
        let fixed = subject.fixed.iter().copied().chain(root(Root::Sysroot));
        let (fixed, own) = (with_canonical(fixed), with_canonical(subject.own.iter().copied()));
        let above = with_canonical(above).into_iter().chain(fixed.clone()).chain(own.clone()).collect();
        let named = subject.environment.get(TEMPORARY_VARIABLE).map(String::as_str);
        let temporary =
            with_canonical(TEMPORARY.iter().copied().chain(named.filter(|path| !path.is_empty())).map(Utf8Path::new));
        let toolchain = with_canonical(root(Root::Sysroot).into_iter());
        Self { fixed, own, built: with_canonical(built), toolchain, temporary, above, subject }
    }

    /// The kind of a path, or an error if its use cannot become a condition.
    pub(super) fn kind(&self, path: &str, access: &Access, seen: &Seen) -> Result<PathKind, Unknown> {
        let at = Utf8Path::new(path);
        if let Some(kind) = system_kind(path, access, seen) {
            return kind;
        }
        if access.uses.has(Use::Make) {
            match () {
                () if is_in(at, &self.own) || self.is_of_compiler(at, access, seen) => {
                    return Ok(PathKind::Fixed);
                }
                // A reused unit would not repeat a change that other programs can find.
                () if !access.was.is_still(at.as_std_path()) => return Err(Unknown::Made),
                // It existed only for a while.
                () if access.was == Was::Absent => return Ok(PathKind::Fixed),
                () => {}
            }
        }
        let is_above = || self.above.iter().chain(&self.temporary).any(|inside| inside.starts_with(at));
        let is_fixed = is_in(at, &self.fixed)
            || is_in(at, &self.own)
            || self.subject.dep_info_files.contains(at)
            || self.is_of_cargo(at)
            || access.was == Was::Directory && !access.uses.has(Use::List) && is_above();
        Ok(if is_fixed { PathKind::Fixed } else { PathKind::Input })
    }

    /// Whether a compiler writes it for itself and for cargo, or a program that the compiler starts writes it as a
    /// temporary file. Everything else that rustc itself writes is the work of a macro.
    fn is_of_compiler(&self, path: &Utf8Path, access: &Access, seen: &Seen) -> bool {
        let is_temporary = || is_in(path, &self.temporary) && !is_in(path, &self.above);
        let is_rustc = |program: &str| is_in(program.into(), &self.toolchain);
        let is_of_others = || !programs(&access.made_by, seen).any(is_rustc);
        self.subject.is_compiler && (self.is_of_cargo(path) || is_temporary() && is_of_others())
    }

    /// Whether cargo and the compiler make it, so that other conditions cover it.
    fn is_of_cargo(&self, path: &Utf8Path) -> bool {
        self.built.iter().filter_map(|built| path.strip_prefix(built).ok()).any(|below| {
            // Below a profile, or below a target and a profile.
            let mut parts = below.components().map(|part| part.as_str()).skip(1).take(2);
            below.as_str().is_empty() || parts.any(|part| PROFILE_NAMES.contains(&part))
        })
    }

    /// Whether a directory is that of the profile in which a build script runs. The name of the profile is in the key of
    /// a run, but not in that of a compiled unit, whose macros may list another directory under another profile.
    pub(super) fn is_profile(&self, directory: &Utf8Path) -> bool {
        let contains_cargos = |inside: &Utf8PathBuf| {
            let below = inside.strip_prefix(directory).ok().and_then(|below| below.components().next());
            below.is_some_and(|first| PROFILE_NAMES.contains(&first.as_str()))
        };
        !self.subject.is_compiler && self.is_in_build_dir(directory) && self.above.iter().any(contains_cargos)
    }

    /// Whether a linker read a file that becomes part of its output. Shared libraries do not: they are loaded later.
    pub(super) fn is_linked(&self, path: &str, access: &Access, seen: &Seen) -> Result<bool, Unknown> {
        let is_read = access.uses.has(Use::Read) && readers(access, seen).any(|reader| has_name(reader, LINKERS));
        Ok(is_read
            && self.kind(path, access, seen)? == PathKind::Input
            && !is_of_host(path)
            && !is_shared_library(path))
    }

    /// Whether it is, or may be, a program that reads variables.
    pub(super) fn reads_variables(&self, path: &str, access: &Access, seen: &Seen) -> bool {
        let is_of_system = || system_kind(path, access, seen).is_some();
        let name = Utf8Path::new(path).file_name().unwrap_or_default();
        let is_of_compiler = is_in(path.into(), &self.toolchain) && !has_name(name, LINTERS);
        if !matches!(access.was, Was::File(_)) || is_of_compiler || is_of_system() {
            return false;
        }
        let is_library = name.contains(".so");
        let is_read = || {
            let mut readers = readers(access, seen);
            readers.any(|reader| !has_name(reader, NOT_READING_NAMES) && !self.is_built(reader))
        };
        let is_linked = || readers(access, seen).all(|reader| has_name(reader, LINKERS));
        match () {
            () if access.uses.has(Use::Start) => true,
            () if !access.uses.has(Use::Read) => false,
            () if is_library => !is_linked() && !is_c_library(path),
            () => is_read() && !is_in(path.into(), &self.own),
        }
    }

    /// Whether a program is started whose output may depend on the locale. For compilers and linkers, only their
    /// messages do.
    pub(super) fn uses_locale(&self, path: &str, access: &Access) -> bool {
        let is_compiler = || has_name(path, NOT_READING_NAMES) || has_name(path, COMPILERS);
        access.uses.has(Use::Start) && matches!(access.was, Was::File(_)) && !is_compiler() && !self.is_built(path)
    }

    /// Whether it is in a build directory, so that another machine, or an empty target directory, may not have it yet.
    pub(super) fn is_in_build_dir(&self, path: &Utf8Path) -> bool {
        is_in(path, &self.built)
    }

    fn is_built(&self, program: &str) -> bool {
        is_in(program.into(), &self.built) || is_in(program.into(), &self.fixed)
    }
}

/// The kind of a path of the kernel, the loader or the C library; `None` for any other path.
fn system_kind(path: &str, access: &Access, seen: &Seen) -> Option<Result<PathKind, Unknown>> {
    let fixed = Some(Ok(PathKind::Fixed));
    let is_at = |at: &&&str| path == **at || path.strip_prefix(**at).is_some_and(|rest| rest.starts_with('/'));
    if let Some(rest) = path.strip_prefix("/proc/") {
        let (process, rest) = rest.split_once('/').map_or((rest, ""), |(process, _)| (process, &rest[process.len()..]));
        let is_process =
            ["self", "thread-self"].contains(&process) || process.bytes().all(|byte| byte.is_ascii_digit());
        let is_harmless = |part: &&&str| rest == **part || rest.starts_with(&format!("{part}/")) && !part.is_empty();
        return match (is_process, rest) {
            (true, "/environ") => Some(Err(Unknown::Environment)),
            (true, _) if PROCESS_PATHS.iter().any(|part| is_harmless(&part)) => fixed,
            (false, _) if MACHINE_PATHS.iter().any(|at| is_at(&at)) => fixed,
            _ if access.was == Was::Absent => fixed,
            _ => Some(Err(Unknown::Machine)),
        };
    }
    match () {
        () if MACHINE_PATHS.contains(&path) || path == "/" => fixed,
        () if path.starts_with("/sys/")
            && MACHINE_PATHS.iter().filter(|at| at.starts_with("/sys/")).any(|at| is_at(&at)) =>
        {
            fixed
        }
        () if path.starts_with("/sys/") => Some(Err(Unknown::Machine)),
        () if path.starts_with("/dev/") && !path.starts_with("/dev/shm/") => fixed,
        () if LOADER.contains(&path) => fixed,
        () if is_c_library(path) && readers(access, seen).all(|reader| !has_name(reader, LINKERS)) => fixed,
        () => None,
    }
}

/// The programs that read a path.
fn readers<'a>(access: &'a Access, seen: &'a Seen) -> impl Iterator<Item = &'a str> {
    programs(&access.by, seen)
}

fn programs<'a>(indices: &'a BTreeSet<u16>, seen: &'a Seen) -> impl Iterator<Item = &'a str> {
    indices.iter().filter_map(|index| seen.programs.get(usize::from(*index))).map(String::as_str)
}

/// Whether the last component of a path begins with one of these words, possibly after the name of a platform and a
/// `-`.
fn has_name(path: &str, names: &[&str]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let starts = std::iter::once(name).chain(name.match_indices('-').map(|(at, _)| &name[at + 1..]));
    let is_word = |rest: &str| !rest.starts_with(|first: char| first.is_ascii_alphabetic());
    { starts }.any(|start| names.iter().any(|name| start.strip_prefix(name).is_some_and(is_word)))
}

/// Whether a linker of this host reads this file whatever it links.
fn is_of_host(path: &str) -> bool {
    let path = Utf8Path::new(path);
    let name = path.file_name().unwrap_or_default();
    let is_code = [Some("a"), Some("o")].contains(&path.extension());
    HOST_DIRECTORIES.iter().any(|directory| path.starts_with(directory))
        && (!is_code || LINKED_INTO_EVERYTHING.iter().any(|begin| name.starts_with(begin)))
}

/// Whether a file is a shared library, by its first bytes. A text with such a name is a script for the linker.
fn is_shared_library(path: &str) -> bool {
    const SHARED: [u8; 2] = [3, 0];
    let mut begin = [0; TYPE + SHARED.len()];
    let is_read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut begin));
    is_read.is_ok() && begin.starts_with(b"\x7fELF") && begin[TYPE..] == SHARED
}

/// Whether a file is a shared library of the C library, by its name.
fn is_c_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_version = |version: &str| version.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    let is_shared = || name.split_once(".so").is_some_and(|(_, version)| is_version(version));
    C_LIBRARY.iter().any(|begin| name.starts_with(begin)) && is_shared()
}

fn is_in(path: &Utf8Path, directories: &[Utf8PathBuf]) -> bool {
    directories.iter().any(|directory| path.starts_with(directory))
}

/// Each directory, and its canonical path if that differs.
fn with_canonical<'a>(directories: impl Iterator<Item = &'a Utf8Path>) -> Vec<Utf8PathBuf> {
    let canonical =
        |directory: &Utf8Path| directory.canonicalize_utf8().ok().filter(|canonical| canonical != directory);
    directories.flat_map(|directory| [canonical(directory), Some(directory.to_owned())]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_recognized_by_words() {
        for name in ["ar", "x86_64-linux-gnu-ar", "gcc-ar-12", "ld.bfd", "ld64.lld", "rust-lld", "lto1", "cc1plus"] {
            assert!(has_name(&format!("/usr/bin/{name}"), NOT_READING_NAMES), "{name}");
        }
        for name in ["arrange", "asking", "ldap", "my-asking", "nmap", "ar/other", "c"] {
            assert!(!has_name(&format!("/usr/bin/{name}"), NOT_READING_NAMES), "{name}");
        }
        assert!(has_name("/usr/bin/x86_64-linux-gnu-gcc-12", COMPILERS) && has_name("clang++", COMPILERS));
    }

    #[test]
    fn files_that_a_host_links_into_everything_are_not_inputs() {
        let of_host = [
            "/usr/lib/x86_64-linux-gnu/crti.o",
            "/usr/lib/gcc/x86_64-linux-gnu/12/crtbeginS.o",
            "/usr/lib/gcc/x86_64-linux-gnu/12/libgcc.a",
            "/lib/x86_64-linux-gnu/libc.so",
            "/usr/share/locale/de/LC_MESSAGES/ld.mo",
        ];
        for path in of_host {
            assert!(is_of_host(path), "{path}");
        }
        for path in ["/usr/lib/x86_64-linux-gnu/libz.a", "/usr/lib/value.o", "/home/me/crti.o", "/usr/local/lib/libc.a"]
        {
            assert!(!is_of_host(path), "{path}");
        }
    }

    #[test]
    fn a_shared_library_is_recognized_by_its_content() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name).into_os_string().into_string().unwrap();
        for (name, kind) in [("shared", 3), ("object", 1)] {
            let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
            bytes.resize(TYPE, 0);
            bytes.extend([kind, 0]);
            std::fs::write(at(name), bytes).unwrap();
        }
        std::fs::write(at("libvalue.so"), "INPUT(value.o) /* a linker takes it for a script */").unwrap();
        assert!(is_shared_library(&at("shared")));
        assert!(!["object", "libvalue.so", "nowhere"].iter().any(|name| is_shared_library(&at(name))));
    }

    #[test]
    fn the_c_library_is_made_of_shared_libraries() {
        for name in ["libc.so.6", "ld-linux-x86-64.so.2", "ld-musl-x86_64.so.1", "libc.musl-x86_64.so.1", "libm.so"] {
            assert!(is_c_library(&format!("/lib/{name}")), "{name}");
        }
        for name in ["libc.txt", "libc.so.conf", "my-libc.so.6", "libm.a", "libcurl.so.4", "ld-linux"] {
            assert!(!is_c_library(&format!("/lib/{name}")), "{name}");
        }
    }
}

//! Which of the paths that were seen are inputs.
//!
//! Most are fixed: the sources of a package by its checksum, the toolchain by the compiler's identity, what was built by
//! other conditions of the entry, and what only says how many processors there are says nothing of what is made. What is
//! neither fixed nor a file (the state of the machine) is unknown.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::Subject;
use crate::observe::{Access, Seen, Unknown, Use, Was};
use crate::roots::{Root, Roots};

/// What programs ask about themselves and about what they may use, at the start of their paths behind `/proc/<process>`.
const OF_PROCESS: &[&str] = &[
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
/// The same of the machine: how much there is of something, and what the kernel is able to do.
const OF_MACHINE: &[&str] = &[
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
/// Where anybody makes files that nobody else is to find.
const TEMPORARY: &[&str] = &["/dev/shm", "/tmp", "/var/tmp"];
/// The variable that names another such directory.
const TEMPORARY_VARIABLE: &str = "TMPDIR";
/// Parts of the C library, and what every compiler brings along: all of the version that is in the host's class.
const C_LIBRARY: &[&str] =
    &["ld-linux", "ld-musl", "libc.", "libdl.", "libgcc_s.", "libm.", "libpthread.", "librt.", "libutil."];
/// Where a host has what every linker there links, and what linkers themselves are made of.
const OF_HOST: &[&str] =
    &["/etc", "/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share"];
/// What is linked into everything there: the begin of the names of objects and archives.
const IN_EVERYTHING: &[&str] =
    &["Scrt", "crt", "gcrt", "libc.", "libc_nonshared.", "libgcc.", "libgcc_eh.", "libm.", "rcrt"];
/// What finds out which libraries a program is started with.
const LOADER: &[&str] = &["/etc/ld.so.cache", "/etc/ld.so.preload"];
/// What cargo itself makes in the directory of a profile.
const OF_CARGO: &[&str] =
    &[".cargo-build-lock", ".cargo-lock", ".fingerprint", "build", "deps", "examples", "incremental"];
/// Programs that read files of their own kind, and no names of variables in them: the first words of their names.
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
/// Parts of a toolchain that ask for variables of their own.
const LINTERS: &[&str] = &["clippy-driver"];
/// Programs that compile C.
const COMPILERS: &[&str] = &["c++", "cc", "clang", "g++", "gcc"];
/// Programs that link: the first words of their names.
const LINKERS: &[&str] = &["collect2", "ld", "lld", "lto", "mold", "wild"];

/// Where the type of an ELF file stands in it.
const TYPE: usize = 16;

/// What a path is to a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PathKind {
    /// It is the same wherever the unit may be used, or says nothing.
    Fixed,
    /// It may be another one elsewhere.
    Input,
}

/// The directories that matter, with and without the links that lead to them.
pub(super) struct KnownDirectories<'a> {
    pub(super) subject: &'a Subject<'a>,
    fixed: Vec<Utf8PathBuf>,
    own: Vec<Utf8PathBuf>,
    built: Vec<Utf8PathBuf>,
    toolchain: Vec<Utf8PathBuf>,
    temporary: Vec<Utf8PathBuf>,
    /// What is above one of these is there wherever they are.
    above: Vec<Utf8PathBuf>,
}

impl<'a> KnownDirectories<'a> {
    pub(super) fn new(roots: &Roots, subject: &'a Subject<'a>) -> Self {
        let root = |root| roots.get(root);
        let built = [Root::BuildDir, Root::TargetDir].into_iter().filter_map(root);
        let above = [Root::CargoHome, Root::Workspace, Root::BuildDir, Root::TargetDir].into_iter().filter_map(root);
        let fixed = subject.fixed.iter().copied().chain(root(Root::Sysroot));
        let (fixed, own) = (both(fixed), both(subject.own.iter().copied()));
        let above = both(above).into_iter().chain(fixed.clone()).chain(own.clone()).collect();
        let named = subject.environment.get(TEMPORARY_VARIABLE).map(String::as_str);
        let temporary = both(TEMPORARY.iter().copied().chain(named.filter(|path| !path.is_empty())).map(Utf8Path::new));
        let toolchain = both(root(Root::Sysroot).into_iter());
        Self { fixed, own, built: both(built), toolchain, temporary, above, subject }
    }

    /// What a path is; an error where it cannot be told what it was.
    pub(super) fn kind(&self, path: &str, access: &Access, seen: &Seen) -> Result<PathKind, Unknown> {
        let at = Utf8Path::new(path);
        if let Some(kind) = of_system(path, access, seen) {
            return kind;
        }
        if access.uses.has(Use::Make) {
            match () {
                () if is_in(at, &self.own) || self.is_of_compiler(at, access, seen) => {
                    return Ok(PathKind::Fixed);
                }
                // What is left where others can find it, and what is missing there, does not come back.
                () if !access.was.is_still(at.as_std_path()) => return Err(Unknown::Made),
                // It was there for a while.
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

    /// Whether a compiler makes it for itself and for cargo, or whoever it starts for themselves. What rustc itself leaves
    /// elsewhere, a macro has made.
    fn is_of_compiler(&self, path: &Utf8Path, access: &Access, seen: &Seen) -> bool {
        let is_temporary = || is_in(path, &self.temporary) && !is_in(path, &self.above);
        let is_rustc = |program: &str| is_in(program.into(), &self.toolchain);
        let is_of_others = || !programs(&access.made_by, seen).any(is_rustc);
        self.subject.is_compiler && (self.is_of_cargo(path) || is_temporary() && is_of_others())
    }

    /// Whether cargo and the compiler make it, so that other conditions say what it is.
    fn is_of_cargo(&self, path: &Utf8Path) -> bool {
        self.built.iter().filter_map(|built| path.strip_prefix(built).ok()).any(|below| {
            // A profile, or one of a target.
            let mut parts = below.components().map(|part| part.as_str()).skip(1).take(2);
            below.as_str().is_empty() || parts.any(|part| OF_CARGO.contains(&part))
        })
    }

    /// Whether a file was read by a linker, to be part of what is linked: no shared library, as that is loaded later.
    pub(super) fn is_linked(&self, path: &str, access: &Access, seen: &Seen) -> Result<bool, Unknown> {
        let is_read = access.uses.has(Use::Read) && readers(access, seen).any(|reader| begins(reader, LINKERS));
        Ok(is_read
            && self.kind(path, access, seen)? == PathKind::Input
            && !is_of_host(path)
            && !is_shared_library(path))
    }

    /// Whether it is, or may be, a program that asks for variables.
    pub(super) fn reads_variables(&self, path: &str, access: &Access, seen: &Seen) -> bool {
        let is_of_system = || of_system(path, access, seen).is_some();
        let name = Utf8Path::new(path).file_name().unwrap_or_default();
        let is_of_compiler = is_in(path.into(), &self.toolchain) && !begins(name, LINTERS);
        if !matches!(access.was, Was::File(_)) || is_of_compiler || is_of_system() {
            return false;
        }
        let is_library = name.contains(".so");
        let is_read = || {
            let mut readers = readers(access, seen);
            readers.any(|reader| !begins(reader, NOT_READING_NAMES) && !self.is_built(reader))
        };
        let is_linked = || readers(access, seen).all(|reader| begins(reader, LINKERS));
        match () {
            () if access.uses.has(Use::Start) => true,
            () if !access.uses.has(Use::Read) => false,
            () if is_library => !is_linked() && !is_c_library(path),
            () => is_read() && !is_in(path.into(), &self.own),
        }
    }

    /// Whether a program is started whose work may follow from language and place. What compilers and linkers say to people
    /// does, and nothing else.
    pub(super) fn is_local(&self, path: &str, access: &Access) -> bool {
        let is_compiler = || begins(path, NOT_READING_NAMES) || begins(path, COMPILERS);
        access.uses.has(Use::Start) && matches!(access.was, Was::File(_)) && !is_compiler() && !self.is_built(path)
    }

    /// Whether cargo builds it, so that another machine, or an empty target directory, does not have it yet.
    pub(super) fn is_in_build_dir(&self, path: &Utf8Path) -> bool {
        is_in(path, &self.built)
    }

    fn is_built(&self, program: &str) -> bool {
        is_in(program.into(), &self.built) || is_in(program.into(), &self.fixed)
    }
}

/// What belongs to the system and is no file of anybody's.
fn of_system(path: &str, access: &Access, seen: &Seen) -> Option<Result<PathKind, Unknown>> {
    let fixed = Some(Ok(PathKind::Fixed));
    let is_at = |at: &&&str| path == **at || path.strip_prefix(**at).is_some_and(|rest| rest.starts_with('/'));
    if let Some(rest) = path.strip_prefix("/proc/") {
        let (process, rest) = rest.split_once('/').map_or((rest, ""), |(process, _)| (process, &rest[process.len()..]));
        let is_process =
            ["self", "thread-self"].contains(&process) || process.bytes().all(|byte| byte.is_ascii_digit());
        let is_harmless = |part: &&&str| rest == **part || rest.starts_with(&format!("{part}/")) && !part.is_empty();
        return match (is_process, rest) {
            (true, "/environ") => Some(Err(Unknown::Environment)),
            (true, _) if OF_PROCESS.iter().any(|part| is_harmless(&part)) => fixed,
            (false, _) if OF_MACHINE.iter().any(|at| is_at(&at)) => fixed,
            _ if access.was == Was::Absent => fixed,
            _ => Some(Err(Unknown::Machine)),
        };
    }
    match () {
        () if OF_MACHINE.contains(&path) || path == "/" => fixed,
        () if path.starts_with("/sys/")
            && OF_MACHINE.iter().filter(|at| at.starts_with("/sys/")).any(|at| is_at(&at)) =>
        {
            fixed
        }
        () if path.starts_with("/sys/") => Some(Err(Unknown::Machine)),
        () if path.starts_with("/dev/") && !path.starts_with("/dev/shm/") => fixed,
        () if LOADER.contains(&path) => fixed,
        () if is_c_library(path) && readers(access, seen).all(|reader| !begins(reader, LINKERS)) => fixed,
        () => None,
    }
}

/// The programs that used a path.
fn readers<'a>(access: &'a Access, seen: &'a Seen) -> impl Iterator<Item = &'a str> {
    programs(&access.by, seen)
}

fn programs<'a>(indices: &'a BTreeSet<u16>, seen: &'a Seen) -> impl Iterator<Item = &'a str> {
    indices.iter().filter_map(|index| seen.programs.get(usize::from(*index))).map(String::as_str)
}

/// Whether the last part of a path begins with one of these words; what stands before a `-` may be the name of a platform.
fn begins(path: &str, names: &[&str]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let starts = std::iter::once(name).chain(name.match_indices('-').map(|(at, _)| &name[at + 1..]));
    let is_word = |rest: &str| !rest.starts_with(|first: char| first.is_ascii_alphabetic());
    { starts }.any(|start| names.iter().any(|name| start.strip_prefix(name).is_some_and(is_word)))
}

/// Whether a file that a linker reads is there for all that is linked on a host.
fn is_of_host(path: &str) -> bool {
    let path = Utf8Path::new(path);
    let name = path.file_name().unwrap_or_default();
    let is_code = [Some("a"), Some("o")].contains(&path.extension());
    OF_HOST.iter().any(|directory| path.starts_with(directory))
        && (!is_code || IN_EVERYTHING.iter().any(|begin| name.starts_with(begin)))
}

/// Whether a file is a shared library, by what it begins with: linkers take texts for what they name.
fn is_shared_library(path: &str) -> bool {
    const SHARED: [u8; 2] = [3, 0];
    let mut begin = [0; TYPE + SHARED.len()];
    let is_read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut begin));
    is_read.is_ok() && begin.starts_with(b"\x7fELF") && begin[TYPE..] == SHARED
}

/// Whether something is a shared library of C's, by its name.
fn is_c_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_version = |version: &str| version.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    let is_shared = || name.split_once(".so").is_some_and(|(_, version)| is_version(version));
    C_LIBRARY.iter().any(|begin| name.starts_with(begin)) && is_shared()
}

fn is_in(path: &Utf8Path, directories: &[Utf8PathBuf]) -> bool {
    directories.iter().any(|directory| path.starts_with(directory))
}

/// Each directory, and the same without links.
fn both<'a>(directories: impl Iterator<Item = &'a Utf8Path>) -> Vec<Utf8PathBuf> {
    let real = |directory: &Utf8Path| directory.canonicalize_utf8().ok().filter(|real| real != directory);
    directories.flat_map(|directory| [real(directory), Some(directory.to_owned())]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_words() {
        for name in ["ar", "x86_64-linux-gnu-ar", "gcc-ar-12", "ld.bfd", "ld64.lld", "rust-lld", "lto1", "cc1plus"] {
            assert!(begins(&format!("/usr/bin/{name}"), NOT_READING_NAMES), "{name}");
        }
        for name in ["arrange", "asking", "ldap", "my-asking", "nmap", "ar/other", "c"] {
            assert!(!begins(&format!("/usr/bin/{name}"), NOT_READING_NAMES), "{name}");
        }
        assert!(begins("/usr/bin/x86_64-linux-gnu-gcc-12", COMPILERS) && begins("clang++", COMPILERS));
    }

    #[test]
    fn what_a_host_links_into_everything_is_no_code_of_a_macro() {
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
    fn a_shared_library_is_known_by_what_it_holds() {
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

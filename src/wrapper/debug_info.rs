//! Paths in the debug information of what build scripts have compiled.
//!
//! Objects of C name the directories that they were compiled in, mostly for nobody but debuggers. As with rustc's
//! `--remap-path-prefix`, they get [virtual ones](Root::virtual_path) instead, before anybody else sees them: it is as if
//! the C compiler had been told `-ffile-prefix-map`. Then nothing binds them to this machine.
//!
//! **Invariants.** Nothing but sections for debuggers is changed, and nothing but paths in them, which stay as long as they
//! were: what is missing is filled up with slashes, which mean nothing. A path that is shorter than the virtual one is left
//! as it is, and binds; so do compressed sections. A file is as old as it was.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;

use camino::Utf8Path;
use ignore::WalkBuilder;
use memchr::memmem;
use object::read::archive::ArchiveFile;
use object::{CompressionFormat, Object, ObjectSection, SectionKind};

use crate::process;
use crate::roots::{Root, Roots};

/// What stands for a root where its virtual path is too long.
const SHORT: &[(Root, &str)] = &[(Root::BuildDir, "/target"), (Root::CargoHome, "/.cargo")];
/// How files begin that are looked into: objects and what is linked of them, for Linux, Apple and Windows, and archives.
const BEGINS: &[&[u8]] = &[b"\x7fELF", b"\xcf\xfa\xed\xfe", b"!<arch>\n", b"MZ", b"\x64\x86", b"\x64\xaa"];

/// Changes the paths in all that is below a directory, as far as that is possible.
pub(super) fn generalize(directory: &Utf8Path, roots: &Roots) {
    let pairs = pairs(roots);
    let entries = WalkBuilder::new(directory).standard_filters(false).build().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file())) {
        if let Some(path) = Utf8Path::from_path(entry.path()) {
            // What cannot be changed stays as it is.
            let _ = generalize_file(path, &pairs);
        }
    }
}

fn generalize_file(path: &Utf8Path, pairs: &[(String, String)]) -> io::Result<()> {
    let mut begin = [0; 8];
    let length = io::Read::read(&mut fs::File::open(path)?, &mut begin)?;
    if !BEGINS.iter().any(|begins| begin[..length].starts_with(begins)) {
        return Ok(());
    }
    let metadata = fs::metadata(path)?;
    let mut bytes = fs::read(path)?;
    // Another name of it may be anywhere.
    if has_other_names(&metadata) || !replace(&mut bytes, pairs) {
        return Ok(());
    }
    // It may be a program.
    process::while_nothing_starts(|| {
        let directory = path.parent().unwrap_or(path);
        let mut file = crate::fs::temporary_file(directory.as_std_path()).map_err(io::Error::other)?;
        file.write_all(&bytes)?;
        file.as_file().set_permissions(metadata.permissions())?;
        file.as_file().set_modified(metadata.modified()?)?;
        file.persist(path)?;
        Ok(())
    })
}

#[cfg(unix)]
fn has_other_names(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) > 1
}

#[cfg(not(unix))]
fn has_other_names(_: &fs::Metadata) -> bool {
    false
}

/// Each path that is replaced, the longest first, and what stands for it: of the same length.
fn pairs(roots: &Roots) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = SHORT
        .iter()
        .flat_map(|(root, short)| roots.paths_of(*root).map(move |path| (*root, *short, path.as_str())))
        .filter_map(|(root, short, real)| {
            let fits = |path: &&str| path.len() <= real.len();
            let path = root.virtual_path().filter(fits).or(Some(short).filter(fits))?;
            Some((real.to_owned(), format!("{path:/<length$}", length = real.len())))
        })
        .collect();
    pairs.sort_by_key(|(real, _)| std::cmp::Reverse(real.len()));
    pairs
}

/// Whether there was anything to replace.
fn replace(bytes: &mut [u8], pairs: &[(String, String)]) -> bool {
    let is_held = pairs.iter().any(|(real, _)| memmem::find(bytes, real.as_bytes()).is_some());
    let sections = if is_held { sections(bytes) } else { Vec::new() };
    let mut is_changed = false;
    for section in sections {
        for (real, path) in pairs {
            let text = &mut bytes[section.clone()];
            // What goes on is another directory's name.
            let ends = |at: &usize| matches!(text.get(at + real.len()), Some(b'/' | 0) | None);
            let found: Vec<_> = memmem::find_iter(text, real).filter(ends).collect();
            for at in found {
                text[at..at + real.len()].copy_from_slice(path.as_bytes());
                is_changed = true;
            }
        }
    }
    is_changed
}

/// Where the sections for debuggers are in an object, or in those of an archive.
fn sections(bytes: &[u8]) -> Vec<Range<usize>> {
    let Ok(archive) = ArchiveFile::parse(bytes) else { return sections_of_object(bytes) };
    let members = archive.members().flatten().map(|member| member.file_range());
    let members = members.filter_map(|(start, length)| range(start, length).filter(|range| range.end <= bytes.len()));
    members
        .flat_map(|member| {
            let start = member.start;
            sections_of_object(&bytes[member]).into_iter().map(move |range| start + range.start..start + range.end)
        })
        .collect()
}

fn sections_of_object(bytes: &[u8]) -> Vec<Range<usize>> {
    let Ok(object) = object::File::parse(bytes) else { return Vec::new() };
    let for_debuggers = object.sections().filter(|section| {
        matches!(section.kind(), SectionKind::Debug | SectionKind::DebugString)
            || section.name().is_ok_and(|name| name.starts_with(".debug_"))
    });
    let plain = for_debuggers.filter_map(|section| {
        let range_of_file = section.compressed_file_range().ok()?;
        let is_plain = range_of_file.format == CompressionFormat::None;
        range(range_of_file.offset, range_of_file.uncompressed_size).filter(|_| is_plain)
    });
    plain.filter(|range| range.end <= bytes.len()).collect()
}

fn range(start: u64, length: u64) -> Option<Range<usize>> {
    let start = usize::try_from(start).ok()?;
    Some(start..start.checked_add(usize::try_from(length).ok()?)?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn run(command: &mut Command) -> String {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A machine on which C is compiled in a package, into a target directory.
    struct Machine {
        _temporary: tempfile::TempDir,
        roots: Roots,
    }

    impl Machine {
        fn new() -> Self {
            let temporary = tempfile::tempdir().unwrap();
            let directory = Utf8Path::from_path(temporary.path()).unwrap().canonicalize_utf8().unwrap();
            let roots = Roots::new([
                (Root::CargoHome, directory.join("the-home-of-packages")),
                (Root::BuildDir, directory.join("workspace/target")),
            ]);
            let machine = Self { _temporary: temporary, roots };
            fs::create_dir_all(machine.package()).unwrap();
            fs::create_dir_all(machine.out()).unwrap();
            let source = "#include \"value.h\"\nint value(void) { return seven(); }\nconst char *where(void) { return PLACE; }\n";
            fs::write(machine.package().join("value.c"), source).unwrap();
            fs::write(machine.out().join("value.h"), "static int seven(void) { return 7; }\n").unwrap();
            machine
        }

        fn package(&self) -> camino::Utf8PathBuf {
            self.roots.get(Root::CargoHome).unwrap().join("registry/src/value-1.0.0")
        }

        fn out(&self) -> camino::Utf8PathBuf {
            self.roots.get(Root::BuildDir).unwrap().join("debug/build/value-0/out")
        }

        /// Compiles with these arguments more, to a file of this name; what it holds before and after.
        fn compile(&self, name: &str, place: &str, more: &[&str]) -> [Vec<u8>; 2] {
            let path = self.out().join(name);
            let mut compiler = Command::new("cc");
            compiler.current_dir(self.package()).args(["value.c", "-o", path.as_str(), "-I", self.out().as_str()]);
            run(compiler.arg(format!("-DPLACE=\"{place}\"")).args(more));
            let before = fs::read(&path).unwrap();
            generalize(&self.out(), &self.roots);
            [before, fs::read(&path).unwrap()]
        }

        fn is_free(&self, bytes: &[u8]) -> bool {
            crate::roots::PathScanner::new(&self.roots).scan(bytes).is_empty()
        }
    }

    /// What is not for debuggers, as the system's tools see it.
    fn without_debug_information(path: &Utf8Path, bytes: &[u8]) -> Vec<u8> {
        let (from, to) = (path.with_extension("from"), path.with_extension("to"));
        fs::write(&from, bytes).unwrap();
        run(Command::new("objcopy").args(["--strip-debug", from.as_str(), to.as_str()]));
        fs::read(to).unwrap()
    }

    #[test]
    fn objects_of_every_kind_name_virtual_directories_and_are_the_same_otherwise() {
        for (name, more) in [
            ("value.o", &["-c", "-g"][..]),
            ("value-4.o", &["-c", "-gdwarf-4"]),
            ("value-5.o", &["-c", "-gdwarf-5", "-O2"]),
            ("inline.o", &["-c", "-g3", "-gno-strict-dwarf"]),
            ("libvalue.so", &["-g", "-shared", "-fPIC"]),
        ] {
            let machine = Machine::new();
            let [before, after] = machine.compile(name, "nowhere", more);
            assert!(!machine.is_free(&before), "{name} holds no paths");
            assert!(machine.is_free(&after), "{name}");
            let path = machine.out().join(name);
            assert_eq!(without_debug_information(&path, &before), without_debug_information(&path, &after), "{name}");
            let lines = run(Command::new("readelf").args(["--debug-dump=info,rawline", path.as_str()]));
            assert!(lines.contains("/xcache/cargo-home") && lines.contains("/xcache/build-dir"), "{name}: {lines}");
            assert!(!lines.contains("Warning"), "{name}: {lines}");
        }
    }

    #[test]
    fn archives_are_changed_within() {
        let machine = Machine::new();
        machine.compile("value.o", "nowhere", &["-c", "-g"]);
        let (object, archive) = (machine.out().join("value.o"), machine.out().join("libvalue.a"));
        run(Command::new("cc")
            .current_dir(machine.package())
            .args(["value.c", "-c", "-g", "-DPLACE=\"nowhere\"", "-I"])
            .args([machine.out().as_str(), "-o", object.as_str()]));
        run(Command::new("ar").args(["crsD", archive.as_str(), object.as_str()]));
        assert!(!machine.is_free(&fs::read(&archive).unwrap()));
        let modified = fs::metadata(&archive).unwrap().modified().unwrap();
        generalize(&machine.out(), &machine.roots);
        assert!(machine.is_free(&fs::read(&archive).unwrap()));
        assert_eq!(fs::metadata(&archive).unwrap().modified().unwrap(), modified);
        assert_eq!(run(Command::new("ar").args(["t", archive.as_str()])), "value.o\n");
    }

    #[test]
    fn a_path_in_the_data_stays() {
        let machine = Machine::new();
        let [_, after] = machine.compile("value.o", machine.out().as_str(), &["-c", "-g"]);
        assert!(!machine.is_free(&after));
        assert!(memmem::find(&after, machine.out().as_str().as_bytes()).is_some());
        let [before, after] = machine.compile("without.o", machine.out().as_str(), &["-c", "-g0"]);
        assert_eq!(before, after);
    }

    #[test]
    fn compressed_sections_and_files_with_several_names_stay() {
        let machine = Machine::new();
        let [before, after] = machine.compile("value.o", "nowhere", &["-c", "-g", "-gz=zlib"]);
        assert_eq!(before, after);
        fs::write(machine.out().join("plain.o"), "").unwrap();
        fs::hard_link(machine.out().join("plain.o"), machine.out().join("again.o")).unwrap();
        let [before, after] = machine.compile("plain.o", "nowhere", &["-c", "-g"]);
        assert_eq!(before, after);
    }

    #[test]
    fn what_stands_for_a_path_is_as_long_and_a_directory_of_a_longer_name_is_another() {
        let roots =
            |home: &str, target: &str| Roots::new([(Root::CargoHome, home.into()), (Root::BuildDir, target.into())]);
        let pairs_of = |home: &str, target: &str| pairs(&roots(home, target));
        let pair = |real: &str, path: &str| (real.to_owned(), path.to_owned());
        assert_eq!(
            pairs_of("/home/somebody/.cargo", "/root/work/target-of-mine"),
            [
                pair("/root/work/target-of-mine", "/xcache/build-dir////////"),
                pair("/home/somebody/.cargo", "/xcache/cargo-home///")
            ]
        );
        assert_eq!(pairs_of("/root/.cargo", "/t"), [pair("/root/.cargo", "/.cargo/////")]);
        let mut bytes = b"\x7fELF no object: /root/.cargo/x".to_vec();
        assert!(!replace(&mut bytes, &pairs_of("/root/.cargo", "/t")));
    }
}

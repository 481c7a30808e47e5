use std::process::Command;

use gimli::{Dwarf, DwarfSections, EndianSlice, LittleEndian, SectionId};
use object::{Object, ObjectSection, ObjectSymbol};

use super::*;
use crate::roots::PathScanner;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A machine on which C code of a package is compiled into a target directory.
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
        machine.write(
            "value.c",
            "#include \"value.h\"\nint value(void) { return seven(); }\nconst char *where(void) { return PLACE; }\n",
        );
        fs::write(machine.out().join("value.h"), "static int seven(void) { return 7; }\n").unwrap();
        machine
    }

    fn package(&self) -> camino::Utf8PathBuf {
        self.roots.get(Root::CargoHome).unwrap().join("registry/src/value-1.0.0")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.package().join(name), text).unwrap();
    }

    fn out(&self) -> camino::Utf8PathBuf {
        self.roots.get(Root::BuildDir).unwrap().join("debug/build/value-0/out")
    }

    /// Compiles with these additional options. Returns the file's content before and after the replacement.
    fn compile(&self, name: &str, place: &str, options: &[&str]) -> [Vec<u8>; 2] {
        let path = self.out().join(name);
        let mut compiler = Command::new("cc");
        compiler.current_dir(self.package()).args(["value.c", "-o", path.as_str(), "-I", self.out().as_str()]);
        run(compiler.arg(format!("-DPLACE=\"{place}\"")).args(options));
        self.before_and_after(&path)
    }

    /// The same with rustc, for another platform.
    fn compile_for(&self, target: &str) -> [Vec<u8>; 2] {
        self.write(
            "value.rs",
            "#![feature(no_core, lang_items)] #![no_core]
            #[lang = \"pointee_sized\"] pub trait PointeeSized {}
            #[lang = \"meta_sized\"] pub trait MetaSized: PointeeSized {}
            #[lang = \"sized\"] pub trait Sized: MetaSized {}
            #[unsafe(no_mangle)] pub extern \"C\" fn value() -> i32 { 7 }",
        );
        let path = self.out().join("value.o");
        let mut compiler = Command::new("rustc");
        compiler.env("RUSTC_BOOTSTRAP", "1").current_dir(self.package());
        compiler.args(["--crate-type=lib", "--emit=obj", "-g", "--edition=2024", "--target", target]);
        run(compiler.args(["-o", path.as_str(), self.package().join("value.rs").as_str()]));
        self.before_and_after(&path)
    }

    fn before_and_after(&self, path: &Utf8Path) -> [Vec<u8>; 2] {
        let before = fs::read(path).unwrap();
        replace_paths(&self.out(), &self.roots);
        [before, fs::read(path).unwrap()]
    }

    fn contains_no_root(&self, bytes: &[u8]) -> bool {
        objects::roots_in(bytes, &PathScanner::new(&self.roots)).is_empty()
    }

    /// A text with virtual paths.
    fn virtual_text(&self, text: &str) -> String {
        replacements(&self.roots).iter().fold(text.to_owned(), |text, (real, path)| text.replace(real, path))
    }
}

/// Converts an object with the system's tool.
fn objcopy(path: &Utf8Path, bytes: &[u8], option: &str) -> Vec<u8> {
    let (from, to) = (path.with_extension("from"), path.with_extension("to"));
    fs::write(&from, bytes).unwrap();
    run(Command::new("objcopy").args([option, from.as_str(), to.as_str()]));
    let made = fs::read(&to).unwrap();
    [from, to].iter().for_each(|path| fs::remove_file(path).unwrap());
    made
}

/// A section of an object, with the addends of its relocations applied.
fn section(file: &object::File<'_>, name: &str) -> Vec<u8> {
    let Some(section) = file.section_by_name(name) else { return Vec::new() };
    let mut data = section.data().unwrap().to_vec();
    for (offset, relocation) in section.relocations().filter(|(_, relocation)| !relocation.has_implicit_addend()) {
        let (at, size) = (usize::try_from(offset).unwrap(), usize::from(relocation.size() / 8));
        data[at..at + size].copy_from_slice(&relocation.addend().to_le_bytes()[..size]);
    }
    data
}

/// The content of the line tables of an object, and the names of its units.
fn lines(object: &[u8]) -> Vec<String> {
    let file = object::File::parse(object).unwrap();
    let load = |id: SectionId| Ok::<_, gimli::Error>(section(&file, id.name()));
    let sections = DwarfSections::load(load).unwrap();
    let dwarf: Dwarf<_> = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let text = |text: EndianSlice<'_, LittleEndian>| text.to_string_lossy().into_owned();
    let (mut found, mut units) = (Vec::new(), dwarf.units());
    while let Some(header) = units.next().unwrap() {
        let unit = dwarf.unit(header).unwrap();
        found.extend([unit.name, unit.comp_dir].into_iter().flatten().map(text));
        let program = unit.line_program.clone().expect("the unit has a line table");
        let files = program.header().file_names().iter().map(|file| file.path_name());
        let names = program.header().include_directories().iter().cloned().chain(files);
        found.extend(names.map(|name| text(dwarf.attr_string(&unit, name).unwrap())));
        let mut rows = program.rows();
        while let Some((_, row)) = rows.next_row().unwrap() {
            found.push(format!("{:x} {} {:?}", row.address(), row.file_index(), row.line()));
        }
    }
    assert!(found.len() > 4, "{found:?}");
    found
}

/// Everything but debug information: the contents of sections and the addresses of symbols.
fn without_debug_info(object: &[u8]) -> Vec<(String, Vec<u8>)> {
    let file = object::File::parse(object).unwrap();
    let name = |name: object::Result<&str>| name.unwrap_or_default().to_owned();
    let sections = file.sections().map(|section| (name(section.name()), section.data().unwrap().to_vec()));
    let symbols = file.symbols().map(|symbol| (name(symbol.name()), symbol.address().to_le_bytes().to_vec()));
    sections.filter(|(name, _)| !name.contains("debug")).chain(symbols).collect()
}

#[test]
fn objects_of_every_kind_contain_virtual_directories_and_are_otherwise_unchanged() {
    for (name, more) in [
        ("value.o", &["-c", "-g"][..]),
        ("value-4.o", &["-c", "-gdwarf-4"]),
        ("value-5.o", &["-c", "-gdwarf-5", "-O2"]),
        ("types.o", &["-c", "-g", "-fdebug-types-section"]),
        ("inline.o", &["-c", "-g3", "-gno-strict-dwarf"]),
        ("libvalue.so", &["-g", "-shared", "-fPIC"]),
        ("value", &["-g", "-nostartfiles", "-Wl,-e,value"]),
        ("zlib.o", &["-c", "-g", "-gz=zlib"]),
        ("zlib-4.o", &["-c", "-gdwarf-4", "-gz=zlib"]),
        ("libzlib.so", &["-g", "-shared", "-fPIC", "-gz=zlib"]),
        ("zstd.o", &["-c", "-g3", "-Wa,--compress-debug-sections=zstd"]),
    ] {
        let machine = Machine::new();
        let path = machine.out().join(name);
        let [before, after] = machine.compile(name, "nowhere", more);
        assert!(!machine.contains_no_root(&before), "{name} contains no paths");
        assert!(machine.contains_no_root(&after), "{name}");
        assert_eq!(objcopy(&path, &before, "--strip-debug"), objcopy(&path, &after, "--strip-debug"), "{name}");
        let [before, after] =
            [before, after].map(|bytes| lines(&objcopy(&path, &bytes, "--decompress-debug-sections")));
        assert_eq!(after, before.iter().map(|text| machine.virtual_text(text)).collect::<Vec<_>>(), "{name}");
        let dump = run(Command::new("readelf").args(["--debug-dump=info,rawline", path.as_str()]));
        assert!(dump.contains("/xcache/cargo-home") && dump.contains("/xcache/build-dir"), "{name}: {dump}");
        assert!(!dump.contains("Warning"), "{name}: {dump}");
    }
}

#[test]
fn objects_for_other_platforms_contain_virtual_directories_and_are_otherwise_unchanged() {
    for target in ["x86_64-apple-darwin", "aarch64-apple-darwin", "x86_64-pc-windows-gnu", "x86_64-pc-windows-msvc"] {
        let machine = Machine::new();
        let [before, after] = machine.compile_for(target);
        assert!(!machine.contains_no_root(&before) && machine.contains_no_root(&after), "{target}");
        assert_eq!((before.len(), without_debug_info(&before)), (after.len(), without_debug_info(&after)), "{target}");
        // The debug information for Microsoft's debuggers is not DWARF.
        if !target.ends_with("msvc") {
            let expected: Vec<_> = lines(&before).iter().map(|text| machine.virtual_text(text)).collect();
            assert_eq!(lines(&after), expected, "{target}");
        }
    }
}

#[test]
fn paths_in_archives_are_replaced() {
    for more in [&["-c", "-g"][..], &["-c", "-g", "-gz=zlib"]] {
        let machine = Machine::new();
        let (object, archive) = (machine.out().join("value.o"), machine.out().join("libvalue.a"));
        let mut compiler = Command::new("cc");
        compiler.current_dir(machine.package()).args(["value.c", "-DPLACE=\"nowhere\"", "-I"]);
        run(compiler.args([machine.out().as_str(), "-o", object.as_str()]).args(more));
        run(Command::new("ar").args(["crsD", archive.as_str(), object.as_str()]));
        assert!(!machine.contains_no_root(&fs::read(&archive).unwrap()));
        let modified = fs::metadata(&archive).unwrap().modified().unwrap();
        replace_paths(&machine.out(), &machine.roots);
        assert!(machine.contains_no_root(&fs::read(&archive).unwrap()));
        assert_eq!(fs::metadata(&archive).unwrap().modified().unwrap(), modified);
        assert_eq!(run(Command::new("ar").args(["t", archive.as_str()])), "value.o\n");
        let inside = machine.out().join("inside");
        fs::create_dir(&inside).unwrap();
        run(Command::new("ar").current_dir(&inside).args(["x", archive.as_str()]));
        assert_eq!(fs::read(inside.join("value.o")).unwrap(), fs::read(object).unwrap());
    }
}

#[test]
fn thin_archives_stay_and_their_paths_bind() {
    let machine = Machine::new();
    machine.compile("value.o", "nowhere", &["-c", "-g"]);
    let (object, archive) = (machine.out().join("value.o"), machine.out().join("libvalue.a"));
    run(Command::new("ar").current_dir("/").args(["crsDTP", archive.as_str(), object.as_str()]));
    let [before, after] = machine.before_and_after(&archive);
    assert_eq!(before, after);
    assert!(!machine.contains_no_root(&after));
}

#[test]
fn a_path_in_a_data_section_stays() {
    let machine = Machine::new();
    let [_, after] = machine.compile("value.o", machine.out().as_str(), &["-c", "-g"]);
    assert!(!machine.contains_no_root(&after));
    assert!(memmem::find(&after, machine.out().as_str().as_bytes()).is_some());
    let [before, after] = machine.compile("without.o", machine.out().as_str(), &["-c", "-g0"]);
    assert_eq!(before, after);
}

#[test]
fn data_in_a_section_with_the_name_of_a_debug_section_stays() {
    for name in [".debug_str", ".debug_line"] {
        let machine = Machine::new();
        let section = format!("__attribute__((section(\"{name}\")))");
        machine.write("value.c", &format!("{section} const char place[] = PLACE;\n"));
        let [before, after] = machine.compile("value.o", machine.out().as_str(), &["-c", "-g0"]);
        assert_eq!(before, after);
        assert!(!machine.contains_no_root(&after));
    }
}

#[test]
fn a_compressed_section_stays_if_its_new_content_does_not_fit() {
    let machine = Machine::new();
    let [before, _] = machine.compile("value.o", "nowhere", &["-c", "-g", "-gz=zlib"]);
    let mut bytes = before.clone();
    let sections = objects::debug_sections(&bytes);
    let (at, packed) =
        sections.into_iter().find_map(|it| Some((it.content, it.packed?))).expect("one section is compressed");
    let content = packed.unpack(&bytes[at.clone()]).unwrap();
    // Noise cannot be compressed.
    let mut noise = crate::digest::Digest::of("noise").as_bytes().to_vec();
    while noise.len() < content.len() {
        noise.extend(*crate::digest::Digest::of(&noise).as_bytes());
    }
    assert_eq!(packed.replace(&mut bytes, at.clone(), &noise[..content.len()]), None);
    assert!(bytes == before);
    assert_eq!(packed.replace(&mut bytes, at, &vec![b'/'; content.len()]), Some(()));
    assert!(bytes != before);
}

#[test]
fn a_section_compressed_in_the_old_format_stays_and_binds() {
    let machine = Machine::new();
    let [before, after] = machine.compile("value.o", "nowhere", &["-c", "-g", "-gz=zlib-gnu"]);
    assert_eq!(before, after);
    assert!(!machine.contains_no_root(&after) && PathScanner::new(&machine.roots).scan(&after).is_empty());
}

#[test]
fn intermediate_code_counts_as_containing_every_root() {
    let machine = Machine::new();
    let [before, after] = machine.compile("value.o", "nowhere", &["-c", "-g0"]);
    assert!(before == after && machine.contains_no_root(&after));
    let archive = machine.out().join("libvalue.a");
    for more in [&["-c", "-g0", "-flto"][..], &["-c", "-g0", "-flto", "-ffat-lto-objects"]] {
        let [_, after] = machine.compile("value.o", machine.out().as_str(), more);
        assert!(!machine.contains_no_root(&after), "{more:?}");
        run(Command::new("ar").args(["crsD", archive.as_str(), machine.out().join("value.o").as_str()]));
        assert!(!machine.contains_no_root(&fs::read(&archive).unwrap()), "{more:?}");
    }
    assert!(!machine.contains_no_root(b"BC\xc0\xde of LLVM"));
}

#[test]
fn files_with_several_names_stay() {
    let machine = Machine::new();
    fs::write(machine.out().join("plain.o"), "").unwrap();
    fs::hard_link(machine.out().join("plain.o"), machine.out().join("again.o")).unwrap();
    let [before, after] = machine.compile("plain.o", "nowhere", &["-c", "-g"]);
    assert_eq!(before, after);
}

#[test]
fn replacements_keep_the_length_and_leave_directories_with_longer_names_alone() {
    let roots =
        |home: &str, target: &str| Roots::new([(Root::CargoHome, home.into()), (Root::BuildDir, target.into())]);
    let replacements_for = |home: &str, target: &str| replacements(&roots(home, target));
    let pair = |real: &str, path: &str| (real.to_owned(), path.to_owned());
    assert_eq!(
        replacements_for("/home/somebody/.cargo", "/root/work/target-of-mine"),
        [
            pair("/root/work/target-of-mine", "/xcache/build-dir////////"),
            pair("/home/somebody/.cargo", "/xcache/cargo-home///")
        ]
    );
    let home = replacements_for("/root/.cargo", "/t");
    assert_eq!(home, [pair("/root/.cargo", "/.cargo/////")]);
    let mut text = *b"/root/.cargo/x\0/root/.cargo-2/x";
    assert!(replace_in(&mut text, &home));
    assert_eq!(text, *b"/.cargo//////x\0/root/.cargo-2/x");
    let mut bytes = b"\x7fELF no object: /root/.cargo/x".to_vec();
    assert!(!replace(&mut bytes, &home));
}

//! Programs of a few bytes: only their paths and first bytes matter.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

const BINARY: &[u8] = b"\x7fELF one";
const ANOTHER: &[u8] = b"\x7fELF two";

/// A machine with a local store.
struct Machine {
    directory: tempfile::TempDir,
    store: LocalStore,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalStore::open(&directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn path_text(&self, path: &str) -> String {
        self.path(path).to_str().unwrap().to_owned()
    }

    fn file(&self, path: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A new file, as from a package manager.
        let _ = std::fs::remove_file(&path);
        crate::process::while_nothing_starts(|| std::fs::write(&path, content).unwrap());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn program(&self, path: &str, content: &[u8]) -> PathBuf {
        self.file(path, content, 0o755)
    }

    /// Creates a compiler in a toolchain.
    fn toolchain(&self, name: &str, content: &[u8]) -> String {
        std::fs::create_dir_all(self.path(name).join("lib/rustlib")).unwrap();
        self.program(&format!("{name}/bin/rustc"), content).to_str().unwrap().to_owned()
    }

    fn find(&self, name: &str, path: &str) -> Option<PathBuf> {
        Program::find(name, self.directory.path(), Some(OsStr::new(path))).map(|program| program.path)
    }

    /// Creates a script that prints how often it was started.
    fn counting_script(&self, path: &str) -> PathBuf {
        let count = self.path_text("count");
        self.program(path, format!("#!/bin/sh\necho >> {count}\nwc -l < {count}\n").as_bytes())
    }

    fn query(&self, program: &Path) -> String {
        query(&self.store, Command::new(program).arg("--version"), |_| None).unwrap().trim().to_owned()
    }
}

fn nothing(_: &str) -> Option<OsString> {
    None
}

#[test]
fn a_name_is_found_whole_and_only_if_it_is_executable() {
    let machine = Machine::new();
    for name in ["first/ld", "first/gcc-4", "second/ld.lld", "second/gcc-4.9"] {
        machine.program(name, BINARY);
    }
    machine.file("first/ld.lld", BINARY, 0o644);
    std::fs::create_dir_all(machine.path("first/gcc-4.9")).unwrap();
    let path = format!("{}:{}", machine.path_text("first"), machine.path_text("second"));
    assert_eq!(machine.find("ld.lld", &path), Some(machine.path("second/ld.lld")));
    assert_eq!(machine.find("gcc-4.9", &path), Some(machine.path("second/gcc-4.9")));
    assert_eq!(machine.find("ld", &path), Some(machine.path("first/ld")));
    assert_eq!(machine.find("gcc-5", &path), None);
}

#[test]
fn relative_directories_are_those_of_the_caller() {
    let machine = Machine::new();
    machine.program("tools/cc", BINARY);
    let expected = Some(machine.path("tools/cc"));
    assert_eq!(machine.find("cc", "elsewhere:tools"), expected);
    assert_eq!(machine.find("tools/cc", "elsewhere"), expected);
    assert_eq!(machine.find("cc", "elsewhere"), None);
    machine.program("cc", ANOTHER);
    assert_eq!(machine.find("cc", ":tools"), Some(machine.path("cc")), "an empty entry is the current directory");
}

#[test]
fn a_compilers_answer_is_known_until_the_compiler_or_the_question_changes() {
    let machine = Machine::new();
    let rustc = machine.toolchain("toolchain", BINARY);
    let name = |arguments: &[&str], toolchain: Option<&str>| {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        key(&rustc, &arguments, |name| toolchain.filter(|_| name == "RUSTUP_TOOLCHAIN")).unwrap()
    };
    let first = name(&["-vV"], None);
    let answer = ProgramOutput { stdout: "rustc 1".into(), stderr: String::new() };
    remember(&machine.store, first, &answer);
    assert_eq!(recall(&machine.store, name(&["-vV"], None)), Some(answer));
    assert_eq!(recall(&machine.store, name(&["--print", "cfg"], None)), None);
    assert_eq!(recall(&machine.store, name(&["-vV"], Some("nightly"))), None);
    assert_eq!(key(&rustc, &["+nightly".into()], nothing), None);
    machine.toolchain("toolchain", ANOTHER);
    assert_eq!(recall(&machine.store, name(&["-vV"], None)), None);
}

#[test]
fn an_answer_is_asked_for_again_where_any_variable_has_another_value() {
    let machine = Machine::new();
    let rustc = machine.toolchain("toolchain", BINARY);
    let with = |variable: &str| key(&rustc, &[], |name| (name == variable).then_some("value")).unwrap();
    let plain = with("UNRELATED");
    assert_eq!(plain, key(&rustc, &[], nothing).unwrap());
    for variable in VARIABLES {
        assert_ne!(with(variable), plain, "{variable}");
    }
}

#[test]
fn a_compiler_that_may_choose_another_one_is_asked_every_time() {
    let machine = Machine::new();
    let real = machine.toolchain("toolchain", BINARY);
    let is_known = |program: &Path| key(program.to_str().unwrap(), &[], nothing).is_some();
    assert!(is_known(Path::new(&real)));
    let link = machine.path("rustc");
    symlink(&real, &link).unwrap();
    assert!(is_known(&link), "a link into a toolchain");
    assert!(!is_known(&machine.program("shims/rustc", b"#!/bin/sh\nexec rustc \"$@\"")), "a script");
    assert!(!is_known(&machine.program("compiled/rustc", BINARY)), "outside of a toolchain");
    assert!(!is_known(Path::new(&machine.toolchain("scripted", b"#!/bin/sh"))), "a script in a toolchain");
}

#[test]
fn a_link_to_another_file_is_another_compiler() {
    let machine = Machine::new();
    let compilers = ["one", "two"].map(|name| machine.toolchain(name, BINARY));
    let link = machine.path("rustc");
    let names = compilers.map(|compiler| {
        let _ = std::fs::remove_file(&link);
        symlink(&compiler, &link).unwrap();
        key(link.to_str().unwrap(), &[], nothing).unwrap()
    });
    assert_ne!(names[0], names[1]);
}

#[test]
fn a_proxy_is_asked_every_time_unless_its_toolchain_is_named() {
    let machine = Machine::new();
    let proxy = machine.program("bin/rustc", BINARY).to_str().unwrap().to_owned();
    machine.program("bin/rustup", BINARY);
    machine.toolchain("home/toolchains/stable", BINARY);
    let of = |toolchain: Option<&str>| {
        key(&proxy, &[], |name| match name {
            "RUSTUP_TOOLCHAIN" => toolchain.map(Into::into),
            "RUSTUP_HOME" => Some(machine.path_text("home")),
            _ => None,
        })
    };
    assert_eq!((of(None), of(Some("absent"))), (None, None));
    let stable = of(Some("stable"));
    assert!(stable.is_some() && stable == of(Some("stable")));
    // As `rustup update` does.
    machine.toolchain("home/toolchains/stable", ANOTHER);
    assert_ne!(of(Some("stable")), stable);
}

#[test]
fn a_program_that_may_start_another_one_is_asked_every_time() {
    let machine = Machine::new();
    let script = machine.counting_script("cc");
    assert_eq!([machine.query(&script), machine.query(&script)], ["1", "2"], "a script");
    let is_self_contained = |path: &Path| Program::find(path, Path::new(""), None).unwrap().is_self_contained();
    let real = machine.program("x86_64-linux-gnu-gcc-14", BINARY);
    let cache = machine.program("ccache", BINARY);
    for (name, to, expected) in [("gcc", &real, true), ("c99", &real, true), ("clang", &cache, false)] {
        let link = machine.path(&format!("links-{name}"));
        symlink(to, &link).unwrap();
        assert_eq!(is_self_contained(&link), expected, "{name}");
    }
    assert!(is_self_contained(&real) && is_self_contained(&cache) && !is_self_contained(&script));
}

#[test]
fn an_answer_is_remembered_while_the_program_is_the_same_file() {
    let machine = Machine::new();
    // A real program, which prints its argument.
    let echo = machine.program("echo", &std::fs::read("/bin/echo").unwrap());
    let printed = machine.query(&echo);
    let key = |program: &Path| {
        let program = Program::find(program, Path::new(""), None).unwrap();
        name(&(program.state().unwrap(), program.state().unwrap()), &["--version"], nothing)
    };
    assert_eq!(recall(&machine.store, key(&echo)).map(|answer| answer.stdout.trim().to_owned()), Some(printed));
    machine.program("echo", &std::fs::read("/bin/cat").unwrap());
    assert_eq!(recall(&machine.store, key(&echo)), None);
}

#[test]
fn a_constant_of_a_script_is_remembered_by_its_text() {
    let machine = Machine::new();
    let query = |path: &Path| query_constant(&machine.store, Command::new(path).arg("--version"), nothing).unwrap();
    let count = machine.path_text("count");
    let script = |version: &str| format!("#!/bin/sh\necho >> {count}\necho 'ldd (GNU libc) {version}'\n");
    let ldd = machine.program("ldd", script("2.36").as_bytes());
    assert_eq!([query(&ldd), query(&ldd)], ["ldd (GNU libc) 2.36\n"; 2]);
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "\n");
    machine.program("ldd", script("2.41").as_bytes());
    assert_eq!(query(&ldd), "ldd (GNU libc) 2.41\n");
    // An answer that is not in the text comes from elsewhere.
    let other = machine
        .program("other", format!("#!/bin/sh\necho >> {count}\nwc -l < {count} | sed 's/^/line /'\n").as_bytes());
    assert_ne!(query(&other), query(&other));
}

#[test]
fn files_are_known_by_their_contents_wherever_they_are() {
    let machine = Machine::new();
    let one = machine.file("one/libstd.rlib", b"std one", 0o644);
    let before = contents(&machine.store, std::slice::from_ref(&one));
    assert!(before.is_some());
    assert_eq!(contents(&machine.store, &[machine.file("two/libstd.rlib", b"std one", 0o644)]), before);
    assert_eq!(contents(&machine.store, std::slice::from_ref(&one)), before);
    machine.file("one/libstd.rlib", b"std two", 0o644);
    assert_ne!(contents(&machine.store, &[one]), before, "another file of the same size");
    assert_eq!(contents(&machine.store, &[machine.path("absent")]), None);
}

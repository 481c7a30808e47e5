use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// What is seen of a shell that runs a script in a directory.
fn seen(directory: &Path, script: &str) -> Seen {
    let mut command = Command::new("/bin/sh");
    let (mut child, observation) = spawn(command.args(["-c", script]).current_dir(directory)).unwrap();
    child.wait().unwrap();
    observation.finish().unwrap()
}

fn access<'a>(seen: &'a Seen, directory: &Path, name: &str) -> Option<&'a Access> {
    let directory = directory.canonicalize().unwrap();
    seen.paths.get(directory.join(name).to_str().unwrap())
}

#[test]
fn existing_and_missing_files_are_seen_with_their_readers() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    std::fs::write(directory.join("there"), "").unwrap();
    std::fs::create_dir(directory.join("sub")).unwrap();
    let seen = seen(directory, "read x < there; test -e away; ls sub; echo > made; cat sub/../there");
    let uses = |name: &str, used| access(&seen, directory, name).is_some_and(|access| access.uses.has(used));
    assert!(uses("there", Use::Read) && uses("away", Use::Look) && uses("sub", Use::List) && uses("made", Use::Make));
    let was = |name: &str| access(&seen, directory, name).unwrap().was;
    assert!(matches!(was("there"), Was::File(_)));
    assert_eq!((was("away"), was("sub"), was("made")), (Was::Absent, Was::Directory, Was::Absent));
    let by: Vec<_> = access(&seen, directory, "there").unwrap().by.iter().collect();
    assert_eq!(by.len(), 2, "the shell and cat: {:?}", seen.programs);
    assert!(seen.paths.iter().any(|(path, access)| path.ends_with("/cat") && access.uses.has(Use::Start)));
    assert_eq!(seen.unknown, BTreeSet::new());
}

#[test]
fn an_observed_program_behaves_as_unobserved() {
    let temporary = tempfile::tempdir().unwrap();
    let script = "exit 3";
    let mut command = Command::new("/bin/sh");
    let (mut child, observation) = spawn(command.args(["-c", script]).current_dir(temporary.path())).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(observation.finish().is_ok());
    assert!(spawn(&mut Command::new("/no/such/program")).is_err());
}

/// The output of a program that loads the library, and what was seen.
fn noted(command: &mut Command) -> (std::process::Output, Seen) {
    let session = tempfile::tempdir().unwrap();
    provide_interposer(session.path());
    assert!(session.path().join("interposer.so").exists(), "the library does not work here");
    let (child, observation) = spawn_with(session.path(), command.stdout(Stdio::piped())).unwrap();
    (child.wait_with_output().unwrap(), observation.finish().unwrap())
}

fn shell(script: &str, directory: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir(directory);
    command
}

/// Everything except paths that differ each time.
fn lasting(seen: &Seen) -> Vec<(&str, &Access)> {
    // The compiler's temporary files.
    let temporary = std::env::temp_dir().join("cc").display().to_string();
    let is_lasting = |path: &str| !path.starts_with(&temporary) && !path.starts_with("/proc/") && !path.contains("/st");
    seen.paths.iter().map(|(path, access)| (path.as_str(), access)).filter(|(path, _)| is_lasting(path)).collect()
}

#[test]
fn the_same_is_seen_with_and_without_the_library() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    std::fs::create_dir(directory.join("include")).unwrap();
    std::os::unix::fs::symlink("real.h", directory.join("include/linked.h")).unwrap();
    std::fs::write(directory.join("include/real.h"), "int answer(void);").unwrap();
    std::fs::write(directory.join("a.c"), "#include <stdio.h>\n#include <linked.h>\n#include \"gone/../b.h\"\n")
        .unwrap();
    std::fs::write(directory.join("b.h"), "").unwrap();
    std::fs::create_dir(directory.join("gone")).unwrap();
    let script = "cc -isystem include -I. -Inowhere -c a.c -o a.o && ar rcs a.a a.o";
    let mut without = shell(script, directory);
    let (mut child, observation) = spawn(&mut without).unwrap();
    assert!(child.wait().unwrap().success());
    let without = observation.finish().unwrap();
    for made in ["a.o", "a.a"] {
        std::fs::remove_file(directory.join(made)).unwrap();
    }
    let (output, with) = noted(&mut shell(script, directory));
    assert!(output.status.success());
    assert!(with.noted > 100, "{} were noted", with.noted);
    assert_eq!(without.noted, 0);
    let names = |seen: &Seen| lasting(seen).into_iter().map(|(path, _)| path.to_owned()).collect::<BTreeSet<_>>();
    let differing: Vec<_> = names(&with).symmetric_difference(&names(&without)).cloned().collect();
    assert_eq!(differing, Vec::<String>::new());
    let by = |access: &Access, seen: &Seen| {
        access.by.iter().map(|index| seen.programs[usize::from(*index)].clone()).collect::<BTreeSet<_>>()
    };
    for ((path, with_it), (_, without_it)) in lasting(&with).into_iter().zip(lasting(&without)) {
        assert_eq!((with_it.was, with_it.uses), (without_it.was, without_it.uses), "{path}");
        assert_eq!(by(with_it, &with), by(without_it, &without), "{path}");
    }
    assert_eq!(with.unknown, without.unknown);
}

#[test]
fn the_library_is_not_visible_in_the_environment() {
    let temporary = tempfile::tempdir().unwrap();
    let script = "env; tr '\\0' '\\n' < /proc/$$/environ; sh -c 'env; tr \"\\0\" \"\\n\" < /proc/$$/environ'; set";
    let (output, _) =
        noted(shell(script, temporary.path()).env_clear().env("A", "1").env("PATH", "/usr/bin:/bin").env("Z", "2"));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(!printed.contains("LD_PRELOAD") && !printed.contains("interposer"), "{printed}");
    let entries = |name: &str| printed.lines().filter(|line| *line == name).count();
    assert_eq!((entries("A=1"), entries("Z=2")), (4, 4), "{printed}");
    let at_start: Vec<_> = printed.lines().skip_while(|line| !line.starts_with("PWD")).collect();
    assert!(!at_start.is_empty(), "{printed}");
}

#[test]
fn programs_that_do_not_load_the_library_do_not_see_it_in_the_environment() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name);
    let tool =
        "#include <stdio.h>\nextern char **environ; int main(void) { for (char **at = environ; *at; at++) puts(*at); }";
    std::fs::write(at("tool.c"), tool).unwrap();
    // A static program that has the name of a compiler.
    assert!(Command::new("cc").arg("-static").arg(at("tool.c")).arg("-o").arg(at("cc")).status().unwrap().success());
    std::fs::write(at("sh"), format!("#!{}\n", at("cc").display())).unwrap();
    std::fs::set_permissions(at("sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let session = tempfile::tempdir().unwrap();
    provide_interposer(session.path());
    for mut command in [Command::new(at("cc")), Command::new(at("sh")), shell("./cc; ./sh; $PWD/cc", temporary.path())]
    {
        let (child, observation) = spawn_with(session.path(), command.stdout(Stdio::piped())).unwrap();
        let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(printed.contains("PATH=") && !printed.contains("LD_PRELOAD"), "{printed}");
        assert!(observation.finish().is_ok());
    }
}

#[test]
fn rustc_is_not_stopped_for_each_link_in_a_path() {
    let temporary = tempfile::tempdir().unwrap();
    let deep = temporary.path().join("a/b/c/d/e/f");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("one.rs"), "extern crate core as other;").unwrap();
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    let rustc = Path::new(String::from_utf8(rustc).unwrap().trim()).join("bin/rustc");
    let command = || {
        let mut command = Command::new(&rustc);
        command.args(["--crate-type", "lib", "--emit", "metadata", "one.rs"]).current_dir(&deep);
        command.args((0..40).map(|index| format!("-Ldependency={}/{index}/..", deep.display())));
        command
    };
    let mut plain = command();
    let (mut child, observation) = spawn(&mut plain).unwrap();
    assert!(child.wait().unwrap().success());
    let without = observation.finish().unwrap();
    std::fs::remove_file(deep.join("libone.rmeta")).unwrap();
    let (output, with) = noted(&mut command());
    assert!(output.status.success());
    assert!(
        with.noted > 0 && with.stopped * 3 < without.stopped * 2,
        "{} {} {}",
        with.noted,
        with.stopped,
        without.stopped
    );
    let inputs = |seen: &Seen| -> BTreeSet<String> {
        let named = seen.paths.iter().filter(|(path, _)| !path.starts_with("/proc/") && !path.contains("/rmeta"));
        named.map(|(path, access)| format!("{path}: {:?}", (access.was, access.uses))).collect()
    };
    let differing: Vec<_> = inputs(&with).symmetric_difference(&inputs(&without)).cloned().collect();
    assert_eq!(differing, Vec::<String>::new());
}

/// A directory that the loader searches, with this content, and a shell with that search.
fn searching(script: &str, content: &[&str]) -> (tempfile::TempDir, Command) {
    let temporary = tempfile::tempdir().unwrap();
    let libraries = temporary.path().join("libraries");
    std::fs::create_dir(&libraries).unwrap();
    content.iter().for_each(|name| std::fs::write(libraries.join(name), "").unwrap());
    std::fs::write(temporary.path().join("a.c"), "int a;").unwrap();
    let mut command = shell(script, temporary.path());
    command.env("LD_LIBRARY_PATH", &libraries);
    (temporary, command)
}

#[test]
fn directories_without_libraries_are_searched_once() {
    const COMPILE: &str = "cc -c a.c;";
    let stopped = |times: usize, content: &[&str]| {
        let (temporary, mut command) = searching(&COMPILE.repeat(times), content);
        let (output, seen) = noted(&mut command);
        assert!(output.status.success());
        let is_sought =
            |path: &String| path.ends_with("/libraries/libc.so.6") || path.ends_with("/libraries/libz.so.1");
        assert_eq!(seen.paths.keys().filter(|path| is_sought(path)).count(), 2, "{:?}", temporary.path());
        seen.stopped
    };
    // The difference is the cost of each further start.
    let each = |content: &[&str]| stopped(3, content) - stopped(2, content);
    let (needless, needed) = (
        each(&["libown-0123456789abcdef.so", "libLLVM.so.22.1-rust-1.95.0-stable", "libown.rlib"]),
        each(&["libown.so.1"]),
    );
    assert!(needless + 50 < needed, "{needless} {needed}");
}

#[test]
fn a_compiler_sees_the_search_path_in_its_environment() {
    const TOOL: &str = r#"#include <stdio.h>
        #include <string.h>
        extern char **environ;
        int main(void) {
            for (char **at = environ; *at; at++) if (strstr(*at, "LIBRARY")) puts(*at);
            char all[100000];
            FILE *file = fopen("/proc/self/environ", "r");
            size_t length = fread(all, 1, sizeof all - 1, file);
            all[length] = 0;
            for (char *at = all; at < all + length; at += strlen(at) + 1) if (strstr(at, "LIBRARY")) puts(at);
        }"#;
    let script = "./bin/cc; $PWD/bin/cc; $PWD/bin/cc; PATH=$PWD/bin:$PATH; cc; cc; env";
    let (temporary, mut command) = searching(script, &[]);
    let at = |name: &str| temporary.path().join(name);
    std::fs::create_dir(at("bin")).unwrap();
    std::fs::write(at("tool.c"), TOOL).unwrap();
    assert!(Command::new("cc").arg(at("tool.c")).arg("-o").arg(at("bin/cc")).status().unwrap().success());
    let (output, _) = noted(&mut command);
    let value = temporary.path().join("libraries").display().to_string();
    let printed = String::from_utf8(output.stdout).unwrap();
    let libraries: Vec<_> = printed.lines().filter(|line| line.contains("LIBRARY")).collect();
    assert_eq!(libraries, vec![format!("LD_LIBRARY_PATH={value}"); 11]);
}

#[test]
fn a_library_in_the_search_path_is_seen() {
    let (temporary, mut command) = searching("cc -c a.c; cc -c a.c", &[]);
    let library = temporary.path().join("libraries/libz.so.1");
    let of_system = ["/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/lib", "/usr/lib"];
    let found = of_system.iter().map(|at| Path::new(at).join("libz.so.1")).find(|path| path.exists()).unwrap();
    std::fs::copy(found, &library).unwrap();
    let (output, seen) = noted(&mut command);
    assert!(output.status.success());
    let access = access(&seen, temporary.path(), "libraries/libz.so.1").unwrap();
    assert!(matches!(access.was, Was::File(_)) && access.uses.has(Use::Read));
}

/// Asserts that a compiler, which is linked with a library, finds another one as soon as `put` has put it into the
/// search.
#[track_caller]
fn assert_found_after(put: &str) {
    let script = format!("$PWD/bin/cc; $PWD/bin/cc; {put}; $PWD/bin/cc");
    let (temporary, mut command) = searching(&script, &[]);
    let at = |name: &str| temporary.path().join(name).into_os_string().into_string().unwrap();
    let build = |arguments: &[String]| assert!(Command::new("cc").args(arguments).status().unwrap().success());
    for (name, said) in [("one", "first"), ("other", "second")] {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at("said.c"), format!("const char *said(void) {{ return \"{said}\"; }}")).unwrap();
        build(&["-shared".into(), "-fPIC".into(), at("said.c"), "-o".into(), at(&format!("{name}/libsaid.so"))]);
    }
    let tool = "#include <stdio.h>\nconst char *said(void);\nint main(void) { puts(said()); }";
    std::fs::write(at("tool.c"), tool).unwrap();
    std::fs::create_dir(at("bin")).unwrap();
    let own = format!("-Wl,--enable-new-dtags,-rpath,{}", at("one"));
    build(&[at("tool.c"), "-o".into(), at("bin/cc"), format!("-L{}", at("one")), "-lsaid".into(), own]);
    let (output, _) = noted(&mut command);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "first\nfirst\nsecond\n", "{put}");
}

#[test]
fn a_library_that_appears_in_the_search_path_is_found() {
    assert_found_after("cp other/libsaid.so libraries/");
    assert_found_after("ln -s ../other/libsaid.so libraries/libsaid.so");
    assert_found_after("ln other/libsaid.so libraries/libsaid.so");
    assert_found_after("mv other/libsaid.so libraries/");
    assert_found_after("rmdir libraries; mv other libraries");
    assert_found_after("rmdir libraries; ln -s other libraries");
    assert_found_after("ln -s libraries also; cp other/libsaid.so also/");
}

#[test]
fn calls_that_the_library_takes_over_have_the_same_results() {
    let temporary = tempfile::tempdir().unwrap();
    // Below a directory of its own: in memory, the size of one that other tests share changes with its entries.
    let directory = &temporary.path().join("calls");
    std::fs::create_dir(directory).unwrap();
    let program = directory.join("calls");
    std::fs::write(directory.join("calls.c"), include_str!("observe/calls.c")).unwrap();
    let built = Command::new("cc").arg(directory.join("calls.c")).arg("-o").arg(&program).status().unwrap();
    assert!(built.success());
    std::fs::create_dir_all(directory.join("d/e")).unwrap();
    std::fs::write(directory.join("d/file"), "text").unwrap();
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, directory.join(at)).unwrap();
    link("d/file", "link");
    link("link", "again");
    link("loop", "loop");
    link("nowhere", "dangling");
    link("../d", "d/e/up");
    link(directory.join("d").to_str().unwrap(), "whole");
    let long = "x/".repeat(3000);
    let name = "n".repeat(300);
    let paths = [
        "",
        "/",
        "//",
        ".",
        "..",
        "d",
        "d/",
        "d/.",
        "d/..",
        "d/../d/file",
        "d/file",
        "d/file/",
        "d/file/.",
        "d/file/..",
        "d/file/x",
        "link",
        "link/",
        "again",
        "again/..",
        "loop",
        "loop/x",
        "dangling",
        "dangling/..",
        "d/e/up/file",
        "d/e/up/../d/e",
        "whole/file",
        "whole/e/up",
        "nowhere",
        "nowhere/..",
        "./././d",
        "/usr/../usr/./bin/sh",
        "/dev/null",
        "/dev/null/",
        &long,
        &name,
    ];
    let command = || {
        let mut command = Command::new(&program);
        command.args(paths).current_dir(directory);
        command
    };
    let without = command().output().unwrap();
    let (with, seen) = noted(&mut command());
    assert!(without.status.success() && seen.noted > 20);
    let [without, with] = [without, with].map(|output| String::from_utf8(output.stdout).unwrap());
    let differing: Vec<_> = without.lines().zip(with.lines()).filter(|(left, right)| left != right).collect();
    assert_eq!(differing, Vec::<(&str, &str)>::new());
    assert_eq!(without.lines().count(), with.lines().count());
    assert!(without.lines().count() > 8 * paths.len(), "{without}");
}

#[test]
fn an_unfinished_note_is_detected() {
    use super::journal::{self, Note};
    use super::notes::Notes;
    let mut notes = Notes::new(Path::new("/library")).unwrap();
    let note = |path| Note { used: Use::Read as u8, was: journal::OTHER, program: 1, mark: [0; 5], path };
    let journal = notes.journal();
    journal.add(journal::digest(b"/a", 1, 1), &note(b"/a"));
    journal.add(journal::digest(b"/b", 1, 1), &note(b"/b"));
    let mut found = Vec::new();
    notes.read(|note| found.push(note.path.to_vec()));
    assert_eq!(found, [b"/a", b"/b"]);
    assert!(
        notes.is_whole() && journal.has(journal::digest(b"/b", 1, 1)) && !journal.has(journal::digest(b"/b", 4, 1))
    );
    let started = journal::digest(b"/a", journal::STARTED, 0);
    assert!(!journal.has(started) && !journal.is_skippable(b"/lib"));
    journal.insert(started);
    journal.set_skippable(b"/lib");
    assert!(journal.has(started) && journal.is_skippable(b"/lib") && !journal.is_skippable(b""));
    // This takes room and writes nothing.
    journal.add(journal::digest(b"/c", 1, 1), &note(&[b'c'; journal::LONGEST + 1]));
    notes.read(|_| panic!("there is nothing to be read"));
    assert!(!notes.is_whole() && !journal.is_full());
}

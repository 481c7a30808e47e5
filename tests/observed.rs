//! What build scripts and macros read without declaring it: if it changed, they run again, and if not, their outputs
//! are reused.
//!
//! Each of them reads one thing, and a program prints what it read.
#![cfg(target_os = "linux")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use support::readers::{called, dependency, dependency_in, member, member_in, script, script_in};
use support::rustc::real;
use support::witness::{NOTHING, in_directory, in_file, in_file_of_project, in_variable};
use support::{Project, Sandbox, Witness, by_form, tree};

/// The last text is built after both have been recorded.
const TEXTS: [&str; 3] = ["1", "2", "1"];

/// For a file that is absent for a while.
const ABSENT_AND_PRESENT: [&str; 4] = [NOTHING, "1", NOTHING, "2"];

/// A witness that reads this path in the sandbox, and the path.
fn at(path: &str, looking: fn(Sandbox, &str) -> Witness, how: &str) -> (Witness, PathBuf) {
    let sandbox = Sandbox::new();
    let path = sandbox.path(path);
    (looking(sandbox, &format!("{how}({path:?})")), path)
}

/// A script that declares its own file only.
fn script_with_own_file_in(sandbox: Sandbox, look: &str) -> Witness {
    script_in(sandbox, &["changed=build.rs"], look)
}

// Variables.

const MADE_UP: &str = "variable(\"MADE_UP\")";

/// Set and unset, and with two values.
const SET_AND_UNSET: [&str; 4] = ["1", "2", NOTHING, "1"];

#[test]
fn a_variable_is_an_input_of_a_script_that_does_not_declare_it() {
    let declarations: [&[&str]; 3] = [&["env-changed=OTHER"], &[], &["changed=build.rs"]];
    for declared in by_form(&declarations[..2], &declarations) {
        script(declared, MADE_UP).assert_follows_changes(&SET_AND_UNSET, in_variable("MADE_UP"));
    }
}

#[test]
fn a_lower_case_variable_is_an_input_of_scripts_and_macros() {
    let made_up = "variable(\"made_up\")";
    let witnesses = [|look: &str| dependency(look), |look: &str| script(&["changed=build.rs"], look)];
    for witness in by_form(&witnesses[..1], &witnesses) {
        witness(made_up).assert_follows_changes(&SET_AND_UNSET, in_variable("made_up"));
    }
}

#[test]
fn a_variable_of_one_short_lower_case_word_is_an_input_of_a_script_if_it_is_set() {
    let witness = script(&["changed=build.rs"], "variable(\"zebras\")");
    witness.assert_follows_changes(&["1", "2", NOTHING, "1"], in_variable("zebras"));
}

#[test]
fn a_variable_that_a_script_declares_is_an_input() {
    script(&["env-changed=MADE_UP"], MADE_UP).assert_follows_changes(&SET_AND_UNSET, in_variable("MADE_UP"));
}

#[test]
fn a_variable_read_by_a_tool_of_a_script_is_an_input() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("tools/mytool");
    tree::write_script(&path, "echo ${MADE_UP-nothing}");
    let witness = script_with_own_file_in(sandbox, &format!("tool({path:?})"));
    witness.assert_follows_changes(&SET_AND_UNSET, in_variable("MADE_UP"));
}

#[test]
fn a_variable_that_a_script_reads_is_an_input_on_other_machines() {
    script(&["changed=build.rs"], MADE_UP).assert_shared(in_variable("MADE_UP"));
}

#[test]
fn a_variable_set_by_cargos_configuration_is_an_input_of_a_script() {
    script(&["changed=build.rs"], MADE_UP).assert_follows_changes(&SET_AND_UNSET, in_configuration());
}

/// Asserts that a witness is reused when a variable that it does not read is set or changed.
#[track_caller]
fn assert_unrelated_variables_are_no_inputs(witness: &Witness) {
    let demo = witness.demo.clone().env("MADE_UP", "1");
    witness.assert_prints(&demo, "1");
    for zebras in by_form(&["1"][..], &[NOTHING, "1", "2"]) {
        witness.assert_reused(&in_variable("ZEBRAS")(&demo, zebras), "1");
    }
}

#[test]
fn a_variable_that_a_script_does_not_read_is_no_input() {
    let declarations: [&[&str]; 3] = [&["changed=build.rs"], &[], &["env-changed=OTHER"]];
    for declared in by_form(&declarations[..2], &declarations) {
        assert_unrelated_variables_are_no_inputs(&script(declared, MADE_UP));
    }
}

#[test]
fn a_variable_is_an_input_of_a_macro_in_a_dependency() {
    dependency(MADE_UP).assert_follows_changes(&SET_AND_UNSET, in_variable("MADE_UP"));
}

#[test]
fn a_variable_is_an_input_of_a_macro_in_a_member() {
    member(MADE_UP).assert_follows_changes(&SET_AND_UNSET, in_variable("MADE_UP"));
}

/// A macro in a dependency, and one in a member.
const MACROS: [fn(&str) -> Witness; 2] = [dependency, member];

/// Sets a variable, and the target directory to a path that leads through a link.
fn behind_a_link(witness: &Witness, name: &str) -> impl Fn(&Project, &str) -> Project + use<> {
    let link = witness.sandbox.path("linked");
    symlink(witness.demo.dir(), &link).expect("links can be created");
    let (target, set) = (link.join("target"), in_variable(name));
    move |project, text| set(&project.clone().env("CARGO_TARGET_DIR", &target), text)
}

#[test]
fn a_variable_is_an_input_of_a_macro_in_a_target_directory_behind_a_link() {
    for reading in by_form(&MACROS[1..], &MACROS) {
        let witness = reading(MADE_UP);
        witness.assert_follows_changes(&SET_AND_UNSET, behind_a_link(&witness, "MADE_UP"));
    }
}

#[test]
fn a_variable_is_an_input_of_a_script_in_a_target_directory_behind_a_link() {
    let witness = script(&[], MADE_UP);
    witness.assert_follows_changes(&SET_AND_UNSET, behind_a_link(&witness, "MADE_UP"));
}

#[test]
fn a_variable_named_by_a_crate_is_an_input_of_its_macro() {
    for reading in by_form(&MACROS[1..], &MACROS) {
        reading("variable(named[0])").assert_follows_changes(&SET_AND_UNSET, in_variable("MADE_UP_BY_CALLER"));
    }
}

#[test]
fn a_variable_named_among_other_words_is_an_input_of_a_macro() {
    let words = [(2, "MADE_UP_IN_TEXT"), (6, "small"), (3, "MADE_UP_AS_WORD"), (5, "made_up")];
    for (at, name) in by_form(&words[..2], &words) {
        dependency(&format!("variable(named[{at}])")).assert_follows_changes(&SET_AND_UNSET, in_variable(name));
    }
}

#[test]
fn a_variable_named_by_a_macro_of_another_crate_is_an_input_of_the_macro_that_it_calls() {
    called("variable(named[0])").assert_follows_changes(&SET_AND_UNSET, in_variable("MADE_UP_BY_MACRO"));
}

#[test]
fn a_variable_that_a_macro_does_not_read_is_no_input() {
    for witness in [dependency(MADE_UP), member(MADE_UP)] {
        assert_unrelated_variables_are_no_inputs(&witness);
    }
}

#[test]
fn a_variable_that_a_macro_reads_is_an_input_on_other_machines() {
    dependency(MADE_UP).assert_shared(in_variable("MADE_UP"));
}

#[test]
fn a_variable_that_a_macro_reads_in_a_member_is_an_input_on_other_machines() {
    member(MADE_UP).assert_sent(in_variable("MADE_UP"));
}

/// Sets or unsets the variable in cargo's configuration.
fn in_configuration() -> impl Fn(&Project, &str) -> Project {
    |project, text| {
        let config = project.read(".cargo/config.toml");
        let rest = config.split("[env]").next().expect("split yields at least one part");
        let table = if text == NOTHING { String::new() } else { format!("[env]\nMADE_UP = {text:?}\n") };
        project.write(".cargo/config.toml", format!("{rest}{table}"));
        project.clone()
    }
}

#[test]
fn a_variable_set_by_cargos_configuration_is_an_input_of_a_macro() {
    for reading in by_form(&MACROS[..1], &MACROS) {
        reading(MADE_UP).assert_follows_changes(&SET_AND_UNSET, in_configuration());
    }
}

// Files.

/// Writes a text to a file that the variable `MADE_UP_FILE` names.
fn in_named_file(sandbox: &Sandbox) -> impl Fn(&Project, &str) -> Project + use<> {
    let path = sandbox.path("elsewhere/said.txt");
    move |project, text| in_file(&path)(project, text).env("MADE_UP_FILE", &path)
}

#[test]
fn a_file_named_by_a_declared_variable_is_an_input_of_a_script() {
    let witness = script(&["env-changed=MADE_UP_FILE"], "file(variable(\"MADE_UP_FILE\"))");
    witness.assert_follows_changes(&["1", "2", NOTHING, "1"], in_named_file(&witness.sandbox));
}

#[test]
fn a_file_named_by_an_undeclared_variable_is_an_input_of_a_script() {
    let witness = script(&[], "file(variable(\"MADE_UP_FILE\"))");
    witness.assert_follows_changes(&TEXTS, in_named_file(&witness.sandbox));
}

#[test]
fn a_file_that_a_script_reads_is_an_input_on_other_machines() {
    let witness = script(&["env-changed=MADE_UP_FILE"], "file(variable(\"MADE_UP_FILE\"))");
    witness.assert_shared(in_named_file(&witness.sandbox));
}

#[test]
fn a_file_outside_of_the_package_is_an_input_of_a_script() {
    let (witness, path) = at("elsewhere/said.txt", script_with_own_file_in, "file");
    witness.assert_follows_changes(&TEXTS, in_file(&path));
}

#[test]
fn a_file_named_like_the_c_library_is_an_input_of_a_script() {
    let (witness, path) = at("libc.txt", script_with_own_file_in, "file");
    witness.assert_follows_changes(&TEXTS, in_file(&path));
}

#[test]
fn a_file_that_is_absent_for_a_while_is_an_input() {
    let looking: [fn(Sandbox, &str) -> Witness; 2] = [dependency_in, script_with_own_file_in];
    for looking in by_form(&looking[..1], &looking) {
        let (witness, path) = at("elsewhere/said.txt", *looking, "file");
        witness.assert_follows_changes(&ABSENT_AND_PRESENT, in_file(&path));
    }
}

#[test]
fn a_file_in_a_directory_that_is_absent_for_a_while_is_an_input_of_a_script() {
    let (witness, path) = at("some/where/said.txt", script_with_own_file_in, "file");
    witness.assert_follows_changes(&[NOTHING, "1"], in_file(&path));
}

#[test]
fn the_existence_of_a_file_is_an_input_of_a_script() {
    let (witness, path) = at("elsewhere/said.txt", script_with_own_file_in, "is_there");
    witness.assert_follows_changes(&["false"], |project, _| in_file(&path)(project, NOTHING));
    witness.assert_follows_changes(&["true"], |project, _| in_file(&path)(project, "1"));
    witness.assert_follows_changes(&["false"], |project, _| in_file(&path)(project, NOTHING));
}

#[test]
fn a_script_that_prints_the_same_for_another_file_is_reused_with_that_file() {
    let (witness, path) = at("said.txt", script_with_own_file_in, "(|path: &str| { file(path); \"1\".to_owned() })");
    for text in ["one", "two"] {
        let project = in_file(&path)(&witness.demo, text);
        witness.assert_prints(&project, "1");
        assert_eq!(witness.sandbox.scripts_run(), ["leaf"], "{text}");
        witness.assert_reused(&project, "1");
    }
}

#[test]
fn a_file_beside_one_that_a_script_reads_is_no_input() {
    let (witness, path) = at("elsewhere/said.txt", script_with_own_file_in, "file");
    witness.assert_prints(&in_file(&path)(&witness.demo, "1"), "1");
    for text in by_form(&["1"][..], &["1", "2", NOTHING]) {
        witness.assert_reused(&in_file(&path.with_file_name("unread.txt"))(&witness.demo, text), "1");
    }
}

#[test]
fn the_names_in_a_directory_are_an_input() {
    for looking in by_form(&LOOKING[..2], &LOOKING) {
        let (witness, path) = at("elsewhere/listed", *looking, "list");
        witness.assert_follows_changes(&ABSENT_AND_PRESENT, in_directory(&path));
    }
}

/// A script that lists the directory of its profile, and says whether a file is there. Cargo creates that directory
/// while units are looked up.
#[test]
fn names_that_cargo_makes_in_the_directory_of_a_profile_are_no_input_of_a_script() {
    let listed = "list(std::path::Path::new(&variable(\"OUT_DIR\")).ancestors().nth(3).unwrap())";
    let marker = format!("{listed}.split(' ').find_map(|name| name.strip_prefix(\"mark-\")).unwrap_or(\"nothing\")");
    let witness = script(&["changed=build.rs"], &marker);
    let marked = |text: &str| {
        let project = witness.demo.clone();
        project.write(&format!("target/debug/mark-{text}"), "");
        project
    };
    witness.assert_prints(&witness.demo, NOTHING);
    witness.assert_reused(&witness.demo, NOTHING);
    // An emptied directory has no such file, so this one is created after it was emptied.
    for text in ["1", "2"] {
        witness.demo.clean();
        marked(text).xcache(["build"]).ok();
        assert_eq!(witness.demo.run_binary("demo").trim_end(), text);
    }
    witness.assert_prints(&witness.demo, NOTHING);
}

#[test]
fn the_names_in_the_directory_of_each_profile_are_an_input_of_a_macro() {
    let directory = "std::env::args().skip_while(|word| word != \"--out-dir\").nth(1).unwrap()";
    let listed = format!("list(std::path::Path::new(&{directory}).parent().unwrap())");
    let marker = format!("{listed}.split(' ').any(|name| name == \"mark\").to_string()");
    let witness = dependency(&marker);
    witness.assert_prints(&witness.demo, "false");
    witness.demo.clean();
    witness.demo.write("target/other/mark", "");
    witness.demo.xcache(["build", "--config", "profile.other.inherits='dev'", "--profile", "other"]).ok();
    let program = witness.demo.target().join("other/demo");
    assert_eq!(witness.demo.program(&program, [""; 0]).ok().stdout.trim_end(), "true");
}

#[test]
fn a_file_that_a_tool_of_a_script_reads_is_an_input() {
    let sandbox = Sandbox::new();
    let (tool, read) = (sandbox.path("tools/mytool"), sandbox.path("elsewhere/said.txt"));
    tree::write_script(&tool, &format!("cat '{}'", read.display()));
    script_with_own_file_in(sandbox, &format!("tool({tool:?})")).assert_follows_changes(&TEXTS, in_file(&read));
}

/// Creates two links, one to the other, which lead to `last`.
fn chain_of_links(first: &Path, last: &Path) {
    let middle = first.with_extension("middle");
    for (link, to) in [(first, &*middle), (&middle, last)] {
        std::fs::create_dir_all(first.parent().expect("a link is in a directory")).expect("directories can be created");
        let _ = std::fs::remove_file(link);
        symlink(to, link).expect("links can be created");
    }
}

/// Writes a text to a file behind two links.
fn behind_links(first: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let last = first.with_file_name("real/said.txt");
    chain_of_links(first, &last);
    in_file(&last)
}

/// Makes the second of two links lead to a file with a text.
fn where_links_lead(first: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let first = first.to_owned();
    move |project, text| {
        let last = first.with_file_name(format!("real-{text}.txt"));
        chain_of_links(&first, &last);
        in_file(&last)(project, text)
    }
}

/// A script, a macro in a dependency, and one in a member.
const LOOKING: [fn(Sandbox, &str) -> Witness; 3] = [script_with_own_file_in, member_in, dependency_in];

#[test]
fn a_file_behind_two_links_is_an_input() {
    for looking in by_form(&LOOKING[..1], &LOOKING) {
        let (witness, path) = at("elsewhere/linked.txt", *looking, "file");
        witness.assert_follows_changes(&TEXTS, behind_links(&path));
    }
}

#[test]
fn the_target_of_links_is_an_input() {
    for looking in by_form(&LOOKING[1..2], &LOOKING) {
        let (witness, path) = at("elsewhere/linked.txt", *looking, "file");
        witness.assert_follows_changes(&TEXTS, where_links_lead(&path));
    }
}

#[test]
fn a_file_outside_of_the_package_is_an_input_of_a_macro_in_a_dependency() {
    let (witness, path) = at("elsewhere/said.txt", dependency_in, "file");
    witness.assert_follows_changes(&TEXTS, in_file(&path));
}

#[test]
fn a_changed_tool_of_a_macro_is_an_input() {
    let (witness, path) = at("tools/mytool", dependency_in, "tool");
    witness.assert_follows_changes(&TEXTS, as_tool(&path));
}

#[test]
fn a_file_beside_one_that_a_macro_reads_is_no_input() {
    let (witness, path) = at("elsewhere/said.txt", dependency_in, "file");
    witness.assert_prints(&in_file(&path)(&witness.demo, "1"), "1");
    for text in by_form(&["1"][..], &["1", "2", NOTHING]) {
        witness.assert_reused(&in_file(&path.with_file_name("unread.txt"))(&witness.demo, text), "1");
    }
}

#[test]
fn a_file_that_a_macro_reads_is_an_input_on_other_machines() {
    let (witness, path) = at("elsewhere/said.txt", dependency_in, "file");
    witness.assert_shared(in_file(&path));
}

#[test]
fn a_file_that_git_ignores_is_an_input_of_a_macro_in_a_member() {
    let witness = member("file(own(\"ignored/said.txt\"))");
    witness.demo.write(".gitignore", "/target\nignored\n");
    witness.demo.program("git", ["init", "--quiet"]).ok();
    witness.assert_follows_changes(&TEXTS, in_file_of_project("inner/ignored/said.txt"));
}

#[test]
fn a_file_outside_of_the_workspace_is_an_input_of_a_macro_in_a_member() {
    let witness = member("file(own(\"../../outside/said.txt\"))");
    witness.assert_follows_changes(&["1", "2", NOTHING, "1"], in_file_of_project("../outside/said.txt"));
}

#[test]
fn a_file_that_a_macro_reads_in_a_member_is_an_input_on_other_machines() {
    member("file(own(\"../../outside/said.txt\"))").assert_sent(in_file_of_project("../outside/said.txt"));
}

#[test]
fn the_manifest_of_the_workspace_is_an_input_of_a_macro_in_a_member() {
    let witness = member("file(own(\"../Cargo.toml\"))");
    let manifest = witness.demo.read("Cargo.toml");
    witness.assert_follows_changes(&TEXTS, |project, text| {
        project.write("Cargo.toml", format!("{manifest}\n# {text}\n"));
        project.clone()
    });
}

#[test]
fn a_file_of_a_nested_member_is_an_input_of_a_macro_in_a_member() {
    let witness = member("file(own(\"nested/said.txt\"))");
    let workspace = "[workspace]\nmembers = [\"inner/nested\"]\n";
    witness.demo.edit("Cargo.toml", "[workspace]\n", workspace);
    witness.demo.write("inner/nested/Cargo.toml", "[package]\nname = \"nested\"\nedition = \"2021\"\n");
    witness.demo.write("inner/nested/src/lib.rs", "");
    witness.demo.cargo(["fetch"]).ok();
    witness.assert_follows_changes(&TEXTS, in_file_of_project("inner/nested/said.txt"));
}

#[test]
fn a_file_of_another_member_is_an_input_of_a_macro_in_a_member() {
    let witness = member("file(own(\"../src/said.txt\"))");
    witness.assert_follows_changes(&TEXTS, in_file_of_project("src/said.txt"));
}

#[test]
fn the_names_in_a_directory_of_the_package_are_an_input_of_a_macro_in_a_member() {
    let witness = member("list(own(\"listed\"))");
    let listed = witness.demo.dir().join("inner/listed");
    witness.assert_follows_changes(&ABSENT_AND_PRESENT, in_directory(&listed));
}

#[test]
fn a_file_behind_two_links_is_an_input_of_a_macro_in_a_member() {
    let witness = member("file(own(\"linked.txt\"))");
    let outside = witness.sandbox.path("outside/said.txt");
    chain_of_links(&witness.demo.dir().join("inner/linked.txt"), &outside);
    witness.assert_follows_changes(&TEXTS, in_file(&outside));
}

// Tools.

/// Writes a tool that prints a text.
fn as_tool(path: &Path) -> impl Fn(&Project, &str) -> Project + use<> {
    let path = path.to_owned();
    move |project, text| {
        tree::write_script(&path, &format!("echo {text}"));
        project.clone()
    }
}

/// The project with these directories in front of all others in `PATH`.
fn with_path(project: &Project, dirs: &[&PathBuf]) -> Project {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = dirs.iter().copied().cloned().chain(std::env::split_paths(&path));
    project.clone().env("PATH", std::env::join_paths(dirs).expect("PATH can be joined"))
}

/// The same, without rustup, which would put a directory of its own in front of them.
fn with_path_of_toolchain(project: &Project, dirs: &[&PathBuf]) -> Project {
    let rustc = real(&[]).expect("rustc is on PATH");
    let toolchain = rustc.parent().expect("rustc is in a directory").to_owned();
    let dirs: Vec<_> = dirs.iter().copied().chain([&toolchain]).collect();
    with_path(project, &dirs)
}

/// A script that starts a tool by its name, and three directories: the first two contain the tool, which prints the
/// name of its directory.
fn calling_tool() -> (Witness, [PathBuf; 3]) {
    let witness = script(&["changed=build.rs"], "tool(\"mytool\")");
    let dirs = ["1", "2", "other"].map(|name| witness.sandbox.path("tools").join(name));
    for text in ["1", "2"] {
        as_tool(&witness.sandbox.path("tools").join(text).join("mytool"))(&witness.demo, text);
    }
    tree::write_script(&dirs[2].join("another-tool"), "echo other");
    (witness, dirs)
}

#[test]
fn another_tool_that_comes_first_in_path_is_an_input_of_a_script() {
    let (witness, [first, second, _]) = calling_tool();
    witness.assert_follows_changes(&TEXTS, |project, text| {
        with_path(project, &if text == "1" { [&first, &second] } else { [&second, &first] })
    });
}

#[test]
fn another_tool_that_comes_first_in_path_is_an_input_without_rustup() {
    let (witness, [first, second, _]) = calling_tool();
    witness.assert_follows_changes(&TEXTS, |project, text| {
        with_path_of_toolchain(project, &if text == "1" { [&first, &second] } else { [&second, &first] })
    });
}

#[test]
fn another_tool_at_the_same_path_is_an_input_of_a_script() {
    let (witness, [first, ..]) = calling_tool();
    let demo = with_path(&witness.demo, &[&first]);
    witness.assert_follows_changes(&TEXTS, |_, text| as_tool(&first.join("mytool"))(&demo, text));
}

#[test]
fn a_tool_that_appears_in_an_earlier_directory_of_path_is_an_input_of_a_script() {
    let (witness, [first, _, other]) = calling_tool();
    let demo = with_path(&witness.demo, &[&other, &first]);
    witness.assert_follows_changes(&["1"], |_, _| demo.clone());
    witness.assert_follows_changes(&["2"], |_, _| as_tool(&other.join("mytool"))(&demo, "2"));
    tree::remove_file(&other.join("mytool"));
    witness.assert_follows_changes(&["1"], |_, _| demo.clone());
}

#[test]
fn directories_of_path_without_the_tool_are_no_inputs_of_a_script() {
    let (witness, [first, _, other]) = calling_tool();
    witness.assert_prints(&with_path(&witness.demo, &[&first]), "1");
    for dirs in [[&other, &first], [&first, &other]] {
        witness.assert_reused(&with_path(&witness.demo, &dirs), "1");
    }
}

#[test]
fn a_file_that_a_shell_finds_in_path_is_an_input_of_a_script() {
    let look = "{
        let said = std::process::Command::new(\"/bin/sh\").args([\"-c\", \". said.sh\"]).output().unwrap().stdout;
        String::from_utf8(said).unwrap().trim().to_owned()
    }";
    let witness = script(&["changed=build.rs"], look);
    let [first, second] = ["1", "2"].map(|name| witness.sandbox.path("tools").join(name));
    tree::write(&second.join("said.sh"), "echo 2");
    let demo = with_path_of_toolchain(&witness.demo, &[&first, &second]);
    for text in ["2", "1", "2"] {
        tree::remove(&first);
        if text == "1" {
            tree::write(&first.join("said.sh"), "echo 1");
        }
        witness.assert_follows_changes(&[text], |_, _| demo.clone());
    }
    let other = witness.sandbox.path("tools/other");
    tree::write(&other.join("said.sh"), "echo 3");
    witness.assert_follows_changes(&["3"], |_, _| with_path_of_toolchain(&witness.demo, &[&other, &second]));
}

#[test]
fn a_tool_that_a_script_starts_is_an_input_on_other_machines() {
    let (witness, [first, second, _]) = calling_tool();
    witness.assert_shared(|project, text| with_path(project, &[if text == "1" { &first } else { &second }]));
}

// Declared files that do not exist.

/// Cargo runs such a script every time, and xcache may do so.
#[test]
fn a_declared_file_that_is_absent_for_a_while_is_an_input() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("elsewhere/said.txt");
    let declared = format!("changed={}", path.display());
    let witness = script_in(sandbox, &[&declared], &format!("file({path:?})"));
    witness.assert_correct(&ABSENT_AND_PRESENT, in_file(&path));
}

#[test]
fn the_existence_of_a_declared_file_is_an_input() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("elsewhere/said.txt");
    let declared = format!("changed={}", path.display());
    let witness = script_in(sandbox, &[&declared], &format!("is_there({path:?})"));
    for text in by_form(&["1", NOTHING][..], &["1", NOTHING, "1", NOTHING]) {
        let said = (*text != NOTHING).to_string();
        witness.assert_correct(&[&said], |project, _| in_file(&path)(project, text));
    }
}

// Hits restored by the wrapper.

fn unhydrated(mut witness: Witness) -> Witness {
    witness.demo = witness.demo.env("XCACHE_HYDRATE", "off");
    witness
}

#[test]
fn a_variable_is_an_input_of_a_script_without_hydration() {
    unhydrated(script(&[], MADE_UP)).assert_correct(&SET_AND_UNSET, in_variable("MADE_UP"));
}

#[test]
fn a_variable_is_an_input_of_a_macro_without_hydration() {
    for reading in by_form(&MACROS[..1], &MACROS) {
        unhydrated(reading(MADE_UP)).assert_follows_changes(&SET_AND_UNSET, in_variable("MADE_UP"));
    }
}

#[test]
fn a_file_is_an_input_of_a_macro_without_hydration() {
    for looking in by_form(&LOOKING[1..2], &LOOKING[1..]) {
        let (witness, path) = at("elsewhere/said.txt", *looking, "file");
        unhydrated(witness).assert_follows_changes(&TEXTS, in_file(&path));
    }
}

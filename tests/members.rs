//! Packages in directories: what of them must be a hit, and what must not.
//!
//! Compilations are counted by the starts of the real rustc, and the output of a program is compared wherever something
//! changed. The `dev` profile is built without incremental compilation.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::registry::SCRIPT_RUNS;
use support::sandbox::sorted;
use support::{Output, Package, Project, Registry, Running, Rustc, Sandbox, by_form, is_long, tree, wait_until};

const NONE: [&str; 0] = [];

/// The dependencies of [`workspace`].
const DEPENDENCIES: [&str; 3] = ["apex", "base", "middle"];

/// The members of [`workspace`]: `app` depends on `voice`, which depends on `words` and `macros`.
const MEMBERS: [&str; 5] = ["app", "lone", "macros", "voice", "words"];

/// The output of its program.
const OUTPUT: &str = "one 42 quiet plain apex of middle of 1.0.0 page\n";

const MANIFEST: &str = r#"
[workspace]
members = ["app", "lone", "macros", "voice", "words"]
resolver = "2"

[workspace.package]
version = "0.1.0"
description = "described"

[workspace.lints.rust]
unused_variables = "warn"
unexpected_cfgs = { level = "warn", check-cfg = ["cfg(shout)"] }
"#;

const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", MANIFEST),
    ("words/src/lib.rs", "pub fn word() -> &'static str { \"one\" }"),
    (
        "macros/src/lib.rs",
        "#[proc_macro] pub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"42\".parse().unwrap() }",
    ),
    (
        "voice/src/lib.rs",
        r#"pub fn voice() -> String {
            let volume = if cfg!(feature = "loud") { "LOUD" } else { "quiet" };
            let way = if cfg!(shout) { "SHOUT" } else { "plain" };
            format!("{} {} {volume} {way} {}", words::word(), macros::answer!(), apex::name())
        }
        #[test] fn the_voice_is_there() { assert!(voice().contains("42")); }"#,
    ),
    ("app/src/main.rs", r#"fn main() { println!("{} {}", voice::voice(), include_str!("../templates/page.txt")); }"#),
    ("app/templates/page.txt", "page"),
    ("app/examples/show.rs", "fn main() { println!(\"shown: {}\", voice::voice()); }"),
    ("app/tests/whole.rs", "#[test] fn the_whole_is_there() { assert!(!voice::voice().is_empty()); }"),
    ("app/benches/quick.rs", "fn main() { println!(\"measured: {}\", voice::voice()); }"),
    ("lone/src/main.rs", "fn main() { println!(\"lone, {}\", env!(\"CARGO_PKG_DESCRIPTION\")); }"),
];

/// The name of each member, and the tables of its manifest.
const MANIFESTS: &[(&str, &str)] = &[
    ("words", ""),
    ("macros", "[lib]\nproc-macro = true"),
    (
        "voice",
        "[features]\nloud = []\n[dependencies]\nwords = { path = \"../words\" }\nmacros = { path = \"../macros\" }\napex = \"1\"",
    ),
    ("app", "[dependencies]\nvoice = { path = \"../voice\" }\n[[bench]]\nname = \"quick\"\nharness = false"),
    ("lone", "[dependencies]"),
];

/// A virtual workspace of five members, with dependencies of a registry, and nothing built.
fn workspace(sandbox: &Sandbox) -> Project {
    let project = without_incremental(sandbox.demo_unlocked("", ""));
    tree::remove(&project.dir().join("src"));
    FILES.iter().for_each(|(path, content)| project.write(path, content));
    for (name, tables) in MANIFESTS {
        let package = format!("[package]\nname = {name:?}\nedition = \"2021\"\nversion.workspace = true\n");
        let inherited = "description.workspace = true\n[lints]\nworkspace = true\n";
        project.write(&format!("{name}/Cargo.toml"), format!("{package}{inherited}{tables}\n"));
    }
    sandbox.lock(&project, &sandbox.chain_registry(), "members", &[("base", "1.0.0")]);
    project
}

fn without_incremental(project: Project) -> Project {
    project.env("CARGO_INCREMENTAL", "0")
}

/// The workspace, with everything of `xcache build` in the store and an empty target directory.
fn warm() -> (Sandbox, Project) {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    project.xcache(["build"]).ok();
    assert_eq!(compiled_members(&sandbox), MEMBERS);
    assert_eq!(sandbox.compiled_externals(), DEPENDENCIES);
    assert_eq!(project.run_binary("app"), OUTPUT);
    empty(&sandbox, &project);
    (sandbox, project)
}

/// A package of one program, without incremental compilation.
fn demo(sandbox: &Sandbox, registry: &Registry, dependencies: &str, main: &str) -> Project {
    without_incremental(sandbox.demo(registry, dependencies, main))
}

/// Empties the target directory, and resets the counts.
fn empty(sandbox: &Sandbox, project: &Project) {
    project.clean();
    sandbox.reset();
}

/// The packages in directories that were compiled, sorted.
fn compiled_members(sandbox: &Sandbox) -> Vec<String> {
    sorted(sandbox.rustc().compilations().into_iter().filter(|start| !start.is_external()).collect())
}

/// Asserts which crates a build into an empty target directory compiles.
#[track_caller]
fn assert_builds(sandbox: &Sandbox, project: &Project, compiled: &[&str]) -> Output {
    empty(sandbox, project);
    let output = project.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled(), compiled, "{output}");
    output
}

/// The same for a package `demo` with one program, which must print `said`.
#[track_caller]
fn assert_demo(sandbox: &Sandbox, demo: &Project, compiled: &[&str], said: &str) {
    assert_builds(sandbox, demo, compiled);
    assert_eq!(demo.run_binary("demo"), format!("{said}\n"));
}

/// Asserts that a command in an empty target directory starts no rustc, and leaves nothing to do.
#[track_caller]
fn assert_full_hit(sandbox: &Sandbox, project: &Project, command: &[&str]) -> Output {
    empty(sandbox, project);
    let output = project.xcache(command).ok();
    assert_eq!(sandbox.compiled(), NONE, "{command:?}: {output}");
    sandbox.assert_nothing_to_do(project, command);
    output
}

/// Procedural macros that read without declaring it: a file of the package, a variable, a file in `OUT_DIR`. One macro
/// waits, so that a test can do something while its crate is being compiled.
fn reading() -> Package {
    Package::new("reading", "1.0.0", READING).procedural_macro()
}

const READING: &str = r#"
use proc_macro::TokenStream;
use std::path::Path;

fn text(input: TokenStream) -> String { input.to_string().trim_matches('"').to_owned() }

fn literal(text: &str) -> TokenStream { format!("{:?}", text.trim()).parse().unwrap() }

fn below(variable: &str, input: TokenStream) -> TokenStream {
    let path = Path::new(&std::env::var(variable).unwrap()).join(text(input));
    literal(&std::fs::read_to_string(path).unwrap())
}

#[proc_macro] pub fn file(input: TokenStream) -> TokenStream { below("CARGO_MANIFEST_DIR", input) }

#[proc_macro] pub fn generated(input: TokenStream) -> TokenStream { below("OUT_DIR", input) }

#[proc_macro] pub fn list(input: TokenStream) -> TokenStream {
    let path = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join(text(input));
    let files = path.read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.collect();
    files.sort();
    literal(&files.join(" "))
}

#[proc_macro] pub fn variable(input: TokenStream) -> TokenStream {
    literal(&std::env::var(text(input)).unwrap_or_default())
}

#[proc_macro] pub fn pause(input: TokenStream) -> TokenStream {
    if let Ok(dir) = std::env::var("PAUSE_DIR") {
        let file = Path::new(&dir).join(text(input));
        std::fs::write(file.with_extension("started"), "").unwrap();
        for _ in 0..6000 {
            if file.with_extension("go").exists() { break }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    TokenStream::new()
}
"#;

/// A package whose program prints what a macro of [`reading`] expands to.
fn reads(sandbox: &Sandbox, what: &str) -> Project {
    let main = format!("fn main() {{ println!(\"{{}}\", reading::{what}); }}");
    demo(sandbox, &sandbox.registry([reading()]), "reading = \"1\"", &main)
}

// Hits.

#[track_caller]
fn assert_commands_hit(commands: &[&[&str]]) -> Vec<Output> {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    let hits = commands.iter().map(|command| {
        project.clean();
        project.xcache(*command).ok();
        let hit = assert_full_hit(&sandbox, &project, command);
        sandbox.assert_nothing_started(&project, command);
        hit
    });
    hits.collect()
}

#[test]
fn building_and_checking_unchanged_members_starts_no_rustc() {
    let commands: [&[&str]; 3] = [&["build"], &["check"], &["build", "--release"]];
    assert_commands_hit(by_form(&commands[..2], &commands));
}

#[test]
fn all_targets_of_unchanged_members_are_hits() {
    let commands: [&[&str]; 3] = [&["build", "--all-targets"], &["check", "--all-targets"], &["check", "--tests"]];
    assert_commands_hit(by_form(&commands[..1], &commands));
}

#[test]
fn a_benchmark_without_harness_is_run_and_not_compiled() {
    let outputs = assert_commands_hit(&[&["bench", "--bench", "quick"]]);
    assert!(outputs[0].stdout.contains("measured: one 42"), "{}", outputs[0]);
}

#[test]
fn tests_of_unchanged_members_are_run_and_not_compiled() {
    let commands: [&[&str]; 2] = [&["test"], &["test", "--release"]];
    let outputs = assert_commands_hit(by_form(&commands[..1], &commands));
    for output in outputs {
        for test in ["the_voice_is_there", "the_whole_is_there"] {
            assert!(output.stdout.contains(&format!("test {test} ... ok")), "{output}");
        }
    }
}

#[test]
fn examples_of_unchanged_members_are_not_compiled() {
    let outputs = assert_commands_hit(&[&["build", "--examples"], &["run", "--example", "show"]]);
    assert!(outputs[1].stdout.starts_with("shown: one 42"), "{}", outputs[1]);
}

#[test]
fn a_library_checked_with_and_without_its_tests_is_two_units() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([]);
    let [demo, fresh] = [(); 2].map(|()| {
        let demo = demo(&sandbox, &registry, "", "fn main() { demo::library() }");
        let library = "pub fn library() { let everywhere = 1; }
            #[cfg(test)] mod tests { #[test] fn it_works() { let in_tests = 1; } }";
        demo.write("src/lib.rs", library);
        demo
    });
    let commands: [&[&str]; 3] = [&["check"], &["check", "--all-targets"], &["check", "--tests"]];
    for command in commands.iter().chain(commands.iter().rev()).take(by_form(4, 6)) {
        demo.clean();
        fresh.clean();
        assert_eq!(blocks(&demo.xcache(*command).ok()), blocks(&fresh.cargo(*command).ok()), "{command:?}");
        sandbox.assert_nothing_to_do(&demo, command);
    }
}

#[test]
fn an_optimized_and_stripped_release_of_unchanged_members_is_a_hit() {
    let fields = [("LTO", "fat"), ("STRIP", "symbols"), ("LTO", "thin"), ("PANIC", "abort"), ("DEBUG", "2")];
    for (name, value) in by_form(&fields[..2], &fields) {
        let sandbox = Sandbox::new();
        let project = workspace(&sandbox).env(&format!("CARGO_PROFILE_RELEASE_{name}"), value);
        project.xcache(["build", "--release"]).ok();
        assert_full_hit(&sandbox, &project, &["build", "--release"]);
        assert_eq!(project.program(project.target().join("release/app"), NONE).ok().stdout, OUTPUT, "{name} = {value}");
    }
}

#[test]
fn a_build_of_unchanged_members_for_a_named_target_is_a_hit() {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    let host = project.host();
    let command = ["build", "--target", &host];
    project.xcache(command).ok();
    assert_full_hit(&sandbox, &project, &command);
    assert_eq!(project.program(project.target().join(&host).join("debug/app"), NONE).ok().stdout, OUTPUT);
}

#[test]
fn a_member_that_also_is_a_cdylib_is_correct() {
    let (sandbox, project) = warm();
    let lib = "[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n";
    project.write("words/Cargo.toml", format!("{}{lib}", project.read("words/Cargo.toml")));
    for text in ["one", "two", "one"] {
        project.write("words/src/lib.rs", format!("pub fn word() -> &'static str {{ {text:?} }}"));
        project.clean();
        project.xcache(["build"]).ok();
        assert_eq!(project.run_binary("app"), OUTPUT.replace("one", text));
        sandbox.assert_nothing_to_do(&project, &["build"]);
    }
}

#[test]
fn the_programs_of_a_hit_are_those_that_were_compiled() {
    let (sandbox, project) = warm();
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT);
    assert_eq!(project.run_binary("lone"), "lone, described\n");
}

#[test]
fn the_report_lists_members_as_hydrated() {
    let (_sandbox, project) = warm();
    project.xcache(["build"]).ok();
    let report = project.report();
    let expected = ["apex", "app", "base", "lone", "macros", "middle", "voice", "words"];
    assert_eq!(report.hydrated(), expected);
    assert_eq!(report.packages("hit"), expected);
}

#[test]
fn an_edit_after_a_hit_recompiles_the_member_and_its_dependents() {
    // The second edit keeps the file's size.
    for (edit, said) in [("three", "three"), ("two", "two")] {
        let (sandbox, project) = warm();
        project.xcache(["build"]).ok();
        project.edit("words/src/lib.rs", "one", edit);
        sandbox.reset();
        project.cargo(["build"]).ok();
        assert_eq!(sandbox.compiled(), ["app", "voice", "words"]);
        assert_eq!(project.run_binary("app"), OUTPUT.replace("one", said));
    }
}

#[test]
fn an_edit_recompiles_the_member_and_its_dependents_in_an_empty_target_directory() {
    let (sandbox, project) = warm();
    project.edit("words/src/lib.rs", "one", "two");
    assert_builds(&sandbox, &project, &["app", "voice", "words"]);
    assert_eq!(project.run_binary("app"), OUTPUT.replace("one", "two"));
    project.edit("words/src/lib.rs", "two", "one");
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT);
}

#[test]
fn edits_that_alternate_in_one_target_directory_are_correct() {
    let (sandbox, project) = warm();
    let edits = [("one", "two"), ("two", "one")];
    for (round, (from, to)) in edits.into_iter().cycle().take(by_form(2, 4)).enumerate() {
        project.edit("words/src/lib.rs", from, to);
        sandbox.reset();
        project.xcache(["build"]).ok();
        assert_eq!(project.run_binary("app"), OUTPUT.replace("one", to), "in round {round}");
        if round > 0 {
            assert_eq!(sandbox.compiled(), NONE, "in round {round}, both were known");
        }
    }
    sandbox.assert_nothing_to_do(&project, &["build"]);
}

#[test]
fn a_touched_file_counts_as_unchanged() {
    let (sandbox, project) = warm();
    let touch = || project.write("words/src/lib.rs", project.read("words/src/lib.rs"));
    touch();
    assert_full_hit(&sandbox, &project, &["build"]);
    touch();
    sandbox.reset();
    project.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled(), NONE);
    assert_eq!(project.run_binary("app"), OUTPUT);
    sandbox.assert_nothing_to_do(&project, &["build"]);
}

#[test]
fn another_target_directory_in_the_same_workspace_is_a_hit() {
    let (sandbox, project) = warm();
    let target = sandbox.path("the-target-of-somebody-else");
    project.xcache(["build", "--target-dir"]).arg(&target).ok();
    assert_eq!(sandbox.compiled(), NONE);
    assert_eq!(project.program(target.join("debug/app"), NONE).ok().stdout, OUTPUT);
    let by_variable = sandbox.path("another-one");
    project.xcache(["build"]).env("CARGO_TARGET_DIR", &by_variable).ok();
    assert_eq!(sandbox.compiled(), NONE);
    assert_eq!(project.program(by_variable.join("debug/app"), NONE).ok().stdout, OUTPUT);
}

#[test]
fn another_cargo_home_in_the_same_workspace_is_a_hit() {
    let (sandbox, project) = warm();
    let project = project.with_cargo_home(&sandbox.another_cargo_home());
    project.cargo(["fetch"]).ok();
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT);
}

#[test]
fn another_workspace_path_shares_dependencies_but_no_members() {
    let (sandbox, project) = warm();
    let other = workspace(&sandbox);
    assert_builds(&sandbox, &other, &MEMBERS);
    assert_eq!(other.run_binary("app"), OUTPUT);
    // Neither has displaced the other.
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_full_hit(&sandbox, &other, &["build"]);
}

#[test]
fn a_moved_workspace_prints_its_new_path() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([]);
    let main = "fn main() { println!(\"{}\", env!(\"CARGO_MANIFEST_DIR\")); }";
    let [first, second] = [(); 2].map(|()| demo(&sandbox, &registry, "", main));
    for project in [&first, &second, &first] {
        project.clean();
        project.xcache(["build"]).ok();
        assert_eq!(project.run_binary("demo"), format!("{}\n", project.dir().display()));
    }
    assert_full_hit(&sandbox, &first, &["build"]);
}

#[test]
fn a_member_moved_within_the_workspace_prints_its_new_path() {
    let sandbox = Sandbox::new();
    let main = "fn main() { println!(\"{}\", placed::place()); }";
    let demo = without_incremental(sandbox.demo_unlocked("placed = { path = \"old/placed\" }", main));
    demo.write("old/placed/Cargo.toml", "[package]\nname = \"placed\"\nedition = \"2021\"\n");
    demo.write(
        "old/placed/src/lib.rs",
        "pub fn place() -> String { format!(\"{} {}\", env!(\"CARGO_MANIFEST_DIR\"), file!()) }",
    );
    let said = |place: &str| format!("{0}/{place}/placed {place}/placed/src/lib.rs\n", demo.dir().display());
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), said("old"));
    fs::rename(demo.dir().join("old"), demo.dir().join("new")).expect("a directory can be renamed");
    demo.edit("Cargo.toml", "old/", "new/");
    demo.clean();
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), said("new"));
}

#[test]
fn a_path_dependency_outside_of_the_workspace_is_cached() {
    let sandbox = Sandbox::new();
    let outside = sandbox.path("outside");
    tree::write(&outside.join("Cargo.toml"), "[package]\nname = \"outside\"\nedition = \"2021\"\n");
    tree::write(&outside.join("src/lib.rs"), "pub fn word() -> &'static str { \"one\" }");
    let dependency = format!("outside = {{ path = {outside:?} }}");
    let main = "fn main() { println!(\"{}\", outside::word()); }";
    let demo = demo(&sandbox, &sandbox.registry([]), &dependency, main);
    assert_demo(&sandbox, &demo, &["demo", "outside"], "one");
    assert_full_hit(&sandbox, &demo, &["build"]);
    tree::write(&outside.join("src/lib.rs"), "pub fn word() -> &'static str { \"two\" }");
    assert_demo(&sandbox, &demo, &["demo", "outside"], "two");
}

/// [`workspace`] with a directory in place of the package `base`.
fn patched(sandbox: &Sandbox) -> Project {
    let project = workspace(sandbox);
    let manifest = project.read("Cargo.toml");
    let patch = "exclude = [\"patched\"]\n[patch.crates-io]\nbase = { path = \"patched\" }\n";
    project.write("Cargo.toml", manifest.replace("resolver = \"2\"", &format!("resolver = \"2\"\n{patch}")));
    project.write("patched/Cargo.toml", "[package]\nname = \"base\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    project.write("patched/src/lib.rs", PATCHED);
    project
}

const PATCHED: &str = "#[inline(always)] pub fn name() -> String {
    format!(\"patched in {}\", std::panic::Location::caller().file()).replace('/', \":\")
}
#[inline] pub fn place() -> &'static str { concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/\", file!()) }";

#[test]
fn a_patch_by_a_directory_is_reused_with_its_dependents() {
    let sandbox = Sandbox::new();
    let project = patched(&sandbox);
    project.xcache(["build"]).ok();
    let said = OUTPUT.replace("1.0.0", "patched in patched:src:lib.rs");
    assert_eq!(project.run_binary("app"), said);
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), said);
    project.edit("patched/src/lib.rs", "patched in", "mended in");
    assert_builds(&sandbox, &project, &["apex", "app", "base", "middle", "voice"]);
    assert_eq!(project.run_binary("app"), said.replace("patched in", "mended in"));
}

#[test]
fn a_patch_by_a_directory_is_correct_in_another_workspace() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([
        Package::new("inner", "1.0.0", ""),
        Package::new("outer", "1.0.0", "pub fn place() -> &'static str { inner::place() }").dependency("inner", "1"),
    ]);
    let main = "fn main() { println!(\"{}\", outer::place()); }";
    let [first, second] = [(); 2].map(|()| {
        let demo = demo(&sandbox, &registry, "outer = \"1\"", main);
        demo.write("patched/Cargo.toml", "[package]\nname = \"inner\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
        demo.write("patched/src/lib.rs", PATCHED);
        let manifest = demo.read("Cargo.toml");
        demo.write("Cargo.toml", format!("{manifest}\n[patch.crates-io]\ninner = {{ path = \"patched\" }}\n"));
        demo
    });
    for project in [&first, &second, &first, &second] {
        project.clean();
        project.xcache(["build"]).ok();
        let place = project.dir().join("patched/patched/src/lib.rs");
        assert_eq!(project.run_binary("demo"), format!("{}\n", place.display()));
    }
}

#[test]
fn an_unrelated_change_of_the_lockfile_recompiles_only_the_member_with_the_change() {
    let (sandbox, project) = warm();
    project.edit("lone/Cargo.toml", "[dependencies]", "[dependencies]\nbase = \"1\"");
    let main = "fn main() { println!(\"lone with {}\", base::name()); }";
    project.write("lone/src/main.rs", main);
    let before = project.read("Cargo.lock");
    assert_builds(&sandbox, &project, &["lone"]);
    assert_ne!(project.read("Cargo.lock"), before);
    assert_eq!(project.run_binary("lone"), "lone with 1.0.0\n");
    assert_eq!(project.run_binary("app"), OUTPUT);
}

#[test]
fn two_binaries_and_a_library_of_a_package_are_not_mixed_up() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox, &sandbox.registry([]), "", "fn main() { println!(\"main\"); }");
    demo.write("src/lib.rs", "pub fn library() -> &'static str { \"library\" }");
    for name in ["a", "b"] {
        let main = format!("fn main() {{ println!(\"{name} of {{}}\", demo::library()); }}");
        demo.write(&format!("src/bin/{name}.rs"), main);
    }
    demo.xcache(["build"]).ok();
    assert_full_hit(&sandbox, &demo, &["build"]);
    let said = ["a", "b", "demo"].map(|name| demo.run_binary(name));
    assert_eq!(said, ["a of library\n", "b of library\n", "main\n"]);
    for name in ["a", "b"] {
        empty(&sandbox, &demo);
        let output = demo.xcache(["run", "--bin", name]).ok();
        assert_eq!(output.stdout, format!("{name} of library\n"));
        assert_eq!(sandbox.compiled(), NONE);
    }
}

#[test]
fn an_integration_test_runs_the_program_of_its_own_target_directory() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox, &sandbox.registry([]), "", "fn main() { println!(\"first\"); }");
    let test = "#[test] fn it_runs() {
        let binary = env!(\"CARGO_BIN_EXE_demo\");
        let output = std::process::Command::new(binary).output().unwrap();
        println!(\"{binary} said {}\", String::from_utf8(output.stdout).unwrap());
    }";
    demo.write("tests/runs.rs", test);
    let command = ["test", "--target-dir"];
    let run = |target: &Path, said: &str| {
        let output = demo.xcache(command).arg(target).arg("--").arg("--nocapture").ok();
        let expected = format!("{} said {said}\n", target.join("debug/demo").display());
        assert!(output.stdout.contains(&expected), "{expected} is not in {output}");
    };
    let [first, second] = ["one-target", "another-target"].map(|name| sandbox.path(name));
    run(&first, "first");
    run(&second, "first");
    demo.edit("src/main.rs", "first", "later");
    tree::remove(&first);
    run(&first, "later");
    run(&second, "later");
    demo.edit("src/main.rs", "later", "first");
    tree::remove(&second);
    run(&second, "first");
    sandbox.reset();
    tree::remove(&second);
    run(&second, "first");
    assert_eq!(sandbox.compiled(), NONE);
}

#[test]
fn members_that_depend_on_each_other_for_their_tests_are_hits() {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    let manifest = project.read("words/Cargo.toml");
    project.write("words/Cargo.toml", format!("{manifest}\n[dev-dependencies]\nvoice = {{ path = \"../voice\" }}\n"));
    let test = "\n#[test] fn it_has_a_voice() { assert!(voice::voice().starts_with(word())); }";
    project.write("words/src/lib.rs", format!("{}{test}", project.read("words/src/lib.rs")));
    project.xcache(["test"]).ok();
    let output = assert_full_hit(&sandbox, &project, &["test"]);
    assert!(output.stdout.contains("test it_has_a_voice ... ok"), "{output}");
}

#[test]
fn a_member_sees_whether_the_command_selects_it() {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    let library =
        "pub fn word() -> &'static str { option_env!(\"CARGO_PRIMARY_PACKAGE\").map_or(\"no\", |_| \"yes\") }";
    project.write("words/src/lib.rs", library);
    let selections: [(&[&str], &str); 2] = [(&["build"], "yes"), (&["build", "--package", "app"], "no")];
    for (command, said) in selections.iter().chain(&selections).chain(selections.iter().rev()) {
        project.clean();
        project.xcache(*command).ok();
        assert_eq!(project.run_binary("app"), OUTPUT.replace("one", said), "{command:?}");
    }
}

// Inputs of members.

#[test]
fn a_changed_template_outside_of_src_is_not_reused() {
    let (sandbox, project) = warm();
    project.write("app/templates/page.txt", "PAGE");
    assert_builds(&sandbox, &project, &["app"]);
    assert_eq!(project.run_binary("app"), OUTPUT.replace("page", "PAGE"));
    project.write("app/templates/page.txt", "page");
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT);
}

/// Asserts that an included file is an input, wherever it is. `ignored` are the lines of `.gitignore`.
#[track_caller]
fn assert_included_file_is_input(file: &str, include: &str, ignored: &str) {
    let sandbox = Sandbox::new();
    let main = format!("fn main() {{ println!(\"{{}}\", include_str!({include:?})); }}");
    let demo = demo(&sandbox, &sandbox.registry([]), "", &main);
    demo.write(".gitignore", ignored);
    demo.write(file, "first");
    assert_demo(&sandbox, &demo, &["demo"], "first");
    assert_full_hit(&sandbox, &demo, &["build"]);
    demo.write(file, "later");
    assert_demo(&sandbox, &demo, &["demo"], "later");
    // With a built target directory, too.
    demo.write(file, "third");
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), "third\n");
}

#[test]
fn a_changed_included_file_that_git_ignores_is_not_reused() {
    assert_included_file_is_input("local.txt", "../local.txt", "local.txt\n/target\n");
}

#[test]
fn a_changed_included_file_outside_of_the_package_is_not_reused() {
    assert_included_file_is_input("../shared/x.txt", "../../shared/x.txt", "");
}

#[test]
fn a_changed_included_file_of_a_nested_package_is_not_reused() {
    let manifest = "inner/Cargo.toml";
    let sandbox = Sandbox::new();
    let main = "fn main() { println!(\"{}\", include_str!(\"../inner/x.txt\")); }";
    let demo = demo(&sandbox, &sandbox.registry([]), "", main);
    demo.write(manifest, "[package]\nname = \"inner\"\n");
    for text in ["first", "later"] {
        demo.write("inner/x.txt", text);
        assert_demo(&sandbox, &demo, &["demo"], text);
    }
}

#[test]
fn a_changed_file_of_the_package_that_a_macro_reads_is_not_reused() {
    let sandbox = Sandbox::new();
    let demo = reads(&sandbox, "file!(\"templates/x.txt\")");
    demo.write("templates/x.txt", "first");
    assert_demo(&sandbox, &demo, &["demo", "reading"], "first");
    assert_full_hit(&sandbox, &demo, &["build"]);
    demo.write("templates/x.txt", "later");
    assert_demo(&sandbox, &demo, &["demo"], "later");
}

#[test]
fn a_changed_directory_that_a_macro_lists_is_not_reused() {
    let sandbox = Sandbox::new();
    let demo = reads(&sandbox, "list!(\"templates\")");
    demo.write("templates/a.txt", "");
    assert_demo(&sandbox, &demo, &["demo", "reading"], "a.txt");
    demo.write("templates/b.txt", "");
    assert_demo(&sandbox, &demo, &["demo"], "a.txt b.txt");
    fs::remove_file(demo.dir().join("templates/a.txt")).expect("the file can be removed");
    assert_demo(&sandbox, &demo, &["demo"], "b.txt");
}

#[test]
fn a_changed_file_of_a_nested_package_that_a_macro_reads_is_not_reused() {
    let sandbox = Sandbox::new();
    let demo = reads(&sandbox, "file!(\"templates/new/x.txt\")");
    demo.write("templates/new/Cargo.toml", "[package]\nname = \"to-be-generated\"\n");
    demo.write("templates/new/x.txt", "first");
    assert_demo(&sandbox, &demo, &["demo", "reading"], "first");
    demo.write("templates/new/x.txt", "later");
    assert_demo(&sandbox, &demo, &["demo"], "later");
}

#[test]
fn a_changed_file_named_by_key_files_is_not_reused() {
    let sandbox = Sandbox::new();
    let demo = reads(&sandbox, "file!(\"../outside/x.txt\")").env("XCACHE_KEY_FILES", "other.txt, ../outside/x.txt");
    demo.write("../outside/x.txt", "first");
    assert_demo(&sandbox, &demo, &["demo", "reading"], "first");
    assert_full_hit(&sandbox, &demo, &["build"]);
    demo.write("../outside/x.txt", "later");
    assert_demo(&sandbox, &demo, &["demo"], "later");
}

#[test]
fn a_changed_variable_named_by_key_env_is_not_reused() {
    let sandbox = Sandbox::new();
    let demo = reads(&sandbox, "variable!(\"MADE_UP\")").env("XCACHE_KEY_ENV", "OTHER,MADE_UP").env("MADE_UP", "first");
    assert_demo(&sandbox, &demo, &["demo", "reading"], "first");
    assert_full_hit(&sandbox, &demo, &["build"]);
    let demo = demo.env("MADE_UP", "later");
    assert_demo(&sandbox, &demo, &["demo"], "later");
    let demo = demo.env_remove("MADE_UP");
    assert_demo(&sandbox, &demo, &["demo"], "");
}

/// A virtual workspace whose member `lone` prints what a macro of [`reading`] expands to.
fn lone_reads(sandbox: &Sandbox, what: &str) -> Project {
    let project = workspace(sandbox);
    project.use_registry(&sandbox.registry([reading()]).with(support::registry::chain()));
    project.edit("lone/Cargo.toml", "[dependencies]", "[dependencies]\nreading = \"1\"");
    project.write("lone/src/main.rs", format!("fn main() {{ println!(\"{{}}\", reading::{what}); }}"));
    project
}

/// Asserts that `lone` prints each of the texts that `change` puts somewhere.
#[track_caller]
fn assert_lone_prints(sandbox: &Sandbox, project: &Project, change: impl Fn(&str)) {
    for text in by_form(&["first", "later"][..], &["first", "later", "third"]) {
        change(text);
        project.clean();
        project.xcache(["build"]).ok();
        assert_eq!(project.run_binary("lone"), format!("{text}\n"));
        if is_long() || *text == "later" {
            assert_full_hit(sandbox, project, &["build"]);
        }
    }
}

#[test]
fn a_changed_file_in_a_directory_named_by_the_workspaces_key_files_is_not_reused() {
    let sandbox = Sandbox::new();
    let project = lone_reads(&sandbox, "file!(\"../data/deep/x.txt\")");
    project.write(".config/xcache.toml", "key-files = \"data\"\n");
    assert_lone_prints(&sandbox, &project, |text| project.write("data/deep/x.txt", text));
}

#[test]
fn a_changed_variable_of_cargos_configuration_named_by_key_env_is_not_reused() {
    let sandbox = Sandbox::new();
    let project = lone_reads(&sandbox, "variable!(\"MADE_UP\")").env("XCACHE_KEY_ENV", "MADE_UP");
    let config = project.read(".cargo/config.toml");
    let set = |text: &str| project.write(".cargo/config.toml", format!("{config}\n[env]\nMADE_UP = {text:?}\n"));
    assert_lone_prints(&sandbox, &project, set);
}

#[test]
fn a_changed_env_file_of_a_member_is_not_reused_although_no_setting_names_it() {
    let sandbox = Sandbox::new();
    let project = lone_reads(&sandbox, "file!(\".env\")");
    project.write(".gitignore", "/target\n.env\n");
    assert_lone_prints(&sandbox, &project, |text| project.write("lone/.env", text));
}

/// Asserts that a file of the package that a macro reads is an input, whatever `prepare` puts around it.
#[track_caller]
fn assert_read_file_is_input(what: &str, prepare: impl Fn(&Project), change: impl Fn(&Project, &str)) {
    let sandbox = Sandbox::new();
    let demo = reads(&sandbox, what);
    prepare(&demo);
    change(&demo, "first");
    assert_demo(&sandbox, &demo, &["demo", "reading"], "first");
    assert_full_hit(&sandbox, &demo, &["build"]);
    change(&demo, "later");
    assert_demo(&sandbox, &demo, &["demo"], "later");
}

#[test]
fn ignore_files_above_the_repository_do_not_apply_in_it() {
    let prepare = |demo: &Project| {
        demo.write("../.gitignore", "*\n");
        demo.program("git", ["init", "--quiet"]).ok();
    };
    assert_read_file_is_input("file!(\"x.txt\")", prepare, |demo, text| demo.write("x.txt", text));
}

#[test]
fn a_changed_file_behind_a_link_is_not_reused() {
    let prepare = |demo: &Project| {
        demo.write("../shared/x.txt", "");
        symlink("../shared/x.txt", demo.dir().join("x.txt")).expect("links can be created");
    };
    assert_read_file_is_input("file!(\"x.txt\")", prepare, |demo, text| demo.write("../shared/x.txt", text));
}

#[test]
fn a_changed_file_behind_a_link_to_a_directory_is_not_reused() {
    let prepare = |demo: &Project| {
        demo.write("../shared/x.txt", "");
        symlink("../shared", demo.dir().join("data")).expect("links can be created");
    };
    assert_read_file_is_input("file!(\"data/x.txt\")", prepare, |demo, text| demo.write("../shared/x.txt", text));
}

/// Asserts that a package with something special in its directory is built and cached.
#[track_caller]
fn assert_harmless(prepare: impl Fn(&Project)) {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox, &sandbox.registry([]), "", "fn main() { println!(\"first\"); }");
    prepare(&demo);
    demo.xcache(["build"]).within(Duration::from_secs(30)).ok();
    assert_eq!(demo.run_binary("demo"), "first\n");
    assert_full_hit(&sandbox, &demo, &["build"]);
}

/// In the short form, all of them in one package.
#[test]
fn pipes_sockets_and_dangling_links_in_a_package_are_harmless() {
    let things: [fn(&Project); 3] = [
        |demo| drop(demo.program("mkfifo", ["pipe"]).ok()),
        |demo| drop(UnixListener::bind(demo.dir().join("socket")).expect("sockets can be created")),
        |demo| symlink("nowhere", demo.dir().join("dangling")).expect("links can be created"),
    ];
    if is_long() {
        for thing in things {
            assert_harmless(thing);
        }
    } else {
        assert_harmless(|demo| things.iter().for_each(|thing| thing(demo)));
    }
}

#[test]
fn a_variable_of_cargos_configuration_that_the_compiler_reads_is_an_input() {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    let main = "fn main() { println!(\"{}\", option_env!(\"MADE_UP\").unwrap_or(\"nothing\")); }";
    project.write("lone/src/main.rs", main);
    let config = project.read(".cargo/config.toml");
    let set = |text: &str| format!("{config}\n[env]\nMADE_UP = {text:?}\n");
    let ways = [("nothing", config.clone()), ("first", set("first")), ("later", set("later"))];
    for (said, config) in ways.iter().cycle().take(by_form(4, 6)) {
        project.write(".cargo/config.toml", config);
        for full in [false, true] {
            full.then(|| project.clean());
            project.xcache(["build"]).ok();
            assert_eq!(project.run_binary("lone"), format!("{said}\n"));
        }
    }
}

#[test]
fn files_and_variables_that_sqlx_reads_are_inputs_although_no_setting_names_them() {
    let sandbox = Sandbox::new();
    let file = reads(&sandbox, "file!(\".sqlx/query.json\")");
    file.write(".gitignore", "/target\n.sqlx\n.env\n");
    for (text, compiled) in [("first", &["demo", "reading"][..]), ("later", &["demo"])] {
        file.write(".sqlx/query.json", text);
        assert_demo(&sandbox, &file, compiled, text);
    }
    let file = reads(&sandbox, "file!(\".env\")");
    file.write(".gitignore", "/target\n.sqlx\n.env\n");
    for text in ["first", "later"] {
        file.write(".env", text);
        assert_demo(&sandbox, &file, if text == "first" { &["demo", "reading"] } else { &["demo"] }, text);
    }
    let names = ["DATABASE_URL", "SQLX_OFFLINE", "SQLX_OFFLINE_DIR"];
    for name in by_form(&names[..1], &names) {
        let mut variable = reads(&sandbox, &format!("variable!({name:?})"));
        for text in ["first", "later"] {
            variable = variable.env(name, text);
            assert_demo(&sandbox, &variable, if text == "first" { &["demo", "reading"] } else { &["demo"] }, text);
        }
    }
}

#[test]
fn a_variable_that_the_compiler_reads_is_an_input_although_no_setting_names_it() {
    let sandbox = Sandbox::new();
    let main = "fn main() { println!(\"{}\", option_env!(\"MADE_UP\").unwrap_or(\"nothing\")); }";
    let demo = demo(&sandbox, &sandbox.registry([]), "", main);
    assert_demo(&sandbox, &demo, &["demo"], "nothing");
    let demo = demo.env("MADE_UP", "first");
    assert_demo(&sandbox, &demo, &["demo"], "first");
    assert_full_hit(&sandbox, &demo, &["build"]);
    let demo = demo.env("MADE_UP", "later");
    assert_demo(&sandbox, &demo, &["demo"], "later");
}

// What members are compiled with.

#[test]
fn a_bumped_dependency_recompiles_the_members_that_use_it() {
    let (sandbox, project) = warm();
    project.cargo(["update", "--package", "base", "--precise", "1.0.1"]).ok();
    assert_builds(&sandbox, &project, &["apex", "app", "base", "middle", "voice"]);
    assert_eq!(project.run_binary("app"), OUTPUT.replace("1.0.0", "1.0.1"));
}

#[test]
fn a_feature_of_a_member_recompiles_the_member_and_its_dependents() {
    let (sandbox, project) = warm();
    let loud = ["build", "--features", "voice/loud"];
    project.xcache(loud).ok();
    assert_eq!(sandbox.compiled(), ["app", "voice"]);
    assert_eq!(project.run_binary("app"), OUTPUT.replace("quiet", "LOUD"));
    assert_full_hit(&sandbox, &project, &loud);
    assert_eq!(project.run_binary("app"), OUTPUT.replace("quiet", "LOUD"));
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT);
}

#[test]
fn a_field_of_the_profile_recompiles_all_members() {
    let sandbox = Sandbox::new();
    let main = "fn main() { println!(\"{}\", cfg!(debug_assertions)); }";
    let demo = demo(&sandbox, &sandbox.registry([]), "", main);
    assert_demo(&sandbox, &demo, &["demo"], "true");
    let manifest = demo.read("Cargo.toml");
    demo.write("Cargo.toml", format!("{manifest}\n[profile.dev]\ndebug-assertions = false\n"));
    assert_demo(&sandbox, &demo, &["demo"], "false");
    demo.write("Cargo.toml", manifest);
    assert_demo(&sandbox, &demo, &[], "true");
}

#[test]
fn a_field_of_the_profile_in_a_virtual_workspace_recompiles_all_members() {
    let (sandbox, project) = warm();
    let manifest = project.read("Cargo.toml");
    project.write("Cargo.toml", format!("{manifest}\n[profile.dev]\nopt-level = 1\n"));
    project.xcache(["build"]).ok();
    assert!(MEMBERS.iter().all(|name| *name == "macros" || compiled_members(&sandbox).contains(&(*name).to_owned())));
    assert_eq!(project.run_binary("app"), OUTPUT);
    project.write("Cargo.toml", manifest);
    assert_full_hit(&sandbox, &project, &["build"]);
}

#[test]
fn a_lint_of_the_workspace_that_becomes_an_error_fails_the_build() {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    project.write("words/src/lib.rs", "pub fn word() -> &'static str { let unused = 1; \"one\" }");
    for command in by_form(&["build"][..], &["build", "check"]).iter().copied() {
        project.xcache([command]).ok();
        assert_full_hit(&sandbox, &project, &[command]);
        project.edit("Cargo.toml", "unused_variables = \"warn\"", "unused_variables = \"deny\"");
        for full in [true, false] {
            let output = project.xcache([command]).run().fails();
            assert!(output.stderr.contains("error: unused variable: `unused`"), "{output}");
            full.then(|| project.clean());
        }
        project.edit("Cargo.toml", "unused_variables = \"deny\"", "unused_variables = \"warn\"");
        for full in [false, true] {
            full.then(|| project.clean());
            let output = project.xcache([command]).ok();
            assert!(output.stderr.contains("warning: unused variable: `unused`"), "{output}");
        }
    }
}

#[test]
fn changed_lints_do_not_displace_earlier_entries() {
    let (sandbox, project) = warm();
    project.edit("Cargo.toml", "unused_variables = \"warn\"", "unused_variables = \"deny\"");
    assert_builds(&sandbox, &project, &MEMBERS);
    assert_full_hit(&sandbox, &project, &["build"]);
    project.edit("Cargo.toml", "unused_variables = \"deny\"", "unused_variables = \"warn\"");
    assert_full_hit(&sandbox, &project, &["build"]);
}

#[test]
fn an_inherited_description_is_up_to_date() {
    let (sandbox, project) = warm();
    project.xcache(["build"]).ok();
    project.edit("Cargo.toml", "described", "written");
    for full in [false, true] {
        full.then(|| project.clean());
        project.xcache(["build"]).ok();
        assert_eq!(project.run_binary("lone"), "lone, written\n");
    }
    project.edit("Cargo.toml", "written", "described");
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("lone"), "lone, described\n");
}

#[test]
fn an_inherited_version_is_up_to_date() {
    let (_sandbox, project) = warm();
    project.write("lone/src/main.rs", "fn main() { println!(\"{}\", env!(\"CARGO_PKG_VERSION\")); }");
    project.xcache(["build"]).ok();
    assert_eq!(project.run_binary("lone"), "0.1.0\n");
    project.edit("Cargo.toml", "0.1.0", "0.2.0");
    project.clean();
    project.xcache(["build"]).ok();
    assert_eq!(project.run_binary("lone"), "0.2.0\n");
}

#[test]
fn other_flags_recompile_all_members() {
    let (sandbox, project) = warm();
    let project = project.env("RUSTFLAGS", "--cfg shout");
    project.xcache(["build"]).ok();
    assert_eq!(compiled_members(&sandbox), MEMBERS);
    assert_eq!(project.run_binary("app"), OUTPUT.replace("plain", "SHOUT"));
    let project = project.env_remove("RUSTFLAGS");
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT);
}

// Build scripts of members.

/// The script writes the variable `WORD`, or else the file `word.txt`, where the library finds it.
const SCRIPT: &str = r#"
fn main() {
    let mut log = std::fs::File::options().write(true).open(std::env::var("@variable@").unwrap()).unwrap();
    std::io::Write::write_all(&mut log, b"demo\n").unwrap();
    println!("cargo::rerun-if-env-changed=WORD");
    println!("cargo::rerun-if-changed=@file@");
    let word = std::env::var("WORD").unwrap_or_else(|_| std::fs::read_to_string("@file@").unwrap());
    @body@
}
"#;

const GENERATES: &str = r#"
    let file = std::path::Path::new(&std::env::var_os("OUT_DIR").unwrap()).join("word.txt");
    std::fs::write(file, word).unwrap();
"#;

const SETS: &str = "println!(\"cargo::rustc-env=SAID={word}\");";

/// A package with a build script that reads `file` and passes on its content with `body`.
fn scripted(sandbox: &Sandbox, file: &str, body: &str, main: &str) -> Project {
    let demo = demo(sandbox, &sandbox.registry([reading()]), "reading = \"1\"", main);
    let script = SCRIPT.replace("@variable@", SCRIPT_RUNS).replace("@file@", file).replace("@body@", body);
    demo.write("build.rs", script);
    demo.write(file, "first");
    demo
}

/// Asserts that the script runs in each empty target directory, and that its dependents are compiled only if its output
/// is new there.
#[track_caller]
fn assert_script_output_is_input(file: &str, body: &str, main: &str) {
    let sandbox = Sandbox::new();
    let mut demo = scripted(&sandbox, file, body, main);
    let assert_printed = |demo: &Project, compiled: &[&str], said: &str| {
        assert_demo(&sandbox, demo, compiled, said);
        assert_eq!(sandbox.scripts_run(), ["demo"], "a member's script is run in every new target directory");
    };
    assert_printed(&demo, &["demo", "demo (build script)", "reading"], "first");
    assert_printed(&demo, &[], "first");
    sandbox.assert_nothing_to_do(&demo, &["build"]);
    demo = demo.env("WORD", "later");
    assert_printed(&demo, &["demo"], "later");
    assert_printed(&demo, &[], "later");
    demo = demo.env("WORD", "third");
    sandbox.reset();
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), "third\n");
    demo = demo.env_remove("WORD");
    demo.write(file, "other");
    demo.clean();
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), "other\n");
}

/// The program gets the script's word as a generated file, a variable or a cfg, itself or by a macro.
#[test]
fn what_a_members_script_passes_on_is_an_input() {
    let includes = "fn main() { println!(\"{}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/word.txt\"))); }";
    let is_set = "#![allow(unexpected_cfgs)]
        fn main() {
            let words = [(cfg!(first), \"first\"), (cfg!(later), \"later\"), (cfg!(third), \"third\"), (true, \"other\")];
            println!(\"{}\", words.iter().find(|word| word.0).unwrap().1);
        }";
    let ways = [
        ("../word.txt", GENERATES, includes),
        ("../word.txt", "println!(\"cargo::rustc-cfg={word}\");", is_set),
        ("../word.txt", SETS, "fn main() { println!(\"{}\", reading::variable!(\"SAID\")); }"),
        ("word.txt", GENERATES, "fn main() { println!(\"{}\", reading::generated!(\"word.txt\")); }"),
        ("word.txt", GENERATES, includes),
        ("../word.txt", SETS, "fn main() { println!(\"{}\", env!(\"SAID\")); }"),
    ];
    for (file, body, main) in by_form(&ways[..4], &ways) {
        assert_script_output_is_input(file, body, main);
    }
}

#[test]
fn dependents_of_a_member_with_a_script_are_reused() {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    let script = "fn main() {
        println!(\"cargo::rerun-if-env-changed=WORD\");
        let file = std::path::Path::new(&std::env::var_os(\"OUT_DIR\").unwrap()).join(\"word.txt\");
        std::fs::write(file, std::env::var(\"WORD\").unwrap_or(\"one\".into())).unwrap();
    }";
    project.write("words/build.rs", script);
    let library = "pub fn word() -> &'static str { include_str!(concat!(env!(\"OUT_DIR\"), \"/word.txt\")) }";
    project.write("words/src/lib.rs", library);
    project.xcache(["build"]).ok();
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT);
    let project = project.env("WORD", "two");
    assert_builds(&sandbox, &project, &["app", "voice", "words"]);
    assert_eq!(project.run_binary("app"), OUTPUT.replace("one", "two"));
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT.replace("one", "two"));
}

#[test]
fn a_program_that_prints_its_out_dir_prints_that_of_its_own_target_directory() {
    let sandbox = Sandbox::new();
    let main = "fn main() { println!(\"{}\", env!(\"OUT_DIR\")); }";
    let demo = scripted(&sandbox, "word.txt", GENERATES, main);
    let [first, second] = ["one-target", "another-target"].map(|name| sandbox.path(name));
    for target in [&first, &second, &first, &second] {
        tree::remove(target);
        demo.xcache(["build", "--target-dir"]).arg(target).ok();
        let said = demo.program(target.join("debug/demo"), NONE).ok().stdout;
        assert!(Path::new(said.trim_end()).starts_with(target), "{said} is not in {}", target.display());
    }
}

#[test]
fn a_file_of_the_package_that_its_script_writes_and_a_macro_reads_is_an_input() {
    let sandbox = Sandbox::new();
    let main = "fn main() { println!(\"{}\", reading::file!(\"written.txt\")); }";
    let demo = scripted(&sandbox, "word.txt", "std::fs::write(\"written.txt\", word).unwrap();", main);
    for word in ["first", "first", "later", "first", "later"] {
        demo.clean();
        demo.xcache(["build"]).env("WORD", word).ok();
        assert_eq!(demo.run_binary("demo"), format!("{word}\n"));
    }
}

// Edits during a build.

/// A package whose build can pause twice: before its program is compiled, and while it is compiled.
fn pausing(sandbox: &Sandbox) -> Project {
    let early = Package::new("early", "1.0.0", "reading::pause!(\"early\");").dependency("reading", "1");
    let main = "mod word; reading::pause!(\"main\"); fn main() { println!(\"{}\", word::WORD); }";
    let demo = demo(sandbox, &sandbox.registry([reading(), early]), "reading = \"1\"\nearly = \"1\"", main);
    demo.write("src/word.rs", word("first"));
    demo
}

fn word(text: &str) -> String {
    format!("pub const WORD: &str = {text:?};")
}

/// A build with pauses.
struct Paused {
    build: Running,
    dir: PathBuf,
}

impl Paused {
    fn start(sandbox: &Sandbox, demo: &Project) -> Self {
        let dir = sandbox.unused("pauses");
        fs::create_dir_all(&dir).expect("a directory can be created");
        Self { build: demo.xcache(["build"]).env("PAUSE_DIR", &dir).start(), dir }
    }

    /// Does something during the pause of this name.
    #[track_caller]
    fn during(&self, pause: &str, action: impl FnOnce()) {
        let file = |extension: &str| self.dir.join(pause).with_extension(extension);
        wait_until(pause, || file("started").exists());
        action();
        tree::write(&file("go"), "");
    }

    #[track_caller]
    fn end(mut self) {
        assert!(self.build.wait().success());
    }
}

/// Asserts that nothing was recorded, and that each content gives the right program.
#[track_caller]
fn assert_nothing_wrong_recorded(sandbox: &Sandbox, demo: &Project) {
    let reasons = demo.report().reasons("demo");
    assert!(reasons.contains(&"changed-meanwhile".to_owned()), "{reasons:?}");
    // The macro of `early` has read the variable with the directory of the pauses, which is not set any more.
    demo.clean();
    demo.xcache(["build", "-p", "early"]).ok();
    for compiled in [&["demo"][..], &[]] {
        for text in ["first", "later"] {
            demo.write("src/word.rs", word(text));
            assert_demo(sandbox, demo, compiled, text);
        }
    }
}

#[test]
fn an_edit_before_a_member_is_compiled_is_not_recorded_under_the_planned_key() {
    let sandbox = Sandbox::new();
    let demo = pausing(&sandbox);
    let build = Paused::start(&sandbox, &demo);
    build.during("early", || demo.write("src/word.rs", word("later")));
    build.during("main", || {});
    build.end();
    assert_eq!(demo.run_binary("demo"), "later\n");
    assert_nothing_wrong_recorded(&sandbox, &demo);
}

#[test]
fn an_edit_while_a_member_is_compiled_is_not_recorded_under_the_planned_key() {
    let sandbox = Sandbox::new();
    let demo = pausing(&sandbox);
    let build = Paused::start(&sandbox, &demo);
    build.during("early", || {});
    build.during("main", || demo.write("src/word.rs", word("later")));
    build.end();
    assert_nothing_wrong_recorded(&sandbox, &demo);
}

#[test]
fn an_edit_reverted_while_a_member_is_compiled_is_not_recorded_under_the_planned_key() {
    let sandbox = Sandbox::new();
    let demo = pausing(&sandbox);
    let build = Paused::start(&sandbox, &demo);
    build.during("early", || demo.write("src/word.rs", word("later")));
    build.during("main", || demo.write("src/word.rs", word("first")));
    build.end();
    assert_nothing_wrong_recorded(&sandbox, &demo);
}

#[test]
fn a_file_moved_away_and_back_during_a_build_is_not_recorded_under_the_planned_key() {
    let sandbox = Sandbox::new();
    let demo = pausing(&sandbox);
    let [file, aside] = ["src/word.rs", "../aside.rs"].map(|name| demo.dir().join(name));
    let build = Paused::start(&sandbox, &demo);
    build.during("early", || {
        fs::rename(&file, &aside).expect("a file can be renamed");
        demo.write("src/word.rs", word("later"));
    });
    // The file comes back with its earlier time.
    build.during("main", || fs::rename(&aside, &file).expect("a file can be renamed"));
    build.end();
    for text in ["first", "later"] {
        demo.write("src/word.rs", word(text));
        demo.clean();
        demo.xcache(["build"]).ok();
        assert_eq!(demo.run_binary("demo"), format!("{text}\n"));
    }
}

#[test]
fn a_template_changed_and_reverted_during_a_build_is_not_recorded_under_the_planned_key() {
    let sandbox = Sandbox::new();
    let demo = pausing(&sandbox);
    let main = "const WORD: &str = reading::file!(\"x.txt\"); reading::pause!(\"main\");
        fn main() { println!(\"{WORD}\"); }";
    demo.write("src/main.rs", main);
    demo.write("x.txt", "first");
    let build = Paused::start(&sandbox, &demo);
    build.during("early", || demo.write("x.txt", "later"));
    build.during("main", || demo.write("x.txt", "first"));
    build.end();
    assert_eq!(demo.run_binary("demo"), "later\n", "the pauses are in the wrong places");
    for text in ["first", "later"] {
        demo.write("x.txt", text);
        demo.clean();
        demo.xcache(["build"]).ok();
        assert_eq!(demo.run_binary("demo"), format!("{text}\n"));
    }
}

#[test]
fn stale_outputs_in_a_target_directory_are_not_recorded() {
    let (sandbox, project) = warm();
    project.xcache(["build"]).ok();
    let [file, aside] = ["words/src/lib.rs", "../aside.rs"].map(|name| project.dir().join(name));
    fs::rename(&file, &aside).expect("a file can be renamed");
    project.write("words/src/lib.rs", "pub fn word() -> &'static str { \"two\" }");
    project.xcache(["build"]).ok();
    assert_eq!(project.run_binary("app"), OUTPUT.replace("one", "two"));
    // Cargo compares times, and takes the old file for the one that it compiled.
    fs::rename(&aside, &file).expect("a file can be renamed");
    project.write("app/templates/page.txt", "PAGE");
    project.edit("voice/src/lib.rs", "quiet", "still");
    project.xcache(["build"]).ok();
    project.clean();
    project.xcache(["build"]).ok();
    let said = OUTPUT.replace("page", "PAGE").replace("quiet", "still");
    assert_eq!(project.run_binary("app"), said);
    sandbox.assert_nothing_to_do(&project, &["build"]);
}

// Other ways to build.

#[test]
fn with_members_off_only_dependencies_are_reused() {
    let (sandbox, project) = warm();
    let off = project.env("XCACHE_MEMBERS", "off");
    for _ in 0..2 {
        assert_builds(&sandbox, &off, &MEMBERS);
    }
    let report = off.report();
    assert_eq!(report.packages("hit"), DEPENDENCIES);
    let reasons = ["app", "lone", "macros", "voice", "words"].map(|name| report.reasons(name).join(" "));
    assert_eq!(reasons, ["bin", "bin", "proc-macro", "path", "path"]);
    empty(&sandbox, &off);
    off.xcache(["--members", "on", "build"]).ok();
    assert_eq!(sandbox.compiled(), NONE);
}

#[test]
fn incremental_members_are_hits_until_they_are_edited() {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox).env("CARGO_INCREMENTAL", "1");
    for (from, to, compiled) in [("one", "one", &MEMBERS[..]), ("one", "two", &["app", "voice", "words"])] {
        project.edit("words/src/lib.rs", from, to);
        empty(&sandbox, &project);
        project.xcache(["build"]).ok();
        assert_eq!(compiled_members(&sandbox), compiled);
        assert_full_hit(&sandbox, &project, &["build"]);
        assert_eq!(project.run_binary("app"), OUTPUT.replace("one", to));
    }
}

#[test]
fn another_compiler_recompiles_all_members() {
    let (sandbox, project) = warm();
    let other = sandbox.another_rustc(Rustc::of_another_version);
    let project = project.with_rustc(&other);
    project.xcache(["build"]).ok();
    let compiled = sorted(other.compilations());
    assert!(MEMBERS.iter().all(|name| compiled.contains(&(*name).to_owned())), "{compiled:?}");
    assert_eq!(project.run_binary("app"), OUTPUT);
}

#[test]
fn a_wrapper_for_workspace_members_recompiles_all_members() {
    let (sandbox, project) = warm();
    let wrapper = sandbox.path("wrapper");
    tree::write_script(&wrapper, "exec \"$@\" --cfg shout");
    let wrapped = project.env("RUSTC_WORKSPACE_WRAPPER", &wrapper);
    for _ in 0..2 {
        assert_builds(&sandbox, &wrapped, &MEMBERS);
        assert_eq!(wrapped.run_binary("app"), OUTPUT.replace("plain", "SHOUT"));
    }
    let project = wrapped.env_remove("RUSTC_WORKSPACE_WRAPPER");
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT);
}

#[test]
fn members_are_hits_from_a_remote_at_the_same_path() {
    let sandbox = Sandbox::new();
    let url = format!("file://{}", sandbox.path("remote").display());
    let project = workspace(&sandbox).env("XCACHE_REMOTE", url);
    project.xcache(["build"]).ok();
    let project = project.with_store(&sandbox.path("the-store-of-another-machine"));
    assert_full_hit(&sandbox, &project, &["build"]);
    assert_eq!(project.run_binary("app"), OUTPUT);
    project.edit("words/src/lib.rs", "one", "two");
    assert_builds(&sandbox, &project, &["app", "voice", "words"]);
    assert_eq!(project.run_binary("app"), OUTPUT.replace("one", "two"));
}

const NEEDLESS: &str = "pub fn word() -> &'static str { return \"one\"; }";

#[test]
fn clippy_after_check_and_check_after_clippy_are_correct() {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    project.write("words/src/lib.rs", NEEDLESS);
    let needless = "warning: unneeded `return` statement";
    for round in 0..2 {
        let checked = project.xcache(["check"]).ok();
        assert_eq!(checked.warnings(), NONE, "in round {round}: {checked}");
        let linted = project.xcache(["clippy"]).ok();
        assert!(linted.warnings().contains(&needless), "in round {round}: {linted}");
        let checked = project.xcache(["check"]).ok();
        assert_eq!(checked.warnings(), NONE, "in round {round}: {checked}");
        let denied = project.xcache(["clippy", "--", "-D", "warnings"]).run().fails();
        assert!(denied.stderr.contains("error: unneeded `return` statement"), "in round {round}: {denied}");
        project.clean();
    }
    sandbox.reset();
    assert!(project.xcache(["clippy"]).ok().warnings().contains(&needless));
}

/// A workspace with warnings in several members, and in a test.
fn noisy(sandbox: &Sandbox) -> Project {
    let project = workspace(sandbox);
    project.write("words/src/lib.rs", "pub fn word() -> &'static str { let unused = 1; \"one\" }\nfn dead() {}");
    project.edit("app/src/main.rs", "fn main() {", "fn main() { let mut also_unused = 1;");
    project.edit("voice/src/lib.rs", "#[test]", "#[cfg(test)] fn only_in_tests() {}\n#[test]");
    project
}

#[test]
fn warnings_of_members_are_shown_again_on_a_hit() {
    let sandbox = Sandbox::new();
    let project = noisy(&sandbox);
    let commands: [&[&str]; 3] = [&["test", "--no-run"], &["check"], &["build"]];
    for command in by_form(&commands[..2], &commands).iter().copied() {
        let target = sandbox.unused("plain-target");
        let plain = project.cargo(command).env("CARGO_TARGET_DIR", &target).ok();
        project.clean();
        project.xcache(command).ok();
        let hit = assert_full_hit(&sandbox, &project, command);
        assert_eq!(blocks(&hit), blocks(&plain), "{command:?}");
        assert!(hit.stderr.contains("unused variable: `unused`"), "{hit}");
        // Once more, replayed by cargo from the filled target directory.
        assert_eq!(blocks(&project.cargo(command).ok()), blocks(&plain), "{command:?}");
    }
}

/// The messages about the code, independent of the order of the crates: all paragraphs that are not status lines.
fn blocks(output: &Output) -> Vec<String> {
    let text = output.cargo_stderr();
    let is_status = |line: &&str| line.starts_with("  ") && line.trim_start().starts_with(char::is_uppercase);
    let lines: Vec<_> = text.lines().filter(|line| !is_status(line)).collect();
    let mut blocks: Vec<_> =
        lines.join("\n").split("\n\n").flat_map(split_summaries).filter(|block| !block.is_empty()).collect();
    blocks.sort();
    blocks
}

/// Cargo prints the line that sums up a crate's warnings before the messages of any other crate. Of two units of a
/// crate, the later one has the duplicates, and their order varies.
fn split_summaries(block: &str) -> Vec<String> {
    let is_summary = |line: &&str| line.starts_with("warning: `") && line.contains(" generated ");
    let (summaries, rest): (Vec<_>, Vec<_>) = block.lines().partition(is_summary);
    let summaries = summaries.iter().filter_map(|line| line.split(" (run ").next()?.split(" (1 dup").next());
    summaries.filter_map(|line| line.split(" (2 dup").next()).map(str::to_owned).chain([rest.join("\n")]).collect()
}

#[test]
fn warnings_in_json_are_the_same_on_a_hit() {
    let sandbox = Sandbox::new();
    let project = noisy(&sandbox);
    for command in by_form(&["build"][..], &["build", "check"]) {
        let command = [command, "--message-format", "json"];
        let target = sandbox.unused("plain-target");
        let plain = messages(&project.cargo(command).env("CARGO_TARGET_DIR", &target).ok());
        assert_eq!(plain.len(), 4, "{plain:#?}");
        project.clean();
        let compiled = messages(&project.xcache(command).ok());
        assert_eq!(compiled, plain);
        let hit = assert_full_hit(&sandbox, &project, &command);
        assert_eq!(messages(&hit), plain);
        assert_eq!(artifacts(&hit), artifacts(&project.cargo(command).ok()));
    }
}

/// All compiler messages, sorted.
fn messages(output: &Output) -> Vec<String> {
    lines_because(output, "compiler-message")
}

/// All artifact messages, sorted.
fn artifacts(output: &Output) -> Vec<String> {
    lines_because(output, "compiler-artifact")
}

fn lines_because(output: &Output, reason: &str) -> Vec<String> {
    let lines = output.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("cargo writes JSON"));
    let mut lines: Vec<_> = lines.filter(|line| line["reason"] == reason).map(|line| line.to_string()).collect();
    lines.sort();
    lines
}

#[test]
fn plain_cargo_and_xcache_can_alternate() {
    let (sandbox, project) = warm();
    for round in 0..3 {
        let (from, to) = [("one", "two"), ("two", "six"), ("six", "one")][round];
        let plain = project.cargo(["build"]).ok();
        assert_eq!(project.run_binary("app"), OUTPUT.replace("one", from), "in round {round}: {plain}");
        project.edit("words/src/lib.rs", from, to);
        project.xcache(["build"]).ok();
        assert_eq!(project.run_binary("app"), OUTPUT.replace("one", to), "in round {round}");
    }
    assert_full_hit(&sandbox, &project, &["build"]);
}

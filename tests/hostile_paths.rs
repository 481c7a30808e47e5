//! Paths, and texts that look like paths: an output contains what plain cargo would write in a clean directory,
//! wherever it was recorded, and however similar the two places are.
//!
//! Each test also shows the opposite: where nothing differs, nothing is compiled.
#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use support::registry::{MIXED, MIXED_MAIN, MIXED_UNITS, mixed};
use support::{
    Package, Project, Registry, Repository, Sandbox, Tool, by_form, cargo_home, compare, is_long, require, tree,
};

const NONE: [&str; 0] = [];

/// A program that prints what the library `leaf` returns.
const MAIN: &str = "fn main() { println!(\"{}\", leaf::said()); }";

/// A library that returns a variable of its compilation.
const SAYS_VARIABLE: &str = "pub fn said() -> String { env!(\"SAID\").to_owned() }";

/// A library that returns the constant `SAID`, which its build script generates.
const SAYS_GENERATED: &str = "include!(concat!(env!(\"OUT_DIR\"), \"/said.rs\"));
    pub fn said() -> String { SAID.to_owned() }";

/// A build script that passes on the value of an expression in a variable.
fn passes_on(value: &str) -> String {
    format!("fn main() {{ {PATHS} println!(\"cargo:rustc-env=SAID={{}}\", {value}); }}")
}

/// A build script that passes on the value of an expression in a generated file.
fn generates(value: &str) -> String {
    format!(
        "fn main() {{
            {PATHS}
            let said = {value};
            std::fs::write(out.join(\"said.rs\"), format!(\"pub const SAID: &str = {{:?}};\", said)).unwrap();
        }}"
    )
}

/// What the expressions may use.
const PATHS: &str = r#"
    use std::path::PathBuf;
    #[allow(unused)] let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    #[allow(unused)] let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    #[allow(unused)] let text = |path: PathBuf| path.into_os_string().into_string().unwrap();
"#;

/// The directory of the workspace, found by a script that knows only where its own files are.
const WORKSPACE: &str = "text(out.ancestors().find(|dir| dir.join(\"Cargo.lock\").exists()).unwrap().to_owned())";

/// The output directory of the script.
const OUTPUT: &str = "text(out.clone())";

/// The crate `leaf`, whose build script passes on a value in a generated file or in a variable.
fn leaf(value: &str, in_a_file: bool) -> Package {
    let (library, script) =
        if in_a_file { (SAYS_GENERATED, generates(value)) } else { (SAYS_VARIABLE, passes_on(value)) };
    Package::new("leaf", "1.0.0", library).build_script(&script)
}

fn demo(sandbox: &Sandbox, registry: &Registry) -> Project {
    sandbox.demo(registry, "leaf = \"1\"", MAIN)
}

/// Asserts that two builds into empty target directories make the program that plain cargo makes, and that the second
/// one compiles no dependency.
#[track_caller]
fn assert_as_plain_cargo(sandbox: &Sandbox, demo: &Project) {
    let plain = demo.output_of_plain_cargo();
    demo.clean();
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), plain);
    assert_reused_like(sandbox, demo, &plain);
}

/// Asserts that a build into an empty target directory compiles no dependency, and makes the program that plain cargo
/// makes.
#[track_caller]
fn assert_reused(sandbox: &Sandbox, demo: &Project) {
    assert_reused_like(sandbox, demo, &demo.output_of_plain_cargo());
}

/// The same with the known output of plain cargo's program.
#[track_caller]
fn assert_reused_like(sandbox: &Sandbox, demo: &Project, plain: &str) {
    demo.clean();
    sandbox.reset();
    demo.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_externals(), NONE, "{}", demo.report().json()["totals"]);
    assert_eq!(demo.run_binary("demo"), plain);
}

// Texts that are not paths.

/// Asserts that a text is unchanged that the build script of a crate from git passes on, when the crate was checked in
/// `/app` and is used elsewhere.
#[track_caller]
fn assert_text_is_unchanged(text: &str) {
    let sandbox = Sandbox::new();
    let repository = sandbox.path("greeting");
    let manifest = "[package]\nname = \"leaf\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    tree::write(&repository.join("Cargo.toml"), manifest);
    tree::write(&repository.join("src/lib.rs"), SAYS_VARIABLE);
    tree::write(&repository.join("build.rs"), passes_on(&format!("{text:?}")));
    let dependency = format!("leaf = {{ git = {:?} }}", Repository::of_dir(&repository).url());
    // Offline, cargo does not even read a repository on the same disk.
    let demo = || sandbox.demo_unlocked(&dependency, MAIN).env_remove("CARGO_NET_OFFLINE");
    let recorded = demo();
    recorded.cargo(["generate-lockfile"]).ok();
    let Some(check) = require(Tool::Mounts, recorded.xcache_at("/app", ["check"])) else { return };
    check.ok();
    let elsewhere = demo();
    elsewhere.write("Cargo.lock", recorded.read("Cargo.lock"));
    assert_as_plain_cargo(&sandbox, &elsewhere);
}

/// In the short form, all of them in one text.
#[test]
fn urls_that_contain_the_workspace_path_are_unchanged() {
    let urls = ["https://example.com/apple", "https://example.com/app", "https://example.com/app/target/x"];
    let all = urls.join(" ");
    for text in by_form(&[&*all][..], &urls) {
        assert_text_is_unchanged(text);
    }
}

/// Asserts that a text is unchanged that a build script passes on, after a check and in another target directory and
/// checkout.
#[track_caller]
fn assert_placeholder_is_unchanged(text: &str, in_a_file: bool) {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf(&format!("{text:?}"), in_a_file)]);
    let demo_here = demo(&sandbox, &registry);
    demo_here.xcache(["check"]).ok();
    assert_as_plain_cargo(&sandbox, &demo_here);
    assert_reused(&sandbox, &demo(&sandbox, &registry));
}

/// In the short form, all of them in one text.
#[test]
fn placeholders_in_a_variable_are_unchanged() {
    let placeholders = ["{{workspace}}/{{name}}", "{{build-dir}}/x", "{{cargo-home}}", "{{sysroot}}/lib"];
    let all = placeholders.join(" ");
    for text in by_form(&[&*all][..], &placeholders) {
        assert_placeholder_is_unchanged(text, false);
    }
}

#[test]
fn a_placeholder_in_a_generated_file_is_unchanged() {
    assert_placeholder_is_unchanged("{{workspace}} {{build-dir}} {{cargo-home}} {{sysroot}}", true);
}

#[test]
fn a_virtual_path_in_a_variable_is_unchanged() {
    assert_placeholder_is_unchanged("/xcache/cargo-home/registry /xcache/build-dir/x", false);
}

/// A member with a warning that quotes a text.
fn member_with_warning(sandbox: &Sandbox, note: &str) -> Project {
    let main = format!("#[deprecated(note = {note:?})] fn old() {{}}\nfn main() {{ old(); }}");
    let demo = sandbox.demo_unlocked("", &main).env("CARGO_INCREMENTAL", "0");
    demo.cargo(["generate-lockfile"]).ok();
    demo
}

/// Asserts that a first and a second build, which compiles nothing, print the warnings that plain cargo prints.
#[track_caller]
fn assert_warns_as_plain_cargo(sandbox: &Sandbox, demo: &Project) {
    for is_known in [false, true] {
        demo.clean();
        sandbox.reset();
        let ours = demo.xcache(["build"]).ok();
        assert!(!is_known || sandbox.compiled().is_empty(), "{:?} were compiled", sandbox.compiled());
        let plain = demo.in_clean_target(|| demo.cargo(["build"]).ok());
        compare::assert_equal_except_freshness(&ours, &plain, "a warning with a text");
    }
}

#[test]
fn a_placeholder_in_a_warning_is_unchanged() {
    let sandbox = Sandbox::new();
    let demo =
        member_with_warning(&sandbox, "{{workspace}}/{{name}} of {{build-dir}} in {{cargo-home}}, /xcache/build-dir/x");
    assert_warns_as_plain_cargo(&sandbox, &demo);
}

#[test]
fn a_url_in_a_warning_is_unchanged() {
    let sandbox = Sandbox::new();
    let note = "see https://example.com/apple, or https://example.com/app/le";
    let Some(build) = require(Tool::Mounts, member_with_warning(&sandbox, note).xcache_at("/app", ["build"])) else {
        return;
    };
    build.ok();
    assert_warns_as_plain_cargo(&sandbox, &member_with_warning(&sandbox, note));
}

// Variables whose values are paths, or look like paths.

/// Asserts, with each value of a variable and in the workspace of that name, that the program is plain cargo's, and
/// that nothing is compiled when the value is the same again. `WORKSPACE` in a value is the workspace's path.
#[track_caller]
fn assert_values_are_not_mixed_up(leaf: Package, values: [(&str, &str); 2]) {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf]);
    let checkout = demo(&sandbox, &registry);
    for (name, value) in values {
        let dir = sandbox.path(name);
        tree::copy(checkout.dir(), &dir);
        let value = value.replace("WORKSPACE", dir.to_str().expect("test directories have plain names"));
        assert_as_plain_cargo(&sandbox, &checkout.at(&dir).env("MADE_UP", value));
    }
}

/// A library that returns the value of an expression over the variable `MADE_UP`.
fn reading(expression: &str) -> Package {
    let library = format!(
        "pub static SAID: &str = env!(\"MADE_UP\"); pub static N: usize = env!(\"MADE_UP\").len();
        pub fn said() -> String {{ {expression}.to_string() }}"
    );
    Package::new("leaf", "1.0.0", &library)
}

/// A library whose build script declares the variable `MADE_UP`, and generates the value of an expression.
fn declaring(expression: &str) -> Package {
    let value =
        "{ println!(\"cargo:rerun-if-env-changed=MADE_UP\"); let value = std::env::var(\"MADE_UP\").unwrap(); @ }";
    leaf(&value.replace('@', expression), true)
}

#[test]
fn a_placeholder_in_a_variable_is_not_taken_for_the_path() {
    for package in [reading("SAID"), declaring("value")] {
        assert_values_are_not_mixed_up(package.clone(), [("place", "{{workspace}}/x"), ("place", "WORKSPACE/x")]);
        if is_long() {
            assert_values_are_not_mixed_up(package, [("place", "WORKSPACE/x"), ("place", "{{workspace}}/x")]);
        }
    }
}

#[test]
fn the_same_relative_value_in_two_workspaces_is_two_values() {
    for package in [reading("SAID"), declaring("value")] {
        assert_values_are_not_mixed_up(package, [("place", "WORKSPACE/x"), ("the-other-place", "WORKSPACE/x")]);
    }
}

#[test]
fn the_length_of_a_path_below_the_workspace_is_that_of_this_workspace() {
    for package in [reading("N"), declaring("value.len().to_string()")] {
        assert_values_are_not_mixed_up(package, [("place", "WORKSPACE/x"), ("the-other-place", "WORKSPACE/x")]);
    }
}

// Workspaces at short paths share everything.

/// One of each kind of unit, and two packages whose names begin like the path of a workspace.
fn short_registry(sandbox: &Sandbox) -> Registry {
    let named = |name: &str| Package::new(name, "1.0.0", "pub fn name() -> &'static str { file!() }");
    sandbox.registry(mixed().into_iter().chain([named("apprentice"), named("srcery")]))
}

const SHORT: &str = "apprentice = \"1\"\nsrcery = \"1\"";

/// All external units, by [`support::report::Unit::name`].
fn short_units() -> Vec<String> {
    let mut units: Vec<_> = MIXED_UNITS.into_iter().chain(["apprentice", "srcery"]).map(str::to_owned).collect();
    units.sort();
    units
}

fn short_demo(sandbox: &Sandbox, registry: &Registry) -> Project {
    let main = MIXED_MAIN.replace("top::top());", "top::top()); apprentice::name(); srcery::name();");
    sandbox.demo(registry, &format!("{MIXED}\n{SHORT}"), &main)
}

/// Asserts that all external units were hydrated and that cargo found them fresh.
#[track_caller]
fn assert_all_hydrated(sandbox: &Sandbox, demo: &Project, when: &str) {
    let report = demo.report();
    let external = |names: Vec<String>| names.into_iter().filter(|name| name != "demo").collect::<Vec<_>>();
    assert_eq!(sandbox.compiled_externals(), NONE, "{when}: {}", report.json()["totals"]);
    assert_eq!(external(report.names(|unit| unit.outcome == "hit")), short_units(), "{when}");
    assert_eq!(external(report.hydrated()), short_units(), "{when}");
    assert_eq!(report.names(|unit| unit.rejected.is_some()), NONE, "{when}");
}

#[track_caller]
fn assert_shares_all_dependencies(place: &str) {
    let sandbox = Sandbox::new();
    let registry = short_registry(&sandbox);
    let [there, here] = [(); 2].map(|()| short_demo(&sandbox, &registry));
    let Some(build) = require(Tool::Mounts, there.xcache_at(place, ["build"])) else { return };
    build.ok();
    sandbox.reset();
    here.xcache(["build"]).ok();
    assert_all_hydrated(&sandbox, &here, &format!("from {place}"));
    assert_eq!(here.run_binary("demo"), here.output_of_plain_cargo());
    if is_long() || place == "/app" {
        assert_shared_the_other_way(&sandbox, place, &here, &there);
    }
}

/// Asserts the same for a store that knows only the long path.
#[track_caller]
fn assert_shared_the_other_way(sandbox: &Sandbox, place: &str, here: &Project, there: &Project) {
    here.empty_store();
    here.clean();
    here.xcache(["build"]).ok();
    there.clean();
    sandbox.reset();
    there.xcache_at(place, ["build"]).expect("mounting is allowed").ok();
    assert_all_hydrated(sandbox, there, &format!("to {place}"));
}

#[test]
fn units_recorded_at_short_paths_are_used_elsewhere() {
    // One that is a prefix of a package's name, one that is the whole name, and one with characters to be quoted.
    let places = ["/app", "/leaf-1.0.0", "/my äpp", "/src", "/x"];
    for place in by_form(&places[..3], &places) {
        assert_shares_all_dependencies(place);
    }
}

#[test]
fn units_recorded_with_the_cargo_home_in_the_workspace_are_used_elsewhere() {
    let sandbox = Sandbox::new();
    let registry = short_registry(&sandbox);
    let [there, here] = [(); 2].map(|()| short_demo(&sandbox, &registry));
    let home = there.dir().join(".cargo-home");
    cargo_home::copy(&home);
    there.with_cargo_home(&home).xcache(["build"]).ok();
    sandbox.reset();
    here.xcache(["build"]).ok();
    assert_all_hydrated(&sandbox, &here, "from a cargo home in the workspace");
    assert_eq!(here.run_binary("demo"), here.output_of_plain_cargo());
}

// The path of the workspace, without anything below it.

#[track_caller]
fn assert_workspace_path_is_this_one(in_a_file: bool) {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf(WORKSPACE, in_a_file)]);
    let first = demo(&sandbox, &registry);
    first.xcache(["build"]).ok();
    assert_reused(&sandbox, &first);
    assert_as_plain_cargo(&sandbox, &demo(&sandbox, &registry));
}

#[test]
fn a_workspace_path_in_a_generated_file_is_that_of_this_workspace() {
    assert_workspace_path_is_this_one(true);
}

#[test]
fn a_workspace_path_in_a_variable_is_that_of_this_workspace() {
    assert_workspace_path_is_this_one(false);
}

#[test]
fn a_workspace_path_in_a_generated_file_recorded_by_a_check_is_that_of_this_workspace() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf(WORKSPACE, true)]);
    demo(&sandbox, &registry).xcache(["check"]).ok();
    assert_as_plain_cargo(&sandbox, &demo(&sandbox, &registry));
}

// Directories behind symbolic links.

/// Points a link at another directory.
fn relink(link: &Path, to: &Path) {
    let _ = std::fs::remove_file(link);
    std::fs::create_dir_all(to).expect("directories can be created");
    symlink(to, link).expect("links can be created");
}

/// Builds with a target directory behind a link, with xcache or with plain cargo. Returns the output of the program and
/// the compiled dependencies.
#[track_caller]
fn build_behind_link(sandbox: &Sandbox, demo: &Project, to: &Path, is_ours: bool) -> (String, Vec<String>) {
    tree::remove(to);
    relink(&demo.target(), to);
    sandbox.reset();
    if is_ours { demo.xcache(["build"]) } else { demo.cargo(["build"]) }.ok();
    (demo.run_binary("demo"), sandbox.compiled_externals())
}

#[track_caller]
fn assert_target_behind_a_link(in_a_file: bool) {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf("text(out.canonicalize().unwrap())", in_a_file)]);
    let demo = demo(&sandbox, &registry);
    for place in ["first", "the-second"] {
        let build = |is_ours: bool| build_behind_link(&sandbox, &demo, &sandbox.path(place), is_ours);
        let (plain, _) = build(false);
        for is_known in [false, true] {
            let (said, compiled) = build(true);
            assert_eq!(said, plain, "in {place}");
            assert!(!is_known || compiled.is_empty(), "{compiled:?} were compiled in {place}");
        }
    }
}

/// Where a script puts its text: into a generated file or a variable. That makes no difference to directories behind
/// links, so the short form has one of the two for each.
const FILE_AND_VARIABLE: [bool; 2] = [true, false];

#[test]
fn a_target_directory_behind_a_link_has_its_real_path() {
    for in_a_file in by_form(&FILE_AND_VARIABLE[..1], &FILE_AND_VARIABLE) {
        assert_target_behind_a_link(*in_a_file);
    }
}

#[track_caller]
fn assert_cargo_home_behind_a_link(in_a_file: bool) {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf("text(manifest.canonicalize().unwrap())", in_a_file)]);
    let link = sandbox.path("home-link");
    let demo = demo(&sandbox, &registry).with_cargo_home(&link);
    for home in [sandbox.cargo_home(), sandbox.another_cargo_home()] {
        relink(&link, &home);
        assert_as_plain_cargo(&sandbox, &demo);
    }
}

#[test]
fn a_cargo_home_behind_a_link_has_its_real_path() {
    for in_a_file in by_form(&FILE_AND_VARIABLE[1..], &FILE_AND_VARIABLE) {
        assert_cargo_home_behind_a_link(*in_a_file);
    }
}

#[track_caller]
fn assert_workspace_behind_a_link(in_a_file: bool) {
    let sandbox = Sandbox::new();
    let real = "text(PathBuf::from(WORKSPACE).canonicalize().unwrap())".replace("WORKSPACE", WORKSPACE);
    let registry = sandbox.registry([leaf(&real, in_a_file)]);
    let link = sandbox.path("workspace-link");
    for _ in 0..2 {
        let checkout = demo(&sandbox, &registry);
        relink(&link, checkout.dir());
        assert_as_plain_cargo(&sandbox, &checkout.at(&link));
    }
}

#[test]
fn a_workspace_behind_a_link_has_its_real_path() {
    for in_a_file in by_form(&FILE_AND_VARIABLE[..1], &FILE_AND_VARIABLE) {
        assert_workspace_behind_a_link(*in_a_file);
    }
}

// Directories that were moved.

/// A target directory that was moved after a build. At the new path, xcache finds outputs made at the old one, and the
/// store has the compiled build script.
struct Moved {
    sandbox: Sandbox,
    registry: Registry,
    demo: Project,
    place: PathBuf,
}

impl Moved {
    /// `value` is what the script puts into a generated file or a variable.
    fn new(value: &str, in_a_file: bool) -> Self {
        let sandbox = Sandbox::new();
        let registry = sandbox.registry([leaf(value, in_a_file)]);
        let demo = demo(&sandbox, &registry);
        let [old, place] = ["old-target", "the-new-target"].map(|name| sandbox.path(name));
        demo.xcache(["build"]).env("CARGO_TARGET_DIR", &old).ok();
        std::fs::rename(old, &place).expect("directories can be moved");
        Self { sandbox, registry, demo, place }
    }

    fn xcache(&self, command: &str) {
        self.demo.xcache([command]).env("CARGO_TARGET_DIR", &self.place).ok();
    }

    /// Asserts that outputs found at the new path are not used for any other path.
    #[track_caller]
    fn assert_not_used_elsewhere(self) {
        let Self { sandbox, registry, demo: first, .. } = self;
        let others = [demo(&sandbox, &registry), first];
        for other in by_form(&others[..1], &others) {
            assert_as_plain_cargo(&sandbox, other);
        }
    }
}

#[test]
fn generated_files_from_before_the_target_directory_was_moved_are_not_used_elsewhere() {
    let moved = Moved::new(OUTPUT, true);
    moved.xcache("check");
    moved.assert_not_used_elsewhere();
}

#[test]
fn variables_from_before_the_target_directory_was_moved_are_not_used_elsewhere() {
    // Cargo passes the current output directory to the compiler itself, but no other directory.
    let values = ["text(out.ancestors().nth(4).unwrap().to_owned())", OUTPUT];
    for value in by_form(&values[..1], &values) {
        let moved = Moved::new(value, false);
        moved.xcache("check");
        moved.assert_not_used_elsewhere();
    }
}

#[test]
fn a_crate_compiled_with_files_generated_before_the_move_is_not_used_elsewhere() {
    let moved = Moved::new(OUTPUT, true);
    let is_library =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libleaf"));
    let libraries: Vec<_> = tree::files(&moved.place.join("debug/deps")).into_iter().filter(is_library).collect();
    assert_eq!(libraries.len(), 2, "{libraries:?}");
    libraries.iter().for_each(|library| tree::remove_file(library));
    moved.xcache("build");
    moved.assert_not_used_elsewhere();
}

#[test]
fn generated_files_from_before_the_workspace_was_moved_are_not_used_elsewhere() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf(WORKSPACE, true)]);
    let first = demo(&sandbox, &registry);
    first.xcache(["build"]).ok();
    let moved = first.at(&sandbox.path("moved"));
    std::fs::rename(first.dir(), moved.dir()).expect("directories can be moved");
    moved.xcache(["check"]).ok();
    assert_as_plain_cargo(&sandbox, &demo(&sandbox, &registry));
    assert_as_plain_cargo(&sandbox, &moved);
}

// A target directory that is not the build directory.

/// An integration test that starts the package's program, and prints the value of an expression.
const STARTS_PROGRAM: &str = r#"
    static LENGTH: usize = env!("CARGO_BIN_EXE_demo").len();
    #[test]
    fn it_starts() {
        println!("\nsaid {} of {LENGTH}", @expression@);
        assert!(std::process::Command::new(env!("CARGO_BIN_EXE_demo")).status().unwrap().success());
    }
"#;

/// Asserts that the value is right with one build directory and two target directories, one after the other.
#[track_caller]
fn assert_target_directory_is_this_one(expression: &str) {
    let sandbox = Sandbox::new();
    let demo = sandbox.demo_unlocked("", "fn main() {}").env("CARGO_INCREMENTAL", "0");
    demo.write("tests/starts.rs", STARTS_PROGRAM.replace("@expression@", expression));
    demo.cargo(["generate-lockfile"]).ok();
    let build = sandbox.path("build-dir");
    let demo = demo.env("CARGO_BUILD_BUILD_DIR", &build);
    let test = |target: &Path, is_ours: bool| {
        tree::remove(&build);
        tree::remove(target);
        sandbox.reset();
        let arguments = ["test", "--test", "starts"];
        let test = if is_ours { demo.xcache(arguments) } else { demo.cargo(arguments) };
        let stdout = test.arg("--target-dir").arg(target).args(["--", "--nocapture"]).ok().stdout;
        let said = stdout.lines().find(|line| line.starts_with("said ")).expect("the test prints a value").to_owned();
        (said, sandbox.compiled())
    };
    for target in ["target", "another-target"].map(|name| sandbox.path(name)) {
        let (said, _) = test(&target, true);
        let (again, compiled) = test(&target, true);
        let (plain, _) = test(&target, false);
        assert_eq!([&said, &again], [&plain; 2], "in {}", target.display());
        assert_eq!(compiled, NONE, "in {}", target.display());
        // Files of one target directory must not be used by chance in the other one.
        std::fs::rename(&target, target.with_extension("old")).expect("directories can be moved");
    }
}

#[test]
fn an_integration_test_starts_the_program_of_its_own_target_directory() {
    assert_target_directory_is_this_one("env!(\"CARGO_BIN_EXE_demo\")");
}

#[test]
fn an_integration_test_writes_into_its_own_target_directory() {
    assert_target_directory_is_this_one("env!(\"CARGO_TARGET_TMPDIR\")");
}

// Values computed from a path that do not contain the path.

/// A library of a registry that returns a number which the compiler computed from a path.
fn measuring(expression: &str) -> Package {
    let library = format!("{expression} pub fn said() -> String {{ N.to_string() }}");
    Package::new("leaf", "1.0.0", &library).build_script("fn main() {}")
}

/// Asserts that the number is right in target directories with paths of several lengths. The program is at
/// `target/debug/demo` for plain cargo, too.
#[track_caller]
fn assert_out_dir_length_is_right(expression: &str) {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox, &sandbox.registry([measuring(expression)]));
    for name in ["t", "a-longer-target"] {
        let target = sandbox.path(name);
        let build = |is_ours: bool| {
            tree::remove(&target);
            sandbox.reset();
            let build = if is_ours { demo.xcache(["build"]) } else { demo.cargo(["build"]) };
            build.env("CARGO_TARGET_DIR", &target).ok();
            (demo.program(target.join("debug/demo"), NONE).ok().stdout, sandbox.compiled_externals())
        };
        let (plain, _) = build(false);
        for is_known in [false, true] {
            let (said, compiled) = build(true);
            assert_eq!(said, plain, "in {name}");
            assert!(!is_known || compiled.is_empty(), "{compiled:?} were compiled in {name}");
        }
    }
}

#[test]
fn the_length_of_out_dir_is_that_of_this_directory() {
    let numbers = ["pub static N: usize = env!(\"OUT_DIR\").len();", "pub const N: usize = env!(\"OUT_DIR\").len();"];
    for number in by_form(&numbers[..1], &numbers) {
        assert_out_dir_length_is_right(number);
    }
}

#[track_caller]
fn assert_manifest_dir_number_is_right(expression: &str) {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox, &sandbox.registry([measuring(expression)]));
    for home in [sandbox.cargo_home(), sandbox.another_cargo_home()] {
        assert_as_plain_cargo(&sandbox, &demo.clone().with_cargo_home(&home));
    }
}

#[test]
fn the_length_of_the_package_path_is_that_of_this_path() {
    let numbers = [
        "pub const N: usize = env!(\"CARGO_MANIFEST_DIR\").len();",
        "pub static N: usize = env!(\"CARGO_MANIFEST_DIR\").len();",
        "pub static N: usize = env!(\"CARGO_MANIFEST_PATH\").len();",
    ];
    for number in by_form(&numbers[..1], &numbers) {
        assert_manifest_dir_number_is_right(number);
    }
}

#[test]
fn a_letter_of_a_path_is_that_of_this_path() {
    let letter = "env!(\"CARGO_MANIFEST_DIR\").as_bytes()[env!(\"CARGO_MANIFEST_DIR\").len() / 3]";
    assert_manifest_dir_number_is_right(&format!("pub static N: u8 = {letter};"));
}

/// Asserts that a crate which only opens a generated file is shared with another checkout, target directory and cargo
/// home.
#[track_caller]
fn assert_opening_is_shared(leaf: Package) {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf]);
    demo(&sandbox, &registry).xcache(["build"]).ok();
    assert_reused(&sandbox, &demo(&sandbox, &registry));
    let home: PathBuf = sandbox.another_cargo_home();
    assert_reused(&sandbox, &demo(&sandbox, &registry).with_cargo_home(&home));
}

#[test]
fn a_library_that_only_opens_a_generated_file_is_shared() {
    assert_opening_is_shared(leaf("\"generated\"", true));
}

#[test]
fn a_library_that_only_opens_a_generated_file_that_a_variable_names_is_shared() {
    let script = "fn main() {
        let file = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap()).join(\"gen.rs\");
        std::fs::write(&file, \"pub const SAID: &str = \\\"generated\\\";\").unwrap();
        println!(\"cargo:rustc-env=GEN={}\", file.display());
    }";
    let library = "include!(env!(\"GEN\")); pub fn said() -> String { SAID.to_owned() }";
    assert_opening_is_shared(Package::new("leaf", "1.0.0", library).build_script(script));
}

//! Whole workspaces, compared with plain cargo: each is built, checked, run, tested and documented with an empty and
//! with a full store, in another checkout, with another `CARGO_HOME`, and after one of its inputs changed.
//!
//! Each time, the exit status, the output, the files in the target directory and the output of the programs must be
//! those of plain cargo in an empty target directory, and plain cargo must find nothing to do. [`Matrix`] is the loop.
//! This file has the workspaces, each with its changes and the commands that make sense for it.

use std::path::{Path, PathBuf};

use support::{Matrix, Package, Project, Registry, Repository, Sandbox, Tool, by_form, is_available, require, tree};

/// All commands for a workspace made by [`printing`].
const ALL: [&[&str]; 9] = [
    &["build"],
    &["test"],
    &["doc"],
    &["build", "--release"],
    &["check"],
    &["clippy"],
    &["run"],
    &["test", "--no-run"],
    &["bench"],
];

/// Enough commands to show whether the right units were used.
const BUILD_TEST_CHECK: [&[&str]; 3] = [&["build"], &["test"], &["check"]];

/// The same for a workspace whose units differ from those of others only in where they come from, or in what makes them.
/// In the short form, it is only tested, which also builds its program.
fn build_test_check() -> &'static [&'static [&'static str]] {
    by_form(&BUILD_TEST_CHECK[1..2], &BUILD_TEST_CHECK)
}

/// A package whose program, test and benchmark print the value of an expression. `tables` begin with its dependencies.
fn printing(sandbox: &Sandbox, registry: &Registry, tables: &str, expression: &str) -> Project {
    let project = printing_unlocked(sandbox, tables, expression);
    project.use_registry(registry);
    project.cargo(["fetch"]).ok();
    project
}

fn printing_unlocked(sandbox: &Sandbox, tables: &str, expression: &str) -> Project {
    let main = |what: &str| format!("fn main() {{ println!(\"{what} {{}}\", {expression}); }}");
    let unit_test = format!("#[test] fn it_says() {{ assert!(!{expression}.to_string().is_empty()); }}");
    let project = sandbox.demo_unlocked(&format!("{tables}\n{TARGETS}"), &format!("{}\n{unit_test}", main("said:")));
    project.write("tests/tested.rs", main("tested:"));
    project.write("benches/measured.rs", main("measured:"));
    // Debug information would take most of the time that these small packages need.
    project.env("CARGO_PROFILE_DEV_DEBUG", "0")
}

const TARGETS: &str = r#"
[[test]]
name = "tested"
harness = false
[[bench]]
name = "measured"
harness = false
"#;

// Native code.

/// `wrapper` depends on `native-sys`, which links a C library that its build script compiles.
fn native(script: &str) -> [Package; 2] {
    let library = "extern \"C\" { fn native_value() -> std::ffi::c_int; }
        pub fn value() -> i32 { unsafe { native_value() } }";
    let sys = Package::new("native-sys", "1.0.0", library).links("value").build_script(script);
    let sys =
        sys.file("src/value.c", "#ifndef VALUE\n#define VALUE 1\n#endif\nint native_value(void) { return VALUE; }\n");
    let wrapper = "pub fn value() -> String { format!(\"value {}\", native_sys::value()) }";
    [sys, Package::new("wrapper", "1.0.0", wrapper).dependency("native-sys", "1")]
}

/// Installs a C compiler at a fixed path. It calls `cc`, and can be replaced by another version.
fn write_compiler(tools: &Path, version: &str, flags: &str) {
    let answer = format!("case \"$*\" in *--version*) echo 'made-up cc {version}'; exit ;; esac");
    tree::write_script(&tools.join("made-up-cc"), &format!("{answer}\nexec cc {flags} \"$@\""));
}

fn native_matrix(sandbox: Sandbox, registry: &Registry) -> Matrix {
    let tools = sandbox.path("tools");
    write_compiler(&tools, "1.0", "");
    let project =
        printing(&sandbox, registry, "wrapper = \"1\"", "wrapper::value()").env("CC", tools.join("made-up-cc"));
    Matrix::new(sandbox, project)
        .keep(&tools)
        .change("flags for the C compiler", |project| project.clone().env("CFLAGS", "-DVALUE=2"))
        .change("another C compiler in the same place", move |project| {
            write_compiler(&tools, "2.0", "-DVALUE=3");
            project.clone()
        })
}

#[test]
fn native_code_two_dependencies_down() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry(native(COMPILING));
    // The others are run with a workspace of members.
    native_matrix(sandbox, &registry).commands(by_form(&ALL[..4], &ALL)).assert_like_cargo();
}

const COMPILING: &str = r#"
use std::process::Command;

fn run(program: &str, arguments: &[&str]) {
    assert!(Command::new(program).args(arguments).status().unwrap().success());
}

fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let flags = std::env::var("CFLAGS").unwrap_or_default();
    let object = format!("{out}/value.o");
    let mut arguments: Vec<_> = flags.split_whitespace().collect();
    arguments.extend(["-fPIC", "-c", "src/value.c", "-o", &object]);
    run(&compiler, &arguments);
    run("ar", &["crs", &format!("{out}/libvalue.a"), &object]);
    println!("cargo:rustc-link-lib=static=value");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rerun-if-changed=src/value.c");
    println!("cargo:rerun-if-env-changed=CC");
    println!("cargo:rerun-if-env-changed=CFLAGS");
}
"#;

#[test]
fn native_code_compiled_by_the_cc_crate() {
    let sandbox = Sandbox::new();
    let script = "fn main() {
        println!(\"cargo:rerun-if-changed=src/value.c\");
        cc::Build::new().file(\"src/value.c\").compile(\"value\");
    }";
    let [sys, wrapper] = native(script);
    let registry = sandbox.registry([sys.build_dependency("cc", "1"), wrapper]);
    registry.publish_real("cc", &["shlex", "find-msvc-tools"]);
    registry.publish_real("shlex", &[]);
    registry.publish_real("find-msvc-tools", &[]);
    native_matrix(sandbox, &registry).commands(by_form(&BUILD_TEST_CHECK[..2], &BUILD_TEST_CHECK)).assert_like_cargo();
}

/// Describes the library of the system for pkg-config in `dir`, with a made-up version.
fn write_pkg_config(dir: &Path, version: &str) {
    let file = format!("Name: zlib\nDescription: made up\nVersion: {version}\nLibs: -lz\nCflags:\n");
    tree::write(&dir.join("zlib.pc"), file);
}

#[test]
fn a_system_library_found_by_pkg_config() {
    let sandbox = Sandbox::new();
    let found = std::process::Command::new("pkg-config").args(["--libs", "zlib"]).output();
    if !is_available(Tool::Zlib, found.is_ok_and(|output| output.status.success())) {
        return;
    }
    let script = "fn main() {
        let zlib = pkg_config::probe_library(\"zlib\").unwrap();
        println!(\"cargo:rustc-env=FOUND={}\", zlib.version);
    }";
    let library = "extern \"C\" { fn zlibVersion() -> *const std::ffi::c_char; }
        pub fn versions() -> (&'static str, &'static str) {
            (env!(\"FOUND\"), unsafe { std::ffi::CStr::from_ptr(zlibVersion()) }.to_str().unwrap())
        }";
    let sys = Package::new("zed-sys", "1.0.0", library).links("z").build_script(script);
    let wrapper = "pub fn versions() -> String { format!(\"{:?}\", zed_sys::versions()) }";
    let wrapper = Package::new("wrapper", "1.0.0", wrapper).dependency("zed-sys", "1");
    let registry = sandbox.registry([sys.build_dependency("pkg-config", "0.3"), wrapper]);
    registry.publish_real("pkg-config", &[]);
    let [here, there] = ["tools", "other-tools"].map(|dir| sandbox.path(dir));
    write_pkg_config(&here, "1.0.0");
    write_pkg_config(&there, "2.0.0");
    let project = printing(&sandbox, &registry, "wrapper = \"1\"", "wrapper::versions()").env("PKG_CONFIG_PATH", &here);
    Matrix::new(sandbox, project)
        .keep(&here)
        .commands(by_form(&ALL[..2], &ALL[..7]))
        .change("another path for pkg-config", move |project| project.clone().env("PKG_CONFIG_PATH", &there))
        .change("another version in the same place", move |project| {
            write_pkg_config(&here, "3.0.0");
            project.clone()
        })
        .assert_like_cargo();
}

// Procedural macros.

/// A macro that expands to the content of a file in the package that uses it, without declaring the file.
const READING: &str = r#"
use proc_macro::TokenStream;

#[proc_macro] pub fn file(path: TokenStream) -> TokenStream {
    let dir = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let path = std::path::Path::new(&dir).join(path.to_string().trim_matches('"'));
    format!("{:?}", std::fs::read_to_string(path).unwrap().trim()).parse().unwrap()
}
"#;

fn reading_matrix(sandbox: Sandbox, project: Project) -> Matrix {
    project.write("templates/page.txt", "one");
    Matrix::new(sandbox, project).change("a file that a macro reads", |project| {
        project.write("templates/page.txt", "two");
        project.clone()
    })
}

#[test]
fn a_registry_macro_that_reads_a_file_of_the_workspace() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("reading", "1.0.0", READING).procedural_macro()]);
    let project = printing(&sandbox, &registry, "reading = \"1\"", "reading::file!(\"templates/page.txt\")");
    reading_matrix(sandbox, project).commands(by_form(&BUILD_TEST_CHECK[..], &ALL)).assert_like_cargo();
}

#[test]
fn a_workspace_macro_that_reads_a_file_of_the_workspace() {
    let sandbox = Sandbox::new();
    let reading = "reading = { path = \"reading\" }";
    let project = printing_unlocked(&sandbox, reading, "reading::file!(\"templates/page.txt\")");
    write_package(&project, "reading", "[lib]\nproc-macro = true", READING);
    project.cargo(["fetch"]).ok();
    reading_matrix(sandbox, project).commands(build_test_check()).commands(&[&["clippy"]]).assert_like_cargo();
}

/// Writes a package with a library, in a directory of its name.
fn write_package(project: &Project, dir: &str, tables: &str, library: &str) {
    let name = Path::new(dir).file_name().and_then(|name| name.to_str()).expect("a package has a name");
    let package = format!("[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    project.write(&format!("{dir}/Cargo.toml"), format!("{package}{tables}\n"));
    project.write(&format!("{dir}/src/lib.rs"), library);
}

// Build scripts that write outside of their own directories.

fn writing(statement: &str) -> [Package; 1] {
    let script = format!(
        "fn main() {{
            println!(\"cargo:rerun-if-changed=build.rs\");
            println!(\"cargo:rerun-if-env-changed=MADE_UP\");
            let text = std::env::var(\"MADE_UP\").unwrap_or_else(|_| \"plain\".into());
            println!(\"cargo:rustc-env=MADE_UP={{text}}\");
            let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
            {statement}
        }}"
    );
    [Package::new("writing", "1.0.0", "pub fn text() -> &'static str { env!(\"MADE_UP\") }").build_script(&script)]
}

fn writing_matrix(sandbox: Sandbox, statement: &str) -> Matrix {
    let project = printing(&sandbox, &sandbox.registry(writing(statement)), "writing = \"1\"", "writing::text()");
    Matrix::new(sandbox, project)
        .commands(build_test_check())
        .change("a variable that the script declares", |project| project.clone().env("MADE_UP", "other"))
}

#[test]
fn a_build_script_that_writes_beside_the_target_directory() {
    let statement = "let target = out.ancestors().find(|dir| dir.ends_with(\"target\")).unwrap();
        std::fs::write(target.with_file_name(\"made-by-a-script.txt\"), text).unwrap();";
    writing_matrix(Sandbox::new(), statement)
        .leaves(|project| project.dir().join("made-by-a-script.txt"))
        .assert_like_cargo();
}

#[test]
fn a_build_script_that_writes_into_the_profile_directory() {
    let statement = "let profile = out.ancestors().nth(3).unwrap();
        std::fs::write(profile.join(\"made-by-a-script.txt\"), text).unwrap();";
    writing_matrix(Sandbox::new(), statement).assert_like_cargo();
}

#[test]
fn a_build_script_that_writes_into_its_own_package() {
    let statement = "drop(out); std::fs::write(\"made-by-a-script.txt\", text).unwrap();";
    writing_matrix(Sandbox::new(), statement)
        .leaves(|project| unpacked(project, "writing-1.0.0").join("made-by-a-script.txt"))
        .assert_like_cargo();
}

/// The sources of a package of a registry.
fn unpacked(project: &Project, package: &str) -> PathBuf {
    let registries = std::fs::read_dir(project.cargo_home().join("registry/src")).expect("packages are unpacked");
    let dirs = registries.flatten().map(|registry| registry.path().join(package));
    dirs.into_iter().find(|dir| dir.is_dir()).unwrap_or_else(|| panic!("{package} was not unpacked"))
}

/// Here the script writes a source file, and one command needs what the script of another one wrote.
#[test]
fn a_build_script_that_writes_a_source_file_of_its_own_package() {
    let sandbox = Sandbox::new();
    let library = "pub fn text() -> &'static str { include_str!(\"made.txt\") }";
    let script = "fn main() {
        println!(\"cargo:rerun-if-changed=build.rs\");
        std::fs::write(\"src/made.txt\", \"made\").unwrap();
    }";
    let registry = sandbox.registry([Package::new("writing", "1.0.0", library).build_script(script)]);
    let project = printing(&sandbox, &registry, "writing = \"1\"", "writing::text()");
    project.xcache(["build"]).ok();
    let elsewhere = project.with_cargo_home(&sandbox.another_cargo_home());
    elsewhere.clean();
    elsewhere.xcache(["check"]).ok();
}

// Paths.

/// A library with the paths of two directories, which prints whether files in them exist at run time.
const PLACED: &str = r#"
pub fn places() -> String {
    let generated = std::fs::read_to_string(concat!(env!("OUT_DIR"), "/generated.txt"));
    let own = std::fs::exists(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs"));
    format!("{} {generated:?} {} {own:?}", env!("OUT_DIR"), env!("CARGO_MANIFEST_DIR"))
}
"#;

const PLACED_SCRIPT: &str = r#"fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=MADE_UP");
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    std::fs::write(out.join("generated.txt"), std::env::var("MADE_UP").unwrap_or_default()).unwrap();
}"#;

#[test]
fn paths_of_directories_in_compiled_code() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("placed", "1.0.0", PLACED).build_script(PLACED_SCRIPT)]);
    let tables = "placed = \"1\"\nmember = { path = \"member\" }";
    let project = printing_unlocked(&sandbox, tables, "[placed::places(), member::places()].concat()");
    let project = project.env_remove("CARGO_PROFILE_DEV_DEBUG");
    project.use_registry(&registry);
    write_package(&project, "member", "", PLACED);
    project.write("member/build.rs", PLACED_SCRIPT);
    project.cargo(["fetch"]).ok();
    Matrix::new(sandbox, project)
        .commands(by_form(&ALL[..3], &ALL[..5]))
        .change("a generated file", |project| project.clone().env("MADE_UP", "other"))
        .assert_like_cargo();
}

/// Dependencies are compiled with remapped paths, as the book says under Limits.
#[test]
fn the_source_path_in_a_dependency_is_virtual() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("placed", "1.0.0", "pub fn place() -> &'static str { file!() }")]);
    let project = printing(&sandbox, &registry, "placed = \"1\"", "placed::place()");
    let said = project.xcache(["run"]).ok().stdout;
    assert!(said.contains("/xcache/cargo-home/registry/src/") && said.contains("/placed-1.0.0/src/lib.rs"), "{said}");
}

// A workspace with one target of each kind.

const MANIFEST: &str = r#"
[workspace]
members = ["app", "words", "macros", "scripted", "shared", "dynamic"]
default-members = ["app"]
resolver = "3"
"#;

const APP_TABLES: &str = r#"
[features]
extra = ["dep:lone"]
[dependencies]
words = { path = "../words" }
macros = { path = "../macros" }
scripted = { path = "../scripted" }
renamed = { package = "base", version = "1" }
lone = { version = "1", optional = true }
[target.'cfg(unix)'.dependencies]
middle = "1"
[target.'cfg(windows)'.dependencies]
never = "1"
[[test]]
name = "plain"
harness = false
[[bench]]
name = "measured"
harness = false
"#;

const APP: &str = r#"//! The library of the application.
/// What all of it says.
pub fn all() -> String {
    #[cfg(feature = "extra")]
    let extra = lone::name();
    #[cfg(not(feature = "extra"))]
    let extra = "nothing extra";
    #[cfg(not(test))]
    let unused = 1;
    format!(
        "{} {} {} {} {} {extra}",
        words::word(), macros::answer!(), scripted::TEXT, renamed::name(), middle::name()
    )
}
"#;

const APP_FILES: &[(&str, &str)] = &[
    ("src/main.rs", "fn main() { println!(\"said: {}\", app::all()); }"),
    ("examples/show.rs", "fn main() { println!(\"shown: {}\", app::all()); }"),
    ("tests/plain.rs", "fn main() { println!(\"tested: {}\", app::all()); }"),
    (
        "tests/whole.rs",
        "#[test] fn the_words_are_short() -> Result<(), String> {
            if words::word().len() < 4 { Ok(()) } else { Err(app::all()) }
        }",
    ),
    ("benches/measured.rs", "fn main() { println!(\"measured: {}\", app::all()); }"),
];

/// A workspace. Of its registry dependencies, one is renamed, one is optional, and one is for another system only.
fn workspace(sandbox: &Sandbox) -> Project {
    let never = Package::new("never", "1.0.0", "compile_error!(\"this is not windows\");");
    let registry = sandbox.registry(support::registry::chain().into_iter().chain([never]));
    let project = sandbox.demo_unlocked("", "");
    tree::remove(&project.dir().join("src"));
    project.write("Cargo.toml", MANIFEST);
    project.use_registry(&registry);
    write_package(&project, "app", APP_TABLES, APP);
    APP_FILES.iter().for_each(|(path, text)| project.write(&format!("app/{path}"), text));
    write_package(&project, "words", "", "pub fn word() -> &'static str { \"one\" }");
    let answer = "#[proc_macro] pub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
        \"42\".parse().unwrap()
    }";
    write_package(&project, "macros", "[lib]\nproc-macro = true", answer);
    write_package(
        &project,
        "scripted",
        "",
        "pub const TEXT: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/text\"));",
    );
    let script = "fn main() {
        let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        std::fs::copy(\"text.txt\", out.join(\"text\")).unwrap();
        println!(\"cargo:warning=a script of a member warns\");
    }";
    project.write("scripted/build.rs", script);
    project.write("scripted/text.txt", "scripted");
    let exported = "#[unsafe(no_mangle)] pub extern \"C\" fn exported() -> usize { words::word().len() }";
    let shared =
        "[lib]\ncrate-type = [\"cdylib\", \"staticlib\", \"rlib\"]\n[dependencies]\nwords = { path = \"../words\" }";
    write_package(&project, "shared", shared, exported);
    write_package(&project, "dynamic", "[lib]\ncrate-type = [\"dylib\"]", "pub fn dynamic() {}");
    project.cargo(["fetch"]).ok();
    project
}

/// The workspace, and an edit of one of its files.
fn edited_workspace(path: &'static str, from: &'static str, to: &'static str) -> Matrix {
    let sandbox = Sandbox::new();
    let project = workspace(&sandbox);
    Matrix::new(sandbox, project).change(&format!("an edit of {path}"), move |project| {
        project.edit(path, from, to);
        project.clone()
    })
}

#[test]
fn a_workspace_is_built() {
    let build = ["build", "--workspace", "--all-targets"];
    edited_workspace("scripted/text.txt", "scripted", "generated").commands(&[&build]).assert_like_cargo();
}

#[test]
fn a_workspace_is_built_for_release() {
    let build = ["build", "--release", "--workspace", "--features", "app/extra"];
    edited_workspace("macros/src/lib.rs", "42", "43").commands(&[&build]).assert_like_cargo();
}

#[test]
fn a_workspace_is_checked() {
    let commands: [&[&str]; 2] = [&["check", "--workspace", "--all-targets"], &["clippy", "--workspace"]];
    edited_workspace("app/src/lib.rs", "unused = 1", "also_unused = 1").commands(&commands).assert_like_cargo();
}

#[test]
fn a_workspace_is_tested() {
    edited_workspace("words/src/lib.rs", "one", "three").commands(&[&["test", "--workspace"]]).assert_like_cargo();
}

#[test]
fn the_default_members_of_a_workspace_are_run_and_benchmarked() {
    let commands: [&[&str]; 3] = [&["run"], &["bench"], &["run", "--example", "show", "--features", "extra"]];
    edited_workspace("words/src/lib.rs", "one", "two").commands(&commands).assert_like_cargo();
}

#[test]
fn a_workspace_is_documented() {
    edited_workspace("app/src/lib.rs", "What all", "What the whole")
        .commands(&[&["doc", "--workspace"]])
        .assert_like_cargo();
}

// Sources.

/// A library that returns a word, for each kind of source that a package can come from.
fn word(text: &str) -> String {
    format!("pub fn word() -> &'static str {{ {text:?} }}")
}

#[test]
fn a_dependency_from_git() {
    let sandbox = Sandbox::new();
    let repository = Repository::of_fixture("greeting", &sandbox.path("repository"));
    let tables = format!("greeting = {{ git = {:?} }}", repository.url());
    // Offline, cargo does not even read a repository on the same disk.
    let project = printing_unlocked(&sandbox, &tables, "greeting::greet(\"git\")").env_remove("CARGO_NET_OFFLINE");
    project.cargo(["fetch"]).ok();
    let dir = repository.dir().to_owned();
    Matrix::new(sandbox, project)
        .commands(build_test_check())
        .keep(&dir)
        .change("another commit", move |project| {
            let library = dir.join("src/lib.rs");
            let text = std::fs::read_to_string(&library).expect("the fixture has a library");
            tree::write(&library, text.replace("hello", "goodbye"));
            repository.commit();
            project.cargo(["update"]).ok();
            project.clone()
        })
        .assert_like_cargo();
}

#[test]
fn a_package_beside_the_workspace() {
    let sandbox = Sandbox::new();
    let project = printing_unlocked(&sandbox, "outside = { path = \"../outside\" }", "outside::word()");
    write_package(&project, "../outside", "", &word("one"));
    project.cargo(["fetch"]).ok();
    assert_edit(sandbox, project, "../outside/src/lib.rs");
}

/// Asserts that the output of a package with a [`word`] follows an edit.
#[track_caller]
fn assert_edit(sandbox: Sandbox, project: Project, library: &'static str) {
    let change = move |project: &Project| {
        project.edit(library, "one", "two");
        project.clone()
    };
    Matrix::new(sandbox, project).commands(build_test_check()).change("an edit", change).assert_like_cargo();
}

/// `needing` returns the word of `leaf`.
fn leaf_and_dependent() -> [Package; 2] {
    let needing = Package::new("needing", "1.0.0", "pub fn word() -> &'static str { leaf::word() }");
    [Package::new("leaf", "1.0.0", &word("one")), needing.dependency("leaf", "1")]
}

#[test]
fn a_patch_of_crates_io_by_a_directory() {
    let sandbox = Sandbox::new();
    let patch = "needing = \"1\"\n[patch.crates-io]\nleaf = { path = \"patched/leaf\" }";
    let project = printing_unlocked(&sandbox, patch, "needing::word()");
    project.use_registry(&sandbox.registry(leaf_and_dependent()));
    write_package(&project, "patched/leaf", "", &word("one, patched"));
    project.edit("patched/leaf/Cargo.toml", "0.1.0", "1.0.0");
    project.cargo(["fetch"]).ok();
    assert_edit(sandbox, project, "patched/leaf/src/lib.rs");
}

/// A workspace whose packages of crates.io are in `vendor`.
fn vendored(sandbox: &Sandbox) -> Project {
    let project = printing(sandbox, &sandbox.registry(leaf_and_dependent()), "needing = \"1\"", "needing::word()");
    project.cargo(["vendor", "--respect-source-config"]).ok();
    let source = "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n";
    project.write(".cargo/config.toml", source);
    project
}

#[test]
fn vendored_packages() {
    let sandbox = Sandbox::new();
    let project = vendored(&sandbox);
    let change = |project: &Project| {
        project.edit("src/main.rs", "said:", "changed:");
        project.edit("tests/tested.rs", "tested:", "changed:");
        project.clone()
    };
    Matrix::new(sandbox, project).commands(build_test_check()).change("an edit", change).assert_like_cargo();
}

#[test]
fn an_edited_vendored_package() {
    let sandbox = Sandbox::new();
    let project = vendored(&sandbox);
    // As distributions do it: without checksums of the files, cargo accepts an edited package.
    let change = |project: &Project| {
        project.edit("vendor/leaf/src/lib.rs", "one", "two");
        let checksums = project.read("vendor/leaf/.cargo-checksum.json");
        let package = checksums.split_once("\"package\"").expect("the package has a checksum").1;
        project.write("vendor/leaf/.cargo-checksum.json", format!("{{\"files\":{{}},\"package\"{package}"));
        project.clone()
    };
    Matrix::new(sandbox, project).commands(build_test_check()).change("an edit", change).assert_like_cargo();
}

#[test]
fn a_registry_other_than_crates_io() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry(leaf_and_dependent());
    let newer = Package::new("leaf", "1.0.1", &word("two"));
    registry.publish(newer);
    let index = registry.git_index();
    let tables = "needing = { version = \"1\", registry = \"other\" }";
    let project = printing_unlocked(&sandbox, tables, "needing::word()").env_remove("CARGO_NET_OFFLINE");
    project.write(".cargo/config.toml", format!("[registries.other]\nindex = {index:?}\n"));
    let lock = |project: &Project, version: &str| {
        project.cargo(["update", "--package", "leaf", "--precise", version]).ok();
        project.cargo(["fetch"]).ok();
        project.clone()
    };
    project.cargo(["generate-lockfile"]).ok();
    lock(&project, "1.0.0");
    Matrix::new(sandbox, project)
        .commands(build_test_check())
        .change("another version", move |project| lock(project, "1.0.1"))
        .assert_like_cargo();
}

// Profiles.

/// A library, a macro and a build script that show how they were compiled, and a function that panics.
fn profiled() -> [Package; 2] {
    let macros = "#[proc_macro] pub fn checked(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
        cfg!(debug_assertions).to_string().parse().unwrap()
    }";
    let script = "fn main() {
        println!(\"cargo:rerun-if-changed=build.rs\");
        let level = std::env::var(\"OPT_LEVEL\").unwrap();
        println!(\"cargo:rustc-env=LEVELS={level}, script {}\", cfg!(debug_assertions));
    }";
    let library = "pub fn profile() -> String {
            let checked = (cfg!(debug_assertions), macros::checked!());
            format!(\"{} {checked:?} {}\", env!(\"LEVELS\"), cfg!(panic = \"abort\"))
        }
        pub fn fail(words: &[&str]) -> usize { words[words.len()].len() }";
    let library = Package::new("profiled", "1.0.0", library).build_script(script).dependency("macros", "1");
    [Package::new("macros", "1.0.0", macros).procedural_macro(), library]
}

/// Prints how it was compiled, and whether a panic of a dependency can be caught.
const PROFILED: &str = r#"{
    std::panic::set_hook(Box::new(|_| {}));
    println!("{}", profiled::profile());
    std::panic::catch_unwind(|| profiled::fail(&[])).is_err()
}"#;

/// Runs the commands in a `dev` profile with these tables, and then without debug assertions.
fn assert_profile(commands: &[&[&str]], fields: &str) {
    assert_profile_with(commands, fields, |project| project);
}

fn assert_profile_with(commands: &[&[&str]], fields: &str, prepare: impl Fn(Project) -> Project) {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry(profiled());
    let tables = format!("profiled = \"1\"\n[profile.dev]\ndebug-assertions = true\n{fields}");
    let project = prepare(printing(&sandbox, &registry, &tables, PROFILED).env_remove("CARGO_PROFILE_DEV_DEBUG"));
    let change = |project: &Project| {
        project.edit("Cargo.toml", "debug-assertions = true", "debug-assertions = false");
        project.clone()
    };
    Matrix::new(sandbox, project).commands(commands).change("the profile", change).assert_like_cargo();
}

#[test]
fn thin_link_time_optimization() {
    assert_profile(&[&["run"]], "lto = \"thin\"");
}

#[test]
fn fat_link_time_optimization_in_one_codegen_unit_with_symbols_stripped() {
    assert_profile(&[&["run"]], "lto = \"fat\"\ncodegen-units = 1\nstrip = true");
}

#[test]
fn panics_that_abort() {
    assert_profile(&[&["build"], &["test"]], "panic = \"abort\"");
}

#[test]
fn packed_debug_information() {
    assert_profile(&[&["build"]], "split-debuginfo = \"packed\"");
}

#[test]
fn unpacked_debug_information() {
    assert_profile(&[&["build"]], "split-debuginfo = \"unpacked\"");
}

#[test]
fn link_time_optimization_by_the_linker() {
    assert_profile_with(&[&["run"]], "", |project| project.env("RUSTFLAGS", "-Clinker-plugin-lto"));
}

#[test]
fn profiles_of_packages_and_of_build_scripts() {
    let fields = "[profile.dev.package.\"*\"]\nopt-level = 2\n[profile.dev.build-override]\ndebug-assertions = false";
    assert_profile(&[&["run"], &["test"]], fields);
}

/// Cargo becomes the program and dies of its signal. xcache exits with the status that a shell would report.
#[test]
fn a_program_killed_by_a_signal() {
    let sandbox = Sandbox::new();
    let project = printing(&sandbox, &sandbox.registry([]), "", "{ if true { std::process::abort() } 1 }");
    assert_eq!(project.cargo(["run"]).run().code(), None);
    assert_eq!(project.xcache(["run"]).run().code(), Some(128 + 6));
}

// Targets.

#[test]
fn the_host_named_as_a_target() {
    let sandbox = Sandbox::new();
    let project = printing(&sandbox, &sandbox.registry(profiled()), "profiled = \"1\"", PROFILED);
    let host = project.host();
    let flags = |project: &Project| project.clone().env("RUSTFLAGS", "-Cdebug-assertions=off");
    Matrix::new(sandbox, project)
        .commands(&[&["build", "--target", &host], &["test", "--target", &host]])
        .change("flags, which apply to the target only", flags)
        .assert_like_cargo();
}

#[test]
fn the_cache_tag_of_a_target_platforms_directory() {
    let sandbox = Sandbox::new();
    let project = printing(&sandbox, &sandbox.registry(leaf_and_dependent()), "needing = \"1\"", "needing::word()");
    let host = project.host();
    let tag = project.target().join(&host).join("CACHEDIR.TAG");
    for _ in 0..2 {
        project.clean();
        project.xcache(["build", "--target", &host]).ok();
        assert!(tag.is_file());
    }
}

const FOREIGN: &str = "wasm32-unknown-unknown";

/// A program for another target, if rustc has the libraries of the target.
fn foreign(sandbox: &Sandbox) -> Option<Project> {
    let project = printing(sandbox, &sandbox.registry(profiled()), "profiled = \"1\"", "profiled::profile()");
    let libraries = project.program("rustc", ["--print", "target-libdir", "--target", FOREIGN]).ok().stdout;
    require(Tool::Wasm32, Path::new(libraries.trim_end()).is_dir().then_some(project))
}

#[test]
fn a_library_of_another_target() {
    let sandbox = Sandbox::new();
    let Some(project) = foreign(&sandbox) else { return };
    let library = "#[unsafe(no_mangle)] pub extern \"C\" fn length() -> usize { profiled::profile().len() }";
    project.write("src/lib.rs", library);
    let table = "[lib]\nname = \"exports\"\ncrate-type = [\"cdylib\", \"rlib\"]\n[dependencies]";
    project.edit("Cargo.toml", "[dependencies]", table);
    let commands: [&[&str]; 2] = [&["build", "--target", FOREIGN], &["check", "--target", FOREIGN, "--release"]];
    Matrix::new(sandbox, project).commands(&commands).assert_like_cargo();
}

#[test]
fn a_program_of_another_target() {
    let sandbox = Sandbox::new();
    let Some(project) = foreign(&sandbox) else { return };
    Matrix::new(sandbox, project).commands(&[&["build", "--target", FOREIGN]]).assert_like_cargo();
}

// Warnings and errors.

#[test]
fn warnings_of_dependencies() {
    let sandbox = Sandbox::new();
    // Cargo hides mere warnings of dependencies, and announces what a future compiler will reject.
    let library = "pub fn word() -> &'static str { let unused = 1; option_env!(\"MADE_UP\").unwrap_or(\"one\") }
        macro_rules! one { () => { 1; } }
        pub fn one() -> u32 { one!() }";
    let script = "fn main() { println!(\"cargo:warning=a script of a registry warns\"); }";
    let registry = sandbox.registry([Package::new("noisy", "1.0.0", library).build_script(script)]);
    let tables = "noisy = \"1\"\nmember = { path = \"member\" }";
    let project = printing_unlocked(&sandbox, tables, "[noisy::word(), member::word()].concat()");
    project.use_registry(&registry);
    let member = "pub fn word() -> &'static str { #[cfg(not(test))] let unused = 1; \"member\" }";
    write_package(&project, "member", "", member);
    let output = project.cargo(["build"]).ok();
    assert!(output.stderr.contains("will be rejected by a future version of Rust: noisy v1.0.0"), "{output}");
    Matrix::new(sandbox, project)
        .commands(&[&["build"], &["check"], &["clippy"], &["build", "--message-format", "json"]])
        .change("a variable that is compiled in", |project| project.clone().env("MADE_UP", "two"))
        .assert_like_cargo();
}

/// Asserts that a workspace with an error, and the same without it, look as with plain cargo.
#[track_caller]
fn assert_error(broken: Package) {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([broken.feature("broken")]);
    let table = "leaf = { version = \"1\", features = [\"broken\"] }";
    let project = printing(&sandbox, &registry, table, "leaf::word()");
    let change = |project: &Project| {
        project.edit("Cargo.toml", "features = [\"broken\"]", "features = []");
        project.clone()
    };
    Matrix::new(sandbox, project).commands(build_test_check()).change("the error", change).assert_like_cargo();
}

#[test]
fn a_dependency_that_does_not_compile() {
    let library =
        "pub fn word() -> &'static str { let unused = 1; if cfg!(feature = \"broken\") { \"one\" } else { \"two\" } }
        #[cfg(feature = \"broken\")] pub fn wrong() -> u8 { \"not a number\" }";
    assert_error(Package::new("leaf", "1.0.0", library));
}

#[test]
fn a_build_script_that_fails() {
    let script = "fn main() {
        println!(\"cargo:warning=about to fail\");
        eprintln!(\"as it was asked to\");
        if cfg!(feature = \"broken\") { std::process::exit(3) }
    }";
    assert_error(Package::new("leaf", "1.0.0", &word("one")).build_script(script));
}

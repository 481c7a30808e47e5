//! Plain cargo is the oracle: `cargo xcache …` must print what `cargo …` prints, and exit as it exits.
//!
//! Each command runs with plain cargo and then with xcache in the same directory: with an empty store, with a full one,
//! and once more with nothing to do. The order of independent units is not compared: it differs between two runs of
//! plain cargo, even with one job at a time. With a full store, cargo may find units fresh that it would have compiled.
//! Then it does not print `Compiling`, and its messages say so.

use support::compare::{assert_equal, assert_equal_except_freshness, without_freshness};
use support::registry::{MIXED, mixed};
use support::{Invocation, Output, Package, Project, Sandbox, by_form, is_long, nightly, tree};

/// Asserts that `cargo <arguments>` and `cargo xcache <arguments>` look the same, cold, warm and fresh.
#[track_caller]
fn assert_same(project: &Project, arguments: &[&str]) -> Output {
    assert_same_with(project, arguments, |invocation| invocation)
}

#[track_caller]
fn assert_same_with(project: &Project, arguments: &[&str], change: impl Fn(Invocation) -> Invocation) -> Output {
    let plain = || change(project.cargo(arguments)).run();
    let xcache = || change(project.xcache(arguments)).run();
    project.clean();
    let from_nothing = plain();
    let fresh = plain();
    project.clean();
    project.empty_store();
    assert_equal(&xcache(), &from_nothing, &format!("{arguments:?} with an empty store"));
    project.clean();
    assert_equal_except_freshness(&xcache(), &from_nothing, &format!("{arguments:?} with a full store"));
    assert_equal(&xcache(), &fresh, &format!("{arguments:?} with nothing to do"));
    from_nothing
}

/// The fixture `app`. In the short form, small packages take the place of the real ones, which some of the tests build.
fn app(sandbox: &Sandbox) -> Project {
    let app = sandbox.checkout("app");
    if is_long() {
        return app;
    }
    let without_dependencies = |manifest: &str| {
        let manifest = app.read(manifest);
        manifest.split("[dependencies]").next().expect("split yields at least one part").to_owned()
    };
    let manifest = without_dependencies("Cargo.toml");
    app.write("Cargo.toml", format!("{manifest}[dependencies]\n{MIXED}\nutil = {{ path = \"util\" }}\n"));
    app.write("util/Cargo.toml", without_dependencies("util/Cargo.toml"));
    app.write("src/main.rs", SMALL_MAIN);
    let library = app.read("util/src/lib.rs");
    let functions = library.split_once("#[cfg(feature = \"noisy\")]").expect("the fixture has the feature").1;
    app.write("util/src/lib.rs", format!("{SMALL_LIBRARY}#[cfg(feature = \"noisy\")]{functions}"));
    tree::remove_file(&app.dir().join("Cargo.lock"));
    sandbox.lock(&app, &sandbox.registry(mixed()), "small app", &[]);
    app
}

const SMALL_MAIN: &str = r#"
fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    println!("{} {:?}\n{arguments:?}", top::top(), util::comma("left,right"));
    if arguments.first().is_some_and(|argument| argument == "fail") {
        eprintln!("asked to fail");
        std::process::exit(1);
    }
}
"#;

const SMALL_LIBRARY: &str = r#"//! The library of the fixture.

/// Where the first comma is.
pub fn comma(text: &str) -> Option<usize> {
    text.find(',')
}

"#;

#[test]
fn a_build_looks_like_plain_cargo() {
    let sandbox = Sandbox::new();
    let output = assert_same(&sandbox.checkout("app"), &["build"]);
    assert!(output.stderr.contains("Compiling memchr"), "{output}");
}

#[test]
fn a_release_build_looks_like_plain_cargo() {
    let sandbox = Sandbox::new();
    assert_same(&app(&sandbox), &["build", "--release"]).ok();
}

#[test]
fn a_check_looks_like_plain_cargo() {
    let sandbox = Sandbox::new();
    assert_same(&sandbox.checkout("app"), &["check", "--workspace", "--all-targets"]).ok();
}

#[test]
fn a_run_looks_like_plain_cargo_with_its_arguments_and_exit_status() {
    let sandbox = Sandbox::new();
    let app = app(&sandbox);
    let output = assert_same(&app, &["run", "--quiet", "--", "--flag", "a b", "-j9", "--", "last"]).ok();
    assert!(output.stdout.ends_with("[\"--flag\", \"a b\", \"-j9\", \"--\", \"last\"]\n"), "{output}");
    let output = assert_same(&app, &["run", "--", "fail"]).fails();
    assert!(output.stderr.contains("asked to fail"), "{output}");
}

#[test]
fn a_program_reads_its_input_and_exits_with_its_own_status() {
    let sandbox = Sandbox::new();
    let main = "fn main() {
        let text = std::io::read_to_string(std::io::stdin()).unwrap();
        print!(\"{}\", text.to_uppercase());
        std::process::exit(7);
    }";
    let demo = sandbox.demo(&sandbox.registry([]), "", main);
    let output = assert_same_with(&demo, &["run"], |invocation| invocation.input("from the outside"));
    assert_eq!((output.code(), &*output.stdout), (Some(7), "FROM THE OUTSIDE"));
}

#[test]
fn the_tests_of_a_workspace_look_like_plain_cargo() {
    let sandbox = Sandbox::new();
    let output = assert_same(&sandbox.checkout("app"), &["test", "--workspace"]).ok();
    assert!(output.stdout.contains("finds_the_comma ... ok"), "{output}");
    assert!(output.stdout.contains("a_comma_is_found ... ok"), "{output}");
}

#[test]
fn arguments_of_a_test_harness_are_passed_on() {
    let sandbox = Sandbox::new();
    let output = assert_same(&app(&sandbox), &["test", "--package", "util", "--lib", "--", "--list"]).ok();
    assert!(output.stdout.starts_with("tests::finds_the_comma: test\n"), "{output}");
}

#[test]
fn benches_look_like_plain_cargo() {
    let sandbox = Sandbox::new();
    assert_same(&app(&sandbox), &["bench", "--workspace", "--no-run"]).ok();
}

#[test]
fn clippy_looks_like_plain_cargo() {
    let sandbox = Sandbox::new();
    let output = assert_same(&app(&sandbox), &["clippy", "--workspace", "--features", "noisy"]).ok();
    assert!(output.stderr.contains("clippy::needless_return"), "{output}");
    assert_same(
        &app(&sandbox),
        &["clippy", "--workspace", "--features", "noisy", "--keep-going", "--", "-D", "warnings"],
    )
    .fails();
}

#[test]
fn documentation_looks_like_plain_cargo() {
    let sandbox = Sandbox::new();
    let app = app(&sandbox);
    assert_same(&app, &["doc", "--no-deps", "--workspace"]).ok();
    assert!(app.target().join("doc/util/fn.comma.html").is_file());
    let demo = sandbox.chain();
    assert_same(&demo, &["doc"]).ok();
    assert!(demo.target().join("doc/apex/fn.name.html").is_file());
}

#[test]
fn an_error_in_a_member_looks_like_plain_cargo() {
    let sandbox = Sandbox::new();
    // Otherwise, it is random which other units are compiled before cargo stops.
    let arguments = ["build", "--features", "broken", "--keep-going"];
    let output = assert_same(&app(&sandbox), &arguments);
    assert_eq!(output.code(), Some(101), "{output}");
    assert!(output.stderr.contains("error[E0308]: mismatched types"), "{output}");
}

#[test]
fn an_error_in_a_dependency_looks_like_plain_cargo() {
    let sandbox = Sandbox::new();
    let library = "#[cfg(feature = \"broken\")] compile_error!(\"broken on purpose\");";
    let registry = sandbox.registry([Package::new("leaf", "1.0.0", library).feature("broken")]);
    let demo = sandbox.demo(&registry, "leaf = { version = \"1\", features = [\"broken\"] }", "fn main() {}");
    let output = assert_same(&demo, &["build"]);
    assert_eq!(output.code(), Some(101), "{output}");
    assert!(output.stderr.contains("broken on purpose"), "{output}");
}

#[test]
fn warnings_look_like_plain_cargo() {
    let sandbox = Sandbox::new();
    let output = assert_same(&app(&sandbox), &["build", "--features", "noisy"]).ok();
    assert!(output.stderr.contains("warning: unused variable: `unused`"), "{output}");
}

#[test]
fn warnings_of_a_dependency_are_shown_if_requested() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("leaf", "1.0.0", "pub fn leaf() { let never_used = 1; }")]);
    let demo = sandbox.demo(&registry, "leaf = \"1\"", "fn main() { leaf::leaf(); }");
    // Only the diagnostics are compared: -vv also prints commands, which contain the wrapper.
    let diagnostics = |output: Output| {
        let lines = output.cargo_stderr();
        let from = lines.find("warning: unused variable").unwrap_or_else(|| panic!("no warning in {output}"));
        lines[from..].split("\n\n").next().map(str::to_owned)
    };
    let expected = diagnostics(demo.cargo(["build", "-vv"]).ok());
    for _ in 0..2 {
        demo.clean();
        assert_eq!(diagnostics(demo.xcache(["build", "-vv"]).ok()), expected);
    }
    // A quiet build must record the warnings that a verbose one shows.
    demo.clean();
    demo.xcache(["build"]).ok();
    demo.clean();
    assert_eq!(diagnostics(demo.xcache(["build", "-vv"]).ok()), expected);
}

/// A workspace in which each crate depends on the one before it, so that the order is always the same.
fn line(sandbox: &Sandbox) -> Project {
    let main = "fn main() { let unused = apex::name(); }";
    sandbox.demo(&sandbox.chain_registry(), "apex = \"1\"", main).env("CARGO_BUILD_JOBS", "1")
}

#[test]
fn machine_readable_messages_are_identical() {
    let sandbox = Sandbox::new();
    let line = line(&sandbox);
    let formats =
        ["json", "json-diagnostic-rendered-ansi", "json-render-diagnostics", "json-diagnostic-short", "short"];
    for format in by_form(&formats[..2], &formats) {
        let arguments = ["build", "--message-format", format];
        line.clean();
        let expected = line.cargo(arguments).ok().stdout;
        line.clean();
        line.empty_store();
        assert_eq!(line.xcache(arguments).ok().stdout, expected, "{format} with an empty store");
        line.clean();
        let warm = line.xcache(arguments).ok().stdout;
        assert_eq!(without_freshness(&warm), without_freshness(&expected), "{format} with a full store");
        let expected = line.cargo(arguments).ok().stdout;
        assert_eq!(line.xcache(arguments).ok().stdout, expected, "{format} with nothing to do");
    }
}

#[test]
fn messages_about_many_units_look_like_plain_cargo() {
    let sandbox = Sandbox::new();
    let output = assert_same(&app(&sandbox), &["build", "--features", "noisy", "--message-format", "json"]);
    assert!(output.stdout.lines().count() > 15, "{output}");
}

#[test]
fn messages_of_a_failed_build_are_identical() {
    let sandbox = Sandbox::new();
    let line = line(&sandbox);
    line.write("src/main.rs", "fn main() { apex::no_such_function() }");
    let arguments = ["build", "--message-format", "json"];
    let expected = line.cargo(arguments).run().fails().stdout;
    assert!(expected.contains("\"success\":false"), "{expected}");
    line.clean();
    assert_eq!(line.xcache(arguments).run().fails().stdout, expected);
    line.clean();
    assert_eq!(without_freshness(&line.xcache(arguments).run().fails().stdout), without_freshness(&expected));
}

#[test]
fn a_quiet_build_prints_nothing() {
    let sandbox = Sandbox::new();
    let app = app(&sandbox);
    for _ in 0..2 {
        app.clean();
        let output = app.xcache(["build", "-q"]).ok();
        assert_eq!((&*output.stdout, &*output.stderr), ("", ""));
    }
}

#[test]
fn cargos_own_flags_are_passed_on() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    let manifest = demo.dir().join("Cargo.toml");
    let from_elsewhere = ["build", "--manifest-path", manifest.to_str().expect("a plain path")];
    // There, the configuration of the workspace does not apply.
    let configuration = demo.dir().join(".cargo/config.toml");
    let from_home = |invocation: Invocation| invocation.in_dir(&sandbox.home()).arg("--config").arg(&configuration);
    assert_same_with(&demo, &from_elsewhere, from_home).ok();
    assert_same(&demo, &["build", "--target-dir", "target/elsewhere"]).ok();
    assert!(demo.target().join("elsewhere/debug/demo").is_file());
    assert_same(&demo, &["build", "--config", "profile.dev.opt-level=1"]).ok();
    assert_same(&demo, &["build", "--locked", "--offline", "--bins", "--keep-going", "--profile=dev"]).ok();
}

#[test]
fn a_member_is_built_from_its_own_directory() {
    let sandbox = Sandbox::new();
    let app = app(&sandbox);
    assert_same_with(&app, &["build"], |invocation| invocation.in_dir(&app.dir().join("util"))).ok();
}

#[test]
fn help_is_that_of_cargo() {
    let sandbox = Sandbox::new();
    let app = sandbox.checkout("app");
    for help in ["-h", "--help"] {
        let ours = app.xcache(["build", help]).ok();
        assert_eq!(ours.stdout, app.cargo(["build", help]).ok().stdout);
    }
}

/// Asserts that cargo refuses a command with its own message and status. xcache may add one line about the missing
/// plan.
#[track_caller]
fn assert_refused(app: &Project, arguments: &[&str]) {
    let cargos = app.cargo(arguments).run().fails();
    let ours = app.xcache(arguments).run().fails();
    assert_eq!(ours.code(), cargos.code(), "{ours}");
    assert_eq!(ours.stdout, cargos.stdout);
    let message = cargos.stderr.trim_end();
    assert_eq!(ours.stderr.matches(message).count(), 1, "cargo said\n{message}\nand xcache {ours}");
    let added = ours.stderr.lines().count() - cargos.stderr.lines().count();
    assert!(added <= 1, "{added} lines more than cargo: {ours}");
}

#[test]
fn cargo_reports_an_unknown_flag() {
    let sandbox = Sandbox::new();
    assert_refused(&sandbox.checkout("app"), &["build", "--no-such-flag"]);
}

#[test]
fn cargo_reports_an_unknown_package() {
    let sandbox = Sandbox::new();
    assert_refused(&sandbox.checkout("app"), &["build", "--package", "no-such-package"]);
}

#[test]
fn cargo_reports_a_broken_manifest() {
    let sandbox = Sandbox::new();
    let app = sandbox.checkout("app");
    app.write("Cargo.toml", "[package\nname = ");
    assert_refused(&app, &["build"]);
}

#[test]
fn cargo_reports_a_missing_manifest() {
    let sandbox = Sandbox::new();
    let app = sandbox.checkout("app");
    std::fs::remove_file(app.dir().join("Cargo.toml")).expect("the manifest exists");
    assert_refused(&app, &["build"]);
}

#[test]
fn cargo_reports_an_outdated_lockfile() {
    let sandbox = Sandbox::new();
    let app = sandbox.checkout("app");
    app.edit("Cargo.toml", "version = \"0.1.0\"", "version = \"0.2.0\"");
    assert_refused(&app, &["build", "--locked"]);
}

#[test]
fn a_missing_lockfile_is_written_and_downloads_are_announced() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("leaf", "1.0.0", "pub fn leaf() {}")]);
    let demo = sandbox.demo_unlocked("leaf = \"1\"", "fn main() { leaf::leaf(); }");
    demo.use_registry(&registry);
    let lockfile = demo.dir().join("Cargo.lock");
    let expected = demo.cargo(["build"]).ok();
    assert!(expected.stderr.contains("Locking 1 package") && expected.stderr.contains("Unpacking leaf"), "{expected}");
    let expected_lock = demo.read("Cargo.lock");
    std::fs::remove_file(&lockfile).expect("the lockfile exists");
    demo.clean();
    let home = sandbox.another_cargo_home();
    assert_equal(&demo.xcache(["build"]).env("CARGO_HOME", home).ok(), &expected, "without a lockfile");
    assert_eq!(demo.read("Cargo.lock"), expected_lock);
}

#[test]
fn a_toolchain_can_be_named() {
    if nightly().is_none() {
        return;
    }
    let sandbox = Sandbox::new();
    let demo = sandbox.chain().env_remove("RUSTC");
    // A flag that only a nightly cargo accepts.
    let expected = demo.cargo(["+nightly-2026-10-29", "run", "--quiet", "-Zunstable-options", "--", "x"]).ok();
    for arguments in [["+nightly-2026-10-29", "xcache", "run"], ["xcache", "+nightly-2026-10-29", "run"]] {
        for _ in 0..2 {
            demo.clean();
            let ours = demo.cargo(arguments.iter().chain(&["--quiet", "-Zunstable-options", "--", "x"])).ok();
            assert_eq!(ours.stdout, expected.stdout, "{arguments:?}");
        }
    }
}

#[test]
fn a_program_that_calls_cargo_itself_works() {
    let sandbox = Sandbox::new();
    let main = "fn main() {
        let status = std::process::Command::new(\"cargo\").arg(\"build\").current_dir(\"inner\").status().unwrap();
        std::process::exit(status.code().unwrap());
    }";
    let outer = sandbox.demo(&sandbox.registry([]), "", main);
    outer.write(
        "inner/Cargo.toml",
        "[workspace]\n[package]\nname = \"inner\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    outer.write("inner/src/main.rs", "fn main() {}");
    outer.xcache(["run"]).ok();
    assert!(outer.dir().join("inner/target/debug/inner").is_file());
}

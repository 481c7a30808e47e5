//! The unit graph of a command is requested once, and again if one of its inputs changed.
//!
//! A `cargo` in front of the real one counts the requests. Plain cargo, in its own target directory, shows whether the
//! outputs are right.

use std::fs;
use std::path::{Path, PathBuf};

use support::registry::MIXED_OUTPUT;
use support::{Invocation, Project, Sandbox, tree};

/// The name of a script that the `cargo` in front of the real one runs first, if it exists.
const HOOK: &str = "hook";

/// A workspace whose units have been requested once.
struct Scene {
    sandbox: Sandbox,
    demo: Project,
    /// A file with a line for each request of the unit graph.
    request_log: PathBuf,
    /// A file with a line for each session that planned.
    plan_log: PathBuf,
}

impl Scene {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// `prepare` changes the workspace before the first build.
    fn with(prepare: impl FnOnce(&Sandbox, &Project)) -> Self {
        let sandbox = Sandbox::new();
        let demo = sandbox.mixed();
        demo.edit("src/main.rs", "fn main() {", "fn main() {\n    eprintln!(\"{}\", cfg!(debug_assertions));");
        prepare(&sandbox, &demo);
        let request_log = sandbox.path("requests");
        let cargo = sandbox.path("counting").join("cargo");
        let plan_log = sandbox.path("plans");
        let note = format!(
            "case \" $* \" in *\" --unit-graph \"*) echo >> '{}';; *\" metadata \"*) echo >> '{}';; esac",
            request_log.display(),
            plan_log.display()
        );
        let hook = sandbox.path(HOOK);
        let hook = format!("if test -e '{0}'; then . '{0}'; fi", hook.display());
        tree::write_script(&cargo, &format!("{note}\n{hook}\nexec cargo \"$@\""));
        let demo = demo.with_cargo(&cargo).env("CARGO_INCREMENTAL", "0");
        let scene = Self { sandbox, demo, request_log, plan_log };
        assert_eq!(scene.requests(&["build"], &[]), 1, "no graph is remembered yet");
        scene
    }

    /// The number of requests of a build into an empty target directory.
    #[track_caller]
    fn requests(&self, command: &[&str], variables: &[(&str, &str)]) -> usize {
        let _ = fs::remove_file(&self.request_log);
        self.demo.clean();
        with_variables(self.demo.xcache(command), variables).ok();
        fs::read_to_string(&self.request_log).unwrap_or_default().lines().count()
    }

    /// Whether a build plans in a target directory in which everything is fresh.
    #[track_caller]
    fn plans(&self, command: &[&str], variables: &[(&str, &str)]) -> bool {
        let _ = fs::remove_file(&self.plan_log);
        with_variables(self.demo.xcache(command), variables).ok();
        self.plan_log.exists()
    }

    /// Asserts that a build plans because of a change, and that a later one does not.
    #[track_caller]
    fn assert_plans_once(&self, change: &str, command: &[&str], variables: &[(&str, &str)]) {
        assert!(self.plans(command, variables), "a change was not seen: {change}");
        // One more build is needed if cargo wrote to the target directory.
        self.plans(command, variables);
        assert!(!self.plans(command, variables), "nothing has changed since {change}");
    }

    /// Asserts that the units are requested again, and that the build makes what plain cargo makes.
    #[track_caller]
    fn assert_requests_again(&self, command: &[&str], variables: &[(&str, &str)]) {
        assert_eq!(self.requests(command, variables), 1, "a change was not seen: {command:?} {variables:?}");
        self.assert_correct(command, variables);
    }

    /// Asserts that the program prints what plain cargo's program prints.
    #[track_caller]
    fn assert_correct(&self, command: &[&str], variables: &[(&str, &str)]) {
        let cargos = self.sandbox.unused("cargos");
        with_variables(self.demo.cargo(command), variables).env("CARGO_TARGET_DIR", &cargos).ok();
        let profile = if command.contains(&"--release") { "release" } else { "debug" };
        let said = |target: PathBuf| {
            let output = self.demo.program(target.join(profile).join("demo"), [""; 0]).ok();
            output.stdout + &output.stderr
        };
        assert_eq!(said(self.demo.target()), said(cargos));
    }
}

fn with_variables(invocation: Invocation, variables: &[(&str, &str)]) -> Invocation {
    variables.iter().fold(invocation, |invocation, (name, value)| invocation.env(name, value))
}

#[test]
fn an_unchanged_workspace_requests_no_graph() {
    let scene = Scene::new();
    scene.sandbox.reset();
    assert_eq!(scene.requests(&["build"], &[]), 0);
    assert_eq!(scene.sandbox.compiled(), [""; 0]);
    assert_eq!(scene.demo.run_binary("demo"), MIXED_OUTPUT);
    // A request would have left rustc's answers for the next plain cargo.
    scene.sandbox.assert_nothing_to_do(&scene.demo, &["build"]);
    scene.demo.edit("src/main.rs", "fn main() {", "fn main() {\n    eprintln!(\"touched\");");
    assert_eq!(scene.requests(&["build"], &[]), 0, "a source changes no unit");
    scene.assert_correct(&["build"], &[]);
}

#[test]
fn a_changed_manifest_requests_the_graph_again() {
    let scene = Scene::new();
    scene.demo.edit("Cargo.toml", "leaf = \"1\"", "leaf = { version = \"1\", features = [\"loud\"] }");
    scene.assert_requests_again(&["build"], &[]);
    let manifest = scene.demo.read("Cargo.toml");
    scene.demo.write("Cargo.toml", format!("{manifest}\n[profile.dev]\ndebug-assertions = false\n"));
    scene.assert_requests_again(&["build"], &[]);
}

#[test]
fn a_changed_lockfile_requests_the_graph_again() {
    let scene = Scene::new();
    scene.demo.cargo(["update", "--package", "middle"]).ok();
    scene.assert_requests_again(&["build"], &[]);
    assert_eq!(scene.requests(&["build"], &[]), 0);
}

#[test]
fn a_new_target_beside_the_manifest_requests_the_graph_again() {
    let scene = Scene::new();
    scene.demo.write("src/bin/second.rs", "fn main() { println!(\"second\"); }");
    scene.assert_requests_again(&["build"], &[]);
    assert_eq!(scene.demo.run_binary("second"), "second\n");
}

#[test]
fn a_changed_configuration_requests_the_graph_again() {
    let scene = Scene::new();
    let config = scene.demo.read(".cargo/config.toml");
    scene.demo.write(".cargo/config.toml", format!("{config}\n[profile.dev]\ndebug-assertions = false\n"));
    scene.assert_requests_again(&["build"], &[]);
}

#[test]
fn another_environment_or_command_requests_the_graph_again() {
    let scene = Scene::new();
    for variable in [("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false"), ("RUSTFLAGS", "--cfg shout")] {
        scene.assert_requests_again(&["build"], &[variable]);
    }
    scene.assert_requests_again(&["build", "--release"], &[]);
    scene.assert_requests_again(&["build", "--features", "loud"], &[]);
    scene.assert_requests_again(&["build", "--config", "profile.dev.debug-assertions=false"], &[]);
    assert_eq!(scene.requests(&["build"], &[]), 0);
}

/// Another `leaf`, in a directory beside the workspace.
fn leaf_beside(sandbox: &Sandbox, features: &str) {
    let manifest = format!(
        "[package]\nname = \"leaf\"\nversion = \"1.0.5\"\nedition = \"2021\"\n[features]\nloud = []\n{features}"
    );
    let source = "pub fn voice() -> &'static str { if cfg!(feature = \"extra\") { \"EXTRA\" } else { \"beside\" } }";
    tree::write(&sandbox.path("leaf").join("Cargo.toml"), manifest);
    tree::write(&sandbox.path("leaf").join("src/lib.rs"), source);
}

/// Asserts that nothing is remembered, because a package outside of the workspace is not checked.
#[track_caller]
fn assert_never_remembered(scene: &Scene) {
    assert_eq!(scene.requests(&["build"], &[]), 1);
    leaf_beside(&scene.sandbox, "default = [\"extra\"]\nextra = []");
    assert_eq!(scene.requests(&["build"], &[]), 1);
    scene.assert_correct(&["build"], &[]);
    let said = scene.demo.run_binary("demo");
    assert!(said.contains("EXTRA"), "{said}");
}

#[test]
fn a_graph_with_a_package_outside_of_the_workspace_is_not_remembered() {
    assert_never_remembered(&Scene::with(|sandbox, demo| {
        leaf_beside(sandbox, "");
        let path = format!("leaf = {{ path = {:?} }}", sandbox.path("leaf"));
        demo.edit("Cargo.toml", "leaf = \"1\"", &path);
        demo.edit("src/main.rs", "top::top()", "format!(\"{} {}\", top::top(), leaf::voice())");
    }));
}

#[test]
fn a_graph_with_a_patch_is_not_remembered() {
    assert_never_remembered(&Scene::with(|sandbox, demo| {
        leaf_beside(sandbox, "");
        let manifest = demo.read("Cargo.toml");
        let patch = format!("[patch.crates-io]\nleaf = {{ path = {:?} }}", sandbox.path("leaf"));
        demo.write("Cargo.toml", format!("{manifest}\n{patch}\n"));
        demo.cargo(["update", "--package", "leaf"]).ok();
    }));
}

#[test]
fn a_changed_file_that_cargo_reads_or_would_read_is_noticed() {
    let scene = Scene::with(|sandbox, demo| {
        leaf_beside(sandbox, "");
        let manifest = demo.read("Cargo.toml");
        let path = format!(
            "[target.'cfg(windows)'.dependencies]\nbeside = {{ package = \"leaf\", path = {:?} }}",
            sandbox.path("leaf")
        );
        demo.write("Cargo.toml", format!("{manifest}\n{path}\n"));
        demo.write(".cargo/included.toml", "");
        let config = demo.read(".cargo/config.toml");
        demo.write(".cargo/config.toml", format!("include = [\"included.toml\"]\n{config}"));
    });
    let demo = scene.demo.clone().env_remove("RUSTUP_TOOLCHAIN");
    let scene = Scene { demo, ..scene };
    let (dir, home) = (scene.demo.dir().to_owned(), scene.demo.cargo_home().to_owned());
    let above = dir.parent().expect("a checkout is in a directory").to_owned();
    let command = ["build", "--config", "named.toml"];
    tree::write(&dir.join("named.toml"), "");
    scene.plans(&command, &[]);
    assert!(!scene.plans(&command, &[]));
    let jobs = "[build]\njobs = 3\n";
    for (path, content) in [
        (above.join(".cargo/config.toml"), jobs),
        (above.join(".cargo/config"), jobs),
        (home.join("config.toml"), jobs),
        (home.join("config"), jobs),
        (dir.join(".cargo/included.toml"), jobs),
        (dir.join("named.toml"), jobs),
        (above.join("Cargo.toml"), "[workspace]\n"),
    ] {
        tree::write(&path, content);
        scene.assert_plans_once(&format!("{} was added", path.display()), &command, &[]);
        tree::write(&path, format!("{content}\n"));
        scene.assert_plans_once(&format!("{} was changed", path.display()), &command, &[]);
    }
    // Toolchain files name a toolchain under rustup only.
    if let Ok(toolchain) = std::env::var("RUSTUP_TOOLCHAIN") {
        tree::write(&above.join("rust-toolchain.toml"), format!("[toolchain]\nchannel = {toolchain:?}\n"));
        scene.assert_plans_once("a toolchain file was added", &command, &[]);
        scene.demo.write("rust-toolchain", toolchain);
        scene.assert_plans_once("a nearer toolchain file was added", &command, &[]);
    }
    fs::remove_file(above.join(".cargo/config")).expect("the configuration exists");
    scene.assert_plans_once("a configuration file was removed", &command, &[]);
    let beside = scene.sandbox.path("leaf").join("Cargo.toml");
    let manifest = fs::read_to_string(&beside).expect("the manifest exists");
    tree::write(&beside, format!("{manifest}\n"));
    scene.assert_plans_once("the manifest of a package that is not built was changed", &command, &[]);
}

#[test]
fn a_changed_variable_that_cargo_reads_is_noticed() {
    let scene = Scene::new();
    scene.plans(&["build"], &[]);
    assert!(!scene.plans(&["build"], &[]));
    for variable in [
        ("CARGO_BUILD_JOBS", "3"),
        ("CARGO_HTTP_TIMEOUT", "7"),
        ("RUSTFLAGS", "--cfg shout"),
        ("RUSTDOCFLAGS", "--cfg shout"),
        ("RUSTC_BOOTSTRAP", "demo"),
        ("HTTP_TIMEOUT", "7"),
        ("https_proxy", "http://127.0.0.1:1"),
        ("LD_LIBRARY_PATH", "/nowhere"),
    ] {
        scene.assert_plans_once(variable.0, &["build"], &[variable]);
        scene.plans(&["build"], &[]);
    }
    assert!(!scene.plans(&["build"], &[("TERM", "dumb"), ("SOMETHING_ELSE", "1")]), "cargo builds the same");
}

/// A wrapper that notes when it compiles `demo`.
fn noting_wrapper(path: &Path, log: &Path) {
    let note = format!("case \" $* \" in *\" --crate-name demo \"*) echo >> '{}';; esac", log.display());
    tree::write_script(path, &format!("{note}\nexec \"$@\""));
}

#[test]
fn a_newly_configured_wrapper_is_called_after_sessions_without_a_plan() {
    let scene = Scene::new();
    let config = scene.demo.read(".cargo/config.toml");
    let logs = ["one", "two"].map(|name| scene.sandbox.path(name).join("log"));
    for name in ["one", "two", "one"] {
        scene.plans(&["build"], &[]);
        assert!(!scene.plans(&["build"], &[]), "there is nothing to plan");
        let wrapper = scene.sandbox.path(name).join("wrapper");
        noting_wrapper(&wrapper, &wrapper.with_file_name("log"));
        scene.demo.write(".cargo/config.toml", format!("{config}\n[build]\nrustc-wrapper = {wrapper:?}\n"));
        scene.demo.edit("src/main.rs", "fn main() {", "fn main() {\n    let _ = 1;");
        logs.iter().for_each(|log| drop(fs::remove_file(log)));
        scene.demo.xcache(["build"]).ok();
        assert_eq!(logs.each_ref().map(|log| log.exists()), [name == "one", name == "two"]);
    }
}

#[test]
fn nothing_is_recorded_if_the_configuration_changed_between_plan_and_cargo() {
    let scene = Scene::with(|_, demo| {
        demo.edit("src/main.rs", "fn main() {", "fn main() {\n    println!(\"{}\", cfg!(debug_assertions));");
    });
    scene.plans(&["build"], &[]);
    assert!(!scene.plans(&["build"], &[]));
    // After cargo has started, the session requests the metadata of the workspace. At that moment the configuration
    // changes.
    let config = scene.demo.read(".cargo/config.toml");
    let changed = scene.sandbox.path("changed.toml");
    tree::write(&changed, format!("{config}\n[profile.dev.package.demo]\ndebug-assertions = false\n"));
    let copy = format!("cp '{}' .cargo/config.toml", changed.display());
    tree::write(&scene.sandbox.path(HOOK), format!("case \" $* \" in *\" metadata \"*) {copy};; esac\n"));
    scene.demo.edit("src/main.rs", "fn main() {", "fn main() {\n    let _ = 2;");
    let entries = || tree::files(&scene.demo.store().join("v1/unit"));
    let before = entries();
    scene.demo.xcache(["build"]).ok();
    assert_eq!(entries(), before);
    assert_eq!(scene.demo.run_binary("demo").lines().next(), Some("true"));
    scene.demo.clean();
    scene.demo.xcache(["build"]).ok();
    assert_eq!(scene.demo.run_binary("demo").lines().next(), Some("false"));
    scene.assert_correct(&["build"], &[]);
}

#[test]
fn a_replaced_program_with_the_same_name_is_noticed() {
    let scene = Scene::new();
    let [first, second] = ["first", "second"].map(|name| scene.sandbox.path(name));
    let log = scene.sandbox.path("log");
    noting_wrapper(&second.join("wrapper"), &log);
    fs::create_dir_all(&first).expect("the directory can be created");
    let path = std::env::var("PATH").expect("PATH is set");
    let path = format!("{}:{}:{path}", first.display(), second.display());
    let variables = [("PATH", &*path), ("RUSTC_WRAPPER", "wrapper")];
    scene.plans(&["build"], &variables);
    scene.plans(&["build"], &variables);
    assert!(!scene.plans(&["build"], &variables));
    noting_wrapper(&second.join("wrapper"), &scene.sandbox.path("another"));
    scene.assert_plans_once("the program was replaced", &["build"], &variables);
    noting_wrapper(&first.join("wrapper"), &log);
    scene.assert_plans_once("another program comes first in PATH", &["build"], &variables);
}

//! The unit graph of a command is asked for once, and again whenever anything has changed that it follows from.
//!
//! Questions are counted by a `cargo` in front of the real one. Whether the right things were built is told by plain cargo
//! in a target directory of its own.

use std::fs;
use std::path::PathBuf;

use support::registry::MIXED_SAID;
use support::{Invocation, Project, Sandbox, tree};

/// Where units were asked for once.
struct Scene {
    sandbox: Sandbox,
    demo: Project,
    /// It holds a line for each time.
    asked: PathBuf,
}

impl Scene {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// `prepare` changes the workspace before anything is built.
    fn with(prepare: impl FnOnce(&Sandbox, &Project)) -> Self {
        let sandbox = Sandbox::new();
        let demo = sandbox.mixed();
        demo.edit("src/main.rs", "fn main() {", "fn main() {\n    eprintln!(\"{}\", cfg!(debug_assertions));");
        prepare(&sandbox, &demo);
        let asked = sandbox.path("asked");
        let cargo = sandbox.path("counting").join("cargo");
        let note = format!("case \" $* \" in *\" --unit-graph \"*) echo >> '{}';; esac", asked.display());
        tree::write_script(&cargo, &format!("{note}\nexec cargo \"$@\""));
        let demo = demo.env("CARGO", &cargo).env("CARGO_INCREMENTAL", "0");
        let scene = Self { sandbox, demo, asked };
        assert_eq!(scene.questions(&["build"], &[]), 1, "nothing is known yet");
        scene
    }

    /// How often a build into an empty target directory asks for the units.
    #[track_caller]
    fn questions(&self, command: &[&str], variables: &[(&str, &str)]) -> usize {
        let _ = fs::remove_file(&self.asked);
        self.demo.clean();
        with_variables(self.demo.xcache(command), variables).ok();
        fs::read_to_string(&self.asked).unwrap_or_default().lines().count()
    }

    /// The units are asked for anew, and what is built is what plain cargo builds.
    #[track_caller]
    fn assert_asks_anew(&self, command: &[&str], variables: &[(&str, &str)]) {
        assert_eq!(self.questions(command, variables), 1, "a change was not seen: {command:?} {variables:?}");
        self.assert_right(command, variables);
    }

    /// What is in the target directory says what plain cargo's says.
    #[track_caller]
    fn assert_right(&self, command: &[&str], variables: &[(&str, &str)]) {
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
fn nothing_is_asked_where_nothing_has_changed() {
    let scene = Scene::new();
    scene.sandbox.reset();
    assert_eq!(scene.questions(&["build"], &[]), 0);
    assert_eq!(scene.sandbox.compiled(), [""; 0]);
    assert_eq!(scene.demo.run_binary("demo"), MIXED_SAID);
    // Asking would have left rustc's answers for the next plain cargo.
    scene.sandbox.assert_nothing_to_do(&scene.demo, &["build"]);
    scene.demo.edit("src/main.rs", "fn main() {", "fn main() {\n    eprintln!(\"touched\");");
    assert_eq!(scene.questions(&["build"], &[]), 0, "what a source says changes no unit");
    scene.assert_right(&["build"], &[]);
}

#[test]
fn another_manifest_is_another_graph() {
    let scene = Scene::new();
    scene.demo.edit("Cargo.toml", "leaf = \"1\"", "leaf = { version = \"1\", features = [\"loud\"] }");
    scene.assert_asks_anew(&["build"], &[]);
    let manifest = scene.demo.read("Cargo.toml");
    scene.demo.write("Cargo.toml", format!("{manifest}\n[profile.dev]\ndebug-assertions = false\n"));
    scene.assert_asks_anew(&["build"], &[]);
}

#[test]
fn another_lockfile_is_another_graph() {
    let scene = Scene::new();
    scene.demo.cargo(["update", "--package", "middle"]).ok();
    scene.assert_asks_anew(&["build"], &[]);
    assert_eq!(scene.questions(&["build"], &[]), 0);
}

#[test]
fn another_target_beside_the_manifest_is_another_graph() {
    let scene = Scene::new();
    scene.demo.write("src/bin/second.rs", "fn main() { println!(\"second\"); }");
    scene.assert_asks_anew(&["build"], &[]);
    assert_eq!(scene.demo.run_binary("second"), "second\n");
}

#[test]
fn another_configuration_is_another_graph() {
    let scene = Scene::new();
    let config = scene.demo.read(".cargo/config.toml");
    scene.demo.write(".cargo/config.toml", format!("{config}\n[profile.dev]\ndebug-assertions = false\n"));
    scene.assert_asks_anew(&["build"], &[]);
}

#[test]
fn another_environment_or_command_is_another_graph() {
    let scene = Scene::new();
    for variable in [("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false"), ("RUSTFLAGS", "--cfg shout")] {
        scene.assert_asks_anew(&["build"], &[variable]);
    }
    scene.assert_asks_anew(&["build", "--release"], &[]);
    scene.assert_asks_anew(&["build", "--features", "loud"], &[]);
    scene.assert_asks_anew(&["build", "--config", "profile.dev.debug-assertions=false"], &[]);
    assert_eq!(scene.questions(&["build"], &[]), 0);
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

/// What is in no package of the workspace is not looked at, so nothing is remembered.
#[track_caller]
fn assert_never_remembered(scene: &Scene) {
    assert_eq!(scene.questions(&["build"], &[]), 1);
    leaf_beside(&scene.sandbox, "default = [\"extra\"]\nextra = []");
    assert_eq!(scene.questions(&["build"], &[]), 1);
    scene.assert_right(&["build"], &[]);
    let said = scene.demo.run_binary("demo");
    assert!(said.contains("EXTRA"), "{said}");
}

#[test]
fn a_graph_with_a_package_in_a_directory_elsewhere_is_not_remembered() {
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

//! If a build script receives metadata from another one that runs every time, cargo has to start it every time. If it
//! receives the same metadata as before, its recorded run is replayed instead.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use support::{Package, Project, Sandbox, tree};

/// Writes a file elsewhere, and so runs every time. Passes on the value of a variable.
const FINDING: &str = r#"
    if let Some(path) = std::env::var_os("WAIT_FOR") {
        let path = std::path::PathBuf::from(path);
        std::fs::write(path.with_extension("begun"), "").unwrap();
        while !path.exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    println!("cargo:rerun-if-env-changed=LEVEL");
    let home = std::path::PathBuf::from(std::env::var_os("HOME").unwrap());
    std::fs::write(home.join("found.txt"), "found").unwrap();
    println!("cargo:level={}", std::env::var("LEVEL").unwrap_or_else(|_| "1".into()));
"#;

/// Compiles the value that it receives into a library, and prints it.
const COMPILING: &str = r#"
    let out = std::env::var("OUT_DIR").unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(std::process::Command::new(program).args(arguments).status().unwrap().success());
    };
    let level = format!("-DVALUE={}{}", std::env::var("DEP_FOUND_LEVEL").unwrap(), std::env::var("DIGITS").unwrap_or_default());
    let object = format!("{out}/value.o");
    run("cc", &["-c", "value.c", "-o", &object, &level]);
    run("ar", &["crsD", &format!("{out}/libvalue.a"), &object]);
    std::fs::create_dir_all(format!("{out}/include")).unwrap();
    std::fs::write(format!("{out}/include/value.h"), "int value(void);").unwrap();
    eprintln!("compiled {level}");
    println!("cargo:rerun-if-changed=value.c");
    println!("cargo:rerun-if-env-changed=DIGITS");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-link-lib=static=value");
    println!("cargo:rustc-env=HEARD={level}");
"#;

const LIBRARY: &str = r#"
    extern "C" { fn value() -> i32; }
    pub fn said() -> String { format!("{} {}", unsafe { value() }, env!("HEARD")) }
"#;

/// A program that depends on both packages.
struct Scene {
    sandbox: Sandbox,
    demo: Project,
}

impl Scene {
    fn new() -> Self {
        let own = Package::new("own-sys", "1.0.0", LIBRARY)
            .links("own")
            .counted_script(COMPILING)
            .file("value.c", "int value(void) { return VALUE; }");
        Self::of(own)
    }

    /// The package `own-sys` receives metadata from a script that runs every time.
    fn of(own: Package) -> Self {
        let sandbox = Sandbox::new();
        let found = Package::new("found-sys", "1.0.0", "").links("found").counted_script(FINDING);
        let own = own.dependency("found-sys", "1");
        let registry = sandbox.registry([found, own]);
        let demo = sandbox.demo(&registry, "own-sys = \"1\"", "fn main() { println!(\"{}\", own_sys::said()); }");
        Self { sandbox, demo: demo.env("CARGO_INCREMENTAL", "0") }
    }

    /// Builds into the existing target directory. Returns the scripts that ran, the compiled dependencies, and the
    /// output of the program.
    #[track_caller]
    fn build(&self, variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>, String) {
        self.sandbox.reset();
        let build = self.demo.xcache(["build"]);
        variables.iter().fold(build, |build, (name, value)| build.env(name, value)).ok();
        (self.sandbox.scripts_run(), self.sandbox.compiled_dependencies(), self.demo.run_binary("demo"))
    }

    #[track_caller]
    fn build_from_empty(&self, variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>, String) {
        self.demo.clean();
        self.build(variables)
    }

    /// Asserts that only the script that runs every time has run, and that no dependency was compiled.
    #[track_caller]
    fn assert_replayed(&self, variables: &[(&str, &str)], said: &str) {
        let (scripts, compiled, says) = self.build_from_empty(variables);
        assert_eq!((scripts, compiled), (vec!["found-sys".to_owned()], vec![]), "{}", self.demo.report().json());
        assert_eq!(says, said);
    }

    /// Asserts that both scripts have run.
    #[track_caller]
    fn assert_runs(&self, variables: &[(&str, &str)], said: &str) {
        let (mut scripts, _, says) = self.build_from_empty(variables);
        scripts.sort();
        let report = self.demo.report();
        assert_eq!((scripts, says), (both(), said.to_owned()), "{}", report.json());
        let unexplained = report.names(|unit| unit.outcome == "miss" && unit.reason.is_none());
        assert_eq!(unexplained, [""; 0], "misses without a reason in {}", report.json());
    }

    /// The directories of the program of the script of `own-sys`, of its `OUT_DIR`, and of cargo's records of its run.
    fn directories(&self) -> (PathBuf, PathBuf, PathBuf) {
        let files = tree::files(&self.demo.target().join("debug/build"));
        let holds = |is_meant: &dyn Fn(&str) -> bool| {
            let is_named = |path: &&PathBuf| path.file_name().is_some_and(|name| is_meant(&name.to_string_lossy()));
            let mut found = files.iter().filter(|path| is_own(path)).filter(is_named);
            let found = found.next().unwrap_or_else(|| panic!("no such file in {files:?}"));
            found.parent().expect("a file is in a directory").to_owned()
        };
        let is_script = |name: &str| name.starts_with("build_script_") && !name.ends_with(".d");
        let kept = holds(&|name| name == "root-output");
        let out = if kept.ends_with("run") { kept.with_file_name("out") } else { kept.join("out") };
        (holds(&is_script), out, kept)
    }
}

/// The contents of all files below a directory.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = tree::files(dir).into_iter().filter(|path| path.is_file());
    files.map(|file| (file.clone(), std::fs::read(file).expect("the file can be read"))).collect()
}

/// Whether a file belongs to the package whose script may be replayed.
fn is_own(path: &Path) -> bool {
    path.iter().any(|part| part.to_string_lossy().starts_with("own-sys"))
}

fn both() -> Vec<String> {
    vec!["found-sys".into(), "own-sys".into()]
}

#[test]
fn a_script_that_receives_the_same_metadata_is_replayed() {
    let scene = Scene::new();
    scene.assert_runs(&[], "1 -DVALUE=1\n");
    let (_, out, kept) = scene.directories();
    let made = contents(&out);
    scene.assert_replayed(&[], "1 -DVALUE=1\n");
    assert_eq!(contents(&out), made);
    assert_eq!(tree::read(&kept.join("stderr")), "compiled -DVALUE=1\n");
    let printed = ["output", "stdout"].map(|name| kept.join(name)).into_iter().find(|path| path.exists());
    let printed = tree::read(&printed.expect("cargo keeps what it printed"));
    assert!(printed.contains(&format!("native={}", out.display())), "{printed}");
    assert_eq!((scene.demo.report().total("rejected"), scene.demo.report().total("not_reached")), (0, 0));
    scene.sandbox.assert_nothing_to_do(&scene.demo, &["build"]);
}

#[test]
fn after_a_replay_the_program_of_the_script_is_in_its_place() {
    let scene = Scene::new();
    scene.build(&[]);
    let (script, ..) = scene.directories();
    let program = contents(&script);
    scene.assert_replayed(&[], "1 -DVALUE=1\n");
    assert_eq!(contents(&script), program);
    // And cargo starts it.
    scene.sandbox.reset();
    scene.demo.cargo(["build"]).env("DIGITS", "0").ok();
    assert_eq!(scene.sandbox.scripts_run(), ["own-sys"]);
    assert_eq!(scene.demo.run_binary("demo"), "10 -DVALUE=10\n");
}

#[test]
fn a_script_runs_when_it_receives_other_metadata() {
    let scene = Scene::new();
    scene.assert_runs(&[], "1 -DVALUE=1\n");
    scene.assert_runs(&[("LEVEL", "2")], "2 -DVALUE=2\n");
    scene.assert_replayed(&[("LEVEL", "2")], "2 -DVALUE=2\n");
    scene.assert_runs(&[], "1 -DVALUE=1\n");
}

#[test]
fn a_script_runs_when_a_declared_variable_has_another_value() {
    let scene = Scene::new();
    scene.assert_runs(&[], "1 -DVALUE=1\n");
    scene.assert_runs(&[("DIGITS", "5")], "15 -DVALUE=15\n");
    scene.assert_replayed(&[("DIGITS", "5")], "15 -DVALUE=15\n");
}

#[test]
fn a_script_runs_when_a_foreign_file_is_in_its_out_dir() {
    let scene = Scene::new();
    scene.assert_runs(&[], "1 -DVALUE=1\n");
    let (_, out, _) = scene.directories();
    scene.demo.clean();
    tree::write(&out.join("stray"), "");
    let (mut scripts, _, said) = scene.build(&[]);
    scripts.sort();
    assert_eq!((scripts, said), (both(), "1 -DVALUE=1\n".to_owned()));
}

#[test]
fn a_script_runs_when_its_output_is_damaged_in_the_store() {
    let scene = Scene::new();
    scene.assert_runs(&[], "1 -DVALUE=1\n");
    let (_, out, _) = scene.directories();
    let library = std::fs::read(out.join("libvalue.a")).expect("the library exists");
    let stored = tree::files(scene.demo.store()).into_iter();
    let stored: Vec<_> = stored.filter(|file| std::fs::read(file).is_ok_and(|bytes| bytes == library)).collect();
    assert_eq!(stored.len(), 1);
    tree::damage(&stored[0]);
    scene.assert_runs(&[], "1 -DVALUE=1\n");
    scene.assert_replayed(&[], "1 -DVALUE=1\n");
}

/// Appends to two files.
const APPENDING: &str = r#"
    let out = std::env::var("OUT_DIR").unwrap();
    for name in ["first", "second"] {
        let mut file = std::fs::File::options().create(true).append(true).open(format!("{out}/{name}.txt")).unwrap();
        std::io::Write::write_all(&mut file, format!("{name} {}.", std::env::var("DEP_FOUND_LEVEL").unwrap()).as_bytes()).unwrap();
    }
    println!("cargo:rerun-if-changed=build.rs");
"#;

#[test]
fn a_script_runs_in_an_empty_directory_after_a_replay_that_failed() {
    let library = r#"pub fn said() -> &'static str {
        concat!(include_str!(concat!(env!("OUT_DIR"), "/first.txt")), include_str!(concat!(env!("OUT_DIR"), "/second.txt")))
    }"#;
    let scene = Scene::of(Package::new("own-sys", "1.0.0", library).counted_script(APPENDING));
    let says = "first 1.second 1.\n";
    scene.assert_runs(&[], says);
    for name in ["first", "second"] {
        let stored = tree::files(scene.demo.store()).into_iter();
        let content = format!("{name} 1.");
        let stored: Vec<_> =
            stored.filter(|file| std::fs::read(file).is_ok_and(|it| it == content.as_bytes())).collect();
        assert_eq!(stored.len(), 1, "{name}");
        tree::damage(&stored[0]);
        scene.assert_runs(&[], says);
        // What was recorded then is right, too.
        scene.assert_replayed(&[], says);
    }
}

#[test]
fn plain_cargo_builds_after_a_killed_session_left_stand_ins() {
    let scene = Scene::new();
    scene.build(&[]);
    scene.demo.clean();
    scene.sandbox.reset();
    // The session is killed during the script that runs every time, while the stand-in of the other one is in place.
    let waiting = scene.sandbox.path("waiting");
    let mut session = scene.demo.xcache(["build"]).env("WAIT_FOR", &waiting).start();
    let started = std::time::Instant::now();
    while !waiting.with_extension("begun").exists() {
        assert!(started.elapsed().as_secs() < 60, "the script does not start");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let scripts = contents(&scene.demo.target().join("debug/build")).into_iter().filter(|(path, _)| is_own(path));
    let stand_ins = scripts.filter(|(path, _)| path.ends_with(".xcache/program")).count();
    session.signal_all(Signal::SIGKILL);
    session.wait();
    assert!(stand_ins > 0, "there is no stand-in");
    scene.sandbox.reset();
    scene.demo.cargo(["build"]).ok();
    let mut scripts = scene.sandbox.scripts_run();
    scripts.sort();
    assert_eq!((scripts, scene.demo.run_binary("demo")), (both(), "1 -DVALUE=1\n".to_owned()));
    scene.sandbox.assert_nothing_to_do(&scene.demo, &["build"]);
}

#[test]
fn a_script_behind_a_stand_in_fails_as_without_the_cache() {
    let scene = Scene::new();
    scene.build(&[]);
    scene.demo.clean();
    scene.sandbox.reset();
    // The compiler gets an invalid value.
    let failed = scene.demo.xcache(["build"]).env("DIGITS", "x").run().fails();
    assert!(failed.stderr.contains("failed to run custom build command for `own-sys"), "{}", failed.stderr);
    scene.assert_replayed(&[], "1 -DVALUE=1\n");
}

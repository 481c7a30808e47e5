//! Build scripts, macros and programs see, make and leave what they would with plain cargo: they see nothing of the
//! cache, and a script's outputs decide which of the units compiled with them are used.
//!
//! Each test also shows the opposite: where nothing differs, nothing is compiled.
#![cfg(unix)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use support::{Invocation, Package, Project, Sandbox, by_form, is_long, tree};

const NONE: [&str; 0] = [];

/// A program that prints what the library `leaf` returns.
const MAIN: &str = "fn main() { println!(\"{}\", leaf::said()); }";

// The outputs of a script.

/// A workspace that uses the registry package `leaf`, with a variable `MADE_UP` for its build script.
struct Scene {
    sandbox: Sandbox,
    demo: Project,
    /// What plain cargo's program prints with each value.
    plain: RefCell<BTreeMap<String, String>>,
}

impl Scene {
    fn new(packages: impl IntoIterator<Item = Package>) -> Self {
        let sandbox = Sandbox::new();
        let demo = sandbox.demo(&sandbox.registry(packages), "leaf = \"1\"", MAIN);
        Self::of(sandbox, demo)
    }

    fn of(sandbox: Sandbox, demo: Project) -> Self {
        Self { sandbox, demo, plain: RefCell::default() }
    }

    /// Assumes that the unobservable actions of its scripts do not matter.
    fn trusting(self) -> Self {
        Self { demo: self.demo.env("XCACHE_UNKNOWN", "trust"), ..self }
    }

    fn with(&self, value: &str) -> Project {
        self.demo.clone().env("MADE_UP", value)
    }

    /// The output of plain cargo's program, which is built once for each value: whatever a script reads stays the same.
    #[track_caller]
    fn output_of_plain_cargo(&self, value: &str) -> String {
        let known = self.plain.borrow().get(value).cloned();
        known.unwrap_or_else(|| {
            let said = self.with(value).output_of_plain_cargo();
            self.plain.borrow_mut().insert(value.to_owned(), said.clone());
            said
        })
    }

    /// Builds into the existing target directory. Returns the output of the program.
    #[track_caller]
    fn build(&self, value: &str) -> String {
        self.sandbox.reset();
        self.with(value).xcache(["build"]).ok();
        self.demo.run_binary("demo")
    }

    /// Asserts that a build into an empty target directory makes plain cargo's program.
    #[track_caller]
    fn assert_clean_build(&self, value: &str) {
        self.demo.clean();
        assert_eq!(self.build(value), self.output_of_plain_cargo(value), "with {value}");
    }

    /// Asserts the same, and that no dependency is compiled.
    #[track_caller]
    fn assert_reused(&self, value: &str) {
        self.demo.clean();
        let said = self.build(value);
        assert_eq!(self.sandbox.compiled_externals(), NONE, "{}", self.demo.report().json()["totals"]);
        assert_eq!(self.sandbox.scripts_run(), NONE);
        assert_eq!(said, self.output_of_plain_cargo(value), "with {value}");
    }

    /// Asserts that the program prints what plain cargo's program prints, after a change in the same target directory
    /// and in empty ones.
    #[track_caller]
    fn assert_follows_changes(&self) {
        self.assert_clean_build("one");
        self.assert_reused("one");
        // The same target directory.
        for value in ["two", "one"] {
            let plain = self.demo.in_clean_target(|| {
                for value in ["one", value] {
                    self.with(value).cargo(["build"]).ok();
                }
                self.demo.run_binary("demo")
            });
            assert_eq!(self.build(value), plain, "with {value} in the same target directory");
        }
        self.assert_clean_build("two");
        if is_long() {
            self.assert_reused("two");
            self.assert_clean_build("one");
            self.assert_clean_build("three");
        }
    }
}

/// The macro `ask` of a registry, which expands to the value of an expression.
fn asking(value: &str) -> Package {
    let library = format!(
        "extern crate proc_macro;
        #[proc_macro] pub fn ask(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{
            let said: String = {value};
            format!(\"{{:?}}\", said).parse().unwrap()
        }}"
    );
    Package::new("asking", "1.0.0", &library).procedural_macro()
}

/// A library that returns what the macro `ask` expands to.
fn asker(script: &str) -> Package {
    let library = "pub fn said() -> String { asking::ask!().to_owned() }";
    Package::new("leaf", "1.0.0", library).dependency("asking", "1").counted_script(script)
}

#[test]
fn a_macro_that_reads_a_variable_of_the_script_reads_the_current_one() {
    let script = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        println!(\"cargo:rustc-env=SAID={}\", std::env::var(\"MADE_UP\").unwrap());";
    Scene::new([asking("std::env::var(\"SAID\").unwrap()"), asker(script)]).assert_follows_changes();
}

#[test]
fn a_script_prints_what_its_current_program_prints() {
    let sets_variable = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        println!(\"cargo:rustc-env=HELPED={}\", std::env::var(\"MADE_UP\").unwrap());";
    let helper =
        Package::new("helper", "1.0.0", "pub const HELPED: &str = env!(\"HELPED\");").counted_script(sets_variable);
    let script =
        "println!(\"cargo:rerun-if-changed=build.rs\"); println!(\"cargo:rustc-env=SAID={}\", helper::HELPED);";
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> String { env!(\"SAID\").to_owned() }");
    Scene::new([helper, leaf.build_dependency("helper", "1").counted_script(script)]).assert_follows_changes();
}

#[test]
fn a_macro_reads_the_current_variable_of_a_script_that_prints_invalid_utf_8() {
    let script = "use std::io::Write; std::io::stdout().write_all(b\"\\xff\\n\").unwrap();
        println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        println!(\"cargo:rustc-env=SAID={}\", std::env::var(\"MADE_UP\").unwrap());";
    let scene = Scene::new([asking("std::env::var(\"SAID\").unwrap()"), asker(script)]);
    for value in ["one", "two", "one"] {
        scene.assert_clean_build(value);
    }
}

/// Writes the value of the variable to a file.
const WRITES: &str = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
    let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
    std::fs::write(out.join(\"said.txt\"), std::env::var(\"MADE_UP\").unwrap()).unwrap();";

#[test]
fn a_macro_that_reads_a_file_of_the_script_reads_the_current_one() {
    let value = "std::fs::read_to_string(std::env::var(\"OUT_DIR\").unwrap() + \"/said.txt\").unwrap()";
    Scene::new([asking(value), asker(WRITES)]).assert_follows_changes();
}

#[test]
fn a_macro_that_lists_the_files_of_the_script_lists_the_current_ones() {
    let script = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        for old in std::fs::read_dir(&out).unwrap() { std::fs::remove_file(old.unwrap().path()).unwrap(); }
        std::fs::write(out.join(std::env::var(\"MADE_UP\").unwrap()), \"\").unwrap();";
    let value = "std::fs::read_dir(std::env::var(\"OUT_DIR\").unwrap()).unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap()).collect()";
    Scene::new([asking(value), asker(script)]).assert_follows_changes();
}

#[test]
fn a_script_that_appends_to_its_files_is_not_replayed_over_earlier_files() {
    let script = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        let mut file = std::fs::File::options().create(true).append(true).open(out.join(\"said.txt\")).unwrap();
        std::io::Write::write_all(&mut file, std::env::var(\"MADE_UP\").unwrap().as_bytes()).unwrap();";
    let library = "pub fn said() -> String { include_str!(concat!(env!(\"OUT_DIR\"), \"/said.txt\")).to_owned() }";
    let scene = Scene::new([Package::new("leaf", "1.0.0", library).counted_script(script)]);
    let plain = scene.demo.in_clean_target(|| {
        ["one", "two"].map(|value| {
            scene.with(value).cargo(["build"]).ok();
            scene.demo.run_binary("demo")
        })
    });
    assert_eq!(["one", "two"].map(|value| scene.build(value)), plain);
    scene.assert_clean_build("two");
    scene.assert_reused("two");
    scene.assert_clean_build("one");
}

#[test]
fn a_file_left_by_an_earlier_run_is_not_recorded() {
    let script = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        std::fs::write(out.join(std::env::var(\"MADE_UP\").unwrap()), \"\").unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&out).unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap()).filter(|name| name != \"said.rs\").collect();
        names.sort();
        std::fs::write(out.join(\"said.rs\"), format!(\"pub const SAID: &str = {:?};\", names.concat())).unwrap();";
    let library = "include!(concat!(env!(\"OUT_DIR\"), \"/said.rs\")); pub fn said() -> String { SAID.to_owned() }";
    let scene = Scene::new([Package::new("leaf", "1.0.0", library).counted_script(script)]);
    scene.build("one");
    scene.build("two");
    scene.assert_clean_build("two");
    scene.assert_reused("two");
    assert_eq!(out_files(&scene.demo), ["said.rs", "two"]);
}

/// The names of the files that the script of `leaf` left.
fn out_files(demo: &Project) -> Vec<String> {
    let out = |path: &&PathBuf| path.parent().is_some_and(|dir| dir.ends_with("out"));
    let files = tree::files(&demo.target().join("debug/build"));
    files.iter().filter(out).map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect()
}

// The profile's name.

/// Asserts that a script sees the name of each of two profiles with the same fields, one of which inherits from `dev`
/// and the other from `release`.
#[track_caller]
fn assert_profile_name_is_right(profiles: [&str; 2], tables: &str) {
    let script = "println!(\"cargo:rustc-check-cfg=cfg(release)\");
        if std::env::var(\"PROFILE\").unwrap() == \"release\" { println!(\"cargo:rustc-cfg=release\"); }";
    let library = "pub fn said() -> &'static str { if cfg!(release) { \"release\" } else { \"debug\" } }";
    let scene = Scene::new([Package::new("leaf", "1.0.0", library).counted_script(script)]);
    scene.demo.edit("Cargo.toml", "[dependencies]", &format!("{tables}\n[dependencies]"));
    let said = |build: Invocation, profile: &str| {
        build.args(["--profile", profile]).ok();
        let dir = if profile == "dev" { "debug" } else { profile };
        scene.demo.program(scene.demo.target().join(dir).join("demo"), NONE).ok().stdout
    };
    for is_known in [false, true] {
        for profile in profiles {
            scene.demo.clean();
            scene.sandbox.reset();
            let ours = said(scene.demo.xcache(["build"]), profile);
            assert!(!is_known || scene.sandbox.compiled_externals().is_empty(), "{profile} is known");
            assert_eq!(ours, scene.demo.in_clean_target(|| said(scene.demo.cargo(["build"]), profile)), "{profile}");
        }
    }
}

/// All fields that a profile can have.
const FIELDS: &str = "opt-level = 0\ndebug = 0\nsplit-debuginfo = \"off\"\nstrip = false\ndebug-assertions = false
    overflow-checks = false\nlto = false\npanic = \"unwind\"\nincremental = false\ncodegen-units = 16\nrpath = false\n";

/// The same fields for build scripts.
const BUILD_FIELDS: &str =
    "opt-level = 0\ndebug = 0\nstrip = false\ndebug-assertions = false\noverflow-checks = false\ncodegen-units = 16\n";

fn profile(name: &str, inherits: &str) -> String {
    let inherits = if inherits.is_empty() { String::new() } else { format!("inherits = {inherits:?}\n") };
    format!("[profile.{name}]\n{inherits}{FIELDS}[profile.{name}.build-override]\n{BUILD_FIELDS}")
}

#[test]
fn a_script_that_reads_the_profile_name_sees_that_of_a_custom_profile() {
    let tables = profile("fast", "release") + &profile("slow", "dev");
    assert_profile_name_is_right(["slow", "fast"], &tables);
    assert_profile_name_is_right(["fast", "slow"], &tables);
}

#[test]
fn a_script_that_reads_the_profile_name_sees_dev_or_release() {
    assert_profile_name_is_right(["dev", "release"], &(profile("dev", "") + &profile("release", "")));
}

// What scripts, macros and programs see.

/// Variables that differ between processes in any build: the pipes of the jobserver, and rustup's recursion depth.
const HARMLESS: [&str; 4] = ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS", "RUST_RECURSION_COUNT"];

/// Everything that a process can see of how it was started, one line each.
const SEEN: &str = r#"
    fn seen(who: &str) -> String {
        let mut lines: Vec<_> = std::env::vars_os().map(|(name, value)| format!("{who}: {name:?}={value:?}")).collect();
        lines.push(format!("{who}: started as {:?}", std::env::args_os().next()));
        lines.push(format!("{who}: is {:?}", std::env::current_exe().unwrap()));
        lines.push(format!("{who}: is in {:?}", std::env::current_dir().unwrap()));
        lines.sort();
        lines.join("\n")
    }
"#;

/// A build script that writes down what it sees.
fn seeing_script(who: &str) -> String {
    format!(
        "{SEEN} fn main() {{
            let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
            std::fs::write(out.join(\"seen.txt\"), seen({who:?})).unwrap();
        }}"
    )
}

const SEEN_BY_SCRIPT: &str = "include_str!(concat!(env!(\"OUT_DIR\"), \"/seen.txt\"))";

/// A workspace in which a script and a macro of a registry and of a member, a program and a test print what they see.
fn seeing(sandbox: &Sandbox) -> Project {
    let macro_crate = format!(
        "extern crate proc_macro; {SEEN}
        #[proc_macro] pub fn ask(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{
            let who = std::env::var(\"CARGO_PKG_NAME\").unwrap();
            format!(\"{{:?}}\", seen(&format!(\"macro in {{who}}\"))).parse().unwrap()
        }}"
    );
    let library = format!("pub fn said() -> String {{ [{SEEN_BY_SCRIPT}, asking::ask!()].join(\"\\n\") }}");
    let leaf = Package::new("leaf", "1.0.0", &library).dependency("asking", "1");
    let registry = sandbox.registry([
        Package::new("asking", "1.0.0", &macro_crate).procedural_macro(),
        leaf.build_script(&seeing_script("script of a registry")),
    ]);
    let main = format!(
        "{SEEN}
        fn all(who: &str) {{
            println!(\"{{}}\", [leaf::said(), {SEEN_BY_SCRIPT}.into(), asking::ask!().into(), seen(who)].join(\"\\n\"));
        }}
        fn main() {{ all(\"program\"); }}
        #[test] fn all_is_said() {{ println!(); all(\"test\"); }}"
    );
    let demo = sandbox.demo(&registry, "leaf = \"1\"\nasking = \"1\"", &main);
    demo.write("build.rs", seeing_script("script of a member"));
    // Otherwise, units that read all variables are not cached.
    demo.env("CARGO_INCREMENTAL", "0").env("XCACHE_UNKNOWN", "trust")
}

/// The lines that they print, without those about harmless variables.
fn seen_lines(stdout: &str) -> BTreeSet<String> {
    let is_harmless = |line: &str| HARMLESS.iter().any(|name| line.contains(&format!(": {name:?}=")));
    let sources = ["script of a ", "macro in ", "program: ", "test: "];
    let lines = stdout.lines().filter(|line| sources.iter().any(|source| line.starts_with(source)));
    lines.filter(|line| !is_harmless(line)).map(str::to_owned).collect()
}

/// Asserts that both see the same.
#[track_caller]
fn assert_sees_the_same(ours: &BTreeSet<String>, plain: &BTreeSet<String>, when: &str) {
    assert!(plain.len() > 50, "too few lines: {plain:#?}");
    let [more, less] = [ours.difference(plain), plain.difference(ours)].map(|lines| lines.collect::<Vec<_>>());
    assert!(more.is_empty() && less.is_empty(), "{when}, only with xcache: {more:#?}\nonly with cargo: {less:#?}");
}

/// Asserts that scripts, macros, a program and a test see what they see with plain cargo, with an empty store and with
/// a full one.
#[track_caller]
fn assert_cache_is_invisible(sandbox: &Sandbox, demo: &Project) {
    let commands: [&[&str]; 2] = [&["run"], &["test", "--", "--nocapture"]];
    for command in commands {
        let plain = seen_lines(&demo.in_clean_target(|| demo.cargo(command).ok()).stdout);
        for when in ["with an empty store", "with a full store"] {
            demo.clean();
            sandbox.reset();
            let ours = seen_lines(&demo.xcache(command).ok().stdout);
            assert_sees_the_same(&ours, &plain, &format!("{command:?} {when}"));
        }
        assert_eq!(sandbox.compiled_externals(), NONE, "{}", demo.report().json()["totals"]);
    }
}

#[test]
fn scripts_macros_and_programs_see_what_they_see_with_plain_cargo() {
    let sandbox = Sandbox::new();
    assert_cache_is_invisible(&sandbox, &seeing(&sandbox));
}

/// A wrapper that becomes the compiler.
fn pass_through(path: &Path) {
    tree::write_script(path, "exec \"$@\"");
}

#[test]
fn scripts_see_the_users_own_wrapper_set_by_a_variable() {
    let sandbox = Sandbox::new();
    let wrapper = sandbox.path("tools/pass-through");
    pass_through(&wrapper);
    assert_cache_is_invisible(&sandbox, &seeing(&sandbox).env("RUSTC_WRAPPER", &wrapper));
}

#[test]
fn scripts_see_the_users_own_wrapper_set_by_the_configuration() {
    let sandbox = Sandbox::new();
    let wrapper = sandbox.path("tools/pass-through");
    pass_through(&wrapper);
    let demo = seeing(&sandbox);
    let config = demo.read(".cargo/config.toml");
    demo.write(".cargo/config.toml", format!("{config}\n[build]\nrustc-wrapper = {wrapper:?}\n"));
    assert_cache_is_invisible(&sandbox, &demo);
}

#[test]
fn scripts_see_the_users_own_workspace_wrapper() {
    let sandbox = Sandbox::new();
    let wrapper = sandbox.path("tools/pass-through");
    pass_through(&wrapper);
    assert_cache_is_invisible(&sandbox, &seeing(&sandbox).env("RUSTC_WORKSPACE_WRAPPER", &wrapper));
}

#[test]
fn scripts_see_nothing_of_xcache_started_as_a_subcommand_of_cargo() {
    let sandbox = Sandbox::new();
    let demo = seeing(&sandbox);
    let plain = seen_lines(&demo.in_clean_target(|| demo.cargo(["run"]).ok()).stdout);
    for when in ["with an empty store", "with a full store"] {
        demo.clean();
        let ours = seen_lines(&demo.cargo(["xcache", "run"]).ok().stdout);
        assert_sees_the_same(&ours, &plain, when);
    }
}

/// A script that writes a file elsewhere, and so runs every time, and passes a word to its dependents.
const WRITES_ELSEWHERE: &str = r#"
    println!("cargo:rerun-if-env-changed=MADE_UP");
    let home = std::path::PathBuf::from(std::env::var_os("HOME").unwrap());
    std::fs::write(home.join("found.txt"), "found").unwrap();
    println!("cargo:word={}", std::env::var("MADE_UP").unwrap());
"#;

/// Passes on the word it receives, and the value of an expression.
fn passes_on_word(value: &str) -> String {
    format!(
        "println!(\"cargo:rerun-if-env-changed=UNRELATED\");
        println!(\"cargo:rustc-env=SAID={{}} {{:?}}\", std::env::var(\"DEP_FOUND_WORD\").unwrap(), {value});"
    )
}

/// Asserts that a script behind a stand-in sees what it sees with plain cargo. It receives a word from a script that
/// runs every time, so its run is replayed if the word is the same, and started if not.
#[track_caller]
fn assert_stand_in_is_invisible(value: &str) {
    let library = "pub fn said() -> String { env!(\"SAID\").to_owned() }";
    let leaf = Package::new("leaf", "1.0.0", library).dependency("found", "1").links("heard");
    let found = Package::new("found", "1.0.0", "").links("found").counted_script(WRITES_ELSEWHERE);
    let scene = Scene::new([found, leaf.counted_script(&passes_on_word(value))]).trusting();
    scene.build("one");
    for (word, scripts) in [("one", &["found"][..]), ("two", &["found", "leaf"]), ("two", &["found"])] {
        scene.demo.clean();
        let said = scene.build(word);
        assert_eq!(scene.sandbox.scripts_run(), scripts, "with the word {word}");
        assert_eq!(said, scene.output_of_plain_cargo(word), "with the word {word}");
    }
}

#[test]
fn a_script_behind_a_stand_in_is_started_by_its_own_name() {
    assert_stand_in_is_invisible("std::env::args_os().collect::<Vec<_>>()");
}

#[test]
fn a_script_behind_a_stand_in_is_at_its_own_path() {
    assert_stand_in_is_invisible("std::env::current_exe().unwrap()");
}

#[test]
fn a_script_behind_a_stand_in_has_no_extra_files_beside_it() {
    let value = "{
        let own = std::env::current_exe().unwrap();
        let files = std::fs::read_dir(own.parent().unwrap()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(\".d\")).collect::<std::collections::BTreeSet<_>>()
    }";
    assert_stand_in_is_invisible(value);
}

#[test]
fn a_script_behind_a_stand_in_has_its_own_environment() {
    let value = format!(
        "std::env::vars().filter(|(name, _)| !{HARMLESS:?}.contains(&name.as_str()))
            .collect::<std::collections::BTreeMap<_, _>>()"
    );
    assert_stand_in_is_invisible(&value);
}

/// Prints its environment, which cargo ignores.
const NOISY: &str = r#"
    for (name, value) in std::env::vars_os() { println!("{name:?} = {value:?}"); }
    println!("begun at {:?} by {}", std::time::SystemTime::now(), std::process::id());
    eprintln!("begun at {:?} by {}", std::time::SystemTime::now(), std::process::id());
"#;

/// Passes on a received word to dependents.
fn passes_on_from(from: &str) -> String {
    format!("println!(\"cargo:word={{}}\", std::env::var(\"DEP_{from}_WORD\").unwrap());")
}

/// A chain of crates with `links`, where `first` is the script of the first one.
fn chain(first: &str) -> Vec<Package> {
    let library = "pub fn said() -> String { middle::said() }";
    vec![
        Package::new("base", "1.0.0", "pub fn said() -> String { \"base\".into() }")
            .links("base")
            .counted_script(first),
        Package::new("middle", "1.0.0", "pub fn said() -> String { base::said() }")
            .links("middle")
            .dependency("base", "1")
            .counted_script(&passes_on_from("BASE")),
        Package::new("leaf", "1.0.0", library)
            .links("leaf")
            .dependency("middle", "1")
            .counted_script(&passes_on_from("MIDDLE")),
    ]
}

/// Asserts that, whatever a script prints that cargo ignores, only the scripts `run` run in a second and third session,
/// and nothing is compiled. A word that it passes to dependents does count.
#[track_caller]
fn assert_noise_is_ignored(first: &str, run: &[&str]) {
    let scene = Scene::new(chain(first)).trusting();
    scene.assert_clean_build("one");
    for _ in 0..2 {
        scene.demo.clean();
        scene.build("one");
        assert_eq!(scene.sandbox.scripts_run(), run, "{}", scene.demo.report().json()["totals"]);
        assert_eq!(scene.sandbox.compiled_externals(), NONE, "{}", scene.demo.report().json()["totals"]);
    }
    scene.demo.clean();
    scene.build("two");
    assert_eq!(scene.sandbox.scripts_run(), ["base", "leaf", "middle"], "with another word");
}

#[test]
fn lines_that_a_script_does_not_print_for_cargo_are_ignored() {
    let script = format!(
        "{NOISY} println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        println!(\"cargo:word={{}}\", std::env::var(\"MADE_UP\").unwrap());"
    );
    assert_noise_is_ignored(&script, &[]);
}

#[test]
fn lines_that_a_script_running_every_time_does_not_print_for_cargo_are_ignored() {
    assert_noise_is_ignored(&format!("{NOISY} {WRITES_ELSEWHERE}"), &["base"]);
}

// Modes.

#[test]
fn generated_files_keep_their_modes() {
    let script = "use std::os::unix::fs::PermissionsExt;
        println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        for mode in [0o400, 0o600, 0o640, 0o644, 0o700, 0o755] {
            let file = out.join(format!(\"mode-{mode:o}\"));
            std::fs::write(&file, format!(\"{mode}\")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        }";
    let library = "pub fn said() -> &'static str { include_str!(concat!(env!(\"OUT_DIR\"), \"/mode-600\")) }";
    let scene = Scene::new([Package::new("leaf", "1.0.0", library).counted_script(script)]);
    let plain = scene.demo.in_clean_target(|| {
        scene.with("one").cargo(["build"]).ok();
        modes(&scene.demo)
    });
    assert_eq!(plain.len(), 6);
    scene.assert_clean_build("one");
    assert_eq!(modes(&scene.demo), plain, "with an empty store");
    scene.assert_reused("one");
    assert_eq!(modes(&scene.demo), plain, "with a full store");
}

/// Files with the same content are one object in the store, and two in the output directory.
#[test]
fn files_with_the_same_content_keep_their_own_modes() {
    let script = "use std::os::unix::fs::PermissionsExt;
        println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        for mode in [0o600, 0o755] {
            let file = out.join(format!(\"mode-{mode:o}\"));
            std::fs::write(&file, \"the same\").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        }";
    let library = "pub fn said() -> &'static str { include_str!(concat!(env!(\"OUT_DIR\"), \"/mode-600\")) }";
    let scene = Scene::new([Package::new("leaf", "1.0.0", library).counted_script(script)]);
    scene.assert_clean_build("one");
    let made = modes(&scene.demo);
    assert_eq!(made.values().copied().collect::<Vec<_>>(), [0o600, 0o755]);
    scene.assert_reused("one");
    assert_eq!(modes(&scene.demo), made);
}

/// The modes of the files `mode-*` that a script left.
fn modes(demo: &Project) -> BTreeMap<String, u32> {
    let files = tree::files(&demo.target().join("debug/build")).into_iter();
    let named = files.filter_map(|file| Some((file.file_name()?.to_str()?.to_owned(), file.clone())));
    let made = named.filter(|(name, _)| name.starts_with("mode-"));
    let mode = |file: &Path| std::fs::metadata(file).expect("the file exists").permissions().mode() & 0o7777;
    made.map(|(name, file)| (name, mode(&file))).collect()
}

// Effects outside of a script's own directories. All of them are below a temporary directory.

/// A registry's `leaf` whose script does something to `file`, and the directory of that file.
fn with_effect(effect: &str) -> (Scene, PathBuf) {
    let sandbox = Sandbox::new();
    let directory = sandbox.path("elsewhere");
    let script = format!(
        "println!(\"cargo:rerun-if-changed=build.rs\");
        let directory = std::path::Path::new({directory:?});
        let file = directory.join(\"file.txt\");
        {effect}"
    );
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> &'static str { \"\" }").counted_script(&script);
    let demo = sandbox.demo(&sandbox.registry([leaf]), "leaf = \"1\"", MAIN);
    (Scene::of(sandbox, demo), directory)
}

/// What is in the directory after a build in an empty target directory. Before, it contains `file` and an empty
/// directory.
fn directory_after(demo: &Project, directory: &Path, build: impl Fn(&Project)) -> Vec<(PathBuf, String)> {
    demo.clean();
    if directory.exists() {
        tree::remove(directory);
    }
    tree::write(&directory.join("file.txt"), "before");
    std::fs::create_dir(directory.join("empty")).unwrap();
    build(demo);
    if !directory.exists() {
        return Vec::new();
    }
    tree::children(directory)
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap_or_default()))
        .collect()
}

/// Asserts that the effect takes place in each build.
#[track_caller]
fn assert_happens_each_time(effect: &str) {
    let (scene, directory) = with_effect(effect);
    let plain = directory_after(&scene.demo, &directory, |demo| drop(demo.cargo(["build"]).ok()));
    for time in by_form(&["first", "second"][..], &["first", "second", "third"]) {
        assert_eq!(
            directory_after(&scene.demo, &directory, |demo| drop(demo.xcache(["build"]).ok())),
            plain,
            "{effect}, {time}"
        );
    }
}

/// Asserts that the script runs only once, since its effect leaves no trace.
#[track_caller]
fn assert_happens_once(effect: &str) {
    let (scene, directory) = with_effect(effect);
    for expected in [&["leaf"][..], &[]] {
        scene.sandbox.reset();
        directory_after(&scene.demo, &directory, |demo| drop(demo.xcache(["build"]).ok()));
        assert_eq!(scene.sandbox.scripts_run(), expected, "{effect}: {}", scene.demo.report().json());
    }
}

#[test]
fn what_a_script_writes_elsewhere_exists_after_each_build() {
    for effect in [
        "std::fs::write(directory.join(\"new.txt\"), \"made\").unwrap();",
        "std::fs::write(file, \"after\").unwrap();",
        "use std::io::Write;
            std::fs::File::options().append(true).open(file).unwrap().write_all(b\"more\").unwrap();",
        "std::fs::create_dir_all(directory.join(\"new/er\")).unwrap();",
        "std::os::unix::fs::symlink(\"nowhere\", directory.join(\"link\")).unwrap();",
        "std::fs::hard_link(file, directory.join(\"again.txt\")).unwrap();",
        "let mine = std::path::Path::new(&std::env::var_os(\"OUT_DIR\").unwrap()).join(\"mine.txt\");
            std::fs::write(&mine, \"mine\").unwrap();
            std::fs::rename(mine, directory.join(\"yours.txt\")).unwrap();",
    ] {
        assert_happens_each_time(effect);
    }
}

#[test]
fn what_a_script_removes_elsewhere_is_missing_after_each_build() {
    for effect in [
        "std::fs::remove_file(file).unwrap();",
        "std::fs::remove_dir(directory.join(\"empty\")).unwrap();",
        "std::fs::remove_dir_all(directory).unwrap();",
        "std::fs::rename(file, std::path::Path::new(&std::env::var_os(\"OUT_DIR\").unwrap()).join(\"mine\")).unwrap();",
        "std::fs::File::options().write(true).truncate(true).open(file).unwrap();",
    ] {
        assert_happens_each_time(effect);
    }
}

#[test]
fn a_temporary_file_elsewhere_does_not_make_a_script_run_again() {
    for effect in [
        "std::fs::write(directory.join(\"new.txt\"), \"made\").unwrap();
            std::fs::remove_file(directory.join(\"new.txt\")).unwrap();",
        "std::fs::create_dir_all(directory).unwrap(); drop(file);",
        "std::fs::write(directory.join(\"new.txt\"), \"made\").unwrap();
            std::fs::rename(directory.join(\"new.txt\"), directory.join(\"newer.txt\")).unwrap();
            std::fs::remove_file(directory.join(\"newer.txt\")).unwrap();",
    ] {
        assert_happens_once(effect);
    }
}

// Crates that cargo does not know.

/// Compiles a crate that returns a text into a directory, as a user does by hand.
fn make_by_hand(demo: &Project, dir: &Path, says: &str) {
    let source = dir.join("handmade.rs");
    tree::write(&source, format!("pub fn said() -> String {{ {says:?}.to_owned() }}"));
    let arguments = ["--crate-type", "rlib", "--crate-name", "handmade", "--edition", "2021", "--out-dir"];
    demo.program("rustc", arguments).arg(dir).arg(&source).ok();
}

/// A workspace that uses such a crate through a package of a registry.
fn with_handmade() -> (Scene, PathBuf) {
    let library = "extern crate handmade; pub fn said() -> String { handmade::said() }";
    let user = "pub fn said() -> String { handmade_user::said() }";
    let scene = Scene::new([
        Package::new("handmade-user", "1.0.0", library),
        Package::new("leaf", "1.0.0", user).dependency("handmade-user", "1"),
    ]);
    let dir = scene.sandbox.path("by-hand");
    let demo = scene.demo.env("RUSTFLAGS", format!("-L {}", dir.display()));
    (Scene { demo, ..scene }, dir)
}

#[test]
fn a_crate_unknown_to_cargo_is_the_current_one() {
    let (scene, dir) = with_handmade();
    for says in ["one", "two", "one"] {
        make_by_hand(&scene.demo, &dir, says);
        scene.demo.clean();
        assert_eq!(scene.build(""), scene.with("").output_of_plain_cargo(), "{says}");
    }
    // Under such flags, nothing is cached; under others, everything is.
    let own = "pub fn said() -> String { String::new() }";
    let registry = scene.sandbox.registry([Package::new("leaf", "1.0.0", own)]);
    let demo = scene.sandbox.demo(&registry, "leaf = \"1\"", "fn main() { leaf::said(); }");
    let demo = demo.env("RUSTFLAGS", format!("-L native={}", dir.display()));
    for compiled in [&["leaf"][..], &[]] {
        demo.clean();
        scene.sandbox.reset();
        demo.xcache(["build"]).ok();
        assert_eq!(scene.sandbox.compiled_dependencies(), compiled);
    }
}

#[test]
fn a_crate_unknown_to_cargo_stays_as_it_was_in_the_same_target_directory() {
    let (scene, dir) = with_handmade();
    let said = |build: &dyn Fn() -> Invocation| {
        scene.demo.clean();
        ["one", "two"].map(|says| {
            make_by_hand(&scene.demo, &dir, says);
            build().ok();
            scene.demo.run_binary("demo")
        })
    };
    assert_eq!(said(&|| scene.demo.xcache(["build"])), said(&|| scene.demo.cargo(["build"])));
}

#[test]
fn a_members_existing_script_that_runs_again_sees_no_wrapper() {
    let sandbox = Sandbox::new();
    let red = Package::new("red", "1.0.0", "pub const RED: u8 = 1;").links("red");
    let red = red.counted_script("println!(\"cargo:rerun-if-changed=build.rs\");");
    let registry = sandbox.registry([red]);
    let main = "fn main() { println!(\"{} {}\", red::RED, env!(\"SAID\")); }";
    let demo = sandbox.demo(&registry, "red = \"1\"", main);
    demo.write(
        "build.rs",
        "fn main() { println!(\"cargo:rustc-env=SAID={:?}\", std::env::var_os(\"RUSTC_WRAPPER\")); }",
    );
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), "1 None\n");
    let other = demo.with_cargo_home(&sandbox.unused("home"));
    for command in [["build"], ["check"], ["clippy"]] {
        other.xcache(command).ok();
        other.xcache(["build"]).ok();
        assert_eq!(other.run_binary("demo"), "1 None\n", "{command:?}");
    }
}

//! What build scripts, macros and the programs they end in see, make and leave is what plain cargo lets them: of the cache,
//! they see nothing, and what a script made decides about all that was compiled with it.
//!
//! Each test has its counter-proof: where nothing differs, nothing is compiled.
#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use support::{Invocation, Package, Project, Sandbox, tree};

const NONE: [&str; 0] = [];

/// A program that says what a library of a registry says.
const MAIN: &str = "fn main() { println!(\"{}\", leaf::said()); }";

// What a script made.

/// A registry's `leaf` with this build script and library, in a workspace whose variable `MADE_UP` the script declares.
struct Scene {
    sandbox: Sandbox,
    demo: Project,
}

impl Scene {
    fn new(packages: impl IntoIterator<Item = Package>) -> Self {
        let sandbox = Sandbox::new();
        let demo = sandbox.demo(&sandbox.registry(packages), "leaf = \"1\"", MAIN);
        Self { sandbox, demo }
    }

    /// What its scripts do that cannot be observed is believed not to matter.
    fn trusting(self) -> Self {
        Self { demo: self.demo.env("XCACHE_UNKNOWN", "trust"), ..self }
    }

    fn with(&self, value: &str) -> Project {
        self.demo.clone().env("MADE_UP", value)
    }

    /// Into what is in the target directory: what the program says.
    #[track_caller]
    fn build(&self, value: &str) -> String {
        self.sandbox.reset();
        self.with(value).xcache(["build"]).ok();
        self.demo.run_binary("demo")
    }

    /// Into an empty target directory, and compared with plain cargo's.
    #[track_caller]
    fn assert_anew(&self, value: &str) {
        self.demo.clean();
        assert_eq!(self.build(value), self.with(value).output_of_plain_cargo(), "with {value}");
    }

    /// The same, and no dependency is compiled.
    #[track_caller]
    fn assert_reused(&self, value: &str) {
        self.demo.clean();
        let said = self.build(value);
        assert_eq!(self.sandbox.compiled_externals(), NONE, "{}", self.demo.report().json()["totals"]);
        assert_eq!(self.sandbox.scripts_run(), NONE);
        assert_eq!(said, self.with(value).output_of_plain_cargo(), "with {value}");
    }

    /// One target directory after the other, and then empty ones: what is said is always what plain cargo says.
    #[track_caller]
    fn assert_follows(&self) {
        self.assert_anew("one");
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
        self.assert_anew("two");
        self.assert_reused("two");
        self.assert_anew("one");
        self.assert_anew("three");
    }
}

/// A macro of a registry that expands to the text that an expression gives.
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

/// A library that says what the macro `ask` expands to.
fn asker(script: &str) -> Package {
    let library = "pub fn said() -> String { asking::ask!().to_owned() }";
    Package::new("leaf", "1.0.0", library).dependency("asking", "1").counted_script(script)
}

#[test]
fn a_macro_that_reads_a_variable_of_the_script_reads_this_one() {
    let script = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        println!(\"cargo:rustc-env=SAID={}\", std::env::var(\"MADE_UP\").unwrap());";
    Scene::new([asking("std::env::var(\"SAID\").unwrap()"), asker(script)]).assert_follows();
}

#[test]
fn a_script_says_what_the_program_says_that_it_is_now() {
    let told = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        println!(\"cargo:rustc-env=HELPED={}\", std::env::var(\"MADE_UP\").unwrap());";
    let helper = Package::new("helper", "1.0.0", "pub const HELPED: &str = env!(\"HELPED\");").counted_script(told);
    let script =
        "println!(\"cargo:rerun-if-changed=build.rs\"); println!(\"cargo:rustc-env=SAID={}\", helper::HELPED);";
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> String { env!(\"SAID\").to_owned() }");
    Scene::new([helper, leaf.build_dependency("helper", "1").counted_script(script)]).assert_follows();
}

#[test]
fn a_macro_reads_what_a_script_says_now_that_prints_more_than_text() {
    let script = "use std::io::Write; std::io::stdout().write_all(b\"\\xff\\n\").unwrap();
        println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        println!(\"cargo:rustc-env=SAID={}\", std::env::var(\"MADE_UP\").unwrap());";
    let scene = Scene::new([asking("std::env::var(\"SAID\").unwrap()"), asker(script)]);
    for value in ["one", "two", "one"] {
        scene.assert_anew(value);
    }
}

/// Writes what the variable says.
const WRITES: &str = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
    let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
    std::fs::write(out.join(\"said.txt\"), std::env::var(\"MADE_UP\").unwrap()).unwrap();";

#[test]
fn a_macro_that_reads_a_file_of_the_script_reads_this_one() {
    let value = "std::fs::read_to_string(std::env::var(\"OUT_DIR\").unwrap() + \"/said.txt\").unwrap()";
    Scene::new([asking(value), asker(WRITES)]).assert_follows();
}

#[test]
fn a_macro_that_lists_the_files_of_the_script_lists_these() {
    let script = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        for old in std::fs::read_dir(&out).unwrap() { std::fs::remove_file(old.unwrap().path()).unwrap(); }
        std::fs::write(out.join(std::env::var(\"MADE_UP\").unwrap()), \"\").unwrap();";
    let value = "std::fs::read_dir(std::env::var(\"OUT_DIR\").unwrap()).unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap()).collect()";
    Scene::new([asking(value), asker(script)]).assert_follows();
}

#[test]
fn a_script_that_adds_to_what_is_there_is_not_reused_with_what_was_there() {
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
    scene.assert_anew("two");
    scene.assert_reused("two");
    scene.assert_anew("one");
}

#[test]
fn a_file_that_an_earlier_run_left_is_not_brought_along() {
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
    scene.assert_anew("two");
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

/// Two profiles of the same fields, one of which inherits from `dev` and the other from `release`.
#[track_caller]
fn assert_profile_is_its_own(profiles: [&str; 2], tables: &str) {
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

/// The same fields for the crates of build scripts.
const BUILD_FIELDS: &str =
    "opt-level = 0\ndebug = 0\nstrip = false\ndebug-assertions = false\noverflow-checks = false\ncodegen-units = 16\n";

fn profile(name: &str, inherits: &str) -> String {
    let inherits = if inherits.is_empty() { String::new() } else { format!("inherits = {inherits:?}\n") };
    format!("[profile.{name}]\n{inherits}{FIELDS}[profile.{name}.build-override]\n{BUILD_FIELDS}")
}

#[test]
fn a_script_that_asks_for_the_profile_is_told_this_one() {
    let tables = profile("fast", "release") + &profile("slow", "dev");
    assert_profile_is_its_own(["slow", "fast"], &tables);
    assert_profile_is_its_own(["fast", "slow"], &tables);
}

#[test]
fn a_script_that_asks_for_the_profile_is_told_dev_or_release() {
    assert_profile_is_its_own(["dev", "release"], &(profile("dev", "") + &profile("release", "")));
}

// What they see.

/// What may differ from one process to the next in any build: the pipes of the jobserver, and how deep rustup is.
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

/// A build script that tells what it sees.
fn seeing_script(who: &str) -> String {
    format!(
        "{SEEN} fn main() {{
            let out = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
            std::fs::write(out.join(\"seen.txt\"), seen({who:?})).unwrap();
        }}"
    )
}

const SEEN_BY_SCRIPT: &str = "include_str!(concat!(env!(\"OUT_DIR\"), \"/seen.txt\"))";

/// A workspace in which a script and a macro of a registry and of a member, a program and a test tell what they see.
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
    // Who reads all variables is not cached otherwise.
    demo.env("CARGO_INCREMENTAL", "0").env("XCACHE_UNKNOWN", "trust")
}

/// What they tell, but for what is harmless.
fn seen_lines(stdout: &str) -> BTreeSet<String> {
    let is_harmless = |line: &str| HARMLESS.iter().any(|name| line.contains(&format!(": {name:?}=")));
    let tellers = ["script of a ", "macro in ", "program: ", "test: "];
    let lines = stdout.lines().filter(|line| tellers.iter().any(|teller| line.starts_with(teller)));
    lines.filter(|line| !is_harmless(line)).map(str::to_owned).collect()
}

/// Both see the same.
#[track_caller]
fn assert_sees_the_same(ours: &BTreeSet<String>, plain: &BTreeSet<String>, when: &str) {
    assert!(plain.len() > 50, "they tell little: {plain:#?}");
    let [more, less] = [ours.difference(plain), plain.difference(ours)].map(|lines| lines.collect::<Vec<_>>());
    assert!(more.is_empty() && less.is_empty(), "{when}, only with xcache: {more:#?}\nonly with cargo: {less:#?}");
}

/// Run and test, in sessions that know nothing and in ones that know all, see what they see with plain cargo.
#[track_caller]
fn assert_unseen(sandbox: &Sandbox, demo: &Project) {
    let commands: [&[&str]; 2] = [&["run"], &["test", "--", "--nocapture"]];
    for command in commands {
        let plain = seen_lines(&demo.in_clean_target(|| demo.cargo(command).ok()).stdout);
        for when in ["at first", "when all is known"] {
            demo.clean();
            sandbox.reset();
            let ours = seen_lines(&demo.xcache(command).ok().stdout);
            assert_sees_the_same(&ours, &plain, &format!("{command:?} {when}"));
        }
        assert_eq!(sandbox.compiled_externals(), NONE, "{}", demo.report().json()["totals"]);
    }
}

#[test]
fn scripts_and_macros_and_programs_see_what_they_see_with_plain_cargo() {
    let sandbox = Sandbox::new();
    assert_unseen(&sandbox, &seeing(&sandbox));
}

/// A wrapper that becomes the compiler.
fn pass_through(path: &Path) {
    tree::write_script(path, "exec \"$@\"");
}

#[test]
fn scripts_see_the_users_own_wrapper_that_a_variable_names() {
    let sandbox = Sandbox::new();
    let wrapper = sandbox.path("tools/pass-through");
    pass_through(&wrapper);
    assert_unseen(&sandbox, &seeing(&sandbox).env("RUSTC_WRAPPER", &wrapper));
}

#[test]
fn scripts_see_the_users_own_wrapper_that_is_configured() {
    let sandbox = Sandbox::new();
    let wrapper = sandbox.path("tools/pass-through");
    pass_through(&wrapper);
    let demo = seeing(&sandbox);
    let config = demo.read(".cargo/config.toml");
    demo.write(".cargo/config.toml", format!("{config}\n[build]\nrustc-wrapper = {wrapper:?}\n"));
    assert_unseen(&sandbox, &demo);
}

#[test]
fn scripts_see_the_users_own_wrapper_for_members() {
    let sandbox = Sandbox::new();
    let wrapper = sandbox.path("tools/pass-through");
    pass_through(&wrapper);
    assert_unseen(&sandbox, &seeing(&sandbox).env("RUSTC_WORKSPACE_WRAPPER", &wrapper));
}

#[test]
fn cargo_finds_it_as_a_subcommand_and_nobody_sees_that() {
    let sandbox = Sandbox::new();
    let demo = seeing(&sandbox);
    let plain = seen_lines(&demo.in_clean_target(|| demo.cargo(["run"]).ok()).stdout);
    for when in ["at first", "when all is known"] {
        demo.clean();
        let ours = seen_lines(&demo.cargo(["xcache", "run"]).ok().stdout);
        assert_sees_the_same(&ours, &plain, when);
    }
}

/// A script that leaves something elsewhere, and so runs every time, and says a word to others.
const FINDS: &str = r#"
    println!("cargo:rerun-if-env-changed=MADE_UP");
    let home = std::path::PathBuf::from(std::env::var_os("HOME").unwrap());
    std::fs::write(home.join("found.txt"), "found").unwrap();
    println!("cargo:word={}", std::env::var("MADE_UP").unwrap());
"#;

/// Passes on what it hears, and the value of an expression.
fn hears(value: &str) -> String {
    format!(
        "println!(\"cargo:rerun-if-env-changed=UNRELATED\");
        println!(\"cargo:rustc-env=SAID={{}} {{:?}}\", std::env::var(\"DEP_FOUND_WORD\").unwrap(), {value});"
    )
}

/// A script that hears from one which runs every time sees of itself what it sees with plain cargo: when its result is known,
/// and when it is not, since it heard something else.
#[track_caller]
fn assert_stand_in_is_unseen(value: &str) {
    let library = "pub fn said() -> String { env!(\"SAID\").to_owned() }";
    let leaf = Package::new("leaf", "1.0.0", library).dependency("found", "1").links("heard");
    let found = Package::new("found", "1.0.0", "").links("found").counted_script(FINDS);
    let scene = Scene::new([found, leaf.counted_script(&hears(value))]).trusting();
    scene.build("one");
    for (word, scripts) in [("one", &["found"][..]), ("two", &["found", "leaf"]), ("two", &["found"])] {
        scene.demo.clean();
        let said = scene.build(word);
        assert_eq!(scene.sandbox.scripts_run(), scripts, "{word} was said");
        assert_eq!(said, scene.with(word).output_of_plain_cargo(), "{word} was said");
    }
}

#[test]
fn a_script_for_which_something_stood_in_is_started_by_its_own_name() {
    assert_stand_in_is_unseen("std::env::args_os().collect::<Vec<_>>()");
}

#[test]
fn a_script_for_which_something_stood_in_is_at_its_own_path() {
    assert_stand_in_is_unseen("std::env::current_exe().unwrap()");
}

#[test]
fn a_script_for_which_something_stood_in_has_nothing_more_beside_it() {
    let value = "{
        let own = std::env::current_exe().unwrap();
        let files = std::fs::read_dir(own.parent().unwrap()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.ends_with(\".d\")).collect::<std::collections::BTreeSet<_>>()
    }";
    assert_stand_in_is_unseen(value);
}

#[test]
fn a_script_for_which_something_stood_in_has_its_own_environment() {
    let value = format!(
        "std::env::vars().filter(|(name, _)| !{HARMLESS:?}.contains(&name.as_str()))
            .collect::<std::collections::BTreeMap<_, _>>()"
    );
    assert_stand_in_is_unseen(&value);
}

/// Prints its environment, which is nothing to cargo.
const NOISY: &str = r#"
    for (name, value) in std::env::vars_os() { println!("{name:?} = {value:?}"); }
    println!("begun at {:?} by {}", std::time::SystemTime::now(), std::process::id());
    eprintln!("begun at {:?} by {}", std::time::SystemTime::now(), std::process::id());
"#;

/// Says a word to others that it heard.
fn passing_on(from: &str) -> String {
    format!("println!(\"cargo:word={{}}\", std::env::var(\"DEP_{from}_WORD\").unwrap());")
}

/// A chain of crates that link something, whose first one's script is `first`.
fn chain(first: &str) -> Vec<Package> {
    let library = "pub fn said() -> String { middle::said() }";
    vec![
        Package::new("base", "1.0.0", "pub fn said() -> String { \"base\".into() }")
            .links("base")
            .counted_script(first),
        Package::new("middle", "1.0.0", "pub fn said() -> String { base::said() }")
            .links("middle")
            .dependency("base", "1")
            .counted_script(&passing_on("BASE")),
        Package::new("leaf", "1.0.0", library)
            .links("leaf")
            .dependency("middle", "1")
            .counted_script(&passing_on("MIDDLE")),
    ]
}

/// In a second and third session, whatever a script prints that is nothing to cargo, only `run` are run, and nothing is
/// compiled; what it says to others does matter.
#[track_caller]
fn assert_noise_is_ignored(first: &str, run: &[&str]) {
    let scene = Scene::new(chain(first)).trusting();
    scene.assert_anew("one");
    for _ in 0..2 {
        scene.demo.clean();
        scene.build("one");
        assert_eq!(scene.sandbox.scripts_run(), run, "{}", scene.demo.report().json()["totals"]);
        assert_eq!(scene.sandbox.compiled_externals(), NONE, "{}", scene.demo.report().json()["totals"]);
    }
    scene.demo.clean();
    scene.build("two");
    assert_eq!(scene.sandbox.scripts_run(), ["base", "leaf", "middle"], "another word was said");
}

#[test]
fn what_a_script_prints_that_is_nothing_to_cargo_does_not_matter() {
    let script = format!(
        "{NOISY} println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        println!(\"cargo:word={{}}\", std::env::var(\"MADE_UP\").unwrap());"
    );
    assert_noise_is_ignored(&script, &[]);
}

#[test]
fn what_a_script_prints_that_runs_every_time_and_is_nothing_to_cargo_does_not_matter() {
    assert_noise_is_ignored(&format!("{NOISY} {FINDS}"), &["base"]);
}

// Modes.

#[test]
fn generated_files_have_the_modes_that_they_were_given() {
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
    scene.assert_anew("one");
    assert_eq!(modes(&scene.demo), plain, "at first");
    scene.assert_reused("one");
    assert_eq!(modes(&scene.demo), plain, "when all is known");
}

/// Files with one content are one object in the store, and two in the output directory.
#[test]
fn files_with_one_content_have_their_own_modes() {
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
    scene.assert_anew("one");
    let made = modes(&scene.demo);
    assert_eq!(made.values().copied().collect::<Vec<_>>(), [0o600, 0o755]);
    scene.assert_reused("one");
    assert_eq!(modes(&scene.demo), made);
}

/// The modes of the files of this name that a script left.
fn modes(demo: &Project) -> BTreeMap<String, u32> {
    let files = tree::files(&demo.target().join("debug/build")).into_iter();
    let named = files.filter_map(|file| Some((file.file_name()?.to_str()?.to_owned(), file.clone())));
    let made = named.filter(|(name, _)| name.starts_with("mode-"));
    let mode = |file: &Path| std::fs::metadata(file).expect("it is there").permissions().mode() & 0o7777;
    made.map(|(name, file)| (name, mode(&file))).collect()
}

// What they do where it is not theirs. All of it is below a directory for what is temporary.

/// A registry's `leaf` whose script does something to `file`, and the directory that this is in.
fn doing(effect: &str) -> (Scene, PathBuf) {
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
    (Scene { sandbox, demo }, directory)
}

/// What is in the directory after a build in an empty target directory, where `file` was in it, and some more.
fn done(demo: &Project, directory: &Path, build: impl Fn(&Project)) -> Vec<(PathBuf, String)> {
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

/// It is done in each build.
#[track_caller]
fn assert_done_each_time(effect: &str) {
    let (scene, directory) = doing(effect);
    let plain = done(&scene.demo, &directory, |demo| drop(demo.cargo(["build"]).ok()));
    for time in ["first", "then", "and once more"] {
        assert_eq!(done(&scene.demo, &directory, |demo| drop(demo.xcache(["build"]).ok())), plain, "{effect}, {time}");
    }
}

/// Nobody can tell whether it was done.
#[track_caller]
fn assert_done_once(effect: &str) {
    let (scene, directory) = doing(effect);
    for expected in [&["leaf"][..], &[]] {
        scene.sandbox.reset();
        done(&scene.demo, &directory, |demo| drop(demo.xcache(["build"]).ok()));
        assert_eq!(scene.sandbox.scripts_run(), expected, "{effect}: {}", scene.demo.report().json());
    }
}

#[test]
fn what_a_script_leaves_elsewhere_is_there_after_each_build() {
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
        assert_done_each_time(effect);
    }
}

#[test]
fn what_a_script_takes_away_elsewhere_is_missing_after_each_build() {
    for effect in [
        "std::fs::remove_file(file).unwrap();",
        "std::fs::remove_dir(directory.join(\"empty\")).unwrap();",
        "std::fs::remove_dir_all(directory).unwrap();",
        "std::fs::rename(file, std::path::Path::new(&std::env::var_os(\"OUT_DIR\").unwrap()).join(\"mine\")).unwrap();",
        "std::fs::File::options().write(true).truncate(true).open(file).unwrap();",
    ] {
        assert_done_each_time(effect);
    }
}

#[test]
fn what_is_elsewhere_for_a_while_is_no_reason_to_run_again() {
    for effect in [
        "std::fs::write(directory.join(\"new.txt\"), \"made\").unwrap();
            std::fs::remove_file(directory.join(\"new.txt\")).unwrap();",
        "std::fs::create_dir_all(directory).unwrap(); drop(file);",
        "std::fs::write(directory.join(\"new.txt\"), \"made\").unwrap();
            std::fs::rename(directory.join(\"new.txt\"), directory.join(\"newer.txt\")).unwrap();
            std::fs::remove_file(directory.join(\"newer.txt\")).unwrap();",
    ] {
        assert_done_once(effect);
    }
}

// Crates that cargo does not know.

/// Compiles a crate that says something into a directory, as a user does by hand.
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
fn a_crate_that_cargo_does_not_know_is_this_one() {
    let (scene, dir) = with_handmade();
    for says in ["one", "two", "one"] {
        make_by_hand(&scene.demo, &dir, says);
        scene.assert_anew("");
    }
    // Nothing is kept under such flags, and all under others.
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
fn a_crate_that_cargo_does_not_know_is_for_cargo_what_it_was_in_the_same_target_directory() {
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
fn a_members_script_that_is_there_and_runs_again_sees_no_wrapper() {
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

//! `cargo clippy`, and other programs that cargo puts in front of rustc for members: which of their units must be hits,
//! and which must not.
//!
//! Messages are compared with those of plain cargo in an empty target directory. Compilations are counted by the starts
//! of the real clippy-driver and the real rustc.

use std::path::{Path, PathBuf};

use support::compare::assert_equal_except_freshness;
use support::sandbox::sorted;
use support::{Output, Project, Rustc, Sandbox, tree};

const NONE: [&str; 0] = [];
/// The members of [`Linted`], in the order in which they depend on each other.
const MEMBERS: [&str; 2] = ["voice", "demo"];
/// The external dependencies.
const DEPENDENCIES: [&str; 3] = ["base", "middle", "apex"];

/// Three lints: one that warns by default, one that `clippy.toml` enables, and one that the command line enables.
const VOICE: &str =
    "pub fn voice(_a: u8, _b: u8) -> &'static str { let number = 1u8 as u32; let _ = number; return \"one\"; }";
const MAIN: &str = "fn main() { return println!(\"{} {}\", voice::voice(1, 2), apex::name()); }";
const STRICT: &str = "too-many-arguments-threshold = 1\n";

const NEEDLESS: &str = "unneeded `return` statement";
const TOO_MANY: &str = "this function has too many arguments";

/// A workspace of two members, and a clippy-driver that counts its starts.
struct Linted {
    sandbox: Sandbox,
    project: Project,
    driver: Rustc,
}

impl Linted {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let driver = sandbox.another_rustc(Rustc::clippy);
        let project = workspace(&sandbox);
        let path = std::env::join_paths(
            [bin_dir(&driver)]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").expect("PATH is set"))),
        );
        let project = project.env("PATH", path.expect("PATH can be joined"));
        Self { sandbox, project, driver }
    }

    /// The crates that the counting programs compiled.
    fn compiled(&self) -> Vec<String> {
        let mut compiled: Vec<_> = sorted(self.driver.compilations());
        compiled.extend(self.sandbox.compiled());
        compiled
    }

    fn reset(&self) {
        self.sandbox.reset();
        self.driver.reset();
    }

    /// Asserts that a command in an empty target directory prints what plain cargo prints, and that the driver and
    /// rustc compile these crates. Afterwards plain cargo must find nothing to do.
    #[track_caller]
    fn assert_same_output(&self, project: &Project, command: &[&str], compiled: &[&str]) -> Output {
        let plain = project.in_clean_target(|| project.cargo(command).run());
        self.assert_output(project, command, compiled, &plain)
    }

    /// The same with the known output of plain cargo.
    #[track_caller]
    fn assert_output(&self, project: &Project, command: &[&str], compiled: &[&str], plain: &Output) -> Output {
        project.clean();
        self.reset();
        let ours = project.xcache(command).run();
        let mut expected: Vec<_> = compiled.to_vec();
        expected.sort_unstable();
        let mut found = self.compiled();
        found.sort_unstable();
        assert_eq!(found, expected, "{ours}\n{}", project.report().json());
        assert_equal_except_freshness(&ours, plain, &format!("{command:?}"));
        if ours.status.success() {
            self.reset();
            let again = project.cargo(command).ok();
            assert_eq!(self.compiled(), NONE, "plain cargo, after {ours}\n{again}");
            assert_equal_except_freshness(&again, plain, &format!("{command:?}, again by plain cargo"));
        }
        ours
    }

    /// The same for `cargo clippy`.
    #[track_caller]
    fn assert_lints(&self, arguments: &[&str], compiled: &[&str]) -> Output {
        self.assert_same_output(&self.project, &[&["clippy"], arguments].concat(), compiled)
    }

    /// Asserts that the first lint compiles these crates and the second one none.
    #[track_caller]
    fn warm_up(&self, arguments: &[&str], compiled: &[&[&str]]) -> Output {
        let command = [&["clippy"], arguments].concat();
        let plain = self.project.in_clean_target(|| self.project.cargo(&command).run());
        self.assert_output(&self.project, &command, &compiled.concat(), &plain);
        self.assert_output(&self.project, &command, &NONE, &plain)
    }
}

/// The directory of a program.
fn bin_dir(program: &Rustc) -> PathBuf {
    program.executable().parent().expect("a program is in a directory").to_owned()
}

fn workspace(sandbox: &Sandbox) -> Project {
    let project = sandbox.demo_unlocked("apex = \"1\"\nvoice = { path = \"voice\" }", MAIN);
    project.write("voice/src/lib.rs", VOICE);
    project.write("voice/Cargo.toml", "[package]\nname = \"voice\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    sandbox.lock(&project, &sandbox.chain_registry(), "clippy", &[("base", "1.0.0")]);
    project.env("CARGO_INCREMENTAL", "0")
}

#[test]
fn members_and_dependencies_are_hits_with_the_same_messages() {
    let linted = Linted::new();
    let hit = linted.warm_up(&[], &[&MEMBERS, &DEPENDENCIES]);
    assert_eq!(hit.stderr.matches(NEEDLESS).count(), 2, "{hit}");
    assert_eq!(linted.project.report().hydrated(), ["apex", "base", "demo", "middle", "voice"]);
    let hit = linted.assert_lints(&["--message-format", "json"], &NONE);
    assert!(hit.stdout.contains("clippy::needless_return"), "{hit}");
    // If a crate is linted twice, which of the two prints the duplicates is random.
    for compiled in [&["demo (test)", "voice (test)"][..], &NONE] {
        linted.project.clean();
        linted.reset();
        linted.project.xcache(["clippy", "--workspace", "--all-targets"]).ok();
        assert_eq!(linted.compiled(), compiled);
    }
}

#[test]
fn a_check_does_not_replace_a_lint_nor_a_lint_a_check() {
    let linted = Linted::new();
    let check = |compiled: &[&str]| linted.assert_same_output(&linted.project, &["check", "--workspace"], compiled);
    linted.warm_up(&["--workspace"], &[&MEMBERS, &DEPENDENCIES]);
    let checked = check(&MEMBERS);
    assert!(!checked.stderr.contains(NEEDLESS), "{checked}");
    linted.assert_lints(&["--workspace"], &NONE);
    check(&NONE);
    // In one target directory.
    for round in 0..2 {
        linted.reset();
        let said = linted.project.xcache(["clippy", "--workspace"]).ok().stderr.contains(NEEDLESS);
        let checked = linted.project.xcache(["check", "--workspace"]).ok();
        assert!(said && !checked.stderr.contains(NEEDLESS), "in round {round}: {checked}");
        assert_eq!(linted.compiled(), NONE, "in round {round}");
    }
}

#[test]
fn every_clippy_toml_that_would_be_read_is_an_input() {
    let linted = Linted::new();
    let above = linted.project.dir().parent().expect("a checkout is in a directory").join("clippy.toml");
    let at = |name: &str| linted.project.dir().join(name);
    let assert_warns = |said: &Output, too_many: bool| assert_eq!(said.stderr.contains(TOO_MANY), too_many, "{said}");
    assert_warns(&linted.warm_up(&[], &[&MEMBERS, &DEPENDENCIES]), false);
    // It appears above the workspace, then nearer and nearer. Each time the nearest one is read.
    for (path, strict) in
        [(above, true), (at("clippy.toml"), false), (at(".clippy.toml"), true), (at("voice/clippy.toml"), false)]
    {
        tree::write(&path, if strict { STRICT } else { "too-many-arguments-threshold = 9\n" });
        assert_warns(&linted.warm_up(&[], &[&MEMBERS]), strict);
    }
    linted.project.write("voice/clippy.toml", STRICT);
    assert_warns(&linted.assert_lints(&[], &MEMBERS), true);
    for path in [at("voice/clippy.toml"), at(".clippy.toml")] {
        std::fs::remove_file(path).expect("the file exists");
    }
    linted.project.write("clippy.toml", "too-many-arguments-threshold = 8\n");
    assert_warns(&linted.warm_up(&[], &[&MEMBERS]), false);
}

#[test]
fn a_clippy_toml_in_clippy_conf_dir_is_an_input() {
    let mut linted = Linted::new();
    let directory = linted.sandbox.path("lints");
    linted.warm_up(&[], &[&MEMBERS, &DEPENDENCIES]);
    tree::write(&directory.join("clippy.toml"), STRICT);
    let plain = linted.project.clone();
    linted.project = plain.clone().env("CLIPPY_CONF_DIR", &directory);
    let said = linted.warm_up(&[], &[&MEMBERS]);
    assert!(said.stderr.contains(TOO_MANY), "{said}");
    tree::write(&directory.join("clippy.toml"), "too-many-arguments-threshold = 9\n");
    let said = linted.warm_up(&[], &[&MEMBERS]);
    assert!(!said.stderr.contains(TOO_MANY), "{said}");
    tree::write(&directory.join(".clippy.toml"), STRICT);
    let said = linted.warm_up(&[], &[&MEMBERS]);
    assert!(said.stderr.contains(TOO_MANY), "{said}");
    linted.project = plain;
    let said = linted.warm_up(&[], &[&MEMBERS]);
    assert!(!said.stderr.contains(TOO_MANY), "{said}");
}

#[test]
fn lints_of_the_command_line_are_inputs() {
    let linted = Linted::new();
    linted.warm_up(&[], &[&MEMBERS, &DEPENDENCIES]);
    let casts = ["--", "-W", "clippy::cast_lossless"];
    let said = linted.warm_up(&casts, &[&MEMBERS]);
    assert!(said.stderr.contains("infallibly"), "{said}");
    let said = linted.warm_up(&["--", "-A", "clippy::needless_return"], &[&MEMBERS]);
    assert!(!said.stderr.contains(NEEDLESS), "{said}");
    // A failed lint is never stored.
    for _ in 0..2 {
        let denied = linted.assert_lints(&["--", "-D", "warnings"], &["voice"]).fails();
        assert!(denied.stderr.contains(NEEDLESS), "{denied}");
    }
    linted.assert_lints(&casts, &NONE);
    linted.assert_lints(&[], &NONE);
}

#[test]
fn lints_of_a_manifest_are_inputs() {
    let linted = Linted::new();
    linted.warm_up(&[], &[&MEMBERS, &DEPENDENCIES]);
    let manifest = linted.project.read("voice/Cargo.toml");
    linted.project.write("voice/Cargo.toml", format!("{manifest}[lints.clippy]\nneedless_return = \"allow\"\n"));
    let said = linted.warm_up(&[], &[&MEMBERS]);
    assert_eq!(said.stderr.matches(NEEDLESS).count(), 1, "{said}");
    linted.project.write("voice/Cargo.toml", format!("{manifest}[lints]\nworkspace = true\n"));
    let root = linted.project.read("Cargo.toml");
    let lints = "[workspace.lints.clippy]\nneedless_return = \"deny\"\n";
    linted.project.write("Cargo.toml", format!("{root}\n{lints}"));
    linted.assert_lints(&[], &["voice"]).fails();
    linted.project.write("Cargo.toml", format!("{root}\n{}", lints.replace("deny", "allow")));
    let said = linted.warm_up(&[], &[&MEMBERS]);
    assert_eq!(said.stderr.matches(NEEDLESS).count(), 1, "{said}");
}

#[test]
fn another_driver_with_the_same_name_shares_nothing() {
    let linted = Linted::new();
    linted.warm_up(&[], &[&MEMBERS, &DEPENDENCIES]);
    linted.driver.change();
    linted.warm_up(&[], &[&MEMBERS]);
}

#[test]
fn no_deps_lints_only_the_packages_of_the_command() {
    let linted = Linted::new();
    let voice = ["--no-deps", "-p", "voice"];
    let demo = ["--no-deps", "-p", "demo"];
    let said = linted.warm_up(&demo, &[&MEMBERS, &DEPENDENCIES]);
    assert_eq!(said.stderr.matches(NEEDLESS).count(), 1, "{said}");
    let said = linted.warm_up(&voice, &[&["voice"]]);
    assert_eq!(said.stderr.matches(NEEDLESS).count(), 1, "{said}");
    linted.assert_lints(&demo, &NONE);
    let said = linted.warm_up(&["--workspace", "--no-deps"], &[&["demo"]]);
    assert_eq!(said.stderr.matches(NEEDLESS).count(), 2, "{said}");
}

#[test]
fn a_variable_that_the_driver_reads_is_an_input() {
    let mut linted = Linted::new();
    let project = linted.project.clone();
    // The toolchain's own driver, found as usual.
    linted.project = project.env("PATH", std::env::var_os("PATH").expect("PATH is set"));
    let lints = |linted: &Linted, is_compiled: bool, has_links: bool| {
        let said = linted.assert_lints(&[], if is_compiled { &DEPENDENCIES } else { &NONE });
        assert_eq!(said.stderr.contains("for further information visit"), has_links, "{said}");
        let compiled = linted.project.report().names(|unit| unit.outcome == "miss");
        compiled.into_iter().filter(|name| MEMBERS.contains(&name.as_str())).count()
    };
    assert_eq!(lints(&linted, true, true), 2);
    let plain = linted.project.clone();
    linted.project = plain.clone().env("CLIPPY_DISABLE_DOCS_LINKS", "1");
    assert_eq!(lints(&linted, false, false), 2);
    assert_eq!(lints(&linted, false, false), 0);
    linted.project = plain;
    assert_eq!(lints(&linted, false, true), 2);
    assert_eq!(lints(&linted, false, true), 0);
}

#[test]
fn fix_changes_the_same_sources_as_plain_cargo() {
    let linted = Linted::new();
    let fix = ["clippy", "--fix", "--allow-no-vcs", "--workspace"];
    linted.warm_up(&["--workspace"], &[&MEMBERS, &DEPENDENCIES]);
    let plain = linted.project.clone();
    for round in 0..2 {
        let fixed = linted.project.xcache(fix).ok();
        let (ours, main) = (linted.project.read("voice/src/lib.rs"), linted.project.read("src/main.rs"));
        assert!(!ours.contains("return ") && !main.contains("return "), "in round {round}: {fixed}");
        plain.write("voice/src/lib.rs", VOICE);
        plain.write("src/main.rs", MAIN);
        linted.project.clean();
        plain.cargo(fix).ok();
        assert_eq!((plain.read("voice/src/lib.rs"), plain.read("src/main.rs")), (ours, main), "in round {round}");
        plain.write("voice/src/lib.rs", VOICE);
        plain.write("src/main.rs", MAIN);
        linted.project.clean();
    }
    linted.assert_lints(&["--workspace"], &NONE);
}

#[test]
fn without_observing_members_are_linted_each_time() {
    let mut linted = Linted::new();
    linted.project = linted.project.clone().env("XCACHE_OBSERVE", "off");
    linted.assert_lints(&[], &[&MEMBERS[..], &DEPENDENCIES].concat());
    linted.assert_lints(&[], &MEMBERS);
    assert_eq!(linted.project.report().reasons("voice"), ["absent", "unobserved"]);
}

/// What the driver reads is a condition, whoever installed the driver.
#[test]
fn the_users_own_driver_is_identified_by_its_content_and_what_it_reads() {
    let mut linted = Linted::new();
    let own = linted.sandbox.another_rustc(Rustc::clippy);
    let plain = linted.project.clone();
    let program = own.executable().to_owned();
    let with = |arguments: &str| plain.clone().env("RUSTC_WORKSPACE_WRAPPER", &program).env("CLIPPY_ARGS", arguments);
    let quiet = "-Aclippy::needless_return__CLIPPY_HACKERY__";
    linted.project = with("");
    linted.driver = own;
    let check = |linted: &Linted, compiled: &[&str]| {
        let said = linted.assert_same_output(&linted.project, &["check"], compiled);
        said.stderr.contains(NEEDLESS)
    };
    let compiled = [&MEMBERS[..], &DEPENDENCIES].concat();
    assert!(check(&linted, &compiled));
    assert!(check(&linted, &NONE));
    linted.project = with(quiet);
    assert!(!check(&linted, &MEMBERS));
    assert!(!check(&linted, &NONE));
    linted.driver.change();
    assert!(!check(&linted, &MEMBERS));
    assert!(!check(&linted, &NONE));
    append(&program.parent().and_then(Path::parent).expect("the program is in a toolchain").join("script"));
    assert!(!check(&linted, &MEMBERS));
    assert!(!check(&linted, &NONE));
    // rustc alone, and then the driver again.
    linted.project = plain.clone();
    assert!(!check(&linted, &MEMBERS));
    linted.project = with(quiet);
    assert!(!check(&linted, &NONE));
}

fn append(path: &Path) {
    let text = std::fs::read_to_string(path).expect("the script exists");
    tree::write(path, format!("{text}\n# and more\n"));
}

/// The driver also links: macros of members, and the programs of their build scripts, which run each time.
#[test]
fn macros_and_scripts_of_members_are_hits_per_driver() {
    let linted = Linted::new();
    let project = &linted.project;
    project.edit("Cargo.toml", "[dependencies]", "[dependencies]\nmacros = { path = \"macros\" }");
    project.write(
        "macros/Cargo.toml",
        "[package]\nname = \"macros\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n",
    );
    let answer =
        "pub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream { return \"42\".parse().unwrap(); }";
    project.write("macros/src/lib.rs", format!("#[proc_macro] {answer}"));
    project.write("build.rs", "fn main() { println!(\"cargo::rustc-env=TOLD=script\") }");
    // The order of messages of independent crates is random.
    project.write("voice/src/lib.rs", "pub fn voice(a: u8, b: u8) -> u8 { a + b }");
    let main = "fn main() { println!(\"{} {} {}\", voice::voice(1, macros::answer!()), apex::name(), env!(\"TOLD\")) }";
    project.write("src/main.rs", main);
    project.cargo(["metadata", "--format-version=1"]).ok();
    let members = ["demo", "demo (build script)", "macros", "voice"];
    let said = linted.warm_up(&[], &[&members, &DEPENDENCIES]);
    assert_eq!(said.stderr.matches(NEEDLESS).count(), 1, "{said}");
    linted.assert_same_output(project, &["check"], &members);
    linted.assert_same_output(project, &["check"], &NONE);
    linted.assert_lints(&[], &NONE);
    linted.driver.change();
    linted.warm_up(&[], &[&members]);
    linted.assert_same_output(project, &["check"], &NONE);
}

#[test]
fn a_changed_dependency_recompiles_the_members_that_depend_on_it() {
    let linted = Linted::new();
    linted.warm_up(&[], &[&MEMBERS, &DEPENDENCIES]);
    linted.project.cargo(["update", "--package", "base"]).ok();
    linted.project.cargo(["fetch"]).ok();
    linted.warm_up(&[], &[&["demo"], &DEPENDENCIES]);
}

//! Incremental compilation, kept as cargo would have it, or stripped. Both are cached, separately. Where it is kept,
//! only compilations that start from nothing are cached. Unless a test sets `CI`, it runs in the environment of a
//! developer, without that variable.

use std::path::PathBuf;

use support::{Invocation, Output, Project, Sandbox, by_form, registry, tree};

const NONE: [&str; 0] = [];

/// The members of [`project`].
const MEMBERS: [&str; 2] = ["demo", "voice"];

const MAIN: &str = "fn main() { println!(\"{} {}\", voice::voice(), apex::name()); }";

/// A workspace of a program and a library, which uses [`registry::chain`].
fn project(sandbox: &Sandbox) -> Project {
    let project = sandbox.demo_unlocked(&format!("{}\nvoice = {{ path = \"voice\" }}", registry::CHAIN), MAIN);
    project.write("voice/Cargo.toml", "[package]\nname = \"voice\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    project.write("voice/src/lib.rs", "pub fn voice() -> &'static str { \"one\" }");
    sandbox.lock(&project, &sandbox.chain_registry(), "incremental", &[]);
    project
}

/// Asserts that the command compiles members incrementally, and only once; then there is nothing to do, neither for
/// xcache nor for cargo.
#[track_caller]
fn assert_kept(sandbox: &Sandbox, project: &Project, build: impl Fn() -> Invocation) {
    project.empty_store();
    let output = clean_build(sandbox, project, &build);
    assert!(has_state(project), "{output}");
    assert!(MEMBERS.iter().all(|name| sandbox.compiled().contains(&(*name).to_owned())), "{output}");
    let output = clean_build(sandbox, project, &build);
    assert_eq!(sandbox.compiled(), NONE, "{output}");
    assert!(!has_state(project), "nothing was compiled: {output}");
    assert!(MEMBERS.iter().all(|name| project.report().packages("hit").contains(&(*name).to_owned())), "{output}");
    assert_eq!(project.run_binary("demo").split(' ').next(), Some("one"));
    let plain = || project.cargo(["build"]).env("CARGO_INCREMENTAL", "1");
    sandbox.reset();
    for again in [build().ok(), plain().ok(), build().ok()] {
        assert_eq!(sandbox.compiled(), NONE, "{again}");
    }
}

/// Asserts that the command compiles members without incremental compilation, and only once; then there is nothing to
/// do.
#[track_caller]
fn assert_stripped(sandbox: &Sandbox, project: &Project, build: impl Fn() -> Invocation) {
    clean_build(sandbox, project, &build);
    let output = clean_build(sandbox, project, &build);
    assert_eq!(sandbox.compiled(), NONE, "{output}");
    assert!(!has_state(project), "{output}");
    assert!(MEMBERS.iter().all(|name| project.report().packages("hit").contains(&(*name).to_owned())), "{output}");
    assert_eq!(project.run_binary("demo").split(' ').next(), Some("one"));
    let plain = || project.cargo(["build"]).env("CARGO_INCREMENTAL", "0");
    sandbox.reset();
    for again in [build().ok(), plain().ok(), build().ok()] {
        assert_eq!(sandbox.compiled(), NONE, "{again}");
    }
}

#[track_caller]
fn clean_build(sandbox: &Sandbox, project: &Project, build: impl Fn() -> Invocation) -> Output {
    project.clean();
    sandbox.reset();
    build().ok()
}

/// Whether anything was compiled incrementally.
fn has_state(project: &Project) -> bool {
    let state = project.target().join("debug/incremental");
    state.is_dir() && !tree::children(&state).is_empty()
}

/// Whether plain cargo compiles incrementally with these variables. From 1.100 on, it does not if `CI` is set, unless
/// `CARGO_INCREMENTAL` or the like says so.
fn is_incremental(sandbox: &Sandbox, project: &Project, variables: &[(&str, &str)]) -> bool {
    let build = || variables.iter().fold(project.cargo(["build"]), |build, (name, value)| build.env(name, value));
    clean_build(sandbox, project, build);
    has_state(project)
}

fn strip(project: &Project) -> Invocation {
    project.xcache(["--incremental", "strip", "build"])
}

fn keep(project: &Project) -> Invocation {
    project.xcache(["--incremental", "keep", "build"])
}

#[test]
fn outside_of_ci_members_are_compiled_incrementally_and_cached() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    assert_kept(&sandbox, &project, || project.xcache(["build"]));
    let values = ["", "false"];
    for ci in by_form(&values[..1], &values).iter().filter(|ci| is_incremental(&sandbox, &project, &[("CI", ci)])) {
        assert_kept(&sandbox, &project, || project.xcache(["build"]).env("CI", ci));
    }
}

#[test]
fn in_ci_members_are_compiled_without_incremental_compilation_and_cached() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    assert_stripped(&sandbox, &project, || project.xcache(["build"]).env("CI", "true"));
}

#[test]
fn the_setting_can_be_a_flag_a_variable_or_in_a_file() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    if is_incremental(&sandbox, &project, &[("CI", "true")]) {
        assert_kept(&sandbox, &project, || keep(&project).env("CI", "true"));
        assert_kept(&sandbox, &project, || {
            project.xcache(["build"]).env("XCACHE_INCREMENTAL", "keep").env("CI", "true")
        });
    }
    assert_kept(&sandbox, &project, || keep(&project));
    assert_stripped(&sandbox, &project, || strip(&project).env("XCACHE_INCREMENTAL", "keep"));
    project.write(".config/xcache.toml", "incremental = \"strip\"\n");
    assert_stripped(&sandbox, &project, || project.xcache(["build"]).env("CI", "false"));
}

#[test]
fn an_invalid_setting_gets_a_warning_that_names_it() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    let output = project.xcache(["--incremental", "perhaps", "build"]).ok();
    assert!(output.warnings().iter().any(|line| line.contains("incremental")), "{output}");
}

#[test]
fn a_variable_of_cargo_takes_precedence() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    let variables =
        [("CARGO_INCREMENTAL", "1"), ("CARGO_BUILD_INCREMENTAL", "true"), ("CARGO_PROFILE_DEV_INCREMENTAL", "true")];
    let is_effective = |variable: &(&str, &str)| is_incremental(&sandbox, &project, &[*variable, ("CI", "true")]);
    for (name, value) in variables.into_iter().take(by_form(2, 3)).filter(is_effective) {
        assert_kept(&sandbox, &project, || strip(&project).env(name, value).env("CI", "true"));
    }
}

#[test]
fn a_config_option_of_cargo_takes_precedence() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    project.write("other.toml", "build.incremental = true\n");
    let configs = ["other.toml", "profile.dev.incremental=true", "build.incremental=true"];
    for config in by_form(&configs[..2], &configs) {
        assert_kept(&sandbox, &project, || strip(&project).arg("--config").arg(config));
    }
    assert_stripped(&sandbox, &project, || keep(&project).arg("--config=build.incremental=false"));
}

#[test]
fn the_setting_takes_precedence_over_manifests_and_configuration_files() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    project.edit("Cargo.toml", "[dependencies]", "[profile.dev]\nincremental = true\n[dependencies]");
    assert_stripped(&sandbox, &project, || strip(&project));
    let config = project.read(".cargo/config.toml");
    project.write(
        ".cargo/config.toml",
        format!("{config}\n[build]\nincremental = true\n[profile.dev]\nincremental = true\n"),
    );
    assert_stripped(&sandbox, &project, || strip(&project));
    assert_kept(&sandbox, &project, || keep(&project));
}

#[test]
fn a_release_build_is_shared_between_both_settings() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    keep(&project).arg("--release").ok();
    for build in [strip, keep] {
        let output = clean_build(&sandbox, &project, || build(&project).arg("--release"));
        assert_eq!(sandbox.compiled(), NONE, "{output}");
    }
    for build in [strip, keep, strip] {
        let output = build(&project).arg("--release").ok();
        assert_eq!(sandbox.compiled(), NONE, "{output}");
    }
}

#[test]
fn checks_and_tests_are_stripped_like_builds() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    project.write("voice/tests/all.rs", "#[test] fn it_speaks() { assert_eq!(voice::voice(), \"one\"); }");
    for command in [&["check"][..], &["test", "--workspace"]] {
        let run = || project.xcache(command).env("CI", "true");
        clean_build(&sandbox, &project, run);
        let output = clean_build(&sandbox, &project, run);
        assert_eq!(sandbox.compiled(), NONE, "{command:?}: {output}");
        assert!(!has_state(&project), "{command:?}");
    }
}

#[test]
fn clippy_and_builds_without_a_store_are_stripped_like_builds() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    clean_build(&sandbox, &project, || project.xcache(["clippy"]).env("CI", "true"));
    assert!(!has_state(&project));
    clean_build(&sandbox, &project, || project.xcache(["clippy"]).env("CI", "true"));
    assert_eq!(project.report().names(|unit| unit.outcome != "hit"), NONE);
    project.write("no-directory", "");
    let output = clean_build(&sandbox, &project, || strip(&project).env("XCACHE_DIR", "no-directory"));
    assert!(!output.warnings().is_empty(), "{output}");
    assert!(!has_state(&project));
}

#[test]
fn a_changed_member_is_compiled() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    strip(&project).ok();
    for (from, to, is_empty) in [("one", "two", false), ("two", "six", true)] {
        project.edit("voice/src/lib.rs", from, to);
        if is_empty {
            project.clean();
        }
        sandbox.reset();
        let output = strip(&project).ok();
        assert_eq!(sandbox.compiled(), MEMBERS, "{output}");
        assert_eq!(project.run_binary("demo").split(' ').next(), Some(to));
    }
}

#[test]
fn units_recorded_stripped_are_not_used_when_incremental_compilation_is_kept() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    strip(&project).ok();
    clean_build(&sandbox, &project, || keep(&project));
    assert_eq!(sandbox.compiled(), MEMBERS);
    for build in [strip, keep] {
        let output = clean_build(&sandbox, &project, || build(&project));
        assert_eq!(sandbox.compiled(), NONE, "{output}");
    }
}

/// The files in the store, with their sizes.
fn stored(project: &Project) -> Vec<(PathBuf, u64)> {
    let directories = ["v1/unit", "v1/file", "v1/known"].map(|name| project.store().join(name));
    let size = |path: PathBuf| {
        let size = path.metadata().expect("the file exists").len();
        (path, size)
    };
    let mut stored: Vec<_> = directories.iter().flat_map(|directory| tree::files(directory)).map(size).collect();
    stored.sort();
    stored
}

/// Asserts that a build in the same target directory compiles these crates, and that the program prints this.
#[track_caller]
fn assert_says(sandbox: &Sandbox, project: &Project, said: &str, compiled: &[&str]) {
    sandbox.reset();
    let output = keep(project).ok();
    assert_eq!(sandbox.compiled(), compiled, "{output}");
    assert_eq!(project.run_binary("demo").split(' ').next(), Some(said), "{output}");
    sandbox.assert_nothing_to_do(project, &["build"]);
}

#[test]
fn an_edit_continues_from_the_last_compilation_and_stores_nothing() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    keep(&project).ok();
    let before = stored(&project);
    assert!(!before.is_empty());
    for (from, to) in [("one", "two"), ("two", "three"), ("three", "four")] {
        project.edit("voice/src/lib.rs", from, to);
        assert_says(&sandbox, &project, to, &MEMBERS);
        assert_eq!(stored(&project), before);
    }
    project.edit("voice/src/lib.rs", "four", "five");
    keep(&project).ok();
    assert_eq!(MEMBERS.map(|name| project.report().reasons(name).join(" ")), ["absent incremental"; 2]);
    // Such outputs are not in the store.
    project.clean();
    assert_says(&sandbox, &project, "five", &MEMBERS);
}

#[test]
fn an_edit_after_a_hit_starts_from_nothing_and_the_next_edit_continues_from_it() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    keep(&project).ok();
    project.clean();
    assert_says(&sandbox, &project, "one", &[]);
    let before = stored(&project);
    project.edit("voice/src/lib.rs", "one", "two");
    assert_says(&sandbox, &project, "two", &MEMBERS);
    assert!(has_state(&project));
    let first = stored(&project);
    assert_ne!(first, before, "it started from nothing");
    project.edit("voice/src/lib.rs", "two", "six");
    assert_says(&sandbox, &project, "six", &MEMBERS);
    assert_eq!(stored(&project), first);
    // The first compilation is a hit, whatever state later compilations left.
    for (from, to) in [("six", "two"), ("two", "one"), ("one", "two")] {
        project.edit("voice/src/lib.rs", from, to);
        assert_says(&sandbox, &project, to, &[]);
    }
    assert_eq!(stored(&project), first);
    project.edit("voice/src/lib.rs", "two", "ten");
    assert_says(&sandbox, &project, "ten", &MEMBERS);
    project.clean();
    project.edit("voice/src/lib.rs", "ten", "two");
    assert_says(&sandbox, &project, "two", &[]);
}

#[test]
fn the_first_hit_in_plain_cargos_target_directory_is_right() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    keep(&project).ok();
    project.clean();
    project.edit("voice/src/lib.rs", "one", "two");
    project.cargo(["build"]).ok();
    assert_eq!(project.run_binary("demo").split(' ').next(), Some("two"));
    project.edit("voice/src/lib.rs", "two", "one");
    keep(&project).ok();
    assert_eq!(project.run_binary("demo").split(' ').next(), Some("one"));
    sandbox.assert_nothing_to_do(&project, &["build"]);
    project.edit("voice/src/lib.rs", "one", "six");
    for build in [project.cargo(["build"]), keep(&project)] {
        build.ok();
        assert_eq!(project.run_binary("demo").split(' ').next(), Some("six"));
    }
}

#[test]
fn each_command_compiles_its_own_crate_from_nothing_in_one_target_directory() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    project.write("voice/tests/all.rs", "#[test] fn it_speaks() { assert_eq!(voice::voice(), \"one\"); }");
    let commands: [&[&str]; 3] = [&["build"], &["check"], &["test", "--workspace"]];
    let run = |command: &[&str]| project.xcache(["--incremental", "keep"].iter().chain(command)).ok();
    // All in one target directory, with several crates of the same name.
    commands.iter().for_each(|command| drop(run(command)));
    for command in commands {
        project.clean();
        sandbox.reset();
        let output = run(command);
        assert_eq!(sandbox.compiled(), NONE, "{command:?}: {output}");
        sandbox.assert_nothing_to_do(&project, command);
    }
}

#[test]
fn a_unit_made_incremental_by_the_users_own_flag_is_not_cached() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    let state = sandbox.path("state");
    let flags = format!("-Cincremental={}", state.display());
    let build = || strip(&project).env("RUSTFLAGS", &flags);
    for _ in 0..2 {
        let output = clean_build(&sandbox, &project, build);
        assert!(MEMBERS.iter().all(|name| sandbox.compiled().contains(&(*name).to_owned())), "{output}");
        assert!(!tree::children(&state).is_empty());
    }
    assert_eq!(project.report().reasons("voice"), ["absent", "incremental"]);
}

#[test]
fn both_settings_alternate_in_one_target_directory() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    let plain = |project: &Project| project.cargo(["build"]);
    let compiled_by = |build: &dyn Fn(&Project) -> Invocation, said: &str| {
        sandbox.reset();
        let output = build(&project).ok();
        assert_eq!(project.run_binary("demo").split(' ').next(), Some(said), "{output}");
        sandbox.compiled()
    };
    strip(&project).ok();
    assert_eq!(compiled_by(&plain, "one"), MEMBERS, "plain cargo has no units of its own yet");
    for build in [strip, keep, plain, strip, strip, plain, keep, keep] {
        assert_eq!(compiled_by(&build, "one"), NONE);
    }
    project.edit("voice/src/lib.rs", "one", "two");
    assert_eq!(compiled_by(&keep, "two"), MEMBERS);
    assert_eq!(compiled_by(&strip, "two"), MEMBERS);
    for build in [plain, strip, keep] {
        assert_eq!(compiled_by(&build, "two"), NONE);
    }
}

#[test]
fn a_stripped_build_looks_like_cargo_without_incremental_compilation() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    let compare = |arguments: &[&str]| {
        let builds = [project.cargo(["build"]).env("CARGO_INCREMENTAL", "0"), strip(&project)];
        let outputs = builds.map(|build| {
            let build = arguments.iter().fold(build, |build, argument| build.arg(argument));
            project.clean();
            project.empty_store();
            let output = build.run();
            let mut lines: Vec<_> = output.cargo_stderr().lines().map(str::to_owned).collect();
            lines.sort();
            (output.code(), output.stdout, lines, built(&project))
        });
        assert_eq!(outputs[0], outputs[1]);
        outputs[0].0
    };
    assert_eq!(compare(&[]), Some(0));
    project.edit("voice/src/lib.rs", "\"one\"", "1");
    // Alone, because it is random how far other units get before cargo stops.
    assert_eq!(compare(&["--package", "voice"]), Some(101));
}

/// The names of all built files.
fn built(project: &Project) -> Vec<PathBuf> {
    let profile = project.target().join("debug");
    let names = tree::files(&profile)
        .into_iter()
        .map(|path| path.strip_prefix(&profile).expect("the file is below the profile's directory").to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn build_scripts_and_programs_do_not_see_the_setting() {
    let sandbox = Sandbox::new();
    let project = project(&sandbox);
    let seen = "std::env::vars().find(|(name, _)| name.ends_with(\"INCREMENTAL\"))";
    project.write("build.rs", format!("fn main() {{ assert_eq!({seen}, None); }}"));
    project.write("src/main.rs", format!("fn main() {{ println!(\"{{:?}}\", {seen}); }}"));
    let output = project.xcache(["run"]).env("CI", "true").ok();
    assert_eq!(output.stdout, "None\n");
    assert!(!has_state(&project), "{output}");
}

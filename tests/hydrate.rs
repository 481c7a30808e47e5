//! Hydration: cargo finds the units fresh, and starts neither rustc nor a build script for them.
//!
//! Both are counted where they start: rustc by the executable that `RUSTC` names, and build scripts by themselves. The
//! report is read only where the test is about the report.

use std::fs;
use std::path::Path;

use support::registry::{MIXED_OUTPUT, MIXED_UNITS};
use support::{Invocation, Output, Package, Project, Sandbox, Tool, by_form, is_available, require, tree};

const NONE: [&str; 0] = [];
const NO_FILES: [std::path::PathBuf; 0] = [];
/// The crates that rustc compiles when the workspace is built from nothing, without the workspace's own program.
const COMPILED: [&str; 9] = [
    "configured",
    "configured (build script)",
    "derive",
    "generated",
    "generated (build script)",
    "leaf",
    "middle",
    "template",
    "top",
];
const SCRIPTS: [&str; 2] = ["configured", "generated"];

/// The workspace of [`Sandbox::mixed`]. Members are compiled each time, to tell them from hydrated units.
fn mixed(sandbox: &Sandbox) -> Project {
    sandbox.mixed().env("XCACHE_MEMBERS", "off")
}

/// A sandbox whose store has what a command builds, and a workspace with an empty target directory.
fn warm(command: &[&str]) -> (Sandbox, Project) {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox);
    demo.xcache(command).ok();
    assert_eq!(sandbox.compiled_externals(), COMPILED);
    assert_eq!(sandbox.scripts_run(), SCRIPTS);
    demo.clean();
    sandbox.reset();
    (sandbox, demo)
}

/// Asserts that since the last reset no process was started except for members.
#[track_caller]
fn assert_no_process(sandbox: &Sandbox, when: &str) {
    assert_eq!(sandbox.compiled_externals(), NONE, "{when}");
    assert_eq!(sandbox.scripts_run(), NONE, "{when}");
}

/// Asserts that a build into an empty target directory starts no process for a dependency, and leaves nothing to do.
#[track_caller]
fn assert_hydrates(sandbox: &Sandbox, demo: &Project, command: &[&str]) -> Output {
    demo.clean();
    sandbox.reset();
    let output = demo.xcache(command).ok();
    assert_no_process(sandbox, &format!("{command:?}"));
    sandbox.assert_nothing_to_do(demo, command);
    output
}

/// The output of the program of a profile.
#[track_caller]
fn said(demo: &Project, target: &Path, profile: &str) -> String {
    demo.program(target.join(profile).join("demo"), NONE).ok().stdout
}

/// Asserts that plain cargo compiles the member against the existing units, and that the program works.
#[track_caller]
fn assert_linkable(sandbox: &Sandbox, demo: &Project) {
    demo.write("src/main.rs", format!("{}\n// touched", demo.read("src/main.rs")));
    sandbox.reset();
    demo.cargo(["build"]).ok();
    assert_eq!(sandbox.compiled(), ["demo"]);
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
}

#[track_caller]
fn assert_commands_hydrate(profile: &str, arguments: &[&str]) {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox);
    let commands: [&[&str]; 3] = [&["build"], &["check"], &["test", "--no-run"]];
    let commands = commands.map(|command| [command, arguments].concat());
    for command in &commands {
        demo.xcache(command).ok();
    }
    for command in &commands {
        assert_hydrates(&sandbox, &demo, command);
        sandbox.assert_nothing_started(&demo, &command.iter().map(|word| &**word).collect::<Vec<_>>());
        if command[0] == "build" {
            assert_eq!(said(&demo, &demo.target(), profile), MIXED_OUTPUT);
        }
    }
}

#[test]
fn a_dev_build_starts_no_process_for_a_dependency() {
    assert_commands_hydrate("debug", &[]);
}

#[test]
fn a_release_build_starts_no_process_for_a_dependency() {
    assert_commands_hydrate("release", &["--release"]);
}

#[test]
fn only_members_are_compiled() {
    let (sandbox, demo) = warm(&["build"]);
    demo.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled(), ["demo"]);
    demo.clean();
    sandbox.reset();
    let output = demo.xcache(["test"]).ok();
    assert!(output.stdout.contains("test the_top_is_there ... ok"), "{output}");
    assert_eq!(sandbox.compiled(), ["demo (test)"]);
    assert_eq!(sandbox.scripts_run(), NONE);
}

#[test]
fn clippy_and_run_start_no_process_for_a_dependency() {
    let (sandbox, demo) = warm(&["build"]);
    let output = assert_hydrates(&sandbox, &demo, &["run"]);
    assert_eq!(output.stdout, MIXED_OUTPUT);
    demo.clean();
    demo.xcache(["clippy"]).ok();
    assert_hydrates(&sandbox, &demo, &["clippy"]);
}

#[test]
fn the_report_counts_hydrated_units() {
    let (_sandbox, demo) = warm(&["build"]);
    demo.xcache(["build"]).ok();
    let report = demo.report();
    assert_eq!(report.hydrated(), MIXED_UNITS);
    assert_eq!(report.names(|unit| unit.outcome == "hit"), MIXED_UNITS);
    let totals = ["hydrated", "hits", "rejected", "misses"].map(|name| report.total(name));
    assert_eq!(totals, [11, 11, 0, 0], "{}", report.json());
    let (hydrated, built) = (report.phase("hydrate"), report.phase("build"));
    assert!(hydrated.1 <= built.1, "cargo did not wait for hydration: {hydrated:?}, {built:?}");
    demo.xcache(["build"]).ok();
    let report = demo.report();
    assert_eq!(report.hydrated(), NONE, "there was nothing to hydrate");
    assert_eq!(report.total("rejected"), 0, "{}", report.json());
}

#[test]
fn a_build_log_in_the_workspace_is_not_taken_for_a_scripts_output() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox);
    let binary = support::xcache_binary();
    // The log grows during the whole build.
    let logged = format!(
        "while :; do echo . >> build.log; sleep 0.01; done & '{}' xcache build >> build.log 2>&1; code=$?; kill $!; exit $code",
        binary.display()
    );
    demo.program("sh", ["-c", &logged]).ok();
    assert_eq!(sandbox.scripts_run(), SCRIPTS);
    assert_hydrates(&sandbox, &demo, &["build"]);
}

#[test]
fn a_command_hydrates_what_another_command_built() {
    let (sandbox, demo) = warm(&["build"]);
    assert_hydrates(&sandbox, &demo, &["test", "--no-run"]);
    // A check has its own libraries, and shares macros, scripts and runs with a build.
    demo.clean();
    sandbox.reset();
    demo.xcache(["check"]).ok();
    assert_eq!(sandbox.compiled_externals(), ["configured", "generated", "leaf", "middle", "top"]);
    assert_eq!(sandbox.scripts_run(), NONE);
    sandbox.assert_nothing_to_do(&demo, &["check"]);
}

#[test]
fn only_a_bumped_dependency_and_its_dependents_are_compiled() {
    let (sandbox, demo) = warm(&["build"]);
    demo.cargo(["update", "--package", "middle", "--precise", "1.0.1"]).ok();
    demo.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled(), ["demo", "middle", "top"]);
    assert_eq!(sandbox.scripts_run(), NONE);
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT.replace("1.0.0", "1.0.1"));
    let report = demo.report();
    assert_eq!(report.packages("miss"), ["middle", "top"]);
    let others: Vec<_> = MIXED_UNITS.into_iter().filter(|name| !["middle", "top"].contains(name)).collect();
    assert_eq!(report.hydrated(), others);
    assert_eq!(report.total("rejected"), 0, "{}", report.json());
    sandbox.assert_nothing_to_do(&demo, &["build"]);
}

#[test]
fn a_unit_missing_from_the_store_is_recompiled_and_fits_the_hydrated_units() {
    let (sandbox, demo) = warm(&["build"]);
    demo.xcache(["build"]).ok();
    let report = demo.report();
    // The recompiled unit is the same, so its dependents are not compiled: the wrapper restores them, and a script that
    // cargo starts because of the new unit is replayed.
    let losses: [(&str, &[&str], &[&str]); 5] = [
        ("middle", &["middle"], &[]),
        ("configured (build script)", &["configured (build script)"], &[]),
        ("generated (run)", &[], &["generated"]),
        ("derive", &["derive"], &[]),
        ("template", &["template"], &[]),
    ];
    for (lost, compiled, run) in by_form(&losses[..3], &losses).iter().copied() {
        demo.forget_entry(&report.key_of(lost));
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).ok();
        assert_eq!(sandbox.compiled_externals(), compiled, "{lost} was lost");
        assert_eq!(sandbox.scripts_run(), run, "{lost} was lost");
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT, "{lost} was lost");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
    assert_hydrates(&sandbox, &demo, &["build"]);
}

#[test]
fn a_target_directory_with_units_of_plain_cargo_is_completed() {
    let (sandbox, demo) = warm(&["build"]);
    let selections: [&[&str]; 4] = [&["configured", "generated"], &["derive", "leaf"], &["leaf"], &["middle"]];
    for packages in by_form(&selections[..2], &selections) {
        demo.clean();
        let packages: Vec<_> = packages.iter().flat_map(|package| ["--package", package]).collect();
        demo.cargo(["build"].into_iter().chain(packages.iter().copied())).ok();
        demo.xcache(["build"]).ok();
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT, "{packages:?}");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn a_target_directory_of_plain_cargo_is_left_alone() {
    let commands: [&[&str]; 3] = [&["build"], &["check"], &["build", "--release"]];
    for command in by_form(&commands[..2], &commands).iter().copied() {
        let (sandbox, demo) = warm(command);
        demo.cargo(command).ok();
        sandbox.assert_nothing_started(&demo, command);
        let report = demo.report();
        assert_eq!(report.hydrated(), NONE, "{command:?}");
        assert_eq!(report.total("rejected"), 0, "{command:?}");
    }
}

#[test]
fn a_target_directory_with_units_of_xcache_is_completed() {
    let (sandbox, demo) = warm(&["build"]);
    let packages = ["generated", "middle", "leaf", "configured"];
    for package in by_form(&packages[..2], &packages).iter().copied() {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build", "--package", package]).ok();
        demo.xcache(["build"]).ok();
        assert_no_process(&sandbox, package);
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT, "{package}");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
    }
}

/// Packages to be cleaned, each of another kind: a library with a script, a macro, libraries with and without
/// dependencies.
const CLEANED: [&str; 4] = ["generated", "derive", "leaf", "middle"];

#[test]
fn cleaned_packages_are_hydrated_again() {
    let (sandbox, demo) = warm(&["build"]);
    demo.xcache(["build"]).ok();
    for package in by_form(&CLEANED[..2], &CLEANED).iter().copied() {
        demo.cargo(["clean", "--package", package]).ok();
        sandbox.reset();
        demo.xcache(["build"]).ok();
        assert_no_process(&sandbox, package);
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT, "{package}");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn plain_cargo_compiles_cleaned_packages_and_their_dependents() {
    let (sandbox, demo) = warm(&["build"]);
    for package in by_form(&CLEANED[..2], &CLEANED).iter().copied() {
        demo.clean();
        demo.xcache(["build"]).ok();
        demo.cargo(["clean", "--package", package]).ok();
        demo.cargo(["build"]).ok();
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT, "{package}");
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn only_a_touched_member_is_built_after_hydration() {
    let (sandbox, demo) = warm(&["build"]);
    demo.xcache(["build"]).ok();
    let touch = |word: &str| demo.write("src/main.rs", format!("{}\n// {word}", demo.read("src/main.rs")));
    for (word, command) in [("once", demo.cargo(["build"])), ("twice", demo.xcache(["build"]))] {
        touch(word);
        sandbox.reset();
        command.ok();
        assert_eq!(sandbox.compiled(), ["demo"], "touched {word}");
        assert_eq!(sandbox.scripts_run(), NONE, "touched {word}");
    }
    sandbox.assert_nothing_to_do(&demo, &["build"]);
}

/// Another cargo home, checkout and build directory; the first ones are removed.
fn elsewhere() -> (Sandbox, Project) {
    let (sandbox, demo) = warm(&["build"]);
    let other = mixed(&sandbox).with_cargo_home(&sandbox.another_cargo_home());
    other.cargo(["fetch"]).ok();
    for dir in [demo.dir().to_owned(), sandbox.cargo_home()] {
        fs::remove_dir_all(dir).expect("the directory can be removed");
    }
    sandbox.reset();
    (sandbox, other)
}

/// Asserts that a build elsewhere, into `target`, hydrates everything and leaves nothing to do.
#[track_caller]
fn assert_hydrates_elsewhere(sandbox: &Sandbox, other: &Project, target: &Path, command: &[&str]) {
    other.xcache(command).ok();
    assert_no_process(sandbox, &format!("{command:?}"));
    assert_eq!(said(other, target, "debug"), MIXED_OUTPUT);
    sandbox.assert_nothing_to_do(other, command);
    other.write("src/main.rs", format!("{}\n// touched", other.read("src/main.rs")));
    sandbox.reset();
    other.cargo(command).ok();
    assert_eq!(sandbox.compiled(), ["demo"]);
    assert_eq!(sandbox.scripts_run(), NONE);
}

#[test]
fn other_roots_start_no_process_for_a_dependency() {
    let (sandbox, other) = elsewhere();
    assert_hydrates_elsewhere(&sandbox, &other, &other.target(), &["build"]);
}

#[test]
fn other_roots_and_a_target_directory_by_flag_start_no_process_for_a_dependency() {
    let (sandbox, other) = elsewhere();
    let target = sandbox.path("the-target-of-somebody-else");
    let flag = target.to_str().expect("a plain path");
    assert_hydrates_elsewhere(&sandbox, &other, &target, &["build", "--target-dir", flag]);
}

#[test]
fn other_roots_and_a_target_directory_by_variable_start_no_process_for_a_dependency() {
    let (sandbox, other) = elsewhere();
    let target = sandbox.path("the-target-of-somebody-else");
    assert_hydrates_elsewhere(&sandbox, &other.env("CARGO_TARGET_DIR", &target), &target, &["build"]);
}

#[test]
fn other_roots_and_a_separate_build_directory_start_no_process_for_a_dependency() {
    let (sandbox, other) = elsewhere();
    let (build, target) = (sandbox.path("intermediate"), other.target());
    assert_hydrates_elsewhere(&sandbox, &other.env("CARGO_BUILD_BUILD_DIR", &build), &target, &["build"]);
    assert_ne!(tree::fingerprints(&build), NO_FILES, "cargo does not use {}", build.display());
    assert_eq!(tree::fingerprints(&target), NO_FILES, "the build directory was not used");
}

#[test]
fn a_named_target_is_hydrated() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox);
    let host = demo.host();
    let command = ["build", "--target", &host];
    demo.xcache(command).ok();
    assert_hydrates(&sandbox, &demo, &command);
    assert_eq!(said(&demo, &demo.target().join(&host), "debug"), MIXED_OUTPUT);
}

#[test]
fn a_custom_profile_is_hydrated() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox);
    let command = ["build", "--profile", "custom"];
    demo.xcache(command).ok();
    assert_hydrates(&sandbox, &demo, &command);
    assert_eq!(said(&demo, &demo.target(), "custom"), MIXED_OUTPUT);
}

#[test]
fn a_read_only_store_is_enough_to_hydrate() {
    let (sandbox, demo) = warm(&["build"]);
    let mount = "mount --bind \"$place\" \"$place\"; mount -o remount,bind,ro \"$place\"";
    let Some(xcache) = require(Tool::Mounts, demo.xcache_with_mount(&sandbox.store(), mount)) else { return };
    xcache.arg("build").ok();
    assert_no_process(&sandbox, "from a read-only store");
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
    sandbox.assert_nothing_to_do(&demo, &["build"]);
}

#[test]
fn a_store_on_another_file_system_is_enough_to_hydrate() {
    let sandbox = Sandbox::new();
    let Some(dir) = require(Tool::OtherFileSystem, sandbox.another_file_system()) else { return };
    let demo = mixed(&sandbox).with_store(&dir.path().join("store"));
    demo.xcache(["build"]).ok();
    assert_hydrates(&sandbox, &demo, &["build"]);
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
}

/// Fills a store and hydrates from it, all on a file system in the file `$1`, and prints by how many bytes hydration
/// made it grow.
const ON_ITS_OWN_FILE_SYSTEM: &str = r#"
    set -e
    mkdir -p "$2"
    mount -o loop "$1" "$2"
    mkdir -p "$2/store/v1"
    cp -r "$XCACHE_DIR/v1/proof" "$2/store/v1"
    export XCACHE_DIR="$2/store" CARGO_TARGET_DIR="$2/target"
    used() { sync; df --block-size=1 --output=used "$2" | tail -n 1; }
    cargo xcache build
    rm -rf "$CARGO_TARGET_DIR"
    before="$(used "$@")"
    cargo xcache build
    cargo build -v
    after="$(used "$@")"
    copied="$(find "$CARGO_TARGET_DIR" -name '*.so' -o -name 'build_script_build*' ! -name '*.d' | xargs cat | wc -c)"
    echo "$((after - before)) $copied"
"#;

#[test]
fn files_that_cannot_be_hard_linked_are_reflinked() {
    let (sandbox, demo) = warm(&["build"]);
    let (image, place) = (sandbox.path("image"), sandbox.path("mounted"));
    let file = fs::File::create(&image).expect("the file can be created");
    file.set_len(1 << 30).expect("files may have holes");
    let made = std::process::Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(&image).status();
    if !is_available(Tool::Xfs, made.is_ok_and(|status| status.success())) {
        return;
    }
    let arguments = ["--mount", "sh", "-c", ON_ITS_OWN_FILE_SYSTEM, "sh"].map(std::ffi::OsString::from);
    let paths = [image, place].map(std::path::PathBuf::into_os_string);
    let output = demo.program("unshare", arguments.into_iter().chain(paths)).run();
    let is_refused = output.stderr.contains("mount: ") || output.stderr.contains("unshare failed");
    if !is_available(Tool::Mounts, !is_refused) {
        return;
    }
    let output = output.ok();
    assert!(output.stderr.contains("Fresh derive v1.0.0"), "{output}");
    let sizes: Vec<u64> = output.stdout.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [grown, copied] = sizes[..] else { panic!("{output}") };
    assert!(copied > 1 << 20 && grown < copied / 2, "{grown} bytes more for {copied} bytes of programs");
}

#[test]
fn building_does_not_change_files_in_the_store() {
    let (sandbox, demo) = warm(&["build"]);
    let files = || {
        let files = tree::files(&sandbox.store().join("v1/file"));
        files.into_iter().map(|path| (fs::read(&path).expect("the file can be read"), path)).collect::<Vec<_>>()
    };
    let before = files();
    let commands: [&[&str]; 3] = [&["build"], &["test"], &["check"]];
    for command in commands {
        demo.xcache(command).ok();
        // Without its fingerprints, cargo compiles everything again and overwrites hydrated files.
        let fingerprints = tree::fingerprints(&demo.target());
        assert_ne!(fingerprints, NO_FILES);
        fingerprints.iter().for_each(|file| tree::remove_file(file));
        demo.cargo(command).ok();
    }
    let after = files();
    assert!(before.iter().all(|file| after.contains(file)), "a stored file has changed");
    assert_hydrates(&sandbox, &demo, &["build"]);
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
}

/// Starts all of them at once, and waits for all.
#[track_caller]
fn run_concurrently<const N: usize>(invocations: [Invocation; N]) {
    let mut running = invocations.map(Invocation::start);
    for (index, process) in running.iter_mut().enumerate() {
        let status = process.wait();
        assert!(status.success(), "concurrent process {index}: {status}");
    }
}

#[test]
fn two_concurrent_sessions_share_a_target_directory() {
    let (sandbox, demo) = warm(&["build"]);
    for round in 0..by_form(2, 4) {
        demo.clean();
        sandbox.reset();
        run_concurrently([demo.xcache(["build"]), demo.xcache(["build"])]);
        assert_no_process(&sandbox, &format!("round {round}"));
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn concurrent_sessions_of_different_commands_share_a_target_directory() {
    let (sandbox, demo) = warm(&["build"]);
    demo.xcache(["check"]).ok();
    for round in 0..by_form(1, 4) {
        demo.clean();
        sandbox.reset();
        run_concurrently([demo.xcache(["build"]), demo.xcache(["check"]), demo.xcache(["test"])]);
        assert_no_process(&sandbox, &format!("round {round}"));
        let commands: [&[&str]; 3] = [&["build"], &["check"], &["test"]];
        for command in commands {
            sandbox.assert_nothing_to_do(&demo, command);
        }
    }
}

#[test]
fn concurrent_sessions_share_a_store() {
    let (sandbox, demo) = warm(&["build"]);
    let [second, third] = [(); 2].map(|()| mixed(&sandbox));
    run_concurrently([demo.xcache(["build"]), second.xcache(["build"]), third.xcache(["build"])]);
    assert_no_process(&sandbox, "from a full store");
    // The same with an empty store, which all of them fill.
    let store = sandbox.unused("store");
    let checkouts = [demo, second, third].map(|demo| demo.with_store(&store));
    checkouts.iter().for_each(Project::clean);
    run_concurrently(checkouts.each_ref().map(|demo| demo.xcache(["build"])));
    for demo in &checkouts {
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
        sandbox.assert_nothing_to_do(demo, &["build"]);
        assert_hydrates(&sandbox, demo, &["build"]);
    }
}

#[test]
fn concurrent_plain_cargo_does_no_harm() {
    let (sandbox, demo) = warm(&["build"]);
    for round in 0..by_form(2, 6) {
        demo.clean();
        // The process that is started first does not always get the lock first.
        let [plain, xcache] = [demo.cargo(["build"]), demo.xcache(["build"])];
        run_concurrently(if round % 2 == 0 { [plain, xcache] } else { [xcache, plain] });
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT, "round {round}");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn switching_between_features_versions_and_profiles_matches_plain_cargo_and_compiles_nothing_known() {
    let sandbox = Sandbox::new();
    let [producer, demo, plain] = [(); 3].map(|()| mixed(&sandbox));
    let loud = ["build", "--features", "loud"];
    let all: [(&str, &[&str], &str); 9] = [
        ("1.0.0", &["build"], "debug"),
        ("1.0.0", &loud, "debug"),
        ("1.0.1", &loud, "debug"),
        ("1.0.0", &["build", "--release"], "release"),
        ("1.0.0", &["build"], "debug"),
        ("1.0.1", &["build"], "debug"),
        ("1.0.0", &loud, "debug"),
        ("1.0.1", &["build"], "debug"),
        ("1.0.0", &["build"], "debug"),
    ];
    let steps = by_form(&all[..5], &all);
    let update = |project: &Project, version: &str| {
        project.cargo(["update", "--package", "middle", "--precise", version]).ok();
    };
    for (version, command, _) in steps {
        update(&producer, version);
        producer.xcache(*command).ok();
    }
    for (number, &(version, command, profile)) in steps.iter().enumerate() {
        if number % 3 == 2 {
            demo.cargo(["clean", "--package", "leaf"]).ok();
        }
        update(&demo, version);
        update(&plain, version);
        plain.cargo(command).ok();
        sandbox.reset();
        demo.xcache(command).ok();
        assert_no_process(&sandbox, &format!("step {number}, {command:?} with {version}"));
        assert_eq!(said(&demo, &demo.target(), profile), said(&plain, &plain.target(), profile), "step {number}");
        sandbox.assert_nothing_to_do(&demo, command);
    }
}

#[test]
fn with_the_new_build_directory_layout_only_members_are_compiled() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox).env("RUSTC_BOOTSTRAP", "1");
    let command = ["build", "-Zbuild-dir-new-layout"];
    demo.xcache(command).ok();
    assert!(demo.target().join("debug/build/leaf").is_dir(), "this cargo has another layout");
    demo.clean();
    sandbox.reset();
    demo.xcache(command).ok();
    assert_eq!(sandbox.compiled(), ["demo"]);
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
    sandbox.assert_nothing_to_do(&demo, &command);
}

#[test]
fn the_new_build_directory_layout_is_hydrated() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox).env("RUSTC_BOOTSTRAP", "1");
    let command = ["build", "-Zbuild-dir-new-layout"];
    demo.xcache(command).ok();
    assert_hydrates(&sandbox, &demo, &command);
    demo.clean();
    demo.xcache(command).ok();
    assert_eq!(demo.report().hydrated(), MIXED_UNITS);
}

#[test]
fn units_of_another_build_directory_layout_are_not_hydrated() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox).env("RUSTC_BOOTSTRAP", "1");
    let commands: [&[&str]; 2] = [&["build"], &["build", "-Zbuild-dir-new-layout"]];
    for (command, hydrated) in [(0, false), (0, true), (1, false)] {
        demo.clean();
        demo.xcache(commands[command]).ok();
        let expected: &[&str] = if hydrated { &MIXED_UNITS } else { &[] };
        assert_eq!(demo.report().hydrated(), expected, "{:?}", commands[command]);
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
    }
}

/// Cargo's messages about the dependencies with `--message-format json`, sorted.
fn messages(output: &Output) -> Vec<String> {
    let is_message = |line: &&str| line.contains("\"compiler-artifact\"") || line.contains("\"build-script-executed\"");
    let is_dependency = |line: &&str| line.contains("\"package_id\":\"registry+");
    let lines = output.stdout.lines().filter(is_message).filter(is_dependency);
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn messages_about_hydrated_units_equal_those_about_fresh_ones() {
    let (_sandbox, demo) = warm(&["build"]);
    let command = ["build", "--message-format", "json"];
    let hydrated = messages(&demo.xcache(command).ok());
    assert_eq!(hydrated, messages(&demo.cargo(command).ok()));
    assert_eq!(hydrated.len(), MIXED_UNITS.len(), "{hydrated:#?}");
    for message in &hydrated {
        let message: serde_json::Value = serde_json::from_str(message).expect("cargo writes JSON");
        assert_ne!(message["fresh"], false, "{message}");
        let files = message["filenames"].as_array().map_or(&[][..], Vec::as_slice);
        for file in files.iter().chain(message.get("out_dir")) {
            let file = file.as_str().expect("a path is a string");
            assert!(Path::new(file).exists(), "{file} does not exist: {message}");
        }
    }
}

#[test]
fn hydrated_units_are_shown_as_fresh() {
    let (_sandbox, demo) = warm(&["build"]);
    let fresh = |output: &Output| {
        let lines = output.stderr.lines().filter(|line| line.trim_start().starts_with("Fresh "));
        let mut lines: Vec<_> = lines.map(str::to_owned).filter(|line| !line.contains(" demo ")).collect();
        lines.sort();
        lines
    };
    let output = demo.xcache(["build", "--verbose"]).ok();
    assert_eq!(fresh(&output), fresh(&demo.cargo(["build", "--verbose"]).ok()), "{output}");
    assert_eq!(fresh(&output).len(), 7, "{output}");
}

#[test]
fn a_hydrated_unit_warns_when_a_fresh_one_would() {
    let script = "println!(\"cargo::rerun-if-changed=build.rs\"); println!(\"cargo::warning=of the script\");";
    let noisy = Package::new("noisy", "1.0.0", "pub fn noise() { let unused = 1; }").counted_script(script);
    let warnings = |output: &Output| {
        let mut warnings: Vec<_> = output.warnings().into_iter().map(str::to_owned).collect();
        warnings.sort();
        warnings
    };
    let cases: [(&[&str], &[&str]); 2] =
        [(&["build"], &[]), (&["build", "-vv"], &["noisy@1.0.0: of the script", "unused variable: `unused`"])];
    for (command, expected) in cases {
        let sandbox = Sandbox::new();
        let registry = sandbox.registry([noisy.clone()]);
        let demo = sandbox.demo(&registry, "noisy = \"1\"", "fn main() { noisy::noise() }");
        demo.xcache(command).ok();
        let hydrated = assert_hydrates(&sandbox, &demo, command);
        assert_eq!(warnings(&hydrated), warnings(&demo.cargo(command).ok()), "{command:?}");
        for warning in expected {
            assert!(warnings(&hydrated).contains(&format!("warning: {warning}")), "{warning}: {hydrated}");
        }
        assert_eq!(warnings(&hydrated).is_empty(), expected.is_empty(), "{hydrated}");
    }
}

#[test]
fn the_script_of_a_dependent_receives_the_metadata_of_a_hydrated_script() {
    let sandbox = Sandbox::new();
    let speaking =
        "println!(\"cargo::rerun-if-changed=build.rs\"); println!(\"cargo::metadata=word=said by its script\");";
    let listening = "println!(\"cargo::rerun-if-changed=build.rs\");
        println!(\"cargo::rerun-if-env-changed=MADE_UP_SWITCH\");
        println!(\"cargo::rustc-env=HEARD={}\", std::env::var(\"DEP_MADE_UP_WORD\").unwrap());";
    let registry = sandbox.registry([
        Package::new("speaking", "1.0.0", "").links("made_up").counted_script(speaking),
        Package::new("listening", "1.0.0", "pub const HEARD: &str = env!(\"HEARD\");")
            .dependency("speaking", "1")
            .counted_script(listening),
    ]);
    let demo = sandbox.demo(&registry, "listening = \"1\"", "fn main() { println!(\"{}\", listening::HEARD); }");
    demo.xcache(["build"]).ok();
    // The dependent's script runs again each time, whatever was hydrated below it.
    for switch in ["", "on", "off"] {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).env("MADE_UP_SWITCH", switch).ok();
        assert!(sandbox.scripts_run().contains(&"listening".to_owned()), "{:?}", sandbox.scripts_run());
        assert_eq!(demo.run_binary("demo"), "said by its script\n");
    }
}

#[test]
fn a_variable_with_the_path_of_a_generated_file_points_into_this_target_directory() {
    let sandbox = Sandbox::new();
    let script = "println!(\"cargo::rerun-if-changed=build.rs\");
        let file = std::path::Path::new(&std::env::var_os(\"OUT_DIR\").unwrap()).join(\"word.rs\");
        std::fs::write(&file, \"\\\"generated\\\"\").unwrap();
        println!(\"cargo::rustc-env=WORD_FILE={}\", file.display());";
    let library = "pub const WORD: &str = include!(env!(\"WORD_FILE\")); pub const FILE: &str = env!(\"WORD_FILE\");";
    let registry = sandbox.registry([Package::new("named", "1.0.0", library).counted_script(script)]);
    let main = "fn main() { println!(\"{} {}\", named::WORD, named::FILE); }";
    let first = sandbox.demo(&registry, "named = \"1\"", main);
    first.xcache(["build"]).ok();
    let second = sandbox.demo(&registry, "named = \"1\"", main);
    first.clean();
    second.xcache(["build"]).ok();
    let said = second.run_binary("demo");
    let (word, file) = said.trim_end().split_once(' ').expect("two words");
    assert_eq!(word, "generated");
    assert!(Path::new(file).starts_with(second.target()), "{file} is not in {}", second.target().display());
    sandbox.assert_nothing_to_do(&second, &["build"]);
}

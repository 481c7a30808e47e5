//! What is hydrated: cargo finds it fresh and starts no process for it, neither rustc nor a build script.
//!
//! Both are counted where they start, rustc by the executable that `RUSTC` names and build scripts by themselves. The
//! report is read only where the test is about the report.

use std::fs;
use std::path::Path;

use support::registry::{MIXED_SAID, MIXED_UNITS};
use support::{Invocation, Output, Package, Project, Sandbox, Tool, is_available, require, tree};

const NONE: [&str; 0] = [];
const NO_FILES: [std::path::PathBuf; 0] = [];
/// What rustc is called for when the workspace is built from nothing, without the workspace's own binary.
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

/// The workspace of [`Sandbox::mixed`]. What it has of its own is compiled each time: it is told from what is hydrated.
fn mixed(sandbox: &Sandbox) -> Project {
    sandbox.mixed().env("XCACHE_MEMBERS", "off")
}

/// A sandbox in whose store is what a command builds, and a workspace that has nothing built.
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

/// Nothing was started since the last reset but for the workspace itself.
#[track_caller]
fn assert_no_process(sandbox: &Sandbox, when: &str) {
    assert_eq!(sandbox.compiled_externals(), NONE, "{when}");
    assert_eq!(sandbox.scripts_run(), NONE, "{when}");
}

/// Into an empty target directory, starts no process for a dependency, and leaves nothing to do.
#[track_caller]
fn assert_hydrates(sandbox: &Sandbox, demo: &Project, command: &[&str]) -> Output {
    demo.clean();
    sandbox.reset();
    let output = demo.xcache(command).ok();
    assert_no_process(sandbox, &format!("{command:?}"));
    sandbox.assert_nothing_to_do(demo, command);
    output
}

/// What the binary of a profile says.
#[track_caller]
fn said(demo: &Project, target: &Path, profile: &str) -> String {
    demo.program(target.join(profile).join("demo"), NONE).ok().stdout
}

/// The member is compiled against what is there, and works.
#[track_caller]
fn assert_linkable(sandbox: &Sandbox, demo: &Project) {
    demo.write("src/main.rs", format!("{}\n// touched", demo.read("src/main.rs")));
    sandbox.reset();
    demo.cargo(["build"]).ok();
    assert_eq!(sandbox.compiled(), ["demo"]);
    assert_eq!(demo.run_binary("demo"), MIXED_SAID);
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
        if command[0] == "build" {
            assert_eq!(said(&demo, &demo.target(), profile), MIXED_SAID);
        }
    }
}

#[test]
fn no_process_is_started_for_a_dependency_in_the_dev_profile() {
    assert_commands_hydrate("debug", &[]);
}

#[test]
fn no_process_is_started_for_a_dependency_in_the_release_profile() {
    assert_commands_hydrate("release", &["--release"]);
}

#[test]
fn the_workspaces_own_units_are_all_that_is_compiled() {
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
    assert_eq!(output.stdout, MIXED_SAID);
    demo.clean();
    demo.xcache(["clippy"]).ok();
    assert_hydrates(&sandbox, &demo, &["clippy"]);
}

#[test]
fn the_report_says_what_was_hydrated() {
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
fn a_log_of_the_build_in_the_workspace_is_not_taken_for_a_scripts_output() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox);
    let binary = support::xcache_binary();
    // It grows all the while.
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
    // A check has libraries of its own, and the macros, scripts and runs of a build.
    demo.clean();
    sandbox.reset();
    demo.xcache(["check"]).ok();
    assert_eq!(sandbox.compiled_externals(), ["configured", "generated", "leaf", "middle", "top"]);
    assert_eq!(sandbox.scripts_run(), NONE);
    sandbox.assert_nothing_to_do(&demo, &["check"]);
}

#[test]
fn a_bumped_dependency_is_compiled_with_its_dependents_and_all_else_is_hydrated() {
    let (sandbox, demo) = warm(&["build"]);
    demo.cargo(["update", "--package", "middle", "--precise", "1.0.1"]).ok();
    demo.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled(), ["demo", "middle", "top"]);
    assert_eq!(sandbox.scripts_run(), NONE);
    assert_eq!(demo.run_binary("demo"), MIXED_SAID.replace("1.0.0", "1.0.1"));
    let report = demo.report();
    assert_eq!(report.packages("miss"), ["middle", "top"]);
    let others: Vec<_> = MIXED_UNITS.into_iter().filter(|name| !["middle", "top"].contains(name)).collect();
    assert_eq!(report.hydrated(), others);
    assert_eq!(report.total("rejected"), 0, "{}", report.json());
    sandbox.assert_nothing_to_do(&demo, &["build"]);
}

#[test]
fn a_unit_that_the_store_has_lost_is_made_again_and_fits_what_is_hydrated() {
    let (sandbox, demo) = warm(&["build"]);
    demo.xcache(["build"]).ok();
    let report = demo.report();
    // What is made again is the same, so nothing that depends on it has to be: the wrapper restores it, and a script that
    // cargo starts because it, or what it is made of, is new is replayed.
    let losses: [(&str, &[&str], &[&str]); 5] = [
        ("middle", &["middle"], &[]),
        ("derive", &["derive"], &[]),
        ("template", &["template"], &[]),
        ("configured (build script)", &["configured (build script)"], &[]),
        ("generated (run)", &[], &["generated"]),
    ];
    for (lost, compiled, run) in losses {
        demo.forget_entry(&report.key_of(lost));
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).ok();
        assert_eq!(sandbox.compiled_externals(), compiled, "{lost} was lost");
        assert_eq!(sandbox.scripts_run(), run, "{lost} was lost");
        assert_eq!(demo.run_binary("demo"), MIXED_SAID, "{lost} was lost");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
    assert_hydrates(&sandbox, &demo, &["build"]);
}

#[test]
fn a_target_directory_with_units_of_plain_cargo_is_completed() {
    let (sandbox, demo) = warm(&["build"]);
    for packages in [&["leaf"][..], &["configured", "generated"], &["middle"], &["derive", "leaf"]] {
        demo.clean();
        let packages: Vec<_> = packages.iter().flat_map(|package| ["--package", package]).collect();
        demo.cargo(["build"].into_iter().chain(packages.iter().copied())).ok();
        demo.xcache(["build"]).ok();
        assert_eq!(demo.run_binary("demo"), MIXED_SAID, "{packages:?}");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn a_target_directory_of_plain_cargo_is_left_alone() {
    for command in [&["build"][..], &["build", "--release"], &["check"]] {
        let (sandbox, demo) = warm(command);
        demo.cargo(command).ok();
        sandbox.assert_nothing_to_do(&demo, command);
        let report = demo.report();
        assert_eq!(report.hydrated(), NONE, "{command:?}");
        assert_eq!(report.total("rejected"), 0, "{command:?}");
    }
}

#[test]
fn a_target_directory_with_units_of_xcache_is_completed() {
    let (sandbox, demo) = warm(&["build"]);
    for package in ["leaf", "configured", "generated", "middle"] {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build", "--package", package]).ok();
        demo.xcache(["build"]).ok();
        assert_no_process(&sandbox, package);
        assert_eq!(demo.run_binary("demo"), MIXED_SAID, "{package}");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
    }
}

#[test]
fn what_was_cleaned_is_hydrated_again() {
    let (sandbox, demo) = warm(&["build"]);
    demo.xcache(["build"]).ok();
    for package in ["leaf", "derive", "generated", "middle"] {
        demo.cargo(["clean", "--package", package]).ok();
        sandbox.reset();
        demo.xcache(["build"]).ok();
        assert_no_process(&sandbox, package);
        assert_eq!(demo.run_binary("demo"), MIXED_SAID, "{package}");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn what_was_cleaned_is_compiled_by_plain_cargo_with_its_dependents() {
    let (sandbox, demo) = warm(&["build"]);
    for package in ["leaf", "derive", "generated", "middle"] {
        demo.clean();
        demo.xcache(["build"]).ok();
        demo.cargo(["clean", "--package", package]).ok();
        demo.cargo(["build"]).ok();
        assert_eq!(demo.run_binary("demo"), MIXED_SAID, "{package}");
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn a_touched_member_is_all_that_is_built_after_a_hydration() {
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

/// Another package home, checkout and build directory, and nothing left of the first ones.
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

/// Hydrates elsewhere, into `target`, and leaves nothing to do.
#[track_caller]
fn assert_hydrates_elsewhere(sandbox: &Sandbox, other: &Project, target: &Path, command: &[&str]) {
    other.xcache(command).ok();
    assert_no_process(sandbox, &format!("{command:?}"));
    assert_eq!(said(other, target, "debug"), MIXED_SAID);
    sandbox.assert_nothing_to_do(other, command);
    other.write("src/main.rs", format!("{}\n// touched", other.read("src/main.rs")));
    sandbox.reset();
    other.cargo(command).ok();
    assert_eq!(sandbox.compiled(), ["demo"]);
    assert_eq!(sandbox.scripts_run(), NONE);
}

#[test]
fn under_other_roots_no_process_is_started_for_a_dependency() {
    let (sandbox, other) = elsewhere();
    assert_hydrates_elsewhere(&sandbox, &other, &other.target(), &["build"]);
}

#[test]
fn under_other_roots_with_a_target_directory_by_flag_no_process_is_started_for_a_dependency() {
    let (sandbox, other) = elsewhere();
    let target = sandbox.path("the-target-of-somebody-else");
    let flag = target.to_str().expect("a plain path");
    assert_hydrates_elsewhere(&sandbox, &other, &target, &["build", "--target-dir", flag]);
}

#[test]
fn under_other_roots_with_a_target_directory_by_variable_no_process_is_started_for_a_dependency() {
    let (sandbox, other) = elsewhere();
    let target = sandbox.path("the-target-of-somebody-else");
    assert_hydrates_elsewhere(&sandbox, &other.env("CARGO_TARGET_DIR", &target), &target, &["build"]);
}

#[test]
fn under_other_roots_with_a_build_directory_of_its_own_no_process_is_started_for_a_dependency() {
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
    assert_eq!(said(&demo, &demo.target().join(&host), "debug"), MIXED_SAID);
}

#[test]
fn a_profile_of_the_workspaces_own_is_hydrated() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox);
    let command = ["build", "--profile", "custom"];
    demo.xcache(command).ok();
    assert_hydrates(&sandbox, &demo, &command);
    assert_eq!(said(&demo, &demo.target(), "custom"), MIXED_SAID);
}

#[test]
fn a_read_only_store_is_enough() {
    let (sandbox, demo) = warm(&["build"]);
    let mount = "mount --bind \"$place\" \"$place\"; mount -o remount,bind,ro \"$place\"";
    let Some(xcache) = require(Tool::Mounts, demo.xcache_with_mount(&sandbox.store(), mount)) else { return };
    xcache.arg("build").ok();
    assert_no_process(&sandbox, "from a read-only store");
    assert_eq!(demo.run_binary("demo"), MIXED_SAID);
    sandbox.assert_nothing_to_do(&demo, &["build"]);
}

#[test]
fn a_store_on_another_file_system_is_as_good() {
    let sandbox = Sandbox::new();
    let Some(dir) = require(Tool::OtherFileSystem, sandbox.another_file_system()) else { return };
    let demo = mixed(&sandbox).with_store(&dir.path().join("store"));
    demo.xcache(["build"]).ok();
    assert_hydrates(&sandbox, &demo, &["build"]);
    assert_eq!(demo.run_binary("demo"), MIXED_SAID);
}

/// Fills a store and hydrates from it, all on a file system in the file `$1`, and says how much that has grown by it.
const ON_A_FILE_SYSTEM_OF_ITS_OWN: &str = r#"
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
fn a_file_system_with_reflinks_shares_what_cannot_be_linked() {
    let (sandbox, demo) = warm(&["build"]);
    let (image, place) = (sandbox.path("image"), sandbox.path("mounted"));
    let file = fs::File::create(&image).expect("it can be made");
    file.set_len(1 << 30).expect("files may have holes");
    let made = std::process::Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(&image).status();
    if !is_available(Tool::Xfs, made.is_ok_and(|status| status.success())) {
        return;
    }
    let arguments = ["--mount", "sh", "-c", ON_A_FILE_SYSTEM_OF_ITS_OWN, "sh"].map(std::ffi::OsString::from);
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
fn building_does_not_change_what_is_in_the_store() {
    let (sandbox, demo) = warm(&["build"]);
    let files = || {
        let files = tree::files(&sandbox.store().join("v1/file"));
        files.into_iter().map(|path| (fs::read(&path).expect("it can be read"), path)).collect::<Vec<_>>()
    };
    let before = files();
    let commands: [&[&str]; 3] = [&["build"], &["test"], &["check"]];
    for command in commands {
        demo.xcache(command).ok();
        // Without its fingerprints cargo compiles everything again, over what was hydrated.
        let fingerprints = tree::fingerprints(&demo.target());
        assert_ne!(fingerprints, NO_FILES);
        fingerprints.iter().for_each(|file| tree::remove_file(file));
        demo.cargo(command).ok();
    }
    let after = files();
    assert!(before.iter().all(|file| after.contains(file)), "a stored file has changed");
    assert_hydrates(&sandbox, &demo, &["build"]);
    assert_eq!(demo.run_binary("demo"), MIXED_SAID);
}

/// Starts all of them at once, and waits for all.
#[track_caller]
fn at_once<const N: usize>(invocations: [Invocation; N]) {
    let mut running = invocations.map(Invocation::start);
    for (index, process) in running.iter_mut().enumerate() {
        let status = process.wait();
        assert!(status.success(), "process {index} of those at once: {status}");
    }
}

#[test]
fn two_sessions_at_once_share_a_target_directory() {
    let (sandbox, demo) = warm(&["build"]);
    for round in 0..4 {
        demo.clean();
        sandbox.reset();
        at_once([demo.xcache(["build"]), demo.xcache(["build"])]);
        assert_no_process(&sandbox, &format!("round {round}"));
        assert_eq!(demo.run_binary("demo"), MIXED_SAID);
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn two_different_sessions_at_once_share_a_target_directory() {
    let (sandbox, demo) = warm(&["build"]);
    demo.xcache(["check"]).ok();
    for round in 0..4 {
        demo.clean();
        sandbox.reset();
        at_once([demo.xcache(["build"]), demo.xcache(["check"]), demo.xcache(["test"])]);
        assert_no_process(&sandbox, &format!("round {round}"));
        let commands: [&[&str]; 3] = [&["build"], &["check"], &["test"]];
        for command in commands {
            sandbox.assert_nothing_to_do(&demo, command);
        }
    }
}

#[test]
fn sessions_at_once_share_a_store() {
    let (sandbox, demo) = warm(&["build"]);
    let [second, third] = [(); 2].map(|()| mixed(&sandbox));
    at_once([demo.xcache(["build"]), second.xcache(["build"]), third.xcache(["build"])]);
    assert_no_process(&sandbox, "from a full store");
    // The same with a store that is filled by all of them.
    let store = sandbox.unused("store");
    let checkouts = [demo, second, third].map(|demo| demo.with_store(&store));
    checkouts.iter().for_each(Project::clean);
    at_once(checkouts.each_ref().map(|demo| demo.xcache(["build"])));
    for demo in &checkouts {
        assert_eq!(demo.run_binary("demo"), MIXED_SAID);
        sandbox.assert_nothing_to_do(demo, &["build"]);
        assert_hydrates(&sandbox, demo, &["build"]);
    }
}

#[test]
fn plain_cargo_at_the_same_time_does_no_harm() {
    let (sandbox, demo) = warm(&["build"]);
    for round in 0..6 {
        demo.clean();
        // The one that is started first is not always the first to have the lock.
        let [plain, xcache] = [demo.cargo(["build"]), demo.xcache(["build"])];
        at_once(if round % 2 == 0 { [plain, xcache] } else { [xcache, plain] });
        assert_eq!(demo.run_binary("demo"), MIXED_SAID, "round {round}");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        assert_linkable(&sandbox, &demo);
    }
}

#[test]
fn switches_between_sessions_give_what_plain_cargo_gives_and_compile_nothing_known() {
    let sandbox = Sandbox::new();
    let [producer, demo, plain] = [(); 3].map(|()| mixed(&sandbox));
    let loud = ["build", "--features", "loud"];
    let steps: [(&str, &[&str], &str); 9] = [
        ("1.0.0", &["build"], "debug"),
        ("1.0.0", &loud, "debug"),
        ("1.0.0", &["build"], "debug"),
        ("1.0.1", &["build"], "debug"),
        ("1.0.1", &loud, "debug"),
        ("1.0.0", &["build", "--release"], "release"),
        ("1.0.0", &loud, "debug"),
        ("1.0.1", &["build"], "debug"),
        ("1.0.0", &["build"], "debug"),
    ];
    let update = |project: &Project, version: &str| {
        project.cargo(["update", "--package", "middle", "--precise", version]).ok();
    };
    for (version, command, _) in steps {
        update(&producer, version);
        producer.xcache(command).ok();
    }
    for (number, (version, command, profile)) in steps.into_iter().enumerate() {
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
fn the_next_layout_of_the_build_directory_costs_no_rustc() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox).env("RUSTC_BOOTSTRAP", "1");
    let command = ["build", "-Zbuild-dir-new-layout"];
    demo.xcache(command).ok();
    assert!(demo.target().join("debug/build/leaf").is_dir(), "this cargo has another layout");
    demo.clean();
    sandbox.reset();
    demo.xcache(command).ok();
    assert_eq!(sandbox.compiled(), ["demo"]);
    assert_eq!(demo.run_binary("demo"), MIXED_SAID);
    sandbox.assert_nothing_to_do(&demo, &command);
}

#[test]
fn the_next_layout_of_the_build_directory_is_hydrated() {
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
fn what_is_of_another_layout_of_the_build_directory_is_not_hydrated() {
    let sandbox = Sandbox::new();
    let demo = mixed(&sandbox).env("RUSTC_BOOTSTRAP", "1");
    let commands: [&[&str]; 2] = [&["build"], &["build", "-Zbuild-dir-new-layout"]];
    for (command, hydrated) in [(0, false), (0, true), (1, false)] {
        demo.clean();
        demo.xcache(commands[command]).ok();
        let expected: &[&str] = if hydrated { &MIXED_UNITS } else { &[] };
        assert_eq!(demo.report().hydrated(), expected, "{:?}", commands[command]);
        assert_eq!(demo.run_binary("demo"), MIXED_SAID);
    }
}

/// What cargo says of the dependencies with `--message-format json`, sorted.
fn messages(output: &Output) -> Vec<String> {
    let is_message = |line: &&str| line.contains("\"compiler-artifact\"") || line.contains("\"build-script-executed\"");
    let is_dependency = |line: &&str| line.contains("\"package_id\":\"registry+");
    let lines = output.stdout.lines().filter(is_message).filter(is_dependency);
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn messages_about_hydrated_units_are_those_about_fresh_ones() {
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
            assert!(Path::new(file).exists(), "{file} is not there: {message}");
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
fn a_script_of_a_dependent_hears_what_a_hydrated_script_said() {
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
    // The dependent's script runs once more, whatever was hydrated below it.
    for switch in ["", "on", "off"] {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).env("MADE_UP_SWITCH", switch).ok();
        assert!(sandbox.scripts_run().contains(&"listening".to_owned()), "{:?}", sandbox.scripts_run());
        assert_eq!(demo.run_binary("demo"), "said by its script\n");
    }
}

#[test]
fn a_generated_file_that_a_variable_names_is_the_one_of_this_target_directory() {
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

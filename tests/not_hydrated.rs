//! What must not be hydrated, and what must not be reused: cargo or the wrapper builds it again, and the result is
//! right.
//!
//! Each test also shows the opposite: what does not differ is reused.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use support::registry::{MIXED_OUTPUT, MIXED_UNITS};
use support::{Output, Package, Project, Registry, Report, Sandbox, by_form, tree};
use xcache::digest::Digest;

const NONE: [&str; 0] = [];

/// A sandbox whose store has everything of the workspace, and an empty target directory.
fn warm() -> (Sandbox, Project) {
    let sandbox = Sandbox::new();
    // Members are compiled each time.
    let demo = sandbox.mixed().env("XCACHE_MEMBERS", "off");
    demo.xcache(["build"]).ok();
    demo.clean();
    sandbox.reset();
    (sandbox, demo)
}

/// `xcache build`, with counts that start here.
#[track_caller]
fn build(sandbox: &Sandbox, demo: &Project) -> Output {
    sandbox.reset();
    demo.xcache(["build"]).ok()
}

/// A cargo that runs `script`, and then becomes the real one.
fn another_cargo(sandbox: &Sandbox, script: &str) -> PathBuf {
    let path = sandbox.unused("cargo").join("cargo");
    tree::write_script(&path, &format!("{script}\nexec cargo \"$@\""));
    path
}

#[test]
fn with_an_unknown_cargo_the_wrapper_restores_until_the_format_is_proven() {
    let (sandbox, demo) = warm();
    let cargo = another_cargo(
        &sandbox,
        "case \" $* \" in *\" -V \"*|*\" --version \"*|*\" -vV \"*|*\" -Vv \"*)
            cargo \"$@\" | sed 's/(.*)/(abc 2030-01-01)/; s/^commit-hash: .*/commit-hash: abc/'; exit
        esac",
    );
    let demo = demo.env("CARGO", &cargo);
    assert!(demo.program(&cargo, ["-V"]).ok().stdout.ends_with(" (abc 2030-01-01)\n"));
    // Its units may have keys of their own.
    for _ in 0..2 {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).env("XCACHE_HYDRATE", "off").ok();
        assert_eq!(demo.report().total("hydrated"), 0, "{}", demo.report().json());
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
    }
    assert_eq!(sandbox.compiled_externals(), NONE);
    demo.clean();
    demo.xcache(["build"]).env("XCACHE_HYDRATE", "prove").ok();
    demo.clean();
    build(&sandbox, &demo);
    assert_ne!(demo.report().total("hydrated"), 0, "{}", demo.report().json());
    assert!(demo.report().packages("hit").contains(&"leaf".to_owned()), "{}", demo.report().json());
    sandbox.assert_nothing_to_do(&demo, &["build"]);
}

#[test]
fn a_unit_rejected_by_cargo_is_restored_by_the_wrapper_and_named_in_the_report() {
    let (sandbox, demo) = warm();
    // Between hydration and cargo's check, the fingerprint of a unit is overwritten.
    let cargo = another_cargo(
        &sandbox,
        "case \" $* \" in *\" --unit-graph \"*) ;; *\" build \"*)
            placed() { find target/debug -path '*fingerprint/*' -name lib-leaf; }
            until placed | grep -q .; do sleep 0.01; done
            placed | while read -r file; do rm \"$file\"; printf 0123456789abcdef > \"$file\"; done
        esac",
    );
    let meddled = demo.with_cargo(&cargo);
    build(&sandbox, &meddled);
    assert_eq!(sandbox.compiled_externals(), NONE);
    assert_eq!(meddled.run_binary("demo"), MIXED_OUTPUT);
    let report = meddled.report();
    let rejected = report.names(|unit| unit.rejected.is_some());
    assert!(rejected.contains(&"leaf".to_owned()), "{}", report.json());
    assert_eq!(report.total("rejected"), rejected.len() as u64, "{}", report.json());
    assert!(report.names(|unit| unit.rejected.as_deref().is_some_and(str::is_empty)).is_empty(), "without a reason");
    assert!(report.names(|unit| unit.hydrated && unit.rejected.is_some()).is_empty(), "both: {}", report.json());
    // Units that do not depend on it are not affected.
    assert!(report.hydrated().contains(&"configured (run)".to_owned()), "{}", report.json());
    // Cargo takes the unit as just compiled, and so compiles its dependents next time, as it would without xcache.
    let demo = meddled.env_remove("CARGO").env_remove("XCACHE_HYDRATE");
    demo.cargo(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
    sandbox.assert_nothing_to_do(&demo, &["build"]);
}

#[test]
fn a_script_runs_again_when_a_declared_variable_has_another_value() {
    let (sandbox, demo) = warm();
    let said = |flavour: &str| MIXED_OUTPUT.replace("plain", flavour);
    let demo = demo.env("MADE_UP_FLAVOUR", "mint");
    build(&sandbox, &demo);
    assert_eq!(sandbox.scripts_run(), ["generated"]);
    assert_eq!(sandbox.compiled_externals(), ["generated", "middle", "top"]);
    assert_eq!(demo.run_binary("demo"), said("mint"));
    sandbox.assert_nothing_to_do(&demo, &["build"]);
    // In the same target directory …
    let demo = demo.env("MADE_UP_FLAVOUR", "vanilla");
    build(&sandbox, &demo);
    assert_eq!(sandbox.scripts_run(), ["generated"]);
    assert_eq!(demo.run_binary("demo"), said("vanilla"));
    sandbox.assert_nothing_to_do(&demo, &["build"]);
    // … and back, to what the store may still have, in the same target directory and in an empty one.
    let demo = demo.env_remove("MADE_UP_FLAVOUR");
    for _ in 0..2 {
        build(&sandbox, &demo);
        assert_eq!(demo.run_binary("demo"), said("plain"));
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        demo.clean();
    }
    // The last entry is used where nothing differs.
    build(&sandbox, &demo);
    assert_eq!(sandbox.scripts_run(), NONE);
    assert_eq!(sandbox.compiled(), ["demo"]);
}

#[test]
fn a_script_that_declares_a_file_outside_of_its_package_runs_when_the_file_changes() {
    let sandbox = Sandbox::new();
    let data = sandbox.path("data.txt");
    let script = format!(
        "println!(\"cargo::rerun-if-changed=build.rs\"); println!(\"cargo::rerun-if-changed={0}\");
        println!(\"cargo::rustc-env=DATA={{}}\", std::fs::read_to_string({0:?}).unwrap());",
        data.display()
    );
    let registry = sandbox.registry([
        Package::new("outside", "1.0.0", "pub const DATA: &str = env!(\"DATA\");").counted_script(&script),
        Package::new("user", "1.0.0", "pub static DATA: &str = outside::DATA;").dependency("outside", "1"),
    ]);
    let main = "fn main() { println!(\"{} {}\", outside::DATA, user::DATA); }";
    let demo = sandbox.demo(&registry, "outside = \"1\"\nuser = \"1\"", main);
    let assert_runs = |run: &[&str], word: &str| {
        build(&sandbox, &demo);
        assert_eq!(sandbox.scripts_run(), run, "{word}");
        assert_eq!(demo.run_binary("demo"), format!("{word} {word}\n"));
        sandbox.assert_nothing_to_do(&demo, &["build"]);
    };
    for (word, from_nothing) in [("one", true), ("two", true), ("three", false), ("one", true)] {
        if from_nothing {
            demo.clean();
        }
        tree::write(&data, word);
        assert_runs(&["outside"], word);
    }
    // Cargo compares times to the second, so the file must be older than the placed files.
    let earlier = SystemTime::now() - Duration::from_secs(60);
    std::fs::File::open(&data).and_then(|file| file.set_modified(earlier)).expect("times can be set");
    demo.clean();
    assert_runs(&NONE, "one");
}

/// Asserts that without observing, the script runs in every build that starts from nothing, and everything else is
/// reused; and that with observing, the script is reused as well.
#[track_caller]
fn assert_runs_unobserved(library: &str, script: &str) {
    assert_runs(library, script, "off", &["native"]);
    assert_runs(library, script, "on", &[]);
}

#[track_caller]
fn assert_runs(library: &str, script: &str, observe: &str, each_time: &[&str]) {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([
        Package::new("native", "1.0.0", library).counted_script(script),
        Package::new("pure", "1.0.0", "pub fn pure() -> u32 { 2 }")
            .counted_script("println!(\"cargo::rerun-if-changed=build.rs\");"),
    ]);
    let main = "fn main() { println!(\"{} {}\", native::native(), pure::pure()); }";
    let demo = sandbox.demo(&registry, "native = \"1\"\npure = \"1\"", main).env("XCACHE_OBSERVE", observe);
    for round in 0..by_form(2, 3) {
        demo.clean();
        build(&sandbox, &demo);
        let expected = if round == 0 { &["native", "pure"] } else { each_time };
        assert_eq!(sandbox.scripts_run(), expected, "round {round}");
        assert_eq!(demo.run_binary("demo"), "2 2\n");
        let compiled = sandbox.compiled_externals();
        assert_eq!(compiled.iter().any(|name| name.starts_with("pure")), round == 0, "round {round}: {compiled:?}");
        sandbox.assert_nothing_to_do(&demo, &["build"]);
    }
}

const CUBE_ROOT: &str = "extern \"C\" { fn cbrt(x: f64) -> f64; } pub fn native() -> f64 { unsafe { cbrt(8.0) } }";

#[test]
fn an_unobserved_script_that_links_a_library_runs_each_time() {
    let script = "println!(\"cargo::rerun-if-changed=build.rs\"); println!(\"cargo::rustc-link-lib=m\");";
    assert_runs_unobserved(CUBE_ROOT, script);
}

#[test]
fn an_unobserved_script_that_searches_for_libraries_runs_each_time() {
    let script = "println!(\"cargo::rerun-if-changed=build.rs\");
        println!(\"cargo::rustc-link-search=native=/usr/lib\");";
    assert_runs_unobserved("pub fn native() -> u32 { 2 }", script);
}

#[test]
fn an_unobserved_script_that_leaves_an_archive_runs_each_time() {
    let script = "println!(\"cargo::rerun-if-changed=build.rs\");
        let dir = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        std::fs::create_dir_all(dir.join(\"lib\")).unwrap();
        std::fs::write(dir.join(\"lib/libnothing.a\"), \"!<arch>\\n\").unwrap();";
    assert_runs_unobserved("pub fn native() -> u32 { 2 }", script);
}

/// `base` contains a value that its script makes up. `middle` and `apex` contain the value that they were compiled
/// against.
fn stamped(sandbox: &Sandbox) -> Registry {
    let script = "println!(\"cargo::rerun-if-changed=build.rs\");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let file = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap()).join(\"stamp.rs\");
        std::fs::write(file, format!(\"pub const STAMP: u128 = {now};\")).unwrap();";
    let base = "include!(concat!(env!(\"OUT_DIR\"), \"/stamp.rs\"));";
    let middle = "pub static STAMP: u128 = base::STAMP;";
    let apex = "pub use middle; pub static STAMP: u128 = base::STAMP;";
    sandbox.registry([
        Package::new("base", "1.0.0", base).counted_script(script),
        Package::new("middle", "1.0.0", middle).dependency("base", "1"),
        Package::new("apex", "1.0.0", apex).dependency("middle", "1").dependency("base", "1"),
    ])
}

fn stamped_demo(sandbox: &Sandbox, registry: &Registry) -> Project {
    let main = "fn main() { println!(\"{} {} {}\", base::STAMP, apex::middle::STAMP, apex::STAMP); }";
    // Otherwise, a script that reads the clock is not cached.
    sandbox.demo(registry, "base = \"1\"\napex = \"1\"", main).env("XCACHE_UNKNOWN", "trust")
}

/// The value that the program prints three times. It must be the one in the generated file.
#[track_caller]
fn one_stamp(demo: &Project) -> String {
    let said = demo.run_binary("demo");
    let mut stamps: Vec<_> = said.split_whitespace().collect();
    assert_eq!(stamps.len(), 3, "{said}");
    stamps.dedup();
    assert_eq!(stamps.len(), 1, "old and new values are mixed: {said}");
    let generated = tree::files(&demo.target().join("debug/build"));
    let generated: Vec<_> = generated.iter().filter(|path| path.ends_with("stamp.rs")).collect();
    assert_eq!(generated.len(), 1, "{generated:?}");
    let content = fs::read_to_string(generated[0]).expect("the file can be read");
    assert!(content.contains(stamps[0]), "{content} is not what was compiled: {said}");
    stamps[0].to_owned()
}

#[test]
fn a_new_output_of_a_script_is_never_combined_with_units_compiled_against_an_old_one() {
    let sandbox = Sandbox::new();
    let demo = stamped_demo(&sandbox, &stamped(&sandbox));
    build(&sandbox, &demo);
    let first = one_stamp(&demo);
    // The run is lost, so the script makes another value, while the old libraries are still in the store.
    demo.forget_entry(&demo.report().key_of("base (run)"));
    demo.clean();
    build(&sandbox, &demo);
    assert_eq!(sandbox.scripts_run(), ["base"]);
    assert_eq!(sandbox.compiled_dependencies(), ["apex", "base", "middle"]);
    let second = one_stamp(&demo);
    assert_ne!(first, second);
    let report = demo.report();
    sandbox.assert_nothing_to_do(&demo, &["build"]);
    // Each library is lost, and compiled again with the current value.
    for lost in by_form(&["middle"][..], &["base", "middle", "apex"]) {
        demo.forget_entry(&report.key_of(lost));
        demo.clean();
        build(&sandbox, &demo);
        assert_eq!(one_stamp(&demo), second, "{lost} was lost");
    }
    // A target directory in which plain cargo ran the script, and in which libraries are missing.
    demo.clean();
    demo.cargo(["build", "--package", "base"]).ok();
    for package in ["middle", "base"] {
        build(&sandbox, &demo);
        one_stamp(&demo);
        sandbox.assert_nothing_to_do(&demo, &["build"]);
        demo.cargo(["clean", "--package", package]).ok();
    }
    build(&sandbox, &demo);
    one_stamp(&demo);
    sandbox.assert_nothing_to_do(&demo, &["build"]);
}

#[test]
fn stores_filled_separately_are_never_combined() {
    let sandbox = Sandbox::new();
    let registry = stamped(&sandbox);
    let shared = format!("file://{}", sandbox.path("shared").display());
    let machine = || {
        let store = sandbox.unused("store");
        stamped_demo(&sandbox, &registry).with_store(&store)
    };
    // One machine has the packages without a remote; another one fills the remote with its own.
    let (quiet, loud) = (machine(), machine().env("XCACHE_REMOTE", &shared));
    quiet.xcache(["build"]).ok();
    loud.xcache(["build"]).ok();
    assert_ne!(one_stamp(&quiet), one_stamp(&loud));
    // Then the first machine loses some units and gets them from the remote.
    let quiet = quiet.env("XCACHE_REMOTE", &shared);
    let keys = quiet.report();
    let losses: [&[&str]; 5] = [&["base"], &["base (run)", "middle"], &["base (run)"], &["middle"], &["apex"]];
    for lost in by_form(&losses[..2], &losses) {
        for name in *lost {
            quiet.forget_entry(&keys.key_of(name));
        }
        quiet.clean();
        quiet.xcache(["build"]).ok();
        one_stamp(&quiet);
        sandbox.assert_nothing_to_do(&quiet, &["build"]);
    }
}

/// The stored file with the content of this file.
#[track_caller]
fn stored(demo: &Project, of: &Path) -> PathBuf {
    let digest = Digest::of(fs::read(of).expect("the file is in the target directory")).to_string();
    let files = tree::files(&demo.store().join("v1/file"));
    let found = files.iter().find(|path| path.ends_with(&digest));
    found.unwrap_or_else(|| panic!("the content of {} is not in the store", of.display())).clone()
}

/// The only file in the target directory whose path contains the first piece and ends with the second.
#[track_caller]
fn in_target(demo: &Project, pieces: [&str; 2]) -> PathBuf {
    let files = tree::files(&demo.target());
    let has = |path: &&PathBuf| {
        let path = path.to_string_lossy();
        path.contains(pieces[0]) && path.ends_with(pieces[1])
    };
    let found: Vec<_> = files.iter().filter(has).collect();
    assert_eq!(found.len(), 1, "{pieces:?}: {found:?}");
    found[0].clone()
}

/// Asserts that a damaged file is not placed, costs only its unit, and is replaced. Returns the report of the build
/// that found it, and the digest.
#[track_caller]
fn assert_never_placed(pieces: [&str; 2], damage: impl Fn(&Path), compiled: &[&str], run: &[&str]) -> (Report, String) {
    let (sandbox, demo) = warm();
    build(&sandbox, &demo);
    let victim = stored(&demo, &in_target(&demo, pieces));
    let digest = victim.file_name().expect("files have names").to_string_lossy().into_owned();
    damage(&victim);
    demo.clean();
    let output = build(&sandbox, &demo);
    let damaged = |path: &PathBuf| Digest::of(fs::read(path).expect("the file can be read")).to_string() == digest;
    assert!(damaged(&in_target(&demo, pieces)), "the damaged file was placed: {output}");
    assert_eq!(sandbox.compiled_externals(), compiled, "{output}");
    assert_eq!(sandbox.scripts_run(), run, "{output}");
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
    let report = demo.report();
    sandbox.assert_nothing_to_do(&demo, &["build"]);
    demo.clean();
    let output = build(&sandbox, &demo);
    let again = demo.report();
    assert_eq!(again.hydrated(), MIXED_UNITS, "after it was replaced: {output}\n{}\n{}", report.json(), again.json());
    (report, digest)
}

/// Asserts the same for a damaged file of unchanged size, which only the digest reveals. The report must name it.
#[track_caller]
fn assert_named_in_report(pieces: [&str; 2], compiled: &[&str], run: &[&str]) {
    let (report, digest) = assert_never_placed(pieces, tree::damage, compiled, run);
    let objects = report.json()["corrupt_objects"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names = objects.iter().filter_map(|object| object["object"].as_str());
    assert!(names.any(|name| name.contains(&digest)), "{digest} is not among {objects:?}");
}

fn truncate(path: &Path) {
    let content = fs::read(path).expect("the file can be read");
    fs::remove_file(path).expect("the file can be removed");
    tree::write(path, &content[..content.len() / 2]);
}

/// A file of each kind, and what is built again if it is bad.
const FILES: [([&str; 2], &[&str], &[&str]); 4] = [
    (["/libderive-", ".so"], &["derive"], &[]),
    (["/out/", "generated.rs"], &[], &["generated"]),
    (["/libleaf-", ".rlib"], &["leaf"], &[]),
    (["/libmiddle-", ".rmeta"], &["middle"], &[]),
];

#[test]
fn a_damaged_file_is_never_placed() {
    for (pieces, compiled, run) in by_form(&FILES[..2], &FILES) {
        assert_named_in_report(*pieces, compiled, run);
    }
}

/// Appends to two files, which may exist.
const APPENDING: &str = r#"
    let out = std::env::var("OUT_DIR").unwrap();
    for name in ["first", "second"] {
        let path = format!("{out}/{name}.txt");
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, format!("{name}.").as_bytes()).unwrap();
    }
    println!("cargo:rerun-if-changed=build.rs");
"#;

#[test]
fn a_script_whose_run_was_placed_in_part_starts_in_an_empty_directory() {
    let sandbox = Sandbox::new();
    let library = r#"
        const FIRST: &str = include_str!(concat!(env!("OUT_DIR"), "/first.txt"));
        const SECOND: &str = include_str!(concat!(env!("OUT_DIR"), "/second.txt"));
        pub fn said() -> String { format!("{FIRST} {SECOND}") }
    "#;
    let registry = sandbox.registry([Package::new("appends", "1.0.0", library).counted_script(APPENDING)]);
    let main = "fn main() { println!(\"{}\", appends::said()); }";
    let demo = sandbox.demo(&registry, "appends = \"1\"", main).env("CARGO_INCREMENTAL", "0");
    build(&sandbox, &demo);
    for name in ["first", "second"] {
        tree::damage(&stored(&demo, &in_target(&demo, ["/out/", &format!("{name}.txt")])));
        // What was recorded in the first build is right in the second one.
        for scripts in [vec!["appends"], vec![]] {
            demo.clean();
            let output = build(&sandbox, &demo);
            assert_eq!(sandbox.scripts_run(), scripts, "{name}: {output}");
            assert_eq!(demo.run_binary("demo"), "first. second.\n", "{name}: {output}");
        }
    }
}

#[test]
fn a_truncated_file_is_never_placed() {
    for (pieces, compiled, run) in by_form(&FILES[2..3], &FILES[..3]) {
        assert_never_placed(*pieces, truncate, compiled, run);
    }
}

/// Asserts that if all objects of a kind are bad, everything except for `kept` units is built again, once.
#[track_caller]
fn assert_heals(kind: &str, kept: usize, damage: impl Fn(&Path)) {
    let (sandbox, demo) = warm();
    let objects = tree::files(&sandbox.store().join("v1").join(kind));
    assert!(objects.len() >= MIXED_UNITS.len(), "{objects:?}");
    objects.iter().for_each(|object| damage(object));
    build(&sandbox, &demo);
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
    assert_eq!(sandbox.compiled_externals().len() + sandbox.scripts_run().len(), MIXED_UNITS.len() - kept);
    sandbox.assert_nothing_to_do(&demo, &["build"]);
    demo.clean();
    build(&sandbox, &demo);
    assert_eq!(demo.report().hydrated(), MIXED_UNITS);
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
}

#[test]
fn damaged_entries_are_not_hydrated() {
    assert_heals("unit", 0, tree::damage);
}

#[test]
fn truncated_entries_are_not_hydrated() {
    assert_heals("unit", 0, truncate);
}

#[test]
fn missing_files_are_not_hydrated() {
    // One build script run has no files, and is replayed.
    assert_heals("file", 1, |path| fs::remove_file(path).expect("the file exists"));
}

#[test]
fn nothing_linked_is_shared_with_another_linker() {
    let sandbox = Sandbox::new();
    let linker = sandbox.path("linker/cc2");
    let set_version = |version: &str| {
        let answer = format!("case \"$*\" in --version|-v|-V) echo 'made up cc {version}'; exit;; esac");
        tree::write_script(&linker, &format!("{answer}\nexec cc \"$@\""));
    };
    let demo = sandbox.mixed();
    let variable = format!("CARGO_TARGET_{}_LINKER", demo.host().to_uppercase().replace('-', "_"));
    let demo = demo.env(&variable, &linker);
    set_version("1.0");
    demo.xcache(["build"]).ok();
    demo.clean();
    build(&sandbox, &demo);
    assert_eq!(sandbox.compiled_externals(), NONE, "with the same linker");
    assert_eq!(sandbox.scripts_run(), NONE, "with the same linker");
    demo.clean();
    set_version("2.0");
    build(&sandbox, &demo);
    let compiled = sandbox.compiled_externals();
    for linked in ["derive", "configured (build script)", "generated (build script)"] {
        assert!(compiled.iter().any(|name| name == linked), "{linked} is not among {compiled:?}");
    }
    for pure in ["leaf", "template"] {
        assert!(!compiled.iter().any(|name| name == pure), "{pure} is among {compiled:?}");
    }
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
    sandbox.assert_nothing_to_do(&demo, &["build"]);
    demo.clean();
    build(&sandbox, &demo);
    assert_eq!(sandbox.compiled_externals(), NONE, "with the new linker, again");
}

#[test]
fn nothing_is_shared_between_flags_or_profiles() {
    let (sandbox, demo) = warm();
    let shout = |demo: &Project| demo.xcache(["build"]).env("RUSTFLAGS", "--cfg shout");
    let shouted = MIXED_OUTPUT.replace("quiet", "SHOUT");
    // Alternating in one target directory, twice: in the second round everything is known.
    for round in 0..2 {
        sandbox.reset();
        shout(&demo).ok();
        assert_eq!(demo.run_binary("demo"), shouted);
        assert_eq!(sandbox.compiled_dependencies().contains(&"leaf".to_owned()), round == 0);
        build(&sandbox, &demo);
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
        assert_eq!(sandbox.compiled_externals(), NONE);
        sandbox.reset();
        demo.xcache(["build", "--config", "profile.dev.opt-level=1"]).ok();
        assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
        assert_eq!(sandbox.compiled_dependencies().contains(&"leaf".to_owned()), round == 0);
        demo.clean();
    }
}

#[test]
fn a_macro_linked_without_a_changed_linker_argument_is_not_hydrated() {
    let (sandbox, demo) = warm();
    sandbox.reset();
    demo.xcache(["build"]).env("RUSTFLAGS", "-Clink-arg=-Wl,--build-id=none").ok();
    assert!(sandbox.compiled_externals().contains(&"derive".to_owned()), "{:?}", sandbox.compiled_externals());
    assert_eq!(demo.run_binary("demo"), MIXED_OUTPUT);
}

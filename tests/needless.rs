//! Units that were once compiled although nothing had changed: each is a hit, and a miss if something did change.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use support::readers::leaf_witness;
use support::witness::{in_file, in_file_of_project, in_variable};
use support::{Package, Project, Sandbox, Witness, tree};

const NONE: [&str; 0] = [];

/// Each text is built twice.
const TEXTS: [&str; 3] = ["1", "2", "1"];

/// A witness of a registry's `leaf` with this library and build script.
fn scripted(library: &str, script: &str) -> Witness {
    let leaf = Package::new("leaf", "1.0.0", library).counted_script(script);
    leaf_witness(Sandbox::new(), [leaf], "said()")
}

#[test]
fn a_feature_set_by_a_script_does_not_prevent_reuse() {
    let library = "pub fn said() -> &'static str { if cfg!(feature = \"made_up\") { \"2\" } else { \"1\" } }";
    let script = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        if std::env::var(\"MADE_UP\").as_deref() == Ok(\"2\") { println!(\"cargo:rustc-cfg=feature=\\\"made_up\\\"\"); }";
    let witness = scripted(library, script);
    let demo = witness.demo.clone();
    witness.assert_follows_changes(&TEXTS, |_, text| in_variable("MADE_UP")(&demo, text));
    witness.assert_shared(|project, text| in_variable("MADE_UP")(project, text));
}

#[test]
fn features_of_cargo_and_of_a_script_are_told_apart() {
    let library = "pub fn said() -> i32 { cfg!(feature = \"one\") as i32 + 2 * cfg!(feature = \"two\") as i32 }";
    let script = "println!(\"cargo:rustc-cfg=feature=\\\"two\\\"\");";
    let leaf = Package::new("leaf", "1.0.0", library).feature("one").feature("two").counted_script(script);
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([leaf]);
    let main = "fn main() { println!(\"{}\", leaf::said()); }";
    for (features, said) in [("[]", "2\n"), ("[\"one\"]", "3\n"), ("[\"two\"]", "2\n"), ("[]", "2\n")] {
        let dependency = format!("leaf = {{ version = \"1\", features = {features} }}");
        let demo = sandbox.demo(&registry, &dependency, main);
        for _ in 0..2 {
            sandbox.reset();
            demo.xcache(["build"]).ok();
            assert_eq!(demo.run_binary("demo"), said, "{features}");
            demo.clean();
        }
        assert_eq!(sandbox.compiled_dependencies(), NONE, "{features}");
    }
}

#[test]
fn a_script_that_declares_a_file_of_its_package_with_a_leading_dot_is_reused() {
    let script = "println!(\"cargo:rerun-if-changed=./build.rs\"); println!(\"cargo:rustc-env=SAID=1\");";
    let witness = scripted("pub fn said() -> &'static str { env!(\"SAID\") }", script);
    witness.assert_reused_everywhere("1", Project::clone);
}

#[test]
fn a_script_whose_warning_names_a_directory_is_reused_elsewhere() {
    let script = "println!(\"cargo:warning=made in {}\", std::env::var(\"OUT_DIR\").unwrap());
        println!(\"cargo:rustc-env=SAID=1\");";
    scripted("pub fn said() -> &'static str { env!(\"SAID\") }", script).assert_reused_everywhere("1", Project::clone);
}

/// As `aws-lc-rs` does: `leaf` passes on what it receives from `leaf-sys`, and searches all variables for it.
#[test]
fn a_script_that_passes_on_a_directory_of_another_script_does_not_prevent_reuse_elsewhere() {
    let sys = "let out = std::env::var(\"OUT_DIR\").unwrap();
        std::fs::write(format!(\"{out}/value.h\"), \"1\").unwrap();
        println!(\"cargo:include={out}\");";
    let sys = Package::new("leaf-sys", "1.0.0", "").links("value").counted_script(sys);
    let script = "for (name, value) in std::env::vars() {
            if name == \"DEP_VALUE_INCLUDE\" { println!(\"cargo:include={value}\"); }
        }";
    let leaf = Package::new("leaf", "1.0.0", "pub fn said() -> i32 { 1 }").links("leaf").counted_script(script);
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([sys, leaf.dependency("leaf-sys", "1")]);
    let checkout = || sandbox.demo(&registry, "leaf = \"1\"", "fn main() { println!(\"{}\", leaf::said()); }");
    checkout().xcache(["build"]).ok();
    sandbox.reset();
    let other = checkout();
    other.xcache(["build"]).ok();
    assert_eq!((sandbox.scripts_run(), sandbox.compiled_dependencies()), (vec!["leaf".to_owned()], vec![]));
    let printed = tree::files(&other.target()).into_iter().filter(|path| path.ends_with("output"));
    let printed: String = printed.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let include = printed.lines().filter(|line| line.starts_with("cargo:include=")).collect::<Vec<_>>();
    let is_here = |line: &&str| line.contains(&other.target().display().to_string());
    assert!(include.len() == 2 && include.iter().all(is_here), "{printed}");
}

#[test]
fn a_text_with_a_directory_for_a_crate_is_not_reused_elsewhere() {
    let script = "println!(\"cargo:rustc-env=SAID=made in {}\", std::env::var(\"OUT_DIR\").unwrap());";
    let witness = scripted("pub fn said() -> &'static str { env!(\"SAID\") }", script);
    let target = witness.sandbox.unused("target");
    let there = witness.demo.clone().env("CARGO_TARGET_DIR", &target);
    for (project, target) in [(witness.demo.clone(), witness.demo.target()), (there, target)] {
        project.xcache(["build"]).ok();
        let said = project.program(target.join("debug/demo"), NONE).ok().stdout;
        assert!(said.starts_with(&format!("made in {}/debug/build", target.display())), "{said}");
    }
}

/// The project with another home directory, which contains the cargo home.
fn at_home(witness: &Witness, home: &str) -> Project {
    let home = witness.sandbox.path(home);
    if !home.exists() {
        tree::copy(&witness.sandbox.another_cargo_home(), &home.join(".cargo"));
    }
    witness.demo.clone().env("HOME", &home).with_cargo_home(&home.join(".cargo"))
}

#[test]
fn a_script_that_reads_the_home_variable_is_reused_with_another_home() {
    let script = "let _ = std::env::var(\"HOME\"); println!(\"cargo:rustc-env=SAID=1\");
        println!(\"cargo:root={}\", std::env::var(\"CARGO_MANIFEST_DIR\").unwrap());";
    let witness = scripted("pub fn said() -> &'static str { env!(\"SAID\") }", script);
    for home in ["the-home-of-one", "the-home-of-another"] {
        witness.assert_prints(&at_home(&witness, home), "1");
        witness.assert_reused(&at_home(&witness, home), "1");
        assert_eq!(witness.sandbox.scripts_run(), NONE);
    }
    let there = at_home(&witness, "the-home-of-somebody");
    witness.assert_prints(&there, "1");
    assert_eq!(witness.sandbox.scripts_run(), NONE, "{}", there.report().json());
}

#[test]
fn a_script_that_prints_the_home_directory_is_not_reused_with_another_home() {
    let script = "println!(\"cargo:rustc-env=SAID={}/x\", std::env::var(\"HOME\").unwrap());";
    let witness = scripted("pub fn said() -> &'static str { env!(\"SAID\") }", script);
    for home in ["the-home-of-one", "the-home-of-another", "the-home-of-one"] {
        let said = witness.sandbox.path(home).join("x").display().to_string();
        witness.assert_prints(&at_home(&witness, home), &said);
        witness.assert_reused(&at_home(&witness, home), &said);
    }
}

#[test]
fn a_crate_that_includes_a_file_of_its_package_is_reused_elsewhere() {
    let library =
        "#![doc = include_str!(\"../notes.md\")] pub fn said() -> &'static str { include_str!(\"../said.txt\") }";
    let leaf = Package::new("leaf", "1.0.0", library).file("notes.md", "Notes").file("said.txt", "1");
    leaf_witness(Sandbox::new(), [leaf], "said()").assert_reused_everywhere("1", Project::clone);
}

#[test]
fn a_changed_file_beside_its_package_that_a_crate_includes_is_not_reused() {
    let library = "pub fn said() -> &'static str { include_str!(\"../../said.txt\") }";
    let witness = leaf_witness(Sandbox::new(), [Package::new("leaf", "1.0.0", library)], "said()");
    let demo = witness.demo.clone();
    demo.cargo(["fetch"]).ok();
    let index = tree::children(&demo.cargo_home().join("registry/src"));
    let beside =
        index.iter().find(|index| index.join("leaf-1.0.0").exists()).expect("leaf is unpacked").join("said.txt");
    witness.assert_follows_changes(&TEXTS, |_, text| in_file(&beside)(&demo, text));
}

/// A member that is cached by its content, with files of xcache or cargo in its directory.
fn with_files_inside(set: impl Fn(&Project) -> Project + 'static) -> Witness {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("leaf", "1.0.0", "pub const LEAF: &str = \"1\";")]);
    let main = "fn main() { println!(\"{} {}\", leaf::LEAF, include_str!(\"../said.txt\").trim()); }";
    Witness::new(sandbox, move |sandbox| {
        let demo = set(&sandbox.demo(&registry, "leaf = \"1\"", main));
        demo.write("said.txt", "1");
        demo
    })
}

/// Asserts that the whole workspace is reused, and that files of the member are inputs.
#[track_caller]
fn assert_member_is_reused(set: impl Fn(&Project) -> Project + 'static) {
    let witness = with_files_inside(set);
    witness.assert_prints(&witness.demo, "1 1");
    // Unpacked or created files are no longer new in the second build.
    witness.assert_prints(&witness.demo, "1 1");
    witness.assert_reused(&witness.demo, "1 1");
    in_file_of_project("said.txt")(&witness.demo, "2");
    witness.assert_prints(&witness.demo, "1 2");
    witness.assert_reused(&witness.demo, "1 2");
}

#[test]
fn a_store_inside_of_a_member_is_no_input_of_it() {
    assert_member_is_reused(|demo| demo.clone().with_store(&demo.dir().join("store")));
}

#[test]
fn a_remote_inside_of_a_member_is_no_input_of_it() {
    let remote = |demo: &Project| format!("file://{}", demo.dir().join("remote").display());
    assert_member_is_reused(move |demo| demo.clone().env("XCACHE_REMOTE", remote(demo)));
}

#[test]
fn a_cargo_home_inside_of_a_member_is_no_input_of_it() {
    assert_member_is_reused(|demo| {
        let home = demo.dir().join("cargo-home");
        tree::copy(demo.cargo_home(), &home);
        demo.clone().with_cargo_home(&home)
    });
}

/// Sets the time of a file to a year from now.
fn set_future_time(path: &Path) {
    let future = SystemTime::now() + Duration::from_secs(365 * 24 * 3600);
    File::options().append(true).open(path).and_then(|file| file.set_modified(future)).expect("a file can be dated");
}

#[test]
fn a_file_of_a_member_with_a_future_time_is_treated_like_any_other() {
    let witness = with_files_inside(Project::clone);
    set_future_time(&witness.demo.dir().join("said.txt"));
    set_future_time(&witness.demo.dir().join("src/main.rs"));
    // A file that changed just before the plan may change again; not so in the second build.
    std::thread::sleep(Duration::from_millis(20));
    witness.assert_prints(&witness.demo, "1 1");
    witness.assert_reused(&witness.demo, "1 1");
    in_file_of_project("said.txt")(&witness.demo, "2");
    set_future_time(&witness.demo.dir().join("said.txt"));
    witness.assert_prints(&witness.demo, "1 2");
}

#[test]
fn a_file_with_a_future_time_is_not_taken_for_written_by_a_script() {
    let script = "println!(\"cargo:rustc-env=SAID=1\");";
    let witness = scripted("pub fn said() -> &'static str { env!(\"SAID\") }", script);
    let registries = tree::children(&witness.demo.cargo_home().join("registry/src"));
    let unpacked = registries.iter().map(|registry| registry.join("leaf-1.0.0")).find(|path| path.exists());
    set_future_time(&unpacked.expect("leaf is unpacked").join("src/lib.rs"));
    witness.assert_prints(&witness.demo, "1");
    witness.assert_reused(&witness.demo, "1");
}

#[test]
fn a_wrapper_named_by_an_option_is_called_in_addition_to_the_cache() {
    let witness = with_files_inside(Project::clone);
    let (wrapper, calls) = (witness.sandbox.path("tools/wrap"), witness.sandbox.path("calls"));
    tree::write_script(&wrapper, &format!("echo call >> '{}'\nexec \"$@\"", calls.display()));
    let option = format!("build.rustc-wrapper={:?}", wrapper.display().to_string());
    let build = || {
        witness.demo.clean();
        witness.sandbox.reset();
        witness.demo.xcache(["build", "--config", &option]).ok();
        assert_eq!(witness.demo.run_binary("demo"), "1 1\n");
    };
    build();
    assert!(
        std::fs::read_to_string(&calls).is_ok_and(|calls| calls.lines().count() >= 2),
        "the wrapper is called for both"
    );
    build();
    assert_eq!(witness.sandbox.compiled(), NONE, "{}", witness.demo.report().json());
}

/// A witness of a registry's `leaf`, with a macro, and a script that prints what it reads in `MADE_UP`.
fn configurable() -> Witness {
    let script = "println!(\"cargo:rerun-if-changed=build.rs\");
        println!(\"cargo:rustc-env=SAID={}\", std::env::var(\"MADE_UP\").unwrap_or_default());";
    let library = "extern crate proc_macro;
        #[proc_macro] pub fn one(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"1\".parse().unwrap() }";
    let made = Package::new("made", "1.0.0", library).procedural_macro();
    let library = "pub fn said() -> String {
        format!(\"{}{}{}\", made::one!(), env!(\"SAID\"), if cfg!(linked) { \" linked\" } else { \"\" })
    }";
    let leaf = Package::new("leaf", "1.0.0", library).dependency("made", "1").counted_script(script);
    leaf_witness(Sandbox::new(), [made, leaf], "said()")
}

/// The project with this text appended to its configuration.
fn configured(witness: &Witness, more: &str) -> Project {
    let demo = &witness.demo;
    let config = demo.read(".cargo/config.toml");
    let config = config.split("# more\n").next().unwrap_or_default();
    demo.write(".cargo/config.toml", format!("{config}# more\n{more}"));
    demo.clone()
}

/// Asserts that dependencies are hits. The keys of members contain all configured variables.
#[track_caller]
fn assert_dependencies_are_hits(witness: &Witness, project: &Project, said: &str) {
    witness.assert_prints(project, said);
    let started = [witness.sandbox.scripts_run(), witness.sandbox.compiled_externals()].concat();
    assert_eq!(started, NONE, "{}", project.report().json());
}

#[test]
fn where_flags_are_set_makes_no_difference() {
    let witness = configurable();
    let configured = |more: &str| configured(&witness, more);
    witness.assert_prints(&configured("[build]\nrustflags = \"--cfg linked\"\n"), "1 linked");
    assert_dependencies_are_hits(&witness, &configured("[build]\nrustflags = [\"--cfg\", \"linked\"]\n"), "1 linked");
    assert_dependencies_are_hits(
        &witness,
        &configured("[target.'cfg(unix)']\nrustflags = [\"--cfg\", \"linked\"]\n"),
        "1 linked",
    );
    assert_dependencies_are_hits(&witness, &configured("").env("RUSTFLAGS", "--cfg linked"), "1 linked");
    assert_dependencies_are_hits(
        &witness,
        &configured("").env("CARGO_ENCODED_RUSTFLAGS", "--cfg\x1flinked"),
        "1 linked",
    );
    assert_dependencies_are_hits(&witness, &configured("").env("CARGO_BUILD_RUSTFLAGS", "--cfg linked"), "1 linked");
    // No flags for this target.
    witness.assert_prints(&configured("[target.'cfg(windows)']\nrustflags = [\"--cfg\", \"linked\"]\n"), "1");
    assert_dependencies_are_hits(
        &witness,
        &configured("[target.avr-none]\nrustflags = [\"--cfg\", \"linked\"]\n"),
        "1",
    );
    assert_dependencies_are_hits(&witness, &configured(""), "1");
}

#[test]
fn settings_for_other_platforms_and_runners_do_not_prevent_reuse() {
    let witness = configurable();
    witness.assert_prints(&witness.demo, "1");
    for more in [
        "[target.avr-none]\nrunner = \"simavr\"\nlinker = \"avr-gcc\"\n",
        "[target.'cfg(unix)']\nrunner = \"env\"\n",
        "[target.x86_64-unknown-linux-gnu]\nrunner = \"env\"\n",
    ] {
        assert_dependencies_are_hits(&witness, &configured(&witness, more), "1");
    }
}

#[test]
fn a_configured_variable_that_a_script_reads_is_an_input() {
    let witness = configurable();
    let said = |value: &str| configured(&witness, &format!("[env]\nMADE_UP = \"{value}\"\nSOMETHING = \"else\"\n"));
    witness.assert_prints(&witness.demo, "1");
    assert_dependencies_are_hits(&witness, &configured(&witness, "[env]\nSOMETHING_ELSE = \"1\"\n"), "1");
    witness.assert_prints(&said(" 2"), "1 2");
    assert_dependencies_are_hits(&witness, &said(" 2"), "1 2");
    witness.assert_prints(&said(" 3"), "1 3");
    let forced = "[env]\nMADE_UP = { value = \" 4\", force = true }\n";
    witness.assert_prints(&configured(&witness, forced).env("MADE_UP", " 5"), "1 4");
}

#[test]
fn a_configured_relative_path_is_one_of_this_checkout() {
    let witness = configurable();
    let more = "[env]\nMADE_UP = { value = \"here\", relative = true }\n";
    let said = |project: &Project| format!("1{}", project.dir().join("here").display());
    let here = configured(&witness, more);
    witness.assert_prints(&here, &said(&here));
    assert_dependencies_are_hits(&witness, &here, &said(&here));
    let there = here.at(&witness.sandbox.unused("another-checkout"));
    tree::copy(here.dir(), there.dir());
    witness.assert_prints(&there, &said(&there));
}

//! What was compiled although nothing had changed: each is a hit, and where something has changed, it is none.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use support::looking::of_leaf;
use support::witness::{in_file_of_project, in_variable};
use support::{Package, Project, Sandbox, Witness, tree};

const NONE: [&str; 0] = [];

/// Each text is said twice, first when it is new.
const TEXTS: [&str; 3] = ["1", "2", "1"];

/// `leaf` of a registry gives what its script has found, in a function that `above` hands on.
fn scripted(library: &str, script: &str) -> Witness {
    let leaf = Package::new("leaf", "1.0.0", library).counted_script(script);
    of_leaf(Sandbox::new(), [leaf], "said()")
}

#[test]
fn a_feature_that_a_script_tells_the_compiler_of_is_no_reason_to_compile() {
    let library = "pub fn said() -> &'static str { if cfg!(feature = \"made_up\") { \"2\" } else { \"1\" } }";
    let script = "println!(\"cargo:rerun-if-env-changed=MADE_UP\");
        if std::env::var(\"MADE_UP\").as_deref() == Ok(\"2\") { println!(\"cargo:rustc-cfg=feature=\\\"made_up\\\"\"); }";
    let witness = scripted(library, script);
    let demo = witness.demo.clone();
    witness.assert_follows(&TEXTS, |_, text| in_variable("MADE_UP")(&demo, text));
    witness.assert_shared(|project, text| in_variable("MADE_UP")(project, text));
}

#[test]
fn a_feature_of_cargos_and_one_of_a_script_are_told_apart() {
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
fn a_script_that_names_a_file_of_its_package_from_here_is_kept() {
    let script = "println!(\"cargo:rerun-if-changed=./build.rs\"); println!(\"cargo:rustc-env=SAID=1\");";
    let witness = scripted("pub fn said() -> &'static str { env!(\"SAID\") }", script);
    witness.assert_reused_everywhere("1", Project::clone);
}

/// A member that is cached by its content, with what xcache writes in its directory. Cargo has unpacked there what it needs.
fn with_ours_inside(set: impl Fn(&Project) -> Project + 'static) -> Witness {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("leaf", "1.0.0", "pub const LEAF: &str = \"1\";")]);
    let main = "fn main() { println!(\"{} {}\", leaf::LEAF, include_str!(\"../said.txt\").trim()); }";
    Witness::new(sandbox, move |sandbox| {
        let demo = set(&sandbox.demo(&registry, "leaf = \"1\"", main));
        demo.write("said.txt", "1");
        demo
    })
}

/// All of it is reused, and what the member itself holds counts.
#[track_caller]
fn assert_member_is_reused(set: impl Fn(&Project) -> Project + 'static) {
    let witness = with_ours_inside(set);
    witness.assert_says(&witness.demo, "1 1");
    // What was just unpacked or made there is not new the second time.
    witness.assert_says(&witness.demo, "1 1");
    witness.assert_reused(&witness.demo, "1 1");
    in_file_of_project("said.txt")(&witness.demo, "2");
    witness.assert_says(&witness.demo, "1 2");
    witness.assert_reused(&witness.demo, "1 2");
}

#[test]
fn a_store_inside_of_a_member_is_not_its_content() {
    assert_member_is_reused(|demo| demo.clone().with_store(&demo.dir().join("store")));
}

#[test]
fn a_remote_inside_of_a_member_is_not_its_content() {
    let remote = |demo: &Project| format!("file://{}", demo.dir().join("remote").display());
    assert_member_is_reused(move |demo| demo.clone().env("XCACHE_REMOTE", remote(demo)));
}

#[test]
fn a_package_home_inside_of_a_member_is_not_its_content() {
    assert_member_is_reused(|demo| {
        let home = demo.dir().join("cargo-home");
        tree::copy(demo.cargo_home(), &home);
        demo.clone().with_cargo_home(&home)
    });
}

/// Dates a file a year from now.
fn date_in_the_future(path: &Path) {
    let future = SystemTime::now() + Duration::from_secs(365 * 24 * 3600);
    File::options().append(true).open(path).and_then(|file| file.set_modified(future)).expect("a file can be dated");
}

#[test]
fn a_file_of_a_member_that_is_dated_in_the_future_is_one_as_any_other() {
    let witness = with_ours_inside(Project::clone);
    date_in_the_future(&witness.demo.dir().join("said.txt"));
    date_in_the_future(&witness.demo.dir().join("src/main.rs"));
    // What was changed when the plan was made may be changed again: not so the second time.
    std::thread::sleep(Duration::from_millis(20));
    witness.assert_says(&witness.demo, "1 1");
    witness.assert_reused(&witness.demo, "1 1");
    in_file_of_project("said.txt")(&witness.demo, "2");
    date_in_the_future(&witness.demo.dir().join("said.txt"));
    witness.assert_says(&witness.demo, "1 2");
}

#[test]
fn what_is_dated_in_the_future_was_not_written_by_a_script() {
    let script = "println!(\"cargo:rustc-env=SAID=1\");";
    let witness = scripted("pub fn said() -> &'static str { env!(\"SAID\") }", script);
    let registries = tree::children(&witness.demo.cargo_home().join("registry/src"));
    let unpacked = registries.iter().map(|registry| registry.join("leaf-1.0.0")).find(|path| path.exists());
    date_in_the_future(&unpacked.expect("it is unpacked").join("src/lib.rs"));
    witness.assert_says(&witness.demo, "1");
    witness.assert_reused(&witness.demo, "1");
}

#[test]
fn a_wrapper_that_an_option_names_is_called_beside_the_cache() {
    let witness = with_ours_inside(Project::clone);
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
    assert!(std::fs::read_to_string(&calls).is_ok_and(|calls| calls.lines().count() >= 2), "it is called for both");
    build();
    assert_eq!(witness.sandbox.compiled(), NONE, "{}", witness.demo.report().json());
}

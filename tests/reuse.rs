//! What must be a hit, counted by the starts of the real rustc behind the wrapper.

use std::collections::BTreeMap;
use std::path::PathBuf;

use support::registry::{CHAIN, CHAIN_MAIN};
use support::rustc::real;
use support::sandbox::sorted;
use support::{Invocation, Package, Project, Repository, Rustc, Sandbox, tree};

/// The libraries of the fixture `app` that come from crates.io.
const LIBRARIES: [&str; 9] =
    ["anstyle_parse", "anyhow", "cfg_if", "itoa", "log", "memchr", "ryu", "serde_core", "utf8parse"];
const NONE: [&str; 0] = [];
/// Besides the libraries: a procedural macro, two build scripts, and their runs.
const CACHEABLE: usize = LIBRARIES.len() + 5;

/// A sandbox in which the fixture `app` has been built once. Members are not cached.
fn warm() -> (Sandbox, Project) {
    let sandbox = Sandbox::new();
    let app = sandbox.checkout("app").env("XCACHE_MEMBERS", "off");
    app.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), LIBRARIES);
    sandbox.reset();
    (sandbox, app)
}

#[test]
fn an_empty_target_directory_is_filled_without_compiling_a_dependency() {
    let (sandbox, app) = warm();
    let said = app.run_binary("app");
    app.clean();
    app.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_eq!(app.run_binary("app"), said);
}

#[test]
fn the_report_agrees_with_the_starts_of_rustc() {
    let (sandbox, app) = warm();
    let report = app.report();
    assert_eq!(report.packages("hit"), NONE);
    assert_eq!(report.packages("miss").len(), CACHEABLE);
    app.clean();
    app.xcache(["build"]).ok();
    let report = app.report();
    assert_eq!(report.packages("hit").len(), CACHEABLE);
    assert_eq!(report.packages("miss"), NONE);
    // What the report does not call a hit was compiled.
    assert_eq!(sandbox.compiled().len(), report.packages("uncacheable").len());
}

#[test]
fn another_checkout_compiles_no_dependency() {
    let (sandbox, _) = warm();
    let elsewhere = sandbox.checkout("app");
    elsewhere.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
}

#[test]
fn another_target_directory_compiles_no_dependency() {
    let (sandbox, app) = warm();
    let by_flag = sandbox.path("target-by-flag");
    app.xcache(["build", "--target-dir"]).arg(&by_flag).ok();
    assert!(by_flag.join("debug/app").is_file());
    let by_variable = sandbox.path("a-target-by-variable");
    app.xcache(["build"]).env("CARGO_TARGET_DIR", &by_variable).ok();
    assert!(by_variable.join("debug/app").is_file());
    assert_eq!(sandbox.compiled_dependencies(), NONE);
}

#[test]
fn another_cargo_home_compiles_no_dependency() {
    let (sandbox, app) = warm();
    let app = app.with_cargo_home(&sandbox.another_cargo_home());
    app.clean();
    app.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
}

#[test]
fn another_checkout_target_directory_and_cargo_home_together_compile_no_dependency() {
    let (sandbox, app) = warm();
    let said = app.run_binary("app");
    let elsewhere = sandbox.checkout("app").with_cargo_home(&sandbox.another_cargo_home());
    let target = sandbox.path("the-target-of-somebody-else");
    elsewhere.xcache(["build", "--target-dir"]).arg(&target).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_eq!(elsewhere.program(target.join("debug/app"), NONE).ok().stdout, said);
}

#[test]
fn another_workspace_shares_common_dependencies() {
    let sandbox = Sandbox::new();
    let registry = sandbox.chain_registry();
    sandbox.demo(&registry, CHAIN, CHAIN_MAIN).xcache(["build"]).ok();
    sandbox.reset();
    let other = "fn main() { println!(\"{}\", middle::name()); }";
    let other = sandbox.demo(&registry, "middle = \"1\"", other);
    other.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_eq!(other.run_binary("demo"), "middle of 1.0.1\n");
}

#[test]
fn a_repeated_build_starts_no_rustc_after_plain_cargo_has_queried_it() {
    let (sandbox, app) = warm();
    // Once after a build that compiled, once after a build that restored.
    for _ in 0..2 {
        sandbox.reset();
        app.xcache(["build"]).ok();
        assert_eq!(sandbox.starts(), NONE);
        app.cargo(["build"]).ok();
        assert_eq!(sandbox.compiled(), NONE);
        sandbox.reset();
        app.cargo(["build"]).ok();
        app.xcache(["build"]).ok();
        app.cargo(["build"]).ok();
        assert_eq!(sandbox.starts(), NONE);
        app.clean();
        app.xcache(["build"]).ok();
    }
}

#[test]
fn xcache_and_plain_cargo_alternate_without_rebuilding() {
    let (sandbox, app) = warm();
    app.clean();
    app.xcache(["build"]).ok();
    for round in 0..3 {
        sandbox.reset();
        app.cargo(["build"]).ok();
        app.xcache(["build"]).ok();
        assert_eq!(sandbox.compiled(), NONE, "in round {round}, nothing had changed");
        app.write("src/main.rs", format!("{}\n// {round}", app.read("src/main.rs")));
        app.cargo(["build"]).ok();
        app.xcache(["build"]).ok();
        assert_eq!(sandbox.compiled(), ["app"], "in round {round}, the program had changed");
    }
}

#[test]
fn a_target_directory_of_plain_cargo_is_fresh_for_xcache() {
    let sandbox = Sandbox::new();
    let app = sandbox.checkout("app");
    app.cargo(["build"]).ok();
    sandbox.reset();
    app.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled(), NONE);
}

#[test]
fn only_a_bumped_dependency_and_its_dependents_are_compiled() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), "apex of middle of 1.0.0 and lone\n");
    demo.cargo(["update", "--package", "base", "--precise", "1.0.1"]).ok();
    demo.clean();
    sandbox.reset();
    demo.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), ["apex", "base", "middle"]);
    assert_eq!(demo.run_binary("demo"), "apex of middle of 1.0.1 and lone\n");
}

#[test]
fn a_dependency_from_git_is_not_compiled_again() {
    let sandbox = Sandbox::new();
    let repository = Repository::of_fixture("greeting", &sandbox.path("greeting"));
    let dependency = format!("greeting = {{ git = {:?} }}", repository.url());
    let main = "fn main() { println!(\"{}\", greeting::greet(\"git\")); }";
    // Offline, cargo does not even read a repository on the same disk.
    let demo = sandbox.demo_unlocked(&dependency, main).env_remove("CARGO_NET_OFFLINE");
    demo.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), ["greeting"]);
    sandbox.reset();
    let home = sandbox.another_cargo_home();
    let elsewhere = sandbox.demo_unlocked(&dependency, main).env_remove("CARGO_NET_OFFLINE").with_cargo_home(&home);
    elsewhere.write("Cargo.lock", demo.read("Cargo.lock"));
    elsewhere.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_eq!(elsewhere.run_binary("demo"), "hello git\n");
}

#[test]
fn a_library_that_uses_a_procedural_macro_is_not_compiled_again() {
    let sandbox = Sandbox::new();
    let answer = "extern crate proc_macro;
        #[proc_macro] pub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream { \"42\".parse().unwrap() }";
    let registry = sandbox.registry([
        Package::new("answer-macro", "1.0.0", answer).procedural_macro(),
        Package::new("answer", "1.0.0", "pub fn answer() -> u32 { answer_macro::answer!() }")
            .dependency("answer-macro", "1"),
    ]);
    let main = "fn main() { println!(\"{}\", answer::answer()); }";
    sandbox.demo(&registry, "answer = \"1\"", main).xcache(["build"]).ok();
    sandbox.reset();
    let elsewhere = sandbox.demo(&registry, "answer = \"1\"", main);
    elsewhere.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_eq!(elsewhere.run_binary("demo"), "42\n");
}

#[test]
fn a_library_that_includes_a_generated_file_is_not_compiled_again() {
    let sandbox = Sandbox::new();
    let script = "fn main() {
        println!(\"cargo::rerun-if-changed=build.rs\");
        let dir = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        std::fs::write(dir.join(\"generated.rs\"), \"pub const GENERATED: u32 = 7;\").unwrap();
    }";
    let library = "include!(concat!(env!(\"OUT_DIR\"), \"/generated.rs\"));";
    let registry = sandbox.registry([Package::new("generated", "1.0.0", library).build_script(script)]);
    let main = "fn main() { println!(\"{}\", generated::GENERATED); }";
    sandbox.demo(&registry, "generated = \"1\"", main).xcache(["build"]).ok();
    sandbox.reset();
    let elsewhere = sandbox.demo(&registry, "generated = \"1\"", main);
    elsewhere.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    assert_eq!(elsewhere.run_binary("demo"), "7\n");
}

#[test]
fn every_command_reuses_its_own_units() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    let commands: [&[&str]; 7] =
        [&["build"], &["build", "--release"], &["check"], &["run"], &["test"], &["clippy"], &["doc"]];
    for command in commands {
        demo.clean();
        demo.xcache(command).ok();
        demo.clean();
        sandbox.reset();
        demo.xcache(command).ok();
        assert_eq!(sandbox.compiled_dependencies(), NONE, "of {command:?}");
    }
}

/// rustdoc runs again for documented crates, with their dependencies from the cache.
#[test]
fn documentation_from_cached_crates_equals_that_of_plain_cargo() {
    let sandbox = Sandbox::new();
    let rustdoc =
        sandbox.another_rustc(|dir| Rustc::of(dir, &real(&[]).expect("rustc is on PATH").with_file_name("rustdoc")));
    let demo = sandbox.mixed().env("RUSTDOC", rustdoc.executable());
    let documented = |run: Invocation| {
        demo.clean();
        sandbox.reset();
        rustdoc.reset();
        run.ok();
        pages(&demo)
    };
    let plain = [(); 2].map(|()| documented(demo.cargo(["doc"])));
    let crates = sorted(rustdoc.compilations());
    let is_deterministic = |page: &&PathBuf| plain[0].get(*page) == plain[1].get(*page);
    let deterministic = |pages: &BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<_, _> {
        pages
            .iter()
            .filter(|(page, _)| is_deterministic(page))
            .map(|(page, bytes)| (page.clone(), bytes.clone()))
            .collect()
    };
    assert!(deterministic(&plain[0]).len() * 2 > plain[0].len(), "most pages are deterministic");
    for is_first in [true, false] {
        let ours = documented(demo.xcache(["doc"]));
        assert_eq!(sandbox.compiled_externals().is_empty(), !is_first, "{:?}", sandbox.compiled());
        assert_eq!(sorted(rustdoc.compilations()), crates);
        assert_eq!(ours.keys().collect::<Vec<_>>(), plain[0].keys().collect::<Vec<_>>());
        let differing: Vec<_> =
            deterministic(&ours).into_iter().filter(|(page, bytes)| plain[0].get(page) != Some(bytes)).collect();
        assert!(differing.is_empty(), "{:?}", differing.iter().map(|(page, _)| page).collect::<Vec<_>>());
        sandbox.reset();
        rustdoc.reset();
        demo.cargo(["doc"]).ok();
        assert_eq!((sandbox.compiled(), sorted(rustdoc.compilations())), (vec![], vec![]), "again, by plain cargo");
    }
}

/// All files of the documentation.
fn pages(project: &Project) -> BTreeMap<PathBuf, Vec<u8>> {
    let dir = project.target().join("doc");
    let name = |path: &PathBuf| path.strip_prefix(&dir).expect("the page is in the directory").to_owned();
    let files = tree::files(&dir).into_iter();
    files.map(|path| (name(&path), std::fs::read(&path).expect("the page can be read"))).collect()
}

#[test]
fn a_profile_named_like_the_directory_of_generated_files_is_reused() {
    let sandbox = Sandbox::new();
    let mixed = sandbox.mixed();
    let manifest = mixed.read("Cargo.toml");
    mixed.write("Cargo.toml", format!("{manifest}\n[profile.out]\ninherits = \"dev\"\nopt-level = 1\n"));
    let build = || {
        mixed.clean();
        sandbox.reset();
        mixed.xcache(["build", "--profile", "out"]).ok();
        sandbox.compiled_externals()
    };
    assert_ne!(build(), NONE);
    assert_eq!(build(), NONE);
}

#[test]
fn units_of_a_failed_build_are_reused() {
    let sandbox = Sandbox::new();
    let app = sandbox.checkout("app");
    app.xcache(["build", "--features", "broken"]).run().fails();
    // The build may have ended before other units, but compiled units are stored.
    let compiled = sandbox.compiled_dependencies();
    assert!(compiled.iter().any(|name| name == "memchr"), "{compiled:?}");
    app.clean();
    sandbox.reset();
    app.xcache(["build"]).ok();
    let again = sandbox.compiled_dependencies();
    assert!(!compiled.iter().any(|name| again.contains(name)), "{compiled:?} were compiled before, {again:?} now");
}

#[test]
fn cargo_finds_xcache_as_a_subcommand() {
    let (sandbox, app) = warm();
    app.clean();
    app.cargo(["xcache", "build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
}

//! What must not be a hit: one thing differs, and the dependency is compiled again.
//!
//! Each test also shows the opposite: what does not differ is reused, before and after.

use support::{Invocation, Package, Project, Registry, Repository, Rustc, Sandbox, nightly, tree};

const NONE: [&str; 0] = [];

/// A library whose behaviour depends on how it is compiled, and a program that shows it.
fn leaf() -> Package {
    let library = "pub fn voice() -> &'static str {
        if cfg!(feature = \"loud\") { \"LOUD\" } else if cfg!(shout) { \"SHOUT\" } else { \"quiet\" }
    }";
    Package::new("leaf", "1.0.0", library).feature("loud")
}

const MAIN: &str = "fn main() { println!(\"{}\", leaf::voice()); }";

fn demo(sandbox: &Sandbox) -> Project {
    demo_of(sandbox, &sandbox.registry([leaf()]))
}

fn demo_of(sandbox: &Sandbox, registry: &Registry) -> Project {
    let demo = sandbox.demo(registry, "leaf = \"1\"", MAIN);
    demo.edit("Cargo.toml", "[dependencies]", "[features]\nloud = [\"leaf/loud\"]\n[dependencies]");
    demo
}

/// Asserts that two ways to build share none of `libraries`, though each is a full hit when repeated.
#[track_caller]
fn assert_not_shared(sandbox: &Sandbox, demo: &Project, ways: [&dyn Fn() -> Invocation; 2], libraries: &[&str]) {
    for expected in [libraries, &NONE] {
        for way in ways {
            demo.clean();
            sandbox.reset();
            way().ok();
            assert_eq!(sandbox.compiled_dependencies(), expected);
        }
    }
}

/// Asserts that `xcache build` with further arguments shares nothing with `xcache build`.
#[track_caller]
fn assert_arguments_not_shared(arguments: &[&str]) {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    let plain = || demo.xcache(["build"]);
    let other = || demo.xcache([&["build"], arguments].concat());
    assert_not_shared(&sandbox, &demo, [&plain, &other], &["leaf"]);
}

#[test]
fn other_features_are_not_shared() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    let quiet = || demo.xcache(["build"]);
    let loud = || demo.xcache(["build", "--features", "loud"]);
    assert_not_shared(&sandbox, &demo, [&quiet, &loud], &["leaf"]);
    assert_eq!(demo.run_binary("demo"), "LOUD\n");
    demo.clean();
    quiet().ok();
    assert_eq!(demo.run_binary("demo"), "quiet\n");
}

#[test]
fn another_profile_is_not_shared() {
    assert_arguments_not_shared(&["--release"]);
}

#[test]
fn another_optimization_level_is_not_shared() {
    assert_arguments_not_shared(&["--config", "profile.dev.opt-level=1"]);
}

#[test]
fn another_level_of_debug_information_is_not_shared() {
    assert_arguments_not_shared(&["--config", "profile.dev.debug=1"]);
}

#[test]
fn other_debug_assertions_are_not_shared() {
    assert_arguments_not_shared(&["--config", "profile.dev.debug-assertions=false"]);
}

#[test]
fn other_overflow_checks_are_not_shared() {
    assert_arguments_not_shared(&["--config", "profile.dev.overflow-checks=false"]);
}

#[test]
fn another_panic_strategy_is_not_shared() {
    assert_arguments_not_shared(&["--config", "profile.dev.panic=\"abort\""]);
}

#[test]
fn another_number_of_codegen_units_is_not_shared() {
    assert_arguments_not_shared(&["--config", "profile.dev.codegen-units=1"]);
}

#[test]
fn another_kind_of_link_time_optimization_is_not_shared() {
    assert_arguments_not_shared(&["--config", "profile.dev.lto=\"thin\""]);
}

#[test]
fn a_profile_override_of_one_package_is_not_shared() {
    assert_arguments_not_shared(&["--config", "profile.dev.package.leaf.opt-level=2"]);
}

#[test]
fn a_check_and_a_build_share_nothing() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    let build = || demo.xcache(["build"]);
    let check = || demo.xcache(["check"]);
    assert_not_shared(&sandbox, &demo, [&build, &check], &["leaf"]);
}

#[test]
fn other_rustflags_are_not_shared() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    let plain = || demo.xcache(["build"]);
    let other = || demo.xcache(["build"]).env("RUSTFLAGS", "-Coverflow-checks=off");
    assert_not_shared(&sandbox, &demo, [&plain, &other], &["leaf"]);
}

#[test]
fn another_cfg_is_not_shared() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    let quiet = || demo.xcache(["build"]);
    let shout = || demo.xcache(["build", "--config", "build.rustflags=[\"--cfg\", \"shout\"]"]);
    assert_not_shared(&sandbox, &demo, [&quiet, &shout], &["leaf"]);
    assert_eq!(demo.run_binary("demo"), "SHOUT\n");
}

#[test]
fn another_cfg_from_a_build_script_is_not_shared() {
    let sandbox = Sandbox::new();
    let script = "fn main() {
        println!(\"cargo::rerun-if-env-changed=MADE_UP_VOICE\");
        if std::env::var_os(\"MADE_UP_VOICE\").is_some() { println!(\"cargo::rustc-cfg=shout\"); }
    }";
    let demo = demo_of(&sandbox, &sandbox.registry([leaf().build_script(script)]));
    demo.xcache(["build"]).ok();
    demo.clean();
    sandbox.reset();
    demo.xcache(["build"]).env("MADE_UP_VOICE", "1").ok();
    assert_eq!(sandbox.compiled_dependencies(), ["leaf"]);
    assert_eq!(demo.run_binary("demo"), "SHOUT\n");
    demo.clean();
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), "quiet\n");
}

#[test]
fn another_edition_is_not_shared() {
    // The edition 2021 changed what iterating over an array yields.
    let library = "pub fn voice() -> &'static str {
        let [first] = [[1u8]];
        if std::any::type_name_of_val(&first.into_iter()).contains(\"slice\") { \"by reference\" } else { \"by value\" }
    }";
    let package = |edition: &str| Package::new("leaf", "1.0.0", library).edition(edition);
    let said = assert_republished_not_shared([package("2018"), package("2021")]);
    assert_eq!(said, ["by reference\n", "by value\n"]);
}

/// Asserts that two packages of the same name and version, published one after the other, share nothing. Returns the
/// outputs of their programs.
#[track_caller]
fn assert_republished_not_shared(packages: [Package; 2]) -> [String; 2] {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([]);
    packages.map(|package| {
        registry.publish(package);
        let demo = sandbox.demo(&registry, "leaf = \"1\"", MAIN);
        for expected in [&["leaf"][..], &NONE] {
            demo.clean();
            sandbox.reset();
            demo.xcache(["build"]).ok();
            assert_eq!(sandbox.compiled_dependencies(), expected);
        }
        sandbox.forget_unpacked("leaf-1.0.0");
        demo.run_binary("demo")
    })
}

#[test]
fn the_host_and_the_same_triple_as_a_target_are_not_shared() {
    let version = Sandbox::new();
    let version = demo(&version).program("rustc", ["-vV"]).ok().stdout;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    assert_arguments_not_shared(&["--target", host]);
}

#[test]
fn another_toolchain_is_not_shared() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    demo.xcache(["build"]).ok();
    demo.clean();
    let other = sandbox.another_rustc(Rustc::of_another_version);
    let demo = demo.with_rustc(&other);
    demo.xcache(["build"]).ok();
    assert_eq!(support::sandbox::sorted(other.compilations()), ["demo", "leaf"]);
    demo.clean();
    other.reset();
    demo.xcache(["build"]).ok();
    assert_eq!(support::sandbox::sorted(other.compilations()), NONE);
}

#[test]
fn a_real_nightly_toolchain_is_not_shared() {
    let Some(nightly) = nightly() else { return };
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    demo.xcache(["build"]).ok();
    demo.clean();
    let nightly = sandbox.another_rustc(|dir| Rustc::of(dir, &nightly));
    let demo = demo.with_rustc(&nightly);
    demo.xcache(["build"]).ok();
    assert_eq!(support::sandbox::sorted(nightly.compilations()), ["demo", "leaf"]);
    assert_eq!(demo.run_binary("demo"), "quiet\n");
}

#[test]
fn another_checksum_of_the_same_version_is_not_shared() {
    let package = |voice: &str| {
        let library = format!("pub fn voice() -> &'static str {{ {voice:?} }}");
        Package::new("leaf", "1.0.0", &library)
    };
    assert_eq!(assert_republished_not_shared([package("one"), package("two")]), ["one\n", "two\n"]);
}

#[test]
fn another_commit_of_the_same_repository_is_not_shared() {
    let sandbox = Sandbox::new();
    let repository = Repository::of_fixture("greeting", &sandbox.path("greeting"));
    let dependency = format!("greeting = {{ git = {:?} }}", repository.url());
    let main = "fn main() { println!(\"{}\", greeting::greet(\"git\")); }";
    // Offline, cargo does not even read a repository on the same disk.
    let demo = sandbox.demo_unlocked(&dependency, main).env_remove("CARGO_NET_OFFLINE");
    let build = || {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).ok();
        (sandbox.compiled_dependencies(), demo.run_binary("demo"))
    };
    assert_eq!(build(), (vec!["greeting".to_owned()], "hello git\n".to_owned()));
    let source = repository.dir().join("src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("the fixture has a library");
    tree::write(&source, text.replace("hello", "hallo"));
    repository.commit();
    assert_eq!(build(), (vec![], "hello git\n".to_owned()), "the lockfile has the old commit");
    demo.cargo(["update"]).ok();
    assert_eq!(build(), (vec!["greeting".to_owned()], "hallo git\n".to_owned()));
    assert_eq!(build(), (vec![], "hallo git\n".to_owned()));
}

#[test]
fn warnings_requested_in_another_format_are_not_shown_in_the_old_one() {
    let sandbox = Sandbox::new();
    // Cargo shows the warnings of hydrated units in the recorded format, as it does for all fresh units.
    let demo = sandbox.demo(&sandbox.registry([leaf()]), "leaf = \"1\"", MAIN);
    let demo = demo.env("CARGO_INCREMENTAL", "0").env("XCACHE_HYDRATE", "off");
    demo.edit("src/main.rs", "fn main() {", "fn main() { let unused = 1;");
    let [long, short] = [&["build"][..], &["build", "--message-format", "short"]];
    for (command, compiled) in [(long, &["demo", "leaf"][..]), (long, &NONE), (short, &["demo"]), (short, &NONE)] {
        let plain = demo.cargo(command).env("CARGO_TARGET_DIR", sandbox.unused("plain")).ok().cargo_stderr();
        let warning =
            plain.lines().find(|line| line.contains("unused variable")).expect("plain cargo warns").to_owned();
        demo.clean();
        sandbox.reset();
        let said = demo.xcache(command).ok().cargo_stderr();
        assert_eq!(sandbox.compiled(), compiled, "{command:?}");
        assert!(said.lines().any(|line| line == warning), "{command:?}: {said}\nplain: {plain}");
    }
}

#[test]
fn another_value_of_a_compiled_in_variable_is_not_shared() {
    let sandbox = Sandbox::new();
    let library = "pub fn voice() -> &'static str { option_env!(\"MADE_UP_FLAVOUR\").unwrap_or(\"plain\") }";
    let demo = demo_of(&sandbox, &sandbox.registry([Package::new("leaf", "1.0.0", library).feature("loud")]));
    let build = |flavour: Option<&str>| {
        demo.clean();
        sandbox.reset();
        let build = demo.xcache(["build"]);
        match flavour {
            Some(flavour) => build.env("MADE_UP_FLAVOUR", flavour).ok(),
            None => build.ok(),
        };
        (sandbox.compiled_dependencies(), demo.run_binary("demo"))
    };
    let leaf = || vec!["leaf".to_owned()];
    assert_eq!(build(Some("vanilla")), (leaf(), "vanilla\n".into()));
    assert_eq!(build(Some("vanilla")), (vec![], "vanilla\n".into()));
    assert_eq!(build(Some("mint")), (leaf(), "mint\n".into()));
    assert_eq!(build(None), (leaf(), "plain\n".into()));
    // The first entry need not exist any more, but the last one must not be used in its place.
    assert_eq!(build(Some("vanilla")).1, "vanilla\n");
}

/// `base` embeds what its build script generated; `middle` and `apex` are compiled against it.
fn stamped() -> Vec<Package> {
    let script = "fn main() {
        println!(\"cargo::rerun-if-env-changed=MADE_UP_STAMP\");
        let stamp = std::env::var(\"MADE_UP_STAMP\").unwrap_or_default();
        let file = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap()).join(\"stamp.rs\");
        std::fs::write(file, format!(\"pub const STAMP: &str = {stamp:?};\")).unwrap();
    }";
    let base = "include!(concat!(env!(\"OUT_DIR\"), \"/stamp.rs\"));";
    vec![
        Package::new("base", "1.0.0", base).build_script(script),
        Package::new("middle", "1.0.0", "pub const STAMP: &str = base::STAMP;").dependency("base", "1"),
        Package::new("apex", "1.0.0", "pub const STAMP: &str = middle::STAMP;").dependency("middle", "1"),
    ]
}

#[test]
fn a_dependency_with_another_generated_file_recompiles_its_dependents() {
    let sandbox = Sandbox::new();
    let main = "fn main() { println!(\"{}\", apex::STAMP); }";
    let demo = sandbox.demo(&sandbox.registry(stamped()), "apex = \"1\"", main);
    let build = |stamp: &str| {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).env("MADE_UP_STAMP", stamp).ok();
        (sandbox.compiled_dependencies(), demo.run_binary("demo"))
    };
    let all = || ["apex", "base", "middle"].map(str::to_owned).to_vec();
    assert_eq!(build("one"), (all(), "one\n".into()));
    assert_eq!(build("one"), (vec![], "one\n".into()));
    assert_eq!(build("two"), (all(), "two\n".into()));
    assert_eq!(build("one").1, "one\n");
}

#[test]
fn a_dependency_rebuilt_to_other_bytes_recompiles_its_dependents() {
    let sandbox = Sandbox::new();
    let base = "pub const NAME: &str = if cfg!(made_up) { \"rebuilt\" } else { \"original\" };";
    let registry = sandbox.registry([
        Package::new("base", "1.0.0", base),
        Package::new("middle", "1.0.0", "pub const NAME: &str = base::NAME;").dependency("base", "1"),
        Package::new("apex", "1.0.0", "pub const NAME: &str = middle::NAME;").dependency("middle", "1"),
        Package::new("lone", "1.0.0", "pub const NAME: &str = \"lone\";"),
    ]);
    let main = "fn main() { println!(\"{} {}\", apex::NAME, lone::NAME); }";
    let demo = sandbox.demo(&registry, "apex = \"1\"\nlone = \"1\"", main);
    demo.xcache(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), "original lone\n");
    // The entry of `base` is lost, and the same source under the same key compiles to other bytes.
    let key = demo.report().key("base").expect("a library of a registry has a key");
    forget_entry(&sandbox, &key);
    demo.clean();
    let unfaithful = sandbox.another_rustc(|dir| Rustc::unfaithful(dir, "base", "made_up"));
    let demo = demo.with_rustc(&unfaithful);
    demo.xcache(["build"]).ok();
    assert_eq!(support::sandbox::sorted(unfaithful.compilations()), ["apex", "base", "demo", "middle"]);
    assert_eq!(demo.run_binary("demo"), "rebuilt lone\n");
    // The rebuilt entries have replaced the old ones.
    demo.clean();
    unfaithful.reset();
    demo.xcache(["build"]).ok();
    assert_eq!(support::sandbox::sorted(unfaithful.compilations()), NONE);
    assert_eq!(demo.run_binary("demo"), "rebuilt lone\n");
}

#[track_caller]
fn forget_entry(sandbox: &Sandbox, key: &str) {
    let entries = tree::files(&sandbox.store().join("v1/unit"));
    let of_key =
        |path: &&std::path::PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(key));
    let found: Vec<_> = entries.iter().filter(of_key).collect();
    assert_eq!(found.len(), 1, "entries of {key} in {entries:?}");
    std::fs::remove_file(found[0]).expect("the entry can be removed");
}

#[test]
fn a_library_that_contains_its_path_is_not_shared_under_another_root() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([
        Package::new("leaf", "1.0.0", "pub const DIR: &str = env!(\"CARGO_MANIFEST_DIR\");"),
        // A constant is copied into the crates that use it.
        Package::new("holder", "1.0.0", "pub static DIR: &str = leaf::DIR;").dependency("leaf", "1"),
        Package::new("lone", "1.0.0", "pub fn lone() {}"),
    ]);
    let main = "fn main() { lone::lone(); println!(\"{}\\n{}\", leaf::DIR, holder::DIR); }";
    let demo = sandbox.demo(&registry, "leaf = \"1\"\nholder = \"1\"\nlone = \"1\"", main);
    let homes = [sandbox.cargo_home(), sandbox.another_cargo_home()];
    let build = |demo: Project| {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).ok();
        (sandbox.compiled_dependencies(), demo.run_binary("demo"), demo)
    };
    let assert_below = |said: &str, home: &std::path::Path| {
        let home = home.to_str().expect("test directories have plain names");
        assert!(
            said.lines().count() == 2 && said.lines().all(|line| line.starts_with(home)),
            "{said} is not in {home}"
        );
    };
    let (_, said, demo) = build(demo);
    assert_below(&said, &homes[0]);
    let (compiled, _, demo) = build(demo);
    assert_eq!(compiled, NONE, "under the same root");
    let (compiled, said, demo) = build(demo.with_cargo_home(&homes[1]));
    assert_eq!(compiled, ["holder", "leaf"], "under another root");
    assert_below(&said, &homes[1]);
    let (_, said, _) = build(demo.with_cargo_home(&homes[0]));
    assert_below(&said, &homes[0]);
}

#[test]
fn members_compiled_incrementally_after_an_edit_are_compiled_again() {
    let sandbox = Sandbox::new();
    let demo = demo(&sandbox);
    demo.xcache(["build"]).ok();
    demo.write("src/main.rs", format!("{}\n// edited", demo.read("src/main.rs")));
    demo.xcache(["build"]).ok();
    assert_eq!(demo.report().reasons("demo"), ["absent", "incremental"]);
    for compiled in [&["demo"][..], &[]] {
        demo.clean();
        sandbox.reset();
        demo.xcache(["build"]).ok();
        assert_eq!(sandbox.compiled(), compiled);
    }
}

#[test]
fn linked_units_and_script_runs_are_not_shared_with_a_host_that_has_an_older_c_library() {
    let sandbox = Sandbox::new();
    let demo = sandbox.mixed().env("CARGO_INCREMENTAL", "0");
    let tools = sandbox.unused("tools");
    tree::write_script(&tools.join("ldd"), "echo 'ldd (GNU libc) 2.17'");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let build = |is_older: bool| {
        demo.clean();
        sandbox.reset();
        let build = demo.xcache(["build"]);
        if is_older { build.env("PATH", &path) } else { build }.ok();
        (sandbox.compiled(), sandbox.scripts_run())
    };
    build(false);
    let (compiled, mut scripts) = build(true);
    let linked = ["configured (build script)", "demo", "derive", "generated (build script)"];
    assert_eq!(compiled, linked, "{}", demo.report().json());
    scripts.sort();
    assert_eq!(scripts, ["configured", "generated"]);
    for is_older in [true, false] {
        assert_eq!(build(is_older), (vec![], vec![]), "older: {is_older}");
    }
}

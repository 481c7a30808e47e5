//! Commands that include a build: `cargo install`, `cargo package` and `cargo publish`. They do what the real cargo
//! does, and take dependencies from the cache where these are known in advance.

use std::path::PathBuf;

use support::compare::assert_equal_except_freshness;
use support::registry::{self, CHAIN_MAIN};
use support::{Output, Package, Project, Sandbox, tree};

const NONE: [&str; 0] = [];
const CHAIN: [&str; 4] = ["apex", "base", "lone", "middle"];
const OUTPUT: &str = "apex of middle of 1.0.0 and lone\n";

/// Where programs are installed: beside the package, to be no part of it.
fn root(project: &Project) -> PathBuf {
    project.dir().with_file_name("root")
}

/// The output of an installed program.
fn said(project: &Project, name: &str) -> String {
    project.program(root(project).join("bin").join(name), [""; 0]).ok().stdout
}

/// Installs into an empty directory, with nothing built.
fn install(project: &Project, by_xcache: bool, arguments: &[&str]) -> Output {
    tree::remove(&root(project));
    project.clean();
    let command = [&["install"], arguments, &["--root", "../root"]].concat();
    if by_xcache { project.xcache(&command).run() } else { project.cargo(&command).run() }
}

/// Asserts that xcache installs what the real cargo installs, and which crates of registries it compiles.
#[track_caller]
fn assert_installs(sandbox: &Sandbox, project: &Project, arguments: &[&str], compiled: &[&str]) -> Output {
    let plain = install(project, false, arguments);
    let files = tree::files(&root(project));
    sandbox.reset();
    let ours = install(project, true, arguments);
    assert_eq!(sandbox.compiled_dependencies(), compiled, "{ours}");
    assert_equal_except_freshness(&ours, &plain, &format!("{arguments:?}"));
    assert_eq!(tree::files(&root(project)), files);
    ours
}

#[test]
fn installing_from_a_directory_shares_units_with_a_build_of_it() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    let locked = ["--path", ".", "--locked"];
    assert_installs(&sandbox, &demo, &locked, &CHAIN).ok();
    assert_installs(&sandbox, &demo, &locked, &NONE).ok();
    assert_eq!(said(&demo, "demo"), OUTPUT);
    assert_eq!(demo.report().packages("miss"), NONE);
    assert!(!demo.report().hydrated().is_empty());
    // The same build by `cargo build`, and installed again over the existing program.
    sandbox.reset();
    demo.xcache(["build", "--release"]).ok();
    let again = demo.xcache(["install", "--path", ".", "--locked", "--root", "../root", "--force"]).ok();
    assert_eq!(sandbox.compiled(), NONE, "{again}");
    // In another profile.
    assert_installs(&sandbox, &demo, &["--path", ".", "--locked", "--debug"], &CHAIN).ok();
    assert_installs(&sandbox, &demo, &["--path", ".", "--locked", "--debug"], &NONE).ok();
    // Failures are the same.
    let [ours, plain] =
        [true, false].map(|by_xcache| install(&demo, by_xcache, &[&locked[..], &["--bin", "other"]].concat()));
    assert_eq!(ours.fails().code(), plain.fails().code());
    // From another directory by `exec`: hits if cargo reads the same configuration there.
    let above = demo.at(demo.dir().parent().expect("the package has a parent directory"));
    for compiled in [&CHAIN[..], &NONE] {
        tree::remove(&root(&demo));
        demo.clean();
        sandbox.reset();
        above.xcache(["exec", "--", "sh", "-c", "cargo install --path demo --locked --root root"]).ok();
        assert_eq!(sandbox.compiled_dependencies(), compiled);
        assert_eq!(said(&demo, "demo"), OUTPUT);
        let _ = std::fs::rename(demo.dir().join(".cargo"), above.dir().join(".cargo"));
    }
}

#[test]
fn an_installation_that_resolves_dependencies_goes_to_the_real_cargo() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    demo.xcache(["build", "--release"]).ok();
    for _ in 0..2 {
        assert_installs(&sandbox, &demo, &["--path", "."], &CHAIN).ok();
    }
    assert_eq!(said(&demo, "demo"), OUTPUT.replace("1.0.0", "1.0.1"), "the lockfile has 1.0.0");
    assert_installs(&sandbox, &demo, &["--list"], &NONE).ok();
    assert_installs(&sandbox, &demo, &[], &NONE).fails();
}

/// A project whose cargo home has a registry with the program `tool`, which has a lockfile with the older `base`.
fn published(sandbox: &Sandbox) -> Project {
    let demo = sandbox.chain();
    let lockfile =
        demo.read("Cargo.lock").replace("name = \"demo\"\nversion = \"0.1.0\"", "name = \"tool\"\nversion = \"1.0.0\"");
    let needs = registry::CHAIN.lines().filter_map(|line| line.split(' ').next());
    let tool = Package::new("tool", "1.0.0", "").file("src/main.rs", CHAIN_MAIN).file("Cargo.lock", &lockfile);
    sandbox.chain_registry().publish(needs.fold(tool, |tool, need| tool.dependency(need, "1")));
    let config = demo.read(".cargo/config.toml");
    std::fs::remove_file(demo.dir().join(".cargo/config.toml")).expect("the configuration exists");
    tree::write(&sandbox.cargo_home().join("config.toml"), config);
    demo
}

#[test]
fn a_package_installed_from_a_registry_takes_its_dependencies_from_the_cache() {
    let sandbox = Sandbox::new();
    let demo = published(&sandbox);
    let locked = ["tool@1.0.0", "--locked"];
    install(&demo, false, &locked).ok();
    assert_installs(&sandbox, &demo, &locked, &[&["apex", "base", "lone", "middle"][..], &["tool"]].concat()).ok();
    let hit = assert_installs(&sandbox, &demo, &locked, &["tool"]).ok();
    assert!(hit.stderr.contains("Cached 4 of 4 units"), "{hit}");
    assert_eq!(said(&demo, "tool"), OUTPUT);
    // Another profile has other keys. A package without an exact version or its lockfile goes to the real cargo.
    let debug = ["tool@1.0.0", "--locked", "--debug"];
    let all = ["apex", "base", "lone", "middle", "tool"];
    assert_installs(&sandbox, &demo, &debug, &all).ok();
    assert_installs(&sandbox, &demo, &debug, &["tool"]).ok();
    assert_installs(&sandbox, &demo, &["tool", "--locked"], &all).ok();
    assert_installs(&sandbox, &demo, &["tool@1.0.0"], &all).ok();
    assert_eq!(said(&demo, "tool"), OUTPUT.replace("1.0.0", "1.0.1"));
    assert_installs(&sandbox, &demo, &["tool@2.0.0", "--locked"], &NONE).fails();
}

#[track_caller]
fn assert_packs(sandbox: &Sandbox, project: &Project, arguments: &[&str], compiled: &[&str]) -> Output {
    assert_packs_by(sandbox, project, &[&["package", "--allow-dirty"], arguments].concat(), compiled)
}

/// Asserts that xcache packs with nothing built what the real cargo packs, and which dependencies it compiles.
#[track_caller]
fn assert_packs_by(sandbox: &Sandbox, project: &Project, command: &[&str], compiled: &[&str]) -> Output {
    project.clean();
    let plain = project.cargo(command).run();
    let archives = || tree::children(&project.target().join("package"));
    let packed = archives();
    project.clean();
    sandbox.reset();
    let ours = project.xcache(command).run();
    assert_eq!(sandbox.compiled_dependencies(), compiled, "{ours}");
    assert_equal_except_freshness(&ours, &plain, &format!("{command:?}"));
    assert_eq!(archives(), packed);
    ours
}

#[test]
fn a_package_is_verified_with_dependencies_from_the_cache() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    assert_packs(&sandbox, &demo, &[], &CHAIN).ok();
    assert_packs(&sandbox, &demo, &[], &NONE).ok();
    assert_eq!(demo.report().packages("hit"), CHAIN);
    assert_packs(&sandbox, &demo, &["--no-verify"], &NONE).ok();
    // A build shares these crates.
    demo.clean();
    sandbox.reset();
    demo.xcache(["build"]).ok();
    assert_eq!(sandbox.compiled_dependencies(), NONE);
    // With another lockfile, the changed dependencies are compiled.
    demo.cargo(["update", "--package", "base"]).ok();
    assert_packs(&sandbox, &demo, &[], &["apex", "base", "middle"]).ok();
    assert_packs(&sandbox, &demo, &[], &NONE).ok();
    // A compile error is reported.
    demo.edit("src/main.rs", "apex::name()", "apex::no_name()");
    assert_packs(&sandbox, &demo, &[], &NONE).fails();
}

#[test]
fn a_published_package_is_verified_with_dependencies_from_the_cache() {
    let sandbox = Sandbox::new();
    let main = "fn main() { println!(\"{}\", apex::name()); }";
    let demo = sandbox.demo_unlocked("apex = { version = \"1\", registry = \"own\" }", main);
    let demo = demo.env_remove("CARGO_NET_OFFLINE");
    let index = sandbox.registry(registry::chain()).git_index();
    demo.write(".cargo/config.toml", format!("[registries.own]\nindex = {index:?}\n"));
    demo.cargo(["fetch"]).ok();
    let publish = ["publish", "--dry-run", "--allow-dirty", "--registry", "own"];
    for compiled in [&["apex", "base", "middle"][..], &NONE] {
        assert_packs_by(&sandbox, &demo, &publish, compiled).ok();
    }
}

#[test]
fn a_single_member_is_verified_with_its_own_lockfile_and_several_by_the_real_cargo() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    demo.edit("Cargo.toml", "[workspace]", "[workspace]\nmembers = [\"side\"]");
    demo.write(
        "side/Cargo.toml",
        "[package]\nname = \"side\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\nbase = \"1\"\n",
    );
    demo.write("side/src/lib.rs", "pub fn side() -> String { base::name() }");
    demo.cargo(["metadata", "--format-version=1"]).ok();
    assert_packs(&sandbox, &demo, &["-p", "side"], &["base"]).ok();
    assert_packs(&sandbox, &demo, &["-p", "side"], &NONE).ok();
    assert_packs(&sandbox, &demo, &[], &["apex", "lone", "middle"]).ok();
    assert_packs(&sandbox, &demo, &["-p", "demo"], &NONE).ok();
    demo.edit("Cargo.toml", "[workspace]", "[workspace]\ndefault-members = [\".\", \"side\"]");
    assert_packs(&sandbox, &demo, &[], &CHAIN).ok();
    assert_packs(&sandbox, &demo, &["--manifest-path", "side/Cargo.toml"], &NONE).ok();
    assert_packs(&sandbox, &demo, &["--workspace"], &CHAIN).ok();
    assert_packs(&sandbox, &demo, &["--workspace"], &CHAIN).ok();
}

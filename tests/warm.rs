//! Dependencies as a layer of an image: built from a recipe alone, and fresh for plain cargo in the checkout that comes
//! later.
//!
//! An [`Image`] is a directory that receives the recipe first and the checkout later, like the instructions of a
//! Dockerfile.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use nix::sys::signal::Signal;
use support::layered::{NEEDED, OUTPUT, layered};
use support::rustc::real;
use support::{Output, Package, Project, Report, Sandbox, tree, wait_until};

const NONE: [&str; 0] = [];

/// A directory with a recipe, and the path of the checkout that comes later.
struct Image<'a> {
    sandbox: &'a Sandbox,
    project: Project,
    checkout: PathBuf,
}

impl<'a> Image<'a> {
    fn of(sandbox: &'a Sandbox, checkout: &Project) -> Self {
        let recipe = checkout.xcache(["recipe", "--output", "-"]).ok().stdout;
        let project = checkout.at(&sandbox.unused("image").join("app"));
        project.write("recipe.json", recipe);
        Self { sandbox, project, checkout: checkout.dir().to_owned() }
    }

    /// Runs `cargo xcache warm --recipe recipe.json …`, and asserts that only the target directory was added.
    #[track_caller]
    fn warm(&self, arguments: &[&str]) -> Output {
        self.sandbox.reset();
        let output = self.project.xcache([&["warm", "--recipe", "recipe.json"], arguments].concat()).ok();
        let above = self.project.dir().parent().expect("the image is in the sandbox");
        assert_eq!(names(above), ["app"], "{output}");
        assert_eq!(names(self.project.dir()), ["recipe.json", "target"], "{output}");
        output
    }

    /// The crates that a plain cargo command compiles after the checkout was copied.
    #[track_caller]
    fn then(&self, arguments: &[&str]) -> Vec<String> {
        tree::copy(&self.checkout, self.project.dir());
        self.sandbox.reset();
        self.project.cargo(arguments).ok();
        self.sandbox.compiled_externals()
    }

    fn binary(&self, name: &str) -> Vec<u8> {
        fs::read(self.project.target().join("release").join(name)).expect("the program exists")
    }

    fn said(&self) -> String {
        self.project.program(self.project.target().join("release/app"), NONE).ok().stdout
    }
}

/// The names in a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the directory exists").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// All paths below the target directory in which one of these words occurs as a name.
fn traces(project: &Project, words: &[&str]) -> Vec<PathBuf> {
    let files = tree::files(&project.target()).into_iter();
    let below = files.filter_map(|file| Some(file.strip_prefix(project.target()).ok()?.to_owned()));
    let is_trace = |path: &PathBuf| {
        let parts = path.iter().map(|part| part.to_string_lossy().replace('-', "_"));
        parts.into_iter().any(|part| {
            words.iter().any(|word| {
                part.split('.').next().is_some_and(|part| {
                    let part = part.strip_prefix("lib").unwrap_or(part);
                    part == *word || part.rsplit_once('_').is_some_and(|(name, _)| name == *word)
                })
            })
        })
    };
    below.filter(is_trace).collect()
}

const MEMBERS: &[&str] = &["app", "util", "named", "gen_tool", "shared", "patched", "helper", "build_script_build"];

const RELEASE: &[&str] = &["build", "--release", "--locked", "--offline"];

#[test]
fn a_build_after_a_recipe_compiles_only_members() {
    let sandbox = Sandbox::new();
    let image = Image::of(&sandbox, &layered(&sandbox));
    image.warm(&["--release"]);
    let mut compiled = sandbox.compiled();
    compiled.dedup();
    assert_eq!(compiled, NEEDED);
    assert_eq!(sandbox.scripts_run(), ["configured", "configured", "generated"], "for a build script, too");
    assert_eq!(image.then(RELEASE), NONE);
    assert_eq!(sandbox.scripts_run(), NONE);
    assert_eq!(image.said(), OUTPUT);
}

#[test]
fn a_recipe_leaves_no_files_of_members() {
    let sandbox = Sandbox::new();
    let image = Image::of(&sandbox, &layered(&sandbox));
    image.warm(&["--release", "--workspace", "--all-targets", "--features", "app/extra"]);
    let mut found = traces(&image.project, MEMBERS);
    // Scripts of dependencies have the same names as those of members.
    found.retain(|path| {
        !path.to_string_lossy().contains("build/configured-") && !path.to_string_lossy().contains("build/generated-")
    });
    assert_eq!(found, [""; 0].map(PathBuf::from));
    assert!(!traces(&image.project, &["leaf"]).is_empty(), "the search finds existing names");
    let fingerprints = names(&image.project.target().join("release/.fingerprint"));
    assert!(fingerprints.iter().any(|name| name.starts_with("extra-")), "{fingerprints:?}");
}

#[test]
fn programs_are_identical_with_and_without_a_layer() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let image = Image::of(&sandbox, &checkout);
    tree::copy(checkout.dir(), image.project.dir());
    image.project.xcache(RELEASE).ok();
    let without = ["app", "helper"].map(|name| image.binary(name));
    assert_eq!(image.said(), OUTPUT);
    tree::remove(image.project.dir());
    image.project.write("recipe.json", checkout.xcache(["recipe", "--output", "-"]).ok().stdout);
    image.project.empty_store();
    image.warm(&["--release"]);
    assert_eq!(image.then(RELEASE), NONE);
    assert!(["app", "helper"].map(|name| image.binary(name)) == without);
}

#[test]
fn tests_checks_and_features_have_their_own_dependencies() {
    let sandbox = Sandbox::new();
    let image = Image::of(&sandbox, &layered(&sandbox));
    image.warm(&["--for", "test", "--for", "clippy", "--workspace", "--features", "app/extra"]);
    assert!(sandbox.compiled().contains(&"fortests".into()));
    assert_eq!(image.then(&["test", "--workspace", "--features", "app/extra", "--locked"]), NONE);
    assert_eq!(image.then(&["clippy", "--workspace", "--features", "app/extra", "--locked"]), NONE);
    assert_ne!(image.then(&["build", "--release"]), NONE, "another profile is another layer");
}

#[test]
fn a_target_that_the_recipe_does_not_name_can_be_selected() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let image = Image::of(&sandbox, &checkout);
    let arguments = ["-p", "app@0.3.1", "--bin", "helper", "--release", "--locked"];
    image.warm(&arguments);
    assert_eq!(image.then(&[&["build"], &arguments[..]].concat()), NONE);
    let image = Image::of(&sandbox, &checkout);
    image.warm(&["--for", "test", "--frozen", "--test", "it"]);
    assert_eq!(image.then(&["test", "--frozen", "--test", "it"]), NONE);
}

#[test]
fn warm_in_a_checkout_compiles_no_member() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    sandbox.reset();
    checkout.xcache(["warm", "--release", "--locked"]).ok();
    let mut compiled = sandbox.compiled();
    compiled.dedup();
    assert_eq!(compiled, NEEDED);
    assert_eq!(traces(&checkout, &["app", "util", "named", "gen_tool"]), [""; 0].map(PathBuf::from));
    sandbox.reset();
    checkout.cargo(RELEASE).ok();
    assert_eq!(sandbox.compiled_externals(), NONE);
    assert!(sandbox.compiled().contains(&"app".into()));
}

#[test]
fn warm_keeps_fresh_members_and_does_not_hide_later_edits() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    checkout.cargo(["build"]).ok();
    checkout.xcache(["warm"]).ok();
    sandbox.reset();
    checkout.cargo(["build"]).ok();
    assert_eq!(sandbox.compiled(), NONE, "members that were fresh still are");
    checkout.edit("crates/util/src/lib.rs", "env!(\"CARGO_PKG_VERSION\")", "\"edited\"");
    checkout.edit("crates/app/build.rs", "made by {}", "made anew by {}");
    checkout.xcache(["warm"]).ok();
    checkout.cargo(["build"]).ok();
    let said = checkout.run_binary("app");
    assert!(said.contains("util edited") && said.contains("made anew by"), "{said}");
}

#[test]
fn a_package_that_depends_on_a_patch_in_a_directory_is_left_to_the_build() {
    let sandbox = Sandbox::new();
    let needy = Package::new("needy", "1.0.0", "pub use patched::name;")
        .dependency("patched", "1")
        .build_dependency("patched", "1")
        .build_script("fn main() { println!(\"cargo::rustc-env=X={}\", patched::name()); }");
    let registry = sandbox.registry([Package::new("patched", "1.0.0", ""), Package::new("lone", "1.0.0", ""), needy]);
    let demo = sandbox.demo_unlocked(
        "needy = \"1\"\nlone = \"1\"\n[patch.crates-io]\npatched = { path = \"patched\" }",
        "fn main() { println!(\"{}\", needy::name()); }",
    );
    demo.use_registry(&registry);
    demo.write("patched/Cargo.toml", "[package]\nname = \"patched\"\nversion = \"1.0.1\"\n");
    demo.write("patched/src/lib.rs", "pub fn name() -> &'static str { \"patched\" }");
    demo.cargo(["fetch"]).ok();
    let image = Image::of(&sandbox, &demo);
    image.warm(&[]);
    assert_eq!(sandbox.compiled(), ["lone"]);
    assert_eq!(image.then(&["build", "--locked"]), ["needy", "needy (build script)"]);
    assert_eq!(image.project.run_binary("demo"), "patched\n");
}

#[test]
fn a_script_that_receives_metadata_from_a_patch_in_a_directory_is_left_to_the_build() {
    let sandbox = Sandbox::new();
    let script = "fn main() { println!(\"cargo::rustc-env=HEARD={}\", std::env::var(\"DEP_NATIVE_WORD\").unwrap()); }";
    let needy = Package::new("needy", "1.0.0", "pub fn heard() -> &'static str { env!(\"HEARD\") }");
    let needy = needy.dependency("patched", "1").build_script(script);
    let registry = sandbox.registry([Package::new("patched", "1.0.0", "").links("native"), needy]);
    let patch = "needy = \"1\"\n[patch.crates-io]\npatched = { path = \"patched\" }";
    let demo = sandbox.demo_unlocked(patch, "fn main() { println!(\"{}\", needy::heard()); }");
    demo.use_registry(&registry);
    demo.write("patched/Cargo.toml", "[package]\nname = \"patched\"\nversion = \"1.0.1\"\nlinks = \"native\"\n");
    demo.write("patched/build.rs", "fn main() { println!(\"cargo::metadata=WORD=a word\"); }");
    demo.write("patched/src/lib.rs", "");
    demo.cargo(["fetch"]).ok();
    let image = Image::of(&sandbox, &demo);
    image.warm(&[]);
    assert_eq!(sandbox.compiled(), NONE);
    assert_eq!(image.then(&["build", "--locked"]), ["needy", "needy (build script)"]);
    assert_eq!(image.project.run_binary("demo"), "a word\n");
}

#[test]
fn a_package_beside_the_workspace_is_treated_as_a_member() {
    let sandbox = Sandbox::new();
    let main = "fn main() { println!(\"{}\", beside::name()); }";
    let demo = sandbox.demo_unlocked("beside = { path = \"../beside\" }", main);
    let beside = demo.at(&demo.dir().parent().unwrap().join("beside"));
    beside.write("Cargo.toml", BESIDE);
    beside.write("src/lib.rs", "pub use apex::name;");
    demo.use_registry(&sandbox.chain_registry());
    demo.cargo(["fetch"]).ok();
    let image = Image::of(&sandbox, &demo);
    image.warm(&[]);
    assert_eq!(sandbox.compiled(), ["apex", "base", "middle"]);
    tree::copy(beside.dir(), &image.project.dir().parent().unwrap().join("beside"));
    assert_eq!(image.then(&["build", "--locked"]), NONE);
    assert_eq!(image.project.run_binary("demo"), "apex of middle of 1.0.1\n");
}

const BESIDE: &str = r#"
[workspace]

[workspace.dependencies]
apex = "1"

[package]
name = "beside"
version = "1.0.0"
edition = "2021"

[dependencies]
apex.workspace = true
"#;

#[test]
fn a_layer_with_times_in_whole_seconds_is_fresh() {
    let sandbox = Sandbox::new();
    let image = Image::of(&sandbox, &layered(&sandbox));
    image.warm(&["--release"]);
    let parts = |path: &PathBuf| {
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("files have times");
        modified.duration_since(UNIX_EPOCH).expect("the time is after 1970").subsec_nanos()
    };
    let profile = image.project.target().join("release");
    assert!(tree::files(&profile).iter().all(|path| parts(path) == 0));
    // Like a layer of an image: whole seconds, and other inodes.
    for dir in [image.project.target(), sandbox.cargo_home()] {
        let archive = sandbox.unused("layer.tar");
        let (parent, name) = (dir.parent().unwrap(), dir.file_name().unwrap());
        let tar = |mode: &str| {
            image
                .project
                .program(
                    "tar",
                    [
                        mode.as_ref(),
                        archive.as_os_str(),
                        "--format=gnu".as_ref(),
                        "-C".as_ref(),
                        parent.as_os_str(),
                        name,
                    ],
                )
                .ok()
        };
        tar("-cf");
        tree::remove(&dir);
        image.project.program("tar", ["-xf".as_ref(), archive.as_os_str(), "-C".as_ref(), parent.as_os_str()]).ok();
    }
    assert_eq!(image.then(RELEASE), NONE);
    assert_eq!(sandbox.scripts_run(), NONE);
    assert_eq!(image.said(), OUTPUT);
}

#[test]
fn a_second_layer_takes_everything_from_the_store() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    Image::of(&sandbox, &checkout).warm(&["--release"]);
    checkout.edit("crates/util/Cargo.toml", "leaf.workspace = true", "leaf.workspace = true\nlone = \"1\"");
    checkout.cargo(["metadata", "--format-version", "1"]).ok();
    let image = Image::of(&sandbox, &checkout);
    image.warm(&["--release"]);
    assert_eq!(sandbox.compiled(), NONE);
    assert_eq!(sandbox.scripts_run(), NONE);
    assert_eq!(image.then(RELEASE), NONE);
}

#[test]
fn only_a_changed_package_and_its_dependents_are_compiled() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    Image::of(&sandbox, &checkout).warm(&["--release"]);
    checkout.cargo(["update", "--package", "middle"]).ok();
    let image = Image::of(&sandbox, &checkout);
    image.warm(&["--release"]);
    assert_eq!(sandbox.compiled(), ["middle", "top"]);
    assert_eq!(image.then(RELEASE), NONE);
}

#[test]
fn no_compile_compiles_nothing() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let image = Image::of(&sandbox, &checkout);
    image.warm(&["--release", "--no-compile"]);
    assert_eq!(sandbox.compiled(), NONE);
    image.project.clean();
    image.warm(&["--release"]);
    checkout.cargo(["update", "--package", "middle"]).ok();
    let image = Image::of(&sandbox, &checkout);
    image.warm(&["--release", "--no-compile"]);
    assert_eq!(sandbox.compiled(), NONE);
    assert_eq!(image.then(RELEASE), ["middle", "top"], "all other dependencies are hits");
}

#[test]
fn fetch_only_does_not_change_the_target_directory() {
    let sandbox = Sandbox::new();
    let remote = sandbox.path("remote");
    let checkout = layered(&sandbox).env("XCACHE_REMOTE", format!("file://{}", remote.display()));
    Image::of(&sandbox, &checkout).warm(&["--release"]);
    checkout.empty_store();
    let image = Image::of(&sandbox, &checkout);
    image.warm(&["--fetch-only", "--release"]);
    assert_eq!(sandbox.compiled(), NONE);
    assert!(!image.project.target().join("release").exists());
    let image = Image { project: image.project.env_remove("XCACHE_REMOTE"), ..image };
    image.warm(&["--release"]);
    assert_eq!(sandbox.compiled(), NONE, "everything is in the local store");
}

#[test]
fn an_unusable_store_costs_one_warning() {
    let sandbox = Sandbox::new();
    let image = Image::of(&sandbox, &layered(&sandbox));
    fs::write(sandbox.path("file"), "").expect("the file can be written");
    let image = Image { project: image.project.with_store(&sandbox.path("file/store")), ..image };
    let output = image.warm(&["--release"]);
    assert_eq!(output.warnings().len(), 1, "{output}");
    assert_eq!(image.then(RELEASE), NONE);
}

#[test]
fn the_target_directory_is_that_of_the_build() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let image = Image::of(&sandbox, &checkout);
    let target = sandbox.path("somewhere/else");
    image.project.xcache(["warm", "--recipe", "recipe.json", "--release"]).env("CARGO_TARGET_DIR", &target).ok();
    assert_eq!(names(image.project.dir()), ["recipe.json"]);
    let image = Image { project: image.project.env("CARGO_TARGET_DIR", &target), ..image };
    assert_eq!(image.then(RELEASE), NONE);
    let config = checkout.read(".cargo/config.toml");
    checkout.write(".cargo/config.toml", format!("{config}\n[build]\ntarget-dir = \"out\"\n"));
    let image = Image::of(&sandbox, &checkout);
    image.project.xcache(["warm", "--recipe", "recipe.json", "--release"]).ok();
    assert_eq!(names(image.project.dir()), ["out", "recipe.json"]);
    assert_eq!(image.then(RELEASE), NONE);
}

#[test]
fn the_recipe_contains_flags_and_vendored_packages_are_copied_before() {
    let sandbox = Sandbox::new();
    let demo = sandbox.chain();
    let vendored = demo.cargo(["vendor", "--respect-source-config"]).ok().stdout;
    demo.write(".cargo/config.toml", format!("[build]\nrustflags = [\"--cfg\", \"flagged\"]\n{vendored}"));
    let image = Image::of(&sandbox, &demo);
    tree::copy(&demo.dir().join("vendor"), &image.project.dir().join("vendor"));
    sandbox.reset();
    image.project.xcache(["warm", "--recipe", "recipe.json"]).ok();
    assert_eq!(names(image.project.dir()), ["recipe.json", "target", "vendor"]);
    assert_eq!(sandbox.compiled(), ["apex", "base", "lone", "middle"]);
    tree::copy(demo.dir(), image.project.dir());
    sandbox.reset();
    image.project.cargo(["build", "--locked"]).ok();
    assert_eq!(sandbox.compiled(), ["demo"]);
}

#[test]
fn cargo_reports_failures_and_without_a_plan_there_is_no_layer() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("broken", "1.0.0", "compile_error!(\"on purpose\");")]);
    let demo = sandbox.demo(&registry, "broken = \"1\"", "fn main() {}");
    let image = Image::of(&sandbox, &demo);
    let output = image.project.xcache(["warm", "--recipe", "recipe.json"]).run().fails();
    assert_eq!(output.code(), Some(101), "{output}");
    assert!(output.stderr.contains("on purpose"), "{output}");
    let output = image.project.xcache(["warm", "--recipe", "recipe.json", "-p", "nobody"]).run().fails();
    assert_eq!(output.code(), Some(101), "{output}");
    assert!(output.stderr.contains("nobody"), "{output}");
    let output = image.project.xcache(["warm", "--recipe", "nothing.json"]).run().fails();
    assert_eq!(output.code(), Some(1), "{output}");
}

#[test]
fn leftovers_of_a_failed_layer_are_not_taken_for_a_member() {
    let sandbox = Sandbox::new();
    let fickle = Package::new("fickle", "1.0.0", "")
        .build_script("fn main() { assert!(std::env::var_os(\"FAIL\").is_none()); }");
    let registry = sandbox.registry([fickle, Package::new("lone", "1.0.0", "")]);
    let demo = sandbox.demo(&registry, "fickle = \"1\"", "fn main() { println!(\"{}\", env!(\"MADE\")); }");
    demo.write("build.rs", "fn main() { println!(\"cargo::rustc-env=MADE=made by its script\"); }");
    let output = demo.xcache(["warm", "--keep-going"]).env("FAIL", "1").run().fails();
    assert_eq!(output.code(), Some(101), "{output}");
    assert!(tree::files(&demo.target()).iter().any(|path| path.ends_with("root-output")), "a build script has run");
    demo.cargo(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), "made by its script\n");
}

#[test]
fn leftovers_of_a_killed_layer_are_not_taken_for_a_member() {
    let sandbox = Sandbox::new();
    let waiting = "fn main() { while std::env::var_os(\"WAIT\").is_some() { std::thread::sleep(std::time::Duration::from_millis(10)) } }";
    let registry = sandbox.registry([Package::new("slow", "1.0.0", "").build_script(waiting)]);
    let demo = sandbox.demo(&registry, "slow = \"1\"", "fn main() { println!(\"{}\", env!(\"MADE\")); }");
    demo.write("build.rs", "fn main() { println!(\"cargo::rustc-env=MADE=made by its script\"); }");
    let mut running = demo.xcache(["warm"]).env("WAIT", "1").start();
    let has_run = |path: &PathBuf| path.ends_with("root-output") && path.to_string_lossy().contains("/demo-");
    wait_until("a build script has run", || tree::files(&demo.target()).iter().any(has_run));
    running.signal_all(Signal::SIGKILL);
    running.wait();
    demo.cargo(["build"]).ok();
    assert_eq!(demo.run_binary("demo"), "made by its script\n");
}

#[test]
fn the_new_build_directory_layout_is_warmed() {
    let sandbox = Sandbox::new();
    let image = Image::of(&sandbox, &layered(&sandbox));
    let image = Image { project: image.project.env("RUSTC_BOOTSTRAP", "1"), ..image };
    let layout = "-Zbuild-dir-new-layout";
    image.warm(&["--release", layout]);
    let units = names(&image.project.target().join("release/build"));
    assert!(units.contains(&"leaf".into()) && units.contains(&"configured".into()), "{units:?}");
    for member in ["app", "gen-tool", "util"] {
        let left = tree::files(&image.project.target().join("release/build").join(member));
        assert_eq!(left, [""; 0].map(PathBuf::from));
    }
    assert_eq!(image.then(&[RELEASE, &[layout]].concat()), NONE);
    assert_eq!(image.said(), OUTPUT);
}

#[test]
fn warm_uses_the_toolchain_that_rustup_would_choose_for_the_checkout() {
    let sandbox = Sandbox::new();
    let cargo = real(&[]).expect("rustc is on PATH").with_file_name("cargo");
    let checkout = sandbox.chain().env("CARGO", &cargo);
    checkout.write("rust-toolchain.toml", "[toolchain]\nchannel = \"chosen\"\n");
    let image = Image::of(&sandbox, &checkout);
    let sysroot = sandbox.path("toolchains/chosen");
    let log = sandbox.path("started");
    let noting = format!("echo \"$*\" >> {}\nexec {} \"$@\"", log.display(), cargo.display());
    tree::write_script(&sysroot.join("bin/cargo"), &noting);
    let proxy =
        format!("test -z \"$RUSTUP_TOOLCHAIN\" && grep -q chosen rust-toolchain.toml && echo {}", sysroot.display());
    tree::write_script(&sandbox.path("proxies/rustc"), &proxy);
    let path = image.project.program("sh", ["-c", "echo $PATH"]).ok().stdout;
    let path = format!("{}:{}", sandbox.path("proxies").display(), path.trim());
    let image = Image { project: image.project.env("PATH", path).env("RUSTUP_TOOLCHAIN", "given"), ..image };
    image.warm(&["--release"]);
    let started = fs::read_to_string(&log).expect("the chosen cargo was started");
    assert!(started.lines().any(|line| line.starts_with("build ") && line.contains("--release")), "{started}");
}

/// Asserts that the layer of a command has exactly the dependencies that the command compiles.
#[track_caller]
fn assert_layer_of(sandbox: &Sandbox, checkout: &Project, command: &str, arguments: &[&str]) {
    let what = format!("{command} {arguments:?}");
    let plain = checkout.at(&sandbox.unused("image").join("app"));
    tree::copy(checkout.dir(), plain.dir());
    sandbox.reset();
    let no_run: &[&str] = if command == "test" { &["--no-run"] } else { &[] };
    plain.cargo([&[command], arguments, no_run].concat()).ok();
    let needed = sandbox.compiled_externals();
    assert_ne!(needed, NONE, "{what}");
    let image = Image::of(sandbox, checkout);
    let image = Image { project: image.project.with_store(&sandbox.unused("store")), ..image };
    image.warm(&[&["--for", command], arguments].concat());
    assert_eq!(sandbox.compiled(), needed, "{what}");
    assert_eq!(image.then(&[&[command], arguments, no_run].concat()), NONE, "{what}");
}

/// Asserts that a recipe plans the same units of dependencies, with the same keys, as the checkout, without compiling.
#[track_caller]
fn assert_planned_alike(sandbox: &Sandbox, checkout: &Project, arguments: &[&str]) {
    let planned = |project: &Project, arguments: &[&str]| {
        let target = sandbox.unused("target");
        let project = project.clone().env("CARGO_TARGET_DIR", &target).with_store(&sandbox.unused("store"));
        project.xcache([&["warm", "--no-compile"], arguments].concat()).ok();
        let report = ["report", "--format", "json", "--target-dir", target.to_str().unwrap()];
        let report = Report::parse(&project.xcache(report).ok());
        let units = report.units().into_iter().filter_map(|unit| Some((unit.name(), unit.mode.clone(), unit.key?)));
        let mut units: Vec<_> = units.collect();
        units.sort();
        units
    };
    let image = Image::of(sandbox, checkout);
    let there = planned(checkout, arguments);
    assert!(!there.is_empty(), "{arguments:?}");
    assert_eq!(planned(&image.project, &[&["--recipe", "recipe.json"], arguments].concat()), there, "{arguments:?}");
}

#[test]
fn a_layer_has_exactly_the_dependencies_of_the_build() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    assert_layer_of(&sandbox, &checkout, "build", &["--workspace", "--target", &checkout.host()]);
    assert_layer_of(&sandbox, &checkout, "test", &["--workspace"]);
    assert_layer_of(&sandbox, &checkout, "check", &["--workspace", "--all-targets", "--all-features"]);
}

#[test]
fn a_recipe_plans_the_same_units_as_the_checkout() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let alike = |arguments: &[&str]| assert_planned_alike(&sandbox, &checkout, arguments);
    alike(&[]);
    alike(&["-p", "util", "-p", "named"]);
    alike(&["--workspace", "--exclude", "app", "--release"]);
    alike(&["--bin", "helper", "--features", "extra"]);
    alike(&["--for", "test", "--lib", "--no-default-features"]);
    alike(&["--for", "test", "--workspace"]);
    alike(&["--for", "bench", "--all-features"]);
    alike(&["--for", "clippy", "--workspace", "--all-targets"]);
    let app = sandbox.checkout("app");
    assert_planned_alike(&sandbox, &app, &["--locked"]);
    assert_planned_alike(&sandbox, &app, &["--for", "test", "--workspace", "--release"]);
    assert_planned_alike(&sandbox, &sandbox.checkout("natives"), &["--for", "check", "--all-targets"]);
    let examples = sandbox.chain();
    // No program may have this name.
    examples.edit("Cargo.toml", "name = \"demo\"", "name = \"examples\"");
    examples.edit("Cargo.toml", "[dependencies]", "[[bin]]\nname = \"tool\"\npath = \"src/main.rs\"\n[dependencies]");
    assert_planned_alike(&sandbox, &examples, &["--bin", "tool"]);
}

#[test]
fn a_recipe_plans_link_time_optimization_as_the_checkout_does() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let (manifest, library) = (checkout.read("Cargo.toml"), checkout.read("crates/util/Cargo.toml"));
    for lto in ["\"thin\"", "true\npanic = \"abort\""] {
        checkout.write("Cargo.toml", manifest.replace("opt-level = 1", &format!("opt-level = 1\nlto = {lto}")));
        assert_planned_alike(&sandbox, &checkout, &["--release", "--workspace"]);
        for types in ["\"rlib\"", "\"rlib\", \"cdylib\"", "\"staticlib\""] {
            checkout.write("crates/util/Cargo.toml", format!("{library}\n[lib]\ncrate-type = [{types}]\n"));
            assert_planned_alike(&sandbox, &checkout, &["--release", "-p", "util"]);
        }
        checkout.write("crates/util/Cargo.toml", &library);
    }
    checkout.write("Cargo.toml", manifest.replace("opt-level = 1", "opt-level = 1\nlto = true"));
    assert_layer_of(&sandbox, &checkout, "build", &["--release"]);
}

#[test]
fn configuration_above_the_workspace_applies_to_the_layer() {
    let sandbox = Sandbox::new();
    let checkout = sandbox.chain();
    let image = Image::of(&sandbox, &checkout);
    let above = image.project.dir().parent().unwrap();
    tree::write(
        &above.join(".cargo/config.toml"),
        "[build]\nrustflags = [\"--cfg\", \"above\"]\ntarget-dir = \"shared-target\"\n",
    );
    image.project.xcache(["warm", "--recipe", "recipe.json"]).ok();
    assert_eq!(names(above), [".cargo", "app", "shared-target"]);
    assert_eq!(image.then(&["build", "--locked"]), NONE);
}

#[test]
fn a_relative_directory_in_a_variable_is_below_the_workspace() {
    let sandbox = Sandbox::new();
    let image = Image::of(&sandbox, &sandbox.chain());
    let project = image.project.env("CARGO_TARGET_DIR", "out").env("CARGO_BUILD_BUILD_DIR", "intermediate");
    let image = Image { project, ..image };
    image.project.xcache(["warm", "--recipe", "recipe.json"]).ok();
    assert_eq!(names(image.project.dir()), ["intermediate", "out", "recipe.json"]);
    assert_eq!(image.then(&["build", "--locked"]), NONE);
}

#[test]
fn packages_of_another_registry_have_layers() {
    let sandbox = Sandbox::new();
    let registry = sandbox.registry([Package::new("private", "1.0.0", "pub fn name() -> u8 { 1 }")]);
    let demo =
        sandbox.demo_unlocked("private = { version = \"1\", registry = \"own\" }", "fn main() { private::name(); }");
    let demo = demo.env_remove("CARGO_NET_OFFLINE");
    demo.write(".cargo/config.toml", format!("[registries.own]\nindex = {:?}\n", registry.git_index()));
    demo.cargo(["fetch"]).ok();
    assert_layer_of(&sandbox, &demo, "build", &["--locked"]);
}

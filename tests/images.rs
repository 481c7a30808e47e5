//! The Dockerfiles of the book, built by a real builder: what each of them compiles again after an edit, after a new
//! version of a dependency and after a new member, and what its layers contain.
//!
//! `.ci/images` installs the builder. Without it, these tests show nothing; in CI it must not be missing.

use std::fs;
use std::path::{Path, PathBuf};

use support::images::{Built, Images, bases, dockerfiles};
use support::layered::{NEEDED, OUTPUT, layered};
use support::server::Remote;
use support::{Key, Project, S3Server, Sandbox, Tool, by_form, is_available, repository, tree};

const NONE: [&str; 0] = [];
const WARM: &str = "cargo xcache warm";
const BUILD: &str = "cargo build";
/// All Dockerfiles that are built here.
const DOCKERFILES: [&str; 4] =
    ["cache-mount.Dockerfile", "layers.Dockerfile", "multi-platform.Dockerfile", "s3-secret.Dockerfile"];
/// The crates that the instruction for the program may compile.
const MEMBERS: [&str; 6] = ["app", "gen-tool", "named", "patched", "shared", "util"];

/// A machine that builds one Dockerfile of the book.
struct Machine<'a> {
    sandbox: &'a Sandbox,
    images: Images<'a>,
    checkout: &'a Project,
    dockerfile: &'static str,
    arguments: Vec<String>,
}

impl<'a> Machine<'a> {
    /// A new machine, on which nothing was built yet.
    fn new(sandbox: &'a Sandbox, checkout: &'a Project, dockerfile: &'static str) -> Option<Self> {
        let images = Images::new(sandbox)?;
        images.provide(dockerfile);
        Some(Self { sandbox, images, checkout, dockerfile, arguments: Vec::new() })
    }

    fn with(self, arguments: Vec<String>) -> Self {
        Self { arguments, ..self }
    }

    /// Builds the image, and asserts that its program works.
    #[track_caller]
    fn build(&self) -> Built {
        let built = self.build_only();
        assert_eq!(self.images.run("built", &["app"]).stdout, said(self.checkout));
        built
    }

    /// Builds the image. In any case, the last compiling instruction compiles members only.
    #[track_caller]
    fn build_only(&self) -> Built {
        self.sandbox.reset();
        let built = self.images.build(self.checkout, self.dockerfile, &self.arguments);
        let compiling = built.step(BUILD).compiling();
        assert!(compiling.contains(&"app"), "{}", built.output);
        assert!(compiling.iter().all(|name| MEMBERS.contains(name) || *name == "fresh"), "{}", built.output);
        built
    }

    /// The dependencies compiled since the last build began, by any instruction.
    fn compiled(&self) -> Vec<String> {
        let mut compiled = self.sandbox.compiled_externals();
        compiled.dedup();
        compiled
    }

    /// The files of the image after an instruction.
    fn files(&self, built: &Built, instruction: &str) -> Vec<String> {
        let root = self.images.files(built.step(instruction).image.as_deref().expect("the step has an image"));
        let below = |path: PathBuf| Some(path.strip_prefix(&root).ok()?.to_str()?.to_owned());
        tree::files(&root).into_iter().filter_map(below).collect()
    }

    /// The files that did not exist when the recipe was made.
    fn added(&self, built: &Built, instruction: &str) -> Vec<String> {
        let before = self.files(built, "cargo xcache recipe");
        self.files(built, instruction).into_iter().filter(|path| !before.contains(path)).collect()
    }
}

/// The paths that begin with none of `places`. Each of these must be the beginning of some path.
#[track_caller]
fn outside<'a>(paths: &'a [String], places: &[&str]) -> Vec<&'a str> {
    let is_in = |path: &str, place: &&str| path.starts_with(place);
    places.iter().for_each(|place| assert!(paths.iter().any(|path| is_in(path, place)), "{place}: {paths:?}"));
    paths.iter().map(String::as_str).filter(|path| !places.iter().any(|place| is_in(path, place))).collect()
}

/// The expected output of the program, with the locked version of `middle`.
fn said(checkout: &Project) -> String {
    let lockfile = checkout.read("Cargo.lock");
    let of_middle = lockfile.split("name = \"middle\"\nversion = \"").nth(1).expect("the lockfile has middle");
    OUTPUT.replace("Middle 1.0.0", &format!("Middle {}", of_middle.split('"').next().expect("middle has a version")))
}

/// Adds a comment to a source file.
fn edit(checkout: &Project) {
    let main = checkout.read("crates/app/src/main.rs");
    checkout.write("crates/app/src/main.rs", format!("{main}// An edit.\n"));
}

/// Selects a new version of `middle`, on which only `top` depends.
fn bump(checkout: &Project) {
    checkout.cargo(["update", "--package", "middle"]).ok();
}
const BUMPED: [&str; 2] = ["middle", "top"];

/// Adds a member whose dependency another member has, too.
fn add_member(checkout: &Project) {
    let manifest = checkout.read("crates/util/Cargo.toml").replace("\"util\"", "\"fresh\"");
    checkout.write("crates/fresh/Cargo.toml", manifest);
    checkout.write("crates/fresh/src/lib.rs", "");
    checkout.edit("Cargo.toml", "default-members = [", "default-members = [\"crates/fresh\", ");
    checkout.cargo(["metadata", "--format-version=1"]).ok();
}

#[track_caller]
fn assert_warmed_again(built: &Built) {
    assert!(!built.step(WARM).cached, "{}", built.output);
}

#[track_caller]
fn assert_layer_used(built: &Built) {
    assert!(built.step(WARM).cached, "{}", built.output);
    assert_eq!(built.step(WARM).said, NONE);
}

#[test]
fn a_layer_without_a_store_is_reused_while_the_recipe_is_the_same() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let Some(machine) = Machine::new(&sandbox, &checkout, "layers.Dockerfile") else { return };
    // Docker would send these, too, and they would become a part of the image.
    let ignored = [".git/HEAD", "target/release/app"];
    ignored.iter().for_each(|path| checkout.write(path, "of another machine"));
    let built = machine.build();
    assert_eq!(machine.compiled(), NEEDED);
    let recipe = machine.files(&built, "cargo xcache recipe");
    assert!(recipe.iter().any(|path| path == "app/crates/app/src/main.rs"), "{recipe:?}");
    assert!(!ignored.iter().any(|ignored| recipe.contains(&format!("app/{ignored}"))), "{recipe:?}");
    let sources = ["usr/local/cargo/registry/", "usr/local/cargo/git/", "usr/local/cargo/."];
    let units = ["app/target/release/", "app/target/xcache/", "app/target/."];
    assert_eq!(outside(&machine.added(&built, WARM), &[sources, units].concat()), ["app/target/CACHEDIR.TAG"]);
    assert_reused_from_a_registry(&machine);

    assert_layer_used(&machine.build());
    assert_eq!(machine.compiled(), NONE);
    let changes: [fn(&Project); 2] = [add_member, bump];
    for change in by_form(&changes[..1], &changes) {
        change(&checkout);
        assert_warmed_again(&machine.build());
        assert_eq!(machine.compiled(), NEEDED, "without a cache, all is compiled");
    }
}

/// Asserts that after an edit, another machine uses the layer. Registries store times in whole seconds, so units may
/// look older than their inputs.
#[track_caller]
fn assert_reused_from_a_registry(machine: &Machine) {
    let Machine { sandbox, checkout, dockerfile, .. } = *machine;
    let another = Machine::new(sandbox, checkout, dockerfile).expect("the image builder is usable");
    machine.images.send_all(&bases(dockerfile), &another.images);
    edit(checkout);
    assert_layer_used(&another.build());
    assert_eq!(another.compiled(), NONE);
}

#[test]
fn a_cache_mount_supplies_new_layers_with_unchanged_units() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let Some(machine) = Machine::new(&sandbox, &checkout, "cache-mount.Dockerfile") else { return };
    let built = machine.build();
    assert_eq!(machine.compiled(), NEEDED);
    let units = ["app/target/release/", "app/target/xcache/", "app/target/."];
    assert_eq!(outside(&machine.added(&built, BUILD), &units), ["app/target/CACHEDIR.TAG"]);

    edit(&checkout);
    assert_layer_used(&machine.build());
    assert_eq!(machine.compiled(), NONE);
    bump(&checkout);
    assert_warmed_again(&machine.build());
    assert_eq!(machine.compiled(), BUMPED);
    add_member(&checkout);
    let built = machine.build();
    assert_warmed_again(&built);
    assert!(built.step(BUILD).compiling().contains(&"fresh"), "{}", built.output);
    assert_eq!(machine.compiled(), NONE);
    let machine = assert_layer_or_mount_is_enough(machine);
    assert_flags_and_toolchains_change_the_layer(&machine);
}

/// Asserts that everything is in the mount, and everything in the layer.
#[track_caller]
fn assert_layer_or_mount_is_enough(machine: Machine) -> Machine {
    let machine = machine.with(vec!["--no-cache".into()]);
    assert_warmed_again(&machine.build());
    assert_eq!(machine.compiled(), NONE, "everything is in the mount");
    machine.images.forget_mounts();
    edit(machine.checkout);
    let machine = machine.with(Vec::new());
    assert_layer_used(&machine.build());
    assert_eq!(machine.compiled(), NONE, "everything is in the layer");
    machine
}

/// Asserts that after a change of the flags, and of the toolchain, the layer is not used.
#[track_caller]
fn assert_flags_and_toolchains_change_the_layer(machine: &Machine) {
    let checkout = machine.checkout;
    let config = checkout.read(".cargo/config.toml");
    checkout.write(".cargo/config.toml", format!("{config}\n[build]\nrustflags = [\"--cfg\", \"flagged\"]\n"));
    assert_warmed_again(&machine.build());
    assert_eq!(machine.compiled(), NEEDED);
    checkout.write("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95\"\n");
    assert_warmed_again(&machine.build());
}

/// The Dockerfile's platforms and targets, and the machine number in the ELF header of a program for each.
const PLATFORMS: [(&str, &str, [u8; 2]); 2] =
    [("linux/amd64", "x86_64-unknown-linux-musl", [62, 0]), ("linux/arm64", "aarch64-unknown-linux-musl", [183, 0])];

#[test]
fn a_second_platform_has_its_own_layer_and_shares_host_units() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let libraries = |target| checkout.program("rustc", ["--print", "target-libdir", "--target", target]).ok().stdout;
    let has_libraries = |target| Path::new(libraries(target).trim_end()).is_dir();
    if !is_available(Tool::Musl, PLATFORMS.iter().all(|(_, target, _)| has_libraries(target))) {
        return;
    }
    let Some(mut machine) = Machine::new(&sandbox, &checkout, "multi-platform.Dockerfile") else { return };
    let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let for_host = ["configured (build script)", "derive", "generated (build script)", "template"];
    for (index, (platform, _, elf_machine)) in PLATFORMS.iter().enumerate() {
        // Docker sets this itself.
        let own = format!("--build-arg=BUILDPLATFORM=linux/{own}");
        machine = machine.with(vec![format!("--platform={platform}"), own]);
        assert_warmed_again(&machine.build_only());
        let expected = NEEDED.into_iter().filter(|unit| index == 0 || !for_host.contains(unit));
        assert_eq!(machine.compiled(), expected.collect::<Vec<_>>(), "{platform}");
        let program = fs::read(machine.images.files("built").join("app")).expect("the image has the program");
        assert_eq!((&program[..5], &program[18..20]), (&b"\x7fELF\x02"[..], &elf_machine[..]));
    }
    edit(&checkout);
    assert_layer_used(&machine.build_only());
    assert_eq!(machine.compiled(), NONE);
}

/// The builder's options for a bucket, with this key's credentials in a secret file.
fn bucket(sandbox: &Sandbox, remote: &Remote, key: Option<Key>) -> Vec<String> {
    let file = sandbox.unused("credentials");
    let secret = key.map(|key| {
        tree::write(&file, key.credentials());
        format!("--secret=id=aws,src={}", file.display())
    });
    let arguments =
        [("XCACHE_REMOTE", &*remote.url), ("AWS_ENDPOINT_URL", &*remote.endpoint), ("AWS_REGION", "us-east-1")];
    secret.into_iter().chain(arguments.map(|(name, value)| format!("--build-arg={name}={value}"))).collect()
}

/// Whether any stored file contains this text.
#[track_caller]
fn is_stored(machine: &Machine, text: &str) -> bool {
    let search = machine.checkout.program("grep", ["-r", "-l", "-a", "-F", "-e", text]);
    let found = search.arg(machine.images.stored()).run();
    assert!(found.code().is_some_and(|code| code < 2), "{found}");
    found.status.success()
}

#[test]
fn a_bucket_serves_every_machine_and_no_layer_contains_its_credentials() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let Some(machine) = Machine::new(&sandbox, &checkout, "s3-secret.Dockerfile") else { return };
    let server = S3Server::get();
    let remote = Remote::new(server, server.address());
    let machine = machine.with(bucket(&sandbox, &remote, Some(Key::Full)));
    machine.build();
    assert_eq!(machine.compiled(), NEEDED);
    let machine = machine.with(bucket(&sandbox, &remote, Some(Key::ReadOnly)));
    edit(&checkout);
    assert_layer_used(&machine.build());
    assert_eq!(machine.compiled(), NONE, "other credentials, and the same layer");
    let machine = machine.with(bucket(&sandbox, &remote, Some(Key::Full)));
    bump(&checkout);
    assert_warmed_again(&machine.build());
    assert_eq!(machine.compiled(), BUMPED);
    for secret in [Key::Full, Key::ReadOnly].map(Key::secret) {
        assert!(!is_stored(&machine, secret), "{secret}");
    }
    assert!(is_stored(&machine, &remote.url), "the search finds what is stored");

    let another = Machine::new(&sandbox, &checkout, "s3-secret.Dockerfile").expect("the image builder is usable");
    let another = another.with(bucket(&sandbox, &remote, Some(Key::ReadOnly)));
    add_member(&checkout);
    assert_warmed_again(&another.build());
    assert_eq!(another.compiled(), NONE, "everything is in the bucket");
}

#[test]
fn without_valid_credentials_everything_is_compiled_with_one_warning() {
    let sandbox = Sandbox::new();
    let checkout = layered(&sandbox);
    let Some(machine) = Machine::new(&sandbox, &checkout, "s3-secret.Dockerfile") else { return };
    let server = S3Server::get();
    let remote = Remote::new(server, server.address());
    let machine = machine.with(bucket(&sandbox, &remote, Some(Key::WrongSecret)));
    let built = machine.build();
    assert_warned_about(&remote, &built);
    assert_eq!(machine.compiled(), NEEDED);
    let none = [bucket(&sandbox, &remote, None), vec!["--no-cache".into()]].concat();
    let machine = machine.with(none);
    let built = machine.build();
    assert_warned_about(&remote, &built);
    assert_eq!(machine.compiled(), NEEDED);
}

#[track_caller]
fn assert_warned_about(remote: &Remote, built: &Built) {
    let warnings: Vec<_> = built.step(WARM).said.iter().filter(|line| line.starts_with("warning:")).collect();
    assert_eq!(warnings.len(), 1, "{}", built.output);
    assert!(warnings[0].contains(&remote.url), "{}", warnings[0]);
}

#[test]
fn the_chapter_shows_exactly_the_tested_files() {
    let chapter = fs::read_to_string(repository().join("book/src/layers.md")).expect("the chapter exists");
    let shown = chapter.lines().filter_map(|line| line.strip_prefix("{{#include images/")?.strip_suffix("}}"));
    let mut shown: Vec<_> = shown.collect();
    shown.sort_unstable();
    assert_eq!(shown, [&[".dockerignore"], &DOCKERFILES[..]].concat());
}

#[test]
fn hadolint_accepts_the_dockerfiles() {
    let hadolint = repository().join("tests/.images/bin/hadolint");
    if !is_available(Tool::Hadolint, hadolint.is_file()) {
        return;
    }
    let sandbox = Sandbox::new();
    let project = sandbox.checkout("app");
    for file in tree::files(&dockerfiles()).iter().filter(|path| path.extension().is_some()) {
        let output = project.program(&hadolint, ["--no-color"]).arg(file).ok();
        assert_eq!((&*output.stdout, &*output.stderr), ("", ""), "{output}");
    }
    // hadolint does report errors.
    project.write("Dockerfile", "FROM debian\n");
    project.program(&hadolint, ["Dockerfile"]).run().fails();
}

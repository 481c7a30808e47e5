//! A workspace that uses most of what manifests can express, for layers of images.
//!
//! It is virtual, and lists its members by globs. `app`, the only default member, has a library, two programs, a build
//! script, and dependencies that are renamed, optional, for one target only, from git, inherited, and in directories:
//! `util`, the procedural macro `named`, `gen` for the build script, `shared`, which is not a member, and `patched`,
//! which replaces a package of crates.io.

use crate::registry::mixed;
use crate::{Package, Project, Registry, Repository, Sandbox, tree};

/// The output of its program.
pub const OUTPUT: &str = "app 0.3.1 with util 0.3.1: Middle 1.0.0, lone, shared, patched by hand, hello git, App, made by gen of configured by its script\n";

/// The external units that a build of its default members needs, by name, sorted. `template` and `configured` occur
/// twice: for build scripts and procedural macros, and for the rest.
pub const NEEDED: [&str; 12] = [
    "configured",
    "configured (build script)",
    "derive",
    "generated",
    "generated (build script)",
    "greeting",
    "leaf",
    "lone",
    "middle",
    "template",
    "top",
    "unixonly",
];

/// The directories of the sandbox that its packages come from.
pub const SOURCES: [&str; 2] = ["layered-registry", "greeting"];

/// The workspace, with a lockfile.
pub fn layered(sandbox: &Sandbox) -> Project {
    let [registry, repository] = SOURCES.map(|name| sandbox.path(name));
    let registry = Registry::new(&registry).with(mixed()).with([
        Package::new("lone", "1.0.0", "pub fn name() -> &'static str { \"lone\" }"),
        Package::new("extra", "1.0.0", "pub fn name() -> &'static str { \"extra\" }").feature("more"),
        Package::new("fortests", "1.0.0", ""),
        Package::new("unixonly", "1.0.0", ""),
        Package::new("windowsonly", "1.0.0", "compile_error!(\"this is not for this machine\");"),
        Package::new("patched", "1.0.0", "pub fn name() -> &'static str { \"patched\" }"),
    ]);
    let repository = Repository::of_fixture("greeting", &repository);
    let project = sandbox.demo_unlocked("", "");
    tree::remove(project.dir());
    for (path, content) in FILES {
        project.write(path, content.replace("@greeting@", &repository.url()));
    }
    project.use_registry(&registry);
    project.cargo(["update", "--package", "middle", "--precise", "1.0.0"]).env("CARGO_NET_OFFLINE", "false").ok();
    project.cargo(["fetch"]).env("CARGO_NET_OFFLINE", "false").ok();
    project
}

const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", WORKSPACE),
    ("crates/app/Cargo.toml", APP),
    ("crates/app/build.rs", "fn main() { println!(\"cargo::rustc-env=MADE=made by {}\", gen_tool::name()); }"),
    ("crates/app/src/lib.rs", "pub fn version() -> &'static str { env!(\"CARGO_PKG_VERSION\") }"),
    ("crates/app/src/main.rs", MAIN),
    ("crates/app/src/bin/helper.rs", "fn main() {}"),
    ("crates/app/tests/it.rs", "#[test] fn works() { assert_eq!(app::version(), \"0.3.1\"); }"),
    ("crates/util/Cargo.toml", UTIL),
    ("crates/util/src/lib.rs", "pub fn version() -> &'static str { env!(\"CARGO_PKG_VERSION\") }"),
    ("crates/named/Cargo.toml", NAMED),
    ("crates/named/src/lib.rs", NAMED_MACRO),
    ("tools/gen/Cargo.toml", GEN),
    ("tools/gen/src/lib.rs", "pub fn name() -> String { format!(\"gen of {}\", configured::configured()) }"),
    ("stand-ins/patched/Cargo.toml", PATCHED),
    ("stand-ins/patched/src/lib.rs", "pub fn name() -> &'static str { \"patched by hand\" }"),
    ("shared/Cargo.toml", SHARED),
    ("shared/src/lib.rs", "pub fn name() -> &'static str { \"shared\" }"),
];

const WORKSPACE: &str = r#"
[workspace]
members = ["crates/*", "tools/gen"]
exclude = ["shared", "stand-ins"]
default-members = ["crates/app"]
resolver = "3"

[workspace.package]
version = "0.3.1"
edition = "2024"
description = "a workspace"

[workspace.dependencies]
leaf = { version = "1", default-features = false }
util = { path = "crates/util", version = "0.3" }

[workspace.lints.rust]
unused = "warn"

[patch.crates-io]
patched = { path = "stand-ins/patched" }

[profile.release]
opt-level = 1
"#;

const APP: &str = r#"
[package]
name = "app"
version.workspace = true
edition.workspace = true
description.workspace = true

[lints]
workspace = true

[features]
extra = ["dep:extra"]

[dependencies]
extra = { version = "1", optional = true }
greeting = { git = "@greeting@" }
leaf.workspace = true
named = { path = "../named" }
other-name = { version = "1", package = "lone" }
patched = "1"
shared = { path = "../../shared" }
top = "1"
util.workspace = true

[target.'cfg(windows)'.dependencies]
windowsonly = "1"

[target.'cfg(unix)'.dependencies]
unixonly = "1"

[build-dependencies]
gen-tool = { path = "../../tools/gen" }

[dev-dependencies]
fortests = "1"
"#;

const MAIN: &str = r#"
#[derive(named::Named)]
struct App;

fn main() {
    let middle = top::top();
    let middle = middle.strip_prefix("top of ").and_then(|rest| rest.split(" quiet").next()).unwrap();
    let parts = [middle, other_name::name(), shared::name(), patched::name(), &greeting::greet("git"), App.name()];
    println!("app {} with util {}: {}, {}", app::version(), util::version(), parts.join(", "), env!("MADE"));
}
"#;

const UTIL: &str = r#"
[package]
name = "util"
version.workspace = true
edition.workspace = true

[dependencies]
leaf.workspace = true
"#;

const NAMED: &str = r#"
[package]
name = "named"
version = "1.0.0"
edition.workspace = true

[lib]
proc-macro = true

[dependencies]
template = "1"
"#;

const NAMED_MACRO: &str = r#"
use proc_macro::TokenStream;

#[proc_macro_derive(Named)]
pub fn named(item: TokenStream) -> TokenStream {
    let words: Vec<String> = item.into_iter().map(|token| token.to_string()).collect();
    let name = words.iter().skip_while(|word| *word != "struct").nth(1).unwrap();
    template::render("x");
    format!("impl {name} {{ fn name(&self) -> &'static str {{ {name:?} }} }}").parse().unwrap()
}
"#;

const GEN: &str = r#"
[package]
name = "gen-tool"
version = "0.1.0"
edition.workspace = true

[dependencies]
configured = "1"
"#;

const PATCHED: &str = r#"
[package]
name = "patched"
version = "1.0.5"
edition = "2021"
"#;

const SHARED: &str = r#"
[package]
name = "shared"
version = "0.1.0"
edition = "2021"
"#;

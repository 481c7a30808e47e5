//! A registry made at run time: cargo's `local-registry`, an index and archives in a directory.
//!
//! With source replacement, cargo treats its packages as packages of crates.io: they have a registry source, and a
//! checksum in the lockfile.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Repository, cargo_home, tree};

/// A registry in a directory.
pub struct Registry {
    dir: PathBuf,
}

impl Registry {
    /// Creates an empty registry.
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir.join("index")).expect("directories can be created");
        Self { dir: dir.to_owned() }
    }

    /// Opens an existing registry.
    pub fn open(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Adds packages.
    #[must_use]
    pub fn with(self, packages: impl IntoIterator<Item = Package>) -> Self {
        packages.into_iter().for_each(|package| self.publish(package));
        self
    }

    /// Adds a package, or replaces one with the same name and version.
    pub fn publish(&self, package: Package) {
        package.pack(&self.archive(&package));
        self.list(&package);
    }

    /// The path of a package's archive.
    pub fn archive(&self, package: &Package) -> PathBuf {
        self.dir.join(format!("{}-{}.crate", package.name, package.version))
    }

    /// Adds a package to the index. Its archive must exist.
    fn list(&self, package: &Package) {
        let checksum = Sha256::digest(fs::read(self.archive(package)).expect("the archive was written"));
        let checksum: String = checksum.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.dir.join("index").join(index_path(&package.name));
        let mut lines: Vec<Value> = fs::read_to_string(&path).map_or_else(|_| Vec::new(), |index| parse(&index));
        lines.retain(|line| line["vers"] != package.version);
        lines.push(package.index_line(&checksum));
        let index: String = lines.iter().map(|line| format!("{line}\n")).collect();
        tree::write(&path, index);
    }

    /// Adds a real package of the fixtures with its dependencies, but without its features.
    pub fn publish_real(&self, name: &str, needs: &[&str]) {
        let (archive, version) = cargo_home::archive(name);
        let package =
            needs.iter().fold(Package::new(name, &version, ""), |package, need| package.dependency(need, "*"));
        fs::copy(&archive, self.archive(&package)).expect("the archive can be copied");
        self.list(&package);
    }

    /// Makes it a registry that a manifest can name. Returns the URL of the index. Nothing can be published to it.
    pub fn git_index(&self) -> String {
        let index = self.dir.join("git-index");
        tree::copy(&self.dir.join("index"), &index);
        let archives = format!("file://{}/{{crate}}-{{version}}.crate", self.dir.display());
        tree::write(&index.join("config.json"), json!({ "dl": archives, "api": "http://127.0.0.1:1" }).to_string());
        Repository::of_dir(&index).url()
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything that a lockfile depends on: the names, versions and checksums of its packages.
    pub fn index(&self) -> String {
        tree::files(&self.dir.join("index")).iter().map(|file| tree::read(file)).collect()
    }

    /// The configuration that replaces crates.io.
    pub fn source_replacement(&self) -> String {
        format!("[source.crates-io]\nreplace-with = \"made-up\"\n[source.made-up]\nlocal-registry = {:?}\n", self.dir)
    }
}

fn parse(index: &str) -> Vec<Value> {
    index.lines().map(|line| serde_json::from_str(line).expect("the index consists of JSON lines")).collect()
}

/// The path of a package in the index, in cargo's registry index format.
fn index_path(name: &str) -> PathBuf {
    match name.len() {
        length @ 1..=2 => Path::new(&length.to_string()).join(name),
        3 => Path::new("3").join(&name[..1]).join(name),
        _ => Path::new(&name[..2]).join(&name[2..4]).join(name),
    }
}

/// A dependency of a package or of its build script.
#[derive(Clone)]
struct Dependency {
    name: String,
    requirement: String,
    kind: &'static str,
}

/// A package to publish.
#[derive(Clone)]
pub struct Package {
    name: String,
    version: String,
    edition: String,
    links: Option<String>,
    dependencies: Vec<Dependency>,
    features: Vec<String>,
    manifest: String,
    files: Vec<(String, String)>,
}

impl Package {
    /// A library.
    pub fn new(name: &str, version: &str, library: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            edition: "2021".into(),
            links: None,
            dependencies: Vec::new(),
            features: Vec::new(),
            manifest: String::new(),
            files: vec![("src/lib.rs".into(), library.into())],
        }
    }

    /// Makes the library a procedural macro.
    #[must_use]
    pub fn procedural_macro(mut self) -> Self {
        self.manifest.push_str("[lib]\nproc-macro = true\n");
        self
    }

    /// Makes the library one of these crate types.
    #[must_use]
    pub fn crate_types(mut self, types: &[&str]) -> Self {
        writeln!(self.manifest, "[lib]\ncrate-type = {types:?}").expect("writing to memory");
        self
    }

    /// Sets the edition, which is 2021 by default.
    #[must_use]
    pub fn edition(mut self, edition: &str) -> Self {
        self.edition = edition.into();
        self
    }

    /// Adds a dependency.
    #[must_use]
    pub fn dependency(self, name: &str, requirement: &str) -> Self {
        self.depends(name, requirement, "normal")
    }

    /// Adds a dependency of the build script.
    #[must_use]
    pub fn build_dependency(self, name: &str, requirement: &str) -> Self {
        self.depends(name, requirement, "build")
    }

    fn depends(mut self, name: &str, requirement: &str, kind: &'static str) -> Self {
        self.dependencies.push(Dependency { name: name.into(), requirement: requirement.into(), kind });
        self
    }

    /// Sets `links`, so that its build script can pass metadata to those of its dependents.
    #[must_use]
    pub fn links(mut self, name: &str) -> Self {
        self.links = Some(name.into());
        self
    }

    /// Adds a feature that enables nothing else.
    #[must_use]
    pub fn feature(mut self, name: &str) -> Self {
        self.features.push(name.into());
        self
    }

    /// Adds a build script.
    #[must_use]
    pub fn build_script(self, code: &str) -> Self {
        self.file("build.rs", code)
    }

    /// Adds a build script that notes each of its runs; see [`Sandbox::scripts_run`](crate::Sandbox::scripts_run).
    /// `body` is the rest of its code.
    #[must_use]
    pub fn counted_script(self, body: &str) -> Self {
        self.build_script(&COUNTED_SCRIPT.replace("@variable@", SCRIPT_RUNS).replace("@body@", body))
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.into(), content.into()));
        self
    }

    /// Its manifest.
    pub fn manifest(&self) -> String {
        let Self { name, version, edition, .. } = self;
        let mut text = format!("[package]\nname = {name:?}\nversion = {version:?}\nedition = {edition:?}\n");
        if let Some(links) = &self.links {
            writeln!(text, "links = {links:?}").expect("writing to memory");
        }
        text.push_str(&self.manifest);
        text.push_str("[features]\n");
        for feature in &self.features {
            writeln!(text, "{feature} = []").expect("writing to memory");
        }
        for (table, kind) in [("dependencies", "normal"), ("build-dependencies", "build")] {
            writeln!(text, "[{table}]").expect("writing to memory");
            for Dependency { name, requirement, .. } in self.dependencies.iter().filter(|needed| needed.kind == kind) {
                writeln!(text, "{name} = {requirement:?}").expect("writing to memory");
            }
        }
        text
    }

    fn index_line(&self, checksum: &str) -> Value {
        let dependency = |Dependency { name, requirement, kind }: &Dependency| {
            json!({
                "name": name, "req": requirement, "features": [], "optional": false, "default_features": true,
                "target": null, "kind": kind,
            })
        };
        let features: serde_json::Map<_, _> = self.features.iter().map(|name| (name.clone(), json!([]))).collect();
        json!({
            "name": self.name, "vers": self.version, "cksum": checksum, "features": features, "yanked": false,
            "deps": self.dependencies.iter().map(dependency).collect::<Vec<_>>(), "links": self.links,
        })
    }

    fn pack(&self, archive: &Path) {
        let file = File::create(archive).expect("the archive can be written");
        let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        let manifest = ("Cargo.toml".to_owned(), self.manifest());
        for (path, content) in std::iter::once(&manifest).chain(&self.files) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(1);
            let path = format!("{}-{}/{path}", self.name, self.version);
            tar.append_data(&mut header, path, content.as_bytes()).expect("the archive can be written");
        }
        tar.into_inner().and_then(GzEncoder::finish).expect("the archive can be written");
    }
}

/// `apex` depends on `middle`, which depends on `base`; `lone` depends on nothing. `base` has the versions 1.0.0 and
/// 1.0.1.
pub fn chain() -> Vec<Package> {
    let base =
        |version: &str| Package::new("base", version, &format!("pub fn name() -> String {{ {version:?}.into() }}"));
    let middle = "pub fn name() -> String { format!(\"middle of {}\", base::name()) }";
    let apex = "pub fn name() -> String { format!(\"apex of {}\", middle::name()) }";
    vec![
        base("1.0.0"),
        base("1.0.1"),
        Package::new("middle", "1.0.0", middle).dependency("base", "1"),
        Package::new("apex", "1.0.0", apex).dependency("middle", "1"),
        Package::new("lone", "1.0.0", "pub fn name() -> &'static str { \"lone\" }"),
    ]
}

/// The dependencies of a workspace that uses [`chain`], with the older `base`.
pub const CHAIN: &str = "apex = \"1\"\nlone = \"1\"\nbase = \"1\"";

/// The program of a workspace that uses [`chain`].
pub const CHAIN_MAIN: &str = r#"fn main() { println!("{} and {}", apex::name(), lone::name()); }"#;

/// `count` libraries, each large enough to take a moment, and one that depends on all of them.
pub fn fan(count: usize) -> Vec<Package> {
    let functions: String =
        (0..60).map(|n| format!("pub fn f{n}(x: u64) -> String {{ format!(\"{{x:>{n}}}\") }}\n")).collect();
    let leaf = |n: usize| Package::new(&format!("leaf{n}"), "1.0.0", &functions);
    let sum: Vec<_> = (0..count).map(|n| format!("leaf{n}::f{n}({n})")).collect();
    let all = format!("pub fn all() -> String {{ [{}].join(\",\") }}", sum.join(", "));
    let all = (0..count).fold(Package::new("all", "1.0.0", &all), |all, n| all.dependency(&format!("leaf{n}"), "1"));
    (0..count).map(leaf).chain([all]).collect()
}

/// One of each kind of unit. `top` depends on `middle` and `configured`. `middle` depends on `leaf`, the procedural
/// macro `derive` and `generated`, whose build script depends on `template`. `middle` has the versions 1.0.0 and 1.0.1.
///
/// The script of `generated` declares its file and the variable `MADE_UP_FLAVOUR`, that of `configured` declares
/// nothing.
pub fn mixed() -> Vec<Package> {
    let leaf = "pub fn voice() -> &'static str {
        if cfg!(feature = \"loud\") { \"LOUD\" } else if cfg!(shout) { \"SHOUT\" } else { \"quiet\" }
    }";
    let template = "pub fn render(value: &str) -> String { format!(\"pub const GENERATED: &str = {value:?};\") }";
    let configured = "pub fn configured() -> &'static str {
        if cfg!(configured) { env!(\"CONFIGURED\") } else { \"not configured\" }
    }";
    let top = "pub fn top() -> String { format!(\"top of {}, {}\", middle::middle(), configured::configured()) }";
    vec![
        Package::new("leaf", "1.0.0", leaf).feature("loud"),
        Package::new("template", "1.0.0", template),
        Package::new("generated", "1.0.0", "include!(concat!(env!(\"OUT_DIR\"), \"/generated.rs\"));")
            .build_dependency("template", "1")
            .counted_script(GENERATING),
        Package::new("configured", "1.0.0", configured).counted_script(CONFIGURING),
        Package::new("derive", "1.0.0", DERIVE).procedural_macro(),
        mixed_middle("1.0.0"),
        mixed_middle("1.0.1"),
        Package::new("top", "1.0.0", top).dependency("middle", "1").dependency("configured", "1"),
    ]
}

fn mixed_middle(version: &str) -> Package {
    let library = format!(
        "#[derive(derive::Named)] struct Middle;
        pub fn middle() -> String {{
            format!(\"{{}} {version} {{}} {{}}\", Middle.name(), leaf::voice(), generated::GENERATED)
        }}"
    );
    let middle = Package::new("middle", version, &library);
    ["leaf", "derive", "generated"].into_iter().fold(middle, |middle, name| middle.dependency(name, "1"))
}

const GENERATING: &str = r#"
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MADE_UP_FLAVOUR");
    let flavour = std::env::var("MADE_UP_FLAVOUR").unwrap_or_else(|_| "plain".into());
    let dir = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    std::fs::write(dir.join("generated.rs"), template::render(&flavour)).unwrap();
"#;

const CONFIGURING: &str = r#"
    println!("cargo::rustc-check-cfg=cfg(configured)");
    println!("cargo::rustc-cfg=configured");
    println!("cargo::rustc-env=CONFIGURED=configured by its script");
"#;

const DERIVE: &str = r#"
    use proc_macro::TokenStream;

    /// Gives a struct a method that returns its name.
    #[proc_macro_derive(Named)]
    pub fn named(item: TokenStream) -> TokenStream {
        let words: Vec<String> = item.into_iter().map(|token| token.to_string()).collect();
        let name = words.iter().skip_while(|word| *word != "struct").nth(1).expect("a struct has a name");
        format!("impl {name} {{ pub fn name(&self) -> &'static str {{ {name:?} }} }}").parse().unwrap()
    }
"#;

/// The dependencies of a workspace that uses [`mixed`].
pub const MIXED: &str = "top = \"1\"\nleaf = \"1\"";

/// The program of a workspace that uses [`mixed`], and a test.
pub const MIXED_MAIN: &str = r#"
    fn main() { println!("{}", top::top()); }
    #[test]
    fn the_top_is_there() { assert!(top::top().starts_with("top of Middle")); }
"#;

/// The output of that program.
pub const MIXED_OUTPUT: &str = "top of Middle 1.0.0 quiet plain, configured by its script\n";

/// The units of [`mixed`], by [`Unit::name`](crate::report::Unit::name).
pub const MIXED_UNITS: [&str; 11] = [
    "configured",
    "configured (build script)",
    "configured (run)",
    "derive",
    "generated",
    "generated (build script)",
    "generated (run)",
    "leaf",
    "middle",
    "template",
    "top",
];

/// The variable that names the pipe into which build scripts write when they run. They do not declare it.
pub const SCRIPT_RUNS: &str = "BUILD_SCRIPT_RUNS";

const COUNTED_SCRIPT: &str = r#"
fn main() {
    if let Some(log) = std::env::var_os("@variable@") {
        let mut log = std::fs::File::options().write(true).open(log).unwrap();
        std::io::Write::write_all(&mut log, concat!(env!("CARGO_PKG_NAME"), "\n").as_bytes()).unwrap();
    }
    @body@
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_has_cargos_layout() {
        let paths = ["a", "ab", "abc", "abcd"].map(|name| index_path(name).display().to_string());
        assert_eq!(paths, ["1/a", "2/ab", "3/a/abc", "ab/cd/abcd"]);
    }
}

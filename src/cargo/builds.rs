//! Commands that are a build of something, as that build (`ops/cargo_install.rs`, `ops/cargo_package/verify.rs`).
//!
//! `cargo install --path` with `--locked` compiles what `cargo build --release` would, into the same target directory, and
//! copies the programs. `cargo install` of a package of a registry does so with a package that it unpacks, and
//! `cargo package` and `cargo publish` compile what they have packed. Without `--locked`, an install resolves the dependencies
//! anew, and nobody is told what came of that: no plan would be about them.
//!
//! **Invariant.** What is not known to be the same build has none.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use semver::Version;
use url::Url;

use super::Invocation;

/// Options that say what is built or how, and mean the same to `cargo build`.
const OF_BUILDS: &[&str] = &[
    "-Z",
    "all-features",
    "bin",
    "bins",
    "color",
    "config",
    "example",
    "examples",
    "features",
    "frozen",
    "ignore-rust-version",
    "jobs",
    "keep-going",
    "locked",
    "no-default-features",
    "offline",
    "profile",
    "quiet",
    "target",
    "verbose",
];
/// Options that say where a build is, and where its programs are put.
const OF_PLACES: &[&str] = &["-f", "debug", "force", "message-format", "no-track", "path", "root", "target-dir"];
/// Options of `cargo package` and `cargo publish` that have nothing to do with the build.
const OF_PACKING: &[&str] =
    &["-n", "allow-dirty", "dry-run", "exclude-lockfile", "index", "no-metadata", "registry", "token"];

/// A command that compiles a package which it unpacks first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unpacking {
    /// What it has packed of the only package that it is about, or may be about.
    Packed,
    /// What is in the home of packages under this name and version.
    Published(String),
}

/// The build that `cargo install --path` comes to in a directory; nothing where it does not come to one that can be planned.
pub fn as_build(install: &Invocation, directory: &Path) -> Option<Invocation> {
    let options = Options::of(install)?;
    if install.command != "install" || !options.are_among(&[OF_BUILDS, OF_PLACES]) || !options.is_locked() {
        return None;
    }
    let package = normalized(&directory.join(options.value("path")?));
    let manifest = package.join("Cargo.toml");
    let name = Url::from_file_path(&package).ok()?;
    let is_planned = manifest.is_file() && is_configured_alike(directory, &package);
    let mut arguments = options.of_install();
    arguments.extend(options.value("target-dir").map(|path| format!("--target-dir={path}").into()));
    arguments.extend(["--manifest-path".into(), manifest.into_os_string()]);
    arguments.push(format!("--package=path+{name}").into());
    is_planned.then(|| Invocation::new(install.toolchain.clone(), "build", arguments))
}

/// What a command unpacks; nothing where it does not, where it may be more than one package, or where it is not known with
/// which dependencies it is compiled.
pub fn unpacking(invocation: &Invocation) -> Option<Unpacking> {
    let options = Options::of(invocation)?;
    match invocation.command.as_str() {
        "package" | "publish" => {
            let known = [OF_BUILDS, OF_PACKING, &["manifest-path", "package", "target-dir"]];
            let is_one = options.values("package").count() <= 1 && options.values("").next().is_none();
            (options.are_among(&known) && is_one).then_some(Unpacking::Packed)
        }
        "install" => {
            let known = [OF_BUILDS, OF_PLACES, &["", "vers", "version"]];
            let is_known = options.are_among(&known) && options.is_locked() && !options.has("path");
            let mut named = options.values("");
            let (Some(name), None) = (named.next(), named.next()) else { return None };
            let version = options.value("version").or(options.value("vers"));
            let (name, version) = name.split_once('@').or(version.map(|version| (name, version)))?;
            let is_exact = Version::parse(version).is_ok_and(|version| version.build.is_empty());
            (is_known && is_exact).then(|| Unpacking::Published(format!("{name}-{version}")))
        }
        _ => None,
    }
}

/// The build of what a command has unpacked, at this manifest and into this directory.
pub fn build_of(invocation: &Invocation, manifest: &Path, target_dir: &Path) -> Option<Invocation> {
    let options = Options::of(invocation)?;
    let mut arguments = if invocation.command == "install" { options.of_install() } else { options.of_builds() };
    let is_missing = |name: &str| !options.has(name) && !options.has("frozen");
    let added = ["locked", "offline"].into_iter().filter(|name| is_missing(name));
    arguments.extend(added.map(|name| OsString::from(format!("--{name}"))));
    arguments.extend(["--manifest-path".into(), manifest.as_os_str().to_owned()]);
    arguments.extend(["--target-dir".into(), target_dir.as_os_str().to_owned()]);
    Some(Invocation::new(invocation.toolchain.clone(), "build", arguments))
}

/// Cargo's own arguments, taken apart.
struct Options(Vec<(String, Option<String>)>);

impl Options {
    /// Nothing where one of them is no text.
    fn of(invocation: &Invocation) -> Option<Self> {
        let is_text = invocation.arguments.iter().map(OsString::as_os_str).all(|argument| argument.to_str().is_some());
        let has_dashes = invocation.arguments.iter().any(|argument| argument == OsStr::new("--"));
        (is_text && !has_dashes).then(|| Self(invocation.options()))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let values = self.0.iter().filter(|(own, _)| own == name).filter_map(|(_, value)| value.as_deref());
        values.collect::<Vec<_>>().into_iter()
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    fn are_among(&self, lists: &[&[&str]]) -> bool {
        self.0.iter().all(|(name, _)| lists.iter().any(|list| list.contains(&name.as_str())))
    }

    fn is_locked(&self) -> bool {
        self.has("locked") || self.has("frozen")
    }

    /// Those that `cargo build` has, too.
    fn of_builds(&self) -> Vec<OsString> {
        let own = self.0.iter().filter(|(name, _)| OF_BUILDS.contains(&name.as_str()));
        let argument = |(name, value): &(String, Option<String>)| match (name.as_str(), value) {
            ("-Z", value) => format!("-Z{}", value.as_deref().unwrap_or_default()),
            (name, Some(value)) => format!("--{name}={value}"),
            (name, None) => format!("--{name}"),
        };
        own.map(|option| argument(option).into()).collect()
    }

    /// The same for a command whose usual profile is another one.
    fn of_install(&self) -> Vec<OsString> {
        let mut arguments = self.of_builds();
        if !self.has("debug") && !self.has("profile") {
            arguments.push("--release".into());
        }
        arguments
    }
}

/// Whether cargo finds the same configuration from the directory of the package, from where it looks for it, as from here.
fn is_configured_alike(directory: &Path, package: &Path) -> bool {
    let mut between = package.ancestors().take_while(|above| *above != directory);
    package.starts_with(directory) && between.all(|directory| !directory.join(".cargo").exists())
}

/// Without `.` and `..`, as cargo names it.
fn normalized(path: &Path) -> PathBuf {
    let mut normalized = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normalized.pop()),
            Component::CurDir => {}
            part => normalized.push(part),
        }
    }
    normalized
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(command: &str) -> Invocation {
        let mut words = command.split_whitespace();
        Invocation::new(None, words.next().unwrap(), words.map(Into::into).collect())
    }

    fn text(build: &Invocation) -> String {
        let arguments = build.arguments.iter().map(|argument| argument.to_str().unwrap());
        [build.command.as_str()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_install_from_a_directory_is_a_build_of_one_package() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/Cargo.toml"), "").unwrap();
        let of = |arguments: &str| Some(text(&as_build(&invocation(&format!("install {arguments}")), path)?));
        let place = path.join("a").display().to_string();
        let place = format!("--manifest-path {place}/Cargo.toml --package=path+file://{place}");
        for (arguments, build) in [
            ("--path a --locked --root r --force", "--locked --release"),
            ("--frozen --path=a/b/.. --debug -F x", "--frozen --features=x"),
            ("--path ./a --profile fast --locked -qf --bin x", "--profile=fast --locked --quiet --bin=x"),
            ("--path a --locked -Zx -j4 --target-dir t", "--locked -Zx --jobs=4 --release --target-dir=t"),
        ] {
            assert_eq!(of(arguments).unwrap(), format!("build {build} {place}"), "{arguments}");
        }
        for other in [
            "--path a",
            "--locked",
            "--path nowhere --locked",
            "--path a/b --locked",
            "--path a --locked name",
            "--path a --locked --list",
            "--path a --locked --dry-run",
            "--git https://example.com --locked",
            "name --locked",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        std::fs::create_dir(path.join("a/.cargo")).unwrap();
        assert_eq!(of("--path a --locked"), None, "cargo reads another configuration");
    }

    #[test]
    fn what_is_unpacked_is_one_package_with_a_lockfile() {
        for one in ["package", "publish --dry-run -p x", "package --allow-dirty --features=y --target-dir t"] {
            assert_eq!(unpacking(&invocation(one)), Some(Unpacking::Packed), "{one}");
        }
        for one in
            ["install a@1.2.3 --locked", "install --frozen a --version=1.2.3 -f", "install a --vers 1.2.3 --locked"]
        {
            assert_eq!(unpacking(&invocation(one)), Some(Unpacking::Published("a-1.2.3".into())), "{one}");
        }
        for other in [
            "package --workspace",
            "publish -p a -p b",
            "package --no-verify",
            "package --list",
            "install a@1.2.3",
            "install a --locked",
            "install a@1.2 --locked",
            "install a@^1.2.3 --locked",
            "install a@1.2.3 b@1.2.3 --locked",
            "install a@1.2.3 --locked --git https://example.com",
            "install a@1.2.3 --locked --path .",
            "install a@1.2.3 --locked --registry other",
            "build",
        ] {
            assert_eq!(unpacking(&invocation(other)), None, "{other}");
        }
    }

    #[test]
    fn what_was_unpacked_is_built_as_it_is_locked() {
        let of =
            |command: &str| text(&build_of(&invocation(command), Path::new("/p/Cargo.toml"), Path::new("/t")).unwrap());
        let place = "--manifest-path /p/Cargo.toml --target-dir /t";
        assert_eq!(
            of("publish --dry-run --manifest-path x -F y --target-dir z"),
            format!("build --features=y --locked --offline {place}")
        );
        assert_eq!(of("install a@1.2.3 --locked --root r"), format!("build --locked --release --offline {place}"));
        assert_eq!(of("install a@1.2.3 --frozen --debug"), format!("build --frozen {place}"));
    }
}

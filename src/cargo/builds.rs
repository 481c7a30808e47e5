//! Finds the build that another command amounts to (`ops/cargo_install.rs`, `ops/cargo_package/verify.rs`).
//!
//! `cargo install --path` with `--locked` compiles the same units as `cargo build --release`, in the same target
//! directory, and copies the programs. `cargo install` of a registry package does so with a package that it unpacks.
//! `cargo package` and `cargo publish` compile the package that they have packed. Without `--locked`, an install
//! resolves the dependencies again and does not report the result, so no plan would describe it.
//!
//! **Invariant.** A command has a build only if it is known to compile the same units.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use semver::Version;
use url::Url;

use super::Invocation;

/// Options that decide what is built or how, and mean the same to `cargo build`.
const BUILD_OPTIONS: &[&str] = &[
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
/// Options that decide where a build takes place and where its programs go.
const LOCATION_OPTIONS: &[&str] = &["-f", "debug", "force", "message-format", "no-track", "path", "root", "target-dir"];
/// Options of `cargo package` and `cargo publish` that do not affect the build.
const PACKING_OPTIONS: &[&str] =
    &["-n", "allow-dirty", "dry-run", "exclude-lockfile", "index", "no-metadata", "registry", "token"];

/// The package that a command unpacks and compiles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unpacking {
    /// The package that it has packed itself, if it concerns a single one.
    Packed,
    /// The package with this name and version in `CARGO_HOME`.
    Published(String),
}

/// The build that `cargo install --path` amounts to in a directory, if it can be planned.
pub fn as_build(install: &Invocation, directory: &Path) -> Option<Invocation> {
    let options = Options::of(install)?;
    if install.command != "install" || !options.are_among(&[BUILD_OPTIONS, LOCATION_OPTIONS]) || !options.is_locked() {
        return None;
    }
    let package = normalized(&directory.join(options.value("path")?));
    let manifest = package.join("Cargo.toml");
    let name = Url::from_file_path(&package).ok()?;
    let is_planned = manifest.is_file() && has_same_config(directory, &package);
    let mut arguments = options.install_arguments();
    arguments.extend(options.value("target-dir").map(|path| format!("--target-dir={path}").into()));
    arguments.extend(["--manifest-path".into(), manifest.into_os_string()]);
    arguments.push(format!("--package=path+{name}").into());
    is_planned.then(|| Invocation::new(install.toolchain.clone(), "build", arguments))
}

/// The package that a command unpacks. Absent if it unpacks none or maybe several, or if the dependencies that it
/// compiles with are not known.
pub fn unpacking(invocation: &Invocation) -> Option<Unpacking> {
    let options = Options::of(invocation)?;
    match invocation.command.as_str() {
        "package" | "publish" => {
            let known = [BUILD_OPTIONS, PACKING_OPTIONS, &["manifest-path", "package", "target-dir"]];
            let is_one = options.values("package").count() <= 1 && options.values("").next().is_none();
            (options.are_among(&known) && is_one).then_some(Unpacking::Packed)
        }
        "install" => {
            let known = [BUILD_OPTIONS, LOCATION_OPTIONS, &["", "vers", "version"]];
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

/// The build of the unpacked package, with this manifest and into this target directory.
pub fn build_of(invocation: &Invocation, manifest: &Path, target_dir: &Path) -> Option<Invocation> {
    let options = Options::of(invocation)?;
    let mut arguments =
        if invocation.command == "install" { options.install_arguments() } else { options.build_arguments() };
    let is_missing = |name: &str| !options.has(name) && !options.has("frozen");
    let added = ["locked", "offline"].into_iter().filter(|name| is_missing(name));
    arguments.extend(added.map(|name| OsString::from(format!("--{name}"))));
    arguments.extend(["--manifest-path".into(), manifest.as_os_str().to_owned()]);
    arguments.extend(["--target-dir".into(), target_dir.as_os_str().to_owned()]);
    Some(Invocation::new(invocation.toolchain.clone(), "build", arguments))
}

/// Cargo's own arguments, parsed.
struct Options(Vec<(String, Option<String>)>);

impl Options {
    /// Returns none if an argument is not UTF-8.
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

    /// The options that `cargo build` has as well.
    fn build_arguments(&self) -> Vec<OsString> {
        let own = self.0.iter().filter(|(name, _)| BUILD_OPTIONS.contains(&name.as_str()));
        let argument = |(name, value): &(String, Option<String>)| match (name.as_str(), value) {
            ("-Z", value) => format!("-Z{}", value.as_deref().unwrap_or_default()),
            (name, Some(value)) => format!("--{name}={value}"),
            (name, None) => format!("--{name}"),
        };
        own.map(|option| argument(option).into()).collect()
    }

    /// The same for `cargo install`, whose default profile is `release`.
    fn install_arguments(&self) -> Vec<OsString> {
        let mut arguments = self.build_arguments();
        if !self.has("debug") && !self.has("profile") {
            arguments.push("--release".into());
        }
        arguments
    }
}

/// Whether cargo finds the same configuration from the package's directory, where it searches, as from here.
fn has_same_config(directory: &Path, package: &Path) -> bool {
    let mut between = package.ancestors().take_while(|above| *above != directory);
    package.starts_with(directory) && between.all(|directory| !directory.join(".cargo").exists())
}

/// The path without `.` and `..`, as cargo writes it.
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
        let build_text = |arguments: &str| Some(text(&as_build(&invocation(&format!("install {arguments}")), path)?));
        let place = path.join("a").display().to_string();
        let place = format!("--manifest-path {place}/Cargo.toml --package=path+file://{place}");
        for (arguments, build) in [
            ("--path a --locked --root r --force", "--locked --release"),
            ("--frozen --path=a/b/.. --debug -F x", "--frozen --features=x"),
            ("--path ./a --profile fast --locked -qf --bin x", "--profile=fast --locked --quiet --bin=x"),
            ("--path a --locked -Zx -j4 --target-dir t", "--locked -Zx --jobs=4 --release --target-dir=t"),
        ] {
            assert_eq!(build_text(arguments).unwrap(), format!("build {build} {place}"), "{arguments}");
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
            assert_eq!(build_text(other), None, "{other}");
        }
        std::fs::create_dir(path.join("a/.cargo")).unwrap();
        assert_eq!(build_text("--path a --locked"), None, "cargo reads another configuration");
    }

    #[test]
    fn only_a_single_locked_package_is_unpacked() {
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
    fn an_unpacked_package_is_built_with_its_lockfile() {
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

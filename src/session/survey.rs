//! What has to be known before anything can be asked of a store: workspace, toolchain, configuration, roots.
//!
//! Every question costs a process of some tens of milliseconds, so they are asked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Environment, Options};
use crate::cargo::{Cargo, CargoConfig, Invocation, Layout, Lockfile, Workspace, layout, rustc_command};
use crate::config::Switch;
use crate::digest::{Digest, Domain};
use crate::error::{Error, Result};
use crate::fs;
use crate::key::KEY_SCHEMA;
use crate::key::recipe::{Class, Part};
use crate::probe;
use crate::roots::{Root, Roots};
use crate::rustc::{Toolchain, toolchain};
use crate::store::LocalStore;

/// Variables that change what the compiler accepts or writes, besides flags.
const KEY_VARIABLES: &[&str] = &[
    "RUSTC_BOOTSTRAP",
    "RUST_TARGET_PATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "IPHONEOS_DEPLOYMENT_TARGET",
    "TVOS_DEPLOYMENT_TARGET",
    "WATCHOS_DEPLOYMENT_TARGET",
    "XROS_DEPLOYMENT_TARGET",
];

/// The answers.
pub(super) struct Survey {
    pub workspace: Workspace,
    pub toolchain: Toolchain,
    pub config: CargoConfig,
    pub roots: Roots,
}

impl Survey {
    /// Asks everything at once.
    pub(super) fn take(options: &Options, cargo: &Cargo, store: &LocalStore) -> Result<Self> {
        let ask =
            |command: &mut Command| probe::ask(store, command, |name| options.environment.text(name).map(Into::into));
        let ((workspace, config), (cargo_version, rustc)) = rayon::join(
            || rayon::join(|| cargo.workspace(), || cargo.config()),
            || rayon::join(|| ask(&mut cargo.version_command()), || ask_rustc(options, configured_rustc(options), ask)),
        );
        let (workspace, config) = (workspace?, config?);
        let (rustc, sysroot) = match config.rustc().filter(|_| configured_rustc(options).is_none()) {
            // Rare enough to be asked only now: the compiler is one that the configuration names.
            Some(other) => ask_rustc(options, Some(other.into()), ask)?,
            None => rustc?,
        };
        let mut toolchain = Toolchain {
            rustc,
            cargo: cargo_version?.trim().into(),
            sysroot,
            libraries: BTreeMap::new(),
            linker: String::new(),
            host_class: None,
        };
        toolchain.linker = linker(&options.environment, &config, toolchain.host()).into();
        toolchain.host_class = host_class(&options.environment, &config, toolchain.host(), ask);
        toolchain.libraries = platforms(&toolchain, &options.invocation)
            .into_iter()
            .map(|platform| (platform.clone(), toolchain.library_digest(&platform)))
            .collect();
        Ok(Self { roots: roots(options, &workspace, &toolchain), workspace, toolchain, config })
    }

    /// The name of the graph index: what can be known without a plan.
    pub(super) fn graph_key(&self, options: &Options) -> Digest {
        let directory = options.directory.strip_prefix(&self.workspace.root).ok().map(Path::as_os_str);
        let lockfile = fs::read_optional(self.lockfile_path().as_std_path()).ok().flatten();
        let parts = (
            KEY_SCHEMA,
            (&self.toolchain.rustc, &self.toolchain.cargo),
            (options.invocation.identity(), directory),
            (environment_rustflags(&options.environment), self.config.rustflags(), self.config.relevant()),
            lockfile.map(Digest::of),
        );
        Digest::of_value(Domain::GraphKey, &parts)
    }

    /// Cargo.lock as it is now; planning may have just made it.
    pub(super) fn lockfile(&self) -> Result<Lockfile> {
        let path = self.lockfile_path();
        let bytes = fs::read_optional(path.as_std_path())?.unwrap_or_default();
        Lockfile::parse(&String::from_utf8(bytes).map_err(|error| Error::corrupt(path.as_str(), error))?)
    }

    /// Where the lockfile is.
    pub(super) fn lockfile_path(&self) -> Utf8PathBuf {
        self.workspace.root.join("Cargo.lock")
    }

    /// Whether packages in directories are cached: with a compiler of their own (`clippy-driver`), they are not.
    pub(super) fn caches_members(&self, options: &Options) -> bool {
        let variables = ["RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER"];
        let has_wrapper = self.config.workspace_wrapper().is_some()
            || variables.iter().any(|name| options.environment.get(name).is_some());
        options.settings.members == Switch::On
            && options.warm.is_none()
            && !has_wrapper
            && options.invocation.command != "clippy"
    }

    /// What members inherit from the workspace's manifest, besides their dependencies.
    pub(super) fn inherited(&self) -> Result<String> {
        let path = self.workspace.root.join("Cargo.toml");
        let text = fs::read_optional(path.as_std_path())?.unwrap_or_default();
        let manifest: toml::Table = toml::from_str(&String::from_utf8_lossy(&text))
            .map_err(|error| Error::corrupt(path.as_str(), error.message().to_owned()))?;
        let workspace = manifest.get("workspace");
        let inherited = ["package", "lints"].map(|table| workspace.and_then(|workspace| workspace.get(table)));
        Ok(inherited.into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    /// How cargo arranges the build directory, where that is known.
    pub(super) fn layout(&self, options: &Options) -> Option<Layout> {
        let names = options.environment.0.keys().filter_map(|name| name.to_str());
        let unstable: Vec<_> = names.filter(|name| name.starts_with("CARGO_UNSTABLE_")).map(str::to_owned).collect();
        layout::known(&self.toolchain.cargo, &options.invocation, &self.config, &unstable)
    }

    /// A rustc wrapper of the user's own, by cargo's precedence.
    pub(super) fn user_wrapper(&self, environment: &Environment) -> Option<String> {
        let variable = ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"].iter().find_map(|name| environment.text(name));
        variable.or_else(|| self.config.rustc_wrapper()).map(Into::into)
    }
}

/// The host and the targets.
fn platforms(toolchain: &Toolchain, invocation: &Invocation) -> BTreeSet<String> {
    let targets = invocation.values("target").into_iter().filter_map(|target| target.to_str().map(Into::into));
    targets.chain([toolchain.host().to_owned()]).filter(|platform: &String| !platform.ends_with(".json")).collect()
}

/// The compiler that the environment names.
pub(super) fn configured_rustc(options: &Options) -> Option<OsString> {
    ["RUSTC", "CARGO_BUILD_RUSTC"].iter().find_map(|name| options.environment.get(name)).map(Into::into)
}

/// `-vV` and the sysroot.
fn ask_rustc(
    options: &Options,
    configured: Option<OsString>,
    ask: impl Fn(&mut Command) -> Result<String> + Sync,
) -> Result<(String, Utf8PathBuf)> {
    let invocation = &options.invocation;
    let rustc = toolchain::resolve(configured, |name| options.environment.get(name).map(Into::into));
    let ask = |arguments: &[&str]| ask(rustc_command(invocation, rustc.clone()).args(arguments));
    let (version, sysroot) = rayon::join(
        || ask(&["-vV"]),
        || match sysroot_of(Path::new(&rustc)) {
            Some(sysroot) if invocation.toolchain.is_none() => Ok(sysroot),
            _ => Ok(ask(&["--print", "sysroot"])?.trim().into()),
        },
    );
    Ok((version?, sysroot?))
}

/// What tells hosts apart on which something is linked: linker and C library, as they call themselves.
///
/// Flags that name another linker are in keys, but not which version of it: nothing is known of such a host.
fn host_class(
    environment: &Environment,
    config: &CargoConfig,
    host: &str,
    ask: impl Fn(&mut Command) -> Result<String>,
) -> Option<Class> {
    // Flags for another target say nothing of this host; those under a condition may.
    let is_for_host = |table: &str| match table.strip_prefix("target.") {
        Some(target) => target == host || target.starts_with("cfg("),
        None => true,
    };
    let configured = config.rustflags().into_iter().filter(|(table, _)| is_for_host(table));
    let configured = configured.flat_map(|(_, flags)| flags);
    let in_variables = environment_rustflags(environment).into_iter().flatten();
    let mut flags = configured.chain(in_variables).chain(key_environment(environment, None).into_values());
    if flags.any(|flag| flag.contains("link")) || config.has_conditional_linker() {
        return None;
    }
    let linker = linker(environment, config, host);
    let said = ask(Command::new(linker).arg("--version")).ok()?;
    let library = match host {
        host if host.contains("linux-gnu") => ask(Command::new("ldd").arg("--version")).ok()?,
        host if host.contains("apple") => ask(Command::new("sw_vers").arg("-productVersion")).ok()?,
        _ => String::new(),
    };
    let name = Path::new(linker).file_name();
    let linker = Part { digest: Digest::of(format!("{name:?}\n{said}")), ..Part::said(&said) };
    let parts = [("linker", linker), ("C library", Part::said(&library))].into_iter();
    Some(Class {
        digest: Digest::of(format!("{name:?}\n{said}\n{library}")),
        parts: parts.map(|(name, part)| (name.to_owned(), part)).collect(),
    })
}

/// The program that rustc links with.
fn linker<'a>(environment: &'a Environment, config: &'a CargoConfig, host: &str) -> &'a str {
    let variable = format!("CARGO_TARGET_{}_LINKER", host.to_uppercase().replace(['-', '.'], "_"));
    environment.text(&variable).or_else(|| config.linker(host)).unwrap_or("cc")
}

/// A toolchain's own `bin/rustc` stands in its sysroot.
fn sysroot_of(rustc: &Path) -> Option<Utf8PathBuf> {
    let sysroot = rustc.parent()?.parent()?;
    sysroot.join("lib").join("rustlib").is_dir().then(|| Utf8PathBuf::from_path_buf(sysroot.to_owned()).ok())?
}

fn roots(options: &Options, workspace: &Workspace, toolchain: &Toolchain) -> Roots {
    let home =
        cargo_home(&options.environment, &options.directory).and_then(|home| Utf8PathBuf::from_path_buf(home).ok());
    let roots = [
        (Root::Workspace, workspace.root.clone()),
        (Root::BuildDir, workspace.build_dir.clone()),
        (Root::Sysroot, toolchain.sysroot.clone()),
    ];
    let target_dir = Some(&workspace.target_dir).filter(|target_dir| **target_dir != workspace.build_dir);
    let target_dir = target_dir.map(|target_dir| (Root::TargetDir, target_dir.clone()));
    let others = home.map(|home| (Root::CargoHome, home)).into_iter().chain(target_dir);
    Roots::new(roots.into_iter().chain(others)).resolved(|path| path.canonicalize_utf8().ok())
}

/// As cargo finds it (the `home` crate's rules).
pub(super) fn cargo_home(environment: &Environment, directory: &Path) -> Option<PathBuf> {
    match environment.get("CARGO_HOME") {
        Some(home) => Some(directory.join(home)),
        None => std::env::home_dir().map(|home| home.join(".cargo")),
    }
}

/// The flags that replace the configured ones, where there are any.
pub(super) fn environment_rustflags(environment: &Environment) -> Option<Vec<String>> {
    let encoded = environment.text("CARGO_ENCODED_RUSTFLAGS").map(|flags| split(flags, &['\x1f']));
    encoded.or_else(|| environment.text("RUSTFLAGS").map(|flags| split(flags, &[' '])))
}

fn split(flags: &str, separator: &[char]) -> Vec<String> {
    flags.split(separator).map(str::trim).filter(|flag| !flag.is_empty()).map(Into::into).collect()
}

/// The part of the environment that belongs into keys: variables of the compiler, and flags that cargo takes from
/// variables which `cargo config get` does not show. A wrapper of the user's may add flags of its own, so it counts, too.
pub(super) fn key_environment(environment: &Environment, user_wrapper: Option<&str>) -> BTreeMap<String, String> {
    let is_flags = |name: &str| {
        name == "CARGO_BUILD_RUSTFLAGS"
            || name.starts_with("CARGO_UNSTABLE_")
            || (name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS"))
    };
    let variables = environment.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    let relevant = variables.filter(|(name, _)| KEY_VARIABLES.contains(name) || is_flags(name));
    relevant
        .chain(user_wrapper.map(|wrapper| ("a rustc wrapper", wrapper)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The directory of the workspace, for settings, before anything else is known.
pub fn workspace_directory(directory: &Path) -> Option<&Utf8Path> {
    let marked = directory.ancestors().find(|ancestor| ancestor.join(".config/xcache.toml").is_file())?;
    Utf8Path::from_path(marked)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment(variables.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    const HOST: &str = "x86_64-unknown-linux-gnu";

    /// The class of a host on which every program answers to `--version` with its name and this.
    fn class(said: &str, variables: &[(&str, &str)], config: serde_json::Value) -> Option<Class> {
        let config = serde_json::from_value(config).unwrap();
        let answer = |command: &mut Command| Ok(format!("{} {said}", command.get_program().display()));
        host_class(&environment(variables), &config, HOST, answer)
    }

    #[test]
    fn a_host_is_known_by_its_linker_and_its_library() {
        let plain = class("1.0", &[], json!({}));
        assert!(plain.is_some());
        assert_ne!(class("2.0", &[], json!({})), plain);
        let linker = ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", "clang");
        assert_ne!(class("1.0", &[linker], json!({})), plain);
        assert_ne!(class("1.0", &[], json!({ "target": { HOST: { "linker": "clang" } } })), plain);
        let words = |class: Option<Class>, name: &str| class.unwrap().parts[name].words.clone();
        assert_eq!(words(plain.clone(), "linker"), "cc 1.0");
        assert_eq!(words(plain, "C library"), "ldd 1.0");
        assert_eq!(words(class("1.0", &[linker], json!({})), "linker"), "clang 1.0");
        let silent = |_: &mut Command| Err(Error::corrupt("cc", "no answer"));
        assert_eq!(host_class(&environment(&[]), &CargoConfig::default(), HOST, silent), None);
    }

    #[test]
    fn a_host_whose_linker_flags_name_is_not_known() {
        let flags = json!({ "rustflags": ["-C", "link-arg=-fuse-ld=mold"] });
        for config in [
            json!({ "build": flags }),
            json!({ "target": { HOST: flags } }),
            json!({ "target": { "cfg(unix)": flags } }),
            json!({ "target": { "cfg(unix)": { "linker": "clang" } } }),
        ] {
            assert_eq!(class("1.0", &[], config.clone()), None, "{config}");
        }
        for variable in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS"] {
            assert_eq!(class("1.0", &[(variable, "-Clinker=clang")], json!({})), None, "{variable}");
        }
        // What is said of another target, or of anything else, is nothing about this linker.
        let other = json!({ "target": { "x86_64-unknown-linux-musl": flags }, "build": { "rustflags": ["-g"] } });
        assert_eq!(class("1.0", &[], other), class("1.0", &[], json!({})));
    }

    #[test]
    fn flags_in_variables_and_a_wrapper_of_the_users_are_part_of_a_key() {
        let plain = key_environment(&environment(&[("PATH", "/bin"), ("CARGO_HOME", "/c")]), None);
        assert_eq!(plain, BTreeMap::new());
        for (name, value) in [
            ("CARGO_BUILD_RUSTFLAGS", "-g"),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-g"),
            ("CARGO_UNSTABLE_X", "true"),
            ("RUSTC_BOOTSTRAP", "1"),
        ] {
            assert_ne!(key_environment(&environment(&[(name, value)]), None), plain, "{name}");
        }
        assert_ne!(key_environment(&environment(&[]), Some("sccache")), plain);
    }
}

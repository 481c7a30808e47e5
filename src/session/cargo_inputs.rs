//! Everything that cargo reads before it compiles anything, in one list.
//!
//! A session may rely on what an earlier one has stored: that there is nothing to plan ([`super::noop`]), or the unit
//! graph ([`super::graph`]). Both rely on it only if everything in this list is unchanged: [`variables`], and the files
//! and programs of [`CargoInputs`]. Missing files are in the list as well, since they may be created: their absence is
//! part of the state. An input that cargo does not look at costs only time, when it changes.
//!
//! The list leaves out what only changes cargo's output (`TERM`, `NO_COLOR`), the browser that it opens (`BROWSER`) and
//! its credentials for registries (`credentials.toml`).
//!
//! **Invariant.** The list contains everything that decides what cargo builds, and with which programs.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::survey::Survey;
use super::tools;
use super::{Environment, Options};
use crate::config::{SETTINGS, Setting};
use crate::digest::{Digest, Domain};
use crate::fs::Stamp;
use crate::rustc::toolchain;

/// Prefixes of variables that cargo, rustc or rustup read, or the system's loader when it starts them.
const PREFIXES: &[&str] = &["CARGO", "__CARGO", "RUST", "XCACHE", "HTTP", "http", "LD_", "DYLD_"];
/// Other names of such variables.
const NAMES: &[&str] = &[
    "HOME",
    "USERPROFILE",
    "PATH",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SDKROOT",
    "MACOSX_DEPLOYMENT_TARGET",
    "IPHONEOS_DEPLOYMENT_TARGET",
    "TVOS_DEPLOYMENT_TARGET",
    "WATCHOS_DEPLOYMENT_TARGET",
    "XROS_DEPLOYMENT_TARGET",
];
/// Files with cargo's configuration in a directory (`GlobalContext::walk_tree`).
const CONFIGS: &[&str] = &[".cargo/config", ".cargo/config.toml"];
const MANIFEST: &str = "Cargo.toml";
/// Files in which rustup looks for the toolchain of a directory.
const TOOLCHAINS: &[&str] = &["rust-toolchain", "rust-toolchain.toml"];

/// The variables of the environment that are read, sorted. xcache's own settings are left out, because they do not only
/// come from variables; they count as settings.
pub(super) fn variables(environment: &Environment) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    let settings: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
    let is_read = move |name: &OsStr| {
        let name = name.to_string_lossy();
        let is_listed = PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&&*name);
        is_listed && !settings.iter().any(|setting| *setting == name)
    };
    let all = environment.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
    all.filter(move |(name, _)| is_read(name))
}

/// The files and programs that are read, whether or not they are there.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct CargoInputs {
    /// Files, compared by their content.
    files: BTreeSet<OsString>,
    /// Programs, where they are or would be found. Compared by their stamps, because they are large.
    programs: BTreeSet<OsString>,
    /// Cargo's lockfile, which is one of the files. Planning may write it.
    lockfile: OsString,
}

impl CargoInputs {
    /// The inputs of a command in a surveyed workspace.
    pub(super) fn of(options: &Options, survey: &Survey) -> Self {
        let mut files = Files::default();
        files.add_configuration(options);
        files.add_toolchain(options);
        let root = survey.workspace.root.as_std_path();
        let manifest = options.invocation.value("manifest-path").map(|path| options.directory.join(path));
        let directories = survey.workspace.members.iter().map(|member| member.as_std_path());
        let directories =
            directories.chain([root, &options.directory]).chain(manifest.iter().filter_map(|it| it.parent()));
        directories.for_each(|directory| files.add_package(directory));
        let lockfile = survey.lockfile_path.clone();
        files.add(lockfile.clone());
        let programs = programs(options, survey).into_iter().map(OsString::from).collect();
        Self { files: files.all.into_iter().map(OsString::from).collect(), programs, lockfile: lockfile.into() }
    }

    /// Adds the manifests of these packages.
    #[must_use]
    pub(super) fn with_packages(mut self, manifests: impl IntoIterator<Item = Utf8PathBuf>) -> Self {
        let mut files = Files { all: self.files.into_iter().map(PathBuf::from).collect() };
        for manifest in manifests {
            manifest.parent().into_iter().for_each(|directory| files.add_package(directory.as_std_path()));
        }
        self.files = files.all.into_iter().map(OsString::from).collect();
        self
    }

    /// The current state of all files and programs, by their stamps, which are cheap to read.
    pub(super) fn stamps(&self) -> Digest {
        stamps(self.files.iter().chain(&self.programs))
    }

    /// The current contents of the files, and the stamps of the programs. A copy of the files has the same digest.
    pub(super) fn contents(&self) -> Digest {
        let contents: Vec<_> = self.files.iter().map(|path| (path, fs::read(path).ok().map(Digest::of))).collect();
        Digest::of_value(Domain::Stamps, &("contents", contents, stamps(&self.programs)))
    }

    /// Whether nothing but the lockfile has changed since a moment. Then everything that has read these files since has
    /// read the same.
    pub(super) fn are_older_than(&self, moment: SystemTime) -> bool {
        let others = self.files.iter().chain(&self.programs).filter(|path| **path != self.lockfile);
        let stamps = others.filter_map(|path| Stamp::of(Path::new(path)).ok());
        stamps.into_iter().all(|stamp| stamp.changed() < moment)
    }
}

/// The current state of files and directories.
pub(super) fn stamps<'a>(paths: impl IntoIterator<Item = &'a OsString>) -> Digest {
    let stamp = |path: &'a OsString| (path, Stamp::of(Path::new(path)).ok());
    Digest::of_value(Domain::Stamps, &paths.into_iter().map(stamp).collect::<Vec<_>>())
}

/// The files, including those that other files refer to.
#[derive(Default)]
struct Files {
    all: BTreeSet<PathBuf>,
}

impl Files {
    /// Adds a file, and returns whether it is new.
    fn add(&mut self, path: PathBuf) -> bool {
        self.all.insert(path)
    }

    /// Adds the configuration: `--config` and the files that it names, those in the current directory and above, and
    /// those in `CARGO_HOME`.
    fn add_configuration(&mut self, options: &Options) {
        let directory = &options.directory;
        for value in options.invocation.values("config") {
            // If a file has this name, cargo reads the file.
            self.add_config(directory.join(value));
            if let Some(table) = value.to_str().and_then(|text| text.parse().ok()) {
                self.follow_config(directory, &table);
            }
        }
        for path in upwards(directory, CONFIGS) {
            self.add_config(path);
        }
        if let Some(home) = options.environment.cargo_home(directory) {
            ["config", "config.toml"].iter().for_each(|name| self.add_config(home.join(name)));
        }
    }

    fn add_config(&mut self, path: PathBuf) {
        let Some(directory) = path.parent().map(Path::to_owned) else { return };
        let table = table(&path);
        if self.add(path)
            && let Some(table) = table
        {
            self.follow_config(&directory, &table);
        }
    }

    /// Adds included configuration files, and packages that replace others. Paths are relative to the file, or, for
    /// packages, to the directory that contains `.cargo`.
    fn follow_config(&mut self, directory: &Path, table: &Table) {
        for included in table.get("include").into_iter().flat_map(strings) {
            self.add_config(directory.join(included));
        }
        let base = directory.parent().unwrap_or(directory);
        let paths = table.get("paths").into_iter().flat_map(strings).map(str::to_owned);
        let patched = table.get("patch").into_iter().flat_map(declared_paths);
        for path in paths.chain(patched) {
            self.add_package(&directory.join(&path));
            self.add_package(&base.join(&path));
        }
    }

    /// Adds the files in which rustup looks for the toolchain, unless the environment names one.
    fn add_toolchain(&mut self, options: &Options) {
        let Options { environment, directory, .. } = options;
        if environment.get("RUSTUP_TOOLCHAIN").is_some() {
            return;
        }
        let home = environment.get("RUSTUP_HOME").map(|home| directory.join(home));
        let home = home.or_else(|| env::home_dir().map(|home| home.join(".rustup")));
        self.all.extend(upwards(directory, TOOLCHAINS));
        self.all.extend(home.map(|home| home.join("settings.toml")));
        self.all.insert("/etc/rustup/settings.toml".into());
    }

    /// Adds the manifest of a package, those above it (one of them is its workspace's), and those of the packages that
    /// it refers to by path.
    fn add_package(&mut self, directory: &Path) {
        for manifest in upwards(&normalized(directory), &[MANIFEST]) {
            if !self.add(manifest.clone()) {
                continue;
            }
            let (Some(directory), Some(table)) = (manifest.parent(), table(&manifest)) else { continue };
            let workspace = table.get("package").and_then(|package| package.get("workspace")).and_then(Value::as_str);
            let named = workspace.map(str::to_owned).into_iter().chain(table.values().flat_map(declared_paths));
            named.for_each(|path| self.add_package(&directory.join(path)));
        }
    }
}

/// The paths of cargo, the compiler and the wrappers: all places where each is looked for, up to the one where it is
/// found.
fn programs(options: &Options, survey: &Survey) -> BTreeSet<PathBuf> {
    let Options { environment, .. } = options;
    let cargo = options.cargo.clone().filter(|_| options.invocation.toolchain.is_none());
    let configured = tools::RUSTC.in_environment(options).or_else(|| survey.config.build("rustc").map(Into::into));
    let rustc = toolchain::resolve(configured, |name| environment.get(name).map(Into::into));
    let for_members = tools::WORKSPACE_WRAPPER.in_environment(options);
    let for_members = for_members.or_else(|| survey.config.build("rustc-workspace-wrapper").map(Into::into));
    let for_all = survey.wrapper.as_ref().map(|wrapper| OsString::from(&wrapper.user.name_for_scripts));
    let wrappers = for_members.into_iter().chain(for_all);
    let named = wrappers.chain([cargo.map_or_else(|| "cargo".into(), OsString::from), rustc]);
    let mut programs: BTreeSet<_> = named.flat_map(|program: OsString| candidates(options, &program)).collect();
    let own = ["cargo", "rustc"].map(|name| survey.toolchain.sysroot.join("bin").join(name));
    programs.extend(own.map(|path| path.as_std_path().with_extension(env::consts::EXE_EXTENSION)));
    programs
}

/// The places where a program is looked for, in order, up to the one where it is found. A relative path in the
/// configuration starts at the current directory, at one above it, or at the parent of `CARGO_HOME`.
fn candidates(options: &Options, program: &OsStr) -> Vec<PathBuf> {
    let Options { environment, directory, .. } = options;
    let is_name = Path::new(program).components().count() == 1;
    if !is_name {
        let home = environment.cargo_home(directory);
        let above = directory.ancestors().chain(home.iter().filter_map(|home| home.parent()));
        return above.map(|base| base.join(program)).collect();
    }
    let mut file = program.to_owned();
    file.push(env::consts::EXE_SUFFIX);
    let path = environment.get("PATH").unwrap_or_default();
    let mut found = Vec::new();
    for place in env::split_paths(path).map(|place| directory.join(place).join(&file)) {
        let is_there = place.is_file();
        found.push(place);
        if is_there {
            break;
        }
    }
    found
}

/// These names in a directory and in all above it.
fn upwards(directory: &Path, names: &[&str]) -> Vec<PathBuf> {
    directory.ancestors().flat_map(|directory| names.iter().map(|name| directory.join(name))).collect()
}

/// The path without `..`, so that its ancestors are the directories that cargo would look into.
fn normalized(directory: &Path) -> PathBuf {
    let mut normalized = PathBuf::new();
    for part in directory.components() {
        match part {
            std::path::Component::ParentDir => drop(normalized.pop()),
            std::path::Component::CurDir => {}
            part => normalized.push(part),
        }
    }
    normalized
}

fn table(path: &Path) -> Option<Table> {
    fs::read_to_string(path).ok()?.parse().ok()
}

/// A string, or a list of strings or of tables with a `path`.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        Value::Table(table) => table.get("path").into_iter().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Every `path` in a table, at any depth. Most belong to dependencies; the others lead to no manifest.
fn declared_paths(value: &Value) -> Vec<String> {
    match value {
        Value::Table(table) => {
            let own = table.get("path").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(table.values().flat_map(declared_paths)).collect()
        }
        Value::Array(values) => values.iter().flat_map(declared_paths).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_that_is_listed_counts() {
        let count = |name: &str| {
            let environment = Environment([(name.into(), "1".into())].into());
            variables(&environment).count()
        };
        for name in NAMES {
            assert_eq!(count(name), 1, "{name}");
        }
        for prefix in PREFIXES {
            assert_eq!(count(&format!("{prefix}_SOMETHING")), 1, "{prefix}");
        }
        assert_eq!((count("TERM"), count("XCACHE_DIR")), (0, 0), "xcache's settings count as settings");
    }
}

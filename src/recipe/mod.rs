//! A recipe: everything that determines the dependencies of a workspace, for the first layer of a Docker image.
//!
//! [`DependencyRecipe::of`] reads it from a checkout. [`Skeleton`] creates a workspace from it in which cargo plans
//! exactly the same external units as in the checkout, but which contains nothing to build.
//!
//! | module | what it keeps, and drops |
//! |---|---|
//! | [`manifest`] | dependencies and features of a package; not its version, description, lints, or number of targets |
//! | [`lockfile`] | packages with dependents; not the versions of those in directories |
//! | [`config`] | settings that affect a build; not credentials, aliases, or cargo's appearance |
//! | [`skeleton`] | writes the workspace, and adapts a command to its location |
//!
//! **Invariants.** The same inputs give the same bytes, wherever the checkout is. Every package in a directory counts
//! as a member of the workspace, inside or outside of it, because a recipe does not contain its content.

mod config;
mod lockfile;
mod manifest;
mod skeleton;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use cargo_metadata::Package;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use self::skeleton::Skeleton;
use crate::cargo::Cargo;
use crate::error::{Error, Result};
use crate::fs;

/// The version of the format.
const VERSION: u32 = 1;
/// The tables of the workspace's manifest that affect external units.
const WORKSPACE_TABLES: &[&str] = &["cargo-features", "patch", "profile", "replace"];

/// A recipe.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DependencyRecipe {
    version: u32,
    /// Manifests, by their directory relative to the workspace's.
    packages: BTreeMap<String, Table>,
    /// `Cargo.lock`, if it exists.
    lockfile: Option<Table>,
    /// `.cargo/config.toml`.
    config: Table,
    /// `rust-toolchain.toml`.
    toolchain: Option<Table>,
}

impl DependencyRecipe {
    /// Reads a checkout. Cargo resolves and downloads nothing.
    pub fn of(cargo: &Cargo) -> Result<Self> {
        Checkout::read(cargo)?.recipe()
    }

    /// Parses what [`DependencyRecipe::to_json`] wrote.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let recipe: Self = serde_json::from_slice(json).map_err(|error| Error::corrupt("the recipe", error))?;
        match (recipe.version, recipe.packages.keys().find(|directory| !is_relative_path(directory))) {
            (VERSION, None) => Ok(recipe),
            (VERSION, Some(directory)) => {
                Err(Error::corrupt("the recipe", format!("{directory} is not a valid package directory")))
            }
            (version, _) => Err(Error::corrupt("the recipe", format!("version {version} is not known"))),
        }
    }

    /// The content of a recipe file.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self).expect("plain data");
        json + "\n"
    }

    /// Whether it contains a lockfile. Without one, each build resolves again.
    pub fn is_locked(&self) -> bool {
        self.lockfile.is_some()
    }

    /// The content of `rust-toolchain.toml`.
    pub fn toolchain_file(&self) -> Option<String> {
        self.toolchain.as_ref().map(ToString::to_string)
    }
}

/// Everything that a recipe is derived from.
struct Checkout {
    root: Utf8PathBuf,
    manifest: Table,
    config: Table,
    members: BTreeSet<Utf8PathBuf>,
    default_members: BTreeSet<Utf8PathBuf>,
    /// The packages by directory: members, and other packages in directories.
    packages: BTreeMap<Utf8PathBuf, Package>,
    /// Directories of packages that replace others. Their versions count.
    replacements: BTreeSet<Utf8PathBuf>,
}

impl Checkout {
    fn read(cargo: &Cargo) -> Result<Self> {
        let root = cargo.metadata()?.workspace_root;
        // If the command runs in a member, cargo reports that member as the only default one.
        let metadata = cargo.at(&root.join("Cargo.toml")).metadata()?;
        let defaults: BTreeSet<_> = match metadata.workspace_default_members.is_available() {
            true => metadata.workspace_default_packages().iter().map(|package| directory(package)).collect(),
            false => metadata.workspace_packages().iter().map(|package| directory(package)).collect(),
        };
        let root = metadata.workspace_root;
        let packages: BTreeMap<_, _> =
            metadata.packages.into_iter().map(|package| (directory(&package), package)).collect();
        let mut checkout = Self {
            manifest: read_table(&root.join("Cargo.toml"))?.unwrap_or_default(),
            config: config::read(&root)?,
            members: packages.keys().cloned().collect(),
            default_members: defaults,
            packages,
            replacements: BTreeSet::new(),
            root,
        };
        checkout.add_replacements(cargo)?;
        checkout.add_dependencies(cargo)?;
        Ok(checkout)
    }

    /// Adds the packages that `[patch]`, `[replace]` and `paths` name.
    fn add_replacements(&mut self, cargo: &Cargo) -> Result<()> {
        let tables = ["patch", "replace"].iter().filter_map(|name| self.manifest.get(*name));
        let mut paths: Vec<_> = tables.chain(self.config.get("patch")).flat_map(paths_in).collect();
        let listed = self.config.get("paths").and_then(Value::as_array).into_iter().flatten();
        paths.extend(listed.filter_map(Value::as_str).map(Into::into));
        for path in paths {
            let package = self.package_at(&self.root.join(path), cargo)?;
            let directory = directory(&package);
            self.packages.insert(directory.clone(), package);
            self.replacements.insert(directory);
        }
        Ok(())
    }

    /// Adds packages in directories that others depend on.
    fn add_dependencies(&mut self, cargo: &Cargo) -> Result<()> {
        let mut open: Vec<_> = self.packages.keys().cloned().collect();
        while let Some(next) = open.pop() {
            let paths: Vec<_> = self.packages[&next].dependencies.iter().filter_map(|it| it.path.clone()).collect();
            for path in paths.into_iter().filter(|path| !self.packages.contains_key(path)).collect::<BTreeSet<_>>() {
                let package = self.package_at(&path, cargo)?;
                open.push(path.clone());
                self.packages.insert(path, package);
            }
        }
        Ok(())
    }

    /// The package in a directory. It may belong to another workspace, or to none.
    fn package_at(&self, path: &Utf8Path, cargo: &Cargo) -> Result<Package> {
        let manifest = path.join("Cargo.toml");
        let manifest = manifest.canonicalize_utf8().map_err(Error::io("read", &manifest))?;
        if let Some(known) = self.packages.values().find(|package| package.manifest_path == manifest) {
            return Ok(known.clone());
        }
        cargo.package(manifest.as_std_path()).or_else(|error| standalone_package(cargo, &manifest).map_err(|_| error))
    }

    fn recipe(&self) -> Result<DependencyRecipe> {
        let lockfile = read_table(&self.root.join("Cargo.lock"))?;
        let masked = self.packages.iter().filter(|(directory, _)| self.is_masked(directory));
        let masked = masked.map(|(_, package)| package.name.to_string()).collect();
        let mut packages: BTreeMap<_, _> = self
            .packages
            .iter()
            .map(|(directory, package)| {
                let version = (!self.is_masked(directory)).then(|| package.version.to_string());
                let manifest = manifest::of(package, version, self.members.contains(directory));
                (relative(&self.root, directory).to_string(), manifest)
            })
            .collect();
        packages.entry(".".into()).or_default().extend(self.workspace());
        Ok(DependencyRecipe {
            version: VERSION,
            packages,
            lockfile: lockfile.map(|lockfile| lockfile::reduce(lockfile, &masked)),
            config: config::reduce(self.config.clone()),
            toolchain: self.toolchain()?,
        })
    }

    /// Whether a package's version is irrelevant, because no requirement refers to it.
    fn is_masked(&self, directory: &Utf8Path) -> bool {
        let name = &self.packages[directory].name;
        let of_that_name = self.packages.values().filter(|package| package.name == *name);
        of_that_name.count() == 1 && !self.replacements.contains(directory)
    }

    /// The workspace's manifest without its package.
    fn workspace(&self) -> Table {
        let all = |directories: &BTreeSet<Utf8PathBuf>| -> Value {
            directories.iter().map(|directory| relative(&self.root, directory).to_string()).collect::<Vec<_>>().into()
        };
        let others = self.packages.keys().filter(|directory| !self.members.contains(*directory)).cloned().collect();
        let workspace = Table::from_iter([
            ("members".to_owned(), all(&self.members)),
            ("default-members".to_owned(), all(&self.default_members)),
            ("exclude".to_owned(), all(&others)),
            ("resolver".to_owned(), self.resolver().into()),
        ]);
        let kept =
            WORKSPACE_TABLES.iter().filter_map(|name| Some(((*name).to_owned(), self.manifest.get(*name)?.clone())));
        kept.chain([("workspace".to_owned(), workspace.into())]).collect()
    }

    /// The resolver by cargo's rules (`util/toml/mod.rs`): that of the manifest, or the default of the root package's
    /// edition.
    fn resolver(&self) -> String {
        let in_table = |name: &str| self.manifest.get(name)?.get("resolver")?.as_str();
        let by_edition = || match self.packages.get(&self.root)?.edition.as_str() {
            "2015" | "2018" => None,
            "2021" => Some("2"),
            _ => Some("3"),
        };
        in_table("workspace").or_else(|| in_table("package")).or_else(by_edition).unwrap_or("1").into()
    }

    /// `rust-toolchain.toml`, or the older file, which may contain only a name.
    fn toolchain(&self) -> Result<Option<Table>> {
        let names = ["rust-toolchain", "rust-toolchain.toml"].map(|name| self.root.join(name));
        let Some(path) = names.iter().find(|path| path.is_file()) else { return Ok(None) };
        let text = read_text(path)?.unwrap_or_default();
        let channel = |name: &str| Table::from_iter([("channel".to_owned(), name.into())]);
        Ok(Some(match text.parse::<Table>() {
            Ok(table) if !table.is_empty() => table,
            _ => Table::from_iter([("toolchain".to_owned(), channel(text.trim()).into())]),
        }))
    }
}

/// The package of a manifest inside of a workspace that does not list it. Cargo accepts it as a dependency, but refuses
/// to describe it there. So it is described through a link in a directory without a workspace above.
fn standalone_package(cargo: &Cargo, manifest: &Utf8Path) -> Result<Package> {
    let elsewhere = tempfile::tempdir().map_err(Error::io("create a directory in", std::env::temp_dir()))?;
    let top = elsewhere.path().canonicalize().map_err(Error::io("find", elsewhere.path()))?;
    let (real, below) = (manifest.parent().unwrap_or(manifest), manifest.as_str().trim_start_matches('/'));
    let link = top.join(below);
    let directory = link.parent().unwrap_or(&top);
    fs::create_dir_all(directory.parent().unwrap_or(&top))?;
    link_directory(real, directory).map_err(Error::io("create", directory))?;
    let mut package = cargo.package(&link)?;
    let back = |path: &Utf8Path| {
        path.strip_prefix(&top).map_or_else(|_| path.to_owned(), |path| Utf8Path::new("/").join(path))
    };
    package.manifest_path = manifest.to_owned();
    package.dependencies.iter_mut().for_each(|it| it.path = it.path.as_deref().map(back));
    Ok(package)
}

#[cfg(unix)]
fn link_directory(real: &Utf8Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(real, link)
}

#[cfg(not(unix))]
fn link_directory(_: &Utf8Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn directory(package: &Package) -> Utf8PathBuf {
    package.manifest_path.parent().map(Utf8Path::to_owned).unwrap_or_default()
}

/// Every `path = "…"` in a value.
fn paths_in(value: &Value) -> Vec<Utf8PathBuf> {
    let Some(table) = value.as_table() else { return Vec::new() };
    let below = table.iter().flat_map(|(name, value)| match value {
        Value::String(path) if name == "path" => vec![path.into()],
        value => paths_in(value),
    });
    below.collect()
}

fn read_text(path: &Utf8Path) -> Result<Option<String>> {
    let bytes = fs::read_optional(path.as_std_path())?;
    let text = bytes.map(|bytes| String::from_utf8(bytes).map_err(|error| Error::corrupt(path.as_str(), error)));
    text.transpose()
}

fn read_table(path: &Utf8Path) -> Result<Option<Table>> {
    let table = read_text(path)?.map(|text| toml::from_str(&text));
    table.transpose().map_err(|error| Error::corrupt(path.as_str(), error.message().to_owned()))
}

/// The relative path from one directory to another, with slashes on every system.
fn relative(from: &Utf8Path, to: &Utf8Path) -> Utf8PathBuf {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = from[common..].iter().map(|_| "..");
    let parts: Vec<_> = up.chain(to[common..].iter().map(|part| part.as_str())).collect();
    if parts.is_empty() { ".".into() } else { parts.join("/").into() }
}

/// Whether [`relative`] could return this path: up, then down.
fn is_relative_path(directory: &str) -> bool {
    let below = directory.split('/').skip_while(|part| *part == "..").collect::<Vec<_>>().join("/");
    let is_plain = |part| matches!(part, Utf8Component::Normal(_) | Utf8Component::CurDir);
    Utf8Path::new(&below).components().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_writes_only_into_its_skeleton() {
        for directory in [".", "a/b", "../a", "../../a/b"] {
            assert!(is_relative_path(directory), "{directory}");
        }
        for directory in ["/etc", "a/../../b", "../a/.."] {
            assert!(!is_relative_path(directory), "{directory}");
        }
    }

    #[test]
    fn a_relative_path_leads_from_one_directory_to_another() {
        for (from, to, expected) in
            [("/a/b", "/a/b", "."), ("/a/b", "/a/b/c/d", "c/d"), ("/a/b", "/a/c", "../c"), ("/a", "/b/c", "../b/c")]
        {
            assert_eq!(relative(from.into(), to.into()), expected, "from {from} to {to}");
        }
    }

    #[test]
    fn paths_are_found_in_patches_and_replacements() {
        let table: Table = toml::from_str(
            "[patch.crates-io]\na = { path = \"../a\" }\nb = { git = \"https://x/b\" }\n[replace]\n\"c:1.0.0\" = { path = \"c\" }",
        )
        .unwrap();
        let found: Vec<_> = table.values().flat_map(paths_in).collect();
        assert_eq!(found, ["../a", "c"]);
    }

    #[test]
    fn a_recipe_of_another_version_is_an_error() {
        let recipe = |version| format!(r#"{{"version":{version},"packages":{{}},"lockfile":null,"config":{{}}}}"#);
        assert!(DependencyRecipe::parse(recipe(1).as_bytes()).is_ok());
        assert!(DependencyRecipe::parse(recipe(2).as_bytes()).is_err());
    }
}

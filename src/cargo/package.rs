//! The packages of a unit graph, derived from the graph itself.
//!
//! A unit names its package by a package id spec, which contains name, version and source. The directory follows from
//! the spec or from the location of the sources. `cargo metadata` would return the same, but it waits for the lock of
//! cargo's package cache like the unit graph, and downloads packages that are never built.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use cargo_util_schemas::core::{PackageIdSpec, SourceKind};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::UnitGraph;
use crate::error::{Error, Result};
use crate::fs;

/// Packages by their id.
pub type Packages = BTreeMap<String, Package>;

/// A package with units in the build.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its source.
    pub source: PackageSource,
    /// The directory of its manifest.
    pub directory: Utf8PathBuf,
    /// Whether its manifest has `links`, so that its build script is for a native library. Known for packages with a
    /// build script.
    pub links: bool,
    /// Whether its directory is one that only cargo writes to. For any other, the lockfile does not determine the
    /// content.
    pub is_of_cargo: bool,
}

/// The source of a package.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PackageSource {
    /// A directory.
    Directory,
    /// A registry, with its name in lockfiles.
    Registry(String),
    /// A git repository.
    Git {
        /// The name of the source in lockfiles, without the revision.
        name: String,
        /// The repository's address.
        repository: String,
    },
}

impl PackageSource {
    /// Its name in lockfiles, if it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Directory => None,
            Self::Registry(name) | Self::Git { name, .. } => Some(name),
        }
    }
}

/// The packages of all units. `home` is `CARGO_HOME`.
pub fn packages(graph: &UnitGraph, home: Option<&Utf8Path>) -> Result<Packages> {
    let of_cargo: Vec<_> =
        home.into_iter().flat_map(|home| [home.join("registry/src"), home.join("git/checkouts")]).collect();
    let mut root_files = BTreeMap::<_, Vec<_>>::new();
    for unit in &graph.units {
        root_files.entry(unit.pkg_id.as_str()).or_default().push(unit.target.src_path.as_path());
    }
    let scripts = graph.units.iter().filter(|unit| unit.target.kind.iter().any(|kind| kind == "custom-build"));
    let scripted: BTreeSet<_> = scripts.map(|unit| unit.pkg_id.as_str()).collect();
    let described = |(id, root_files): (&str, Vec<&Utf8Path>)| {
        let mut package = package(id, &root_files)?;
        package.is_of_cargo = package.source != PackageSource::Directory
            && of_cargo.iter().any(|directory| package.directory.starts_with(directory));
        let manifest = || manifest(&package.directory.join("Cargo.toml"));
        package.links = scripted.contains(id) && manifest().is_some_and(|manifest| manifest.links.is_some());
        Ok((id.to_owned(), package))
    };
    root_files.into_par_iter().map(described).collect()
}

/// The package with this id and these root files.
fn package(id: &str, root_files: &[&Utf8Path]) -> Result<Package> {
    let unknown = |reason: String| Error::Command { command: "cargo --unit-graph".into(), reason };
    let spec = PackageIdSpec::parse(id).map_err(|error| unknown(error.to_string()))?;
    let incomplete = || unknown(format!("package id {id} is incomplete"));
    let url = spec.url().ok_or_else(incomplete)?;
    let version = spec.version().ok_or_else(incomplete)?.to_string();
    let name = || id.split('#').next().unwrap_or(id).to_owned();
    let (source, directory) = match spec.kind() {
        Some(SourceKind::Path) => {
            let path = url.to_file_path().ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
            (PackageSource::Directory, path.ok_or_else(incomplete)?)
        }
        kind => {
            let above = |file: &&Utf8Path| directory(spec.name(), &version, file);
            // A package whose root files are all elsewhere is known only by these files.
            let beside = || root_files.iter().find_map(|file| Some(file.parent()?.to_owned()));
            let directory = root_files.iter().find_map(above).or_else(beside).ok_or_else(incomplete)?;
            let source = match kind {
                Some(SourceKind::Git(_)) => PackageSource::Git { name: name(), repository: url.to_string() },
                _ => PackageSource::Registry(name()),
            };
            (source, directory)
        }
    };
    Ok(Package { name: spec.name().into(), version, source, directory, links: false, is_of_cargo: false })
}

/// The directory above a root file that contains the package's manifest. Directories of other packages may lie between.
fn directory(name: &str, version: &str, root_file: &Utf8Path) -> Option<Utf8PathBuf> {
    let unpacked = format!("{name}-{version}");
    let is_package = |directory: &&Utf8Path| {
        let manifest = directory.join("Cargo.toml");
        match directory.file_name() {
            // Cargo unpacks downloads into such directories.
            Some(name) if name == unpacked => manifest.is_file(),
            _ => self::manifest(&manifest).is_some_and(|manifest| manifest.name == name),
        }
    };
    root_file.ancestors().skip(1).find(is_package).map(Utf8Path::to_owned)
}

/// The package table of a manifest.
#[derive(Deserialize)]
struct ManifestPackage {
    name: String,
    links: Option<String>,
}

fn manifest(path: &Utf8Path) -> Option<ManifestPackage> {
    #[derive(Deserialize)]
    struct Manifest {
        package: ManifestPackage,
    }
    let text = fs::read_optional(path.as_std_path()).ok()??;
    Some(toml::from_str::<Manifest>(std::str::from_utf8(&text).ok()?).ok()?.package)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with a minimal manifest for each of these packages.
    fn tree(packages: &[(&str, &str)]) -> (tempfile::TempDir, Utf8PathBuf) {
        let tree = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(tree.path().to_owned()).unwrap();
        for (directory, name) in packages {
            std::fs::create_dir_all(root.join(directory).join("src")).unwrap();
            let manifest = format!("[package]\nname = \"{name}\"\n");
            std::fs::write(root.join(directory).join("Cargo.toml"), manifest).unwrap();
        }
        (tree, root)
    }

    #[test]
    fn a_package_is_read_from_its_id() {
        let (_tree, root) = tree(&[("itoa-1.0.15", "itoa"), ("checkouts/tool/inner", "tool")]);
        let registry = "registry+https://github.com/rust-lang/crates.io-index";
        let itoa = package(&format!("{registry}#itoa@1.0.15"), &[&root.join("itoa-1.0.15/src/lib.rs")]).unwrap();
        assert_eq!((itoa.name.as_str(), itoa.version.as_str()), ("itoa", "1.0.15"));
        assert_eq!((itoa.source.name(), itoa.directory), (Some(registry), root.join("itoa-1.0.15")));

        let id = "sparse+https://example.com/index/#itoa@1.0.15";
        let sparse = package(id, &[&root.join("itoa-1.0.15/src/lib.rs")]).unwrap();
        assert_eq!(sparse.source, PackageSource::Registry("sparse+https://example.com/index/".into()));

        let id = "git+https://example.com/tool?branch=a%2Fb#0.1.0";
        let git = package(id, &[&root.join("checkouts/tool/inner/src/lib.rs")]).unwrap();
        let repository = "https://example.com/tool".to_owned();
        let name = "git+https://example.com/tool?branch=a%2Fb".into();
        assert_eq!(git.source, PackageSource::Git { name, repository });
        assert_eq!((git.name.as_str(), git.directory), ("tool", root.join("checkouts/tool/inner")));

        let path = package("path+file:///home/a%20b/app#0.1.0", &["/home/a b/app/src/main.rs".into()]).unwrap();
        assert_eq!((path.name.as_str(), path.directory.as_str()), ("app", "/home/a b/app"));
        assert_eq!(path.source, PackageSource::Directory);
    }

    #[test]
    fn the_directory_is_that_of_the_packages_own_manifest() {
        let (_tree, root) = tree(&[("outer", "outer"), ("outer/inner", "inner")]);
        let source = root.join("outer/inner/src/lib.rs");
        assert_eq!(directory("outer", "1.0.0", &source), Some(root.join("outer")));
        assert_eq!(directory("inner", "1.0.0", &source), Some(root.join("outer/inner")));
        assert_eq!(directory("other", "1.0.0", &source), None);
    }

    #[test]
    fn an_invalid_id_is_an_error() {
        for id in ["itoa", "itoa@1.0.15", "registry+https://example.com/index#itoa", "path+http://example.com/a#1.0.0"]
        {
            assert!(package(id, &["/src/lib.rs".into()]).is_err(), "{id}");
        }
    }
}

//! Commands that unpack a package and compile it: `cargo package` and `cargo publish`, to verify that it compiles, and
//! `cargo install` of a package of a registry.
//!
//! The unpacked manifest and lockfile decide which units these are, so the plan is made when cargo asks for the first
//! crate. By then nothing can be placed, so the wrapper restores the hits. The plan is made in a directory of links to
//! the package's files, because cargo would take a manifest in `target/package` for one of the surrounding workspace.
//! So the plan covers only dependencies; the package itself is compiled.
//!
//! **Invariant.** There is a plan only if exactly one package was unpacked, with the lockfile that cargo compiles with.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::Options;
use crate::cargo::{Cargo, Unpacking, build_of, unpacking};
use crate::config::Switch;
use crate::{fs, link};

/// How far the clock of file systems may lag behind.
const CLOCK_LAG: Duration = Duration::from_millis(20);
/// The files that a plan for a package needs.
const NEEDED: [&str; 2] = ["Cargo.toml", "Cargo.lock"];

/// A command that is going to unpack a package.
#[derive(Clone, Debug)]
pub(super) struct UnpackingCommand {
    what: Unpacking,
    began: SystemTime,
    /// The build directory of the workspace, if the command packs one of its packages.
    pub build_dir: Option<Utf8PathBuf>,
}

/// The build of an unpacked package.
pub(super) struct UnpackedBuild {
    /// The options to plan with.
    pub options: Options,
    /// The directory of links, which must outlive the plan.
    _links: TempDir,
}

impl UnpackingCommand {
    /// The command's package. `None` if the command unpacks none, or if it is not clear which.
    pub(super) fn of(options: &Options, cargo: &Cargo) -> Option<Self> {
        let what = unpacking(&options.invocation)?;
        let build_dir = match &what {
            Unpacking::Packed => Some(only_package(options, cargo)?),
            // Cargo builds it with no configuration except that of `CARGO_HOME`.
            Unpacking::Published(_) => is_without_configuration(options).then_some(None)?,
        };
        Some(Self { what, began: SystemTime::now() - CLOCK_LAG, build_dir })
    }

    /// The build, once cargo compiles into a directory (`--out-dir`).
    pub(super) fn build(&self, options: &Options, out_dir: &Utf8Path) -> Option<UnpackedBuild> {
        let (package, build_dir) = match &self.what {
            Unpacking::Packed => {
                let build_dir = self.build_dir.clone().filter(|build_dir| out_dir.starts_with(build_dir))?;
                (self.packed(&build_dir)?, build_dir)
            }
            Unpacking::Published(name) => (published(options, name)?, above_profile(out_dir)?.to_owned()),
        };
        let links = tempfile::Builder::new().prefix("xcache-").tempdir().ok()?;
        for path in fs::children(&package).ok()? {
            link::link(&path, &links.path().join(path.file_name()?)).ok()?;
        }
        let manifest = links.path().join(NEEDED[0]);
        let invocation = build_of(&options.invocation, &manifest, build_dir.as_std_path())?;
        let mut options = Options { invocation, ..options.clone() };
        options.settings.members = Switch::Off;
        Some(UnpackedBuild { options, _links: links })
    }

    /// The only package that was unpacked since the command began.
    fn packed(&self, build_dir: &Utf8Path) -> Option<PathBuf> {
        let packages = fs::children(build_dir.join("package").as_std_path()).ok()?;
        let is_new = |path: &PathBuf| {
            let modified = path.join(NEEDED[0]).metadata().and_then(|metadata| metadata.modified());
            modified.is_ok_and(|modified| modified >= self.began)
        };
        only(packages.into_iter().filter(|path| is_new(path) && is_package(path)))
    }
}

/// The build directory, if the command names its packages or its directory selects a single one.
fn only_package(options: &Options, cargo: &Cargo) -> Option<Utf8PathBuf> {
    let metadata = cargo.metadata().ok()?;
    let manifest = options.invocation.value("manifest-path").map(|path| options.directory.join(path));
    let directory = manifest.as_deref().map_or(Some(options.directory.as_path()), Path::parent)?.canonicalize().ok()?;
    let is_member = |package: &&cargo_metadata::Package| {
        let own = package.manifest_path.parent().and_then(|own| own.canonicalize().ok());
        own.is_some_and(|own| own == directory)
    };
    let is_root = metadata.workspace_root.canonicalize().is_ok_and(|root| root == directory);
    let is_alone = match is_root {
        true => metadata.workspace_default_members.len() == 1,
        false => metadata.packages.iter().any(|package| is_member(&package)),
    };
    let build_dir = metadata.build_directory.unwrap_or(metadata.target_directory);
    (is_alone || options.invocation.has("package")).then_some(build_dir)
}

/// Whether neither the current directory nor one above it has cargo configuration, except for `CARGO_HOME`.
fn is_without_configuration(options: &Options) -> bool {
    let home = options.environment.cargo_home(&options.directory);
    let places = options.directory.ancestors().map(|directory| directory.join(".cargo"));
    let mut others = places.filter(|place| Some(place) != home.as_ref());
    others.all(|place| ["config", "config.toml"].iter().all(|name| !place.join(name).exists()))
}

/// A package in `CARGO_HOME`, if only one registry has it in this version.
fn published(options: &Options, name: &str) -> Option<PathBuf> {
    let sources = options.environment.cargo_home(&options.directory)?.join("registry").join("src");
    only(fs::children(&sources).ok()?.into_iter().map(|source| source.join(name)).filter(|path| is_package(path)))
}

fn is_package(path: &Path) -> bool {
    NEEDED.iter().all(|name| path.join(name).is_file())
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next();
    if all.next().is_some() { None } else { first }
}

/// The temporary directory that `cargo install` made for this build, which contains the profiles.
fn above_profile(out_dir: &Utf8Path) -> Option<&Utf8Path> {
    let temporary = std::env::temp_dir();
    let is_made = |path: &&Utf8Path| {
        let is_named = path.file_name().is_some_and(|name| name.starts_with("cargo-install"));
        is_named && path.parent().is_some_and(|parent| parent == temporary)
    };
    out_dir.ancestors().find(is_made)
}

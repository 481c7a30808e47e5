//! Commands that compile a package which they unpack first: `cargo package` and `cargo publish`, to verify that it
//! compiles, and `cargo install` of a package of a registry.
//!
//! Which units these are follows from the unpacked manifest and lockfile, so the plan is made when cargo asks for the first
//! crate. Nothing can be placed by then: hits come by the wrapper. The plan is made of links to the package in a directory
//! of its own, as a manifest in `target/package` would be taken for one of the workspace around it. So it is about
//! dependencies only; the package itself is compiled.
//!
//! **Invariant.** There is a plan only if one package was unpacked, and cargo has compiled with the lockfile that is in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::Options;
use crate::cargo::{Cargo, Unpacking, build_of, unpacking};
use crate::config::Switch;
use crate::{fs, link};

/// The clock that file systems go by may be behind.
const CLOCK: Duration = Duration::from_millis(20);
/// What a package has that can be planned.
const NEEDED: [&str; 2] = ["Cargo.toml", "Cargo.lock"];

/// What a command unpacks, before it has.
#[derive(Clone, Debug)]
pub(super) struct UnpackingCommand {
    what: Unpacking,
    began: SystemTime,
    /// The build directory of the workspace, if it is about one.
    pub build_dir: Option<Utf8PathBuf>,
}

/// The build of what was unpacked.
pub(super) struct UnpackedBuild {
    /// What is planned.
    pub options: Options,
    /// It goes with this.
    _links: TempDir,
}

impl UnpackingCommand {
    /// What the command unpacks; nothing where it does not, or where nobody knows what it will be.
    pub(super) fn of(options: &Options, cargo: &Cargo) -> Option<Self> {
        let what = unpacking(&options.invocation)?;
        let build_dir = match &what {
            Unpacking::Packed => Some(only_package(options, cargo)?),
            // Cargo reads no configuration there but that of its home.
            Unpacking::Published(_) => is_without_configuration(options).then_some(None)?,
        };
        Some(Self { what, began: SystemTime::now() - CLOCK, build_dir })
    }

    /// The build, now that cargo compiles into a directory (`--out-dir`).
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

    /// The only package that was unpacked since.
    fn packed(&self, build_dir: &Utf8Path) -> Option<PathBuf> {
        let packages = fs::children(build_dir.join("package").as_std_path()).ok()?;
        let is_new = |path: &PathBuf| {
            let modified = path.join(NEEDED[0]).metadata().and_then(|metadata| metadata.modified());
            modified.is_ok_and(|modified| modified >= self.began)
        };
        only(packages.into_iter().filter(|path| is_new(path) && is_package(path)))
    }
}

/// The build directory, where the command can be about one package only: it is named, or stands for itself.
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

/// Whether no directory here or above has files of configuration, but for cargo's home.
fn is_without_configuration(options: &Options) -> bool {
    let home = options.environment.cargo_home(&options.directory);
    let places = options.directory.ancestors().map(|directory| directory.join(".cargo"));
    let mut others = places.filter(|place| Some(place) != home.as_ref());
    others.all(|place| ["config", "config.toml"].iter().all(|name| !place.join(name).exists()))
}

/// A package in the home of packages, if there is one of this name and version only.
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

/// The directory that cargo has made for this one build, in which it has its profiles.
fn above_profile(out_dir: &Utf8Path) -> Option<&Utf8Path> {
    let temporary = std::env::temp_dir();
    let is_made = |path: &&Utf8Path| {
        let is_named = path.file_name().is_some_and(|name| name.starts_with("cargo-install"));
        is_named && path.parent().is_some_and(|parent| parent == temporary)
    };
    out_dir.ancestors().find(is_made)
}

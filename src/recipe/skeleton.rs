//! The workspace of a recipe: manifests, lockfile and configuration as cargo needs them, and no source.
//!
//! It stands in a directory of its own beside the one where the checkout will be: there cargo and rustup find the same
//! files in the directories above, and a path that leads out of the workspace leads to the same place.
//!
//! **Invariants.** Nothing is written into the directory of the checkout. Its targets are files that do not compile, so
//! that what should never be built cannot be.

use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::{Builder, TempDir};
use toml::{Table, Value};

use super::{DependencyRecipe, config};
use crate::cargo::{Cargo, Invocation, Workspace};
use crate::error::{Error, Result};
use crate::fs;

const SOURCE: &str = "compile_error!(\"this stands for what `cargo xcache warm` leaves out\");\n";

/// A workspace without sources.
#[derive(Debug)]
pub struct Skeleton {
    /// Removed with it.
    _directory: TempDir,
    root: Utf8PathBuf,
    /// Where the checkout will be.
    checkout_dir: Utf8PathBuf,
    /// Members that have a program.
    programs: Vec<String>,
    /// All packages in directories.
    packages: Vec<String>,
}

impl Skeleton {
    /// Makes the workspace for a checkout at `home`.
    pub fn new(recipe: &DependencyRecipe, checkout_dir: &Path) -> Result<Self> {
        let checkout_dir = Utf8Path::from_path(checkout_dir)
            .ok_or_else(|| Error::corrupt(checkout_dir.display().to_string(), "not UTF-8"))?;
        let directory = temporary(checkout_dir.parent().unwrap_or(checkout_dir))?;
        let path = directory.path().canonicalize().map_err(Error::io("find", directory.path()))?;
        let root =
            Utf8PathBuf::from_path_buf(path).map_err(|path| Error::corrupt(path.display().to_string(), "not UTF-8"))?;
        let root = (0..recipe.depth()).fold(root, |root, level| root.join(level.to_string()));
        let named = |manifests: &mut dyn Iterator<Item = &Table>| -> Vec<String> {
            manifests.filter_map(|manifest| Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())).collect()
        };
        let skeleton = Self {
            _directory: directory,
            root,
            checkout_dir: checkout_dir.to_owned(),
            programs: named(&mut recipe.packages.values().filter(|manifest| manifest.contains_key("bin"))),
            packages: named(&mut recipe.packages.values()),
        };
        skeleton.write(recipe)?;
        Ok(skeleton)
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        self.root.as_std_path()
    }

    fn write(&self, recipe: &DependencyRecipe) -> Result<()> {
        for (directory, manifest) in &recipe.packages {
            let directory = self.root.join(directory);
            let manifest_path = directory.join("Cargo.toml");
            fs::write_atomic(manifest_path.as_std_path(), manifest.to_string().as_bytes())?;
            for file in sources(manifest).into_iter().filter(|file| !file.contains(['/', '\\'])) {
                fs::write_atomic(directory.join(file).as_std_path(), SOURCE.as_bytes())?;
            }
        }
        let mut config = recipe.config.clone();
        config::make_absolute(&mut config, &self.checkout_dir);
        let files = [
            ("Cargo.lock", recipe.lockfile.as_ref()),
            (".cargo/config.toml", Some(&config)),
            ("rust-toolchain.toml", recipe.toolchain.as_ref()),
        ];
        for (name, table) in files.iter().filter_map(|(name, table)| Some((name, (*table)?))) {
            fs::write_atomic(self.root.join(name).as_std_path(), table.to_string().as_bytes())?;
        }
        Ok(())
    }

    /// The command as it has to be here to mean what it means in the checkout. To be asked in [`Skeleton::root`].
    ///
    /// Names of targets are gone, so all of that kind are meant; the lockfile is not cargo's own, so it cannot be held to
    /// it letter by letter; and everything is built where the checkout's cargo would build it.
    pub fn invocation(&self, program: Option<&Path>, invocation: &Invocation) -> Result<Invocation> {
        let mut adapted = invocation.clone();
        adapted.arguments = invocation.map_options(|name, value| self.adapt(name, value));
        let Workspace { target_dir, build_dir, .. } =
            Cargo::new(program.map(Into::into), adapted.clone()).workspace()?;
        let asked = invocation.value("target-dir").map(|path| self.checkout_dir.as_std_path().join(path));
        let asked = asked.unwrap_or_else(|| self.in_checkout(&target_dir).into());
        let mut added = vec!["--target-dir".into(), asked.into_os_string()];
        if build_dir != target_dir {
            let value = Value::from(self.in_checkout(&build_dir).into_string());
            added.extend(["--config".into(), format!("build.build-dir={value}").into()]);
        }
        adapted.arguments.splice(0..0, added);
        Ok(adapted)
    }

    /// The same place in the checkout.
    fn in_checkout(&self, path: &Utf8Path) -> Utf8PathBuf {
        path.strip_prefix(&self.root).map_or_else(|_| path.to_owned(), |below| self.checkout_dir.join(below))
    }

    /// What becomes of an option; nothing where it stays as it is.
    fn adapt(&self, name: &str, value: Option<&str>) -> Option<Vec<String>> {
        let with = |value: String| Some(vec![format!("--{name}"), value]);
        let flag = |flag: &str| Some(vec![format!("--{flag}")]);
        match (name, value) {
            ("locked" | "target-dir" | "lockfile-path" | "artifact-dir", _) => Some(Vec::new()),
            ("frozen", _) => flag("offline"),
            ("bin", Some(name)) if self.programs.iter().any(|program| program == name) => None,
            ("bin", Some(_)) => flag("bins"),
            ("example", Some(_)) => flag("examples"),
            ("test", Some(_)) => flag("tests"),
            ("bench", Some(_)) => flag("benches"),
            ("package" | "exclude", Some(spec)) => with(self.without_version(spec)?),
            ("manifest-path", Some(path)) => {
                with(Utf8Path::new(path).strip_prefix(&self.checkout_dir).ok()?.to_string())
            }
            ("config", Some(value)) => with(self.file_in_checkout(value)?),
            ("target", Some(value)) if value.ends_with(".json") => with(self.file_in_checkout(value)?),
            _ => None,
        }
    }

    /// `name@1.2.3` of a package whose version is not known here.
    fn without_version(&self, spec: &str) -> Option<String> {
        let (name, _) = spec.split_once(['@', ':'])?;
        self.packages.iter().find(|package| *package == name).cloned()
    }

    fn file_in_checkout(&self, name: &str) -> Option<String> {
        Some(self.checkout_dir.join(name)).filter(|path| path.is_file()).map(Utf8PathBuf::into_string)
    }
}

impl DependencyRecipe {
    /// How many directories above the workspace's own the topmost package is.
    fn depth(&self) -> usize {
        let above = |directory: &String| directory.split('/').take_while(|part| *part == "..").count();
        self.packages.keys().map(above).max().unwrap_or_default()
    }
}

/// Beside the checkout, or where temporary files are if that is not for us to write to.
fn temporary(parent: &Utf8Path) -> Result<TempDir> {
    let mut builder = Builder::new();
    let builder = builder.prefix(".xcache-warm-");
    builder.tempdir_in(parent).or_else(|_| builder.tempdir()).map_err(Error::io("create a directory in", parent))
}

/// The files that a manifest names.
fn sources(manifest: &Table) -> Vec<String> {
    let in_lists = ["bin", "example", "test", "bench"].iter().filter_map(|kind| manifest.get(*kind)?.as_array());
    let targets = in_lists.flatten().chain(manifest.get("lib"));
    let files = targets.filter_map(|target| target.get("path")?.as_str());
    let script = manifest.get("package").and_then(|package| package.get("build")?.as_str());
    files.chain(script).map(Into::into).collect()
}

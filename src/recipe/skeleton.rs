//! The workspace of a recipe: the manifests, lockfile and configuration that cargo needs, without sources.
//!
//! It is in a directory of its own beside that of the future checkout. There, cargo and rustup find the same files in
//! the directories above, and a path that leads out of the workspace leads to the same place.
//!
//! **Invariants.** Nothing is written into the directory of the checkout. The source files of the skeleton do not
//! compile, so no unit of its packages can be built by mistake.

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
    /// Removed on drop.
    _directory: TempDir,
    root: Utf8PathBuf,
    /// The directory of the future checkout.
    checkout_dir: Utf8PathBuf,
    /// The names of members that have a program.
    programs: Vec<String>,
    /// The names of all packages in directories.
    packages: Vec<String>,
}

impl Skeleton {
    /// Creates the workspace for a checkout in `checkout_dir`.
    pub fn new(recipe: &DependencyRecipe, checkout_dir: &Path) -> Result<Self> {
        let checkout_dir = Utf8Path::from_path(checkout_dir)
            .ok_or_else(|| Error::corrupt(checkout_dir.display().to_string(), "not UTF-8"))?;
        let directory = create_directory(checkout_dir.parent().unwrap_or(checkout_dir))?;
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

    /// The directory of the workspace.
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

    /// The command that means here what `invocation` means in the checkout, to be run in [`Skeleton::root`].
    ///
    /// The skeleton has no names of targets, so the command selects all targets of that kind. The lockfile is not the
    /// original one, so `--locked` is dropped. The target and build directories are those of the checkout.
    pub fn invocation(&self, program: Option<&Path>, invocation: &Invocation) -> Result<Invocation> {
        let mut adapted = invocation.clone();
        adapted.arguments = invocation.map_options(|name, value| self.adapt(name, value));
        let Workspace { target_dir, build_dir, .. } =
            Cargo::new(program.map(Into::into), adapted.clone()).workspace()?;
        let requested = invocation.value("target-dir").map(|path| self.checkout_dir.as_std_path().join(path));
        let requested = requested.unwrap_or_else(|| self.in_checkout(&target_dir).into());
        let mut added = vec!["--target-dir".into(), requested.into_os_string()];
        if build_dir != target_dir {
            let value = Value::from(self.in_checkout(&build_dir).into_string());
            added.extend(["--config".into(), format!("build.build-dir={value}").into()]);
        }
        adapted.arguments.splice(0..0, added);
        Ok(adapted)
    }

    /// The corresponding path in the checkout.
    fn in_checkout(&self, path: &Utf8Path) -> Utf8PathBuf {
        path.strip_prefix(&self.root).map_or_else(|_| path.to_owned(), |below| self.checkout_dir.join(below))
    }

    /// The replacement for an option; none if it stays as it is.
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

    /// The name in `name@1.2.3`, if the version of that package is masked here.
    fn without_version(&self, spec: &str) -> Option<String> {
        let (name, _) = spec.split_once(['@', ':'])?;
        self.packages.iter().find(|package| *package == name).cloned()
    }

    fn file_in_checkout(&self, name: &str) -> Option<String> {
        Some(self.checkout_dir.join(name)).filter(|path| path.is_file()).map(Utf8PathBuf::into_string)
    }
}

impl DependencyRecipe {
    /// How many levels above the workspace's directory the topmost package is.
    fn depth(&self) -> usize {
        let above = |directory: &String| directory.split('/').take_while(|part| *part == "..").count();
        self.packages.keys().map(above).max().unwrap_or_default()
    }
}

/// Creates a directory beside the checkout, or among temporary files if that directory is not writable.
fn create_directory(parent: &Utf8Path) -> Result<TempDir> {
    let mut builder = Builder::new();
    let builder = builder.prefix(".xcache-warm-");
    builder.tempdir_in(parent).or_else(|_| builder.tempdir()).map_err(Error::io("create a directory in", parent))
}

/// The source files that a manifest names.
fn sources(manifest: &Table) -> Vec<String> {
    let in_lists = ["bin", "example", "test", "bench"].iter().filter_map(|kind| manifest.get(*kind)?.as_array());
    let targets = in_lists.flatten().chain(manifest.get("lib"));
    let files = targets.filter_map(|target| target.get("path")?.as_str());
    let script = manifest.get("package").and_then(|package| package.get("build")?.as_str());
    files.chain(script).map(Into::into).collect()
}

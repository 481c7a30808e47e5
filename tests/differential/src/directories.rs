//! The directories of a walk: one for each place that something can be in.
//!
//! Both builders use the same paths, one after the other, so their outputs must be identical, and no path has to be
//! replaced in them. So the path of another place cannot stay hidden.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid};
use support::tree;
use tempfile::TempDir;

use crate::model::{Circumstances, Compiler, Order, Searched, TargetDir};
use crate::undeclared;

/// The numbers of checkouts and of cargo homes.
pub(crate) const CHECKOUTS: usize = 7;
pub(crate) const SHORT: [usize; 2] = [5, 6];
pub(crate) const HOMES: usize = 3;

/// The name of the file that contains the owner of a directory in `/`.
const MARKER: &str = ".xcache-differential";

/// Which of `/src` and `/app` a walk needs, and how long it waits for another walk to release them.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub short: [bool; 2],
    pub patience: Duration,
}

/// The directories of one walk. They are removed when it ends.
pub(crate) struct Directories {
    base: TempDir,
    checkouts: Vec<PathBuf>,
    short: Vec<PathBuf>,
}

impl Directories {
    /// Creates the directories in `parent`. `/src` and `/app` are among them if they are `wanted`, can be created, and
    /// do not exist.
    pub(crate) fn new(parent: &Path, wanted: Wanted) -> Self {
        let base = tempfile::Builder::new().prefix("xd-").tempdir_in(parent).expect("a directory can be created");
        let mut directories = Self { base, checkouts: Vec::new(), short: Vec::new() };
        for name in ["w/project", "src", "app", "w/project-2", "ä b/été"] {
            directories.checkouts.push(directories.path(name));
        }
        let is_possible = Uid::effective().is_root() && device(Path::new("/")) == device(parent);
        for (n, (path, instead)) in [("/src", "s/src"), ("/app", "a/app")].into_iter().enumerate() {
            let is_wanted = is_possible && wanted.short[n];
            let path = if is_wanted { directories.claim(Path::new(path), wanted.patience) } else { None };
            let path = path.unwrap_or_else(|| directories.path(instead));
            directories.checkouts.push(path);
        }
        for dir in [directories.path("home"), directories.store(), directories.home(0), directories.home(1)] {
            fs::create_dir_all(dir).expect("a directory can be created");
        }
        std::os::unix::fs::symlink(directories.home(1), directories.home(2)).expect("a link can be created");
        directories
    }

    /// Claims a directory that does not exist, or whose owner has ended. Another walk may own it now.
    fn claim(&mut self, path: &Path, patience: Duration) -> Option<PathBuf> {
        let started = Instant::now();
        while fs::create_dir(path).is_err() {
            let owner = fs::read_to_string(path.join(MARKER)).ok().and_then(|owner| owner.parse().ok());
            // Another walk may be about to write its process id.
            let patience = if owner.is_some() { patience } else { patience.min(Duration::from_secs(1)) };
            if owner.is_some_and(|owner| kill(Pid::from_raw(owner), None) == Err(Errno::ESRCH)) {
                tree::remove(path);
            } else if started.elapsed() >= patience {
                return None;
            } else {
                thread::sleep(Duration::from_millis(200));
            }
        }
        self.short.push(path.to_owned());
        tree::write(&path.join(MARKER), std::process::id().to_string());
        Some(path.to_owned())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    pub(crate) fn checkout(&self, n: usize) -> &Path {
        &self.checkouts[n % self.checkouts.len()]
    }

    pub(crate) fn home(&self, n: usize) -> PathBuf {
        self.path(["home/.cargo", "another-package-home", "h"][n % HOMES])
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.path("registry")
    }

    pub(crate) fn repository(&self, package: &str) -> PathBuf {
        self.path("repositories").join(package)
    }

    /// A program instead of rustc or in front of it.
    pub(crate) fn compiler(&self, compiler: Compiler) -> PathBuf {
        self.path(&format!("compilers/rustc-{}", compiler.name))
    }

    /// The directory of a C compiler.
    pub(crate) fn cc(&self) -> PathBuf {
        self.path("cc")
    }

    /// The directory outside of all packages.
    pub(crate) fn outside(&self) -> PathBuf {
        self.path("outside")
    }

    /// The directories outside of all packages in a variable.
    pub(crate) fn searched(&self, searched: Searched, order: Order) -> Vec<PathBuf> {
        let [early, late] = ["early", "late"].map(|dir| self.outside().join(dir).join(searched.dir()));
        match order {
            Order::Both => vec![early, late],
            Order::Reversed => vec![late, early],
            Order::Late => vec![late],
        }
    }

    /// The program that `CC` names.
    pub(crate) fn front(&self) -> PathBuf {
        self.outside().join(undeclared::FRONT)
    }

    /// The object that flags name.
    pub(crate) fn object(&self) -> PathBuf {
        self.outside().join(undeclared::OBJECT)
    }

    /// The configuration above all checkouts except those in `/`.
    pub(crate) fn config_above(&self) -> PathBuf {
        self.path(".cargo/config.toml")
    }

    /// The target directory: the settings for cargo, and the real directories.
    pub(crate) fn target(&self, circumstances: &Circumstances) -> Targets {
        let checkout = self.checkout(circumstances.checkout).to_owned();
        let n = circumstances.checkout % CHECKOUTS;
        let variable = |name: &str, value: PathBuf| vec![(name.to_owned(), value)];
        let inside = checkout.join("target");
        match circumstances.target {
            TargetDir::Inside => Targets { variables: Vec::new(), seen: inside.clone(), real: vec![inside] },
            TargetDir::Elsewhere => {
                let dir = self.path("t/elsewhere");
                Targets { variables: variable("CARGO_TARGET_DIR", dir.clone()), seen: dir.clone(), real: vec![dir] }
            }
            TargetDir::BuildDir => {
                let dir = self.path(&format!("t/build-dir-{n}"));
                let real = vec![inside.clone(), dir.clone()];
                Targets { variables: variable("CARGO_BUILD_BUILD_DIR", dir), seen: inside, real }
            }
            TargetDir::BuildDirAndElsewhere => {
                let (dir, seen) = (self.path(&format!("t/build-dir-{n}")), self.path(&format!("t/with-build-dir-{n}")));
                let mut variables = variable("CARGO_BUILD_BUILD_DIR", dir.clone());
                variables.extend(variable("CARGO_TARGET_DIR", seen.clone()));
                Targets { variables, seen: seen.clone(), real: vec![seen, dir] }
            }
            TargetDir::Linked => {
                let (link, real) = (self.path(&format!("t/link-{n}")), self.path(&format!("t/linked-to-{n}")));
                Targets { variables: variable("CARGO_TARGET_DIR", link.clone()), seen: link, real: vec![real] }
            }
            TargetDir::Relative => {
                let dir = checkout.join("out");
                Targets { variables: variable("CARGO_TARGET_DIR", "out".into()), seen: dir.clone(), real: vec![dir] }
            }
        }
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        self.short.iter().for_each(|dir| tree::remove(dir));
    }
}

/// A target directory.
pub(crate) struct Targets {
    /// The variables that cargo gets.
    pub variables: Vec<(String, PathBuf)>,
    /// The path that cargo sees.
    pub seen: PathBuf,
    /// The real directories.
    pub real: Vec<PathBuf>,
}

impl Targets {
    /// Takes over the contents of another target directory.
    pub(crate) fn take_from(&self, other: &Self) {
        for (from, to) in other.real.iter().zip(&self.real).filter(|(from, to)| from != to) {
            tree::remove(to);
            fs::create_dir_all(to.parent().expect("a target directory has a parent"))
                .expect("a directory can be created");
            rename(from, to);
        }
    }

    /// Creates what must exist before cargo is called.
    pub(crate) fn prepare(&self) {
        if self.real.contains(&self.seen) {
            return;
        }
        fs::create_dir_all(&self.real[0]).expect("a directory can be created");
        if fs::symlink_metadata(&self.seen).is_err() {
            std::os::unix::fs::symlink(&self.real[0], &self.seen).expect("a link can be created");
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.real.iter().any(|dir| fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()))
    }

    pub(crate) fn remove(&self) {
        self.real.iter().for_each(|dir| tree::remove(dir));
    }

    /// Moves the directories aside, so that cargo finds nothing.
    pub(crate) fn put_aside(&self, stash: &Path) {
        fs::create_dir_all(stash).expect("a directory can be created");
        for (n, dir) in self.real.iter().enumerate() {
            rename(dir, &stash.join(n.to_string()));
        }
    }

    /// Removes the directories, and moves the old ones back.
    pub(crate) fn take_back(&self, stash: &Path) {
        self.remove();
        for (n, dir) in self.real.iter().enumerate() {
            rename(&stash.join(n.to_string()), dir);
        }
    }
}

/// Moves a directory, if it exists.
fn rename(from: &Path, to: &Path) {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            panic!("cannot move {} to {}: {error}", from.display(), to.display())
        }
        _ => {}
    }
}

/// The file system of a directory: target directories can only be moved within one.
fn device(dir: &Path) -> Option<u64> {
    fs::metadata(dir).ok().map(|metadata| metadata.dev())
}

//! A directory for one test, which simulates one machine or several.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use tempfile::TempDir;

use crate::{Output, Package, Project, Registry, Rustc, cargo_home, fixture, is_long, registry, rustc, tree};

/// A directory for one test.
///
/// A [`Project`] in it has the sandbox's local store, cargo home and rustc, unless it is told to use others.
pub struct Sandbox {
    root: TempDir,
    rustc: Rustc,
    names: RefCell<usize>,
    /// The end of the pipe into which build scripts write their names, and what was read from it.
    runs: RefCell<(File, String)>,
    /// The registries and lockfiles whose packages are unpacked in its cargo home.
    unpacked: RefCell<BTreeSet<(PathBuf, String)>>,
    /// Whether its cargo homes have the packages of the fixtures.
    has_checkouts: Cell<bool>,
    made: Instant,
}

/// Where each sandbox writes how long it was used, if the variable is set: `.ci/run` prints the slowest tests.
const TIMES: &str = "XCACHE_TEST_TIMES";

impl Drop for Sandbox {
    fn drop(&mut self) {
        let Some(file) = std::env::var_os(TIMES) else { return };
        let (seconds, test) = (self.made.elapsed().as_secs_f64(), std::thread::current());
        let line = format!("{seconds:8.1} s  {}\n", test.name().unwrap_or("?"));
        // One write, since several tests run at the same time. A failure is harmless.
        let _ =
            File::options().append(true).create(true).open(file).and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

impl Sandbox {
    /// A new machine, with an empty local store.
    #[expect(clippy::new_without_default, reason = "it creates directories")]
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("xcache-test-").tempdir().expect("a directory can be created");
        let rustc = Rustc::new(&root.path().join("rustc"));
        let runs = RefCell::new((pipe(&root.path().join(SCRIPT_RUNS)), String::new()));
        let (names, unpacked) = (RefCell::new(0), RefCell::default());
        let has_checkouts = Cell::new(false);
        let sandbox = Self { root, rustc, names, runs, unpacked, has_checkouts, made: Instant::now() };
        for dir in [sandbox.home(), sandbox.store(), sandbox.cargo_home()] {
            std::fs::create_dir_all(dir).expect("a directory can be created");
        }
        sandbox
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A path in it that was never returned before.
    pub fn unused(&self, name: &str) -> PathBuf {
        *self.names.borrow_mut() += 1;
        self.path(&format!("{name}-{}", self.names.borrow()))
    }

    /// `HOME`: empty, so the user's settings are not seen.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// `XCACHE_DIR`.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// `CARGO_HOME`.
    pub fn cargo_home(&self) -> PathBuf {
        self.path("cargo-home")
    }

    /// Another `CARGO_HOME`, whose path has another length.
    pub fn another_cargo_home(&self) -> PathBuf {
        let home = self.unused("the-cargo-home-of-somebody-else");
        std::fs::create_dir(&home).expect("a directory can be created");
        if self.has_checkouts.get() {
            cargo_home::copy(&home);
        }
        home
    }

    /// A directory on another file system than the sandbox's, if the machine has a writable one.
    pub fn another_file_system(&self) -> Option<TempDir> {
        let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
        let here = device(self.root.path());
        let in_directory = |parent| tempfile::Builder::new().prefix("xcache-test-").tempdir_in(parent).ok();
        ["/dev/shm", "/var/tmp"].into_iter().filter_map(in_directory).find(|dir| device(dir.path()) != here)
    }

    /// The counting rustc.
    pub fn rustc(&self) -> &Rustc {
        &self.rustc
    }

    /// A checkout of a fixture. The directory's name differs from call to call.
    pub fn checkout(&self, name: &str) -> Project {
        if !self.has_checkouts.replace(true) {
            cargo_home::copy(&self.cargo_home());
        }
        let dir = self.unused("checkout").join(name);
        tree::copy(&fixture(name), &dir);
        Project::new(self, dir)
    }

    /// A workspace `demo` of one program, whose dependencies come from a registry made at run time. `dependencies` are
    /// lines of its manifest. It has a lockfile, and its packages are unpacked.
    pub fn demo(&self, registry: &Registry, dependencies: &str, main: &str) -> Project {
        let project = self.demo_unlocked(dependencies, main);
        self.lock(&project, registry, dependencies, &[]);
        project
    }

    /// Lets a project use a registry, and locks and unpacks its packages. `older` are packages to lock to a version
    /// that is not the newest, which is unpacked as well.
    ///
    /// `manifests` identifies the manifests: cargo is asked only once for their lockfile, and only once in a sandbox to
    /// unpack its packages.
    pub fn lock(&self, project: &Project, registry: &Registry, manifests: &str, older: &[(&str, &str)]) {
        static KNOWN: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());
        project.use_registry(registry);
        let key = format!("{manifests}\n{older:?}\n{}", registry.index());
        let known = KNOWN.lock().expect("no test panics here").get(&key).cloned();
        let is_unpacked = !self.unpacked.borrow_mut().insert((registry.dir().to_owned(), key.clone()));
        if let Some(lockfiles) = known {
            for lockfile in lockfiles {
                project.write("Cargo.lock", lockfile);
                if !is_unpacked {
                    project.cargo(["fetch"]).ok();
                }
            }
            return;
        }
        project.cargo(["fetch"]).ok();
        let mut lockfiles = vec![project.read("Cargo.lock")];
        for (package, version) in older {
            project.cargo(["update", "--package", package, "--precise", version]).ok();
            project.cargo(["fetch"]).ok();
            lockfiles.push(project.read("Cargo.lock"));
        }
        KNOWN.lock().expect("no test panics here").insert(key, lockfiles);
    }

    /// The workspace that uses [`registry::chain`], locked to the older `base`.
    pub fn chain(&self) -> Project {
        let demo = self.demo_unlocked(registry::CHAIN, registry::CHAIN_MAIN);
        self.lock(&demo, &self.chain_registry(), registry::CHAIN, &[("base", "1.0.0")]);
        demo
    }

    /// The registry of [`registry::chain`]: one for all, since cargo unpacks packages into a directory that is named
    /// after the path of their registry.
    pub fn chain_registry(&self) -> Registry {
        let dir = self.path("chain-registry");
        if dir.exists() { Registry::open(&dir) } else { Registry::new(&dir).with(registry::chain()) }
    }

    /// The workspace that uses [`registry::mixed`], locked to the older `middle`. It has a feature `loud`, which
    /// enables that of `leaf`, and a profile `custom`.
    pub fn mixed(&self) -> Project {
        let dir = self.path("mixed-registry");
        let registry = if dir.exists() { Registry::open(&dir) } else { Registry::new(&dir).with(registry::mixed()) };
        let demo = self.demo_unlocked(registry::MIXED, registry::MIXED_MAIN);
        demo.edit("Cargo.toml", "[dependencies]", &format!("{MIXED_TABLES}\n[dependencies]"));
        self.lock(&demo, &registry, registry::MIXED, &[("middle", "1.0.0")]);
        demo
    }

    /// Makes cargo unpack a package again.
    pub fn forget_unpacked(&self, package: &str) {
        let registries = std::fs::read_dir(self.cargo_home().join("registry/src")).expect("packages are unpacked");
        for registry in registries.flatten() {
            tree::remove(&registry.path().join(package));
        }
        self.unpacked.borrow_mut().clear();
    }

    /// A workspace `demo` of one program, without a lockfile. It may use the network.
    pub fn demo_unlocked(&self, dependencies: &str, main: &str) -> Project {
        let dir = self.unused("checkout").join("demo");
        tree::write(&dir.join("Cargo.toml"), format!("{DEMO}\n[dependencies]\n{dependencies}\n"));
        tree::write(&dir.join("src/main.rs"), main);
        Project::new(self, dir)
    }

    /// A registry made at run time.
    pub fn registry(&self, packages: impl IntoIterator<Item = Package>) -> Registry {
        Registry::new(&self.unused("registry")).with(packages)
    }

    /// Another counting rustc.
    pub fn another_rustc(&self, make: impl FnOnce(&Path) -> Rustc) -> Rustc {
        make(&self.unused("rustc"))
    }

    /// Resets all counts.
    pub fn reset(&self) {
        self.rustc.reset();
        self.read_runs();
        self.runs.borrow_mut().1.clear();
    }

    /// Where build scripts note their runs. It is a pipe: a file would be something that they leave behind.
    pub(crate) fn script_runs(&self) -> PathBuf {
        self.path(SCRIPT_RUNS)
    }

    /// Reads what is in the pipe.
    fn read_runs(&self) {
        let (pipe, text) = &mut *self.runs.borrow_mut();
        let mut bytes = Vec::new();
        // This process holds the pipe open for writing, so there is no end of file: it reads until nothing is left.
        let ended = pipe.read_to_end(&mut bytes).map_err(|error| error.kind());
        assert!(matches!(ended, Ok(_) | Err(std::io::ErrorKind::WouldBlock)), "{ended:?}");
        text.push_str(&String::from_utf8_lossy(&bytes));
    }

    /// The packages whose build scripts ran since the last reset, once for each run, sorted. Only scripts made with
    /// [`Package::counted_script`] are counted.
    pub fn scripts_run(&self) -> Vec<String> {
        self.read_runs();
        let mut packages: Vec<_> = self.runs.borrow().1.lines().map(str::to_owned).collect();
        packages.sort();
        packages
    }

    /// The crates of registries and git repositories that were compiled since the last reset: libraries, procedural
    /// macros and build scripts, sorted.
    pub fn compiled_externals(&self) -> Vec<String> {
        sorted(self.rustc.compilations().into_iter().filter(rustc::Start::is_external).collect())
    }

    /// Asserts that the same command, repeated by plain cargo, compiles nothing and runs no build script. In the long
    /// form, also that nothing is started afterwards.
    #[track_caller]
    pub fn assert_nothing_to_do(&self, project: &Project, command: &[&str]) {
        self.reset();
        let output = project.cargo(command).ok();
        assert_eq!((self.compiled(), self.scripts_run()), (Vec::new(), Vec::new()), "plain cargo, at first: {output}");
        if is_long() {
            self.assert_nothing_started(project, command);
        }
    }

    /// Asserts that the same command, repeated by xcache and by plain cargo, starts no rustc and no build script. Only
    /// a plain cargo before them may query rustc: a session leaves no answers except those that plain cargo recorded.
    #[track_caller]
    pub fn assert_nothing_started(&self, project: &Project, command: &[&str]) {
        self.reset();
        let assert_nothing_started = |by: &str, output: &Output| {
            assert_eq!(self.starts(), [""; 0], "{by}: {output}");
            assert_eq!(self.scripts_run(), [""; 0], "{by}: {output}");
        };
        assert_nothing_started("xcache", &project.xcache(command).ok());
        assert_nothing_started("plain cargo, after xcache", &project.cargo(command).ok());
    }

    /// The crates that were compiled since the last reset, sorted; see [`rustc::Start::name`].
    pub fn compiled(&self) -> Vec<String> {
        sorted(self.rustc.compilations())
    }

    /// The libraries of registries and git repositories that were compiled since the last reset, sorted.
    pub fn compiled_dependencies(&self) -> Vec<String> {
        sorted(self.rustc.compilations().into_iter().filter(rustc::Start::is_dependency_library).collect())
    }

    /// Every start of rustc since the last reset, including queries.
    pub fn starts(&self) -> Vec<String> {
        sorted(self.rustc.starts())
    }
}

/// A named pipe, which holds what is written until it is read here.
fn pipe(path: &Path) -> File {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("a pipe can be created");
    let nonblocking = nix::libc::O_NONBLOCK;
    File::options().read(true).write(true).custom_flags(nonblocking).open(path).expect("a pipe can be opened")
}

/// Where build scripts note their runs in a sandbox.
const SCRIPT_RUNS: &str = "script-runs";

/// The names of starts, sorted.
pub fn sorted(starts: Vec<rustc::Start>) -> Vec<String> {
    let mut names: Vec<_> = starts.iter().map(rustc::Start::name).collect();
    names.sort();
    names
}

const MIXED_TABLES: &str = r#"[features]
loud = ["leaf/loud"]

[profile.custom]
inherits = "release"
opt-level = 1
"#;

const DEMO: &str = r#"[workspace]

[package]
name = "demo"
version = "0.1.0"
edition = "2024"
"#;

//! One checkout, and how cargo and xcache are called in it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::registry::SCRIPT_RUNS;
use crate::{Invocation, Registry, Report, Rustc, Sandbox, proofs, repository, tree, xcache_binary};

/// One checkout.
#[derive(Clone)]
pub struct Project {
    dir: PathBuf,
    environment: BTreeMap<String, OsString>,
}

impl Project {
    pub(crate) fn new(sandbox: &Sandbox, dir: PathBuf) -> Self {
        let mut environment = inherited();
        let mut set = |name: &str, value: &OsStr| environment.insert(name.into(), value.into());
        set("HOME", sandbox.home().as_os_str());
        set("CARGO_HOME", sandbox.cargo_home().as_os_str());
        set("XCACHE_DIR", sandbox.store().as_os_str());
        set("RUSTC", sandbox.rustc().executable().as_os_str());
        set(SCRIPT_RUNS, sandbox.script_runs().as_os_str());
        set("CARGO_NET_OFFLINE", OsStr::new("true"));
        set("AWS_EC2_METADATA_DISABLED", OsStr::new("true"));
        Self { dir, environment }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The same project in another directory, which has another checkout.
    #[must_use]
    pub fn at(&self, dir: &Path) -> Self {
        Self { dir: dir.to_owned(), environment: self.environment.clone() }
    }

    /// Its cargo home.
    pub fn cargo_home(&self) -> &Path {
        Path::new(&self.environment["CARGO_HOME"])
    }

    /// Sets a variable for everything that runs in the project.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.insert(name.into(), value.as_ref().into());
        self
    }

    /// Unsets a variable.
    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Uses another local store.
    #[must_use]
    pub fn with_store(self, dir: &Path) -> Self {
        self.env("XCACHE_DIR", dir)
    }

    /// Uses another cargo home.
    #[must_use]
    pub fn with_cargo_home(self, dir: &Path) -> Self {
        self.env("CARGO_HOME", dir)
    }

    /// Uses another rustc.
    #[must_use]
    pub fn with_rustc(self, rustc: &Rustc) -> Self {
        self.env("RUSTC", rustc.executable())
    }

    /// Uses another cargo, a script around the real one. The format of the real one counts as proven for it.
    #[must_use]
    pub fn with_cargo(self, cargo: &Path) -> Self {
        self.env("CARGO", cargo).env("XCACHE_HYDRATE", proofs::format())
    }

    /// Replaces crates.io by a registry made at run time.
    pub fn use_registry(&self, registry: &Registry) {
        self.write(".cargo/config.toml", registry.source_replacement());
    }

    /// Adds the installed `cargo nextest` to `PATH`, if it exists.
    #[must_use]
    pub fn with_nextest(self) -> Self {
        let installed = repository().join("tests/.servers/bin");
        let dirs = self.path_dirs().into_iter().chain([installed]);
        self.env("PATH", std::env::join_paths(dirs).expect("PATH can be joined"))
    }

    /// Whether there is a `cargo nextest` in `PATH`.
    pub fn has_nextest(&self) -> bool {
        self.path_dirs().iter().any(|dir| dir.join("cargo-nextest").is_file())
    }

    fn path_dirs(&self) -> Vec<PathBuf> {
        std::env::split_paths(&self.environment["PATH"]).collect()
    }

    /// `cargo-xcache xcache …`.
    pub fn xcache<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Invocation {
        if let Some(store) = self.environment.get("XCACHE_DIR") {
            proofs::share(&self.dir.join(store));
        }
        self.xcache_without_proofs(arguments)
    }

    /// The same on a machine that knows nothing about its cargo.
    pub fn xcache_without_proofs<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Invocation {
        let mut command = self.command(xcache_binary());
        command.arg("xcache").args(arguments);
        Invocation::new(command)
    }

    /// `cargo-xcache xcache …` with something mounted, visible only to that process and its children. `None` if
    /// mounting is not allowed. `mount` is a shell command in which `$place` is the directory.
    pub fn xcache_with_mount(&self, place: &Path, mount: &str) -> Option<Invocation> {
        let allowed = self.program("unshare", ["--map-root-user", "--mount", "true"]).run().status.success();
        let script = format!("set -e; place=$1; shift; {mount}; exec \"$@\"");
        let arguments = ["--map-root-user", "--mount", "sh", "-c", &script, "sh"];
        allowed.then(|| self.program("unshare", arguments).arg(place).arg(xcache_binary()).arg("xcache"))
    }

    /// xcache in this checkout, which has the path `place`, such as `/app`, for it and all its children. `None` if
    /// mounting is not allowed. All other paths are as usual, and afterwards nothing is left of it.
    pub fn xcache_at<I: IntoIterator<Item: AsRef<OsStr>>>(&self, place: &str, arguments: I) -> Option<Invocation> {
        let root = self.dir.with_file_name("root");
        std::fs::create_dir_all(&root).expect("directories can be created");
        let with = |program: [&OsStr; 1]| {
            let script = ["--map-root-user", "--mount", "sh", "-c", RUN_AT, "sh", place].map(OsStr::new);
            self.program("unshare", script).args([self.dir.as_os_str(), root.as_os_str()]).args(program)
        };
        let allowed = with([OsStr::new("true")]).run().status.success();
        allowed.then(|| with([xcache_binary().as_os_str()]).arg("xcache").args(arguments))
    }

    /// Calls `then` with an empty target directory, and puts the old one back.
    pub fn in_clean_target<T>(&self, then: impl FnOnce() -> T) -> T {
        let (target, aside) = (self.target(), self.dir.with_file_name("target-aside"));
        let is_there = std::fs::rename(&target, &aside).is_ok();
        let result = then();
        self.clean();
        if is_there {
            std::fs::rename(aside, target).expect("a directory can be put back");
        }
        result
    }

    /// The output of the program `demo` that plain cargo builds in an empty target directory.
    #[track_caller]
    pub fn output_of_plain_cargo(&self) -> String {
        self.in_clean_target(|| {
            self.cargo(["build"]).ok();
            self.run_binary("demo")
        })
    }

    /// `cargo …`.
    pub fn cargo<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Invocation {
        self.program("cargo", arguments)
    }

    /// Any program, in this checkout.
    pub fn program<I: IntoIterator<Item: AsRef<OsStr>>>(&self, program: impl AsRef<OsStr>, arguments: I) -> Invocation {
        let mut command = self.command(program);
        command.args(arguments);
        Invocation::new(command)
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.dir).env_clear().envs(&self.environment);
        command
    }

    /// The triple of this machine, as rustc names it.
    #[track_caller]
    pub fn host(&self) -> String {
        let version = self.program("rustc", ["-vV"]).ok().stdout;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        host.expect("rustc names its host").to_owned()
    }

    /// The report of the last build.
    #[track_caller]
    pub fn report(&self) -> Report {
        Report::parse(&self.xcache_without_proofs(["report", "--format", "json"]).ok())
    }

    /// Removes the entry of one unit from the local store.
    #[track_caller]
    pub fn forget_entry(&self, key: &str) {
        let entries = tree::files(&self.store().join("v1/unit"));
        let name = |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(key));
        let found: Vec<_> = entries.iter().filter(name).collect();
        assert!(!found.is_empty(), "no entry of {key} in {entries:?}");
        found.iter().for_each(|path| std::fs::remove_file(path).expect("the entry can be removed"));
    }

    /// The local store.
    pub fn store(&self) -> &Path {
        Path::new(&self.environment["XCACHE_DIR"])
    }

    /// Empties the local store.
    pub fn empty_store(&self) {
        let store = self.environment.get("XCACHE_DIR").expect("every project has a store");
        tree::remove(Path::new(store));
    }

    /// Removes the target directory.
    pub fn clean(&self) {
        tree::remove(&self.target());
    }

    /// The target directory, unless an argument or variable moves it.
    pub fn target(&self) -> PathBuf {
        self.dir.join("target")
    }

    /// Runs a program of the last build in the `dev` profile.
    #[track_caller]
    pub fn run_binary(&self, name: &str) -> String {
        self.program(self.target().join("debug").join(name), [""; 0]).ok().stdout
    }

    /// The bytes of a program of the last build in the `dev` profile.
    #[track_caller]
    pub fn binary(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.target().join("debug").join(name)).expect("the program was built")
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.dir.join(path)).expect("the file exists")
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        tree::write(&self.dir.join(path), content);
    }

    /// Replaces a part of a file, which must exist.
    #[track_caller]
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let content = self.read(path);
        assert!(content.contains(from), "{path} does not contain {from:?}");
        self.write(path, content.replace(from, to));
    }
}

/// Makes a root directory that has everything in the real one, and one directory more.
const RUN_AT: &str = r#"
    set -e
    place=$1 dir=$2 root=$3
    shift 3
    mount -t tmpfs tmpfs "$root"
    for entry in /*; do
        if [ -L "$entry" ]; then
            cp -P "$entry" "$root$entry"
        elif [ -d "$entry" ]; then
            mkdir "$root$entry"
            mount --rbind "$entry" "$root$entry"
        fi
    done
    mkdir -p "$root$place"
    mount --bind "$dir" "$root$place"
    exec chroot "$root" sh -c 'cd "$1"; shift; exec "$@"' sh "$place" "$@"
"#;

/// The variables that are passed on from the environment of the tests.
///
/// `cargo test` itself sets many variables that change what a cargo below it does, and a developer's shell has more.
fn inherited() -> BTreeMap<String, OsString> {
    let kept = ["PATH", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR"];
    let mut environment: BTreeMap<String, OsString> =
        kept.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect();
    // With another HOME, rustup must be told where its toolchains are.
    if let (false, Some(home)) = (environment.contains_key("RUSTUP_HOME"), std::env::home_dir()) {
        environment.insert("RUSTUP_HOME".into(), home.join(".rustup").into());
    }
    // Makes `cargo xcache` find the binary under test.
    let path = environment.get("PATH").cloned().unwrap_or_default();
    let dirs = xcache_binary().parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
    environment.insert("PATH".into(), std::env::join_paths(dirs).expect("PATH can be joined"));
    environment
}

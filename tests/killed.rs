//! A session can be ended at any moment: the next build works with the store and the target directory that it leaves.
//!
//! These tests vary the moment: of so many rounds, round `n` sends the signal after `n` parts of the time that an
//! undisturbed build takes. In every second round the store is full, so that restoring is interrupted instead of recording.
//! The steps before cargo starts are interrupted more often, in a workspace that builds almost instantly.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::registry::fan;
use support::{Package, Project, Registry, Running, Sandbox, by_form, tree, wait_until};
use xcache::digest::Digest;

const NONE: [&str; 0] = [];
const LEAVES: usize = 8;

/// A workspace, its program, and how long it takes to build with an empty and with a full store.
struct Victim {
    sandbox: Sandbox,
    registry: Registry,
    project: Project,
    binary: Vec<u8>,
    said: String,
    takes: [Duration; 2],
    full_store: PathBuf,
}

const DEPENDENCIES: &str = "all = \"1\"";
const MAIN: &str = "fn main() { println!(\"{}\", all::all()); }";

impl Victim {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let registry = sandbox.registry(fan(LEAVES));
        let project = sandbox.demo(&registry, DEPENDENCIES, MAIN);
        let project = project.env("XCACHE_REMOTE", format!("file://{}", sandbox.path("shared").display()));
        let takes = [(); 2].map(|()| {
            project.clean();
            let started = Instant::now();
            project.xcache(["build"]).ok();
            started.elapsed()
        });
        let full_store = sandbox.path("full-store");
        std::fs::rename(sandbox.store(), &full_store).expect("the store can be moved");
        let (binary, said) = (project.binary("demo"), project.run_binary("demo"));
        Self { sandbox, registry, project, binary, said, takes, full_store }
    }

    /// Ends a build in each of the rounds, and builds again.
    fn assert_survives(&self, end: impl Fn(&mut Running)) {
        let rounds = by_form(4, 20);
        for round in 0..rounds {
            let is_full = round % 2 == 1;
            self.prepare(is_full);
            let mut session = self.project.xcache(["build"]).start();
            thread::sleep(self.takes[usize::from(is_full)] * round / rounds);
            end(&mut session);
            self.assert_usable();
        }
        self.assert_others_can_use_the_remote();
    }

    fn prepare(&self, full: bool) {
        self.project.clean();
        tree::remove(&self.sandbox.store());
        if full {
            tree::copy(&self.full_store, &self.sandbox.store());
        } else {
            tree::remove(&self.sandbox.path("shared"));
        }
    }

    fn assert_usable(&self) {
        let Self { sandbox, project, binary, said, .. } = self;
        project.xcache(["build"]).ok();
        assert_eq!(&project.run_binary("demo"), said);
        sandbox.reset();
        project.cargo(["build"]).ok();
        assert_eq!(sandbox.compiled(), [""; 0], "plain cargo found something to do");
        // The entries in the store, from before and after the signal, make the same program.
        project.clean();
        project.xcache(["build"]).ok();
        assert!(&project.binary("demo") == binary, "the program differs from that of an undisturbed build");
        assert!(assert_complete(&sandbox.store()) > LEAVES, "most of the outputs are not in the store");
    }

    fn assert_others_can_use_the_remote(&self) {
        let store = self.sandbox.unused("store");
        let other = self.sandbox.demo(&self.registry, DEPENDENCIES, MAIN).with_store(&store);
        let other = other.env("XCACHE_REMOTE", format!("file://{}", self.sandbox.path("shared").display()));
        self.sandbox.reset();
        assert_eq!(other.xcache(["build"]).ok().warnings(), [""; 0]);
        assert_eq!(self.sandbox.compiled_dependencies(), [""; 0]);
        assert_eq!(other.run_binary("demo"), self.said);
    }
}

/// Asserts that every file with its final name in a store has its final content. Returns the number of files.
#[track_caller]
fn assert_complete(store: &Path) -> usize {
    let files = tree::files(&store.join("v1/file"));
    for file in &files {
        let name = file.file_name().expect("files have names").to_string_lossy().into_owned();
        let content = std::fs::read(file).expect("the file can be read");
        assert_eq!(name, Digest::of(&content).to_string(), "{}", file.display());
    }
    files.len()
}

#[test]
fn an_interrupt_at_any_moment_leaves_usable_directories_and_no_process() {
    Victim::new().assert_survives(|session| {
        // Like Ctrl-C in a terminal: sent to all foreground processes.
        session.signal_all(Signal::SIGINT);
        session.wait();
        wait_until("everything the session started has ended", || !session.has_survivors());
    });
}

#[test]
fn a_session_killed_at_any_moment_leaves_usable_directories() {
    Victim::new().assert_survives(|session| {
        // Cargo and the wrappers below it get no signal: they continue without a session.
        session.signal(Signal::SIGKILL);
        session.wait();
    });
}

#[test]
fn a_machine_that_stops_at_any_moment_leaves_usable_directories() {
    Victim::new().assert_survives(|session| {
        session.signal_all(Signal::SIGKILL);
        session.wait();
    });
}

#[test]
fn a_termination_signal_ends_the_build() {
    let victim = Victim::new();
    victim.prepare(false);
    let mut session = victim.project.xcache(["build"]).start();
    victim.sandbox.reset();
    wait_until("something is being compiled", || victim.sandbox.rustc().marker().exists());
    session.signal(Signal::SIGTERM);
    session.wait();
    wait_until("everything the session started has ended", || !session.has_survivors());
    victim.assert_usable();
}

/// How often each of the two tests interrupts hydration.
fn hydrations() -> u32 {
    by_form(12, 100)
}

/// A workspace that builds almost instantly, and a full store.
struct Hydration {
    sandbox: Sandbox,
    project: Project,
    /// When hydration begins and ends.
    window: (Duration, Duration),
    /// The number of files of dependencies after hydration.
    files: usize,
}

const SMALL_OUTPUT: &str = "1 2 3 of 4 macro 5\n";

/// Libraries, a macro and a script, each as small as possible.
fn small() -> Vec<Package> {
    let library = |name: &str, n: u32| Package::new(name, "1.0.0", &format!("#![no_std]\npub const N: u32 = {n};"));
    let named = "#[proc_macro] pub fn named(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
        \"\\\"macro\\\"\".parse().unwrap()
    }";
    let script = "println!(\"cargo::rerun-if-changed=build.rs\");
        let dir = std::path::PathBuf::from(std::env::var_os(\"OUT_DIR\").unwrap());
        std::fs::write(dir.join(\"five.rs\"), \"5\").unwrap();";
    let all = "#![no_std]
        pub const ALL: [u32; 5] =
            [one::N, two::N, three::N, four::N, include!(concat!(env!(\"OUT_DIR\"), \"/five.rs\"))];
        pub const NAME: &str = named::named!();";
    let all = Package::new("all", "1.0.0", all).counted_script(script).dependency("named", "1");
    let libraries = [("one", 1), ("two", 2), ("three", 3), ("four", 4)];
    let all = libraries.iter().fold(all, |all, (name, _)| all.dependency(name, "1"));
    let named = Package::new("named", "1.0.0", &format!("extern crate proc_macro;\n{named}")).procedural_macro();
    libraries.map(|(name, n)| library(name, n)).into_iter().chain([named, all]).collect()
}

impl Hydration {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let main = "fn main() {
            let [one, two, three, four, five] = all::ALL;
            println!(\"{one} {two} {three} of {four} {} {five}\", all::NAME);
        }";
        let project = sandbox.demo(&sandbox.registry(small()), "all = \"1\"", main).env("XCACHE_MEMBERS", "off");
        project.edit("Cargo.toml", "[dependencies]", "[profile.dev]\ndebug = false\n[dependencies]");
        project.xcache(["build"]).ok();
        let mut hydration = Self { sandbox, project, window: Default::default(), files: 0 };
        hydration.measure();
        hydration
    }

    /// Runs a session that is not interrupted.
    fn measure(&mut self) {
        let Self { sandbox, project, .. } = self;
        project.clean();
        sandbox.reset();
        project.xcache(["build"]).ok();
        assert_eq!(sandbox.compiled(), ["demo"]);
        assert_eq!(sandbox.scripts_run(), NONE);
        let report = project.report();
        assert_eq!(report.total("hydrated"), 8, "{}", report.json());
        let (begin, end) = report.phase("hydrate");
        self.window = (Duration::from_millis(begin), Duration::from_millis(end));
        self.files = self.placed();
    }

    /// The number of placed files that are not the workspace's own.
    fn placed(&self) -> usize {
        let profile = self.project.target().join("debug");
        let of_dependency = |path: &PathBuf| {
            let names = path.strip_prefix(&profile).expect("the file is below the profile's directory").iter();
            names.map(|name| name.to_string_lossy()).all(|name| !name.starts_with("demo") && name != ".cargo-lock")
        };
        tree::files(&profile).iter().filter(|path| of_dependency(path)).count()
    }

    /// Kills a session and all its processes when `time` returns.
    fn kill(&self, time: impl FnOnce()) {
        self.project.clean();
        let mut session = self.project.xcache(["build"]).start();
        time();
        session.signal_all(Signal::SIGKILL);
        session.wait();
        wait_until("everything the session started has ended", || !session.has_survivors());
        self.assert_closed();
    }

    /// Cargo decides by its hash alone that a unit is fresh, even if it compiles a dependency of the unit again, to
    /// other bytes. So no unit may have its hash before all of its dependencies have theirs.
    #[track_caller]
    fn assert_closed(&self) {
        let hashes = tree::fingerprints(&self.project.target());
        let has = |name: &str| hashes.iter().any(|path| path.file_name().is_some_and(|file| file == name));
        let run = "run-build-script-build-script-build";
        let needed = ["lib-one", "lib-two", "lib-three", "lib-four", "lib-named", run];
        let missing: Vec<_> = needed.into_iter().filter(|name| !has(name)).collect();
        assert!(!has("lib-all") || missing.is_empty(), "`all` has its hash, and {missing:?} are missing");
        assert!(!has(run) || has("build-script-build-script-build"), "a run has its hash before its script");
    }

    /// Asserts that plain cargo completes the build, and that then there is nothing to do.
    #[track_caller]
    fn assert_usable(&self, when: &str) {
        let Self { sandbox, project, .. } = self;
        let output = project.cargo(["build"]).ok();
        assert_eq!(project.run_binary("demo"), SMALL_OUTPUT, "{when}: {output}");
        sandbox.reset();
        let output = project.xcache(["build"]).ok();
        assert_eq!(sandbox.compiled(), NONE, "{when}: {output}");
        assert_eq!(sandbox.scripts_run(), NONE, "{when}: {output}");
    }

    /// Asserts that the store is unchanged.
    #[track_caller]
    fn assert_full(mut self) {
        assert_complete(&self.sandbox.store());
        self.measure();
        assert_eq!(self.project.run_binary("demo"), SMALL_OUTPUT);
        self.sandbox.assert_nothing_to_do(&self.project, &["build"]);
    }
}

#[test]
fn hydration_killed_at_any_moment_leaves_a_target_directory_for_plain_cargo() {
    let hydration = Hydration::new();
    let (begin, end) = hydration.window;
    // Some moments before hydration, most during it, some after it: two sessions never take exactly the same time.
    let (first, last) = (begin.mul_f64(0.8), end.mul_f64(1.5));
    let rounds = hydrations();
    for round in 0..rounds {
        let moment = first + (last - first) * round / rounds;
        hydration.kill(|| thread::sleep(moment));
        hydration.assert_usable(&format!("after {moment:?}, with hydration from {begin:?} to {end:?}"));
    }
    hydration.assert_full();
}

#[test]
fn hydration_killed_after_any_number_of_files_leaves_a_target_directory_for_plain_cargo() {
    let hydration = Hydration::new();
    let mut incomplete = 0;
    let rounds = hydrations();
    for round in 0..rounds {
        let files = hydration.files * (round as usize + 1) / rounds as usize;
        hydration.kill(|| wait_for_files(&hydration, files));
        let placed = hydration.placed();
        incomplete += u32::from((1..hydration.files).contains(&placed));
        hydration.assert_usable(&format!("after {files} of {} files, with {placed} in the end", hydration.files));
    }
    assert!(incomplete > 0, "every session was killed before hydration or after it");
    hydration.assert_full();
}

/// Waits without sleeping: [`wait_until`] would sleep for longer than the whole hydration takes.
fn wait_for_files(hydration: &Hydration, files: usize) {
    let started = Instant::now();
    while hydration.placed() < files && started.elapsed() < Duration::from_secs(30) {
        thread::yield_now();
    }
}

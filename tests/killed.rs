//! A session can be ended at any moment: the store and the target directory it leaves are good for the next build.
//!
//! The moment is what these tests vary: in round `n` of `ROUNDS` the signal comes after `n / ROUNDS` of the time that a
//! whole build takes. In every second round the store is full, so that restoring is interrupted instead of recording.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::registry::fan;
use support::{Project, Registry, Running, Sandbox, tree, wait_until};
use xcache::digest::Digest;

const ROUNDS: u32 = 20;
const LEAVES: usize = 8;

/// A workspace, what its binary is, and how long it takes to build.
struct Victim {
    sandbox: Sandbox,
    registry: Registry,
    project: Project,
    binary: Vec<u8>,
    said: String,
    takes: Duration,
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
        let started = Instant::now();
        project.xcache(["build"]).ok();
        let takes = started.elapsed();
        let full_store = sandbox.path("full-store");
        std::fs::rename(sandbox.store(), &full_store).expect("the store can be moved");
        let (binary, said) = (project.binary("demo"), project.run_binary("demo"));
        Self { sandbox, registry, project, binary, said, takes, full_store }
    }

    /// Ends a build in each of the rounds, and builds again.
    fn assert_survives(&self, end: impl Fn(&mut Running)) {
        for round in 0..ROUNDS {
            self.prepare(round % 2 == 1);
            let mut session = self.project.xcache(["build"]).start();
            thread::sleep(self.takes * round / ROUNDS);
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
        // All that is in the store now, from before the signal and from after it, makes the same binary.
        project.clean();
        project.xcache(["build"]).ok();
        assert!(&project.binary("demo") == binary, "the binary differs from the one of an undisturbed build");
        self.assert_whole();
    }

    /// Whatever has its final name has its final content.
    fn assert_whole(&self) {
        let files = tree::files(&self.sandbox.store().join("v1/file"));
        assert!(files.len() > LEAVES, "{files:?}");
        for file in files {
            let name = file.file_name().expect("files have names").to_string_lossy().into_owned();
            let content = std::fs::read(&file).expect("the file can be read");
            assert_eq!(name, Digest::of(&content).to_string(), "{}", file.display());
        }
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

#[test]
fn an_interrupt_at_any_moment_leaves_all_usable_and_nothing_running() {
    Victim::new().assert_survives(|session| {
        // As the terminal does on Ctrl-C: to everybody in the foreground.
        session.signal_all(Signal::SIGINT);
        session.wait();
        wait_until("everything the session started has ended", || !session.has_survivors());
    });
}

#[test]
fn a_session_that_is_killed_at_any_moment_leaves_all_usable() {
    Victim::new().assert_survives(|session| {
        // Cargo and the wrappers below it are not told: they go on without a session.
        session.signal(Signal::SIGKILL);
        session.wait();
    });
}

#[test]
fn a_machine_that_stops_at_any_moment_leaves_all_usable() {
    Victim::new().assert_survives(|session| {
        session.signal_all(Signal::SIGKILL);
        session.wait();
    });
}

#[test]
fn a_request_to_terminate_ends_the_build_too() {
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

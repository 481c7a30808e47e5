//! Walks a script: edits and commands with one builder, and plain cargo in a clean directory for comparison.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Running, tree};

use crate::compare::{self, Difference, DifferenceKind};
use crate::directories::{Directories, SHORT, Wanted};
use crate::disk::Disk;
use crate::model::State;
use crate::runner::{self, Builder, Observation, Runner, Toolchains};
use crate::script::{Command, Damage, Edit, Script, Step};

/// Options for all walks.
pub(crate) struct Options {
    pub builder: Builder,
    pub toolchains: Toolchains,
    /// The directory for all directories.
    pub base: PathBuf,
    /// Whether `/src` and `/app` may be used.
    pub short: bool,
    /// Whether to print what happens.
    pub verbose: bool,
}

/// The result of a walk.
#[derive(Default)]
pub(crate) struct Walked {
    pub steps: usize,
    /// How often each kind of edit and command occurred.
    pub counts: BTreeMap<&'static str, usize>,
    /// How often the command failed with both builders.
    pub failed: usize,
    pub oracle_runs: usize,
    /// How often plain cargo gave two results for the same build.
    pub undecided: usize,
    pub difference: Option<Found>,
}

/// A difference, and its step.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub step: usize,
    pub difference: Difference,
}

/// Which steps are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComparedSteps {
    /// Each, in directories that are free now.
    Explored,
    Each,
    Last,
}

/// Walks of given scripts need the very directories that the scripts name.
const PATIENCE: Duration = Duration::from_secs(300);

/// Walks until something differs. A panic in a step is a difference, too.
pub(crate) fn walk(options: &Options, builder: &Builder, script: &Script, compared: ComparedSteps) -> Walked {
    let short = SHORT.map(|n| options.short && script.mentions_checkout(n));
    let patience = if compared == ComparedSteps::Explored { Duration::ZERO } else { PATIENCE };
    let directories = Directories::new(&options.base, Wanted { short, patience });
    let mut walk = Walk {
        options,
        builder,
        disk: Disk::new(directories, options.toolchains.host()),
        state: script.start.clone(),
        answers: HashMap::new(),
        pending: None,
        walked: Walked::default(),
    };
    for (n, step) in script.steps.iter().enumerate() {
        let is_compared = compared != ComparedSteps::Last || n + 1 == script.steps.len();
        let result = panic::catch_unwind(AssertUnwindSafe(|| walk.step(step, is_compared)));
        let difference = result
            .unwrap_or_else(|cause| Some(Difference { kind: DifferenceKind::Panic, text: panic_message(&*cause) }));
        walk.walked.steps += 1;
        if let Some(difference) = difference {
            walk.walked.difference = Some(Found { step: n, difference });
            break;
        }
    }
    walk.walked
}

fn panic_message(cause: &(dyn std::any::Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().cloned();
    text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

struct Walk<'a> {
    options: &'a Options,
    builder: &'a Builder,
    disk: Disk,
    state: State,
    /// Earlier results of plain cargo, by everything that they depend on.
    answers: HashMap<String, Observation>,
    /// A session that continues in the background.
    pending: Option<Running>,
    walked: Walked,
}

impl Walk<'_> {
    fn runner(&self) -> Runner<'_> {
        Runner {
            directories: &self.disk.directories,
            toolchains: &self.options.toolchains,
            circumstances: &self.state.circumstances,
        }
    }

    fn count(&mut self, name: &'static str) {
        *self.walked.counts.entry(name).or_default() += 1;
    }

    fn step(&mut self, step: &Step, is_compared: bool) -> Option<Difference> {
        let mut quietly = false;
        let mut is_written = false;
        for edit in &step.edits {
            self.count(edit.name());
            let before = self.state.clone();
            let targets = self.runner().targets();
            edit.apply(&mut self.state);
            if let Edit::Moved { .. } = edit {
                self.runner().targets().take_from(&targets);
                runner::remove_lists(&self.runner().targets());
            }
            if before == self.state {
                self.disk.write_state(&self.state, quietly);
                is_written = true;
                self.apply_event(edit);
            } else {
                quietly |= matches!(edit, Edit::Value { quietly: true, .. });
                is_written = false;
            }
        }
        let digest = self.disk.write_state(&self.state, quietly && !is_written);
        self.count(step.command.verb.name());
        self.compare_builds(step, &digest, is_compared && !step.uncompared)
    }

    fn print_step(&self, step: &Step, seen: &Observation) {
        if self.options.verbose {
            let text = serde_json::to_string(step).unwrap_or_default();
            println!(
                "step {} in {}: {text}\n{:?}",
                self.walked.steps,
                self.disk.directories.path("").display(),
                seen.code
            );
            println!("{}", compare::end(&seen.stderr));
        }
    }

    fn compare_builds(&mut self, step: &Step, digest: &str, is_compared: bool) -> Option<Difference> {
        let command = &step.command;
        let from_nothing = !self.runner().targets().exists();
        let pending = self.pending.take();
        let ours = self.runner().observe(self.builder, command, pending);
        self.walked.failed += usize::from(ours.code != Some(0));
        self.print_step(step, &ours);
        if !is_compared {
            return None;
        }
        let rebuilt =
            if step.reused.is_empty() { Vec::new() } else { self.runner().rebuilt(self.builder, &step.reused) };
        if !rebuilt.is_empty() {
            return Some(Difference { kind: DifferenceKind::Remade, text: rebuilt.join("\n") });
        }
        let cargos = self.expected(command, digest);
        // Two units then write the same file, in random order.
        if cargos.stderr.contains("output filename collision") {
            return None;
        }
        let broken = self.state.packages.iter().filter(|package| package.broken).count();
        let is_one_error = broken == 1 && self.state.circumstances.lint.as_deref() != Some("deny");
        let compare = |cargos: &Observation| compare::compare(&ours, cargos, from_nothing, is_one_error);
        if let Some(difference) = compare(&cargos) {
            self.answers.clear();
            let again = self.expected(command, digest);
            self.walked.undecided += usize::from(compare(&again).is_none());
            return compare(&again).map(|_| difference);
        }
        if ours.code != Some(0) {
            return None;
        }
        self.after(command)
    }

    /// Plain cargo after the build: it must find nothing to do.
    fn after(&mut self, command: &Command) -> Option<Difference> {
        let after = self.runner().observe(&Builder::Cargo, command, None);
        if after.stale.is_empty() && after.code == Some(0) {
            return None;
        }
        // Some scripts run in each build, whichever builder came before.
        let (_, cargos) = self.run_aside(command, true);
        if cargos.is_some_and(|cargos| cargos.stale == after.stale && cargos.code == after.code) {
            return None;
        }
        let stale: Vec<_> = after.stale.into_iter().collect();
        let text = format!("{:?}\n{}\n{}", after.code, stale.join("\n"), compare::end(&after.stderr));
        Some(Difference { kind: DifferenceKind::NotFresh, text })
    }

    /// The result of plain cargo for this command and state.
    fn expected(&mut self, command: &Command, digest: &str) -> Observation {
        let arguments = self.runner().arguments(command);
        let question = format!("{digest} {:?} {arguments:?}", self.runner().environment());
        if let Some(answer) = self.answers.get(&question) {
            return answer.clone();
        }
        let (answer, _) = self.run_aside(command, false);
        self.walked.oracle_runs += 1;
        self.answers.insert(question, answer.clone());
        answer
    }

    /// Runs plain cargo in a clean directory, once or twice.
    fn run_aside(&self, command: &Command, twice: bool) -> (Observation, Option<Observation>) {
        let (runner, stash) = (self.runner(), self.disk.directories.path("stash"));
        let targets = runner.targets();
        targets.put_aside(&stash);
        let observe = || runner.observe(&Builder::Cargo, command, None);
        let seen = panic::catch_unwind(AssertUnwindSafe(|| (observe(), twice.then(observe))));
        targets.take_back(&stash);
        seen.unwrap_or_else(|cause| panic::resume_unwind(cause))
    }

    /// Applies an edit that does not change the state.
    fn apply_event(&mut self, edit: &Edit) {
        match edit {
            Edit::Clean => self.runner().targets().remove(),
            Edit::Damage { how, count, seed } => damage(&self.disk.directories.store(), *how, *count, *seed),
            Edit::Plain(command) => {
                self.runner().targets().prepare();
                self.runner().invocation(&Builder::Cargo, command).run();
            }
            Edit::Killed { command, after_ms } => self.kill(command, *after_ms),
            Edit::Together { command, apart } => {
                self.runner().targets().prepare();
                let mut invocation = self.runner().invocation(self.builder, command);
                if *apart {
                    invocation = invocation.env("CARGO_TARGET_DIR", self.disk.directories.path("t/together"));
                }
                self.pending = Some(invocation.start());
            }
            _ => {}
        }
    }

    fn kill(&self, command: &Command, after_ms: u64) {
        self.runner().targets().prepare();
        let mut running = self.runner().invocation(self.builder, command).start();
        thread::sleep(Duration::from_millis(after_ms));
        running.signal_all(Signal::SIGKILL);
        running.wait();
        support::wait_until("all processes have ended", || !running.has_survivors());
    }
}

/// Damages files of the store. They are replaced instead of overwritten: some are linked into target directories, where
/// cargo would not check their content.
fn damage(store: &Path, how: Damage, count: usize, seed: u64) {
    let mut files = tree::files(store);
    if how == Damage::Everything {
        tree::remove(store);
        return fs::create_dir_all(store).expect("a directory can be created");
    }
    let mut random = fastrand::Rng::with_seed(seed);
    random.shuffle(&mut files);
    let others: Vec<_> = files.iter().skip(1).cycle().take(files.len()).cloned().collect();
    for (file, other) in files.iter().zip(others).take(count) {
        let content = fs::read(file).unwrap_or_default();
        let content = match how {
            Damage::Truncate => Some(content[..content.len() / 2].to_vec()),
            Damage::Flip => Some(flipped(content, random.usize(..))),
            Damage::Exchange => fs::read(other).ok(),
            Damage::Remove | Damage::Everything => None,
        };
        fs::remove_file(file).expect("a file of the store can be removed");
        if let Some(content) = content {
            fs::write(file, content).expect("a file of the store can be written");
        }
    }
}

fn flipped(mut content: Vec<u8>, place: usize) -> Vec<u8> {
    let length = content.len().max(1);
    if let Some(byte) = content.get_mut(place % length) {
        *byte ^= 0x10;
    }
    content
}

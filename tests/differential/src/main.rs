//! Builds made-up workspaces with the cache and with plain cargo, and compares the results.
//!
//! A *walk* starts from a workspace and circumstances that a seed determines ([`generate`]). In each step some of that
//! changes, or something happens (a session is killed, the store loses objects). Then a cargo command runs twice: with
//! `cargo xcache`, which has one store for the whole walk and target directories that stay, and with plain cargo in an
//! empty target directory, at the same paths. Both must exit, print and leave the same ([`compare`]), and plain cargo
//! must find nothing to do in xcache's target directory. Any difference is a failure.
//!
//! A difference is confirmed before it is reported: plain cargo runs a second time, and the script is walked with plain
//! cargo in place of xcache. A difference that plain cargo shows, too, is not xcache's: cargo compares modification
//! times, and sees some edits only in an empty target directory.
//!
//! A failing script is shrunk ([`shrink`]) and written to a file, which `--script` walks again. The scripts in `found/`
//! are regression tests: `--replay-all` walks all of them.
//!
//! Scripts, macros and linkers also read inputs that they do not declare ([`undeclared`], [`linked`]): variables,
//! files, directories, programs, headers, objects. Plain cargo does not see these change, so each such edit is made
//! with an empty target directory. Each script in `undeclared/` shows one such input; most of them also name what must
//! be reused in a step in which nothing has changed.
//!
//! ```text
//! cargo build --release -p cargo-xcache -p xcache-differential
//! target/release/differential --steps 30 --minutes 4
//! target/release/differential --script tests/differential/found/<name>.json --verbose
//! target/release/differential --steps 100 --xcache cargo      # is the program itself right?
//! ```
//!
//! The exit status is 0 if nothing differed, 1 if something did, and 2 if the program could not do its work.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the program prints its results")]

mod compare;
mod directories;
mod disk;
mod edits;
mod entry;
mod generate;
mod linked;
mod model;
mod render;
mod runner;
mod script;
mod shrink;
mod source;
mod undeclared;
mod undeclared_edits;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::generate::Possible;
use crate::runner::{Builder, Toolchains};
use crate::script::Script;
use crate::walk::{ComparedSteps, Found, Options, Walked, walk};

/// Builds made-up workspaces with `cargo xcache` and with plain cargo, and compares the results.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many steps to walk in total.
    #[arg(long, default_value_t = 60)]
    steps: usize,
    /// The seed of the walks [default: a random one]
    #[arg(long)]
    seed: Option<u64>,
    /// How many steps to walk from each workspace.
    #[arg(long, default_value_t = 25)]
    walk: usize,
    /// The number of the seed's first walk.
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// How many walks to run in parallel.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Starts no walk after this many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// The `cargo-xcache` to test; `cargo` checks this program itself [default: the one beside this program]
    #[arg(long)]
    xcache: Option<PathBuf>,
    /// The directory for scripts of differences.
    #[arg(long, default_value = "target/differential")]
    keep_dir: PathBuf,
    /// The directory to build in.
    #[arg(long)]
    base_dir: Option<PathBuf>,
    /// Walks one script.
    #[arg(long)]
    script: Vec<PathBuf>,
    /// Walks all scripts of `tests/differential/found` and of `tests/differential/undeclared`.
    #[arg(long)]
    replay_all: bool,
    /// Leaves out undeclared inputs of scripts, macros and linkers.
    #[arg(long)]
    no_undeclared: bool,
    /// Lets scripts compute values from their own paths and pass on only the result, which xcache cannot see.
    #[arg(long)]
    derived: bool,
    /// Leaves out units that print the environment set by cargo and its wrappers.
    #[arg(long)]
    no_environment: bool,
    /// Does not build in `/src` and `/app`.
    #[arg(long)]
    no_short_roots: bool,
    /// Stops after this many differences.
    #[arg(long, default_value_t = 5)]
    max_found: usize,
    /// Seconds to spend on shrinking one script.
    #[arg(long, default_value_t = 300)]
    shrink_seconds: u64,
    /// Prints what happens in each step.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic in a step is reported as a difference.
    std::panic::set_hook(Box::new(|_| ()));
    match run(&arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns the number of differences.
fn run(arguments: &Arguments) -> Result<usize, String> {
    let options = options(arguments)?;
    let mut scripts = arguments.script.clone();
    if arguments.replay_all {
        scripts.extend(scripts_in("found"));
        scripts.extend(if arguments.no_undeclared { Vec::new() } else { scripts_in("undeclared") });
    }
    if scripts.is_empty() && !arguments.replay_all {
        return Ok(explore(arguments, &options));
    }
    replay(&options, &scripts, arguments.jobs)
}

fn options(arguments: &Arguments) -> Result<Options, String> {
    let beside = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("cargo-xcache");
    let builder = match &arguments.xcache {
        Some(name) if name == Path::new("cargo") => Builder::Cargo,
        Some(path) => Builder::Xcache(std::path::absolute(path).map_err(|error| error.to_string())?),
        None => Builder::Xcache(beside),
    };
    match &builder {
        Builder::Xcache(path) if !path.is_file() => Err(format!("{} is missing: build it", path.display())),
        _ => Ok(Options {
            builder,
            toolchains: Toolchains::find(),
            base: arguments.base_dir.clone().unwrap_or_else(std::env::temp_dir),
            short: !arguments.no_short_roots,
            verbose: arguments.verbose,
        }),
    }
}

/// Walks complete scripts.
fn replay(options: &Options, paths: &[PathBuf], jobs: usize) -> Result<usize, String> {
    let scripts = paths.iter().map(|path| Script::read(path)).collect::<Result<Vec<_>, _>>()?;
    let (next, differences) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < scripts.len()) {
            let (path, script) = (paths[n].display(), &scripts[n]);
            let walked = walk(options, &options.builder, script, ComparedSteps::Each);
            match &walked.difference {
                Some(found) => {
                    differences.fetch_add(1, Ordering::Relaxed);
                    println!("{path}: differs\n{}", describe(found, script));
                }
                None => println!("{path}: {} steps, no difference", walked.steps),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(work);
        }
    });
    Ok(differences.into_inner())
}

/// The scripts in a directory of this package: `found` or `undeclared`.
fn scripts_in(dir: &str) -> Vec<PathBuf> {
    let files = support::tree::files(&support::repository().join("tests/differential").join(dir));
    files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

fn describe(found: &Found, script: &Script) -> String {
    let step = serde_json::to_string(&script.steps[found.step]).unwrap_or_default();
    format!("step {}: {}\n{step}\n{}", found.step, found.difference.kind, found.difference.text)
}

/// The totals of all walks.
#[derive(Default)]
struct Total {
    steps: usize,
    counts: BTreeMap<&'static str, usize>,
    failed: usize,
    oracle_runs: usize,
    undecided: usize,
    cargos_own: usize,
    differences: usize,
}

/// Walks from seeds.
fn explore(arguments: &Arguments, options: &Options) -> usize {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    let started = Instant::now();
    println!("seed {seed}, {} steps, {:?}", arguments.steps, options.builder);
    let explorer = Explorer { arguments, options, seed, started, next: AtomicUsize::new(0), total: Mutex::default() };
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| explorer.work());
        }
    });
    explorer.summary()
}

struct Explorer<'a> {
    arguments: &'a Arguments,
    options: &'a Options,
    seed: u64,
    started: Instant,
    next: AtomicUsize,
    total: Mutex<Total>,
}

impl Explorer<'_> {
    fn work(&self) {
        while let Some((n, steps)) = self.next_walk() {
            self.walk(n, steps);
        }
    }

    /// The number of the next walk, and of its steps.
    fn next_walk(&self) -> Option<(usize, usize)> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let arguments = self.arguments;
        let left = arguments.steps.checked_sub(n * arguments.walk).filter(|left| *left > 0)?;
        let is_over = arguments.minutes.is_some_and(|minutes| self.started.elapsed().as_secs_f64() > minutes * 60.0);
        let is_enough = self.total().differences >= arguments.max_found;
        (!is_over && !is_enough).then(|| (n + arguments.first, left.min(arguments.walk)))
    }

    fn total(&self) -> std::sync::MutexGuard<'_, Total> {
        self.total.lock().expect("nothing panics while it holds the lock")
    }

    fn walk(&self, n: usize, steps: usize) {
        let toolchains = &self.options.toolchains;
        let possible = Possible {
            toolchain: toolchains.other(),
            clippy: toolchains.has_clippy(),
            undeclared: !self.arguments.no_undeclared,
            derived: self.arguments.derived,
            environment: !self.arguments.no_environment,
        };
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(n as u64);
        let script = generate::script(seed, steps, &possible);
        let walked = walk(self.options, &self.options.builder, &script, ComparedSteps::Explored);
        println!(
            "walk {n}: {} steps, {} packages, {:.0} s in all{}",
            walked.steps,
            script.start.packages.len(),
            self.started.elapsed().as_secs_f64(),
            if walked.difference.is_some() { ", a difference" } else { "" }
        );
        self.add(&walked);
        if let Some(found) = walked.difference {
            self.found(n, &script, &found);
        }
    }

    fn add(&self, walked: &Walked) {
        let mut total = self.total();
        total.steps += walked.steps;
        total.failed += walked.failed;
        total.oracle_runs += walked.oracle_runs;
        total.undecided += walked.undecided;
        for (name, count) in &walked.counts {
            *total.counts.entry(name).or_default() += count;
        }
    }

    /// Decides whether the difference is cargo's own, and otherwise shrinks the script.
    fn found(&self, n: usize, script: &Script, found: &Found) {
        let mut script = script.clone();
        script.steps.truncate(found.step + 1);
        println!("seed {} walk {n} {}", self.seed, describe(found, &script));
        if self.options.builder != Builder::Cargo && differs(self.options, &Builder::Cargo, &script).is_some() {
            self.total().cargos_own += 1;
            return println!("walk {n}: cargo alone differs in the same way in a target directory that stays");
        }
        self.total().differences += 1;
        let path = self.arguments.keep_dir.join(format!("{}-{n}-{}.json", self.seed, found.step));
        script.write(&path);
        let until = Instant::now() + Duration::from_secs(self.arguments.shrink_seconds);
        let kind = found.difference.kind;
        let mut small = shrink::shrink(&script, kind, until, &|script| {
            Some(differs(self.options, &self.options.builder, script)?.difference.kind)
        });
        let found = differs(self.options, &self.options.builder, &small);
        let text = found.map_or("it did not occur again".to_owned(), |found| found.difference.text);
        small.note = format!("{kind}: {text}");
        // While the script became smaller, plain cargo may have begun to differ, too.
        if self.options.builder != Builder::Cargo && differs(self.options, &Builder::Cargo, &small).is_some() {
            println!("walk {n}: the small script differs with cargo alone, too; the long one is kept");
            small.steps.clone_from(&script.steps);
            small.start.clone_from(&script.start);
        }
        small.write(&path);
        let said = serde_json::to_string(&small).unwrap_or_default();
        println!("walk {n}, shrunk: {}\n{said}\nwritten to {}", small.note, path.display());
    }

    fn summary(&self) -> usize {
        let total = self.total();
        let seconds = self.started.elapsed();
        println!("{} steps in {:?}, {} of them failures", total.steps, round(seconds), total.failed);
        println!("{} times, plain cargo was run", total.oracle_runs);
        for (name, count) in &total.counts {
            println!("{count:6} {name}");
        }
        println!("{} times, cargo gave two results for the same build", total.undecided);
        println!("{} times, cargo alone differed in the same way in a target directory that stays", total.cargos_own);
        println!("{} differences (seed {})", total.differences, self.seed);
        total.differences
    }
}

/// Walks a script and compares its last step only.
fn differs(options: &Options, builder: &Builder, script: &Script) -> Option<Found> {
    walk(options, builder, script, ComparedSteps::Last).difference.filter(|found| found.step + 1 == script.steps.len())
}

fn round(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_scripts_are_valid_and_have_a_note() {
        for dir in ["found", "undeclared"] {
            let scripts = scripts_in(dir);
            assert!(!scripts.is_empty());
            for path in scripts {
                let script = Script::read(&path).unwrap_or_else(|error| panic!("{error}"));
                assert!(!script.note.is_empty(), "{} has no note", path.display());
            }
        }
    }
}

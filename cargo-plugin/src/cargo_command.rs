//! Runs a cargo command, with the cache if xcache supports it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use xcache::cargo::{Cargo, Invocation, as_build, unpacking};
use xcache::config::Overrides;
use xcache::session::{self, Options};

use crate::alias::is_alias;
use crate::exit_code::exit_with;
use crate::launch;
use crate::real_environment::{RealEnvironment, own_arguments};
use crate::terminal::{self, Terminal};

/// The cargo commands that go through the cache.
pub(crate) const CARGO_COMMANDS: &[&str] = &[
    "build", "b", "check", "c", "run", "r", "test", "t", "bench", "clippy", "doc", "d", "rustc", "install", "package",
    "publish",
];
/// The commands among these that go through the cache only if it is known which build they amount to.
const INSTALLING: [&str; 3] = ["install", "package", "publish"];

/// Runs any cargo command: with the cache if xcache supports it, otherwise plainly. For an unknown command, prints
/// `known_commands`.
pub(crate) fn run(
    toolchain: Option<String>,
    overrides: &Overrides,
    mut arguments: Vec<OsString>,
    known_commands: &str,
) -> ExitCode {
    let real = RealEnvironment::find();
    if !real.is_unchanged() {
        return real.xcache(None, &own_arguments());
    }
    let command = arguments.remove(0);
    let Some(command) = command.to_str().filter(|command| CARGO_COMMANDS.contains(command)) else {
        let message = format!("no such command: `{}`\n\n{known_commands}", command.to_string_lossy());
        return terminal::fail(&message, 2);
    };
    let invocation = Invocation::new(toolchain, command, arguments);
    let program = std::env::var_os("CARGO").map(PathBuf::from);
    let options = terminal::Options { quiet: invocation.has("quiet"), color: launch::color(&invocation) };
    let terminal = Arc::new(Terminal::stderr(options));
    let plain = Cargo::new(program.clone(), invocation.clone());
    if invocation.has("-h") || invocation.has("help") || is_alias(&plain) {
        return run_without_cache(&plain, &terminal);
    }
    let Some((planned, runs)) = planned_as(invocation) else { return run_without_cache(&plain, &terminal) };
    match launch::options(planned, program, overrides, terminal.draws_progress()) {
        Ok(options) => exit_with(launch::session(&Options { runs, ..options }, &terminal, &launch::interrupt())),
        Err(error) => {
            terminal.warn(&format!("{error}; building without the cache"));
            run_without_cache(&plain, &terminal)
        }
    }
}

/// The command to plan, and the command to run if that is another one. None if it is not known what the command
/// compiles.
fn planned_as(invocation: Invocation) -> Option<(Invocation, Option<Invocation>)> {
    if !INSTALLING.contains(&invocation.command.as_str()) || unpacking(&invocation).is_some() {
        return Some((invocation, None));
    }
    let here = std::env::current_dir().ok()?;
    Some((as_build(&invocation, &here)?, Some(invocation)))
}

/// Runs cargo without the cache.
fn run_without_cache(cargo: &Cargo, terminal: &Terminal) -> ExitCode {
    match cargo.build(None, None).status() {
        Ok(status) => exit_with(session::exit_code(status)),
        Err(error) => {
            terminal.warn(&format!("cannot run cargo: {error}"));
            ExitCode::from(101)
        }
    }
}

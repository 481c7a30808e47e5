//! Starts sessions: the options of a command, the session itself, and its summary on the terminal.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xcache::cargo::Invocation;
use xcache::config::{Overrides, Settings};
use xcache::event::{EventKind, EventLog, Observer, Timestamp, session_name};
use xcache::journal::Journal;
use xcache::report::text;
use xcache::session::{self, Environment, Interrupt, Options};

use crate::signals;
use crate::terminal::Terminal;

/// The options of a session that plans this command in the current directory, with these settings.
pub(crate) fn options(
    invocation: Invocation,
    cargo: Option<PathBuf>,
    overrides: &Overrides,
    is_watched: bool,
) -> xcache::Result<Options> {
    let directory = std::env::current_dir().map_err(xcache::Error::io("find", "the current directory"))?;
    let executable = std::env::current_exe().map_err(xcache::Error::io("find", "this executable"))?;
    let manifest = invocation.value("manifest-path").and_then(|path| Path::new(path).parent());
    let settings = load_settings(&manifest.map_or(directory.clone(), |manifest| directory.join(manifest)), overrides)?;
    let environment = Environment(std::env::vars_os().collect());
    Ok(Options { invocation, runs: None, cargo, executable, settings, environment, directory, is_watched, warm: None })
}

/// Loads the settings for a directory, inside or outside of a workspace.
pub(crate) fn load_settings(directory: &Path, overrides: &Overrides) -> xcache::Result<Settings> {
    let workspace = session::workspace_directory(directory);
    Settings::load(workspace.map(|workspace| workspace.as_std_path()), overrides)
}

/// From now on, signals end cargo before this process.
pub(crate) fn interrupt() -> Arc<Interrupt> {
    let interrupt = Arc::new(Interrupt::default());
    signals::forward({
        let interrupt = interrupt.clone();
        move || interrupt.interrupt()
    });
    interrupt
}

/// Runs a session and prints its summary.
pub(crate) fn session(options: &Options, terminal: &Arc<Terminal>, interrupt: &Interrupt) -> i32 {
    let started = xcache::event::now();
    let log = EventLog::new(observer(options, terminal, started));
    log.record(EventKind::SessionStarted {
        command: command_line(options.runs.as_ref().unwrap_or(&options.invocation)),
        version: env!("CARGO_PKG_VERSION").into(),
        started,
        remote: options.settings.remote.as_ref().map(ToString::to_string),
    });
    let outcome = session::run(options, &log, interrupt);
    terminal.print(|out| text::summary(&outcome.report, out));
    outcome.code
}

/// The terminal, behind a journal if the settings name one.
fn observer(options: &Options, terminal: &Arc<Terminal>, started: Timestamp) -> Arc<dyn Observer> {
    match &options.settings.events {
        Some(path) => Arc::new(Journal::new(path, session_name(Some(started)), terminal.clone())),
        None => terminal.clone(),
    }
}

fn command_line(invocation: &Invocation) -> Vec<String> {
    let arguments = invocation.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
    invocation.toolchain.iter().cloned().chain([invocation.command.clone()]).chain(arguments).collect()
}

/// The choice of colours in cargo's `--color`.
pub(crate) fn color(invocation: &Invocation) -> Option<anstream::ColorChoice> {
    match invocation.value("color").and_then(OsStr::to_str) {
        Some("always") => Some(anstream::ColorChoice::Always),
        Some("never") => Some(anstream::ColorChoice::Never),
        _ => None,
    }
}

//! The command line: what the user typed, resolved once into what the library needs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use xcache::cargo::{Cargo, Invocation, as_build, unpacking};
use xcache::config::{Overrides, Settings};
use xcache::event::{EventKind, EventLog, Observer, Timestamp, session_name};
use xcache::journal::Journal;
use xcache::report::text;
use xcache::session::{self, Environment, Interrupt, Options};

use crate::alias::is_alias;
use crate::exec::ExecContext;
use crate::explain;
use crate::real_environment::RealEnvironment;
use crate::report::{self, ReportArguments};
use crate::setting_flags::SettingFlags;
use crate::signals;
use crate::stats::{self, StatsArguments};
use crate::terminal::{self, Terminal};
use crate::warm::{self, RecipeArguments, WARM_HELP, WARM_USAGE, WarmArguments};

/// The cargo commands that go through the cache.
pub(crate) const CARGO_COMMANDS: &[&str] = &[
    "build", "b", "check", "c", "run", "r", "test", "t", "bench", "clippy", "doc", "d", "rustc", "install", "package",
    "publish",
];
/// Those of them that do so where it is known to which build they come.
const BUILDING: [&str; 3] = ["install", "package", "publish"];

const COMMANDS_HELP: &str = "\
Cargo commands, with cargo's own options and arguments:
  build, b   check, c   run, r   test, t   bench   clippy   doc, d   rustc   install   package   publish

Each option is also an environment variable (--remote: XCACHE_REMOTE, --upload-timeout: XCACHE_UPLOAD_TIMEOUT …) and a
key in `.config/xcache.toml` in the workspace and in `config.toml` in the user's configuration directory. Flags override
variables, and variables override files. Credentials come from the storage service's usual variables and files
(AWS_ACCESS_KEY_ID, AWS_PROFILE …).

Examples:
  cargo xcache build --release
  XCACHE_REMOTE=s3://bucket/prefix cargo xcache test --workspace
  cargo xcache exec -- ./ci.sh
  cargo xcache nextest run
  cargo xcache report
  cargo xcache explain
  cargo xcache stats";

const EXEC_HELP: &str = "\
PATH and the variable CARGO lead the command to a `cargo` that uses the cache for the commands that xcache knows and \
runs the real cargo for all others. The exit status is the command's.

A subcommand started as `cargo foo` calls the real cargo, because cargo sets CARGO for it. Start it as `cargo-foo foo` \
to use the cache.

Examples:
  cargo xcache exec -- make test
  cargo xcache --remote s3://bucket/prefix exec -- cargo-hack hack check --each-feature";

#[derive(Parser)]
#[command(name = "cargo", bin_name = "cargo", disable_help_subcommand = true)]
enum Root {
    Xcache(Arguments),
}

/// Run a cargo command and take from the cache what is already compiled
#[derive(clap::Args)]
#[command(version, after_help = COMMANDS_HELP, override_usage = "cargo xcache [+toolchain] [OPTIONS] <COMMAND> [ARGUMENTS]…")]
#[command(disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    settings: SettingFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the outcome of every unit in the last build, and why units were not cached
    Report(ReportArguments),
    /// Explain why the last build compiled units: which inputs differ, and through which dependencies
    Explain(explain::Arguments),
    /// Show totals over all sessions, and the size of the local store
    Stats(StatsArguments),
    /// Upload all units in the local store that the remote does not have
    Push,
    /// Write a recipe: a file that describes the dependencies and changes only when they do
    #[command(visible_alias = "prepare")]
    Recipe(RecipeArguments),
    /// Build only the dependencies of a command, from the checkout or from a recipe
    #[command(override_usage = WARM_USAGE, after_help = WARM_HELP)]
    Warm(WarmArguments),
    /// Run any command, and use the cache for every cargo that it calls
    Exec(ExecArguments),
    /// Run `cargo nextest`, and use the cache for what it builds
    #[command(disable_help_flag = true)]
    Nextest(NextestArguments),
    #[command(external_subcommand)]
    Cargo(Vec<OsString>),
}

#[derive(clap::Args)]
#[command(after_help = EXEC_HELP, override_usage = "cargo xcache [+toolchain] [OPTIONS] exec -- <COMMAND> [ARGUMENTS]…")]
struct ExecArguments {
    /// The command to run, with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(clap::Args)]
struct NextestArguments {
    /// Arguments for nextest
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Parses the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    start_tracing();
    let (toolchain, arguments) = split_toolchain(std::env::args_os().collect());
    let Root::Xcache(Arguments { settings, command }) = Root::parse_from(arguments);
    match command {
        Command::Report(arguments) => report::run(&arguments, &settings.into()),
        Command::Explain(arguments) => explain::run(&arguments, &settings.into()),
        Command::Stats(arguments) => stats::run(&arguments, &settings.into()),
        Command::Push => push(&settings.into()),
        Command::Recipe(arguments) => warm::recipe(toolchain, arguments),
        Command::Warm(arguments) => warm::warm(toolchain, &settings.into(), arguments),
        Command::Exec(ExecArguments { command }) => {
            let (program, arguments) = command.split_first().expect("clap requires one");
            ExecContext { toolchain, overrides: settings.into() }.exec(program, arguments)
        }
        Command::Nextest(NextestArguments { arguments }) => {
            ExecContext { toolchain, overrides: settings.into() }.nextest(&arguments)
        }
        Command::Cargo(arguments) => cargo(toolchain, &settings.into(), arguments),
    }
}

/// `XCACHE_LOG=debug` shows what the libraries say.
fn start_tracing() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("XCACHE_LOG");
    if let Ok(filter) = filter {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}

/// The arguments behind `xcache`, as they were given.
pub(crate) fn own_arguments() -> Vec<OsString> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "xcache") {
        arguments.remove(0);
    }
    arguments
}

/// Takes `+toolchain` from behind `xcache`, where rustup's users put it, and adds `xcache` where the binary was called
/// by its own name.
fn split_toolchain(mut arguments: Vec<OsString>) -> (Option<String>, Vec<OsString>) {
    if arguments.get(1).is_none_or(|first| first != "xcache") {
        arguments.insert(1, "xcache".into());
    }
    let toolchain = arguments.get(2).and_then(|first| first.to_str()).filter(|first| first.starts_with('+'));
    let toolchain = toolchain.map(Into::into);
    if toolchain.is_some() {
        arguments.remove(2);
    }
    (toolchain, arguments)
}

/// Any cargo command: with the cache where it is one of ours, else as it is.
fn cargo(toolchain: Option<String>, overrides: &Overrides, mut arguments: Vec<OsString>) -> ExitCode {
    let real = RealEnvironment::find();
    if !real.is_unchanged() {
        return real.xcache(None, &own_arguments());
    }
    let command = arguments.remove(0);
    let Some(command) = command.to_str().filter(|command| CARGO_COMMANDS.contains(command)) else {
        let message = format!("no such command: `{}`\n\n{COMMANDS_HELP}", command.to_string_lossy());
        return terminal::fail(&message, 2);
    };
    let invocation = Invocation::new(toolchain, command, arguments);
    let program = std::env::var_os("CARGO").map(PathBuf::from);
    let options = terminal::Options { quiet: invocation.has("quiet"), color: color(&invocation) };
    let terminal = Arc::new(Terminal::stderr(options));
    let plain = Cargo::new(program.clone(), invocation.clone());
    if invocation.has("-h") || invocation.has("help") || is_alias(&plain) {
        return run_without_cache(&plain, &terminal);
    }
    let Some((planned, runs)) = planned_as(invocation) else { return run_without_cache(&plain, &terminal) };
    match prepare(planned, program, overrides, terminal.draws_progress()) {
        Ok(options) => with_cache(&Options { runs, ..options }, &terminal),
        Err(error) => {
            terminal.warn(&format!("{error}; building without the cache"));
            run_without_cache(&plain, &terminal)
        }
    }
}

/// What is planned for a command, and what is run then, where that is another one. Nothing where it is not known what the
/// command compiles.
fn planned_as(invocation: Invocation) -> Option<(Invocation, Option<Invocation>)> {
    if !BUILDING.contains(&invocation.command.as_str()) || unpacking(&invocation).is_some() {
        return Some((invocation, None));
    }
    let here = std::env::current_dir().ok()?;
    Some((as_build(&invocation, &here)?, Some(invocation)))
}

pub(crate) fn prepare(
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

pub(crate) fn load_settings(directory: &Path, overrides: &Overrides) -> xcache::Result<Settings> {
    let workspace = session::workspace_directory(directory);
    Settings::load(workspace.map(|workspace| workspace.as_std_path()), overrides)
}

fn with_cache(options: &Options, terminal: &Arc<Terminal>) -> ExitCode {
    exit(session(options, terminal, &interrupt()))
}

/// What ends cargo first, from now on.
pub(crate) fn interrupt() -> Arc<Interrupt> {
    let interrupt = Arc::new(Interrupt::default());
    signals::forward({
        let interrupt = interrupt.clone();
        move || interrupt.interrupt()
    });
    interrupt
}

/// One session, with its summary.
pub(crate) fn session(options: &Options, terminal: &Arc<Terminal>, interrupt: &Interrupt) -> i32 {
    let started = xcache::event::now();
    let log = EventLog::new(observer(options, terminal, started));
    log.record(EventKind::SessionStarted {
        command: command_line(options.runs.as_ref().unwrap_or(&options.invocation)),
        version: env!("CARGO_PKG_VERSION").into(),
        started,
        remote: options.settings.remote.clone(),
    });
    let outcome = session::run(options, &log, interrupt);
    terminal.print(|out| text::summary(&outcome.report, out));
    outcome.code
}

/// The terminal, with a journal before it where one is asked for.
fn observer(options: &Options, terminal: &Arc<Terminal>, started: Timestamp) -> Arc<dyn Observer> {
    match &options.settings.events {
        Some(path) => Arc::new(Journal::new(path, session_name(Some(started)), terminal.clone())),
        None => terminal.clone(),
    }
}

/// Cargo without anything around it.
fn run_without_cache(cargo: &Cargo, terminal: &Terminal) -> ExitCode {
    match cargo.build(None, None).status() {
        Ok(status) => exit(session::exit_code(status)),
        Err(error) => {
            terminal.warn(&format!("cannot run cargo: {error}"));
            ExitCode::from(101)
        }
    }
}

fn command_line(invocation: &Invocation) -> Vec<String> {
    let arguments = invocation.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
    invocation.toolchain.iter().cloned().chain([invocation.command.clone()]).chain(arguments).collect()
}

pub(crate) fn color(invocation: &Invocation) -> Option<anstream::ColorChoice> {
    match invocation.value("color").and_then(OsStr::to_str) {
        Some("always") => Some(anstream::ColorChoice::Always),
        Some("never") => Some(anstream::ColorChoice::Never),
        _ => None,
    }
}

pub(crate) fn exit(code: i32) -> ExitCode {
    // Codes beyond a byte exist on Windows only.
    if let Ok(code) = u8::try_from(code) { ExitCode::from(code) } else { std::process::exit(code) }
}

fn push(overrides: &Overrides) -> ExitCode {
    let terminal = Arc::new(Terminal::stderr(terminal::Options::default()));
    let log = EventLog::new(terminal.clone());
    let interrupt = interrupt();
    let directory = std::env::current_dir().unwrap_or_default();
    let settings = load_settings(&directory, overrides);
    let store = settings.as_ref().map(|settings| settings.dir.clone()).unwrap_or_default();
    let pushed = settings.and_then(|settings| session::push(&settings, &log, &interrupt));
    match pushed {
        Ok(summary) => {
            terminal.print(|out| {
                let size = text::bytes(summary.bytes);
                writeln!(out, "{:>12} {} units ({size}), {} left", "Pushed", summary.sent, summary.left)
            });
            ExitCode::from(u8::from(summary.left > 0))
        }
        Err(error) => {
            drop(terminal);
            let hint = error.hint(&store).map(|hint| format!("\n\n{hint}")).unwrap_or_default();
            terminal::fail(&format!("{error}{hint}"), 1)
        }
    }
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;

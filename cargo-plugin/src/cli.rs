//! The command line: turns the user's input into arguments and settings for the module of each command.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exec::ExecContext;
use crate::report::{self, ReportArguments};
use crate::setting_flags::SettingFlags;
use crate::stats::{self, StatsArguments};
use crate::warm::{self, RecipeArguments, WARM_HELP, WARM_USAGE, WarmArguments};
use crate::{cargo_command, explain, push};

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

/// Run a cargo command, and take compiled units from the cache
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

/// Parses the command line and runs the command.
pub(crate) fn run() -> ExitCode {
    start_tracing();
    let (toolchain, arguments) = split_toolchain(std::env::args_os().collect());
    let Root::Xcache(Arguments { settings, command }) = Root::parse_from(arguments);
    match command {
        Command::Report(arguments) => report::run(&arguments, &settings.into()),
        Command::Explain(arguments) => explain::run(&arguments, &settings.into()),
        Command::Stats(arguments) => stats::run(&arguments, &settings.into()),
        Command::Push => push::run(&settings.into()),
        Command::Recipe(arguments) => warm::recipe(toolchain, arguments),
        Command::Warm(arguments) => warm::warm(toolchain, &settings.into(), arguments),
        Command::Exec(ExecArguments { command }) => {
            let (program, arguments) = command.split_first().expect("clap requires one");
            ExecContext { toolchain, overrides: settings.into() }.exec(program, arguments)
        }
        Command::Nextest(NextestArguments { arguments }) => {
            ExecContext { toolchain, overrides: settings.into() }.nextest(&arguments)
        }
        Command::Cargo(arguments) => cargo_command::run(toolchain, &settings.into(), arguments, COMMANDS_HELP),
    }
}

/// Shows the log of the libraries, for example with `XCACHE_LOG=debug`.
fn start_tracing() {
    let filter = std::env::var("XCACHE_LOG").ok().and_then(|filter| filter.parse::<Targets>().ok());
    if let Some(filter) = filter {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        tracing_subscriber::registry().with(lines).with(filter).init();
    }
}

/// Removes `+toolchain` after `xcache`, where users of rustup put it, and adds `xcache` if the binary was called by its
/// own name.
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

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;

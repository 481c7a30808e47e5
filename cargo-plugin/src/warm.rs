//! `cargo xcache recipe` and `cargo xcache warm`: build dependencies as a layer of an image.
//!
//! With a recipe, `warm` runs in a temporary skeleton of the workspace beside the current directory; without one, in
//! the checkout. Either way, each command is one session.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use clap::ValueEnum;
use xcache::cargo::{Cargo, Invocation};
use xcache::config::Overrides;
use xcache::error::Error;
use xcache::recipe::{DependencyRecipe, Skeleton};
use xcache::session::{Options, Warm};

use crate::exit_code::exit_with;
use crate::launch;
use crate::real_environment::{RealEnvironment, become_program, own_arguments};
use crate::terminal::{self, Terminal};

pub(crate) const WARM_USAGE: &str = "cargo xcache warm [OPTIONS] [ARGUMENTS]…";

pub(crate) const WARM_HELP: &str = "\
Pass the arguments of the command that will run later: profile, packages, features and target decide which units are \
built. The name of a single target makes no difference: `--bin NAME` builds the dependencies of all binaries.

Examples:
  cargo xcache recipe
  cargo xcache warm --recipe recipe.json --release
  cargo xcache warm --for test --for clippy --workspace";

/// The arguments of `recipe`.
#[derive(clap::Args)]
pub(crate) struct RecipeArguments {
    /// Path to the Cargo.toml of the workspace or of one of its packages
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// File to write the recipe to; `-` is standard output
    #[arg(long, short, value_name = "FILE", default_value = "recipe.json")]
    output: PathBuf,
}

/// The arguments of `warm`.
#[derive(clap::Args)]
pub(crate) struct WarmArguments {
    /// Use this recipe instead of the checkout in the current directory
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// The command that will run later; can be repeated [default: build]
    #[arg(long = "for", value_name = "COMMAND")]
    commands: Vec<WarmCommand>,
    /// Download sources and cached units, and do not change units in the target directory
    #[arg(long)]
    fetch_only: bool,
    /// Put cached units into the target directory, and leave the rest to the build
    #[arg(long)]
    no_compile: bool,
    /// Arguments for cargo
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// A command whose dependencies can be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum WarmCommand {
    Build,
    Check,
    Clippy,
    Run,
    Test,
    Bench,
}

impl WarmCommand {
    /// The command that builds the same dependencies and runs nothing.
    fn invocation(self, toolchain: Option<&String>, arguments: &[OsString]) -> Invocation {
        let name = self.to_possible_value().expect("none is hidden").get_name().to_owned();
        let named = Invocation::new(toolchain.cloned(), name, arguments.to_vec());
        let mut arguments: Vec<_> = named.planning_arguments().into_iter().map(Into::into).collect();
        if matches!(self, Self::Test | Self::Bench) && !named.has("no-run") {
            arguments.push("--no-run".into());
        }
        Invocation::new(toolchain.cloned(), named.planning_command(), arguments)
    }
}

impl WarmArguments {
    /// Extracts xcache's own options from those of cargo, where users tend to put them.
    fn with_own_options(mut self) -> Result<Self, String> {
        let typed = std::mem::take(&mut self.arguments);
        let (mut parsed, mut arguments) = (self, typed.iter());
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            let (name, attached) =
                text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.into())));
            let mut value = || attached.clone().or_else(|| arguments.next().cloned());
            let required = |value: Option<OsString>| value.ok_or_else(|| format!("{name} needs a value"));
            match name {
                "--fetch-only" => parsed.fetch_only = true,
                "--no-compile" => parsed.no_compile = true,
                "--recipe" => parsed.recipe = Some(required(value())?.into()),
                "--for" => parsed.commands.push(WarmCommand::from_str(&required(value())?.to_string_lossy(), false)?),
                "--" => break,
                _ => parsed.arguments.push(argument.clone()),
            }
        }
        Ok(parsed)
    }

    fn extent(&self) -> Warm {
        match (self.fetch_only, self.no_compile) {
            (true, _) => Warm::Fetch,
            (false, true) => Warm::Place,
            (false, false) => Warm::Compile,
        }
    }
}

/// Writes a recipe.
pub(crate) fn recipe(toolchain: Option<String>, arguments: RecipeArguments) -> ExitCode {
    let real = RealEnvironment::find();
    if !real.is_unchanged() {
        return real.xcache(None, &own_arguments());
    }
    match write_recipe(toolchain, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => terminal::fail(&error.to_string(), 1),
    }
}

fn write_recipe(toolchain: Option<String>, arguments: &RecipeArguments) -> xcache::Result<()> {
    let RecipeArguments { manifest_path, output } = arguments;
    let manifest = manifest_path.iter().flat_map(|path| ["--manifest-path".into(), path.clone().into_os_string()]);
    let invocation = Invocation::new(toolchain, "build", manifest.collect());
    let recipe = DependencyRecipe::of(&Cargo::new(cargo(), invocation))?;
    let terminal = Terminal::stderr(terminal::Options::default());
    if !recipe.is_locked() {
        terminal.warn("no Cargo.lock: the layer and the build may resolve to different versions");
    }
    if output == Path::new("-") {
        return terminal::output(terminal::Options::default(), |out, _| write!(out, "{}", recipe.to_json()))
            .map_err(Error::io("write to", "standard output"));
    }
    xcache::fs::write_atomic(output, recipe.to_json().as_bytes())
}

/// Builds or fetches dependencies.
pub(crate) fn warm(toolchain: Option<String>, overrides: &Overrides, arguments: WarmArguments) -> ExitCode {
    let real = RealEnvironment::find();
    if !real.is_unchanged() {
        return real.xcache(None, &own_arguments());
    }
    let arguments = match arguments.with_own_options() {
        Ok(arguments) => arguments,
        Err(error) => return terminal::fail(&error, 2),
    };
    let warmed = match &arguments.recipe {
        None => warm_here(toolchain.as_ref(), overrides, &arguments, None),
        Some(path) => match read_recipe(path) {
            Ok(recipe) => match chosen_toolchain(&recipe).filter(|_| toolchain.is_none()) {
                Some(sysroot) => return rerun_with(&sysroot),
                None => warm_recipe(toolchain.as_ref(), overrides, &arguments, &recipe),
            },
            Err(error) => Err(error),
        },
    };
    warmed.map_or_else(|error| terminal::fail(&error.to_string(), 1), exit_with)
}

fn read_recipe(path: &Path) -> xcache::Result<DependencyRecipe> {
    DependencyRecipe::parse(&std::fs::read(path).map_err(Error::io("read", path))?)
}

/// Warms a recipe in a skeleton, which is removed afterwards.
fn warm_recipe(
    toolchain: Option<&String>,
    overrides: &Overrides,
    arguments: &WarmArguments,
    recipe: &DependencyRecipe,
) -> xcache::Result<i32> {
    let home = env::current_dir().map_err(Error::io("find", "the current directory"))?;
    let skeleton = Skeleton::new(recipe, &home)?;
    let warmed = warm_here(toolchain, overrides, arguments, Some(&skeleton));
    // On some systems, the current directory of a process cannot be removed.
    env::set_current_dir(&home).map_err(Error::io("enter", &home))?;
    warmed
}

/// Runs one session for each command, in the current directory or the skeleton, and stops at the first failure.
fn warm_here(
    toolchain: Option<&String>,
    overrides: &Overrides,
    arguments: &WarmArguments,
    skeleton: Option<&Skeleton>,
) -> xcache::Result<i32> {
    let commands = if arguments.commands.is_empty() { &[WarmCommand::Build] } else { &arguments.commands[..] };
    let named: Vec<_> = commands.iter().map(|command| command.invocation(toolchain, &arguments.arguments)).collect();
    let mut all = Vec::new();
    for invocation in named {
        all.push(Options { warm: Some(arguments.extent()), ..launch::options(invocation, cargo(), overrides, false)? });
    }
    if let Some(skeleton) = skeleton {
        env::set_current_dir(skeleton.root()).map_err(Error::io("enter", skeleton.root()))?;
        all.iter_mut().try_for_each(|options| adapt_to(skeleton, options))?;
    }
    let interrupt = launch::interrupt();
    for options in all {
        let terminal_options =
            terminal::Options { quiet: options.invocation.has("quiet"), color: launch::color(&options.invocation) };
        let terminal = Arc::new(Terminal::stderr(terminal_options));
        let is_watched = terminal.draws_progress();
        match launch::session(&Options { is_watched, ..options }, &terminal, &interrupt) {
            0 => {}
            code => return Ok(code),
        }
    }
    Ok(0)
}

/// Adapts the options to the skeleton. Relative paths keep their meaning.
fn adapt_to(skeleton: &Skeleton, options: &mut Options) -> xcache::Result<()> {
    options.invocation = skeleton.invocation(options.cargo.as_deref(), &options.invocation)?;
    options.settings.dir = options.directory.join(&options.settings.dir);
    options.directory = skeleton.root().to_owned();
    Ok(())
}

/// The cargo that started xcache.
fn cargo() -> Option<PathBuf> {
    env::var_os("CARGO").filter(|cargo| !cargo.is_empty()).map(PathBuf::from)
}

/// The sysroot of the toolchain that rustup would choose by the recipe's `rust-toolchain.toml`, if it differs from the
/// current one. Rustup's proxy installs it if it is missing, as it would for the build.
fn chosen_toolchain(recipe: &DependencyRecipe) -> Option<PathBuf> {
    const CHOICE: &str = "RUSTUP_TOOLCHAIN";
    let (file, current) = (recipe.toolchain_file()?, env::var_os(CHOICE)?);
    let directory = tempfile::tempdir().ok()?;
    std::fs::write(directory.path().join("rust-toolchain.toml"), file).ok()?;
    let mut query = Command::new("rustc");
    query.args(["--print", "sysroot"]).current_dir(directory.path()).env_remove(CHOICE);
    let output = xcache::process::output(&mut query).ok()?;
    Some(PathBuf::from(output.trim())).filter(|sysroot| sysroot.file_name() != Some(&current))
}

/// Becomes the same command with another toolchain.
fn rerun_with(sysroot: &Path) -> ExitCode {
    let executable = match env::current_exe() {
        Ok(executable) => executable,
        Err(error) => return terminal::fail(&format!("cannot find this executable: {error}"), 1),
    };
    let mut command = Command::new(executable);
    command.arg("xcache").args(own_arguments());
    command.env("RUSTUP_TOOLCHAIN", sysroot.file_name().unwrap_or_default()).env("CARGO", sysroot.join("bin/cargo"));
    become_program(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(typed: &[&str]) -> WarmArguments {
        let arguments = typed.iter().map(Into::into).collect();
        WarmArguments { recipe: None, commands: Vec::new(), fetch_only: false, no_compile: false, arguments }
    }

    #[test]
    fn own_options_may_be_among_those_of_cargo() {
        let typed = ["--release", "--recipe", "r.json", "-p", "x", "--for=test", "--no-compile", "--", "--recipe", "y"];
        let parsed = arguments(&typed).with_own_options().unwrap();
        assert_eq!(parsed.arguments, ["--release", "-p", "x"]);
        assert_eq!((parsed.recipe.as_deref(), parsed.extent()), (Some(Path::new("r.json")), Warm::Place));
        assert_eq!(parsed.commands, [WarmCommand::Test]);
        assert!(arguments(&["--for", "doc"]).with_own_options().is_err());
        assert!(arguments(&["--recipe"]).with_own_options().is_err());
    }

    #[test]
    fn a_command_that_runs_programs_only_builds_them() {
        let command_line = |command: WarmCommand, typed: &[&str]| {
            let typed: Vec<_> = typed.iter().map(Into::into).collect();
            let Invocation { command, arguments, .. } = command.invocation(None, &typed);
            let arguments = arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
            [command].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(command_line(WarmCommand::Test, &["--release"]), "test --release --no-run");
        assert_eq!(command_line(WarmCommand::Run, &["--release", "file", "--flag"]), "build --release");
        assert_eq!(command_line(WarmCommand::Clippy, &["--fix", "--all-targets"]), "check --all-targets");
    }
}

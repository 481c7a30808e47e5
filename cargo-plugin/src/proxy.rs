//! The `cargo` that commands under `cargo xcache exec` call.
//!
//! It is this binary under another name. A command line that xcache supports becomes `cargo xcache` with the same
//! arguments. Any other becomes the real cargo with unchanged arguments.
//!
//! **Invariants.** This module prints nothing, unless no cargo exists. A command line that it does not understand goes
//! to the real cargo. Build scripts and tests get the real cargo and the [real environment](crate::real_environment),
//! whichever process started them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cargo_command::CARGO_COMMANDS;
use crate::real_environment::{CARGO, RealEnvironment, become_program};
use crate::terminal;

/// Runs as cargo if that is the name this process was started by.
pub(crate) fn run_if_cargo() -> Option<ExitCode> {
    let mut arguments = env::args_os();
    let program = arguments.next()?;
    let is_cargo = Path::new(&program).file_stem() == Some(OsStr::new(CARGO));
    is_cargo.then(|| run(&arguments.collect::<Vec<_>>()))
}

fn run(arguments: &[OsString]) -> ExitCode {
    let real = RealEnvironment::find();
    let is_within = is_within_a_build();
    if let Some(cached) = CachedCommand::parse(arguments).filter(|_| !is_within) {
        return real.xcache(cached.directory.as_deref(), &cached.arguments);
    }
    let has_toolchain = arguments.first().is_some_and(is_toolchain);
    let Some(cargo) = real.real_cargo(has_toolchain) else {
        return terminal::fail("no cargo in PATH", 127);
    };
    let mut command = Command::new(cargo);
    command.args(arguments);
    if is_within {
        real.restore(&mut command);
    }
    become_program(command)
}

/// Whether a build script or a test called this process. Those of a session cannot, but the real cargo runs builds as
/// well, and nextest runs tests itself.
fn is_within_a_build() -> bool {
    let is_set = |name: &str| env::var_os(name).is_some();
    // Only cargo sets both, for build scripts; `NUM_JOBS` alone is common.
    (is_set("OUT_DIR") && is_set("NUM_JOBS")) || is_set("NEXTEST_RUN_ID")
}

fn is_toolchain(argument: &OsString) -> bool {
    argument.as_encoded_bytes().starts_with(b"+")
}

/// A command line for `cargo xcache`.
#[derive(PartialEq, Eq, Debug)]
struct CachedCommand {
    /// `-C`.
    directory: Option<PathBuf>,
    /// `[+toolchain] command arguments…`. Options from before the command follow it directly.
    arguments: Vec<OsString>,
}

impl CachedCommand {
    /// Parses a command line for xcache. None if the real cargo has to get it unchanged.
    fn parse(arguments: &[OsString]) -> Option<Self> {
        let (toolchain, rest) = match arguments.split_first() {
            Some((first, rest)) if is_toolchain(first) => (Some(first.clone()), rest),
            _ => (None, arguments),
        };
        let (leading, rest) = LeadingOptions::parse(rest)?;
        let (command, own) = rest.split_first()?;
        let is_ours = command.to_str().is_some_and(|command| CARGO_COMMANDS.contains(&command));
        (is_ours && leading.can_follow(command, own)).then(|| Self {
            directory: leading.directory,
            arguments: [toolchain, Some(command.clone())]
                .into_iter()
                .flatten()
                .chain(leading.options)
                .chain(own.iter().cloned())
                .collect(),
        })
    }
}

/// The options before the command.
#[derive(Default)]
struct LeadingOptions {
    directory: Option<PathBuf>,
    options: Vec<OsString>,
}

impl LeadingOptions {
    /// Parses options up to the command. None if an option is unknown: it may be a command by itself (`--list`).
    fn parse(arguments: &[OsString]) -> Option<(Self, &[OsString])> {
        let mut leading = Self::default();
        let mut rest = arguments;
        while let Some((argument, after)) = rest.split_first() {
            let text = argument.to_str()?;
            let taken = match text {
                "-C" => {
                    leading.directory = Some(after.first()?.into());
                    2
                }
                "--config" | "--color" | "-Z" => 2,
                _ if text.starts_with("-C") => {
                    leading.directory = Some(text[2..].into());
                    1
                }
                _ if is_flag(text) || ["--config=", "--color=", "-Z"].iter().any(|option| text.starts_with(option)) => {
                    1
                }
                _ if text.starts_with('-') => return None,
                _ => return Some((leading, rest)),
            };
            let (options, after) = rest.split_at_checked(taken)?;
            if !text.starts_with("-C") {
                leading.options.extend_from_slice(options);
            }
            rest = after;
        }
        None
    }

    /// Whether the options mean the same after the command.
    fn can_follow(&self, command: &OsStr, own: &[OsString]) -> bool {
        let own: Vec<_> = own.iter().map(OsString::as_os_str).take_while(|argument| *argument != "--").collect();
        let is_repeated = |option: &OsString| own.iter().any(|other| name(other) == name(option));
        // Clippy is a separate program and does not receive options before its name.
        let is_seen = command != "clippy" || (self.options.is_empty() && self.directory.is_none());
        is_seen
            && self.directory_is_allowed(&own)
            && !self.options.iter().filter(|option| is_single(option)).any(is_repeated)
    }

    /// Whether cargo would accept `-C`, which is unstable.
    fn directory_is_allowed(&self, own: &[&OsStr]) -> bool {
        let all: Vec<_> = self.options.iter().map(OsString::as_os_str).chain(own.iter().copied()).collect();
        self.directory.is_none()
            || all.contains(&OsStr::new("-Zunstable-options"))
            || all.windows(2).any(|pair| pair == ["-Z", "unstable-options"])
    }
}

/// Whether an option without a value may precede the command.
fn is_flag(text: &str) -> bool {
    const FLAGS: &[&str] = &["--quiet", "--verbose", "--locked", "--offline", "--frozen"];
    let is_bundle = |flags: &str| !flags.is_empty() && flags.bytes().all(|flag| b"qv".contains(&flag));
    FLAGS.contains(&text) || text.strip_prefix('-').is_some_and(is_bundle)
}

/// Whether an option may be given once before and once after the command, but not twice on one side.
fn is_single(option: &OsString) -> bool {
    ["--color", "--quiet", "-q", "--locked", "--offline", "--frozen"].iter().any(|single| name(option) == *single)
}

/// The name of an option, without its value.
fn name(option: &OsStr) -> &str {
    let text = option.to_str().unwrap_or_default();
    text.split_once('=').map_or(text, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<String> {
        let arguments: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        let CachedCommand { directory, arguments } = CachedCommand::parse(&arguments)?;
        let directory = directory.map(|directory| format!("in {}: ", directory.display())).unwrap_or_default();
        Some(format!("{directory}{}", arguments.join(OsStr::new(" ")).to_str()?))
    }

    #[test]
    fn supported_commands_keep_their_arguments() {
        for line in ["build", "b --release", "+nightly test -- --quiet", "run -q -- +x -C y", "clippy -- -D warnings"] {
            assert_eq!(parse(line).as_deref(), Some(line));
        }
    }

    #[test]
    fn options_before_the_command_are_moved_after_it() {
        for (line, expected) in [
            ("--color=auto test --no-run", "test --color=auto --no-run"),
            ("+nightly -Zx -vq --locked check -v", "+nightly check -Zx -vq --locked -v"),
            ("--config a=1 -Z x run prog --config b", "run --config a=1 -Z x prog --config b"),
            ("-Zunstable-options -C dir -v build", "in dir: build -Zunstable-options -v"),
            ("-Cdir build -Z unstable-options", "in dir: build -Z unstable-options"),
        ] {
            assert_eq!(parse(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn everything_else_goes_to_the_real_cargo() {
        for line in [
            "",
            "--version",
            "-V",
            "-vV",
            "--list",
            "tree",
            "metadata",
            "+nightly",
            "nextest run",
            "xb",
            "xcache build",
            "-q",
            "--config",
            "--config build",
            "-C dir build",
            "-v clippy",
            "-q build -q",
            "--color never b --color=always",
            "--explain E0001",
            "help build",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}

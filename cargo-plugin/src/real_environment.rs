//! The environment as it was before `cargo xcache exec`.
//!
//! `exec` changes two variables for its command: `PATH` begins with the directory of xcache's `cargo`, and `CARGO`
//! names that program. A third variable holds the old value of `CARGO`. [`RealEnvironment`] undoes these changes.
//!
//! **Invariant.** Every session runs in the real environment. So the processes that cargo starts (build scripts, tests,
//! programs) see the same environment as without `exec`, and call the real cargo: sessions never nest.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use xcache::fs::is_executable;
use xcache::link::Link;

use crate::terminal;

/// The name under which this binary acts as cargo.
pub(crate) const CARGO: &str = "cargo";

/// The variable that holds the value of `CARGO` before `exec`, if it was set.
const SAVED_CARGO: &str = "XCACHE_REAL_CARGO";

/// The old values of the two variables.
#[derive(Debug)]
pub(crate) struct RealEnvironment {
    directories: Vec<PathBuf>,
    cargo: Option<PathBuf>,
    /// Whether nothing was changed.
    is_unchanged: bool,
}

impl RealEnvironment {
    /// Reads the environment of this process.
    pub(crate) fn find() -> Self {
        let directories: Vec<_> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
        let (ours, directories): (Vec<_>, Vec<_>) =
            directories.into_iter().partition(|directory| is_ours(&in_directory(directory, CARGO)));
        let set = |name| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let [cargo, saved] = ["CARGO", SAVED_CARGO].map(set);
        let changed = cargo.as_ref().is_some_and(|cargo| is_ours(cargo));
        let cargo = if changed { saved.filter(|saved| !is_ours(saved)) } else { cargo };
        Self { directories, cargo: cargo.filter(|cargo| is_chosen(cargo)), is_unchanged: ours.is_empty() && !changed }
    }

    /// Whether this process runs in the real environment.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.is_unchanged
    }

    /// The real cargo. Only rustup's cargo, which is found in `PATH`, understands `+toolchain`.
    pub(crate) fn real_cargo(&self, has_toolchain: bool) -> Option<PathBuf> {
        self.cargo.clone().filter(|_| !has_toolchain).or_else(|| self.find_program(CARGO))
    }

    /// The first program of this name in `PATH`.
    pub(crate) fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.directories.iter().map(|directory| in_directory(directory, name)).find(|path| is_executable(path))
    }

    /// Makes the command run in the real environment.
    pub(crate) fn restore(&self, command: &mut Command) {
        if self.is_unchanged {
            return;
        }
        command.env("PATH", join(&self.directories)).env_remove(SAVED_CARGO).env_remove("CARGO");
        command.envs(self.cargo.as_ref().map(|cargo| ("CARGO", cargo)));
    }

    /// Makes the command, and every process that it starts, call xcache's `cargo`.
    pub(crate) fn intercept(&self, command: &mut Command, link: &Link) {
        let directories = [link.directory().to_owned()].into_iter().chain(self.directories.iter().cloned());
        command.env("PATH", join(&directories.collect::<Vec<_>>())).env("CARGO", link.program());
        command.env_remove(SAVED_CARGO).envs(self.cargo.as_ref().map(|cargo| (SAVED_CARGO, cargo)));
    }

    /// Becomes `cargo xcache <arguments>`, in the real environment.
    pub(crate) fn xcache(&self, directory: Option<&Path>, arguments: &[OsString]) -> ExitCode {
        let executable = match env::current_exe() {
            Ok(executable) => resolved(&executable).unwrap_or(executable),
            Err(error) => return terminal::fail(&format!("cannot find this executable: {error}"), 1),
        };
        let mut command = Command::new(executable);
        command.arg("xcache").args(arguments).current_dir(directory.unwrap_or(Path::new(".")));
        self.restore(&mut command);
        become_program(command)
    }
}

/// The arguments after `xcache`, as they were given.
pub(crate) fn own_arguments() -> Vec<OsString> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "xcache") {
        arguments.remove(0);
    }
    arguments
}

/// Replaces this process with another program if the system supports that, so that signals and the exit status are the
/// program's.
#[cfg(unix)]
pub(crate) fn become_program(mut command: Command) -> ExitCode {
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    cannot_run(command.get_program(), &error)
}

/// Replaces this process with another program if the system supports that, so that signals and the exit status are the
/// program's.
#[cfg(not(unix))]
pub(crate) fn become_program(mut command: Command) -> ExitCode {
    match command.status() {
        Ok(status) => crate::exit_code::exit_with(xcache::session::exit_code(status)),
        Err(error) => cannot_run(command.get_program(), &error),
    }
}

/// Fails with the exit codes of a shell or of `env`.
pub(crate) fn cannot_run(program: &OsStr, error: &std::io::Error) -> ExitCode {
    let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    terminal::fail(&format!("cannot run `{}`: {error}", program.to_string_lossy()), code)
}

/// The directory of cargo's configuration and installed programs.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let set = env::var_os("CARGO_HOME").filter(|home| !home.is_empty());
    set.map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}

/// Whether a program is this one, under any name.
fn is_ours(program: &Path) -> bool {
    resolved(program).is_some_and(|program| env::current_exe().is_ok_and(|own| resolved(&own) == Some(program)))
}

fn resolved(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

/// Whether `CARGO` is the user's choice. The cargo of a toolchain stands for rustup's choice, which changes with its
/// variable.
fn is_chosen(cargo: &Path) -> bool {
    let Some(toolchain) = cargo.ancestors().nth(2) else { return true };
    let is_rustups = toolchain.parent().and_then(Path::file_name) == Some(OsStr::new("toolchains"));
    !is_rustups || toolchain.file_name() == env::var_os("RUSTUP_TOOLCHAIN").as_deref()
}

fn in_directory(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

fn join(directories: &[PathBuf]) -> OsString {
    env::join_paths(directories).expect("they were split from PATH, or created by xcache")
}

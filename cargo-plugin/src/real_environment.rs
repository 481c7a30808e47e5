//! The environment from before `cargo xcache exec`.
//!
//! `exec` changes two variables for its command: `PATH` begins with the directory of our `cargo`, and `CARGO` names it.
//! What `CARGO` was is kept in a third one. [`RealEnvironment`] undoes that.
//!
//! **Invariant.** Every session runs in the real environment. So what cargo starts in it (build scripts, tests, programs) sees the
//! environment it would see without `exec`, and the cargo it calls is the real one: there is no session in a session.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use xcache::fs::is_executable;
use xcache::link::Link;

use crate::terminal;

/// The name under which this binary is a cargo.
pub(crate) const CARGO: &str = "cargo";

/// What `CARGO` was when `exec` was started, if it was set.
const SAVED_CARGO: &str = "XCACHE_REAL_CARGO";

/// The two variables as they were.
#[derive(Debug)]
pub(crate) struct RealEnvironment {
    directories: Vec<PathBuf>,
    cargo: Option<PathBuf>,
    /// Nothing was changed.
    is_unchanged: bool,
}

impl RealEnvironment {
    /// Looks at this process's environment.
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

    /// The real cargo. Only rustup's, which is found in `PATH`, knows what a `+toolchain` is.
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

    /// Has the command, and all that it starts, call our `cargo`.
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

/// The arguments behind `xcache`, as they were given.
pub(crate) fn own_arguments() -> Vec<OsString> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "xcache") {
        arguments.remove(0);
    }
    arguments
}

/// Becomes another program where the system can do that, so that its signals and its end are its own.
#[cfg(unix)]
pub(crate) fn become_program(mut command: Command) -> ExitCode {
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    cannot_run(command.get_program(), &error)
}

/// Becomes another program where the system can do that, so that its signals and its end are its own.
#[cfg(not(unix))]
pub(crate) fn become_program(mut command: Command) -> ExitCode {
    match command.status() {
        Ok(status) => crate::exit_code::exit_with(xcache::session::exit_code(status)),
        Err(error) => cannot_run(command.get_program(), &error),
    }
}

/// The exit codes are those of a shell, or of `env`.
pub(crate) fn cannot_run(program: &OsStr, error: &std::io::Error) -> ExitCode {
    let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    terminal::fail(&format!("cannot run `{}`: {error}", program.to_string_lossy()), code)
}

/// Where cargo keeps its configuration and installs programs, unless it was told otherwise.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let set = env::var_os("CARGO_HOME").filter(|home| !home.is_empty());
    set.map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}

/// Whether a program is this one, under whatever name.
fn is_ours(program: &Path) -> bool {
    resolved(program).is_some_and(|program| env::current_exe().is_ok_and(|own| resolved(&own) == Some(program)))
}

fn resolved(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

/// A toolchain's own cargo stands for rustup's choice, which is another one as soon as its variable is.
fn is_chosen(cargo: &Path) -> bool {
    let Some(toolchain) = cargo.ancestors().nth(2) else { return true };
    let is_rustups = toolchain.parent().and_then(Path::file_name) == Some(OsStr::new("toolchains"));
    !is_rustups || toolchain.file_name() == env::var_os("RUSTUP_TOOLCHAIN").as_deref()
}

fn in_directory(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

fn join(directories: &[PathBuf]) -> OsString {
    env::join_paths(directories).expect("they were separated, or made by us")
}

//! `cargo xcache exec` and `cargo xcache nextest`: run any command, with the cache for every cargo that it calls.
//!
//! The command finds xcache's [`cargo`](crate::proxy) first in `PATH` and in `CARGO`. It gets the terminal, and its
//! exit status becomes that of xcache. Flags before it become variables, so that they apply to every session.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;

use xcache::config::Overrides;
use xcache::error::Error;
use xcache::link::Link;
use xcache::process::Running;
use xcache::session;

use crate::exit_code::exit_with;
use crate::real_environment::{CARGO, RealEnvironment, cannot_run, cargo_home};
use crate::signals;
use crate::terminal::{self, Terminal};

/// The context of the command.
pub(crate) struct ExecContext {
    /// `+toolchain`.
    pub toolchain: Option<String>,
    /// xcache's own flags.
    pub overrides: Overrides,
}

impl ExecContext {
    /// Runs `program` with these arguments.
    pub(crate) fn exec(self, program: &OsStr, arguments: &[OsString]) -> ExitCode {
        let mut command = Command::new(program);
        command.args(arguments);
        self.prepare(&mut command);
        let link = env::current_exe()
            .map_err(Error::io("find", "this executable"))
            .and_then(|executable| Link::new(&executable, CARGO));
        match &link {
            Ok(link) => RealEnvironment::find().intercept(&mut command, link),
            Err(error) => {
                Terminal::stderr(terminal::Options::default()).warn(&format!("{error}; running without the cache"));
            }
        }
        match run(&mut command) {
            Ok(status) => {
                drop(link);
                exit_with(session::exit_code(status))
            }
            Err(error) => cannot_run(program, &error),
        }
    }

    /// Runs `cargo nextest` with these arguments. It is started directly, because cargo would pass its own path to it.
    pub(crate) fn nextest(self, arguments: &[OsString]) -> ExitCode {
        const NAME: &str = "cargo-nextest";
        let in_home = || Some(cargo_home()?.join("bin").join(format!("{NAME}{}", env::consts::EXE_SUFFIX)));
        let Some(program) =
            RealEnvironment::find().find_program(NAME).or_else(|| in_home().filter(|path| path.is_file()))
        else {
            let message = "cargo-nextest is not installed\n\ninstall it with `cargo install cargo-nextest --locked`";
            return terminal::fail(message, 1);
        };
        let arguments: Vec<_> = [OsString::from("nextest")].into_iter().chain(arguments.iter().cloned()).collect();
        self.exec(program.as_os_str(), &arguments)
    }

    /// Sets the variables that apply to every session. Relative paths become absolute, from the current directory.
    fn prepare(self, command: &mut Command) {
        let Self { toolchain, overrides } = self;
        let paths = [("XCACHE_DIR", overrides.dir.clone()), ("XCACHE_EVENTS", overrides.events.clone())];
        command.envs(Overrides { dir: None, events: None, ..overrides }.variables());
        for (name, path) in paths {
            let in_variable = || env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
            let path = path.or_else(in_variable).and_then(|path| std::path::absolute(path).ok());
            command.envs(path.map(|path| (name, path)));
        }
        command.envs(toolchain.map(|toolchain| ("RUSTUP_TOOLCHAIN", toolchain.trim_start_matches('+').to_owned())));
    }
}

/// Runs the command to its end, and forwards signals to it.
fn run(command: &mut Command) -> io::Result<ExitStatus> {
    let running = Arc::new(Running::default());
    signals::forward({
        let running = running.clone();
        move || running.id()
    });
    running.run(command)
}

//! The process that cargo starts instead of rustc.
//!
//! It finds the session by its own path: the session's directory contains a link [`NAME`] to this binary, and the
//! socket. So no variable leaks into build scripts, tests or the program that `cargo run` starts.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use camino::Utf8Path;
use interprocess::local_socket::Stream;
use interprocess::local_socket::traits::Stream as _;

use super::protocol::{
    Capture, Finished, Released, Request, Response, Role, SCRIPT, ScriptObserved, receive, send, socket,
};
use super::{linker_time, stand_in};
use crate::observe::{self, Observation};
use crate::process;
use crate::rustc::diagnostics::Unmapping;

/// The name under which this binary is a rustc wrapper.
pub const NAME: &str = "xcache-rustc";
/// The variable in which cargo passes the wrapper's path to a build script.
const WRAPPER_VARIABLE: &str = "RUSTC_WRAPPER";

/// Runs as the wrapper if this process has that name. Never returns an error: the exit code is rustc's.
pub fn run_if_wrapper() -> Option<ExitCode> {
    let mut arguments = env::args_os();
    let own = arguments.next()?;
    let own = Path::new(&own);
    if own.file_stem() != Some(OsStr::new(NAME)) {
        return None;
    }
    let program = arguments.next()?;
    let arguments: Vec<_> = arguments.collect();
    let directory = own.parent()?;
    let code = match arguments.as_slice() {
        [script, arguments @ ..] if program == SCRIPT => run_script(directory, Path::new(script), arguments),
        [] if program == observe::RESUME_REMAINING => return Some(observe::resume_remaining()),
        arguments => ask(directory, &program, arguments).unwrap_or_else(|_| pass_through(&program, arguments)),
    };
    Some(ExitCode::from(code))
}

/// Prints the output of a build script if the session knows it. Otherwise runs the script as cargo would have without
/// us: in place of this process, or below it if it is observed. `arguments` begin with the script's `argv[0]`.
fn run_script(directory: &Path, script: &Path, arguments: &[OsString]) -> u8 {
    let Ok((mut stream, response)) = ask_for_script(directory, script) else {
        // The session has ended: another build started this process.
        return become_program(&mut command_of(&stand_in::displaced_program(script), arguments));
    };
    match response {
        Response::Print { stdout, stderr, .. } => {
            // Only cargo reads this, and if it does not, it has given up.
            let _ = io::stdout().write_all(stdout.as_bytes());
            let _ = io::stderr().write_all(stderr.as_bytes());
            0
        }
        Response::Start { wrapper, is_observed } => {
            let is_program_back = !Utf8Path::from_path(script).is_some_and(stand_in::is_stand_in);
            let program = if is_program_back { script.to_owned() } else { stand_in::displaced_program(script) };
            let command = || {
                let mut command = command_of(&program, arguments);
                match &wrapper {
                    Some(wrapper) => command.env(WRAPPER_VARIABLE, wrapper),
                    None => command.env_remove(WRAPPER_VARIABLE),
                };
                command
            };
            match is_observed {
                true => {
                    run_observed(directory, &command, &mut stream).unwrap_or_else(|_| become_program(&mut command()))
                }
                false => become_program(&mut command()),
            }
        }
        Response::Run { .. } => become_program(&mut command_of(&stand_in::displaced_program(script), arguments)),
    }
}

fn ask_for_script(directory: &Path, script: &Path) -> io::Result<(BufReader<Stream>, Response)> {
    let mut stream = BufReader::new(Stream::connect(socket(directory)?)?);
    send(stream.get_mut(), &request(Role::Script, script.as_os_str(), &[]).ok_or(io::ErrorKind::InvalidData)?)?;
    let response = receive(&mut stream)?;
    Ok((stream, response))
}

/// Runs a script, reports its observation, and ends like it. An error means that the script was not started.
fn run_observed(directory: &Path, command: &dyn Fn() -> Command, stream: &mut BufReader<Stream>) -> io::Result<u8> {
    let (mut child, observation) = observe::spawn_with(directory, &mut command())?;
    let status = wait(&mut child)?;
    let observation = observation.finish();
    let is_hindered = observation.as_ref().is_ok_and(|seen| seen.is_hindered()) && !status.success();
    // A session that has ended does not need the report.
    if send(stream.get_mut(), &ScriptObserved(observation)).is_ok() {
        let _ = receive::<Released>(stream);
    }
    if is_hindered {
        return Ok(become_program(&mut command()));
    }
    Ok(end_like(status))
}

/// A command for a program; the first argument is its `argv[0]`.
fn command_of(program: &Path, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program);
    if let Some((name, arguments)) = arguments.split_first() {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, name);
        #[cfg(not(unix))]
        let _ = name;
        command.args(arguments);
    }
    command
}

/// Replaces this process. Returns only on failure.
#[cfg(unix)]
fn become_program(command: &mut Command) -> u8 {
    let error = std::os::unix::process::CommandExt::exec(command);
    let program = Path::new(command.get_program()).display().to_string();
    let _ = writeln!(io::stderr(), "error: could not execute process `{program}`: {error}");
    101
}

/// Never called, as there are no stand-ins.
#[cfg(not(unix))]
fn become_program(_: &mut Command) -> u8 {
    101
}

/// The exit code of a program. If a signal killed it, this process ends by that signal, which cargo reports.
fn end_like(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        use rustix::process::{Signal, getpid, kill_process};
        // If the signal does not end this process, cargo gets an exit code, as from a shell.
        let _ = Signal::from_named_raw(signal).map(|signal| kill_process(getpid(), signal));
    }
    exit_code(status)
}

/// The whole exchange. An error means that nothing was run.
fn ask(directory: &Path, program: &OsStr, arguments: &[OsString]) -> io::Result<u8> {
    let mut stream = BufReader::new(Stream::connect(socket(directory)?)?);
    send(stream.get_mut(), &request(Role::Compiler, program, arguments).ok_or(io::ErrorKind::InvalidData)?)?;
    match receive(&mut stream)? {
        Response::Print { stdout, stderr, code } => {
            // Only cargo reads this, and closes its end only when it has given up on the call.
            let _ = io::stdout().write_all(stdout.as_bytes());
            let _ = io::stderr().write_all(stderr.as_bytes());
            Ok(code.try_into().unwrap_or(1))
        }
        Response::Start { .. } => Err(io::ErrorKind::InvalidData.into()),
        Response::Run { wrapper, arguments: extra, unmapping, capture, is_observed } => {
            let mut command = match wrapper {
                Some(wrapper) => {
                    let mut command = Command::new(wrapper);
                    command.arg(program);
                    command
                }
                None => Command::new(program),
            };
            let is_rustc = command.get_program() == program;
            let command = command.args(extra).args(arguments);
            let (status, mut finished) = run(command, capture, &unmapping, is_observed.then_some(directory))?;
            // The child of another wrapper is rustc itself, not the linker.
            finished.linker_millis = finished.linker_millis.filter(|_| is_rustc);
            // A session that has ended needs no report, and opens nothing.
            if send(stream.get_mut(), &finished).is_ok() && capture == Capture::Stderr {
                let _ = receive::<Released>(&mut stream);
            }
            Ok(exit_code(status))
        }
    }
}

/// The request; `None` if a part of it is not UTF-8.
fn request(role: Role, program: &OsStr, arguments: &[OsString]) -> Option<Request> {
    Some(Request {
        role,
        program: program.to_str()?.to_owned(),
        arguments: arguments.iter().map(|argument| argument.to_str().map(Into::into)).collect::<Option<_>>()?,
        directory: env::current_dir().ok()?.into_os_string().into_string().ok()?,
        environment: env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    })
}

/// Runs the compiler and forwards its output line by line: cargo starts dependents on the notices in it. The compiler
/// is observed if `observed_from`, the session's directory, is given.
fn run(
    command: &mut Command,
    capture: Capture,
    unmapping: &Unmapping,
    observed_from: Option<&Path>,
) -> io::Result<(ExitStatus, Finished)> {
    let start = Instant::now();
    let pipe = |wanted: bool| if wanted { Stdio::piped() } else { Stdio::inherit() };
    let command = command
        .stdout(pipe(capture == Capture::Everything))
        .stderr(pipe(capture != Capture::Status || !unmapping.is_empty()));
    let (mut child, observation) = match observed_from {
        Some(directory) => {
            observe::spawn_with(directory, command).map(|(child, observation)| (child, Some(observation)))?
        }
        None => (process::start(command)?, None),
    };
    let stdout =
        child.stdout.take().map(|stdout| thread::spawn(move || forward(stdout, io::stdout(), &Unmapping::default())));
    let stderr = child.stderr.take().map(|stderr| forward(stderr, io::stderr(), unmapping)).unwrap_or_default();
    let stdout = stdout.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let linker_millis = linker_time::child_cpu_millis(&child);
    let status = wait(&mut child)?;
    let millis = start.elapsed().as_millis() as u64;
    let observation = observation.map(Observation::finish);
    Ok((status, Finished { code: status.code(), millis, linker_millis, stdout, stderr, observation }))
}

/// Waits for a child, despite interruptions: after an error, the caller would start it again.
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    loop {
        match child.wait() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Forwards the input with unmapped paths, and returns it unchanged.
fn forward(input: impl Read, mut output: impl Write, unmapping: &Unmapping) -> String {
    let mut text = String::new();
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let printed = String::from_utf8_lossy(&line);
        // Only cargo reads this, see `ask`.
        let _ = output.write_all(unmapping.line(&printed).as_bytes());
        text.push_str(&printed);
        line.clear();
    }
    text
}

/// Runs the command as cargo gave it.
fn pass_through(program: &OsStr, arguments: &[OsString]) -> u8 {
    let started = process::start(Command::new(program).args(arguments));
    match started.and_then(|mut child| child.wait()) {
        Ok(status) => exit_code(status),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: could not execute process `{}`: {error}", program.to_string_lossy());
            101
        }
    }
}

/// The exit code of a compiler, for a signal that of a shell.
fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return (128 + signal).try_into().unwrap_or(101);
    }
    status.code().and_then(|code| code.try_into().ok()).unwrap_or(101)
}

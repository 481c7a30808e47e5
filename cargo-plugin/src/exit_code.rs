//! The exit code of this process.

use std::process::ExitCode;

/// Ends with the exit code of a program that ran in place of this one.
pub(crate) fn exit_with(code: i32) -> ExitCode {
    // Codes larger than a byte exist only on Windows.
    if let Ok(code) = u8::try_from(code) { ExitCode::from(code) } else { std::process::exit(code) }
}

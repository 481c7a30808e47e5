//! The exit code of this process.

use std::process::ExitCode;

/// Ends with the code of a program that ran in our place.
pub(crate) fn exit_with(code: i32) -> ExitCode {
    // Codes beyond a byte exist on Windows only.
    if let Ok(code) = u8::try_from(code) { ExitCode::from(code) } else { std::process::exit(code) }
}

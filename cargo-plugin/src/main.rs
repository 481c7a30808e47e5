//! `cargo xcache`: the command line of the library `xcache`.
//!
//! The exit status is cargo's for every command that runs cargo; 1 when a command of ours (`report`, `push`) fails and 2
//! when our own options cannot be understood. The same binary is the rustc wrapper when it is started under that name.

mod cli;
mod signals;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    match xcache::wrapper::client::run_if_wrapper() {
        Some(code) => code,
        None => cli::run(),
    }
}

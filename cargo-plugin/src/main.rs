//! `cargo xcache`: the command line of the library `xcache`.
//!
//! The exit status of a command that runs cargo is cargo's. That of `exec` and `nextest` is the status of their command
//! (127 if it does not exist, 126 if it cannot be run). Other commands (`report`, `explain`, `stats`, `push`, `recipe`)
//! exit with 1 if they fail. `warm` exits with cargo's status, or with 1 if it fails before it runs cargo. Invalid
//! options exit with 2. Under other names, the same binary is the rustc wrapper, a build script that does nothing, and
//! the `cargo` under `exec`.

mod alias;
mod cargo_command;
mod cli;
mod exec;
mod exit_code;
#[cfg_attr(not(feature = "explain"), path = "explain_left_out.rs")]
mod explain;
mod launch;
mod output;
mod proxy;
mod push;
mod real_environment;
mod report;
mod setting_flags;
mod signals;
mod stats;
mod terminal;
mod warm;

use std::process::ExitCode;

/// Threads block each other in musl's own allocator: with it, a build of hits only took a sixth longer.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let script = xcache::wrapper::skip_members::run_if_script;
    let prover = xcache::session::proof::run_if_prover;
    xcache::wrapper::client::run_if_wrapper()
        .or_else(script)
        .or_else(prover)
        .or_else(proxy::run_if_cargo)
        .unwrap_or_else(cli::run)
}

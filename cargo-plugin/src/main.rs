//! `cargo xcache`: the command line of the library `xcache`.
//!
//! The exit status is cargo's for every command that runs cargo, and that of the command for `exec` and `nextest` (127
//! where there is none to run, 126 where it cannot be); 1 when a command of ours (`report`, `explain`, `stats`, `push`, `recipe`) fails and 2
//! when our own options cannot be understood; `warm` has cargo's, or 1 when it has nothing to give to cargo. The same
//! binary is the rustc wrapper, a build script that does nothing and the `cargo` under `exec` when it is started under
//! those names.

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

/// Threads wait for each other in musl's own allocator: with it, a build that was all hits took a sixth longer.
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

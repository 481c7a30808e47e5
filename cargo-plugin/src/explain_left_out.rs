//! `cargo xcache explain` without the feature `explain`: fails with a message.

use std::ffi::OsString;
use std::process::ExitCode;

use xcache::config::Overrides;

use crate::terminal;

/// Accepts any arguments.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

pub(crate) fn run(_arguments: &Arguments, _overrides: &Overrides) -> ExitCode {
    terminal::fail("this cargo-xcache was built without the feature `explain`", 1)
}

//! Whether a command is an alias of the user's.
//!
//! Short forms and `clippy` are not built into cargo (`cli.rs` there), so `[alias]` may give them another meaning. Cargo
//! knows; to ask it costs a process, so that is done only where an alias could come from. (`--config` comes too late.)

use std::env;
use std::path::Path;

use xcache::cargo::Cargo;

use crate::real_environment::cargo_home;

/// The commands of ours that an alias can replace.
const REPLACEABLE: &[&str] = &["b", "c", "d", "r", "t", "clippy"];

/// Whether the command means something else to cargo than to us.
pub(crate) fn is_alias(cargo: &Cargo) -> bool {
    let command = cargo.invocation().command.as_str();
    REPLACEABLE.contains(&command) && (is_in_environment(command) || is_in_a_file()) && cargo.is_alias()
}

fn is_in_environment(command: &str) -> bool {
    env::var_os(format!("CARGO_ALIAS_{}", command.to_uppercase())).is_some()
}

/// Whether one of the files that cargo reads here has aliases, or names other files.
fn is_in_a_file() -> bool {
    let Ok(directory) = env::current_dir() else { return true };
    let here = directory.ancestors().map(|directory| directory.join(".cargo"));
    here.chain(cargo_home()).any(|directory| ["config.toml", "config"].iter().any(|name| is_in(&directory.join(name))))
}

fn is_in(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    ["alias", "include"].iter().any(|word| text.contains(word))
}

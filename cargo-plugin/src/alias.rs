//! Detects commands that the user has replaced by an alias.
//!
//! Short forms and `clippy` are not built into cargo (its `cli.rs`), so `[alias]` may redefine them. Asking cargo takes
//! a process, so this happens only if an alias may exist. (Cargo reads `--config` too late for aliases.)

use std::env;
use std::path::Path;

use xcache::cargo::Cargo;

use crate::real_environment::cargo_home;

/// The commands of xcache that an alias can replace.
const REPLACEABLE: &[&str] = &["b", "c", "d", "r", "t", "clippy"];

/// Whether cargo treats the command as an alias.
pub(crate) fn is_alias(cargo: &Cargo) -> bool {
    let command = cargo.invocation().command.as_str();
    REPLACEABLE.contains(&command) && (is_in_environment(command) || is_in_files()) && cargo.is_alias()
}

fn is_in_environment(command: &str) -> bool {
    env::var_os(format!("CARGO_ALIAS_{}", command.to_uppercase())).is_some()
}

/// Whether a configuration file that cargo reads here has aliases or includes other files.
fn is_in_files() -> bool {
    let Ok(directory) = env::current_dir() else { return true };
    let here = directory.ancestors().map(|directory| directory.join(".cargo"));
    here.chain(cargo_home())
        .any(|directory| ["config.toml", "config"].iter().any(|name| may_define_aliases(&directory.join(name))))
}

fn may_define_aliases(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    ["alias", "include"].iter().any(|word| text.contains(word))
}

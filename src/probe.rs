//! What compilers and cargo say of themselves (`-vV`, `--print …`), remembered in the local store.
//!
//! Every start of rustc costs tens of milliseconds and its answer does not change. Cargo remembers answers too, but
//! in the target directory, and voids them when the wrapper's path changes, as ours does in every session. The conditions
//! are those of cargo's `util/rustc.rs`: the program's path, length and modification time, the arguments, rustup's choice
//! of a toolchain, and the variables that such answers depend on.
//!
//! **Invariant.** Only successful answers are kept, and none of a rustup proxy whose choice is not in the environment.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Result;
use crate::fs::Stamp;
use crate::process;
use crate::store::LocalStore;

/// Variables that an answer may depend on.
const VARIABLES: &[&str] = &[
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_HOME",
    "RUSTC_BOOTSTRAP",
    "RUST_TARGET_PATH",
    "LD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
];

/// What a program printed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// To standard output.
    pub stdout: String,
    /// To standard error.
    pub stderr: String,
}

/// The name under which the answer to a question is kept; nothing where it must be asked every time.
pub fn key(program: &str, arguments: &[String], variable: impl Fn(&str) -> Option<String>) -> Option<Digest> {
    let program = find(program)?;
    // What a rustup proxy runs is decided by more than its own path.
    let is_proxy = program.with_file_name(format!("rustup{}", env::consts::EXE_SUFFIX)).exists();
    if is_proxy && variable("RUSTUP_TOOLCHAIN").is_none() || arguments.iter().any(|argument| argument.starts_with('+'))
    {
        return None;
    }
    let stamp = Stamp::of(&program).ok()?;
    let environment: Vec<_> = VARIABLES.iter().map(|name| (name, variable(name))).collect();
    Some(Digest::of(format!("{program:?} {stamp:?} {arguments:?} {environment:?}")))
}

/// The answer, where it is known.
pub fn recall(store: &LocalStore, key: Digest) -> Option<Answer> {
    serde_json::from_slice(&store.probe(key)?).ok()
}

/// Keeps an answer.
pub fn remember(store: &LocalStore, key: Digest, answer: &Answer) {
    if let Ok(bytes) = serde_json::to_vec(answer) {
        // Only speed is lost where the store cannot be written.
        let _ = store.put_probe(key, &bytes);
    }
}

/// What a command prints to standard output: remembered, or asked now.
pub fn ask(store: &LocalStore, command: &mut Command, variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let key = key(&command.get_program().to_string_lossy(), &arguments, variable);
    if let Some(answer) = key.and_then(|key| recall(store, key)) {
        return Ok(answer.stdout);
    }
    let stdout = process::output(command)?;
    if let Some(key) = key {
        remember(store, key, &Answer { stdout: stdout.clone(), stderr: String::new() });
    }
    Ok(stdout)
}

/// Where a program is: a name without a directory is looked up as the system would.
fn find(program: &str) -> Option<PathBuf> {
    let program = Path::new(program);
    if program.components().count() > 1 {
        return Some(program.to_owned());
    }
    let name = program.with_extension(env::consts::EXE_EXTENSION);
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(&name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_remembered_until_the_program_or_the_question_changes() {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalStore::open(&directory.path().join("store")).unwrap();
        let program = directory.path().join("rustc");
        std::fs::write(&program, "one").unwrap();
        let name = |arguments: &[&str], toolchain: Option<&str>| {
            let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            key(&program.to_string_lossy(), &arguments, |name| {
                toolchain.filter(|_| name == "RUSTUP_TOOLCHAIN").map(Into::into)
            })
            .unwrap()
        };
        let first = name(&["-vV"], None);
        let answer = Answer { stdout: "rustc 1".into(), stderr: String::new() };
        remember(&store, first, &answer);
        assert_eq!(recall(&store, name(&["-vV"], None)), Some(answer));
        assert_eq!(recall(&store, name(&["--print", "cfg"], None)), None);
        assert_eq!(recall(&store, name(&["-vV"], Some("nightly"))), None);
        std::fs::write(&program, "another").unwrap();
        assert_eq!(recall(&store, name(&["-vV"], None)), None);
    }

    #[test]
    fn a_proxy_is_asked_every_time_unless_its_toolchain_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("rustc");
        std::fs::write(&program, "").unwrap();
        std::fs::write(directory.path().join(format!("rustup{}", env::consts::EXE_SUFFIX)), "").unwrap();
        let program = program.to_string_lossy();
        assert_eq!(key(&program, &[], |_| None), None);
        assert!(key(&program, &[], |name| (name == "RUSTUP_TOOLCHAIN").then(|| "stable".into())).is_some());
        assert_eq!(key(&program, &["+nightly".into()], |_| Some("stable".into())), None);
    }
}

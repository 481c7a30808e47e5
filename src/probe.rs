//! Programs that decide what is built: where they are, what they contain, and what they print (`-vV`, `--version`,
//! `--print …`).
//!
//! A [`Program`] is found as the system finds it. It is identified by its [content](contents), which is read once for
//! each state of the file; after that, the state suffices. Answers are remembered in the same way: every start of a
//! compiler costs tens of milliseconds, and its answer does not change. Cargo remembers answers too, but in the target
//! directory, and drops them when the wrapper's path changes, as ours does in every session.
//!
//! **Which answers are remembered.** If a file answers by itself, the answer depends on that file, the arguments, and
//! the variables that such programs read ([`VARIABLES`]). A script does not answer by itself: it may start any program,
//! depending on any files and variables. The same is true of a link to a program with another purpose (`cc` to
//! `ccache`, `rustc` to `mise`, `ar` to `snap`), which acts by the name it was started with. These are asked every
//! time, whatever that costs. The answers of a *compiler* decide more than those of other programs, and some compiled
//! programs only choose a compiler. So a compiler's answers are remembered only if it is in its own toolchain
//! ([`Program::sysroot`]). A rustup proxy whose toolchain is named counts as the compiler of that toolchain.
//!
//! **Invariants.** Only successful answers are kept. Nothing is remembered by a program's path or version alone. This
//! module never reads the environment of its own process: the caller provides the variables that the program will see.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Domain};
use crate::error::Result;
use crate::fs::{Stamp, is_executable};
use crate::process;
use crate::store::LocalStore;

/// Variables that an answer may depend on.
const VARIABLES: &[&str] = &[
    "COMPILER_PATH",
    "DEVELOPER_DIR",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "GCC_EXEC_PREFIX",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "PATH",
    "RUSTC_BOOTSTRAP",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUST_TARGET_PATH",
    "SDKROOT",
    "TOOLCHAINS",
];
/// The first bytes of programs that the system runs directly: ELF, Mach-O (for one and for several processors), PE.
const BINARY_MAGICS: &[&[u8]] =
    &[b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf", b"MZ"];
/// Words in the names of programs that do what a link to them is named after: `cc` is `x86_64-linux-gnu-gcc-14`.
const TOOLS: &[&str] = &[
    "ar", "bfd", "busybox", "c++", "cargo", "cc", "clang", "clang++", "cmake", "g++", "gcc", "gmake", "gold", "icpx",
    "icx", "ld", "lld", "llvm", "make", "mold", "nasm", "perl", "pkg", "pkgconf", "rustc", "tcc", "wild",
];
/// On Apple's systems, the tools in `/usr/bin` start those of the chosen developer directory.
const APPLE_CHOICES: &[&str] = if cfg!(target_os = "macos") {
    &[
        "/var/db/xcode_select_link/Toolchains/XcodeDefault.xctoolchain/usr/bin/clang",
        "/var/db/xcode_select_link/usr/bin/clang",
        "/Library/Developer/CommandLineTools/usr/bin/clang",
    ]
} else {
    &[]
};

/// A program that can be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Where it was found.
    path: PathBuf,
    /// The file at the end of all links.
    file: PathBuf,
}

impl Program {
    /// Finds a program as the system would: a name without a directory in `PATH`, relative paths from `directory`.
    pub fn find(name: impl AsRef<OsStr>, directory: &Path, path: Option<&OsStr>) -> Option<Self> {
        let name = Path::new(name.as_ref());
        let has_directory = name.components().count() > 1 || name.is_absolute();
        let found = if has_directory {
            Some(directory.join(name)).filter(|path| is_executable(path))
        } else {
            let mut candidates = env::split_paths(path?).map(|entry| directory.join(entry).join(name));
            candidates.find_map(|path| if is_executable(&path) { Some(path) } else { with_suffix(&path) })
        };
        let path = found?;
        Some(Self { file: path.canonicalize().ok()?, path })
    }

    /// Where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A digest of the program's file.
    pub fn content(&self, store: &LocalStore) -> Option<Digest> {
        contents(store, std::slice::from_ref(&self.file))
    }

    /// The same, but only for machine code: a program that another one interprets may do anything.
    pub fn content_of_binary(&self, store: &LocalStore) -> Option<Digest> {
        if is_binary(&self.file) { self.content(store) } else { None }
    }

    /// The file at the end of all links.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The toolchain that a compiler belongs to: it is in the `bin` beside the toolchain's libraries.
    pub fn sysroot(&self) -> Option<PathBuf> {
        let sysroot = self.file.parent()?.parent()?;
        let libraries = sysroot.join("lib").join("rustlib").canonicalize().ok().filter(|path| path.is_dir())?;
        is_binary(&self.file).then(|| libraries.parent()?.parent().map(Path::to_owned))?
    }

    /// Whether its own file produces its answers.
    fn is_self_contained(&self) -> bool {
        let stem = |path: &Path| path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let (name, real) = (stem(&self.path), stem(&self.file).unwrap_or_default());
        is_binary(&self.file) && (name.as_deref() == Some(&real) || is_tool(&real))
    }

    /// The rustup beside it, if it is one of rustup's proxies.
    pub fn rustup(&self) -> Option<PathBuf> {
        let rustup = format!("rustup{}", env::consts::EXE_SUFFIX);
        [&self.file, &self.path].into_iter().map(|path| path.with_file_name(&rustup)).find(|path| path.exists())
    }

    /// Whether it is a proxy of rustup, which decides by itself what to run.
    pub fn is_proxy(&self) -> bool {
        self.path.file_stem().is_some_and(|name| name == "rustc" || name == "cargo") && self.rustup().is_some()
    }

    /// The program that answers: itself, or for a proxy the program of the toolchain that the environment names.
    pub fn resolved(&self, variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        if !self.is_proxy() {
            return Some(self.clone());
        }
        let default = || Some(PathBuf::from(variable("HOME").or_else(|| variable("USERPROFILE"))?).join(".rustup"));
        let home = variable("RUSTUP_HOME").map(PathBuf::from).or_else(default)?;
        let toolchain = home.join("toolchains").join(variable("RUSTUP_TOOLCHAIN")?);
        Self::find(toolchain.join("bin").join(self.path.file_name()?), Path::new(""), None)
    }

    /// What its answers depend on, besides the question: the file, the name it is started by, and what it chooses from.
    fn state(&self) -> Option<impl Serialize> {
        let chosen: Vec<_> = APPLE_CHOICES.iter().map(|path| Stamp::of(Path::new(path)).ok()).collect();
        Some((self.path.as_os_str().to_owned(), self.file.as_os_str().to_owned(), Stamp::of(&self.file).ok()?, chosen))
    }
}

/// The program with the suffix that may be omitted on Windows.
fn with_suffix(path: &Path) -> Option<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(env::consts::EXE_SUFFIX);
    Some(PathBuf::from(name)).filter(|path| !env::consts::EXE_SUFFIX.is_empty() && is_executable(path))
}

/// Whether a file is machine code. Any other file is interpreted by another program.
fn is_binary(file: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(file).and_then(|file| file.take(4).read_to_end(&mut start));
    read.is_ok() && BINARY_MAGICS.iter().any(|magic| start.starts_with(magic))
}

/// Whether one of the words in a program's name is a tool: `clang-14`, `perl5.36`, `x86_64-linux-gnu-ld.bfd`.
fn is_tool(name: &str) -> bool {
    let words = name.split(['-', '.', '_']).map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()));
    words.into_iter().any(|word| TOOLS.contains(&word))
}

/// The output of a program.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ProgramOutput {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// The name of a compiler's answer in the store; `None` if the compiler must be asked every time.
pub fn key<V: Into<OsString>>(
    compiler: &str,
    arguments: &[String],
    variable: impl Fn(&str) -> Option<V>,
) -> Option<Digest> {
    let variable = |name: &str| variable(name).map(Into::into);
    let program = Program::find(compiler, Path::new(""), variable("PATH").as_deref())?;
    let resolved = program.resolved(variable)?;
    let is_known = resolved.sysroot().is_some() && !arguments.iter().any(|argument| argument.starts_with('+'));
    let state = (program.state()?, resolved.state()?);
    is_known.then(|| name(&state, arguments, variable))
}

fn name(
    state: &impl Serialize,
    arguments: &[impl AsRef<OsStr>],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Digest {
    let environment: Vec<_> = VARIABLES.iter().map(|name| (name, variable(name))).collect();
    let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
    Digest::of_value(Domain::Answer, &(state, arguments, environment))
}

/// The remembered answer.
pub fn recall(store: &LocalStore, key: Digest) -> Option<ProgramOutput> {
    serde_json::from_slice(&store.probe(key)?).ok()
}

/// Stores an answer.
pub fn remember(store: &LocalStore, key: Digest, answer: &ProgramOutput) {
    if let Ok(bytes) = serde_json::to_vec(answer) {
        // If the store cannot be written, only speed is lost.
        let _ = store.put_probe(key, &bytes);
    }
}

/// A program's standard output, remembered or from a new run.
pub fn query(store: &LocalStore, command: &mut Command, variable: impl Fn(&str) -> Option<OsString>) -> Result<String> {
    let program = Program::find(command.get_program(), Path::new(""), variable("PATH").as_deref());
    let arguments: Vec<_> = command.get_args().map(OsStr::to_owned).collect();
    let key = program.and_then(|program| {
        let resolved = program.resolved(&variable).filter(Program::is_self_contained)?;
        let is_known = !arguments.iter().any(|argument| argument.as_encoded_bytes().starts_with(b"+"));
        is_known.then_some(name(&(program.state()?, resolved.state()?), &arguments, &variable))
    });
    query_with_key(store, command, key)
}

/// A compiler's standard output, remembered or from a new run.
pub fn query_compiler(
    store: &LocalStore,
    command: &mut Command,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<String> {
    let arguments: Option<Vec<_>> = command.get_args().map(|argument| argument.to_str().map(str::to_owned)).collect();
    let program = command.get_program().to_str().map(str::to_owned);
    let key = program.zip(arguments).and_then(|(program, arguments)| key(&program, &arguments, variable));
    query_with_key(store, command, key)
}

/// The standard output of a script like `ldd`, which contains its answers in its own text. It is remembered by that
/// text if the text contains the first line of the answer.
pub fn query_constant(
    store: &LocalStore,
    command: &mut Command,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<String> {
    let program = Program::find(command.get_program(), Path::new(""), variable("PATH").as_deref());
    let text = program.and_then(|program| std::fs::read_to_string(&program.file).ok()).unwrap_or_default();
    let arguments: Vec<_> = command.get_args().map(OsStr::to_owned).collect();
    let key = name(&("constant", &text), &arguments, variable);
    let is_in_text = |answer: &str| answer.lines().next().is_some_and(|line| text.contains(line));
    if let Some(answer) = recall(store, key).filter(|answer| is_in_text(&answer.stdout)) {
        return Ok(answer.stdout);
    }
    let stdout = process::output(command)?;
    if is_in_text(&stdout) {
        remember(store, key, &ProgramOutput { stdout: stdout.clone(), stderr: String::new() });
    }
    Ok(stdout)
}

fn query_with_key(store: &LocalStore, command: &mut Command, key: Option<Digest>) -> Result<String> {
    if let Some(answer) = key.and_then(|key| recall(store, key)) {
        return Ok(answer.stdout);
    }
    let stdout = process::output(command)?;
    if let Some(key) = key {
        remember(store, key, &ProgramOutput { stdout: stdout.clone(), stderr: String::new() });
    }
    Ok(stdout)
}

/// A digest of files by their names and contents, the same on every machine; `None` if one cannot be read.
///
/// It is remembered by the paths and states of the files. A single script is read each time.
pub fn contents(store: &LocalStore, files: &[PathBuf]) -> Option<Digest> {
    // Scripts are short, and cheap to read.
    let is_remembered = files.len() != 1 || files.iter().all(|file| is_binary(file));
    let stamps = || -> Option<Vec<_>> { files.iter().map(|file| Stamp::of(file).ok()).collect() };
    let before = stamps()?;
    let paths: Vec<_> = files.iter().map(|file| file.as_os_str()).collect();
    let key = Digest::of_value(Domain::Answer, &("contents", paths, &before));
    let known = store.probe(key).filter(|_| is_remembered).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if let Some(known) = known {
        return Some(known.into());
    }
    let read = |file: &PathBuf| Some((file.file_name().map(OsStr::to_owned), Digest::of_file(file).ok()?));
    let digests: Option<Vec<_>> = files.par_iter().map(read).collect();
    let digest = Digest::of_value(Domain::FileContents, &digests?);
    // If a file was written while it was read, it is read again the next time.
    if is_remembered && stamps().is_some_and(|after| after == before) {
        let _ = store.put_probe(key, digest.as_bytes());
    }
    Some(digest)
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;

//! Runs cargo commands with one builder, and records everything that can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use serde_json::Value;
use support::{Invocation, Output, Report, Running, tree};

use crate::directories::{Directories, Targets};
use crate::model::{Circumstances, CompilerSetting, Incremental, Searched};
use crate::script::{Command, Verb};

/// The toolchains of this machine.
pub(crate) struct Toolchains {
    default: Toolchain,
    others: BTreeMap<String, Toolchain>,
}

struct Toolchain {
    bin: PathBuf,
    host: String,
    has_clippy: bool,
}

impl Toolchains {
    pub(crate) fn find() -> Self {
        let default = Toolchain::find(&[]).expect("rustc is installed");
        let nightly = Toolchain::find(&["+nightly"]);
        let others = nightly.map(|nightly| ("nightly".to_owned(), nightly)).into_iter().collect();
        Self { default, others }
    }

    /// A toolchain other than the default one, if there is one.
    pub(crate) fn other(&self) -> Option<String> {
        self.others.keys().next().cloned()
    }

    pub(crate) fn has_clippy(&self) -> bool {
        self.default.has_clippy && self.others.values().all(|toolchain| toolchain.has_clippy)
    }

    pub(crate) fn host(&self) -> &str {
        &self.default.host
    }

    fn of(&self, circumstances: &Circumstances) -> &Toolchain {
        circumstances.toolchain.as_ref().and_then(|name| self.others.get(name)).unwrap_or(&self.default)
    }
}

impl Toolchain {
    fn find(name: &[&str]) -> Option<Self> {
        let ask = |arguments: &[&str]| {
            let output = Process::new("rustc").args(name).args(arguments).output().ok()?;
            String::from_utf8(output.stdout).ok().filter(|_| output.status.success())
        };
        let bin = PathBuf::from(ask(&["--print", "sysroot"])?.trim()).join("bin");
        let version = ask(&["-vV"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        bin.join("cargo").is_file().then(|| Self { has_clippy: bin.join("cargo-clippy").is_file(), bin, host })
    }
}

/// The program that builds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Builder {
    Cargo,
    Xcache(PathBuf),
}

/// Runs commands in a state.
pub(crate) struct Runner<'a> {
    pub directories: &'a Directories,
    pub toolchains: &'a Toolchains,
    pub circumstances: &'a Circumstances,
}

impl Runner<'_> {
    pub(crate) fn targets(&self) -> Targets {
        self.directories.target(self.circumstances)
    }

    fn checkout(&self) -> &Path {
        self.directories.checkout(self.circumstances.checkout)
    }

    /// The environment of all commands, built from nothing.
    pub(crate) fn environment(&self) -> BTreeMap<String, OsString> {
        let circumstances = self.circumstances;
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Our C compiler comes before the machine's own, which it finds through `PATH`.
        let cc = (circumstances.cc > 0).then(|| self.directories.cc());
        let bin = self.toolchains.of(circumstances).bin.clone();
        let tools = self.searched(Searched::Path);
        let dirs = cc.into_iter().chain(tools).chain([bin]).chain(std::env::split_paths(&path));
        let mut environment: BTreeMap<String, OsString> = BTreeMap::from([
            ("PATH".into(), std::env::join_paths(dirs).expect("PATH can be joined")),
            ("HOME".into(), self.directories.path("home").into()),
            ("CARGO_HOME".into(), self.directories.home(circumstances.home).into()),
            ("XCACHE_DIR".into(), self.directories.store().into()),
            ("CARGO_TERM_COLOR".into(), "never".into()),
        ]);
        if circumstances.incremental == Incremental::Off {
            environment.insert("CARGO_INCREMENTAL".into(), "0".into());
        }
        let compiler = match circumstances.compiler.by {
            CompilerSetting::WrapperVariable => Some("RUSTC_WRAPPER"),
            CompilerSetting::RustcVariable => Some("RUSTC"),
            CompilerSetting::Nothing | CompilerSetting::WrapperConfig | CompilerSetting::RustcConfig => None,
        };
        let program = self.directories.compiler(circumstances.compiler);
        environment.extend(compiler.map(|name| (name.to_owned(), program.into())));
        environment.extend(circumstances.rustflags.iter().map(|flags| ("RUSTFLAGS".into(), flags.into())));
        environment.extend(circumstances.variables.iter().map(|(name, value)| (name.clone(), value.into())));
        environment.extend([Searched::Cpath, Searched::LibraryPath].into_iter().filter_map(|searched| {
            let dirs = Some(self.searched(searched)).filter(|dirs| !dirs.is_empty())?;
            Some((searched.name().to_owned(), std::env::join_paths(dirs).expect("no path has a colon")))
        }));
        if circumstances.front > 0 {
            environment.insert("CC".into(), self.directories.front().into());
        }
        environment.extend(self.targets().variables.into_iter().map(|(name, dir)| (name, dir.into())));
        environment
    }

    fn searched(&self, searched: Searched) -> Vec<PathBuf> {
        let order = self.circumstances.searched.get(&searched);
        order.map_or_else(Vec::new, |order| self.directories.searched(searched, *order))
    }

    /// Cargo's arguments.
    pub(crate) fn arguments(&self, command: &Command) -> Vec<String> {
        let object = self.circumstances.object.map(|_| self.directories.object());
        command.arguments(self.toolchains.host(), object.as_deref())
    }

    /// A command, not yet started.
    pub(crate) fn invocation(&self, builder: &Builder, command: &Command) -> Invocation {
        let mut process = match builder {
            Builder::Cargo => Process::new(self.toolchains.of(self.circumstances).bin.join("cargo")),
            Builder::Xcache(path) => Process::new(path),
        };
        if let Builder::Xcache(_) = builder {
            process.arg("xcache");
        }
        process.args(self.arguments(command));
        process.current_dir(self.checkout()).env_clear().envs(self.environment());
        Invocation::new(process)
    }

    /// Runs a command, waits for a session started before it, runs the built programs, and records everything.
    pub(crate) fn observe(&self, builder: &Builder, command: &Command, pending: Option<Running>) -> Observation {
        self.targets().prepare();
        let output = self.invocation(builder, command).run();
        if let Some(mut pending) = pending {
            pending.wait();
        }
        let (messages, printed) = messages(&output);
        let runs = programs(&messages).into_iter().filter(|_| command.verb != Verb::Test);
        let runs = runs.map(|program| (program.display().to_string(), self.run(&program))).collect();
        let dir = self.targets().seen.join(command.profile_dir(self.toolchains.host()));
        Observation {
            code: output.code(),
            stale: messages.iter().filter_map(stale).collect(),
            errors: errors(&messages),
            messages: messages.iter().map(normal).collect(),
            printed,
            warnings: output.stderr.lines().filter(|line| is_of_script(line)).map(str::to_owned).collect(),
            runs,
            files: files(&dir),
            stderr: output.stderr,
        }
    }

    /// The units of these packages that the last command compiled or ran, according to its report.
    pub(crate) fn rebuilt(&self, builder: &Builder, packages: &BTreeSet<String>) -> Vec<String> {
        let Builder::Xcache(path) = builder else { return Vec::new() };
        let mut process = Process::new(path);
        process.args(["xcache", "report", "--format", "json"]);
        process.current_dir(self.checkout()).env_clear().envs(self.environment());
        let report = Report::parse(&Invocation::new(process).ok());
        let units = report.units().into_iter().filter(|unit| packages.contains(&unit.package));
        let is_made = |unit: &support::report::Unit| !["fresh", "hit"].contains(&unit.outcome.as_str());
        units.filter(is_made).map(|unit| format!("{unit:?}")).collect()
    }

    /// The output of a program or a test.
    fn run(&self, program: &Path) -> String {
        let mut process = Process::new(program);
        if program.parent().is_some_and(|dir| dir.ends_with("deps")) {
            process.args(["--nocapture", "--test-threads=1"]);
        }
        process.current_dir(self.checkout()).env_clear();
        let output = Invocation::new(process).run();
        format!("{:?}\n{}", output.code(), output.timeless_stdout())
    }
}

/// Everything that can be compared.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub code: Option<i32>,
    /// The units that were not fresh.
    pub stale: BTreeSet<String>,
    /// The compiler's messages about errors.
    pub errors: BTreeSet<String>,
    /// Cargo's machine-readable messages.
    pub messages: Messages,
    /// The output of programs and tests that cargo started.
    pub printed: String,
    /// Warnings of build scripts.
    pub warnings: BTreeSet<String>,
    /// The output of programs and tests that were started from the target directory.
    pub runs: BTreeMap<String, String>,
    /// The final artifacts, and their dependencies according to cargo.
    pub files: BTreeMap<String, BTreeSet<String>>,
    pub stderr: String,
}

/// Messages, each with its number of occurrences.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Messages(pub BTreeMap<String, usize>);

impl FromIterator<String> for Messages {
    fn from_iter<I: IntoIterator<Item = String>>(messages: I) -> Self {
        let mut counts = BTreeMap::new();
        messages.into_iter().for_each(|message| *counts.entry(message).or_insert(0) += 1);
        Self(counts)
    }
}

fn messages(output: &Output) -> (Vec<Value>, String) {
    let text = output.timeless_stdout();
    let (messages, printed): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("{\"reason\":"));
    let messages = messages.into_iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    (messages, printed.join("\n"))
}

/// The message without the fields that may differ.
fn normal(message: &Value) -> String {
    let mut message = message.clone();
    if let Some(fields) = message.as_object_mut() {
        fields.remove("fresh");
    }
    message.to_string()
}

fn stale(message: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (message["fresh"] == false).then(|| {
        format!("{} {} {}", text(&message["package_id"]), message["target"]["kind"], message["target"]["name"])
    })
}

fn errors(messages: &[Value]) -> BTreeSet<String> {
    let errors = messages.iter().filter(|message| message["message"]["level"] == "error");
    errors.map(|message| format!("{} {}", message["package_id"], message["message"]["message"])).collect()
}

fn programs(messages: &[Value]) -> BTreeSet<PathBuf> {
    messages.iter().filter_map(|message| message["executable"].as_str()).map(PathBuf::from).collect()
}

/// Matches `warning: one@0.1.0: …`.
fn is_of_script(line: &str) -> bool {
    line.strip_prefix("warning: ").and_then(|rest| rest.split(' ').next()).is_some_and(|word| word.contains('@'))
}

/// The final artifacts in the directory of a profile: the files without a hash in their names.
fn files(dir: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for (dir, prefix) in [(dir.to_owned(), ""), (dir.join("examples"), "examples/")] {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && !name.starts_with('.') && !has_hash(&name) {
                found.insert(format!("{prefix}{name}"), depends_on(&entry.path()));
            }
        }
    }
    found
}

/// Removes the `.d` files of final artifacts. In a moved directory, cargo writes them again or not at random: it
/// compares two sets without an order (`output_depinfo.rs`).
pub(crate) fn remove_lists(targets: &Targets) {
    for path in targets.real.iter().flat_map(|dir| tree::files(dir)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_of_script = path.components().any(|part| part.as_os_str() == "build");
        if name.ends_with(".d") && !has_hash(&name) && !is_of_script {
            tree::remove_file(&path);
        }
    }
}

fn has_hash(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    stem.rsplit_once('-').is_some_and(|(_, hash)| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The words of a `.d` file. Cargo writes one for all outputs with the same name, and names it after any of them.
fn depends_on(path: &Path) -> BTreeSet<String> {
    let is_list = path.extension().is_some_and(|extension| extension == "d");
    let text = if is_list { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    let word = |word: &str| word.strip_suffix(".so:").map_or_else(|| word.to_owned(), |stem| format!("{stem}.rlib:"));
    text.replace("\\ ", "\u{0}").split_whitespace().map(word).collect()
}

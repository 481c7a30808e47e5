//! Parses a rustc command line as far as the cache needs it.
//!
//! This mirrors the options of `rustc_session::config::rustc_optgroups`. An unknown option counts only in
//! [`Invocation::digest`].

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::digest::{Digest, Domain};
use crate::event::UncacheableReason;
use crate::roots::{RootedPath, Roots};

/// What `--emit` asks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Emit {
    /// `.d`.
    DepInfo,
    /// `.rmeta`.
    Metadata,
    /// The linked output, or the rlib.
    Link,
    /// Anything else: assembly, LLVM IR …
    Other,
}

/// One `--extern`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extern {
    /// The name it is imported under, without options such as `noprelude:`.
    pub name: String,
    /// The file, if one is given.
    pub path: Option<Utf8PathBuf>,
}

/// A parsed command line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Invocation {
    /// `--crate-name`.
    pub crate_name: Option<String>,
    /// `--crate-type`.
    pub crate_types: BTreeSet<String>,
    /// The crate's root file.
    pub source: Option<Utf8PathBuf>,
    /// `--out-dir`.
    pub out_dir: Option<Utf8PathBuf>,
    /// `--emit`.
    pub emit: BTreeSet<Emit>,
    /// `--target`.
    pub target: Option<String>,
    /// `--test`, or `--cfg test` if a test has its own `main`.
    pub test: bool,
    /// Features, from `--cfg feature="…"`.
    pub features: BTreeSet<String>,
    /// `-C`, by option name. The first of several counts: it is cargo's own, before those of `RUSTFLAGS`.
    pub codegen: BTreeMap<String, String>,
    /// The directories of all `-C incremental`.
    pub incremental: Vec<Utf8PathBuf>,
    /// `--extern`.
    pub externs: Vec<Extern>,
    /// Whether `--json` asks for artifact notices.
    pub artifact_notices: bool,
    /// Whether there is `-l`, or `-L` for native libraries.
    pub links_native: bool,
    /// The directories that are searched for native libraries, in order.
    pub library_dirs: Vec<Utf8PathBuf>,
    /// Everything that may change the outputs, in order.
    relevant: Vec<Argument>,
    /// The options for the rendering of diagnostics.
    rendering: Vec<String>,
    /// Why the outputs cannot be reused in any case.
    refused: Option<UncacheableReason>,
    /// Values that options only name, each with the reason that applies if the value is unknown.
    named: BTreeMap<String, UncacheableReason>,
}

/// The beginning of the option for incremental compilation.
const INCREMENTAL: &str = "incremental=";
/// The name of the value that `native` stands for.
pub const PROCESSOR: &str = "the processor";
/// The beginning of the name of a profile's content. The path follows.
pub const PROFILE: &str = "profile ";

/// An argument: a text, and the path after it if there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Argument {
    text: String,
    path: Option<Utf8PathBuf>,
}

impl Argument {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), path: None }
    }

    fn path(text: impl Into<String>, path: &str) -> Self {
        Self { text: text.into(), path: Some(path.into()) }
    }
}

/// Long options that take a value.
const VALUED: &[&str] = &[
    "cfg",
    "check-cfg",
    "crate-name",
    "crate-type",
    "edition",
    "emit",
    "print",
    "out-dir",
    "target",
    "allow",
    "warn",
    "force-warn",
    "deny",
    "forbid",
    "cap-lints",
    "codegen",
    "extern",
    "sysroot",
    "error-format",
    "json",
    "color",
    "diagnostic-width",
    "remap-path-prefix",
    "remap-path-scope",
    "explain",
    "env-set",
];

/// Short options that take a value, attached or as the next argument.
const SHORT_VALUED: &[(&str, &str)] = &[
    ("-C", "codegen"),
    ("-L", "library-path"),
    ("-l", "library"),
    ("-A", "allow"),
    ("-W", "warn"),
    ("-D", "deny"),
    ("-F", "forbid"),
    ("-Z", "unstable"),
    ("-o", "output"),
];

impl Invocation {
    /// Parses the arguments that follow `rustc`.
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Self {
        let mut invocation = Self::default();
        let mut arguments = arguments.iter().map(AsRef::as_ref);
        while let Some(argument) = arguments.next() {
            match split_option(argument) {
                Split::Option(name, Some(value)) => invocation.option(name, value),
                Split::Option(name, None) => invocation.option(name, arguments.next().unwrap_or_default()),
                Split::Flag => invocation.flag(argument),
                Split::Positional => invocation.positional(argument),
            }
        }
        invocation
    }

    /// Whether this call compiles a crate, and is neither a query nor reads its source from standard input.
    pub fn is_compile(&self) -> bool {
        self.crate_name.is_some() && self.source.is_some() && self.out_dir.is_some() && !self.emit.is_empty()
    }

    /// The digest of everything that may change the outputs. It is the same on every machine: paths are relative to
    /// their roots, and directories that only say where to find or put files are left out. All other text counts
    /// unchanged.
    pub fn digest(&self, roots: &Roots) -> Digest {
        #[derive(Serialize)]
        struct Recorded<'a> {
            text: &'a str,
            path: Option<RootedPath>,
        }
        let record = |path: &Utf8PathBuf| roots.record(path.as_str(), &mut BTreeSet::new());
        let relevant = self.relevant.iter();
        let relevant = relevant.map(|Argument { text, path }| Recorded { text, path: path.as_ref().map(record) });
        Digest::of_value(Domain::CommandLine, &relevant.collect::<Vec<_>>())
    }

    /// The digest of the options for the rendering of diagnostics.
    pub fn rendering(&self) -> Digest {
        Digest::of_value(Domain::Rendering, &self.rendering)
    }

    /// Why the outputs cannot be reused whatever the plan says. `is_known` tells whether a [named](Self::named) value
    /// is known.
    pub fn uncacheable(&self, is_known: impl Fn(&str) -> bool) -> Option<UncacheableReason> {
        let mut unknown = self.named.iter().filter(|(name, _)| !is_known(name));
        self.refused.or_else(|| unknown.next().map(|(_, reason)| *reason))
    }

    /// The values that options only name: the processor, or the content of files.
    pub fn named(&self) -> impl Iterator<Item = &String> {
        self.named.keys()
    }

    /// `-C extra-filename`.
    pub fn extra_filename(&self) -> &str {
        self.codegen.get("extra-filename").map_or("", String::as_str)
    }

    fn option(&mut self, name: &str, value: &str) {
        match name {
            "crate-name" => self.crate_name = Some(value.into()),
            "crate-type" => self.crate_types.extend(value.split(',').map(Into::into)),
            "emit" => self.emits(value),
            "target" => self.target(value),
            "cfg" => self.cfg(value),
            "codegen" if value.starts_with(INCREMENTAL) => return self.incremental(value),
            "codegen" => self.codegen(value),
            "library-path" => return self.library_path(value),
            "library" => self.links_native = true,
            "extern" => return self.extern_crate(value),
            "out-dir" => {
                self.out_dir = Some(value.into());
                return;
            }
            "error-format" | "json" | "color" | "diagnostic-width" => return self.rendering_option(name, value),
            "sysroot" | "output" => self.refused = Some(UncacheableReason::CompilerInput),
            _ => {}
        }
        self.relevant.push(Argument::text(format!("{name}={value}")));
    }

    fn flag(&mut self, argument: &str) {
        self.test |= argument == "--test";
        self.relevant.push(Argument::text(argument));
    }

    fn positional(&mut self, argument: &str) {
        if argument.starts_with('@') {
            self.refused = Some(UncacheableReason::CompilerInput);
        } else if argument != "-" {
            self.source = Some(argument.into());
        }
        self.relevant.push(Argument::path("", argument));
    }

    fn emits(&mut self, value: &str) {
        self.emit.extend(value.split(',').map(emit));
        if self.emit.contains(&Emit::Other) {
            self.refused = Some(UncacheableReason::SideFiles);
        }
    }

    fn target(&mut self, value: &str) {
        if value.ends_with(".json") {
            self.refused = Some(UncacheableReason::CustomTarget);
        }
        self.target = Some(value.into());
    }

    fn cfg(&mut self, value: &str) {
        self.test |= value == "test";
        let feature = value.strip_prefix("feature=\"").and_then(|rest| rest.strip_suffix('"'));
        self.features.extend(feature.map(Into::into));
    }

    fn codegen(&mut self, value: &str) {
        let (name, value) = value.split_once('=').unwrap_or((value, ""));
        match (name.replace('_', "-").as_str(), value) {
            ("target-cpu" | "tune-cpu", "native") => {
                self.named.insert(PROCESSOR.into(), UncacheableReason::HostCpu);
            }
            ("save-temps", value) if value != "no" => self.refused = Some(UncacheableReason::SideFiles),
            // On Apple's systems, the objects with the debug information are in the library.
            ("split-debuginfo", "unpacked") if !cfg!(target_vendor = "apple") => {
                self.refused = Some(UncacheableReason::SideFiles);
            }
            ("profile-use", path) if path.starts_with('/') => {
                self.named.insert(format!("{PROFILE}{path}"), UncacheableReason::CompilerInput);
            }
            ("profile-use" | "profile-sample-use", _) => self.refused = Some(UncacheableReason::CompilerInput),
            _ => {}
        }
        self.codegen.entry(name.into()).or_insert_with(|| value.into());
    }

    /// Records the option without its directory, whose path does not matter.
    fn incremental(&mut self, value: &str) {
        let (name, directory) = value.split_at(INCREMENTAL.len());
        self.incremental.push(directory.into());
        self.relevant.push(Argument::text(format!("codegen={name}")));
    }

    /// Records a directory of native libraries. Directories of dependencies do not matter, since dependencies are
    /// compared by content.
    fn library_path(&mut self, value: &str) {
        if value.starts_with("dependency=") {
            return;
        }
        self.links_native = true;
        let (kind, directory) = value.split_once('=').unwrap_or(("", value));
        self.library_dirs.push(directory.into());
        self.relevant.push(Argument::path(format!("library-path={kind}"), directory));
    }

    fn extern_crate(&mut self, value: &str) {
        let (head, path) = match value.split_once('=') {
            Some((head, path)) => (head, Some(Utf8PathBuf::from(path))),
            None => (value, None),
        };
        let file = path.as_deref().and_then(Utf8Path::file_name).unwrap_or_default();
        self.relevant.push(Argument::text(format!("extern={head}={file}")));
        let name = head.rsplit(':').next().unwrap_or(head).into();
        self.externs.push(Extern { name, path });
    }

    fn rendering_option(&mut self, name: &str, value: &str) {
        self.artifact_notices |= name == "json" && value.split(',').any(|part| part == "artifacts");
        self.rendering.push(format!("{name}={value}"));
    }
}

enum Split<'a> {
    Option(&'a str, Option<&'a str>),
    Flag,
    Positional,
}

fn split_option(argument: &str) -> Split<'_> {
    if let Some(long) = argument.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        return if VALUED.contains(&name) { Split::Option(name, value) } else { Split::Flag };
    }
    for (short, name) in SHORT_VALUED {
        if let Some(value) = argument.strip_prefix(short) {
            return Split::Option(name, (!value.is_empty()).then_some(value));
        }
    }
    if argument.starts_with('-') && argument.len() > 1 { Split::Flag } else { Split::Positional }
}

fn emit(kind: &str) -> Emit {
    match kind.split_once('=').map_or(kind, |(kind, _)| kind) {
        "dep-info" => Emit::DepInfo,
        "metadata" => Emit::Metadata,
        "link" => Emit::Link,
        _ => Emit::Other,
    }
}

#[cfg(test)]
#[path = "invocation_tests.rs"]
mod tests;

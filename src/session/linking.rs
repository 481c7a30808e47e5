//! The host class of a platform: its linker, and its C library or SDK.
//!
//! A linked unit is valid only where the same programs would link it with the same libraries. So each platform that
//! something may be linked for has a [`HostClass`]. It covers the linker that rustc starts, found as cargo finds it, by
//! its content and its version text; the `ld` that this linker starts; and the files of the C library that everything
//! is linked with. The toolchain's own linker, `rust-lld`, adds nothing, because the compiler in each key covers it.
//!
//! **Invariants.** A class is the same on every machine with the same programs and libraries, whatever their paths and
//! times. If any of these is unknown, there is no class, and no unit that is linked for the platform is stored.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::{Environment, tools};
use crate::cargo::{Cargo, CargoConfig, configure_linker};
use crate::digest::{Digest, Domain};
use crate::error::Result;
use crate::key::unit_inputs::{Component, HostClass};
use crate::probe::{self, Program};
use crate::store::LocalStore;

/// Files that every program for a platform is linked with: start-up code and the C library, on systems that keep them
/// in files.
const LIBRARIES: &[&str] = &[
    "Scrt1.o",
    "crt1.o",
    "crt2.o",
    "crtbeginS.o",
    "dllcrt2.o",
    "libc.a",
    "libc.so",
    "libc.so.6",
    "libc_nonshared.a",
    "libgcc.a",
    "libgcc_eh.a",
    "libgcc_s.so.1",
    "libkernel32.a",
    "libmingw32.a",
    "libmingwex.a",
    "libmsvcrt.a",
    "libucrt.a",
];
/// Platforms whose programs rustc links with the linker of its own toolchain.
const SELF_LINKED: &[&str] = &[
    "aarch64-unknown-none",
    "aarch64-unknown-none-softfloat",
    "wasm32-unknown-unknown",
    "wasm32-wasip1",
    "wasm32-wasip1-threads",
    "wasm32v1-none",
    "x86_64-unknown-none",
];
/// Prefixes of processors, and systems without an operating system. rustc links for each pair in the same way.
const BARE: (&[&str], &[&str]) = (&["riscv32", "riscv64", "thumbv"], &["none-eabi", "none-eabihf", "unknown-none-elf"]);

/// Everything that decides which linker is used.
pub(super) struct LinkerProbe<'a> {
    pub environment: &'a Environment,
    /// The directory that relative paths start at.
    pub directory: &'a Path,
    pub cargo: &'a Cargo,
    pub config: &'a CargoConfig,
    pub store: &'a LocalStore,
    /// The platform of this machine.
    pub host: &'a str,
    /// The user's flags for each platform.
    pub flags: &'a BTreeMap<String, Vec<String>>,
    /// Whether the inputs of every linker are observed.
    pub sees_inputs: &'a (dyn Fn() -> bool + Sync),
}

/// The linker that rustc starts.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Linker {
    /// A program of this machine.
    Program(OsString),
    /// The linker in the toolchain.
    OfToolchain,
}

/// A linker, by its content and its version text.
#[derive(Serialize)]
struct ProbedLinker<'a> {
    /// The name of its file: a program may act differently under another name.
    name: Option<&'a OsStr>,
    /// Its answer to `--version`.
    #[serde(rename = "said")]
    version: &'a str,
    /// The content of its file.
    content: Digest,
    /// The content of the `ld` that it starts, if it names one.
    #[serde(rename = "behind")]
    ld: Option<Digest>,
}

/// The C library, or the SDK.
#[derive(Serialize)]
struct ProbedLibrary<'a> {
    /// Its reported version, if it reports one.
    #[serde(rename = "said")]
    version: &'a str,
    /// The content of its files, by name.
    content: Digest,
}

impl LinkerProbe<'_> {
    /// The host class for this platform. `None` if it is not known.
    pub(super) fn class(&self, platform: &str) -> Option<HostClass> {
        let flags = self.flags.get(platform).map(Vec::as_slice).unwrap_or_default();
        let may_differ = configure_linker(flags) || self.config.has_conditional_linker();
        if may_differ && !(self.sees_inputs)() {
            return None;
        }
        match self.linker(platform)? {
            Linker::OfToolchain => Some(host_class(platform, [("linker", Component::described("rust-lld"))])),
            Linker::Program(name) => self.class_with_linker(platform, &self.find(&name)?),
        }
    }

    /// The program that links for the host, as rustc starts it.
    pub(super) fn host_linker(&self) -> String {
        let name = match self.linker(self.host) {
            Some(Linker::Program(name)) => name,
            _ => "cc".into(),
        };
        name.into_string().unwrap_or_else(|name| name.to_string_lossy().into_owned())
    }

    fn class_with_linker(&self, platform: &str, linker: &Program) -> Option<HostClass> {
        let ((version, directories), ld) = rayon::join(
            || rayon::join(|| self.query(linker, "--version"), || self.query(linker, "-print-search-dirs")),
            || self.query(linker, "-print-prog-name=ld"),
        );
        let version = version.ok()?;
        let ld = ld.ok().and_then(|name| self.find(OsStr::new(name.trim())));
        let ld = ld.and_then(|program| program.content(self.store));
        let name = linker.path().file_name();
        let probed = ProbedLinker { name, version: &version, content: linker.content(self.store)?, ld };
        let component =
            Component { digest: Digest::of_value(Domain::HostClass, &probed), ..Component::described(&version) };
        let directories = directories.ok().and_then(|printed| crate::rustc::linker::directories_in(&printed));
        Some(host_class(platform, [("linker", component), ("C library", self.library(platform, directories)?)]))
    }

    /// The C library: its version, if a program reports it, and its files, if the linker names its directories.
    fn library(&self, platform: &str, directories: Option<Vec<camino::Utf8PathBuf>>) -> Option<Component> {
        let version = match platform {
            platform if platform != self.host => String::new(),
            platform if platform.contains("linux-gnu") => self.query_library("ldd", "--version").ok()?,
            platform if platform.contains("apple") => self.query_library("sw_vers", "-productVersion").ok()?,
            _ => String::new(),
        };
        // The library of another platform is known only by its files.
        if directories.is_none() && platform != self.host {
            return None;
        }
        let sdk = if platform.contains("apple") { self.sdk() } else { None };
        let files: Vec<_> = library_files(&directories.unwrap_or_default()).into_iter().chain(sdk).collect();
        let content = probe::contents(self.store, &files)?;
        let digest = Digest::of_value(Domain::HostClass, &ProbedLibrary { version: &version, content });
        Some(Component { digest, ..Component::described(&version) })
    }

    /// The file that describes the SDK of Apple's compilers.
    fn sdk(&self) -> Option<PathBuf> {
        let root = self.environment.get("SDKROOT").map(PathBuf::from).or_else(|| {
            let mut command = Command::new("xcrun");
            let path = probe::query(self.store, command.arg("--show-sdk-path"), self.variable()).ok()?;
            Some(path.trim().into())
        });
        root.map(|root| root.join("SDKSettings.json")).filter(|path| path.is_file())
    }

    /// The linker for a platform by cargo's precedence, or else rustc's default. `None` if it is not known.
    fn linker(&self, platform: &str) -> Option<Linker> {
        let variable = format!("CARGO_TARGET_{}_LINKER", platform.to_uppercase().replace(['-', '.'], "_"));
        if let Some(name) = self.environment.get(&variable) {
            return Some(Linker::Program(tools::from(self.directory, name)));
        }
        match self.config.linker(platform) {
            Some(name) => {
                let key = format!("target.{platform}.linker");
                tools::configured(self.directory, self.cargo, &key, name).ok().map(Linker::Program)
            }
            None => default_linker(platform, self.host),
        }
    }

    fn find(&self, name: &OsStr) -> Option<Program> {
        tools::find(self.environment, self.directory, name)
    }

    fn query(&self, program: &Program, argument: &str) -> Result<String> {
        probe::query(self.store, Command::new(program.path()).arg(argument), self.variable())
    }

    /// Queries a program whose answer depends on nothing else: `ldd` is a script of the C library that contains the
    /// version.
    fn query_library(&self, program: &str, argument: &str) -> Result<String> {
        let found = self.find(OsStr::new(program)).map_or_else(|| program.into(), |found| found.path().to_owned());
        probe::query_constant(self.store, Command::new(found).arg(argument), self.variable())
    }

    fn variable(&self) -> impl Fn(&str) -> Option<OsString> {
        |name| self.environment.get(name).map(Into::into)
    }
}

/// The linker that rustc starts if none is configured (`rustc_target::spec`). `None` if it is not known.
fn default_linker(platform: &str, host: &str) -> Option<Linker> {
    let (processor, system) = platform.split_once('-')?;
    let is_bare = BARE.0.iter().any(|prefix| processor.starts_with(prefix)) && BARE.1.contains(&system);
    if is_bare || SELF_LINKED.contains(&platform) {
        return Some(Linker::OfToolchain);
    }
    let program = match system {
        "pc-windows-gnu" => format!("{processor}-w64-mingw32-gcc"),
        "pc-windows-gnullvm" => format!("{processor}-w64-mingw32-clang"),
        _ if platform == host && !system.contains("windows") => "cc".into(),
        system if is_linked_by_cc(system) && processor != "hexagon" => "cc".into(),
        _ => return None,
    };
    Some(Linker::Program(program.into()))
}

fn is_linked_by_cc(system: &str) -> bool {
    let libraries = ["unknown-linux-gnu", "unknown-linux-musl"];
    system.starts_with("apple-") || libraries.iter().any(|library| system.starts_with(library))
}

/// The first file of each name, as a linker would take it.
fn library_files(directories: &[camino::Utf8PathBuf]) -> Vec<PathBuf> {
    let first = |name: &&str| directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file());
    LIBRARIES.iter().filter_map(first).map(Into::into).collect()
}

fn host_class<const N: usize>(platform: &str, components: [(&str, Component); N]) -> HostClass {
    let components: BTreeMap<_, _> =
        components.into_iter().map(|(name, component)| (name.to_owned(), component)).collect();
    let digests: BTreeMap<_, _> = components.iter().map(|(name, component)| (name, component.digest)).collect();
    HostClass { digest: Digest::of_value(Domain::HostClass, &(platform, digests)), components }
}

#[cfg(test)]
#[path = "linking_tests.rs"]
mod tests;

//! The program in front of rustc for members: `clippy-driver`, or a program of the user that cargo starts for members
//! only.
//!
//! Mirrors cargo's `find_external_subcommand`, and cargo-clippy, which takes the `clippy-driver` beside itself. The
//! wrapper compares the program found here with the one that cargo starts, at each call (`wrapper::units`).
//!
//! **Invariant.** Only a binary is known, by its content. A script may start anything.

use std::collections::{BTreeMap, BTreeSet};
use std::env::{self, consts::EXE_SUFFIX};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

use super::Options;
use super::tools::{WORKSPACE_WRAPPER, find};
use crate::cargo::{Cargo, CargoConfig, NO_DEPS};
use crate::error::Result;
use crate::plan::Driver;
use crate::probe::Program;
use crate::store::LocalStore;

/// The variable in which `cargo clippy` passes the arguments after `--` to its compiler.
pub(super) const CLIPPY_ARGUMENTS: &str = "CLIPPY_ARGS";

/// The program that compiles members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum MemberCompiler {
    /// Rustc alone.
    Rustc,
    /// A known program in front of rustc.
    Driver(Driver),
    /// An unknown program in front of rustc.
    Unknown,
}

impl MemberCompiler {
    /// Finds the program that cargo would start in front of rustc. `members` are the directories of all members.
    pub(super) fn find(
        options: &Options,
        cargo: &Cargo,
        config: &CargoConfig,
        store: &LocalStore,
        sysroot: &Utf8Path,
        members: &[Utf8PathBuf],
    ) -> Result<Self> {
        let members: BTreeSet<_> = members.iter().cloned().collect();
        if options.invocation.command == "clippy" {
            let driver = clippy(options, store, sysroot, members);
            return Ok(driver.map_or(Self::Unknown, Self::Driver));
        }
        let Some(name) = WORKSPACE_WRAPPER.named(options, cargo, config)? else { return Ok(Self::Rustc) };
        let program = find(&options.environment, &options.directory, &name);
        let driver = program.and_then(|program| driver(&name, &program, store, members));
        Ok(driver.map_or(Self::Unknown, |driver| Self::Driver(Driver { depends_on_primary: true, ..driver })))
    }

    /// The known program in front of rustc, if there is one.
    pub(super) fn driver(&self) -> Option<&Driver> {
        if let Self::Driver(driver) = self { Some(driver) } else { None }
    }
}

/// A program identified by its content and its path. Cargo's names for the outputs depend on the path.
fn driver(name: &OsStr, program: &Program, store: &LocalStore, members: BTreeSet<Utf8PathBuf>) -> Option<Driver> {
    let content = program.content_of_binary(store)?;
    let path = name.to_str()?.to_owned();
    let identity = [("the compiler of members", content.to_string()), ("its path", path.clone())];
    let identity = identity.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Some(Driver { program: path, identity, depends_on_primary: false, members })
}

/// The driver of `cargo clippy`. With `--fix` it is unknown: cargo then starts another program, which writes to
/// sources.
fn clippy(options: &Options, store: &LocalStore, sysroot: &Utf8Path, members: BTreeSet<Utf8PathBuf>) -> Option<Driver> {
    let arguments = options.invocation.clippy_arguments().filter(|_| !options.invocation.has("fix"))?;
    let program = clippy_driver(options, sysroot.as_std_path())?;
    let mut driver = driver(program.path().as_os_str(), &program, store, members)?;
    driver.depends_on_primary = arguments.contains(NO_DEPS);
    driver.identity.insert(CLIPPY_ARGUMENTS.into(), arguments);
    Some(driver)
}

/// The program that cargo-clippy has cargo start in front of rustc. Rustup's proxy starts the cargo-clippy of the
/// toolchain.
fn clippy_driver(options: &Options, sysroot: &Path) -> Option<Program> {
    let named = |name: &str| format!("{name}{EXE_SUFFIX}");
    let is_chosen = options.invocation.toolchain.is_some();
    let found = Program::find(named("cargo-clippy"), &options.directory, Some(&subcommand_path(options)?));
    let own = found.filter(|found| !is_chosen && found.rustup().is_none()).map(|found| found.file().to_owned());
    let clippy = match own {
        Some(own) => own,
        None => sysroot.join("bin").join(named("cargo-clippy")).canonicalize().ok()?,
    };
    Program::find(clippy.with_file_name(named("clippy-driver")), &options.directory, None)
}

/// Where cargo looks for its subcommands: in `CARGO_HOME/bin` first, unless `PATH` contains that directory.
fn subcommand_path(options: &Options) -> Option<OsString> {
    let home = options.environment.cargo_home(&options.directory).map(|home| home.join("bin"));
    let path = options.environment.get("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(path).collect();
    let first = home.filter(|home| !directories.contains(home));
    directories.splice(0..0, first);
    env::join_paths(directories).ok()
}

/// The environment of the cargo that compiles: `cargo clippy` adds its arguments.
pub(super) fn cargo_environment(options: &Options) -> BTreeMap<OsString, OsString> {
    let mut environment = options.environment.0.clone();
    let arguments = options.invocation.clippy_arguments().filter(|_| options.invocation.command == "clippy");
    environment.extend(arguments.map(|arguments| (CLIPPY_ARGUMENTS.into(), arguments.into())));
    environment
}

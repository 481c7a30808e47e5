//! What compiles the members of the workspace, where it is not rustc alone: `clippy-driver`, or a program of the user's
//! that cargo puts in front of rustc for members only.
//!
//! Mirrors `find_external_subcommand` of cargo, and cargo-clippy, which takes the `clippy-driver` beside itself. What is
//! found here is compared with what cargo starts, call by call (`wrapper::units`).
//!
//! **Invariant.** Only machine code is known, by its content. A script may start whatever it likes.

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

/// The variable in which `cargo clippy` tells its compiler what stands behind the dashes.
pub(super) const CLIPPY_ARGUMENTS: &str = "CLIPPY_ARGS";

/// What compiles members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum MemberCompiler {
    /// Rustc.
    Rustc,
    /// Something in front of it.
    Driver(Driver),
    /// Something in front of it, and nobody knows what that does.
    Unknown,
}

impl MemberCompiler {
    /// What cargo would put in front of rustc. `members` are the directories of all members.
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

    /// It, where there is one that is known.
    pub(super) fn driver(&self) -> Option<&Driver> {
        if let Self::Driver(driver) = self { Some(driver) } else { None }
    }
}

/// A program by its content, and by its path, of which cargo makes the names of what is compiled.
fn driver(name: &OsStr, program: &Program, store: &LocalStore, members: BTreeSet<Utf8PathBuf>) -> Option<Driver> {
    let content = program.content_of_binary(store)?;
    let told = name.to_str()?.to_owned();
    let identity = [("the compiler of members", content.to_string()), ("its path", told.clone())];
    let identity = identity.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Some(Driver { program: told, identity, depends_on_primary: false, members })
}

/// Of `cargo clippy`. Where that mends sources, nothing is known: another program than the driver is started, and writes.
fn clippy(options: &Options, store: &LocalStore, sysroot: &Utf8Path, members: BTreeSet<Utf8PathBuf>) -> Option<Driver> {
    let arguments = options.invocation.clippy_arguments().filter(|_| !options.invocation.has("fix"))?;
    let program = clippy_driver(options, sysroot.as_std_path())?;
    let mut driver = driver(program.path().as_os_str(), &program, store, members)?;
    driver.depends_on_primary = arguments.contains(NO_DEPS);
    driver.identity.insert(CLIPPY_ARGUMENTS.into(), arguments);
    Some(driver)
}

/// What cargo-clippy has cargo put in front of rustc. Rustup's stand-in for it starts the one of the toolchain.
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

/// Where cargo looks for its subcommands: in its home before anything in `PATH`, unless that says otherwise.
fn subcommand_path(options: &Options) -> Option<OsString> {
    let home = options.environment.cargo_home(&options.directory).map(|home| home.join("bin"));
    let path = options.environment.get("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(path).collect();
    let first = home.filter(|home| !directories.contains(home));
    directories.splice(0..0, first);
    env::join_paths(directories).ok()
}

/// The environment that the cargo which compiles has: `cargo clippy` adds its arguments.
pub(super) fn cargo_environment(options: &Options) -> BTreeMap<OsString, OsString> {
    let mut environment = options.environment.0.clone();
    let arguments = options.invocation.clippy_arguments().filter(|_| options.invocation.command == "clippy");
    environment.extend(arguments.map(|arguments| (CLIPPY_ARGUMENTS.into(), arguments.into())));
    environment
}

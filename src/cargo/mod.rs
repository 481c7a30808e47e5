//! Cargo: the only module that calls it.
//!
//! [`Invocation`] is the command that the user typed, verbatim. [`Cargo`] runs the queries that a plan needs
//! (workspace, unit graph, configuration, version) with the same flags, and runs the build itself.
//!
//! **Invariants.** The user's arguments reach cargo unchanged and in order; added ones follow the subcommand directly.
//! `RUSTC_BOOTSTRAP=1` is set for the queries that need it and for nothing else. The build gets no further variable;
//! only a `RUSTC_WRAPPER` that is already set is replaced. So programs that cargo starts see the same environment as
//! without xcache. Cargo passes the path of any wrapper to build scripts, but they see the original environment as well
//! (`wrapper::stand_in`).

mod arguments;
mod builds;
mod config;
pub mod format;
mod invocation;
pub mod layout;
mod lockfile;
mod package;
mod rustflags;
mod unit_graph;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::Metadata;
use serde::Deserialize;

pub use self::builds::{Unpacking, as_build, build_of, unpacking};
pub use self::config::CargoConfig;
pub use self::format::Format;
pub use self::invocation::{Invocation, NO_DEPS};
pub use self::layout::Layout;
pub use self::lockfile::{LockedSource, Lockfile};
pub use self::package::{Package, PackageSource, Packages, packages};
pub use self::rustflags::{Rustflags, configure_linker};
pub use self::unit_graph::{GraphProfile, GraphTarget, GraphUnit, UnitGraph};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::process;

/// The directories of a workspace and of its outputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workspace {
    /// The directory of the workspace's Cargo.toml and Cargo.lock.
    pub root: Utf8PathBuf,
    /// Final artifacts.
    pub target_dir: Utf8PathBuf,
    /// Intermediate artifacts; the target directory unless it was moved.
    pub build_dir: Utf8PathBuf,
    /// The directories of all members.
    pub members: Vec<Utf8PathBuf>,
    /// A digest of cargo's description of the members, including the targets that it found in their directories.
    pub description: Digest,
}

/// Runs cargo.
#[derive(Clone, Debug)]
pub struct Cargo {
    program: PathBuf,
    invocation: Invocation,
    /// The command to run, if another one is planned in its place.
    executed: Option<Invocation>,
    without_incremental: bool,
}

impl Cargo {
    /// `program` is the cargo that started xcache. A `+toolchain` argument needs rustup's proxy from `PATH` instead.
    pub fn new(program: Option<PathBuf>, invocation: Invocation) -> Self {
        let program = match (&invocation.toolchain, program) {
            (None, Some(program)) => program,
            _ => "cargo".into(),
        };
        Self { program, invocation, executed: None, without_incremental: false }
    }

    /// Runs another command than the planned one.
    #[must_use]
    pub fn running(self, executed: Option<Invocation>) -> Self {
        Self { executed, ..self }
    }

    /// Makes cargo plan and compile members without `-C incremental`, or leaves that to cargo.
    ///
    /// `build.incremental` overrides profiles and files (`core/profiles.rs`). It is passed as configuration, because
    /// build scripts, tests and programs would see `CARGO_INCREMENTAL=0` and pass it on to any cargo that they run.
    #[must_use]
    pub fn without_incremental(self, without_incremental: bool) -> Self {
        Self { without_incremental, ..self }
    }

    /// The program that is run as cargo.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The user's command.
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// The same cargo, for the workspace of another manifest.
    #[must_use]
    pub fn at(&self, manifest: &Utf8Path) -> Self {
        let arguments = vec!["--manifest-path".into(), manifest.as_os_str().to_owned()];
        let invocation = Invocation { arguments, ..self.invocation.clone() };
        Self { invocation, ..self.clone() }
    }

    /// Cargo's description of the workspace and its members, without resolving dependencies.
    pub fn metadata(&self) -> Result<Metadata> {
        parse_json(&self.description()?, "cargo metadata")
    }

    /// Cargo's description of the package of one manifest, even if its workspace does not list it.
    pub fn package(&self, manifest: &Path) -> Result<cargo_metadata::Package> {
        let mut command = self.command();
        command.args(["read-manifest", "--manifest-path"]).arg(manifest);
        parse_json(&process::output(&mut command)?, "cargo read-manifest")
    }

    fn description(&self) -> Result<String> {
        process::output(self.metadata_command().args(["--no-deps", "--offline"]))
    }

    /// The workspace and its directories, without resolving dependencies.
    pub fn workspace(&self) -> Result<Workspace> {
        let description = self.description()?;
        let metadata: Metadata = parse_json(&description, "cargo metadata")?;
        let manifests = metadata.packages.iter().map(|package| package.manifest_path.as_path());
        Ok(Workspace {
            members: manifests.filter_map(|manifest| Some(manifest.parent()?.to_owned())).collect(),
            description: Digest::of(&description),
            root: metadata.workspace_root,
            build_dir: metadata.build_directory.unwrap_or_else(|| metadata.target_directory.clone()),
            target_dir: metadata.target_directory,
        })
    }

    /// The packages of the workspace and their dependencies, on these platforms and with the features of the command,
    /// as text for [`crate::explain::Origins::parse`]. A build never runs this query, because it may download packages
    /// that are not built.
    pub fn package_graph(&self, platforms: &[String]) -> Result<String> {
        let mut command = self.metadata_command();
        command.arg("--locked").args(self.invocation.feature_flags());
        command.args(platforms.iter().flat_map(|platform| ["--filter-platform", platform]));
        // A query must not write into the build directory.
        command.env("CARGO_CACHE_RUSTC_INFO", "0");
        process::output(&mut command)
    }

    /// The exact units of the command, as text for [`UnitGraph::parse`]. Cargo resolves, locks and downloads as for the
    /// build itself. Its status lines about that go to `status`; warnings do not, because the build repeats them.
    pub fn unit_graph(&self, mut status: impl FnMut(&str)) -> Result<String> {
        let mut command = self.command();
        command.arg(self.invocation.planning_command()).args(self.added_config());
        command.args(["--unit-graph", "-Zunstable-options"]);
        // With `RUSTC_BOOTSTRAP`, rustc reports further features of the processor. Cargo must not cache them for other
        // processes.
        command
            .args(self.invocation.planning_arguments())
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_CACHE_RUSTC_INFO", "0");
        process::output_observed(&mut command, |line| {
            if is_status(line) {
                status(line);
            }
        })
    }

    /// Cargo's merged configuration for the current directory.
    pub fn config(&self) -> Result<CargoConfig> {
        let mut command = self.command();
        command.args(self.invocation.config_flags()).args(["-Zunstable-options", "config", "get", "--format=json"]);
        parse_json(&process::output(command.env("RUSTC_BOOTSTRAP", "1"))?, "cargo config get")
    }

    /// The file that sets a configuration value. Absent if a variable or an option sets it.
    pub fn config_origin(&self, key: &str) -> Result<Option<PathBuf>> {
        let mut command = self.command();
        command.args(self.invocation.config_flags()).args([
            "-Zunstable-options",
            "config",
            "get",
            "--show-origin",
            key,
        ]);
        let output = process::output(command.env("RUSTC_BOOTSTRAP", "1"))?;
        let origin = output.trim_end().rsplit_once(" # ").map(|(_, origin)| PathBuf::from(origin));
        Ok(origin.filter(|origin| origin.is_absolute()))
    }

    /// Whether the configuration has an alias with the subcommand's name. Cargo looks for aliases before it reads
    /// `--config`.
    pub fn is_alias(&self) -> bool {
        let mut command = self.command();
        command.args(["-Zunstable-options", "config", "get", "--format=json"]);
        command.arg(format!("alias.{}", self.invocation.command)).env("RUSTC_BOOTSTRAP", "1");
        process::output(&mut command).is_ok()
    }

    /// The command that prints cargo's version.
    pub fn version_command(&self) -> Command {
        let mut command = self.command();
        command.arg("-V");
        command
    }

    /// The build, exactly as the user typed it, with `wrapper` around rustc.
    ///
    /// The wrapper is passed as configuration and not as `RUSTC_WRAPPER`: build scripts that declare this variable
    /// would otherwise run again whenever `cargo xcache build` and `cargo build` alternate. Only a `RUSTC_WRAPPER` that
    /// is already set, even to nothing, has to be `replaced`, because it would take precedence; the processes that
    /// cargo starts get the old value. A wrapper in the user's `--config` still takes effect, although cargo calls
    /// xcache's.
    pub fn build(&self, wrapper: Option<&Path>, replaced: Option<&OsStr>) -> Command {
        let invocation = self.executed.as_ref().unwrap_or(&self.invocation);
        let (before, after) = invocation.arguments.split_at(invocation.config_end());
        let mut command = self.command();
        command.arg(&invocation.command).args(self.added_config()).args(before);
        if let Some(wrapper) = wrapper {
            let quoted = |text: &OsStr| toml::Value::from(text.to_string_lossy().into_owned());
            match replaced {
                Some(replaced) => {
                    command.env("RUSTC_WRAPPER", wrapper);
                    command.arg("--config").arg(format!("env.RUSTC_WRAPPER.value={}", quoted(replaced)));
                    command.args(["--config", "env.RUSTC_WRAPPER.force=true"]);
                }
                None => {
                    let wrapper = quoted(wrapper.as_os_str());
                    command.arg("--config").arg(format!("build.rustc-wrapper={wrapper}"));
                }
            }
        }
        command.args(after);
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.invocation.toolchain.as_deref());
        command
    }

    /// Configuration that precedes the user's own `--config`, which overrides it, in the planning run and in the build.
    fn added_config(&self) -> &'static [&'static str] {
        if self.without_incremental { &["--config", "build.incremental=false"] } else { &[] }
    }

    fn metadata_command(&self) -> Command {
        let mut command = self.command();
        command.args(["metadata", "--format-version=1"]).args(self.invocation.workspace_flags());
        if let Some(target_dir) = self.invocation.value("target-dir") {
            command.env("CARGO_TARGET_DIR", target_dir);
        }
        command
    }
}

/// The rustc to query for its identity: that of `+toolchain` through rustup's proxy, or the one that cargo will run.
pub fn rustc_command(invocation: &Invocation, rustc: OsString) -> Command {
    let mut command = match &invocation.toolchain {
        Some(_) => Command::new("rustc"),
        None => Command::new(rustc),
    };
    command.args(invocation.toolchain.as_deref());
    command
}

/// Whether a line is a status line of cargo's about the lockfile or the sources.
fn is_status(line: &str) -> bool {
    const VERBS: &[&str] = &[
        "Updating",
        "Locking",
        "Adding",
        "Removing",
        "Upgrading",
        "Downgrading",
        "Unchanged",
        "Downloading",
        "Downloaded",
        "Unpacking",
        "Fetching",
        "Cloning",
    ];
    line.starts_with(' ') && line.split_whitespace().next().is_some_and(|verb| VERBS.contains(&verb))
}

fn parse_json<T: for<'de> Deserialize<'de>>(text: &str, command: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| unusable(command, error))
}

fn unusable(command: &str, error: impl ToString) -> Error {
    Error::Command { command: command.into(), reason: error.to_string() }
}

//! Skips workspace members: cargo is told that they are compiled, and nothing is.
//!
//! Cargo has to run what a member's build script is compiled to, so this binary takes its place ([`run_if_script`]).
//! When cargo has ended, its records of these units are removed ([`remove_traces`]).
//!
//! **Invariants.** All units that depend on a member are skipped, too; with `[patch]`, these may be units of other
//! packages. Whenever this is interrupted, cargo will build the skipped units: they have neither dep-info nor outputs,
//! and the stand-in disappears with its session, or refuses to run without it.

use std::collections::BTreeSet;
use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use camino::Utf8PathBuf;

use crate::cargo::{Format, layout};
use crate::error::{Error, Result};
use crate::event::{EventLog, UnitId};
use crate::fs;
use crate::link::Link;
use crate::plan::{BuildPlan, Unit};
use crate::roots::{Root, Roots};

/// The prefixes of the names of build scripts' programs (`core/manifest.rs`).
const SCRIPT_NAMES: [&str; 2] = ["build-script-", "build_script_"];

/// The name of a file that a session keeps locked while it runs.
const ALIVE: &str = "alive";

/// The units to skip.
#[derive(Debug)]
pub struct SkippedMembers {
    units: BTreeSet<UnitId>,
    /// A link to this binary, in a directory that disappears with the session.
    stand_in: Link,
    /// The locked file.
    _alive: File,
}

impl SkippedMembers {
    /// Finds the members and all units that depend on one. `executable` is this binary.
    pub fn new(plan: &BuildPlan, roots: &Roots, executable: &Path) -> Result<Self> {
        let is_in_toolchain =
            |unit: &Unit| roots.get(Root::Sysroot).is_some_and(|root| unit.package_dir.starts_with(root));
        let is_member = |unit: &Unit| !unit.external && !is_in_toolchain(unit);
        let stand_in = Link::new(executable, "xcache-script")?;
        let alive = stand_in.directory().join(ALIVE);
        let file = File::create(&alive).map_err(Error::io("create", &alive))?;
        file.lock().map_err(Error::io("lock", &alive))?;
        Ok(Self { units: plan.with_dependents(is_member), stand_in, _alive: file })
    }

    /// Whether the unit is skipped.
    pub(super) fn contains(&self, id: UnitId) -> bool {
        self.units.contains(&id)
    }

    /// The program that takes the place of a build script's program.
    pub(super) fn stand_in(&self) -> &Path {
        self.stand_in.program()
    }
}

/// Cargo's records of a skipped unit.
#[derive(Debug)]
pub(super) struct Trace {
    pub profile: Utf8PathBuf,
    pub directories: Vec<Utf8PathBuf>,
}

/// Removes cargo's records of skipped units.
pub(super) fn remove_traces(traces: &[Trace], format: Format, log: &EventLog) {
    let profiles: BTreeSet<_> = traces.iter().map(|trace| &trace.profile).collect();
    let _locks = layout::lock(profiles, format.generation, || {});
    for directory in traces.iter().flat_map(|trace| &trace.directories) {
        match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log.warn(format!("cannot remove {directory}: {error}"));
            }
            _ => {}
        }
    }
}

/// Runs as the build script of a skipped package if this process was started under such a name. It does nothing.
pub fn run_if_script() -> Option<ExitCode> {
    let own = PathBuf::from(env::args_os().next()?);
    let name = own.file_name()?.to_string_lossy();
    if !SCRIPT_NAMES.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    if !is_left_over(&own) {
        return Some(ExitCode::SUCCESS);
    }
    // Cargo compiles members again in any case. Only a package that depends on a member gets here.
    let siblings = own.parent().map(fs::children).and_then(Result::ok).unwrap_or_default();
    siblings.iter().filter(|path| path.is_symlink()).for_each(|path| drop(fs::remove_file(path)));
    let _ = writeln!(io::stderr(), "`cargo xcache warm` was killed before it could remove this file; build again");
    Some(ExitCode::FAILURE)
}

/// Whether the session of this stand-in was killed, so that another build runs it as the real script.
fn is_left_over(stand_in: &Path) -> bool {
    let directory = std::fs::read_link(stand_in).ok().and_then(|program| Some(program.parent()?.to_owned()));
    let alive = directory.and_then(|directory| File::open(directory.join(ALIVE)).ok());
    alive.is_some_and(|alive| alive.try_lock().is_ok())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::link::link;

    #[test]
    fn a_stand_in_detects_whether_its_session_is_running() {
        let session = Link::new(Path::new("/bin/true"), "xcache-script").unwrap();
        let alive = File::create(session.directory().join(ALIVE)).unwrap();
        alive.lock().unwrap();
        let target = tempfile::tempdir().unwrap();
        let stand_in = target.path().join("build-script-build");
        link(session.program(), &stand_in).unwrap();
        assert!(!is_left_over(&stand_in));
        drop(alive);
        assert!(is_left_over(&stand_in));
    }
}

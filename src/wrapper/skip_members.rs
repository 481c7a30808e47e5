//! A build without the workspace's members: cargo is told that they are compiled, and nothing is.
//!
//! What a member's build script is compiled to has to be run, so this binary stands in for it ([`run_if_script`]). When
//! cargo has ended, what it noted of these units is removed again ([`remove_traces`]).
//!
//! **Invariants.** Whatever depends on a member is skipped, too: another package may, through `[patch]`. Whenever this
//! is interrupted, cargo will build these units: they have neither dep-info nor outputs, and a stand-in is gone with
//! its session, or refuses to run without it.

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

/// What stands at the beginning of the name of every build script's program (`core/manifest.rs`).
const SCRIPT_NAMES: [&str; 2] = ["build-script-", "build_script_"];

/// A file that a session has locked while it lives.
const ALIVE: &str = "alive";

/// The units that are left out.
#[derive(Debug)]
pub struct SkippedMembers {
    units: BTreeSet<UnitId>,
    /// This binary, in a directory that goes with the session.
    stand_in: Link,
    /// Held while the session lives.
    _alive: File,
}

impl SkippedMembers {
    /// Members, and whatever depends on one. `executable` is this binary.
    pub fn new(plan: &BuildPlan, roots: &Roots, executable: &Path) -> Result<Self> {
        let of_toolchain =
            |unit: &Unit| roots.get(Root::Sysroot).is_some_and(|root| unit.package_dir.starts_with(root));
        let is_member = |unit: &Unit| !unit.external && !of_toolchain(unit);
        let stand_in = Link::new(executable, "xcache-script")?;
        let alive = stand_in.directory().join(ALIVE);
        let file = File::create(&alive).map_err(Error::io("create", &alive))?;
        file.lock().map_err(Error::io("lock", &alive))?;
        Ok(Self { units: plan.with_dependents(is_member), stand_in, _alive: file })
    }

    /// Whether the unit is left out.
    pub(super) fn has(&self, id: UnitId) -> bool {
        self.units.contains(&id)
    }

    /// What is put where the program of a build script would be.
    pub(super) fn stand_in(&self) -> &Path {
        self.stand_in.program()
    }
}

/// What cargo has noted of a unit that was left out.
#[derive(Debug)]
pub(super) struct Trace {
    pub profile: Utf8PathBuf,
    pub directories: Vec<Utf8PathBuf>,
}

/// Removes it.
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

/// Runs as the build script of a package that is left out, if that is the name this process was started by: does nothing.
pub fn run_if_script() -> Option<ExitCode> {
    let own = PathBuf::from(env::args_os().next()?);
    let name = own.file_name()?.to_string_lossy();
    if !SCRIPT_NAMES.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    if !is_left_over(&own) {
        return Some(ExitCode::SUCCESS);
    }
    // Members are compiled anew in any case. Only a package that depends on one comes to this.
    let siblings = own.parent().map(fs::children).and_then(Result::ok).unwrap_or_default();
    siblings.iter().filter(|path| path.is_symlink()).for_each(|path| drop(fs::remove_file(path)));
    let _ = writeln!(io::stderr(), "`cargo xcache warm` was killed before it could remove this; build again");
    Some(ExitCode::FAILURE)
}

/// Whether the session of a stand-in was killed, and somebody else takes it for the real script.
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
    fn a_stand_in_knows_whether_its_session_lives() {
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

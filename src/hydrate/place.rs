//! Writes units into the build directory.
//!
//! **Invariants.** The old hashes of all fingerprints are removed before anything is written, dependents first. The new
//! hashes are written when everything else is complete, dependencies first. So at any moment, if a unit has its hash,
//! its dependencies have theirs. Outputs appear whole, under their final names. The `OUT_DIR` of a run that is not
//! committed is left empty, as a clean build directory has it.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Instant, SystemTime};

use camino::Utf8Path;
use rayon::iter::Either;
use rayon::prelude::*;

use super::fingerprint::to_hex;
use super::generated::make;
use super::printed::printed;
use super::select::Chosen;
use super::{Failure, Hydration};
use crate::entry::{Content, FileKind, FileRecord, Fresh, SmallFile};
use crate::error::{Error, Result};
use crate::event::UnitId;
use crate::fs::{create_dir_all, remove_children, remove_file, write_atomic};
use crate::roots::Roots;
use crate::rustc::RecordedDepInfo;
use crate::rustc::diagnostics::{self, Unmapping};
use crate::store::LocalStore;

/// The modification times of placed files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The time of all outputs of external packages, including cargo's files of build scripts' runs.
    pub outputs: SystemTime,
    /// Whether `outputs` is the time of the store's files, so that they may be linked.
    pub link: bool,
    /// The time of all outputs of packages in directories.
    pub members: SystemTime,
}

/// How long it took to place the files of a unit, and when that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub millis: u64,
    pub ended: Instant,
}

/// Places all files of the units except the hashes of their fingerprints.
pub(super) fn place(
    hydration: &Hydration<'_>,
    chosen: &[&Chosen],
    times: Times,
) -> (BTreeMap<UnitId, Timing>, Vec<Failure>) {
    chosen.par_iter().partition_map(|one| {
        let start = Instant::now();
        match place_files(hydration, one, times) {
            Ok(()) => {
                let timing = Timing { millis: start.elapsed().as_millis() as u64, ended: Instant::now() };
                Either::Left((one.unit, timing))
            }
            Err(error) => Either::Right(Failure { unit: one.unit, entry: one.entry.clone(), error }),
        }
    })
}

/// Removes the existing hashes, those of dependents first.
pub(super) fn invalidate(chosen: &[Chosen]) -> Result<()> {
    chosen.iter().rev().try_for_each(|one| remove_file(one.hash_file().as_std_path()))
}

/// Writes the hashes, which make the units fresh, those of dependencies first. If one cannot be written, the rest are
/// not written either.
pub(super) fn commit(hydration: &Hydration<'_>, chosen: &[Chosen], placed: &mut BTreeMap<UnitId, Timing>) {
    let mut to_commit = chosen.iter().filter(|one| placed.contains_key(&one.unit));
    let write = |one: &&Chosen| write_atomic(one.hash_file().as_std_path(), to_hex(one.hash).as_bytes());
    let mut committed = Vec::new();
    let failed = to_commit.by_ref().find_map(|one| match write(&one) {
        Ok(()) => {
            committed.push(one.unit);
            None
        }
        Err(error) => Some(error),
    });
    if let Some(error) = failed {
        hydration.log.warn(error);
        placed.retain(|unit, _| committed.contains(unit));
    }
}

/// Empties the `OUT_DIR` of each run of a build script among these units, which are not committed. The script will run
/// there, and it may read or append to what it finds.
pub(super) fn withdraw<'a>(hydration: &Hydration<'_>, units: impl Iterator<Item = &'a Chosen>) {
    for run in units.filter(|one| hydration.plan.unit(one.unit).is_script_run()) {
        if let Err(error) = remove_children(run.outputs().as_std_path()) {
            hydration.log.warn(error);
        }
    }
}

fn place_files(hydration: &Hydration<'_>, chosen: &Chosen, times: Times) -> Result<()> {
    let fresh = chosen.fresh();
    let fingerprint = chosen.profile.join(&fresh.fingerprint_dir);
    create_dir_all(fingerprint.as_std_path())?;
    let outputs = chosen.outputs();
    create_dir_all(outputs.as_std_path())?;
    // Cargo sets back the time of what `check` writes, and linkers may write into existing files.
    let unit = hydration.plan.unit(chosen.unit);
    let (modified, may_link) = match unit.external {
        true => (times.outputs, times.link && unit.mode != "check"),
        false => (times.members, false),
    };
    for file in &chosen.entry.files {
        let path = outputs.join(&file.name);
        if file.kind.is_generated() && make(file, &outputs, hydration.store, hydration.site.roots)? {
            continue;
        }
        match file.kind {
            FileKind::DepInfo => {
                let text = dep_info(hydration.store, file, hydration.site.roots)?;
                write(&path, text.as_bytes(), None)?;
            }
            kind => {
                let link = may_link && matches!(kind, FileKind::Rlib | FileKind::Rmeta);
                hydration.store.place(file, path.as_std_path(), modified, link)?;
            }
        }
    }
    for file in &fresh.files {
        write_small_file(hydration, chosen, file, times)?;
    }
    let json = fingerprint.join(format!("{}.json", fresh.name));
    write(&json, chosen.fingerprint.to_json().as_bytes(), None)?;
    if times.link { Ok(()) } else { remove_others(&fingerprint, fresh) }
}

/// Removes what an earlier compilation left in the directory of a unit's fingerprint. Cargo would replay the
/// diagnostics of that compilation.
fn remove_others(directory: &Utf8Path, fresh: &Fresh) -> Result<()> {
    for entry in directory.read_dir_utf8().map_err(Error::io("list", directory))? {
        let path = entry.map_err(Error::io("list", directory))?.into_path();
        let is_of_name = path.file_stem() == Some(&fresh.name) || path.file_name() == Some(&fresh.name);
        let is_ours = is_of_name || fresh.files.iter().any(|file| path.ends_with(&file.path));
        if !is_ours {
            remove_file(path.as_std_path())?;
        }
    }
    Ok(())
}

/// Writes one of cargo's small files of a unit. Its files of a build script's run count as outputs. Among the others,
/// time matters only for a member's dep-info: cargo takes newer sources as changed, so the dep-info must not be newer
/// than the sources that were compared with the entry.
fn write_small_file(hydration: &Hydration<'_>, chosen: &Chosen, file: &SmallFile, times: Times) -> Result<()> {
    let path = chosen.profile.join(&file.path);
    let is_output = !Utf8Path::new(&file.path).starts_with(&chosen.fresh().fingerprint_dir);
    if is_output {
        create_dir_all(path.parent().unwrap_or(&chosen.profile).as_std_path())?;
    }
    let is_member = !hydration.plan.unit(chosen.unit).external;
    let time = match is_output {
        true => Some(times.outputs),
        false => is_member.then(|| hydration.plan.began()),
    };
    let roots = hydration.site.roots;
    let unknown =
        || Error::corrupt(format!("unit/{}", chosen.entry.key), format!("{} names an unknown root", file.path));
    match &file.content {
        Content::Text(text) => write(&path, text.as_bytes(), time),
        Content::Bytes(bytes) => write(&path, bytes, time),
        Content::Path(rooted) => write(&path, roots.resolve(rooted).ok_or_else(unknown)?.as_str().as_bytes(), time),
        Content::Diagnostics => {
            write(&path, diagnostics::printed(&chosen.entry.diagnostics, &Unmapping::new(roots)).as_bytes(), time)
        }
        Content::Printed { .. } => write(&path, printed(&file.content, roots).ok_or_else(unknown)?.as_bytes(), time),
    }
}

/// The text of a stored dep-info, with the paths of this machine.
pub fn dep_info(store: &LocalStore, file: &FileRecord, roots: &Roots) -> Result<String> {
    let corrupt = |reason: String| Error::corrupt(format!("file/{}", file.digest), reason);
    let recorded: RecordedDepInfo =
        serde_json::from_str(&store.read_text(file)?).map_err(|error| corrupt(error.to_string()))?;
    recorded.resolve(roots).ok_or_else(|| corrupt("it names an unknown root".into()))
}

/// Writes a file in place. It need not appear whole, since nobody reads it before the unit is committed.
fn write(path: &Utf8Path, bytes: &[u8], modified: Option<SystemTime>) -> Result<()> {
    fs::write(path, bytes).map_err(Error::io("write", path))?;
    let Some(modified) = modified else { return Ok(()) };
    let file = fs::File::options().write(true).open(path).map_err(Error::io("write", path))?;
    file.set_modified(modified).map_err(Error::io("write", path))
}

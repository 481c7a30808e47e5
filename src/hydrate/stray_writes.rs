//! Detects files that a build script wrote outside of `OUT_DIR`.
//!
//! Such files are newer than the beginning of the run. They are searched for in the places that scripts are known to
//! write to: their own package, the build directory, and the workspace around it. Files that others are known to write
//! there (cargo's products, a shell's log of the build) do not count.

use std::collections::HashMap;
use std::fs;
use std::time::SystemTime;

use camino::{Utf8DirEntry, Utf8Path, Utf8PathBuf};
use ignore::WalkBuilder;

use super::Site;
use crate::cargo::layout::{BUILD_DIR_NAMES, PROFILE_NAMES};
use crate::plan::Unit;
use crate::roots::Root;

/// The content of the workspace before anything ran: paths, and the sizes of files.
#[derive(Debug, Default)]
pub struct WorkspaceSnapshot {
    sizes: HashMap<Utf8PathBuf, Option<u64>>,
}

impl WorkspaceSnapshot {
    /// Looks at what is directly in the workspace's places.
    pub fn of(site: &Site<'_>) -> Self {
        let entries =
            site.workspace_places().into_iter().filter_map(|place| place.read_dir_utf8().ok()).flatten().flatten();
        let size = |entry: &Utf8DirEntry| entry.metadata().ok().filter(fs::Metadata::is_file).map(|file| file.len());
        Self { sizes: entries.map(|entry| (entry.path().to_owned(), size(&entry))).collect() }
    }

    /// Whether a change is not the script's: a directory existed before, or a file has only grown, as logs do.
    fn explains(&self, path: &Utf8Path, now: &fs::Metadata) -> bool {
        self.sizes.get(path).is_some_and(|size| size.is_none_or(|size| now.len() > size))
    }
}

impl Site<'_> {
    /// Whether the run of a build script that `began` then may have written anything outside of `OUT_DIR`. `is_product`
    /// recognises what is built into the profile's directory by its name without extension.
    pub fn wrote_outside(
        &self,
        unit: &Unit,
        began: SystemTime,
        before: &WorkspaceSnapshot,
        is_product: impl Fn(&str) -> bool,
    ) -> bool {
        let build_dir = self.roots.get(Root::BuildDir);
        let is_written_to = |place: &Utf8Path| has_new_directly_in(place, began, build_dir, before, &is_product);
        has_new_below(&unit.package_dir, began)
            || self.profile(unit).is_some_and(|profile| is_written_to(&profile))
            || build_dir.is_some_and(is_written_to)
            || self.workspace_places().into_iter().any(is_written_to)
    }

    /// The workspace's directory, and the parent of the build directory if it is in the workspace. Elsewhere, anybody
    /// may write to the parent.
    fn workspace_places(&self) -> Vec<&Utf8Path> {
        let (build_dir, workspace) = (self.roots.get(Root::BuildDir), self.roots.get(Root::Workspace));
        let beside = build_dir.and_then(Utf8Path::parent).zip(workspace);
        let beside = beside
            .filter(|(beside, workspace)| beside != workspace && beside.starts_with(workspace))
            .map(|(beside, _)| beside);
        beside.into_iter().chain(workspace).collect()
    }
}

fn is_newer(metadata: &fs::Metadata, began: SystemTime) -> bool {
    metadata.modified().is_ok_and(|modified| modified >= began)
}

/// Whether anything below a directory is newer than `began`.
fn has_new_below(directory: &Utf8Path, began: SystemTime) -> bool {
    let entries = WalkBuilder::new(directory).standard_filters(false).build().flatten();
    entries.into_iter().any(|entry| entry.metadata().is_ok_and(|metadata| is_newer(&metadata, began)))
}

/// Whether anything directly in a directory is newer than `began`. Directories of other profiles belong to other builds
/// and do not count.
fn has_new_directly_in(
    directory: &Utf8Path,
    began: SystemTime,
    build_dir: Option<&Utf8Path>,
    before: &WorkspaceSnapshot,
    is_product: &impl Fn(&str) -> bool,
) -> bool {
    let entries = directory.read_dir_utf8().into_iter().flatten().flatten();
    let others = entries.filter(|entry| {
        let name = entry.file_name();
        let stem = name.split('.').next().unwrap_or(name);
        let is_of_cargo = PROFILE_NAMES.contains(&name) || BUILD_DIR_NAMES.contains(&name);
        let is_place = build_dir.is_some_and(|build_dir| build_dir.starts_with(entry.path()))
            || build_dir.is_some_and(|build_dir| directory == build_dir) && entry.path().is_dir();
        !is_of_cargo && !is_place && !is_product(stem.strip_prefix("lib").unwrap_or(stem))
    });
    let is_new =
        |metadata: fs::Metadata, path: &Utf8Path| is_newer(&metadata, began) && !before.explains(path, &metadata);
    others.into_iter().any(|entry| entry.metadata().is_ok_and(|metadata| is_new(metadata, entry.path())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn newer_files_count_unless_cargo_wrote_them() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(temporary.path()).unwrap();
        let write = |name: &str| fs::write(directory.join(name), "").unwrap();
        write("before");
        let began = SystemTime::now() + Duration::from_secs(60);
        let touch = |name: &str| {
            write(name);
            fs::File::options().write(true).open(directory.join(name)).unwrap().set_modified(began).unwrap();
        };
        let mut before = WorkspaceSnapshot::default();
        let found = |before: &WorkspaceSnapshot| {
            has_new_directly_in(directory, began, None, before, &|name: &str| name == "app")
        };
        assert!(!found(&before) && !has_new_below(directory, began));
        for name in ["app", "libapp.rlib", "app.d", ".rustc_info.json"] {
            touch(name);
            assert!(!found(&before), "{name}");
        }
        touch("helper.dll");
        assert!(found(&before) && has_new_below(directory, began));
        // A file that has only grown is a log; one that was written again with the same size may be the script's.
        let path = directory.join("helper.dll");
        before.sizes.insert(path.clone(), Some(0));
        assert!(found(&before));
        fs::write(&path, "grown").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(began).unwrap();
        assert!(!found(&before));
    }
}

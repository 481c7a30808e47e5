//! Whether a build script wrote anything outside of `OUT_DIR`.
//!
//! Cargo starts scripts without asking anybody, so what can be seen is what is younger than the begin of the run, in the
//! places that scripts are known to write to: their own package, and the directories around the build directory.

use std::fs;
use std::time::SystemTime;

use camino::Utf8Path;
use ignore::WalkBuilder;

use super::Site;
use crate::plan::Unit;
use crate::roots::Root;

/// What cargo itself writes there while it builds.
const OF_CARGO: &[&str] =
    &[".cargo-lock", ".fingerprint", ".rustc_info.json", "CACHEDIR.TAG", "build", "deps", "examples", "incremental"];

impl Site<'_> {
    /// Whether there is anything outside of `OUT_DIR` that may have been written by the run of a build script that began
    /// then. `is_product` knows what is built into the profile's directory, by its name without extension.
    pub fn wrote_outside(&self, unit: &Unit, began: SystemTime, is_product: impl Fn(&str) -> bool) -> bool {
        let (build_dir, workspace) = (self.roots.get(Root::BuildDir), self.roots.get(Root::Workspace));
        let profile = self.profile(unit);
        // Anybody may write to a directory that is not the workspace's.
        let beside =
            build_dir.and_then(Utf8Path::parent).zip(workspace).filter(|(beside, root)| beside.starts_with(root));
        let places = [profile.as_deref(), build_dir, beside.map(|(beside, _)| beside), workspace].into_iter().flatten();
        is_written(&unit.package_dir, began)
            || places.into_iter().any(|place| has_new(place, began, build_dir, &is_product))
    }
}

fn is_younger(metadata: &fs::Metadata, began: SystemTime) -> bool {
    metadata.modified().is_ok_and(|modified| modified >= began)
}

/// Anywhere below.
fn is_written(directory: &Utf8Path, began: SystemTime) -> bool {
    let entries = WalkBuilder::new(directory).standard_filters(false).build().flatten();
    entries.into_iter().any(|entry| entry.metadata().is_ok_and(|metadata| is_younger(&metadata, began)))
}

/// Right there. The directories of other profiles are other builds' matter.
fn has_new(
    directory: &Utf8Path,
    began: SystemTime,
    build_dir: Option<&Utf8Path>,
    is_product: &impl Fn(&str) -> bool,
) -> bool {
    let entries = directory.read_dir_utf8().into_iter().flatten().flatten();
    let others = entries.filter(|entry| {
        let name = entry.file_name();
        let stem = name.split('.').next().unwrap_or(name);
        let is_place = build_dir.is_some_and(|build_dir| build_dir.starts_with(entry.path()))
            || build_dir.is_some_and(|build_dir| directory == build_dir) && entry.path().is_dir();
        !OF_CARGO.contains(&name) && !is_place && !is_product(stem.strip_prefix("lib").unwrap_or(stem))
    });
    others.into_iter().any(|entry| entry.metadata().is_ok_and(|metadata| is_younger(&metadata, began)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_younger_than_the_run_was_written_by_it_unless_it_is_cargos() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Utf8Path::from_path(temporary.path()).unwrap();
        let write = |name: &str| fs::write(directory.join(name), "").unwrap();
        write("before");
        let began = SystemTime::now() + Duration::from_secs(60);
        let touch = |name: &str| {
            write(name);
            fs::File::options().write(true).open(directory.join(name)).unwrap().set_modified(began).unwrap();
        };
        let found = || has_new(directory, began, None, &|name: &str| name == "app");
        assert!(!found() && !is_written(directory, began));
        for name in ["app", "libapp.rlib", "app.d", ".rustc_info.json"] {
            touch(name);
            assert!(!found(), "{name}");
        }
        touch("helper.dll");
        assert!(found() && is_written(directory, began));
    }
}

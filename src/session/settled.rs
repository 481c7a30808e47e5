//! Whether there is anything to plan at all.
//!
//! A command that succeeded leaves a target directory in which the same command finds everything fresh. So a session that
//! ended well writes down what it went by: the command, the environment, the manifests, the lockfile, the toolchain and
//! the directories of cargo's fingerprints. Where all of that is as it was, the next session starts cargo at once, and
//! plans only if a crate is compiled after all.
//!
//! **Invariant.** This is about speed only: without a plan the wrapper makes one when it is first asked to compile.

use std::ffi::OsString;
use std::path::PathBuf;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::Options;
use crate::cargo::Workspace;
use crate::cargo::layout::UNIT_DIRECTORIES;
use crate::config::{SETTINGS, Setting};
use crate::digest::Digest;
use crate::fs::Stamp;
use crate::plan::BuildPlan;
use crate::store::LocalStore;

/// What a session went by.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Settled {
    /// Where the report goes.
    pub target_dir: Utf8PathBuf,
    /// A wrapper of the user's own.
    pub user_wrapper: Option<String>,
    /// Files and directories that must be as they were.
    paths: Vec<Utf8PathBuf>,
    /// Their stamps.
    stamps: Digest,
}

impl Settled {
    /// What the last session of this command went by, if all of it is as it was.
    pub(super) fn recall(options: &Options, store: &LocalStore) -> Option<Self> {
        let settled: Self = serde_json::from_slice(&store.probe(name(options))?).ok()?;
        (stamps(&settled.paths)? == settled.stamps).then_some(settled)
    }

    /// Writes it down, once a command has succeeded.
    pub(super) fn remember(
        options: &Options,
        store: &LocalStore,
        workspace: &Workspace,
        plan: &BuildPlan,
        user_wrapper: Option<String>,
    ) {
        let mut paths = vec![workspace.root.join("Cargo.lock"), workspace.root.join("Cargo.toml")];
        paths.extend(plan.member_manifests());
        let profiles = plan.profile_dirs().into_iter().map(|profile| workspace.build_dir.join(profile));
        paths.extend(profiles.flat_map(|profile| UNIT_DIRECTORIES.map(|name| profile.join(name))));
        paths.sort();
        paths.dedup();
        paths.retain(|path| path.exists());
        let Some(stamps) = stamps(&paths) else { return };
        let settled = Self { target_dir: workspace.target_dir.clone(), user_wrapper, paths, stamps };
        // Where the store cannot be written, the next session plans.
        let _ = serde_json::to_vec(&settled).map(|bytes| store.put_probe(name(options), &bytes));
    }
}

fn name(options: &Options) -> Digest {
    Digest::of(format!("settled {}", circumstances(options)))
}

/// The command, the programs, and everything in the environment that cargo or rustc looks at.
pub(super) fn circumstances(options: &Options) -> Digest {
    // Where a setting comes from does not matter.
    let settings: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
    let is_looked_at = |name: &OsString| {
        let name = name.to_string_lossy();
        let is_prefixed = ["CARGO", "RUST", "XCACHE"].iter().any(|prefix| name.starts_with(prefix));
        (is_prefixed || name == "HOME" || name == "PATH") && !settings.iter().any(|setting| *setting == name)
    };
    let environment: Vec<_> = options.environment.0.iter().filter(|(name, _)| is_looked_at(name)).collect();
    let programs = ["CARGO", "RUSTC"].iter().filter_map(|name| options.environment.get(name)).map(PathBuf::from);
    let programs: Vec<_> = programs.map(|program| Stamp::of(&program).ok()).collect();
    let parts = (&options.directory, &options.invocation, environment, programs, options.settings.of_the_build());
    Digest::of(format!("{parts:?}"))
}

fn stamps(paths: &[Utf8PathBuf]) -> Option<Digest> {
    let stamp = |path: &Utf8PathBuf| Stamp::of(Utf8Path::as_std_path(path)).ok();
    let stamps: Option<Vec<_>> = paths.iter().map(stamp).collect();
    Some(Digest::of(format!("{:?}", stamps?)))
}

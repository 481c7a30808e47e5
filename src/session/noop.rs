//! The no-op record: whether there is anything to plan at all.
//!
//! A command that succeeded leaves a target directory in which the same command finds everything fresh. So a successful
//! session records the command, the settings, everything that cargo reads ([`super::cargo_inputs`]), and the state of
//! the directories of cargo's fingerprints. If all of these are unchanged, the next session starts cargo at once, and
//! plans only if cargo compiles a crate after all.
//!
//! **Invariants.** The record only saves time: if cargo asks the wrapper to compile, the session plans then. Cargo is
//! running by then, so this plan is valid only if what cargo reads has not changed since the record was read
//! ([`NoopRecord::holds`]).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::Options;
use super::cargo_inputs::{CargoInputs, stamps, variables};
use crate::cargo::layout::UNIT_DIRECTORIES;
use crate::cargo::{Invocation, Layout, Workspace};
use crate::config::Settings;
use crate::digest::{Digest, Domain};
use crate::store::LocalStore;
use crate::wrapper::UserWrapper;

/// What a successful session stores.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct NoopRecord {
    /// The target directory, where the report goes.
    pub target_dir: Utf8PathBuf,
    /// The build directory, where cargo builds.
    pub build_dir: Utf8PathBuf,
    /// The user's own rustc wrapper.
    pub user_wrapper: Option<UserWrapper>,
    /// The programs of build scripts, and whether each may run several times.
    pub scripts: Vec<(Utf8PathBuf, bool)>,
    /// What cargo read.
    #[serde(rename = "read")]
    cargo_inputs: CargoInputState,
    /// The directories that cargo wrote to.
    written: Vec<OsString>,
    /// The state of these directories.
    written_stamps: Digest,
}

/// What cargo reads, and its state when the plan was made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct CargoInputState {
    /// The files and programs that cargo reads.
    #[serde(rename = "depends")]
    inputs: CargoInputs,
    /// Their lengths, times and inodes, or that they do not exist.
    stamps: Digest,
}

impl CargoInputState {
    /// The current state.
    pub(super) fn now(inputs: CargoInputs) -> Self {
        Self { stamps: inputs.stamps(), inputs }
    }
}

impl NoopRecord {
    /// The record of the last session of this command, if nothing has changed since.
    pub(super) fn recall(options: &Options, store: &LocalStore) -> Option<Self> {
        let record: Self = ciborium::from_reader(&*store.probe(name(options))?).ok()?;
        (record.holds() && stamps(&record.written) == record.written_stamps).then_some(record)
    }

    /// Whether everything that cargo reads is unchanged.
    pub(super) fn holds(&self) -> bool {
        self.cargo_inputs.inputs.stamps() == self.cargo_inputs.stamps
    }

    /// Stores the record of a command that has succeeded.
    pub(super) fn remember(
        options: &Options,
        store: &LocalStore,
        workspace: &Workspace,
        profiles: &[(Layout, Utf8PathBuf)],
        scripts: Vec<(Utf8PathBuf, bool)>,
        user_wrapper: Option<UserWrapper>,
        cargo_inputs: CargoInputState,
    ) {
        let written = profiles.iter().flat_map(|(_, profile)| UNIT_DIRECTORIES.map(|name| profile.join(name)));
        let written: Vec<OsString> = written.map(|path| path.into_std_path_buf().into()).collect();
        let written_stamps = stamps(&written);
        let Workspace { target_dir, build_dir, .. } = workspace.clone();
        let record = Self { target_dir, build_dir, user_wrapper, scripts, cargo_inputs, written, written_stamps };
        let mut bytes = Vec::new();
        // If this fails, the next session plans.
        let _ = ciborium::into_writer(&record, &mut bytes).map(|()| store.put_probe(name(options), &bytes));
    }
}

fn name(options: &Options) -> Digest {
    Digest::of_value(Domain::NothingToDo, &circumstances(options))
}

/// The inputs of a command that are known before any file is read.
#[derive(Serialize)]
struct Circumstances<'a> {
    /// The current directory.
    directory: &'a OsStr,
    /// The command, word by word, and the toolchain that it names.
    invocation: &'a Invocation,
    /// The variables that cargo reads, with their values.
    variables: Vec<(&'a OsStr, &'a OsStr)>,
    /// The directory of the local store.
    store: &'a OsStr,
    /// The settings that affect a build.
    settings: Settings,
}

/// The digest of the command, the settings, and the variables that cargo reads.
pub(super) fn circumstances(options: &Options) -> Digest {
    let circumstances = Circumstances {
        directory: options.directory.as_os_str(),
        invocation: &options.invocation,
        variables: variables(&options.environment).collect(),
        store: options.settings.dir.as_os_str(),
        settings: Settings {
            // The path may not be UTF-8, so it is in a field of its own.
            dir: PathBuf::new(),
            // The URL without secrets.
            remote: options.settings.remote.as_ref().map(|remote| remote.to_string().into()),
            ..options.settings.of_the_build()
        },
    };
    Digest::of_value(Domain::Circumstances, &circumstances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::field_changes::Change;
    use crate::session::Environment;

    fn options() -> Options {
        let variables = [("PATH", "/bin"), ("RUSTFLAGS", "-g"), ("HOME", "/home")];
        Options {
            invocation: Invocation::new(None, "build", Vec::new()),
            runs: None,
            cargo: None,
            executable: PathBuf::new(),
            settings: Settings::default(),
            environment: Environment(variables.map(|(name, value)| (name.into(), value.into())).into()),
            directory: "/app".into(),
            is_watched: false,
            warm: None,
        }
    }

    #[test]
    fn each_circumstance_alone_is_another_one() {
        let of = |change: fn(&mut Options)| {
            let mut options = options();
            change(&mut options);
            circumstances(&options)
        };
        let plain = of(|_| {});
        assert_eq!(of(|_| {}), plain);
        let changes: [Change<Options>; 7] = [
            ("directory", |options| options.directory = "/elsewhere".into()),
            ("another command", |options| options.invocation.command = "check".into()),
            ("an argument", |options| options.invocation.arguments = vec!["--release".into()]),
            ("a toolchain", |options| options.invocation.toolchain = Some("+nightly".into())),
            ("variables", |options| drop(options.environment.0.insert("RUSTFLAGS".into(), "-O".into()))),
            ("store", |options| options.settings.dir = "/store".into()),
            ("settings", |options| options.settings.members = crate::config::Switch::Off),
        ];
        for (what, change) in changes {
            assert_ne!(of(change), plain, "{what}");
        }
        assert_eq!(of(|options| drop(options.environment.0.insert("TERM".into(), "dumb".into()))), plain);
    }
}

//! What the decisions about one build are based on.
//!
//! **Invariant.** [`BuildContext`] is made with the plan and never changes. State that changes is in the [`Stores`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::Utf8PathBuf;

use super::call::Call;
use super::restore::other_paths;
use super::skip_members::SkippedMembers;
use crate::cargo::{Format, Layout};
use crate::entry::Entry;
use crate::error::Error;
use crate::event::{Difference, EventKind, EventLog, MissReason, UnitId};
use crate::hydrate::{Hydrated, Site};
use crate::inputs::MachineState;
use crate::plan::content::Contents;
use crate::plan::{BuildPlan, Unit};
use crate::prefetch::Prefetch;
use crate::roots::{Root, Roots};
use crate::rustc::diagnostics::Unmapping;
use crate::store::{LocalStore, input_history};
use crate::upload::Upload;

/// What the plan fixed. It does not change while cargo runs.
pub struct BuildContext {
    /// The plan of this build.
    pub plan: BuildPlan,
    /// The content of the directories of packages that have no other identity.
    pub contents: Contents,
    /// The roots on this machine.
    pub roots: Roots,
    /// How this cargo writes its build directory, as far as is known. What is read there counts only with cargo's hash.
    pub format: Format,
    /// Whether the format is proven. Only then are units placed.
    pub is_proven: bool,
    /// The environment that cargo was started with.
    pub environment: BTreeMap<OsString, OsString>,
    /// The version that the compiler reports.
    pub compiler: String,
    /// The program that links for this host.
    pub linker: String,
    /// The members to skip, if only dependencies are compiled.
    pub skipped_members: Option<SkippedMembers>,
    /// The state of this machine, to compare observed inputs with.
    pub machine: MachineState,
    /// Whether programs are observed.
    pub is_observing: bool,
}

impl BuildContext {
    /// The build directory and its format.
    pub fn site(&self) -> Site<'_> {
        Site { format: self.format, roots: &self.roots }
    }

    /// The directories of all profiles that something is built in, each with every layout that it may have.
    pub fn profiles(&self) -> Vec<(Layout, Utf8PathBuf)> {
        let Some(build_dir) = self.roots.get(Root::BuildDir) else { return Vec::new() };
        let profiles = self.plan.profile_dirs();
        let of_profile = |profile: &String| Layout::ALL.map(|layout| (layout, build_dir.join(profile)));
        profiles.iter().flat_map(of_profile).collect()
    }

    /// The programs of build scripts, each with whether a script of its package has several runs.
    pub fn scripts(&self) -> Vec<(Utf8PathBuf, bool)> {
        let of_profile = |(layout, profile): (Layout, Utf8PathBuf)| {
            layout.scripts(&profile).into_iter().map(move |program| (layout, program))
        };
        let scripts = self.profiles().into_iter().flat_map(of_profile);
        let with_several = |(layout, program): (Layout, Utf8PathBuf)| {
            let package = layout.package_of(&program);
            let has_several = package.is_some_and(|package| self.plan.runs_several_times(package));
            (program, has_several)
        };
        scripts.map(with_several).collect()
    }

    /// The features that the build script of a call's package printed for the compiler.
    pub(super) fn script_features(&self, unit: &Unit, call: &Call) -> BTreeSet<String> {
        call.script_dir().and_then(|out_dir| self.site().script_features(unit, out_dir)).unwrap_or_default()
    }

    /// The arguments that rustc receives before cargo's for a remapped unit, and their inverse for its messages. Any
    /// other unit is compiled as plain cargo compiles it.
    pub(super) fn remapping(&self, id: UnitId, is_remapped: bool) -> (Vec<String>, Unmapping) {
        let roots = &self.roots;
        match is_remapped {
            true => (roots.remap_arguments(!self.plan.unit(id).external), Unmapping::new(roots)),
            false => Default::default(),
        }
    }
}

/// Where entries come from and go to, and where events go.
pub struct Stores {
    /// The local store.
    pub store: Arc<LocalStore>,
    /// Where entries come from.
    pub prefetch: Prefetch,
    /// Where recorded entries go.
    pub upload: Option<Upload>,
    /// The session's events.
    pub log: EventLog,
    /// Whether the warning about an unwritable local store was given.
    has_warned: AtomicBool,
}

impl Stores {
    /// Creates the stores of a session.
    pub fn new(store: Arc<LocalStore>, prefetch: Prefetch, upload: Option<Upload>, log: EventLog) -> Self {
        Self { store, prefetch, upload, log, has_warned: AtomicBool::new(false) }
    }

    /// The reason why a valid entry could not be placed. A damaged entry is removed from the store.
    pub(super) fn unusable(&self, id: UnitId, entry: &Entry, error: Error) -> MissReason {
        let Error::Corrupt { object, reason } = error else {
            self.record_differences(id, [Difference::Failed { message: error.to_string() }]);
            self.log.warn(error);
            return MissReason::Restore;
        };
        self.store.discard(entry);
        self.record_differences(id, [Difference::Damaged { object: object.clone(), reason: reason.clone() }]);
        self.log.record(EventKind::CorruptObject { object, reason });
        MissReason::Corrupt
    }

    /// Warns, once, that the local store cannot be written.
    pub(super) fn warn_not_writable(&self, error: &Error) {
        if !self.has_warned.swap(true, Ordering::SeqCst) {
            let hint = error.hint(self.store.root()).map(|hint| format!("; {hint}")).unwrap_or_default();
            self.log.warn(format!("cannot keep compiled units: {error}{hint}"));
        }
    }

    /// Records how the entry of a unit differs from what is here.
    pub(super) fn record_differences(&self, unit: UnitId, differences: impl IntoIterator<Item = Difference>) {
        let events = differences.into_iter().map(|difference| EventKind::Differs { unit, difference });
        events.for_each(|event| self.log.record(event));
    }
}

/// A planned build, once prefetch and hydration have ended.
pub struct PlannedBuild {
    /// What the plan fixed.
    pub context: BuildContext,
    /// Where entries come from and go to.
    pub stores: Stores,
    /// The hydrated units, which cargo should find fresh.
    pub hydrated: Hydrated,
}

impl PlannedBuild {
    /// Writes an entry to the stores.
    pub(super) fn keep(&self, id: UnitId, entry: Entry) {
        if let Err(error) = self.stores.store.put_entry(&entry) {
            return self.stores.warn_not_writable(&error);
        }
        let unit_inputs = self.context.plan.unit_inputs(id);
        if let Some(Err(error)) = unit_inputs
            .map(|unit_inputs| input_history::remember(&self.stores.store, unit_inputs, jiff::Timestamp::now()))
        {
            tracing::debug!(%error, "the unit inputs were not recorded");
        }
        let path_bound = !entry.constraints.bound.is_empty();
        self.stores.log.record(EventKind::Recorded { unit: id, bytes: entry.size(), path_bound });
        if let Some(upload) = &self.stores.upload {
            upload.send(entry);
        }
    }

    /// Records the roots of an entry that was rejected for its paths.
    pub(super) fn record_path_differences(&self, id: UnitId, reason: MissReason) {
        let BuildContext { plan, roots, .. } = &self.context;
        let Stores { prefetch, store, .. } = &self.stores;
        if reason == MissReason::PathBound
            && let Ok(key) = plan.unit(id).key
        {
            let entry = prefetch.known_entries().into_iter().find(|entry| entry.key == key);
            let entry = entry.or_else(|| store.entry(key).ok().flatten().map(Arc::new));
            self.stores.record_differences(
                id,
                entry.map(|entry| other_paths(&entry.constraints.bound, roots)).unwrap_or_default(),
            );
        }
    }
}

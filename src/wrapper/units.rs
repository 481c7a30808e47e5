//! What to do with each crate that cargo wants compiled: restore it, or have it compiled and record it.
//!
//! The runs of build scripts, which cargo starts without asking anybody, are recorded here as well: when the package's
//! crate is asked for, its script has run.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

use super::metadata::MetadataDigests;
use super::protocol::{Capture, Finished, Request};
use super::record::{Compiled, Output, Recorded, expected_outputs, open_outputs, record, record_script};
use super::restore::{dependency_records, restore, violation};
use super::server::Conversation;
use crate::cargo::Layout;
use crate::digest::Digest;
use crate::entry::{DependencyRecord, Entry};
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog, MissReason, Reason, UnitId};
use crate::hydrate::{Before, Hydrated, Linking, Site, heard, linked_with};
use crate::key::UnitKey;
use crate::plan::content::Contents;
use crate::plan::{BuildPlan, Unit};
use crate::prefetch::{Lookup, Prefetch};
use crate::roots::{Root, Roots};
use crate::rustc::Invocation;
use crate::rustc::outputs::PathScanner;
use crate::store::LocalStore;
use crate::upload::Upload;

/// Cargo writes a unit's fingerprint right after its compiler has ended; this long it is waited for.
const FINGERPRINT_PATIENCE: Duration = Duration::from_secs(5);
const FINGERPRINT_TICK: Duration = Duration::from_millis(3);

/// What the wrapper's decisions rest on.
pub struct Services {
    /// The plan of this build.
    pub plan: BuildPlan,
    /// What is in the directories of packages that have no other identity.
    pub contents: Contents,
    /// Where things are on this machine.
    pub roots: Roots,
    /// How cargo arranges its build directory, where that is known.
    pub layout: Option<Layout>,
    /// The local store.
    pub store: Arc<LocalStore>,
    /// Where entries come from.
    pub prefetch: Prefetch,
    /// Where recorded entries go.
    pub upload: Option<Upload>,
    /// The units that cargo should not ask for.
    pub hydrated: Hydrated,
    /// What happens.
    pub log: EventLog,
}

impl Services {
    /// Where cargo's files are, in a build directory that is known.
    pub fn site(&self) -> Option<Site<'_>> {
        Some(Site { layout: self.layout?, roots: &self.roots })
    }
}

/// The decisions.
pub(super) struct Units {
    services: Services,
    scanner: PathScanner,
    metadata: MetadataDigests,
    state: Mutex<State>,
    stopping: Arc<AtomicBool>,
    started: SystemTime,
    /// What was around the build directory before any build script ran.
    before: Before,
}

#[derive(Default)]
struct State {
    /// Units that cargo asked for.
    claimed: BTreeSet<UnitId>,
    /// Units whose outputs came from this session: restored, or compiled with remapped paths.
    ours: BTreeSet<UnitId>,
    /// Outputs without their extension, by unit.
    outputs: BTreeMap<Utf8PathBuf, UnitId>,
    /// What build scripts have made, by `OUT_DIR`.
    scripts: BTreeMap<Utf8PathBuf, Option<Digest>>,
    /// The same, by the unit of the run.
    made: BTreeMap<UnitId, Digest>,
    /// Runs that were looked at, and whether all that they bring to link is told by what they made.
    told: BTreeMap<UnitId, bool>,
    /// The store cannot be written; said once.
    store_failed: bool,
}

/// A rustc call, understood.
pub(super) struct Call {
    pub request: Request,
    pub invocation: Invocation,
    directory: Utf8PathBuf,
    out_dir: Utf8PathBuf,
}

impl Call {
    pub(super) fn new(request: Request, invocation: Invocation) -> Self {
        let directory = Utf8PathBuf::from(&request.directory);
        let out_dir = directory.join(invocation.out_dir.clone().unwrap_or_default());
        Self { request, invocation, directory, out_dir }
    }

    /// `OUT_DIR`, if the package has a build script.
    fn script_dir(&self) -> Option<&Utf8Path> {
        self.request.environment.get("OUT_DIR").map(Utf8Path::new)
    }
}

impl Units {
    pub(super) fn new(services: Services, stopping: Arc<AtomicBool>) -> Self {
        let scanner = PathScanner::new(&services.roots);
        let metadata = MetadataDigests::default();
        let before = services.site().map(|site| Before::of(&site)).unwrap_or_default();
        Self { services, scanner, metadata, state: Mutex::default(), stopping, started: SystemTime::now(), before }
    }

    /// The end: says which of the hydrated units cargo did not take.
    pub(super) fn finish(self) -> Services {
        let Self { services, state, .. } = self;
        let state = state.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        for (unit, reason) in services.hydrated.rejected(&state.claimed) {
            services.log.record(EventKind::Rejected { unit, reason });
        }
        services
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The unit of a call. A build script that runs cargo itself may compile the same crate in a directory of its own: that
    /// is another build, and none of its units is ours.
    pub(super) fn identify(&self, call: &Call) -> Option<UnitId> {
        let below = call.out_dir.strip_prefix(self.services.roots.get(Root::BuildDir)?).ok()?;
        if below.parent()?.components().any(|part| part.as_str() == "out") {
            return None;
        }
        let mut state = self.state();
        let plan = &self.services.plan;
        let id = plan.identify(&call.invocation, &call.directory, &state.outputs, &state.claimed)?;
        state.claimed.insert(id);
        for output in expected_outputs(&call.invocation, &call.out_dir) {
            state.outputs.insert(output.with_extension(""), id);
        }
        Some(id)
    }

    pub(super) fn serve(&self, mut conversation: Conversation, id: UnitId, call: &Call) -> io::Result<()> {
        let unit = self.services.plan.unit(id);
        self.note_linking(unit, call);
        let result = match (unit.key, self.uncacheable(unit, call)) {
            (Ok(key), None) => self.cacheable(&mut conversation, id, key, call),
            _ if !unit.external => self.compile(&mut conversation, id, false),
            // Its dependents are recorded, and must find the same metadata anywhere.
            (Err(Reason::Linked | Reason::ProcMacro | Reason::BuildScript), _) => {
                self.compile(&mut conversation, id, true)
            }
            (Err(_), _) => self.compile(&mut conversation, id, false),
            (Ok(_), Some(reason)) => self.compile(&mut conversation, id, true).map(|()| {
                self.services.log.record(EventKind::NotRecorded { unit: id, reason });
            }),
        };
        drop(conversation);
        self.script(id, call);
        result
    }

    /// What the command line says that the plan could not know.
    fn uncacheable(&self, unit: &Unit, call: &Call) -> Option<Reason> {
        let Call { invocation, .. } = call;
        let is_told = || match unit.script_run(&self.services.plan) {
            Some(_) => self.linking(unit, call).is_some_and(Linking::is_told),
            None => true,
        };
        let native = invocation.links_native && (unit.is_linked() && !unit.native || !is_told());
        let debug_files = unit.is_linked() && invocation.codegen.get("split-debuginfo").is_some_and(|it| it != "off");
        invocation.uncacheable().or(native.then_some(Reason::Native)).or(debug_files.then_some(Reason::SideFiles))
    }

    /// Remembers of a package's build script whether all that it brings to link is told by what it made. Where its output
    /// cannot be read, the command line tells: cargo passes the libraries on to the package's own crate.
    fn note_linking(&self, unit: &Unit, call: &Call) {
        let Some(run) = unit.script_run(&self.services.plan) else { return };
        let is_told = match self.linking(unit, call) {
            Some(Linking::Own) => self.services.plan.unit(run).native,
            Some(linking) => linking == Linking::Nothing,
            None => !call.invocation.links_native,
        };
        self.state().told.insert(run, is_told);
    }

    /// What the package's own build script links.
    fn linking(&self, unit: &Unit, call: &Call) -> Option<Linking> {
        let run = unit.script_run(&self.services.plan)?;
        self.services.site()?.linking(self.services.plan.unit(run), call.script_dir()?)
    }

    fn cacheable(&self, conversation: &mut Conversation, id: UnitId, key: UnitKey, call: &Call) -> io::Result<()> {
        match self.hit(id, call) {
            Ok(stderr) => conversation.print(String::new(), stderr),
            Err(reason) => {
                if let Some(reason) = reason {
                    self.services.log.record(EventKind::Missed { unit: id, reason });
                }
                self.miss(conversation, id, key, call)
            }
        }
    }

    /// Restores a unit, or says why not; nothing to say where the miss is known already.
    fn hit(&self, id: UnitId, call: &Call) -> Result<String, Option<MissReason>> {
        let Services { prefetch, roots, store, log, .. } = &self.services;
        let entry = match prefetch.lookup(id) {
            Lookup::Hit(entry, _) => entry,
            Lookup::Miss(_) => return Err(None),
        };
        if !self.is_of_now(id, &entry, call) || self.linked_with(id) != Some(entry.constraints.linked) {
            return Err(Some(MissReason::Input));
        }
        let environment = &call.request.environment;
        if let Some(reason) = violation(&entry, &call.invocation, environment, roots, &self.metadata) {
            return Err(Some(reason));
        }
        let start = Instant::now();
        let printed = restore(&entry, &call.invocation, &call.out_dir, store, roots).map_err(|error| match error {
            Error::Corrupt { object, reason } => {
                store.discard(&entry);
                log.record(EventKind::CorruptObject { object, reason });
                Some(MissReason::Corrupt)
            }
            error => {
                log.warn(error);
                Some(MissReason::Restore)
            }
        })?;
        self.state().ours.insert(id);
        log.record(EventKind::Restored {
            unit: id,
            bytes: entry.size(),
            millis: start.elapsed().as_millis() as u64,
            compile_millis: entry.compile_ms,
        });
        Ok(printed)
    }

    /// Whether what nothing else tells is as it was then: what a member's package holds, and what the build script of a
    /// member or of a crate with native code has made. Other packages are fixed by a checksum, and tell what they read.
    fn is_of_now(&self, id: UnitId, entry: &Entry, call: &Call) -> bool {
        let Services { plan, contents, .. } = &self.services;
        let unit = plan.unit(id);
        let is_script_same = || entry.constraints.script == self.script(id, call);
        if unit.external {
            return self.linking(unit, call).is_none_or(|linking| linking == Linking::Nothing) || is_script_same();
        }
        let planned = |content| contents.package(&unit.package_dir).is_ok_and(|now| now.digest == content);
        unit.content.is_some_and(planned) && is_script_same()
    }

    /// Has rustc run for what is not recorded.
    fn compile(&self, conversation: &mut Conversation, id: UnitId, remapped: bool) -> io::Result<()> {
        let roots = &self.services.roots;
        let (arguments, replacements) = match remapped {
            true => (roots.remap_arguments(), roots.unmap_pairs()),
            false => (Vec::new(), Vec::new()),
        };
        if remapped {
            self.state().ours.insert(id);
        }
        let Finished { code, millis, .. } = conversation.run(arguments, replacements, Capture::Status)?;
        self.services.log.record(EventKind::Compiled { unit: id, millis, success: code == Some(0) });
        Ok(())
    }

    /// Has rustc run, and records what it wrote.
    fn miss(&self, conversation: &mut Conversation, id: UnitId, key: UnitKey, call: &Call) -> io::Result<()> {
        let dependencies = dependency_records(&call.invocation, &self.metadata);
        let is_foreign = dependencies.as_ref().is_ok_and(|records| self.foreign_dependency(id, records));
        if !is_foreign {
            self.state().ours.insert(id);
        }
        let Services { plan, roots, log, .. } = &self.services;
        // Members are compiled as plain cargo compiles them.
        let (arguments, replacements) = match plan.unit(id).external {
            true => (roots.remap_arguments(), roots.unmap_pairs()),
            false => (Vec::new(), Vec::new()),
        };
        let finished = conversation.run(arguments, replacements, Capture::Stderr)?;
        let outputs = open_outputs(&call.invocation, &call.out_dir);
        conversation.release()?;
        let success = finished.code == Some(0);
        log.record(EventKind::Compiled { unit: id, millis: finished.millis, success });
        if !success {
            return Ok(());
        }
        let recorded = dependencies.and_then(|dependencies| match is_foreign {
            true => Ok(Recorded::Not(Reason::ForeignDependency)),
            false => self.record(id, key, call, dependencies, &finished, outputs?),
        });
        match recorded {
            Ok(Recorded::Entry(mut entry)) => {
                entry.fresh = self.fresh(id, call);
                self.keep(id, *entry);
            }
            Ok(Recorded::Not(reason)) => log.record(EventKind::NotRecorded { unit: id, reason }),
            Err(error) => self.store_failed(&error),
        }
        Ok(())
    }

    fn record(
        &self,
        id: UnitId,
        key: UnitKey,
        call: &Call,
        dependencies: Vec<DependencyRecord>,
        finished: &Finished,
        outputs: Vec<Output>,
    ) -> Result<Recorded> {
        let Services { plan, contents, roots, store, .. } = &self.services;
        let unit = plan.unit(id);
        let is_unchanged = |content| {
            let now = contents.package(&unit.package_dir);
            now.is_ok_and(|now| now.digest == content && now.changed < plan.began())
        };
        if unit.content.is_some_and(|content| !is_unchanged(content)) {
            return Ok(Recorded::Not(Reason::ChangedMeanwhile));
        }
        let Some(linked) = self.linked_with(id) else {
            return Ok(Recorded::Not(Reason::Native));
        };
        let compiled = Compiled {
            unit,
            linked,
            planned: plan.began(),
            key,
            invocation: &call.invocation,
            directory: &call.directory,
            environment: &call.request.environment,
            dependencies,
            finished,
            outputs,
            script: self.script(id, call),
            holds_own_objects: self.linking(unit, call) == Some(Linking::Own),
        };
        record(compiled, store, roots, &self.scanner)
    }

    /// Cargo's own files of a unit that was just compiled: it writes them once it knows that the compiler has ended.
    fn fresh(&self, id: UnitId, call: &Call) -> Option<crate::entry::Fresh> {
        let site = self.services.site()?;
        let hash = call.invocation.extra_filename().trim_start_matches('-');
        let start = Instant::now();
        loop {
            // Asked first: what is there when cargo has ended is all there will be.
            let over = self.stopping.load(Ordering::SeqCst) || start.elapsed() > FINGERPRINT_PATIENCE;
            let fresh = site.compiled(self.services.plan.unit(id), hash, &call.out_dir);
            if fresh.is_some() || over {
                return fresh;
            }
            thread::sleep(FINGERPRINT_TICK);
        }
    }

    /// What the package's own build script has made. Records its run when it is asked for the first time.
    fn script(&self, id: UnitId, call: &Call) -> Option<Digest> {
        let site = self.services.site()?;
        let plan = &self.services.plan;
        let run = plan.unit(id).script_run(plan)?;
        let out_dir = call.script_dir()?;
        if let Some(digest) = self.state().scripts.get(out_dir) {
            return *digest;
        }
        let digest = site.script_digest(plan.unit(run), out_dir);
        let is_first = self.state().scripts.insert(out_dir.to_owned(), digest).is_none();
        self.state().made.extend(digest.map(|digest| (run, digest)));
        if let (true, Some(digest), Ok(key)) = (is_first, digest, plan.unit(run).key) {
            self.record_script(run, key, out_dir, digest, site);
        }
        digest
    }

    fn record_script(&self, run: UnitId, key: UnitKey, out_dir: &Utf8Path, digest: Digest, site: Site<'_>) {
        let Services { plan, store, prefetch, log, roots, .. } = &self.services;
        let unit = plan.unit(run);
        let (began, took) = site.script_time(unit, out_dir).unwrap_or((SystemTime::UNIX_EPOCH, Duration::ZERO));
        let millis = took.as_millis() as u64;
        if began >= self.started {
            log.record(EventKind::Compiled { unit: run, millis, success: true });
        }
        if matches!(prefetch.lookup(run), Lookup::Hit(entry, _) if entry.metadata == Some(digest)) {
            // Known, and yet it ran: a run that it depends on has to happen each time.
            if began >= self.started {
                log.record(EventKind::Missed { unit: run, reason: MissReason::Dependency });
            }
            return;
        }
        let Some(heard) = self.heard(unit) else {
            return log.record(EventKind::NotRecorded { unit: run, reason: Reason::OutsideInput });
        };
        let plain = |name: &str| name.replace('-', "_");
        if site
            .wrote_outside(unit, began, &self.before, |name| plan.targets().any(|target| plain(target) == plain(name)))
        {
            return log.record(EventKind::NotRecorded { unit: run, reason: Reason::OutsideOutput });
        }
        match site.script(unit, out_dir, store) {
            Ok(Some(Ok(script))) => self.keep(run, record_script(unit, key, script, heard, roots, millis)),
            Ok(Some(Err(reason))) => log.record(EventKind::NotRecorded { unit: run, reason }),
            Ok(None) => {}
            Err(error) => self.store_failed(&error),
        }
    }

    /// What a run heard from others; nothing where that is not known.
    fn heard(&self, unit: &Unit) -> Option<Option<Digest>> {
        let dependencies = unit.dependencies.iter().map(|dependency| dependency.unit);
        heard(dependencies.map(|id| (self.services.plan.unit(id), self.made(id))))
    }

    /// What the runs for native code have made that something is linked with; nothing where that is not known, or where
    /// something comes from elsewhere.
    fn linked_with(&self, id: UnitId) -> Option<Option<Digest>> {
        let plan = &self.services.plan;
        if !plan.unit(id).is_linked() {
            return Some(None);
        }
        linked_with(plan, id, |run| self.made(run))
            .filter(|_| plan.runs_below(id).into_iter().all(|run| self.is_told(run)))
    }

    /// Whether all that a run brings to link is told by what it made: it was looked at, or it is one that can be kept.
    fn is_told(&self, run: UnitId) -> bool {
        let seen = self.state().told.get(&run).copied();
        seen.unwrap_or_else(|| self.services.prefetch.found(run).is_some())
    }

    /// What a run has made, in this session or in the one whose result was placed.
    fn made(&self, run: UnitId) -> Option<Digest> {
        let Services { prefetch, hydrated, .. } = &self.services;
        let placed = || prefetch.found(run).filter(|_| hydrated.has(run)).and_then(|entry| entry.metadata);
        let made = self.state().made.get(&run).copied();
        made.or_else(placed)
    }

    fn keep(&self, id: UnitId, entry: Entry) {
        let Services { store, upload, log, .. } = &self.services;
        if let Err(error) = store.put_entry(&entry) {
            return self.store_failed(&error);
        }
        let path_bound = !entry.constraints.bound.is_empty();
        log.record(EventKind::Recorded { unit: id, bytes: entry.size(), path_bound });
        if let Some(upload) = upload {
            upload.send(entry);
        }
    }

    fn store_failed(&self, error: &Error) {
        if !std::mem::replace(&mut self.state().store_failed, true) {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            self.services.log.warn(format!("what is compiled cannot be kept: {error}{hint}"));
        }
    }

    /// Whether a dependency was compiled by plain cargo: an entry made against it would be of no use anywhere else.
    ///
    /// A dependency is known if this session made it, if an earlier one did, or if it is the very file that its entry in
    /// the store describes.
    fn foreign_dependency(&self, id: UnitId, records: &[DependencyRecord]) -> bool {
        let Services { plan, prefetch, store, .. } = &self.services;
        plan.unit(id).dependencies.iter().any(|dependency| {
            let Some(record) = records.iter().find(|record| record.extern_name == dependency.extern_name) else {
                return false;
            };
            let mark = Digest::of(format!("compiled with remapped paths: {}", record.metadata));
            if self.state().ours.contains(&dependency.unit) {
                if plan.unit(dependency.unit).key.is_err() {
                    // Where the store cannot be written, later sessions record less: nothing else is lost.
                    let _ = store.put_probe(mark, &[]);
                }
                return false;
            }
            let known = match prefetch.lookup(dependency.unit) {
                Lookup::Hit(entry, _) => entry.metadata,
                Lookup::Miss(_) => None,
            };
            known != Some(record.metadata) && store.probe(mark).is_none()
        })
    }
}

//! Decides about each crate that cargo wants compiled: restores it, or has it compiled and records it.

mod code;
mod differences;
mod incremental;
mod linked;
mod skip;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use self::incremental::{EarlierState, is_incremental_unlike_plan};
use super::call::Call;
use super::context::{BuildContext, PlannedBuild, Stores};
use super::conversation::Conversation;
use super::debug_info;
use super::metadata::MetadataDigests;
use super::observed::miss_reason;
use super::protocol::{Capture, Finished, Request};
use super::record::{Compiled, Output, Recorded, bound_to, open_outputs, record};
use super::restore::{dependency_records, restore, violation};
use super::script_observations::ScriptObservations;
use super::scripts::{Printed, Scripts};
use super::skip_members::{Trace, remove_traces};
use super::stand_in::StandIns;
use crate::digest::{Digest, Domain};
use crate::entry::{DependencyRecord, Fresh};
use crate::error::Result;
use crate::event::{EventKind, MissReason, UncacheableReason, UnitId};
use crate::hydrate::LinkedLibraries;
use crate::key::UnitKey;
use crate::plan::Unit;
use crate::prefetch::Lookup;
use crate::roots::{PathScanner, Root};
use crate::rustc::diagnostics::{Unmapping, printed};
use crate::rustc::written::{linked, written};

/// How long to wait for a unit's fingerprint, which cargo writes right after the compiler has ended.
const FINGERPRINT_PATIENCE: Duration = Duration::from_secs(5);
const FINGERPRINT_TICK: Duration = Duration::from_millis(3);

/// The units of a build, and the decisions about them.
pub(super) struct Units {
    build: Arc<PlannedBuild>,
    scanner: PathScanner,
    metadata: MetadataDigests,
    state: Mutex<State>,
    scripts: Scripts,
    stopping: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    /// Units that cargo has asked for.
    claimed: BTreeSet<UnitId>,
    /// Units whose outputs come from this session: restored, or compiled with remapped paths.
    of_session: BTreeSet<UnitId>,
    /// The digest of what was linked into each macro that was compiled or restored.
    linked_code: BTreeMap<UnitId, Option<Digest>>,
    /// Libraries that contain, or may contain, objects of the machine.
    with_foreign_objects: BTreeSet<UnitId>,
    /// Units by their outputs, without extension.
    outputs: BTreeMap<Utf8PathBuf, UnitId>,
    /// Cargo's records of skipped units, to be removed.
    traces: Vec<Trace>,
    /// The incremental state that earlier sessions have left.
    earlier: EarlierState,
}

impl Units {
    /// Prepares the decisions about a build.
    pub(super) fn new(
        build: PlannedBuild,
        stand_ins: Arc<StandIns>,
        observations: Arc<ScriptObservations>,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        let build = Arc::new(build);
        let scripts = Scripts::new(build.clone(), stand_ins, observations);
        let scanner = PathScanner::new(&build.context.roots);
        Self { build, scanner, metadata: MetadataDigests::default(), state: Mutex::default(), scripts, stopping }
    }

    /// Ends the build: records which hydrated units cargo rejected, and removes the traces of skipped ones.
    pub(super) fn finish(self) -> Option<PlannedBuild> {
        let Self { build, state, scripts, .. } = self;
        drop(scripts);
        let state = state.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        for (unit, reason) in build.hydrated.rejected(&state.claimed) {
            build.stores.log.record(EventKind::Rejected { unit, reason });
        }
        remove_traces(&state.traces, build.context.format, &build.stores.log);
        Arc::into_inner(build)
    }

    /// Replaces this machine's directories in the debug information that an external package's script has just
    /// compiled. Must be called before cargo continues.
    pub(super) fn replace_debug_paths(&self, request: &Request, out_dir: &Utf8Path) {
        let roots = &self.build.context.roots;
        let package = request.environment.get("CARGO_MANIFEST_DIR").map(Utf8Path::new);
        if package.zip(roots.get(Root::CargoHome)).is_some_and(|(package, home)| package.starts_with(home)) {
            debug_info::replace_paths(out_dir, roots);
        }
    }

    /// The output of a known run, whose files are then in place.
    pub(super) fn replay(&self, request: &Request) -> Option<Printed> {
        self.scripts.replay(request)
    }

    pub(super) fn build(&self) -> &PlannedBuild {
        &self.build
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The unit of a call. A build script that runs cargo may compile the same crate in a directory of its own: that is
    /// another build.
    pub(super) fn identify(&self, call: &Call) -> Option<UnitId> {
        let below = call.out_dir.strip_prefix(self.build.context.roots.get(Root::BuildDir)?).ok()?;
        if is_in_script_dir(below.parent()?) {
            return None;
        }
        let mut state = self.state();
        let plan = &self.build.context.plan;
        let script_features = |unit: &Unit| self.build.context.script_features(unit, call);
        let id = plan.identify(&call.invocation, &call.directory, &state.outputs, &state.claimed, script_features)?;
        state.claimed.insert(id);
        for output in written(&call.invocation, &call.out_dir) {
            state.outputs.insert(output.with_extension(""), id);
        }
        Some(id)
    }

    pub(super) fn serve(&self, mut conversation: Conversation, id: UnitId, call: &Call) -> io::Result<()> {
        if self.is_skipped(id) {
            return self.skip(conversation, id, call);
        }
        let unit = self.build.context.plan.unit(id);
        self.note_earlier(call);
        self.scripts.note_linking(unit, call);
        let result = match (unit.key, self.uncacheable(id, call)) {
            (Ok(key), None) => self.cacheable(&mut conversation, id, key, call),
            (Ok(_), Some(reason)) => self.compile(&mut conversation, id, unit.remapped, call).map(|()| {
                self.build.stores.log.record(EventKind::NotRecorded { unit: id, reason });
            }),
            // Its dependents are recorded, and must find the same metadata everywhere.
            (Err(UncacheableReason::Linked | UncacheableReason::ProcMacro | UncacheableReason::BuildScript), _) => {
                self.compile(&mut conversation, id, unit.remapped, call)
            }
            (Err(_), _) => self.compile(&mut conversation, id, false, call),
        };
        drop(conversation);
        self.scripts.script_output(id, call);
        result
    }

    /// The reason, seen only in the command line, why a unit is not cached.
    fn uncacheable(&self, id: UnitId, call: &Call) -> Option<UncacheableReason> {
        let (unit, Call { invocation, .. }) = (self.build.context.plan.unit(id), call);
        if !call.is_compiled_by(self.build.context.plan.driver_of(id), unit) {
            return Some(UncacheableReason::OtherCompiler);
        }
        let unknown = invocation.uncacheable(|name| self.build.context.plan.knows(id, name));
        let native = invocation.links_native && unit.is_linkable() && !self.links_follow_from_script(unit, call);
        let debug_files = unit.is_linked() && invocation.codegen.get("split-debuginfo").is_some_and(|it| it != "off");
        let incremental = is_incremental_unlike_plan(unit, call).then_some(UncacheableReason::Incremental);
        incremental
            .or(unknown)
            .or(native.then_some(UncacheableReason::Native))
            .or(debug_files.then_some(UncacheableReason::SideFiles))
    }

    /// Why a call is not recorded unless the inputs of its linker were observed.
    fn reason_if_unobserved(&self, id: UnitId, call: &Call) -> Option<UncacheableReason> {
        let unit = self.build.context.plan.unit(id);
        let is_native = call.invocation.links_native
            && unit.is_linked()
            && (!unit.native || !self.links_follow_from_script(unit, call));
        let is_configured = || self.build.context.plan.configures_linker(id);
        is_native.then_some(UncacheableReason::Native).or_else(|| is_configured().then_some(UncacheableReason::Linked))
    }

    /// Whether everything that is linked follows from the output of the package's own build script.
    fn links_follow_from_script(&self, unit: &Unit, call: &Call) -> bool {
        match unit.script_run(&self.build.context.plan) {
            Some(_) => self.scripts.linking(unit, call).is_some_and(LinkedLibraries::follow_from_script),
            None => true,
        }
    }

    fn cacheable(&self, conversation: &mut Conversation, id: UnitId, key: UnitKey, call: &Call) -> io::Result<()> {
        match self.hit(id, call) {
            Ok(stderr) => conversation.print(String::new(), stderr),
            Err(reason) => {
                if let Some(reason) = reason {
                    self.build.stores.log.record(EventKind::Missed { unit: id, reason });
                }
                match self.continues_incremental(call) {
                    true => self.compile_incrementally(conversation, id, call),
                    false => self.miss(conversation, id, key, call),
                }
            }
        }
    }

    /// Restores a unit and returns its output, or returns the reason; `None` if the miss is recorded already.
    fn hit(&self, id: UnitId, call: &Call) -> Result<String, Option<MissReason>> {
        let BuildContext { roots, .. } = &self.build.context;
        let Stores { prefetch, store, log, .. } = &self.build.stores;
        let entry = match prefetch.lookup(id) {
            Lookup::Hit(entry, _) => entry,
            Lookup::Miss(reason) => {
                self.build.record_path_differences(id, reason);
                return Err(None);
            }
        };
        let here = call.variables(self.build.context.plan.unit(id), roots);
        if let Some((reason, differences)) = violation(&entry, &call.invocation, &here, &self.metadata) {
            self.build.stores.record_differences(id, differences);
            return Err(Some(reason));
        }
        if let Some(difference) = self.build.context.machine.difference(entry.key, &entry.constraints.observed) {
            let reason = miss_reason(&difference);
            self.build.stores.record_differences(id, [difference]);
            return Err(Some(reason));
        }
        if let Some(difference) = self.changed_since(id, &entry, call) {
            self.build.stores.record_differences(id, [difference]);
            return Err(Some(MissReason::Input));
        }
        let start = Instant::now();
        // As in hydration: units of the workspace get files of their own, not links into the store.
        let may_link = self.build.context.plan.unit(id).external;
        let printed = restore(&entry, &call.invocation, &call.out_dir, store, roots, may_link)
            .map_err(|error| Some(self.build.stores.unusable(id, &entry, error)))?;
        self.place_stand_in(id, call);
        self.note_restored_code(id, entry.code);
        self.state().of_session.insert(id);
        log.record(EventKind::Restored {
            unit: id,
            bytes: entry.size(),
            millis: start.elapsed().as_millis() as u64,
            compile_millis: entry.compile_ms,
        });
        Ok(printed)
    }

    /// Puts a stand-in in place of a new build script before cargo starts it.
    fn place_stand_in(&self, id: UnitId, call: &Call) {
        let unit = self.build.context.plan.unit(id);
        if unit.kind == "custom-build"
            && unit.mode == "build"
            && let Some(program) = linked(&call.invocation, &call.out_dir)
        {
            self.scripts.place_stand_in(id, &program);
        }
    }

    /// Runs rustc for a unit that is not recorded.
    fn compile(&self, conversation: &mut Conversation, id: UnitId, remapped: bool, call: &Call) -> io::Result<()> {
        let (arguments, unmapping) = self.build.context.remapping(id, remapped);
        if remapped {
            self.state().of_session.insert(id);
        }
        // The outputs are not examined.
        if call.invocation.links_native {
            self.state().with_foreign_objects.insert(id);
        }
        // Only after build scripts and macros is there something to do before cargo continues.
        let cargo_must_wait =
            self.build.context.plan.unit(id).kind == "custom-build" || self.build.context.plan.is_macro(id);
        let capture = if cargo_must_wait { Capture::Stderr } else { Capture::Status };
        let finished = conversation.run(arguments, unmapping, capture, false)?;
        let success = finished.code == Some(0);
        if success {
            self.note_objects(id, call);
            self.note_linked(id, call, &finished);
            self.place_stand_in(id, call);
            self.note_code(id, call, None);
        }
        if cargo_must_wait {
            conversation.release()?;
        }
        self.build.stores.log.record(EventKind::Compiled { unit: id, millis: finished.millis, success });
        Ok(())
    }

    /// Runs rustc on top of an earlier compilation. Its outputs may depend on that one, and are not recorded.
    fn compile_incrementally(&self, conversation: &mut Conversation, id: UnitId, call: &Call) -> io::Result<()> {
        let unit = self.build.context.plan.unit(id);
        self.compile(conversation, id, unit.remapped, call)?;
        self.build.stores.log.record(EventKind::NotRecorded { unit: id, reason: UncacheableReason::Incremental });
        Ok(())
    }

    /// Runs rustc, and records its outputs.
    fn miss(&self, conversation: &mut Conversation, id: UnitId, key: UnitKey, call: &Call) -> io::Result<()> {
        let dependencies = dependency_records(&call.invocation, &self.metadata);
        let is_foreign = dependencies.as_ref().is_ok_and(|records| self.has_foreign_dependency(id, records));
        if !is_foreign {
            self.state().of_session.insert(id);
        }
        let BuildContext { plan, roots, .. } = &self.build.context;
        let Stores { log, .. } = &self.build.stores;
        let (arguments, unmapping) = self.build.context.remapping(id, plan.unit(id).remapped);
        let is_observed = self.build.needs_observing(id);
        let finished = conversation.run(arguments, unmapping, Capture::Stderr, is_observed)?;
        let outputs = open_outputs(&call.invocation, &call.out_dir);
        let has_continued_incremental = self.has_continued_incremental(call);
        let success = finished.code == Some(0);
        if success {
            self.note_objects(id, call);
            self.note_linked(id, call, &finished);
            self.place_stand_in(id, call);
            self.note_code(id, call, Some(&finished));
        }
        conversation.release()?;
        log.record(EventKind::Compiled { unit: id, millis: finished.millis, success });
        if !success {
            return Ok(());
        }
        let recorded = dependencies.and_then(|dependencies| match is_foreign {
            _ if has_continued_incremental => Ok(Recorded::Refused(UncacheableReason::Incremental)),
            true => Ok(Recorded::Refused(UncacheableReason::ForeignDependency)),
            false => self.record(id, key, call, dependencies, &finished, outputs?),
        });
        match recorded {
            Ok(Recorded::Entry(mut entry)) => {
                let printed = printed(&entry.diagnostics, &Unmapping::new(roots));
                if let Some((fresh, bound)) = self.fresh(id, call, &printed) {
                    entry.constraints.bound.extend(bound_to(bound, roots));
                    entry.fresh = Some(fresh);
                }
                entry.code = self.state().linked_code.get(&id).copied().flatten();
                self.build.keep(id, *entry);
            }
            Ok(Recorded::Refused(reason)) => log.record(EventKind::NotRecorded { unit: id, reason }),
            Err(error) => self.build.stores.warn_not_writable(&error),
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
        let BuildContext { plan, contents, roots, compiler, .. } = &self.build.context;
        let Stores { store, .. } = &self.build.stores;
        let unit = plan.unit(id);
        let is_unchanged = |content| {
            let now = contents.package(&unit.package_dir);
            now.is_ok_and(|now| now.digest == content && now.changed < plan.began())
        };
        if unit.content.is_some_and(|content| !is_unchanged(content)) {
            return Ok(Recorded::Refused(UncacheableReason::ChangedMeanwhile));
        }
        let Some(script) = self.scripts.script_output_if_any(id, call) else {
            return Ok(Recorded::Refused(UncacheableReason::OutsideInput));
        };
        let compiled = Compiled {
            compiler,
            unit,
            planned: plan.began(),
            key,
            invocation: &call.invocation,
            directory: &call.directory,
            here: call.variables(unit, roots),
            dependencies,
            finished,
            outputs,
            script,
            holds_own_objects: self.scripts.linking(unit, call) == Some(LinkedLibraries::Own),
        };
        let inputs = |holds: &dyn Fn(&[u8]) -> bool| {
            let inputs = self.build.inputs_of_call(id, key, call, finished.observation.clone(), holds)?;
            if let Some(reason) = self.reason_if_unobserved(id, call).filter(|_| !inputs.is_seen()) {
                return Err(reason);
            }
            let linked = self.linked_with(id, call, &inputs).ok_or(UncacheableReason::Native)?;
            Ok((inputs, linked))
        };
        record(compiled, store, roots, &self.scanner, inputs)
    }

    /// Cargo's own files of a new unit, which cargo writes when it knows that the compiler has ended.
    fn fresh(&self, id: UnitId, call: &Call, printed: &str) -> Option<(Fresh, BTreeSet<Root>)> {
        let site = self.build.context.site();
        let hash = call.invocation.extra_filename().trim_start_matches('-');
        let start = Instant::now();
        loop {
            // Evaluated before the attempt: when cargo has ended, the files are complete.
            let is_last_attempt = self.stopping.load(Ordering::SeqCst) || start.elapsed() > FINGERPRINT_PATIENCE;
            let fresh = site.compiled(self.build.context.plan.unit(id), hash, &call.out_dir, printed);
            if fresh.is_some() || is_last_attempt {
                return fresh;
            }
            thread::sleep(FINGERPRINT_TICK);
        }
    }

    /// Whether a dependency was compiled by plain cargo: an entry made against it would be useless elsewhere.
    ///
    /// A dependency is known if this session or an earlier one made it, or if its entry in the store describes this
    /// file.
    fn has_foreign_dependency(&self, id: UnitId, records: &[DependencyRecord]) -> bool {
        let BuildContext { plan, .. } = &self.build.context;
        let Stores { prefetch, store, .. } = &self.build.stores;
        plan.unit(id).dependencies.iter().any(|dependency| {
            let Some(record) = records.iter().find(|record| record.extern_name == dependency.extern_name) else {
                return false;
            };
            let mark = Digest::of_value(Domain::CompiledMark, &record.metadata);
            if self.state().of_session.contains(&dependency.unit) {
                if plan.unit(dependency.unit).key.is_err() {
                    // If the store cannot be written, later sessions record less. Nothing else is lost.
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

/// Whether a directory, relative to the build directory, is an `OUT_DIR` or below one: `out` in
/// `build/<package>-<hash>`, or in later cargos' layout in `build/<package>/<hash>`. A profile may be called `out`,
/// too.
fn is_in_script_dir(directory: &Utf8Path) -> bool {
    let parts: Vec<_> = directory.components().map(|part| part.as_str()).collect();
    let is_build = |index: Option<usize>| index.is_some_and(|index| parts[index] == "build");
    parts
        .iter()
        .enumerate()
        .any(|(index, part)| *part == "out" && (is_build(index.checked_sub(2)) || is_build(index.checked_sub(3))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_out_dir_is_distinguished_from_a_profile_called_out() {
        for directory in [
            "debug/build/demo-0123/out",
            "debug/build/demo-0123/out/target/debug/deps",
            "x86_64-unknown-linux-musl/out/build/demo-0123/out/target/debug",
            "debug/build/demo/0123/out/debug/build/other/4567/out",
        ] {
            assert!(is_in_script_dir(Utf8Path::new(directory)), "{directory}");
        }
        for directory in
            ["out", "x86_64-unknown-linux-musl/out", "out/build", "out/build/demo/0123", "debug/build/out/0123"]
        {
            assert!(!is_in_script_dir(Utf8Path::new(directory)), "{directory}");
        }
    }
}

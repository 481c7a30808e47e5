//! The end of a session: the rest of the upload, the size of the local store, the report, the sums, and the summary for
//! a CI service.
//!
//! **Invariant.** A failure here neither fails a build nor shows in its output.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use camino::Utf8Path;

use super::noop::NoopRecord;
use super::planning::Teardown;
use super::{Ended, Environment, Options, Session, advice_events};
use crate::ci;
use crate::config::Switch;
use crate::digest::Digest;
use crate::entry::Entry;
use crate::error::Result;
use crate::event::{Phase, session_name};
use crate::history::History;
use crate::history::LastBuild;
use crate::key::UnitKey;
use crate::ledger::Ledger;
use crate::plan::BuildPlan;
use crate::report::Report;
use crate::report::stats::Tally;
use crate::store::input_history::SharedHistory;
use crate::store::{LocalStore, RemoteStore, gc};
use crate::upload::Upload;
use crate::wrapper::{PlannedBuild, Stores};

impl Session<'_> {
    /// Finishes the upload, keeps the local store within its size, and returns the exit code.
    pub(super) fn finish(&self, ended: Ended) -> i32 {
        let (code, build, teardown) = match ended {
            Ended::WithoutPlan { code } => return code,
            Ended::WithPlan { code, build, teardown } => (code, *build, *teardown),
        };
        let PlannedBuild { context, mut stores, .. } = build;
        let Teardown { workspace, graph_key, remote, user_wrapper, cargo_inputs, proof, host, runtime } = teardown;
        let plan = &context.plan;
        let is_kept = code == 0 && self.options.warm.is_none();
        let noop = cargo_inputs.filter(|_| is_kept).map(|inputs| (inputs, context.profiles(), context.scripts()));
        stores.prefetch.stop();
        advice_events::record_machine(&self.options.environment, host, self.log);
        let shared = SharedHistory::name(&plan.member_names(), self.options.invocation.planning_command());
        self.keep_explanation(plan, shared, &workspace.target_dir);
        if let Some((cargo_inputs, profiles, scripts)) = noop {
            let store = &stores.store;
            NoopRecord::remember(self.options, store, &workspace, &profiles, scripts, user_wrapper, cargo_inputs);
        }
        let remote_for_proof = remote.clone().filter(|_| stores.upload.is_some());
        match (stores.upload.take(), &remote) {
            (Some(upload), Some(remote)) => self.upload(upload, remote, &stores, plan, graph_key, shared),
            (_, remote) => remote.iter().for_each(|remote| remote.close()),
        }
        if let Some(proof) = proof {
            proof.end(&runtime, remote_for_proof.as_deref());
        }
        self.collect_garbage(plan, &stores.store);
        drop(runtime);
        code
    }

    /// Keeps what `explain` needs. Like the report, it must never fail a build.
    fn keep_explanation(&self, plan: &BuildPlan, shared: Digest, target_dir: &Utf8Path) {
        let last = LastBuild::new(plan, shared, &self.log.events()).filter(|_| target_dir.is_dir());
        if let Some(Err(error)) = last.map(|last| last.write(target_dir.as_std_path())) {
            tracing::debug!(%error, "the inputs of the build's misses were not kept");
        }
    }

    /// Sends the entries that only this machine has, and the graph index if it changes.
    fn upload(
        &self,
        upload: Upload,
        remote: &Arc<RemoteStore>,
        stores: &Stores,
        plan: &BuildPlan,
        graph_key: Digest,
        shared: Digest,
    ) {
        let Stores { store, prefetch, .. } = stores;
        let known = prefetch.known_entries();
        let is_known: HashSet<_> = known.iter().map(|entry| entry.key).collect();
        let is_stored = |key: &UnitKey| is_known.contains(key) || matches!(store.entry(*key), Ok(Some(_)));
        let keys: Vec<UnitKey> = plan.shared_keys().filter(is_stored).collect();
        // An entry that did not hold may have been replaced in this session. The new one was sent when it was recorded.
        let is_current = |entry: &Entry| matches!(store.entry(entry.key), Ok(Some(stored)) if stored == *entry);
        let only_local = known.into_iter().filter(|entry| !is_marked(store, remote, entry) && is_current(entry));
        only_local.for_each(|entry| upload.send(Entry::clone(&entry)));
        let graph = (!prefetch.index_lists(&keys)).then_some((graph_key, keys));
        let may_send = graph.is_some() || !upload.is_idle();
        let upload = if may_send { upload.with_shared_history(shared, plan.shared_unit_inputs()) } else { upload };
        self.log.phase(Phase::Upload, || upload.finish(graph, &self.interrupt.interrupted));
    }

    /// Keeps the local store within its size.
    fn collect_garbage(&self, plan: &BuildPlan, store: &LocalStore) {
        let max_size = self.options.settings.max_size.as_u64();
        match gc::collect_if_due(store, max_size) {
            Ok(Some(collected)) if collected.entries > 0 => {
                advice_events::record_evicted(plan, store, max_size, self.log)
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the local store was not cleaned up"),
        }
    }
}

/// Whether this entry is marked as being in the remote. An entry that was recorded again has no pack yet.
pub(super) fn is_marked(store: &LocalStore, remote: &RemoteStore, entry: &Entry) -> bool {
    entry.pack.is_some() && store.is_pushed(remote.id(), entry.key)
}

/// Writes the report, the sums and the summary for a CI service.
pub(super) fn write_results(options: &Options, report: &Report, target_dir: Option<&Path>, store: Option<&LocalStore>) {
    // A command that built nothing may have no target directory.
    let target_dir = target_dir.filter(|target_dir| target_dir.is_dir());
    let keep = |target_dir| History::of(target_dir).keep(report);
    log_if_failed("the report was not kept", target_dir.map_or(Ok(()), keep));
    let count = |store| Ledger::of(store).record(&session_name(report.started), &Tally::of(report));
    log_if_failed("the session was not counted", store.map_or(Ok(()), count));
    if options.settings.ci_summary == Switch::On {
        let report = report.clone().with_prices(options.settings.prices());
        let published = services(&options.environment).publish(&report, target_dir);
        log_if_failed("the CI service did not get the summary", published);
    }
}

fn services(environment: &Environment) -> ci::Services {
    ci::Services {
        step_summary: environment.get("GITHUB_STEP_SUMMARY").map(Into::into),
        is_gitlab: environment.get("GITLAB_CI").is_some(),
    }
}

fn log_if_failed(what: &'static str, result: Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "{what}");
    }
}

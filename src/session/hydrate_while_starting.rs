//! The rest of the prefetch, and hydration, while cargo starts.
//!
//! Cargo reads manifests and resolves for a tenth of a second before it looks into the build directory. Meanwhile packs
//! still arrive and units are placed. The session holds cargo's own lock on that directory, and the wrapper delays its
//! answer to cargo's last question until hydration is done ([`PlanSource::Pending`]).
//!
//! **Invariants.** The lock is taken before cargo starts, so cargo never waits for us while we wait for it. No unit is
//! placed after cargo has ended.

use std::sync::mpsc;
use std::thread;

use super::planning::Prepared;
use super::{Ended, Session};
use crate::error::Error;
use crate::event::{Difference, EventKind, MissReason, Phase};
use crate::hydrate::{Failure, Hydrated, Hydrating, Hydration, Locks};
use crate::wrapper::{BuildContext, PlanSource, PlannedBuild, Stores};

impl Session<'_> {
    /// Runs cargo with the wrapper, and hydrates meanwhile.
    pub(super) fn build_while_hydrating(&self, prepared: Prepared) -> Ended {
        let Prepared { context, stores, teardown } = prepared;
        let wrapper_context = self.wrapper_context(stores.store.clone(), teardown.user_wrapper.clone(), Vec::new());
        let locks = self.lock(&context);
        if self.options.is_watched {
            stores.prefetch.wait();
        }
        let stopper = stores.prefetch.stopper();
        let (sender, receiver) = mpsc::channel();
        // The prefetch runs until no thread waits for it, so its runtime, which is in here, must outlive the threads.
        let mut teardown = Some(teardown);
        thread::scope(|scope| {
            // Sending fails if there is no wrapper.
            scope.spawn(|| drop(sender.send(self.hydrate_until_fetched(context, stores, locks))));
            self.build_wrapped(wrapper_context, PlanSource::Pending(receiver), || stopper.stop(), || teardown.take())
        })
    }

    /// Hydrates what the cache has, and waits for the rest of the prefetch.
    pub(super) fn hydrate_until_fetched(
        &self,
        context: BuildContext,
        stores: Stores,
        locks: Option<Locks>,
    ) -> PlannedBuild {
        let hydrated = locks.and_then(|locks| self.hydrate(&context, &stores, locks)).unwrap_or_default();
        // The wrapper restores the hits that are not hydrated, so it needs all packs.
        self.wait_for_prefetch(&stores);
        PlannedBuild { context, stores, hydrated }
    }

    /// Waits until all packs have arrived, and records that.
    pub(super) fn wait_for_prefetch(&self, stores: &Stores) {
        stores.prefetch.wait();
        self.log.record(EventKind::PhaseFinished { phase: Phase::Prefetch });
    }

    /// Takes cargo's locks on all directories that units are placed in, if the format of this cargo is proven.
    pub(super) fn lock(&self, context: &BuildContext) -> Option<Locks> {
        if !context.is_proven {
            return None;
        }
        match Locks::take(&context.site(), &context.plan, self.log) {
            Ok(locks) => Some(locks),
            Err(error) => {
                self.warn_nothing_is_placed(&error);
                None
            }
        }
    }

    fn warn_nothing_is_placed(&self, error: &Error) {
        self.log.warn(format!("nothing is put into the build directory: {error}"));
    }

    /// Places every unit in the build directory as it arrives.
    fn hydrate(&self, context: &BuildContext, stores: &Stores, locks: Locks) -> Option<Hydrated> {
        let BuildContext { plan, environment, machine, .. } = context;
        let Stores { store, prefetch, .. } = stores;
        prefetch.wait_for_entries();
        self.log.phase(Phase::Hydrate, || {
            let hydration = Hydration { site: context.site(), plan, store, environment, machine, log: self.log };
            let begun = Hydrating::begin(&hydration, locks, |unit| prefetch.expected(unit));
            let mut hydrating = begun.map_err(|error| self.warn_nothing_is_placed(&error)).ok()?;
            let mut decided = 0;
            while let Some(now) = prefetch.wait_beyond(decided) {
                decided = now;
                hydrating.place(|unit| prefetch.found(unit));
            }
            if prefetch.is_stopped() {
                hydrating.abandon();
                return None;
            }
            let (hydrated, failures) = hydrating.finish();
            self.report_failures(stores, failures);
            Some(hydrated)
        })
    }

    /// Records why units were not placed. Only the first failure that is not damage becomes a warning.
    fn report_failures(&self, stores: &Stores, failures: Vec<Failure>) {
        let mut warned = false;
        for Failure { unit, entry, error } in failures {
            if let Error::Corrupt { object, reason } = error {
                stores.store.discard(&entry);
                stores.prefetch.revoke(unit, MissReason::Corrupt);
                let difference = Difference::Damaged { object: object.clone(), reason: reason.clone() };
                self.log.record(EventKind::Differs { unit, difference });
                self.log.record(EventKind::CorruptObject { object, reason });
                continue;
            }
            stores.prefetch.revoke(unit, MissReason::Restore);
            self.log.record(EventKind::Differs { unit, difference: Difference::Failed { message: error.to_string() } });
            if !std::mem::replace(&mut warned, true) {
                let hint = error.hint(stores.store.root()).map(|hint| format!("; {hint}")).unwrap_or_default();
                self.log.warn(format!("cannot use the cached {}: {error}{hint}", entry.package));
            }
        }
    }
}

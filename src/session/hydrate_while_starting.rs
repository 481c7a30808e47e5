//! What goes on while cargo starts: the rest of the prefetch, and hydration.
//!
//! Cargo reads manifests and resolves for a tenth of a second before it looks into the build directory. All that time
//! packs may still come in and units be put there: cargo's own lock on that directory is held, and the wrapper does not
//! answer cargo's last question before it is done ([`PlanSource::Pending`]).
//!
//! **Invariants.** The lock is taken before cargo starts, so cargo never waits for us while we wait for it. What has not
//! been placed when cargo ends is not placed any more.

use std::sync::mpsc;
use std::thread;

use super::Session;
use crate::error::Error;
use crate::event::{Difference, EventKind, MissReason, Phase};
use crate::hydrate::{Failure, Hydrated, Hydrating, Hydration, Locks};
use crate::wrapper::{PlanSource, Services, WrapperContext};

impl Session<'_> {
    /// Cargo with the wrapper, while what it needs arrives.
    pub(super) fn build_while_hydrating(&self, context: WrapperContext, services: Services) -> (i32, Option<Services>) {
        let locks = self.lock(&services);
        if self.options.is_watched {
            services.prefetch.wait();
        }
        let stopper = services.prefetch.stopper();
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            // Where there is no wrapper, nobody takes what has arrived.
            scope.spawn(|| drop(sender.send(self.hydrate_until_fetched(services, locks))));
            self.build_wrapped(context, PlanSource::Pending(receiver), || stopper.stop())
        })
    }

    pub(super) fn hydrate_until_fetched(&self, mut services: Services, locks: Option<Locks>) -> Services {
        services.hydrated = locks.and_then(|locks| self.hydrate(&services, locks)).unwrap_or_default();
        // Where nothing is hydrated, cargo has everything brought by the wrapper.
        services.prefetch.wait();
        self.log.record(EventKind::PhaseFinished { phase: Phase::Prefetch });
        services
    }

    /// Cargo's locks on all directories that units are put into, where cargo is known to take them as fresh.
    pub(super) fn lock(&self, services: &Services) -> Option<Locks> {
        if !services.is_proven {
            return None;
        }
        match Locks::take(&services.site(), &services.plan, self.log) {
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

    /// Puts everything that arrives into the build directory.
    fn hydrate(&self, services: &Services, locks: Locks) -> Option<Hydrated> {
        let Services { plan, store, prefetch, environment, .. } = services;
        prefetch.wait_for_entries();
        self.log.phase(Phase::Hydrate, || {
            let hydration = Hydration {
                site: services.site(),
                plan,
                store,
                environment,
                machine: &services.machine,
                log: self.log,
            };
            let begun = Hydrating::begin(&hydration, locks, |unit| prefetch.expected(unit));
            let mut hydrating = begun.map_err(|error| self.warn_nothing_is_placed(&error)).ok()?;
            let mut decided = 0;
            while let Some(now) = prefetch.wait_beyond(decided) {
                decided = now;
                hydrating.place(|unit| prefetch.found(unit));
            }
            if prefetch.is_stopped() {
                return None;
            }
            let (hydrated, failures) = hydrating.finish();
            self.report_failures(services, failures);
            Some(hydrated)
        })
    }

    /// Damage is one thing, a full disk another: that one is said once.
    fn report_failures(&self, services: &Services, failures: Vec<Failure>) {
        let mut warned = false;
        for Failure { unit, entry, error } in failures {
            if let Error::Corrupt { object, reason } = error {
                services.store.discard(&entry);
                services.prefetch.revoke(unit, MissReason::Corrupt);
                let difference = Difference::Damaged { object: object.clone(), reason: reason.clone() };
                self.log.record(EventKind::Differs { unit, difference });
                self.log.record(EventKind::CorruptObject { object, reason });
                continue;
            }
            services.prefetch.revoke(unit, MissReason::Restore);
            self.log.record(EventKind::Differs { unit, difference: Difference::Failed { message: error.to_string() } });
            if !std::mem::replace(&mut warned, true) {
                let hint = error.hint(services.store.root()).map(|hint| format!("; {hint}")).unwrap_or_default();
                self.log.warn(format!("cannot use the cached {}: {error}{hint}", entry.package));
            }
        }
    }
}

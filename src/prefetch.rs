//! Brings the entries and packs of a whole plan into the local store, all at once, before the build needs them.
//!
//! [`Prefetch::start_graph`] asks for the graph index while cargo still plans: what it lists starts to come in at once.
//! [`Prefetch::want`] names the plan's units, [`Prefetch::wait`] gives them time, and [`Prefetch::lookup`] answers the
//! wrapper. Each key goes one way: the local store; else the entry that the index holds, or a request of its own; then
//! the pack, verified and unpacked as it comes in.
//!
//! **Invariants.** Every wanted unit is decided exactly once, with one `Found` or one `Missed` event, and what was
//! decided stays, but for a hit that is revoked because its files are damaged. A key is fetched once, however many units
//! share it. Nobody waits longer for the network than compiling would take. No error leaves this module: it is a miss,
//! and where the user should know, one event.

mod fetch;
mod state;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use self::state::{Index, Outcome, State};
use crate::config::Settings;
use crate::digest::Digest;
use crate::entry::Entry;
use crate::event::{EventKind, EventLog, MissReason, Tier, UnitId};
use crate::key::UnitKey;
use crate::roots::Roots;
use crate::store::remote::health::Direction;
use crate::store::{LocalStore, RemoteStore, Runtime};

/// How often a waiter looks at what it is not told.
const TICK: Duration = Duration::from_millis(50);
/// The network is given this long, however quickly the missing units would compile.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// What a unit is taken to cost while its entry is not known.
const UNKNOWN_COMPILE_MS: u64 = 500;
/// Packs that are unpacked at a time.
const DECODERS: usize = 4;

/// What the cache has for a unit.
#[derive(Clone, PartialEq, Debug)]
pub enum Lookup {
    /// The entry; its files are in the local store.
    Hit(Arc<Entry>, Tier),
    /// Nothing, for good.
    Miss(MissReason),
}

/// The prefetch of one session.
pub struct Prefetch {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Handle,
    local: Arc<LocalStore>,
    remote: Option<Arc<RemoteStore>>,
    events: EventLog,
    concurrency: usize,
    stall: Duration,
    state: Mutex<State>,
    changed: Condvar,
    decoders: Semaphore,
    streams: Semaphore,
    started: Instant,
    /// When something last arrived, in milliseconds since `started`.
    active_ms: AtomicU64,
    received: AtomicU64,
    disk_failed: AtomicBool,
    damage_reported: AtomicBool,
}

impl Prefetch {
    /// Without a remote, only the local store is looked into.
    pub fn new(
        runtime: &Runtime,
        local: Arc<LocalStore>,
        remote: Option<Arc<RemoteStore>>,
        events: EventLog,
        settings: &Settings,
    ) -> Self {
        let shared = Shared {
            runtime: runtime.handle(),
            local,
            remote,
            events,
            concurrency: settings.concurrency,
            stall: settings.stall(),
            state: Mutex::default(),
            changed: Condvar::new(),
            decoders: Semaphore::new(DECODERS),
            streams: Semaphore::new(DECODERS),
            started: Instant::now(),
            active_ms: AtomicU64::new(0),
            received: AtomicU64::new(0),
            disk_failed: AtomicBool::new(false),
            damage_reported: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Asks for the index of a graph, in the background; what it lists and the local store lacks starts to come in.
    pub fn start_graph(&self, graph_key: Digest) {
        let Some(remote) = self.shared.remote.clone() else { return };
        let mut state = self.shared.lock();
        state.index = Index::Asked;
        self.shared.mark_active();
        let shared = Arc::clone(&self.shared);
        let task = self.shared.runtime.spawn(async move { shared.fetch_index(&remote, graph_key).await });
        state.tasks.push(task.abort_handle());
    }

    /// Names the units of the plan. The local store is asked before this returns; the rest goes on in the background.
    pub fn want(&self, units: Vec<(UnitId, UnitKey)>, roots: Roots) {
        let mut state = self.shared.lock();
        state.roots = Some(roots);
        let mut keys = std::mem::take(&mut state.unresolved);
        for (unit, key) in units {
            if state.is_new(unit) {
                keys.extend(state.claim(key).then_some(key));
                self.shared.subscribe(&mut state, unit, key);
            }
        }
        drop(state);
        self.shared.resolve(keys);
    }

    /// Blocks until every wanted unit is decided, or waiting for the rest is not worth while.
    ///
    /// That is so when the remote has failed, when nothing has arrived for the stall time (the remote is given up then),
    /// and when, at the pace so far, the rest would take longer to arrive than to be compiled. What is still under way
    /// goes on.
    pub fn wait(&self) {
        drop(self.wait_until(|_| false));
    }

    /// Like [`Prefetch::wait`], but at most until more units are decided than these. Says how many are; nothing when the
    /// wait is over.
    pub fn wait_beyond(&self, decided: usize) -> Option<usize> {
        let state = self.wait_until(|state| state.decided() > decided);
        Some(state.decided()).filter(|now| *now > decided)
    }

    /// Like [`Prefetch::wait`], but at most until the entries of all units that may become hits are known.
    pub fn wait_for_entries(&self) {
        drop(self.wait_until(|state| state.open_bytes().is_some()));
    }

    fn wait_until(&self, is_enough: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let shared = &self.shared;
        let mut state = shared.lock();
        let start = *state.waiting_since.get_or_insert_with(Instant::now);
        loop {
            shared.report(&mut state);
            if state.undecided() == 0 || is_enough(&state) {
                return state;
            }
            if shared.idle() >= shared.stall {
                shared.give_up();
            }
            if shared.has_failed(&state) {
                shared.miss_undecided(&mut state);
            } else if !is_worth_waiting(start.elapsed(), shared.patience(&state), shared.time_left(&state)) {
                return state;
            } else {
                state = shared.pause(state, TICK);
            }
        }
    }

    /// What there is for a unit. Where that is still open, waits as long as compiling it took, then it is a miss for good.
    pub fn lookup(&self, unit: UnitId) -> Lookup {
        let shared = &self.shared;
        let mut state = shared.lock();
        let Some(key) = state.key(unit) else { return Lookup::Miss(MissReason::Absent) };
        let compile_ms = state.known.get(&key).map_or(0, |entry| entry.compile_ms);
        let deadline = Instant::now() + Duration::from_millis(compile_ms);
        loop {
            if let Some(lookup) = state.lookup(unit) {
                return lookup;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || shared.has_failed(&state) {
                shared.decide(&mut state, unit, &Outcome::Miss(MissReason::RemoteFailed));
            } else {
                state = shared.pause(state, left.min(TICK));
            }
        }
    }

    /// The entry of a unit that is a hit by now; never waits.
    pub fn found(&self, unit: UnitId) -> Option<Arc<Entry>> {
        match self.shared.lock().lookup(unit)? {
            Lookup::Hit(entry, _) => Some(entry),
            Lookup::Miss(_) => None,
        }
    }

    /// The entry of a unit that is a hit or may become one; never waits.
    pub fn expected(&self, unit: UnitId) -> Option<Arc<Entry>> {
        let state = self.shared.lock();
        match state.lookup(unit) {
            Some(Lookup::Hit(entry, _)) => Some(entry),
            Some(Lookup::Miss(_)) => None,
            None => state.known.get(&state.key(unit)?).cloned(),
        }
    }

    /// Makes a miss of a hit whose files turned out to be unusable.
    pub fn revoke(&self, unit: UnitId, reason: MissReason) {
        self.shared.lock().revoke(unit, reason);
        self.shared.events.record(EventKind::Missed { unit, reason });
    }

    /// Every entry that was seen, in whichever tier.
    pub fn known_entries(&self) -> Vec<Arc<Entry>> {
        self.shared.lock().known_entries()
    }

    /// Whether the index that the remote has lists all of these: then there is no need for a new one.
    pub fn index_lists(&self, keys: &[UnitKey]) -> bool {
        let state = self.shared.lock();
        matches!(&state.index, Index::Answered(listed) if keys.iter().all(|key| listed.contains(key)))
    }

    /// Cancels what is under way. Units that are still open are misses from now on.
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.shared.lock().stopped
    }

    /// For somebody else to stop it with.
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: Arc::clone(&self.shared) }
    }
}

/// Stops a prefetch.
pub struct Stopper {
    shared: Arc<Shared>,
}

impl Stopper {
    /// [`Prefetch::stop`].
    pub fn stop(&self) {
        self.shared.lock().stop();
        self.shared.changed.notify_all();
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn pause<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(|poisoned| poisoned.into_inner()).0
    }

    /// Something arrived, or is asked for just now.
    fn mark_active(&self) {
        self.active_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.active_ms.load(Ordering::Relaxed)))
    }

    fn give_up(&self) {
        if let Some(remote) = &self.remote {
            remote.give_up(format!("no byte for {} s", self.stall.as_secs()));
        }
    }

    fn has_failed(&self, state: &State) -> bool {
        state.stopped || self.remote.as_ref().is_some_and(|remote| remote.is_open(Direction::Read))
    }

    /// Ties a unit to its key, whose outcome may be known already.
    fn subscribe(&self, state: &mut State, unit: UnitId, key: UnitKey) {
        if let Some(outcome) = state.subscribe(unit, key) {
            self.decide(state, unit, &outcome);
        }
    }

    /// The outcome of a key is the outcome of all its units; the bytes are the first one's.
    fn complete(&self, state: &mut State, key: UnitKey, outcome: Outcome) {
        let mut outcome = outcome;
        for unit in state.complete(key, &outcome) {
            self.decide(state, unit, &outcome);
            outcome = outcome.shared();
        }
        self.mark_active();
        self.changed.notify_all();
    }

    fn decide(&self, state: &mut State, unit: UnitId, outcome: &Outcome) {
        if !state.decide(unit, outcome) {
            return;
        }
        match outcome {
            Outcome::Hit { tier, fetched, .. } => {
                // It may have arrived before the units of its key were known.
                let ago = fetched.map_or(Duration::ZERO, |fetched| fetched.arrived.elapsed());
                let (transferred, millis) = fetched.map_or((0, 0), |fetched| (fetched.bytes, fetched.millis));
                self.events.record_past(ago, EventKind::Found { unit, tier: *tier, transferred, millis });
            }
            Outcome::Miss(reason) => self.events.record(EventKind::Missed { unit, reason: *reason }),
        }
        self.report(state);
    }

    fn miss_undecided(&self, state: &mut State) {
        for unit in state.undecided_units() {
            self.decide(state, unit, &Outcome::Miss(MissReason::RemoteFailed));
        }
        self.changed.notify_all();
    }

    /// What compiling the open units would take, on all cores. What a unit without an entry is worth is not known yet:
    /// a remote that is silent all the while shows within that time.
    fn patience(&self, state: &State) -> Duration {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let costs: Vec<_> = state.open_keys().map(|key| state.compile_ms(key)).collect();
        let compile_ms: u64 = costs.iter().map(|cost| cost.unwrap_or(UNKNOWN_COMPILE_MS)).sum();
        let least = if costs.contains(&None) { self.stall * 2 } else { LEAST_PATIENCE };
        least.max(Duration::from_millis(compile_ms / cores))
    }

    /// How long the packs of the open units take to arrive, at the pace so far; nothing if there is no saying.
    fn time_left(&self, state: &State) -> Option<Duration> {
        let received = self.received.load(Ordering::Relaxed);
        let left = state.open_bytes()?;
        if received == 0 {
            return None;
        }
        Some(self.started.elapsed().mul_f64(left as f64 / received as f64))
    }

    /// Progress, if there is any, and not more often than anybody can see.
    fn report(&self, state: &mut State) {
        if let Some((done, total, bytes)) = state.progress(self.received.load(Ordering::Relaxed), TICK) {
            self.events.record(EventKind::PrefetchProgress { done, total, bytes });
        }
    }
}

/// Whether to go on waiting after `waited`, where compiling what is missing takes `compile` and fetching it `left`.
///
/// Where nobody can say how long it takes to fetch, the wait may last as long as compiling would.
fn is_worth_waiting(waited: Duration, compile: Duration, left: Option<Duration>) -> bool {
    waited <= compile || left.is_some_and(|left| left <= compile)
}

#[cfg(all(test, feature = "fs"))]
#[path = "prefetch_tests.rs"]
mod tests;

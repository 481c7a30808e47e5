//! Fetches the entries and packs of a whole plan into the local store, in parallel, before the build needs them.
//!
//! [`Prefetch::start_graph`] requests the graph index while cargo still plans, and starts to fetch the packs that it
//! lists. [`Prefetch::want`] names the plan's units, [`Prefetch::wait`] waits for them, and [`Prefetch::lookup`]
//! answers the wrapper. Each key is looked up in the local store. If it is not there, its entry comes from the index or
//! from a request of its own, and then its pack, which is verified and unpacked as it arrives.
//!
//! **Invariants.** Every wanted unit is decided exactly once, with one `Found` or one `Missed` event. A decision is
//! final, except that a hit is revoked if its files turn out to be unusable. A key is fetched once, however many units
//! share it. No wait for the network takes longer than compiling would. No error leaves this module: it becomes a miss,
//! and one event if the user should know.

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

/// How often a waiting thread checks for changes that do not wake it, and the shortest time between progress events.
const TICK: Duration = Duration::from_millis(50);
/// The least time to wait for the network, however quickly the missing units would compile.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// The assumed compile time of a unit whose entry is not known yet.
const UNKNOWN_COMPILE_MS: u64 = 500;
/// The number of packs that are unpacked at the same time.
const DECODERS: usize = 4;

/// The decision about a unit.
#[derive(Clone, PartialEq, Debug)]
pub enum Lookup {
    /// A hit. The files of the entry are in the local store.
    Hit(Arc<Entry>, Tier),
    /// A miss.
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
    /// The time of the last request or arrival, in milliseconds since `started`.
    active_ms: AtomicU64,
    received: AtomicU64,
    disk_failed: AtomicBool,
    damage_reported: AtomicBool,
}

impl Prefetch {
    /// Creates a prefetch. Without a remote, it only uses the local store.
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

    /// Requests a graph index in the background, and fetches what it lists and the local store lacks.
    pub fn start_graph(&self, graph_key: Digest) {
        let Some(remote) = self.shared.remote.clone() else { return };
        let mut state = self.shared.lock();
        state.index = Index::Requested;
        self.shared.mark_active();
        let shared = Arc::clone(&self.shared);
        let task = self.shared.runtime.spawn(async move { shared.fetch_index(&remote, graph_key).await });
        state.tasks.push(task.abort_handle());
    }

    /// Names the units of the plan. Looks them up in the local store before it returns; the rest happens in the
    /// background.
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

    /// Blocks until every wanted unit is decided, or the rest is not worth waiting for.
    ///
    /// The latter is the case when the remote has failed, when nothing has arrived for the stall time (the remote is
    /// then given up), and when the rest would, at the current rate, take longer to arrive than to compile. Downloads
    /// continue.
    pub fn wait(&self) {
        drop(self.wait_until(|_| false));
    }

    /// Like [`Prefetch::wait`], but returns as soon as more than `decided` units are decided. Returns their number, or
    /// `None` when the wait is over.
    pub fn wait_beyond(&self, decided: usize) -> Option<usize> {
        let state = self.wait_until(|state| state.decided() > decided);
        Some(state.decided()).filter(|now| *now > decided)
    }

    /// Like [`Prefetch::wait`], but returns as soon as the entries of all units that may become hits are known.
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

    /// The decision about a unit. An undecided unit is waited for as long as compiling it took; then it is a miss.
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

    /// The entry of a unit, if the unit is already a hit. Never waits.
    pub fn found(&self, unit: UnitId) -> Option<Arc<Entry>> {
        match self.shared.lock().lookup(unit)? {
            Lookup::Hit(entry, _) => Some(entry),
            Lookup::Miss(_) => None,
        }
    }

    /// The entry of a unit, if it is known and the unit is a hit or may become one. Never waits.
    pub fn expected(&self, unit: UnitId) -> Option<Arc<Entry>> {
        let state = self.shared.lock();
        match state.lookup(unit) {
            Some(Lookup::Hit(entry, _)) => Some(entry),
            Some(Lookup::Miss(_)) => None,
            None => state.known.get(&state.key(unit)?).cloned(),
        }
    }

    /// Turns a hit into a miss, because its files turned out to be unusable.
    pub fn revoke(&self, unit: UnitId, reason: MissReason) {
        self.shared.lock().revoke(unit, reason);
        self.shared.events.record(EventKind::Missed { unit, reason });
    }

    /// Every known entry, from either tier.
    pub fn known_entries(&self) -> Vec<Arc<Entry>> {
        self.shared.lock().known_entries()
    }

    /// Whether the remote's index lists all of these keys, so that no new one is needed.
    pub fn index_lists(&self, keys: &[UnitKey]) -> bool {
        let state = self.shared.lock();
        matches!(&state.index, Index::Received(listed) if keys.iter().all(|key| listed.contains(key)))
    }

    /// Cancels all downloads. Undecided units become misses when they are next waited for or looked up.
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// Whether the prefetch was stopped.
    pub fn is_stopped(&self) -> bool {
        self.shared.lock().stopped
    }

    /// Returns a handle that stops the prefetch.
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: Arc::clone(&self.shared) }
    }
}

/// Stops a prefetch.
pub struct Stopper {
    shared: Arc<Shared>,
}

impl Stopper {
    /// Stops the prefetch, like [`Prefetch::stop`].
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

    /// Notes that something was requested or has arrived.
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

    /// Assigns a unit to its key, and decides the unit if the key has an outcome already.
    fn subscribe(&self, state: &mut State, unit: UnitId, key: UnitKey) {
        if let Some(outcome) = state.subscribe(unit, key) {
            self.decide(state, unit, &outcome);
        }
    }

    /// Decides all units of a key. Only the first of them accounts for the downloaded bytes.
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
                // The pack may have arrived before there was a plan.
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

    /// How long compiling the undecided units would take on all cores. If an entry is not known yet, at least twice the
    /// stall time: a silent remote is detected within that time.
    fn patience(&self, state: &State) -> Duration {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let costs: Vec<_> = state.open_keys().map(|key| state.compile_ms(key)).collect();
        let compile_ms: u64 = costs.iter().map(|cost| cost.unwrap_or(UNKNOWN_COMPILE_MS)).sum();
        let least = if costs.contains(&None) { self.stall * 2 } else { LEAST_PATIENCE };
        least.max(Duration::from_millis(compile_ms / cores))
    }

    /// How long the packs of the undecided units will take to arrive at the current rate, if that can be estimated.
    fn time_left(&self, state: &State) -> Option<Duration> {
        let received = self.received.load(Ordering::Relaxed);
        let left = state.open_bytes()?;
        if received == 0 {
            return None;
        }
        Some(self.started.elapsed().mul_f64(left as f64 / received as f64))
    }

    /// Records progress, but not more often than a user can see.
    fn report(&self, state: &mut State) {
        if let Some((done, total, bytes)) = state.progress(self.received.load(Ordering::Relaxed), TICK) {
            self.events.record(EventKind::PrefetchProgress { done, total, bytes });
        }
    }
}

/// Whether to go on waiting after `waited`, if the missing units take `compile` to compile and `left` to fetch.
///
/// If `left` is not known, the wait may last as long as compiling would.
fn is_worth_waiting(waited: Duration, compile: Duration, left: Option<Duration>) -> bool {
    waited <= compile || left.is_some_and(|left| left <= compile)
}

#[cfg(all(test, feature = "fs"))]
#[path = "prefetch_tests.rs"]
mod tests;

//! The state of a prefetch: pure bookkeeping behind one lock.
//!
//! A key is first *claimed* by the task that handles it, and later *completed* with an [`Outcome`]. Units are assigned
//! to keys. A claimed key is in exactly one place: with a task, in the queue, in `deferred` until the index has
//! arrived, or in `unresolved` until the roots are known.

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::Lookup;
use crate::entry::Entry;
use crate::event::{MissReason, Tier, UnitId};
use crate::key::UnitKey;
use crate::roots::Roots;

/// The outcome of a key.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Hit { entry: Arc<Entry>, tier: Tier, fetched: Option<Fetched> },
    Miss(MissReason),
}

/// The download of a pack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetched {
    pub(super) bytes: u64,
    pub(super) millis: u64,
    pub(super) arrived: Instant,
}

impl Outcome {
    /// The outcome for another unit of the same key, since the bytes were downloaded only once.
    pub(super) fn shared(self) -> Self {
        match self {
            Self::Hit { entry, tier, .. } => Self::Hit { entry, tier, fetched: None },
            miss => miss,
        }
    }

    fn lookup(&self) -> Lookup {
        match self {
            Self::Hit { entry, tier, .. } => Lookup::Hit(Arc::clone(entry), *tier),
            Self::Miss(reason) => Lookup::Miss(*reason),
        }
    }
}

/// The graph index.
#[derive(Default)]
pub(super) enum Index {
    #[default]
    NotRequested,
    Requested,
    /// The index has arrived, with these keys.
    Received(HashSet<UnitKey>),
}

/// A request to make.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Job {
    Entry(UnitKey),
    Pack(UnitKey),
}

/// Entries come first, because they say how much compile time each pack saves. Then come the packs that save most.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    priority: u64,
    is_entry: bool,
    key: UnitKey,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) index: Index,
    pub(super) roots: Option<Roots>,
    /// Entries that the remote has a pack for.
    pub(super) known: HashMap<UnitKey, Arc<Entry>>,
    /// Claimed keys, with their outcome once there is one.
    keys: HashMap<UnitKey, Option<Outcome>>,
    /// The reason for the miss if the remote does not have a key either.
    pub(super) fallback: HashMap<UnitKey, MissReason>,
    units: HashMap<UnitId, (UnitKey, Option<Lookup>)>,
    waiting: HashMap<UnitKey, Vec<UnitId>>,
    pub(super) deferred: Vec<UnitKey>,
    pub(super) unresolved: Vec<UnitKey>,
    queue: BinaryHeap<Queued>,
    pub(super) workers: usize,
    pub(super) tasks: Vec<AbortHandle>,
    pub(super) stopped: bool,
    decided: usize,
    /// When a thread first began to wait for undecided units.
    pub(super) waiting_since: Option<Instant>,
    reported: Option<(Instant, usize, u64)>,
}

impl State {
    pub(super) fn is_new(&self, unit: UnitId) -> bool {
        !self.units.contains_key(&unit)
    }

    /// Claims a key. Returns true for the first caller, who then handles the key.
    pub(super) fn claim(&mut self, key: UnitKey) -> bool {
        let new = !self.keys.contains_key(&key);
        self.keys.entry(key).or_default();
        new
    }

    /// Assigns a unit to its key, and returns the outcome if there is one already.
    pub(super) fn subscribe(&mut self, unit: UnitId, key: UnitKey) -> Option<Outcome> {
        self.units.insert(unit, (key, None));
        let Some(outcome) = self.keys.get(&key).cloned().flatten() else {
            self.waiting.entry(key).or_default().push(unit);
            return None;
        };
        let is_counted = self.units.values().any(|(other, lookup)| *other == key && lookup.is_some());
        Some(if is_counted { outcome.shared() } else { outcome })
    }

    /// Completes a key, and returns the units that wait for it.
    pub(super) fn complete(&mut self, key: UnitKey, outcome: &Outcome) -> Vec<UnitId> {
        self.keys.insert(key, Some(outcome.clone()));
        self.waiting.remove(&key).unwrap_or_default()
    }

    /// Decides a unit. Returns false if it was decided before.
    pub(super) fn decide(&mut self, unit: UnitId, outcome: &Outcome) -> bool {
        match self.units.get_mut(&unit) {
            Some((_, lookup @ None)) => {
                *lookup = Some(outcome.lookup());
                self.decided += 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn key(&self, unit: UnitId) -> Option<UnitKey> {
        self.units.get(&unit).map(|(key, _)| *key)
    }

    pub(super) fn lookup(&self, unit: UnitId) -> Option<Lookup> {
        self.units.get(&unit).and_then(|(_, lookup)| lookup.clone())
    }

    pub(super) fn revoke(&mut self, unit: UnitId, reason: MissReason) {
        if let Some((_, lookup)) = self.units.get_mut(&unit) {
            *lookup = Some(Lookup::Miss(reason));
        }
    }

    pub(super) fn decided(&self) -> usize {
        self.decided
    }

    pub(super) fn undecided(&self) -> usize {
        self.units.len() - self.decided
    }

    pub(super) fn undecided_units(&self) -> Vec<UnitId> {
        let open = self.units.iter().filter(|(_, (_, lookup))| lookup.is_none());
        let mut units: Vec<_> = open.map(|(unit, _)| *unit).collect();
        units.sort_unstable();
        units
    }

    /// The keys of undecided units.
    pub(super) fn open_keys(&self) -> impl Iterator<Item = UnitKey> {
        self.waiting.keys().copied()
    }

    /// The size of the packs of all undecided units. `None` while the entry of one of them is not known.
    pub(super) fn open_bytes(&self) -> Option<u64> {
        self.open_keys().map(|key| Some(self.known.get(&key)?.pack?.size)).sum()
    }

    pub(super) fn compile_ms(&self, key: UnitKey) -> Option<u64> {
        self.known.get(&key).map(|entry| entry.compile_ms)
    }

    /// Forgets the index's entry for a key, because the remote may have a newer one. Returns false if the index has
    /// none.
    pub(super) fn forget_listed(&mut self, key: UnitKey) -> bool {
        let Index::Received(listed) = &mut self.index else { return false };
        listed.remove(&key) && self.known.remove(&key).is_some()
    }

    pub(super) fn fallback(&self, key: UnitKey) -> MissReason {
        self.fallback.get(&key).copied().unwrap_or(MissReason::Absent)
    }

    /// Whether the roots that an entry is bound to have the same paths here. `None` while the roots are not known.
    pub(super) fn fits(&self, entry: &Entry) -> Option<bool> {
        let bound = &entry.constraints.bound;
        if bound.is_empty() {
            return Some(true);
        }
        let roots = self.roots.as_ref()?;
        Some(bound.iter().all(|(root, digest)| roots.digest(*root) == Some(*digest)))
    }

    pub(super) fn push(&mut self, job: Job) {
        self.queue.push(match job {
            Job::Entry(key) => Queued { priority: u64::MAX, is_entry: true, key },
            Job::Pack(key) => Queued { priority: self.compile_ms(key).unwrap_or(0), is_entry: false, key },
        });
    }

    /// Takes the next request. If there is none, the calling worker ends.
    pub(super) fn pop(&mut self) -> Option<Job> {
        let next = self.queue.pop();
        if next.is_none() {
            self.workers -= 1;
        }
        next.map(|queued| if queued.is_entry { Job::Entry(queued.key) } else { Job::Pack(queued.key) })
    }

    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.queue.clear();
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    pub(super) fn known_entries(&self) -> Vec<Arc<Entry>> {
        let mut entries = self.known.clone();
        for outcome in self.keys.values().flatten() {
            if let Outcome::Hit { entry, .. } = outcome {
                entries.insert(entry.key, Arc::clone(entry));
            }
        }
        entries.into_values().collect()
    }

    /// The numbers of decided and wanted units, and the bytes received. `None` if nothing has changed, or if the last
    /// report is too recent and units are still undecided.
    pub(super) fn progress(&mut self, bytes: u64, interval: Duration) -> Option<(usize, usize, u64)> {
        let (total, now) = (self.units.len(), Instant::now());
        let due = match self.reported {
            None => total > 0,
            Some((_, done, before)) if (done, before) == (self.decided, bytes) => false,
            Some((at, ..)) => now.duration_since(at) >= interval || self.decided == total,
        };
        if !due {
            return None;
        }
        self.reported = Some((now, self.decided, bytes));
        Some((self.decided, total, bytes))
    }
}

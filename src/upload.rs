//! Sends compiled units to the remote, during the build and for a limited time after it.
//!
//! [`Upload::send`] only queues. In the background, each unit is packed from the local store, and its pack is sent
//! before its entry, so no reader sees an entry without its pack. Then the local entry gets the pack's name and is
//! marked as pushed. [`Upload::finish`] waits for the rest, for a limited time, and writes the graph index last.
//!
//! A marker says that an entry was in the remote once. A bucket may be emptied, and objects expire. So an entry that
//! this session has not seen in the remote is checked before an index names it ([`Upload::verify`]), and sent again if
//! it is missing. If the existing index lists the whole build, nothing is written or checked.
//!
//! **Invariants.** An index names only entries that this session has seen in the remote. One thread packs while the
//! build runs. Units that could not be sent stay in the local store without a marker, for `cargo xcache push`. If the
//! remote accepts nothing, the uploads end with one line, and the build is not affected.

use std::io::Cursor;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::config::Settings;
use crate::digest::Digest;
use crate::entry::{Entry, GraphIndex, PackRef, pack};
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog};
use crate::key::UnitKey;
use crate::key::unit_inputs::UnitInputs;
use crate::store::input_history::SharedHistory;
use crate::store::remote::health::Direction;
use crate::store::{LocalStore, RemoteStore, Runtime};

/// The number of units that are sent at a time. The pack of each is in memory.
const MAX_SLOTS: usize = 16;
/// The interval at which the drain checks what is left.
const TICK: Duration = Duration::from_millis(20);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// The result of the uploads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UploadSummary {
    /// Units sent.
    pub sent: usize,
    /// Units that are only in the local store, as far as is known.
    pub left: usize,
    /// Bytes sent.
    pub bytes: u64,
}

/// The uploads of one session.
pub struct Upload {
    shared: Arc<Shared>,
    deadline: Duration,
    /// The unit inputs of the build, and the name of the object that shares them.
    shared_history: Option<(Digest, Vec<UnitInputs>)>,
}

struct Shared {
    runtime: Handle,
    local: Arc<LocalStore>,
    remote: Arc<RemoteStore>,
    events: EventLog,
    compression: i32,
    slots: Semaphore,
    packers: Semaphore,
    queries: Semaphore,
    /// The number of entries that are being checked.
    querying: AtomicUsize,
    queued: AtomicUsize,
    sent: AtomicUsize,
    failed: AtomicUsize,
    bytes: AtomicU64,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// A unit that was sent.
struct Sent {
    bytes: u64,
    began: Instant,
}

impl Upload {
    /// Creates the queue. Nothing is sent before [`Upload::send`].
    pub fn new(
        runtime: &Runtime,
        local: Arc<LocalStore>,
        remote: Arc<RemoteStore>,
        events: EventLog,
        settings: &Settings,
    ) -> Self {
        let shared = Shared {
            runtime: runtime.handle(),
            local,
            remote,
            events,
            compression: settings.compression,
            slots: Semaphore::new(settings.concurrency.min(MAX_SLOTS)),
            packers: Semaphore::new(1),
            queries: Semaphore::new(settings.concurrency),
            querying: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            tasks: Mutex::default(),
        };
        Self { shared: Arc::new(shared), deadline: Duration::from_secs(settings.upload_timeout), shared_history: None }
    }

    /// Makes [`Upload::finish`] add the build's unit inputs to the object of this name if anything was sent.
    #[must_use]
    pub fn with_shared_history(self, name: Digest, unit_inputs: Vec<UnitInputs>) -> Self {
        Self { shared_history: Some((name, unit_inputs)), ..self }
    }

    /// Whether nothing has been queued yet.
    pub fn is_idle(&self) -> bool {
        self.shared.queued.load(Ordering::Relaxed) == 0
    }

    /// Queues an entry whose files are in the local store. Returns at once.
    pub fn send(&self, entry: Entry) {
        self.shared.queued.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&self.shared);
        let task = self.shared.runtime.spawn(async move { shared.send(entry).await });
        self.shared.lock_tasks().push(task.abort_handle());
    }

    /// Checks whether a marked entry is still in the remote, and queues it otherwise. Returns at once.
    pub fn verify(&self, entry: Entry) {
        self.shared.verify(entry);
    }

    /// Waits for the queue, then writes the graph index with those of these units that are in the remote.
    ///
    /// Ends early at the deadline, if the remote accepts no more, or when `cancelled` becomes true.
    pub fn finish(self, graph: Option<(Digest, Vec<UnitKey>)>, cancelled: &AtomicBool) -> UploadSummary {
        let shared = &self.shared;
        let end = Instant::now() + self.deadline;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        shared.packers.add_permits(cores - 1);
        let listed = graph.iter().flat_map(|(_, units)| units);
        listed.filter_map(|key| shared.marked_entry(*key)).for_each(|entry| shared.verify(entry));
        shared.drain(end, cancelled);
        if let Some((key, units)) = graph.filter(|_| !cancelled.load(Ordering::Relaxed)) {
            shared.put_graph(key, &units, end);
        }
        let is_sent = shared.summary().sent > 0 && !cancelled.load(Ordering::Relaxed);
        if let Some((name, unit_inputs)) = self.shared_history.filter(|_| is_sent) {
            shared.put_shared_history(name, unit_inputs, end);
        }
        let summary = shared.summary();
        let UploadSummary { sent, left, bytes } = summary;
        shared.events.record(EventKind::UploadFinished { sent, left, bytes });
        shared.remote.close();
        summary
    }
}

impl Shared {
    fn verify(self: &Arc<Self>, entry: Entry) {
        self.querying.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let is_in_remote = shared.is_in_remote(&entry).await;
            // Counted as queued before it is uncounted here, so that the drain cannot end in between.
            shared.queued.fetch_add(usize::from(is_in_remote != Ok(true)), Ordering::Relaxed);
            shared.querying.fetch_sub(1, Ordering::Relaxed);
            match is_in_remote {
                Ok(true) => {}
                Ok(false) => shared.send(entry).await,
                Err(()) => drop(shared.failed.fetch_add(1, Ordering::Relaxed)),
            }
        });
        self.lock_tasks().push(task.abort_handle());
    }

    /// Whether an entry is in the remote. Updates the marker. An error means that it is not known.
    async fn is_in_remote(&self, entry: &Entry) -> Result<bool, ()> {
        let _query = self.queries.acquire().await.map_err(drop)?;
        let is_in_remote = self.remote.has(entry).await;
        let noted = is_in_remote.and_then(|is_in_remote| {
            let (remote, key) = (self.remote.id(), entry.key);
            let noted =
                if is_in_remote { self.local.mark_pushed(remote, key) } else { self.local.unmark_pushed(remote, key) };
            noted.map(|()| is_in_remote)
        });
        noted.map_err(|error| tracing::debug!(key = %entry.key, %error, "cannot check whether the entry is there"))
    }

    async fn send(&self, entry: Entry) {
        let Ok(_slot) = self.slots.acquire().await else { return };
        let (key, package) = (entry.key, entry.package.clone());
        match self.try_send(entry).await {
            Ok(Sent { bytes, began }) => {
                let millis = began.elapsed().as_millis() as u64;
                self.events.record(EventKind::Uploaded { key, package, bytes, millis });
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                self.sent.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::debug!(%key, %error, "the unit was not sent");
                if let Error::Corrupt { object, reason } = error {
                    self.events.record(EventKind::CorruptObject { object, reason });
                }
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn try_send(&self, mut entry: Entry) -> Result<Sent> {
        let (began, pack, bytes) = self.pack(&entry).await?;
        self.remote.put_pack(pack, bytes).await?;
        entry.pack = Some(pack);
        let size = self.remote.put_entry(&entry).await?;
        self.note_pack(&entry)?;
        Ok(Sent { bytes: pack.size + size, began })
    }

    /// Notes in the local store that an entry is in the remote, unless another session has replaced the entry meanwhile.
    fn note_pack(&self, entry: &Entry) -> Result<()> {
        let stored = self.local.entry(entry.key)?;
        if stored.is_some_and(|stored| Entry { pack: entry.pack, ..stored } == *entry) {
            self.local.put_entry(entry)?;
            self.local.mark_pushed(self.remote.id(), entry.key)?;
        }
        Ok(())
    }

    /// The pack, and the time at which packing began.
    async fn pack(&self, entry: &Entry) -> Result<(Instant, PackRef, Vec<u8>)> {
        self.remote.check(Direction::Write)?;
        let _packer = self.packers.acquire().await;
        let began = Instant::now();
        let (local, entry, compression) = (Arc::clone(&self.local), entry.clone(), self.compression);
        let packed = self.runtime.spawn_blocking(move || pack_files(&local, &entry, compression)).await;
        let (pack, bytes) = packed.map_err(|error| Error::corrupt("pack", error))??;
        Ok((began, pack, bytes))
    }

    fn drain(&self, end: Instant, cancelled: &AtomicBool) {
        let mut reported = None;
        loop {
            let UploadSummary { sent, bytes, .. } = self.summary();
            let total = self.queued.load(Ordering::Relaxed);
            let is_done =
                self.querying.load(Ordering::Relaxed) == 0 && sent + self.failed.load(Ordering::Relaxed) >= total;
            let is_over = is_done
                || Instant::now() >= end
                || cancelled.load(Ordering::Relaxed)
                || self.remote.is_open(Direction::Write);
            let is_due = reported.is_none_or(|(at, done, before): (Instant, usize, u64)| {
                (done, before) != (sent, bytes) && (is_over || at.elapsed() >= PROGRESS_INTERVAL)
            });
            if is_due && total > 0 {
                reported = Some((Instant::now(), sent, bytes));
                self.events.record(EventKind::UploadProgress { done: sent, total, bytes });
            }
            if is_over {
                break;
            }
            std::thread::sleep(TICK);
        }
        self.lock_tasks().drain(..).for_each(|task| task.abort());
    }

    fn put_graph(&self, key: Digest, units: &[UnitKey], end: Instant) {
        let index = GraphIndex { entries: units.iter().filter_map(|key| self.seen_entry(*key)).collect() };
        if index.entries.is_empty() || self.remote.is_open(Direction::Write) {
            return;
        }
        let time = end.saturating_duration_since(Instant::now());
        let put = async { tokio::time::timeout(time, self.remote.put_graph(key, &index)).await };
        if let Ok(Ok(size)) = self.runtime.block_on(put) {
            self.bytes.fetch_add(size, Ordering::Relaxed);
        }
    }

    /// Adds to the existing object. Otherwise readers would see only this build, which is mostly their own.
    fn put_shared_history(&self, name: Digest, unit_inputs: Vec<UnitInputs>, end: Instant) {
        let time = end.saturating_duration_since(Instant::now());
        let put = async {
            let existing = self.remote.input_history(name).await?;
            let mut history = existing.map(|bytes| SharedHistory::decode(&bytes)).unwrap_or_default();
            history.add(unit_inputs, jiff::Timestamp::now());
            self.remote.put_input_history(name, history.encode()).await
        };
        match self.runtime.block_on(async { tokio::time::timeout(time, put).await }) {
            Ok(Ok(size)) => drop(self.bytes.fetch_add(size, Ordering::Relaxed)),
            Ok(Err(error)) => tracing::debug!(%error, "the unit inputs were not shared"),
            Err(_) => tracing::debug!("the unit inputs were not shared: no time is left"),
        }
    }

    /// The local entry with its pack, if this session has seen it in the remote.
    fn seen_entry(&self, key: UnitKey) -> Option<Entry> {
        self.local.is_seen(self.remote.id(), key).then(|| self.packed(key)).flatten()
    }

    /// The local entry, if only a marker says that it is in the remote.
    fn marked_entry(&self, key: UnitKey) -> Option<Entry> {
        let remote = self.remote.id();
        let is_only_marked = self.local.is_pushed(remote, key) && !self.local.is_seen(remote, key);
        is_only_marked.then(|| self.packed(key)).flatten()
    }

    fn packed(&self, key: UnitKey) -> Option<Entry> {
        self.local.entry(key).ok()?.filter(|entry| entry.pack.is_some())
    }

    fn summary(&self) -> UploadSummary {
        let sent = self.sent.load(Ordering::Relaxed);
        let left = self.queued.load(Ordering::Relaxed).saturating_sub(sent) + self.querying.load(Ordering::Relaxed);
        UploadSummary { sent, left, bytes: self.bytes.load(Ordering::Relaxed) }
    }

    fn lock_tasks(&self) -> std::sync::MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Packs the files of an entry. Each file is verified, so that damage on this disk is not sent.
fn pack_files(local: &LocalStore, entry: &Entry, compression: i32) -> Result<(PackRef, Vec<u8>)> {
    let files = entry.files.iter().map(|file| local.read(file)).collect::<Result<Vec<_>>>()?;
    let mut bytes = Vec::new();
    let pack = pack::write(files.into_iter().map(|file| Ok(Cursor::new(file))), compression, &mut bytes)
        .map_err(Error::io("pack", entry.package.as_str()))?;
    Ok((pack, bytes))
}

#[cfg(all(test, feature = "fs"))]
#[path = "upload_tests.rs"]
mod tests;

//! Sends what was compiled to the remote, while the build goes on and for a while after it.
//!
//! [`Upload::send`] only queues. In the background each unit is packed from the local store, its pack is put, then its
//! entry: nobody ever sees an entry whose pack is not there. Then the local entry learns of its pack and is marked as
//! pushed. [`Upload::finish`] waits for the rest, for a bounded time, and puts the graph index last.
//!
//! A marker says that an entry was in the remote once. A bucket may be emptied, and objects expire: what this session has
//! not seen there is asked about ([`Upload::verify`]) before an index names it, and sent again where it is gone. Where the
//! index that is there lists all of a build, nothing is put and nothing is asked.
//!
//! **Invariants.** An index names nothing that was not there in this session. One thread packs while the build runs. What could not be sent stays in the local store, unmarked, for
//! `cargo xcache push`. A remote that takes nothing ends the uploads with one line, and never the build.

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

/// Units on their way at a time: each is a pack in memory.
const MAX_SLOTS: usize = 16;
/// How often the drain looks at what is left.
const TICK: Duration = Duration::from_millis(20);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

/// What became of the uploads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UploadSummary {
    /// Units sent.
    pub sent: usize,
    /// Units that stay in the local store only, or of which that is not known.
    pub left: usize,
    /// Bytes sent.
    pub bytes: u64,
}

/// The uploads of one session.
pub struct Upload {
    shared: Arc<Shared>,
    deadline: Duration,
    /// What the build was made from, for those who ask why theirs was not a hit.
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
    /// Entries that are being asked about.
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
    /// Nothing is sent before [`Upload::send`].
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

    /// Once something was sent, [`Upload::finish`] adds what the build was made from to the object of this name.
    #[must_use]
    pub fn with_shared_history(self, name: Digest, unit_inputs: Vec<UnitInputs>) -> Self {
        Self { shared_history: Some((name, unit_inputs)), ..self }
    }

    /// Whether nothing was queued so far.
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

    /// Asks whether an entry that is marked as pushed is still there, and queues it where it is not. Returns at once.
    pub fn verify(&self, entry: Entry) {
        self.shared.verify(entry);
    }

    /// Waits for what is queued, then puts the index of the graph: the entries of these keys that are in the remote.
    ///
    /// Ends early at the deadline, when the remote takes no more, and when `cancelled` becomes true.
    pub fn finish(self, graph: Option<(Digest, Vec<UnitKey>)>, cancelled: &AtomicBool) -> UploadSummary {
        let shared = &self.shared;
        let end = Instant::now() + self.deadline;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        shared.packers.add_permits(cores - 1);
        let listed = graph.iter().flat_map(|(_, units)| units);
        listed.filter_map(|key| shared.only_marked(*key)).for_each(|entry| shared.verify(entry));
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
            let is_there = shared.is_there(&entry).await;
            // Counted on one side before it is off the other, so that nobody takes the uploads for finished in between.
            shared.queued.fetch_add(usize::from(is_there != Ok(true)), Ordering::Relaxed);
            shared.querying.fetch_sub(1, Ordering::Relaxed);
            match is_there {
                Ok(true) => {}
                Ok(false) => shared.send(entry).await,
                Err(()) => drop(shared.failed.fetch_add(1, Ordering::Relaxed)),
            }
        });
        self.lock_tasks().push(task.abort_handle());
    }

    /// Whether an entry is in the remote, and notes it; nothing where there is no saying.
    async fn is_there(&self, entry: &Entry) -> Result<bool, ()> {
        let _question = self.queries.acquire().await.map_err(drop)?;
        let is_there = self.remote.has(entry).await;
        let noted = is_there.and_then(|is_there| {
            let (remote, key) = (self.remote.id(), entry.key);
            let noted =
                if is_there { self.local.mark_pushed(remote, key) } else { self.local.unmark_pushed(remote, key) };
            noted.map(|()| is_there)
        });
        noted.map_err(|error| tracing::debug!(key = %entry.key, %error, "not known to be there"))
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
                tracing::debug!(%key, %error, "not sent");
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
        self.local.put_entry(&entry)?;
        self.local.mark_pushed(self.remote.id(), entry.key)?;
        Ok(Sent { bytes: pack.size + size, began })
    }

    /// The pack, and when its turn came.
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
            let over = is_done
                || Instant::now() >= end
                || cancelled.load(Ordering::Relaxed)
                || self.remote.is_open(Direction::Write);
            let due = reported.is_none_or(|(at, done, before): (Instant, usize, u64)| {
                (done, before) != (sent, bytes) && (over || at.elapsed() >= PROGRESS_INTERVAL)
            });
            if due && total > 0 {
                reported = Some((Instant::now(), sent, bytes));
                self.events.record(EventKind::UploadProgress { done: sent, total, bytes });
            }
            if over {
                break;
            }
            std::thread::sleep(TICK);
        }
        self.lock_tasks().drain(..).for_each(|task| task.abort());
    }

    fn put_graph(&self, key: Digest, units: &[UnitKey], end: Instant) {
        let index = GraphIndex { entries: units.iter().filter_map(|key| self.seen(*key)).collect() };
        if index.entries.is_empty() || self.remote.is_open(Direction::Write) {
            return;
        }
        let time = end.saturating_duration_since(Instant::now());
        let put = async { tokio::time::timeout(time, self.remote.put_graph(key, &index)).await };
        if let Ok(Ok(size)) = self.runtime.block_on(put) {
            self.bytes.fetch_add(size, Ordering::Relaxed);
        }
    }

    /// Adds to what is there already: else whoever asks would hear of this build only, which is mostly their own.
    fn put_shared_history(&self, name: Digest, unit_inputs: Vec<UnitInputs>, end: Instant) {
        let time = end.saturating_duration_since(Instant::now());
        let put = async {
            let there = self.remote.input_history(name).await?;
            let mut history = there.map(|bytes| SharedHistory::decode(&bytes)).unwrap_or_default();
            history.add(unit_inputs, jiff::Timestamp::now());
            self.remote.put_input_history(name, history.encode()).await
        };
        match self.runtime.block_on(async { tokio::time::timeout(time, put).await }) {
            Ok(Ok(size)) => drop(self.bytes.fetch_add(size, Ordering::Relaxed)),
            Ok(Err(error)) => tracing::debug!(%error, "what the build was made from is not shared"),
            Err(_) => tracing::debug!("what the build was made from is not shared: there is no time left"),
        }
    }

    /// The local entry, if this session has seen it in the remote, with its pack.
    fn seen(&self, key: UnitKey) -> Option<Entry> {
        self.local.is_seen(self.remote.id(), key).then(|| self.packed(key)).flatten()
    }

    /// The local entry, if there is no more than a mark that the remote has it.
    fn only_marked(&self, key: UnitKey) -> Option<Entry> {
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

/// Every file is verified on the way, so that damage on this disk stays on this disk.
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

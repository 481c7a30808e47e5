//! The steps for a key: local store, index, entry, pack. All of them end in [`Shared::complete`].

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use opendal::Buffer;
use rayon::prelude::*;
use tokio::sync::mpsc;

use super::state::{Fetched, Index, Job, Outcome, State};
use super::{Digest, Shared};
use crate::entry::{Entry, PackRef};
use crate::error::{Error, Result};
use crate::event::{EventKind, MissReason, Tier};
use crate::key::UnitKey;
use crate::store::remote::Download;
use crate::store::{LocalStore, RemoteStore};

/// Packs up to this size are received completely before they are unpacked, so that no decoder waits for the network.
const MAX_COLLECTED: u64 = 4 << 20;
/// The number of chunks of a larger pack that may wait for the decoder.
const CHUNKS: usize = 32;

impl Shared {
    /// Fetches the index. If there is none, the entry of each key is requested on its own.
    pub(super) async fn fetch_index(self: &Arc<Self>, remote: &RemoteStore, graph_key: Digest) {
        let entries = match remote.graph(graph_key).await {
            Ok(Some(index)) => {
                self.events.record(EventKind::GraphIndexFound { entries: index.entries.len() });
                index.entries
            }
            Ok(None) | Err(Error::Remote { .. }) => Vec::new(),
            Err(error) => {
                self.report_corrupt_remote(error);
                Vec::new()
            }
        };
        self.mark_active();
        let mut state = self.lock();
        state.index = Index::Received(entries.iter().map(|entry| entry.key).collect());
        let mut keys = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.pack.is_some()) {
            let key = entry.key;
            state.known.insert(key, Arc::new(entry));
            keys.extend(state.claim(key).then_some(key));
        }
        for key in std::mem::take(&mut state.deferred) {
            self.request_next(&mut state, key);
        }
        drop(state);
        let shared = Arc::clone(self);
        self.runtime.spawn_blocking(move || shared.resolve(keys));
    }

    /// Looks up claimed keys in the local store, in parallel, and requests the rest from the remote.
    pub(super) fn resolve(self: &Arc<Self>, keys: Vec<UnitKey>) {
        let found: Vec<_> = keys.into_par_iter().map(|key| (key, self.local_entry(key))).collect();
        let mut state = self.lock();
        for (key, found) in found {
            let reason = match found {
                Ok(entry) => match state.fits(&entry) {
                    Some(true) => {
                        let outcome = Outcome::Hit { entry: Arc::new(entry), tier: Tier::Local, fetched: None };
                        self.complete(&mut state, key, outcome);
                        continue;
                    }
                    Some(false) => MissReason::PathBound,
                    None => {
                        state.unresolved.push(key);
                        continue;
                    }
                },
                Err(reason) => reason,
            };
            state.fallback.insert(key, reason);
            self.request_next(&mut state, key);
        }
    }

    fn local_entry(&self, key: UnitKey) -> Result<Entry, MissReason> {
        match self.local.entry(key) {
            Ok(entry) => entry.ok_or(MissReason::Absent),
            Err(error @ Error::Corrupt { .. }) => {
                self.report_corrupt(error);
                Err(MissReason::Corrupt)
            }
            Err(error) => {
                self.report_disk(&error);
                Err(MissReason::Absent)
            }
        }
    }

    /// Queues the next request for a claimed key that is not in the local store, or completes the key.
    fn request_next(self: &Arc<Self>, state: &mut State, key: UnitKey) {
        if self.remote.is_none() {
            return self.complete(state, key, Outcome::Miss(state.fallback(key)));
        }
        if self.has_failed(state) {
            return self.complete(state, key, Outcome::Miss(MissReason::RemoteFailed));
        }
        let job = match state.known.get(&key).map(|entry| state.fits(entry)) {
            Some(Some(true)) => Job::Pack(key),
            Some(Some(false)) => return self.complete(state, key, Outcome::Miss(MissReason::PathBound)),
            Some(None) => return state.unresolved.push(key),
            None if matches!(state.index, Index::Requested) => return state.deferred.push(key),
            None => Job::Entry(key),
        };
        self.enqueue(state, job);
    }

    fn enqueue(self: &Arc<Self>, state: &mut State, job: Job) {
        self.mark_active();
        state.push(job);
        if state.workers < self.concurrency {
            state.workers += 1;
            let shared = Arc::clone(self);
            let worker = self.runtime.spawn(async move { shared.work().await });
            state.tasks.push(worker.abort_handle());
        }
    }

    async fn work(self: Arc<Self>) {
        let Some(remote) = self.remote.clone() else { return };
        loop {
            let Some(job) = self.lock().pop() else { return };
            match job {
                Job::Entry(key) => self.fetch_entry(&remote, key).await,
                Job::Pack(key) => self.fetch_pack(&remote, key).await,
            }
        }
    }

    async fn fetch_entry(self: &Arc<Self>, remote: &RemoteStore, key: UnitKey) {
        let result = remote.entry(key).await;
        self.mark_active();
        match result {
            Ok(Some(entry)) if entry.pack.is_some() => {
                let mut state = self.lock();
                state.known.insert(key, Arc::new(entry));
                self.request_next(&mut state, key);
            }
            Ok(_) => {
                let mut state = self.lock();
                let reason = state.fallback(key);
                self.complete(&mut state, key, Outcome::Miss(reason));
            }
            Err(error) => self.miss(key, error),
        }
    }

    async fn fetch_pack(self: &Arc<Self>, remote: &RemoteStore, key: UnitKey) {
        let Some((entry, pack)) = self.known_pack(key) else { return self.complete_miss(key, MissReason::Absent) };
        if self.disk_failed.load(Ordering::Relaxed) {
            return self.complete_miss(key, MissReason::Restore);
        }
        let start = Instant::now();
        match self.download(remote, Arc::clone(&entry), pack).await {
            Ok(true) => {
                let millis = start.elapsed().as_millis() as u64;
                let fetched = Some(Fetched { bytes: pack.size, millis, arrived: Instant::now() });
                let outcome = Outcome::Hit { entry, tier: Tier::Remote, fetched };
                self.complete(&mut self.lock(), key, outcome);
            }
            Ok(false) => {
                let mut state = self.lock();
                if state.forget_listed(key) {
                    return self.request_next(&mut state, key);
                }
                let reason = state.fallback(key);
                self.complete(&mut state, key, Outcome::Miss(reason));
            }
            Err(error) => self.miss(key, error),
        }
    }

    fn known_pack(&self, key: UnitKey) -> Option<(Arc<Entry>, PackRef)> {
        let entry = Arc::clone(self.lock().known.get(&key)?);
        let pack = entry.pack?;
        Some((entry, pack))
    }

    /// Downloads a unit into the local store. Returns false if the remote has no such pack.
    async fn download(&self, remote: &RemoteStore, entry: Arc<Entry>, pack: PackRef) -> Result<bool> {
        let Some(mut download) = remote.pack(pack).await? else { return Ok(false) };
        let local = Arc::clone(&self.local);
        let remote_id = remote.id().to_owned();
        if pack.size <= MAX_COLLECTED {
            let bytes = self.collect(&mut download, pack).await?;
            let _permit = self.decoders.acquire().await;
            self.runtime.spawn_blocking(move || keep(&local, &remote_id, &entry, bytes)).await.map_err(lost)??;
        } else {
            let _permit = self.streams.acquire().await;
            let (sender, receiver) = mpsc::channel(CHUNKS);
            let input = Chunks { receiver, current: Buffer::new() };
            let decoder = self.runtime.spawn_blocking(move || keep(&local, &remote_id, &entry, input));
            let fed = self.feed(&mut download, sender).await;
            // A network error is the cause of the decoder's error.
            let decoded = decoder.await.map_err(lost)?;
            fed.and(decoded)?;
        }
        Ok(true)
    }

    async fn collect(&self, download: &mut Download<'_>, pack: PackRef) -> Result<Buffer> {
        let mut chunks = Vec::new();
        let mut size = 0;
        while let Some(chunk) = download.next().await? {
            self.arrived(&chunk);
            size += chunk.len() as u64;
            chunks.extend(chunk);
            if size > pack.size {
                return Err(Error::corrupt(format!("blob/{}", pack.digest), "it is longer than its entry says"));
            }
        }
        Ok(chunks.into_iter().collect())
    }

    /// Passes chunks to the decoder, until it has ended or there are no more.
    async fn feed(&self, download: &mut Download<'_>, sender: mpsc::Sender<Result<Buffer, ()>>) -> Result<()> {
        loop {
            match download.next().await {
                Ok(None) => return Ok(()),
                Ok(Some(chunk)) => {
                    self.arrived(&chunk);
                    if sender.send(Ok(chunk)).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => {
                    sender.send(Err(())).await.ok();
                    return Err(error);
                }
            }
        }
    }

    fn arrived(&self, chunk: &Buffer) {
        self.received.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.mark_active();
    }

    fn complete_miss(&self, key: UnitKey, reason: MissReason) {
        self.complete(&mut self.lock(), key, Outcome::Miss(reason));
    }

    fn miss(&self, key: UnitKey, error: Error) {
        let reason = match error {
            Error::Remote { .. } => MissReason::RemoteFailed,
            Error::Corrupt { .. } => {
                self.report_corrupt_remote(error);
                MissReason::Corrupt
            }
            error => {
                self.report_disk(&error);
                MissReason::Restore
            }
        };
        self.complete_miss(key, reason);
    }

    fn report_corrupt(&self, error: Error) {
        if let Error::Corrupt { object, reason } = error {
            self.events.record(EventKind::CorruptObject { object, reason });
        }
    }

    /// Damage in the remote affects all of its users, so the first damaged object is a warning as well.
    fn report_corrupt_remote(&self, error: Error) {
        if let (Some(remote), false) = (&self.remote, self.damage_reported.swap(true, Ordering::Relaxed)) {
            let url = remote.shown();
            self.events.warn(format!("remote {url}: {error}; the unit is compiled, and replaces it"));
        }
        self.report_corrupt(error);
    }

    /// Warns once, since a full disk affects every unit.
    fn report_disk(&self, error: &Error) {
        if !self.disk_failed.swap(true, Ordering::Relaxed) {
            let hint = error.hint(self.local.root()).map(|hint| format!("; {hint}")).unwrap_or_default();
            self.events.warn(format!("the local store cannot be used: {error}{hint}"));
        }
    }
}

/// Unpacks a unit into the local store, and then writes its entry.
fn keep(local: &LocalStore, remote_id: &str, entry: &Entry, input: impl Read) -> Result<()> {
    local.unpack(entry, input)?;
    local.put_entry(entry)?;
    local.mark_pushed(remote_id, entry.key)
}

/// The error of a decoder that panicked or was cancelled.
fn lost(error: tokio::task::JoinError) -> Error {
    Error::corrupt("pack", error)
}

/// Reads a pack while it arrives.
struct Chunks {
    receiver: mpsc::Receiver<Result<Buffer, ()>>,
    current: Buffer,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(())) => return Err(io::ErrorKind::ConnectionReset.into()),
                None => return Ok(0),
            }
        }
        self.current.read(buffer)
    }
}

//! The remote tier: an object store that many machines share.
//!
//! [`RemoteStore`] reads and writes objects by name: graph indexes, entries, packs, proofs and input histories. Each is
//! one GET or one PUT. Nothing is listed, and nothing is checked before it is read, so reading needs only the
//! permission to GET. Only the writer of an index checks whether the entries in it still exist ([`RemoteStore::has`]).
//!
//! | module | responsibility |
//! |---|---|
//! | `service` | from a URL and options to a service and the place in it |
//! | `backend` | from a service to opendal's operators |
//! | `s3`, `redis` | what these services need in addition: the region of a bucket, the first connection |
//! | `http` | the transport: counts requests, and bounds the time for credentials |
//! | `chunks` | objects in services whose values are small |
//! | `answers` | the error answers of services, and their meaning |
//! | `health` | when to stop using a remote |
//!
//! **Invariants.** A missing object is `None`. So is an object that the service denies (403): this is AWS's answer for
//! a missing object if the key may not list. If *every* read of a session was denied, the session warns at the end
//! ([`RemoteStore::close`]). Requests fail fast once the breaker ([`health`]) is open. Retries are few: no request may
//! cost more than it saves.

mod answers;
mod backend;
mod chunks;
pub mod health;
#[cfg(feature = "over-http")]
mod http;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "s3")]
mod s3;
#[cfg_attr(
    not(any(feature = "over-http", feature = "fs", feature = "memcached", feature = "redis")),
    expect(dead_code, reason = "a build without services has no kind of them")
)]
mod service;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::vec;

use futures::TryStreamExt;
use opendal::{Buffer, BufferStream, ErrorKind};
use tokio::sync::OnceCell;

use self::backend::Backend;
use self::chunks::Object;
pub use self::health::Direction;
use self::health::{Failure, Health};
use self::service::Service;
use super::{sharded, with_checksum, without_checksum};
use crate::config::Settings;
use crate::digest::Digest;
use crate::entry::{Entry, GraphIndex, PackRef, is_other_version};
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog};
use crate::key::UnitKey;

/// The rate at which the size of an upload adds to its time limit, the stall time.
const MIN_UPLOAD_RATE: u64 = 64 << 10;
/// The largest index or entry that is read.
const MAX_OBJECT_SIZE: usize = 256 << 20;

/// The threads for requests.
pub struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// Starts two threads for the network. Decoding and packing have other threads.
    pub fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(16)
            .thread_name("xcache-io")
            .enable_all()
            .build()
            .map_err(Error::io("start", "the runtime"))?;
        Ok(Self(Some(runtime)))
    }

    /// A handle to start tasks, and to wait for them.
    pub fn handle(&self) -> tokio::runtime::Handle {
        self.0.as_ref().expect("the runtime is taken only when it is dropped").handle().clone()
    }
}

impl Drop for Runtime {
    /// Stops the runtime without waiting for unfinished requests.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Looks up a variable of the environment.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The options of a service by their names, in lower case.
type Options = BTreeMap<String, String>;

/// The traffic of a session.
#[derive(Debug, Default)]
struct Traffic {
    requests: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// A remote store, for one session.
pub struct RemoteStore {
    /// The remote's name in messages, without secrets.
    shown: String,
    id: String,
    service: Arc<Service>,
    backend: OnceCell<Backend>,
    stall: Duration,
    traffic: Arc<Traffic>,
    health: Health,
    denials: Denials,
    events: EventLog,
    closed: AtomicBool,
}

#[derive(Default)]
struct Denials {
    count: AtomicUsize,
    first: OnceLock<String>,
    other_answers: AtomicBool,
}

impl RemoteStore {
    /// Opens the store behind a URL, or behind the name of a table in the settings. This sends no request. An unknown
    /// option is a warning.
    pub fn open(remote: &str, settings: &Settings, events: &EventLog) -> Result<Self> {
        let source = settings.remotes.find(remote)?;
        let (service, unknown) = Service::parse(&source, &|name| std::env::var(name).ok())?;
        for message in unknown {
            events.warn(format!("remote {}: {message}", source.shown));
        }
        let health = Health::new(source.shown.clone(), events.clone());
        if service.kind.is_read_only {
            health.never_write(format!("{} remotes are read-only", service.kind.name));
        }
        Ok(Self {
            shown: source.shown,
            id: hex::encode(&service.identity().as_bytes()[..8]),
            service: Arc::new(service),
            backend: OnceCell::new(),
            stall: settings.stall(),
            traffic: Arc::default(),
            health,
            denials: Denials::default(),
            events: events.clone(),
            closed: AtomicBool::new(false),
        })
    }

    /// The remote's name in messages: its URL without secrets, after the name of its table.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether the service is read-only.
    pub fn is_read_only(&self) -> bool {
        self.service.kind.is_read_only
    }

    /// The name of this remote in the local store's markers. Two endpoints have different names.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A graph index; `None` if it does not exist or has another format version.
    pub async fn graph(&self, key: Digest) -> Result<Option<GraphIndex>> {
        let path = format!("v1/graph/{key}");
        let Some(bytes) = self.get(&path).await? else { return Ok(None) };
        GraphIndex::decode(&format!("graph/{key}"), &bytes).map(Some)
    }

    /// The entry of a unit; `None` if it does not exist or has another format version.
    pub async fn entry(&self, key: UnitKey) -> Result<Option<Entry>> {
        let Some(bytes) = self.get(&format!("v1/unit/{}", sharded(key.0))).await? else { return Ok(None) };
        Entry::decode(key, &bytes).map(Some)
    }

    /// The download of a pack. It is not verified: [`super::LocalStore::unpack`] does that.
    pub async fn pack(&self, pack: PackRef) -> Result<Option<Download<'_>>> {
        self.download(&format!("v1/blob/{}", sharded(pack.digest))).await
    }

    /// Whether an entry and its pack exist: two requests, neither of which reads an object.
    pub async fn has(&self, entry: &Entry) -> Result<bool> {
        let Some(pack) = entry.pack else { return Ok(false) };
        let has_entry = self.length(&format!("v1/unit/{}", sharded(entry.key.0))).await?.is_some();
        Ok(has_entry && self.length(&format!("v1/blob/{}", sharded(pack.digest))).await? == Some(pack.size))
    }

    /// Stores a pack.
    pub async fn put_pack(&self, pack: PackRef, bytes: Vec<u8>) -> Result<()> {
        self.put(&format!("v1/blob/{}", sharded(pack.digest)), bytes).await
    }

    /// Stores an entry, whose pack must exist already. Returns the entry's size.
    pub async fn put_entry(&self, entry: &Entry) -> Result<u64> {
        let bytes = entry.encode();
        let size = bytes.len() as u64;
        self.put(&format!("v1/unit/{}", sharded(entry.key.0)), bytes).await?;
        Ok(size)
    }

    /// Stores a graph index. Returns its size.
    pub async fn put_graph(&self, key: Digest, index: &GraphIndex) -> Result<u64> {
        let bytes = index.encode();
        let size = bytes.len() as u64;
        self.put(&format!("v1/graph/{key}"), bytes).await?;
        Ok(size)
    }

    /// The proof that [`RemoteStore::put_proof`] stored under this key; `None` if it does not exist or is damaged.
    pub async fn proof(&self, key: Digest) -> Result<Option<Vec<u8>>> {
        let bytes = self.get(&format!("v1/proof/{key}")).await?;
        Ok(bytes.and_then(|bytes| without_checksum(key, &bytes)))
    }

    /// Stores a proof.
    pub async fn put_proof(&self, key: Digest, bytes: &[u8]) -> Result<()> {
        self.put(&format!("v1/proof/{key}"), with_checksum(key, bytes)).await
    }

    /// The shared input history that [`RemoteStore::put_input_history`] stored under this name.
    pub async fn input_history(&self, name: Digest) -> Result<Option<Vec<u8>>> {
        self.get(&format!("v1/known/{name}")).await
    }

    /// Stores a shared input history. Returns its size.
    pub async fn put_input_history(&self, name: Digest, bytes: Vec<u8>) -> Result<u64> {
        let size = bytes.len() as u64;
        self.put(&format!("v1/known/{name}"), bytes).await?;
        Ok(size)
    }

    /// Returns an error if the breaker for these requests is open.
    pub fn check(&self, direction: Direction) -> Result<()> {
        self.health.check(direction)
    }

    /// Whether the breaker for these requests is open.
    pub fn is_open(&self, direction: Direction) -> bool {
        self.health.is_open(direction)
    }

    /// Stops using the remote in this session.
    pub fn give_up(&self, message: impl Into<String>) {
        self.health.give_up(message.into());
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.traffic.received.load(Ordering::Relaxed)
    }

    /// Ends the session: records its traffic, and warns of failures that are not announced yet.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::Relaxed) {
            return;
        }
        let Traffic { requests, received, sent } = &*self.traffic;
        let [requests, received, sent] = [requests, received, sent].map(|counter| counter.load(Ordering::Relaxed));
        self.events.record(EventKind::RemoteTraffic { requests, received, sent });
        self.health.close();
        let only_denied = !self.denials.other_answers.load(Ordering::Relaxed) && !self.health.is_announced();
        if let Some(message) = self.denials.first.get().filter(|_| only_denied) {
            let count = self.denials.count.load(Ordering::Relaxed);
            self.events.warn(format!("remote {} denied all {count} reads: {message}", self.shown));
        }
    }

    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(mut download) = self.download(path).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        while let Some(chunk) = download.next().await? {
            chunk.for_each(|part| bytes.extend_from_slice(&part));
            if bytes.len() > MAX_OBJECT_SIZE {
                return Err(Error::corrupt(path, "it is larger than any object of its kind"));
            }
        }
        Ok(Some(bytes).filter(|bytes| !is_other_version(bytes)))
    }

    /// The length of an object; `None` if it does not exist.
    async fn length(&self, path: &str) -> Result<Option<u64>> {
        self.health.check(Direction::Read)?;
        let length = async {
            match self.backend().await? {
                Backend::Objects(operators) => {
                    self.count_call();
                    operators.read.stat(path).await.map(|metadata| Some(metadata.content_length()))
                }
                Backend::Values(values) => values.length(path, &|| self.count_call()).await,
            }
        };
        Ok(self.check_read(length.await)?.flatten())
    }

    /// Starts one GET; without a range, opendal sends no other request. The first bytes show whether the object exists.
    /// An object in parts is complete before its first bytes are returned.
    async fn download(&self, path: &str) -> Result<Option<Download<'_>>> {
        self.health.check(Direction::Read)?;
        let open = async {
            match self.backend().await? {
                Backend::Objects(operators) => {
                    self.count_call();
                    let mut stream = operators.read.reader(path).await?.into_stream(..).await?;
                    let first = stream.try_next().await?;
                    Ok(Some(Ok(Body::Stream { stream: Box::new(stream), first })))
                }
                Backend::Values(values) => {
                    let object = values.get(path, &|| self.count_call()).await?;
                    Ok(object.map(|object| match object {
                        Object::Whole(parts) => Ok(Body::Parts(parts.into_iter())),
                        Object::Damaged(reason) => Err(Error::corrupt(path, reason)),
                    }))
                }
            }
        };
        let Some(body) = self.check_read(open.await)?.flatten() else { return Ok(None) };
        Ok(Some(Download { store: self, body: body? }))
    }

    async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        self.health.check(Direction::Write)?;
        let size = bytes.len() as u64;
        let limit = self.stall + Duration::from_secs(size / MIN_UPLOAD_RATE);
        let write = async {
            match self.backend().await? {
                Backend::Objects(operators) => {
                    self.count_call();
                    match operators.write.write(path, bytes).await {
                        // Some services replace no object. The existing one was meant to be the same.
                        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                        result => result.map(drop),
                    }
                }
                Backend::Values(values) => values.put(path, bytes, &|| self.count_call()).await,
            }
        };
        let failure = match tokio::time::timeout(limit, write).await {
            Ok(Ok(())) => {
                self.health.record_success(Direction::Write);
                self.count_body(&self.traffic.sent, size);
                return Ok(());
            }
            Ok(Err(error)) => self.failure(&error),
            Err(_) => Failure { message: answers::no_answer_message(limit), temporary: true, denied: false },
        };
        Err(self.health.record_failure(Direction::Write, failure))
    }

    /// The outcome of a read; `None` if the object does not exist or is denied.
    fn check_read<T>(&self, result: opendal::Result<T>) -> Result<Option<T>> {
        let error = match result {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.denials.count.fetch_add(1, Ordering::Relaxed);
                self.denials.first.get_or_init(|| self.failure(&error).message);
                return Ok(None);
            }
            Err(error) if error.kind() != ErrorKind::NotFound => error,
            other => {
                self.health.record_success(Direction::Read);
                self.denials.other_answers.store(true, Ordering::Relaxed);
                return Ok(other.ok());
            }
        };
        Err(self.health.record_failure(Direction::Read, self.failure(&error)))
    }

    fn failure(&self, error: &opendal::Error) -> Failure {
        answers::failure(error, self.stall)
    }

    async fn backend(&self) -> opendal::Result<&Backend> {
        self.backend.get_or_try_init(|| Backend::new(&self.service, self.stall, &self.traffic)).await
    }

    /// Counts a call of a service that is not HTTP. For HTTP services, the transport counts.
    fn count_call(&self) {
        if !self.service.kind.is_http {
            self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_body(&self, counter: &AtomicU64, size: u64) {
        if !self.service.kind.is_http {
            counter.fetch_add(size, Ordering::Relaxed);
        }
    }
}

/// An object that is being downloaded.
pub struct Download<'a> {
    store: &'a RemoteStore,
    body: Body,
}

enum Body {
    Stream { stream: Box<BufferStream>, first: Option<Buffer> },
    Parts(vec::IntoIter<Buffer>),
}

impl Download<'_> {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Buffer>> {
        let chunk = match &mut self.body {
            Body::Parts(parts) => parts.next(),
            Body::Stream { stream, first } => match first.take() {
                Some(first) => Some(first),
                None => stream.try_next().await.map_err(|error| {
                    let failure = self.store.failure(&error);
                    self.store.health.record_failure(Direction::Read, failure)
                })?,
            },
        };
        if let Some(chunk) = &chunk {
            self.store.count_body(&self.store.traffic.received, chunk.len() as u64);
        }
        Ok(chunk)
    }
}

#[cfg(all(test, feature = "fs"))]
#[path = "remote_tests.rs"]
mod tests;

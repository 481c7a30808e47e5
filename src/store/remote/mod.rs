//! The remote tier: an object store that many machines share.
//!
//! [`RemoteStore`] gets and puts four kinds of objects by name: graph indexes, entries, packs, and input histories.
//! Each is one GET or one PUT: nothing is listed, nothing is asked about before it is read, so leave to GET is all a
//! reader needs. Only who writes an index asks whether what it names is still there ([`RemoteStore::has`]).
//!
//! | module | what it does |
//! |---|---|
//! | `service` | a URL and options to a service, and where the remote is in it |
//! | `backend` | a service to opendal's operators |
//! | `s3`, `redis` | what these services need on top: where S3 is, and whether Redis takes us |
//! | `http` | the transport: counts requests, finds credentials in bounded time |
//! | `chunks` | objects in services whose values are small |
//! | `answers` | what services say when they refuse, and what that means |
//! | `health` | when to stop asking |
//!
//! **Invariants.** An object that is not there is `None`. A service that denies an object (403) may mean that it is not
//! there, as AWS tells those who may not list, so that is `None` too; a session in which *every* read was denied says so
//! in the end ([`RemoteStore::close`]). Requests fail fast once the breaker ([`health`]) is open. Retries are few: no
//! request may cost more than it saves.

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

/// Uploads are given time for their size at this speed, on top of the stall time.
const SLOWEST_UPLOAD: u64 = 64 << 10;
/// An index or entry larger than this is not one of ours.
const MAX_OBJECT: usize = 256 << 20;

/// The threads on which requests run.
pub struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// Two threads for the network; decoding and packing have threads of their own.
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

    /// Spawns and enters.
    pub fn handle(&self) -> tokio::runtime::Handle {
        self.0.as_ref().expect("the runtime is taken only when it is dropped").handle().clone()
    }
}

impl Drop for Runtime {
    /// Nothing that is still under way is worth waiting for.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A variable of the environment.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The options of a service by their names, in lower case.
type Options = BTreeMap<String, String>;

/// What a session moved.
#[derive(Debug, Default)]
struct Traffic {
    requests: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// A shared store, for one session.
pub struct RemoteStore {
    /// What messages call it: without secrets.
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
    /// The store behind a URL, or behind the name of a table in the settings. Nothing is asked of it yet. An option that
    /// its service does not have is a warning.
    pub fn open(remote: &str, settings: &Settings, events: &EventLog) -> Result<Self> {
        let source = settings.remotes.find(remote)?;
        let (service, unknown) = Service::parse(&source, &|name| std::env::var(name).ok())?;
        for message in unknown {
            events.warn(format!("remote {}: {message}", source.shown));
        }
        let health = Health::new(source.shown.clone(), events.clone());
        if service.kind.is_read_only {
            health.never_write(format!("nothing can be written to a remote of {}", service.kind.name));
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

    /// What messages call it: its URL without secrets, after the name of its table.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether nothing can be written to it.
    pub fn is_read_only(&self) -> bool {
        self.service.kind.is_read_only
    }

    /// Names this remote in the local store's markers: what is at one endpoint is not at another.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The index of a graph. Nothing where there is none, or one of another format version.
    pub async fn graph(&self, key: Digest) -> Result<Option<GraphIndex>> {
        let path = format!("v1/graph/{key}");
        let Some(bytes) = self.get(&path).await? else { return Ok(None) };
        GraphIndex::decode(&format!("graph/{key}"), &bytes).map(Some)
    }

    /// The entry of a unit. Nothing where there is none, or one of another format version.
    pub async fn entry(&self, key: UnitKey) -> Result<Option<Entry>> {
        let Some(bytes) = self.get(&format!("v1/unit/{}", sharded(key.0))).await? else { return Ok(None) };
        Entry::decode(key, &bytes).map(Some)
    }

    /// A pack, as it comes in. Not verified: [`super::LocalStore::unpack`] does that.
    pub async fn pack(&self, pack: PackRef) -> Result<Option<Download<'_>>> {
        self.download(&format!("v1/blob/{}", sharded(pack.digest))).await
    }

    /// Whether an entry is there together with its pack: two requests, of which neither reads an object.
    pub async fn has(&self, entry: &Entry) -> Result<bool> {
        let Some(pack) = entry.pack else { return Ok(false) };
        let has_entry = self.length(&format!("v1/unit/{}", sharded(entry.key.0))).await?.is_some();
        Ok(has_entry && self.length(&format!("v1/blob/{}", sharded(pack.digest))).await? == Some(pack.size))
    }

    /// Stores a pack.
    pub async fn put_pack(&self, pack: PackRef, bytes: Vec<u8>) -> Result<()> {
        self.put(&format!("v1/blob/{}", sharded(pack.digest)), bytes).await
    }

    /// Stores an entry; its pack must be there already. Returns its size.
    pub async fn put_entry(&self, entry: &Entry) -> Result<u64> {
        let bytes = entry.encode();
        let size = bytes.len() as u64;
        self.put(&format!("v1/unit/{}", sharded(entry.key.0)), bytes).await?;
        Ok(size)
    }

    /// Stores the index of a graph. Returns its size.
    pub async fn put_graph(&self, key: Digest, index: &GraphIndex) -> Result<u64> {
        let bytes = index.encode();
        let size = bytes.len() as u64;
        self.put(&format!("v1/graph/{key}"), bytes).await?;
        Ok(size)
    }

    /// What others have proven of a cargo, as [`RemoteStore::put_proof`] stored it; nothing where it is damaged.
    pub async fn proof(&self, key: Digest) -> Result<Option<Vec<u8>>> {
        let bytes = self.get(&format!("v1/proof/{key}")).await?;
        Ok(bytes.and_then(|bytes| without_checksum(key, &bytes)))
    }

    /// Stores what was proven of a cargo.
    pub async fn put_proof(&self, key: Digest, bytes: &[u8]) -> Result<()> {
        self.put(&format!("v1/proof/{key}"), with_checksum(key, bytes)).await
    }

    /// The input history that this remote shares, as [`RemoteStore::put_input_history`] stored it.
    pub async fn input_history(&self, name: Digest) -> Result<Option<Vec<u8>>> {
        self.get(&format!("v1/known/{name}")).await
    }

    /// Stores a shared input history. Returns its size.
    pub async fn put_input_history(&self, name: Digest, bytes: Vec<u8>) -> Result<u64> {
        let size = bytes.len() as u64;
        self.put(&format!("v1/known/{name}"), bytes).await?;
        Ok(size)
    }

    /// Fails where requests of this kind are given up.
    pub fn check(&self, direction: Direction) -> Result<()> {
        self.health.check(direction)
    }

    /// Whether requests of this kind are given up.
    pub fn is_open(&self, direction: Direction) -> bool {
        self.health.is_open(direction)
    }

    /// Gives the remote up for this session.
    pub fn give_up(&self, message: impl Into<String>) {
        self.health.give_up(message.into());
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.traffic.received.load(Ordering::Relaxed)
    }

    /// The end of the session: what was moved, and a warning where every single read was denied.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::Relaxed) {
            return;
        }
        let Traffic { requests, received, sent } = &*self.traffic;
        let [requests, received, sent] = [requests, received, sent].map(|counter| counter.load(Ordering::Relaxed));
        self.events.record(EventKind::RemoteTraffic { requests, received, sent });
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
            if bytes.len() > MAX_OBJECT {
                return Err(Error::corrupt(path, "it is larger than any object of its kind"));
            }
        }
        Ok(Some(bytes).filter(|bytes| !is_other_version(bytes)))
    }

    /// The length of an object.
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

    /// One GET: without a range, opendal asks nothing else. Whether the object is there shows with its first bytes. An
    /// object in parts is complete before it begins.
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
        let limit = self.stall + Duration::from_secs(size / SLOWEST_UPLOAD);
        let write = async {
            match self.backend().await? {
                Backend::Objects(operators) => {
                    self.count_call();
                    match operators.write.write(path, bytes).await {
                        // Where nothing can be replaced, what is there was meant to be the same.
                        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                        result => result.map(drop),
                    }
                }
                Backend::Values(values) => values.put(path, bytes, &|| self.count_call()).await,
            }
        };
        let failure = match tokio::time::timeout(limit, write).await {
            Ok(Ok(())) => {
                self.health.succeeded(Direction::Write);
                self.count_body(&self.traffic.sent, size);
                return Ok(());
            }
            Ok(Err(error)) => self.failure(&error),
            Err(_) => Failure { message: answers::no_answer(limit), temporary: true, denied: false },
        };
        Err(self.health.failed(Direction::Write, failure))
    }

    /// Judges the outcome of a read; `None` is an object that is not there, or not for us.
    fn check_read<T>(&self, result: opendal::Result<T>) -> Result<Option<T>> {
        let error = match result {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.denials.count.fetch_add(1, Ordering::Relaxed);
                self.denials.first.get_or_init(|| self.failure(&error).message);
                return Ok(None);
            }
            Err(error) if error.kind() != ErrorKind::NotFound => error,
            other => {
                self.health.succeeded(Direction::Read);
                self.denials.other_answers.store(true, Ordering::Relaxed);
                return Ok(other.ok());
            }
        };
        Err(self.health.failed(Direction::Read, self.failure(&error)))
    }

    fn failure(&self, error: &opendal::Error) -> Failure {
        answers::failure(error, self.stall)
    }

    async fn backend(&self) -> opendal::Result<&Backend> {
        self.backend.get_or_try_init(|| Backend::new(&self.service, self.stall, &self.traffic)).await
    }

    /// HTTP services are counted on the wire; of others, the calls and the bytes of their objects.
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

/// An object on its way.
pub struct Download<'a> {
    store: &'a RemoteStore,
    body: Body,
}

enum Body {
    Stream { stream: Box<BufferStream>, first: Option<Buffer> },
    Parts(vec::IntoIter<Buffer>),
}

impl Download<'_> {
    /// The next bytes; nothing after the last.
    pub async fn next(&mut self) -> Result<Option<Buffer>> {
        let chunk = match &mut self.body {
            Body::Parts(parts) => parts.next(),
            Body::Stream { stream, first } => match first.take() {
                Some(first) => Some(first),
                None => stream.try_next().await.map_err(|error| {
                    let failure = self.store.failure(&error);
                    self.store.health.failed(Direction::Read, failure)
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

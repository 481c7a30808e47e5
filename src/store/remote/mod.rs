//! The remote tier: an object store that many machines share.
//!
//! [`RemoteStore`] reads and writes objects by name: graph indexes, entries, packs, proofs and input histories. Each is
//! one GET or one PUT. Nothing is listed, and nothing is checked before it is read, so reading needs only the
//! permission to GET. Only the writer of an index checks whether the entries in it still exist ([`RemoteStore::has`]).
//! The scheme of the URL chooses the service, an [`opendal::Operator`].
//!
//! **Invariants.** A missing object is `None`. So is an object that the service denies (403): this is AWS's answer for
//! a missing object if the key may not list. If *every* read of a session was denied, the session warns at the end
//! ([`RemoteStore::close`]). Requests fail fast once the breaker ([`health`]) is open. Retries are few: no request may
//! cost more than it saves.

pub mod health;
#[cfg(feature = "s3")]
mod http;
#[cfg(feature = "s3")]
mod s3;

#[cfg(feature = "fs")]
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::TryStreamExt;
use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::{Buffer, BufferStream, ErrorKind, Operator};
use tokio::sync::OnceCell;
use url::Url;

pub use self::health::Direction;
use self::health::{Failure, Health};
use super::{sharded, with_checksum, without_checksum};
use crate::config::Settings;
use crate::digest::Digest;
use crate::entry::{Entry, GraphIndex, PackRef, is_other_version};
use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog};
use crate::key::UnitKey;

/// The number of attempts after the first.
const RETRIES: usize = 2;
const RETRY_DELAY: Duration = Duration::from_millis(100);
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

/// The traffic of a session.
#[derive(Debug, Default)]
struct Traffic {
    requests: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// A remote store, for one session.
pub struct RemoteStore {
    url: String,
    id: String,
    service: Service,
    operators: OnceCell<Operators>,
    stall: Duration,
    traffic: Arc<Traffic>,
    health: Health,
    denials: Denials,
    events: EventLog,
    closed: AtomicBool,
}

/// The service that a URL names.
enum Service {
    #[cfg(feature = "s3")]
    S3(s3::Location),
    #[cfg(feature = "fs")]
    Fs(PathBuf),
}

/// The operators. Uploads have a time limit by size, so the stall time is for reads only.
struct Operators {
    read: Operator,
    write: Operator,
}

#[derive(Default)]
struct Denials {
    count: AtomicUsize,
    first: OnceLock<String>,
    other_answers: AtomicBool,
}

impl RemoteStore {
    /// Opens the store behind a URL. This sends no request.
    pub fn open(url: &str, settings: &Settings, events: &EventLog) -> Result<Self> {
        let service = Service::parse(url, &|name| std::env::var(name).ok())?;
        Ok(Self {
            url: url.to_owned(),
            id: hex::encode(&service.identity().as_bytes()[..8]),
            service,
            operators: OnceCell::new(),
            stall: settings.stall(),
            traffic: Arc::default(),
            health: Health::new(url.to_owned(), events.clone()),
            denials: Denials::default(),
            events: events.clone(),
            closed: AtomicBool::new(false),
        })
    }

    /// The store's URL.
    pub fn url(&self) -> &str {
        &self.url
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
            self.events.warn(format!("remote {} denied all {count} reads: {message}", self.url));
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
        self.count_call();
        let stat = async { self.operators().await?.read.stat(path).await };
        Ok(self.check_read(stat.await)?.map(|metadata| metadata.content_length()))
    }

    /// Starts one GET; without a range, opendal sends no other request. The first bytes show whether the object exists.
    async fn download(&self, path: &str) -> Result<Option<Download<'_>>> {
        self.health.check(Direction::Read)?;
        self.count_call();
        let open = async {
            let mut stream = self.operators().await?.read.reader(path).await?.into_stream(..).await?;
            let first = stream.try_next().await?;
            Ok((stream, first))
        };
        let Some((stream, first)) = self.check_read(open.await)? else { return Ok(None) };
        Ok(Some(Download { store: self, stream, first }))
    }

    async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        self.health.check(Direction::Write)?;
        self.count_call();
        let size = bytes.len() as u64;
        let limit = self.stall + Duration::from_secs(size / MIN_UPLOAD_RATE);
        let write = async { self.operators().await?.write.write(path, bytes).await };
        let failure = match tokio::time::timeout(limit, write).await {
            Ok(Ok(_)) => {
                self.health.record_success(Direction::Write);
                self.count_body(&self.traffic.sent, size);
                return Ok(());
            }
            Ok(Err(error)) => self.failure(&error),
            Err(_) => Failure { message: no_answer_message(limit), temporary: true, denied: false },
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
        // The retry layer marks errors as persistent after its last attempt. A wrong configuration stays wrong.
        let temporary = (error.is_temporary() || error.is_persistent()) && error.kind() != ErrorKind::ConfigInvalid;
        Failure { message: describe(error, self.stall), temporary, denied: error.kind() == ErrorKind::PermissionDenied }
    }

    async fn operators(&self) -> opendal::Result<&Operators> {
        self.operators
            .get_or_try_init(|| async {
                let base = self.service.operator(self.stall, &self.traffic).await?;
                let retry =
                    RetryLayer::new().with_max_times(RETRIES).with_min_delay(RETRY_DELAY).with_jitter().with_notify(
                        |event: opendal::layers::RetryEvent<'_>| tracing::debug!(error = %event.err, "retry"),
                    );
                let timeout = TimeoutLayer::new().with_timeout(self.stall).with_io_timeout(self.stall);
                Ok(Operators { read: base.clone().layer(timeout).layer(retry.clone()), write: base.layer(retry) })
            })
            .await
    }

    /// Counts a call of a service that is not HTTP. For HTTP services, the transport counts.
    fn count_call(&self) {
        if !self.service.is_http() {
            self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_body(&self, counter: &AtomicU64, size: u64) {
        if !self.service.is_http() {
            counter.fetch_add(size, Ordering::Relaxed);
        }
    }
}

/// An object that is being downloaded.
pub struct Download<'a> {
    store: &'a RemoteStore,
    stream: BufferStream,
    first: Option<Buffer>,
}

impl Download<'_> {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Buffer>> {
        let chunk = match self.first.take() {
            Some(first) => Some(first),
            None => self.stream.try_next().await.map_err(|error| {
                let failure = self.store.failure(&error);
                self.store.health.record_failure(Direction::Read, failure)
            })?,
        };
        if let Some(chunk) = &chunk {
            self.store.count_body(&self.store.traffic.received, chunk.len() as u64);
        }
        Ok(chunk)
    }
}

impl Service {
    fn parse(url: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let invalid = |reason: String| Error::Config { name: "remote".into(), reason };
        let parsed = Url::parse(url).map_err(|error| invalid(format!("{url:?} is not a URL: {error}")))?;
        match parsed.scheme() {
            #[cfg(feature = "s3")]
            "s3" => match parsed.host_str().filter(|bucket| !bucket.is_empty()) {
                Some(bucket) => Ok(Self::S3(s3::Location::new(bucket, parsed.path(), lookup))),
                None => Err(invalid(format!("{url:?} names no bucket: s3://bucket/prefix"))),
            },
            #[cfg(feature = "fs")]
            "file" => match parsed.to_file_path() {
                Ok(path) => Ok(Self::Fs(path)),
                Err(()) => Err(invalid(format!("{url:?} names no directory of this machine: file:///directory"))),
            },
            scheme => {
                let _ = lookup;
                Err(invalid(format!("{scheme:?} is not a scheme of this build, which has: {}", SCHEMES.join(", "))))
            }
        }
    }

    /// A digest of the place, whoever uses it and however the URL is spelled.
    fn identity(&self) -> Digest {
        match *self {
            #[cfg(feature = "s3")]
            Self::S3(ref location) => Digest::of_value(crate::digest::Domain::Remote, &location.place()),
            #[cfg(feature = "fs")]
            Self::Fs(ref root) => Digest::of_value(crate::digest::Domain::Remote, &("file", root.as_os_str())),
        }
    }

    async fn operator(&self, stall: Duration, traffic: &Arc<Traffic>) -> opendal::Result<Operator> {
        let _ = (stall, traffic);
        match *self {
            #[cfg(feature = "s3")]
            Self::S3(ref location) => location.operator(stall, Arc::clone(traffic)).await,
            #[cfg(feature = "fs")]
            Self::Fs(ref root) => {
                let temporary = root.join("v1").join("tmp");
                let service = opendal::services::Fs::default().root(&root.to_string_lossy());
                Operator::new(service.atomic_write_dir(&temporary.to_string_lossy()))
            }
        }
    }

    fn is_http(&self) -> bool {
        match *self {
            #[cfg(feature = "s3")]
            Self::S3(_) => true,
            #[cfg(feature = "fs")]
            Self::Fs(_) => false,
        }
    }
}

/// The URLs that this build supports.
const SCHEMES: &[&str] = &[
    #[cfg(feature = "s3")]
    "s3://bucket/prefix",
    #[cfg(feature = "fs")]
    "file:///directory",
];

fn no_answer_message(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// An error in one line: what the service or the system said, without opendal's additions.
fn describe(error: &opendal::Error, stall: Duration) -> String {
    let source = std::iter::successors(std::error::Error::source(error), |error| error.source()).last();
    let text = match (error.message(), source) {
        (message, _) if message.contains("timeout reached") => no_answer_message(stall),
        ("signing http request", Some(source)) => format!("no usable credentials: {source}"),
        ("", Some(source)) => source.to_string(),
        (message, None) => message.to_owned(),
        (message, Some(source)) => format!("{message}: {source}"),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

#[cfg(all(test, feature = "fs"))]
#[path = "remote_tests.rs"]
mod tests;

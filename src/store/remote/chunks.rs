//! Objects in services whose values are small: an object above a limit is split into parts.
//!
//! ```text
//! <name>                    the object, or a manifest: version, size of the whole, size of a part, digest of the whole
//! <name>.<digest>.<n>       part n, from 0
//! ```
//!
//! The parts are written before the manifest. Their names contain the digest of the whole, so the parts of different
//! objects never mix. If a part is missing, the object is missing: such services evict anything. The digest of the whole
//! is compared before the first byte is returned; a difference is damage.
//!
//! At most [`PARTS`] requests run for one object, and at most [`REQUESTS`] for a remote. opendal's clients have a pool of
//! ten connections, and the time in which a request waits for one counts as time without an answer. A request that is
//! not awaited any more runs to its end: opendal's Memcached client would return the connection of a dropped request to
//! the pool, and the next request would read the wrong answer.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use opendal::{Buffer, Error, ErrorKind, Operator, Result};
use tokio::sync::Semaphore;

use super::answers;
use crate::digest::Digest;

/// The number of concurrent requests for parts of one object.
const PARTS: usize = 4;
/// The number of concurrent requests to a remote: fewer than the connections in the pool.
const REQUESTS: usize = 8;
/// The number of attempts after the first, for temporary errors.
const RETRIES: usize = 2;
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// The start of a manifest. A small object with the same start is split too, so every value is unambiguous.
const MAGIC: &[u8; 8] = b"\x89xcparts";
const VERSION: u8 = 1;
const MANIFEST: usize = MAGIC.len() + 1 + 8 + 4 + 32;
/// The largest object.
const MAX_SIZE: u64 = 8 << 30;

/// A service of small values.
pub(super) struct Values {
    operator: Mutex<Operator>,
    /// Returns an operator with new connections.
    build: Box<dyn Fn() -> Result<Operator> + Send + Sync>,
    largest: usize,
    stall: Duration,
    requests: Arc<Semaphore>,
}

/// An object that was read.
#[derive(Debug)]
pub(super) enum Object {
    /// All parts.
    Whole(Vec<Buffer>),
    /// The reason why it is damaged.
    Damaged(&'static str),
}

/// The description of an object in parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Manifest {
    size: u64,
    part: u32,
    digest: Digest,
}

impl Manifest {
    fn encode(self) -> Vec<u8> {
        let Self { size, part, digest } = self;
        [MAGIC.as_slice(), &[VERSION], &size.to_le_bytes(), &part.to_le_bytes(), digest.as_bytes()].concat()
    }

    /// `None` if this is no manifest, or one of another version.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let (part, rest) = rest.split_first_chunk::<4>()?;
        let digest = Digest::from(<[u8; 32]>::try_from(rest).ok()?);
        let manifest = Self { size: u64::from_le_bytes(*size), part: u32::from_le_bytes(*part), digest };
        (manifest.size <= MAX_SIZE && manifest.part > 0).then_some(manifest)
    }

    fn count(self) -> u64 {
        self.size.div_ceil(self.part.into())
    }

    /// The name of a part. Half of the digest distinguishes objects, and the services' names are short.
    fn name(self, object: &str, number: u64) -> String {
        format!("{object}.{}.{number}", hex::encode(&self.digest.as_bytes()[..16]))
    }

    fn length(self, number: u64) -> u64 {
        (self.size - number * u64::from(self.part)).min(self.part.into())
    }
}

impl Values {
    /// The values of a service that accepts values of up to `largest` bytes.
    pub(super) fn new(
        build: impl Fn() -> Result<Operator> + Send + Sync + 'static,
        largest: usize,
        stall: Duration,
    ) -> Result<Self> {
        Ok(Self {
            operator: Mutex::new(build()?),
            build: Box::new(build),
            largest,
            stall,
            requests: Arc::new(Semaphore::new(REQUESTS)),
        })
    }

    /// An object; `None` if it or a part of it is missing. Calls `count` for each request.
    pub(super) async fn get(&self, name: &str, count: &(dyn Fn() + Sync)) -> Result<Option<Object>> {
        count();
        let Some(first) = self.read(name.to_owned()).await? else { return Ok(None) };
        if !is_manifest(&first) {
            return Ok(Some(Object::Whole(vec![first])));
        }
        let Some(manifest) = Manifest::decode(&first.to_vec()) else { return Ok(None) };
        let reads = stream::iter(0..manifest.count()).map(|number| {
            count();
            async move { self.read(manifest.name(name, number)).await }
        });
        let parts: Vec<Option<Buffer>> = reads.buffered(PARTS).try_collect().await?;
        let Some(parts) = parts.into_iter().collect::<Option<Vec<Buffer>>>() else { return Ok(None) };
        let size: u64 = parts.iter().map(|part| part.len() as u64).sum();
        Ok(Some(match (size == manifest.size, digest(&parts) == manifest.digest) {
            (true, true) => Object::Whole(parts),
            (true, false) => Object::Damaged("the digest of its parts is wrong"),
            (false, _) => Object::Damaged("the length of its parts is wrong"),
        }))
    }

    /// The length of an object; `None` if it or a part of it is missing. Calls `count` for each request.
    pub(super) async fn length(&self, name: &str, count: &(dyn Fn() + Sync)) -> Result<Option<u64>> {
        count();
        let Some(length) = self.stat(name.to_owned()).await? else { return Ok(None) };
        if length != MANIFEST as u64 {
            return Ok(Some(length));
        }
        count();
        let Some(first) = self.read(name.to_owned()).await? else { return Ok(None) };
        if !is_manifest(&first) {
            return Ok(Some(length));
        }
        let Some(manifest) = Manifest::decode(&first.to_vec()) else { return Ok(None) };
        let stats = stream::iter(0..manifest.count()).map(|number| {
            count();
            async move { Ok::<_, Error>(self.stat(manifest.name(name, number)).await? == Some(manifest.length(number))) }
        });
        let exist: Vec<bool> = stats.buffered(PARTS).try_collect().await?;
        Ok(exist.into_iter().all(|exists| exists).then_some(manifest.size))
    }

    /// Stores an object. Calls `count` for each request.
    pub(super) async fn put(&self, name: &str, bytes: Vec<u8>, count: &(dyn Fn() + Sync)) -> Result<()> {
        let whole = Buffer::from(bytes);
        if whole.len() <= self.largest && !is_manifest(&whole) {
            count();
            return self.write(name.to_owned(), whole).await;
        }
        let part = u32::try_from(self.largest).unwrap_or(u32::MAX);
        let manifest = Manifest { size: whole.len() as u64, part, digest: digest(std::slice::from_ref(&whole)) };
        let writes = stream::iter(0..manifest.count()).map(|number| {
            count();
            let start = (number * u64::from(part)) as usize;
            let part = whole.slice(start..start + manifest.length(number) as usize);
            self.write(manifest.name(name, number), part)
        });
        writes.buffered(PARTS).try_collect::<()>().await?;
        count();
        self.write(name.to_owned(), manifest.encode().into()).await
    }

    async fn read(&self, name: String) -> Result<Option<Buffer>> {
        let read = move |operator: Operator| {
            let name = name.clone();
            async move { operator.read(&name).await }
        };
        found(self.send(read).await)
    }

    async fn stat(&self, name: String) -> Result<Option<u64>> {
        let stat = move |operator: Operator| {
            let name = name.clone();
            async move { Ok(operator.stat(&name).await?.content_length()) }
        };
        found(self.send(stat).await)
    }

    async fn write(&self, name: String, value: Buffer) -> Result<()> {
        let write = move |operator: Operator| {
            let (name, value) = (name.clone(), value.clone());
            async move { operator.write(&name, value).await.map(drop) }
        };
        self.send(write).await
    }

    /// Sends a request, and repeats it after a temporary error.
    async fn send<T, F>(&self, request: impl Fn(Operator) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut attempt = 0;
        loop {
            let error = match self.send_once(&request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            attempt += 1;
            if attempt > RETRIES || !answers::failure(&error, self.stall).temporary {
                return Err(error);
            }
            tracing::debug!(error = error.message(), "retry");
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn send_once<T, F>(&self, request: &impl Fn(Operator) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let permit = Arc::clone(&self.requests).acquire_owned().await;
        let request = request(self.lock().clone());
        // It holds its permit until it ends, even if nothing awaits it any more.
        let sent = tokio::spawn(async move {
            let _permit = permit;
            request.await
        });
        let answer = match tokio::time::timeout(self.stall, sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(lost)) => Err(Error::new(ErrorKind::Unexpected, "the request was lost").set_source(lost)),
            Err(_) => {
                Err(Error::new(ErrorKind::Unexpected, answers::no_answer_message(self.stall)).with_temporary(true))
            }
        };
        // opendal's client leaves the rest of an error answer in the connection. The next request would read it.
        if answer.as_ref().is_err_and(|error| answers::memcached_status(error).is_some()) {
            let fresh = (self.build)()?;
            *self.lock() = fresh;
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Operator> {
        self.operator.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn is_manifest(value: &Buffer) -> bool {
    value.len() >= MAGIC.len() && value.slice(..MAGIC.len()).to_vec() == MAGIC
}

fn digest(parts: &[Buffer]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for chunk in parts.iter().flat_map(Clone::clone) {
        hasher.update(&chunk);
    }
    Digest::from(*hasher.finalize().as_bytes())
}

#[cfg(test)]
#[path = "chunks_tests.rs"]
mod tests;

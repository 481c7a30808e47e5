//! Objects in services whose values are small: an object above a limit is split into parts.
//!
//! ```text
//! <name>                    the object, or a manifest: version, size of the whole, size of a part, digest of the whole
//! <name>.<digest>.<n>       part n, from 0
//! ```
//!
//! The parts are written before the manifest, and their names contain the digest of the whole, so writers of different
//! bytes never mix. A part that is missing makes the object absent: such services evict what they like. The whole is
//! compared with its digest before a byte of it is handed out; what does not fit is damage.
//!
//! Requests are bounded twice: [`PARTS`] of one object, and [`REQUESTS`] of a remote. opendal's clients have a pool of
//! ten connections, and count the time in which a request waits for one as time without an answer. A request is never
//! dropped while it is under way, only left to itself: opendal's Memcached client would put its connection back, and
//! the next request would read the answer to the last one.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use opendal::{Buffer, Error, ErrorKind, Operator, Result};
use tokio::sync::Semaphore;

use super::answers;
use crate::digest::Digest;

/// Parts of one object on their way at a time.
const PARTS: usize = 4;
/// Requests to one remote at a time: fewer than connections, of which each is one.
const REQUESTS: usize = 8;
/// Attempts after the first, for errors that asking again can help.
const RETRIES: usize = 2;
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// What a manifest begins with. A small object that begins with it is split, too, so there is no doubt.
const MAGIC: &[u8; 8] = b"\x89xcparts";
const VERSION: u8 = 1;
const MANIFEST: usize = MAGIC.len() + 1 + 8 + 4 + 32;
/// No object is larger.
const MAX_SIZE: u64 = 8 << 30;

/// A service of small values.
pub(super) struct Values {
    operator: Mutex<Operator>,
    /// Makes an operator with connections of its own.
    build: Box<dyn Fn() -> Result<Operator> + Send + Sync>,
    largest: usize,
    stall: Duration,
    requests: Arc<Semaphore>,
}

/// What was read of an object.
#[derive(Debug)]
pub(super) enum Object {
    /// All of it, in parts.
    Whole(Vec<Buffer>),
    /// It is damaged: why.
    Damaged(&'static str),
}

/// Where the parts of an object are.
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

    /// Nothing where this is none, or one of another version.
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

    /// Half of the digest is enough to tell writers apart, and the services' names are short.
    fn name(self, object: &str, number: u64) -> String {
        format!("{object}.{}.{number}", hex::encode(&self.digest.as_bytes()[..16]))
    }

    fn length(self, number: u64) -> u64 {
        (self.size - number * u64::from(self.part)).min(self.part.into())
    }
}

impl Values {
    /// The values of a service, of which none may be larger than `largest`.
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

    /// An object, or nothing where it or a part of it is not there. Counts its requests.
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
            (true, false) => Object::Damaged("its parts are not what was stored"),
            (false, _) => Object::Damaged("its parts have another length"),
        }))
    }

    /// The length of an object, or nothing where it or a part of it is not there. Counts its requests.
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
        let are_there: Vec<bool> = stats.buffered(PARTS).try_collect().await?;
        Ok(are_there.into_iter().all(|is_there| is_there).then_some(manifest.size))
    }

    /// Stores an object. Counts its requests.
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
        found(self.ask(read).await)
    }

    async fn stat(&self, name: String) -> Result<Option<u64>> {
        let stat = move |operator: Operator| {
            let name = name.clone();
            async move { Ok(operator.stat(&name).await?.content_length()) }
        };
        found(self.ask(stat).await)
    }

    async fn write(&self, name: String, value: Buffer) -> Result<()> {
        let write = move |operator: Operator| {
            let (name, value) = (name.clone(), value.clone());
            async move { operator.write(&name, value).await.map(drop) }
        };
        self.ask(write).await
    }

    /// Sends a request when its turn has come, and again where that can help.
    async fn ask<T, F>(&self, request: impl Fn(Operator) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut attempt = 0;
        loop {
            let error = match self.ask_once(&request).await {
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

    async fn ask_once<T, F>(&self, request: &impl Fn(Operator) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let permit = Arc::clone(&self.requests).acquire_owned().await;
        let request = request(self.lock().clone());
        // Whoever waits for it may be gone before it ends. It keeps its place until then.
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
        // opendal's client leaves the rest of a refusal in the connection, where the next request would read it.
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

//! The circuit breaker of a session: decides when to stop using the remote, and reports that once.
//!
//! Reads and writes have separate breakers, since a key may be allowed one and not the other. An error that a retry
//! cannot fix opens a breaker at once; other errors open it after [`MAX_FAILURES`] failures in a row. After reads have
//! failed, writes are not tried either: they would wait for the same server. Failures that open no breaker are reported
//! at the end ([`Health::close`]).
//!
//! **Invariants.** A session records at most one [`EventKind::RemoteFailed`], whatever fails and however often. If a
//! request failed, the user is told of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::event::{EventKind, EventLog};

/// The number of temporary failures in a row that opens a breaker.
const MAX_FAILURES: u32 = 3;

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// GET.
    Read,
    /// PUT.
    Write,
}

/// A failed request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    /// One line, in the server's own words.
    pub(super) message: String,
    /// Whether a retry could succeed.
    pub(super) temporary: bool,
    /// Whether the key lacks the permission.
    pub(super) denied: bool,
}

/// The health of one remote in one session.
pub(super) struct Health {
    remote: String,
    events: EventLog,
    reads: Breaker,
    writes: Breaker,
    announced: AtomicBool,
    failures: AtomicUsize,
    first_failure: OnceLock<String>,
}

#[derive(Default)]
struct Breaker {
    failures: AtomicU32,
    cause: OnceLock<String>,
}

impl Health {
    pub(super) fn new(remote: String, events: EventLog) -> Self {
        Self {
            remote,
            events,
            reads: Breaker::default(),
            writes: Breaker::default(),
            announced: AtomicBool::new(false),
            failures: AtomicUsize::new(0),
            first_failure: OnceLock::new(),
        }
    }

    /// Returns an error if the breaker is open.
    pub(super) fn check(&self, direction: Direction) -> Result<()> {
        match self.breaker(direction).cause.get() {
            None => Ok(()),
            Some(cause) => Err(self.error(cause.clone(), false)),
        }
    }

    pub(super) fn is_open(&self, direction: Direction) -> bool {
        self.breaker(direction).cause.get().is_some()
    }

    pub(super) fn record_success(&self, direction: Direction) {
        self.breaker(direction).failures.store(0, Ordering::Relaxed);
    }

    /// Counts a failure, opens the breaker if necessary, and returns the error.
    pub(super) fn record_failure(&self, direction: Direction, failure: Failure) -> Error {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.first_failure.get_or_init(|| failure.message.clone());
        let failures = self.breaker(direction).failures.fetch_add(1, Ordering::Relaxed) + 1;
        if !failure.temporary || failures >= MAX_FAILURES {
            self.open(direction, &failure);
        }
        self.error(failure.message, failure.temporary)
    }

    /// Refuses all writes without a warning.
    pub(super) fn never_write(&self, reason: String) {
        self.writes.cause.set(reason).ok();
    }

    /// Warns of failures that opened no breaker.
    pub(super) fn close(&self) {
        let Some(message) = self.first_failure.get() else { return };
        if !self.announced.swap(true, Ordering::Relaxed) {
            let count = self.failures.load(Ordering::Relaxed);
            let requests = if count == 1 { "a request".to_owned() } else { format!("{count} requests, the first") };
            self.events.warn(format!("remote {} failed {requests}: {message}", self.remote));
        }
    }

    /// Opens both breakers.
    pub(super) fn give_up(&self, message: String) {
        self.open(Direction::Read, &Failure { message, temporary: true, denied: false });
    }

    fn open(&self, direction: Direction, failure: &Failure) {
        if self.breaker(direction).cause.set(failure.message.clone()).is_err() {
            return;
        }
        let (remote, message) = (self.remote.clone(), failure.message.clone());
        match direction {
            Direction::Write if failure.denied => {
                self.announced.store(true, Ordering::Relaxed);
                self.events.warn(format!(
                    "remote {remote} accepts no uploads: {message}; set XCACHE_UPLOAD=false if this key may only read"
                ));
            }
            Direction::Write => self.announce(remote, message),
            Direction::Read => {
                self.writes.cause.set(failure.message.clone()).ok();
                self.announce(remote, message);
            }
        }
    }

    /// Whether the user was told that something is wrong with this remote.
    pub(super) fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    fn announce(&self, remote: String, message: String) {
        if !self.announced.swap(true, Ordering::Relaxed) {
            self.events.record(EventKind::RemoteFailed { remote, message });
        }
    }

    fn error(&self, message: String, temporary: bool) -> Error {
        Error::Remote { remote: self.remote.clone(), message, temporary }
    }

    fn breaker(&self, direction: Direction) -> &Breaker {
        match direction {
            Direction::Read => &self.reads,
            Direction::Write => &self.writes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn health() -> (Health, EventLog) {
        let events = EventLog::new(Arc::new(()));
        (Health::new("s3://bucket".into(), events.clone()), events)
    }

    fn failure(temporary: bool, denied: bool) -> Failure {
        Failure { message: "no".into(), temporary, denied }
    }

    #[test]
    fn two_temporary_failures_in_a_row_are_tolerated_and_three_are_not() {
        let (health, events) = health();
        for _ in 0..2 {
            health.record_failure(Direction::Read, failure(true, false));
        }
        health.record_success(Direction::Read);
        for _ in 0..2 {
            health.record_failure(Direction::Read, failure(true, false));
        }
        assert!(health.check(Direction::Read).is_ok());
        health.record_failure(Direction::Read, failure(true, false));
        assert!(health.check(Direction::Read).is_err());
        assert_eq!(events.events().len(), 1);
    }

    #[test]
    fn failures_that_open_no_breaker_are_one_warning_at_the_end() {
        let (health, events) = health();
        health.record_failure(Direction::Read, failure(true, false));
        health.record_success(Direction::Read);
        health.record_failure(Direction::Write, failure(true, false));
        assert!(events.events().is_empty());
        health.close();
        health.close();
        let [event] = &events.events()[..] else { panic!("one event") };
        let EventKind::Warning { message } = &event.kind else { panic!("{event:?}") };
        assert_eq!(message, "remote s3://bucket failed 2 requests, the first: no");
    }

    #[test]
    fn an_announced_failure_is_not_a_warning_at_the_end() {
        let (health, events) = health();
        health.record_failure(Direction::Read, failure(false, false));
        health.close();
        assert!(matches!(&events.events()[..], [event] if matches!(event.kind, EventKind::RemoteFailed { .. })));
    }

    #[test]
    fn a_remote_that_fails_is_announced_once() {
        let (health, events) = health();
        for direction in [Direction::Read, Direction::Write, Direction::Read, Direction::Write] {
            health.record_failure(direction, failure(false, false));
        }
        assert!(health.is_open(Direction::Write));
        assert_eq!(events.events().len(), 1);
    }

    #[test]
    fn a_key_that_may_only_read_continues_to_read() {
        let (health, events) = health();
        health.record_failure(Direction::Write, failure(false, true));
        health.record_failure(Direction::Write, failure(false, true));
        assert!(health.check(Direction::Read).is_ok());
        let [event] = &events.events()[..] else { panic!("one event") };
        assert!(matches!(&event.kind, EventKind::Warning { message } if message.contains("XCACHE_UPLOAD=false")));
    }
}

//! A real Memcached server, with its default limit of 1 MiB for a value.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Process, answer, on_path};
use crate::{Tool, require};

/// The server of this test binary.
pub struct MemcachedServer {
    process: Process,
    places: AtomicUsize,
}

impl MemcachedServer {
    /// Starts the server on the first call.
    pub fn get() -> Option<&'static Self> {
        static SERVER: LazyLock<Option<MemcachedServer>> = LazyLock::new(|| MemcachedServer::start(256));
        require(Tool::Server("memcached"), SERVER.as_ref())
    }

    /// Starts a server for one test, with this many MiB of memory.
    pub fn start(memory: u32) -> Option<Self> {
        let program = on_path("memcached")?;
        let process = Process::start(
            "memcached",
            |_, port| {
                let mut command = super::command(&program);
                // As root, memcached requires a user.
                command.args(["-u", "nobody", "-l", "127.0.0.1", "-p", &port.to_string(), "-m", &memory.to_string()]);
                command
            },
            |address| answer(address, "version\r\n").is_some_and(|answer| answer.starts_with("VERSION")),
        )?;
        Some(Self { process, places: AtomicUsize::new(0) })
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// An unused place.
    pub fn unused_url(&self) -> String {
        let place = self.places.fetch_add(1, Ordering::Relaxed);
        format!("memcached://{}/place-{place}", self.process.address)
    }

    /// Removes all items.
    pub fn remove_all(&self) {
        assert_eq!(answer(self.process.address, "flush_all\r\n").as_deref(), Some("OK\r\n"));
    }
}

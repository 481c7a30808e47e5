//! A real Redis server. Its default user needs a password; the user `reader` may only read.

use std::fs;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Process, answer, on_path};
use crate::{Tool, require};

/// The default user's password.
pub const PASSWORD: &str = "redis-secret";
/// The password of the user `reader`.
pub const READER_PASSWORD: &str = "reader-secret";

/// The server of this test binary.
pub struct RedisServer {
    process: Process,
    places: AtomicUsize,
}

impl RedisServer {
    /// Starts the server on the first call.
    pub fn get() -> Option<&'static Self> {
        static SERVER: LazyLock<Option<RedisServer>> = LazyLock::new(RedisServer::start);
        require(Tool::Server("redis-server"), SERVER.as_ref())
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// An unused place.
    pub fn unused_place(&self) -> String {
        format!("place-{}", self.places.fetch_add(1, Ordering::Relaxed))
    }

    fn start() -> Option<Self> {
        let program = on_path("redis-server")?;
        let process = Process::start(
            "redis",
            |dir, port| {
                let config = format!(
                    "bind 127.0.0.1\nport {port}\nsave \"\"\ndir {}\nrequirepass {PASSWORD}\n\
                     user reader on >{READER_PASSWORD} ~* +@read +@connection\n",
                    dir.display()
                );
                let file = dir.join("redis.conf");
                fs::write(&file, config).expect("the directory can be written");
                let mut command = super::command(&program);
                command.arg(file);
                command
            },
            |address| answer(address, "PING\r\n").is_some_and(|answer| answer.starts_with("-NOAUTH")),
        )?;
        Some(Self { process, places: AtomicUsize::new(0) })
    }
}

//! A real WebDAV server: WsgiDAV. `/all` is writable; `/fixed` is the same directory, read-only.

use std::fs;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{Process, installed};
use crate::server::request;
use crate::{Tool, require};

/// The user, who may read and write.
pub const USER: &str = "builder";
/// The user's password.
pub const PASSWORD: &str = "builders-secret";

/// The server of this test binary.
pub struct WebdavServer {
    process: Process,
    places: AtomicUsize,
}

impl WebdavServer {
    /// Starts the server on the first call.
    pub fn get() -> Option<&'static Self> {
        static SERVER: LazyLock<Option<WebdavServer>> = LazyLock::new(WebdavServer::start);
        require(Tool::Server("WsgiDAV"), SERVER.as_ref())
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// An unused place below `/all` and `/fixed`.
    pub fn unused_place(&self) -> String {
        format!("place-{}", self.places.fetch_add(1, Ordering::Relaxed))
    }

    fn start() -> Option<Self> {
        let program = installed("bin/wsgidav")?;
        let process = Process::start(
            "webdav",
            |dir, port| {
                let root = dir.join("root");
                fs::create_dir(&root).expect("the directory can be written");
                let config = json!({
                    "host": "127.0.0.1", "port": port, "server": "cheroot", "verbose": 1,
                    "provider_mapping": { "/all": &root, "/fixed": { "root": &root, "readonly": true } },
                    "simple_dc": { "user_mapping": { "*": { USER: { "password": PASSWORD } } } },
                    "http_authenticator": { "accept_digest": false, "default_to_digest": false },
                });
                let file = dir.join("wsgidav.json");
                fs::write(&file, config.to_string()).expect("the directory can be written");
                let mut command = super::command(&program);
                command.arg("--config").arg(file);
                command
            },
            |address| request(address, "GET", "/all/").is_ok_and(|status| status == 401),
        )?;
        Some(Self { process, places: AtomicUsize::new(0) })
    }
}

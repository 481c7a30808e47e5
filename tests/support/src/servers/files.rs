//! A real, read-only server of files over HTTP: Python's `http.server`.

use std::net::SocketAddr;
use std::path::Path;

use super::{Process, on_path};
use crate::server::request;
use crate::{Tool, require};

/// A server of one directory. It ends when this value is dropped.
pub struct FileServer(Process);

impl FileServer {
    /// Serves a directory.
    pub fn start(served: &Path) -> Option<Self> {
        let program = on_path("python3");
        let process = program.and_then(|program| {
            Process::start(
                "files",
                |_, port| {
                    let mut command = super::command(&program);
                    command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(served);
                    command.arg(port.to_string());
                    command
                },
                |address| request(address, "GET", "/").is_ok_and(|status| status == 200),
            )
        });
        require(Tool::Server("python3"), process).map(Self)
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }
}

//! A real server of files over HTTP, which nothing can be written to: Python's `http.server`.

use std::net::SocketAddr;
use std::path::Path;

use super::{Process, on_path};
use crate::server::request;
use crate::{Tool, require};

/// A server of one directory, until it is dropped.
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

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }
}

//! Real servers of storage services on free loopback ports, one of each for a test binary.
//!
//! | module | service | program |
//! |---|---|---|
//! | [`azure`] | Azure Blob | Azurite |
//! | [`files`] | files over HTTP, read-only | Python's `http.server` |
//! | [`gcs`] | Google Cloud Storage | fake-gcs-server |
//! | [`memcached`] | Memcached | memcached |
//! | [`redis`] | Redis | redis-server |
//! | [`webdav`] | WebDAV | WsgiDAV |
//!
//! [`relay`] is a TCP relay in front of any of them.
//!
//! The S3 server is [`crate::server`]. A server ends with the test process, however that ends. If a program is not
//! installed, `get` returns `None` and the test is skipped; in CI, it fails.

pub mod azure;
pub mod files;
pub mod gcs;
pub mod memcached;
pub mod redis;
pub mod relay;
pub mod webdav;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::repository;
use crate::server::{SUPERVISOR, free_ports};

/// The process of a server. It ends when this value is dropped or the test process ends.
struct Process {
    address: SocketAddr,
    supervisor: Child,
}

impl Process {
    /// Starts a server. `command` receives the server's directory and port. `is_ready` checks whether it answers.
    fn start(
        name: &str,
        command: impl Fn(&Path, u16) -> Command,
        is_ready: impl Fn(SocketAddr) -> bool,
    ) -> Option<Self> {
        // Another process may take a free port before the server does.
        (0..3).find_map(|_| Self::try_start(name, &command, &is_ready))
    }

    fn try_start(
        name: &str,
        command: &impl Fn(&Path, u16) -> Command,
        is_ready: &impl Fn(SocketAddr) -> bool,
    ) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix(&format!("xcache-test-{name}-")).tempdir();
        let dir = dir.expect("a directory can be created").keep();
        let [port] = free_ports();
        let server = command(&dir, port);
        let mut supervisor = Command::new("sh");
        supervisor.args(["-c", SUPERVISOR]).arg("sh").arg(&dir).arg(server.get_program()).args(server.get_args());
        for (variable, value) in server.get_envs() {
            supervisor.env(variable, value.unwrap_or_default());
        }
        supervisor.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let supervisor = supervisor.spawn().expect("sh can be started");
        let process = Self { address: SocketAddr::from(([127, 0, 0, 1], port)), supervisor };
        let asked = |_: &usize| {
            thread::sleep(Duration::from_millis(50));
            is_ready(process.address)
        };
        let is_ready = (0..600).find(asked).is_some();
        is_ready.then_some(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// A program in the directory of `.ci/servers`.
fn installed(path: &str) -> Option<PathBuf> {
    Some(repository().join("tests/.servers").join(path)).filter(|path| path.is_file())
}

/// A program on PATH.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
}

fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// The first 64 bytes of a server's answer to a request.
fn answer(address: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// A minimal POST. Returns whether it succeeded.
fn post(address: SocketAddr, path: &str, body: &str) -> bool {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    let request = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    answer(address, &request).is_some_and(|answer| answer.starts_with("HTTP/1.1 2"))
}

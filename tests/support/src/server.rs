//! A real S3 server: SeaweedFS, on free loopback ports, one for each test binary.
//!
//! A shell between it and the tests reads from a pipe that only the test process holds open. When the tests end in any
//! way, the shell reads the end of the file and ends the server by its process id.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::{Project, repository};

/// The key that signs requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// Allows everything.
    Full,
    /// Allows getting objects, but neither listing nor writing.
    ReadOnly,
    /// Signs with a secret that the server does not know.
    WrongSecret,
}

impl Key {
    fn id(self) -> &'static str {
        match self {
            Self::Full | Self::WrongSecret => "full",
            Self::ReadOnly => "reader",
        }
    }

    /// The secret part of the key.
    pub fn secret(self) -> &'static str {
        match self {
            Self::Full => "full-secret",
            Self::ReadOnly => "reader-secret",
            Self::WrongSecret => "wrong-secret",
        }
    }

    /// The contents of `~/.aws/credentials` with this key.
    pub fn credentials(self) -> String {
        format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", self.id(), self.secret())
    }
}

/// The server of this test binary.
pub struct S3Server {
    address: SocketAddr,
    filer: SocketAddr,
    places: AtomicUsize,
    // Its input stays open as long as this process lives.
    _supervisor: Child,
}

impl S3Server {
    /// Returns the server, and starts it if necessary.
    pub fn get() -> &'static Self {
        static SERVER: LazyLock<S3Server> = LazyLock::new(S3Server::start);
        &SERVER
    }

    /// The address for S3 requests.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A prefix in the bucket that was never used before.
    fn unused_url(&self) -> String {
        format!("s3://{BUCKET}/place-{}", self.places.fetch_add(1, Ordering::Relaxed))
    }

    /// Removes all objects below a prefix, directly in the server.
    pub fn empty(&self, remote: &Remote) {
        let place = remote.url.strip_prefix("s3://").expect("the remote is a prefix in a bucket");
        let status =
            request(self.filer, "DELETE", &format!("/buckets/{place}?recursive=true")).expect("the server runs");
        assert_eq!(status, 204, "the prefix cannot be emptied");
    }

    /// For SeaweedFS, a bucket is a directory.
    fn make_bucket(&self) {
        let status = request(self.filer, "POST", &format!("/buckets/{BUCKET}/")).expect("the server runs");
        assert_eq!(status, 201, "the bucket cannot be created");
    }

    fn start() -> Self {
        let weed = find();
        (0..3).find_map(|_| Self::try_start(&weed)).unwrap_or_else(|| panic!("{} does not start", weed.display()))
    }

    /// Fails if another process takes a port before the server does.
    fn try_start(weed: &Path) -> Option<Self> {
        let dir =
            tempfile::Builder::new().prefix("xcache-test-s3-").tempdir().expect("a directory can be created").keep();
        fs::write(dir.join("s3.json"), identities()).expect("the directory can be written");
        let ports = free_ports::<8>();
        let mut supervisor = Command::new("sh");
        supervisor.args(["-c", SUPERVISOR]).arg("sh").arg(&dir).arg(weed).args(arguments(&dir, ports));
        supervisor.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let supervisor = supervisor.spawn().expect("sh can be started");
        let address = SocketAddr::from(([127, 0, 0, 1], ports[6]));
        let filer = SocketAddr::from(([127, 0, 0, 1], ports[4]));
        let server = Self { address, filer, places: AtomicUsize::new(0), _supervisor: supervisor };
        let ready = server.wait_until_ready();
        ready.then(|| server.make_bucket());
        ready.then_some(server)
    }

    fn wait_until_ready(&self) -> bool {
        let answers = || {
            request(self.address, "GET", "/healthz").is_ok_and(|status| status == 200)
                && request(self.filer, "GET", "/").is_ok()
        };
        // The server has no other way to report that it is ready.
        let is_ready = |_: &usize| {
            thread::sleep(Duration::from_millis(50));
            answers()
        };
        (0..600).find(is_ready).is_some()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self._supervisor.stdin.take());
        let _ = self._supervisor.wait();
    }
}

/// One bucket for all tests: a server with many buckets reserves much space.
const BUCKET: &str = "xcache-test";

/// Kills the server: it would take 15 seconds to end in its own way.
pub(crate) const SUPERVISOR: &str = r#"
dir=$1; shift
"$@" > "$dir/log" 2>&1 < /dev/null &
server=$!
trap '' INT
while read -r _; do :; done
kill -9 "$server"
wait "$server"
rm -rf "$dir"
"#;

fn arguments(dir: &Path, ports: [u16; 8]) -> Vec<String> {
    let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = ports;
    let mut arguments: Vec<_> = [
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        "-s3.iam=false",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-volume.max=64",
        "-master.volumeSizeLimitMB=64",
        "-volume.minFreeSpace=0",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("-dir={}", dir.display()));
    arguments.push(format!("-s3.config={}", dir.join("s3.json").display()));
    let ports = [
        ("master", master, master_grpc),
        ("volume", volume, volume_grpc),
        ("filer", filer, filer_grpc),
        ("s3", s3, s3_grpc),
    ];
    for (name, port, grpc) in ports {
        arguments.push(format!("-{name}.port={port}"));
        arguments.push(format!("-{name}.port.grpc={grpc}"));
    }
    arguments
}

fn identities() -> String {
    let identity = |key: Key, actions: &[&str]| {
        json!({
            "name": key.id(), "actions": actions,
            "credentials": [{ "accessKey": key.id(), "secretKey": key.secret() }],
        })
    };
    let full = identity(Key::Full, &["Admin", "Read", "List", "Tagging", "Write"]);
    json!({ "identities": [full, identity(Key::ReadOnly, &["Read"])] }).to_string()
}

/// The server that `.ci/servers` installed, or one on PATH.
fn find() -> PathBuf {
    let installed = repository().join("tests/.servers/bin/weed");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::iter::once(installed).chain(std::env::split_paths(&path).map(|dir| dir.join("weed")));
    candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("the S3 server `weed` is neither in tests/.servers nor on PATH: run `.ci/servers`, which installs it")
    })
}

/// Ports on which nothing listens at the moment.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    listeners.map(|listener| listener.local_addr().expect("a listener has an address").port())
}

/// An address that refuses connections.
pub fn closed_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_ports::<1>()[0]))
}

/// A minimal HTTP client. Returns the status of the response.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::Error::other(format!("not HTTP: {answer:?}")))
}

/// A prefix in a bucket, and the endpoint to reach it.
#[derive(Clone)]
pub struct Remote {
    /// Its URL, as the user gives it.
    pub url: String,
    /// The endpoint, as the user gives it.
    pub endpoint: String,
}

impl Remote {
    /// A new prefix in the bucket, reached through `address`: that of the server itself or of something in front of it.
    pub fn new(server: &S3Server, address: SocketAddr) -> Self {
        Self { url: server.unused_url(), endpoint: format!("http://{address}") }
    }

    /// The same prefix through another address.
    #[must_use]
    pub fn through(&self, address: SocketAddr) -> Self {
        Self { endpoint: format!("http://{address}"), ..self.clone() }
    }
}

impl Project {
    /// Uses a remote on S3.
    #[must_use]
    pub fn with_remote(self, remote: &Remote, key: Key) -> Self {
        self.env("XCACHE_REMOTE", &remote.url)
            .env("AWS_ENDPOINT_URL_S3", &remote.endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", key.id())
            .env("AWS_SECRET_ACCESS_KEY", key.secret())
    }
}

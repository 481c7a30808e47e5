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

use super::Traffic;

/// Amazon's own service.
const AWS_HOST: &str = "s3.amazonaws.com";
/// The time limit for instance metadata, which is one hop away or absent.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of an error answer is read. No real one is longer.
const MAX_MESSAGE: usize = 64 << 10;

pub(super) struct Transport {
    inner: ReqwestTransport,
    traffic: Arc<Traffic>,
    /// The host of the storage service, without the bucket.
    host: String,
    stall: Duration,
}

impl Transport {
    pub(super) fn new(endpoint: &str, stall: Duration, traffic: Arc<Traffic>) -> Result<Self> {
        // The application may have installed a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || reqwest::Client::builder().connect_timeout(stall).tcp_nodelay(true);
        // An image without certificates can still use a service without TLS.
        let plain =
            |error| if endpoint.starts_with("http://") { builder().tls_certs_only([]).build() } else { Err(error) };
        let client = builder().build().or_else(plain).map_err(|error| {
            Error::new(ErrorKind::ConfigInvalid, format!("cannot set up a client: {}", innermost_message(&error)))
        })?;
        let host = endpoint.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        Ok(Self { inner: ReqwestTransport::new(client), traffic, host, stall })
    }

    /// Whether a request goes to the storage service. The host may begin with the bucket, and AWS's contains the
    /// region.
    fn is_storage(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default();
        match self.host.as_str() {
            AWS_HOST => host.ends_with(".amazonaws.com") && !host.starts_with("sts."),
            own => host == own && !uri.path().starts_with("/latest/"),
        }
    }

    /// The service's answer, successful or not.
    pub(super) async fn fetch_counted(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        self.traffic.sent.fetch_add(request.body().len() as u64, Ordering::Relaxed);
        let uri = request.uri().clone();
        tracing::debug!(method = %request.method(), %uri, "request");
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
        let metadata = request.uri().path().starts_with("/latest/");
        let limit = if metadata { METADATA_TIMEOUT.min(self.stall) } else { self.stall };
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
        let response = self.fetch_counted(request).await?;
        if response.status().is_success() { Ok(response) } else { Err(error_answer(response).await) }
    }
}

/// The error for a request without an answer: the system's words, and the host.
///
/// An unreachable or unknown host, or one that is not trusted, is [`ErrorKind::ConfigInvalid`]: a retry will not help.
fn no_answer_error(error: &Error, uri: &Uri) -> Error {
    let (scheme, authority) = (uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", |it| it.as_str()));
    let message = format!("{} ({scheme}://{authority})", innermost_message(error));
    let connecting = error.source().and_then(|source| source.downcast_ref::<reqwest::Error>());
    let unreachable = connecting.is_some_and(|error| error.is_connect() && !error.is_timeout());
    let kind = if unreachable { ErrorKind::ConfigInvalid } else { ErrorKind::Unexpected };
    Error::new(kind, message).with_temporary(error.is_temporary())
}

/// The innermost cause, without the system's error number.
fn innermost_message(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let text = last.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

async fn error_answer(response: Response<HttpBody>) -> Error {
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
    server_error(parts.status, &String::from_utf8_lossy(&bytes))
}

/// The error for an answer of S3. The codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn server_error(status: StatusCode, body: &str) -> Error {
    let code = element(body, "Code").unwrap_or_default();
    let text = element(body, "Message").unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or("unknown status");
    let message = match (code, text) {
        ("", _) => plain_text(body).map_or(reason.to_owned(), |text| format!("{reason}: {text}")),
        (code, "") => code.to_owned(),
        (code, text) => format!("{code}: {}", unescape(text)),
    };
    let (kind, temporary) = match (status.as_u16(), code) {
        (_, "NoSuchBucket") => (ErrorKind::ConfigInvalid, false),
        (404, _) => (ErrorKind::NotFound, false),
        (403, "AccessDenied" | "Forbidden" | "") => (ErrorKind::PermissionDenied, false),
        (429, _) | (_, "SlowDown" | "RequestTimeout") => (ErrorKind::RateLimited, true),
        (408 | 499 | 500 | 502 | 503 | 504, _) => (ErrorKind::Unexpected, true),
        _ => (ErrorKind::ConfigInvalid, false),
    };
    Error::new(kind, format!("{message} (HTTP {})", status.as_u16())).with_temporary(temporary)
}

/// The text of a proxy in between: a body of plain words, without markup or binary data.
fn plain_text(body: &str) -> Option<String> {
    let text = body.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_text = !text.is_empty() && !text.contains(['<', '{', '\u{fffd}']) && !text.contains(char::is_control);
    is_text.then(|| text.chars().take(120).collect())
}

/// The text of the first element of this name.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

fn unescape(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&#34;", "\""), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
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
        let transport = Transport::new(&endpoint, Duration::from_secs(10), Arc::clone(&traffic)).unwrap();
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

    fn answer(status: u16, body: &str) -> (ErrorKind, bool, String) {
        let error = server_error(StatusCode::from_u16(status).unwrap(), body);
        (error.kind(), error.is_temporary(), error.message().to_owned())
    }

    #[test]
    fn errors_contain_the_server_s_own_words() {
        let body = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code>\
                    <Message>The &quot;signature&quot; differs.</Message><Resource>/b</Resource></Error>";
        assert_eq!(
            answer(403, body),
            (ErrorKind::ConfigInvalid, false, "SignatureDoesNotMatch: The \"signature\" differs. (HTTP 403)".into())
        );
        assert_eq!(answer(503, "busy"), (ErrorKind::Unexpected, true, "Service Unavailable: busy (HTTP 503)".into()));
        assert_eq!(answer(502, "<html>").2, "Bad Gateway (HTTP 502)");
    }

    #[test]
    fn a_missing_object_differs_from_a_missing_bucket() {
        assert_eq!(answer(404, "<Code>NoSuchKey</Code>").0, ErrorKind::NotFound);
        assert_eq!(answer(404, "<Code>NoSuchBucket</Code>").0, ErrorKind::ConfigInvalid);
    }

    #[test]
    fn a_denied_request_differs_from_a_wrong_key() {
        assert_eq!(answer(403, "<Code>AccessDenied</Code>").0, ErrorKind::PermissionDenied);
        assert_eq!(answer(403, "<Code>InvalidAccessKeyId</Code>").0, ErrorKind::ConfigInvalid);
        assert_eq!(answer(400, "<Code>ExpiredToken</Code>").0, ErrorKind::ConfigInvalid);
    }

    #[test]
    fn credentials_are_not_storage() {
        let transport = |endpoint| Transport::new(endpoint, Duration::from_secs(1), Arc::default()).unwrap();
        let is_storage = |transport: &Transport, uri: &str| transport.is_storage(&uri.parse().unwrap());
        let aws = transport("https://s3.amazonaws.com");
        assert!(is_storage(&aws, "https://bucket.s3.eu-west-1.amazonaws.com/v1/graph/x"));
        assert!(!is_storage(&aws, "https://sts.eu-west-1.amazonaws.com/"));
        assert!(!is_storage(&aws, "http://169.254.169.254/latest/api/token"));
        let own = transport("http://127.0.0.1:9000");
        assert!(is_storage(&own, "http://127.0.0.1:9000/bucket/v1/graph/x"));
        assert!(!is_storage(&own, "http://127.0.0.1:1338/latest/api/token"));
    }
}

//! The HTTP transport under the operator: counts, bounds, and lets the server speak.
//!
//! Every attempt is seen here, retries too, so the figures are what went over the wire: requests to the storage service
//! and the bytes of their bodies. Requests for credentials (instance metadata, container, STS) pass through here as well;
//! they are not counted, and they are bounded in time, as a machine that is not in a cloud has nobody who answers.
//!
//! **Invariant.** An answer that is not a success is an error whose message is the server's own code and text.

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
/// Instance metadata is one hop away, or not there.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// No honest error answer is longer, and no more of one is read.
const MAX_MESSAGE: usize = 64 << 10;

pub(super) struct Transport {
    inner: ReqwestTransport,
    traffic: Arc<Traffic>,
    /// The storage service, without the bucket.
    host: String,
    stall: Duration,
}

impl Transport {
    pub(super) fn new(endpoint: &str, stall: Duration, traffic: Arc<Traffic>) -> Result<Self> {
        // Another one may be there already, of whoever uses the library: it is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || reqwest::Client::builder().connect_timeout(stall).tcp_nodelay(true);
        // An image without certificates can still talk to a service that has none.
        let plain =
            |error| if endpoint.starts_with("http://") { builder().tls_certs_only([]).build() } else { Err(error) };
        let client = builder().build().or_else(plain).map_err(|error| {
            Error::new(ErrorKind::ConfigInvalid, format!("cannot set up a client: {}", deepest(&error)))
        })?;
        let host = endpoint.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        Ok(Self { inner: ReqwestTransport::new(client), traffic, host, stall })
    }

    /// The bucket may stand in front of the service's name, and AWS's region in it.
    fn is_storage(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default();
        match self.host.as_str() {
            AWS_HOST => host.ends_with(".amazonaws.com") && !host.starts_with("sts."),
            own => host == own && !uri.path().starts_with("/latest/"),
        }
    }

    /// Whatever the service answers, success or not.
    pub(super) async fn fetch_counted(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        self.traffic.sent.fetch_add(request.body().len() as u64, Ordering::Relaxed);
        let uri = request.uri().clone();
        tracing::debug!(method = %request.method(), %uri, "request");
        let response = self.inner.fetch(request).await.map_err(|error| unanswered(&error, &uri))?;
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
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }
}

/// There was no answer: the system's own words, and to whom it could not talk.
///
/// Nobody there, no such name, no trust: trying a third time will not help, and [`ErrorKind::ConfigInvalid`] says so.
fn unanswered(error: &Error, uri: &Uri) -> Error {
    let (scheme, authority) = (uri.scheme_str().unwrap_or("http"), uri.authority().map_or("", |it| it.as_str()));
    let message = format!("{} ({scheme}://{authority})", deepest(error));
    let connecting = error.source().and_then(|source| source.downcast_ref::<reqwest::Error>());
    let unreachable = connecting.is_some_and(|error| error.is_connect() && !error.is_timeout());
    let kind = if unreachable { ErrorKind::ConfigInvalid } else { ErrorKind::Unexpected };
    Error::new(kind, message).with_temporary(error.is_temporary())
}

/// The innermost cause, without the number of the system's error.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let text = last.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

async fn refused(response: Response<HttpBody>) -> Error {
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    // One that breaks off has said something, too.
    while bytes.len() < MAX_MESSAGE
        && let Ok(chunk) = body.read().await
        && !chunk.is_empty()
    {
        bytes.extend_from_slice(&chunk.to_bytes());
    }
    bytes.truncate(MAX_MESSAGE);
    server_error(parts.status, &String::from_utf8_lossy(&bytes))
}

/// What S3's answer means. The codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
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

/// What a proxy in between says: a body of words, not of markup or anything else.
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

    /// Refuses one request with a body without an end, as slowly as a test can wait for. Says how much it got rid of.
    fn talker() -> (String, thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let talking = thread::spawn(move || {
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
        (endpoint, talking)
    }

    #[test]
    fn an_answer_without_an_end_is_not_read_to_its_end() {
        let (endpoint, talking) = talker();
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
        assert!(talking.join().unwrap() < 32 << 20, "nobody listens any more");
    }

    fn answer(status: u16, body: &str) -> (ErrorKind, bool, String) {
        let error = server_error(StatusCode::from_u16(status).unwrap(), body);
        (error.kind(), error.is_temporary(), error.message().to_owned())
    }

    #[test]
    fn the_server_speaks_in_its_own_words() {
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
    fn an_object_that_is_not_there_differs_from_a_bucket_that_is_not_there() {
        assert_eq!(answer(404, "<Code>NoSuchKey</Code>").0, ErrorKind::NotFound);
        assert_eq!(answer(404, "<Code>NoSuchBucket</Code>").0, ErrorKind::ConfigInvalid);
    }

    #[test]
    fn a_refusal_differs_from_a_key_that_is_wrong() {
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

//! An HTTP proxy in front of the server: it records every request, and can fail in the ways in which networks and
//! servers fail.
//!
//! Requests are forwarded unchanged, with their own `Host` header, so signatures stay valid.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// How often the proxy checks whether a file exists.
const TICK: Duration = Duration::from_millis(5);

/// How the proxy fails.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Not at all.
    #[default]
    Pass,
    /// Answers every request with this status and body, without forwarding it.
    Status(u16, String),
    /// Accepts requests and never answers.
    Stall,
    /// Answers with the server's headers and half of the body, and then keeps the connection open in silence.
    StallHalfway,
    /// Answers every GET with 200 and a meaningless body.
    Garbage,
    /// Announces the length of the body and closes the connection after half of it.
    Truncate,
    /// Flips a bit in the middle of every object.
    Corrupt,
    /// Holds every pack back until this file exists.
    HoldPacks(PathBuf),
}

/// A recorded request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// `GET`, `PUT` …
    pub method: String,
    /// Its path, with the bucket.
    pub path: String,
    /// The part after the question mark.
    pub query: String,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub sent: usize,
    /// Bytes of the response's body.
    pub received: usize,
    /// Whether something had been compiled before it ([`Proxy::watch`]).
    pub after_compilation: bool,
}

impl Request {
    /// Whether it lists objects.
    pub fn is_list(&self) -> bool {
        let in_bucket = self.path.trim_matches('/').contains('/');
        self.method == "GET" && (!in_bucket || self.query.contains("list-type") || self.query.contains("prefix="))
    }

    /// Whether it writes or deletes.
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// A proxy that listens until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    fault: Fault,
    /// The number of coming requests before the fault begins.
    before_fault: usize,
    requests: Vec<Request>,
    marker: Option<PathBuf>,
}

impl Proxy {
    /// Starts a proxy in front of a server.
    pub fn start(upstream: SocketAddr) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a socket can be set up");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.spawn(serve(listener, upstream, shared));
            // Dropping the runtime then drops every connection.
            let _ = runtime.block_on(stopped);
        });
        Self { address, state, stop: Some(stop), thread: Some(thread) }
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Fails from now on, or works again.
    pub fn set(&self, fault: Fault) {
        self.set_after(0, fault);
    }

    /// Fails after this number of further requests.
    pub fn set_after(&self, requests: usize, fault: Fault) {
        let mut state = lock(&self.state);
        state.before_fault = requests;
        state.fault = fault;
    }

    /// Records for each request from now on whether this file exists ([`crate::Rustc::marker`]).
    pub fn watch(&self, marker: &Path) {
        lock(&self.state).marker = Some(marker.to_owned());
    }

    /// The requests since the last reset, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state).requests.clone()
    }

    /// Forgets the requests.
    pub fn reset(&self) {
        lock(&self.state).requests.clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

type Body = BoxBody<Bytes, std::io::Error>;
type Answer = hyper::Response<Body>;

async fn serve(listener: std::net::TcpListener, upstream: SocketAddr, state: Arc<Mutex<State>>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| handle(request, upstream, &state));
            // A client that goes away, or a body that is cut on purpose, is not an error of the proxy.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(
    request: hyper::Request<Incoming>,
    upstream: SocketAddr,
    state: &Mutex<State>,
) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let (number, fault) = note(&head, state);
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    update(state, number, |request| request.sent = body.len());
    let is_get = head.method == Method::GET;
    if let Fault::HoldPacks(file) = &fault {
        while head.uri.path().contains("/blob/") && !file.exists() {
            tokio::time::sleep(TICK).await;
        }
    }
    let answer = match &fault {
        Fault::Stall => std::future::pending().await,
        Fault::Status(status, body) => {
            let status = StatusCode::from_u16(*status).expect("tests use real statuses");
            hyper::Response::builder().status(status).body(Bytes::from(body.clone())).expect("a valid answer")
        }
        Fault::Garbage if is_get => hyper::Response::new(Bytes::from_static(b"<html>please log in</html>")),
        _ => forward(hyper::Request::from_parts(head, body), upstream).await.unwrap_or_else(bad_gateway),
    };
    update(state, number, |request| {
        request.status = Some(answer.status().as_u16());
        request.received = answer.body().len();
    });
    let object = is_get && answer.status().is_success();
    Ok(if object { broken(answer, &fault) } else { whole(answer) })
}

/// Records a request, and returns its number and how to treat it.
fn note(head: &hyper::http::request::Parts, state: &Mutex<State>) -> (usize, Fault) {
    let mut state = lock(state);
    let after_compilation = state.marker.as_ref().is_some_and(|marker| marker.exists());
    state.requests.push(Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        status: None,
        sent: 0,
        received: 0,
        after_compilation,
    });
    let number = state.requests.len() - 1;
    match state.before_fault.checked_sub(1) {
        Some(left) => {
            state.before_fault = left;
            (number, Fault::Pass)
        }
        None => (number, state.fault.clone()),
    }
}

/// A reset may have removed the request in between.
fn update(state: &Mutex<State>, number: usize, change: impl FnOnce(&mut Request)) {
    if let Some(request) = lock(state).requests.get_mut(number) {
        change(request);
    }
}

type ForwardError = Box<dyn std::error::Error + Send + Sync>;

async fn forward(request: hyper::Request<Bytes>, upstream: SocketAddr) -> Result<hyper::Response<Bytes>, ForwardError> {
    let stream = TcpStream::connect(upstream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request.map(Full::new)).await?;
    let (head, body) = answer.into_parts();
    Ok(hyper::Response::from_parts(head, body.collect().await?.to_bytes()))
}

fn bad_gateway(error: ForwardError) -> hyper::Response<Bytes> {
    let mut answer = hyper::Response::new(Bytes::from(format!("the server behind the proxy: {error}")));
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}

fn whole(answer: hyper::Response<Bytes>) -> Answer {
    answer.map(|body| Full::new(body).map_err(|never| match never {}).boxed())
}

/// An object as a faulty network or server would deliver it.
fn broken(answer: hyper::Response<Bytes>, fault: &Fault) -> Answer {
    let half = answer.body().len() / 2;
    match fault {
        Fault::Truncate => partial(answer, half, End::Close),
        Fault::StallHalfway => partial(answer, half, End::Silence),
        Fault::Corrupt => whole(answer.map(|body| {
            let mut bytes = body.to_vec();
            if let Some(byte) = bytes.get_mut(half) {
                *byte ^= 1;
            }
            bytes.into()
        })),
        _ => whole(answer),
    }
}

#[derive(Clone, Copy)]
enum End {
    Close,
    Silence,
}

/// A response with all headers, including the full length, and the first bytes of the body.
fn partial(answer: hyper::Response<Bytes>, length: usize, end: End) -> Answer {
    let (mut head, body) = answer.into_parts();
    head.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let body = Partial { bytes: Some(body.slice(..length)), flushed: false, end };
    hyper::Response::from_parts(head, body.boxed())
}

struct Partial {
    bytes: Option<Bytes>,
    flushed: bool,
    end: End,
}

impl hyper::body::Body for Partial {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        use std::task::Poll;
        match (self.bytes.take(), self.end) {
            (Some(bytes), _) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            // Waiting once makes hyper send what it has.
            (None, End::Close) if !self.flushed => {
                self.flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            (None, End::Close) => Poll::Ready(Some(Err(std::io::Error::other("cut on purpose")))),
            // Nothing will wake this task, on purpose.
            (None, End::Silence) => Poll::Pending,
        }
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;

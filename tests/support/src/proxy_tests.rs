//! The proxy in front of a minimal server.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{Fault, Proxy};

const BODY: &str = "0123456789";

/// Answers every connection with [`BODY`], and with the `Host` of the request.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).expect("a request");
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            let host = request.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned();
            let head = format!("HTTP/1.1 200 OK\r\nX-Host: {host}\r\nContent-Length: {}\r\n\r\n", BODY.len());
            stream.write_all(format!("{head}{BODY}").as_bytes()).expect("an answer");
        }
    });
    address
}

/// The response within a short time, and whether the connection was closed.
fn get(address: SocketAddr) -> (String, bool) {
    let mut stream = TcpStream::connect(address).expect("the proxy listens");
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    write!(stream, "GET /bucket/key?x=1 HTTP/1.1\r\nHost: made.up\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = Vec::new();
    let closed = match stream.read_to_end(&mut answer) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    };
    (String::from_utf8_lossy(&answer).into_owned(), closed)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn requests_are_forwarded_unchanged_and_recorded() {
    let proxy = Proxy::start(server());
    let (answer, _) = get(proxy.address());
    assert!(answer.contains("x-host: made.up"), "{answer}");
    assert_eq!(body(&answer), BODY);
    let requests = proxy.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!((&*request.method, &*request.path, &*request.query), ("GET", "/bucket/key", "x=1"));
    assert_eq!((request.status, request.received), (Some(200), BODY.len()));
    assert!(!request.is_list() && !request.is_write());
}

#[test]
fn each_fault_fails_in_its_own_way() {
    let proxy = Proxy::start(server());
    let with = |fault| {
        proxy.set(fault);
        get(proxy.address())
    };
    let (answer, _) = with(Fault::Status(503, "busy".into()));
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("busy"), "{answer}");
    let (answer, _) = with(Fault::Garbage);
    assert!(answer.starts_with("HTTP/1.1 200") && body(&answer).starts_with("<html>"), "{answer}");
    let (answer, closed) = with(Fault::Truncate);
    assert!(answer.contains("content-length: 10"), "{answer}");
    assert_eq!((body(&answer), closed), ("01234", true));
    let (answer, closed) = with(Fault::StallHalfway);
    assert_eq!((body(&answer), closed), ("01234", false));
    let (answer, _) = with(Fault::Corrupt);
    assert_eq!(body(&answer), "0123446789");
    let (answer, closed) = with(Fault::Stall);
    assert_eq!((&*answer, closed), ("", false));
    let (answer, _) = with(Fault::Pass);
    assert_eq!(body(&answer), BODY);
}

#[test]
fn a_fault_can_begin_after_some_requests() {
    let proxy = Proxy::start(server());
    proxy.set_after(1, Fault::Garbage);
    assert_eq!(body(&get(proxy.address()).0), BODY);
    assert!(body(&get(proxy.address()).0).starts_with("<html>"));
}

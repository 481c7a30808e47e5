//! A TCP relay in front of any server, which can stop as a server does: it closes all connections and its port.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A relay that listens until it stops or is dropped.
pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<thread::JoinHandle<()>>,
}

struct State {
    /// Bytes from the server.
    answered: AtomicUsize,
    limit: AtomicUsize,
    is_stopped: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Starts a relay in front of a server.
    pub fn start(upstream: SocketAddr) -> Self {
        let state = Arc::new(State {
            answered: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
            is_stopped: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a socket can be set up");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || accept(&listener, upstream, &shared));
        Self { address, state, thread: Some(thread) }
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of bytes that the server has answered.
    pub fn answered(&self) -> usize {
        self.state.answered.load(Ordering::Relaxed)
    }

    /// Stops after this number of further bytes from the server.
    pub fn stop_after(&self, bytes: usize) {
        self.state.limit.store(self.answered() + bytes, Ordering::Relaxed);
    }

    /// Whether it has stopped.
    pub fn is_stopped(&self) -> bool {
        self.state.is_stopped.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.stop();
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

impl State {
    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// Accepts connections until the relay stops. The port closes with the listener.
fn accept(listener: &TcpListener, upstream: SocketAddr, state: &Arc<State>) {
    while !state.is_stopped.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((client, _)) => drop(connect(client, upstream, state)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(1)),
            Err(_) => return,
        }
    }
    // Connections that were accepted in the meantime.
    state.stop();
}

fn connect(client: TcpStream, upstream: SocketAddr, state: &Arc<State>) -> std::io::Result<()> {
    let server = TcpStream::connect(upstream)?;
    client.set_nonblocking(false)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    state.connections.lock().unwrap_or_else(PoisonError::into_inner).extend([client.try_clone()?, server.try_clone()?]);
    let (mut requests, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut requests, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let state = Arc::clone(state);
    thread::spawn(move || {
        let _ = answer(server, &client, &state);
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}

/// Copies the server's bytes to the client, up to the limit.
fn answer(mut server: TcpStream, mut client: &TcpStream, state: &State) -> std::io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        let length = server.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let answered = state.answered.fetch_add(length, Ordering::Relaxed) + length;
        if answered > state.limit.load(Ordering::Relaxed) {
            state.stop();
            return Ok(());
        }
        client.write_all(&buffer[..length])?;
    }
}

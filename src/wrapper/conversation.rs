//! The session's side of one connection: what a wrapper that waits for an answer is told.

use std::io::{self, BufReader};

use interprocess::local_socket::Stream;

use super::protocol::{Capture, Finished, Released, Request, Response, ScriptObserved, receive, send};
use crate::rustc::diagnostics::Unmapping;

/// A wrapper that waits for an answer.
pub(super) struct Conversation {
    stream: BufReader<Stream>,
    wrapper: Option<String>,
}

impl Conversation {
    /// The first word, and the rest of what is to be said. `wrapper` is the user's own, to be put in front of rustc.
    pub(super) fn begin(stream: Stream, wrapper: Option<String>) -> io::Result<(Request, Self)> {
        let mut stream = BufReader::new(stream);
        let request = receive(&mut stream)?;
        Ok((request, Self { stream, wrapper }))
    }

    /// Has it print this, and end with success.
    pub(super) fn print(&mut self, stdout: String, stderr: String) -> io::Result<()> {
        send(self.stream.get_mut(), &Response::Print { stdout, stderr, code: 0 })
    }

    /// Has it run the command with arguments before cargo's, and waits for the end.
    pub(super) fn run(
        &mut self,
        arguments: Vec<String>,
        unmapping: Unmapping,
        capture: Capture,
        is_observed: bool,
    ) -> io::Result<Finished> {
        let wrapper = self.wrapper.clone();
        send(self.stream.get_mut(), &Response::Run { wrapper, arguments, unmapping, capture, is_observed })?;
        receive(&mut self.stream)
    }

    /// Has it start a build script, which is told of this wrapper of the user's own.
    pub(super) fn start_script(&mut self, wrapper: Option<String>, is_observed: bool) -> io::Result<()> {
        send(self.stream.get_mut(), &Response::Start { wrapper, is_observed })
    }

    /// Waits until a script that is observed has ended.
    pub(super) fn script_observed(&mut self) -> io::Result<ScriptObserved> {
        receive(&mut self.stream)
    }

    /// Lets it end, after a run whose diagnostics were captured.
    pub(super) fn release(&mut self) -> io::Result<()> {
        send(self.stream.get_mut(), &Released)
    }

    /// Has it run the command, and ends: nobody asks how that went.
    pub(super) fn run_unwatched(&mut self) -> io::Result<()> {
        let (wrapper, arguments, unmapping) = (self.wrapper.clone(), Vec::new(), Unmapping::default());
        let response = Response::Run { wrapper, arguments, unmapping, capture: Capture::Status, is_observed: false };
        send(self.stream.get_mut(), &response)
    }
}

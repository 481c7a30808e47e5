//! The session's side of one connection to a wrapper.

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
    /// Receives the request. `wrapper` is the user's own wrapper, which runs in front of rustc.
    pub(super) fn begin(stream: Stream, wrapper: Option<String>) -> io::Result<(Request, Self)> {
        let mut stream = BufReader::new(stream);
        let request = receive(&mut stream)?;
        Ok((request, Self { stream, wrapper }))
    }

    /// Tells the wrapper to print this and to exit with success.
    pub(super) fn print(&mut self, stdout: String, stderr: String) -> io::Result<()> {
        send(self.stream.get_mut(), &Response::Print { stdout, stderr, code: 0 })
    }

    /// Tells the wrapper to run the command with arguments before cargo's, and waits for the result.
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

    /// Tells the wrapper to start a build script, with the user's own wrapper in the script's environment.
    pub(super) fn start_script(&mut self, wrapper: Option<String>, is_observed: bool) -> io::Result<()> {
        send(self.stream.get_mut(), &Response::Start { wrapper, is_observed })
    }

    /// Waits until an observed script has ended.
    pub(super) fn wait_for_script(&mut self) -> io::Result<ScriptObserved> {
        receive(&mut self.stream)
    }

    /// Lets the wrapper exit after a run whose diagnostics were captured.
    pub(super) fn release(&mut self) -> io::Result<()> {
        send(self.stream.get_mut(), &Released)
    }

    /// Tells the wrapper to run the command, and does not wait for the result.
    pub(super) fn run_without_report(&mut self) -> io::Result<()> {
        let (wrapper, arguments, unmapping) = (self.wrapper.clone(), Vec::new(), Unmapping::default());
        let response = Response::Run { wrapper, arguments, unmapping, capture: Capture::Status, is_observed: false };
        send(self.stream.get_mut(), &response)
    }
}

//! `cargo xcache push`: uploads the units in the local store.

use std::process::ExitCode;
use std::sync::Arc;

use xcache::config::Overrides;
use xcache::event::EventLog;
use xcache::report::text;
use xcache::session;

use crate::launch;
use crate::terminal::{self, Terminal};

/// Uploads units that the remote does not have, and returns the exit code.
pub(crate) fn run(overrides: &Overrides) -> ExitCode {
    let terminal = Arc::new(Terminal::stderr(terminal::Options::default()));
    let log = EventLog::new(terminal.clone());
    let interrupt = launch::interrupt();
    let directory = std::env::current_dir().unwrap_or_default();
    let settings = launch::load_settings(&directory, overrides);
    let store = settings.as_ref().map(|settings| settings.dir.clone()).unwrap_or_default();
    let pushed = settings.and_then(|settings| session::push(&settings, &log, &interrupt));
    match pushed {
        Ok(summary) => {
            terminal.print(|out| {
                let size = text::bytes(summary.bytes);
                writeln!(out, "{:>12} {} units ({size}), {} left", "Pushed", summary.sent, summary.left)
            });
            ExitCode::from(u8::from(summary.left > 0))
        }
        Err(error) => {
            drop(terminal);
            let hint = error.hint(&store).map(|hint| format!("\n\n{hint}")).unwrap_or_default();
            terminal::fail(&format!("{error}{hint}"), 1)
        }
    }
}

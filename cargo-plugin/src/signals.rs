//! Signals: cargo ends first, then the session.
//!
//! A Ctrl-C at the terminal reaches cargo by itself; one that is sent to this process alone is passed on, so that nobody
//! has to know that there are two. What is left of the session then takes a moment: uploads are skipped.

use std::sync::Arc;

use xcache::session::Interrupt;

/// Passes signals on to cargo from now on.
#[cfg(unix)]
pub(crate) fn forward(interrupt: Arc<Interrupt>) {
    use rustix::process::{Pid, Signal, kill_process};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    // Without the handler a signal ends this process and leaves cargo running: bad manners, but no harm.
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        for number in signals.forever() {
            let signal = match number {
                SIGTERM => Signal::TERM,
                SIGHUP => Signal::HUP,
                _ => Signal::INT,
            };
            match interrupt.interrupt().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
                Some(cargo) => drop(kill_process(cargo, signal)),
                None => std::process::exit(128 + number),
            }
        }
    });
}

/// Elsewhere the console sends Ctrl-C to both processes.
#[cfg(not(unix))]
pub(crate) fn forward(_: Arc<Interrupt>) {}

//! Signals: the child process ends first, then this one.
//!
//! The kernel sends a Ctrl-C at the terminal to both processes, and a second one would mean something else to the
//! child. A signal that is sent only to this process is forwarded, so that senders need not know about the child.

/// Forwards signals from now on. `child` returns the process to forward each one to. Without a child, this process
/// ends.
#[cfg(unix)]
pub(crate) fn forward(child: impl Fn() -> Option<u32> + Send + 'static) {
    use rustix::process::{Pid, Signal, kill_process};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::SignalsInfo;
    use signal_hook::iterator::exfiltrator::origin::WithOrigin;
    use signal_hook::low_level::siginfo::Cause;

    // Without the handler, a signal ends this process and leaves the child running, which does no harm.
    let Ok(mut signals) = SignalsInfo::<WithOrigin>::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        for origin in signals.forever() {
            let signal = match origin.signal {
                SIGTERM => Signal::TERM,
                SIGHUP => Signal::HUP,
                _ => Signal::INT,
            };
            match child().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
                Some(_) if matches!(origin.cause, Cause::Kernel) => {}
                Some(child) => drop(kill_process(child, signal)),
                None => std::process::exit(128 + origin.signal),
            }
        }
    });
}

/// On other systems, the console sends Ctrl-C to both processes.
#[cfg(not(unix))]
pub(crate) fn forward(_: impl Fn() -> Option<u32> + Send + 'static) {}

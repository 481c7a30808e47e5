//! Signals: what runs under us ends first, then we do.
//!
//! A Ctrl-C at the terminal reaches the child by itself: the kernel sends it to both, and twice would be another thing to
//! ask for. One that somebody sends to this process alone is passed on, so that nobody has to know that there are two.

/// Passes signals on from now on. `child` is asked for the process to pass it to each time; where there is none, this
/// process ends.
#[cfg(unix)]
pub(crate) fn forward(child: impl Fn() -> Option<u32> + Send + 'static) {
    use rustix::process::{Pid, Signal, kill_process};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::SignalsInfo;
    use signal_hook::iterator::exfiltrator::origin::WithOrigin;
    use signal_hook::low_level::siginfo::Cause;

    // Without the handler a signal ends this process and leaves the child running: bad manners, but no harm.
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

/// Elsewhere the console sends Ctrl-C to both processes.
#[cfg(not(unix))]
pub(crate) fn forward(_: impl Fn() -> Option<u32> + Send + 'static) {}

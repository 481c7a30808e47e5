//! What a process and all that it starts look at: files and directories, also those that are not there, and programs.
//!
//! [`spawn`] starts a command that is seen, and [`Observation::finish`] says what was [seen]. A filter in the kernel (seccomp)
//! stops it, and whatever it starts, at every call that asks for a path; a thread here reads the path from its memory and
//! lets it go on. So it does not matter how something was linked, or who has started it; and nobody can tell that he is
//! seen but by `/proc/self/status`.
//!
//! Who asks too often to be stopped each time (compilers) has a library loaded that notes what he asks for, and is
//! let through ([`spawn_with`]).
//!
//! **Not seen**: what is not asked of the kernel by a path (the clock, random numbers, the processor, the name of the
//! machine), and variables, which a process has from its start. What somebody else is asked for is not seen either, but
//! [said](Unknown). A thread that replaces a path in memory while it is read is not caught.
//!
//! **Invariants.** A process that is seen does what it does unseen: every call goes on as it was made. It is stopped
//! only as long as somebody answers: what lives longer than the command is left to a process of ours that does nothing
//! but that ([`resume_remaining`]). Where the kernel does not let us, the command runs unseen, and the observation says
//! why.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod elf;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod filter;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[expect(unsafe_code, reason = "memory that is shared with other processes")]
#[cfg_attr(not(test), expect(dead_code, reason = "half of it is for the library, which is compiled by itself"))]
mod journal;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod notes;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod preload;
mod seen;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod supervise;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod sys;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod unsupported;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub use self::preload::{provide_interposer, spawn_with};
pub use self::seen::{Access, Mark, Seen, Unknown, Use, Uses, Was};
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub use self::supervise::{Observation, resume_remaining, spawn};
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub use self::unsupported::{Observation, provide_interposer, resume_remaining, spawn, spawn_with};

/// Whether what is started here is seen: tried with a program that does nothing, when it is first asked.
pub fn is_possible() -> bool {
    static IS_POSSIBLE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *IS_POSSIBLE.get_or_init(|| {
        let Ok((mut child, observation)) = spawn(&mut std::process::Command::new("/bin/true")) else { return false };
        child.wait().is_ok() && observation.finish().is_ok()
    })
}

/// The argument by which this binary is [`resume_remaining`].
pub const RESUME_REMAINING: &str = "--go-on";

/// What came of observing.
pub type Result = std::result::Result<Seen, Unseen>;

/// Why a command was not seen, in words.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Unseen(pub String);

#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "observe_tests.rs"]
mod tests;

//! Observes which files, directories and programs a process and its child processes look at, including missing ones.
//!
//! [`spawn`] starts an observed command, and [`Observation::finish`] returns what was [seen]. At every call with a
//! path, a seccomp filter in the kernel stops the calling thread. A thread here reads the path from its memory and
//! resumes the call. So it does not matter how a program was linked or who started it, and a process can tell that it
//! is observed only from `/proc/self/status`.
//!
//! Compilers make too many calls to be stopped at each. They load a library that notes the paths, and whose calls the
//! filter lets through ([`spawn_with`]).
//!
//! **Not seen**: whatever needs no path (the clock, random numbers, the processor, the name of the machine), and
//! variables, which a process has from its start. Requests to other processes are not seen either, but
//! [reported](Unknown). A thread that replaces a path in memory while the observer reads it is not detected.
//!
//! **Invariants.** An observed process does what it does unobserved: every call is resumed unchanged. No process stays
//! stopped: those that outlive the command are left to a process of ours that only resumes them ([`resume_remaining`]).
//! If the kernel refuses the filter, the command runs unobserved, and the observation says why.

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

/// Whether commands can be observed here. The first call tries it with a program that does nothing.
pub fn is_possible() -> bool {
    static IS_POSSIBLE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *IS_POSSIBLE.get_or_init(|| {
        let Ok((mut child, observation)) = spawn(&mut std::process::Command::new("/bin/true")) else { return false };
        child.wait().is_ok() && observation.finish().is_ok()
    })
}

/// The argument that makes this binary call [`resume_remaining`].
pub const RESUME_REMAINING: &str = "--go-on";

/// The result of observing.
pub type Result = std::result::Result<Seen, Unseen>;

/// Why a command was not observed, in words.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Unseen(pub String);

#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "observe_tests.rs"]
mod tests;

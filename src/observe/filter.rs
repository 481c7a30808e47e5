//! The observed calls, and the filter in the kernel that stops a process at them.
//!
//! The filter (seccomp, cBPF) looks at the number and the arguments of a call. Calls without a path go on at once, at
//! almost no cost. All child processes inherit the filter, and none can remove it.
//!
//! **Invariant.** The filter stops every call that names a file, lists a directory, starts a program or connects to
//! another process, no matter how it is made, and every call of another architecture.

use libc::{c_long, sock_filter};

/// What a call does, and the indices of its arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    /// Opens a file.
    Open { at: Option<usize>, path: usize, flags: usize },
    /// Opens a file. `how` points to the flags in memory.
    OpenHow { at: usize, path: usize, how: usize },
    /// Creates a file.
    Create { path: usize },
    /// Asks what is at a path, or at the link itself if the flags say so.
    Look { at: Option<usize>, path: usize, flags: Option<usize> },
    /// Reads a link, or asks what is at the link itself.
    LookAtLink { at: Option<usize>, path: usize },
    /// Lists an open directory.
    List { directory: usize },
    /// Creates a directory, a link or a special file.
    Make { at: Option<usize>, path: usize },
    /// Removes or truncates what is at a path.
    Remove { at: Option<usize>, path: usize },
    /// Renames a file.
    Rename { from: (Option<usize>, usize), to: (Option<usize>, usize) },
    /// Starts a program.
    Start { at: Option<usize>, path: usize },
    /// Connects a socket.
    Connect { address: usize, length: usize },
    /// Does something that cannot be observed.
    Unobservable(super::Unknown),
}

macro_rules! calls {
    ($($(#[$attribute:meta])* $number:ident => $call:expr),* $(,)?) => {
        /// Every call at which the filter stops a process.
        const CALLS: &[(c_long, Call)] = &[$($(#[$attribute])* (libc::$number, $call)),*];
    };
}

use super::Unknown::{FileHandle, IoUring, Namespace};
use Call::{Connect, Create, List, Look, LookAtLink, Make, Open, OpenHow, Remove, Rename, Start, Unobservable};

calls! {
    SYS_openat => Open { at: Some(0), path: 1, flags: 2 },
    SYS_openat2 => OpenHow { at: 0, path: 1, how: 2 },
    SYS_newfstatat => Look { at: Some(0), path: 1, flags: Some(3) },
    SYS_statx => Look { at: Some(0), path: 1, flags: Some(2) },
    SYS_faccessat => Look { at: Some(0), path: 1, flags: None },
    SYS_faccessat2 => Look { at: Some(0), path: 1, flags: Some(3) },
    SYS_readlinkat => LookAtLink { at: Some(0), path: 1 },
    SYS_getdents64 => List { directory: 0 },
    SYS_chdir => Look { at: None, path: 0, flags: None },
    SYS_getxattr => Look { at: None, path: 0, flags: None },
    SYS_lgetxattr => LookAtLink { at: None, path: 0 },
    SYS_mkdirat => Make { at: Some(0), path: 1 },
    SYS_renameat => Rename { from: (Some(0), 1), to: (Some(2), 3) },
    SYS_renameat2 => Rename { from: (Some(0), 1), to: (Some(2), 3) },
    SYS_symlinkat => Make { at: Some(1), path: 2 },
    SYS_linkat => Make { at: Some(2), path: 3 },
    SYS_mknodat => Make { at: Some(0), path: 1 },
    SYS_unlinkat => Remove { at: Some(0), path: 1 },
    SYS_truncate => Remove { at: None, path: 0 },
    SYS_execve => Start { at: None, path: 0 },
    SYS_execveat => Start { at: Some(0), path: 1 },
    SYS_connect => Connect { address: 1, length: 2 },
    SYS_io_uring_setup => Unobservable(IoUring),
    SYS_open_by_handle_at => Unobservable(FileHandle),
    SYS_chroot => Unobservable(Namespace),
    SYS_pivot_root => Unobservable(Namespace),
    SYS_mount => Unobservable(Namespace),
    SYS_setns => Unobservable(Namespace),
    SYS_unshare => Unobservable(Namespace),
    #[cfg(target_arch = "x86_64")]
    SYS_open => Open { at: None, path: 0, flags: 1 },
    #[cfg(target_arch = "x86_64")]
    SYS_creat => Create { path: 0 },
    #[cfg(target_arch = "x86_64")]
    SYS_stat => Look { at: None, path: 0, flags: None },
    #[cfg(target_arch = "x86_64")]
    SYS_lstat => LookAtLink { at: None, path: 0 },
    #[cfg(target_arch = "x86_64")]
    SYS_access => Look { at: None, path: 0, flags: None },
    #[cfg(target_arch = "x86_64")]
    SYS_readlink => LookAtLink { at: None, path: 0 },
    #[cfg(target_arch = "x86_64")]
    SYS_getdents => List { directory: 0 },
    #[cfg(target_arch = "x86_64")]
    SYS_mkdir => Make { at: None, path: 0 },
    #[cfg(target_arch = "x86_64")]
    SYS_rename => Rename { from: (None, 0), to: (None, 1) },
    #[cfg(target_arch = "x86_64")]
    SYS_symlink => Make { at: None, path: 1 },
    #[cfg(target_arch = "x86_64")]
    SYS_link => Make { at: None, path: 1 },
    #[cfg(target_arch = "x86_64")]
    SYS_mknod => Make { at: None, path: 0 },
    #[cfg(target_arch = "x86_64")]
    SYS_unlink => Remove { at: None, path: 0 },
    #[cfg(target_arch = "x86_64")]
    SYS_rmdir => Remove { at: None, path: 0 },
}

/// The kernel's number of the architecture of the calls above (`linux/audit.h`).
pub(super) const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
/// The bit in the numbers of x32 calls.
const X32: u32 = 0x4000_0000;

/// Offsets in the kernel's description of a call (`struct seccomp_data`).
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const fn argument(index: usize) -> u32 {
    16 + 8 * index as u32
}

/// What the call with this number does; `None` if it is one of another architecture.
pub(super) fn call(architecture: u32, number: i32) -> Option<Call> {
    let is_ours = architecture == ARCHITECTURE && number as u32 & X32 == 0;
    CALLS.iter().find(|(of, _)| is_ours && *of == c_long::from(number)).map(|(_, call)| *call)
}

/// Calls that only read, and that the library may make after it has noted them. The kernel ignores their sixth
/// argument.
const NOTABLE: [c_long; 5] =
    [libc::SYS_openat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_faccessat, libc::SYS_readlinkat];

/// The filter's program. It lets [these calls](NOTABLE) through if their sixth argument is `pass`: their caller has
/// noted them.
pub(super) fn program(pass: Option<u64>) -> Vec<sock_filter> {
    let load = |at| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    let unless_equal = |value, skip| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, skip);
    let if_equal = |value, skip| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, skip, 0);
    let skip = |count| instruction(libc::BPF_JMP | libc::BPF_JA, count, 0, 0);
    let if_set = |bits, skip| instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, skip, 0);
    let allow = instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0);
    let stop = instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF, 0, 0);
    let mut program = vec![load(ARCHITECTURE_AT), if_equal(ARCHITECTURE, 1), stop, load(NUMBER)];
    if cfg!(target_arch = "x86_64") {
        program.extend([instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, X32, 0, 1), stop]);
    }
    if let Some(pass) = pass {
        let noted =
            NOTABLE.iter().enumerate().map(|(index, number)| if_equal(*number as u32, (NOTABLE.len() - index) as u8));
        let noted: Vec<_> = [load(NUMBER)].into_iter().chain(noted).chain([skip(1), allow]).collect();
        let skipped = noted.len() as u8;
        program.extend([load(argument(5)), unless_equal(pass as u32, skipped + 2)]);
        program.extend([load(argument(5) + 4), unless_equal((pass >> 32) as u32, skipped)]);
        program.extend(noted);
        program.push(load(NUMBER));
    }
    // The same call asks about a path or an open file. An open file was seen when it was opened.
    for (number, flags) in [(libc::SYS_newfstatat, 3), (libc::SYS_statx, 2)] {
        let is_file = [load(argument(0)), if_equal(libc::AT_FDCWD as u32, 2)];
        let ask_open_file = [load(argument(flags)), if_set(libc::AT_EMPTY_PATH as u32, 1), stop, allow];
        let ask_open_file: Vec<_> = is_file.into_iter().chain(ask_open_file).collect();
        program.push(unless_equal(number as u32, ask_open_file.len() as u8));
        program.extend(ask_open_file);
    }
    let rest: Vec<_> =
        CALLS.iter().filter(|(number, _)| ![libc::SYS_newfstatat, libc::SYS_statx].contains(number)).collect();
    for (index, (number, _)) in rest.iter().enumerate() {
        program.push(if_equal(*number as u32, (rest.len() - index) as u8));
    }
    program.extend([allow, stop]);
    program
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_each_call_once_and_jumps_stay_in_it() {
        let program = program(Some(0x1234_5678_9abc_def1));
        for (index, instruction) in program.iter().enumerate() {
            let is_jump = u32::from(instruction.code) & 7 == libc::BPF_JMP;
            let is_always = is_jump && u32::from(instruction.code) & 0xf0 == libc::BPF_JA;
            let skipped =
                if is_always { instruction.k as usize } else { usize::from(instruction.jt.max(instruction.jf)) };
            let farthest = index + 1 + skipped;
            assert!(!is_jump || farthest < program.len(), "{index}");
        }
        for (number, _) in CALLS {
            assert_eq!(CALLS.iter().filter(|(other, _)| other == number).count(), 1, "{number}");
            assert!(program.iter().any(|instruction| i64::from(instruction.k) == *number), "{number}");
        }
    }
}

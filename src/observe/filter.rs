//! The calls that are seen, and the filter in the kernel that stops a process at them.
//!
//! The filter is a program of the kernel's (seccomp, cBPF) that looks at a call's number and arguments: what asks nothing of
//! a path goes on at once, and costs next to nothing. It is inherited by whatever a process starts, and cannot be taken off.
//!
//! **Invariant.** A call that names a file, lists a directory, starts a program or asks somebody else is stopped at, in
//! whatever way it is made; so is every call of another architecture than ours.

use libc::{c_long, sock_filter};

/// What a call does, and where its arguments are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    /// Opens a file: the arguments with its directory (if there is one), its path and the flags.
    Open { at: Option<usize>, path: usize, flags: usize },
    /// The same, with the flags in the memory that this argument points to.
    OpenHow { at: usize, path: usize, how: usize },
    /// Creates a file.
    Create { path: usize },
    /// Asks what is at a path; of the link itself, if the flags say so.
    Look { at: Option<usize>, path: usize, flags: Option<usize> },
    /// Asks where a link leads, or what it is.
    LookAtLink { at: Option<usize>, path: usize },
    /// Lists an open directory.
    List { directory: usize },
    /// Makes something at a path: a directory, a link.
    Make { at: Option<usize>, path: usize },
    /// Takes away what is at a path, or cuts it off.
    Remove { at: Option<usize>, path: usize },
    /// Gives a file another name: the arguments with the directories and paths.
    Rename { from: (Option<usize>, usize), to: (Option<usize>, usize) },
    /// Starts a program.
    Start { at: Option<usize>, path: usize },
    /// Connects a socket.
    Connect { address: usize, length: usize },
    /// Does something of which nothing can be seen.
    Hide(super::Unknown),
}

macro_rules! calls {
    ($($(#[$attribute:meta])* $number:ident => $call:expr),* $(,)?) => {
        /// Every call that is stopped at.
        const CALLS: &[(c_long, Call)] = &[$($(#[$attribute])* (libc::$number, $call)),*];
    };
}

use super::Unknown::{FileHandle, IoUring, Namespace};
use Call::{Connect, Create, Hide, List, Look, LookAtLink, Make, Open, OpenHow, Remove, Rename, Start};

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
    SYS_io_uring_setup => Hide(IoUring),
    SYS_open_by_handle_at => Hide(FileHandle),
    SYS_chroot => Hide(Namespace),
    SYS_pivot_root => Hide(Namespace),
    SYS_mount => Hide(Namespace),
    SYS_setns => Hide(Namespace),
    SYS_unshare => Hide(Namespace),
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

/// The architecture of the calls above, as the kernel has it (`linux/audit.h`).
pub(super) const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
/// Calls of the 32-bit kind with 64-bit registers have this bit in their number.
const X32: u32 = 0x4000_0000;

/// Where the kernel has what of a call (`struct seccomp_data`).
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const fn argument(index: usize) -> u32 {
    16 + 8 * index as u32
}

/// What a call with this number does; nothing where the number is that of another architecture.
pub(super) fn call(architecture: u32, number: i32) -> Option<Call> {
    let is_ours = architecture == ARCHITECTURE && number as u32 & X32 == 0;
    CALLS.iter().find(|(of, _)| is_ours && *of == c_long::from(number)).map(|(_, call)| *call)
}

/// What only reads, and may say that it was noted already: its sixth argument is nothing to the kernel.
const NOTED: [c_long; 5] =
    [libc::SYS_openat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_faccessat, libc::SYS_readlinkat];

/// The program for the kernel. Calls that have `pass` as their sixth argument were noted by who makes them.
pub(super) fn program(pass: Option<u64>) -> Vec<sock_filter> {
    let load = |at| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    let unless_equal = |value, skip| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, skip);
    let if_equal = |value, skip| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, skip, 0);
    let skip = |count| instruction(libc::BPF_JMP | libc::BPF_JA, count, 0, 0);
    let if_set = |bits, skip| instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, skip, 0);
    let go_on = instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0);
    let stop = instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF, 0, 0);
    let mut program = vec![load(ARCHITECTURE_AT), if_equal(ARCHITECTURE, 1), stop, load(NUMBER)];
    if cfg!(target_arch = "x86_64") {
        program.extend([instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, X32, 0, 1), stop]);
    }
    if let Some(pass) = pass {
        let noted =
            NOTED.iter().enumerate().map(|(index, number)| if_equal(*number as u32, (NOTED.len() - index) as u8));
        let noted: Vec<_> = [load(NUMBER)].into_iter().chain(noted).chain([skip(1), go_on]).collect();
        let skipped = noted.len() as u8;
        program.extend([load(argument(5)), unless_equal(pass as u32, skipped + 2)]);
        program.extend([load(argument(5) + 4), unless_equal((pass >> 32) as u32, skipped)]);
        program.extend(noted);
        program.push(load(NUMBER));
    }
    // An open file is asked about by the same call as a path: it was seen when it was opened.
    for (number, flags) in [(libc::SYS_newfstatat, 3), (libc::SYS_statx, 2)] {
        let is_file = [load(argument(0)), if_equal(libc::AT_FDCWD as u32, 2)];
        let of_open_file = [load(argument(flags)), if_set(libc::AT_EMPTY_PATH as u32, 1), stop, go_on];
        let of_open_file: Vec<_> = is_file.into_iter().chain(of_open_file).collect();
        program.push(unless_equal(number as u32, of_open_file.len() as u8));
        program.extend(of_open_file);
    }
    let rest: Vec<_> =
        CALLS.iter().filter(|(number, _)| ![libc::SYS_newfstatat, libc::SYS_statx].contains(number)).collect();
    for (index, (number, _)) in rest.iter().enumerate() {
        program.push(if_equal(*number as u32, (rest.len() - index) as u8));
    }
    program.extend([go_on, stop]);
    program
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_stopped_at_once_and_jumps_stay_in_the_program() {
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

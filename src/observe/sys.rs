//! The few calls of the kernel that no library has: the one place of this crate that speaks to it directly.
//!
//! **Invariant.** What is called between a process's start and its program takes no lock and allocates nothing.

#![expect(unsafe_code, reason = "system calls that no library wraps")]

use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use libc::{c_int, c_ulong, c_void, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};

/// A path is no longer than this, its end included.
const PATH_MAX: usize = libc::PATH_MAX as usize;
const PAGE: usize = 4096;
/// Room for one descriptor, with its header.
const CONTROL: usize = 64;

/// What became of a filter.
pub(super) enum Installed {
    /// Where its calls are heard. The process has given up the right to become more than it is, if so said.
    Listener { fd: OwnedFd, is_confined: bool },
    /// The kernel does not let us: the number of its error.
    Refused(i32),
}

/// Has a command put a filter before its program, and send over `to` where it is listened to. It is started in any case.
pub(super) fn filter_before(command: &mut Command, program: Vec<sock_filter>, to: UnixStream) {
    // SAFETY: nothing is allocated, and no lock taken.
    unsafe {
        command.pre_exec(move || {
            send(&to, install(&program));
            Ok(())
        });
    }
}

/// The descriptor of the listener and whether the process is confined, or the number of an error.
fn install(program: &[sock_filter]) -> Result<(RawFd, bool), i32> {
    let listen = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let killable = listen | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let set = || match set_filter(program, killable) {
        // An older kernel.
        Err(libc::EINVAL) => set_filter(program, listen),
        other => other,
    };
    match set() {
        Ok(fd) => Ok((fd, false)),
        // Who may not become anybody else may confine itself.
        Err(libc::EACCES) => {
            // SAFETY: it takes plain numbers.
            if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
                return Err(errno());
            }
            set().map(|fd| (fd, true))
        }
        Err(error) => Err(error),
    }
}

fn set_filter(program: &[sock_filter], flags: c_ulong) -> Result<RawFd, i32> {
    let program = sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads as many instructions as there are.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if fd < 0 { Err(errno()) } else { Ok(fd as RawFd) }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// One byte or the number of an error, and with the byte the descriptor, which is closed here.
fn send(to: &UnixStream, installed: Result<(RawFd, bool), i32>) {
    let mut said: [i32; 2] = match installed {
        Ok((_, is_confined)) => [0, is_confined.into()],
        Err(error) => [error, 0],
    };
    // SAFETY: all that the kernel is pointed to lives until it has answered.
    unsafe {
        let mut part = libc::iovec { iov_base: said.as_mut_ptr().cast(), iov_len: size_of::<[i32; 2]>() };
        let mut control = [0_u64; CONTROL / 8];
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if let Ok((fd, _)) = installed {
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            ptr::write_unaligned(libc::CMSG_DATA(header).cast(), fd);
        }
        libc::sendmsg(to.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL);
        if let Ok((fd, _)) = installed {
            libc::close(fd);
        }
    }
}

/// What [`filter_before`] has sent; nothing where the process has ended before.
pub(super) fn receive(from: &UnixStream) -> io::Result<Installed> {
    let mut said = [0_i32; 2];
    // SAFETY: as in `send`. The descriptor is nobody else's.
    let (received, fd) = unsafe {
        let mut part = libc::iovec { iov_base: said.as_mut_ptr().cast(), iov_len: size_of::<[i32; 2]>() };
        let mut control = [0_u64; CONTROL / 8];
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL as _;
        let received = libc::recvmsg(from.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC);
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let has_fd = received > 0 && !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS;
        (received, has_fd.then(|| OwnedFd::from_raw_fd(ptr::read_unaligned(libc::CMSG_DATA(header).cast()))))
    };
    match (received, fd) {
        (..0, _) => Err(io::Error::last_os_error()),
        (0, _) => Err(io::ErrorKind::UnexpectedEof.into()),
        (_, Some(fd)) => Ok(Installed::Listener { fd, is_confined: said[1] != 0 }),
        (_, None) => Ok(Installed::Refused(said[0])),
    }
}

/// A call that a process waits with.
pub(super) struct Stopped {
    id: u64,
    /// The thread.
    pub(super) thread: u32,
    /// Of the call.
    pub(super) architecture: u32,
    pub(super) number: i32,
    pub(super) arguments: [u64; 6],
}

/// The next call; nothing where whoever made it is gone.
pub(super) fn next(listener: BorrowedFd<'_>) -> Option<Stopped> {
    // SAFETY: the kernel wants it empty, and fills it.
    let stopped = unsafe {
        let mut stopped: seccomp_notif = zeroed();
        let done = libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut stopped);
        (done == 0).then_some(stopped)?
    };
    let seccomp_notif { id, pid, data, .. } = stopped;
    Some(Stopped { id, thread: pid, architecture: data.arch, number: data.nr, arguments: data.args })
}

/// Lets a call go on.
pub(super) fn go_on(listener: BorrowedFd<'_>, stopped: &Stopped) {
    // SAFETY: the kernel reads it. Who is gone needs no answer.
    unsafe {
        let mut answer: seccomp_notif_resp = zeroed();
        answer.id = stopped.id;
        answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer);
    }
}

/// What there is to hear of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ready {
    /// A call waits.
    Call,
    /// Nobody is left who could make one.
    Over,
    /// The other end of the second descriptor was closed.
    Told,
}

/// Waits until there is something. Calls come first.
pub(super) fn wait(listener: BorrowedFd<'_>, told: BorrowedFd<'_>) -> Ready {
    let of = |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut both = [of(listener), of(told)];
    loop {
        // SAFETY: there are two.
        unsafe { libc::poll(both.as_mut_ptr(), 2, -1) };
        match both.map(|one| one.revents) {
            [calls, _] if calls & libc::POLLIN != 0 => return Ready::Call,
            [calls, _] if calls != 0 => return Ready::Over,
            [_, told] if told != 0 => return Ready::Told,
            _ => {}
        }
    }
}

/// A text in the memory of a thread, up to its end; nothing where it cannot be read.
pub(super) fn text(thread: u32, address: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < PATH_MAX {
        let address = address as usize + text.len();
        // Up to the end of the page: the next one may not be there.
        let part = bytes::<PAGE>(thread, address, PAGE - address % PAGE)?;
        match part.iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend(&part[..end]);
                return Some(text);
            }
            None => text.extend(part),
        }
    }
    None
}

/// At most `N` bytes in the memory of a thread.
pub(super) fn bytes<const N: usize>(thread: u32, address: usize, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length.min(N)];
    let here = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let there = libc::iovec { iov_base: ptr::without_provenance_mut::<c_void>(address), iov_len: bytes.len() };
    // SAFETY: the kernel writes no more than there is room for.
    let read = unsafe { libc::process_vm_readv(thread as c_int, &raw const here, 1, &raw const there, 1, 0) };
    bytes.truncate(usize::try_from(read).ok()?);
    (read > 0).then_some(bytes)
}

/// A descriptor as a file, to be a program's standard input.
pub(super) fn into_file(fd: OwnedFd) -> File {
    fd.into()
}

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

/// Of the kernel's `linux/seccomp.h` (6.6).
const SET_FLAGS: libc::Ioctl = 0x4008_2104_u32 as libc::Ioctl;
const SYNC_WAKE_UP: c_ulong = 1;

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

/// Makes the thread that makes a call and the thread that is notified of it take turns on one processor, where the
/// kernel knows how: there is nothing that they could do at once.
pub(super) fn take_turns(listener: BorrowedFd<'_>) {
    // SAFETY: it takes a number. An older kernel refuses it, and nothing differs.
    unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
}

/// Lets a call go on.
pub(super) fn resume(listener: BorrowedFd<'_>, stopped: &Stopped) {
    // SAFETY: the kernel reads it. Who is gone needs no answer.
    unsafe {
        let mut answer: seccomp_notif_resp = zeroed();
        answer.id = stopped.id;
        answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer);
    }
}

/// Answers the call of one who opens a file with one of ours. Where that cannot be done, there is none.
pub(super) fn answer_with_file(listener: BorrowedFd<'_>, stopped: &Stopped, file: BorrowedFd<'_>) {
    // SAFETY: the kernel reads both. The file is another one's now, and closed where it is not what we have opened.
    unsafe {
        let mut given: libc::seccomp_notif_addfd = zeroed();
        given.id = stopped.id;
        given.srcfd = file.as_raw_fd() as u32;
        given.newfd_flags = libc::O_CLOEXEC as u32;
        let there = libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw mut given);
        let mut answer: seccomp_notif_resp = zeroed();
        answer.id = stopped.id;
        match there {
            ..0 => answer.error = -libc::ENOENT,
            there => answer.val = there.into(),
        }
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer);
    }
}

/// Memory that is shared with whoever has the file.
pub(super) struct Shared {
    file: OwnedFd,
    base: *mut u8,
    size: usize,
}

// SAFETY: it is memory of the kernel's, and belongs to no thread.
unsafe impl Send for Shared {}

impl Shared {
    /// All zeros. It takes no room before it is written.
    pub(super) fn new(size: usize) -> io::Result<Self> {
        // SAFETY: the name ends, and what is mapped is as long as the file.
        unsafe {
            let file = libc::memfd_create(c"xcache".as_ptr(), libc::MFD_CLOEXEC);
            if file < 0 {
                return Err(io::Error::last_os_error());
            }
            let file = OwnedFd::from_raw_fd(file);
            if libc::ftruncate(file.as_raw_fd(), size as libc::off_t) != 0 {
                return Err(io::Error::last_os_error());
            }
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let base = libc::mmap(ptr::null_mut(), size, protection, libc::MAP_SHARED, file.as_raw_fd(), 0);
            if base == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { file, base: base.cast(), size })
        }
    }

    pub(super) fn base(&self) -> *mut u8 {
        self.base
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.file)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: nobody looks at it any more.
        unsafe { libc::munmap(self.base.cast(), self.size) };
    }
}

/// What there is to hear of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wakeup {
    /// A call waits.
    Call,
    /// Nobody is left who could make one.
    Over,
    /// The other end of the second descriptor was closed.
    Closed,
}

/// Waits until there is something. Calls come first.
pub(super) fn wait(listener: BorrowedFd<'_>, closed: BorrowedFd<'_>) -> Wakeup {
    let of = |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut both = [of(listener), of(closed)];
    loop {
        // SAFETY: there are two.
        unsafe { libc::poll(both.as_mut_ptr(), 2, -1) };
        match both.map(|one| one.revents) {
            [calls, _] if calls & libc::POLLIN != 0 => return Wakeup::Call,
            [calls, _] if calls != 0 => return Wakeup::Over,
            [_, closed] if closed != 0 => return Wakeup::Closed,
            _ => {}
        }
    }
}

/// A text in the memory of a thread, up to its end; nothing where it cannot be read.
pub(super) fn text(thread: u32, address: u64) -> Option<Vec<u8>> {
    // Most are this short, and only for the rest there is a page to be filled with zeros first.
    const AT_FIRST: usize = 256;
    let first = AT_FIRST.min(PAGE - address as usize % PAGE);
    let mut part = [0; AT_FIRST];
    let mut text = Vec::new();
    match upto_end(read(thread, address as usize, &mut part[..first])?, &mut text) {
        true => Some(text),
        false => rest_of_text(thread, address, text),
    }
}

/// Adds what stands before the end of a text; whether it ends there.
fn upto_end(part: &[u8], text: &mut Vec<u8>) -> bool {
    let end = memchr::memchr(0, part);
    text.extend(&part[..end.unwrap_or(part.len())]);
    end.is_some()
}

fn rest_of_text(thread: u32, address: u64, mut text: Vec<u8>) -> Option<Vec<u8>> {
    let mut part = [0; PAGE];
    while text.len() < PATH_MAX {
        let address = address as usize + text.len();
        // Up to the end of the page: the next one may not be there.
        let part = read(thread, address, &mut part[..PAGE - address % PAGE])?;
        if upto_end(part, &mut text) {
            return Some(text);
        }
    }
    None
}

/// At most `N` bytes in the memory of a thread.
pub(super) fn bytes<const N: usize>(thread: u32, address: usize, length: usize) -> Option<Vec<u8>> {
    let mut bytes = [0; N];
    read(thread, address, &mut bytes[..length.min(N)]).map(<[u8]>::to_vec)
}

fn read(thread: u32, address: usize, to: &mut [u8]) -> Option<&[u8]> {
    let here = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    let there = libc::iovec { iov_base: ptr::without_provenance_mut::<c_void>(address), iov_len: to.len() };
    // SAFETY: the kernel writes no more than there is room for.
    let read = unsafe { libc::process_vm_readv(thread as c_int, &raw const here, 1, &raw const there, 1, 0) };
    let read = usize::try_from(read).ok().filter(|read| *read > 0)?;
    to.get(..read)
}

/// A descriptor as a file, to be a program's standard input.
pub(super) fn into_file(fd: OwnedFd) -> File {
    fd.into()
}

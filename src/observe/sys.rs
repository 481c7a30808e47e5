//! The few system calls that no library wraps.
//!
//! **Invariant.** Code that runs between `fork` and `exec` takes no lock and allocates nothing.

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

/// The maximum length of a path, including its terminator.
const PATH_MAX: usize = libc::PATH_MAX as usize;
const PAGE: usize = 4096;
/// The size of a control message with one descriptor.
const CONTROL: usize = 64;

/// From the kernel's `linux/seccomp.h` (6.6).
const SET_FLAGS: libc::Ioctl = 0x4008_2104_u32 as libc::Ioctl;
const SYNC_WAKE_UP: c_ulong = 1;

/// The result of installing a filter.
pub(super) enum Installed {
    /// The listener for its calls. If `is_confined`, the process cannot gain privileges any more
    /// (`PR_SET_NO_NEW_PRIVS`).
    Listener { fd: OwnedFd, is_confined: bool },
    /// The kernel refused, with this error number.
    Refused(i32),
}

/// Makes the process of a command install the filter before `exec`, and send the listener over `to`. The command starts
/// in any case.
pub(super) fn install_filter(command: &mut Command, program: Vec<sock_filter>, to: UnixStream) {
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            send(&to, install(&program));
            Ok(())
        });
    }
}

/// Returns the listener's descriptor and whether the process is confined, or an error number.
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
        // Without privileges, only a process that can gain none may install a filter.
        Err(libc::EACCES) => {
            // SAFETY: the call takes only numbers.
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
    // SAFETY: `program` has the pointer and the length of a slice.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if fd < 0 { Err(errno()) } else { Ok(fd as RawFd) }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Sends an error number (0 for success) and whether the process is confined, and on success the descriptor, which is
/// closed here.
fn send(to: &UnixStream, installed: Result<(RawFd, bool), i32>) {
    let mut status: [i32; 2] = match installed {
        Ok((_, is_confined)) => [0, is_confined.into()],
        Err(error) => [error, 0],
    };
    // SAFETY: all memory that the kernel gets pointers to lives until the call returns.
    unsafe {
        let mut part = libc::iovec { iov_base: status.as_mut_ptr().cast(), iov_len: size_of::<[i32; 2]>() };
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

/// Receives what [`install_filter`] has sent. It is an error if the process has ended before.
pub(super) fn receive(from: &UnixStream) -> io::Result<Installed> {
    let mut status = [0_i32; 2];
    // SAFETY: as in `send`. The received descriptor has no other owner.
    let (received, fd) = unsafe {
        let mut part = libc::iovec { iov_base: status.as_mut_ptr().cast(), iov_len: size_of::<[i32; 2]>() };
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
        (_, Some(fd)) => Ok(Installed::Listener { fd, is_confined: status[1] != 0 }),
        (_, None) => Ok(Installed::Refused(status[0])),
    }
}

/// A call at which a process is stopped.
pub(super) struct Stopped {
    id: u64,
    /// The thread that makes the call.
    pub(super) thread: u32,
    /// The architecture of the call.
    pub(super) architecture: u32,
    pub(super) number: i32,
    pub(super) arguments: [u64; 6],
}

/// The next call; `None` if its thread is gone.
pub(super) fn next_call(listener: BorrowedFd<'_>) -> Option<Stopped> {
    // SAFETY: the kernel requires zeros, and fills the structure.
    let stopped = unsafe {
        let mut stopped: seccomp_notif = zeroed();
        let done = libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut stopped);
        (done == 0).then_some(stopped)?
    };
    let seccomp_notif { id, pid, data, .. } = stopped;
    Some(Stopped { id, thread: pid, architecture: data.arch, number: data.nr, arguments: data.args })
}

/// Makes the stopped thread and the notified thread take turns on one processor if the kernel supports it, since they
/// never work at the same time.
pub(super) fn take_turns(listener: BorrowedFd<'_>) {
    // SAFETY: the call takes a number. An older kernel refuses it without effect.
    unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
}

/// Resumes a call.
pub(super) fn resume(listener: BorrowedFd<'_>, stopped: &Stopped) {
    // SAFETY: the kernel reads the structure. The call fails without effect if the thread is gone.
    unsafe {
        let mut answer: seccomp_notif_resp = zeroed();
        answer.id = stopped.id;
        answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer);
    }
}

/// Answers a call that opens a file with a file of ours, or with `ENOENT` if that fails.
pub(super) fn answer_with_file(listener: BorrowedFd<'_>, stopped: &Stopped, file: BorrowedFd<'_>) {
    // SAFETY: the kernel reads both structures. The new descriptor belongs to the other process, which closes it.
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

/// Memory that is shared with every process that has the file.
pub(super) struct Shared {
    file: OwnedFd,
    base: *mut u8,
    size: usize,
}

// SAFETY: the mapping belongs to the process, and not to a thread.
unsafe impl Send for Shared {}

impl Shared {
    /// Maps memory that is zero. Unwritten pages take no space.
    pub(super) fn new(size: usize) -> io::Result<Self> {
        // SAFETY: the name is terminated, and the mapping is as long as the file.
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
        // SAFETY: the memory is not used any more.
        unsafe { libc::munmap(self.base.cast(), self.size) };
    }
}

/// Why [`wait`] returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wakeup {
    /// A call is waiting.
    Call,
    /// No process is left that could make a call.
    Over,
    /// The other end of the second descriptor was closed.
    Closed,
}

/// Waits for an event. Calls come first.
pub(super) fn wait(listener: BorrowedFd<'_>, closed: BorrowedFd<'_>) -> Wakeup {
    let of = |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut both = [of(listener), of(closed)];
    loop {
        // SAFETY: the array has two elements.
        unsafe { libc::poll(both.as_mut_ptr(), 2, -1) };
        match both.map(|one| one.revents) {
            [calls, _] if calls & libc::POLLIN != 0 => return Wakeup::Call,
            [calls, _] if calls != 0 => return Wakeup::Over,
            [_, closed] if closed != 0 => return Wakeup::Closed,
            _ => {}
        }
    }
}

/// A terminated text in the memory of a thread; `None` if it cannot be read.
pub(super) fn text(thread: u32, address: u64) -> Option<Vec<u8>> {
    // Most texts are short, so a whole page is zeroed only for the others.
    const AT_FIRST: usize = 256;
    let first = AT_FIRST.min(PAGE - address as usize % PAGE);
    let mut part = [0; AT_FIRST];
    let mut text = Vec::new();
    match append_until_end(read(thread, address as usize, &mut part[..first])?, &mut text) {
        true => Some(text),
        false => rest_of_text(thread, address, text),
    }
}

/// Appends a part up to the terminator, and returns whether it has one.
fn append_until_end(part: &[u8], text: &mut Vec<u8>) -> bool {
    let end = memchr::memchr(0, part);
    text.extend(&part[..end.unwrap_or(part.len())]);
    end.is_some()
}

fn rest_of_text(thread: u32, address: u64, mut text: Vec<u8>) -> Option<Vec<u8>> {
    let mut part = [0; PAGE];
    while text.len() < PATH_MAX {
        let address = address as usize + text.len();
        // Read only to the end of the page, since the next one may not be mapped.
        let part = read(thread, address, &mut part[..PAGE - address % PAGE])?;
        if append_until_end(part, &mut text) {
            return Some(text);
        }
    }
    None
}

/// Reads at most `N` bytes from the memory of a thread.
pub(super) fn bytes<const N: usize>(thread: u32, address: usize, length: usize) -> Option<Vec<u8>> {
    let mut bytes = [0; N];
    read(thread, address, &mut bytes[..length.min(N)]).map(<[u8]>::to_vec)
}

fn read(thread: u32, address: usize, to: &mut [u8]) -> Option<&[u8]> {
    let here = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    let there = libc::iovec { iov_base: ptr::without_provenance_mut::<c_void>(address), iov_len: to.len() };
    // SAFETY: the kernel writes at most `to.len()` bytes.
    let read = unsafe { libc::process_vm_readv(thread as c_int, &raw const here, 1, &raw const there, 1, 0) };
    let read = usize::try_from(read).ok().filter(|read| *read > 0)?;
    to.get(..read)
}

/// Converts a descriptor into a file that can become a program's standard input.
pub(super) fn into_file(fd: OwnedFd) -> File {
    fd.into()
}

//! A library that compilers and the programs that start them load. It notes which paths they look at.
//!
//! The observer stops a process at each call with a path, which costs two process switches. A C compiler makes hundreds
//! of thousands of such calls. This library takes over the most frequent ones: it notes their paths in a journal
//! that it shares with the observer, and passes a number with which the filter in the kernel lets them through. All
//! other calls are stopped as before, so this library makes observing faster but is not needed to see anything.
//!
//! **Invariants.** Each function does what that of the C library does, errors included. Only calls that read are let
//! through, and only after they were noted. The variable that loads this library is not visible in the environment, and
//! is passed on only to [compilers](COMPILERS) and [the programs that start them](STARTERS), since no others make so
//! many calls. The library allocates nothing except what the caller frees, takes no lock, and changes nothing without a
//! journal.
//!
//! Most of the remaining calls are the loader's: for each program, it searches the directories of `LD_LIBRARY_PATH`, of
//! which cargo adds four, and many below them. If the observer knows that they contain no library, each further start
//! of a [compiler](COMPILERS) whose search was observed once gets that variable with [one letter
//! changed](NOT_SEARCHED). The letter is changed back before the program begins.

#![no_std]

use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

#[path = "elf.rs"]
mod elf;
#[path = "journal.rs"]
mod journal;

use elf::{HEAD, StartedBy, started_by};
use journal::{ABSENT, DIRECTORY, FILE, Journal, LONGEST, NAME, Note, OTHER, PROGRAM, SEARCHED, SIZE, STARTED, digest};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: `abort` has no arguments and does not return.
    unsafe { abort() }
}

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
    fn abort() -> !;
    fn __errno_location() -> *mut c_int;
    fn malloc(size: usize) -> *mut c_void;
    fn getauxval(of: usize) -> usize;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The observer's numbers of uses (`Use`).
const LOOK: u8 = 1;
const LOOK_AT_LINK: u8 = 2;
const READ: u8 = 4;

const AT_FDCWD: c_int = -100;
const AT_SYMLINK_NOFOLLOW: c_int = 0x100;
const ACCESS_MODE: c_int = 3;
const O_CREAT: c_int = 0o100;
const O_TRUNC: c_int = 0o1000;
const O_PATH: c_int = 0o10_000_000;
#[cfg(target_arch = "x86_64")]
const O_NOFOLLOW: c_int = 0o400_000;
#[cfg(target_arch = "aarch64")]
const O_NOFOLLOW: c_int = 0o100_000;
#[cfg(target_arch = "x86_64")]
const O_TMPFILE: c_int = 0o20_200_000;
#[cfg(target_arch = "aarch64")]
const O_TMPFILE: c_int = 0o20_040_000;
const O_CLOEXEC: c_int = 0o2_000_000;
const O_RDWR: c_int = 2;

const ENOENT: c_int = 2;
const ENOMEM: c_int = 12;
const EINVAL: c_int = 22;
const ERANGE: c_int = 34;
const ENAMETOOLONG: c_int = 36;
const ELOOP: c_int = 40;
/// The kernel returns an error as its negated number, which is at most this.
const LAST_ERROR: isize = 4095;
/// The kernel's limit.
const MAX_LINKS: u32 = 40;

#[cfg(target_arch = "x86_64")]
mod number {
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const MMAP: usize = 9;
    pub(crate) const EXECVE: usize = 59;
    pub(crate) const GETCWD: usize = 79;
    pub(crate) const OPENAT: usize = 257;
    pub(crate) const NEWFSTATAT: usize = 262;
    pub(crate) const READLINKAT: usize = 267;
    pub(crate) const FACCESSAT: usize = 269;
    pub(crate) const STATX: usize = 332;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub(crate) const CLOSE: usize = 57;
    pub(crate) const MMAP: usize = 222;
    pub(crate) const EXECVE: usize = 221;
    pub(crate) const GETCWD: usize = 17;
    pub(crate) const OPENAT: usize = 56;
    pub(crate) const NEWFSTATAT: usize = 79;
    pub(crate) const READLINKAT: usize = 78;
    pub(crate) const FACCESSAT: usize = 48;
    pub(crate) const STATX: usize = 291;
}

/// Makes a system call with `pass` as its sixth argument. The register is cleared afterwards, since the next call may
/// have no sixth argument.
#[inline(always)]
unsafe fn call(number: usize, arguments: [usize; 5], pass: u64) -> isize {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the caller guarantees that the arguments are valid.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        core::arch::asm!(
            "mov r9, {pass}", "syscall", "xor r9d, r9d",
            pass = in(reg) pass, inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            out("r9") _, out("rcx") _, out("r11") _, options(nostack),
        );
        #[cfg(target_arch = "aarch64")]
        core::arch::asm!(
            "mov x5, {pass}", "svc 0", "mov x5, xzr",
            pass = in(reg) pass, in("x8") number, inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            out("x5") _, options(nostack),
        );
    }
    result
}

/// Converts the kernel's result into that of the C library.
unsafe fn c_result(result: isize) -> c_long {
    if (-LAST_ERROR..0).contains(&result) {
        // SAFETY: `errno` belongs to the thread.
        unsafe { *__errno_location() = -result as c_int };
        return -1;
    }
    result as c_long
}

unsafe fn fail(error: c_int) -> *mut c_char {
    // SAFETY: as above.
    unsafe { *__errno_location() = error };
    ptr::null_mut()
}

/// The memory of the journal, or null.
static JOURNAL: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
/// The digest of this program's path.
static OWN: AtomicU64 = AtomicU64::new(0);
/// The text of the variable that loads this library.
static VARIABLE: [AtomicU64; 128] = [const { AtomicU64::new(0) }; 128];
static HAS_VARIABLE: AtomicBool = AtomicBool::new(false);
const PRELOAD: &[u8] = b"LD_PRELOAD=";
/// The name that replaces [`SEARCHED`], which the loader does not know.
const NOT_SEARCHED: &[u8] = b"LD_LIBRARY_PATh=";
/// The index of the letter that differs.
const CHANGED_LETTER: usize = 14;

fn journal() -> Option<Journal> {
    let base = JOURNAL.load(Ordering::Acquire);
    // SAFETY: the memory is never unmapped.
    (!base.is_null()).then(|| unsafe { Journal::at(base) }).filter(|journal| !journal.is_full())
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: unsafe extern "C" fn() = begin;

/// Runs before the program itself.
unsafe extern "C" fn begin() {
    // SAFETY: there is no other thread yet, and all memory that the kernel gets pointers to lives until the call
    // returns.
    unsafe {
        let has_skipped_search = restore_search_variable();
        hide_preload();
        let open = [AT_FDCWD as usize, NAME.as_ptr() as usize, (O_RDWR | O_CLOEXEC) as usize, 0, 0];
        let file = call(number::OPENAT, open, 0);
        if file < 0 {
            return;
        }
        let base = map(file as usize);
        call(number::CLOSE, [file as usize, 0, 0, 0, 0], 0);
        let Some(base) = base else { return };
        let journal = Journal::at(base);
        let mut path = MaybeUninit::<[u8; LONGEST]>::uninit();
        let read = [AT_FDCWD as usize, c"/proc/self/exe".as_ptr() as usize, path.as_mut_ptr() as usize, LONGEST, 0];
        let length = call(number::READLINKAT, read, journal.pass());
        // Without statx, the state of a path cannot be noted.
        if !(1..LONGEST as isize).contains(&length) || state(c"/".as_ptr(), journal.pass()).is_none() {
            return;
        }
        let path = slice::from_raw_parts(path.as_ptr().cast::<u8>(), length as usize);
        let own = digest(path, PROGRAM, 0);
        if !journal.has(own) {
            journal.add(own, &Note { used: PROGRAM, was: OTHER, program: own, mark: [0; 5], path });
        }
        // A script with the name of a compiler does not count: what it loads may differ from one start to the next.
        let has_searched = || variable(SEARCHED).is_some_and(|value| journal.is_skippable(value));
        let is_compiler = !has_skipped_search && is_among(COMPILERS, path) && has_searched();
        if let Some(path) = called_by().filter(|_| is_compiler) {
            journal.insert(digest(path, STARTED, 0));
        }
        OWN.store(own, Ordering::Relaxed);
        JOURNAL.store(base, Ordering::Release);
    }
}

unsafe fn map(file: usize) -> Option<*mut u8> {
    const READ_AND_WRITE: usize = 3;
    const SHARED: u64 = 1;
    // SAFETY: the memory is new. The sixth argument is the offset in the file: the filter ignores it for this call.
    let base = unsafe { call(number::MMAP, [0, SIZE, READ_AND_WRITE, SHARED as usize, file], 0) };
    (!(-LAST_ERROR..0).contains(&base)).then_some(base as *mut u8)
}

/// The path by which this program was started, if it is absolute.
unsafe fn called_by() -> Option<&'static [u8]> {
    const AT_EXECFN: usize = 31;
    // SAFETY: the kernel has put the text after the environment.
    unsafe {
        let path = getauxval(AT_EXECFN) as *const c_char;
        (!path.is_null()).then(|| CStr::from_ptr(path).to_bytes()).filter(|path| path.first() == Some(&b'/'))
    }
}

/// Gives the variable that was hidden from the loader its name back, and returns whether there was one.
unsafe fn restore_search_variable() -> bool {
    let mut is_found = false;
    // SAFETY: the environment ends with a null, there is no other thread yet, and the text belongs to this process.
    unsafe {
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            if CStr::from_ptr(*at).to_bytes().starts_with(NOT_SEARCHED) {
                *(*at).add(CHANGED_LETTER) = SEARCHED[CHANGED_LETTER] as c_char;
                is_found = true;
            }
            at = at.add(1);
        }
    }
    is_found
}

/// Moves the variable that loads this library out of the environment, unless it loads other libraries as well.
unsafe fn hide_preload() {
    // SAFETY: the environment ends with a null, and there is no other thread yet.
    unsafe {
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            let entry = CStr::from_ptr(*at).to_bytes();
            if entry.starts_with(PRELOAD) && entry.len() < size_of_val(&VARIABLE) && !has_separator(entry) {
                ptr::copy_nonoverlapping(entry.as_ptr(), VARIABLE.as_ptr().cast_mut().cast::<u8>(), entry.len());
                HAS_VARIABLE.store(true, Ordering::Release);
                close_gap(*at, entry.len() + 1);
                while !(*at).is_null() {
                    *at = *at.add(1);
                    at = at.add(1);
                }
                return;
            }
            at = at.add(1);
        }
    }
}

/// Moves the texts of the following variables over a removed one, so that `/proc/self/environ` has no gap.
unsafe fn close_gap(removed: *mut c_char, length: usize) {
    // SAFETY: the kernel has put the texts one after the other. Texts that are elsewhere by now stay there.
    unsafe {
        let end = |text: *mut c_char| text.add(CStr::from_ptr(text).to_bytes().len() + 1);
        let mut last = removed.add(length);
        let mut at = environ;
        // Only texts that follow in the order of the environment are moved.
        while !(*at).is_null() {
            if *at == last {
                last = end(*at);
            }
            at = at.add(1);
        }
        let following = removed.add(length);
        let moved = last.offset_from(following) as usize;
        ptr::copy(following, removed, moved);
        ptr::write_bytes(removed.add(moved), 0, length);
        at = environ;
        while !(*at).is_null() {
            if *at >= following && *at < last {
                *at = (*at).sub(length);
            }
            at = at.add(1);
        }
    }
}

fn has_separator(entry: &[u8]) -> bool {
    entry.iter().any(|byte| *byte == b':' || *byte == b' ')
}

/// What is at a path, and the mark of a file; `None` if the call is not possible.
unsafe fn state(path: *const c_char, pass: u64) -> Option<(u8, [u64; 5])> {
    const BASIC: usize = 0x7ff;
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: u32,
        _reserved: i32,
    }
    #[repr(C)]
    struct Statx {
        _mask: u32,
        _block: u32,
        _attributes: u64,
        _links: u32,
        _user: u32,
        _group: u32,
        mode: u16,
        _spare: u16,
        inode: u64,
        size: u64,
        _blocks: u64,
        _attributes_mask: u64,
        times: [Time; 4],
        _device: [u32; 2],
        on: [u32; 2],
        _rest: [u64; 14],
    }
    const NOT_THERE: core::ops::RangeInclusive<isize> = -LAST_ERROR..=-1;
    const ENOSYS: isize = -38;
    const EPERM: isize = -1;
    let mut found = MaybeUninit::<Statx>::uninit();
    let arguments = [AT_FDCWD as usize, path as usize, 0, BASIC, found.as_mut_ptr() as usize];
    // SAFETY: the kernel fills the structure, or returns an error.
    let found = unsafe {
        match call(number::STATX, arguments, pass) {
            ENOSYS | EPERM => return None,
            error if NOT_THERE.contains(&error) => return Some((ABSENT, [0; 5])),
            _ => found.assume_init(),
        }
    };
    let [major, minor] = found.on.map(u64::from);
    let device = (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff;
    let time = |time: &Time| time.seconds.wrapping_mul(1_000_000_000).wrapping_add(i64::from(time.nanoseconds)) as u64;
    // Accessed, born, changed, modified.
    let [_, _, changed, modified] = &found.times;
    Some(match found.mode & 0o170_000 {
        0o100_000 => (FILE, [device, found.inode, found.size, time(modified), time(changed)]),
        0o040_000 => (DIRECTORY, [0; 5]),
        _ => (OTHER, [0; 5]),
    })
}

/// A buffer for a path and its terminator.
type Room = MaybeUninit<[u8; LONGEST]>;

/// An absolute path with its terminator; `None` if it is relative to another directory than the working directory, or
/// is in `/proc`.
unsafe fn absolute(at: c_int, path: *const c_char, room: &mut Room) -> Option<&CStr> {
    if path.is_null() {
        return None;
    }
    // SAFETY: the caller's path is terminated, and the lengths are checked against the buffer.
    unsafe {
        let text = CStr::from_ptr(path);
        match text.to_bytes() {
            [b'/', b'p', b'r', b'o', b'c', ..] | [] => None,
            bytes if bytes.len() >= LONGEST => None,
            [b'/', ..] => Some(&*ptr::from_ref(text)),
            _ if at != AT_FDCWD => None,
            bytes => {
                let begin = room.as_mut_ptr().cast::<u8>();
                let length = call(number::GETCWD, [begin as usize, LONGEST, 0, 0, 0], 0);
                // The path of an unreachable directory does not begin with a slash.
                let length = usize::try_from(length).ok().filter(|length| *length > 1 && *begin == b'/')?;
                if length + bytes.len() + 1 > LONGEST {
                    return None;
                }
                *begin.add(length - 1) = b'/';
                ptr::copy_nonoverlapping(bytes.as_ptr(), begin.add(length), bytes.len());
                *begin.add(length + bytes.len()) = 0;
                Some(CStr::from_ptr(begin.cast()))
            }
        }
    }
}

/// Notes an access, and returns the number that lets the call through, or zero if it could not be noted.
unsafe fn pass(at: c_int, path: *const c_char, used: u8) -> u64 {
    let Some(journal) = journal() else { return 0 };
    let own = OWN.load(Ordering::Relaxed);
    // Most paths are absolute, and do not use the buffer.
    // SAFETY: the path is the caller's. What `absolute` returns lives as long as the buffer and the path.
    unsafe {
        let mut room = Room::uninit();
        let Some(path) = absolute(at, path, &mut room) else { return 0 };
        let digest = digest(path.to_bytes(), used, own);
        if !journal.has(digest) {
            let Some((was, mark)) = state(path.as_ptr(), journal.pass()) else { return 0 };
            journal.add(digest, &Note { used, was, program: own, mark, path: path.to_bytes() });
        }
    }
    journal.pass()
}

unsafe fn open_at(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let makes = flags & (ACCESS_MODE | O_CREAT | O_TRUNC) != 0 || flags & O_TMPFILE == O_TMPFILE;
    let is_plain = !makes && flags & (O_PATH | O_NOFOLLOW) == 0;
    // SAFETY: the caller's path.
    unsafe {
        let pass = if is_plain { pass(at, path, READ) } else { 0 };
        c_result(call(number::OPENAT, [at as usize, path as usize, flags as usize, mode as usize, 0], pass)) as c_int
    }
}

unsafe fn stat_at(at: c_int, path: *const c_char, to: *mut c_void, flags: c_int) -> c_int {
    let used = if flags & AT_SYMLINK_NOFOLLOW != 0 { LOOK_AT_LINK } else { LOOK };
    // SAFETY: the path and the memory are the caller's. The kernel's structure is that of the C library.
    unsafe {
        let pass = pass(at, path, used);
        c_result(call(number::NEWFSTATAT, [at as usize, path as usize, to as usize, flags as usize, 0], pass)) as c_int
    }
}

unsafe fn read_link(at: c_int, path: *const c_char, to: *mut c_char, size: usize) -> isize {
    // SAFETY: the caller's path and memory.
    unsafe {
        let pass = pass(at, path, LOOK_AT_LINK);
        call(number::READLINKAT, [at as usize, path as usize, to as usize, size, 0], pass)
    }
}

macro_rules! taken_over {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $of:ty),*) -> $result:ty $body:block)*) => {
        $(
            $(#[$attribute])*
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $of),*) -> $result {
                // SAFETY: the caller keeps the contract of the C library's function.
                unsafe { $body }
            }
        )*
    };
}

taken_over! {
    fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int { open_at(AT_FDCWD, path, flags, mode) }
    fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int { open_at(AT_FDCWD, path, flags, mode) }
    fn openat(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int { open_at(at, path, flags, mode) }
    fn openat64(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int { open_at(at, path, flags, mode) }
    fn stat(path: *const c_char, to: *mut c_void) -> c_int { stat_at(AT_FDCWD, path, to, 0) }
    fn stat64(path: *const c_char, to: *mut c_void) -> c_int { stat_at(AT_FDCWD, path, to, 0) }
    fn lstat(path: *const c_char, to: *mut c_void) -> c_int { stat_at(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW) }
    fn lstat64(path: *const c_char, to: *mut c_void) -> c_int { stat_at(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW) }
    /// Called by programs for a C library before 2.33. The version is that of the structure, and there is only one.
    fn __xstat(_version: c_int, path: *const c_char, to: *mut c_void) -> c_int { stat_at(AT_FDCWD, path, to, 0) }
    fn __xstat64(_version: c_int, path: *const c_char, to: *mut c_void) -> c_int { stat_at(AT_FDCWD, path, to, 0) }
    fn __lxstat(_version: c_int, path: *const c_char, to: *mut c_void) -> c_int {
        stat_at(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW)
    }
    fn __lxstat64(_version: c_int, path: *const c_char, to: *mut c_void) -> c_int {
        stat_at(AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW)
    }
    fn statx(at: c_int, path: *const c_char, flags: c_int, mask: c_uint, to: *mut c_void) -> c_int {
        let used = if flags & AT_SYMLINK_NOFOLLOW != 0 { LOOK_AT_LINK } else { LOOK };
        let pass = pass(at, path, used);
        let arguments = [at as usize, path as usize, flags as usize, mask as usize, to as usize];
        c_result(call(number::STATX, arguments, pass)) as c_int
    }
    fn access(path: *const c_char, mode: c_int) -> c_int {
        let pass = pass(AT_FDCWD, path, LOOK);
        c_result(call(number::FACCESSAT, [AT_FDCWD as usize, path as usize, mode as usize, 0, 0], pass)) as c_int
    }
    fn readlink(path: *const c_char, to: *mut c_char, size: usize) -> isize {
        c_result(read_link(AT_FDCWD, path, to, size)) as isize
    }
    fn readlinkat(at: c_int, path: *const c_char, to: *mut c_char, size: usize) -> isize {
        c_result(read_link(at, path, to, size)) as isize
    }
    fn realpath(path: *const c_char, to: *mut c_char) -> *mut c_char { resolve(path, to) }
    fn canonicalize_file_name(path: *const c_char) -> *mut c_char { resolve(path, ptr::null_mut()) }

    fn execve(path: *const c_char, arguments: Words, variables: Words) -> c_int {
        let mut room = Variables::new();
        let variables = variables_for(path, variables, &mut room);
        c_result(call(number::EXECVE, [path as usize, arguments as usize, variables as usize, 0, 0], 0)) as c_int
    }
    fn execv(path: *const c_char, arguments: Words) -> c_int { execve(path, arguments, environ.cast()) }
    fn execvp(program: *const c_char, arguments: Words) -> c_int { execvpe(program, arguments, environ.cast()) }
    fn execvpe(program: *const c_char, arguments: Words, variables: Words) -> c_int {
        type Next = unsafe extern "C" fn(*const c_char, Words, Words) -> c_int;
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut room = Variables::new();
        let variables = variables_for(program, variables, &mut room);
        transmute::<usize, Next>(next(&NEXT, c"execvpe"))(program, arguments, variables)
    }
    fn posix_spawn(
        process: *mut c_int, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        arguments: Words, variables: Words
    ) -> c_int {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut room = Variables::new();
        let variables = variables_for(path, variables, &mut room);
        let next = transmute::<usize, Spawn>(next(&NEXT, c"posix_spawn"));
        next(process, path, actions, attributes, arguments, variables)
    }
    fn posix_spawnp(
        process: *mut c_int, program: *const c_char, actions: *const c_void, attributes: *const c_void,
        arguments: Words, variables: Words
    ) -> c_int {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let mut room = Variables::new();
        let variables = variables_for(program, variables, &mut room);
        let next = transmute::<usize, Spawn>(next(&NEXT, c"posix_spawnp"));
        next(process, program, actions, attributes, arguments, variables)
    }
}

/// Arguments or variables: pointers to texts, followed by a null.
type Words = *const *const c_char;
type Spawn = unsafe extern "C" fn(*mut c_int, *const c_char, *const c_void, *const c_void, Words, Words) -> c_int;

/// The function of this name that would be called without this library.
unsafe fn next(known: &AtomicUsize, name: &CStr) -> usize {
    const NEXT: *mut c_void = ptr::without_provenance_mut(usize::MAX);
    let found = known.load(Ordering::Relaxed);
    if found != 0 {
        return found;
    }
    // SAFETY: `dlsym` exists, since this library names the loader's library as a dependency.
    let found = unsafe { dlsym(NEXT, name.as_ptr()) } as usize;
    known.store(found, Ordering::Relaxed);
    found
}

/// The maximum number of variables to which ours is added.
const MAX_VARIABLES: usize = 1000;

/// A buffer for variables.
struct Variables {
    words: MaybeUninit<[*const c_char; MAX_VARIABLES + 2]>,
    not_searched: Room,
}

impl Variables {
    fn new() -> Self {
        Self { words: MaybeUninit::uninit(), not_searched: Room::uninit() }
    }
}

/// The variables for a program, with the one that loads this library if the program is a [tool](is_tool).
unsafe fn variables_for(program: *const c_char, variables: Words, room: &mut Variables) -> Words {
    let Some(journal) = journal() else { return variables };
    if !HAS_VARIABLE.load(Ordering::Acquire) || program.is_null() || variables.is_null() {
        return variables;
    }
    // SAFETY: the caller's variables end with a null, and the number is checked against the buffer.
    unsafe {
        let program = CStr::from_ptr(program);
        if !is_tool(program) {
            return variables;
        }
        let to = room.words.as_mut_ptr().cast::<*const c_char>();
        for index in 0..MAX_VARIABLES {
            let variable = *variables.add(index);
            if variable.is_null() {
                // Ours is the last one, so removing it leaves no gap.
                *to.add(index) = VARIABLE.as_ptr().cast();
                *to.add(index + 1) = ptr::null();
                return to;
            }
            let text = CStr::from_ptr(variable).to_bytes_with_nul();
            if text.starts_with(PRELOAD) {
                return variables;
            }
            let can_skip_search = text.strip_prefix(SEARCHED).is_some_and(|value| {
                text.len() <= LONGEST
                    && journal.is_skippable(&value[..value.len() - 1])
                    && has_searched(program, journal)
            });
            *to.add(index) = variable;
            if can_skip_search {
                let changed = room.not_searched.as_mut_ptr().cast::<u8>();
                ptr::copy_nonoverlapping(text.as_ptr(), changed, text.len());
                *changed.add(CHANGED_LETTER) = NOT_SEARCHED[CHANGED_LETTER];
                *to.add(index) = changed.cast();
            }
        }
    }
    variables
}

/// The names of C compilers and their parts, which load the same libraries each time. A platform may precede the name.
const COMPILERS: &[&[u8]] = &[
    b"ar",
    b"as",
    b"c++",
    b"cc",
    b"cc1",
    b"cc1plus",
    b"clang",
    b"clang++",
    b"collect2",
    b"cpp",
    b"g++",
    b"gcc",
    b"ld",
    b"ld.bfd",
    b"ld.gold",
    b"ld.lld",
    b"lto-wrapper",
    b"lto1",
    b"ranlib",
];
/// Programs that start compilers, and rustc, which looks for links on the way to each crate.
const STARTERS: &[&[u8]] =
    &[b"bash", b"clippy-driver", b"cmake", b"dash", b"gmake", b"make", b"ninja", b"perl", b"rustc", b"sh"];

/// Whether a program is a compiler whose search for libraries was observed at an earlier start.
unsafe fn has_searched(program: &CStr, journal: Journal) -> bool {
    let name = program.to_bytes();
    let was_started = |path: &[u8]| journal.has(digest(path, STARTED, 0));
    if !is_among(COMPILERS, name) {
        return false;
    }
    if name.contains(&b'/') {
        return was_started(name);
    }
    // SAFETY: the environment ends with a null, and the path in the buffer is terminated.
    unsafe {
        const EXECUTE: usize = 1;
        let Some(directories) = variable(b"PATH=") else { return false };
        let mut found = Path { room: Room::uninit(), length: 0 };
        for directory in directories.split(|byte| *byte == b':') {
            found.length = 0;
            let is_whole = [directory, b"/", name].into_iter().all(|part| found.push(part).is_ok());
            if directory.first() != Some(&b'/') || !is_whole {
                return false;
            }
            let ask = [AT_FDCWD as usize, found.text().as_ptr() as usize, EXECUTE, 0, 0];
            // This search need not be noted: starting the program shows where it is.
            if call(number::FACCESSAT, ask, journal.pass()) == 0 {
                return was_started(found.text().to_bytes());
            }
        }
    }
    false
}

/// The value of the variable whose text begins with `name`, which ends with `=`.
unsafe fn variable(name: &[u8]) -> Option<&'static [u8]> {
    // SAFETY: the environment ends with a null.
    unsafe {
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            if let Some(value) = CStr::from_ptr(*at).to_bytes().strip_prefix(name) {
                return Some(value);
            }
            at = at.add(1);
        }
    }
    None
}

/// Whether a program is a compiler or starts one, and would load this library.
unsafe fn is_tool(program: &CStr) -> bool {
    let path = program.to_bytes();
    let is_name = is_among(COMPILERS, path) || is_among(STARTERS, path);
    // SAFETY: the path is terminated.
    is_name && (!path.contains(&b'/') || unsafe { loads_library(program) })
}

/// Whether a program has one of these names, possibly with a version after it or a platform before it.
fn is_among(names: &[&[u8]], path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let versionless = name.iter().rposition(|byte| !byte.is_ascii_digit() && *byte != b'.' && *byte != b'-');
    let short = versionless.map_or(name, |last| name.get(..=last).unwrap_or(name));
    let without_platform = short.rsplit(|byte| *byte == b'-').next().unwrap_or(short);
    [name, short, without_platform].into_iter().any(|name| names.contains(&name))
}

/// Whether the loader starts a file, or the interpreter of a script. Any other program would see the variable in its
/// environment.
unsafe fn loads_library(path: &CStr) -> bool {
    let mut head = [0; HEAD];
    // SAFETY: the path is terminated.
    match started_by(unsafe { head_of(path, &mut head) }) {
        StartedBy::Loader => true,
        StartedBy::Unknown => false,
        StartedBy::Program(interpreter) => {
            let mut found = Path { room: Room::uninit(), length: 0 };
            // SAFETY: the path in the buffer is terminated.
            found.push(interpreter).is_ok()
                && unsafe { started_by(head_of(found.text(), &mut [0; HEAD])) == StartedBy::Loader }
        }
    }
}

/// The first bytes of a file; empty if it cannot be read.
unsafe fn head_of<'a>(path: &CStr, head: &'a mut [u8; HEAD]) -> &'a [u8] {
    const READ: usize = if cfg!(target_arch = "x86_64") { 0 } else { 63 };
    // SAFETY: the kernel writes at most `HEAD` bytes.
    let length = unsafe {
        let pass = journal().map_or(0, Journal::pass);
        let open = [AT_FDCWD as usize, path.as_ptr() as usize, O_CLOEXEC as usize, 0, 0];
        let file = call(number::OPENAT, open, pass);
        if file < 0 {
            return &[];
        }
        let length = call(READ, [file as usize, head.as_mut_ptr() as usize, HEAD, 0, 0], 0);
        call(number::CLOSE, [file as usize, 0, 0, 0, 0], 0);
        length
    };
    head.get(..usize::try_from(length).unwrap_or(0)).unwrap_or(&[])
}

/// Resolves links and dots, like the C library's `realpath`.
unsafe fn resolve(path: *const c_char, to: *mut c_char) -> *mut c_char {
    // SAFETY: the path is the caller's, and its memory, if there is any, has room for the longest path.
    unsafe {
        if path.is_null() {
            return fail(EINVAL);
        }
        let mut found = Path { room: Room::uninit(), length: 0 };
        let resolved = found.resolve(CStr::from_ptr(path).to_bytes());
        if !to.is_null() && (resolved.is_ok() || matches!(resolved, Err(ENOENT | 13))) {
            ptr::copy_nonoverlapping(found.text().as_ptr(), to, found.length + 1);
        }
        match resolved {
            // The C library's function has more room.
            Err(ENAMETOOLONG) => {
                type Next = unsafe extern "C" fn(*const c_char, *mut c_char) -> *mut c_char;
                static NEXT: AtomicUsize = AtomicUsize::new(0);
                transmute::<usize, Next>(next(&NEXT, c"realpath"))(path, to)
            }
            Err(error) => fail(error),
            Ok(()) if !to.is_null() => to,
            Ok(()) => {
                let copy = malloc(found.length + 1).cast::<c_char>();
                if copy.is_null() {
                    return fail(ENOMEM);
                }
                ptr::copy_nonoverlapping(found.text().as_ptr(), copy, found.length + 1);
                copy
            }
        }
    }
}

/// A buffer in which a path is built.
struct Path {
    room: Room,
    length: usize,
}

impl Path {
    /// The path with its terminator.
    unsafe fn text(&mut self) -> &CStr {
        // SAFETY: there is always room for the terminator.
        unsafe {
            let begin = self.room.as_mut_ptr().cast::<u8>();
            *begin.add(self.length) = 0;
            CStr::from_bytes_with_nul_unchecked(slice::from_raw_parts(begin, self.length + 1))
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), c_int> {
        if self.length + bytes.len() + 1 > LONGEST {
            return Err(ENAMETOOLONG);
        }
        // SAFETY: the length is checked above.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.room.as_mut_ptr().cast::<u8>().add(self.length), bytes.len());
        }
        self.length += bytes.len();
        Ok(())
    }

    /// Removes the last component.
    fn up(&mut self) {
        // SAFETY: the first `length` bytes are initialized.
        let bytes = unsafe { slice::from_raw_parts(self.room.as_ptr().cast::<u8>(), self.length) };
        let above = bytes.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.length = above.max(1);
    }

    unsafe fn begin(&mut self, path: &[u8]) -> Result<(), c_int> {
        self.length = 0;
        if path.first() == Some(&b'/') {
            return self.push(b"/");
        }
        // SAFETY: the kernel writes at most `LONGEST` bytes.
        let length = unsafe { call(number::GETCWD, [self.room.as_mut_ptr() as usize, LONGEST, 0, 0, 0], 0) };
        match usize::try_from(length) {
            Ok(length) => self.length = length - 1,
            Err(_) if -length as c_int == ERANGE => return Err(ENAMETOOLONG),
            Err(_) => return Err(-length as c_int),
        }
        Ok(())
    }

    unsafe fn resolve(&mut self, path: &[u8]) -> Result<(), c_int> {
        if path.is_empty() {
            return Err(ENOENT);
        }
        // The part that is not resolved yet is at the end of this buffer: of the path, or of a link and what follows
        // it.
        let mut rest = Room::uninit();
        let rest_begin = rest.as_mut_ptr().cast::<u8>();
        if path.len() >= LONGEST {
            return Err(ENAMETOOLONG);
        }
        let mut links = 0;
        // SAFETY: the lengths of all copies are checked against the buffers.
        unsafe {
            let mut at = LONGEST - path.len();
            ptr::copy_nonoverlapping(path.as_ptr(), rest_begin.add(at), path.len());
            self.begin(path)?;
            loop {
                let left = slice::from_raw_parts(rest_begin.add(at), LONGEST - at);
                let Some(skip) = left.iter().position(|byte| *byte != b'/') else { return Ok(()) };
                let left = &left[skip..];
                let end = left.iter().position(|byte| *byte == b'/').unwrap_or(left.len());
                let (part, remaining) = left.split_at(end);
                at += skip + end;
                match part {
                    b"." => continue,
                    b".." => {
                        self.up();
                        continue;
                    }
                    _ => {}
                }
                let before = self.length;
                if before > 1 {
                    self.push(b"/")?;
                }
                self.push(part)?;
                let mut link = Room::uninit();
                let path = self.text().as_ptr();
                match read_link(AT_FDCWD, path, link.as_mut_ptr().cast(), LONGEST) {
                    length if length >= 0 => {
                        links += 1;
                        let length = length as usize;
                        match () {
                            () if links > MAX_LINKS => return Err(ELOOP),
                            () if length + remaining.len() >= LONGEST => return Err(ENAMETOOLONG),
                            () => {}
                        }
                        let link = slice::from_raw_parts(link.as_ptr().cast::<u8>(), length);
                        at -= length;
                        ptr::copy_nonoverlapping(link.as_ptr(), rest_begin.add(at), length);
                        match link.first() {
                            Some(b'/') => self.length = 1,
                            _ => self.length = before,
                        }
                    }
                    error if -error as c_int == EINVAL => {
                        if must_be_directory(remaining) {
                            self.check_directory()?;
                        }
                    }
                    error => return Err(-error as c_int),
                }
            }
        }
    }

    /// Checks that the path is that of a directory. This is necessary if no further component is looked up in it.
    unsafe fn check_directory(&mut self) -> Result<(), c_int> {
        let length = self.length;
        self.push(b"/")?;
        // SAFETY: the path is terminated.
        let result = unsafe {
            let path = self.text().as_ptr();
            let pass = pass(AT_FDCWD, path, LOOK);
            call(number::FACCESSAT, [AT_FDCWD as usize, path as usize, 0, 0, 0], pass)
        };
        self.length = length;
        if result == 0 { Ok(()) } else { Err(-result as c_int) }
    }
}

/// Whether a component that is no link must be a directory: it is followed by a slash, and then by dots or nothing.
fn must_be_directory(remaining: &[u8]) -> bool {
    let mut parts = remaining.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    !remaining.is_empty() && matches!(parts.next(), None | Some(b"." | b".."))
}

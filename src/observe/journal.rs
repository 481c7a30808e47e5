//! What the [interposer](../interposer/index.html) notes, in memory that it shares with the observer: the layout, and how one is added.
//!
//! A table of digests tells what was noted already; behind it, one after the other, stand the notes. Both only grow. It is
//! compiled twice, into this crate and into the library that is loaded into others, and needs nothing but `core`.
//!
//! **Invariants.** A note can be read once it says that it is [whole](Note): who is killed while he writes leaves one that
//! never is, and the observer knows that something is missing. A digest is entered after its note, so what is killed in
//! between costs a second note and never the first. Who finds no room notes nothing, and asks as if there was no journal.

use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Who opens this is given the journal; nothing can be there.
pub(super) const NAME: &[u8] = b"/proc/self/.xcache-journal\0";
/// Its size: what is not written takes no memory.
pub(super) const SIZE: usize = NOTES + (64 << 20);

/// How many digests there is room for: a power of two.
const DIGESTS: usize = 1 << 18;
/// How far a digest may stand from its place.
const REACH: usize = 32;
/// Where digests begin, behind the head.
const TABLE: usize = 64;
/// Where notes begin.
const NOTES: usize = TABLE + DIGESTS * size_of::<u64>();
/// A path is no longer than this.
pub(super) const LONGEST: usize = 4096;
/// Beside its path, a note takes this.
const BEGIN: usize = size_of::<Begin>();

/// What was noted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Note<'a> {
    /// What was done, as a number: that of a use, or [`PROGRAM`].
    pub(super) used: u8,
    /// What was there: [`ABSENT`] or one of the others.
    pub(super) was: u8,
    /// Of the program that did it: the digest of its path.
    pub(super) program: u64,
    /// Of a file: device, inode, size, and when it was modified and changed, in nanoseconds.
    pub(super) mark: [u64; 5],
    /// Absolute.
    pub(super) path: &'a [u8],
}

/// Instead of a use: this is the path of a program.
pub(super) const PROGRAM: u8 = 0;
/// In digests instead of a use: this program was started by this path, with the library.
pub(super) const STARTED: u8 = 128;
/// The same: these are directories of [`SEARCHED`].
const DIRECTORIES: u8 = 129;
/// The variable that names the directories in which the loader looks for libraries first.
pub(super) const SEARCHED: &[u8] = b"LD_LIBRARY_PATH=";
/// What can be there.
pub(super) const ABSENT: u8 = 0;
pub(super) const FILE: u8 = 1;
pub(super) const DIRECTORY: u8 = 2;
pub(super) const OTHER: u8 = 3;

#[repr(C)]
struct Head {
    /// Calls that have this as their sixth argument are let through.
    pass: AtomicU64,
    /// How much room the notes take.
    end: AtomicU64,
    /// Where no library is found: the digest of these directories, as they stand in the variable.
    needless: AtomicU64,
}

#[repr(C)]
struct Begin {
    /// With the path, in multiples of eight; written first.
    length: AtomicU32,
    /// Written last.
    is_whole: AtomicU32,
    program: u64,
    mark: [u64; 5],
    path_length: u32,
    used: u8,
    was: u8,
}

/// A place in the memory of a journal.
#[derive(Clone, Copy)]
pub(super) struct Journal {
    base: *mut u8,
}

/// What [`Journal::read`] finds.
pub(super) enum Found<'a> {
    /// A note; the next one stands here.
    Note(Note<'a>, usize),
    /// One that is being written, or never will be; the next one stands here.
    Unfinished(usize),
    /// One of which not even the length is known.
    Unknown,
    /// There are no more.
    End,
}

impl Journal {
    /// # Safety
    /// [`SIZE`] bytes are there as long as this is, aligned to a page, zero at first and shared with nobody but journals.
    pub(super) const unsafe fn at(base: *mut u8) -> Self {
        Self { base }
    }

    /// The first number that a process learns from it.
    pub(super) fn pass(self) -> u64 {
        self.head().pass.load(Ordering::Relaxed)
    }

    /// Says what [`pass`](Self::pass) is.
    pub(super) fn set_pass(self, pass: u64) {
        self.head().pass.store(pass, Ordering::Relaxed);
    }

    /// Says that no library can be found in the directories of this value of [`SEARCHED`].
    pub(super) fn set_needless(self, value: &[u8]) {
        self.head().needless.store(digest(value, DIRECTORIES, 0), Ordering::Relaxed);
    }

    /// Says that it is so no more, of no value.
    pub(super) fn forget_needless(self) {
        self.head().needless.store(0, Ordering::Relaxed);
    }

    /// Whether that was said of it.
    pub(super) fn is_needless(self, value: &[u8]) -> bool {
        self.head().needless.load(Ordering::Relaxed) == digest(value, DIRECTORIES, 0)
    }

    /// Whether there is so little room left that nobody should begin.
    pub(super) fn is_full(self) -> bool {
        self.head().end.load(Ordering::Relaxed) > ((SIZE - NOTES) / 8 * 7) as u64
    }

    /// Whether something with this digest was noted.
    pub(super) fn has(self, digest: u64) -> bool {
        for slot in self.slots(digest) {
            match slot.load(Ordering::Acquire) {
                0 => return false,
                found if found == digest => return true,
                _ => {}
            }
        }
        false
    }

    /// Adds a note, then its digest. Where there is no room for the note, it stands as one that was never finished.
    pub(super) fn add(self, digest: u64, note: &Note<'_>) {
        let length = (BEGIN + note.path.len()).next_multiple_of(8);
        let at = self.head().end.fetch_add(length as u64, Ordering::AcqRel) as usize;
        if note.path.len() > LONGEST || at + length > SIZE - NOTES {
            return;
        }
        // SAFETY: this room is nobody else's, and there is enough of it.
        unsafe {
            let begin = self.base.add(NOTES + at).cast::<Begin>();
            (*begin).length.store(length as u32, Ordering::Release);
            (&raw mut (*begin).program).write(note.program);
            (&raw mut (*begin).mark).write(note.mark);
            (&raw mut (*begin).path_length).write(note.path.len() as u32);
            (&raw mut (*begin).used).write(note.used);
            (&raw mut (*begin).was).write(note.was);
            ptr::copy_nonoverlapping(note.path.as_ptr(), begin.cast::<u8>().add(BEGIN), note.path.len());
            (*begin).is_whole.store(1, Ordering::Release);
        }
        self.enter(digest);
    }

    /// Enters a digest.
    pub(super) fn enter(self, digest: u64) {
        for slot in self.slots(digest) {
            match slot.compare_exchange(0, digest, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) if found == digest => return,
                Err(_) => {}
            }
        }
    }

    /// What stands at a place among the notes; the first one is at 0.
    pub(super) fn read<'a>(self, at: usize) -> Found<'a> {
        let end = self.head().end.load(Ordering::Acquire) as usize;
        match () {
            () if at >= end => return Found::End,
            () if at + BEGIN > SIZE - NOTES => return Found::Unknown,
            () => {}
        }
        // SAFETY: it stands within the memory, and is only written before it is whole.
        unsafe {
            let begin = self.base.add(NOTES + at).cast::<Begin>();
            let length = (*begin).length.load(Ordering::Acquire) as usize;
            if length < BEGIN || at + length > SIZE - NOTES {
                return Found::Unknown;
            }
            if (*begin).is_whole.load(Ordering::Acquire) == 0 {
                return Found::Unfinished(at + length);
            }
            let path_length = ((*begin).path_length as usize).min(length - BEGIN);
            let path = slice::from_raw_parts(begin.cast::<u8>().add(BEGIN), path_length);
            let (program, mark) = ((*begin).program, (*begin).mark);
            Found::Note(Note { used: (*begin).used, was: (*begin).was, program, mark, path }, at + length)
        }
    }

    fn head(&self) -> &Head {
        // SAFETY: it stands at the begin of the memory.
        unsafe { &*self.base.cast::<Head>() }
    }

    fn slots(&self, digest: u64) -> impl Iterator<Item = &AtomicU64> {
        let first = digest as usize;
        // SAFETY: within the table.
        (0..REACH).map(move |step| unsafe { &*self.base.add(TABLE).cast::<AtomicU64>().add((first + step) % DIGESTS) })
    }
}

/// Of what is done to a path by a program; never zero.
pub(super) fn digest(path: &[u8], used: u8, program: u64) -> u64 {
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const SECOND: u64 = 0xd6e8_feb8_6659_fd93;
    let mix = |left: u64, right: u64| {
        let product = u128::from(left) * u128::from(right);
        product as u64 ^ (product >> 64) as u64
    };
    let mut state = mix(program ^ FIRST, u64::from(used) ^ SECOND ^ ((path.len() as u64) << 8));
    let (parts, rest) = path.as_chunks::<8>();
    for part in parts {
        state = mix(state ^ u64::from_le_bytes(*part), FIRST).rotate_left(23) ^ SECOND;
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(rest) {
        *to = *from;
    }
    mix(state ^ u64::from_le_bytes(word), SECOND) | 1
}

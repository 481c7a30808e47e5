//! The journal of the [interposer](../interposer/index.html), in memory that it shares with the observer.
//!
//! A table of digests shows what has been noted already. The notes follow it, one after the other. Both only grow. This
//! module is compiled twice, into this crate and into the library that compilers load, and needs only `core`.
//!
//! **Invariants.** A note is read only when it is marked as whole. A process that is killed while it writes leaves a
//! note that never is, so the observer knows that something is missing. A digest is inserted after its note, so a
//! process that is killed in between causes a second note, but no lost one. A process that finds no room notes nothing,
//! and its calls are stopped as without a journal.

use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The observer answers an attempt to open this path with the journal. No file can exist there.
pub(super) const NAME: &[u8] = b"/proc/self/.xcache-journal\0";
/// The size of the journal. Unwritten parts take no memory.
pub(super) const SIZE: usize = NOTES + (64 << 20);

/// The capacity of the table of digests, a power of two.
const DIGESTS: usize = 1 << 18;
/// The number of slots in which a digest may be, from its own one on.
const REACH: usize = 32;
/// The offset of the table of digests, after the head.
const TABLE: usize = 64;
/// The offset of the notes.
const NOTES: usize = TABLE + DIGESTS * size_of::<u64>();
/// The maximum length of a path.
pub(super) const LONGEST: usize = 4096;
/// The size of a note without its path.
const NOTE_HEADER: usize = size_of::<NoteHeader>();

/// One access to a path, or the path of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Note<'a> {
    /// The number of the use, or [`PROGRAM`].
    pub(super) used: u8,
    /// What was at the path: [`ABSENT`], [`FILE`], [`DIRECTORY`] or [`OTHER`].
    pub(super) was: u8,
    /// The digest of the path of the program that looked.
    pub(super) program: u64,
    /// For a file: device, inode, size, and the times of modification and change in nanoseconds.
    pub(super) mark: [u64; 5],
    /// The absolute path.
    pub(super) path: &'a [u8],
}

/// In place of a use: this is the path of a program.
pub(super) const PROGRAM: u8 = 0;
/// In digests, in place of a use: a program was started by this path, with the library.
pub(super) const STARTED: u8 = 128;
/// In digests, in place of a use: this is a value of [`SEARCHED`].
const DIRECTORIES: u8 = 129;
/// The variable with the directories that the loader searches first for libraries.
pub(super) const SEARCHED: &[u8] = b"LD_LIBRARY_PATH=";
/// What can be at a path.
pub(super) const ABSENT: u8 = 0;
pub(super) const FILE: u8 = 1;
pub(super) const DIRECTORY: u8 = 2;
pub(super) const OTHER: u8 = 3;

#[repr(C)]
struct Head {
    /// The filter lets calls with this sixth argument through.
    pass: AtomicU64,
    /// The size of all notes.
    end: AtomicU64,
    /// The digest of the value of [`SEARCHED`] whose directories contain no library; 0 if there is none.
    skippable: AtomicU64,
}

#[repr(C)]
struct NoteHeader {
    /// The length with the path, a multiple of eight. It is written first.
    length: AtomicU32,
    /// Whether the note is whole. It is written last.
    is_whole: AtomicU32,
    program: u64,
    mark: [u64; 5],
    path_length: u32,
    used: u8,
    was: u8,
}

/// A journal in shared memory.
#[derive(Clone, Copy)]
pub(super) struct Journal {
    base: *mut u8,
}

/// The result of [`Journal::read`].
pub(super) enum Found<'a> {
    /// A note, and the offset of the next one.
    Note(Note<'a>, usize),
    /// A note that is being written, or was never finished, and the offset of the next one.
    Unfinished(usize),
    /// A note whose length is not known yet.
    Unknown,
    /// There are no more notes.
    End,
}

impl Journal {
    /// # Safety
    /// `base` points to [`SIZE`] bytes that live as long as this value, are aligned to a page, were zero at first, and
    /// are accessed only by journals.
    pub(super) const unsafe fn at(base: *mut u8) -> Self {
        Self { base }
    }

    /// The sixth argument of calls that the filter lets through.
    pub(super) fn pass(self) -> u64 {
        self.head().pass.load(Ordering::Relaxed)
    }

    /// Sets [`pass`](Self::pass).
    pub(super) fn set_pass(self, pass: u64) {
        self.head().pass.store(pass, Ordering::Relaxed);
    }

    /// Notes that the directories of this value of [`SEARCHED`] contain no library, so that a search can be skipped.
    pub(super) fn set_skippable(self, value: &[u8]) {
        self.head().skippable.store(digest(value, DIRECTORIES, 0), Ordering::Relaxed);
    }

    /// Makes every program search again.
    pub(super) fn clear_skippable(self) {
        self.head().skippable.store(0, Ordering::Relaxed);
    }

    /// Whether the directories of this value of [`SEARCHED`] are known to contain no library.
    pub(super) fn is_skippable(self, value: &[u8]) -> bool {
        self.head().skippable.load(Ordering::Relaxed) == digest(value, DIRECTORIES, 0)
    }

    /// Whether so little room is left that no process should add notes.
    pub(super) fn is_full(self) -> bool {
        self.head().end.load(Ordering::Relaxed) > ((SIZE - NOTES) / 8 * 7) as u64
    }

    /// Whether this digest was inserted.
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

    /// Adds a note, then its digest. A note for which there is no room counts as unfinished.
    pub(super) fn add(self, digest: u64, note: &Note<'_>) {
        let length = (NOTE_HEADER + note.path.len()).next_multiple_of(8);
        let at = self.head().end.fetch_add(length as u64, Ordering::AcqRel) as usize;
        if note.path.len() > LONGEST || at + length > SIZE - NOTES {
            return;
        }
        // SAFETY: the range is within the memory, and `fetch_add` has reserved it for this note.
        unsafe {
            let header = self.base.add(NOTES + at).cast::<NoteHeader>();
            (*header).length.store(length as u32, Ordering::Release);
            (&raw mut (*header).program).write(note.program);
            (&raw mut (*header).mark).write(note.mark);
            (&raw mut (*header).path_length).write(note.path.len() as u32);
            (&raw mut (*header).used).write(note.used);
            (&raw mut (*header).was).write(note.was);
            ptr::copy_nonoverlapping(note.path.as_ptr(), header.cast::<u8>().add(NOTE_HEADER), note.path.len());
            (*header).is_whole.store(1, Ordering::Release);
        }
        self.insert(digest);
    }

    /// Inserts a digest.
    pub(super) fn insert(self, digest: u64) {
        for slot in self.slots(digest) {
            match slot.compare_exchange(0, digest, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) if found == digest => return,
                Err(_) => {}
            }
        }
    }

    /// Reads the note at an offset; the first one is at 0.
    pub(super) fn read<'a>(self, at: usize) -> Found<'a> {
        let end = self.head().end.load(Ordering::Acquire) as usize;
        match () {
            () if at >= end => return Found::End,
            () if at + NOTE_HEADER > SIZE - NOTES => return Found::Unknown,
            () => {}
        }
        // SAFETY: the note is within the memory, and is not written to once it is whole.
        unsafe {
            let header = self.base.add(NOTES + at).cast::<NoteHeader>();
            let length = (*header).length.load(Ordering::Acquire) as usize;
            if length < NOTE_HEADER || at + length > SIZE - NOTES {
                return Found::Unknown;
            }
            if (*header).is_whole.load(Ordering::Acquire) == 0 {
                return Found::Unfinished(at + length);
            }
            let path_length = ((*header).path_length as usize).min(length - NOTE_HEADER);
            let path = slice::from_raw_parts(header.cast::<u8>().add(NOTE_HEADER), path_length);
            let (program, mark) = ((*header).program, (*header).mark);
            Found::Note(Note { used: (*header).used, was: (*header).was, program, mark, path }, at + length)
        }
    }

    fn head(&self) -> &Head {
        // SAFETY: the head is at the beginning of the memory.
        unsafe { &*self.base.cast::<Head>() }
    }

    fn slots(&self, digest: u64) -> impl Iterator<Item = &AtomicU64> {
        let first = digest as usize;
        // SAFETY: the slot is within the table.
        (0..REACH).map(move |step| unsafe { &*self.base.add(TABLE).cast::<AtomicU64>().add((first + step) % DIGESTS) })
    }
}

/// The digest of a use of a path by a program. It is never zero.
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

//! Stand-ins for the programs of build scripts.
//!
//! Cargo starts a build script by its program's path, and passes it the wrapper's path in `RUSTC_WRAPPER`. A stand-in
//! is a program of half a kilobyte at that path. It starts our wrapper, which asks the session. If the session knows
//! the run, the wrapper prints the recorded output. Otherwise the script's program is put back, and started as cargo
//! would have started it without us. So a script sees no trace of us in its environment, arguments, path and directory.
//! Only if a package's script may be started more than once does the stand-in stay: the program then starts from beside
//! it, and can see that in its path.
//!
//! **Invariants.** At any moment, the file at the path does what the program does: whatever goes wrong, the stand-in
//! starts the program, which it finds beside itself wherever both are moved. It has the program's modification time, so
//! cargo sees no change. When the session ends, the programs are back; a killed session leaves stand-ins that work
//! without it. Several sessions may use one directory: they lock it for each change, and none removes a program that a
//! stand-in of another one needs. Stand-ins exist on Linux, on x86-64 and 64-bit ARM.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use camino::{Utf8Path, Utf8PathBuf};

use super::protocol::SCRIPT;
use crate::digest::Digest;
use crate::event::UnitId;
use crate::fs;
use crate::process;

/// Where the program waits, relative to the stand-in, which contains this path.
const PROGRAM_BESIDE: &str = ".xcache/program";

/// The largest stand-in, which contains little more than a path.
const MAX_SIZE: u64 = 8 << 10;

/// The stand-ins of a session.
pub(super) struct StandIns {
    /// The content of each stand-in; `None` if this system has none.
    bytes: Option<Vec<u8>>,
    /// The stand-ins by their directories.
    placed: Mutex<BTreeMap<Utf8PathBuf, StandIn>>,
}

struct StandIn {
    program: Utf8PathBuf,
    runs: Runs,
}

/// The runs of a script in a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Runs {
    /// This one.
    One(UnitId),
    /// Not known; usually one, or none.
    Unknown,
    /// One for the host and one for a target, or in two profiles.
    Several,
}

impl Runs {
    /// The runs of a script of which nothing else is known.
    pub(super) fn unknown(several: bool) -> Self {
        if several { Self::Several } else { Self::Unknown }
    }
}

impl StandIns {
    /// Creates an empty set. Each stand-in will start `wrapper`.
    pub(super) fn new(wrapper: &Path) -> Self {
        Self { bytes: elf::program(wrapper.as_os_str()), placed: Mutex::default() }
    }

    fn placed(&self) -> MutexGuard<'_, BTreeMap<Utf8PathBuf, StandIn>> {
        self.placed.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Replaces a script's program by a stand-in, if possible.
    pub(super) fn put(&self, runs: Runs, program: &Utf8Path) {
        let (Some(bytes), Some(directory)) = (&self.bytes, program.parent()) else { return };
        if let Err(error) = exchange(program, directory, bytes) {
            return tracing::debug!(%error, %program, "the stand-in cannot be placed");
        }
        self.placed().insert(directory.to_owned(), StandIn { program: program.to_owned(), runs });
    }

    /// The run of the stand-in that was started as `path`.
    pub(super) fn run_of(&self, path: &Utf8Path) -> Option<UnitId> {
        match self.placed().get(path.parent()?)?.runs {
            Runs::One(run) => Some(run),
            Runs::Unknown | Runs::Several => None,
        }
    }

    /// The digest of a program, which may have a stand-in.
    pub(super) fn content(program: &Utf8Path) -> Option<Digest> {
        let displaced_program = || is_stand_in(program).then_some(program.parent()?.join(PROGRAM_BESIDE));
        let digest = |path: &Utf8Path| Digest::of_file(path.as_std_path()).ok();
        // Another thread may be putting the program back.
        displaced_program().and_then(|path| digest(&path)).or_else(|| digest(program).filter(|_| !is_stand_in(program)))
    }

    /// Puts a program back before it starts, unless it may start again and then needs the stand-in.
    pub(super) fn restore_program(&self, path: &Utf8Path) {
        let mut placed = self.placed();
        let Some(directory) = path.parent() else { return };
        if let Some(stand_in) = placed.get(directory)
            && stand_in.runs != Runs::Several
            && self.put_back(stand_in).is_ok()
        {
            placed.remove(directory);
        }
    }

    /// Puts all programs back.
    pub(super) fn remove(&self) {
        for stand_in in std::mem::take(&mut *self.placed()).values() {
            if let Err(error) = self.put_back(stand_in) {
                tracing::debug!(%error, program = %stand_in.program, "the stand-in cannot be removed");
            }
        }
    }

    /// Puts a program back under each name of its stand-in: cargo links or copies it to a second one.
    fn put_back(&self, StandIn { program, .. }: &StandIn) -> io::Result<()> {
        let directory = program.parent().unwrap_or(Utf8Path::new("."));
        let _lock = lock(directory)?;
        let real = directory.join(PROGRAM_BESIDE);
        let temporary = real.with_extension("link");
        let mut is_needed_by_others = false;
        for entry in directory.read_dir_utf8()? {
            let entry = entry?;
            if self.bytes.as_ref().is_some_and(|bytes| has_content(entry.path(), bytes)) {
                std::fs::hard_link(&real, &temporary)?;
                std::fs::rename(&temporary, entry.path())?;
            } else {
                is_needed_by_others |= is_stand_in(entry.path());
            }
        }
        if is_needed_by_others { Ok(()) } else { remove_displaced_program(directory) }
    }
}

/// Locks a directory: one session at a time places or removes stand-ins there.
fn lock(directory: &Utf8Path) -> io::Result<File> {
    let directory = File::open(directory)?;
    directory.lock()?;
    Ok(directory)
}

/// Moves the program away and puts a stand-in of the same time in its place. Replaces one of another session, which may
/// have been killed.
fn exchange(program: &Utf8Path, directory: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    let _lock = lock(directory)?;
    let modified = std::fs::metadata(program)?.modified()?;
    let real = directory.join(PROGRAM_BESIDE);
    let is_first = !is_stand_in(program);
    if is_first {
        std::fs::create_dir_all(real.parent().unwrap_or(directory))?;
        fs::remove_file(real.as_std_path()).map_err(io::Error::other)?;
        std::fs::hard_link(program, &real)?;
    }
    let put = || {
        let mut file = fs::temporary_file(directory.as_std_path()).map_err(io::Error::other)?;
        file.write_all(bytes)?;
        fs::make_executable(file.as_file())?;
        file.as_file().set_modified(modified)?;
        fs::persist(file, program.as_std_path()).map_err(io::Error::other)
    };
    process::while_nothing_starts(put).inspect_err(|_| drop(is_first.then(|| remove_displaced_program(directory))))
}

fn remove_displaced_program(directory: &Utf8Path) -> io::Result<()> {
    let real = directory.join(PROGRAM_BESIDE);
    fs::remove_file(real.as_std_path()).map_err(io::Error::other)?;
    real.parent().map_or(Ok(()), std::fs::remove_dir)
}

/// Whether a file has this content.
fn has_content(path: &Utf8Path, bytes: &[u8]) -> bool {
    let has_length = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes.len() as u64);
    has_length && std::fs::read(path).is_ok_and(|content| content == bytes)
}

/// Whether a file is a stand-in of any session.
pub(super) fn is_stand_in(path: &Utf8Path) -> bool {
    let is_small = path.metadata().is_ok_and(|metadata| metadata.len() < MAX_SIZE);
    is_small && std::fs::read(path).is_ok_and(|content| elf::is_any(&content))
}

/// The program that the stand-in at `path` replaces.
pub(super) fn displaced_program(path: &Path) -> PathBuf {
    path.with_file_name("").join(PROGRAM_BESIDE)
}

/// The stand-in: one loaded segment with the headers, the code and three texts.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod elf {
    use std::ffi::OsStr;

    use super::{PROGRAM_BESIDE, SCRIPT};

    /// The size of the code in bytes.
    const CODE_SIZE: usize = 256;
    /// The offset of the code, after the two headers.
    const CODE_OFFSET: usize = 64 + 56;
    /// The address at which the file is loaded.
    const BASE_ADDRESS: u64 = 0x40_0000;
    /// The room for the flag, and for the program's path.
    const TEXT_SIZE: usize = 16;
    const MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };

    macro_rules! assemble {
        ($code:literal) => {
            #[expect(unsafe_code, reason = "this code is never called: its bytes are data")]
            mod code {
                std::arch::global_asm!(
                    ".pushsection .rodata.xcache_stand_in,\"a\"",
                    ".p2align 4",
                    ".globl xcache_stand_in",
                    "xcache_stand_in:",
                    ".Lxcache_start:",
                    include_str!($code),
                    ".org .Lxcache_start + 256",
                    ".popsection",
                );
            }
        };
    }
    #[cfg(target_arch = "x86_64")]
    assemble!("stand_in/x86_64.s");
    #[cfg(target_arch = "aarch64")]
    assemble!("stand_in/aarch64.s");

    #[expect(unsafe_code, reason = "the assembler defines this many bytes, and nothing writes to them")]
    unsafe extern "C" {
        safe static xcache_stand_in: [u8; CODE_SIZE];
    }

    /// A stand-in for a wrapper at this path.
    pub(super) fn program(wrapper: &OsStr) -> Option<Vec<u8>> {
        let mut content = xcache_stand_in.to_vec();
        for text in [SCRIPT, PROGRAM_BESIDE] {
            content.extend(text.bytes().chain([0]).chain(std::iter::repeat(0)).take(TEXT_SIZE));
        }
        content.extend(wrapper.as_encoded_bytes().iter().chain(&[0]));
        let mut program = headers((CODE_OFFSET + content.len()) as u64);
        program.extend(content);
        Some(program)
    }

    /// Whether a file is a stand-in for any wrapper.
    pub(super) fn is_any(program: &[u8]) -> bool {
        program.get(CODE_OFFSET..CODE_OFFSET + CODE_SIZE) == Some(&xcache_stand_in)
    }

    fn headers(size: u64) -> Vec<u8> {
        let half = |value: u16| value.to_le_bytes().to_vec();
        let word = |value: u32| value.to_le_bytes().to_vec();
        let long = |value: u64| value.to_le_bytes().to_vec();
        let identity = [b"\x7fELF\x02\x01\x01".to_vec(), vec![0; 9]].concat();
        let kind = [half(2), half(MACHINE), word(1)].concat();
        let places = [long(BASE_ADDRESS + CODE_OFFSET as u64), long(64), long(0)].concat();
        let sizes = [word(0), half(64), half(56), half(1), half(64), half(0), half(0)].concat();
        // Loaded, readable and executable.
        let segment =
            [word(1), word(5), long(0), long(BASE_ADDRESS), long(BASE_ADDRESS), long(size), long(size), long(1 << 16)]
                .concat();
        [identity, kind, places, sizes, segment].concat()
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod elf {
    use std::ffi::OsStr;

    pub(super) fn program(_: &OsStr) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn is_any(_: &[u8]) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "stand_in_tests.rs"]
mod tests;

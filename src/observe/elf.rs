//! Reads from the first bytes of a program's file whether a loader starts it, which can load a library of ours.
//!
//! This module is compiled twice, like the [journal](../journal/index.html), and needs only `core`.

/// How many bytes of a file are read.
pub(super) const HEAD: usize = 1024;

/// What starts a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StartedBy<'a> {
    /// A loader for this processor.
    Loader,
    /// The program at this path: the file is a script.
    Program(&'a [u8]),
    /// No such loader: the program is static, for another processor, or not recognised.
    Unknown,
}

/// Reads what starts a file from its first bytes.
pub(super) fn started_by(head: &[u8]) -> StartedBy<'_> {
    const MACHINE: u8 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    const PROGRAM_HEADERS: usize = 32;
    const SIZE_OF_ONE: usize = 54;
    const COUNT: usize = 56;
    const INTERPRETER: [u8; 4] = [3, 0, 0, 0];
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_start();
        let path = line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        return if path.is_empty() { StartedBy::Unknown } else { StartedBy::Program(path) };
    }
    if !head.starts_with(b"\x7fELF\x02\x01") || head.get(18..20) != Some(&[MACHINE, 0]) {
        return StartedBy::Unknown;
    }
    let short = |at: usize| head.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes);
    let table = head.get(PROGRAM_HEADERS..PROGRAM_HEADERS + 8).and_then(|bytes| bytes.try_into().ok());
    let table = table.map_or(0, u64::from_le_bytes).min(HEAD as u64) as usize;
    let mut headers = (0..usize::from(short(COUNT))).map(|index| table + index * usize::from(short(SIZE_OF_ONE)));
    match headers.any(|at| head.get(at..at + 4) == Some(&INTERPRETER)) {
        true => StartedBy::Loader,
        false => StartedBy::Unknown,
    }
}

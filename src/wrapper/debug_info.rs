//! Paths in the debug information of files that build scripts have compiled.
//!
//! C objects contain the directories that they were compiled in, mostly for debuggers only. These paths are replaced by
//! [virtual ones](Root::virtual_path) before anything else reads the files, as if the C compiler had been given
//! `-ffile-prefix-map`, and like rustc's `--remap-path-prefix`. So they do not bind the files to this machine.
//!
//! **Invariants.** Only paths in debug sections change, and they keep their length: slashes, which have no meaning
//! there, fill the rest. A compressed section changes only if it takes no more room than before. A path that is shorter
//! than its replacements stays, and binds. The modification time of a file stays.

use std::fs;
use std::io::{self, Write};

use camino::Utf8Path;
use ignore::WalkBuilder;
use memchr::memmem;

use crate::process;
use crate::roots::{Root, Roots};
use crate::rustc::objects::{self, DebugSection, Packed};

/// Replacements for roots whose virtual path is too long.
const SHORT_PATHS: &[(Root, &str)] = &[(Root::BuildDir, "/target"), (Root::CargoHome, "/.cargo")];
/// The first bytes of the files to search: objects, programs and libraries for Linux, Apple and Windows, and archives.
const MAGICS: &[&[u8]] = &[b"\x7fELF", b"\xcf\xfa\xed\xfe", b"!<arch>\n", b"MZ", b"\x64\x86", b"\x64\xaa"];

/// Replaces the paths in all files below a directory, as far as possible.
pub(super) fn replace_paths(directory: &Utf8Path, roots: &Roots) {
    let replacements = replacements(roots);
    let entries = WalkBuilder::new(directory).standard_filters(false).build().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file())) {
        if let Some(path) = Utf8Path::from_path(entry.path()) {
            // A file that cannot be changed stays as it is.
            let _ = replace_paths_in_file(path, &replacements);
        }
    }
}

fn replace_paths_in_file(path: &Utf8Path, replacements: &[(String, String)]) -> io::Result<()> {
    let mut start = [0; 8];
    let length = io::Read::read(&mut fs::File::open(path)?, &mut start)?;
    if !MAGICS.iter().any(|magic| start[..length].starts_with(magic)) {
        return Ok(());
    }
    let metadata = fs::metadata(path)?;
    let mut bytes = fs::read(path)?;
    // Its other name may be outside of the directory.
    if has_other_names(&metadata) || !replace(&mut bytes, replacements) {
        return Ok(());
    }
    // The file may be a program: one that is open for writing cannot be started.
    process::while_nothing_starts(|| {
        let directory = path.parent().unwrap_or(path);
        let mut file = crate::fs::temporary_file(directory.as_std_path()).map_err(io::Error::other)?;
        file.write_all(&bytes)?;
        file.as_file().set_permissions(metadata.permissions())?;
        file.as_file().set_modified(metadata.modified()?)?;
        file.persist(path)?;
        Ok(())
    })
}

#[cfg(unix)]
fn has_other_names(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) > 1
}

#[cfg(not(unix))]
fn has_other_names(_: &fs::Metadata) -> bool {
    false
}

/// The paths to replace, the longest first, each with a replacement of the same length.
fn replacements(roots: &Roots) -> Vec<(String, String)> {
    let mut replacements: Vec<_> = SHORT_PATHS
        .iter()
        .flat_map(|(root, short)| roots.paths_of(*root).map(move |path| (*root, *short, path.as_str())))
        .filter_map(|(root, short, real)| {
            let fits = |path: &&str| path.len() <= real.len();
            let path = root.virtual_path().filter(fits).or(Some(short).filter(fits))?;
            Some((real.to_owned(), format!("{path:/<length$}", length = real.len())))
        })
        .collect();
    replacements.sort_by_key(|(real, _)| std::cmp::Reverse(real.len()));
    replacements
}

/// Replaces the paths in all debug sections. Returns whether any was found.
fn replace(bytes: &mut [u8], replacements: &[(String, String)]) -> bool {
    let mut is_changed = false;
    for DebugSection { content, packed } in objects::debug_sections(bytes) {
        is_changed |= match packed {
            None => replace_in(&mut bytes[content], replacements),
            Some(packed) => {
                let unpacked = unpack_replaced(&packed, &bytes[content.clone()], replacements);
                unpacked.and_then(|unpacked| packed.replace(bytes, content, &unpacked)).is_some()
            }
        };
    }
    is_changed
}

/// The unpacked content of a compressed section with the paths replaced; `None` without such paths.
fn unpack_replaced(packed: &Packed, content: &[u8], replacements: &[(String, String)]) -> Option<Vec<u8>> {
    let mut unpacked = packed.unpack(content)?;
    replace_in(&mut unpacked, replacements).then_some(unpacked)
}

fn replace_in(text: &mut [u8], replacements: &[(String, String)]) -> bool {
    let mut is_changed = false;
    for (real, path) in replacements {
        // If the name continues, it is that of another directory.
        let is_whole_name = |at: &usize| matches!(text.get(at + real.len()), Some(b'/' | b'\\' | 0) | None);
        let found: Vec<_> = memmem::find_iter(text, real).filter(is_whole_name).collect();
        for at in found {
            text[at..at + real.len()].copy_from_slice(path.as_bytes());
            is_changed = true;
        }
    }
    is_changed
}

#[cfg(test)]
#[path = "debug_info_tests.rs"]
mod tests;

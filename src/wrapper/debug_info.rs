//! Paths in the debug information of what build scripts have compiled.
//!
//! Objects of C name the directories that they were compiled in, mostly for nobody but debuggers. As with rustc's
//! `--remap-path-prefix`, they get [virtual ones](Root::virtual_path) instead, before anybody else sees them: it is as if
//! the C compiler had been told `-ffile-prefix-map`. Then nothing binds them to this machine.
//!
//! **Invariants.** Nothing but sections for debuggers is changed, and nothing but paths in them, which stay as long as they
//! were: what is missing is filled up with slashes, which mean nothing. What is compressed is changed only where it takes
//! no more room than before. A path that is shorter than the virtual one is left as it is, and binds. A file is as old as
//! it was.

use std::fs;
use std::io::{self, Write};

use camino::Utf8Path;
use ignore::WalkBuilder;
use memchr::memmem;

use crate::process;
use crate::roots::{Root, Roots};
use crate::rustc::objects::{self, DebugSection, Packed};

/// What stands for a root where its virtual path is too long.
const SHORT: &[(Root, &str)] = &[(Root::BuildDir, "/target"), (Root::CargoHome, "/.cargo")];
/// How files begin that are looked into: objects and what is linked of them, for Linux, Apple and Windows, and archives.
const BEGINS: &[&[u8]] = &[b"\x7fELF", b"\xcf\xfa\xed\xfe", b"!<arch>\n", b"MZ", b"\x64\x86", b"\x64\xaa"];

/// Changes the paths in all that is below a directory, as far as that is possible.
pub(super) fn generalize(directory: &Utf8Path, roots: &Roots) {
    let pairs = pairs(roots);
    let entries = WalkBuilder::new(directory).standard_filters(false).build().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file())) {
        if let Some(path) = Utf8Path::from_path(entry.path()) {
            // What cannot be changed stays as it is.
            let _ = generalize_file(path, &pairs);
        }
    }
}

fn generalize_file(path: &Utf8Path, pairs: &[(String, String)]) -> io::Result<()> {
    let mut begin = [0; 8];
    let length = io::Read::read(&mut fs::File::open(path)?, &mut begin)?;
    if !BEGINS.iter().any(|begins| begin[..length].starts_with(begins)) {
        return Ok(());
    }
    let metadata = fs::metadata(path)?;
    let mut bytes = fs::read(path)?;
    // Another name of it may be anywhere.
    if has_other_names(&metadata) || !replace(&mut bytes, pairs) {
        return Ok(());
    }
    // It may be a program.
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

/// Each path that is replaced, the longest first, and what stands for it: of the same length.
fn pairs(roots: &Roots) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = SHORT
        .iter()
        .flat_map(|(root, short)| roots.paths_of(*root).map(move |path| (*root, *short, path.as_str())))
        .filter_map(|(root, short, real)| {
            let fits = |path: &&str| path.len() <= real.len();
            let path = root.virtual_path().filter(fits).or(Some(short).filter(fits))?;
            Some((real.to_owned(), format!("{path:/<length$}", length = real.len())))
        })
        .collect();
    pairs.sort_by_key(|(real, _)| std::cmp::Reverse(real.len()));
    pairs
}

/// Whether there was anything to replace.
fn replace(bytes: &mut [u8], pairs: &[(String, String)]) -> bool {
    let mut is_changed = false;
    for DebugSection { content, packed } in objects::debug_sections(bytes) {
        is_changed |= match packed {
            None => replace_in(&mut bytes[content], pairs),
            Some(packed) => {
                let unpacked = replaced(&packed, &bytes[content.clone()], pairs);
                unpacked.and_then(|unpacked| packed.replace(bytes, content, &unpacked)).is_some()
            }
        };
    }
    is_changed
}

/// What a compressed section holds, changed; nothing where there is nothing to change.
fn replaced(packed: &Packed, content: &[u8], pairs: &[(String, String)]) -> Option<Vec<u8>> {
    let mut unpacked = packed.unpack(content)?;
    replace_in(&mut unpacked, pairs).then_some(unpacked)
}

fn replace_in(text: &mut [u8], pairs: &[(String, String)]) -> bool {
    let mut is_changed = false;
    for (real, path) in pairs {
        // What goes on is another directory's name.
        let ends = |at: &usize| matches!(text.get(at + real.len()), Some(b'/' | b'\\' | 0) | None);
        let found: Vec<_> = memmem::find_iter(text, real).filter(ends).collect();
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

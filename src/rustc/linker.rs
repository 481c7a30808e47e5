//! The libraries that a linker finds by name.
//!
//! A program that is linked with a shared library contains the library's name and the versions of its symbols, which
//! come from the library's file. So the digest covers the content of every file that the linker may use for a name.
//!
//! **Invariant.** A name is unknown if no file is found for it, or a file only refers to others (a linker script).

use std::process::Command;

use camino::Utf8PathBuf;

use crate::digest::{Digest, Domain};
use crate::process;

/// The first bytes of files that are linked themselves: ELF, Mach-O and archives.
const MAGICS: &[&[u8]] = &[b"\x7fELF", b"!<arch>", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];

/// The directories that a compiler searches by default when it links, in order; `None` if it does not print them.
pub fn search_directories(linker: &str) -> Option<Vec<Utf8PathBuf>> {
    directories_in(&process::output(Command::new(linker).arg("-print-search-dirs")).ok()?)
}

/// The directories in the output of `-print-search-dirs`.
pub fn directories_in(printed: &str) -> Option<Vec<Utf8PathBuf>> {
    let directories = printed.lines().find_map(|line| line.strip_prefix("libraries: ="))?;
    Some(std::env::split_paths(directories).filter_map(|path| path.try_into().ok()).collect())
}

/// The digest of all files that may be used for libraries with these names; `None` if one of them is unknown.
pub fn digest<'a>(names: impl IntoIterator<Item = &'a str>, directories: &[Utf8PathBuf]) -> Option<Digest> {
    let mut found = Vec::new();
    for name in names {
        let files = [format!("lib{name}.so"), format!("lib{name}.dylib"), format!("lib{name}.a")];
        let paths = directories.iter().flat_map(|directory| files.iter().map(|file| directory.join(file)));
        let before = found.len();
        for (path, bytes) in paths.filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?))) {
            if !MAGICS.iter().any(|magic| bytes.starts_with(magic)) {
                return None;
            }
            found.push((path.file_name()?.to_owned(), Digest::of(bytes)));
        }
        if found.len() == before {
            return None;
        }
    }
    Some(Digest::of_value(Domain::Linked, &found))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &[u8] = b"\x7fELF one";

    fn directories(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Vec<Utf8PathBuf>) {
        let temporary = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(temporary.path().to_owned()).unwrap();
        let directories = vec![root.join("first"), root.join("second"), root.join("absent")];
        directories[..2].iter().for_each(|directory| std::fs::create_dir(directory).unwrap());
        files.iter().for_each(|(path, bytes)| std::fs::write(root.join(path), bytes).unwrap());
        (temporary, directories)
    }

    fn of(names: &[&str], files: &[(&str, &[u8])]) -> Option<Digest> {
        let (_kept, directories) = directories(files);
        digest(names.iter().copied(), &directories)
    }

    #[test]
    fn a_library_is_known_by_the_content_of_what_may_be_taken_for_it() {
        let one = of(&["z"], &[("second/libz.so", LIBRARY)]);
        assert!(one.is_some());
        assert_eq!(of(&["z"], &[("second/libz.so", LIBRARY), ("first/liby.so", b"")]), one);
        let others: [&[(&str, &[u8])]; 4] = [
            &[("second/libz.so", b"\x7fELF two")],
            &[("second/libz.a", b"!<arch>")],
            &[("second/libz.so", LIBRARY), ("first/libz.so", LIBRARY)],
            &[("second/libz.so", LIBRARY), ("second/libz.a", b"!<arch>")],
        ];
        for files in others {
            let other = of(&["z"], files);
            assert!(other.is_some() && other != one, "{files:?}");
        }
    }

    #[test]
    fn a_library_that_is_missing_or_refers_to_others_is_unknown() {
        assert_eq!(of(&["z"], &[]), None);
        assert_eq!(of(&["z", "y"], &[("first/libz.so", LIBRARY)]), None);
        assert_eq!(of(&["z"], &[("first/libz.so", b"INPUT(-lx)")]), None);
    }

    #[test]
    fn a_compiler_prints_its_search_directories() {
        let directories = search_directories("cc");
        if cfg!(target_os = "linux") {
            assert!(directories.is_some_and(|directories| !directories.is_empty()));
        }
        assert_eq!(search_directories("/nowhere/cc"), None);
    }
}

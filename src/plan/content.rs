//! The content of a package in a directory: every file that git would not ignore.

use std::fs;

use camino::Utf8Path;
use ignore::WalkBuilder;

use crate::digest::Digest;
use crate::error::{Error, Result};

/// The digest of a package directory: relative names and contents, in order.
///
/// Templates, migrations and whatever else a build may read count as much as sources. Directories that are packages of
/// their own are left out, as they have digests of their own.
pub fn digest(directory: &Utf8Path) -> Result<Digest> {
    let mut hasher = blake3::Hasher::new_derive_key("cargo-xcache package content");
    let mut walk = WalkBuilder::new(directory);
    walk.hidden(false).require_git(false).sort_by_file_path(Ord::cmp).filter_entry(move |entry| {
        entry.file_name() != ".git" && (entry.depth() == 0 || !entry.path().join("Cargo.toml").is_file())
    });
    for entry in walk.build() {
        let entry = entry.map_err(|error| Error::io("read", directory)(std::io::Error::other(error)))?;
        if entry.file_type().is_none_or(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.path().strip_prefix(directory).unwrap_or(entry.path()).to_string_lossy();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        let content = fs::read(entry.path()).map_err(Error::io("read", entry.path()))?;
        hasher.update(Digest::of(content).as_bytes());
    }
    Ok(hasher.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_counts_and_ignored_ones_do_not() {
        let package = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(package.path()).unwrap();
        let write = |name: &str, text: &str| {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("src/lib.rs", "");
        write(".gitignore", "/target\n");
        let before = digest(path).unwrap();
        assert_eq!(digest(path).unwrap(), before);
        write("target/debug/x", "built");
        write("inner/Cargo.toml", "[package]");
        assert_eq!(digest(path).unwrap(), before);
        write("templates/page.html", "a");
        let with_template = digest(path).unwrap();
        assert_ne!(with_template, before);
        write("templates/page.html", "b");
        assert_ne!(digest(path).unwrap(), with_template);
    }
}

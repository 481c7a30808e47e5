//! The content of packages in directories: every file that git would not ignore.
//!
//! **Invariant.** A file is read again whenever its length, time or inode says that it may have changed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use ignore::WalkBuilder;
use rayon::prelude::*;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::Stamp;

/// Digests of directories, and what was read for them so far.
#[derive(Debug, Default)]
pub struct Contents {
    /// Directories that are not content: what is built goes there.
    excluded: Vec<Utf8PathBuf>,
    files: Mutex<HashMap<PathBuf, (Stamp, Digest)>>,
}

impl Contents {
    /// Leaves out these directories.
    pub fn new(excluded: Vec<Utf8PathBuf>) -> Self {
        Self { excluded, files: Mutex::default() }
    }

    /// The digest of a package's directory: relative names and contents, in order.
    ///
    /// Templates, migrations and whatever else a build may read count as much as sources. Directories that are packages
    /// of their own are left out, as they have digests of their own.
    pub fn package(&self, directory: &Utf8Path) -> Result<Digest> {
        let excluded = self.excluded.clone();
        let mut walk = WalkBuilder::new(directory);
        walk.hidden(false).ignore(false).require_git(false).git_global(false).sort_by_file_path(Ord::cmp);
        walk.filter_entry(move |entry| {
            let is_package = || entry.depth() > 0 && entry.path().join("Cargo.toml").is_file();
            entry.file_name() != ".git" && !excluded.iter().any(|path| entry.path() == path) && !is_package()
        });
        self.digest(directory, walk)
    }

    /// The digest of a file, or of everything below a directory, ignored or not.
    pub fn path(&self, path: &Utf8Path) -> Result<Digest> {
        let mut walk = WalkBuilder::new(path);
        walk.standard_filters(false).sort_by_file_path(Ord::cmp);
        self.digest(path, walk)
    }

    fn digest(&self, directory: &Utf8Path, walk: WalkBuilder) -> Result<Digest> {
        let failed = |error: ignore::Error| Error::io("read", directory)(std::io::Error::other(error));
        let mut files = Vec::new();
        for entry in walk.build() {
            let entry = entry.map_err(failed)?;
            if !entry.file_type().is_none_or(|kind| kind.is_dir()) {
                files.push(entry.into_path());
            }
        }
        let digests: Vec<_> = files.par_iter().map(|file| self.file(file)).collect::<Result<_>>()?;
        let mut hasher = blake3::Hasher::new_derive_key("cargo-xcache package content");
        for (file, digest) in files.iter().zip(digests) {
            let name = file.strip_prefix(directory).unwrap_or(file).to_string_lossy();
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(digest.as_bytes());
        }
        Ok(hasher.into())
    }

    fn file(&self, path: &Path) -> Result<Digest> {
        let stamp = Stamp::of(path)?;
        if let Some((_, digest)) = self.lock().get(path).filter(|(known, _)| *known == stamp) {
            return Ok(*digest);
        }
        let digest = Digest::of(fs::read(path).map_err(Error::io("read", path))?);
        self.lock().insert(path.to_owned(), (stamp, digest));
        Ok(digest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Stamp, Digest)>> {
        self.files.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_counts_and_ignored_ones_and_built_ones_do_not() {
        let package = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(package.path()).unwrap();
        let write = |name: &str, text: &str| {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let contents = Contents::new(vec![path.join("built")]);
        let digest = || contents.package(path).unwrap();
        write("src/lib.rs", "");
        write(".gitignore", "/target\n");
        let before = digest();
        assert_eq!(digest(), before);
        write("target/debug/x", "built");
        write("built/debug/x", "built");
        write("inner/Cargo.toml", "[package]");
        assert_eq!(digest(), before);
        write("templates/page.html", "a");
        let with_template = digest();
        assert_ne!(with_template, before);
        write("templates/page.html", "bc");
        assert_ne!(digest(), with_template);
        assert_ne!(contents.path(path).unwrap(), digest());
    }

    #[test]
    fn a_file_that_was_named_counts_even_if_it_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join(".env");
        let contents = Contents::default();
        fs::write(&path, "A=1").unwrap();
        let before = contents.path(&path).unwrap();
        fs::write(&path, "A=22").unwrap();
        assert_ne!(contents.path(&path).unwrap(), before);
    }
}

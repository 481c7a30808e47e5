//! The content of packages in directories: every file that no `.gitignore` in them ignores.
//!
//! **Invariants.** A file is read again whenever its length, times or inode suggest that it has changed. Only regular
//! files are opened: a pipe or a socket counts by its name, and a link also by its target.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};
use ignore::WalkBuilder;
use rayon::prelude::*;

use crate::digest::{Digest, Domain};
use crate::error::{Error, Result};
use crate::fs::Stamp;

/// Files that tools look for in a package, even if git ignores them.
const ALWAYS: &[&str] = &[".env"];

/// Computes digests of directories, and caches those of files.
#[derive(Debug, Default)]
pub struct Contents {
    /// Build directories, which do not count as content.
    build_dirs: Vec<Utf8PathBuf>,
    /// The directories of all packages of the build.
    packages: Vec<Utf8PathBuf>,
    files: Mutex<HashMap<PathBuf, (Stamp, Digest)>>,
}

/// The content of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// The digest of all file names and contents.
    pub digest: Digest,
    /// When a file was last changed in any way, including a rename.
    pub changed: SystemTime,
}

impl Contents {
    /// `build_dirs` do not count; `packages` have digests of their own.
    pub fn new(build_dirs: Vec<Utf8PathBuf>, packages: Vec<Utf8PathBuf>) -> Self {
        Self { build_dirs, packages, files: Mutex::default() }
    }

    /// The content of a package's directory: relative names and contents, in order.
    ///
    /// Templates, migrations and other files that a build may read count as much as sources. The directories of other
    /// packages of the build are excluded: they have digests of their own.
    pub fn package(&self, directory: &Utf8Path) -> Result<Content> {
        let excluded: Vec<_> = self.build_dirs.iter().chain(&self.packages).cloned().collect();
        let mut walk = WalkBuilder::new(directory);
        walk.hidden(false).ignore(false).parents(false).require_git(false).git_global(false);
        walk.sort_by_file_path(Ord::cmp).filter_entry(move |entry| {
            entry.file_name() != ".git" && (entry.depth() == 0 || !excluded.iter().any(|path| entry.path() == path))
        });
        let always = ALWAYS.iter().map(|name| directory.join(name).into_std_path_buf());
        self.content(directory, walk, always.filter(|path| path.exists()).collect())
    }

    /// The digest of a file or of everything below a directory, including ignored files.
    pub fn path(&self, path: &Utf8Path) -> Result<Digest> {
        let mut walk = WalkBuilder::new(path);
        walk.standard_filters(false).sort_by_file_path(Ord::cmp);
        Ok(self.content(path, walk, Vec::new())?.digest)
    }

    fn content(&self, directory: &Utf8Path, walk: WalkBuilder, mut files: Vec<PathBuf>) -> Result<Content> {
        let failed = |error: ignore::Error| Error::io("read", directory)(std::io::Error::other(error));
        for entry in walk.build() {
            let entry = entry.map_err(failed)?;
            // The directory itself may be a link.
            let is_walked = entry.depth() == 0 && entry.path().is_dir();
            if !is_walked && entry.file_type().is_none_or(|kind| !kind.is_dir()) {
                files.push(entry.into_path());
            }
        }
        let digests: Vec<_> = files.par_iter().map(|file| self.path_digest(file)).collect::<Result<_>>()?;
        let names = files.iter().map(|file| file.strip_prefix(directory).unwrap_or(file).as_os_str());
        let named: Vec<_> = names.zip(digests.iter().map(|(digest, _)| digest)).collect();
        let changed = digests.iter().map(|(_, changed)| *changed).max().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Content { digest: Digest::of_value(Domain::PackageContent, &named), changed })
    }

    /// The digest of a path that is not a directory, and when it was changed.
    fn path_digest(&self, path: &Path) -> Result<(Digest, SystemTime)> {
        let kind = fs::symlink_metadata(path).map_err(Error::io("read", path))?.file_type();
        if kind.is_symlink() {
            return self.link(path);
        }
        if kind.is_file() { self.file(path) } else { Ok((placeholder("special"), SystemTime::UNIX_EPOCH)) }
    }

    /// The target of a link and the content there. Links below a linked directory are not followed.
    fn link(&self, path: &Path) -> Result<(Digest, SystemTime)> {
        let target = fs::read_link(path).map_err(Error::io("read", path))?;
        let (content, changed) = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => self.file(path)?,
            Ok(metadata) if metadata.is_dir() => self.linked_directory(path)?,
            _ => (placeholder("nothing"), SystemTime::UNIX_EPOCH),
        };
        Ok((Digest::of_value(Domain::PackageContent, &("link", target.as_os_str(), content)), changed))
    }

    fn linked_directory(&self, path: &Path) -> Result<(Digest, SystemTime)> {
        let directory = fs::canonicalize(path).map_err(Error::io("read", path))?;
        let mut walk = WalkBuilder::new(&directory);
        walk.standard_filters(false).sort_by_file_path(Ord::cmp);
        let mut parts = Vec::new();
        let mut changed = SystemTime::UNIX_EPOCH;
        for entry in walk.build().flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file())) {
            let (digest, at) = self.file(entry.path())?;
            parts.push((entry.path().strip_prefix(&directory).unwrap_or(entry.path()).as_os_str().to_owned(), digest));
            changed = changed.max(at);
        }
        parts.sort();
        Ok((Digest::of_value(Domain::PackageContent, &parts), changed))
    }

    fn file(&self, path: &Path) -> Result<(Digest, SystemTime)> {
        let stamp = Stamp::of(path)?;
        if let Some((_, digest)) = self.lock().get(path).filter(|(known, _)| *known == stamp) {
            return Ok((*digest, stamp.changed()));
        }
        let digest = Digest::of(fs::read(path).map_err(Error::io("read", path))?);
        self.lock().insert(path.to_owned(), (stamp, digest));
        Ok((digest, stamp.changed()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Stamp, Digest)>> {
        self.files.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Stands for something that is not a file. No file has this digest, whatever its content.
fn placeholder(what: &str) -> Digest {
    Digest::of_value(Domain::PackageContent, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_counts_except_ignored_and_built_ones() {
        let package = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(package.path()).unwrap();
        let write = |name: &str, text: &str| {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let contents = Contents::new(vec![path.join("built")], vec![path.to_owned(), path.join("inner")]);
        let digest = || contents.package(path).unwrap().digest;
        write("src/lib.rs", "");
        write(".gitignore", "/target\n.env\n");
        let before = digest();
        assert_eq!(digest(), before);
        write("target/debug/x", "built");
        write("built/debug/x", "built");
        write("inner/Cargo.toml", "[package]");
        assert_eq!(digest(), before);
        for (name, text) in
            [("templates/page.html", "a"), ("templates/page.html", "bc"), ("templates/Cargo.toml", ""), (".env", "A=1")]
        {
            let before = digest();
            write(name, text);
            assert_ne!(digest(), before, "{name}");
        }
    }

    #[test]
    fn a_named_file_counts_even_if_it_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join("ignored");
        let contents = Contents::default();
        fs::write(&path, "A=1").unwrap();
        let before = contents.path(&path).unwrap();
        fs::write(&path, "A=22").unwrap();
        assert_ne!(contents.path(&path).unwrap(), before);
    }

    #[cfg(unix)]
    #[test]
    fn a_linked_directory_counts_by_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap();
        let (package, link) = (path.join("package"), path.join("link"));
        fs::create_dir_all(package.join("built")).unwrap();
        fs::write(package.join("lib.rs"), "").unwrap();
        std::os::unix::fs::symlink(&package, &link).unwrap();
        let of = |path: &Utf8Path| Contents::new(vec![path.join("built")], Vec::new()).package(path).unwrap();
        let before = of(&link);
        assert_eq!(before, of(&package));
        fs::write(package.join("built/x"), "").unwrap();
        assert_eq!(before, of(&link), "the build directory does not count");
        fs::write(package.join("lib.rs"), "pub fn f() {}").unwrap();
        assert_ne!(before.digest, of(&link).digest);
    }

    #[cfg(unix)]
    #[test]
    fn links_count_and_no_directory_is_read_twice() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap();
        let contents = Contents::default();
        fs::create_dir(path.join("data")).unwrap();
        std::os::unix::fs::symlink("nowhere", path.join("dangling")).unwrap();
        std::os::unix::fs::symlink("..", path.join("data/up")).unwrap();
        let before = contents.package(path).unwrap();
        fs::write(path.join("data/file"), "x").unwrap();
        assert_ne!(contents.package(path).unwrap().digest, before.digest);
        assert!(contents.package(path).unwrap().changed > before.changed);
    }
}

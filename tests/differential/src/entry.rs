//! Files that a walk writes, text or not. The same description always makes the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::tree;

use crate::render::Files;

/// Entries by their path below some directory.
pub(crate) type Entries = BTreeMap<String, Entry>;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file; an empty text means none.
    Text(String),
    /// A shell script.
    Program(String),
    /// An object, compiled from this C code.
    Object(String),
    /// An archive with such an object.
    Archive(String),
    /// A symbolic link.
    Link(PathBuf),
    /// A directory with any contents.
    Directory,
}

impl Entry {
    /// Writes the entry, replacing what was there.
    pub(crate) fn write(&self, path: &Path) {
        fs::create_dir_all(path.parent().expect("an entry is in a directory")).expect("directories can be created");
        match self {
            Self::Text(text) if text.is_empty() => drop(fs::remove_file(path)),
            Self::Text(text) => tree::write(path, text),
            Self::Program(text) => tree::write_script(path, text),
            Self::Object(code) => compile(code, path),
            Self::Archive(code) => archive(code, path),
            Self::Link(target) => {
                let _ = fs::remove_file(path);
                std::os::unix::fs::symlink(target, path).expect("a link can be created");
            }
            Self::Directory => fs::create_dir_all(path).expect("directories can be created"),
        }
    }

    pub(crate) fn remove(&self, path: &Path) {
        // A directory that is not empty stays.
        let _ = if *self == Self::Directory { fs::remove_dir(path) } else { fs::remove_file(path) };
    }

    /// Whether it is a file, which can keep an earlier time.
    pub(crate) fn is_file(&self) -> bool {
        !matches!(self, Self::Link(_) | Self::Directory)
    }
}

pub(crate) fn texts(files: Files) -> Entries {
    files.into_iter().map(|(path, text)| (path, Entry::Text(text))).collect()
}

fn compile(code: &str, object: &Path) {
    let mut cc = Command::new("cc");
    cc.args(["-c", "-fPIC", "-x", "c", "-", "-o"]).arg(object).stdin(Stdio::piped());
    let mut cc = cc.spawn().expect("a C compiler starts");
    let mut stdin = cc.stdin.take().expect("its standard input is a pipe");
    stdin.write_all(code.as_bytes()).expect("the compiler reads its input");
    drop(stdin);
    assert!(cc.wait().is_ok_and(|status| status.success()), "cannot compile {code}");
}

fn archive(code: &str, path: &Path) {
    let object = path.with_extension("o");
    compile(code, &object);
    let _ = fs::remove_file(path);
    // Without times and owners.
    let status = Command::new("ar").arg("crsD").args([path, &object]).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot create {}", path.display());
    tree::remove_file(&object);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiling_the_same_code_again_makes_the_same_bytes() {
        let dir = tempfile::tempdir().expect("a directory can be created");
        let code = |value: u8| format!("int f(void) {{ return {value}; }}\n");
        for make in [Entry::Object as fn(String) -> Entry, Entry::Archive] {
            let made = |value| {
                let path = dir.path().join("x/made");
                make(code(value)).write(&path);
                fs::read(path).expect("the file exists")
            };
            let (one, two, again) = (made(1), made(2), made(1));
            assert_eq!(one, again);
            assert_ne!(one, two);
            assert_eq!(one.len(), two.len());
        }
        assert_eq!(tree::files(dir.path()).len(), 1);
    }
}

//! Directory trees: copying, counting, damaging, comparing.

use std::fs;
use std::path::{Path, PathBuf};

/// Copies a tree, without directories named `target`.
pub fn copy(from: &Path, to: &Path) {
    copy_with(from, to, &|from, to| {
        fs::copy(from, to).unwrap_or_else(|error| panic!("cannot copy {}: {error}", from.display()));
    });
}

/// Copies a tree whose files nothing changes: with hard links if the file system supports them.
pub fn link(from: &Path, to: &Path) {
    copy_with(from, to, &|from, to| {
        if fs::hard_link(from, to).is_err() {
            fs::copy(from, to).unwrap_or_else(|error| panic!("cannot copy {}: {error}", from.display()));
        }
    });
}

fn copy_with(from: &Path, to: &Path, copy_file: &dyn Fn(&Path, &Path)) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("cannot create {}: {error}", to.display()));
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("cannot read {}: {error}", from.display())) {
        let entry = entry.expect("a directory entry can be read");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().expect("a directory entry has a type") {
            kind if kind.is_dir() && entry.file_name() == "target" => {}
            kind if kind.is_dir() => copy_with(&source, &target, copy_file),
            _ => copy_file(&source, &target),
        }
    }
}

/// Every file below a directory, sorted; empty if the directory does not exist.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}

/// The files of cargo's fingerprints in a build directory of any layout.
pub fn fingerprints(build: &Path) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| path.iter().any(|part| part == ".fingerprint" || part == "fingerprint");
    files(build).into_iter().filter(is_one).collect()
}

/// Reads a file of text.
#[track_caller]
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The entries of a directory.
#[track_caller]
pub fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("cannot list {}: {error}", dir.display()));
    entries.map(|entry| entry.expect("entries can be read").path()).collect()
}

/// Writes a file, and creates its directory.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("directories can be created");
    fs::write(path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// Writes an executable shell script.
pub fn write_script(path: &Path, content: &str) {
    write(path, format!("#!/bin/sh\n{content}\n"));
    let executable = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(path, executable).expect("permissions can be set");
}

/// Flips one bit in the middle of a file, and keeps its size and time.
pub fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("files have times");
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).expect("an empty file cannot be damaged") ^= 1;
    make_writable(path);
    fs::write(path, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    fs::File::options().write(true).open(path).and_then(|file| file.set_modified(modified)).expect("times can be set");
}

/// Removes a file.
pub fn remove_file(path: &Path) {
    fs::remove_file(path).unwrap_or_else(|error| panic!("cannot remove {}: {error}", path.display()));
}

/// Removes a tree, if it exists.
pub fn remove(dir: &Path) {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            panic!("cannot remove {}: {error}", dir.display())
        }
        _ => {}
    }
}

/// Makes a read-only file of a store writable.
pub fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).expect("the file exists").permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o200)).expect("permissions can be set");
}

use std::thread;

use tempfile::TempDir;

use super::*;
use crate::entry::{Constraints, FileKind, PackRef};

fn store() -> (TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).unwrap();
    (directory, store)
}

fn entry(store: &LocalStore, name: &str, contents: &[&[u8]]) -> Entry {
    let files = contents
        .iter()
        .enumerate()
        .map(|(index, content)| {
            let (size, digest) = store.add_bytes(content).unwrap();
            FileRecord { name: format!("lib{name}-{index}.rlib"), kind: FileKind::Rlib, size, digest, mode: None }
        })
        .collect();
    Entry {
        key: UnitKey(Digest::of(name)),
        package: format!("{name} 1.0.0"),
        target: name.into(),
        files,
        notices: vec![],
        diagnostics: vec![],
        metadata: None,
        code: None,
        constraints: Constraints::default(),
        fresh: None,
        compile_ms: 10,
        pack: None,
    }
}

fn packed(store: &LocalStore, entry: &mut Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    let files = entry.files.iter().map(|file| Ok(io::Cursor::new(store.read(file).unwrap())));
    entry.pack = Some(pack::write(files, 3, &mut bytes).unwrap());
    bytes
}

#[test]
fn a_stored_entry_is_found_with_its_files() {
    let (directory, store) = store();
    let entry = entry(&store, "serde", &[b"one", b"two"]);
    assert_eq!(store.entry(entry.key).unwrap(), None);
    store.put_entry(&entry).unwrap();
    assert_eq!(store.entry(entry.key).unwrap().as_ref(), Some(&entry));
    let destination = directory.path().join("out.rlib");
    store.copy_out(&entry.files[1], &destination).unwrap();
    assert_eq!(fs::read(destination).unwrap(), b"two");
    assert_eq!(store.read(&entry.files[0]).unwrap(), b"one");
}

#[cfg(unix)]
#[test]
fn raw_files_and_copies_of_them_have_the_mode_of_compiled_files() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, store) = store();
    let entry = entry(&store, "serde", &[b"one"]);
    let destination = directory.path().join("out.rlib");
    store.copy_out(&entry.files[0], &destination).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store.file_path(entry.files[0].digest)), 0o644);
    assert_eq!(mode(&destination), 0o644);
}

#[test]
fn an_entry_without_all_its_files_is_absent_and_forgotten() {
    let (_directory, store) = store();
    let entry = entry(&store, "serde", &[b"one", b"two"]);
    store.put_entry(&entry).unwrap();
    fs::remove_file(store.file_path(entry.files[1].digest)).unwrap();
    assert_eq!(store.entry(entry.key).unwrap(), None);
    assert!(!store.entry_path(entry.key).exists());
}

#[test]
fn an_entry_with_a_truncated_file_is_absent() {
    let (_directory, store) = store();
    let entry = entry(&store, "serde", &[b"one"]);
    store.put_entry(&entry).unwrap();
    fs::remove_file(store.file_path(entry.files[0].digest)).unwrap();
    fs::write(store.file_path(entry.files[0].digest), b"o").unwrap();
    assert_eq!(store.entry(entry.key).unwrap(), None);
}

#[test]
fn a_damaged_entry_is_reported_once() {
    let (_directory, store) = store();
    let entry = entry(&store, "serde", &[]);
    store.put_entry(&entry).unwrap();
    let path = store.entry_path(entry.key);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(store.entry(entry.key), Err(Error::Corrupt { .. })));
    assert!(matches!(store.entry(entry.key), Ok(None)));
}

#[test]
fn an_entry_of_another_format_version_is_absent_and_stays() {
    let (_directory, store) = store();
    let entry = entry(&store, "serde", &[]);
    store.put_entry(&entry).unwrap();
    let path = store.entry_path(entry.key);
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] += 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(store.entry(entry.key), Ok(None)));
    assert!(path.exists());
}

#[test]
fn a_damaged_file_never_reaches_its_destination() {
    let (directory, store) = store();
    let entry = entry(&store, "serde", &[b"one"]);
    let path = store.file_path(entry.files[0].digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"onE").unwrap();
    let destination = directory.path().join("deps");
    fs::create_dir(&destination).unwrap();
    let error = store.copy_out(&entry.files[0], &destination.join("out.rlib")).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }));
    assert_eq!(fs::read_dir(destination).unwrap().count(), 0);
    assert!(!path.exists());
}

#[test]
fn a_lookup_marks_the_entry_as_used_and_leaves_its_files_alone() {
    let (_directory, store) = store();
    let entry = entry(&store, "serde", &[b"one"]);
    store.put_entry(&entry).unwrap();
    let old = SystemTime::now() - Duration::from_secs(100_000);
    File::open(store.entry_path(entry.key)).unwrap().set_modified(old).unwrap();
    File::open(store.file_path(entry.files[0].digest)).unwrap().set_modified(old).unwrap();
    let modified = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    store.entry(entry.key).unwrap();
    assert!(modified(store.entry_path(entry.key)) > old);
    assert_eq!(modified(store.file_path(entry.files[0].digest)), old);
}

#[test]
fn a_pack_is_unpacked_whole() {
    let (_directory, store) = store();
    let mut entry = entry(&store, "serde", &[b"one", b"two"]);
    let bytes = packed(&store, &mut entry);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = LocalStore::open(elsewhere.path()).unwrap();
    other.unpack(&entry, &bytes[..]).unwrap();
    assert_eq!(other.read(&entry.files[1]).unwrap(), b"two");
    assert_eq!(other.entry(entry.key).unwrap(), None, "the caller stores the entry");
}

#[test]
fn a_truncated_or_wrong_pack_leaves_nothing() {
    let (_directory, store) = store();
    let mut entry = entry(&store, "serde", &[b"one", b"two"]);
    let bytes = packed(&store, &mut entry);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = LocalStore::open(elsewhere.path()).unwrap();
    assert!(matches!(other.unpack(&entry, &bytes[..bytes.len() - 3]), Err(Error::Corrupt { .. })));
    let wrong = Entry { pack: Some(PackRef { digest: Digest::of("x"), ..entry.pack.unwrap() }), ..entry.clone() };
    assert!(matches!(other.unpack(&wrong, &bytes[..]), Err(Error::Corrupt { .. })));
    assert!(matches!(other.unpack(&Entry { pack: None, ..entry.clone() }, &bytes[..]), Err(Error::Corrupt { .. })));
    assert_eq!(walk(&other.root.join("file")).unwrap().len(), 0);
    assert_eq!(children(&other.root.join("tmp")).unwrap().len(), 0);
}

#[test]
fn an_error_of_the_input_does_not_count_as_damage() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let (_directory, store) = store();
    let mut entry = entry(&store, "serde", &[b"one"]);
    packed(&store, &mut entry);
    let error = store.unpack(&entry, Broken).unwrap_err();
    assert!(matches!(error, Error::Io { action: "read", .. }), "{error:?}");
}

#[test]
fn a_store_that_cannot_be_written_to_can_be_read() {
    let (_directory, store) = store();
    let entry = entry(&store, "serde", &[b"one"]);
    store.put_entry(&entry).unwrap();
    fs::remove_dir(store.root.join("tmp")).unwrap();
    fs::write(store.root.join("tmp"), b"in the way").unwrap();
    assert!(store.entry(entry.key).unwrap().is_some());
    assert_eq!(store.read(&entry.files[0]).unwrap(), b"one");
    assert!(matches!(store.add_bytes(b"new"), Err(Error::Io { .. })));
    assert!(store.put_entry(&entry).is_err());
    let mut entry = entry;
    let bytes = packed(&store, &mut entry);
    assert!(matches!(store.unpack(&entry, &bytes[..]), Err(Error::Io { action: "write to", .. })));
}

#[test]
fn markers_belong_to_a_remote_and_seen_entries_to_a_process() {
    let (directory, store) = store();
    let (one, two) = (entry(&store, "one", &[b"1"]), entry(&store, "two", &[b"2"]));
    store.mark_pushed("0123", one.key).unwrap();
    let pushed = |remote: &str| [&one, &two].map(|entry| store.is_pushed(remote, entry.key));
    assert_eq!((pushed("0123"), pushed("4567")), ([true, false], [false, false]));
    let another_process = LocalStore::open(directory.path()).unwrap();
    assert!(store.is_seen("0123", one.key) && !another_process.is_seen("0123", one.key));
    store.unmark_pushed("0123", one.key).unwrap();
    assert_eq!((pushed("0123"), store.is_seen("0123", one.key)), ([false, false], false));
}

#[test]
fn a_probe_comes_back_unless_it_is_damaged() {
    let (_directory, store) = store();
    let digest = Digest::of("rustc -vV");
    assert_eq!(store.probe(digest), None);
    store.put_probe(digest, b"rustc 1.0").unwrap();
    assert_eq!(store.probe(digest).as_deref(), Some(&b"rustc 1.0"[..]));
    let other = Digest::of("another question");
    store.put_probe(other, b"another answer").unwrap();
    fs::copy(store.probe_path(other), store.probe_path(digest)).unwrap();
    assert_eq!(store.probe(digest), None, "this is the answer to another question");
    fs::write(store.probe_path(digest), b"short").unwrap();
    assert_eq!(store.probe(digest), None);
}

#[test]
fn many_threads_may_write_the_same_objects() {
    let (_directory, store) = store();
    let content = vec![7; 300_000];
    thread::scope(|scope| {
        for thread in 0..8 {
            let (store, content) = (&store, &content);
            scope.spawn(move || {
                for _ in 0..20 {
                    let entry = entry(store, "serde", &[content, &[thread]]);
                    assert_eq!(store.add_bytes(content).unwrap(), (300_000, Digest::of(content)));
                    store.put_entry(&entry).unwrap();
                    assert!(store.entry(entry.key).unwrap().is_some());
                    assert_eq!(&store.read(&entry.files[0]).unwrap(), content);
                }
            });
        }
    });
    assert_eq!(children(&store.root.join("tmp")).unwrap().len(), 0);
}

#[test]
fn everything_that_is_stored_counts_towards_the_size() {
    let (_directory, store) = store();
    let used = || store.usage().unwrap().bytes;
    store.add_bytes(&[1; 100]).unwrap();
    store.put_probe(Digest::of("probe"), &[2; 200]).unwrap();
    let before = used();
    store.put_input_history(Digest::of("known"), &[3; 1000]).unwrap();
    assert_eq!(used(), before + 1000);
    assert_eq!(super::super::gc::collect(&store, 1 << 20).unwrap().left, used(), "the collection uses this size");
}

use tempfile::TempDir;

use super::*;
use crate::entry::{Constraints, FileKind, FileRecord};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn store() -> (TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).unwrap();
    (directory, store)
}

fn set_age(path: &Path, age: Duration) {
    File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

/// A time at which files written now are no longer young.
fn later() -> SystemTime {
    SystemTime::now() + YOUNG * 2
}

/// Stores an entry with one file of 10,000 bytes that was last used this many days ago.
fn put(store: &LocalStore, name: &str, content: u8, days: u32) -> Entry {
    let (size, digest) = store.add_bytes(&[content; 10_000]).unwrap();
    let entry = Entry {
        key: UnitKey(Digest::of(name)),
        package: name.into(),
        target: name.into(),
        files: vec![FileRecord { name: "lib.rlib".into(), kind: FileKind::Rlib, size, digest, mode: None }],
        notices: vec![],
        diagnostics: vec![],
        metadata: None,
        code: None,
        constraints: Constraints::default(),
        fresh: None,
        compile_ms: 10,
        pack: None,
    };
    store.put_entry(&entry).unwrap();
    store.mark_pushed("0123", entry.key).unwrap();
    let path = store.keys().unwrap().into_iter().find(|(key, _)| *key == entry.key).unwrap().1;
    set_age(&path, DAY * days);
    entry
}

#[test]
fn a_store_below_its_size_is_left_alone() {
    let (_directory, store) = store();
    let entry = put(&store, "one", 1, 9);
    assert_eq!(collect(&store, 1 << 20).unwrap().entries, 0);
    assert!(store.entry(entry.key).unwrap().is_some());
}

#[test]
fn the_least_recently_used_entries_go_first_with_their_files_and_markers() {
    let (_directory, store) = store();
    let entries: Vec<_> = (0..5).map(|index| put(&store, &format!("u{index}"), index, 9 - u32::from(index))).collect();
    let collected = collect_as_of(&store, 40_000, later()).unwrap();
    assert_eq!((collected.entries, collected.files), (2, 2), "{collected:?}");
    assert!(collected.left <= 36_000);
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(store.entry(entry.key).unwrap().is_some(), index >= 2, "{index}");
        assert_eq!(store.file_path(entry.files[0].digest).exists(), index >= 2, "{index}");
        assert_eq!(store.is_pushed("0123", entry.key), index >= 2, "{index}");
    }
}

#[test]
fn a_file_that_another_entry_names_stays() {
    let (_directory, store) = store();
    let old = put(&store, "old", 1, 9);
    let new = put(&store, "new", 1, 1);
    put(&store, "other", 2, 2);
    collect_as_of(&store, 12_000, later()).unwrap();
    assert!(store.entry(old.key).unwrap().is_none());
    assert!(store.entry(new.key).unwrap().is_some());
}

#[test]
fn a_young_file_may_belong_to_an_entry_that_is_not_written_yet() {
    let (_directory, store) = store();
    let (_, file) = store.add_bytes(&[1; 10_000]).unwrap();
    collect(&store, 1_000).unwrap();
    assert!(store.file_path(file).exists());
    collect_as_of(&store, 1_000, later()).unwrap();
    assert!(!store.file_path(file).exists());
}

#[test]
fn temporary_files_of_killed_processes_are_removed() {
    let (_directory, store) = store();
    let (old, new) = (store.root().join("tmp/old"), store.root().join("tmp/new"));
    fs::write(&old, b"x").unwrap();
    fs::write(&new, b"x").unwrap();
    set_age(&old, DAY * 2);
    collect(&store, 1 << 20).unwrap();
    assert!(!old.exists() && new.exists());
}

#[test]
fn only_one_process_collects_and_only_once_an_hour() {
    let (_directory, store) = store();
    put(&store, "one", 1, 9);
    let lock = File::create(store.root().join("gc.lock")).unwrap();
    FileExt::lock(&lock).unwrap();
    assert_eq!(collect(&store, 1).unwrap(), Collected::default());
    FileExt::unlock(&lock).unwrap();
    assert!(collect_if_due(&store, 1).unwrap().is_some_and(|collected| collected.entries == 1));
    assert!(collect_if_due(&store, 1).unwrap().is_none());
    set_age(&store.root().join("gc.stamp"), DAY);
    assert!(collect_if_due(&store, 1).unwrap().is_some());
}

#[test]
fn input_history_is_removed_when_it_is_old_and_after_everything_else_when_room_is_needed() {
    let (_directory, store) = store();
    let identities = ["one", "two", "three"].map(Digest::of);
    for (identity, days) in identities.iter().zip([100, 20, 10]) {
        store.put_input_history(*identity, &[0; 1_000]).unwrap();
        set_age(
            &walk(&store.root().join("known"))
                .unwrap()
                .into_iter()
                .find(|path| file_digest(path) == Some(*identity))
                .unwrap(),
            DAY * days,
        );
    }
    let present = || identities.map(|identity| store.input_history(identity).is_some());
    collect(&store, 1 << 20).unwrap();
    assert_eq!(present(), [false, true, true]);
    put(&store, "one", 1, 9);
    collect_as_of(&store, 5_000, later()).unwrap();
    assert_eq!((store.keys().unwrap().len(), present()), (0, [false, true, true]), "entries go first");
    collect_as_of(&store, 1_500, later()).unwrap();
    assert_eq!(present(), [false, false, true]);
}

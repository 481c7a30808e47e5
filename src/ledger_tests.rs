use std::fs;
use std::thread;

use super::*;

fn ledger() -> (tempfile::TempDir, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger { directory: directory.path().join("stats") };
    (directory, ledger)
}

fn hits(hits: u64) -> Tally {
    Tally { sessions: 1, hits, ..Tally::default() }
}

fn total(ledger: &Ledger) -> (u64, u64) {
    let tally = ledger.total().unwrap();
    (tally.sessions, tally.hits)
}

#[test]
fn parallel_sessions_all_count_and_their_files_do_not_pile_up() {
    let (_directory, ledger) = ledger();
    thread::scope(|scope| {
        for thread in 0..8 {
            let ledger = &ledger;
            scope.spawn(move || {
                for session in 0..50 {
                    ledger.record(&format!("{thread}-{session}"), &hits(session)).unwrap();
                    if session == 25 {
                        ledger.total().unwrap();
                    }
                }
            });
        }
    });
    assert!(ledger.files().unwrap().len() <= MAX_FILES + 8, "{:?}", ledger.files());
    assert_eq!(total(&ledger), (400, 8 * (0..50).sum::<u64>()));
    assert!(ledger.files().unwrap().is_empty());
    assert_eq!(total(&ledger).0, 400);
}

#[test]
fn a_session_whose_file_was_not_removed_counts_once() {
    let (_directory, ledger) = ledger();
    ledger.record("one", &hits(1)).unwrap();
    let kept = fs::read(ledger.sessions().join("one.json")).unwrap();
    assert_eq!(total(&ledger), (1, 1));
    // As if the process had been killed before it removed the file.
    fs::write(ledger.sessions().join("one.json"), kept).unwrap();
    ledger.record("two", &hits(2)).unwrap();
    assert_eq!(total(&ledger), (2, 3));
    assert_eq!(total(&ledger), (2, 3));
}

#[test]
fn damaged_files_are_not_counted_and_do_no_harm() {
    let (_directory, ledger) = ledger();
    ledger.record("one", &hits(1)).unwrap();
    fs::write(ledger.sessions().join("two.json"), "{\"sess").unwrap();
    assert_eq!(total(&ledger), (1, 1));
    assert!(ledger.files().unwrap().is_empty());
    fs::write(ledger.total_path(), "\0").unwrap();
    ledger.record("three", &hits(3)).unwrap();
    assert_eq!(total(&ledger), (1, 3));
}

#[test]
fn a_reset_clears_all_sums() {
    let (_directory, ledger) = ledger();
    ledger.record("one", &hits(1)).unwrap();
    ledger.total().unwrap();
    ledger.record("two", &hits(1)).unwrap();
    ledger.reset().unwrap();
    assert_eq!(total(&ledger), (0, 0));
    ledger.reset().unwrap();
}

#[test]
fn a_ledger_that_cannot_be_locked_can_be_read() {
    let (_directory, ledger) = ledger();
    ledger.record("one", &hits(1)).unwrap();
    fs::create_dir(ledger.directory.join("lock")).unwrap();
    assert_eq!(total(&ledger), (1, 1));
    assert_eq!(ledger.files().unwrap().len(), 1);
}

#[test]
fn no_session_waits_for_the_lock() {
    let (_directory, ledger) = ledger();
    let lock = ledger.open_lock().unwrap();
    FileExt::lock(&lock).unwrap();
    for session in 0..=MAX_FILES + 1 {
        ledger.record(&session.to_string(), &hits(1)).unwrap();
    }
    assert_eq!(ledger.files().unwrap().len(), MAX_FILES + 2);
}

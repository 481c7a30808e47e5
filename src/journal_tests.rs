use std::fs;

use proptest::prelude::*;

use super::*;
use crate::report::Report;
use crate::report::tests::{assert_nothing_is_made_up, session, sessions};

/// Collects the warnings.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn observe(&self, event: &Event) {
        if let EventKind::Warning { message } = &event.kind {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

fn written(path: &Path, events: &[Event]) -> Vec<u8> {
    let journal = Journal::new(path, "session".into(), Arc::new(()));
    events.iter().for_each(|event| journal.observe(event));
    fs::read(path).unwrap()
}

fn event(at_ms: u64) -> Event {
    Event { at_ms, kind: EventKind::SessionFinished }
}

proptest! {
    #[test]
    fn any_part_of_a_journal_gives_a_report_without_invented_facts(
        (fates, code) in sessions(),
        cut in any::<prop::sample::Index>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let events = session(&fates, code);
        let text = written(&directory.path().join("events"), &events);
        let whole = lines::read(&text).unwrap();
        prop_assert_eq!(&whole, std::slice::from_ref(&events));

        // The last byte ends the line. Without it, no event is missing.
        let left = lines::read(&text[..cut.index(text.len() - 1)]).unwrap();
        let left = left.first().map_or(&[][..], Vec::as_slice);
        prop_assert_eq!(left, &events[..left.len()]);
        prop_assert!(left.len() < events.len());
        prop_assert!(!Report::from_events(left).complete);
        assert_nothing_is_made_up(left, &events);
    }
}

#[test]
fn a_line_is_written_when_its_event_happens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events");
    let journal = Journal::new(&path, "session".into(), Arc::new(()));
    for count in 1..4 {
        journal.observe(&event(count));
        assert_eq!(lines::read(&fs::read(&path).unwrap()).unwrap()[0].len(), count as usize);
    }
}

#[test]
fn sessions_append_to_a_file_and_start_on_a_new_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events");
    let first = written(&path, &[event(1), event(2)]);
    fs::write(&path, &first[..first.len() - 10]).unwrap();
    Journal::new(&path, "another".into(), Arc::new(())).observe(&event(3));
    assert_eq!(lines::read(&fs::read(&path).unwrap()).unwrap(), [[event(1)], [event(3)]]);
}

#[test]
fn a_new_target_directory_is_marked_as_by_cargo() {
    let directory = tempfile::tempdir().unwrap();
    written(&directory.path().join("target/events"), &[event(1)]);
    assert!(directory.path().join("target/CACHEDIR.TAG").exists());
}

#[test]
fn a_file_that_cannot_be_opened_causes_one_warning() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let warnings = Arc::new(Warnings::default());
    let journal = Journal::new(&directory.path().join("file/events"), "session".into(), warnings.clone());
    journal.observe(&event(1));
    journal.observe(&event(2));
    let warnings = warnings.0.lock().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("file/events"), "{warnings:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_causes_one_warning() {
    let warnings = Arc::new(Warnings::default());
    let journal = Journal::new(Path::new("/dev/full"), "session".into(), warnings.clone());
    journal.observe(&event(1));
    journal.observe(&event(2));
    assert_eq!(warnings.0.lock().unwrap().len(), 1);
}

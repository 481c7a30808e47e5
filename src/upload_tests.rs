use std::fs;

use super::*;
use crate::store::input_history;
use crate::store::testing::{Machine, entry_path, pack_path};

#[test]
fn a_sent_unit_is_in_the_remote_and_marked() {
    let shared = tempfile::tempdir().unwrap();
    let machine = Machine::new(shared.path());
    let entries = [machine.compile("one", &[1; 5000]), machine.compile("two", &[2; 5000])];
    let summary = machine.send(&entries, Some(Digest::of("graph")));
    assert_eq!((summary.sent, summary.left), (2, 0));
    for entry in &entries {
        assert!(entry_path(shared.path(), entry).exists());
        assert!(pack_path(shared.path(), &machine, entry).exists());
        assert!(machine.local.is_pushed(machine.remote.id(), entry.key));
    }
    let graph = machine.runtime.handle().block_on(machine.remote.graph(Digest::of("graph"))).unwrap().unwrap();
    assert!(graph.entries.len() == 2 && graph.entries.iter().all(|entry| entry.pack.is_some()));
    let UploadSummary { sent, left, bytes } = summary;
    assert!(machine.kinds().contains(&EventKind::UploadFinished { sent, left, bytes }));
    let uploaded = |kind| match kind {
        EventKind::Uploaded { key, package, bytes, .. } => Some((key, package, bytes > 0)),
        _ => None,
    };
    let mut uploaded: Vec<_> = machine.kinds().into_iter().filter_map(uploaded).collect();
    uploaded.sort_by(|one, other| one.1.cmp(&other.1));
    let [one, two] = &entries;
    assert_eq!(uploaded, [(one.key, "one 1.0.0".into(), true), (two.key, "two 1.0.0".into(), true)]);
    assert_eq!(machine.requests(), 5, "two packs, two entries, one index");
}

#[test]
fn an_index_lists_only_units_in_this_remote() {
    let shared = tempfile::tempdir().unwrap();
    let machine = Machine::new(shared.path());
    let (sent, kept) = (machine.compile("sent", b"1"), machine.compile("kept", b"2"));
    let upload = machine.upload();
    upload.send(sent.clone());
    let graph = Digest::of("graph");
    upload.finish(Some((graph, vec![sent.key, kept.key])), &AtomicBool::new(false));
    let index = machine.runtime.handle().block_on(machine.remote.graph(graph)).unwrap().unwrap();
    assert_eq!(index.entries.iter().map(|entry| entry.key).collect::<Vec<_>>(), [sent.key]);
}

#[test]
fn units_that_cannot_be_sent_stay_and_one_line_says_so() {
    let shared = tempfile::tempdir().unwrap();
    fs::write(shared.path().join("v1"), b"in the way").unwrap();
    let machine = Machine::new(shared.path());
    let entries: Vec<_> = (0..20).map(|index| machine.compile(&format!("u{index}"), &[index; 100])).collect();
    let summary = machine.send(&entries, Some(Digest::of("graph")));
    assert_eq!((summary.sent, summary.left), (0, 20));
    assert_eq!(machine.count(|kind| matches!(kind, EventKind::RemoteFailed { .. } | EventKind::Warning { .. })), 1);
    assert_eq!(machine.count(|kind| matches!(kind, EventKind::Uploaded { .. })), 0);
    assert!(entries.iter().all(|entry| !machine.local.is_pushed(machine.remote.id(), entry.key)));
}

#[test]
fn damage_on_this_disk_is_not_sent() {
    let shared = tempfile::tempdir().unwrap();
    let machine = Machine::new(shared.path());
    let entry = machine.compile("one", b"one");
    let path = machine.local.file_path(entry.files[0].digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"onE").unwrap();
    assert_eq!(machine.send(std::slice::from_ref(&entry), None).left, 1);
    assert_eq!(machine.count(|kind| matches!(kind, EventKind::CorruptObject { .. })), 1);
    assert!(!entry_path(shared.path(), &entry).exists());
}

#[test]
fn a_cancelled_drain_ends_at_once() {
    let shared = tempfile::tempdir().unwrap();
    let machine = Machine::new(shared.path());
    let upload = machine.upload();
    let entries: Vec<_> = (0..50).map(|index| machine.compile(&format!("u{index}"), &vec![index; 200_000])).collect();
    entries.iter().for_each(|entry| upload.send(entry.clone()));
    let start = Instant::now();
    let summary = upload.finish(Some((Digest::of("graph"), vec![])), &AtomicBool::new(true));
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(summary.sent + summary.left, 50);
}

#[test]
fn unit_inputs_are_added_to_the_shared_history_after_an_upload() {
    let shared = tempfile::tempdir().unwrap();
    let name = Digest::of("workspace");
    let not_cancelled = AtomicBool::new(false);
    let send = |name_of_unit: &str| {
        let machine = Machine::new(shared.path());
        let entry = machine.compile(name_of_unit, &[1; 100]);
        let upload = machine.upload();
        upload.send(entry);
        upload.with_shared_history(name, vec![input_history::unit_inputs(name_of_unit)]).finish(None, &not_cancelled);
        machine.requests()
    };
    assert_eq!([send("one"), send("two")], [4, 4], "a pack, an entry, and the history: read once, written once");
    let machine = Machine::new(shared.path());
    let upload = machine.upload();
    assert!(upload.is_idle());
    upload.with_shared_history(name, vec![input_history::unit_inputs("three")]).finish(None, &not_cancelled);
    assert_eq!(machine.requests(), 0, "nothing was sent");
    let bytes = machine.runtime.handle().block_on(machine.remote.input_history(name)).unwrap().unwrap();
    let count = |unit: &str| SharedHistory::decode(&bytes).of(input_history::unit_inputs(unit).identity()).len();
    assert_eq!(["one", "two", "three"].map(count), [1, 1, 0]);
}

/// The keys in an index.
fn listed(machine: &Machine, graph: Digest) -> Vec<UnitKey> {
    let index = machine.runtime.handle().block_on(machine.remote.graph(graph)).unwrap();
    index.into_iter().flat_map(|index| index.entries).map(|entry| entry.key).collect()
}

#[test]
fn units_that_have_disappeared_from_the_remote_are_sent_again_before_an_index_names_them() {
    let shared = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(shared.path());
    let names = ["whole", "without pack", "with half a pack", "without entry"];
    let entries = names.map(|name| machine.compile(name, &name.repeat(100).into_bytes()));
    machine.send(&entries, None);
    let pack = pack_path(shared.path(), &machine, &entries[2]);
    fs::write(&pack, b"half").unwrap();
    fs::remove_file(pack_path(shared.path(), &machine, &entries[1])).unwrap();
    fs::remove_file(entry_path(shared.path(), &entries[3])).unwrap();

    let graph = Digest::of("graph");
    let finish = |machine: &Machine| {
        let keys = entries.iter().map(|entry| entry.key).collect();
        machine.upload().finish(Some((graph, keys)), &AtomicBool::new(false))
    };
    machine.next_session(shared.path());
    assert_eq!(finish(&machine).sent, 3);
    assert_eq!(listed(&machine, graph).len(), 4);
    assert!(entries.iter().all(|entry| entry_path(shared.path(), entry).exists() && pack.exists()));
    machine.next_session(shared.path());
    assert_eq!((finish(&machine).sent, machine.requests()), (0, 2 * 4 + 1), "each is checked, and an index is written");
}

#[test]
fn an_index_names_no_unit_that_may_be_missing() {
    let shared = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(shared.path());
    let (gone, seen) = (machine.compile("gone", b"1"), machine.compile("seen", b"2"));
    machine.send(std::slice::from_ref(&gone), None);
    machine.next_session(shared.path());
    machine.send(std::slice::from_ref(&seen), None);
    fs::remove_dir_all(shared.path().join("v1/unit")).unwrap();
    // So it cannot be sent again.
    fs::remove_file(machine.local.file_path(gone.files[0].digest)).unwrap();
    let graph = Digest::of("graph");
    machine.upload().finish(Some((graph, vec![gone.key, seen.key])), &AtomicBool::new(false));
    assert_eq!(listed(&machine, graph), [seen.key]);
}

#[test]
fn units_that_cannot_be_checked_are_left() {
    let shared = tempfile::tempdir().unwrap();
    let mut machine = Machine::new(shared.path());
    let entry = machine.compile("one", b"1");
    machine.send(std::slice::from_ref(&entry), None);
    machine.next_session(shared.path());
    machine.remote.give_up("no byte for 1 s");
    let upload = machine.upload();
    upload.verify(machine.local.entry(entry.key).unwrap().unwrap());
    let summary = upload.finish(None, &AtomicBool::new(false));
    assert_eq!((summary.sent, summary.left), (0, 1));
    assert!(machine.local.is_pushed(machine.remote.id(), entry.key), "it is not known to be missing");
}

use std::fs;
use std::path::Path;
use std::process::Command;

use camino::Utf8PathBuf;
use tempfile::TempDir;

use super::*;
use crate::roots::Root;
use crate::store::testing::{Machine, entry_path, pack_path};

fn graph() -> Digest {
    Digest::of("graph")
}

/// A remote with these units and their index, and the machine that compiled them.
fn shared_units(names: &[&str]) -> (TempDir, Machine, Vec<Entry>) {
    let shared = tempfile::tempdir().unwrap();
    let machine = Machine::new(shared.path());
    let entries: Vec<_> = names.iter().map(|name| machine.compile(name, name.repeat(1000).as_bytes())).collect();
    assert_eq!(machine.send(&entries, Some(graph())).left, 0);
    (shared, machine, entries)
}

fn units(entries: &[Entry]) -> Vec<(UnitId, UnitKey)> {
    entries.iter().enumerate().map(|(index, entry)| (UnitId(index), entry.key)).collect()
}

fn is_hit(lookup: &Lookup, tier: Tier) -> bool {
    matches!(lookup, Lookup::Hit(_, found) if *found == tier)
}

fn decisions(machine: &Machine, unit: UnitId) -> Vec<EventKind> {
    let of_unit = |kind: &EventKind| match kind {
        EventKind::Found { unit: it, .. } | EventKind::Missed { unit: it, .. } => *it == unit,
        _ => false,
    };
    machine.kinds().into_iter().filter(of_unit).collect()
}

/// Replaces an object with a pipe that never delivers anything.
fn stall(path: &Path) {
    fs::remove_file(path).ok();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_plan_takes_one_request_for_the_index_and_one_for_each_pack() {
    let (shared, _, entries) = shared_units(&["one", "two", "three"]);
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.start_graph(graph());
    prefetch.want(units(&entries), Roots::default());
    prefetch.wait();
    for (index, entry) in entries.iter().enumerate() {
        assert!(is_hit(&prefetch.lookup(UnitId(index)), Tier::Remote));
        assert_eq!(decisions(&machine, UnitId(index)).len(), 1);
        assert!(machine.local.entry(entry.key).unwrap().is_some());
        assert!(machine.local.is_pushed(machine.remote.id(), entry.key));
    }
    let keys: Vec<_> = entries.iter().map(|entry| entry.key).collect();
    assert!(prefetch.index_lists(&keys) && prefetch.known_entries().len() == 3);
    assert_eq!(machine.requests(), 4);
    assert!(machine.kinds().contains(&EventKind::GraphIndexFound { entries: 3 }));
    let last = machine.kinds().into_iter().rev().find(|kind| matches!(kind, EventKind::PrefetchProgress { .. }));
    assert!(matches!(last, Some(EventKind::PrefetchProgress { done: 3, total: 3, bytes }) if bytes > 0));
}

#[test]
fn a_pack_that_arrives_before_the_plan_is_found_at_the_time_of_its_arrival() {
    let (shared, _, entries) = shared_units(&["one"]);
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.start_graph(graph());
    let is_there = || machine.local.entry(entries[0].key).unwrap().is_some() && prefetch.shared.lock().workers == 0;
    while !is_there() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // Events have times in milliseconds.
    std::thread::sleep(Duration::from_millis(5));
    machine.events.record(EventKind::NothingToPlan);
    prefetch.want(units(&entries), Roots::default());
    prefetch.wait();
    let events = machine.events.events();
    let at = |wanted: &dyn Fn(&EventKind) -> bool| events.iter().find(|event| wanted(&event.kind)).unwrap().at_ms;
    let found = at(&|kind| matches!(kind, EventKind::Found { transferred, .. } if *transferred > 0));
    assert!(found < at(&|kind| *kind == EventKind::NothingToPlan), "{events:?}");
}

#[test]
fn units_may_be_wanted_before_the_index_is_requested_or_without_it() {
    for with_index in [true, false] {
        let (shared, _, entries) = shared_units(&["one", "two"]);
        let machine = Machine::new(shared.path());
        let prefetch = machine.prefetch();
        prefetch.want(units(&entries), Roots::default());
        if with_index {
            prefetch.start_graph(graph());
        }
        prefetch.wait();
        for index in 0..2 {
            assert!(is_hit(&prefetch.lookup(UnitId(index)), Tier::Remote), "{with_index}");
            assert_eq!(decisions(&machine, UnitId(index)).len(), 1);
        }
    }
}

#[test]
fn packs_arrive_before_there_is_a_plan() {
    let (shared, _, entries) = shared_units(&["one", "two"]);
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.start_graph(graph());
    let end = Instant::now() + Duration::from_secs(10);
    while !entries.iter().all(|entry| machine.local.entry(entry.key).unwrap().is_some()) {
        assert!(Instant::now() < end, "nothing arrived");
        std::thread::sleep(Duration::from_millis(5));
    }
    prefetch.want(units(&entries), Roots::default());
    prefetch.wait();
    assert!(is_hit(&prefetch.lookup(UnitId(0)), Tier::Remote));
    assert_eq!(decisions(&machine, UnitId(0)).len(), 1);
}

#[test]
fn units_in_the_local_store_are_not_requested() {
    let (_shared, machine, entries) = shared_units(&["one", "two"]);
    let before = machine.remote.received();
    let prefetch = machine.prefetch();
    prefetch.want(units(&entries), Roots::default());
    assert!(is_hit(&prefetch.lookup(UnitId(1)), Tier::Local));
    prefetch.wait();
    assert_eq!(machine.remote.received(), before);
}

#[test]
fn a_unit_in_neither_store_is_absent() {
    let (shared, ..) = shared_units(&["one"]);
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.start_graph(graph());
    prefetch.want(vec![(UnitId(0), UnitKey(Digest::of("nobody")))], Roots::default());
    prefetch.wait();
    assert_eq!(prefetch.lookup(UnitId(0)), Lookup::Miss(MissReason::Absent));
    assert_eq!(prefetch.lookup(UnitId(7)), Lookup::Miss(MissReason::Absent));
}

#[test]
fn units_of_one_key_are_fetched_once() {
    let (shared, _, entries) = shared_units(&["one"]);
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.want(vec![(UnitId(0), entries[0].key), (UnitId(1), entries[0].key)], Roots::default());
    prefetch.wait();
    assert_eq!(machine.requests(), 2, "its entry and its pack");
    let moved = |kind: &EventKind| matches!(kind, EventKind::Found { transferred, .. } if *transferred > 0);
    assert_eq!((machine.count(moved), machine.count(|kind| matches!(kind, EventKind::Found { .. }))), (1, 2));
}

#[test]
fn the_pack_of_an_entry_that_is_bound_to_another_path_is_not_downloaded() {
    for with_index in [true, false] {
        let shared = tempfile::tempdir().unwrap();
        let producer = Machine::new(shared.path());
        let roots = |path: &str| Roots::new([(Root::CargoHome, Utf8PathBuf::from(path))]);
        let mut entry = producer.compile("bound", b"/home/ann/.cargo");
        let digest = roots("/home/ann/.cargo").digest(Root::CargoHome).unwrap();
        entry.constraints.bound.insert(Root::CargoHome, digest);
        producer.local.put_entry(&entry).unwrap();
        producer.send(std::slice::from_ref(&entry), with_index.then(graph));

        let elsewhere = Machine::new(shared.path());
        let prefetch = elsewhere.prefetch();
        prefetch.start_graph(graph());
        prefetch.want(vec![(UnitId(0), entry.key)], roots("/home/ben/.cargo"));
        prefetch.wait();
        assert_eq!(prefetch.lookup(UnitId(0)), Lookup::Miss(MissReason::PathBound));
        assert_eq!(elsewhere.requests(), if with_index { 1 } else { 2 });

        let same = Machine::new(shared.path());
        let prefetch = same.prefetch();
        prefetch.start_graph(graph());
        prefetch.want(vec![(UnitId(0), entry.key)], roots("/home/ann/.cargo"));
        prefetch.wait();
        assert!(is_hit(&prefetch.lookup(UnitId(0)), Tier::Remote));

        let prefetch = producer.prefetch();
        prefetch.want(vec![(UnitId(0), entry.key)], roots("/home/ben/.cargo"));
        prefetch.wait();
        assert_eq!(
            prefetch.lookup(UnitId(0)),
            Lookup::Miss(MissReason::PathBound),
            "the local entry is not used either"
        );
    }
}

#[test]
fn a_damaged_pack_is_a_miss_and_is_reported() {
    let (shared, producer, entries) = shared_units(&["one", "two"]);
    let path = pack_path(shared.path(), &producer, &entries[0]);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.start_graph(graph());
    prefetch.want(units(&entries), Roots::default());
    prefetch.wait();
    assert_eq!(prefetch.lookup(UnitId(0)), Lookup::Miss(MissReason::Corrupt));
    assert!(is_hit(&prefetch.lookup(UnitId(1)), Tier::Remote));
    assert_eq!(machine.count(|kind| matches!(kind, EventKind::CorruptObject { .. })), 1);
}

#[test]
fn a_stale_index_is_only_a_hint() {
    let (shared, producer, entries) = shared_units(&["one"]);
    fs::remove_file(pack_path(shared.path(), &producer, &entries[0])).unwrap();
    let rebuilt = Machine::new(shared.path());
    let entry = rebuilt.compile("one", b"other bytes");
    rebuilt.send(&[entry], None);
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.start_graph(graph());
    prefetch.want(units(&entries), Roots::default());
    prefetch.wait();
    assert!(is_hit(&prefetch.lookup(UnitId(0)), Tier::Remote));
    fs::remove_file(pack_path(shared.path(), &rebuilt, &entries[0])).unwrap();
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.start_graph(graph());
    prefetch.want(units(&entries), Roots::default());
    prefetch.wait();
    assert_eq!(prefetch.lookup(UnitId(0)), Lookup::Miss(MissReason::Absent));
}

#[test]
fn a_large_pack_is_unpacked_as_it_arrives() {
    let shared = tempfile::tempdir().unwrap();
    let producer = Machine::new(shared.path());
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(9 << 20)
    .collect();
    let entry = producer.compile("large", &noise);
    producer.send(std::slice::from_ref(&entry), None);
    let path = pack_path(shared.path(), &producer, &entry);

    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.want(units(std::slice::from_ref(&entry)), Roots::default());
    prefetch.wait();
    assert!(is_hit(&prefetch.lookup(UnitId(0)), Tier::Remote));
    assert_eq!(machine.local.read(&entry.files[0]).unwrap(), noise);

    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.want(units(std::slice::from_ref(&entry)), Roots::default());
    prefetch.wait();
    assert_eq!(prefetch.lookup(UnitId(0)), Lookup::Miss(MissReason::Corrupt));
}

#[cfg(unix)]
#[test]
fn a_stalled_remote_is_given_up_once_and_every_unit_is_decided_once() {
    let (shared, producer, entries) = shared_units(&["one", "two", "three"]);
    stall(&pack_path(shared.path(), &producer, &entries[0]));
    stall(&entry_path(shared.path(), &entries[1]));
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.want(units(&entries), Roots::default());
    let start = Instant::now();
    prefetch.wait();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(prefetch.lookup(UnitId(0)), Lookup::Miss(MissReason::RemoteFailed));
    assert_eq!(prefetch.lookup(UnitId(1)), Lookup::Miss(MissReason::RemoteFailed));
    assert!(is_hit(&prefetch.lookup(UnitId(2)), Tier::Remote));
    assert!((0..3).all(|index| decisions(&machine, UnitId(index)).len() == 1));
    let failures = |kind: &EventKind| matches!(kind, EventKind::RemoteFailed { .. });
    assert_eq!(machine.count(failures), 1);
}

#[cfg(unix)]
#[test]
fn an_undecided_unit_is_a_miss_after_as_long_as_compiling_took() {
    let (shared, producer, entries) = shared_units(&["one"]);
    stall(&pack_path(shared.path(), &producer, &entries[0]));
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.start_graph(graph());
    prefetch.want(units(&entries), Roots::default());
    while prefetch.known_entries().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let start = Instant::now();
    assert_eq!(prefetch.lookup(UnitId(0)), Lookup::Miss(MissReason::RemoteFailed));
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(90) && waited < Duration::from_millis(800), "{waited:?}");
    fs::OpenOptions::new().write(true).open(pack_path(shared.path(), &producer, &entries[0])).unwrap();
    prefetch.wait();
    assert_eq!(prefetch.lookup(UnitId(0)), Lookup::Miss(MissReason::RemoteFailed));
    assert_eq!(decisions(&machine, UnitId(0)).len(), 1);
}

#[cfg(unix)]
#[test]
fn a_stopped_prefetch_answers_at_once() {
    let (shared, _, entries) = shared_units(&["one"]);
    stall(&entry_path(shared.path(), &entries[0]));
    let machine = Machine::new(shared.path());
    let prefetch = machine.prefetch();
    prefetch.want(units(&entries), Roots::default());
    prefetch.stop();
    prefetch.wait();
    assert_eq!(prefetch.lookup(UnitId(0)), Lookup::Miss(MissReason::RemoteFailed));
}

#[test]
fn a_local_store_that_cannot_be_written_causes_one_warning() {
    let (shared, _, entries) = shared_units(&["one", "two", "three"]);
    let machine = Machine::new(shared.path());
    fs::remove_dir(machine.directory.path().join("v1/tmp")).unwrap();
    fs::write(machine.directory.path().join("v1/tmp"), b"in the way").unwrap();
    let prefetch = machine.prefetch();
    prefetch.start_graph(graph());
    prefetch.want(units(&entries), Roots::default());
    prefetch.wait();
    assert!((0..3).all(|index| prefetch.lookup(UnitId(index)) == Lookup::Miss(MissReason::Restore)));
    assert_eq!(machine.count(|kind| matches!(kind, EventKind::Warning { .. })), 1);
}

#[test]
fn without_a_remote_only_the_local_store_is_used() {
    let (_shared, machine, entries) = shared_units(&["one"]);
    let events = EventLog::new(Arc::new(()));
    let local = Arc::clone(&machine.local);
    let prefetch = Prefetch::new(&machine.runtime, local, None, events, &machine.settings);
    prefetch.start_graph(graph());
    prefetch.want(vec![(UnitId(0), entries[0].key), (UnitId(1), UnitKey(Digest::of("nobody")))], Roots::default());
    prefetch.wait();
    assert!(is_hit(&prefetch.lookup(UnitId(0)), Tier::Local));
    assert_eq!(prefetch.lookup(UnitId(1)), Lookup::Miss(MissReason::Absent));
}

#[test]
fn a_download_is_waited_for_if_it_is_faster_than_compiling() {
    let seconds = Duration::from_secs;
    // Nothing has arrived yet, so the wait lasts as long as compiling takes.
    assert!(is_worth_waiting(seconds(9), seconds(10), None));
    assert!(!is_worth_waiting(seconds(11), seconds(10), None));
    // The end of a long download, when little is left to compile.
    assert!(is_worth_waiting(seconds(60), seconds(1), Some(seconds(1))));
    assert!(!is_worth_waiting(seconds(60), seconds(1), Some(seconds(2))));
}

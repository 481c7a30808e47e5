use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::key::{KeyInputs, Source};

/// The inputs of a unit.
pub(crate) fn unit_inputs_of(name: &str, version: usize) -> UnitInputs {
    let inputs = KeyInputs {
        rustc: "rustc 1\nhost: here".into(),
        standard_library: None,
        cargo: "cargo 1".into(),
        name: name.into(),
        version: version.to_string(),
        source: Source::Git { repository: "r".into(), revision: version.to_string() },
        target_kind: ["lib".to_owned()].into(),
        target_name: "one".into(),
        crate_types: BTreeSet::new(),
        root_file: "lib.rs".into(),
        edition: "2024".into(),
        mode: "build".into(),
        profile: BTreeMap::new(),
        lto: "off".into(),
        features: BTreeSet::new(),
        platform: None,
        rustflags: Vec::new(),
        environment: BTreeMap::new(),
        member_inputs: BTreeMap::new(),
        config: BTreeMap::new(),
        dependencies: BTreeSet::new(),
    };
    UnitInputs::new(&inputs, inputs.key(), BTreeMap::new(), BTreeMap::new())
}

fn unit_inputs(version: usize) -> UnitInputs {
    unit_inputs_of("one", version)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn store() -> (tempfile::TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(&directory.path().join("store")).unwrap();
    (directory, store)
}

#[test]
fn the_last_inputs_of_a_unit_are_kept_the_latest_first() {
    let (_directory, store) = store();
    for version in 0..MAX_RECORDS + 3 {
        remember(&store, unit_inputs(version), at(version as i64)).unwrap();
    }
    let known = recall(&store, unit_inputs(0).identity());
    let versions: Vec<_> = known.iter().map(|known| known.unit_inputs.inputs.version.clone()).collect();
    assert_eq!(versions, ["10", "9", "8", "7", "6", "5", "4", "3"]);
}

#[test]
fn inputs_that_are_recorded_again_keep_their_earlier_time() {
    let (_directory, store) = store();
    remember(&store, unit_inputs(1), at(10)).unwrap();
    remember(&store, unit_inputs(1), at(20)).unwrap();
    let known = recall(&store, unit_inputs(1).identity());
    let [one] = &known[..] else { panic!("{known:?}") };
    assert_eq!(
        [5, 10, 15, 20, 25].map(|now| one.as_of(at(now))),
        [None, None, Some(at(10)), Some(at(10)), Some(at(20))]
    );
}

#[test]
fn a_damaged_history_or_one_of_another_version_is_empty_and_is_replaced() {
    let (_directory, store) = store();
    let identity = unit_inputs(1).identity();
    remember(&store, unit_inputs(1), at(1)).unwrap();
    let good = store.input_history(identity).unwrap();
    let other_version = [&good[..7], &[99], &good[8..]].concat();
    for bad in [&good[..good.len() - 1], b"", b"something else", &other_version] {
        store.put_input_history(identity, bad).unwrap();
        assert_eq!(recall(&store, identity), []);
    }
    remember(&store, unit_inputs(2), at(2)).unwrap();
    assert_eq!(recall(&store, identity).len(), 1);
}

#[test]
fn a_shared_history_is_bounded_for_each_unit_and_empty_if_it_cannot_be_read() {
    let mut shared = SharedHistory::default();
    for version in 0..MAX_SHARED_RECORDS + 2 {
        shared.add([unit_inputs(version), unit_inputs_of("other", 1)], at(version as i64));
    }
    let shared = SharedHistory::decode(&shared.encode());
    assert_eq!(shared.of(unit_inputs(1).identity()).len(), MAX_SHARED_RECORDS);
    let other = shared.of(unit_inputs_of("other", 1).identity());
    assert_eq!((other.len(), other[0].before), (1, Some(at(MAX_SHARED_RECORDS as i64))));
    assert_eq!(SharedHistory::decode(b"something else"), SharedHistory::default());
    assert_eq!(shared.of(Digest::of("unknown")), []);
}

#[test]
fn the_object_of_a_workspace_is_found_by_its_members_and_the_command() {
    let name = |members: &[&str], command| {
        SharedHistory::name(&members.iter().map(|member| (*member).to_owned()).collect(), command)
    };
    assert_eq!(name(&["a", "b"], "build"), name(&["b", "a"], "build"));
    assert_ne!(name(&["a", "b"], "build"), name(&["a", "b"], "check"));
    assert_ne!(name(&["a", "b"], "build"), name(&["a"], "build"));
}

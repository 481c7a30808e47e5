use proptest::prelude::*;

use super::*;

fn entry(names: &[&str]) -> Entry {
    Entry {
        key: UnitKey(Digest::of("key")),
        package: "serde 1.0.0".into(),
        target: "serde".into(),
        files: names
            .iter()
            .map(|name| FileRecord {
                name: (*name).into(),
                kind: FileKind::Rlib,
                size: name.len() as u64,
                digest: Digest::of(name),
                mode: None,
            })
            .collect(),
        notices: vec![("metadata".into(), "libserde.rmeta".into())],
        diagnostics: vec![],
        metadata: None,
        code: None,
        constraints: Constraints::default(),
        fresh: None,
        compile_ms: 12,
        pack: None,
    }
}

#[test]
fn an_entry_round_trips() {
    let entry = entry(&["libserde-1.rlib"]);
    assert_eq!(Entry::decode(entry.key, &entry.encode()).unwrap(), entry);
}

#[test]
fn an_entry_of_another_key_is_refused() {
    assert!(Entry::decode(UnitKey(Digest::of("other")), &entry(&[]).encode()).is_err());
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    for name in ["../x", "/etc/passwd", "a/b", "..", ".", "", "c:x", "a\\b", "a\0b"] {
        let entry = entry(&[name]);
        assert!(Entry::decode(entry.key, &entry.encode()).is_err(), "{name:?}");
        let index = GraphIndex { entries: vec![entry] };
        assert!(GraphIndex::decode("graph", &index.encode()).is_err(), "{name:?}");
    }
}

#[test]
fn another_format_version_is_refused() {
    let mut bytes = entry(&[]).encode();
    bytes[MAGIC.len() + 1] += 1;
    assert!(Entry::decode(UnitKey(Digest::of("key")), &bytes).unwrap_err().to_string().contains("version"));
}

#[test]
fn an_entry_is_not_a_graph_index() {
    assert!(GraphIndex::decode("graph", &entry(&[]).encode()).is_err());
}

/// A pack of `files`, and the records of the files.
fn pack_of(files: &[Vec<u8>]) -> (Vec<u8>, PackRef, Vec<FileRecord>) {
    let mut bytes = Vec::new();
    let pack = pack::write(files.iter().map(|file| Ok(&file[..])), 3, &mut bytes).unwrap();
    let records = files
        .iter()
        .enumerate()
        .map(|(index, file)| FileRecord {
            name: format!("f{index}"),
            kind: FileKind::Rlib,
            size: file.len() as u64,
            digest: Digest::of(file),
            mode: None,
        })
        .collect();
    (bytes, pack, records)
}

/// Unpacks and discards the files.
fn unpack(bytes: &[u8], pack: PackRef, records: &[FileRecord]) -> std::io::Result<()> {
    pack::read(pack, records, bytes, |_| Ok(std::io::sink()))
}

proptest! {
    #[test]
    fn a_pack_round_trips_and_any_damage_is_detected(
        files in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 0..4),
        position in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let (bytes, pack, records) = pack_of(&files);
        prop_assert!(unpack(&bytes, pack, &records).is_ok());

        let mut damaged = bytes.clone();
        damaged[position.index(bytes.len())] ^= flip;
        prop_assert!(unpack(&damaged, pack, &records).is_err());

        let truncated = &bytes[..position.index(bytes.len())];
        prop_assert!(unpack(truncated, pack, &records).is_err());

        let mut longer = bytes.clone();
        longer.push(flip);
        prop_assert!(unpack(&longer, pack, &records).is_err());
    }

    #[test]
    fn any_damage_to_an_entry_is_detected(position in any::<prop::sample::Index>(), flip in 1u8..) {
        let entry = entry(&["libserde-1.rlib", "serde-1.d"]);
        let mut bytes = entry.encode();
        let position = position.index(bytes.len());
        bytes[position] ^= flip;
        prop_assert!(Entry::decode(entry.key, &bytes).is_err());
    }
}

#[test]
fn a_pack_with_more_bytes_than_its_entry_lists_is_refused() {
    let (bytes, pack, mut records) = pack_of(&[vec![0; 1 << 20]]);
    records[0].size = 10;
    assert!(unpack(&bytes, pack, &records).is_err());
}

#[test]
fn the_same_file_has_another_salted_digest_in_another_unit() {
    let (one, other) = (UnitKey(Digest::of("one")), UnitKey(Digest::of("other")));
    let content = Digest::of("content");
    assert_eq!(SaltedDigest::of(one, content), SaltedDigest::of(one, content));
    assert_ne!(SaltedDigest::of(one, content), SaltedDigest::of(other, content));
    assert_ne!(SaltedDigest::of(one, content), SaltedDigest::of(one, Digest::of("changed")));
}

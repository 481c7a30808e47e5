use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use opendal::services::Memory;
use proptest::prelude::*;

use super::*;

const LARGEST: usize = 10;

struct Fixture {
    runtime: tokio::runtime::Runtime,
    operator: Operator,
    values: Values,
}

/// Values in memory, which all operators share.
fn fixture() -> Fixture {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let operator = Operator::new(Memory::default()).unwrap();
    let shared = operator.clone();
    let values = Values::new(move || Ok(shared.clone()), LARGEST, Duration::from_secs(5)).unwrap();
    Fixture { runtime, operator, values }
}

impl Fixture {
    fn put(&self, name: &str, bytes: &[u8]) -> usize {
        let count = AtomicUsize::new(0);
        let count_request = || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        self.runtime.block_on(self.values.put(name, bytes.to_vec(), &count_request)).unwrap();
        count.into_inner()
    }

    fn get(&self, name: &str) -> Option<Result<Vec<u8>, &'static str>> {
        let object = self.runtime.block_on(self.values.get(name, &|| ())).unwrap()?;
        Some(match object {
            Object::Whole(parts) => Ok(parts.into_iter().flat_map(|part| part.to_vec()).collect()),
            Object::Damaged(reason) => Err(reason),
        })
    }

    fn length(&self, name: &str) -> Option<u64> {
        self.runtime.block_on(self.values.length(name, &|| ())).unwrap()
    }

    /// The stored values by their names.
    fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        self.runtime.block_on(async {
            let listed = self.operator.list_with("").recursive(true).await.unwrap();
            let mut stored = BTreeMap::new();
            for entry in listed.into_iter().filter(|entry| !entry.path().ends_with('/')) {
                stored.insert(entry.path().to_owned(), self.operator.read(entry.path()).await.unwrap().to_vec());
            }
            stored
        })
    }

    fn overwrite(&self, name: &str, value: Vec<u8>) {
        self.runtime.block_on(self.operator.write(name, value)).unwrap();
    }

    fn remove(&self, name: &str) {
        self.runtime.block_on(self.operator.delete(name)).unwrap();
    }
}

#[test]
fn a_small_object_is_one_value() {
    let fixture = fixture();
    assert_eq!(fixture.put("unit", b"0123456789"), 1);
    assert_eq!(fixture.stored(), BTreeMap::from([("unit".into(), b"0123456789".to_vec())]));
    assert_eq!(fixture.get("unit"), Some(Ok(b"0123456789".to_vec())));
    assert_eq!((fixture.length("unit"), fixture.length("absent")), (Some(10), None));
    assert_eq!(fixture.get("absent"), None);
}

#[test]
fn the_parts_are_written_before_the_manifest() {
    let fixture = fixture();
    assert_eq!(fixture.put("blob/aa/name", &[7; 25]), 4);
    let stored = fixture.stored();
    let sizes: Vec<_> = stored.values().map(Vec::len).collect();
    assert_eq!(sizes, [MANIFEST, 10, 10, 5]);
    assert!(stored.keys().all(|name| name.len() < "blob/aa/name".len() + 40), "{stored:?}");
    assert_eq!((fixture.get("blob/aa/name"), fixture.length("blob/aa/name")), (Some(Ok(vec![7; 25])), Some(25)));
}

#[test]
fn an_object_that_looks_like_a_manifest_is_read_unchanged() {
    let fixture = fixture();
    for object in [MAGIC.to_vec(), Manifest { size: 1, part: 1, digest: Digest::of("x") }.encode()] {
        fixture.put("odd", &object);
        assert_eq!(fixture.get("odd"), Some(Ok(object)));
    }
}

#[test]
fn a_manifest_of_another_version_is_a_missing_object() {
    let fixture = fixture();
    fixture.put("blob", &[7; 25]);
    let mut manifest = fixture.stored()["blob"].clone();
    manifest[MAGIC.len()] += 1;
    fixture.overwrite("blob", manifest.clone());
    assert_eq!((fixture.get("blob"), fixture.length("blob")), (None, None));
    fixture.overwrite("blob", manifest[..20].to_vec());
    assert_eq!(fixture.get("blob"), None);
}

#[test]
fn a_request_without_an_answer_fails_after_the_time_limit() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let operator = Operator::new(Memory::default()).unwrap();
    let values = Values::new(move || Ok(operator.clone()), LARGEST, Duration::from_millis(1)).unwrap();
    let pending = |_: Operator| std::future::pending::<Result<()>>();
    let error = runtime.block_on(values.send(pending)).unwrap_err();
    assert!(error.message().contains("no answer"), "{error}");
    // The requests still hold their permits.
    assert_eq!(values.requests.available_permits(), REQUESTS - 1 - RETRIES);
}

/// Damage to one of the stored parts.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Missing,
    Truncated,
    Changed,
    Swapped,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![Just(Damage::Missing), Just(Damage::Truncated), Just(Damage::Changed), Just(Damage::Swapped)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn stored_objects_are_read_unchanged(bytes in prop::collection::vec(any::<u8>(), 0..95)) {
        let fixture = fixture();
        fixture.put("name", &bytes);
        prop_assert_eq!(fixture.length("name"), Some(bytes.len() as u64));
        prop_assert_eq!(fixture.get("name"), Some(Ok(bytes)));
    }

    #[test]
    fn the_parts_of_different_objects_do_not_mix(
        one in prop::collection::vec(any::<u8>(), 11..60),
        other in prop::collection::vec(any::<u8>(), 11..60),
    ) {
        let fixture = fixture();
        fixture.put("name", &one);
        let manifest = fixture.stored()["name"].clone();
        fixture.put("name", &other);
        prop_assert_eq!(fixture.get("name"), Some(Ok(other)));
        // The slower of two writers writes its manifest last.
        fixture.overwrite("name", manifest);
        prop_assert_eq!(fixture.get("name"), Some(Ok(one)));
    }

    #[test]
    fn an_object_with_a_damaged_part_is_missing_or_damaged(
        bytes in prop::collection::vec(any::<u8>(), 21..60),
        damage in damage(),
        which in any::<prop::sample::Index>(),
    ) {
        let fixture = fixture();
        fixture.put("name", &bytes);
        let stored = fixture.stored();
        let parts: Vec<_> = stored.keys().filter(|name| *name != "name").collect();
        let part = parts[which.index(parts.len())];
        let mut value = stored[part].clone();
        match damage {
            Damage::Missing => {
                fixture.remove(part);
                prop_assert_eq!((fixture.get("name"), fixture.length("name")), (None, None));
                return Ok(());
            }
            Damage::Truncated => {
                value.pop();
                fixture.overwrite(part, value);
                prop_assert_eq!(fixture.length("name"), None);
            }
            Damage::Changed => {
                value[0] ^= 1;
                fixture.overwrite(part, value);
            }
            Damage::Swapped => {
                let other = parts[(which.index(parts.len()) + 1) % parts.len()];
                prop_assume!(stored[other] != value);
                fixture.overwrite(part, stored[other].clone());
                fixture.overwrite(other, value);
            }
        }
        prop_assert!(matches!(fixture.get("name"), Some(Err(_))));
    }
}

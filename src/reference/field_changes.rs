//! Values that differ in one field and nothing else.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::digest::{Digest, Domain};

/// What changes a field, by the field's name.
pub(crate) type Change<T> = (&'static str, fn(&mut T));

/// Asserts that each field alone changes the digest, and that there is a change for each field.
#[track_caller]
pub(crate) fn assert_each_field_counts<T: Serialize>(domain: Domain, make: impl Fn() -> T, changes: &[Change<T>]) {
    let plain = Digest::of_value(domain, &make());
    assert_eq!(Digest::of_value(domain, &make()), plain, "nothing has changed");
    let mut digests = BTreeSet::from([plain]);
    for (field, change) in changes {
        let mut changed = make();
        change(&mut changed);
        assert!(digests.insert(Digest::of_value(domain, &changed)), "{field} does not change the digest");
    }
    let fields = serde_json::to_value(make()).unwrap();
    let fields: BTreeSet<_> = fields.as_object().expect("it has fields").keys().cloned().collect();
    let changed: BTreeSet<_> = changes.iter().map(|(field, _)| (*field).to_owned()).collect();
    assert_eq!(changed, fields, "each field is changed");
}

/// All values that differ from this one in one place, each with the path of that place: another string or number, one
/// element more in a list or a table, or one less.
pub(crate) fn variants(value: &Value) -> Vec<(String, Value)> {
    let mut variants = match value {
        Value::Null => vec![json!("0".repeat(64))],
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => vec![json!(number.as_u64().unwrap_or_default() + 1)],
        // A digest has a fixed length.
        Value::String(text) if text.len() == 64 => vec![json!("f".repeat(64))],
        Value::String(text) => vec![json!(format!("{text}x"))],
        Value::Array(_) | Value::Object(_) => Vec::new(),
    };
    let whole = variants.drain(..).map(|other| (String::new(), other)).collect::<Vec<_>>();
    let within = match value {
        Value::Array(list) => list_variants(list),
        Value::Object(table) => table.iter().flat_map(|(name, part)| part_variants(value, name, part)).collect(),
        _ => Vec::new(),
    };
    whole.into_iter().chain(within).collect()
}

fn part_variants(table: &Value, name: &str, part: &Value) -> Vec<(String, Value)> {
    let variants = variants(part).into_iter().map(|(path, other)| {
        let mut changed = table.clone();
        changed[name] = other;
        (format!(".{name}{path}"), changed)
    });
    variants.collect()
}

fn list_variants(list: &[Value]) -> Vec<(String, Value)> {
    let less = (0..list.len()).map(|index| {
        let rest = list.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, item)| item.clone());
        (format!("[-{index}]"), Value::Array(rest.collect()))
    });
    let changed = list.iter().enumerate().flat_map(|(index, item)| {
        let variants = variants(item).into_iter();
        variants.map(move |(path, other)| {
            let mut changed = list.to_vec();
            changed[index] = other;
            (format!("[{index}]{path}"), Value::Array(changed))
        })
    });
    less.chain(changed).collect()
}

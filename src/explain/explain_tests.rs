//! The published schema, held against the code.

use std::fs;
use std::path::PathBuf;

use super::*;

#[test]
fn the_schema_in_the_book_is_the_explanations() {
    let generated = format!("{:#}\n", Explanation::schema());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("book/src/explain.schema.json");
    if std::env::var_os("XCACHE_BLESS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == generated, "book/src/explain.schema.json is out of date; XCACHE_BLESS=1 writes it");
}

//! The book is held against the code here: the schemas, and the names of all reasons.

use std::fs;
use std::path::PathBuf;

use schemars::JsonSchema;

use super::Report;
use super::advice::AdviceName;
use super::compare::Comparison;
use super::sessions::Sessions;
use super::stats::Stats;
use crate::event::lines::Line;
use crate::event::{MissReason, UncacheableReason};

fn book(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("book/src").join(file)
}

fn chapter(file: &str) -> String {
    fs::read_to_string(book(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_schemas_in_the_book_are_those_of_the_answers() {
    let schemas = [
        ("report.schema.json", Report::schema()),
        ("sessions.schema.json", Sessions::schema()),
        ("comparison.schema.json", Comparison::schema()),
        ("stats.schema.json", Stats::schema()),
        ("events.schema.json", Line::schema()),
    ];
    for (file, schema) in schemas {
        let (path, generated) = (book(file), format!("{schema:#}\n"));
        if std::env::var_os("XCACHE_BLESS").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert!(checked_in == generated, "book/src/{file} is out of date; XCACHE_BLESS=1 writes it");
        assert!(chapter("report.md").contains(&format!("]({file})")), "report.md does not name {file}");
    }
}

#[test]
fn the_book_explains_every_reason() {
    let chapter = chapter("report.md");
    let (of_units, of_misses) = chapter.split_once("### Reasons of a miss").expect("the chapter has both tables");
    for (table, names) in [(of_units, names::<UncacheableReason>()), (of_misses, names::<MissReason>())] {
        for name in names {
            assert!(table.contains(&format!("| `{name}` |")), "report.md does not explain `{name}`");
        }
    }
}

#[test]
fn the_book_lists_all_advice() {
    let chapter = chapter("report.md");
    let (_, section) = chapter.split_once("## Advice").expect("the chapter has a section on it");
    for name in names::<AdviceName>() {
        assert!(section.contains(&format!("| `{name}` |")), "report.md does not list `{name}`");
    }
}

/// The variants of an enum without data, as JSON has them.
fn names<T: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(T).to_value();
    let variants = schema["oneOf"].as_array().expect("documented variants are a list");
    let names: Vec<_> = variants.iter().map(|variant| variant["const"].as_str().unwrap().to_owned()).collect();
    assert!(names.len() > 5);
    names
}

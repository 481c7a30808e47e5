//! The book agrees with the code: the schemas, and the names of reasons and advice.

use std::fs;
use std::path::PathBuf;

use super::Report;
use super::advice::AdviceName;
use super::compare::Comparison;
use super::sessions::Sessions;
use super::stats::Stats;
use super::tests::variants;
use crate::event::lines::Line;
use crate::event::{MissReason, UncacheableReason};

fn book(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("book/src").join(file)
}

fn chapter(file: &str) -> String {
    fs::read_to_string(book(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_schemas_in_the_book_are_up_to_date() {
    let schemas = [
        ("report.md", "report.schema.json", Report::schema()),
        ("report.md", "sessions.schema.json", Sessions::schema()),
        ("report.md", "comparison.schema.json", Comparison::schema()),
        ("report.md", "stats.schema.json", Stats::schema()),
        ("report.md", "events.schema.json", Line::schema()),
        #[cfg(feature = "explain")]
        ("explain.md", "explain.schema.json", crate::explain::Explanation::schema()),
    ];
    for (page, file, schema) in schemas {
        let (path, generated) = (book(file), format!("{schema:#}\n"));
        if std::env::var_os("XCACHE_BLESS").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert!(checked_in == generated, "book/src/{file} is out of date; XCACHE_BLESS=1 writes it");
        assert!(chapter(page).contains(&format!("]({file})")), "{page} does not name {file}");
    }
}

#[test]
fn the_book_explains_every_reason() {
    let chapter = chapter("report.md");
    let (of_units, of_misses) = chapter.split_once("### Reasons of a miss").expect("the chapter has both tables");
    for (table, names) in [(of_units, variants::<UncacheableReason>()), (of_misses, variants::<MissReason>())] {
        for name in names {
            assert!(table.contains(&format!("| `{name}` |")), "report.md does not explain `{name}`");
        }
    }
}

#[test]
fn the_book_lists_all_advice() {
    let chapter = chapter("report.md");
    let (_, section) = chapter.split_once("## Advice").expect("the chapter has a section on it");
    for name in variants::<AdviceName>() {
        assert!(section.contains(&format!("| `{name}` |")), "report.md does not list `{name}`");
    }
}

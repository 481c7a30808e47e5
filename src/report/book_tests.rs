//! The book agrees with the code: the schemas, and the names of reasons and advice.

use schemars::schema_for;

use super::Report;
use super::advice::AdviceName;
use super::compare::Comparison;
use super::sessions::Sessions;
use super::stats::Stats;
use super::tests::{assert_checked_in, checked_in, variants};
use crate::event::lines::Line;
use crate::event::{MissReason, UncacheableReason};

fn chapter(file: &str) -> String {
    checked_in(&format!("book/src/{file}"))
}

#[test]
fn the_schemas_in_the_book_are_up_to_date() {
    for (page, file, schema) in [
        ("report.md", "report.schema.json", schema_for!(Report).to_value()),
        ("report.md", "sessions.schema.json", schema_for!(Sessions).to_value()),
        ("report.md", "comparison.schema.json", schema_for!(Comparison).to_value()),
        ("report.md", "stats.schema.json", schema_for!(Stats).to_value()),
        ("report.md", "events.schema.json", Line::schema()),
        #[cfg(feature = "explain")]
        ("explain.md", "explain.schema.json", schema_for!(crate::explain::Explanation).to_value()),
    ] {
        assert_checked_in(&format!("book/src/{file}"), &format!("{schema:#}\n"));
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

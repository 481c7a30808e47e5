//! The book's reference of everything that decides about reuse: each input, with the tests that prove it.
//!
//! The inputs and their descriptions are read from the source: the fields of the types that are digested or compared,
//! and the lists of names that fill them. [`rows`] names the tests for each. A new field without a test therefore fails,
//! and so does a row for a field or a test that does not exist.
//!
//! Each test shows one thing: if this input alone changes, nothing that depends on it is reused.

pub(crate) mod field_changes;
mod rows;
pub(crate) mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use self::rows::SECTIONS;
use self::source::Part;
use crate::digest::Domain;

/// The kind of decision that an input takes part in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Key,
    Place,
    Condition,
    Remembered,
    Digest,
}

/// In the order of the chapter: the title, and an introduction to the sections below it.
const KINDS: &[(Kind, &str, &str)] = &[
    (Kind::Key, "Inputs of a key", "A unit's key is a digest of all of these."),
    (
        Kind::Place,
        "Hosts and places",
        "The stored key of a unit that is linked or run here also contains the class of the host. That of a member \
         contains the path of its workspace.",
    ),
    (
        Kind::Condition,
        "Conditions of an entry",
        "xcache records them when a unit is compiled, and they must hold where it is used.",
    ),
    (
        Kind::Remembered,
        "What is remembered",
        "xcache remembers that there is nothing to plan, the unit graph of a command, and the answers of programs. It \
         determines them again if one of these inputs changes.",
    ),
    (
        Kind::Digest,
        "Digests",
        "Each kind of value that xcache looks up or compares has a context of its own. A change of its encoding needs a \
         new version.",
    ),
];

/// The origin of the rows of a section.
enum From {
    /// The fields of a type in a file.
    Type(&'static str, &'static str),
    /// A list of texts in a file: one row.
    List(&'static str, &'static str),
    /// [`Domain::ALL`].
    Domains,
}

/// The content of the last column.
enum Proof {
    /// `file: name` of each test.
    Tests(&'static [&'static str]),
    /// The input decides nothing, for this reason.
    Nothing(&'static str),
}

/// Rows of one kind and one origin.
struct Section {
    kind: Kind,
    from: From,
    proofs: &'static [(&'static str, Proof)],
}

impl Section {
    fn parts(&self) -> Vec<Part> {
        match self.from {
            From::Type(file, name) => source::parts(file, name),
            From::List(file, name) => {
                let (items, description) = source::list(file, name);
                let items: Vec<_> = items.iter().map(|item| format!("`{item}`")).collect();
                vec![Part { name: name.into(), description: format!("{description} {}", items.join(", ")) }]
            }
            From::Domains => {
                let documented = source::documented_domains();
                let part = |domain: &Domain| {
                    let name = format!("{domain:?}");
                    let description = format!("{} `{}`", documented[&name], domain.context());
                    Part { name, description }
                };
                Domain::ALL.iter().map(part).collect()
            }
        }
    }

    fn title(&self) -> Option<String> {
        match self.from {
            From::Type(file, name) => Some(format!("`{name}` (`{file}`)")),
            From::List(file, _) => Some(format!("Names (`{file}`)")),
            From::Domains => None,
        }
    }

    fn proof(&self, part: &Part) -> &Proof {
        let found = self.proofs.iter().find(|(name, _)| *name == part.name);
        let title = self.title().unwrap_or_default();
        &found.unwrap_or_else(|| panic!("{title}: no test is named for `{}`", part.name)).1
    }

    /// One line of the table for each part.
    fn rows(&self) -> Vec<String> {
        let row = |part: &Part| {
            let proof = match self.proof(part) {
                Proof::Tests(tests) => tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join("<br>"),
                Proof::Nothing(why) => format!("decides nothing: {why}"),
            };
            format!("| `{}` | {} | {proof} |", part.name, part.description)
        };
        self.parts().iter().map(row).collect()
    }
}

/// The chapter's tables.
fn tables() -> String {
    let mut text = String::new();
    for (kind, title, description) in KINDS {
        writeln!(text, "\n## {title}\n\n{description}").unwrap();
        let mut previous_title = None;
        for section in SECTIONS.iter().filter(|section| section.kind == *kind) {
            let title = section.title();
            if previous_title.as_ref() != Some(&title) {
                let heading = title.as_ref().map(|title| format!("### {title}\n\n")).unwrap_or_default();
                let head = "| Input | What it is | Tests: only this changes, and nothing is reused |\n|---|---|---|";
                writeln!(text, "\n{heading}{head}").unwrap();
            }
            previous_title = Some(title);
            section.rows().iter().for_each(|row| writeln!(text, "{row}").unwrap());
        }
    }
    text
}

const CHAPTER: &str = "book/src/keys.md";
const MARKER: &str = "<!-- What follows is made from the code: XCACHE_BLESS=1 writes it. -->\n";

#[test]
fn the_reference_in_the_book_matches_the_code() {
    let chapter = source::text(CHAPTER);
    let (written, _) = chapter.split_once(MARKER).expect("the chapter has a marker");
    let expected = format!("{written}{MARKER}{}", tables());
    if std::env::var_os("XCACHE_BLESS").is_some() {
        std::fs::write(source::path(CHAPTER), &expected).unwrap();
    }
    assert!(source::text(CHAPTER) == expected, "{CHAPTER} is out of date; XCACHE_BLESS=1 writes it");
    assert!(source::text("book/src/SUMMARY.md").contains("(keys.md)"));
}

#[test]
fn every_row_belongs_to_a_part_and_has_a_description() {
    for section in SECTIONS {
        let parts = section.parts();
        let names: BTreeSet<_> = parts.iter().map(|part| part.name.as_str()).collect();
        let proved: BTreeSet<_> = section.proofs.iter().map(|(name, _)| *name).collect();
        assert_eq!(proved, names, "{:?}", section.title());
        for part in parts {
            assert!(part.description.len() > 3, "{:?}: `{}` is not documented", section.title(), part.name);
        }
    }
}

#[test]
fn every_named_test_exists() {
    let proofs = SECTIONS.iter().flat_map(|section| section.proofs);
    for (row, proof) in proofs {
        let Proof::Tests(tests) = proof else { continue };
        assert!(!tests.is_empty(), "{row}");
        for test in *tests {
            let (file, name) = test.split_once(": ").unwrap_or_else(|| panic!("{row}: {test}"));
            assert!(source::has_test(file, name), "{row}: {file} has no test {name}");
        }
    }
    assert!(!source::has_test("src/reference.rs", "tables"), "a function that is not a test");
}

#[test]
fn every_domain_is_used() {
    let files = source::files();
    for domain in Domain::ALL {
        let usage = format!("Domain::{domain:?}, ");
        let is_used = files.iter().any(|(path, text)| !path.ends_with("src/digest.rs") && text.contains(&usage));
        assert!(is_used, "nothing is digested as {domain:?}");
    }
}

/// The parsed source has the same fields as the compiled types.
#[test]
fn every_encoded_field_is_found() {
    let fields = |value: serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let read = source::encoded_fields;
    let observed = crate::entry::Inputs::Trusted;
    let constraints = crate::entry::Constraints { observed, ..Default::default() };
    let constraints = serde_json::to_value(constraints).unwrap();
    assert_eq!(fields(constraints), read("src/entry/mod.rs", "Constraints"));
    let unit_inputs = crate::store::input_history::tests::unit_inputs_of("one", 1);
    assert_eq!(fields(serde_json::to_value(unit_inputs.inputs).unwrap()), read("src/key.rs", "KeyInputs"));
    let by_kind: BTreeMap<_, _> = KINDS.iter().map(|(kind, title, _)| (kind, title)).collect();
    assert_eq!(by_kind.len(), KINDS.len());
}

//! The reference of everything that decides what is reused, for the book: each input with the tests that prove it.
//!
//! What there is, and what it is in words, is read from the source: the fields of the types that are digested or compared,
//! and the lists of names that they are filled from. The tests beside them are named in [`rows`]. So a new field without a
//! test does not pass, and neither does a row of a field that is gone, or of a test that is not there.
//!
//! What each test shows is one thing: this input alone is changed, and nothing is reused that follows from it.

pub(crate) mod alone;
mod rows;
pub(crate) mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use self::rows::SECTIONS;
use self::source::Part;
use crate::digest::Domain;

/// What an input decides about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Key,
    Place,
    Condition,
    Remembered,
    Digest,
}

/// In the order of the chapter: title, and what the sections below it have in common.
const KINDS: &[(Kind, &str, &str)] = &[
    (Kind::Key, "Inputs of a key", "A unit is looked up under a digest of all of them."),
    (
        Kind::Place,
        "Hosts and places",
        "What is linked or run here is stored under a key of its host's class as well, and a member under that of its \
         workspace's path.",
    ),
    (
        Kind::Condition,
        "Conditions of an entry",
        "They are recorded when a unit is compiled, and have to hold where it is used.",
    ),
    (
        Kind::Remembered,
        "What is remembered",
        "That there is nothing to plan, which units there are, and what a program has answered: all of it is asked again \
         where one of these has changed.",
    ),
    (
        Kind::Digest,
        "Digests",
        "Each kind of value that something is looked up or compared by has a context of its own. A change of what is \
         encoded takes another version.",
    ),
];

/// Where the rows of a section come from.
enum From {
    /// The fields of a type in a file.
    Type(&'static str, &'static str),
    /// A list of texts in a file: one row.
    List(&'static str, &'static str),
    /// [`Domain::ALL`].
    Domains,
}

/// What stands in the last column.
enum Proof {
    /// `file: name` of each test.
    Tests(&'static [&'static str]),
    /// It decides nothing, because of this.
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
                let (items, words) = source::list(file, name);
                let items: Vec<_> = items.iter().map(|item| format!("`{item}`")).collect();
                vec![Part { name: name.into(), words: format!("{words} {}", items.join(", ")) }]
            }
            From::Domains => {
                let documented = source::documented_domains();
                let part = |domain: &Domain| {
                    let name = format!("{domain:?}");
                    let words = format!("{} `{}`", documented[&name], domain.context());
                    Part { name, words }
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
            format!("| `{}` | {} | {proof} |", part.name, part.words)
        };
        self.parts().iter().map(row).collect()
    }
}

/// The chapter's tables.
fn tables() -> String {
    let mut text = String::new();
    for (kind, title, words) in KINDS {
        writeln!(text, "\n## {title}\n\n{words}").unwrap();
        let mut above = None;
        for section in SECTIONS.iter().filter(|section| section.kind == *kind) {
            let title = section.title();
            if above.as_ref() != Some(&title) {
                let heading = title.as_ref().map(|title| format!("### {title}\n\n")).unwrap_or_default();
                let head = "| Input | What it is | It alone is changed, and nothing is reused |\n|---|---|---|";
                writeln!(text, "\n{heading}{head}").unwrap();
            }
            above = Some(title);
            section.rows().iter().for_each(|row| writeln!(text, "{row}").unwrap());
        }
    }
    text
}

const CHAPTER: &str = "book/src/keys.md";
const MARKER: &str = "<!-- What follows is made from the code: XCACHE_BLESS=1 writes it. -->\n";

#[test]
fn the_reference_in_the_book_is_that_of_the_code() {
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
fn every_row_is_of_something_and_has_words() {
    for section in SECTIONS {
        let parts = section.parts();
        let names: BTreeSet<_> = parts.iter().map(|part| part.name.as_str()).collect();
        let proved: BTreeSet<_> = section.proofs.iter().map(|(name, _)| *name).collect();
        assert_eq!(proved, names, "{:?}", section.title());
        for part in parts {
            assert!(part.words.len() > 3, "{:?}: `{}` is not documented", section.title(), part.name);
        }
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let proofs = SECTIONS.iter().flat_map(|section| section.proofs);
    for (row, proof) in proofs {
        let Proof::Tests(tests) = proof else { continue };
        assert!(!tests.is_empty(), "{row}");
        for test in *tests {
            let (file, name) = test.split_once(": ").unwrap_or_else(|| panic!("{row}: {test}"));
            assert!(source::has_test(file, name), "{row}: {file} has no test {name}");
        }
    }
    assert!(!source::has_test("src/reference.rs", "tables"), "it is no test");
}

#[test]
fn every_kind_of_digest_is_made_somewhere() {
    let files = source::files();
    for domain in Domain::ALL {
        let made = format!("Domain::{domain:?}, ");
        let is_made = files.iter().any(|(path, text)| !path.ends_with("src/digest.rs") && text.contains(&made));
        assert!(is_made, "nothing is digested as {domain:?}");
    }
}

/// The source that is read as text says what the compiler says.
#[test]
fn no_field_that_is_encoded_is_missed() {
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

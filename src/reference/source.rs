//! The source of this repository, read as text: the fields of a type, the items of a list, and the tests of a file.
//!
//! The source is formatted, so each line is a field or the end of a type.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use regex::Regex;

/// A part of a type, with its documentation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub name: String,
    pub description: String,
}

/// The path of a file in the repository.
pub(crate) fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The text of a file in the repository.
pub(crate) fn text(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The sources of the library, each with its path.
pub(crate) fn files() -> Vec<(PathBuf, String)> {
    files_in("src")
}

/// The sources in a directory, each with its path.
pub(crate) fn files_in(directory: &str) -> Vec<(PathBuf, String)> {
    let entries = WalkBuilder::new(path(directory)).build().map(|entry| entry.unwrap().into_path());
    let sources = entries.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    sources.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Whether a file has a test of this name: a function with `#[test]` above it.
pub(crate) fn has_test(file: &str, name: &str) -> bool {
    let text = text(file);
    // Tests in a macro are indented.
    let function = Regex::new(&format!(r"(?m)^\s*#\[test\]\n(\s*#\[.*\]\n)*\s*fn {name}\(")).unwrap();
    function.is_match(&text)
}

/// The fields of a struct, or the variants of an enum and their fields, in order.
pub(crate) fn parts(file: &str, item: &str) -> Vec<Part> {
    let text = text(file);
    let start = Regex::new(&format!(r"(?m)^(pub(\([a-z]+\))? )?(struct|enum) {item}(<'a>)? \{{$")).unwrap();
    let start = start.find(&text).unwrap_or_else(|| panic!("{file} has no {item}")).end();
    let body = text[start..].split("\n}").next().unwrap();
    let member = Regex::new(r"^(?:pub(?:\([a-z]+\))? )?(\w+)(?:: .*|\(.*\))?(,| \{)$").unwrap();
    let (mut parts, mut docs, mut within) = (Vec::new(), Vec::new(), String::new());
    for line in body.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim());
        } else if line == "}," {
            within.clear();
        } else if let Some(found) = member.captures(line) {
            let description = plain(&std::mem::take(&mut docs).join(" "));
            match &found[2] {
                "," => parts.push(Part { name: format!("{within}{}", &found[1]), description }),
                _ => within = format!("{}.", &found[1]),
            }
        }
    }
    assert!(!parts.is_empty(), "{item} in {file} has no parts");
    parts
}

/// The names under which the fields of a struct are encoded.
pub(crate) fn encoded_fields(file: &str, item: &str) -> BTreeSet<String> {
    let renamed = Regex::new(r#"rename = "(\w+)".*\n\s*pub (\w+):"#).unwrap();
    let text = text(file);
    let encoded: BTreeMap<_, _> =
        renamed.captures_iter(&text).map(|found| (found[2].to_owned(), found[1].to_owned())).collect();
    parts(file, item).into_iter().map(|part| encoded.get(&part.name).cloned().unwrap_or(part.name)).collect()
}

/// The texts in a list of constants, and its documentation.
pub(crate) fn list(file: &str, name: &str) -> (Vec<String>, String) {
    let text = text(file);
    let start = text.find(&format!("\nconst {name}: ")).unwrap_or_else(|| panic!("{file} has no {name}"));
    let body = text[start + 1..].split(';').next().unwrap();
    let items = Regex::new("\"([^\"]+)\"").unwrap().captures_iter(body).map(|item| item[1].to_owned()).collect();
    let docs: Vec<_> = text[..start].lines().rev().map_while(|line| line.strip_prefix("///")).map(str::trim).collect();
    (items, plain(&docs.into_iter().rev().collect::<Vec<_>>().join(" ")))
}

/// The documentation of each domain of digests, by its name.
pub(crate) fn documented_domains() -> BTreeMap<String, String> {
    let text = text("src/digest.rs");
    let domain = Regex::new(r#"(?m)((?:^    /// .*\n)+)^    (\w+) = ".*",$"#).unwrap();
    let description = |docs: &str| {
        plain(&docs.lines().map(|line| line.trim().trim_start_matches("/// ")).collect::<Vec<_>>().join(" "))
    };
    domain.captures_iter(&text).map(|found| (found[2].to_owned(), description(&found[1]))).collect()
}

/// Documentation without links, for a table.
pub(crate) fn plain(docs: &str) -> String {
    let links = Regex::new(r"\[([^\]]+)\](\([^)]*\))?").unwrap();
    let description = links.replace_all(docs, "$1").replace('|', "\\|");
    description.replace('<', "&lt;").replace("crate::", "").replace("Self::", "")
}

#[test]
fn parts_are_read_with_their_documentation() {
    let parts = parts("src/key.rs", "Source");
    let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
    let expected = ["Registry.registry", "Registry.checksum", "Git.repository", "Git.revision", "Directory.content"];
    assert_eq!(names, expected);
    assert_eq!(parts[0].description, "The registry's source id.");
}

#[test]
fn lists_are_read_with_their_documentation() {
    let (items, description) = list("src/cargo/config.rs", "UNSEEN_BY_SCRIPTS");
    assert_eq!(
        (items, description.as_str()),
        (
            ["runner", "rustdocflags", "rustflags"].map(str::to_owned).into(),
            "Settings of a target that no build script sees: how to run programs, and flags, which are inputs of their \
             own."
        )
    );
}

//! Finds the names of variables in programs.
//!
//! A program that reads a variable contains its name, in its constants or in the text of a script. So a program without
//! the name does not read the variable, unless it composes the name or reads all variables.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use camino::Utf8PathBuf;
use ignore::WalkBuilder;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};
use regex::bytes::Regex;

use crate::digest::{Digest, Domain};
use crate::observe::Unknown;

/// Functions of the standard library whose use cannot be observed, as parts of the names of symbols.
const UNOBSERVABLE: &[(&str, Unknown)] = &[
    ("3std3env4vars", Unknown::Environment),
    ("_4VarsNt", Unknown::Environment),
    ("std..env..Vars$", Unknown::Environment),
    ("10SystemTime3now", Unknown::Clock),
];
/// A function that reads all variables, and a symbol whose presence means that the standard library calls it to start
/// programs.
const UNOBSERVABLE_UNLESS_STARTING: (&str, &str) = ("3std3env7vars_os", "CommandEnv");
/// Names up to this length are in many words. They count only at the beginning or the end of a word.
const SHORT: usize = 3;
/// Texts that every program in Rust or Go contains, from its standard library or as the name of that library.
const RUST_OR_GO: &[&[u8]] = &[b"RUST_BACKTRACE", b"libstd-", b"librustc_driver-", b"Go build"];
/// The kernel reads no more of a script's first line (`fs/binfmt_script.c`).
const FIRST_LINE: usize = 256;

/// Names to look for.
pub(super) struct Names {
    all: Vec<String>,
    finder: Option<AhoCorasick>,
}

impl Names {
    pub(super) fn new(names: BTreeSet<&str>) -> Self {
        let all: Vec<_> = names.into_iter().map(str::to_owned).collect();
        // This fails only for more names than any environment has.
        let finder = AhoCorasick::new(&all).ok();
        Self { all, finder }
    }

    /// All names.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        self.all.iter()
    }

    /// The digest of the names, by which the result of a search is remembered.
    pub(super) fn digest(&self) -> Digest {
        Digest::of_value(Domain::FoundNames, &self.all)
    }

    /// The names that are equal to one of these words.
    pub(super) fn among(&self, words: &BTreeSet<String>) -> BTreeSet<String> {
        self.all.iter().filter(|name| words.contains(*name)).cloned().collect()
    }

    /// The names that these words contain.
    pub(super) fn in_words(&self, words: &BTreeSet<String>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let text: Vec<_> = words.iter().map(String::as_str).collect();
        self.find(text.join("\n").as_bytes(), false, &mut found);
        found
    }

    /// The names in the constants of a program, or anywhere in another file.
    pub(super) fn in_file(&self, path: &Path) -> Option<BTreeSet<String>> {
        let bytes = std::fs::read(path).ok()?;
        let mut found = BTreeSet::new();
        match constants(&bytes) {
            Some(parts) => {
                let is_terminated = is_of_c(&bytes);
                parts.into_iter().for_each(|part| self.find(part, is_terminated, &mut found));
            }
            None => self.find(&bytes, false, &mut found),
        }
        Some(found)
    }

    /// Finds names in a part of a file. If its texts are terminated, a name counts only at the end of a text.
    fn find(&self, bytes: &[u8], is_terminated: bool, found: &mut BTreeSet<String>) {
        let Some(finder) = &self.finder else { return found.extend(self.all.iter().cloned()) };
        for hit in finder.find_overlapping_iter(bytes) {
            let name = &self.all[hit.pattern().as_usize()];
            let is_end = !is_terminated || bytes.get(hit.end()) == Some(&0);
            if !found.contains(name) && is_end && (name.len() > SHORT || stands_alone(bytes, hit.start(), hit.end())) {
                found.insert(name.clone());
            }
        }
    }
}

/// Whether a word of capital letters begins at `start` or ends at `end`. In programs, nothing separates texts.
fn stands_alone(bytes: &[u8], start: usize, end: usize) -> bool {
    let continues = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    !continues(start.checked_sub(1).and_then(|at| bytes.get(at))) || !continues(bytes.get(end))
}

/// Whether a program's texts end with a zero, as in C, but not in Rust and Go.
fn is_of_c(bytes: &[u8]) -> bool {
    RUST_OR_GO.iter().all(|text| memchr::memmem::find(bytes, text).is_none())
}

/// The sections of a program that contain texts; `None` if the file is not a program or has no such sections.
fn constants(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let file = object::File::parse(bytes).ok()?;
    let holds_texts = |kind| {
        use SectionKind::{Data, ReadOnlyData, ReadOnlyDataWithRel, ReadOnlyString};
        matches!(kind, Data | ReadOnlyData | ReadOnlyDataWithRel | ReadOnlyString)
    };
    let sections = file.sections().filter(|section| holds_texts(section.kind()));
    let parts: Vec<_> = sections.filter_map(|section| section.data().ok()).collect();
    (!parts.is_empty()).then_some(parts)
}

/// The words of a built program that may contain names of variables, or what it does that cannot be observed. There are
/// too many words in small letters to keep all: only those with a `_` are kept.
pub(super) fn words(path: &Path) -> Result<BTreeSet<String>, Unknown> {
    let bytes = std::fs::read(path).map_err(|_| Unknown::Changed)?;
    if let Some(unknown) = unobservable(&bytes) {
        return Err(unknown);
    }
    let parts = constants(&bytes).unwrap_or_else(|| vec![&bytes]);
    let mut found = BTreeSet::new();
    for word in parts.iter().flat_map(|part| words_in(part)) {
        let joined = Some(word).filter(|word| is_joined(word));
        // A program has few distinct words, each many times.
        for name in capitals_in(word).chain(joined).filter_map(|name| str::from_utf8(name).ok()) {
            if !found.contains(name) {
                found.insert(name.to_owned());
            }
        }
    }
    Ok(found)
}

/// The words in a text or a program: letters, digits and `_`.
fn words_in(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').filter(|word| !word.is_empty())
}

/// The longest names in capital letters within a word: in programs, nothing separates texts.
fn capitals_in(word: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = word.split(u8::is_ascii_lowercase);
    let names = parts.filter_map(|part| part.get(part.iter().position(|byte| !byte.is_ascii_digit())?..));
    names.filter(|name| name[1..].iter().any(u8::is_ascii_uppercase))
}

/// The words of a source file that look like names of variables, which a macro may read.
pub(super) fn source_words(source: &Path) -> BTreeSet<String> {
    source_words_in(&std::fs::read(source).unwrap_or_default())
}

/// The words in all `macro_rules` in a directory of sources that look like names of variables. Wherever these macros
/// are used, they may pass the words to a procedural macro.
pub(super) fn macro_words(directory: &Path) -> BTreeSet<String> {
    // A target directory may be inside of the package.
    let is_source = |entry: &ignore::DirEntry| !entry.path().join("CACHEDIR.TAG").exists();
    let files = WalkBuilder::new(directory).standard_filters(false).filter_entry(is_source).build();
    let files = files.flatten().filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    let mut found = BTreeSet::new();
    for file in files {
        let source = std::fs::read(file.path()).unwrap_or_default();
        macro_bodies(&source).for_each(|body| found.extend(source_words_in(body)));
    }
    found
}

/// The text of each `macro_rules`, up to its closing brace.
fn macro_bodies(source: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memmem::find_iter(source, b"macro_rules!").map(|start| {
        let rest = &source[start..];
        &rest[..end_of_group(rest)]
    })
}

/// Where the first group of tokens ends. This needs to know only the tokens that can hide a brace.
fn end_of_group(source: &[u8]) -> usize {
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        // Comments, strings, raw strings with up to two `#`, characters, braces.
        let hiding = ["//[^\n]*", "(?s:/\\*.*?\\*/)", "r\"[^\"]*\"", "(?s:r#\".*?\"#)", "(?s:r##\".*?\"##)"];
        let plain = ["(?s:\"(?:[^\"\\\\]|\\\\.)*\")", "'(?:[^'\\\\\n]|\\\\.)'", "[\\[({]", "[\\])}]"];
        pattern(&format!("{}|{}", hiding.join("|"), plain.join("|")))
    });
    let mut depth = 0_usize;
    for token in TOKEN.find_iter(source) {
        match token.as_bytes() {
            b"[" | b"(" | b"{" => depth += 1,
            b"]" | b")" | b"}" if depth <= 1 => return token.end(),
            b"]" | b")" | b"}" => depth -= 1,
            _ => {}
        }
    }
    source.len()
}

/// The words in capital letters anywhere, and the words in quotation marks that stand alone or have a `_`.
fn source_words_in(source: &[u8]) -> BTreeSet<String> {
    static ALONE: LazyLock<Regex> = LazyLock::new(|| pattern("\"([A-Za-z_][A-Za-z0-9_]+)\""));
    // Everything between the first and the last mark of a line, since only a parser knows which marks begin a string.
    static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern("\".*\""));
    let capital = words_in(source).filter(|word| is_capital(word));
    let alone = ALONE.captures_iter(source).filter_map(|text| text.get(1)).map(|text| text.as_bytes());
    let quoted = QUOTED.find_iter(source).flat_map(|text| words_in(text.as_bytes()));
    let joined = quoted.filter(|word| is_joined(word));
    capital.chain(alone).chain(joined).filter_map(text).collect()
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is valid")
}

fn text(word: &[u8]) -> Option<String> {
    Some(str::from_utf8(word).ok()?.to_owned())
}

/// Whether a word in capital letters may be a name.
fn is_capital(word: &[u8]) -> bool {
    let has_small = word.iter().any(u8::is_ascii_lowercase);
    word.len() > 1 && !has_small && !word[0].is_ascii_digit() && word.iter().any(u8::is_ascii_uppercase)
}

/// Whether a word has small letters and a `_`.
fn is_joined(word: &[u8]) -> bool {
    word.contains(&b'_') && word.iter().any(u8::is_ascii_lowercase)
}

/// What a program does that cannot be observed, by the functions that it contains.
fn unobservable(bytes: &[u8]) -> Option<Unknown> {
    let file = object::File::parse(bytes).ok()?;
    let symbols = file.symbols().filter(|symbol| symbol.is_definition());
    let names: Vec<_> = symbols.filter_map(|symbol| symbol.name().ok()).collect();
    let has = |part: &str| names.iter().any(|name| name.contains(part));
    let (of_all, to_start) = UNOBSERVABLE_UNLESS_STARTING;
    let is_of_all = has(of_all) && !has(to_start);
    let called = || UNOBSERVABLE.iter().find(|(part, _)| has(part)).map(|(_, unknown)| *unknown);
    is_of_all.then_some(Unknown::Environment).or_else(called)
}

/// The interpreter in the first line of a script.
pub(super) fn interpreter(path: &camino::Utf8Path) -> Option<Utf8PathBuf> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(FIRST_LINE as u64).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = str::from_utf8(line).ok()?.trim();
    line.split_whitespace().next().map(Utf8PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_found_wherever_they_stand_also_one_in_another() {
        let names = Names::new(["OUT", "OUT_DIR", "ABSENT"].into());
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("script");
        std::fs::write(&path, "#!/bin/sh\necho xOUT_DIRx").unwrap();
        let found = names.in_file(&path).unwrap();
        assert_eq!(found, ["OUT", "OUT_DIR"].map(str::to_owned).into());
        assert_eq!(interpreter(camino::Utf8Path::from_path(&path).unwrap()), Some("/bin/sh".into()));
    }

    #[test]
    fn words_of_a_source_are_in_capital_letters_or_quoted() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("lib.rs");
        let source = "ask!(\"in:A_NAME\", \"lower\", \"of a_word and others\", Word, WORDs, 2X);\nlet an_ident = ask!(OF_B2, T);";
        std::fs::write(&path, source).unwrap();
        let source_words = source_words(&path);
        assert_eq!(source_words, ["A_NAME", "OF_B2", "a_word", "lower"].map(str::to_owned).into());
        let names = Names::new(["A_NAME", "NAME", "lower", "low", "ABSENT"].into());
        assert_eq!(names.among(&source_words), ["A_NAME", "lower"].map(str::to_owned).into());
    }

    #[test]
    fn words_of_macros_are_between_their_braces() {
        let temporary = tempfile::tempdir().unwrap();
        let source = r##"
            const BEFORE: u8 = 0;
            macro_rules! one { () => { ["}", '}', '\\', '\'', "\"}", r"}\", r#""}"#, /* } */ 'static] // }
                IN_ONE }; }
            const BETWEEN: u8 = 0;
            macro_rules! two ( ($x:expr) => ("in_two") );
            const AFTER: u8 = 0;
        "##;
        let files = [("src/below/lib.rs", source), ("src/notes.md", "macro_rules! x { NOT_CODE }")];
        for (path, text) in files {
            let path = temporary.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        assert_eq!(macro_words(temporary.path()), ["IN_ONE", "in_two"].map(str::to_owned).into());
        std::fs::write(temporary.path().join("src/below/CACHEDIR.TAG"), "").unwrap();
        assert_eq!(macro_words(temporary.path()), BTreeSet::new());
    }

    #[test]
    fn words_in_small_letters_are_kept_if_they_are_joined() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("program");
        std::fs::write(&path, "some wordsanother_name.TARGETmy_varOUT_DIR other").unwrap();
        let found = words(&path).unwrap();
        assert_eq!(found, ["OUT_DIR", "TARGET", "TARGETmy_varOUT_DIR", "wordsanother_name"].map(str::to_owned).into());
        let names = Names::new(["another_name", "my_var", "some"].into());
        assert_eq!(names.in_words(&found), ["another_name", "my_var"].map(str::to_owned).into());
    }

    proptest! {
        #[test]
        fn names_in_capital_letters_are_those_that_a_regex_finds(bytes in "[A-C0-1a-b_ ]{0,24}") {
            let expected = pattern("[A-Z_][A-Z0-9_]*[A-Z][A-Z0-9_]*");
            let expected: Vec<_> = expected.find_iter(bytes.as_bytes()).map(|name| name.as_bytes()).collect();
            let found: Vec<_> = words_in(bytes.as_bytes()).flat_map(capitals_in).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn programs_that_load_rusts_library_are_not_c() {
        assert!(is_of_c(b"\x7fELF libc.so.6"));
        for program in ["RUST_BACKTRACE", "libstd-0123456789abcdef.so", "librustc_driver-0123.so", "Go buildinf:"] {
            assert!(!is_of_c(program.as_bytes()), "{program}");
        }
    }

    #[test]
    fn names_are_in_constants_and_functions_in_symbols() {
        let own = std::env::current_exe().unwrap();
        let names = Names::new(["RUST_BACKTRACE", "NO_SUCH_VARIABLE_"].into());
        assert!(names.in_file(&own).unwrap().contains("RUST_BACKTRACE"));
        // This test itself reads the clock and all variables.
        let _ = (std::time::SystemTime::now(), std::env::vars().count());
        assert!(words(&own).is_err());
        let words = BTreeSet::from(["TARGETOUT_DIRHOST", "ASCII", "CIRUST_BACKTRACE"].map(str::to_owned));
        let found = Names::new(["OUT_DIR", "CI", "CII", "ABSENT"].into()).in_words(&words);
        assert_eq!(found, ["CI", "CII", "OUT_DIR"].map(str::to_owned).into());
    }
}

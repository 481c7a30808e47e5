//! rustc's diagnostics for files with remapped paths.
//!
//! The messages are lines of JSON (`rustc_errors::json`). They name files in two places: in the fields `file_name`, and
//! in the text of `rendered`, after an arrow and before a line number. Only there, the real path replaces the virtual
//! one.

use std::borrow::Cow;

use crate::roots::Roots;

/// Replaces virtual paths by real ones in lines that rustc has printed.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Unmapping {
    /// Virtual and real paths.
    pairs: Vec<(String, String)>,
}

/// All lines, with the real paths of this machine.
pub fn printed(lines: &[String], unmapping: &Unmapping) -> String {
    lines.iter().map(|line| format!("{}\n", unmapping.line(line))).collect()
}

const FIELD: &str = r#""file_name":""#;

impl Unmapping {
    /// The unmapping for crates that are compiled with [`Roots::remap_arguments`].
    pub fn new(roots: &Roots) -> Self {
        Self { pairs: roots.virtual_pairs() }
    }

    /// Whether nothing was remapped.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The line with real paths.
    pub fn line<'a>(&self, line: &'a str) -> Cow<'a, str> {
        if !self.pairs.iter().any(|(virtual_path, _)| line.contains(virtual_path)) {
            return Cow::Borrowed(line);
        }
        let mut unmapped = line.to_owned();
        for (name, real) in self.files(line) {
            unmapped = unmapped.replace(&format!("{FIELD}{name}\""), &format!("{FIELD}{real}\""));
            unmapped = replace_before_number(&unmapped, &name, &real);
        }
        Cow::Owned(unmapped)
    }

    /// The virtual and real paths of the remapped files that a line names, both with JSON's escapes.
    fn files(&self, line: &str) -> Vec<(String, String)> {
        let names = line.match_indices(FIELD).filter_map(|(at, _)| quoted(&line[at + FIELD.len()..]));
        let mut files: Vec<_> = names.filter_map(|name| Some((name.to_owned(), self.real(name)?))).collect();
        files.sort();
        files.dedup();
        files
    }

    fn real(&self, name: &str) -> Option<String> {
        self.pairs.iter().find_map(|(virtual_path, real)| {
            let rest = name.strip_prefix(virtual_path).filter(|rest| rest.starts_with('/'))?;
            let real = serde_json::to_string(real).ok()?;
            Some(format!("{}{rest}", quoted(real.strip_prefix('"')?)?))
        })
    }
}

/// The text before the closing quote.
fn quoted(text: &str) -> Option<&str> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })?;
    Some(&text[..end])
}

/// Replaces `name:12` by `real:12`.
fn replace_before_number(text: &str, name: &str, real: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, found) = rest.split_at(at);
        let following = &found[name.len()..];
        let is_place =
            following.strip_prefix(':').is_some_and(|number| number.starts_with(|it: char| it.is_ascii_digit()));
        replaced.push_str(before);
        replaced.push_str(if is_place { real } else { name });
        rest = following;
    }
    replaced + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roots::Root;

    #[test]
    fn files_get_their_real_paths_and_other_text_stays_unchanged() {
        let unmapping = Unmapping::new(&Roots::new([(Root::CargoHome, "/home/\"ann\"/.cargo".into())]));
        let line = r#"{"message":"see /xcache/cargo-home/a.rs","spans":[{"file_name":"/xcache/cargo-home/a.rs","text":[{"text":"\"/xcache/cargo-home/a.rs\""}]},{"file_name":"src/b.rs"}],"rendered":" --> /xcache/cargo-home/a.rs:1:2\n \"/xcache/cargo-home/a.rs\""}"#;
        let expected = r#"{"message":"see /xcache/cargo-home/a.rs","spans":[{"file_name":"/home/\"ann\"/.cargo/a.rs","text":[{"text":"\"/xcache/cargo-home/a.rs\""}]},{"file_name":"src/b.rs"}],"rendered":" --> /home/\"ann\"/.cargo/a.rs:1:2\n \"/xcache/cargo-home/a.rs\""}"#;
        assert_eq!(unmapping.line(line), expected);
        for line in ["plain /xcache/cargo-home/a.rs:1", r#"{"file_name":"/xcache/cargo-homes/a.rs"}"#, ""] {
            assert_eq!(unmapping.line(line), line);
        }
        assert_eq!(Unmapping::default().line(line), line);
    }
}

//! rustc's `.d` files: the sources and the environment a crate was compiled from.
//!
//! The format is what `rustc_interface::passes::write_out_deps` writes and cargo's
//! `core/compiler/fingerprint/dep_info.rs` reads: make rules with spaces escaped, then `# env-dep:NAME=value` lines.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;

/// What a `.d` file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DepInfo {
    /// Source files.
    pub files: BTreeSet<Utf8PathBuf>,
    /// Variables read through `env!` and `option_env!`, with the value they had.
    pub environment: BTreeMap<String, Option<String>>,
}

impl DepInfo {
    /// Parses the text of a `.d` file.
    pub fn parse(text: &str) -> Self {
        let mut info = Self::default();
        for line in text.lines() {
            if let Some(variable) = line.strip_prefix("# env-dep:") {
                let (name, value) = match variable.split_once('=') {
                    Some((name, value)) => (name, Some(unescape_value(value))),
                    None => (variable, None),
                };
                info.environment.insert(unescape_value(name), value);
            } else if let Some((_, dependencies)) = line.split_once(": ") {
                info.files.extend(split_escaped(dependencies));
            }
        }
        info
    }
}

/// Splits at spaces that have no backslash before them.
fn split_escaped(line: &str) -> Vec<Utf8PathBuf> {
    let mut files = Vec::new();
    let mut file = String::new();
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&' ') => file.extend(characters.next()),
            ' ' => files.push(std::mem::take(&mut file)),
            _ => file.push(character),
        }
    }
    files.push(file);
    files.into_iter().filter(|file| !file.is_empty()).map(Into::into).collect()
}

/// rustc escapes line breaks and backslashes in values.
fn unescape_value(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                other => text.extend(other),
            },
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_environment_are_read() {
        let info = DepInfo::parse(
            "/t/a.d: src/lib.rs /t/out/with\\ space.rs\n\nsrc/lib.rs:\n\n# env-dep:OUT_DIR=/t/out\n# env-dep:UNSET\n# env-dep:TEXT=a\\nb\\\\c\n",
        );
        assert_eq!(info.files, ["/t/out/with space.rs", "src/lib.rs"].map(Into::into).into());
        assert_eq!(
            info.environment,
            [
                ("OUT_DIR".to_owned(), Some("/t/out".to_owned())),
                ("UNSET".to_owned(), None),
                ("TEXT".to_owned(), Some("a\nb\\c".to_owned())),
            ]
            .into()
        );
    }
}

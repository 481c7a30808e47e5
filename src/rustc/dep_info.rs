//! rustc's `.d` files (dep-info): the sources and the environment a crate was compiled from.
//!
//! The format is what `rustc_interface::passes::write_out_deps` writes and cargo's
//! `core/compiler/fingerprint/dep_info.rs` reads: make rules with spaces escaped, then `# env-dep:NAME=value` lines.
//! [`RecordedDepInfo`] is such a file with rooted paths.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::roots::{Root, RootedPath, Roots, Value};

/// The content of a `.d` file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DepInfo {
    /// Source files.
    pub files: BTreeSet<Utf8PathBuf>,
    /// Variables that were read through `env!` and `option_env!`, with their values.
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

/// The lines of a recorded `.d` file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordedDepInfo(Vec<Line>);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// An unchanged line.
    Text(String),
    /// `target: source source …`, or a source alone. rustc escapes spaces in sources, and not in other targets.
    Rule { target: RootedPath, sources: Vec<RootedPath> },
    /// `# env-dep:NAME=value`, with the name in its escaped form.
    Variable { name: String, value: Value },
}

impl RecordedDepInfo {
    /// Records a file. Text that is not a path but contains a root is bound to it. A file that could not be reproduced
    /// exactly is kept as text.
    pub fn record(
        text: &str,
        roots: &Roots,
        variable: impl Fn(&str, &str) -> Value,
        bound: &mut BTreeSet<Root>,
    ) -> Self {
        let mut bound_by_lines = BTreeSet::new();
        let lines = text.split('\n').map(|line| Line::record(line, roots, &variable, &mut bound_by_lines));
        let recorded = Self(lines.collect());
        if recorded.resolve(roots).as_deref() == Some(text) {
            bound.extend(bound_by_lines);
            return recorded;
        }
        bound.extend(roots.held_by(text));
        Self(vec![Line::Text(text.to_owned())])
    }

    /// The text with the paths of this machine; `None` if one of its roots is unknown.
    pub fn resolve(&self, roots: &Roots) -> Option<String> {
        let lines: Option<Vec<_>> = self.0.iter().map(|line| line.resolve(roots)).collect();
        Some(lines?.join("\n"))
    }
}

impl Line {
    fn record(line: &str, roots: &Roots, variable: impl Fn(&str, &str) -> Value, bound: &mut BTreeSet<Root>) -> Self {
        if let Some((name, value)) = line.strip_prefix("# env-dep:").and_then(|variable| variable.split_once('=')) {
            let value = variable(&unescape_value(name), &unescape_value(value));
            return Self::Variable { name: name.to_owned(), value };
        }
        let unescape = |target: &str| target.replace("\\ ", " ");
        let rule = line.split_once(": ").map(|(target, sources)| (target.to_owned(), sources));
        let rule = rule.or_else(|| Some((unescape(line.strip_suffix(':')?), "")));
        match rule.filter(|_| !line.starts_with('#')) {
            Some((target, sources)) => Self::Rule {
                target: roots.record(&target, bound),
                sources: split_escaped(sources).iter().map(|source| roots.record(source.as_str(), bound)).collect(),
            },
            None => {
                bound.extend(roots.held_by(line));
                Self::Text(line.to_owned())
            }
        }
    }

    fn resolve(&self, roots: &Roots) -> Option<String> {
        let path = |path| Some(roots.resolve(path)?.as_str().replace(' ', "\\ "));
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Rule { target, sources } => {
                let sources: Option<Vec<_>> = sources.iter().map(path).collect();
                let sources = sources?.iter().map(|source| format!(" {source}")).collect::<String>();
                let target = if sources.is_empty() { path(target)? } else { roots.resolve(target)?.into_string() };
                Some(format!("{target}:{sources}"))
            }
            Self::Variable { name, value } => {
                Some(format!("# env-dep:{name}={}", escape_value(&roots.resolve_value(value)?)))
            }
        }
    }
}

/// Splits at spaces without a backslash before them.
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

/// Undoes rustc's escapes of line breaks and backslashes in values.
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

fn escape_value(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\\' => text.push_str("\\\\"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(workspace: &str, target: &str) -> Roots {
        Roots::new([(Root::Workspace, workspace.into()), (Root::BuildDir, target.into())])
    }

    /// The text recorded `here`, as it reads `there`, and the roots that it is bound to.
    fn moved(text: &str, here: &Roots, there: &Roots) -> (String, BTreeSet<Root>) {
        let mut bound = BTreeSet::new();
        let variable = |name: &str, value: &str| crate::rustc::variables::recorded(name, value, here, &[]);
        let recorded = RecordedDepInfo::record(text, here, variable, &mut bound);
        assert_eq!(recorded.resolve(here).as_deref(), Some(text));
        (recorded.resolve(there).unwrap(), bound)
    }

    #[test]
    fn paths_move_and_values_do_not() {
        let text = "/app/target/x.d: src/lib.rs /app/a\\ b.rs /c/registry/app-1/x.rs /apple\n\n/app/a\\ b.rs:\n\n\
                    # env-dep:OUT_DIR=/app/target/out\n# env-dep:URL=/app/x\\n\n# env-dep:UNSET\n";
        let (moved, bound) = moved(text, &at("/app", "/app/target"), &at("/w w", "/t"));
        let expected = "/t/x.d: src/lib.rs /w\\ w/a\\ b.rs /c/registry/app-1/x.rs /apple\n\n/w\\ w/a\\ b.rs:\n\n\
                        # env-dep:OUT_DIR=/t/out\n# env-dep:URL=/app/x\\n\n# env-dep:UNSET\n";
        assert_eq!((moved.as_str(), bound), (expected, BTreeSet::new()));
    }

    #[test]
    fn spaces_are_escaped_where_rustc_escapes_them() {
        let text = "/a b/target/x.d: /a\\ b/src/lib.rs\n\n/a\\ b/src/lib.rs:\n";
        let (there, bound) = moved(text, &at("/a b", "/a b/target"), &at("/c d", "/c d/t"));
        assert_eq!(there, "/c d/t/x.d: /c\\ d/src/lib.rs\n\n/c\\ d/src/lib.rs:\n");
        assert_eq!(
            moved(&there, &at("/c d", "/c d/t"), &at("/e", "/t")).0,
            "/t/x.d: /e/src/lib.rs\n\n/e/src/lib.rs:\n"
        );
        assert_eq!(bound, BTreeSet::new());
    }

    #[test]
    fn text_that_cannot_be_parsed_is_bound() {
        let (here, there) = (at("/app", "/app/target"), at("/w", "/t"));
        for text in ["# checksum:blake3=00 /app/src/lib.rs", "a:  /app/b", "x /app\n"] {
            let (moved, bound) = moved(text, &here, &there);
            assert!(moved == text && bound.contains(&Root::Workspace), "{text}: {moved}, {bound:?}");
        }
    }

    #[test]
    fn files_and_environment_are_parsed() {
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

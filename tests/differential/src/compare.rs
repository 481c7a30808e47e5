//! What counts as a difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::runner::Observation;

/// A difference.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub kind: DifferenceKind,
    pub text: String,
}

/// The kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DifferenceKind {
    Exit,
    Errors,
    Printed,
    Messages,
    Warnings,
    Files,
    Dependencies,
    NotFresh,
    Remade,
    Panic,
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Exit => "another exit status",
            Self::Errors => "other errors",
            Self::Printed => "other output",
            Self::Messages => "other messages",
            Self::Warnings => "other warnings of build scripts",
            Self::Files => "other files",
            Self::Dependencies => "other contents of .d files",
            Self::Remade => "units without changes were built again",
            Self::NotFresh => "plain cargo compiles something afterwards",
            Self::Panic => "a step panicked",
        })
    }
}

/// Compares a result with that of plain cargo in a clean directory. Printed output comes first, since it shows a wrong
/// artifact. `from_nothing` says that the target directory was empty.
pub(crate) fn compare(
    ours: &Observation,
    cargos: &Observation,
    from_nothing: bool,
    comparable_errors: bool,
) -> Option<Difference> {
    let difference = |kind, text: String| Some(Difference { kind, text });
    if ours.code != cargos.code {
        let failed = if ours.code == Some(0) { cargos } else { ours };
        let errors: Vec<_> = failed.errors.iter().map(String::as_str).collect();
        let text = format!("{:?}, cargo {:?}\n{}\n{}", ours.code, cargos.code, errors.join("\n"), end(&failed.stderr));
        return difference(DifferenceKind::Exit, text);
    }
    // It is random which other units are compiled before cargo stops.
    if ours.code != Some(0) && !ours.errors.is_empty() {
        let differ = comparable_errors && ours.errors != cargos.errors;
        return differ.then(|| Difference { kind: DifferenceKind::Errors, text: sets(&ours.errors, &cargos.errors) });
    }
    if ours.printed != cargos.printed {
        return difference(DifferenceKind::Printed, lines(&ours.printed, &cargos.printed));
    }
    if let Some(text) = different_runs(&ours.runs, &cargos.runs) {
        return difference(DifferenceKind::Printed, text);
    }
    if ours.messages != cargos.messages {
        let keys = |seen: &Observation| seen.messages.0.iter().map(|(message, n)| format!("{n}x {message}")).collect();
        return difference(DifferenceKind::Messages, sets(&keys(ours), &keys(cargos)));
    }
    if ours.warnings != cargos.warnings {
        return difference(DifferenceKind::Warnings, sets(&ours.warnings, &cargos.warnings));
    }
    let names = |seen: &Observation| seen.files.keys().cloned().collect::<BTreeSet<_>>();
    let (our_names, cargos_names) = (names(ours), names(cargos));
    if !our_names.is_superset(&cargos_names) || (from_nothing && our_names != cargos_names) {
        return difference(DifferenceKind::Files, sets(&our_names, &cargos_names));
    }
    let (name, words) = cargos.files.iter().find(|(name, words)| ours.files[*name] != **words)?;
    difference(DifferenceKind::Dependencies, format!("{name}\n{}", sets(&ours.files[name], words)))
}

fn different_runs(ours: &BTreeMap<String, String>, cargos: &BTreeMap<String, String>) -> Option<String> {
    let differing: Vec<_> = cargos.iter().filter(|(name, said)| ours.get(*name) != Some(*said)).collect();
    let mut text = String::new();
    for (name, said) in differing {
        let not_built = String::from("(not built)");
        writeln!(text, "{name}\n{}", lines(ours.get(name).unwrap_or(&not_built), said)).expect("writing to memory");
    }
    (!text.is_empty()).then_some(text)
}

/// The lines that only one of two texts has.
fn lines(ours: &str, cargos: &str) -> String {
    let set = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let text = sets(&set(ours), &set(cargos));
    if text.is_empty() { format!("in another order:\n{ours}\ncargo:\n{cargos}") } else { text }
}

fn sets(ours: &BTreeSet<String>, cargos: &BTreeSet<String>) -> String {
    let only = |who: &str, these: &BTreeSet<String>, those: &BTreeSet<String>| {
        these.difference(those).map(|line| format!("  only {who}: {line}\n")).collect::<String>()
    };
    only("xcache", ours, cargos) + &only("cargo ", cargos, ours)
}

/// The last lines of a text.
pub(crate) fn end(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

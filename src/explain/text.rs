//! An explanation as text, in the [lines] of the report.

use std::io::{self, Write};

use anstyle::Style;

use super::{Cause, CauseKind, Explained, Explanation};
use crate::report::present::lines::{self, GOOD, NOTE};
use crate::report::present::{capitalized, counted, first_few, units};

/// How many names a list has.
const LISTED: usize = 12;

/// A line: the style of its verb, the verb, and a text.
type Line = (Style, String, String);

fn line(style: Style, verb: &str, text: impl Into<String>) -> Line {
    (style, verb.into(), text.into())
}

/// A line below another one.
fn more(text: String) -> Line {
    line(Style::new(), "", text)
}

/// Writes an explanation. `named` means that the user named the crates to explain.
pub fn write(explanation: &Explanation, named: bool, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let (new, others): (Vec<_>, Vec<_>) = explanation.causes.iter().partition(|cause| cause.what == CauseKind::New);
    let lines = match named {
        true => explanation.units.iter().flat_map(|unit| of_unit(explanation, unit)).collect(),
        false => {
            let others = others.into_iter().flat_map(|cause| of_cause(explanation, cause));
            head(explanation).into_iter().chain(others).chain(new_packages(&new)).collect::<Vec<_>>()
        }
    };
    let notes = explanation.notes.iter().map(|note| line(GOOD, "Note", note));
    lines.into_iter().chain(notes).try_for_each(|(style, verb, text)| lines::line(out, width, style, &verb, &text))
}

fn head(explanation: &Explanation) -> Option<Line> {
    let Explanation { command, planned, misses, uncacheable, .. } = explanation;
    let cargo = format!("`cargo {}`", command.join(" "));
    let text = match (misses, planned) {
        (_, 0) => format!("no unit in {cargo}"),
        (0, planned) => format!("none of {} in {cargo}", units(*planned)),
        (misses, planned) => format!("{misses} of {} in {cargo}", units(*planned)),
    };
    let rest = match uncacheable {
        0 => String::new(),
        units => format!("; {units} cannot be cached, which `cargo xcache report` lists"),
    };
    (!command.is_empty()).then(|| line(GOOD, "Missed", format!("{text}{rest}")))
}

/// The cause, the path to its package unless the text contains it, and the units.
fn of_cause(explanation: &Explanation, cause: &Cause) -> Vec<Line> {
    let listed = |heading: String, units: &[usize]| {
        let mut names: Vec<_> = units.iter().filter_map(|index| explanation.units.get(*index)).map(name).collect();
        names.sort();
        (!units.is_empty()).then(|| format!("{heading}: {}", first_few(&names, LISTED)))
    };
    let path = Some(cause.path.join(" → ")).filter(|path| path.contains(" → ") && !cause.text.contains(path));
    let own = listed(units(cause.units.len()), &cause.units);
    let followers = counted(cause.followers.len(), "more follows", "more follow");
    let details = [path, own, listed(followers, &cause.followers)].into_iter().flatten().map(more);
    [line(GOOD, "Because", &cause.text)].into_iter().chain(details).collect()
}

/// One list of all packages without an input history.
fn new_packages(causes: &[&Cause]) -> Vec<Line> {
    let Some(first) = causes.first() else { return Vec::new() };
    let name = first.package.as_deref().and_then(|package| package.split(' ').next()).unwrap_or_default();
    let predicate = first.text.strip_prefix(&format!("{name} was ")).unwrap_or(&first.text);
    let packages = match causes.len() {
        1 => "a package was".to_owned(),
        many => format!("{many} packages were"),
    };
    let listed = causes.iter().take(LISTED).map(|cause| {
        let path = if cause.path.len() > 1 { format!(" ({})", cause.path.join(" → ")) } else { String::new() };
        format!("{}{path}", cause.package.as_deref().unwrap_or_default())
    });
    let rest = (causes.len() > LISTED).then(|| format!("and {} more", causes.len() - LISTED));
    let heading = line(GOOD, "Because", format!("{packages} {predicate}"));
    [heading].into_iter().chain(listed.chain(rest).map(more)).collect()
}

/// A unit, its causes, and the path to its package.
fn of_unit(explanation: &Explanation, unit: &Explained) -> Vec<Line> {
    let verb = match unit.outcome.as_str() {
        "miss" => "Missed".into(),
        outcome => capitalized(outcome),
    };
    let compared = unit.compared_with.map(|at| format!(", compared with the inputs recorded at {at:.0}"));
    let heading = line(GOOD, &verb, format!("{} {}{}", name(unit), unit.version, compared.unwrap_or_default()));
    let causes = unit.causes.iter().filter_map(|index| explanation.causes.get(*index));
    let causes = causes.map(|cause| line(NOTE, "Because", &cause.text));
    let path = (unit.path.len() > 1).then(|| line(NOTE, "Through", unit.path.join(" → ")));
    [heading].into_iter().chain(causes).chain(path).collect()
}

/// The package, and the target if it is not the library.
fn name(unit: &Explained) -> String {
    match (unit.kind.as_str(), unit.mode.as_str()) {
        (_, "run-custom-build") => format!("{} (build script's run)", unit.package),
        ("custom-build", _) => format!("{} (build script)", unit.package),
        ("lib" | "proc-macro", "build") => unit.package.clone(),
        ("lib", mode) => format!("{} ({mode})", unit.package),
        (kind, "build") if unit.target == unit.package => format!("{} ({kind})", unit.package),
        (kind, "build") => format!("{} ({kind} {})", unit.package, unit.target),
        (kind, mode) => format!("{} ({mode} of {kind} {})", unit.package, unit.target),
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;

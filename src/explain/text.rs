//! An explanation as text, in the [lines] of the report.

use std::io::{self, Write};

use anstyle::Style;

use super::{Cause, CauseKind, Explained, Explanation};
use crate::report::present::lines::{self, GOOD, NOTE};
use crate::report::present::{capitalized, counted, first_few, units};

/// How many names a list has.
const LISTED: usize = 12;

/// Writes an explanation. `named` means that the user named the crates to explain.
pub fn write(explanation: &Explanation, named: bool, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page { out, width };
    if named {
        explanation.units.iter().try_for_each(|unit| page.unit(explanation, unit))?;
    } else {
        page.head(explanation)?;
        page.causes(explanation)?;
    }
    explanation.notes.iter().try_for_each(|note| page.heading("Note", note))
}

struct Page<'a> {
    out: &'a mut dyn Write,
    width: Option<u16>,
}

impl Page<'_> {
    fn head(&mut self, explanation: &Explanation) -> io::Result<()> {
        let Explanation { command, planned, misses, uncacheable, .. } = explanation;
        if command.is_empty() {
            return Ok(());
        }
        let command = format!("`cargo {}`", command.join(" "));
        let text = match (misses, planned) {
            (_, 0) => format!("no unit in {command}"),
            (0, planned) => format!("none of {} in {command}", units(*planned)),
            (misses, planned) => format!("{misses} of {} in {command}", units(*planned)),
        };
        let rest = match uncacheable {
            0 => String::new(),
            units => format!("; {units} cannot be cached, which `cargo xcache report` lists"),
        };
        self.heading("Missed", &format!("{text}{rest}"))
    }

    fn causes(&mut self, explanation: &Explanation) -> io::Result<()> {
        let (new, others): (Vec<_>, Vec<_>) = explanation.causes.iter().partition(|cause| cause.what == CauseKind::New);
        for cause in others {
            self.heading("Because", &cause.text)?;
            self.path(cause)?;
            self.units(explanation, cause)?;
        }
        self.new_packages(&new)
    }

    /// One list of all packages without an input history.
    fn new_packages(&mut self, causes: &[&Cause]) -> io::Result<()> {
        let Some(first) = causes.first() else { return Ok(()) };
        let name = first.package.as_deref().and_then(|package| package.split(' ').next()).unwrap_or_default();
        let predicate = first.text.strip_prefix(&format!("{name} was ")).unwrap_or(&first.text);
        let packages = match causes.len() {
            1 => "a package was".to_owned(),
            many => format!("{many} packages were"),
        };
        self.heading("Because", &format!("{packages} {predicate}"))?;
        for cause in causes.iter().take(LISTED) {
            let path = if cause.path.len() > 1 { format!(" ({})", cause.path.join(" → ")) } else { String::new() };
            self.more(&format!("{}{path}", cause.package.as_deref().unwrap_or_default()))?;
        }
        match causes.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => self.more(&format!("and {more} more")),
        }
    }

    /// The path to the package, unless the text of the cause contains it.
    fn path(&mut self, Cause { path, text, .. }: &Cause) -> io::Result<()> {
        let path = path.join(" → ");
        if path.contains(" → ") && !text.contains(&path) { self.more(&path) } else { Ok(()) }
    }

    fn units(&mut self, explanation: &Explanation, cause: &Cause) -> io::Result<()> {
        let names = |units: &[usize]| {
            let mut names: Vec<_> = units.iter().filter_map(|index| explanation.units.get(*index)).map(name).collect();
            names.sort();
            first_few(&names, LISTED)
        };
        if !cause.units.is_empty() {
            self.more(&format!("{}: {}", units(cause.units.len()), names(&cause.units)))?;
        }
        if !cause.followers.is_empty() {
            let followers = counted(cause.followers.len(), "more follows", "more follow");
            self.more(&format!("{followers}: {}", names(&cause.followers)))?;
        }
        Ok(())
    }

    fn unit(&mut self, explanation: &Explanation, unit: &Explained) -> io::Result<()> {
        let verb = match unit.outcome.as_str() {
            "miss" => "Missed".into(),
            outcome => capitalized(outcome),
        };
        let compared = unit.compared_with.map(|at| format!(", compared with the inputs recorded at {at:.0}"));
        self.heading(&verb, &format!("{} {}{}", name(unit), unit.version, compared.unwrap_or_default()))?;
        for cause in unit.causes.iter().filter_map(|index| explanation.causes.get(*index)) {
            self.detail("Because", &cause.text)?;
        }
        if unit.path.len() > 1 {
            self.detail("Through", &unit.path.join(" → "))?;
        }
        Ok(())
    }

    fn heading(&mut self, verb: &str, text: &str) -> io::Result<()> {
        lines::line(self.out, self.width, GOOD, verb, text)
    }

    fn detail(&mut self, verb: &str, text: &str) -> io::Result<()> {
        lines::line(self.out, self.width, NOTE, verb, text)
    }

    fn more(&mut self, text: &str) -> io::Result<()> {
        lines::line(self.out, self.width, Style::new(), "", text)
    }
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

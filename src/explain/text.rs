//! An explanation in words, in cargo's manner: a verb at the left, what is said of it at the right.
//!
//! Styles and width are handled as in [`crate::report::text`].

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use textwrap::wrap;

use super::{Cause, CauseKind, Explained, Explanation};

const STATUS: Style = AnsiColor::Green.on_default().bold();
const DETAIL: Style = AnsiColor::Cyan.on_default().bold();
/// Where text begins: behind the verb.
const MARGIN: usize = 13;
/// Lines are at least this long, however narrow the terminal.
const NARROWEST: usize = 40;
/// Names and packages in a list; more are counted.
const LISTED: usize = 12;

/// Writes an explanation. `named`: it is of crates that somebody has asked about.
pub fn write(explanation: &Explanation, named: bool, width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page { out, width: width.map_or(usize::MAX, |width| usize::from(width).max(NARROWEST)) };
    if named {
        explanation.units.iter().try_for_each(|unit| page.unit(explanation, unit))?;
    } else {
        page.head(explanation)?;
        page.causes(explanation)?;
    }
    explanation.notes.iter().try_for_each(|note| page.say("Note", note))
}

struct Page<'a> {
    out: &'a mut dyn Write,
    width: usize,
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
            (0, planned) => format!("none of {} in {command}", count(*planned, "unit")),
            (misses, planned) => format!("{misses} of {} in {command}", count(*planned, "unit")),
        };
        let rest = match uncacheable {
            0 => String::new(),
            units => format!("; {units} cannot be cached, which `cargo xcache report` lists"),
        };
        self.say("Missed", &format!("{text}{rest}"))
    }

    fn causes(&mut self, explanation: &Explanation) -> io::Result<()> {
        let (new, others): (Vec<_>, Vec<_>) = explanation.causes.iter().partition(|cause| cause.what == CauseKind::New);
        for cause in others {
            self.say("Because", &cause.text)?;
            self.path(cause)?;
            self.units(explanation, cause)?;
        }
        self.unknown(&new)
    }

    /// All packages that nothing is known of, together.
    fn unknown(&mut self, causes: &[&Cause]) -> io::Result<()> {
        let Some(first) = causes.first() else { return Ok(()) };
        let name = first.package.as_deref().and_then(|package| package.split(' ').next()).unwrap_or_default();
        let said = first.text.strip_prefix(&format!("{name} was ")).unwrap_or(&first.text);
        self.say(
            "Because",
            &format!(
                "{} {said}",
                match causes.len() {
                    1 => "a package was".to_owned(),
                    many => format!("{many} packages were"),
                }
            ),
        )?;
        for cause in causes.iter().take(LISTED) {
            let path = if cause.path.len() > 1 { format!(" ({})", cause.path.join(" → ")) } else { String::new() };
            self.more(&format!("{}{path}", cause.package.as_deref().unwrap_or_default()))?;
        }
        match causes.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => self.more(&format!("and {more} more")),
        }
    }

    /// Unless the text has it already.
    fn path(&mut self, Cause { path, text, .. }: &Cause) -> io::Result<()> {
        let path = path.join(" → ");
        if path.contains(" → ") && !text.contains(&path) { self.more(&path) } else { Ok(()) }
    }

    fn units(&mut self, explanation: &Explanation, cause: &Cause) -> io::Result<()> {
        let names = |units: &[usize]| list(units.iter().filter_map(|index| explanation.units.get(*index)).map(name));
        if !cause.units.is_empty() {
            self.more(&format!("{}: {}", count(cause.units.len(), "unit"), names(&cause.units)))?;
        }
        match cause.followers.len() {
            0 => Ok(()),
            1 => self.more(&format!("1 more follows: {}", names(&cause.followers))),
            more => self.more(&format!("{more} more follow: {}", names(&cause.followers))),
        }
    }

    fn unit(&mut self, explanation: &Explanation, unit: &Explained) -> io::Result<()> {
        let verb = match unit.outcome.as_str() {
            "miss" => "Missed",
            "hit" => "Hit",
            "fresh" => "Fresh",
            "uncacheable" => "Uncacheable",
            _ => "Not reached",
        };
        let compared = unit.compared_with.map(|at| format!(", compared with what was recorded at {at:.0}"));
        self.say(verb, &format!("{} {}{}", name(unit), unit.version, compared.unwrap_or_default()))?;
        for cause in unit.causes.iter().filter_map(|index| explanation.causes.get(*index)) {
            self.detail("Because", &cause.text)?;
        }
        if unit.path.len() > 1 {
            self.detail("Through", &unit.path.join(" → "))?;
        }
        Ok(())
    }

    fn say(&mut self, verb: &str, text: &str) -> io::Result<()> {
        self.line(STATUS, verb, text)
    }

    fn detail(&mut self, verb: &str, text: &str) -> io::Result<()> {
        self.line(DETAIL, verb, text)
    }

    fn line(&mut self, style: Style, verb: &str, text: &str) -> io::Result<()> {
        let mut lines = self.lines(text).into_iter();
        writeln!(self.out, "{style}{verb:>12}{style:#} {}", lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| writeln!(self.out, "{:MARGIN$}{line}", ""))
    }

    fn more(&mut self, text: &str) -> io::Result<()> {
        self.lines(text).into_iter().try_for_each(|line| writeln!(self.out, "{:MARGIN$}{line}", ""))
    }

    /// Some of it may come from elsewhere: nothing in it commands the terminal.
    fn lines(&self, text: &str) -> Vec<String> {
        let text = text.replace(char::is_control, " ");
        wrap(&text, self.width.saturating_sub(MARGIN)).into_iter().map(Into::into).collect()
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Its package, and what of it, where it is not the library.
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

/// The first of these names, and how many there are besides.
fn list(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort();
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;

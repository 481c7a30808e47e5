//! The lines of a terminal, in cargo's manner: a verb at the left, and what is said of it at the right.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// Cargo's verbs are right-aligned to this width.
pub(in crate::report) const VERB: u16 = 12;
/// Narrower than this, nothing would be left of a name.
const NARROWEST: u16 = 40;

/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// A detail.
pub const NOTE: Style = AnsiColor::Cyan.on_default().bold();
pub(in crate::report) const ATTENTION: Style = AnsiColor::Yellow.on_default().bold();
pub(in crate::report) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(in crate::report) const QUIET: Style = Style::new().dimmed();

/// The room beside the verb.
pub(in crate::report) fn cells_width(width: u16) -> u16 {
    width.max(NARROWEST) - VERB
}

/// Writes a verb and a text, which goes on below itself where it is wider than the terminal. Words are never broken: they
/// may be commands or paths.
pub fn line(out: &mut dyn Write, width: Option<u16>, style: Style, verb: &str, text: &str) -> io::Result<()> {
    let indent = usize::from(VERB);
    let room = width.map_or(usize::MAX, |width| usize::from(cells_width(width)) - 1);
    let mut lines: Vec<String> = Vec::new();
    for word in one_line(text).split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    writeln!(out, "{style}{verb:>indent$}{style:#} {}", lines[0])?;
    lines[1..].iter().try_for_each(|line| writeln!(out, "{:indent$} {line}", ""))
}

/// Names and messages come from elsewhere: nothing in them moves the cursor or changes colours.
pub(in crate::report) fn one_line(text: &str) -> String {
    let is_gap = |letter: char| letter.is_whitespace() || letter.is_control();
    text.split(is_gap).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

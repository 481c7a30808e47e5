//! Lines for a terminal, as cargo writes them: a verb on the left, and a text on the right.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// The width to which cargo right-aligns its verbs.
pub(in crate::report) const VERB: u16 = 12;
/// The least width that lines are laid out for.
const MIN_WIDTH: u16 = 40;

/// For success.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// For details.
pub const NOTE: Style = AnsiColor::Cyan.on_default().bold();
pub(in crate::report) const ATTENTION: Style = AnsiColor::Yellow.on_default().bold();
pub(in crate::report) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(in crate::report) const QUIET: Style = Style::new().dimmed();

/// The width that remains beside the verb.
pub(in crate::report) fn cells_width(width: u16) -> u16 {
    width.max(MIN_WIDTH) - VERB
}

/// Writes a verb and a text. A text that is wider than the terminal is wrapped. Words are never broken, because they
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

/// Writes a line for each text that is present.
pub(in crate::report) fn lines<const N: usize>(
    out: &mut dyn Write,
    width: Option<u16>,
    style: Style,
    texts: [(&str, Option<String>); N],
) -> io::Result<()> {
    let mut texts = texts.into_iter().filter_map(|(verb, text)| Some((verb, text?)));
    texts.try_for_each(|(verb, text)| line(out, width, style, verb, &text))
}

/// The text without line breaks and control characters: names and messages from elsewhere must not move the cursor or
/// change colours.
pub(in crate::report) fn one_line(text: &str) -> String {
    let is_gap = |letter: char| letter.is_whitespace() || letter.is_control();
    text.split(is_gap).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

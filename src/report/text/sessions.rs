//! The last sessions, one line for each.

use std::io::{self, Write};

use anstyle::Style;

use super::View;
use super::grid::{Column, Grid};
use crate::report::present::lines::{BAD, GOOD, NOTE, QUIET};
use crate::report::present::{bytes, duration};
use crate::report::sessions::{Session, Sessions};

/// Writes the sessions, newest first, with their times in UTC and with the numbers that `--compare` accepts.
pub fn sessions(sessions: &Sessions, view: View, out: &mut dyn Write) -> io::Result<()> {
    let texts = ["started", "command"].map(|name| (name, Column::Text));
    let numbers = ["took", "hits", "misses", "saved"].map(|name| (name, Column::Number));
    let optional = ["uncacheable", "received", "fresh"].map(|name| (name, Column::Optional));
    let columns = [&[("#", Column::Number)][..], &texts, &numbers, &optional].concat();
    let mut grid = Grid::new(view.width, &columns);
    for (index, session) in sessions.sessions.iter().enumerate() {
        let (style, verb) = verb(session);
        grid.add(style, verb, row(index, session));
    }
    grid.write(out)
}

fn row(index: usize, session: &Session) -> [String; 10] {
    let count = |units: usize| if session.units == 0 { String::new() } else { units.to_string() };
    let nonzero = |value: u64, words: fn(u64) -> String| if value > 0 { words(value) } else { String::new() };
    [
        index.to_string(),
        session.started.map_or_else(String::new, |started| started.strftime("%m-%d %H:%M:%S").to_string()),
        session.command.join(" "),
        duration(session.duration_ms),
        count(session.hits),
        count(session.misses),
        nonzero(session.saved_ms, duration),
        count(session.uncacheable),
        nonzero(session.received_bytes, bytes),
        count(session.fresh),
    ]
}

/// How the session ended.
fn verb(session: &Session) -> (Style, &'static str) {
    match session.exit_code {
        _ if !session.complete => (BAD, "Incomplete"),
        Some(0) if session.noop && session.units == 0 => (QUIET, "No change"),
        Some(0) => (GOOD, "Built"),
        Some(_) => (BAD, "Failed"),
        None => (NOTE, "Ended"),
    }
}

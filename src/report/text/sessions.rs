//! The last sessions, a line each.

use std::io::{self, Write};

use anstyle::Style;

use super::View;
use super::grid::{Column, Grid};
use crate::report::present::lines::{BAD, GOOD, NOTE, QUIET};
use crate::report::present::{bytes, duration};
use crate::report::sessions::{Session, Sessions};

/// The newest first, with the time in UTC, each with the number that `--compare` takes.
pub fn sessions(sessions: &Sessions, view: View, out: &mut dyn Write) -> io::Result<()> {
    let (text, number, extra) = (Column::Text, Column::Number, Column::Extra);
    let what = [("#", number), ("started", text), ("command", text), ("took", number)];
    let [index, started, command, took] = what;
    let [hits, misses, saved] = [("hits", number), ("misses", number), ("saved", number)];
    let [uncacheable, received, fresh] = [("uncacheable", extra), ("received", extra), ("fresh", extra)];
    let columns = [index, started, command, took, hits, misses, saved, uncacheable, received, fresh];
    let mut grid = Grid::new(view.width, columns);
    for (index, session) in sessions.sessions.iter().enumerate() {
        let (style, verb) = verb(session);
        grid.add(style, verb, row(index, session));
    }
    grid.write(out)
}

fn row(index: usize, session: &Session) -> [String; 10] {
    let count = |units: usize| if session.units == 0 { String::new() } else { units.to_string() };
    let received = (session.received_bytes > 0).then(|| bytes(session.received_bytes));
    let saved = (session.saved_ms > 0).then(|| duration(session.saved_ms));
    [
        index.to_string(),
        session.started.map_or_else(String::new, |started| started.strftime("%m-%d %H:%M:%S").to_string()),
        session.command.join(" "),
        duration(session.duration_ms),
        count(session.hits),
        count(session.misses),
        saved.unwrap_or_default(),
        count(session.uncacheable),
        received.unwrap_or_default(),
        count(session.fresh),
    ]
}

/// How it ended.
fn verb(session: &Session) -> (Style, &'static str) {
    match session.exit_code {
        _ if !session.complete => (BAD, "Incomplete"),
        Some(0) if session.noop && session.units == 0 => (QUIET, "No change"),
        Some(0) => (GOOD, "Built"),
        Some(_) => (BAD, "Failed"),
        None => (NOTE, "Ended"),
    }
}

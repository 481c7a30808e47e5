//! Events as lines of JSON, in a file to which any number of sessions append.
//!
//! **Invariant.** Wherever the text is cut off, its complete lines are read as events, and nothing is invented for the
//! rest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Event;

/// The version of a line. It changes when a field or a kind of event is removed or changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// One line of a file of events.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The version of this form.
    pub schema_version: u32,
    /// The session's name: when it began, and its process. Parallel sessions may write to one file.
    pub session: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Line {
    /// The JSON schema.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

/// A complete line that is not an event of this version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {number}: {reason}")]
pub struct BadLine {
    /// The number of the line, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// An event of a session as a line of text.
pub fn write(session: &str, event: &Event) -> Vec<u8> {
    let line = Line { schema_version: SCHEMA_VERSION, session: session.into(), event: event.clone() };
    let mut bytes = serde_json::to_vec(&line).expect("an event is plain data");
    bytes.push(b'\n');
    bytes
}

/// The events of each session, in the order in which the sessions began.
///
/// A truncated line is skipped: its session was interrupted as well.
pub fn read(text: &[u8]) -> Result<Vec<Vec<Event>>, BadLine> {
    let mut sessions: Vec<(String, Vec<Event>)> = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let bad = |reason: String| BadLine { number: index + 1, reason };
        let Line { schema_version, session, event } = match serde_json::from_slice(line) {
            Ok(line) => line,
            Err(error) if error.is_eof() => continue,
            Err(error) => return Err(bad(error.to_string())),
        };
        if schema_version != SCHEMA_VERSION {
            return Err(bad(format!("it has version {schema_version}, not {SCHEMA_VERSION}")));
        }
        match sessions.iter_mut().rev().find(|(name, _)| *name == session) {
            Some((_, events)) => events.push(event),
            None => sessions.push((session, vec![event])),
        }
    }
    Ok(sessions.into_iter().map(|(_, events)| events).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;

    fn warning(message: &str) -> Event {
        Event { at_ms: 5, kind: EventKind::Warning { message: message.into() } }
    }

    #[test]
    fn a_line_has_its_version_and_session() {
        assert_eq!(
            String::from_utf8(write("s", &warning("two\nlines"))).unwrap(),
            "{\"schema_version\":1,\"session\":\"s\",\"at_ms\":5,\"event\":\"warning\",\"message\":\"two\\nlines\"}\n"
        );
    }

    #[test]
    fn parallel_sessions_are_separated() {
        let lines = [("one", "a"), ("two", "b"), ("one", "c")];
        let text: Vec<_> = lines.iter().flat_map(|(session, message)| write(session, &warning(message))).collect();
        assert_eq!(read(&text).unwrap(), [vec![warning("a"), warning("c")], vec![warning("b")]]);
    }

    #[test]
    fn a_truncated_line_is_skipped_anywhere() {
        let mut text = write("one", &warning("a"));
        text.extend(&write("one", &warning("b"))[..40]);
        assert_eq!(read(&text).unwrap(), [[warning("a")]]);
        text.push(b'\n');
        text.extend(write("two", &warning("c")));
        assert_eq!(read(&text).unwrap(), [[warning("a")], [warning("c")]]);
    }

    #[test]
    fn a_line_of_another_version_or_kind_is_an_error() {
        let mut text = write("one", &warning("a"));
        text.extend(b"{\"schema_version\":9,\"session\":\"x\",\"at_ms\":1,\"event\":\"session-finished\"}\n");
        assert_eq!(read(&text).unwrap_err().to_string(), "line 2: it has version 9, not 1");
        assert_eq!(read(b"\nplain text\n").unwrap_err().number, 2);
        let unknown = b"{\"schema_version\":1,\"session\":\"x\",\"at_ms\":1,\"event\":\"flood\"}";
        assert!(read(unknown).unwrap_err().reason.contains("flood"));
    }
}

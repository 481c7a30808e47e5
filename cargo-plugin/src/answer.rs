//! Answers of our own commands, on standard output: as text, or as JSON.

use std::io;

use clap::ValueEnum;
use serde::Serialize;
use xcache::report::text::View;

use crate::terminal;

/// How an answer is written.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Writes an answer. `all` is whether nothing may be left out of the text.
pub(crate) fn show<T: Serialize>(
    answer: &T,
    format: Format,
    all: bool,
    render: fn(&T, View, &mut dyn io::Write) -> io::Result<()>,
) -> Result<(), String> {
    terminal::output(terminal::Options::default(), |out, width| match format {
        Format::Text => render(answer, View { width, all }, out),
        Format::Json => writeln!(out, "{:#}", serde_json::to_value(answer)?),
    })
    .map_err(|error| error.to_string())
}

//! The output of xcache's own commands on standard output, as text or as JSON.

use std::io;
use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;
use xcache::report::text::View;

use crate::terminal;

/// The format of the output.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Writes a result. If `all` is set, the text leaves nothing out.
pub(crate) fn show<T: Serialize>(
    result: &T,
    format: Format,
    all: bool,
    render: fn(&T, View, &mut dyn io::Write) -> io::Result<()>,
) -> Result<(), String> {
    write(None, |out, width| match format {
        Format::Text => render(result, View { width, all }, out),
        Format::Json => json(result, out),
    })
}

/// Writes a result as JSON.
pub(crate) fn json(result: &impl Serialize, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{:#}", serde_json::to_value(result)?)
}

/// Writes to standard output or to a file. A file gets no colours and lines of any length.
pub(crate) fn write(
    file: Option<&Path>,
    render: impl FnOnce(&mut dyn io::Write, Option<u16>) -> io::Result<()>,
) -> Result<(), String> {
    let Some(path) = file else {
        return terminal::output(terminal::Options::default(), render).map_err(|error| error.to_string());
    };
    let mut bytes = Vec::new();
    let rendered = render(&mut anstream::StripStream::new(&mut bytes), None);
    let written = rendered.and_then(|()| std::fs::write(path, bytes));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

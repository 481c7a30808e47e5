//! What would make builds faster.

use std::io::{self, Write};

use super::View;
use crate::report::Report;
use crate::report::present::lines::{ATTENTION, NOTE, line};
use crate::report::present::name;

/// A line for each, with what to do below it; nothing where there is no advice.
pub(super) fn write(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    for advice in &report.advice {
        let message = format!("{} ({})", advice.message, name(advice.name));
        line(out, view.width, ATTENTION, "Advice", &message)?;
        advice.action.lines().try_for_each(|action| line(out, view.width, NOTE, "", action))?;
    }
    if !report.advice.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

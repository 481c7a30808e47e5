//! The causes of misses and of uncacheable units, and what would change that.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::View;
use crate::report::cause::CompileCause;
use crate::report::present::{duration, units};
use crate::report::{Count, Report};

const HEADING: Style = Style::new().bold();

/// Writes a heading and a row for each cause, the most expensive first; nothing if there is no cause.
pub(super) fn write(report: &Report, view: View, out: &mut dyn Write) -> io::Result<()> {
    let causes = causes(report);
    if causes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{HEADING}Not cached, and what would change that{HEADING:#}\n")?;
    writeln!(out, "{}", table(&causes, view.width).trim_fmt())
}

fn causes(report: &Report) -> Vec<(CompileCause, Count)> {
    let mut causes: BTreeMap<CompileCause, Count> = BTreeMap::new();
    for outcome in report.units.iter().map(|unit| &unit.outcome) {
        if let Some(cause) = CompileCause::of(outcome) {
            causes.entry(cause).or_default().add(outcome.compiled_ms().unwrap_or(0));
        }
    }
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse((count.compile_ms, count.units)));
    causes
}

fn table(causes: &[(CompileCause, Count)], width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for (cause, count) in causes {
        table.add_row([
            Cell::new(cause.name()),
            Cell::new(units(count.units)).set_alignment(CellAlignment::Right),
            Cell::new(duration(count.compile_ms)).set_alignment(CellAlignment::Right),
            Cell::new(cause.words()),
        ]);
    }
    table
}

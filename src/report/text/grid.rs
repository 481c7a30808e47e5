//! A table with one line for each row: a verb as in cargo's status lines, then cells in columns.

use std::io::{self, Write};

use anstyle::Style;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, presets};

use crate::report::present::lines::{QUIET, VERB, cells_width, one_line};

/// As long as text would be cut to less than this, optional columns are left out.
const MIN_TEXT: usize = 32;

/// The kind of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Text that is cut if the line would be too long.
    Text,
    /// A number, which is never cut.
    Number,
    /// An optional number. The last optional column is the first to be left out if text would be cut.
    Optional,
}

/// A table. Empty columns are left out.
pub(super) struct Grid {
    width: Option<u16>,
    columns: Vec<(&'static str, Column)>,
    rows: Vec<(Style, String, Vec<String>)>,
}

impl Grid {
    /// A grid without rows. `width` is the terminal's; without it, nothing is cut.
    pub(super) fn new(width: Option<u16>, columns: &[(&'static str, Column)]) -> Self {
        Self { width, columns: columns.into(), rows: Vec::new() }
    }

    pub(super) fn add<const N: usize>(&mut self, style: Style, verb: impl Into<String>, cells: [String; N]) {
        self.rows.push((style, verb.into(), cells.iter().map(|cell| one_line(cell)).collect()));
    }

    /// Writes the names of the columns and the rows; nothing if there are no rows.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let verbs = self.rows.iter().map(|(style, verb, _)| (*style, verb.as_str()));
        let verbs = [(QUIET, "")].into_iter().chain(verbs).filter(|_| !self.rows.is_empty());
        for ((style, verb), cells) in verbs.zip(self.table().lines()) {
            let (cells, width) = (cells.trim_end(), usize::from(VERB));
            match verb {
                "" => writeln!(out, "{QUIET}{:width$}{cells}{QUIET:#}", "")?,
                verb => writeln!(out, "{style}{verb:>width$}{style:#}{cells}")?,
            }
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let used = self.used_columns();
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_truncation_indicator("…");
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(cells_width(width));
        }
        table.set_header(row(used.iter().map(|index| self.columns[*index])));
        for (_, _, cells) in &self.rows {
            table.add_row(row(used.iter().map(|index| (&cells[*index], self.columns[*index].1))));
        }
        for (index, column) in used.iter().enumerate() {
            if let (Column::Number | Column::Optional, Some(column)) =
                (self.columns[*column].1, table.column_mut(index))
            {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table
    }

    /// The columns that are not empty, as far as there is room.
    fn used_columns(&self) -> Vec<usize> {
        let cells = |index: usize| self.rows.iter().map(move |(_, _, cells)| cells[index].chars().count());
        let mut used: Vec<_> = (0..self.columns.len()).filter(|index| cells(*index).any(|width| width > 0)).collect();
        let width = |index: usize| {
            let (name, column) = self.columns[index];
            let width = cells(index).max().unwrap_or(0).max(name.len());
            2 + if column == Column::Text { width.min(MIN_TEXT) } else { width }
        };
        let room = self.width.map_or(usize::MAX, |width| cells_width(width).into());
        while used.iter().map(|index| width(*index)).sum::<usize>() > room {
            let is_optional = |index: &usize| self.columns[*index].1 == Column::Optional;
            let Some(last) = used.iter().rposition(is_optional) else { break };
            used.remove(last);
        }
        used
    }
}

fn row(cells: impl IntoIterator<Item = (impl ToString, Column)>) -> Row {
    let cells = cells.into_iter().map(|(cell, column)| {
        Cell::new(cell).set_alignment(match column {
            Column::Text => CellAlignment::Left,
            Column::Number | Column::Optional => CellAlignment::Right,
        })
    });
    let mut row = Row::from(cells.collect::<Vec<_>>());
    row.max_height(1);
    row
}

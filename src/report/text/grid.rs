//! A table with one line for each row: a verb as in cargo's status lines, then cells in columns.

use std::io::{self, Write};

use anstyle::Style;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, presets};

use crate::report::present::lines::{QUIET, VERB, cells_width, one_line};

/// As long as text would be cut to less than this, optional columns are left out.
const MIN_TEXT: usize = 32;

/// The number of rows of a long group.
const SHOWN: usize = 10;

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
    /// The width of each column's cells.
    widths: Vec<usize>,
    verbs: Vec<(Style, String)>,
    table: Table,
}

impl Grid {
    /// A grid without rows. `width` is the terminal's; without it, nothing is cut.
    pub(super) fn new(width: Option<u16>, columns: &[(&'static str, Column)]) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_truncation_indicator("…");
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(cells_width(width));
        }
        let (widths, verbs) = (vec![0; columns.len()], vec![(QUIET, String::new())]);
        Self { width, columns: columns.into(), widths, verbs, table }
    }

    pub(super) fn add<const N: usize>(&mut self, style: Style, verb: impl Into<String>, cells: [String; N]) {
        let cells = cells.map(|cell| one_line(&cell));
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = cell.chars().count().max(*width);
        }
        self.verbs.push((style, verb.into()));
        self.table.add_row(row(cells.into_iter()));
    }

    /// Adds a row for each item. Of many items, only the first have rows, and the rest has a common one, unless `all` is
    /// set. The first cell of the common row is replaced.
    pub(super) fn add_group<T, const N: usize>(
        &mut self,
        (style, verb): (Style, String),
        items: &[T],
        all: bool,
        row: impl Fn(&T) -> [String; N],
        rest: impl Fn(&[T]) -> [String; N],
    ) {
        let shown = if all || items.len() <= SHOWN + 1 { items.len() } else { SHOWN };
        items[..shown].iter().for_each(|item| self.add(style, &verb, row(item)));
        if shown < items.len() {
            let mut cells = rest(&items[shown..]);
            cells[0] = format!("… and {} more, each with --all", items.len() - shown);
            self.add(QUIET, "", cells);
        }
    }

    /// Writes the names of the columns and the rows; nothing if there are no rows.
    pub(super) fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.table.is_empty() {
            return Ok(());
        }
        self.lay_out();
        for ((style, verb), cells) in self.verbs.iter().zip(self.table.lines()) {
            let (cells, width) = (cells.trim_end(), usize::from(VERB));
            match verb.as_str() {
                "" => writeln!(out, "{QUIET}{:width$}{cells}{QUIET:#}", "")?,
                verb => writeln!(out, "{style}{verb:>width$}{style:#}{cells}")?,
            }
        }
        Ok(())
    }

    fn lay_out(&mut self) {
        let used = self.used_columns();
        self.table.set_header(row(self.columns.iter().map(|(name, _)| (*name).to_owned())));
        for (index, (_, kind)) in self.columns.iter().enumerate() {
            let column = self.table.column_mut(index).expect("each row has a cell for each column");
            if !used.contains(&index) {
                column.set_constraint(ColumnConstraint::Hidden);
            } else if *kind != Column::Text {
                column.set_constraint(ColumnConstraint::ContentWidth);
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }

    /// The columns that are not empty, as far as there is room.
    fn used_columns(&self) -> Vec<usize> {
        let mut used: Vec<_> = (0..self.columns.len()).filter(|index| self.widths[*index] > 0).collect();
        let width = |index: &usize| {
            let (name, column) = self.columns[*index];
            let width = self.widths[*index].max(name.len());
            2 + if column == Column::Text { width.min(MIN_TEXT) } else { width }
        };
        let room = self.width.map_or(usize::MAX, |width| cells_width(width).into());
        while used.iter().map(width).sum::<usize>() > room {
            let is_optional = |index: &usize| self.columns[*index].1 == Column::Optional;
            let Some(last) = used.iter().rposition(is_optional) else { break };
            used.remove(last);
        }
        used
    }
}

fn row(cells: impl Iterator<Item = String>) -> Row {
    let mut row = Row::from(cells);
    row.max_height(1);
    row
}

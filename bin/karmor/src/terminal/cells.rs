//! Text in cells of a grid: what does not fit is left out in its middle, and widths follow the content.

use std::borrow::Cow;

use ratatui::{
    layout::{Constraint, Rect},
    style::Style,
    text::Line,
    widgets::{Cell, Row, Table},
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const GAP: u16 = 2;

/// A column of a grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// It gets at least so much, and loses nothing below that.
    pub(crate) least: u16,
    /// Numbers stand at the right.
    pub(crate) number: bool,
}

/// Names and paths are whatever their owners chose: what a terminal would obey is escaped.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        text.escape_debug().to_string().into()
    } else {
        text.into()
    }
}

/// `03:04:05` of `2026-01-02T03:04:05.000000Z`
pub(crate) fn time_of_day(time: &str) -> &str {
    let behind = time.split_once('T').map_or(time, |(_, time)| time);
    behind.get(..8).unwrap_or(behind)
}

/// At most so wide; the middle goes first, since paths and command lines tell most at their ends.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let Some(rest) = width.checked_sub(1) else { return String::new() };
    let front = taken(text.chars(), rest / 2);
    let back: Vec<char> = taken(text.chars().rev(), rest - rest / 2).into_iter().rev().collect();
    front.into_iter().chain(['…']).chain(back).collect()
}

fn taken(chars: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut left = width;
    chars
        .take_while(|letter| {
            let wide = letter.width().unwrap_or(0);
            let fits = wide <= left;
            left = left.saturating_sub(wide);
            fits
        })
        .collect()
}

/// Widths for contents as wide as `natural`: the widest give way first, none below its least.
fn widths(columns: &[Column], natural: &[usize], available: u16) -> Vec<u16> {
    let gaps = GAP * u16::try_from(columns.len().saturating_sub(1)).unwrap_or(0);
    let available = available.saturating_sub(gaps);
    let mut widths: Vec<u16> = natural
        .iter()
        .map(|&width| u16::try_from(width).unwrap_or(u16::MAX).min(available))
        .collect();
    let mut total: u32 = widths.iter().map(|&width| u32::from(width)).sum();
    while total > u32::from(available) {
        let can = (0..columns.len()).filter(|&i| widths[i] > columns[i].least);
        let Some(widest) = can.max_by_key(|&i| widths[i]) else { break };
        widths[widest] -= 1;
        total -= 1;
    }
    widths
}

/// A table of `rows` with `columns`, laid out for `area`; styles go with the rows.
pub(crate) fn grid<'a>(
    columns: &[Column],
    rows: Vec<(Vec<String>, Style)>,
    header: Style,
    area: Rect,
) -> Table<'a> {
    let mut natural: Vec<usize> = columns.iter().map(|column| column.title.width()).collect();
    for (cells, _) in &rows {
        for (width, cell) in natural.iter_mut().zip(cells) {
            *width = (*width).max(cell.width());
        }
    }
    let widths = widths(columns, &natural, area.width);
    let line = |cells: Vec<String>| {
        let cells = cells.into_iter().zip(columns).zip(&widths).map(|((text, column), &width)| {
            let line = Line::from(fit(&text, width.into()));
            Cell::from(if column.number { line.right_aligned() } else { line })
        });
        Row::new(cells.collect::<Vec<_>>())
    };
    let titles = columns.iter().map(|column| column.title.to_owned()).collect();
    let titles = line(titles).style(header);
    let rows: Vec<Row<'_>> =
        rows.into_iter().map(|(cells, style)| line(cells).style(style)).collect();
    Table::new(rows, widths.iter().map(|&width| Constraint::Length(width)))
        .header(titles)
        .column_spacing(GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_loses_its_middle() {
        assert_eq!(fit("/usr/bin/curl", 13), "/usr/bin/curl");
        assert_eq!(fit("/usr/bin/curl", 9), "/usr…curl");
        assert_eq!(fit("/usr", 1), "…");
        assert_eq!(fit("/usr", 0), "");
        // Each of these takes two cells.
        assert_eq!(fit("日本語日本語", 7), "日…語");
    }

    #[test]
    fn controls_are_escaped() {
        assert_eq!(shown("a\x1b[31mb"), "a\\u{1b}[31mb");
        assert_eq!(shown("plain é"), "plain é");
    }

    #[test]
    fn the_widest_gives_way_down_to_its_least() {
        let column = |least| Column { title: "", least, number: false };
        let columns = [column(4), column(8), column(4)];
        assert_eq!(widths(&columns, &[4, 60, 20], 100), [4, 60, 20]);
        assert_eq!(widths(&columns, &[4, 60, 20], 50), [4, 22, 20]);
        assert_eq!(widths(&columns, &[4, 60, 20], 30), [4, 11, 11]);
        assert_eq!(widths(&columns, &[4, 60, 20], 10), [4, 6, 4]);
    }
}

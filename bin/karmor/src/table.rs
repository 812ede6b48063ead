//! Tables for people, as wide as their terminal.

use std::io::{self, Write};

use anstyle::Style;
use comfy_table::{ContentArrangement, Table};

const TITLE: Style = Style::new().bold();

/// A titled table; without rows there is nothing to say.
pub(crate) fn titled(
    out: &mut dyn Write,
    title: &str,
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic).add_rows(rows);
    if table.is_empty() {
        return Ok(());
    }
    if !header.is_empty() {
        table.set_header(header.to_vec());
    }
    writeln!(out, "\n{TITLE}{title}{TITLE:#}\n{table}")
}

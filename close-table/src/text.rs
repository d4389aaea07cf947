//! Aligned text.

use std::fmt::Write;
use std::time::Duration;

/// Rows of cells as aligned text, below a title.
#[must_use]
pub fn table(title: &str, header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = format!("\n{title}\n");
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        writeln!(text, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end()).expect("a string takes it");
    }
    text
}

/// A duration as a table shows it.
#[must_use]
pub fn show(duration: Duration) -> String {
    match duration.as_micros() {
        0..10 => format!("{} ns", duration.as_nanos()),
        10..10_000 => format!("{} µs", duration.as_micros()),
        _ => format!("{} ms", duration.as_millis()),
    }
}

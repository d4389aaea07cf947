//! What was measured, and whether it is what must hold.

use std::time::Duration;

use connect_proto::connection::CallClosed;

use crate::budget::{COMMAND, COMMAND_MEANWHILE, RUNS, median};
use crate::rows::Row;
use crate::text::{show, table};

/// What one run has measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// How long the command took.
    pub in_close: Duration,
    /// From the command to the end of the call.
    pub until_closed: Duration,
    /// How the call ended.
    pub closed: CallClosed,
    /// Whether trailers came after the close.
    pub trailers: bool,
    /// TCP connections that the peer has accepted.
    pub connections: usize,
}

/// Prints a table.
///
/// # Panics
/// If a row was not run.
pub fn print(title: &str, rows: &[Row], results: &[Vec<Measured>]) {
    let header = [
        "the peer",
        "in close()",
        "until Closed",
        "reason",
        "fate",
        "processed",
        "drained",
        "trailers",
        "TCP connections",
    ];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .zip(results)
        .map(|(row, runs)| {
            let last = runs.last().expect("a row is run");
            vec![
                row.name.to_owned(),
                show(least(runs)),
                show(runs.iter().map(|run| run.until_closed).max().unwrap_or_default()),
                format!("{:?}", last.closed.reason),
                format!("{:?}", last.closed.fate),
                format!("{:?}", last.closed.processed),
                last.closed.drained.to_string(),
                if last.trailers { "yes" } else { "no" }.to_owned(),
                last.connections.to_string(),
            ]
        })
        .collect();
    println!("{}", table(title, &header, &lines));
}

/// What holds of every row.
///
/// # Panics
/// If it does not.
pub fn check(rows: &[Row], results: &[Vec<Measured>]) {
    for (row, runs) in rows.iter().zip(results) {
        for run in runs {
            row.expected.check(row.name, &run.closed, run.until_closed);
            assert_eq!(run.trailers, row.trailers, "{}: trailers", row.name);
        }
        let least = least(runs);
        assert!(runs.len() < RUNS || least < COMMAND_MEANWHILE, "{}: close() took {least:?}", row.name);
    }
    assert!(median(results.iter().flatten().map(|run| run.in_close).collect()) < COMMAND);
}

fn least(runs: &[Measured]) -> Duration {
    runs.iter().map(|run| run.in_close).min().unwrap_or_default()
}

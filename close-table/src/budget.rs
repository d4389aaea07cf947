//! The budgets of a table, and what a row of it must come to.

use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use connect_proto::call::{DrainBudget, Processed};
use connect_proto::connection::{CallClosed, Fate};
use connect_proto::error::CloseReason;

/// How much later than its limit an end may be seen on a busy machine.
pub const SCHEDULING: Duration = Duration::from_millis(500);
/// What a command must cost at most, by the median of a table.
pub const COMMAND: Duration = Duration::from_millis(1);
/// What it must cost at most in the least of the runs of a row, where the connection may be busy with a flood, in code that is
/// not optimized, on a busy machine.
pub const COMMAND_MEANWHILE: Duration = Duration::from_millis(10);
/// How often a row that does not wait for its budget is run.
pub const RUNS: usize = 5;

/// The budgets of a table.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// What they are called.
    pub name: &'static str,
    /// How long and how much to drain.
    pub drain: DrainBudget,
    /// When a late end comes, in milliseconds.
    pub late: u64,
    /// How long output may be stuck.
    pub stall: Duration,
}

impl Budget {
    /// The defaults over HTTP/1.1.
    #[must_use]
    pub fn default_http1() -> Self {
        let drain = connect_proto::call::Limits::default().drain_http1;
        Budget { name: "default budgets", drain, late: 270, stall: Duration::from_secs(30) }
    }

    /// The defaults over HTTP/2.
    #[must_use]
    pub fn default_http2() -> Self {
        Budget { drain: connect_proto::call::Limits::default().drain_http2, ..Budget::default_http1() }
    }

    /// Small ones for HTTP/1.1.
    #[must_use]
    pub fn small_http1() -> Self {
        let drain = DrainBudget { time: Duration::from_millis(500), bytes: 16 << 10 };
        Budget { name: "small budgets", drain, late: 150, stall: Duration::from_millis(500) }
    }

    /// Small ones for HTTP/2.
    #[must_use]
    pub fn small_http2() -> Self {
        let drain = DrainBudget { time: Duration::from_millis(300), bytes: 16 << 10 };
        Budget { drain, ..Budget::small_http1() }
    }

    /// What is in a table with these budgets.
    #[must_use]
    pub fn title(&self, what: &str) -> String {
        let DrainBudget { time, bytes } = self.drain;
        format!("{what}, {}: {} ms and {} KiB", self.name, time.as_millis(), bytes >> 10)
    }

    /// How much of a byte every 50 ms, after a prefix, comes within the time: all of it, but for a machine that is busy.
    #[must_use]
    pub fn trickled(&self) -> RangeInclusive<u64> {
        let bytes = self.drain.time.as_millis() as u64 / 50;
        5 + bytes / 4..=5 + bytes
    }
}

/// What a row must come to.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Why the call is over.
    pub reason: CloseReason,
    /// What becomes of the connection.
    pub fate: Fate,
    /// Bytes that are drained.
    pub drained: RangeInclusive<u64>,
    /// When `Closed` comes, without what scheduling adds.
    pub closed: Duration,
    /// How much later it may come.
    pub slack: Duration,
    /// Whether the peer may have processed the call.
    pub processed: Processed,
}

impl Expected {
    /// Asserts that it did.
    ///
    /// # Panics
    /// If it did not.
    pub fn check(&self, row: &str, got: &CallClosed, after: Duration) {
        let expected = (self.reason, self.fate, self.processed);
        assert_eq!((got.reason, got.fate, got.processed), expected, "{row}");
        assert!(
            self.drained.contains(&got.drained),
            "{row}: drained {}, not {:?}",
            got.drained,
            self.drained
        );
        let limit = self.closed + self.slack;
        assert!(
            after >= self.closed && after < limit,
            "{row}: closed after {after:?}, not {:?}",
            self.closed
        );
    }
}

/// The one in the middle.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

/// Runs all at the same time; the results are in their order.
pub fn all_at_once<R: Sync, M: Send>(rows: &[R], run: impl Fn(&R) -> M + Sync) -> Vec<M> {
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = rows.iter().map(|row| scope.spawn(move || run(row))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

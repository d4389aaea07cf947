//! The close tables: what closing costs and leaves behind while the other side, a process of its own that shares no
//! code with this project, misbehaves over a real socket. Once with the default budgets and once with small ones.
//!
//! `cargo test -p close-table --test close_table -- --nocapture` shows them. The rows run at the same time, so the
//! whole takes little more than the default budget of 30 s.

#[allow(dead_code)]
#[path = "../../../connect-proto/examples/blocking.rs"]
mod blocking;
mod client;
mod client_http2;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use connect_proto::call::{DrainBudget, Processed};
use connect_proto::connection::{CallClosed, Fate};
use connect_proto::error::CloseReason;
use connect_proto::http1::NotReusable;

/// How much later than its limit an end may be seen on a busy machine.
const SCHEDULING: Duration = Duration::from_millis(500);
/// What a command must cost at most: the median of a table, and the least of the runs of a row.
const COMMAND: Duration = Duration::from_millis(1);
/// How often a row that does not wait for its budget is run.
const RUNS: usize = 5;

/// The budgets of a table.
#[derive(Clone, Copy)]
struct Budget {
    name: &'static str,
    drain: DrainBudget,
    /// When a late end comes.
    late: u64,
    /// How long output may be stuck.
    stall: Duration,
}

fn default_budget() -> Budget {
    let drain = connect_proto::call::Limits::default().drain_http1;
    Budget { name: "default budgets", drain, late: 270, stall: Duration::from_secs(30) }
}

fn small_budget() -> Budget {
    let drain = DrainBudget { time: Duration::from_millis(500), bytes: 16 << 10 };
    Budget { name: "small budgets", drain, late: 150, stall: Duration::from_millis(500) }
}

fn default_http2_budget() -> Budget {
    Budget { drain: connect_proto::call::Limits::default().drain_http2, ..default_budget() }
}

fn small_http2_budget() -> Budget {
    let drain = DrainBudget { time: Duration::from_millis(300), bytes: 16 << 10 };
    Budget { drain, ..small_budget() }
}

impl Budget {
    fn title(&self, what: &str) -> String {
        let DrainBudget { time, bytes } = self.drain;
        format!("{what}, {}: {} ms and {} KiB", self.name, time.as_millis(), bytes >> 10)
    }
}

/// What a row must come to.
#[derive(Clone)]
struct Expected {
    reason: CloseReason,
    fate: Fate,
    drained: RangeInclusive<u64>,
    /// When `Closed` comes, without what scheduling adds.
    closed: Duration,
    /// How much later it may come.
    slack: Duration,
    processed: Processed,
}

impl Expected {
    fn check(&self, row: &str, got: &CallClosed, after: Duration) {
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

fn closing(why: NotReusable) -> Fate {
    Fate::Closing(why)
}

/// How much of a byte every 50 ms, after a prefix, comes within the time: all of it, but for a machine that is busy.
fn trickled(budget: Budget) -> RangeInclusive<u64> {
    let bytes = budget.drain.time.as_millis() as u64 / 50;
    5 + bytes / 4..=5 + bytes
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

/// Runs all at the same time; the results are in their order.
fn all_at_once<R: Sync, M: Send>(rows: &[R], run: impl Fn(&R) -> M + Sync) -> Vec<M> {
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = rows.iter().map(|row| scope.spawn(move || run(row))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// One test, since a machine of few cores runs few at a time, and these wait for most of theirs.
#[test]
fn close_tables() {
    let tables: [(fn(Budget), Budget); 6] = [
        (client::run, small_budget()),
        (server::run, small_budget()),
        (client::run, default_budget()),
        (server::run, default_budget()),
        (client_http2::run, small_http2_budget()),
        (client_http2::run, default_http2_budget()),
    ];
    all_at_once(&tables, |&(run, budget)| run(budget));
}

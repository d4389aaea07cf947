//! A client closes a call over HTTP/2 while its server misbehaves: all rows one after the other on one connection.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use connect_proto::Instant as ConnectInstant;
use connect_proto::call::{Kind, Processed};
use connect_proto::connection::{Client, ClientConnection, ConnectionConfig, Fate};
use connect_proto::error::{CloseReason, PeerMisbehaved, ResetCode};

use crate::blocking::Driver;
use crate::client::{Measured, Row, check, config, open, print, until_closed, until_message};
use crate::support::Process;
use crate::{Budget, Expected, RUNS, SCHEDULING};

fn rows(budget: Budget) -> Vec<Row> {
    let drain = budget.drain;
    let nothing = Duration::ZERO;
    let (three_messages, late) = (3 * (1024 + 5), Duration::from_millis(budget.late));
    let row = |name, path: &str, reason, drained, closed| Row {
        name,
        path: path.to_owned(),
        kind: Kind::ServerStream,
        flows_before: false,
        timeout: None,
        expected: Expected {
            reason,
            fate: Fate::Reusable,
            drained,
            closed,
            slack: SCHEDULING,
            processed: Processed::Yes,
        },
        trailers: false,
        runs: RUNS,
    };
    let timed_out =
        |name, path: &str, drained| row(name, path, CloseReason::DrainTimedOut, drained, drain.time);
    let drained = |name, path: &str, closed| Row {
        trailers: true,
        ..row(name, path, CloseReason::Drained, three_messages..=three_messages, closed)
    };
    let misbehaved = |name, path: &str, fault, drained| {
        row(name, path, CloseReason::PeerMisbehaved(fault), drained, nothing)
    };
    let never_head = |name, kind| {
        let mut row = Row { kind, ..timed_out(name, "NeverHead-", 0..=0) };
        row.expected.processed = Processed::Unknown;
        row
    };
    let after_end = |name, path: &str| Row {
        trailers: true,
        ..misbehaved(name, path, PeerMisbehaved::DataAfterEndStream, 0..=0)
    };
    let deadline = Duration::from_millis(200);
    let mut past_deadline = Row {
        timeout: Some(deadline),
        ..row("silent, the call's deadline is first", "Silent-", CloseReason::Deadline, 0..=0, nothing)
    };
    // It counts from the beginning of the call on.
    past_deadline.expected.slack += deadline;
    let full = drain.bytes - (1051 + 5)..=drain.bytes;
    let reset = CloseReason::PeerReset(ResetCode::INTERNAL_ERROR);
    vec![
        drained("about to end", "EndAfter-5", Duration::from_millis(5)),
        drained("late end within the budget", &format!("EndAfter-{}", budget.late), late),
        timed_out("silent", "Silent-", 0..=0),
        timed_out("one byte every 50 ms", "Trickle-50", crate::trickled(budget)),
        Row {
            flows_before: true,
            ..row("flood of gzip", "FloodGzip-", CloseReason::DrainTooLarge, full, nothing)
        },
        never_head("never a response head", Kind::ServerStream),
        never_head("never a response head, unary", Kind::Unary),
        row("prefix that declares 3 GiB", "HugePrefix-", CloseReason::DrainTooLarge, 0..=0, nothing),
        misbehaved(
            "truncated: END_STREAM inside a message",
            "CutInside-",
            PeerMisbehaved::TruncatedEnvelope,
            15..=15,
        ),
        row("reset: RST_STREAM", "Reset-2", reset, 0..=0, nothing),
        after_end("bytes after the end-stream, stream open", "AfterEnd-open"),
        after_end("bytes after the end-stream, stream ends", "AfterEnd-whole"),
        past_deadline,
    ]
}

pub(crate) fn run(budget: Budget) {
    let mut peer = Process::start(env!("CARGO_BIN_EXE_peer_http2"), &[]);
    let address = SocketAddr::from(([127, 0, 0, 1], peer.line().parse().expect("a port")));
    let connection = ClientConnection::http2(ConnectInstant::ORIGIN, &ConnectionConfig::default());
    let mut driver =
        Driver::new(connection, TcpStream::connect(address).expect("connect")).expect("a driver");
    let rows = rows(budget);
    let results: Vec<Vec<Measured>> = rows
        .iter()
        .map(|row| (0..row.runs).map(|_| measure(row, budget, address, &mut peer, &mut driver)).collect())
        .collect();
    let title = budget.title("Client closes a server stream over HTTP/2 after its first message");
    print(&title, &rows, &results);
    println!(
        "  In close(): the least of {RUNS} runs. Until Closed: the longest.\n  \
         TCP connections: as the peer counts them, after all rows together; a call follows on the same one each time."
    );
    check(&rows, &results);
    assert!(results.iter().flatten().all(|run| run.connections == 1), "TCP connections");
}

/// A stream is opened, its first message read, and closed; then another call is made on the same connection.
fn measure(
    row: &Row,
    budget: Budget,
    address: SocketAddr,
    peer: &mut Process,
    driver: &mut Driver<Client>,
) -> Measured {
    let config = config(address, budget);
    assert_eq!(peer.ask(&format!("next {}", row.path)), "ok");
    let id = open(driver, &config, &row.path, row.kind, row.timeout);
    if row.path.starts_with("NeverHead") {
        let soon = driver.now().saturating_add(Duration::from_millis(50));
        assert_eq!(driver.turn(Some(soon)), None, "{}", row.name);
    } else {
        until_message(driver, id);
    }
    if row.flows_before {
        peer.tell("go");
        thread::sleep(Duration::from_millis(50));
    }
    let before = Instant::now();
    let now = driver.now();
    driver.connection.call(id).expect("the call is open").close(now);
    let in_close = before.elapsed();
    if !row.flows_before {
        peer.tell("go");
    }
    let (closed, trailers) = until_closed(driver, row.name);
    let took = before.elapsed();
    assert!(driver.connection.is_free(), "{}", row.name);

    assert_eq!(peer.ask("next Unary-"), "ok");
    let id = open(driver, &config, "Unary-", Kind::Unary, None);
    assert_eq!(until_message(driver, id), "hello", "{}: the next call", row.name);
    let (next, _) = until_closed(driver, row.name);
    assert_eq!((next.reason, next.fate), (CloseReason::Complete, Fate::Reusable), "{}", row.name);
    let connections = peer.ask("connections").parse().expect("a number");
    Measured { in_close, until_closed: took, closed, trailers, connections }
}

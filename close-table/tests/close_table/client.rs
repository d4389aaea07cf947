//! A client closes a call while its server misbehaves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_proto::call::{Event, Kind, Processed};
use connect_proto::client::{Call, CallConfig, Procedure, Request};
use connect_proto::connection::{CallClosed, CallId, Client, ConnectionConfig, Fate, Notice};
use connect_proto::error::{CloseReason, LostKind, PeerMisbehaved};
use connect_proto::http1::NotReusable;
use connect_proto::message::Outbound;

use crate::blocking::Driver;
use crate::support::{Process, show, table};
use crate::{Budget, COMMAND, Expected, RUNS, SCHEDULING, all_at_once, closing, median};

pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What the peer does, as its path says.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    /// Whether the peer goes on before the call is closed, or once it was.
    pub(crate) flows_before: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) expected: Expected,
    pub(crate) trailers: bool,
    pub(crate) runs: usize,
}

fn rows(budget: Budget) -> Vec<Row> {
    let drain = budget.drain;
    let nothing = Duration::ZERO;
    let (three_messages, late) = (3 * (1024 + 5), Duration::from_millis(budget.late));
    let trickled = crate::trickled(budget);
    let row = |name, path: &str, reason, fate, drained, closed| Row {
        name,
        path: path.to_owned(),
        kind: Kind::ServerStream,
        flows_before: false,
        timeout: None,
        expected: Expected { reason, fate, drained, closed, slack: SCHEDULING, processed: Processed::Yes },
        trailers: false,
        runs: if closed > Duration::from_secs(1) { 1 } else { RUNS },
    };
    let timed_out = |name, path: &str, drained| {
        let fate = closing(NotReusable::ResponseUnread);
        row(name, path, CloseReason::DrainTimedOut, fate, drained, drain.time)
    };
    let too_large = |name, path: &str, drained| {
        let fate = closing(NotReusable::ResponseUnread);
        row(name, path, CloseReason::DrainTooLarge, fate, drained, nothing)
    };
    let drained = |name, path: &str, closed| Row {
        trailers: true,
        ..row(name, path, CloseReason::Drained, Fate::Reusable, three_messages..=three_messages, closed)
    };
    let lost = |name, path: &str, kind, fate, drained| {
        row(name, path, CloseReason::TransportLost(kind), closing(fate), drained, nothing)
    };
    let misbehaved = |name, path: &str, fault, fate, drained| {
        row(name, path, CloseReason::PeerMisbehaved(fault), fate, drained, nothing)
    };
    let never_head = |name, kind| {
        let mut row = Row { kind, ..timed_out(name, "NeverHead-", 0..=0) };
        row.expected.processed = Processed::Unknown;
        row
    };
    let after_end = |name, path: &str, fate| Row {
        trailers: true,
        ..misbehaved(name, path, PeerMisbehaved::DataAfterEndStream, fate, 0..=0)
    };
    let deadline = Duration::from_millis(400);
    let mut past_deadline = Row {
        timeout: Some(deadline),
        ..row(
            "silent, the call's deadline is first",
            "Silent-",
            CloseReason::Deadline,
            closing(NotReusable::ResponseUnread),
            0..=0,
            nothing,
        )
    };
    // It counts from the beginning of the call on.
    past_deadline.expected.slack += deadline;
    let full = drain.bytes - (1051 + 5)..=drain.bytes;
    vec![
        drained("about to end", "EndAfter-5", Duration::from_millis(5)),
        drained("late end within the budget", &format!("EndAfter-{}", budget.late), late),
        timed_out("silent", "Silent-", 0..=0),
        timed_out("one byte every 50 ms", "Trickle-50", trickled),
        Row { flows_before: true, ..too_large("flood of gzip", "FloodGzip-", full) },
        never_head("never a response head", Kind::ServerStream),
        never_head("never a response head, unary", Kind::Unary),
        too_large("prefix that declares 3 GiB", "HugePrefix-", 0..=0),
        lost("truncated: FIN inside a message", "CutOff-", LostKind::Eof, NotReusable::PeerClosed, 15..=15),
        misbehaved(
            "truncated: body ends inside a message",
            "CutInside-",
            PeerMisbehaved::TruncatedEnvelope,
            Fate::Reusable,
            15..=15,
        ),
        lost("reset", "Reset-", LostKind::Reset, NotReusable::Lost, 0..=0),
        after_end(
            "bytes after the end-stream, body open",
            "AfterEnd-open",
            closing(NotReusable::ResponseUnread),
        ),
        after_end("bytes after the end-stream, body ends", "AfterEnd-whole", Fate::Reusable),
        past_deadline,
    ]
}

/// What one run has measured.
pub(crate) struct Measured {
    pub(crate) in_close: Duration,
    pub(crate) until_closed: Duration,
    pub(crate) closed: CallClosed,
    pub(crate) trailers: bool,
    pub(crate) connections: usize,
}

pub(crate) fn run(budget: Budget) {
    let rows = rows(budget);
    let results =
        all_at_once(&rows, |row| -> Vec<Measured> { (0..row.runs).map(|_| measure(row, budget)).collect() });
    let title = budget.title("Client closes a server stream after its first message");
    print(&title, &rows, &results);
    println!(
        "  In close(): the least of {RUNS} runs, of one run where it waits for 30 s. Until Closed: the longest.\n  \
         TCP connections: with a call that follows."
    );
    for (row, runs) in rows.iter().zip(&results) {
        for run in runs {
            let kept = row.expected.fate == Fate::Reusable;
            assert_eq!(run.connections, if kept { 1 } else { 2 }, "{}: TCP connections", row.name);
        }
    }
    check(&rows, &results);
}

pub(crate) fn print(title: &str, rows: &[Row], results: &[Vec<Measured>]) {
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
pub(crate) fn check(rows: &[Row], results: &[Vec<Measured>]) {
    for (row, runs) in rows.iter().zip(results) {
        for run in runs {
            row.expected.check(row.name, &run.closed, run.until_closed);
            assert_eq!(run.trailers, row.trailers, "{}: trailers", row.name);
        }
        assert!(runs.len() < RUNS || least(runs) < COMMAND, "{}: close() took {:?}", row.name, least(runs));
    }
    assert!(median(results.iter().flatten().map(|run| run.in_close).collect()) < COMMAND);
}

fn least(runs: &[Measured]) -> Duration {
    runs.iter().map(|run| run.in_close).min().unwrap_or_default()
}

/// A stream is opened, its first message read, and closed; then another call is made.
fn measure(row: &Row, budget: Budget) -> Measured {
    let mut peer = Process::start(env!("CARGO_BIN_EXE_peer"), &[]);
    let address = SocketAddr::from(([127, 0, 0, 1], peer.line().parse().expect("a port")));
    let config = config(address, budget);
    let mut driver = connect(address);

    let id = open(&mut driver, &config, &row.path, row.kind, row.timeout);
    if row.path.starts_with("NeverHead") {
        let soon = driver.now().saturating_add(Duration::from_millis(50));
        assert_eq!(driver.turn(Some(soon)), None, "{}", row.name);
    } else {
        until_message(&mut driver, id);
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
    let (closed, trailers) = until_closed(&mut driver, row.name);
    let until_closed = before.elapsed();

    let kept = closed.fate == Fate::Reusable && driver.connection.is_free();
    let mut next = if kept { driver } else { connect(address) };
    let id = open(&mut next, &config, "Unary-", Kind::Unary, None);
    assert_eq!(until_message(&mut next, id), "hello", "{}: the next call", row.name);
    let connections = peer.ask("connections").parse().expect("a number");
    Measured { in_close, until_closed, closed, trailers, connections }
}

pub(crate) fn config(address: SocketAddr, budget: Budget) -> Arc<CallConfig> {
    let authority = address.to_string().parse().expect("an authority");
    let mut config = CallConfig::new("http".parse().expect("a scheme"), authority, "proto").expect("a codec");
    config.limits.drain_http1 = budget.drain;
    config.limits.drain_http2 = budget.drain;
    Arc::new(config)
}

fn connect(address: SocketAddr) -> Driver<Client> {
    Driver::connect(address, &ConnectionConfig::default()).expect("connect")
}

pub(crate) fn open(
    driver: &mut Driver<Client>,
    config: &Arc<CallConfig>,
    path: &str,
    kind: Kind,
    timeout: Option<Duration>,
) -> CallId {
    let now = driver.now();
    let mut request = Request::new(Procedure::new(format!("/close.Peer/{path}")).expect("a procedure"), kind);
    request.timeout = timeout;
    let call = Call::new(now, config, request).expect("a call");
    let id = driver.connection.open(now, call).expect("the connection is free");
    let mut call = driver.connection.call(id).expect("the call is open");
    call.send(now, Outbound::encode(&call.encoding(), Bytes::from_static(b"a request"))).expect("send");
    call.finish(now).expect("finish");
    id
}

pub(crate) fn until_message(driver: &mut Driver<Client>, id: CallId) -> Bytes {
    loop {
        match driver.turn(None) {
            Some(Notice::Readable(_)) => {
                let now = driver.now();
                let mut call = driver.connection.call(id).expect("the call is open");
                while let Some(event) = call.poll_event(now) {
                    if let Event::Message(message) = event {
                        return message.decode().expect("a message");
                    }
                }
            }
            other => panic!("{other:?} before a message"),
        }
    }
}

pub(crate) fn until_closed(driver: &mut Driver<Client>, row: &str) -> (CallClosed, bool) {
    let mut trailers = false;
    loop {
        match driver.turn(None) {
            Some(Notice::Readable(id)) => {
                let now = driver.now();
                let mut call = driver.connection.call(id).expect("the call is not closed yet");
                while let Some(event) = call.poll_event(now) {
                    match event {
                        Event::Finished(Ok(metadata)) => trailers |= metadata.contains_key("x-end"),
                        Event::Message(_) => panic!("{row}: a message after close()"),
                        _ => {}
                    }
                }
            }
            Some(Notice::Closed(_, closed)) => return (closed, trailers),
            Some(Notice::Suspect) => {}
            other => panic!("{row}: {other:?} before the end"),
        }
    }
}

//! A server answers a client stream early, while its client misbehaves.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_proto::call::{Event, Kind, Processed};
use connect_proto::connection::{CallClosed, CallId, ConnectionConfig, Fate, Notice, Server};
use connect_proto::error::{CloseReason, LostKind};
use connect_proto::http1::{self, NotReusable};
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;
use connect_proto::server::{MethodSpec, ServerConfig};

use close_table::budget::{Budget, COMMAND, Expected, RUNS, SCHEDULING, all_at_once, median};
use close_table::process::Process;
use close_table::text::{show, table};

use crate::blocking::Driver;

/// More than two sockets can hold between them.
const LARGE: usize = 32 << 20;

struct Row {
    name: &'static str,
    /// What the client does.
    what: String,
    answer: Bytes,
    expected: Expected,
    /// How many answers the client has read in the end; `None` for one that does not read.
    answers: Option<usize>,
    /// How long after the call the connection is over; `None` if it lives.
    lingers: Option<Duration>,
    runs: usize,
}

fn rows(budget: Budget) -> Vec<Row> {
    let drain = budget.drain;
    let nothing = Duration::ZERO;
    let linger = http1::Limits::default().linger;
    let row = |name, what: &str, reason, fate, drained, closed| Row {
        name,
        what: what.to_owned(),
        answer: Bytes::from_static(b"an answer"),
        expected: Expected { reason, fate, drained, closed, slack: SCHEDULING, processed: Processed::Yes },
        answers: Some(1),
        lingers: Some(nothing),
        runs: if closed > Duration::from_secs(1) { 1 } else { RUNS },
    };
    let unread = |name, what: &str, drained, closed, lingers| Row {
        lingers: Some(lingers),
        ..row(name, what, CloseReason::Complete, Fate::Closing(NotReusable::RequestUnread), drained, closed)
    };
    let lost = |name, what: &str, kind, fate| {
        row(name, what, CloseReason::TransportLost(kind), Fate::Closing(fate), 0..=0, nothing)
    };
    let trickled = budget.trickled();
    let full = drain.bytes..=drain.bytes;
    let late = Duration::from_millis(budget.late);
    let mut stalled = Row {
        answers: None,
        answer: Bytes::from(vec![b'x'; LARGE]),
        ..row(
            "an answer of 32 MiB is not read",
            "UnreadAnswer-",
            CloseReason::WriteStalled,
            Fate::Closing(NotReusable::WriteStalled),
            0..=0,
            budget.stall,
        )
    };
    // It counts from the last byte on that found room in the sockets.
    stalled.expected.slack += Duration::from_secs(2);
    vec![
        Row {
            answers: Some(2),
            lingers: None,
            ..row(
                "request ends late within the budget",
                &format!("EndAfter-{}", budget.late),
                CloseReason::Complete,
                Fate::Reusable,
                3 * (1024 + 5)..=3 * (1024 + 5),
                late,
            )
        },
        unread("request silent", "Silent-", 0..=0, drain.time, linger),
        unread("request never ends: a byte every 50 ms", "Trickle-50", trickled, drain.time, linger),
        unread("request floods", "Flood-", full.clone(), nothing, nothing),
        unread("prefix that declares 3 GiB", "HugePrefix-", full, nothing, nothing),
        lost("client gone: FIN inside the request", "Gone-", LostKind::Eof, NotReusable::PeerClosed),
        Row { answers: None, ..lost("client gone: reset", "Reset-", LostKind::Reset, NotReusable::Lost) },
        stalled,
    ]
}

/// What one run has measured.
struct Measured {
    in_finish: Duration,
    until_closed: Duration,
    closed: CallClosed,
    /// From `Closed` on; `None` if the connection lives.
    lingered: Option<Duration>,
    answers: String,
}

pub(crate) fn run(budget: Budget) {
    let rows = rows(budget);
    let results =
        all_at_once(&rows, |row| -> Vec<Measured> { (0..row.runs).map(|_| measure(row, budget)).collect() });
    let header = [
        "the client",
        "in finish()",
        "until Closed",
        "reason",
        "fate",
        "drained",
        "FIN and linger",
        "read whole",
    ];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .zip(&results)
        .map(|(row, runs)| {
            let last = runs.last().expect("a row is run");
            vec![
                row.name.to_owned(),
                show(least(runs)),
                show(runs.iter().map(|run| run.until_closed).max().unwrap_or_default()),
                format!("{:?}", last.closed.reason),
                format!("{:?}", last.closed.fate),
                last.closed.drained.to_string(),
                last.lingered.map_or_else(|| "-".to_owned(), show),
                row.answers.map_or("it does not read", |_| last.answers.as_str()).to_owned(),
            ]
        })
        .collect();
    println!(
        "{}",
        table(&budget.title("Server answers a client stream after its first message"), &header, &lines)
    );
    println!(
        "  In finish(): the least of {RUNS} runs, of one run where it waits for 30 s. Until Closed: the longest.\n  \
         Read whole: answers, of the following call on the same connection too."
    );
    for (row, runs) in rows.iter().zip(&results) {
        for run in runs {
            row.expected.check(row.name, &run.closed, run.until_closed);
            if let Some(answers) = row.answers {
                assert_eq!(run.answers, answers.to_string(), "{}: answers", row.name);
            }
            assert_eq!(run.lingered.is_some(), row.lingers.is_some(), "{}: connection", row.name);
            let lingered = run.lingered.unwrap_or_default();
            let limit = row.lingers.unwrap_or_default();
            let text = format!("{}: lingers {lingered:?}, not {limit:?}", row.name);
            assert!(lingered + Duration::from_millis(10) >= limit && lingered < limit + SCHEDULING, "{text}");
        }
        assert!(runs.len() < RUNS || least(runs) < COMMAND, "{}: finish() took {:?}", row.name, least(runs));
    }
    assert!(median(results.iter().flatten().map(|run| run.in_finish).collect()) < COMMAND);
}

fn least(runs: &[Measured]) -> Duration {
    runs.iter().map(|run| run.in_finish).min().unwrap_or_default()
}

/// A call is answered after its first message, and followed to its end and to the connection's.
fn measure(row: &Row, budget: Budget) -> Measured {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address: SocketAddr = listener.local_addr().expect("an address");
    let mut peer = Process::start(env!("CARGO_BIN_EXE_rude_client"), &[&address.to_string(), &row.what]);
    let mut config = ConnectionConfig::default();
    config.http1.write_stall = Some(budget.stall);
    let mut driver = Driver::accept(listener.accept().expect("accept").0, &config).expect("accept");

    let id = until_message(&mut driver, budget);
    let before = Instant::now();
    let in_finish = answer(&mut driver, id, row.answer.clone());
    peer.tell("go");
    let closed = until_closed(&mut driver, row.name);
    let took = before.elapsed();
    let before = Instant::now();
    let lingered = if closed.fate == Fate::Reusable {
        let id = until_message(&mut driver, budget);
        answer(&mut driver, id, row.answer.clone());
        assert_eq!(until_closed(&mut driver, row.name).reason, CloseReason::Complete);
        None
    } else {
        while driver.turn(None).is_some() {}
        Some(before.elapsed())
    };
    // Bytes on their way to the client are given the time to arrive.
    let patience = Instant::now() + Duration::from_secs(5);
    let wanted = row.answers.map(|answers| answers.to_string());
    let mut answers = peer.ask("report");
    while wanted.as_ref().is_some_and(|wanted| answers != *wanted) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
        answers = peer.ask("report");
    }
    Measured { in_finish, until_closed: took, closed, lingered, answers }
}

fn until_message(driver: &mut Driver<Server>, budget: Budget) -> CallId {
    let mut config = ServerConfig::default();
    config.limits.drain_http1 = budget.drain;
    let config = Arc::new(config);
    let spec = MethodSpec::new(Kind::ClientStream, &Arc::from(["proto".to_owned()]));
    loop {
        match driver.turn(None) {
            Some(Notice::Incoming(id)) => {
                let now = driver.now();
                assert!(driver.connection.start(now, id, &config, &spec));
            }
            Some(Notice::Readable(id)) => {
                let now = driver.now();
                let mut call = driver.connection.call(id).expect("the call is open");
                while let Some(event) = call.poll_event(now) {
                    if let Event::Message(_) = event {
                        return id;
                    }
                }
            }
            other => panic!("{other:?} before a message"),
        }
    }
}

fn answer(driver: &mut Driver<Server>, id: CallId, message: Bytes) -> Duration {
    let now = driver.now();
    let mut call = driver.connection.call(id).expect("the call is open");
    call.send(now, Outbound::encode(&call.encoding(), message)).expect("send");
    let before = Instant::now();
    call.finish(now, Metadata::new(), Ok(())).expect("finish");
    before.elapsed()
}

fn until_closed(driver: &mut Driver<Server>, row: &str) -> CallClosed {
    loop {
        match driver.turn(None) {
            Some(Notice::Readable(id)) => {
                let now = driver.now();
                let mut call = driver.connection.call(id).expect("the call is not closed yet");
                while call.poll_event(now).is_some() {}
            }
            Some(Notice::Closed(_, closed)) => return closed,
            other => panic!("{row}: {other:?} before the end"),
        }
    }
}

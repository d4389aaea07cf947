//! A client closes a call while its server misbehaves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connect_proto::call::{Event, Kind};
use connect_proto::client::{Call, CallConfig, Procedure, Request};
use connect_proto::connection::{CallClosed, CallId, Client, ConnectionConfig, Fate, Notice};
use connect_proto::message::Outbound;

use close_table::budget::{Budget, RUNS, all_at_once};
use close_table::measured::{Measured, check, print};
use close_table::process::Process;
use close_table::rows::{self, Row};

use crate::blocking::Driver;

pub(crate) fn run(budget: Budget) {
    let rows = rows::http1(budget);
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

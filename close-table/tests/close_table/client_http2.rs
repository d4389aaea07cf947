//! A client closes a call over HTTP/2 while its server misbehaves: all rows one after the other on one connection.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use connect_proto::Instant as ConnectInstant;
use connect_proto::call::Kind;
use connect_proto::connection::{Client, ClientConnection, ConnectionConfig, Fate};
use connect_proto::error::CloseReason;

use close_table::budget::{Budget, RUNS};
use close_table::measured::{Measured, check, print};
use close_table::process::Process;
use close_table::rows::{self, Row};

use crate::blocking::Driver;
use crate::client::{config, open, until_closed, until_message};

pub(crate) fn run(budget: Budget) {
    let mut peer = Process::start(env!("CARGO_BIN_EXE_peer_http2"), &[]);
    let address = SocketAddr::from(([127, 0, 0, 1], peer.line().parse().expect("a port")));
    let connection = ClientConnection::http2(ConnectInstant::ORIGIN, &ConnectionConfig::default());
    let mut driver =
        Driver::new(connection, TcpStream::connect(address).expect("connect")).expect("a driver");
    let rows = rows::http2(budget);
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

//! The close tables on a runtime. The table's own threads command and wait; the runtime does the rest.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use connect_proto::call::Kind;
use connect_proto::connection::Fate;
use connect_proto_async::testing::suite::spawn;
use connect_proto_async::{Channel, ChannelConfig, Ending, Procedure, Protocol, Receiver, Runtime};
use smol::block_on;

use crate::budget::{Budget, RUNS, all_at_once};
use crate::measured::{Measured, check, print};
use crate::process::Process;
use crate::rows::{self, Row};

/// How long a call is left alone that gets no answer before it is closed.
const A_WHILE: Duration = Duration::from_millis(50);

/// Where a table is measured, and against what.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// What the runtime is called.
    pub name: &'a str,
    /// The runtime.
    pub runtime: &'a Arc<dyn Runtime>,
    /// The program that misbehaves over HTTP/1.1, and the one over HTTP/2.
    pub peers: (&'a str, &'a str),
}

impl Setting<'_> {
    fn title(&self, budget: Budget, what: &str) -> String {
        format!("{}: {}", self.name, budget.title(what))
    }

    fn channel(&self, address: SocketAddr, protocol: Protocol, budget: Budget) -> Channel {
        let mut config = ChannelConfig::new(&format!("http://{address}"), "proto").expect("a URI");
        config.pool.protocol = protocol;
        config.calls.limits.drain_http1 = budget.drain;
        config.calls.limits.drain_http2 = budget.drain;
        Channel::new(self.runtime.clone(), config)
    }
}

/// Over HTTP/1.1: the rows at the same time, each with a peer of its own.
///
/// # Panics
/// If a row does not come to what it must.
pub fn http1(setting: Setting<'_>, budget: Budget) {
    let rows = rows::http1(budget);
    let results = all_at_once(&rows, |row| -> Vec<Measured> {
        let run = |_| {
            let (mut peer, address) = start(setting.peers.0);
            let channel = setting.channel(address, Protocol::Http1, budget);
            measure(row, &channel, Protocol::Http1, &mut peer)
        };
        (0..row.runs).map(run).collect()
    });
    print(
        &setting.title(budget, "client closes a server stream over HTTP/1.1 after its first message"),
        &rows,
        &results,
    );
    println!(
        "  In close(): the least of {RUNS} runs, of one run where it waits for longer than a second. Until Closed: the \
         longest.\n  TCP connections: with a call that follows on the same channel."
    );
    for (row, runs) in rows.iter().zip(&results) {
        for run in runs {
            let kept = row.expected.fate == Fate::Reusable;
            assert_eq!(run.connections, if kept { 1 } else { 2 }, "{}: TCP connections", row.name);
        }
    }
    check(&rows, &results);
}

/// Over HTTP/2: the rows one after the other on one channel.
///
/// # Panics
/// If a row does not come to what it must.
pub fn http2(setting: Setting<'_>, budget: Budget) {
    let (mut peer, address) = start(setting.peers.1);
    let channel = setting.channel(address, Protocol::Http2, budget);
    let rows = rows::http2(budget);
    let results: Vec<Vec<Measured>> = rows
        .iter()
        .map(|row| (0..row.runs).map(|_| measure(row, &channel, Protocol::Http2, &mut peer)).collect())
        .collect();
    print(
        &setting.title(budget, "client closes a server stream over HTTP/2 after its first message"),
        &rows,
        &results,
    );
    println!(
        "  In close(): the least of {RUNS} runs. Until Closed: the longest.\n  \
         TCP connections: as the peer counts them, after all rows together; a call follows on the same channel each time."
    );
    check(&rows, &results);
    assert!(results.iter().flatten().all(|run| run.connections == 1), "TCP connections");
    assert_eq!(channel.counters().dials, 1);
}

fn start(program: &str) -> (Process, SocketAddr) {
    let mut peer = Process::start(program, &[]);
    let address = SocketAddr::from(([127, 0, 0, 1], peer.line().parse().expect("a port")));
    (peer, address)
}

fn procedure(path: &str) -> Procedure {
    Procedure::new(format!("/close.Peer/{path}")).expect("a procedure")
}

/// Says what the peer is to do next, if it does not go by the path.
fn announce(peer: &mut Process, protocol: Protocol, path: &str) {
    if protocol == Protocol::Http2 {
        assert_eq!(peer.ask(&format!("next {path}")), "ok");
    }
}

/// A stream is opened, its first message read, and closed; then another call is made.
fn measure(row: &Row, channel: &Channel, protocol: Protocol, peer: &mut Process) -> Measured {
    announce(peer, protocol, &row.path);
    let mut call = channel.call(&procedure(&row.path));
    if let Some(timeout) = row.timeout {
        call = call.timeout(timeout);
    }
    let opened = match row.kind {
        Kind::Unary => call.open_unary("a request"),
        _ => call.server_stream("a request"),
    };
    let mut receiver = opened.expect("a call");
    if row.path.starts_with("NeverHead") {
        // Nothing tells that the request has gone out, other than that there is a connection for it.
        while peer.ask("connections") == "0" {
            thread::sleep(A_WHILE);
        }
        thread::sleep(4 * A_WHILE);
    } else {
        let message = block_on(receiver.recv()).expect("the call goes on");
        assert!(message.is_some(), "{}: no message", row.name);
    }
    if row.flows_before {
        peer.tell("go");
        thread::sleep(A_WHILE);
    }
    let before = Instant::now();
    let (ending, in_close) = close(receiver);
    if !row.flows_before {
        peer.tell("go");
    }
    let mut measured = until_ended(before, ending, in_close);

    announce(peer, protocol, "Unary-");
    let reply = block_on(channel.call(&procedure("Unary-")).unary("a request"));
    assert_eq!(reply.expect("the next call is answered").message, "hello", "{}", row.name);
    measured.connections = peer.ask("connections").parse().expect("a number");
    measured
}

fn close(receiver: Receiver) -> (Ending, Duration) {
    let before = Instant::now();
    let ending = receiver.close();
    (ending, before.elapsed())
}

fn until_ended(before: Instant, ending: Ending, in_close: Duration) -> Measured {
    let end = block_on(ending);
    let trailers = matches!(&end.verdict, Some(Ok(trailers)) if trailers.contains_key("x-end"));
    Measured { in_close, until_closed: before.elapsed(), closed: end.closed, trailers, connections: 0 }
}

/// Without a connection: the dial gets no answer while the call is closed.
///
/// # Panics
/// If a row does not come to what it must.
pub fn dialling(setting: Setting<'_>, budget: Budget) {
    let deaf = Deaf::new();
    let rows = rows::dialling();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let measure = |row: &Row| {
            let channel = setting.channel(deaf.address, protocol, budget);
            let measured = close_while_dialling(setting, row, &channel);
            let counters = channel.counters();
            assert_eq!((counters.dials, counters.dial_failures), (1, 0), "{}: it still dials", row.name);
            measured
        };
        let results: Vec<Vec<Measured>> =
            rows.iter().map(|row| (0..row.runs).map(|_| measure(row)).collect()).collect();
        print(
            &format!("{}: client closes a call over {protocol:?} while dialling", setting.name),
            &rows,
            &results,
        );
        check(&rows, &results);
    }
}

fn close_while_dialling(setting: Setting<'_>, row: &Row, channel: &Channel) -> Measured {
    let call = channel.call(&procedure(&row.path));
    if row.kind == Kind::ServerStream {
        let receiver = call.server_stream("a request").expect("a call");
        thread::sleep(A_WHILE);
        let before = Instant::now();
        let (ending, in_close) = close(receiver);
        return until_ended(before, ending, in_close);
    }
    let (mut sender, receiver) = call.client_stream().expect("a call");
    let full =
        spawn(&**setting.runtime, async move { while sender.send(vec![0; 64 << 10]).await.is_ok() {} });
    thread::sleep(A_WHILE);
    let before = Instant::now();
    let (ending, in_close) = close(receiver);
    let measured = until_ended(before, ending, in_close);
    // Whoever waits to send is told.
    block_on(full);
    measured
}

/// An address where a connection is neither accepted nor refused: its queue is full.
struct Deaf {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Deaf {
    fn new() -> Self {
        let listener = listen(0);
        let address = listener.local_addr().expect("an address");
        let mut queued = Vec::new();
        loop {
            match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
                Ok(stream) => queued.push(stream),
                Err(error) if error.kind() == ErrorKind::TimedOut => break,
                Err(error) => panic!("the queue takes {} and then {error}", queued.len()),
            }
        }
        Deaf { address, _listener: listener, _queued: queued }
    }
}

/// A listener whose queue holds so many, or one more. The standard library has no say in that.
fn listen(queue: u32) -> TcpListener {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let listener = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        socket.listen(queue)?.into_std()
    });
    listener.expect("a listener")
}

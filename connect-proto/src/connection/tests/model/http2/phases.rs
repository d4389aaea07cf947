//! A call in each of its phases.

use std::sync::Arc;

use super::super::{DEADLINE, End, Processed, Why};
use super::{Connection, Op, client, server};
use crate::call::{Duplex, Kind};
use crate::connection::{CallId, Client, ConnectionConfig, Server};
use crate::error::{Code, RpcError};
use crate::http2::Limits;
use crate::testing::peer_http2::{
    INITIAL_WINDOW, MAX_STREAMS, PREFACE, data, request_head, response_head, settings, settings_ack,
    window_update,
};
use crate::testing::{Alone, call, client_config, peer};
use crate::wire::envelope::Flags;

pub(super) const KIND: Kind = Kind::Bidi(Duplex::Full);
/// The neighbour's stream.
pub(super) const BYSTANDER: u32 = 1;
/// The call's stream.
pub(super) const STREAM: u32 = 3;
/// More than the peer's window, where that is small, and more than the transport takes, where it is stuck.
const LARGE: usize = 1000;

pub(super) struct Peer {
    /// What it has yet to send on the call's stream.
    pub(super) rest: Vec<u8>,
    pub(super) bystander: CallId,
}

/// The client's phases.
pub(super) const CLIENT: [&str; 20] = [
    "unsent",
    "waiting for a stream",
    "head not written",
    "head half written",
    "head sent",
    "sending without a response head",
    "half-closed without a response head",
    "response head seen",
    "mid-envelope",
    "window exhausted",
    "message unread",
    "end-stream seen but not HTTP's end",
    "ending, stuck",
    "ending, window exhausted",
    "draining",
    "draining, stuck",
    "draining, window exhausted",
    "draining patiently",
    "draining patiently, stuck",
    "closed",
];

/// What a peer says first.
fn greeting(phase: &str) -> Vec<u8> {
    let window = if phase.contains("window") { 10 } else { 1 << 20 };
    let streams = if phase.starts_with("waiting") { 1 } else { 100 };
    let settings = settings(&[(INITIAL_WINDOW, window), (MAX_STREAMS, streams)]);
    [settings, settings_ack(), window_update(0, 1 << 20)].concat()
}

const CONNECTION: Connection = Connection { stuck: false, leaving: false, lost: None };

pub(super) fn client(phase: &str) -> (Alone<Client>, Peer, client::Facts) {
    let output_full = phase.ends_with(", stuck");
    let limits = Limits { max_output: if output_full { 200 } else { 64 << 10 }, ..Limits::default() };
    let connection = ConnectionConfig { http2: limits, ..ConnectionConfig::default() };
    let mut client = Alone::http2_client(&connection);
    client.feed(&greeting(phase));
    let mut config = client_config();
    let bystander = call(client.now(), &Arc::new(config.clone()), KIND, None);
    let bystander = client.end.open(bystander).unwrap();
    client.end.send("ping").unwrap();
    client.end.finish().unwrap();
    client.run();

    let patient = phase.contains("patiently");
    if patient {
        config.limits.drain_http2.time = 2 * DEADLINE;
    }
    let kind = if phase == "unsent" { Kind::Unary } else { KIND };
    let waiting = phase == "waiting for a stream";
    let stuck = phase.ends_with("stuck") || phase.starts_with("head not") || phase.starts_with("head half");
    let mut facts = client::Facts {
        connection: Connection { stuck, ..CONNECTION },
        stage: client::Stage::Active,
        waiting,
        sent: phase != "unsent" && !waiting,
        head_left: phase != "head not written",
        window_empty: phase.ends_with("window exhausted"),
        output_full,
        finished: false,
        head_seen: false,
        response_over: false,
        verdict: None,
        patient,
        unread: phase.ends_with("unread"),
    };
    client.end.listening = !facts.unread;
    let deadline = Some(DEADLINE);
    client.end.open(call(client.now(), &Arc::new(config), kind, deadline)).unwrap();
    ask(phase, &mut client, &mut facts);
    let rest = hear(phase, &mut client, &mut facts);
    if phase.starts_with("draining") {
        client.end.close();
        client.run();
        facts.stage = client::Stage::Draining;
        facts.finished = true;
    }
    (client, Peer { rest, bystander }, facts)
}

/// Sends the request as far as the phase wants it.
fn ask(phase: &str, client: &mut Alone<Client>, facts: &mut client::Facts) {
    match phase {
        "unsent" => {
            client.end.send("ping").unwrap();
            facts.stage = client::Stage::Unsent;
        }
        "waiting for a stream" => facts.stage = client::Stage::Unsent,
        "head not written" => client.outgoing.allow(0),
        "head half written" => client.outgoing.allow(10),
        "head sent" => {}
        "sending without a response head" => client.end.send("ping").unwrap(),
        _ if facts.connection.stuck || facts.window_empty => {
            if facts.connection.stuck {
                client.outgoing.allow(400);
            }
            client.end.send(vec![b'x'; LARGE]).unwrap();
        }
        _ => {
            client.end.send("ping").unwrap();
            client.end.finish().unwrap();
            facts.finished = true;
        }
    }
    client.run();
}

/// Lets as much of the response come in as the phase wants, and returns the rest of it.
fn hear(phase: &str, client: &mut Alone<Client>, facts: &mut client::Facts) -> Vec<u8> {
    let kind = if phase == "unsent" { Kind::Unary } else { KIND };
    let head = response_head(STREAM, kind);
    if kind == Kind::Unary {
        return [head, data(STREAM, true, b"a message")].concat();
    }
    let message = peer::envelope(Flags::NONE, b"a message");
    let (begin, end) = message.split_at(8);
    let frames = [
        head,
        data(STREAM, false, begin),
        data(STREAM, false, end),
        data(STREAM, false, &peer::end_stream()),
        data(STREAM, true, b""),
    ];
    let seen = match phase {
        "response head seen" | "draining" | "draining patiently" => 1,
        "mid-envelope" => 2,
        "message unread" => 3,
        "end-stream seen but not HTTP's end" => 4,
        "ending, stuck" | "ending, window exhausted" | "closed" => 5,
        _ => 0,
    };
    facts.head_seen = seen > 0;
    let (seen, rest) = frames.split_at(seen);
    client.feed(&seen.concat());
    if seen.len() >= 4 {
        facts.verdict = Some(Ok(()));
        facts.stage = client::Stage::Ending;
        facts.response_over = seen.len() == 5;
        facts.finished = true;
    }
    if phase == "closed" {
        let end = End { why: Why::Complete, processed: Processed::Yes, reusable: true };
        facts.stage = client::Stage::Over(end);
    }
    rest.concat()
}

/// The server's phases.
pub(super) const SERVER: [&str; 16] = [
    "not started",
    "receiving",
    "half-closed without a response head",
    "response head half written",
    "response head sent",
    "mid-envelope",
    "window exhausted",
    "window exhausted, half-closed",
    "message unread",
    "answered early",
    "answered early, stuck",
    "answered early, window exhausted",
    "answered late, stuck",
    "answered late, window exhausted",
    "answered, and given up",
    "closed",
];

pub(super) fn server(phase: &str) -> (Alone<Server>, Peer, server::Facts) {
    let mut server = Alone::serving_with(super::super::server_config(), &ConnectionConfig::default(), KIND);
    server.feed(&[PREFACE.to_vec(), greeting(phase)].concat());
    let message = peer::envelope(Flags::NONE, b"a message");
    server.feed(&[request_head(BYSTANDER, KIND, &[]), data(BYSTANDER, true, &message)].concat());
    let bystander = server.end.call_id().unwrap();

    let (begin, end) = message.split_at(8);
    let frames = [data(STREAM, false, begin), data(STREAM, false, end), data(STREAM, true, b"")];
    let seen = match phase {
        "not started" => 0,
        "mid-envelope" => 1,
        "receiving" | "response head sent" | "window exhausted" | "message unread" => 2,
        "answered, and given up" => 2,
        _ if phase.starts_with("answered early") => 2,
        _ => 3,
    };
    let mut facts = server::Facts {
        connection: CONNECTION,
        stage: server::Stage::Active,
        window_empty: phase.contains("window"),
        request: if seen == 3 { server::Request::Ended } else { server::Request::Open },
        is_message_begun: phase == "mid-envelope",
        verdict: None,
        now: std::time::Duration::ZERO,
        answered: std::time::Duration::ZERO,
        unread: phase == "message unread",
    };
    let serves = server.end.serves.clone();
    if phase == "not started" {
        server.end.serves = None;
        facts.stage = server::Stage::NotStarted;
    }
    server.end.listening = !facts.unread;
    let (seen, rest) = frames.split_at(seen);
    let head = request_head(STREAM, KIND, &[("connect-timeout-ms", "1000000")]);
    server.feed(&[head, seen.concat()].concat());
    server.end.serves = serves;
    answer(phase, &mut server, &mut facts);
    (server, Peer { rest: rest.concat(), bystander }, facts)
}

fn answer(phase: &str, server: &mut Alone<Server>, facts: &mut server::Facts) {
    if phase.ends_with("stuck") || phase == "response head half written" {
        server.outgoing.allow(10);
        facts.connection.stuck = true;
    }
    if phase == "response head half written" || phase == "response head sent" {
        server.end.send("pong").unwrap();
    }
    if facts.window_empty {
        server.end.send(vec![b'x'; LARGE]).unwrap();
    }
    // What of a message has begun goes out before the answer.
    server.run();
    match phase {
        "answered early" | "answered early, stuck" | "answered early, window exhausted" => {
            server.end.finish(Err(RpcError::new(Code::NotFound, ""))).unwrap();
        }
        "answered late, stuck" | "answered late, window exhausted" | "closed" | "answered, and given up" => {
            server.end.finish(Ok(())).unwrap();
        }
        _ => return server.run(),
    }
    server.run();
    facts.stage = server::Stage::Answered;
    if phase == "closed" {
        let end = End { why: Why::Complete, processed: Processed::Yes, reusable: true };
        facts.stage = server::Stage::Over(end);
    }
    if phase == "answered, and given up" {
        super::happens::<Server>(
            server,
            &mut Peer { rest: Vec::new(), bystander: server.end.call_id().unwrap() },
            Op::TimePasses,
        );
        facts.happens(Op::TimePasses);
    }
}

//! A call in each of its phases.

use std::sync::Arc;

use super::rules::{self, Request, ServerStage, Stage};
use crate::call::Kind;
use crate::connection::tests::{BIDI, window};
use crate::connection::{Client, ConnectionConfig, Server};
use crate::error::{Code, RpcError};
use crate::http1::Limits;
use crate::testing::{Alone, call, client_config, peer};
use crate::wire::envelope::Flags;

/// What the peer has yet to send, and how it can break the rules where it stands.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) rest: Vec<u8>,
    pub(super) violation: &'static [u8],
}

/// The client's phases.
pub(super) const CLIENT: [&str; 17] = [
    "unsent",
    "head half written",
    "sending without a response head",
    "half-closed without a response head",
    "response head seen",
    "mid-envelope",
    "mid-chunk",
    "message unread",
    "window empty",
    "end-stream seen but not HTTP's end",
    "end-stream unread",
    "ending",
    "draining",
    "draining, request stuck",
    "draining patiently",
    "draining patiently, request stuck",
    "closed",
];

pub(super) fn client(phase: &str) -> (Alone<Client>, Peer, rules::Client) {
    let kind = if phase == "unsent" { Kind::Unary } else { BIDI };
    let mut facts = rules::Client {
        stage: Stage::Active,
        stuck: false,
        finished: false,
        head_seen: false,
        response_over: false,
        verdict: None,
        unsolicited: false,
        patient: phase.contains("patiently"),
        window_empty: phase == "window empty",
    };
    let mut config = client_config();
    if facts.patient {
        config.limits.drain_http1.time = 2 * super::DEADLINE;
    }
    let mut client = Alone::client(&window(if facts.window_empty { 10 } else { 64 << 10 }));
    let call = call(client.now(), &Arc::new(config), kind, Some(super::DEADLINE));
    client.end.open(call).unwrap();
    ask(phase, &mut client, &mut facts);
    let rest = hear(phase, &mut client, &mut facts);
    match phase {
        "end-stream seen but not HTTP's end" | "end-stream unread" => {
            facts.verdict = Some(Ok(()));
            facts.stage = Stage::Ending;
        }
        "ending" => {
            facts = rules::Client { stage: Stage::Ending, finished: true, response_over: true, ..facts };
            facts.verdict = Some(Ok(()));
        }
        "closed" => facts = facts.happens(super::Op::EndOfStream),
        _ if phase.starts_with("draining") => {
            client.end.close();
            client.run();
            facts.stage = Stage::Draining;
            facts.finished = true;
        }
        _ => {}
    }
    let violation: &[u8] = match phase {
        "mid-chunk" => b"123456789012345678901234567890",
        "unsent" | "ending" | "closed" => b"garbage\r\n\r\n",
        _ if facts.head_seen => b"zz\r\n",
        _ => b"garbage\r\n\r\n",
    };
    (client, Peer { rest, violation }, facts)
}

/// Sends the request as far as the phase wants it.
fn ask(phase: &str, client: &mut Alone<Client>, facts: &mut rules::Client) {
    match phase {
        "unsent" => {
            client.end.send("ping").unwrap();
            facts.stage = Stage::Unsent;
        }
        "head half written" => {
            client.outgoing.allow(10);
            facts.stuck = true;
        }
        "ending" | "draining, request stuck" | "draining patiently, request stuck" => {
            client.outgoing.allow(400);
            client.end.send(vec![b'x'; 100_000]).unwrap();
            facts.stuck = true;
        }
        "sending without a response head" => client.end.send("ping").unwrap(),
        _ => {
            client.end.send("ping").unwrap();
            client.end.finish().unwrap();
            facts.finished = true;
        }
    }
    client.run();
}

/// Lets as much of the response come in as the phase wants, and returns the rest of it.
fn hear(phase: &str, client: &mut Alone<Client>, facts: &mut rules::Client) -> Vec<u8> {
    let kind = if phase == "unsent" { Kind::Unary } else { BIDI };
    let envelope = peer::envelope(Flags::NONE, b"a message");
    let mut response = peer::response(kind, &[b"a message"]);
    let head = peer::STREAM_HEAD.len();
    let first = [peer::STREAM_HEAD, &peer::chunk(&envelope[..8])].concat();
    if phase == "mid-envelope" {
        // A chunk that ends inside of an envelope.
        let rest = [peer::chunk(&envelope[8..]), peer::chunk(&peer::end_stream()), peer::LAST_CHUNK.to_vec()];
        response = [first.clone(), rest.concat()].concat();
    }
    let seen = match phase {
        "response head seen" | "draining" | "draining patiently" => head,
        "mid-envelope" => first.len(),
        "mid-chunk" => head + 8,
        "message unread" | "window empty" => head + peer::chunk(&envelope).len(),
        "end-stream seen but not HTTP's end" | "end-stream unread" => response.len() - peer::LAST_CHUNK.len(),
        "ending" | "closed" => response.len(),
        _ => 0,
    };
    facts.head_seen = seen > 0;
    client.end.listening = !phase.ends_with("unread") && !facts.window_empty;
    client.feed(&response[..seen]);
    response.split_off(seen)
}

/// The server's phases.
pub(super) const SERVER: [&str; 13] = [
    "not started",
    "receiving",
    "half-closed without a response head",
    "response head half written",
    "response head sent",
    "mid-envelope",
    "mid-chunk",
    "message unread",
    "held success",
    "answered early",
    "answered early, answer stuck",
    "answered",
    "closed",
];

fn head() -> Vec<u8> {
    let head = String::from_utf8(peer::request_head(BIDI)).unwrap();
    head.replace("\r\n\r\n", "\r\nconnect-timeout-ms: 1000000\r\n\r\n").into_bytes()
}

pub(super) fn server(phase: &str) -> (Alone<Server>, Peer, rules::Server) {
    let limits = Limits { idle_timeout: None, ..Limits::default() };
    let connection = ConnectionConfig { http1: limits, ..ConnectionConfig::default() };
    let mut server = Alone::serving_with(super::super::server_config(), &connection, BIDI);
    let mut facts = rules::Server {
        stage: Some(ServerStage::Active),
        stuck: false,
        request: Request::Open,
        is_message_begun: phase.starts_with("mid-"),
        verdict: None,
        peer_ended: false,
        late: false,
    };
    let message = peer::envelope(Flags::NONE, b"a message");
    let chunk = peer::chunk(&message);
    let (seen, rest) = match phase {
        "not started" => (Vec::new(), [&chunk, peer::LAST_CHUNK].concat()),
        "mid-envelope" => {
            (peer::chunk(&message[..8]), [&peer::chunk(&message[8..]), peer::LAST_CHUNK].concat())
        }
        "mid-chunk" => (chunk[..8].to_vec(), [&chunk[8..], peer::LAST_CHUNK].concat()),
        "receiving"
        | "message unread"
        | "held success"
        | "answered early"
        | "answered early, answer stuck" => (chunk, peer::LAST_CHUNK.to_vec()),
        _ => {
            facts.request = Request::Ended;
            ([&chunk, peer::LAST_CHUNK].concat(), Vec::new())
        }
    };
    server.end.listening = phase != "message unread";
    let serves = server.end.serves.clone();
    if phase == "not started" {
        server.end.serves = None;
        facts.stage = None;
    }
    server.feed(&[head(), seen].concat());
    server.end.serves = serves;
    answer(phase, &mut server, &mut facts);
    let violation: &[u8] = match phase {
        "mid-chunk" => b"123456789012345678901234567890",
        _ => b"zz\r\n",
    };
    (server, Peer { rest, violation }, facts)
}

fn answer(phase: &str, server: &mut Alone<Server>, facts: &mut rules::Server) {
    let error = || Err(RpcError::new(Code::NotFound, ""));
    match phase {
        "response head half written" => {
            server.outgoing.allow(10);
            server.end.send("pong").unwrap();
            facts.stuck = true;
        }
        "response head sent" => server.end.send("pong").unwrap(),
        "held success" => {
            server.end.send("pong").unwrap();
            server.end.finish(Ok(())).unwrap();
            facts.stage = Some(ServerStage::Success);
        }
        "answered early" => {
            server.end.finish(error()).unwrap();
            facts.stage = Some(ServerStage::Failure);
        }
        "answered early, answer stuck" => {
            server.outgoing.allow(10);
            server.end.finish(error()).unwrap();
            facts.stage = Some(ServerStage::Failure);
            facts.stuck = true;
        }
        "answered" => {
            server.outgoing.allow(10);
            server.end.finish(Ok(())).unwrap();
            facts.stage = Some(ServerStage::Success);
            facts.stuck = true;
        }
        "closed" => {
            server.end.finish(Ok(())).unwrap();
            *facts = facts.happens(super::Op::Finish);
        }
        _ => {}
    }
    server.run();
}

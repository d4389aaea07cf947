//! A server's connection: what is left of a request, clients that go away, and 100-continue.

use super::*;
use crate::error::{AbortReason, LostKind, PeerMisbehaved, RpcError};
use crate::server::{Refusal, ServerConfig};
use crate::testing::{Heard, peer, secs};
use crate::wire::envelope::Flags;

fn half_closed(server: &Alone<Server>) -> bool {
    server.end.told.iter().any(|told| matches!(told.what, Heard::PeerHalfClosed))
}

#[test]
fn a_client_that_ends_without_a_request_is_lost() {
    let whole = peer::request(Kind::Unary, &[b"ping"]);
    for at in 1..whole.len() {
        let mut server = Alone::serving(Kind::Unary);
        server.feed(&whole[..at]);
        server.eof();
        assert!(server.end.connection.is_closed(), "at {at}");
        assert!(!half_closed(&server), "at {at}");
        if at >= peer::request_head(Kind::Unary).len() {
            assert_eq!(server.closed().reason, CloseReason::TransportLost(LostKind::Eof), "at {at}");
            assert_eq!(code(server.end.verdict()), Some(Code::Canceled));
        } else {
            assert!(server.end.call_id().is_none(), "at {at}");
        }
        server.assert_quiescent();
    }
}

#[test]
fn a_client_that_goes_while_the_handler_works_is_told() {
    for (reset, kind) in [(false, LostKind::Eof), (true, LostKind::Reset)] {
        let mut server = Alone::serving(BIDI);
        server.feed(&peer::request(BIDI, &[b"ping"]));
        assert!(half_closed(&server));
        if reset {
            server.reset()
        } else {
            server.eof()
        }
        assert_eq!(server.closed().reason, CloseReason::TransportLost(kind));
        assert_eq!(code(server.end.verdict()), Some(Code::Canceled));
        assert!(server.end.send("late").is_ok() && server.end.finish(Ok(())).is_ok(), "nobody is there");
        server.assert_quiescent();
    }
}

#[test]
fn a_client_that_goes_before_the_request_is_started_is_told_at_the_start() {
    let mut server = Alone::serving(Kind::Unary);
    let (config, spec) = server.end.serves.take().unwrap();
    server.feed(&peer::request_head(Kind::Unary));
    server.eof();
    let id = server.end.call_id().unwrap();
    let now = server.now();
    server.end.connection.start(now, id, &config, &spec);
    server.end.serves = Some((config, spec));
    server.run();
    assert_eq!(server.closed().reason, CloseReason::TransportLost(LostKind::Eof));
    server.assert_quiescent();
}

#[test]
fn a_request_that_is_answered_early_is_drained() {
    for kind in KINDS {
        let mut server = Alone::serving(kind);
        server.feed(&peer::request_head(kind));
        server.end.finish(Err(RpcError::new(Code::NotFound, ""))).unwrap();
        server.run();
        assert!(!server.written().is_empty(), "an error may go early");
        assert!(server.end.try_closed().is_none());
        let body = if kind.is_streaming() { peer::envelope(Flags::NONE, b"ping") } else { b"ping".to_vec() };
        server.feed(&peer::chunk(&body));
        server.feed(peer::LAST_CHUNK);
        assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
        assert_eq!(server.closed().drained, body.len() as u64, "{kind:?}");
        server.assert_quiescent();
    }
}

#[test]
fn a_request_that_never_ends_is_given_up() {
    let mut server = Alone::serving(Kind::Unary);
    server.feed(&peer::request_head(Kind::Unary));
    server.end.finish(Err(RpcError::new(Code::NotFound, ""))).unwrap();
    for _ in 0..40 {
        server.feed(&peer::chunk(b"x"));
        server.elapse(secs(1));
    }
    let fate = closing(NotReusable::RequestUnread);
    assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, fate);
    assert_eq!(server.end.closed_at(), Some(crate::Instant::ORIGIN.saturating_add(secs(30))));
    // FIN, then a while of reading on, so that the answer is not lost to a reset.
    assert!(server.outgoing.is_ended());
    assert!(server.end.connection.is_closed(), "it lingers for 2 s at most");
    server.assert_quiescent();
}

#[test]
fn a_request_that_falls_silent_is_answered_and_its_connection_ends() {
    let head = "POST /test.Service/Method HTTP/1.1\r\nhost: test\r\ncontent-type: application/text\r\n";
    for trickle in [false, true] {
        let mut server = Alone::serving(Kind::Unary);
        server.feed(format!("{head}content-length: 1000\r\n\r\n").as_bytes());
        for _ in 0..59 {
            server.elapse(secs(1));
            server.feed(if trickle { b"x" } else { b"" });
        }
        assert_eq!((server.written(), server.end.ended()), (&b""[..], None));
        server.elapse(secs(1));
        assert_eq!(code(server.end.verdict()), Some(Code::DeadlineExceeded));
        assert!(server.written().starts_with(b"HTTP/1.1 504 "));
        // The usual drain: 30 s, and 2 s of reading on.
        server.elapse(secs(32));
        let fate = closing(NotReusable::RequestUnread);
        assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, fate);
        assert!(server.end.connection.is_closed());
        server.assert_quiescent();
    }
}

#[test]
fn a_request_larger_than_the_budget_is_given_up_at_its_length() {
    let mut server = Alone::serving(Kind::Unary);
    server.feed(
        b"POST /test.Service/Method HTTP/1.1\r\nhost: test\r\ncontent-type: application/text\r\n\
          content-length: 3000000\r\n\r\n",
    );
    server.end.finish(Err(RpcError::new(Code::NotFound, ""))).unwrap();
    server.run();
    let fate = closing(NotReusable::RequestUnread);
    assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, fate);
    assert!(!server.end.connection.is_closed() && server.outgoing.is_ended(), "it lingers");
    server.feed(&[0; 1000]);
    server.elapse(secs(2));
    assert!(server.end.connection.is_closed());
    assert_eq!(server.end.ended(), Some(NotReusable::RequestUnread));
    server.assert_quiescent();
}

#[test]
fn nothing_is_told_while_lingering() {
    let mut server = Alone::serving(Kind::Unary);
    let mut config = ServerConfig::default();
    config.limits.drain_http1 = DrainBudget { time: secs(0), bytes: 0 };
    server.end.serves.as_mut().unwrap().0 = Arc::new(config);
    server.feed(&peer::request_head(Kind::Unary));
    server.end.finish(Err(RpcError::new(Code::NotFound, ""))).unwrap();
    server.run();
    let told = server.end.told.len();
    server.feed(&peer::request(Kind::Unary, &[b"ping"]));
    assert_eq!(server.end.told.len(), told);
    server.eof();
    assert_eq!(server.end.ended(), Some(NotReusable::RequestUnread));
    server.assert_quiescent();
}

#[test]
fn a_fault_of_the_client_is_answered() {
    let mut server = Alone::serving(BIDI);
    server.feed(&peer::request_head(BIDI));
    server.feed(&peer::chunk(&peer::envelope(Flags(0x80), b"")));
    assert_eq!(code(server.end.verdict()), Some(Code::Internal));
    assert!(server.written().starts_with(b"HTTP/1.1 200 OK"));
    server.feed(peer::LAST_CHUNK);
    assert_eq!(server.closed().reason, CloseReason::Complete);
    server.assert_quiescent();
}

#[test]
fn a_broken_chunk_is_answered_and_ends_the_connection() {
    for kind in KINDS {
        let mut server = Alone::serving(kind);
        server.feed(&peer::request_head(kind));
        server.feed(b"zz\r\n");
        assert_eq!(code(server.end.verdict()), Some(Code::Internal), "{kind:?}");
        assert!(server.written().starts_with(b"HTTP/1.1 "), "{kind:?}");
        let fate = closing(NotReusable::PeerMisbehaved);
        assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, fate);
        server.elapse(secs(2));
        assert!(server.end.connection.is_closed());
        server.assert_quiescent();
    }
}

#[test]
fn a_broken_chunk_after_the_answer_ends_the_drain() {
    let mut server = Alone::serving(Kind::Unary);
    server.feed(&peer::request_head(Kind::Unary));
    server.end.finish(Err(RpcError::new(Code::NotFound, ""))).unwrap();
    server.run();
    server.feed(b"zz\r\n");
    let closed = server.closed();
    assert_eq!(closed.reason, CloseReason::Complete);
    assert!(matches!(closed.fate, Fate::Closing(_)));
    server.elapse(secs(2));
    server.assert_quiescent();
}

#[test]
fn a_head_that_is_none_is_answered_without_a_call() {
    let mut server = Alone::serving(Kind::Unary);
    server.feed(b"nonsense\r\n\r\n");
    assert!(server.written().starts_with(b"HTTP/1.1 400 "));
    assert!(server.end.call_id().is_none());
    server.elapse(secs(2));
    assert_eq!(server.end.ended(), Some(NotReusable::PeerMisbehaved));
    server.assert_quiescent();
}

#[test]
fn a_refusal_keeps_the_connection() {
    let mut server = Alone::serving(Kind::Unary);
    let serves = server.end.serves.take();
    server.feed(&peer::request(Kind::Unary, &[b"ping"]));
    assert!(server.end.refuse(&Arc::new(ServerConfig::default()), Refusal::NotFound));
    server.run();
    assert!(server.written().starts_with(b"HTTP/1.1 404 "));
    assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
    assert!(server.end.verdict().is_none());
    server.end.serves = serves;
    server.assert_quiescent();
}

const EXPECTING: &[u8] =
    b"POST /test.Service/Method HTTP/1.1\r\nhost: test\r\ncontent-type: application/text\r\n\
    content-length: 4\r\nexpect: 100-continue\r\n\r\n";

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let mut server = Alone::serving(Kind::Unary);
    server.feed(EXPECTING);
    assert_eq!(server.written(), b"HTTP/1.1 100 Continue\r\n\r\n");
    server.feed(b"ping");
    assert_eq!(server.end.messages(), ["ping"]);
    server.end.send("pong").unwrap();
    server.end.finish(Ok(())).unwrap();
    server.run();
    assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
    server.assert_quiescent();
}

#[test]
fn a_client_that_asks_first_is_not_told_to_go_on_when_refused() {
    let mut server = Alone::serving(Kind::Unary);
    server.end.serves = None;
    server.feed(EXPECTING);
    assert!(server.written().is_empty());
    server.end.refuse(&Arc::new(ServerConfig::default()), Refusal::NotFound);
    server.run();
    assert!(server.written().starts_with(b"HTTP/1.1 404 "));
    let fate = closing(NotReusable::RequestUnread);
    assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, fate);
    server.elapse(secs(2));
    server.assert_quiescent();
}

#[test]
fn the_deadline_is_answered() {
    for kind in KINDS {
        let mut p = Pair::new(PairConfig::new(kind));
        p.client.connection.handle_timeout(p.now());
        p.call(Some(secs(10)));
        p.request("ping");
        // The client is not told of the time.
        p.to_client.stall();
        p.elapse(secs(10));
        assert_eq!(code(p.server.verdict()), Some(Code::DeadlineExceeded), "{kind:?}");
        assert_eq!(p.client_closed().reason, CloseReason::Deadline);
        p.to_client.resume();
        p.run();
        p.assert_quiescent();
    }
}

#[test]
fn an_answer_that_nobody_takes_stalls() {
    let mut server = Alone::serving(Kind::Unary);
    server.outgoing.allow(10);
    server.feed(&peer::request(Kind::Unary, &[b"ping"]));
    server.end.send("pong").unwrap();
    server.end.finish(Ok(())).unwrap();
    server.elapse(secs(31));
    assert_closed(
        server.closed(),
        CloseReason::WriteStalled,
        Processed::Yes,
        closing(NotReusable::WriteStalled),
    );
    assert_eq!(server.end.closed_at(), Some(crate::Instant::ORIGIN.saturating_add(secs(30))));
    server.assert_quiescent();
}

#[test]
fn an_abort_closes_without_an_answer() {
    let mut server = Alone::serving(BIDI);
    server.feed(&peer::request(BIDI, &[b"ping"]));
    server.end.abort();
    server.run();
    let reason = CloseReason::Aborted(AbortReason::Requested);
    assert_closed(server.closed(), reason, Processed::Yes, closing(NotReusable::Aborted));
    assert!(server.written().is_empty());
    server.assert_quiescent();
}

#[test]
fn a_half_duplex_success_is_held_until_the_request_has_ended() {
    let mut server = Alone::serving(BIDI);
    server.feed(&peer::request_head(BIDI));
    server.end.send("early").unwrap();
    server.run();
    assert!(server.written().is_empty());
    server.feed(peer::LAST_CHUNK);
    assert!(server.written().starts_with(b"HTTP/1.1 200 OK"));
    server.end.finish(Ok(())).unwrap();
    server.run();
    assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
}

#[test]
fn an_undecodable_message_is_answered() {
    let mut server = Alone::serving(Kind::Unary);
    server.feed(
        b"POST /test.Service/Method HTTP/1.1\r\nhost: test\r\ncontent-type: application/text\r\n\
          content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
    );
    let fault = PeerMisbehaved::CorruptCompression;
    assert!(server.end.story().contains(&format!("{:?}", Heard::Undecodable(fault))));
    assert_eq!(code(server.end.verdict()), Some(fault.code()));
    assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
    server.assert_quiescent();
}

//! Whatever takes the time lets limits expire first.

use std::io::IoSlice;

use super::*;
use crate::Instant;
use crate::testing::{peer, secs};

fn late(kind: Kind) -> Alone<Client> {
    let mut client = Alone::calling_with(client_config(), kind, Some(secs(10)));
    client.outgoing.allow(40);
    client.end.send("ping").unwrap();
    client.end.finish().unwrap();
    client.run();
    client.advance(secs(10));
    client
}

#[test]
fn output_expires_limits_first() {
    let mut client = late(Kind::Unary);
    let now = client.now();
    assert_eq!(client.end.connection.output(now, &mut [IoSlice::new(&[])]), 0, "it is too late to write");
    client.run();
    assert_eq!(client.closed().reason, CloseReason::Deadline);
}

#[test]
fn events_expire_limits_first() {
    let mut client = late(BIDI);
    let (now, id) = (client.now(), client.end.call_id().unwrap());
    let _ = client.end.connection.call(id).unwrap().poll_event(now);
    assert_eq!(client.end.state(), crate::call::Phase::Closed);
}

#[test]
fn a_late_read_does_not_save_the_call() {
    for kind in KINDS {
        let mut client = late(kind);
        client.outgoing.unblock();
        client.incoming.feed(&peer::response(kind, &[b"pong"]));
        client.run();
        assert_eq!(client.closed().reason, CloseReason::Deadline);
        assert_eq!(code(client.end.verdict()), Some(Code::DeadlineExceeded));
        client.assert_quiescent();
    }
}

#[test]
fn what_arrived_in_time_is_delivered_after_the_deadline() {
    let mut client = Alone::calling_with(client_config(), BIDI, Some(secs(10)));
    client.end.finish().unwrap();
    client.run();
    client.end.listening = false;
    let whole = peer::response(BIDI, &[b"one", b"two"]);
    client.feed(&whole[..whole.len() - 20]);
    client.elapse(secs(10));
    client.end.listening = true;
    client.run();
    assert_eq!(client.end.messages()[0], "one");
    assert_eq!(code(client.end.verdict()), Some(Code::DeadlineExceeded));
    assert_eq!(client.closed().reason, CloseReason::Deadline);
}

#[test]
fn a_clock_that_runs_backwards_is_clamped() {
    let mut client = requested(BIDI);
    client.elapse(secs(100));
    client.end.close();
    // The caller's clock falls back; the drain still ends at its time.
    client.end.now = Instant::ORIGIN;
    client.handle_timeout();
    client.feed(b"");
    client.end.now = Instant::ORIGIN.saturating_add(secs(129));
    client.handle_timeout();
    assert!(client.end.try_closed().is_none());
    client.end.now = Instant::ORIGIN.saturating_add(secs(130));
    client.handle_timeout();
    assert_eq!(client.closed().reason, CloseReason::DrainTimedOut);
}

#[test]
fn a_trickling_head_is_refused_in_time() {
    let mut server = Alone::serving(Kind::Unary);
    let request = peer::request_head(Kind::Unary);
    for byte in request.iter().take(40) {
        server.feed(&[*byte]);
        server.elapse(secs(1));
    }
    assert!(server.written().starts_with(b"HTTP/1.1 408 "));
    assert!(server.end.connection.is_closed());
    server.assert_quiescent();
}

#[test]
fn an_idle_connection_ends_in_time() {
    let mut server = Alone::serving(Kind::Unary);
    server.elapse(secs(59));
    assert!(!server.end.connection.is_closed());
    server.elapse(secs(1));
    assert_eq!(server.end.ended(), Some(NotReusable::Idle));
    server.assert_quiescent();
}

#[test]
fn output_that_does_not_move_ends_the_connection() {
    let mut client = Alone::calling(Kind::Unary);
    client.outgoing.allow(10);
    client.end.send("ping").unwrap();
    client.end.finish().unwrap();
    client.elapse(secs(30));
    let fate = closing(NotReusable::WriteStalled);
    assert_closed(client.closed(), CloseReason::WriteStalled, Processed::Unknown, fate);
    assert_eq!(code(client.end.verdict()), Some(Code::Unavailable));
    client.assert_quiescent();
}

#[test]
fn the_timer_moves_on_or_stops() {
    let mut p = pair_with(BIDI, |_| {});
    p.call(Some(secs(100)));
    p.client.send("ping").unwrap();
    p.run();
    // `elapse` asserts after each timer that the next one is later.
    p.elapse(secs(1000));
    assert_eq!(p.client_closed().reason, CloseReason::Deadline);
    p.assert_quiescent();
}

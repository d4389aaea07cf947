//! A shutdown ends: when the last call has, or when its grace is over.

use std::time::Duration;

use super::*;
use crate::error::{AbortReason, LostKind};
use crate::testing::{peer, secs};

#[test]
fn idle_connections_close_at_once_or_after_a_notice() {
    let mut p = Pair::new(PairConfig::new(Kind::Unary));
    p.client.connection.shut_down(p.now(), secs(10));
    p.run();
    assert_eq!(p.client.ended(), Some(NotReusable::ShutDown));
    assert_eq!(p.server.ended(), Some(NotReusable::PeerClosed));
    p.assert_quiescent();

    let mut p = Pair::new(PairConfig::new(Kind::Unary));
    p.server.connection.shut_down(p.now(), secs(10));
    p.run();
    assert_eq!(p.server.ended(), None);
    p.elapse(secs(1));
    assert_eq!(p.server.ended(), Some(NotReusable::ShutDown));
    assert_eq!(p.client.ended(), Some(NotReusable::PeerClosed));
    p.assert_quiescent();
}

#[test]
fn a_call_under_way_may_end_within_the_grace() {
    let mut p = Pair::unary();
    let now = p.now();
    p.client.connection.shut_down(now, secs(10));
    p.server.connection.shut_down(now, secs(10));
    p.elapse(secs(9));
    p.answer("pong");
    assert_eq!(p.client_messages(), ["pong"]);
    for closed in [p.client_closed(), p.server_closed()] {
        assert_closed(closed, CloseReason::Complete, Processed::Yes, closing(NotReusable::ShutDown));
    }
    p.elapse(secs(2));
    assert!(p.client.connection.is_closed() && p.server.connection.is_closed());
    p.assert_quiescent();
}

#[test]
fn the_grace_ends_a_call_of_the_client() {
    let mut client = requested(BIDI);
    let now = client.now();
    client.end.connection.shut_down(now, secs(10));
    client.elapse(secs(10));
    let reason = CloseReason::Aborted(AbortReason::ShutDown);
    assert_closed(client.closed(), reason, Processed::Unknown, closing(NotReusable::ShutDown));
    assert_eq!(client.end.closed_at(), Some(now.saturating_add(secs(10))));
    client.assert_quiescent();
}

#[test]
fn the_grace_ends_a_call_of_the_server() {
    let mut server = Alone::serving(BIDI);
    server.feed(&peer::request(BIDI, &[b"ping"]));
    let now = server.now();
    server.end.connection.shut_down(now, secs(10));
    server.elapse(secs(10));
    let reason = CloseReason::Aborted(AbortReason::ShutDown);
    assert_closed(server.closed(), reason, Processed::Yes, closing(NotReusable::ShutDown));
    server.assert_quiescent();
}

#[test]
fn a_trickling_peer_cannot_extend_the_grace() {
    let mut server = Alone::serving(BIDI);
    server.feed(&peer::request_head(BIDI));
    let now = server.now();
    server.end.connection.shut_down(now, secs(10));
    for _ in 0..20 {
        server.advance(secs(1));
        server.feed(&peer::chunk(&peer::envelope(crate::wire::envelope::Flags::NONE, b"x")));
    }
    assert_eq!(server.end.closed_at(), Some(now.saturating_add(secs(10))));
    server.assert_quiescent();
}

#[test]
fn the_grace_ends_the_notice() {
    for grace in [Duration::ZERO, secs(1) / 2] {
        let mut server = Alone::serving(Kind::Unary);
        let now = server.now();
        server.end.connection.shut_down(now, grace);
        assert_eq!(server.end.connection.is_closed(), grace.is_zero());
        server.elapse(grace);
        assert!(server.end.connection.is_closed());
    }
}

#[test]
fn a_call_that_was_on_its_way_at_a_shutdown_is_served() {
    let mut server = Alone::serving(Kind::Unary);
    let now = server.now();
    server.end.connection.shut_down(now, secs(10));
    server.feed(&peer::request(Kind::Unary, &[b"ping"]));
    server.end.send("pong").unwrap();
    server.end.finish(Ok(())).unwrap();
    server.elapse(secs(2));
    assert!(String::from_utf8_lossy(server.written()).contains("connection: close"));
    assert_closed(server.closed(), CloseReason::Complete, Processed::Yes, closing(NotReusable::ShutDown));
    server.assert_quiescent();
}

#[test]
fn a_head_that_trickles_in_cannot_extend_the_grace() {
    let mut server = Alone::serving(BIDI);
    let head = peer::request_head(BIDI);
    server.feed(&head[..3]);
    let now = server.now();
    server.end.connection.shut_down(now, secs(10));
    for byte in &head[3..12] {
        server.advance(secs(1));
        server.feed(&[*byte]);
    }
    assert_eq!(server.end.ended(), None);
    server.advance(secs(1));
    server.feed(&head[12..13]);
    assert_eq!(server.end.ended(), Some(NotReusable::ShutDown));
    server.assert_quiescent();
}

#[test]
fn a_second_shutdown_cannot_extend_the_grace() {
    let mut server = Alone::serving(BIDI);
    server.feed(&peer::request(BIDI, &[b"ping"]));
    let now = server.now();
    server.end.connection.shut_down(now, secs(10));
    server.end.connection.shut_down(now, secs(20));
    server.elapse(secs(10));
    assert_eq!(server.closed().reason, CloseReason::Aborted(AbortReason::ShutDown));
    server.assert_quiescent();
}

#[test]
fn a_request_that_waits_to_be_started_is_dropped_after_the_grace() {
    let mut server = Alone::serving(BIDI);
    let (config, spec) = server.end.serves.take().unwrap();
    server.feed(&peer::request(BIDI, &[b"ping"]));
    let id = server.end.call_id().unwrap();
    let now = server.now();
    server.end.connection.shut_down(now, secs(10));
    server.elapse(secs(20));
    let now = server.now();
    server.end.connection.start(now, id, &config, &spec);
    server.end.serves = Some((config, spec));
    server.run();
    let reason = server.closed().reason;
    let forced =
        [CloseReason::Aborted(AbortReason::ShutDown), CloseReason::TransportLost(LostKind::ShutDown)];
    assert!(forced.contains(&reason), "{reason:?}");
    server.assert_quiescent();
}

#[test]
fn pipelined_requests_are_not_served_after_a_shutdown() {
    let mut server = Alone::serving(Kind::Unary);
    server.feed(&[peer::request(Kind::Unary, &[b"a"]), peer::request(Kind::Unary, &[b"b"])].concat());
    let first = server.end.call_id();
    let now = server.now();
    server.end.connection.shut_down(now, secs(10));
    server.end.send("A").unwrap();
    server.end.finish(Ok(())).unwrap();
    server.run();
    assert!(String::from_utf8_lossy(server.written()).contains("connection: close"));
    assert_eq!(server.end.call_id(), first);
    server.elapse(secs(2));
    server.assert_quiescent();
}

#[test]
fn a_call_of_which_nothing_was_sent_is_lost_whatever_the_grace() {
    for grace in [secs(0), secs(10)] {
        let mut client = Alone::calling(Kind::Unary);
        let now = client.now();
        client.end.connection.shut_down(now, grace);
        client.run();
        let reason = CloseReason::TransportLost(LostKind::ShutDown);
        assert_closed(client.closed(), reason, Processed::No, closing(NotReusable::ShutDown));
        client.assert_quiescent();
    }
}

//! Closing never waits, and says what became of the call and of the connection.

use super::*;
use crate::error::{AbortReason, LostKind};
use crate::testing::{Heard, millis, peer, secs};
use crate::wire::envelope::Flags;

const ABORTED: CloseReason = CloseReason::Aborted(AbortReason::Requested);

#[test]
fn unsent_closes_at_once_and_leaves_the_connection() {
    for kind in KINDS {
        for abort in [false, true] {
            let mut client = Alone::calling(kind);
            if abort {
                client.end.abort()
            } else {
                client.end.close()
            }
            client.run();
            assert_closed(client.closed(), CloseReason::Unsent, Processed::No, Fate::Reusable);
            assert!(client.written().is_empty() && client.end.connection.is_free());
            client.assert_quiescent();
        }
    }
}

#[test]
fn abort_before_a_byte_was_written_takes_the_request_back() {
    for kind in KINDS {
        let mut client = Alone::calling(kind);
        client.outgoing.allow(0);
        client.end.send("ping").unwrap();
        client.end.finish().unwrap();
        client.run();
        assert!(client.end.wants_write());
        client.end.abort();
        client.run();
        assert_closed(client.closed(), ABORTED, Processed::No, Fate::Reusable);
        assert!(!client.end.wants_write() && client.end.connection.is_free());

        // The connection is as it was.
        client.outgoing.unblock();
        let config = Arc::new(client_config());
        client.end.open(crate::testing::call(client.now(), &config, kind, None)).unwrap();
        client.end.send("pong").unwrap();
        client.end.finish().unwrap();
        client.run();
        client.feed(&peer::response(kind, &[b"pong"]));
        assert_closed(client.closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
        client.assert_quiescent();
    }
}

#[test]
fn a_deadline_before_a_byte_was_written_takes_the_request_back() {
    let mut client = Alone::calling_with(client_config(), Kind::Unary, Some(secs(1)));
    client.outgoing.allow(0);
    client.end.send("ping").unwrap();
    client.end.finish().unwrap();
    client.elapse(secs(1));
    assert_closed(client.closed(), CloseReason::Deadline, Processed::No, Fate::Reusable);
    assert_eq!(code(client.end.verdict()), Some(Code::DeadlineExceeded));
    client.assert_quiescent();
}

#[test]
fn abort_once_a_byte_was_written_closes_the_connection() {
    for kind in KINDS {
        for written in [1, 40] {
            let mut client = Alone::calling(kind);
            client.outgoing.allow(written);
            client.end.send("ping").unwrap();
            client.end.finish().unwrap();
            client.run();
            client.end.abort();
            client.run();
            let fate = closing(NotReusable::ResponseUnread);
            assert_closed(client.closed(), ABORTED, Processed::Unknown, fate);
            assert_eq!(client.written().len(), written);
            client.assert_quiescent();
        }
    }
}

#[test]
fn close_drains_the_response_and_keeps_the_connection() {
    for kind in KINDS {
        let mut p = Pair::open(kind);
        p.request("ping");
        p.client.close();
        p.run();
        p.advance(millis(300));
        p.answer("pong");
        let closed = p.client_closed();
        assert_closed(closed, CloseReason::Drained, Processed::Yes, Fate::Reusable);
        assert!(p.client_messages().is_empty());
        assert_eq!(closed.drained, if kind == Kind::Unary { 4 } else { 9 }, "{kind:?}");
        assert_closed(p.server_closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
        p.assert_quiescent();
        p.call(None);
        p.request("ping");
        p.answer("again");
        assert_eq!(p.client_messages(), ["again"]);
    }
}

#[test]
fn close_ends_the_request_and_sends_what_is_queued() {
    let mut p = Pair::open(BIDI);
    p.client.send("one").unwrap();
    p.run();
    p.client.send("two").unwrap();
    p.client.close();
    p.run();
    assert_eq!(p.server.messages(), ["one", "two"]);
    assert!(p.server.told.iter().any(|told| matches!(told.what, Heard::PeerHalfClosed)));
    p.answer("pong");
    assert_eq!(p.client_closed().reason, CloseReason::Drained);
}

#[test]
fn the_verdict_that_is_drained_is_told_but_no_message() {
    let mut client = requested(BIDI);
    client.end.close();
    client.feed(&peer::response(BIDI, &[b"one", b"two"]));
    assert!(client.end.messages().is_empty());
    assert!(matches!(client.end.verdict(), Some(Ok(_))));
    assert_closed(client.closed(), CloseReason::Drained, Processed::Yes, Fate::Reusable);
    assert_eq!(client.closed().drained, 16);
    client.assert_quiescent();
}

#[test]
fn a_peer_that_never_ends_is_drained_for_so_long_and_no_longer() {
    for kind in KINDS {
        let mut client = requested(kind);
        client.end.close();
        client.elapse(secs(29));
        assert!(client.end.try_closed().is_none());
        client.elapse(secs(1));
        let fate = closing(NotReusable::ResponseUnread);
        assert_closed(client.closed(), CloseReason::DrainTimedOut, Processed::Unknown, fate);
        assert_eq!(client.end.closed_at(), Some(crate::Instant::ORIGIN.saturating_add(secs(30))));
        assert!(client.end.connection.is_closed());
        client.assert_quiescent();
    }
}

#[test]
fn trickling_peer_cannot_extend_the_drain() {
    let mut p = Pair::streaming();
    p.client.close();
    p.feed_client(&peer::chunk(&[0, 0, 0, 1, 0]));
    for _ in 0..40 {
        p.advance(secs(1)); // the driver never calls handle_timeout
        p.feed_client(&peer::chunk(b"x"));
    }
    assert_eq!(p.client_closed().reason, CloseReason::DrainTimedOut);
    assert_eq!(p.client.closed_at(), Some(p.start.saturating_add(secs(30))));
    p.client.assert_quiescent();
}

#[test]
fn more_than_the_budget_is_not_drained() {
    for (declared, expected) in [(100, CloseReason::Drained), (101, CloseReason::DrainTooLarge)] {
        let mut client = with_budget(Kind::Unary, secs(30), 100);
        client.end.send("ping").unwrap();
        client.end.finish().unwrap();
        client.run();
        client.end.close();
        client.feed(
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/text\r\ncontent-length: {declared}\r\n\r\n"
            )
            .as_bytes(),
        );
        client.feed(&vec![0; declared]);
        assert_eq!(client.closed().reason, expected, "refused at its length: {declared}");
        client.assert_quiescent();
    }
}

#[test]
fn prefixes_count_against_the_budget_and_the_end_does_not() {
    for (budget, expected) in [(16, CloseReason::Drained), (15, CloseReason::DrainTooLarge)] {
        let mut client = with_budget(BIDI, secs(30), budget);
        client.end.finish().unwrap();
        client.run();
        client.end.close();
        client.feed(&peer::response(BIDI, &[b"one", b"two"]));
        assert_eq!(client.closed().reason, expected, "{budget}");
    }
}

#[test]
fn a_budget_of_zero_aborts_at_once() {
    let cases = [(secs(0), 100, CloseReason::DrainTimedOut), (secs(30), 0, CloseReason::DrainTooLarge)];
    for (time, bytes, expected) in cases {
        let mut client = with_budget(Kind::Unary, time, bytes);
        client.end.send("ping").unwrap();
        client.end.finish().unwrap();
        client.run();
        client.end.close();
        client.run();
        let fate = closing(NotReusable::ResponseUnread);
        assert_closed(client.closed(), expected, Processed::Unknown, fate);
        client.assert_quiescent();
    }
}

#[test]
fn close_in_the_middle_of_a_message() {
    let whole = peer::response(BIDI, &[b"a longer message"]);
    for at in 1..whole.len() {
        let mut client = requested(BIDI);
        let (before, after) = whole.split_at(at);
        client.feed(before);
        client.end.close();
        client.run();
        client.feed(after);
        let closed = client.closed();
        assert!(matches!(closed.reason, CloseReason::Drained | CloseReason::Complete), "{at}: {closed:?}");
        assert_eq!(closed.fate, Fate::Reusable, "{at}");
        assert!(matches!(client.end.verdict(), Some(Ok(_))), "{at}: the end was parsed");
        client.assert_quiescent();
    }
}

#[test]
fn abort_in_the_middle_of_anything() {
    let whole = peer::response(BIDI, &[b"a longer message"]);
    for at in 0..whole.len() {
        let mut client = requested(BIDI);
        client.feed(&whole[..at]);
        client.end.abort();
        client.run();
        let closed = client.closed();
        let processed = if at < peer::STREAM_HEAD.len() { Processed::Unknown } else { Processed::Yes };
        assert_closed(closed, ABORTED, processed, closing(NotReusable::ResponseUnread));
        assert!(client.end.connection.is_closed());
        client.assert_quiescent();
    }
}

#[test]
fn repeated_closes_change_nothing_and_abort_ends_a_drain() {
    let mut client = requested(BIDI);
    client.end.close();
    client.advance(secs(20));
    client.end.close();
    client.run();
    client.elapse(secs(9));
    assert!(client.end.try_closed().is_none());
    client.end.abort();
    client.run();
    assert_eq!(client.closed().reason, ABORTED);
    assert!(client.end.verdict().is_none());
    client.assert_quiescent();
}

#[test]
fn a_call_that_ended_is_not_changed_by_a_later_close() {
    let mut client = requested(BIDI);
    client.end.listening = false;
    client.feed(&peer::response(BIDI, &[b"one"]));
    client.end.close();
    client.end.listening = true;
    client.run();
    assert!(client.end.messages().is_empty());
    assert!(matches!(client.end.verdict(), Some(Ok(_))));
    assert_closed(client.closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
}

#[test]
fn transport_lost_while_draining() {
    for (kind, why) in [(LostKind::Eof, NotReusable::PeerClosed), (LostKind::Reset, NotReusable::Lost)] {
        let mut client = requested(BIDI);
        client.end.close();
        client.run();
        match kind {
            LostKind::Eof => client.eof(),
            _ => client.reset(),
        }
        let reason = CloseReason::TransportLost(kind);
        assert_closed(client.closed(), reason, Processed::Unknown, closing(why));
        assert!(client.end.verdict().is_none());
        client.assert_quiescent();
    }
}

#[test]
fn the_deadline_wins_a_tie_with_the_end_of_the_drain() {
    let mut config = client_config();
    config.limits.drain_http1 = DrainBudget { time: secs(10), bytes: 1 << 20 };
    let mut client = Alone::calling_with(config, Kind::Unary, Some(secs(10)));
    client.end.send("ping").unwrap();
    client.end.finish().unwrap();
    client.run();
    client.end.close();
    client.elapse(secs(10));
    assert_eq!(client.closed().reason, CloseReason::Deadline);
    client.assert_quiescent();
}

#[test]
fn an_end_without_https_end_is_awaited_for_a_while() {
    let mut client = requested(BIDI);
    let whole = peer::response(BIDI, &[b"one"]);
    client.feed(&whole[..whole.len() - peer::LAST_CHUNK.len()]);
    assert!(matches!(client.end.verdict(), Some(Ok(_))));
    assert!(client.end.try_closed().is_none());
    client.elapse(secs(5));
    let fate = closing(NotReusable::ResponseUnread);
    assert_closed(client.closed(), CloseReason::DrainTimedOut, Processed::Yes, fate);
    client.assert_quiescent();
}

#[test]
fn an_early_end_stops_the_request() {
    // The response is complete while the request is not.
    let mut client = Alone::calling(BIDI);
    client.end.send("ping").unwrap();
    client.run();
    client.feed(&peer::response(BIDI, &[b"early"]));
    assert_eq!(client.end.messages(), ["early"]);
    assert!(matches!(client.end.verdict(), Some(Ok(_))));
    assert!(client.end.send("more").is_err() || client.end.try_closed().is_some());
    assert_closed(client.closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
    client.assert_quiescent();
}

#[test]
fn an_early_end_while_the_request_is_stuck() {
    let mut client = Alone::calling(BIDI);
    client.outgoing.allow(400);
    client.end.send(vec![b'x'; 100_000]).unwrap();
    client.run();
    client.feed(&peer::response(BIDI, &[b"early"]));
    assert_eq!(client.end.messages(), ["early"]);
    client.elapse(secs(5));
    let fate = closing(NotReusable::RequestUnfinished);
    assert_closed(client.closed(), CloseReason::DrainTimedOut, Processed::Yes, fate);
    client.assert_quiescent();
}

#[test]
fn a_server_aborts() {
    for kind in KINDS {
        let mut p = Pair::open(kind);
        p.request("ping");
        p.server.abort();
        p.run();
        let fate = closing(NotReusable::Aborted);
        assert_closed(p.server_closed(), ABORTED, Processed::Yes, fate);
        assert_eq!(code(p.client.verdict()), Some(Code::Unavailable));
        assert!(matches!(p.client_closed().reason, CloseReason::TransportLost(_)));
        p.assert_quiescent();
    }
}

#[test]
fn a_cut_off_message_is_skipped_while_draining() {
    let mut client = requested(BIDI);
    client.feed(peer::STREAM_HEAD);
    client.feed(&peer::chunk(&peer::envelope(Flags::NONE, b"abcdef")[..8]));
    client.end.close();
    client.run();
    client.feed(&peer::chunk(b"def"));
    client.feed(&[peer::chunk(&peer::end_stream()), peer::LAST_CHUNK.to_vec()].concat());
    assert_closed(client.closed(), CloseReason::Drained, Processed::Yes, Fate::Reusable);
    client.assert_quiescent();
}

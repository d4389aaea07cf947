//! What other stacks got wrong, by the name of the thread that told of it.

use super::*;
use crate::error::LostKind;
use crate::testing::{Heard, call, millis, peer, secs};
use crate::wire::envelope::Flags;

/// connect-go#789, #791: closing before the response's headers must not wait for them.
#[test]
fn go_789_close_before_response_headers() {
    let mut client = requested(BIDI);
    client.end.close();
    client.elapse(secs(3600));
    assert_eq!(client.closed().reason, CloseReason::DrainTimedOut);
    assert_eq!(client.end.closed_at(), Some(crate::Instant::ORIGIN.saturating_add(secs(30))));
    client.assert_quiescent();
}

/// connect-go#936-938: a close shortly before the end loses neither the trailers nor the connection.
#[test]
fn go_936_close_shortly_before_the_end() {
    let mut p = Pair::streaming();
    p.client.close();
    p.run();
    p.advance(millis(270));
    p.server.finish(Ok(())).unwrap();
    p.run();
    assert!(matches!(p.client.verdict(), Some(Ok(_))), "the trailers");
    assert_closed(p.client_closed(), CloseReason::Drained, Processed::Yes, Fate::Reusable);
}

/// connect-rust#140, #146, #163: the end of HTTP without an end-of-stream is no success, and stays so.
#[test]
fn rs_140_missing_end_stream() {
    for messages in [0, 1, 2] {
        let mut client = requested(BIDI);
        client.feed(peer::STREAM_HEAD);
        for _ in 0..messages {
            client.feed(&peer::chunk(&peer::envelope(Flags::NONE, b"message")));
        }
        client.feed(peer::LAST_CHUNK);
        assert_eq!(client.end.messages().len(), messages);
        assert_eq!(code(client.end.verdict()), Some(Code::Internal));
        client.run();
        assert_eq!(code(client.end.verdict()), Some(Code::Internal), "it stays");
        client.assert_quiescent();
    }
}

/// connect-rust#192: an end-of-stream that is not JSON is no success.
#[test]
fn rs_192_malformed_end_stream() {
    for json in [&b"{"[..], b"", b"[]", b"{\"error\":7}"] {
        let mut client = requested(BIDI);
        client.feed(peer::STREAM_HEAD);
        client.feed(&peer::chunk(&peer::envelope(Flags::END_STREAM, json)));
        client.feed(peer::LAST_CHUNK);
        assert!(client.end.verdict().unwrap().is_err(), "{json:?}");
        client.assert_quiescent();
    }
}

/// tonic#2288: a dropped client is not a client that has finished.
#[test]
fn tonic_2288_drop_is_not_half_close() {
    let mut p = Pair::open(BIDI);
    p.client.send("one").unwrap();
    p.run();
    p.client.abort();
    p.run();
    assert!(!p.server.told.iter().any(|told| matches!(told.what, Heard::PeerHalfClosed)));
    assert!(matches!(p.server_closed().reason, CloseReason::TransportLost(_)));
    p.assert_quiescent();
}

/// tonic#848, connect-go#745: a reset that comes with the deadline is the deadline.
#[test]
fn tonic_848_reset_at_the_deadline() {
    let mut client = Alone::calling_with(client_config(), Kind::Unary, Some(secs(10)));
    client.end.send("ping").unwrap();
    client.end.finish().unwrap();
    client.run();
    client.advance(secs(10));
    client.reset();
    assert_eq!(code(client.end.verdict()), Some(Code::DeadlineExceeded));
    client.assert_quiescent();
}

/// grpc-node#3065: a message of no bytes is a message.
#[test]
fn node_3065_zero_byte_messages() {
    for kind in KINDS {
        let mut p = Pair::open(kind);
        p.request("");
        assert_eq!(p.server.messages(), [""], "{kind:?}");
        p.answer("");
        assert_eq!(p.client_messages(), [""], "{kind:?}");
        p.assert_quiescent();
    }
}

/// hyper#4176: an early answer to a request that is still being sent must leave a connection that works, or close it.
#[test]
fn hyper_4176_early_answer_and_reuse() {
    let mut p = Pair::open(BIDI);
    p.client.send("one").unwrap();
    p.run();
    p.server.finish(Err(crate::error::RpcError::new(Code::ResourceExhausted, ""))).unwrap();
    p.run();
    assert_eq!(code(p.client.verdict()), Some(Code::ResourceExhausted));
    assert_eq!(p.client_closed().fate, Fate::Reusable);
    p.call(None);
    p.request("two");
    p.answer("pong");
    assert_eq!(p.client_messages(), ["pong"]);
    p.assert_quiescent();
}

/// connect-go#512, hyper#2872: an answer that came before the transport broke in writing is not discarded.
#[test]
fn hyper_2872_complete_response_survives_a_broken_pipe() {
    let mut client = Alone::calling(BIDI);
    client.outgoing.allow(400);
    client.end.send(vec![b'x'; 100_000]).unwrap();
    client.run();
    let now = client.now();
    client.end.connection.handle_write_failed(now, LostKind::Reset);
    client.feed(&peer::response(BIDI, &[b"early"]));
    assert_eq!(client.end.messages(), ["early"]);
    assert!(matches!(client.end.verdict(), Some(Ok(_))));
    assert!(matches!(client.closed().fate, Fate::Closing(_)));
    client.assert_quiescent();
}

/// tonic#931: a server with nothing to write is told that its client has gone.
#[test]
fn tonic_931_server_learns_of_a_lost_client() {
    let mut p = Pair::unary();
    p.client.abort();
    p.run();
    assert_eq!(p.server_closed().reason, CloseReason::TransportLost(LostKind::Eof));
    assert_eq!(code(p.server.verdict()), Some(Code::Canceled));
    p.assert_quiescent();
}

/// connect-rust#285, hyper#2136: the loss of a kept connection tells whether the request may be repeated.
#[test]
fn hyper_2136_lost_before_a_byte_was_written() {
    let mut client = Alone::client(&ConnectionConfig::default());
    let config = Arc::new(client_config());
    client.outgoing.allow(0);
    client.end.open(call(client.now(), &config, Kind::Unary, None)).unwrap();
    client.end.send("ping").unwrap();
    client.end.finish().unwrap();
    client.run();
    client.eof();
    let reason = CloseReason::TransportLost(LostKind::Eof);
    assert_closed(client.closed(), reason, Processed::No, closing(NotReusable::PeerClosed));
    client.assert_quiescent();

    let mut client = requested(Kind::Unary);
    client.eof();
    assert_closed(client.closed(), reason, Processed::Unknown, closing(NotReusable::PeerClosed));
}

/// connect-go#408, #796: half duplex works over HTTP/1.1, however the handler and the client take turns.
#[test]
fn go_796_half_duplex() {
    let mut p = Pair::open(BIDI);
    for message in ["one", "two", "three"] {
        p.client.send(message).unwrap();
        p.run();
        p.server.send(message.to_uppercase()).unwrap();
        p.run();
    }
    p.client.finish().unwrap();
    p.run();
    assert_eq!(p.client_messages(), ["ONE", "TWO", "THREE"]);
    p.server.finish(Ok(())).unwrap();
    p.run();
    assert_closed(p.client_closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
    p.assert_quiescent();
}

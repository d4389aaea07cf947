//! Calls come and go on a connection.

use super::*;
use crate::connection::{ClientConnection, Notice, OpenError};
use crate::error::{LostKind, RpcError};
use crate::testing::{Heard, call, client_config, peer};

#[test]
fn a_unary_call_goes_there_and_back_and_leaves_the_connection() {
    let mut p = Pair::unary();
    assert_eq!(p.server.messages(), ["ping"]);
    p.answer("pong");
    assert_eq!(p.client_messages(), ["pong"]);
    assert!(matches!(p.client.verdict(), Some(Ok(_))));
    assert_closed(p.client_closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
    assert_closed(p.server_closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
    p.assert_quiescent();
}

#[test]
fn calls_of_every_kind_follow_each_other_on_one_connection() {
    for kind in KINDS {
        let mut p = Pair::new(PairConfig::new(kind));
        for _ in 0..5 {
            p.call(None);
            p.request("ping");
            p.answer("pong");
            assert_eq!(p.client_messages(), ["pong"], "{kind:?}");
            assert_eq!(p.server.messages(), ["ping"], "{kind:?}");
            assert_eq!(p.client_closed().fate, Fate::Reusable, "{kind:?}");
        }
        p.assert_quiescent();
    }
}

#[test]
fn a_second_call_is_given_back_while_one_is_under_way() {
    let mut client = requested(Kind::Unary);
    let config = Arc::new(client_config());
    let first = client.end.call_id();
    let refused = client.end.open(call(client.now(), &config, Kind::Unary, None)).unwrap_err();
    assert_eq!(refused.why, OpenError::Busy);
    assert_eq!(client.end.call_id(), first);

    client.feed(&peer::response(Kind::Unary, &[b"pong"]));
    assert_eq!(client.closed().reason, CloseReason::Complete);
    let second = client.end.open(*refused.call).unwrap();
    assert_ne!(Some(second), first);
    client.end.send("ping").unwrap();
    client.end.finish().unwrap();
    client.run();
    client.feed(&peer::response(Kind::Unary, &[b"again"]));
    assert_eq!(client.end.messages(), ["again"]);
    client.assert_quiescent();
}

#[test]
fn full_duplex_is_given_back_at_once() {
    let mut client = Alone::client(&ConnectionConfig::default());
    let config = Arc::new(client_config());
    let full = call(client.now(), &config, Kind::Bidi(Duplex::Full), None);
    let refused = client.end.open(full).unwrap_err();
    assert_eq!(refused.why, OpenError::FullDuplexOverHttp1);
    assert!(client.end.connection.is_free());
}

#[test]
fn a_connection_that_is_going_away_takes_no_call() {
    let mut client = requested(Kind::Unary);
    client.feed(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/text\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let fate = closing(NotReusable::ConnectionClose);
    assert_closed(client.closed(), CloseReason::Complete, Processed::Yes, fate);
    let config = Arc::new(client_config());
    let refused = client.end.open(call(client.now(), &config, Kind::Unary, None)).unwrap_err();
    assert_eq!(refused.why, OpenError::GoingAway);
    assert_eq!(client.end.ended(), Some(NotReusable::ConnectionClose));
    client.assert_quiescent();
}

#[test]
fn a_call_is_known_until_its_end_was_told() {
    let mut p = Pair::unary();
    let (client, server) = (p.client.call_id().unwrap(), p.server.call_id().unwrap());
    assert!(p.client.connection.call(client).is_some() && p.server.connection.call(server).is_some());
    p.answer("pong");
    assert!(p.client.connection.call(client).is_none() && p.server.connection.call(server).is_none());
    p.client.close();
    p.client.abort();
    p.server.abort();
    p.run();
    p.assert_quiescent();
}

#[test]
fn pipelined_requests_are_served_one_after_the_other() {
    let mut server = Alone::serving(Kind::Unary);
    let requests: Vec<u8> =
        [&b"a"[..], b"b", b"c"].iter().flat_map(|message| peer::request(Kind::Unary, &[message])).collect();
    server.feed(&requests);
    for message in ["a", "b", "c"] {
        assert_eq!(server.end.messages(), [message]);
        server.end.send(message.to_uppercase()).unwrap();
        server.end.finish(Ok(())).unwrap();
        server.run();
    }
    let written = String::from_utf8(server.written().to_vec()).unwrap();
    let bodies: Vec<&str> =
        written.split("HTTP/1.1 200 OK").skip(1).map(|response| &response[response.len() - 1..]).collect();
    assert_eq!(bodies, ["A", "B", "C"]);
    server.assert_quiescent();
}

#[test]
fn pipelined_requests_are_served_in_order_however_they_are_cut() {
    let requests: Vec<u8> =
        [&b"one"[..], b"two"].iter().flat_map(|message| peer::request(Kind::Unary, &[message])).collect();
    for at in 0..requests.len() {
        let mut server = Alone::serving(Kind::Unary);
        server.incoming.cut(&[at, requests.len()]);
        server.feed(&requests);
        for message in ["one", "two"] {
            assert_eq!(server.end.messages(), [message], "cut at {at}");
            server.end.send("answer").unwrap();
            server.end.finish(Ok(())).unwrap();
            server.run();
        }
        server.assert_quiescent();
    }
}

#[test]
fn bytes_that_answer_nothing_end_an_idle_connection() {
    let mut client = Alone::client(&ConnectionConfig::default());
    client.feed(b"HTTP/1.1 200 OK\r\n");
    assert_eq!(client.end.ended(), Some(NotReusable::UnsolicitedBytes));
    client.assert_quiescent();
}

#[test]
fn an_idle_connection_notices_the_end_of_its_peer() {
    let mut client = Alone::client(&ConnectionConfig::default());
    client.eof();
    assert_eq!(client.end.ended(), Some(NotReusable::PeerClosed));
    client.assert_quiescent();

    let mut server = Alone::serving(Kind::Unary);
    server.eof();
    assert_eq!(server.end.ended(), Some(NotReusable::PeerClosed));
    server.assert_quiescent();
}

#[test]
fn a_request_is_looked_at_before_it_is_started() {
    let mut server = Alone::serving(BIDI);
    let serves = server.end.serves.take().unwrap();
    server.feed(&peer::request(BIDI, &[b"ping"]));
    let id = server.end.call_id().unwrap();
    let incoming = server.end.connection.incoming(id).unwrap();
    assert_eq!((incoming.procedure(), incoming.codec()), (crate::testing::PROCEDURE, Some("text")));
    assert!(server.end.messages().is_empty() && server.end.unread() > 0);
    assert_eq!(server.end.connection.poll_ready(), None);

    let now = server.now();
    assert!(server.end.connection.start(now, id, &serves.0, &serves.1));
    assert!(!server.end.connection.start(now, id, &serves.0, &serves.1));
    server.run();
    assert_eq!(server.end.messages(), ["ping"]);
}

#[test]
fn readable_is_told_again_only_after_a_look() {
    let mut client = requested(BIDI);
    client.end.listening = false;
    client.feed(peer::STREAM_HEAD);
    let id = client.end.call_id().unwrap();
    client.feed(&peer::chunk(&peer::envelope(crate::wire::envelope::Flags::NONE, b"one")));
    assert_eq!(client.end.connection.poll_ready(), None, "told already");
    let now = client.now();
    let _ = client.end.connection.call(id).unwrap().poll_event(now);
    assert_eq!(client.end.connection.poll_ready(), Some(Notice::Readable(id)));
}

#[test]
fn an_error_of_the_handler_is_the_verdict_of_the_client() {
    for kind in KINDS {
        let mut p = Pair::open(kind);
        p.request("ping");
        p.server.finish(Err(RpcError::new(Code::NotFound, "no such thing"))).unwrap();
        p.run();
        assert_eq!(code(p.client.verdict()), Some(Code::NotFound), "{kind:?}");
        assert_closed(p.client_closed(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
        assert!(p.server.told.iter().all(|told| !matches!(told.what, Heard::Finished(_))));
        p.assert_quiescent();
    }
}

#[test]
fn a_next_request_waits_until_the_end_of_the_one_before_was_told() {
    let get = b"GET /test.Service/Method?connect=v1&encoding=text&message=hi HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut server = Alone::serving(Kind::Unary);
    server.feed(&peer::request(Kind::Unary, &[b"a"]));
    server.end.listening = false;
    server.end.finish(Err(RpcError::new(Code::Aborted, ""))).unwrap();
    server.incoming.feed(get);
    // The end of the first call is there, and nobody has asked for it.
    let (mut read, now) = (bytes::BytesMut::from(&get[..]), server.now());
    while let filled @ 1.. = server.end.connection.output(now, &mut [std::io::IoSlice::new(&[])]) {
        server.end.connection.handle_written(now, filled * 10_000);
    }
    server.end.connection.handle_read(now, &mut read);
    assert_eq!(read, &get[..]);
    server.end.listening = true;
    server.run();
    assert_eq!(server.end.messages(), ["hi"]);
    let ends = server.end.told.iter().filter(|told| matches!(told.what, Heard::Closed(_))).count();
    assert_eq!(ends, 1);
    server.end.assert_orderly();
}

/// And says how that was, such as that a server has refused the client's certificate.
#[test]
fn a_call_that_has_not_begun_is_lost_with_its_connection() {
    const REFUSED: LostKind = LostKind::TlsAlert(116);
    type Loss = fn(&mut ClientConnection, crate::Instant);
    let losses: [(Loss, LostKind, NotReusable); 4] = [
        (|it, now| it.shut_down(now, crate::testing::secs(10)), LostKind::ShutDown, NotReusable::ShutDown),
        (|it, now| it.handle_eof(now), LostKind::Eof, NotReusable::PeerClosed),
        (|it, now| it.handle_io_failed(now, REFUSED), REFUSED, NotReusable::Lost),
        (|it, now| it.handle_write_failed(now, LostKind::Reset), LostKind::Reset, NotReusable::Lost),
    ];
    for (loss, kind, why) in losses {
        let mut client = Alone::calling(Kind::Unary);
        let now = client.now();
        loss(&mut client.end.connection, now);
        client.run();
        assert_closed(client.closed(), CloseReason::TransportLost(kind), Processed::No, closing(why));
        assert_eq!(code(client.end.verdict()), Some(Code::Unavailable));
        client.assert_quiescent();
    }
}

#[test]
fn a_connection_over_http1_says_what_rule_its_peer_broke() {
    let mut client = requested(Kind::Unary);
    assert_eq!(client.end.connection.fault(), None);
    client.feed(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n");
    let fault = client.end.connection.fault().unwrap();
    assert_eq!(fault.to_string(), "invalid content-length");
}

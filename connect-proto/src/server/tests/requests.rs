//! What a request's body leads to.

use crate::call::{Duplex, Kind, Phase};
use crate::error::{CloseReason, Code, PeerMisbehaved};
use crate::testing::fixture::{
    Asked, ServerRig, ServerSetup, Told, compressed, end_stream, envelope, prefix,
};

fn unary() -> ServerSetup {
    ServerSetup::new(Kind::Unary)
}

fn client_stream() -> ServerSetup {
    ServerSetup::new(Kind::ClientStream)
}

/// What the handler is told that the client was told.
#[track_caller]
fn error(rig: &mut ServerRig) -> Code {
    assert_eq!(rig.phase(), Phase::Answered);
    rig.skip();
    rig.verdict().as_ref().unwrap_err().code()
}

// Unary

#[test]
fn an_empty_body_is_an_empty_message() {
    for encoding in ["identity", "rle"] {
        let mut rig = unary().header("content-encoding", encoding).active();
        rig.end();
        assert_eq!(rig.tell_all(), [Told::Message(Vec::new()), Told::HalfClosed]);
    }
}

#[test]
fn a_compressed_body_is_decompressed_by_the_handler() {
    let mut rig = unary().header("content-encoding", "rle").active();
    rig.data(compressed("ask"));
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Message(b"ask".to_vec()), Told::HalfClosed]);
}

#[test]
fn the_limit_of_a_unary_body_is_exact() {
    for cut in [1, 50, 100] {
        let mut rig = unary().active();
        [0; 100].chunks(cut).for_each(|part| rig.data(part));
        assert_eq!(rig.phase(), Phase::Active);
        rig.data("x");
        assert_eq!(error(&mut rig), Code::ResourceExhausted);
        let body = String::from_utf8(rig.body()).unwrap();
        assert!(body.contains("message of 101 bytes exceeds limit 100"), "{body}");
        assert_eq!(rig.status(), 429);
    }
}

#[test]
fn a_content_length_over_the_limit_is_refused_at_the_head() {
    for (announced, phase) in [("100", Phase::Active), ("101", Phase::Answered)] {
        let mut rig = unary().header("content-length", announced).active();
        assert_eq!(rig.phase(), phase, "{announced}");
        assert_eq!(rig.call.wants_body(), phase == Phase::Active);
        // Too much to drain as well, so that the client is stopped.
        let stopped = rig.flush().last() == Some(&Asked::Stop);
        assert_eq!(stopped, phase == Phase::Answered);
    }
}

#[test]
fn go_620_a_message_that_grows_beyond_the_limit_is_found_when_decoded() {
    for (count, told) in [
        (100, Told::Message(vec![b'x'; 100])),
        (101, Told::BadMessage(PeerMisbehaved::DecompressedTooLarge { limit: 100 })),
    ] {
        let mut rig = unary().header("content-encoding", "rle").active();
        rig.data([count, b'x']);
        rig.end();
        assert_eq!(rig.tell(), Some(told));
    }
}

#[test]
fn a_rejected_message_is_answered() {
    let mut rig = unary().header("content-encoding", "rle").active();
    rig.data([101, b'x']);
    rig.end();
    rig.tell();
    rig.reject(PeerMisbehaved::DecompressedTooLarge { limit: 100 });
    assert_eq!(rig.tell_all(), [Told::HalfClosed, Told::Failure(Code::ResourceExhausted)]);
    rig.flush();
    assert_eq!(rig.status(), 429);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

#[test]
fn a_fault_of_http_after_the_answer_ends_the_drain() {
    let mut rig = client_stream().answered();
    rig.reject(PeerMisbehaved::MalformedChunk);
    assert_eq!(rig.flush().last(), Some(&Asked::Stop));
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

// Streams

#[test]
fn a_message_is_delivered_as_soon_as_it_is_complete() {
    let mut rig = client_stream().active();
    rig.data(b"\0\0\0\0");
    rig.data(b"\x02h");
    assert_eq!(rig.tell_all(), []);
    rig.data(b"i\0\0\0\0\0");
    assert_eq!(rig.tell_all(), [Told::Message(b"hi".to_vec()), Told::Message(Vec::new())]);
}

#[test]
fn compressed_and_plain_messages_may_alternate() {
    let mut rig = client_stream().header("connect-content-encoding", "rle").active();
    rig.data([envelope(1, compressed("a")), envelope(0, "b"), envelope(1, "")].concat());
    assert_eq!(
        rig.tell_all(),
        [Told::Message(b"a".to_vec()), Told::Message(b"b".to_vec()), Told::Message(Vec::new())]
    );
}

#[test]
fn a_compressed_message_under_identity_is_internal() {
    let mut rig = client_stream().active();
    rig.data(prefix(1, 3));
    assert_eq!(error(&mut rig), Code::Internal);
}

#[test]
fn rs_169_unknown_flags_are_internal() {
    for flags in [4, 8, 0x80, 0xff] {
        let mut rig = client_stream().header("connect-content-encoding", "rle").active();
        rig.data(prefix(flags, u32::MAX));
        assert_eq!(error(&mut rig), Code::Internal);
    }
}

#[test]
fn a_client_has_no_end_of_stream() {
    let mut rig = client_stream().active();
    rig.data(end_stream());
    assert_eq!(error(&mut rig), Code::Internal);
}

#[test]
fn a_message_over_the_limit_is_refused_at_its_prefix() {
    for flags in [0, 1] {
        let mut rig = client_stream().header("connect-content-encoding", "rle").active();
        rig.data(prefix(flags, 100));
        assert_eq!(rig.phase(), Phase::Active);

        let mut rig = client_stream().header("connect-content-encoding", "rle").active();
        rig.data(prefix(flags, 101));
        assert_eq!(error(&mut rig), Code::ResourceExhausted);
    }
}

#[test]
fn a_cut_off_envelope_is_internal() {
    for part in [&b"\0"[..], &prefix(0, 3), b"\0\0\0\0\x03ab"] {
        let mut rig = client_stream().active();
        rig.message("a");
        rig.data(part);
        rig.end();
        assert_eq!(rig.tell_all(), [Told::Message(b"a".to_vec()), Told::Failure(Code::Internal)]);
        rig.flush();
        assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    }
}

#[test]
fn a_server_stream_without_a_request_is_unimplemented() {
    let mut rig = ServerSetup::new(Kind::ServerStream).active();
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Unimplemented)]);
}

#[test]
fn a_server_stream_with_several_requests_is_unimplemented() {
    let mut rig = ServerSetup::new(Kind::ServerStream).active();
    rig.message("a");
    rig.message("b");
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Unimplemented)]);
    rig.flush();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

#[test]
fn a_client_stream_may_have_no_message() {
    let mut rig = client_stream().active();
    rig.end();
    assert_eq!(rig.tell_all(), [Told::HalfClosed]);
}

// GET

#[test]
fn a_response_to_get_varies_by_encoding() {
    // As with connect-go: it may be cached, and its compression depends on the request.
    let query = "connect=v1&encoding=proto&message=ask";
    let vary = |rig: &ServerRig| {
        let head = rig.sent_head.as_ref().unwrap();
        head.headers
            .get_all("vary")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut rig = ServerSetup::get(query).active();
    let own = [(http::header::VARY, http::HeaderValue::from_static("origin"))].into_iter().collect();
    rig.call.send_headers(rig.now, own).unwrap();
    rig.send("answer").unwrap();
    rig.succeed();
    rig.asked();
    assert_eq!(vary(&rig), ["origin", "accept-encoding"]);

    let mut rig = ServerSetup::get(query).active();
    rig.fail(Code::NotFound);
    rig.asked();
    assert_eq!(vary(&rig), ["accept-encoding"]);

    let mut rig = ServerSetup::get("connect=v1&encoding=proto&message=ask&compression=unknown").active();
    rig.asked();
    assert_eq!((rig.status(), vary(&rig)), (501, vec!["accept-encoding".to_owned()]));

    let mut rig = ServerSetup::new(Kind::Unary).requested();
    rig.send("answer").unwrap();
    rig.succeed();
    rig.asked();
    assert_eq!(vary(&rig), [""; 0], "a POST is not cached");
}

#[test]
fn a_get_is_complete_with_its_head() {
    let mut rig = ServerSetup::get("connect=v1&encoding=proto&base64=1&message=AQI").active();
    assert_eq!(rig.tell_all(), [Told::Message(vec![1, 2]), Told::HalfClosed]);
    assert!(!rig.call.wants_body());
    rig.end();
    assert_eq!(rig.tell_all(), []);
    rig.send("answer").unwrap();
    rig.succeed();
    rig.flush();
    assert_eq!(rig.sent_header("content-type"), Some("application/proto"));
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

#[test]
fn a_get_takes_every_form_of_its_message() {
    for (query, message) in [
        ("connect=v1&encoding=proto&base64=1&message=AQ", &b"\x01"[..]),
        ("connect=v1&encoding=proto&base64=1&message=AQ==", b"\x01"),
        ("connect=v1&encoding=proto&message=%01%FF", b"\x01\xff"),
        ("connect=v1&encoding=json&message=%7B%7D", b"{}"),
        ("connect=v1&encoding=proto&base64=1&message=", b""),
        ("connect=v1&encoding=proto&base64=1&compression=rle&message=A3g", b"xxx"),
    ] {
        let mut rig = ServerSetup::get(query).active();
        assert_eq!(rig.tell(), Some(Told::Message(message.to_vec())), "{query}");
    }
}

#[test]
fn a_malformed_get_is_answered() {
    for (query, status) in [
        ("connect=v1&encoding=proto", 400),
        ("connect=v2&encoding=proto&message=", 400),
        ("connect=v1&message=", 400),
        ("connect=v1&encoding=proto&base64=1&message=?", 400),
        ("connect=v1&encoding=proto&compression=br&message=", 501),
        ("connect=v1&encoding=xml&message=", 415),
    ] {
        let mut rig = ServerSetup::get(query).active();
        rig.flush();
        assert_eq!(rig.status(), status, "{query}");
    }
}

#[test]
fn the_limit_counts_for_a_get_too() {
    let message = "a".repeat(100);
    let mut rig = ServerSetup::get(&format!("connect=v1&encoding=json&message={message}")).active();
    assert_eq!(rig.tell(), Some(Told::Message(message.clone().into())));
    let mut rig = ServerSetup::get(&format!("connect=v1&encoding=json&message={message}a")).active();
    assert_eq!(error(&mut rig), Code::ResourceExhausted);
}

#[test]
fn a_get_with_a_body_is_answered_and_drained() {
    let mut rig = ServerSetup::get("connect=v1&encoding=proto&message=").active();
    rig.data([0; 1000]);
    assert_eq!(rig.call.take_credit(), 1000);
    rig.skip();
    rig.send("answer").unwrap();
    rig.succeed();
    rig.data([0; 100]);
    rig.end();
    rig.flush();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    assert_eq!(rig.closed().drained, 100);
}

// Flow control

#[test]
fn credit_waits_for_a_message_to_be_taken() {
    let mut rig = ServerSetup::new(Kind::Bidi(Duplex::Half)).http2().active();
    rig.message([0; 20]);
    rig.data(prefix(0, 10));
    assert_eq!(rig.call.take_credit(), 0);
    rig.tell();
    assert_eq!(rig.call.take_credit(), 30);
    rig.data([0; 4]);
    assert_eq!(rig.call.take_credit(), 4);
}

#[test]
fn the_window_is_given_back_after_the_end() {
    let mut rig = client_stream().active();
    rig.data([prefix(0, 50).as_slice(), &[0; 20]].concat());
    rig.abort();
    rig.data("late");
    assert_eq!(rig.call.take_credit(), 29);
}

#[test]
fn what_is_half_assembled_is_credited_at_the_end() {
    let mut rig = client_stream().active();
    rig.data([envelope(0, "waits"), prefix(0, 50).to_vec(), vec![0; 20]].concat());
    assert_eq!(rig.call.take_credit(), 0);
    rig.lost(crate::error::LostKind::Eof, crate::call::Processed::Unknown);
    assert_eq!(rig.call.take_credit(), 25);
}

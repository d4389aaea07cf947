//! Heads, messages and ends of responses.

use http::{HeaderMap, HeaderValue};

use crate::call::{BodySize, Duplex, Kind, SendError};
use crate::error::{ApiMisuse, Code, ErrorDetail, RpcError};
use crate::testing::fixture::{Asked, ServerRig, ServerSetup, Told, compressed, end_stream, envelope, secs};

fn unary() -> ServerSetup {
    ServerSetup::new(Kind::Unary)
}

fn server_stream() -> ServerSetup {
    ServerSetup::new(Kind::ServerStream)
}

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

fn error() -> RpcError {
    RpcError::new(Code::NotFound, "no \"user\"\n")
        .with_detail(ErrorDetail {
            type_name: "a.B".to_owned(),
            value: b"\x01\x02\x03\x04".as_slice().into(),
        })
        .with_metadata(fields(&[("x-error", "1")]))
}

// Unary

#[test]
fn a_unary_response_carries_headers_and_trailers_in_its_head() {
    let mut rig = unary().requested();
    rig.call.send_headers(rig.now, fields(&[("x-a", "1")])).unwrap();
    rig.send("answer").unwrap();
    rig.call.finish(rig.now, fields(&[("x-b", "2")]), Ok(())).unwrap();
    rig.events.leave();
    assert_eq!(rig.asked().len(), 3);
    assert_eq!(rig.status(), 200);
    for (name, value) in [
        ("content-type", Some("application/proto")),
        ("content-encoding", None),
        ("x-a", Some("1")),
        ("trailer-x-b", Some("2")),
    ] {
        assert_eq!(rig.sent_header(name), value, "{name}");
    }
}

#[test]
fn a_unary_response_is_in_the_codec_of_its_request() {
    let mut rig = unary().header("content-type", "application/json; charset=utf-8").requested();
    rig.send("{}").unwrap();
    rig.succeed();
    rig.asked();
    assert_eq!(rig.sent_header("content-type"), Some("application/json"));
}

#[test]
fn an_empty_unary_response_has_no_body() {
    let mut rig = unary().requested();
    rig.send("").unwrap();
    rig.succeed();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Empty)]);
}

#[test]
fn a_unary_response_is_compressed_if_the_client_accepts_it() {
    for (accepted, expected) in
        [("rle", Some("rle")), ("br, rle", Some("rle")), ("br", None), ("identity", None)]
    {
        let mut setup = unary().header("accept-encoding", accepted);
        setup.config.compress_from = 3;
        let mut rig = setup.requested();
        rig.send("answer").unwrap();
        rig.succeed();
        let body = rig.body();
        assert_eq!(rig.sent_header("content-encoding"), expected, "{accepted}");
        assert_eq!(body, if expected.is_some() { compressed("answer") } else { b"answer".to_vec() });
    }
}

#[test]
fn without_a_wish_the_response_is_compressed_as_its_request() {
    let mut setup = unary().header("content-encoding", "rle");
    setup.config.compress_from = 3;
    let mut rig = setup.active();
    rig.end();
    rig.send("answer").unwrap();
    rig.succeed();
    rig.asked();
    assert_eq!(rig.sent_header("content-encoding"), Some("rle"));
}

#[test]
fn a_unary_error_has_its_status_and_its_json() {
    let mut rig = unary().requested();
    rig.call.send_headers(rig.now, fields(&[("x-a", "1")])).unwrap();
    rig.send("dropped").unwrap();
    rig.call.finish(rig.now, fields(&[("x-b", "2")]), Err(error())).unwrap();
    rig.events.leave();
    let json =
        br#"{"code":"not_found","message":"no \"user\"\n","details":[{"type":"a.B","value":"AQIDBA"}]}"#;
    assert_eq!(rig.body(), json);
    assert_eq!(rig.status(), 404);
    for (name, value) in [
        ("content-type", Some("application/json")),
        ("content-encoding", None),
        ("x-a", Some("1")),
        ("trailer-x-b", Some("2")),
        ("trailer-x-error", Some("1")),
    ] {
        assert_eq!(rig.sent_header(name), value, "{name}");
    }
}

#[test]
fn every_code_has_its_status() {
    for (code, status) in [
        (Code::Canceled, 499),
        (Code::Unknown, 500),
        (Code::InvalidArgument, 400),
        (Code::DeadlineExceeded, 504),
        (Code::NotFound, 404),
        (Code::AlreadyExists, 409),
        (Code::PermissionDenied, 403),
        (Code::ResourceExhausted, 429),
        (Code::FailedPrecondition, 400),
        (Code::Aborted, 409),
        (Code::OutOfRange, 400),
        (Code::Unimplemented, 501),
        (Code::Internal, 500),
        (Code::Unavailable, 503),
        (Code::DataLoss, 500),
        (Code::Unauthenticated, 401),
    ] {
        let mut rig = unary().requested();
        rig.fail(code);
        rig.asked();
        assert_eq!(rig.status(), status, "{code}");
    }
}

#[test]
fn a_unary_response_without_its_message_is_internal() {
    let mut rig = unary().requested();
    rig.succeed();
    rig.asked();
    assert_eq!(rig.status(), 500);
}

// Streams

#[test]
fn go_385_the_head_of_a_stream_goes_out_without_a_message() {
    let mut rig = server_stream().header("connect-accept-encoding", "rle").requested();
    rig.call.send_headers(rig.now, fields(&[("x-a", "1")])).unwrap();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Unknown)]);
    assert_eq!(rig.status(), 200);
    for (name, value) in [
        ("content-type", Some("application/connect+proto")),
        ("connect-content-encoding", Some("rle")),
        ("x-a", Some("1")),
    ] {
        assert_eq!(rig.sent_header(name), value, "{name}");
    }
}

#[test]
fn a_stream_that_fails_has_status_200_and_its_error_at_the_end() {
    let mut rig = server_stream().requested();
    rig.send("a").unwrap();
    rig.call.finish(rig.now, fields(&[("x-b", "2")]), Err(error())).unwrap();
    rig.events.leave();
    let end = concat!(
        r#"{"error":{"code":"not_found","message":"no \"user\"\n","details":[{"type":"a.B","value":"AQIDBA"}]},"#,
        r#""metadata":{"x-b":["2"],"x-error":["1"]}}"#
    );
    assert_eq!(rig.body(), [envelope(0, "a"), envelope(2, end)].concat());
    assert_eq!(rig.status(), 200);
}

#[test]
fn a_stream_is_compressed_from_the_threshold_on() {
    let mut setup = server_stream().header("connect-accept-encoding", "br,rle");
    setup.config.compress_from = 3;
    let mut rig = setup.requested();
    rig.send("xx").unwrap();
    rig.send("xxx").unwrap();
    rig.succeed();
    let all = [envelope(0, "xx"), envelope(1, compressed("xxx")), end_stream()].concat();
    assert_eq!(rig.body(), all);
}

#[test]
fn a_stream_ended_before_its_head_has_a_length() {
    let mut rig = server_stream().requested();
    rig.succeed();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Exact(7)), Asked::Data(end_stream()), Asked::End]);
}

#[test]
fn a_client_stream_without_its_response_is_internal() {
    let mut rig = ServerSetup::new(Kind::ClientStream).requested();
    rig.succeed();
    let body = rig.body();
    assert!(String::from_utf8_lossy(&body).contains(r#""code":"internal""#), "{body:?}");
}

#[test]
fn one_response_is_one_response() {
    for kind in [Kind::Unary, Kind::ClientStream] {
        let mut rig = ServerSetup::new(kind).requested();
        rig.send("").unwrap();
        assert!(matches!(rig.send(""), Err(SendError::Misuse(ApiMisuse::SecondMessage))));
    }
}

#[test]
fn a_full_queue_gives_the_message_back_and_tells_when_there_is_room() {
    let mut rig = server_stream().requested();
    rig.send([0; 500]).unwrap();
    assert!(matches!(rig.send("more"), Err(SendError::Full(message)) if message.len() == 4));
    rig.ask(0).unwrap();
    assert_eq!(rig.tell_all(), []);
    rig.asked();
    assert_eq!(rig.tell_all(), [Told::Writable]);
    rig.send("more").unwrap();
}

#[test]
fn an_end_fits_into_a_full_queue() {
    let mut rig = server_stream().requested();
    rig.send([0; 500]).unwrap();
    rig.succeed();
    assert_eq!(rig.body().len(), 505 + 7);
}

// Headers and trailers

#[test]
fn headers_are_sent_once() {
    let mut rig = server_stream().requested();
    rig.send("a").unwrap();
    assert_eq!(rig.call.send_headers(rig.now, HeaderMap::new()), Err(ApiMisuse::HeadersAlreadySent));

    let mut rig = unary().requested();
    rig.call.send_headers(rig.now, fields(&[("x-a", "1")])).unwrap();
    assert_eq!(rig.call.send_headers(rig.now, HeaderMap::new()), Err(ApiMisuse::HeadersAlreadySent));
}

#[test]
fn names_that_speak_for_the_protocol_are_refused() {
    let mut rig = unary().requested();
    for name in ["content-type", "content-encoding", "connect-x", "grpc-status", "transfer-encoding"] {
        let reserved = fields(&[(name, "x")]);
        assert_eq!(rig.call.send_headers(rig.now, reserved.clone()), Err(ApiMisuse::ReservedHeader));
        assert_eq!(rig.call.finish(rig.now, reserved, Ok(())), Err(ApiMisuse::ReservedHeader));
    }
    rig.send("answer").unwrap();
    rig.succeed(); // nothing has happened by that
    rig.asked();
    assert_eq!(rig.status(), 200);
}

#[test]
fn messages_of_another_call_are_refused() {
    let mut setup = server_stream().header("connect-accept-encoding", "rle");
    setup.config.compress_from = 0;
    let encoding = setup.requested().call.encoding();
    let message = crate::message::Outbound::encode(&encoding, "xxx".into());
    let mut rig = server_stream().requested();
    let refused = rig.call.send(rig.now, message);
    assert!(matches!(refused, Err(SendError::Misuse(ApiMisuse::ForeignMessage))), "{refused:?}");
}

#[test]
fn the_limit_of_a_message_to_send_is_exact() {
    let mut setup = server_stream();
    setup.config.limits.outbound_message = Some(10);
    let mut rig = setup.requested();
    rig.send([0; 10]).unwrap();
    assert!(matches!(rig.send([0; 11]), Err(SendError::TooLarge { len: 11, limit: 10 })));
}

// Half duplex

fn half_duplex() -> ServerRig {
    let mut rig = ServerSetup::new(Kind::Bidi(Duplex::Half)).active();
    rig.message("ask");
    rig.skip();
    rig.send("answer").unwrap();
    rig
}

#[test]
fn go_872_no_byte_of_a_success_before_the_request_has_ended() {
    let mut rig = half_duplex();
    assert_eq!(rig.asked(), []);
    rig.end();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Unknown), Asked::Data(envelope(0, "answer"))]);
}

#[test]
fn a_success_is_held_after_its_end_too() {
    let mut rig = half_duplex();
    rig.succeed();
    assert_eq!(rig.asked(), []);
    rig.end();
    assert_eq!(rig.flush().last(), Some(&Asked::End));
}

#[test]
fn a_held_success_goes_out_when_the_drain_is_over() {
    let mut rig = half_duplex();
    rig.succeed();
    rig.wait(secs(29));
    assert_eq!(rig.asked(), []);
    rig.wait(secs(1));
    // What held it back did not stall it.
    assert_eq!(rig.call.poll_timeout(), Some(rig.now.saturating_add(secs(60))));
    assert!(matches!(rig.asked().as_slice(), [Asked::Head(_), Asked::Data(_), Asked::End, Asked::Stop]));
}

#[test]
fn an_error_goes_out_early() {
    let mut rig = half_duplex();
    rig.fail(Code::NotFound);
    assert!(matches!(rig.asked().as_slice(), [Asked::Head(_), Asked::Data(_), Asked::End]));

    let mut rig = half_duplex();
    rig.data(envelope(4, ""));
    assert!(matches!(rig.asked().as_slice(), [Asked::Head(_), Asked::Data(_), Asked::End]));
}

#[test]
fn http2_holds_nothing_back() {
    let mut rig = ServerSetup::new(Kind::Bidi(Duplex::Half)).http2().active();
    rig.send("answer").unwrap();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Unknown), Asked::Data(envelope(0, "answer"))]);
}

// The request's headers

#[test]
fn a_requests_headers_can_be_taken_until_the_head_is_made() {
    let mut rig = unary().header("x-asked", "1").requested();
    assert_eq!(rig.call.take_request_headers().get("x-asked").unwrap(), "1");
    assert!(rig.call.take_request_headers().is_empty(), "only once");

    let mut rig = unary().header("x-asked", "1").requested();
    rig.send("answer").unwrap();
    rig.succeed();
    assert!(rig.call.take_request_headers().is_empty());
    rig.asked();
    assert_eq!(rig.sent_header("x-asked"), None, "their map is used again, not what was in it");
}

//! What a request's head decides.

use std::time::Duration;

use http::Method;

use crate::call::{BodySize, Duplex, Kind, Phase, SendError};
use crate::error::{ApiMisuse, CloseReason, Code, RpcError};
use crate::server::{Incoming, Refusal};
use crate::testing::fixture::{Asked, START, ServerRig, ServerSetup, Told};

fn unary() -> ServerSetup {
    ServerSetup::new(Kind::Unary)
}

fn bidi() -> ServerSetup {
    ServerSetup::new(Kind::Bidi(Duplex::Half))
}

fn status(setup: ServerSetup) -> u16 {
    let mut rig = setup.active();
    rig.asked();
    rig.status()
}

#[test]
fn go_302_the_head_can_be_looked_at_first() {
    let setup = bidi().header("connect-timeout-ms", "1500").header("authorization", "me").http2();
    let incoming = Incoming::new(START, setup.parts);
    assert_eq!(incoming.procedure(), "/acme.v1.Greeter/Greet");
    assert_eq!((incoming.method(), incoming.version()), (&Method::POST, http::Version::HTTP_2));
    assert_eq!(incoming.codec(), Some("proto"));
    assert_eq!(incoming.timeout(), Some(Duration::from_millis(1500)));
    assert_eq!(incoming.headers()["authorization"], "me");
    assert!(incoming.is_streaming());
}

#[test]
fn another_method_is_405() {
    for method in [Method::PUT, Method::GET, Method::HEAD, Method::OPTIONS] {
        let mut rig = unary().verb(method.clone()).active();
        rig.asked();
        assert_eq!((rig.status(), rig.sent_header("allow")), (405, Some("POST")), "{method}");
    }
    let mut setup = unary().verb(Method::PUT);
    setup.method = setup.method.side_effect_free();
    let mut rig = setup.active();
    rig.asked();
    assert_eq!((rig.status(), rig.sent_header("allow")), (405, Some("GET, POST")));
}

#[test]
fn another_content_type_is_415() {
    for media in [
        "application/xml",
        "text/plain",
        "application/connect+proto",
        "application/grpc",
        "application/grpc+proto",
    ] {
        let mut rig = unary().header("content-type", media).active();
        rig.asked();
        assert_eq!(rig.status(), 415, "{media}");
        assert_eq!(rig.sent_header("accept-post"), Some("application/proto, application/json"));
    }
    for media in ["application/proto", "application/connect+xml", "application/grpc-web+proto"] {
        let mut rig = bidi().header("content-type", media).active();
        rig.asked();
        assert_eq!(rig.status(), 415, "{media}");
        assert_eq!(
            rig.sent_header("accept-post"),
            Some("application/connect+proto, application/connect+json")
        );
    }
    let mut setup = unary();
    setup.parts.headers.remove("content-type");
    assert_eq!(status(setup), 415);
}

#[test]
fn go_796_full_duplex_over_http1_is_505() {
    assert_eq!(status(ServerSetup::new(Kind::Bidi(Duplex::Full))), 505);
    assert_eq!(ServerSetup::new(Kind::Bidi(Duplex::Full)).http2().active().phase(), Phase::Active);
}

#[test]
fn an_unknown_encoding_is_unimplemented() {
    let mut rig = unary().header("content-encoding", "br").active();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Unimplemented)]);
    rig.asked();
    assert_eq!(rig.status(), 501);

    let mut rig = bidi().header("connect-content-encoding", "br").active();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Unimplemented)]);
    rig.asked();
    assert_eq!(rig.status(), 200);
    assert_eq!(rig.sent_header("content-type"), Some("application/connect+proto"));
}

#[test]
fn an_unknown_protocol_version_is_an_invalid_argument() {
    assert_eq!(status(unary().header("connect-protocol-version", "2")), 400);
    assert_eq!(unary().header("connect-protocol-version", "1").active().phase(), Phase::Active);
}

#[test]
fn a_malformed_timeout_is_an_invalid_argument() {
    for timeout in ["", "x", "-1", "1.5", "12345678901"] {
        assert_eq!(status(unary().header("connect-timeout-ms", timeout)), 400, "{timeout}");
    }
}

#[test]
fn a_timeout_counts_from_the_arrival_of_the_head() {
    let setup = unary().header("connect-timeout-ms", "1000");
    let incoming = Incoming::new(START, setup.parts);
    let later = START.saturating_add(Duration::from_millis(400));
    let call = incoming.start(later, &std::sync::Arc::new(setup.config), &setup.method);
    assert_eq!(call.deadline(), Some(START.saturating_add(Duration::from_millis(1000))));
}

#[test]
fn a_timeout_of_zero_has_passed() {
    let mut rig = unary().header("connect-timeout-ms", "0").active();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::DeadlineExceeded)]);
    rig.asked();
    assert_eq!(rig.status(), 504);
}

#[test]
fn a_request_that_does_not_fit_is_drained_like_any_other() {
    let mut rig = unary().verb(Method::PUT).active();
    assert_eq!(rig.flush(), [Asked::Head(BodySize::Empty)]);
    rig.data([0; 100]);
    assert_eq!(rig.phase(), Phase::Answered);
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Unknown), Told::Closed(CloseReason::Complete)]);
    assert_eq!(rig.closed().drained, 100);
    rig.assert_quiescent();
}

#[test]
fn a_request_that_was_answered_by_itself_forgives_the_handler() {
    let mut rig = unary().verb(Method::PUT).active();
    assert!(matches!(rig.send("x"), Err(SendError::Closed(CloseReason::Complete))));
    assert_eq!(rig.answer(Ok(())), Ok(()));
}

// Refusals

fn refused(setup: ServerSetup, refusal: Refusal) -> ServerRig {
    let mut rig = setup.refused(refusal);
    assert_eq!(rig.tell_all(), []);
    rig.flush();
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    rig
}

#[test]
fn a_refusal_is_a_bare_head() {
    for (refusal, status) in [
        (Refusal::NotFound, 404),
        (Refusal::MethodNotAllowed("POST"), 405),
        (Refusal::UnsupportedMediaType("application/proto".to_owned()), 415),
        (Refusal::HttpVersionNotSupported, 505),
    ] {
        let rig = refused(bidi(), refusal);
        assert_eq!((rig.status(), rig.sent_header("content-type")), (status, None));
    }
}

#[test]
fn a_refusal_by_an_error_has_the_form_of_the_protocol() {
    let error = || RpcError::new(Code::Unauthenticated, "who?");
    let rig = refused(unary(), Refusal::Error(error()));
    assert_eq!((rig.status(), rig.sent_header("content-type")), (401, Some("application/json")));
    let rig = refused(bidi(), Refusal::Error(error()));
    assert_eq!((rig.status(), rig.sent_header("content-type")), (200, Some("application/connect+proto")));
    let rig = refused(unary().verb(Method::PUT), Refusal::Error(error()));
    assert_eq!((rig.status(), rig.sent_header("content-type")), (401, Some("application/json")));
}

#[test]
fn a_refused_request_is_drained_within_the_budget() {
    let mut rig = bidi().refused(Refusal::NotFound);
    rig.flush();
    rig.data([0; 101]);
    assert_eq!(rig.asked(), [Asked::Stop]);
    rig.skip();
    assert_eq!(rig.closed().drained, 100);
}

#[test]
fn a_refusal_is_an_answer() {
    let mut rig = bidi().refused(Refusal::NotFound);
    assert!(matches!(rig.send("x"), Err(SendError::Misuse(ApiMisuse::AlreadyFinished))));
    assert_eq!(rig.answer(Ok(())), Err(ApiMisuse::AlreadyFinished));
}

//! What a response's head and body lead to.

use crate::call::{Duplex, Kind, Phase, Processed};
use crate::error::{CloseReason, Code, LostKind, PeerMisbehaved, ResetCode, RpcError};
use crate::testing::fixture::{ClientRig, ClientSetup, Told, compressed, end_stream_error, prefix, secs};

const JSON: (&str, &str) = ("content-type", "application/json");

pub(super) fn unary() -> ClientRig {
    ClientSetup::new(Kind::Unary).requested()
}

pub(super) fn bidi() -> ClientRig {
    ClientSetup::new(Kind::Bidi(Duplex::Full)).requested()
}

/// The error that a call ended with.
#[track_caller]
pub(super) fn error(rig: &mut ClientRig) -> Code {
    rig.asked();
    rig.skip();
    rig.verdict().as_ref().unwrap_err().code()
}

#[track_caller]
pub(super) fn fault(rig: &mut ClientRig) -> PeerMisbehaved {
    rig.asked();
    rig.skip();
    match rig.closed().reason {
        CloseReason::PeerMisbehaved(fault) => fault,
        other => panic!("{other:?}"),
    }
}

// Heads

#[test]
fn a_status_stands_for_a_code_where_there_is_no_usable_body() {
    for (status, code) in [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::Unavailable),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
        (304, Code::Unknown),
        (201, Code::Unknown),
        (418, Code::Unknown),
        (500, Code::Unknown),
        (800, Code::Unknown),
    ] {
        for (mut rig, media) in [(unary(), "text/html"), (bidi(), "application/connect+proto")] {
            rig.head(status, &[("content-type", media)]);
            rig.data("<html>");
            rig.end();
            assert_eq!(error(&mut rig), code, "{status}");
            assert_eq!(rig.closed().reason, CloseReason::Complete);
        }
    }
}

#[test]
fn an_error_says_whether_it_is_the_peers() {
    type Come = fn(&mut ClientRig);
    let comes: [(&str, bool, Come); 9] = [
        ("the JSON of an error", true, |rig| {
            rig.head(404, &[JSON]);
            rig.data(r#"{"code":"not_found"}"#);
            rig.end();
        }),
        ("a status", true, |rig| rig.head(503, &[])),
        ("a status with useless JSON", true, |rig| {
            rig.head(503, &[JSON]);
            rig.data("[]");
            rig.end();
        }),
        ("a deadline", false, |rig| rig.wait(secs(1000))),
        ("a reset", false, |rig| rig.reset(ResetCode::CANCEL, Processed::Unknown)),
        ("a lost connection", false, |rig| rig.lost(LostKind::Eof, Processed::Unknown)),
        ("a broken rule", false, |rig| rig.head(200, &[("content-type", "text/html")])),
        ("a limit", false, |rig| {
            rig.head(200, &[("content-type", "application/proto"), ("content-length", "101")])
        }),
        ("a message that cannot be read", false, |rig| rig.reject(PeerMisbehaved::MalformedMessage)),
    ];
    for (what, is_remote, come) in comes {
        let mut rig = ClientSetup::new(Kind::Unary).timeout(secs(1000)).requested();
        come(&mut rig);
        error(&mut rig);
        let error = rig.verdict().as_ref().unwrap_err();
        assert_eq!(error.is_remote(), is_remote, "{what}");
        // What it says is the same, whoever says it.
        let own = RpcError::new(error.code(), error.message()).with_metadata(error.metadata().clone());
        assert!(!own.is_remote() && own == *error && own.to_string() == error.to_string());
    }
    let mut rig = bidi();
    rig.ok_head();
    rig.data(end_stream_error(Code::NotFound));
    error(&mut rig);
    assert!(rig.verdict().as_ref().unwrap_err().is_remote());
}

#[test]
fn a_body_in_the_codec_of_a_failed_call_is_ignored() {
    let mut rig = unary();
    rig.head(403, &[("content-type", "application/proto")]);
    rig.data("\x01\x02");
    rig.end();
    assert_eq!(error(&mut rig), Code::PermissionDenied);
}

#[test]
fn a_content_type_of_another_family_is_unknown() {
    for (mut rig, media) in [(unary(), "text/html"), (bidi(), "application/proto")] {
        rig.head(200, &[("content-type", media)]);
        assert_eq!(error(&mut rig), Code::Unknown);
    }
    let mut rig = unary();
    rig.head(200, &[]);
    assert_eq!(error(&mut rig), Code::Unknown);
}

#[test]
fn a_content_type_of_another_codec_is_internal() {
    for (mut rig, media) in [(unary(), "application/json"), (bidi(), "application/connect+json")] {
        rig.head(200, &[("content-type", media)]);
        assert_eq!(error(&mut rig), Code::Internal);
    }
}

#[test]
fn an_unknown_encoding_is_internal() {
    for (mut rig, name) in [(unary(), "content-encoding"), (bidi(), "connect-content-encoding")] {
        rig.ok_head_with(&[(name, "br")]);
        assert_eq!(fault(&mut rig), PeerMisbehaved::UnknownResponseEncoding);
        assert_eq!(error(&mut rig), Code::Internal);
    }
}

#[test]
fn an_encoding_of_identity_is_none() {
    let mut rig = unary();
    rig.ok_head_with(&[("content-encoding", "identity")]);
    rig.data("answer");
    rig.end();
    assert_eq!(rig.tell_all()[1..3], [Told::Message(b"answer".to_vec()), Told::Success]);
}

#[test]
fn a_second_head_is_a_fault() {
    let mut rig = bidi();
    rig.ok_head();
    rig.ok_head();
    assert_eq!(fault(&mut rig), PeerMisbehaved::MalformedHead);
}

#[test]
fn a_body_without_a_head_is_a_fault() {
    let mut rig = bidi();
    rig.data("x");
    assert_eq!(fault(&mut rig), PeerMisbehaved::MalformedHead);
    let mut rig = bidi();
    rig.end();
    assert_eq!(fault(&mut rig), PeerMisbehaved::MalformedHead);
}

// Unary bodies

#[test]
fn unary_trailers_come_as_prefixed_headers() {
    let mut rig = unary();
    rig.ok_head_with(&[("x-a", "1"), ("trailer-x-b", "2"), ("trailer-x-b", "3")]);
    rig.end();
    rig.skip();
    let crate::call::Event::Headers(headers) = &rig.told[0] else { panic!() };
    assert_eq!((headers.get("x-a").unwrap(), headers.get("trailer-x-b")), (&"1".parse().unwrap(), None));
    let trailers: Vec<_> = rig.verdict().as_ref().unwrap().get_all("x-b").iter().collect();
    assert_eq!(trailers, ["2", "3"]);
}

#[test]
fn unary_trailers_come_with_errors_too() {
    for head in [[JSON, ("trailer-x", "1")], [("content-type", "text/html"), ("trailer-x", "1")]] {
        let mut rig = unary();
        rig.head(404, &head);
        rig.data(r#"{"code":"not_found"}"#);
        rig.end();
        rig.skip();
        assert_eq!(rig.verdict().as_ref().unwrap_err().metadata()["x"], "1");
    }
}

#[test]
fn a_unary_error_is_json() {
    let mut rig = unary();
    rig.head(404, &[JSON]);
    rig.data(r#"{"code":"aborted","message":"try again"}"#);
    rig.end();
    assert_eq!(error(&mut rig), Code::Aborted);
    assert_eq!(rig.verdict().as_ref().unwrap_err().message(), "try again");
    rig.assert_quiescent();
}

#[test]
fn a_unary_error_without_a_known_code_takes_it_from_the_status() {
    for body in [r#"{"message":"m"}"#, r#"{"code":null,"message":"m"}"#, r#"{"code":"x","message":"m"}"#] {
        let mut rig = unary();
        rig.head(503, &[JSON]);
        rig.data(body);
        rig.end();
        assert_eq!(error(&mut rig), Code::Unavailable);
        assert_eq!(rig.verdict().as_ref().unwrap_err().message(), "m");
    }
    for body in ["null", "", "[]", "<html>"] {
        let mut rig = unary();
        rig.head(503, &[JSON]);
        rig.data(body);
        rig.end();
        assert_eq!(error(&mut rig), Code::Unavailable);
    }
}

#[test]
fn a_compressed_unary_error_is_decompressed() {
    let mut rig = unary();
    rig.head(422, &[JSON, ("content-encoding", "rle")]);
    rig.data(compressed(r#"{"code":"aborted"}"#));
    rig.end();
    assert_eq!(error(&mut rig), Code::Aborted);
}

#[test]
fn an_error_that_cannot_be_decompressed_leaves_the_status() {
    for (encoding, body) in [("br", &b"?"[..]), ("rle", b"odd"), ("rle", &[255, b' ', 255, b' '])] {
        let mut rig = unary();
        rig.head(503, &[JSON, ("content-encoding", encoding)]);
        rig.data(body);
        rig.end();
        assert_eq!(error(&mut rig), Code::Unavailable);
    }
}

#[test]
fn an_error_body_over_its_limit_leaves_the_status_at_once() {
    let body = format!(r#"{{"code":"aborted","message":"{}"}}"#, "x".repeat(69));
    assert_eq!(body.len(), 100);
    let mut rig = unary();
    rig.head(503, &[JSON]);
    rig.data(&body);
    rig.end();
    assert_eq!(error(&mut rig), Code::Aborted);

    let mut rig = unary();
    rig.head(503, &[JSON]);
    rig.data(body + " ");
    assert_eq!(rig.phase(), Phase::Ending);
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Failure(Code::Unavailable)]);
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    assert_eq!(rig.closed().drained, 1);
}

#[test]
fn an_error_body_without_end_is_not_read_for_ever() {
    let mut rig = unary();
    rig.head(503, &[JSON]);
    for _ in 0..20 {
        rig.data([b' '; 99]);
    }
    rig.asked();
    rig.skip();
    assert_eq!(rig.closed().reason, CloseReason::DrainTooLarge);
    assert_eq!(rig.closed().drained, 100);
}

#[test]
fn a_compressed_unary_message_is_decompressed_by_the_application() {
    let mut rig = unary();
    rig.ok_head_with(&[("content-encoding", "rle")]);
    rig.data(compressed("answer"));
    rig.end();
    assert_eq!(rig.tell_all()[1..3], [Told::Message(b"answer".to_vec()), Told::Success]);
}

#[test]
fn an_empty_body_is_an_empty_message_whatever_its_encoding() {
    let mut rig = unary();
    rig.ok_head_with(&[("content-encoding", "rle")]);
    rig.end();
    assert_eq!(rig.tell_all()[1..3], [Told::Message(Vec::new()), Told::Success]);
}

#[test]
fn the_limit_of_a_unary_body_is_exact() {
    for cut in [1, 50, 100] {
        let mut rig = unary();
        rig.ok_head();
        [0; 100].chunks(cut).for_each(|part| rig.data(part));
        assert_eq!(rig.phase(), Phase::Active);
        rig.data("x");
        // The same whatever the cutting.
        assert_eq!(fault(&mut rig), PeerMisbehaved::MessageTooLarge { len: 101, limit: 100 });
        assert_eq!(error(&mut rig), Code::ResourceExhausted);
    }
}

#[test]
fn a_content_length_over_the_limit_is_refused_at_the_head() {
    for (announced, phase) in [("100", Phase::Active), ("101", Phase::Closed)] {
        let mut rig = unary();
        rig.ok_head_with(&[("content-length", announced)]);
        assert_eq!(rig.phase(), phase, "{announced}");
    }
}

#[test]
fn a_limit_of_zero_is_zero_and_none_is_none() {
    let mut setup = ClientSetup::new(Kind::Bidi(Duplex::Full));
    setup.config.limits.message = Some(0);
    let mut rig = setup.responding();
    rig.message("");
    rig.data(prefix(0, 1));
    assert_eq!(fault(&mut rig), PeerMisbehaved::MessageTooLarge { len: 1, limit: 0 });

    let mut setup = ClientSetup::new(Kind::Bidi(Duplex::Full));
    setup.config.limits.message = None;
    let mut rig = setup.responding();
    rig.data(prefix(0, u32::MAX));
    assert_eq!(rig.phase(), Phase::Active);
}

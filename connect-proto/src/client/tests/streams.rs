//! What the envelopes of a response lead to.

use super::responses::{bidi, error, fault, unary};
use crate::call::{Event, Kind, Phase, Processed};
use crate::error::{CloseReason, Code, LostKind, PeerMisbehaved};
use crate::testing::fixture::{
    Asked, ClientSetup, Told, compressed, end_stream, end_stream_error, envelope, prefix,
};

#[test]
fn a_message_over_the_limit_is_refused_at_its_prefix() {
    for flags in [0, 1] {
        let mut rig = bidi();
        rig.ok_head_with(&[("connect-content-encoding", "rle")]);
        rig.data(prefix(flags, 100));
        assert_eq!(rig.phase(), Phase::Active);

        let mut rig = bidi();
        rig.ok_head_with(&[("connect-content-encoding", "rle")]);
        rig.data(prefix(flags, 101));
        assert_eq!(fault(&mut rig), PeerMisbehaved::MessageTooLarge { len: 101, limit: 100 });
        assert_eq!(error(&mut rig), Code::ResourceExhausted);
    }
}

#[test]
fn tonic_2484_a_message_that_grows_beyond_the_limit_is_found_when_decoded() {
    let mut rig = bidi();
    rig.ok_head_with(&[("connect-content-encoding", "rle")]);
    rig.data(envelope(1, [100, b'x']));
    rig.data(envelope(1, [101, b'x']));
    let too_large = PeerMisbehaved::DecompressedTooLarge { limit: 100 };
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Message(vec![b'x'; 100]), Told::BadMessage(too_large)]);
    rig.reject(too_large);
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(
        rig.tell_all(),
        [Told::Failure(Code::ResourceExhausted), Told::Closed(CloseReason::PeerMisbehaved(too_large))]
    );
}

#[test]
fn a_rejected_message_overrules_a_verdict_that_nobody_heard() {
    let mut rig = unary();
    rig.ok_head_with(&[("content-encoding", "rle")]);
    rig.data([1, b'x', 1]);
    rig.end();
    assert_eq!(rig.tell(), Some(Told::Headers));
    assert_eq!(rig.tell(), Some(Told::BadMessage(PeerMisbehaved::CorruptCompression)));
    rig.reject(PeerMisbehaved::CorruptCompression);
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Internal), Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_verdict_that_was_heard_stands() {
    let mut rig = bidi();
    rig.ok_head();
    rig.data(end_stream());
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Success]);
    rig.reject(PeerMisbehaved::MalformedMessage);
    rig.asked();
    let reason = CloseReason::PeerMisbehaved(PeerMisbehaved::MalformedMessage);
    assert_eq!(rig.tell_all(), [Told::Closed(reason)]);
}

#[test]
fn a_fault_of_http_does_not_overrule_a_parsed_end() {
    let mut rig = bidi();
    rig.ok_head();
    rig.data(end_stream());
    rig.input(crate::call::Input::Misbehaved(PeerMisbehaved::MalformedChunk));
    rig.asked();
    let reason = CloseReason::PeerMisbehaved(PeerMisbehaved::MalformedChunk);
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Success, Told::Closed(reason)]);
}

#[test]
fn a_compressed_message_under_identity_is_internal() {
    let mut rig = bidi();
    rig.ok_head();
    rig.data(prefix(1, 3));
    assert_eq!(fault(&mut rig), PeerMisbehaved::UnexpectedCompression);
    assert_eq!(error(&mut rig), Code::Internal);
}

#[test]
fn unknown_flags_are_internal() {
    for flags in [4, 8, 0x80, 0xff] {
        let mut rig = bidi();
        rig.ok_head_with(&[("connect-content-encoding", "rle")]);
        rig.data(prefix(flags, 0));
        assert_eq!(fault(&mut rig), PeerMisbehaved::InvalidEnvelopeFlags(flags));
        assert_eq!(error(&mut rig), Code::Internal);
    }
}

#[test]
fn a_stream_fails_as_its_end_says() {
    let mut rig = bidi();
    rig.ok_head();
    rig.message("a");
    rig.data(envelope(2, r#"{"error":{"code":"data_loss","message":"gone"},"metadata":{"X":["1","2"]}}"#));
    rig.end();
    assert_eq!(
        rig.tell_all(),
        [
            Told::Headers,
            Told::Message(b"a".to_vec()),
            Told::Failure(Code::DataLoss),
            Told::Closed(CloseReason::Complete)
        ]
    );
    let error = rig.verdict().as_ref().unwrap_err();
    assert_eq!(error.message(), "gone");
    assert_eq!(error.metadata().get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn an_end_without_a_known_code_is_unknown_and_a_null_error_is_none() {
    for json in [r#"{"error":{}}"#, r#"{"error":{"code":null}}"#, r#"{"error":{"code":"x"}}"#] {
        let mut rig = bidi();
        rig.ok_head();
        rig.data(envelope(2, json));
        assert_eq!(rig.tell_all(), [Told::Headers, Told::Failure(Code::Unknown)], "{json}");
    }
    for json in [r#"{"error":null}"#, r#"{"unknown":1}"#, "{}"] {
        let mut rig = bidi();
        rig.ok_head();
        rig.data(envelope(2, json));
        assert_eq!(rig.tell_all(), [Told::Headers, Told::Success], "{json}");
    }
}

#[test]
fn a_compressed_end_is_decompressed() {
    let mut rig = bidi();
    rig.ok_head_with(&[("connect-content-encoding", "rle")]);
    rig.data(envelope(3, compressed(r#"{"error":{"code":"aborted"}}"#)));
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Failure(Code::Aborted)]);
}

#[test]
fn the_limit_of_an_end_of_stream_is_exact() {
    for (len, ok) in [(100, true), (101, false)] {
        let mut rig = bidi();
        rig.ok_head();
        let json = format!("{{{}}}", " ".repeat(len - 2));
        rig.data(envelope(2, json));
        rig.asked();
        assert_eq!(rig.tell_all().contains(&Told::Success), ok, "{len}");
    }
    // Refused at the prefix, and when it grows.
    let mut rig = bidi();
    rig.ok_head();
    rig.data(prefix(2, 101));
    assert_eq!(fault(&mut rig), PeerMisbehaved::EndStreamTooLarge { limit: 100 });
    let mut rig = bidi();
    rig.ok_head_with(&[("connect-content-encoding", "rle")]);
    rig.data(envelope(3, [101, b' ']));
    assert_eq!(fault(&mut rig), PeerMisbehaved::DecompressedTooLarge { limit: 100 });
}

// Streams that are cut off

#[test]
fn rs_140_missing_end_stream() {
    let mut rig = bidi();
    rig.ok_head();
    rig.message("a");
    rig.end();
    let reason = CloseReason::PeerMisbehaved(PeerMisbehaved::MissingEndStream);
    assert_eq!(
        rig.tell_all(),
        [Told::Headers, Told::Message(b"a".to_vec()), Told::Failure(Code::Internal), Told::Closed(reason)]
    );
    // It stays so.
    rig.data(end_stream());
    rig.end();
    rig.assert_quiescent();
}

#[test]
fn rs_163_a_cut_off_envelope() {
    for part in [&b"\0"[..], &prefix(0, 3), b"\0\0\0\0\x03ab", &end_stream()[..6]] {
        let mut rig = bidi();
        rig.ok_head();
        rig.message("a");
        rig.data(part);
        rig.end();
        assert_eq!(fault(&mut rig), PeerMisbehaved::TruncatedEnvelope);
        assert_eq!(error(&mut rig), Code::Internal);
    }
}

#[test]
fn rs_146_malformed_end_stream() {
    for json in ["", "null", "[]", "{", r#"{"error":1}"#] {
        let mut rig = bidi();
        rig.ok_head();
        rig.data(envelope(2, json));
        rig.end();
        assert_eq!(fault(&mut rig), PeerMisbehaved::MalformedEndStream, "{json}");
        assert_eq!(error(&mut rig), Code::Internal);
    }
}

#[test]
fn rs_192_a_lost_connection_is_no_end() {
    let mut rig = bidi();
    rig.ok_head();
    rig.message("a");
    rig.lost(LostKind::Eof, Processed::Unknown);
    assert_eq!(rig.tell_all()[1..3], [Told::Message(b"a".to_vec()), Told::Failure(Code::Unavailable)]);
}

#[test]
fn half_a_unary_body_never_looks_complete() {
    let mut rig = unary();
    rig.ok_head();
    rig.data("half");
    rig.lost(LostKind::Eof, Processed::Unknown);
    assert_eq!(rig.tell_all()[..2], [Told::Headers, Told::Failure(Code::Unavailable)]);
}

// One response message

#[test]
fn a_client_stream_without_a_response_is_unimplemented() {
    let mut rig = ClientSetup::new(Kind::ClientStream).requested();
    rig.ok_head();
    rig.data(end_stream());
    rig.end();
    assert_eq!(
        rig.tell_all(),
        [Told::Headers, Told::Failure(Code::Unimplemented), Told::Closed(CloseReason::Complete)]
    );
}

#[test]
fn a_client_stream_with_several_responses_is_unimplemented() {
    let mut rig = ClientSetup::new(Kind::ClientStream).requested();
    rig.ok_head();
    rig.message("a");
    rig.data(prefix(0, 1));
    assert_eq!(fault(&mut rig), PeerMisbehaved::SeveralMessages);
    assert_eq!(error(&mut rig), Code::Unimplemented);
    assert!(!rig.told.iter().any(|event| matches!(event, Event::Message(_))));
}

#[test]
fn the_one_response_is_held_until_the_stream_has_ended_well() {
    let mut rig = ClientSetup::new(Kind::ClientStream).requested();
    rig.ok_head();
    rig.message("a");
    assert_eq!(rig.tell_all(), [Told::Headers]);
    rig.data(end_stream());
    assert_eq!(rig.tell_all(), [Told::Message(b"a".to_vec()), Told::Success]);

    let mut rig = ClientSetup::new(Kind::ClientStream).requested();
    rig.ok_head();
    rig.message("a");
    rig.data(end_stream_error(Code::Aborted));
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Failure(Code::Aborted)]);
}

// Flow control

#[test]
fn credit_waits_for_a_message_to_be_taken() {
    let mut rig = bidi();
    rig.ok_head();
    rig.skip();
    rig.message([0; 20]);
    assert_eq!(rig.call.take_credit(), 0);
    rig.data(prefix(0, 10)); // held too, now that a message waits
    assert_eq!(rig.call.take_credit(), 0);
    rig.tell();
    assert_eq!(rig.call.take_credit(), 30);
    rig.data([0; 4]); // of a message larger than the window
    assert_eq!(rig.call.take_credit(), 4);
}

#[test]
fn framing_and_ends_are_credited_at_once() {
    let mut rig = bidi();
    rig.ok_head();
    rig.data(end_stream());
    assert_eq!(rig.call.take_credit(), 7);

    let mut rig = unary();
    rig.ok_head();
    rig.data("half");
    assert_eq!(rig.call.take_credit(), 4);
}

#[test]
fn what_a_fault_leaves_behind_is_credited() {
    let mut rig = bidi();
    rig.ok_head();
    rig.skip();
    rig.data([envelope(0, "waits"), envelope(4, "bad"), vec![0; 50]].concat());
    assert_eq!(rig.call.take_credit(), 58);
    rig.skip();
    assert_eq!(rig.call.take_credit(), 10);
}

#[test]
fn what_is_half_assembled_is_credited_at_the_end() {
    let mut rig = bidi();
    rig.ok_head();
    rig.skip();
    rig.data([envelope(0, "waits"), prefix(0, 50).to_vec(), vec![0; 20]].concat());
    assert_eq!(rig.call.take_credit(), 0);
    rig.lost(LostKind::Eof, Processed::Unknown);
    assert_eq!(rig.call.take_credit(), 25);
}

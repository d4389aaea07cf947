//! The commands that send: what is accepted, what is refused and with which reason.

use crate::call::Processed;
use crate::call::{Duplex, Kind, SendError};
use crate::error::{ApiMisuse, CloseReason, Code, LostKind};
use crate::testing::fixture::{
    Asked, ClientSetup, Told, compressed, end_stream, end_stream_error, envelope, secs,
};

fn bidi() -> ClientSetup {
    ClientSetup::new(Kind::Bidi(Duplex::Full))
}

fn misuse(sent: Result<(), SendError>) -> ApiMisuse {
    match sent {
        Err(SendError::Misuse(misuse)) => misuse,
        other => panic!("{other:?}"),
    }
}

fn reason(sent: Result<(), SendError>) -> CloseReason {
    match sent {
        Err(SendError::Closed(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_queue_gives_the_message_back_and_tells_when_there_is_room() {
    let mut rig = bidi().active();
    rig.send([0; 500]).unwrap(); // of any size, as nothing is queued
    assert!(matches!(rig.send("more"), Err(SendError::Full(message)) if message.len() == 4));
    assert_eq!(rig.tell_all(), []);
    rig.ask(400).unwrap();
    assert_eq!(rig.tell_all(), []); // 105 of 100 are still queued
    rig.ask(100).unwrap();
    assert_eq!(rig.tell_all(), [Told::Writable]);
    rig.asked();
    assert_eq!(rig.tell_all(), []); // once for each refusal
    rig.send("more").unwrap();
}

#[test]
fn the_queue_is_full_beyond_its_limit() {
    let mut rig = bidi().active();
    rig.send([0; 45]).unwrap();
    rig.send([0; 50]).unwrap(); // 50 queued and 50 more
    assert!(matches!(rig.send(""), Err(SendError::Full(_)))); // 105 queued
}

#[test]
fn a_queue_of_zero_holds_one_message() {
    let mut setup = bidi();
    setup.config.limits.send_queue = 0;
    let mut rig = setup.active();
    rig.send("one").unwrap();
    assert!(matches!(rig.send(""), Err(SendError::Full(_))));
    rig.asked();
    assert_eq!(rig.tell_all(), [Told::Writable]);
    rig.send("two").unwrap();
}

#[test]
fn writable_is_not_told_after_the_end() {
    let mut rig = bidi().active();
    rig.send([0; 500]).unwrap();
    assert!(rig.send("more").is_err());
    rig.asked();
    rig.lost(LostKind::Eof, Processed::Unknown);
    let reason = CloseReason::TransportLost(LostKind::Eof);
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Unavailable), Told::Closed(reason)]);
}

#[test]
fn the_limit_of_a_message_to_send_is_exact() {
    let mut setup = bidi();
    setup.config.limits.outbound_message = Some(10);
    let mut rig = setup.active();
    rig.send([0; 10]).unwrap();
    assert!(matches!(rig.send([0; 11]), Err(SendError::TooLarge { len: 11, limit: 10 })));

    let mut setup = bidi();
    setup.config.limits.outbound_message = Some(0);
    let mut rig = setup.active();
    rig.send("").unwrap();
    assert!(matches!(rig.send("x"), Err(SendError::TooLarge { len: 1, limit: 0 })));
}

#[test]
fn envelopes_are_flagged_as_compressed_from_the_threshold_on() {
    let mut rig = bidi().compress(3).active();
    rig.send("xx").unwrap();
    rig.send("xxx").unwrap();
    let all = [envelope(0, "xx"), envelope(1, compressed("xxx"))].concat();
    assert_eq!(rig.asked(), [Asked::Data(all)]);
}

#[test]
fn icerpc_4753_an_empty_message_is_never_compressed() {
    let mut rig = bidi().compress(0).active();
    rig.send("").unwrap();
    assert_eq!(rig.asked(), [Asked::Data(envelope(0, ""))]);
}

#[test]
fn one_message_is_one_message() {
    for kind in [Kind::Unary, Kind::ServerStream] {
        let mut rig = ClientSetup::new(kind).unsent();
        rig.send("").unwrap();
        assert_eq!(misuse(rig.send("")), ApiMisuse::SecondMessage);
    }
}

#[test]
fn a_call_that_needs_a_message_does_not_finish_without_one() {
    for kind in [Kind::Unary, Kind::ServerStream] {
        let mut rig = ClientSetup::new(kind).unsent();
        assert_eq!(rig.call.finish(rig.now), Err(ApiMisuse::NoMessage));
        rig.send("").unwrap();
        assert_eq!(rig.call.finish(rig.now), Ok(()));
    }
}

#[test]
fn nothing_is_sent_after_the_end() {
    let mut rig = bidi().active();
    rig.finish();
    assert_eq!(misuse(rig.send("")), ApiMisuse::AlreadyFinished);
    assert_eq!(rig.call.finish(rig.now), Err(ApiMisuse::AlreadyFinished));
}

#[test]
fn go_512_an_early_answer_ends_the_sending() {
    let mut rig = bidi().active();
    rig.send("one").unwrap();
    rig.ok_head();
    rig.data(end_stream_error(Code::ResourceExhausted));
    assert_eq!(reason(rig.send("two")), CloseReason::Complete);
    assert_eq!(rig.call.finish(rig.now), Ok(()));
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Failure(Code::ResourceExhausted)]);
}

#[test]
fn a_call_that_is_over_says_why_it_takes_nothing() {
    let mut rig = bidi().timeout(secs(3)).active();
    rig.pass(secs(3));
    assert_eq!(reason(rig.send("late")), CloseReason::Deadline);
    assert_eq!(rig.call.finish(rig.now), Ok(()));

    let mut rig = bidi().active();
    rig.abort();
    assert!(matches!(reason(rig.send("late")), CloseReason::Aborted(_)));
}

#[test]
fn go_408_half_duplex_sends_all_before_the_answer() {
    let mut rig = ClientSetup::new(Kind::Bidi(Duplex::Half)).active();
    rig.send("a").unwrap();
    rig.send("b").unwrap();
    rig.finish();
    rig.flush();
    rig.ok_head();
    rig.message("c");
    rig.data(end_stream());
    rig.end();
    let message = Told::Message(b"c".to_vec());
    assert_eq!(rig.tell_all(), [Told::Headers, message, Told::Success, Told::Closed(CloseReason::Complete)]);
}

#[test]
fn nothing_but_the_head_goes_out_with_a_maximum_of_zero() {
    let mut rig = bidi().unsent();
    rig.send("queued").unwrap();
    assert!(matches!(rig.ask(0), Some(Asked::Head(_))));
    assert_eq!(rig.ask(0), None);
    assert_eq!(rig.ask(1 << 20), Some(Asked::Data(envelope(0, "queued"))));
}

#[test]
fn the_end_waits_for_what_is_queued() {
    let mut rig = bidi().active();
    rig.send("queued").unwrap();
    rig.finish();
    assert_eq!(rig.ask(0), None);
    assert_eq!(rig.asked(), [Asked::Data(envelope(0, "queued")), Asked::End]);
}

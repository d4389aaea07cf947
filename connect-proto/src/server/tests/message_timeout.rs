//! What a client has begun to send is awaited for a limited time.

use std::time::Duration;

use crate::call::{Duplex, Kind, Phase};
use crate::error::{CloseReason, Code, Initiator, PeerMisbehaved};
use crate::testing::fixture::{Asked, ServerRig, ServerSetup, Told, at, envelope, prefix, secs};

const TIMEOUT: Duration = Duration::from_secs(60);

fn bidi() -> ServerRig {
    ServerSetup::new(Kind::Bidi(Duplex::Full)).http2().active()
}

#[track_caller]
fn assert_timed_out(rig: &mut ServerRig) {
    assert_eq!(rig.phase(), Phase::Answered);
    let reason = CloseReason::PeerMisbehaved(PeerMisbehaved::MessageTimeout);
    assert_eq!(rig.call.ended(), Some(reason));
    assert_eq!((reason.code(), reason.initiator()), (Some(Code::DeadlineExceeded), Initiator::Peer));
    assert_eq!(rig.tell_all(), [Told::Failure(Code::DeadlineExceeded)]);
}

#[test]
fn a_unary_request_that_trickles_is_given_up() {
    let mut rig = ServerSetup::new(Kind::Unary).active();
    for _ in 0..59 {
        rig.data("x");
        rig.wait(secs(1));
        assert_eq!((rig.phase(), rig.tell_all()), (Phase::Active, vec![]));
    }
    rig.data("x");
    rig.wait(secs(1));
    assert_timed_out(&mut rig);
    assert_eq!(rig.body(), br#"{"code":"deadline_exceeded","message":"message timed out"}"#);
    assert_eq!(rig.status(), 504);
    // What follows is drained, as after any other answer.
    rig.data("more");
    rig.end_sent();
    rig.wait(secs(30));
    assert_eq!(rig.asked(), [Asked::Stop]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    assert_eq!(rig.closed().drained, 4);
    rig.assert_quiescent();
}

#[test]
fn a_unary_request_of_which_nothing_comes_is_given_up() {
    let mut rig = ServerSetup::new(Kind::Unary).http2().active();
    assert_eq!(rig.call.poll_timeout(), Some(at(TIMEOUT)));
    rig.wait(TIMEOUT);
    assert_timed_out(&mut rig);
}

#[test]
fn the_one_request_of_a_server_stream_is_awaited_to_its_end() {
    let mut rig = ServerSetup::new(Kind::ServerStream).active();
    rig.wait(secs(30));
    rig.message("ask"); // ... but not the end, without which it is not told
    rig.wait(secs(29));
    assert_eq!(rig.phase(), Phase::Active);
    rig.wait(secs(1));
    assert_timed_out(&mut rig);
}

#[test]
fn a_request_that_is_complete_is_not_limited() {
    for kind in [Kind::Unary, Kind::ServerStream] {
        let mut rig = ServerSetup::new(kind).requested();
        assert_eq!(rig.call.poll_timeout(), None);
        rig.wait(secs(1000));
        assert_eq!(rig.phase(), Phase::Active);
    }
    let rig = ServerSetup::get("connect=v1&encoding=proto&message=ask").active();
    assert_eq!(rig.call.poll_timeout(), None);
}

#[test]
fn a_message_that_has_begun_is_given_up() {
    for kind in [Kind::ClientStream, Kind::Bidi(Duplex::Full)] {
        for begun in [&prefix(0, 7)[..1], &prefix(0, 7), &envelope(0, "message")[..11]] {
            let mut rig = ServerSetup::new(kind).http2().active();
            rig.message("first");
            assert_eq!(rig.tell_all(), [Told::Message(b"first".to_vec())]);
            rig.wait(secs(1000));
            rig.data(begun);
            rig.wait(secs(59));
            assert_eq!(rig.phase(), Phase::Active);
            rig.wait(secs(1));
            assert_timed_out(&mut rig);
        }
    }
}

#[test]
fn silence_between_messages_is_not_limited() {
    let mut rig = bidi();
    for _ in 0..3 {
        rig.wait(secs(1000));
        rig.data(prefix(0, 4));
        rig.wait(secs(59));
        rig.data("text");
        assert_eq!(rig.tell_all(), [Told::Message(b"text".to_vec())]);
        assert_eq!(rig.call.poll_timeout(), None);
    }
}

#[test]
fn each_message_has_a_time_of_its_own() {
    let mut rig = bidi();
    rig.data(prefix(0, 4));
    for _ in 0..3 {
        rig.wait(secs(59));
        // The rest of one and the beginning of the next.
        rig.data([b"text".as_slice(), &prefix(0, 4)].concat());
        assert_eq!(rig.tell_all(), [Told::Message(b"text".to_vec())]);
    }
    rig.wait(secs(60));
    assert_timed_out(&mut rig);
}

#[test]
fn time_in_which_the_handler_does_not_read_does_not_count() {
    let mut rig = bidi();
    rig.data([envelope(0, "unread"), prefix(0, 4).to_vec()].concat());
    assert_eq!(rig.call.poll_timeout(), None, "what a message holds of the window is withheld");
    rig.wait(secs(1000));
    assert_eq!(rig.tell_all(), [Told::Message(b"unread".to_vec())]);
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(1060))));
    rig.wait(secs(59));
    assert_eq!(rig.phase(), Phase::Active);
    rig.wait(secs(1));
    assert_timed_out(&mut rig);
}

#[test]
fn a_deadline_at_the_same_time_comes_first() {
    let mut rig = ServerSetup::new(Kind::Unary).header("connect-timeout-ms", "60000").active();
    rig.wait(TIMEOUT);
    assert_eq!(rig.call.ended(), Some(CloseReason::Deadline));
}

#[test]
fn a_late_timer_extends_nothing() {
    let mut rig = ServerSetup::new(Kind::Unary).active();
    rig.pass(TIMEOUT);
    rig.data("too late");
    rig.end();
    assert_eq!(rig.call.ended(), Some(CloseReason::PeerMisbehaved(PeerMisbehaved::MessageTimeout)));
}

#[test]
fn without_a_limit_a_message_may_take_for_ever() {
    let mut setup = ServerSetup::new(Kind::Unary);
    setup.config.message_timeout = None;
    let mut rig = setup.active();
    rig.data("x");
    assert_eq!(rig.call.poll_timeout(), None);
}

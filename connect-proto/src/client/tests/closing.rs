//! Closing a client's call: it never waits, in no phase, and is bounded in time and bytes.

use std::time::Duration;

use crate::call::{DrainBudget, Duplex, Kind, Phase, Processed, SendError};
use crate::error::{ApiMisuse, CloseReason, Code, LostKind, PeerMisbehaved, ResetCode};
use crate::testing::fixture::{
    Asked, ClientSetup, Told, at, end_stream, end_stream_error, envelope, prefix, secs,
};

const BIDI: Kind = Kind::Bidi(Duplex::Full);

fn bidi() -> ClientSetup {
    ClientSetup::new(BIDI)
}

/// Draining with so many bytes left.
fn draining(left: u64) -> crate::testing::fixture::ClientRig {
    bidi().drain(DrainBudget { time: secs(30), bytes: left }).draining()
}

#[test]
fn closing_flushes_what_is_queued_and_ends_the_request() {
    let mut rig = bidi().active();
    rig.send("queued").unwrap();
    rig.close();
    assert_eq!(rig.phase(), Phase::Draining);
    assert_eq!(rig.asked(), [Asked::Data(envelope(0, "queued")), Asked::End]);
}

#[test]
fn a_drained_call_leaves_the_connection_alone() {
    let mut rig = draining(100);
    rig.message("unwanted");
    rig.data(end_stream());
    rig.end();
    assert_eq!(rig.asked(), []);
    assert_eq!(rig.tell_all(), [Told::Success, Told::Closed(CloseReason::Drained)]);
    assert_eq!((rig.closed().drained, rig.closed().processed), (13, Processed::Yes));
    rig.assert_quiescent();
}

#[test]
fn a_drained_call_needs_its_own_end_acknowledged() {
    let mut rig = bidi().active();
    rig.close();
    rig.ok_head();
    rig.data(end_stream());
    rig.end();
    assert_eq!(rig.phase(), Phase::Draining);
    assert_eq!(rig.flush(), [Asked::End]);
    assert_eq!(rig.tell_all(), [Told::Success, Told::Closed(CloseReason::Drained)]);
}

#[test]
fn go_789_close_before_response_head() {
    let mut rig = bidi().requested();
    rig.close();
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(30))));
    rig.wait(secs(30));
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::DrainTimedOut)]);
    assert_eq!(rig.closed().processed, Processed::Unknown);
    rig.assert_quiescent();
}

#[test]
fn go_791_close_drains_late_trailers() {
    // The server ends 270 ms after the close: neither the trailers nor the connection are lost.
    let mut rig = draining(100);
    rig.wait(Duration::from_millis(270));
    rig.data(envelope(2, r#"{"metadata":{"cost":["1"]}}"#));
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Success, Told::Closed(CloseReason::Drained)]);
    assert_eq!(rig.verdict().as_ref().unwrap()["cost"], "1");
}

#[test]
fn a_trickling_peer_cannot_extend_the_drain() {
    let mut rig = draining(1 << 20);
    for _ in 0..29 {
        rig.pass(secs(1)); // handle_timeout is never called
        rig.message("");
    }
    assert_eq!(rig.phase(), Phase::Draining);
    rig.pass(secs(1));
    rig.message("");
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::DrainTimedOut)]);
    assert_eq!(rig.closed().drained, 29 * 5);
    rig.assert_quiescent();
}

#[test]
fn the_drain_takes_exactly_its_bytes() {
    let mut rig = draining(10);
    rig.message("exact");
    assert_eq!(rig.phase(), Phase::Draining);
    rig.data(end_stream()); // does not count
    rig.end();
    rig.skip();
    assert_eq!((rig.closed().reason, rig.closed().drained), (CloseReason::Drained, 10));
}

#[test]
fn a_prefix_that_announces_too_much_ends_the_drain() {
    let mut rig = draining(10);
    rig.data(prefix(0, 6));
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::DrainTooLarge)]);
    rig.assert_quiescent();
}

#[test]
fn a_content_length_that_announces_too_much_ends_the_drain() {
    for (announced, phase) in [("100", Phase::Draining), ("101", Phase::Closed)] {
        let mut rig = ClientSetup::new(Kind::Unary).requested();
        rig.close();
        rig.ok_head_with(&[("content-length", announced)]);
        assert_eq!(rig.phase(), phase, "{announced}");
    }
}

#[test]
fn what_is_left_of_a_message_counts_when_closing() {
    for (left, phase) in [(7, Phase::Draining), (6, Phase::Closed)] {
        let mut rig = bidi().drain(DrainBudget { time: secs(30), bytes: left }).responding();
        rig.data([prefix(0, 10).as_slice(), b"abc"].concat());
        rig.close();
        assert_eq!(rig.phase(), phase, "{left}");
    }
}

#[test]
fn what_is_left_of_a_body_counts_when_closing() {
    for (left, phase) in [(7, Phase::Draining), (6, Phase::Closed)] {
        let mut rig =
            ClientSetup::new(Kind::Unary).drain(DrainBudget { time: secs(30), bytes: left }).requested();
        rig.ok_head_with(&[("content-length", "10")]);
        rig.data("abc");
        rig.close();
        assert_eq!(rig.phase(), phase, "{left}");
    }
}

#[test]
fn an_end_of_stream_that_is_half_there_when_closing_still_counts() {
    let end = end_stream_error(Code::Aborted);
    let mut rig = bidi().drain(DrainBudget { time: secs(30), bytes: 1 }).responding();
    rig.data(&end[..9]);
    rig.close();
    rig.data(&end[9..]);
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Aborted), Told::Closed(CloseReason::Drained)]);
    assert_eq!(rig.closed().drained, 0);
}

#[test]
fn a_budget_of_zero_aborts_at_once() {
    for (time, bytes, reason) in [
        (0, 100, CloseReason::DrainTimedOut),
        (30, 0, CloseReason::DrainTooLarge),
        (0, 0, CloseReason::DrainTimedOut),
    ] {
        let mut rig = bidi().drain(DrainBudget { time: secs(time), bytes }).draining();
        assert_eq!(rig.asked(), [Asked::Reset]);
        assert_eq!(rig.tell_all(), [Told::Closed(reason)]);
        rig.assert_quiescent();
    }
}

#[test]
fn a_budget_of_zero_does_no_harm_to_an_end_that_is_there() {
    let mut rig = bidi().drain(DrainBudget { time: secs(0), bytes: 0 }).ending();
    rig.close();
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

#[test]
fn http2_has_a_budget_of_its_own() {
    let mut rig = bidi().http2().draining();
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(1))));
    rig.message([0; 45]);
    assert_eq!(rig.phase(), Phase::Draining);
    rig.message("");
    rig.asked();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::DrainTooLarge)]);
    assert_eq!(rig.closed().drained, 50);
}

#[test]
fn a_drained_message_may_be_larger_than_the_message_limit() {
    let mut rig = draining(1000);
    rig.message([0; 500]);
    rig.data(end_stream());
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Success, Told::Closed(CloseReason::Drained)]);
}

#[test]
fn tonic_2288_no_message_after_close() {
    let mut rig = bidi().responding();
    rig.data([envelope(0, "unread"), prefix(0, 4).to_vec(), b"ha".to_vec()].concat());
    rig.close();
    rig.data("lf");
    rig.message("later");
    rig.data(end_stream());
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Success, Told::Closed(CloseReason::Drained)]);
    assert_eq!(rig.closed().drained, 2 + 10);
}

#[test]
fn a_head_that_comes_while_draining_is_not_told() {
    let mut rig = bidi().requested();
    rig.close();
    rig.ok_head();
    assert_eq!(rig.tell_all(), []);
}

#[test]
fn a_status_that_comes_while_draining_is_a_verdict() {
    let mut rig = bidi().requested();
    rig.close();
    rig.head(503, &[]);
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Unavailable), Told::Closed(CloseReason::Drained)]);
}

#[test]
fn a_unary_error_that_comes_while_draining_is_a_verdict() {
    let mut rig = ClientSetup::new(Kind::Unary).requested();
    rig.close();
    rig.head(404, &[("content-type", "application/json"), ("content-length", "20")]);
    rig.data(r#"{"code":"not_found"}"#);
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::NotFound), Told::Closed(CloseReason::Drained)]);
    assert_eq!(rig.closed().drained, 0);
}

#[test]
fn a_unary_message_that_comes_while_draining_is_discarded() {
    let mut rig = ClientSetup::new(Kind::Unary).responding();
    rig.data("half a ");
    rig.close();
    rig.data("message");
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Success, Told::Closed(CloseReason::Drained)]);
    assert_eq!(rig.closed().drained, 7);
}

#[test]
fn a_drain_that_goes_wrong_says_how() {
    let mut rig = draining(100);
    rig.reset(ResetCode::CANCEL, Processed::Unknown);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::PeerReset(ResetCode::CANCEL))]);

    let mut rig = draining(100);
    rig.lost(LostKind::Eof, Processed::Unknown);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::TransportLost(LostKind::Eof))]);

    let mut rig = draining(100);
    rig.data(envelope(4, ""));
    rig.asked();
    let fault = PeerMisbehaved::InvalidEnvelopeFlags(4);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::PeerMisbehaved(fault))]);

    let mut rig = draining(100);
    rig.end();
    assert_eq!(rig.asked(), []); // both directions are complete, the connection lives
    let fault = PeerMisbehaved::MissingEndStream;
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::PeerMisbehaved(fault))]);
}

#[test]
fn an_abort_ends_a_drain() {
    let mut rig = draining(100);
    rig.abort();
    assert_eq!(rig.asked(), [Asked::Reset]);
    rig.skip();
    assert!(matches!(rig.closed().reason, CloseReason::Aborted(_)));
}

#[test]
fn a_drain_is_bounded_by_the_deadline_too() {
    let rig = bidi().timeout(secs(7)).draining();
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(7))));
}

#[test]
fn repeated_closes_do_nothing() {
    let mut rig = draining(100);
    rig.wait(secs(10));
    rig.close();
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(30))));
    rig.wait(secs(20));
    rig.close();
    rig.abort();
    rig.asked();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::DrainTimedOut)]);
    rig.close();
    rig.assert_quiescent();
}

#[test]
fn a_closed_call_takes_no_more_messages() {
    let mut rig = bidi().active();
    rig.close();
    assert!(matches!(rig.send("late"), Err(SendError::Misuse(ApiMisuse::AlreadyFinished))));
    assert_eq!(rig.call.finish(rig.now), Ok(()));
}

#[test]
fn h2_853_the_window_is_given_back_after_close() {
    let mut rig = bidi().responding();
    rig.message([0; 95]);
    rig.data([prefix(0, 50).as_slice(), &[0; 20]].concat());
    assert_eq!(rig.call.take_credit(), 0);
    rig.close();
    assert_eq!(rig.call.take_credit(), 125);
    rig.data([0; 30]);
    assert_eq!(rig.call.take_credit(), 30);
}

#[test]
fn the_window_is_given_back_after_the_end() {
    let mut rig = bidi().responding();
    rig.data([prefix(0, 50).as_slice(), &[0; 20]].concat());
    rig.abort();
    rig.data("late"); // what was on its way
    assert_eq!(rig.call.take_credit(), 29);
}

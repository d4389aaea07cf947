//! The rows of the diagram of a server's life, and which outcome wins.

use crate::call::{BodySize, DrainBudget, Duplex, Kind, Phase, Processed, SendError};
use crate::error::{AbortReason, ApiMisuse, CloseReason, Code, LostKind, PeerMisbehaved, ResetCode};
use crate::testing::fixture::{
    Asked, ServerRig, ServerSetup, Told, at, end_stream, end_stream_error, envelope, prefix, secs,
};

/// Something that happens to a call.
type Come = fn(&mut ServerRig);

const BIDI: Kind = Kind::Bidi(Duplex::Half);

fn bidi() -> ServerSetup {
    ServerSetup::new(BIDI).http2()
}

fn client_stream() -> ServerSetup {
    ServerSetup::new(Kind::ClientStream)
}

// Happy paths

#[test]
fn a_unary_call_succeeds() {
    let mut rig = ServerSetup::new(Kind::Unary).active();
    rig.data("as");
    rig.data("k");
    assert_eq!(rig.tell_all(), []);
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Message(b"ask".to_vec()), Told::HalfClosed]);
    rig.send("answer").unwrap();
    assert_eq!(rig.asked(), []);
    rig.succeed();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Exact(6)), Asked::Data(b"answer".to_vec()), Asked::End]);
    rig.end_sent();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_client_stream_succeeds() {
    let mut rig = client_stream().active();
    rig.message("a");
    rig.message("b");
    rig.end();
    assert_eq!(
        rig.tell_all(),
        [Told::Message(b"a".to_vec()), Told::Message(b"b".to_vec()), Told::HalfClosed]
    );
    rig.send("answer").unwrap();
    rig.succeed();
    let all = [envelope(0, "answer"), end_stream()].concat();
    assert_eq!(rig.flush(), [Asked::Head(BodySize::Exact(18)), Asked::Data(all), Asked::End]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_server_stream_succeeds() {
    let mut rig = ServerSetup::new(Kind::ServerStream).active();
    rig.message("ask");
    assert_eq!(rig.tell_all(), []); // held until the request has ended well
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Message(b"ask".to_vec()), Told::HalfClosed]);
    rig.send("a").unwrap();
    assert_eq!(rig.asked(), [Asked::Head(BodySize::Unknown), Asked::Data(envelope(0, "a"))]);
    rig.send("").unwrap();
    assert_eq!(rig.asked(), [Asked::Data(envelope(0, ""))]);
    rig.succeed();
    assert_eq!(rig.flush(), [Asked::Data(end_stream()), Asked::End]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_bidi_stream_in_full_duplex_succeeds() {
    let mut rig = bidi().active();
    for round in ["a", "b"] {
        rig.message(round);
        assert_eq!(rig.tell_all(), [Told::Message(round.into())]);
        rig.send(round).unwrap();
        assert!(rig.asked().contains(&Asked::Data(envelope(0, round))));
    }
    rig.end();
    assert_eq!(rig.tell_all(), [Told::HalfClosed]);
    rig.succeed();
    assert_eq!(rig.flush(), [Asked::Data(end_stream()), Asked::End]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

// Active

#[test]
fn an_early_answer_drains_the_request() {
    let mut rig = client_stream().active();
    rig.fail(Code::NotFound);
    assert_eq!(rig.phase(), Phase::Answered);
    rig.flush();
    rig.message("unwanted");
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    assert_eq!((rig.closed().drained, rig.closed().processed), (13, Processed::Yes));
    rig.assert_quiescent();
}

#[test]
fn the_deadline_is_answered() {
    let mut rig = client_stream().header("connect-timeout-ms", "3000").active();
    assert_eq!(rig.call.deadline(), Some(at(secs(3))));
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(3))));
    rig.wait(secs(3));
    assert_eq!(rig.phase(), Phase::Answered);
    assert_eq!(rig.tell_all(), [Told::Failure(Code::DeadlineExceeded)]);
    let end = br#"{"error":{"code":"deadline_exceeded","message":"deadline exceeded"}}"#;
    assert_eq!(rig.body(), envelope(2, end));
}

#[test]
fn the_deadline_of_a_unary_call_is_answered_with_504() {
    let mut rig = ServerSetup::new(Kind::Unary).header("connect-timeout-ms", "1").requested();
    rig.send("too late").unwrap();
    rig.wait(secs(1));
    rig.succeed(); // ignored: the call has answered by itself
    assert_eq!(rig.body(), br#"{"code":"deadline_exceeded","message":"deadline exceeded"}"#);
    assert_eq!(rig.status(), 504);
}

#[test]
fn a_deadline_drops_messages_that_have_not_begun() {
    let mut rig = ServerSetup::new(Kind::ServerStream).header("connect-timeout-ms", "1").requested();
    rig.send("begun").unwrap();
    rig.send("not begun").unwrap();
    rig.ask(0).unwrap();
    rig.ask(6).unwrap();
    rig.wait(secs(1));
    let body = rig.body();
    assert!(body.starts_with(b"egun\x02"), "{body:?}");
}

#[test]
fn a_server_may_bound_every_timeout() {
    let mut setup = client_stream();
    setup.config.max_timeout = Some(secs(2));
    assert_eq!(setup.clone().active().call.deadline(), Some(at(secs(2))));
    assert_eq!(
        setup.clone().header("connect-timeout-ms", "5000").active().call.deadline(),
        Some(at(secs(2)))
    );
    assert_eq!(setup.header("connect-timeout-ms", "1000").active().call.deadline(), Some(at(secs(1))));
}

#[test]
fn a_fault_of_the_client_is_answered() {
    let mut rig = client_stream().active();
    rig.message("good");
    rig.data(envelope(4, "bad"));
    assert_eq!(rig.phase(), Phase::Answered);
    assert_eq!(rig.tell_all(), [Told::Message(b"good".to_vec()), Told::Failure(Code::Internal)]);
    assert!(matches!(rig.flush().as_slice(), [Asked::Head(_), Asked::Data(_), Asked::End]));
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

#[test]
fn go_961_what_follows_a_refused_message_is_drained() {
    // A reset of the connection would destroy the answer.
    let mut rig = client_stream().active();
    rig.data([prefix(0, 150).as_slice(), &[0xff; 40]].concat());
    assert_eq!(rig.tell_all(), [Told::Failure(Code::ResourceExhausted)]);
    rig.data([0xff; 60]);
    assert_eq!(rig.flush().last(), Some(&Asked::End));
    assert_eq!(rig.phase(), Phase::Answered);
    assert_eq!(rig.call.take_credit(), 105);
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    assert_eq!(rig.closed().drained, 100);
}

#[test]
fn tonic_931_the_handler_is_told_that_the_client_has_gone() {
    let goings: [(Come, CloseReason); 2] = [
        (|rig| rig.reset(ResetCode::CANCEL, Processed::Unknown), CloseReason::PeerReset(ResetCode::CANCEL)),
        (|rig| rig.lost(LostKind::Eof, Processed::Unknown), CloseReason::TransportLost(LostKind::Eof)),
    ];
    for (go, reason) in goings {
        let mut rig = ServerSetup::new(Kind::ServerStream).requested(); // nothing is written
        go(&mut rig);
        assert_eq!(rig.asked(), []);
        assert_eq!(rig.tell_all(), [Told::Failure(Code::Canceled), Told::Closed(reason)]);
        rig.assert_quiescent();
    }
}

#[test]
fn hyper_4017_a_client_that_has_gone_has_not_ended_its_request() {
    let mut rig = client_stream().active();
    rig.message("a");
    rig.lost(LostKind::Eof, Processed::Unknown);
    assert!(!rig.tell_all().contains(&Told::HalfClosed));
}

#[test]
fn an_abort_resets() {
    let mut rig = client_stream().active();
    rig.message("unread");
    rig.abort();
    assert_eq!(rig.tell_all(), []);
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Aborted(AbortReason::Requested))]);
    rig.assert_quiescent();
}

// Answered

#[test]
fn an_answered_call_is_complete_when_its_end_is_out_and_the_request_has_ended() {
    let mut rig = client_stream().answered();
    rig.end();
    assert_eq!(rig.phase(), Phase::Answered);
    rig.asked();
    assert_eq!(rig.phase(), Phase::Answered);
    rig.end_sent();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

#[test]
fn a_request_that_goes_on_for_too_long_is_stopped_after_the_end() {
    let mut rig = client_stream().answered();
    assert_eq!(rig.flush().last(), Some(&Asked::End));
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(30))));
    rig.wait(secs(30));
    assert_eq!(rig.asked(), [Asked::Stop]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_request_that_goes_on_for_too_many_bytes_is_stopped_after_the_end() {
    let mut rig = client_stream().answered();
    rig.data([0; 100]);
    rig.flush();
    assert_eq!(rig.phase(), Phase::Answered);
    rig.data([0; 1]);
    assert_eq!(rig.asked(), [Asked::Stop]);
    rig.skip();
    assert_eq!((rig.closed().reason, rig.closed().drained), (CloseReason::Complete, 100));
}

#[test]
fn the_end_is_never_replaced_while_it_can_be_sent() {
    let mut rig = client_stream().answered();
    rig.data([0; 1000]);
    rig.wait(secs(31));
    let asked = rig.asked();
    assert!(
        matches!(asked.as_slice(), [Asked::Head(_), Asked::Data(_), Asked::End, Asked::Stop]),
        "{asked:?}"
    );
    rig.end_sent();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

#[test]
fn a_request_that_ends_while_it_is_to_be_stopped_is_not_stopped() {
    let mut rig = client_stream().answered();
    rig.data([0; 1000]);
    rig.end();
    assert!(!rig.flush().contains(&Asked::Stop));
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

#[test]
fn a_trickling_client_cannot_extend_the_drain() {
    let mut rig = client_stream().answered();
    rig.flush();
    for _ in 0..29 {
        rig.pass(secs(1)); // handle_timeout is never called
        rig.data("x");
        assert_eq!(rig.asked(), []);
    }
    rig.pass(secs(1));
    rig.data("x");
    assert_eq!(rig.asked(), [Asked::Stop]);
}

#[test]
fn a_budget_of_zero_stops_at_once() {
    for (time, bytes) in [(0, 100), (30, 0)] {
        let mut rig = client_stream().drain(DrainBudget { time: secs(time), bytes }).answered();
        assert_eq!(rig.flush().last(), Some(&Asked::Stop));
        assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    }
}

#[test]
fn a_budget_of_zero_does_no_harm_to_a_request_that_has_ended() {
    let mut rig = client_stream().drain(DrainBudget { time: secs(0), bytes: 0 }).requested();
    rig.fail(Code::NotFound);
    assert_eq!(rig.flush().last(), Some(&Asked::End));
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
}

#[test]
fn a_content_length_that_announces_too_much_is_not_drained() {
    for (announced, last) in [("100", Asked::End), ("101", Asked::Stop)] {
        let mut rig = client_stream().header("content-length", announced).answered();
        assert_eq!(rig.flush().last(), Some(&last), "{announced}");
    }
}

#[test]
fn what_is_left_of_the_request_counts_when_answering() {
    for (announced, last) in [("110", Asked::End), ("111", Asked::Stop)] {
        let mut rig = client_stream().header("content-length", announced).active();
        rig.data([prefix(0, 20).as_slice(), &[0; 5]].concat());
        rig.fail(Code::NotFound);
        assert_eq!(rig.flush().last(), Some(&last), "{announced}");
    }
}

#[test]
fn http2_has_a_budget_of_its_own() {
    let mut rig = client_stream().http2().answered();
    rig.flush();
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(1))));
    rig.data([0; 51]);
    assert_eq!(rig.asked(), [Asked::Stop]);
}

#[test]
fn an_answer_that_the_transport_does_not_take_is_given_up() {
    let mut rig = client_stream().requested();
    rig.send([0; 90]).unwrap();
    rig.succeed();
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(60))));
    rig.wait(secs(59));
    rig.ask(0).unwrap(); // something moves, so that the clock starts again
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(119))));
    rig.wait(secs(60));
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::WriteStalled)]);
    rig.assert_quiescent();
}

#[test]
fn an_answer_that_was_taken_is_the_transports_to_bound() {
    let mut rig = client_stream().requested();
    rig.fail(Code::NotFound);
    rig.asked();
    assert_eq!(rig.call.poll_timeout(), None);
    rig.lost(LostKind::WriteStalled, Processed::Unknown);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::WriteStalled)]);
}

#[test]
fn a_client_that_goes_ends_an_answered_call() {
    let mut rig = client_stream().answered();
    rig.reset(ResetCode::CANCEL, Processed::Unknown);
    assert_eq!(rig.asked(), []);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::PeerReset(ResetCode::CANCEL))]);
    rig.assert_quiescent();
}

#[test]
fn an_abort_ends_an_answered_call() {
    let mut rig = client_stream().answered();
    rig.abort();
    assert_eq!(rig.asked(), [Asked::Reset]);
    rig.skip();
    assert!(matches!(rig.closed().reason, CloseReason::Aborted(_)));
}

#[test]
fn an_answered_call_has_no_deadline_any_more() {
    let mut rig = client_stream().header("connect-timeout-ms", "3000").answered();
    rig.flush();
    rig.wait(secs(3));
    assert_eq!(rig.phase(), Phase::Answered);
}

// Who wins

#[test]
fn the_deadline_beats_whatever_comes_at_the_same_time() {
    let inputs: [Come; 3] =
        [|rig| assert_eq!(rig.answer(Ok(())), Ok(())), |rig| rig.data(envelope(4, "")), |rig| rig.end()];
    for come in inputs {
        let mut rig = client_stream().header("connect-timeout-ms", "3000").active();
        rig.pass(secs(3)); // nobody has called handle_timeout
        come(&mut rig);
        assert_eq!(rig.tell_all(), [Told::Failure(Code::DeadlineExceeded)]);
        assert!(rig.body().starts_with(&[2]));
    }
}

#[test]
fn an_answer_beats_whatever_comes_later() {
    let mut rig = client_stream().header("connect-timeout-ms", "3000").active();
    rig.fail(Code::NotFound);
    rig.wait(secs(3));
    rig.data(envelope(4, ""));
    assert_eq!(rig.body(), end_stream_error(Code::NotFound));
    assert_eq!(rig.tell_all(), []);
}

// The handler's commands after the end

#[test]
fn rs_228_an_answer_of_its_own_ends_the_handlers_sending() {
    let mut rig = client_stream().active();
    rig.data(envelope(4, ""));
    let reason = CloseReason::PeerMisbehaved(PeerMisbehaved::InvalidEnvelopeFlags(4));
    assert!(matches!(rig.send("late"), Err(SendError::Closed(why)) if why == reason));
    assert_eq!(rig.answer(Ok(())), Ok(()));
    assert_eq!(rig.call.send_headers(rig.now, http::HeaderMap::new()), Ok(()));
}

#[test]
fn an_end_by_the_deadline_stays_one_when_its_answer_is_out() {
    let mut rig = client_stream().header("connect-timeout-ms", "3000").active();
    rig.wait(secs(3));
    rig.end();
    rig.flush();
    assert_eq!(rig.tell_all(), [Told::Failure(Code::DeadlineExceeded), Told::Closed(CloseReason::Complete)]);
    assert_eq!(rig.call.ended(), Some(CloseReason::Deadline));
    assert!(matches!(rig.send("late"), Err(SendError::Closed(CloseReason::Deadline))));
}

#[test]
fn the_handlers_own_answer_is_final() {
    let mut rig = client_stream().answered();
    assert!(matches!(rig.send("late"), Err(SendError::Misuse(ApiMisuse::AlreadyFinished))));
    assert_eq!(rig.answer(Ok(())), Err(ApiMisuse::AlreadyFinished));
}

#[test]
fn h2_860_messages_that_nobody_polls_give_their_window_back() {
    let mut rig = client_stream().active();
    rig.message([0; 45]);
    assert_eq!(rig.call.take_credit(), 0);
    rig.fail(Code::NotFound);
    assert_eq!(rig.call.take_credit(), 50);
    assert_eq!(rig.tell_all(), []);
}

#[test]
fn what_was_queued_before_the_deadline_may_still_be_polled() {
    let mut rig = client_stream().header("connect-timeout-ms", "3000").active();
    rig.message("in time");
    rig.wait(secs(3));
    assert_eq!(rig.tell_all(), [Told::Message(b"in time".to_vec()), Told::Failure(Code::DeadlineExceeded)]);
}

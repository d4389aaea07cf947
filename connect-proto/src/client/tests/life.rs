//! The rows of the diagram of a client's life, and which outcome wins.

use crate::call::{DrainBudget, Duplex, Kind, Phase, Processed};
use crate::error::{AbortReason, CloseReason, Code, LostKind, PeerMisbehaved, ResetCode};
use crate::testing::fixture::{
    Asked, ClientRig, ClientSetup, START, Told, at, end_stream, end_stream_error, envelope, secs,
};

/// Something that happens to a call.
type Come = fn(&mut ClientRig);

const BIDI: Kind = Kind::Bidi(Duplex::Full);

fn bidi() -> ClientSetup {
    ClientSetup::new(BIDI)
}

// Happy paths

#[test]
fn a_unary_call_succeeds() {
    let mut rig = ClientSetup::new(Kind::Unary).active();
    rig.end_sent();
    rig.ok_head();
    rig.data("answer");
    rig.end();
    let message = Told::Message(b"answer".to_vec());
    assert_eq!(rig.tell_all(), [Told::Headers, message, Told::Success, Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_client_stream_succeeds() {
    let mut rig = ClientSetup::new(Kind::ClientStream).active();
    rig.send("a").unwrap();
    rig.send("b").unwrap();
    rig.finish();
    let both = [envelope(0, "a"), envelope(0, "b")].concat();
    assert_eq!(rig.flush(), [Asked::Data(both), Asked::End]);
    rig.ok_head();
    rig.data([envelope(0, "answer"), end_stream()].concat());
    rig.end();
    let message = Told::Message(b"answer".to_vec());
    assert_eq!(rig.tell_all(), [Told::Headers, message, Told::Success, Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_server_stream_succeeds() {
    let mut rig = ClientSetup::new(Kind::ServerStream).requested();
    rig.ok_head();
    assert_eq!(rig.tell_all(), [Told::Headers]);
    rig.message("a");
    assert_eq!(rig.tell_all(), [Told::Message(b"a".to_vec())]);
    rig.message("");
    assert_eq!(rig.tell_all(), [Told::Message(Vec::new())]);
    rig.data(end_stream());
    assert_eq!(rig.tell_all(), [Told::Success]);
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_bidi_stream_in_full_duplex_succeeds() {
    let mut rig = bidi().http2().active();
    rig.ok_head();
    rig.skip();
    for round in ["a", "b"] {
        rig.send(round).unwrap();
        assert_eq!(rig.flush(), [Asked::Data(envelope(0, round))]);
        rig.message(round);
        assert_eq!(rig.tell_all(), [Told::Message(round.into())]);
    }
    rig.finish();
    assert_eq!(rig.flush(), [Asked::End]);
    rig.data(end_stream());
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Success, Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

// Unsent

#[test]
fn closing_or_aborting_an_unsent_call_touches_no_connection() {
    for close in [ClientRig::close, ClientRig::abort] {
        let mut rig = bidi().unsent();
        rig.send("never sent").unwrap();
        close(&mut rig);
        assert_eq!(rig.asked(), []);
        assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Unsent)]);
        assert_eq!(rig.closed().processed, Processed::No);
        rig.assert_quiescent();
    }
}

#[test]
fn the_deadline_of_an_unsent_call_counts() {
    let mut rig = bidi().timeout(secs(3)).unsent();
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(3))));
    rig.wait(secs(3));
    assert_eq!(rig.asked(), []);
    assert_eq!(rig.tell_all(), [Told::Failure(Code::DeadlineExceeded), Told::Closed(CloseReason::Deadline)]);
    assert_eq!(rig.closed().processed, Processed::No);
}

#[test]
fn a_connection_that_cannot_be_made_ends_an_unsent_call() {
    let mut rig = bidi().unsent();
    rig.lost(LostKind::ConnectFailed, Processed::No);
    let reason = CloseReason::TransportLost(LostKind::ConnectFailed);
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Unavailable), Told::Closed(reason)]);
    assert_eq!(rig.closed().processed, Processed::No);
}

#[test]
fn an_answer_to_an_unsent_call_is_a_fault() {
    let mut rig = ClientSetup::new(Kind::Unary).unsent();
    rig.ok_head();
    let reason = CloseReason::PeerMisbehaved(PeerMisbehaved::UnsolicitedBytes);
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Internal), Told::Closed(reason)]);
    assert_eq!(rig.closed().processed, Processed::No);
    rig.assert_quiescent();
}

// Active

#[test]
fn a_call_is_complete_when_both_ends_are_acknowledged() {
    let mut rig = bidi().responding();
    rig.data(end_stream());
    assert_eq!(rig.phase(), Phase::Ending);
    rig.end();
    assert_eq!(rig.phase(), Phase::Closed);
}

#[test]
fn the_own_end_must_be_acknowledged_too() {
    let mut rig = ClientSetup::new(Kind::Unary).active();
    rig.ok_head();
    rig.end();
    assert_eq!(rig.phase(), Phase::Ending);
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Message(Vec::new()), Told::Success]);
    rig.end_sent();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_peer_reset_ends_an_active_call() {
    for (reset, code) in [
        (ResetCode::CANCEL, Code::Canceled),
        (ResetCode::REFUSED_STREAM, Code::Unavailable),
        (ResetCode::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (ResetCode::INADEQUATE_SECURITY, Code::PermissionDenied),
        (ResetCode::PROTOCOL_ERROR, Code::Internal),
        (ResetCode::NO_ERROR, Code::Internal),
    ] {
        let mut rig = bidi().responding();
        rig.reset(reset, Processed::Unknown);
        assert_eq!(rig.asked(), []);
        assert_eq!(rig.tell_all(), [Told::Failure(code), Told::Closed(CloseReason::PeerReset(reset))]);
        rig.assert_quiescent();
    }
}

#[test]
fn a_lost_connection_ends_an_active_call() {
    let mut rig = bidi().active();
    rig.lost(LostKind::Reset, Processed::Unknown);
    let reason = CloseReason::TransportLost(LostKind::Reset);
    assert_eq!(rig.tell_all(), [Told::Failure(Code::Unavailable), Told::Closed(reason)]);
    rig.assert_quiescent();
}

#[test]
fn a_violation_resets_an_active_call() {
    let mut rig = bidi().responding();
    rig.message("good");
    rig.data(envelope(4, "bad flags"));
    assert_eq!(rig.phase(), Phase::Closed);
    let reason = CloseReason::PeerMisbehaved(PeerMisbehaved::InvalidEnvelopeFlags(4));
    // What was complete before is delivered, and the end waits for the reset.
    assert_eq!(rig.tell_all(), [Told::Message(b"good".to_vec()), Told::Failure(Code::Internal)]);
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Closed(reason)]);
    rig.assert_quiescent();
}

#[test]
fn the_deadline_resets_an_active_call() {
    let mut rig = bidi().timeout(secs(3)).active();
    rig.send("queued").unwrap();
    rig.wait(secs(3));
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Failure(Code::DeadlineExceeded), Told::Closed(CloseReason::Deadline)]);
    assert_eq!(rig.closed().processed, Processed::Unknown);
    rig.assert_quiescent();
}

#[test]
fn tonic_848_what_is_queued_is_delivered_after_the_deadline() {
    let mut rig = bidi().timeout(secs(3)).responding();
    rig.message("in time");
    rig.wait(secs(3));
    rig.asked();
    assert_eq!(
        rig.tell_all(),
        [
            Told::Message(b"in time".to_vec()),
            Told::Failure(Code::DeadlineExceeded),
            Told::Closed(CloseReason::Deadline)
        ]
    );
}

#[test]
fn an_abort_drops_what_is_queued_in_both_directions() {
    let mut rig = bidi().active();
    rig.ok_head();
    rig.message("unread");
    rig.send("unsent").unwrap();
    rig.abort();
    assert_eq!(rig.tell_all(), [Told::Headers]);
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Aborted(AbortReason::Requested))]);
    rig.assert_quiescent();
}

#[test]
fn the_reason_of_an_abort_is_kept() {
    for reason in [AbortReason::Requested, AbortReason::Dropped, AbortReason::ShutDown] {
        let mut rig = bidi().active();
        rig.call.abort(rig.now, reason);
        rig.events.leave();
        rig.asked();
        assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Aborted(reason))]);
    }
}

/// A shutdown is not the word of whoever reads the call: a success of which messages were missing would look whole.
#[test]
fn a_shutdown_takes_nothing_away_from_a_call_that_is_over() {
    let mut rig = bidi().active();
    rig.ok_head();
    rig.message("unread");
    rig.data(end_stream());
    rig.asked();
    rig.end();
    rig.end_sent();
    rig.call.abort(rig.now, AbortReason::ShutDown);
    let whole =
        [Told::Headers, Told::Message("unread".into()), Told::Success, Told::Closed(CloseReason::Complete)];
    assert_eq!(rig.tell_all(), whole);
}

// Ending

#[test]
fn the_verdict_ends_the_sending_of_an_open_stream() {
    let mut rig = bidi().active();
    rig.send("begun").unwrap();
    rig.send("not begun").unwrap();
    assert_eq!(rig.ask(6), Some(Asked::Data(b"\0\0\0\0\x05b".to_vec())));
    rig.ok_head();
    rig.data(end_stream_error(Code::FailedPrecondition));
    assert_eq!(rig.phase(), Phase::Ending);
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Failure(Code::FailedPrecondition)]);
    // A message that has begun is owed, so that the connection can live on.
    assert_eq!(rig.asked(), [Asked::Data(b"egun".to_vec()), Asked::End]);
    rig.end();
    assert_eq!(rig.phase(), Phase::Ending);
    rig.end_sent();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

#[test]
fn a_body_whose_length_was_announced_is_owed_in_full() {
    let mut rig = ClientSetup::new(Kind::ServerStream).unsent();
    rig.send("ask").unwrap();
    rig.finish();
    rig.ask(0).unwrap();
    rig.ok_head();
    rig.data(end_stream());
    assert_eq!(rig.flush(), [Asked::Data(envelope(0, "ask")), Asked::End]);
    rig.end();
    rig.skip();
    assert_eq!(rig.closed().reason, CloseReason::Complete);
}

#[test]
fn an_ending_that_does_not_end_is_reset() {
    let mut rig = bidi().timeout(secs(60)).ending();
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(5))));
    rig.wait(secs(5));
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::DrainTimedOut)]);
    rig.assert_quiescent();
}

#[test]
fn an_ending_needs_no_reset_where_nothing_is_left() {
    // The own end is acknowledged as late as the peer's: only a violation comes between.
    let mut rig = bidi().ending();
    rig.data("x");
    assert_eq!(rig.asked(), [Asked::Reset]);
    rig.skip();
    let reason = CloseReason::PeerMisbehaved(PeerMisbehaved::DataAfterEndStream);
    assert_eq!(rig.closed().reason, reason);

    let mut rig = ClientSetup::new(Kind::ServerStream).responding();
    rig.end();
    assert_eq!(rig.asked(), []); // both directions are complete, whatever is missing
    rig.skip();
    assert_eq!(rig.closed().reason, CloseReason::PeerMisbehaved(PeerMisbehaved::MissingEndStream));
}

#[test]
fn a_useless_body_is_discarded_within_the_byte_budget() {
    let mut rig = bidi().requested();
    rig.head(503, &[("content-type", "text/html")]);
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Failure(Code::Unavailable)]);
    rig.data([b'x'; 100]);
    assert_eq!(rig.phase(), Phase::Ending);
    rig.data([b'x'; 1]);
    assert_eq!(rig.asked(), [Asked::Reset]);
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::DrainTooLarge)]);
    assert_eq!(rig.closed().drained, 100);
}

#[test]
fn a_useless_body_that_announces_too_much_is_not_read() {
    for (announced, phase) in [("100", Phase::Ending), ("101", Phase::Closed)] {
        let mut rig = bidi().requested();
        rig.head(503, &[("content-length", announced)]);
        assert_eq!(rig.phase(), phase, "{announced}");
        assert_eq!(rig.tell_all()[..2], [Told::Headers, Told::Failure(Code::Unavailable)]);
    }
}

#[test]
fn closing_an_ending_call_changes_nothing_but_the_messages() {
    let mut rig = bidi().responding();
    rig.data([envelope(0, "unread"), end_stream()].concat());
    rig.close();
    assert_eq!(rig.phase(), Phase::Ending);
    rig.end();
    assert_eq!(rig.tell_all(), [Told::Success, Told::Closed(CloseReason::Complete)]);
}

// Who wins

#[test]
fn a_parsed_end_stands_whatever_comes_after() {
    let later: [(Come, CloseReason); 5] = [
        (ClientRig::abort, CloseReason::Aborted(AbortReason::Requested)),
        (|rig| rig.pass(secs(4)), CloseReason::Deadline),
        (|rig| rig.reset(ResetCode::CANCEL, Processed::Unknown), CloseReason::PeerReset(ResetCode::CANCEL)),
        (|rig| rig.data("x"), CloseReason::PeerMisbehaved(PeerMisbehaved::DataAfterEndStream)),
        (|rig| rig.lost(LostKind::Eof, Processed::Unknown), CloseReason::TransportLost(LostKind::Eof)),
    ];
    for (come, reason) in later {
        let mut rig = bidi().timeout(secs(4)).responding();
        rig.data(end_stream());
        come(&mut rig);
        rig.call.handle_timeout(rig.now);
        rig.asked();
        assert_eq!(rig.tell_all(), [Told::Success, Told::Closed(reason)]);
    }
}

#[test]
fn go_745_the_deadline_beats_whatever_comes_at_the_same_time() {
    let inputs: [Come; 6] = [
        ClientRig::abort,
        ClientRig::close,
        |rig| rig.reset(ResetCode::CANCEL, Processed::Unknown),
        |rig| rig.data(envelope(4, "")),
        |rig| rig.data(end_stream()),
        |rig| rig.lost(LostKind::Reset, Processed::Unknown),
    ];
    for come in inputs {
        let mut rig = bidi().timeout(secs(3)).responding();
        rig.pass(secs(3)); // nobody has called handle_timeout
        come(&mut rig);
        rig.asked();
        rig.skip();
        assert_eq!(rig.closed().reason, CloseReason::Deadline);
    }
}

#[test]
fn an_abort_beats_whatever_comes_later() {
    let mut rig = bidi().timeout(secs(3)).responding();
    rig.abort();
    rig.pass(secs(3));
    rig.call.handle_timeout(rig.now);
    rig.reset(ResetCode::CANCEL, Processed::Unknown);
    rig.data(end_stream());
    rig.end();
    rig.asked();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Aborted(AbortReason::Requested))]);
    rig.assert_quiescent();
}

#[test]
fn the_deadline_wins_a_tie_with_the_drain() {
    let mut rig = bidi().timeout(secs(3)).drain(DrainBudget { time: secs(3), bytes: 100 }).draining();
    rig.wait(secs(3));
    rig.asked();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Deadline)]);
}

// Processed

#[test]
fn go_541_what_the_transport_knows_of_the_processing_is_passed_on() {
    for processed in [Processed::No, Processed::Unknown] {
        for come in [
            (|rig: &mut ClientRig, p| rig.reset(ResetCode::REFUSED_STREAM, p))
                as fn(&mut ClientRig, Processed),
            |rig, p| rig.lost(LostKind::Eof, p),
            |rig, p| rig.lost(LostKind::WriteStalled, p),
        ] {
            let mut rig = bidi().active();
            come(&mut rig, processed);
            rig.skip();
            assert_eq!(rig.closed().processed, processed);
        }
    }
}

#[test]
fn a_response_head_proves_that_the_call_was_processed() {
    let mut rig = bidi().responding();
    rig.lost(LostKind::Eof, Processed::No);
    rig.skip();
    assert_eq!(rig.closed().processed, Processed::Yes);
}

// Clocks

#[test]
fn a_clock_that_runs_backwards_is_clamped() {
    let mut rig = bidi().timeout(secs(3)).active();
    rig.wait(secs(2));
    rig.call.handle_timeout(START);
    rig.call.close(START);
    rig.events.leave();
    assert_eq!(rig.call.poll_timeout(), Some(at(secs(3))));
    rig.call.handle_timeout(at(secs(3)));
    rig.asked();
    assert_eq!(rig.tell_all(), [Told::Closed(CloseReason::Deadline)]);
}

#[test]
fn a_harmless_reset_completes_an_answered_call() {
    // A server that has answered in full refuses the rest of the request.
    let mut rig = bidi().http2().active();
    rig.send("begun").unwrap();
    rig.ask(6).unwrap();
    rig.ok_head();
    rig.data(end_stream());
    rig.end();
    rig.reset(ResetCode::NO_ERROR, Processed::Yes);
    assert_eq!(rig.asked(), []);
    assert_eq!(rig.tell_all(), [Told::Headers, Told::Success, Told::Closed(CloseReason::Complete)]);
    rig.assert_quiescent();
}

//! The end of a connection: shutdown, GOAWAY, a peer that is gone, and what its calls come to.

use super::raw::{
    DATA, END, HEADERS, PING, Raw, frame, goaway, message, request_head, reset, response_head, settings,
};
use super::*;
use crate::call::{Processed, SendError};
use crate::connection::Fault;
use crate::connection::tests::{assert_closed, closing};
use crate::error::{LostKind, PeerMisbehaved, ResetCode};
use crate::http1::NotReusable;
use crate::http2::KeepAlive;
use crate::testing::Alone;
use crate::wire::envelope::Flags;

const MAX_CONCURRENT_STREAMS: u16 = 3;

#[test]
fn close_ends_within_the_budget_and_the_connection_lives() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.send(id, "x");
    two.run();
    two.awake = false;
    two.client.call(id).unwrap().close(two.now);
    two.run();
    assert!(two.closed.is_empty());
    two.advance(millis(999));
    assert!(two.closed.is_empty());
    two.advance(millis(1));
    assert_eq!((two.closed[&id].reason, two.closed[&id].fate), (CloseReason::DrainTimedOut, Fate::Reusable));
    assert!(!two.suspect, "the server had answered");
}

#[test]
fn a_call_given_up_without_a_sign_of_life_makes_the_connection_suspect() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.run();
    two.advance(secs(1));
    two.awake = false;
    let dead = two.open();
    two.run();
    two.advance(secs(5));
    two.client.call(dead).unwrap().abort(two.now, AbortReason::Requested);
    two.run();
    assert!(two.suspect, "5 s of silence");
    assert!(two.closed.contains_key(&dead) && !two.closed.contains_key(&id));
}

#[test]
fn a_quick_cancel_on_a_healthy_but_quiet_connection_keeps_it() {
    let mut two = Two::new(FULL);
    let quiet = two.open();
    two.run();
    two.awake = false; // what the server says is on its way for longer than the calls last
    for _ in 0..100 {
        two.advance(secs(60));
        let hasty = two.open();
        two.run();
        two.advance(millis(5));
        two.client.call(hasty).unwrap().abort(two.now, AbortReason::Dropped);
        two.run();
        assert!(two.closed.contains_key(&hasty) && !two.suspect);
    }
    assert!(two.client.is_free() && !two.closed.contains_key(&quiet));
}

#[test]
fn a_message_that_does_not_go_on_is_answered_and_its_connection_lives() {
    let mut raw = Raw::server(Limits::default());
    let [silent, other] = [1, 3].map(|id| raw.arrive(&request_head(id)));
    raw.elapse(secs(1000));
    raw.feed(&message(1, "text")[..16]);
    raw.feed(&[message(1, "text"), message(3, "text")].concat()[16..]);
    raw.feed(&frame(DATA, 0, 1, &[0, 0, 0, 0, 4, b't']));
    raw.elapse(millis(59_999));
    assert_eq!(raw.wrote(), "");
    raw.elapse(millis(1));
    assert_eq!(raw.events, ["Message", "Message", "Finished(DeadlineExceeded)"]);
    assert_eq!(raw.wrote(), "HEADERS@1 DATA+END@1");
    raw.elapse(secs(1));
    assert_eq!(raw.wrote(), "RST(0)@1");
    assert_closed(raw.closed(silent).unwrap(), CloseReason::Complete, Processed::Yes, Fate::Reusable);
    raw.elapse(secs(1000));
    assert!(raw.is_open(other), "silence between messages is not limited");
}

#[test]
fn time_in_which_unread_calls_hold_the_connections_window_does_not_count() {
    let limits = Limits { server_connection_window: 65_535, ..Limits::default() };
    let mut raw = Raw::server(limits);
    let [begun, unread] = [1, 3].map(|id| raw.arrive(&request_head(id)));
    raw.feed(&frame(DATA, 0, 1, &[0, 0, 0, 0, 4, b't']));
    raw.elapse(secs(10));
    raw.listens = false;
    raw.feed(&frame(DATA, 0, 3, &crate::testing::peer::envelope(Flags::NONE, &[0; 16_000])));
    raw.elapse(secs(10)); // there is room left
    let large = crate::testing::peer::envelope(Flags::NONE, &[0; 40_000]);
    let parts: Vec<u8> = large.chunks(16_000).flat_map(|part| frame(DATA, 0, 3, part)).collect();
    raw.feed(&parts);
    raw.elapse(secs(1000));
    assert!(raw.is_open(begun));
    raw.look(unread);
    raw.elapse(millis(39_999));
    assert_eq!(raw.wrote(), "");
    raw.elapse(millis(1));
    assert_eq!(raw.wrote(), "HEADERS@1 DATA+END@1");
    assert!(raw.is_open(unread));
}

/// Calls on a connection whose peer is dead, one after the other, each with a second of time.
fn out_of_time(two: &mut Two, calls: usize) {
    for _ in 0..calls {
        assert!(!two.suspect);
        let late = two.open_for(Some(secs(1)));
        two.run();
        two.advance(secs(1));
        assert_eq!(two.closed[&late].reason, CloseReason::Deadline);
    }
}

#[test]
fn short_deadlines_on_a_dead_connection_add_up() {
    let mut two = Two::new(FULL);
    two.run();
    two.awake = false;
    out_of_time(&mut two, 5);
    assert!(two.suspect);
}

#[test]
fn a_connection_that_was_dead_from_the_start_becomes_suspect() {
    let mut two = Two::new(FULL);
    two.awake = false;
    out_of_time(&mut two, 5);
    assert!(two.suspect);
}

#[test]
fn a_sign_of_life_starts_the_silence_over() {
    let mut two = Two::new(FULL);
    two.run();
    for _ in 0..3 {
        two.awake = false;
        out_of_time(&mut two, 4);
        two.awake = true;
        let answered = two.open();
        two.finish(answered);
        two.run();
        assert_eq!(two.verdicts[&answered], Ok(()));
    }
    assert!(!two.suspect);
}

#[test]
fn calls_that_wait_at_the_same_time_count_once() {
    let mut two = Two::new(FULL);
    two.run();
    two.awake = false;
    for _ in 0..10 {
        two.open_for(Some(secs(4)));
    }
    two.run();
    two.advance(secs(4));
    assert_eq!((two.closed.len(), two.suspect), (10, false));
}

#[test]
fn a_connection_says_what_rule_its_peer_broke() {
    let mut raw = Raw::client(Limits::default(), &[]);
    let id = raw.open(None);
    raw.run();
    assert_eq!(raw.end.fault(), None);
    raw.feed(&settings(&[(2, 2)]));
    let fault = raw.end.fault().unwrap();
    assert_eq!(fault, Fault::Misbehaved(PeerMisbehaved::InvalidSetting(2)));
    assert_eq!(fault.to_string(), "invalid value of setting 0x2");
    assert_eq!(raw.closed(id).unwrap().reason, CloseReason::TransportLost(LostKind::Failed));
}

#[test]
fn a_connection_says_what_its_peer_has_against_this_side() {
    let mut raw = Raw::client(Limits::default(), &[]);
    raw.feed(&goaway(0, ResetCode::NO_ERROR));
    assert_eq!(raw.end.fault(), None, "it leaves in order");

    let mut raw = Raw::client(Limits::default(), &[]);
    raw.open(None);
    raw.run();
    let mut calm = goaway(1, ResetCode::ENHANCE_YOUR_CALM);
    raw.feed(&calm);
    assert_eq!(raw.end.fault().unwrap().to_string(), "GOAWAY ENHANCE_YOUR_CALM");
    calm.extend_from_slice(b"too_many_pings");
    calm[2] += 14;
    raw.feed(&calm);
    assert_eq!(raw.end.fault().unwrap().to_string(), "GOAWAY ENHANCE_YOUR_CALM: too_many_pings");
}

#[test]
fn an_answer_of_http1_to_http2_is_told() {
    let mut client = Alone::http2_client(&ConnectionConfig::default());
    client.feed(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    let fault = client.end.connection.fault().unwrap();
    assert_eq!(fault, Fault::Misbehaved(PeerMisbehaved::Http1Response));
    assert_eq!(fault.to_string(), "the peer answered HTTP/1.1 to HTTP/2 by prior knowledge");
}

#[test]
fn shutdown_lets_calls_end_and_takes_no_more() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.send(id, "x");
    two.run();
    two.client.shut_down(two.now, secs(10));
    two.run();
    let refused = two.client.open(two.now, call(two.now, &Arc::new(client_config()), FULL, None));
    assert!(refused.is_err());
    two.finish(id);
    two.run();
    assert_eq!(two.verdicts[&id], Ok(()));
    two.advance(secs(2));
    assert!(two.client.is_closed());
}

#[test]
fn a_server_that_shuts_down_ends_within_its_grace() {
    let mut two = Two::new(FULL);
    let id = two.open();
    two.send(id, "x");
    two.run();
    two.server.shut_down(two.now, secs(3));
    two.run();
    two.advance(secs(2));
    assert!(!two.client.is_free(), "the client has heard");
    two.advance(secs(2));
    two.advance(secs(2));
    assert!(two.server.is_closed());
    two.client.handle_eof(two.now);
    two.listen();
    assert_eq!(two.verdicts[&id], Err(Code::Unavailable));
}

#[test]
fn calls_beyond_a_goaway_were_not_processed() {
    let mut raw = Raw::client(Limits::default(), &[]);
    let ids: Vec<CallId> = (0..4).map(|_| raw.open(None)).collect();
    for &id in &ids[..3] {
        raw.send(id, "x");
    }
    raw.run();
    // The last one has not got a byte out; Go says first that all are taken.
    raw.feed(&goaway(0x7fff_ffff, ResetCode::NO_ERROR));
    assert_eq!(raw.notices, []);
    assert!(!raw.end.is_free());
    raw.feed(&goaway(1, ResetCode::NO_ERROR));
    for &id in &ids[1..] {
        let closed = raw.closed(id).unwrap();
        assert_eq!(closed.reason, CloseReason::PeerReset(ResetCode::REFUSED_STREAM));
        assert_eq!((closed.processed, closed.fate), (Processed::No, Fate::Closing(NotReusable::GoingAway)));
    }
    assert!(raw.is_open(ids[0]));
    let refused = raw.end.open(raw.now, call(raw.now, &Arc::new(client_config()), FULL, None));
    assert!(refused.is_err(), "the call comes back");
    raw.end.call(ids[0]).unwrap().finish(raw.now).unwrap();
    raw.feed(&[response_head(1), raw::end_stream(1, END)].concat());
    assert_eq!(raw.closed(ids[0]).unwrap().reason, CloseReason::Complete);
    raw.elapse(secs(2));
    assert!(raw.end.is_closed());
    assert_eq!(raw.notices.last(), Some(&Notice::Ended(NotReusable::GoingAway)));
}

#[test]
fn a_refused_stream_was_not_processed_and_an_answered_one_was() {
    let mut raw = Raw::client(Limits::default(), &[]);
    let (refused, reset_late) = (raw.open(None), raw.open(None));
    raw.send(refused, "x");
    raw.send(reset_late, "x");
    raw.run();
    raw.feed(
        &[reset(1, ResetCode::REFUSED_STREAM), response_head(3), reset(3, ResetCode::REFUSED_STREAM)]
            .concat(),
    );
    let processed = [refused, reset_late].map(|id| raw.closed(id).unwrap().processed);
    assert_eq!(processed, [Processed::No, Processed::Yes]);
    assert_eq!(raw.closed(refused).unwrap().fate, Fate::Reusable);
    assert_eq!(raw.events, ["Finished(Unavailable)", "Headers", "Finished(Unavailable)"]);
}

#[test]
fn a_call_that_waits_for_a_stream_has_its_deadline() {
    let mut raw = Raw::client(Limits::default(), &[(MAX_CONCURRENT_STREAMS, 1)]);
    let first = raw.open(None);
    raw.send(first, "x");
    let waits = raw.open(Some(secs(2)));
    let next = raw.open(Some(secs(60)));
    raw.send(waits, "x");
    raw.send(next, "x");
    raw.run();
    assert_eq!(raw.wrote(), "HEADERS@1 DATA@1");
    raw.elapse(millis(1999));
    assert!(raw.is_open(waits));
    raw.elapse(millis(1));
    let closed = raw.closed(waits).unwrap();
    assert_eq!((closed.reason, closed.processed), (CloseReason::Deadline, Processed::No));
    assert_eq!(closed.fate, Fate::Reusable);
    assert_eq!(raw.events, ["Finished(DeadlineExceeded)"]);
    assert_eq!(raw.wrote(), "", "nothing was sent of it");
    // The one behind it gets the stream.
    raw.feed(&reset(1, ResetCode::INTERNAL_ERROR));
    assert_eq!(raw.wrote(), "HEADERS@3 DATA@3");
    assert!(raw.is_open(next));
}

#[test]
fn calls_that_wait_get_back_a_place_when_they_are_given_up() {
    let mut config = over_http2(Limits::default());
    config.waiting_calls = 2;
    let mut client = ClientConnection::http2(Instant::ORIGIN, &config);
    let now = Instant::ORIGIN;
    let mut buf = BytesMut::from(&settings(&[(MAX_CONCURRENT_STREAMS, 1)])[..]);
    client.handle_read(now, &mut buf);
    let mut open = || {
        let call = call(now, &Arc::new(client_config()), FULL, None);
        client.open(now, call)
    };
    let ids: Vec<CallId> = (0..3).map(|_| open().unwrap()).collect();
    assert_eq!(open().unwrap_err().why, crate::connection::OpenError::Busy);
    client.call(ids[2]).unwrap().abort(now, AbortReason::Requested);
    assert!(matches!(client.poll_ready(), Some(Notice::Closed(id, _)) if id == ids[2]));
    assert!(client.open(now, call(now, &Arc::new(client_config()), FULL, None)).is_ok());
}

#[test]
fn a_server_that_is_dead_is_noticed_by_pings() {
    let keep_alive = KeepAlive { interval: secs(10), timeout: secs(5), while_idle: false };
    let limits = Limits { keep_alive: Some(keep_alive), ..Limits::default() };
    let mut raw = Raw::client(limits, &[]);
    let id = raw.open(None);
    raw.send(id, "x");
    raw.run();
    raw.feed(&[response_head(1), message(1, "m")].concat());
    raw.written();
    raw.elapse(millis(9999));
    assert_eq!(raw.wrote(), "");
    raw.elapse(millis(1));
    let ping = raw.written().pop().unwrap();
    assert_eq!((ping.0, ping.1), (PING, 0));
    raw.feed(&frame(PING, END, 0, &ping.3));
    raw.elapse(secs(10));
    assert_eq!(raw.wrote(), "PING");
    raw.elapse(secs(5));
    let closed = raw.closed(id).unwrap();
    assert_eq!(closed.reason, CloseReason::TransportLost(LostKind::Unresponsive));
    assert_eq!(closed.processed, Processed::Yes);
    assert!(matches!(closed.fate, Fate::Closing(_)), "{closed:?}");
    assert!(raw.end.is_closed());
    assert_eq!(raw.events.last().unwrap(), "Finished(Unavailable)");
    assert!(matches!(raw.notices.last(), Some(Notice::Ended(NotReusable::Lost))), "{:?}", raw.notices);
}

#[test]
fn a_client_that_is_dead_is_noticed_by_pings() {
    let keep_alive = KeepAlive { interval: secs(10), timeout: secs(5), while_idle: false };
    let limits = Limits { keep_alive: Some(keep_alive), ..Limits::default() };
    let mut raw = Raw::server(limits);
    let id = raw.arrive(&[request_head(1), message(1, "m")].concat());
    raw.elapse(secs(15));
    assert_eq!(raw.closed(id).unwrap().reason, CloseReason::TransportLost(LostKind::Unresponsive));
    assert!(raw.end.is_closed());
}

#[test]
fn a_server_that_reads_nothing_stalls_the_writes() {
    let mut raw = Raw::client(Limits::default(), &[]);
    raw.reads = false;
    let ids = [raw.open(None), raw.open(None)];
    raw.send(ids[0], noise(50_000));
    raw.end.output(raw.now, &mut [IoSlice::new(&[])]);
    raw.elapse(millis(29_999));
    assert!(raw.is_open(ids[0]));
    raw.elapse(millis(1));
    for id in ids {
        let closed = raw.closed(id).unwrap();
        assert_eq!(closed.reason, CloseReason::WriteStalled);
        assert_eq!(closed.fate, Fate::Closing(NotReusable::WriteStalled));
    }
    assert!(raw.end.is_closed());
}

#[test]
fn a_client_that_reads_nothing_stalls_the_writes() {
    let mut raw = Raw::server(Limits::default());
    let id = raw.arrive(&[request_head(1), message(1, "m")].concat());
    raw.reads = false;
    let now = raw.now;
    let mut call = raw.end.call(id).unwrap();
    call.send(now, Outbound::encode(&call.encoding(), noise(50_000))).unwrap();
    call.finish(now, Metadata::new(), Ok(())).unwrap();
    raw.end.output(raw.now, &mut [IoSlice::new(&[])]);
    raw.elapse(secs(30));
    assert_eq!(raw.closed(id).unwrap().reason, CloseReason::WriteStalled);
    assert_eq!(raw.closed(id).unwrap().fate, Fate::Closing(NotReusable::WriteStalled));
    assert!(raw.end.is_closed());
}

#[test]
fn a_client_that_shuts_down_ends_what_waits_at_once_and_the_rest_with_its_grace() {
    let mut raw = Raw::client(Limits::default(), &[(MAX_CONCURRENT_STREAMS, 1)]);
    let (live, waits) = (raw.open(None), raw.open(None));
    raw.send(live, "x");
    raw.run();
    raw.end.shut_down(raw.now, secs(3));
    raw.run();
    let closed = raw.closed(waits).unwrap();
    assert_eq!((closed.processed, closed.fate), (Processed::No, Fate::Closing(NotReusable::ShutDown)));
    raw.elapse(millis(2999));
    assert!(raw.is_open(live));
    raw.elapse(millis(1));
    let closed = raw.closed(live).unwrap();
    assert_eq!((closed.processed, closed.fate), (Processed::Unknown, Fate::Closing(NotReusable::ShutDown)));
    raw.elapse(secs(2));
    assert!(raw.end.is_closed());
    assert_eq!(raw.notices.last(), Some(&Notice::Ended(NotReusable::ShutDown)));
}

#[test]
fn a_call_of_which_nothing_was_sent_is_lost_whatever_the_grace() {
    for grace in [secs(0), secs(10)] {
        let mut client = Alone::http2_client(&ConnectionConfig::default());
        client.end.open(call(client.now(), &Arc::new(client_config()), Kind::Unary, None)).unwrap();
        client.run();
        let now = client.now();
        client.end.connection.shut_down(now, grace);
        client.run();
        let reason = CloseReason::TransportLost(LostKind::ShutDown);
        assert_closed(client.closed(), reason, Processed::No, closing(NotReusable::ShutDown));
        assert!(client.end.verdict().unwrap().is_err());
        client.elapse(secs(2));
        client.assert_quiescent();
    }
}

#[test]
fn a_server_that_shuts_down_takes_what_is_on_its_way_and_refuses_the_rest() {
    let mut raw = Raw::server(Limits::default());
    let first = raw.arrive(&[request_head(1), message(1, "m")].concat());
    raw.end.shut_down(raw.now, secs(10));
    raw.run();
    assert!(raw.wrote().starts_with("GOAWAY(last 2147483647, code 0)"));
    let second = raw.arrive(&[request_head(3), message(3, "m")].concat());
    raw.elapse(secs(1));
    assert_eq!(raw.wrote(), "GOAWAY(last 3, code 0)");
    raw.feed(&request_head(5));
    assert_eq!(raw.wrote(), "RST(7)@5");
    for id in [first, second] {
        raw.end.call(id).unwrap().finish(raw.now, Metadata::new(), Ok(())).unwrap();
        // The rest of the request is waited for, and then it is given up.
        raw.elapse(secs(1));
        assert_eq!(raw.closed(id).unwrap().reason, CloseReason::Complete);
    }
    assert!(raw.written().iter().filter(|(kind, ..)| *kind == HEADERS).count() == 2);
    raw.elapse(secs(2));
    assert!(raw.end.is_closed());
}

#[test]
fn a_broken_rule_of_the_connection_ends_all_calls_and_is_told() {
    let mut raw = Raw::client(Limits::default(), &[]);
    let ids = [raw.open(None), raw.open(None)];
    for id in ids {
        raw.send(id, "x");
    }
    raw.run();
    raw.written();
    raw.feed(&frame(PING, 0, 1, b"12345678"));
    assert!(raw.wrote().ends_with("GOAWAY(last 0, code 1)"));
    for id in ids {
        let closed = raw.closed(id).unwrap();
        assert_eq!(closed.fate, Fate::Closing(NotReusable::PeerMisbehaved));
        assert_eq!(closed.processed, Processed::Unknown);
    }
    let late = raw.end.call(ids[0]);
    assert!(late.is_none());
}

#[test]
fn sending_on_a_call_whose_stream_was_reset_says_so() {
    let mut raw = Raw::client(Limits::default(), &[]);
    let id = raw.open(None);
    raw.send(id, "x");
    raw.run();
    raw.listens = false;
    raw.feed(&reset(1, ResetCode::CANCEL));
    let mut call = raw.end.call(id).unwrap();
    let message = Outbound::encode(&call.encoding(), Bytes::from("late"));
    let Err(SendError::Closed(why)) = call.send(raw.now, message) else { panic!("it was sent") };
    assert_eq!(why, CloseReason::PeerReset(ResetCode::CANCEL));
    assert_eq!(call.poll_event(raw.now).map(|event| format!("{event:?}")).unwrap()[..8], *"Finished");
}

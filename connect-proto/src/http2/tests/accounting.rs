//! State and accounting: what implementations get wrong and conformance suites do not see.

use super::*;

/// The windows of the connection and of all streams add up.
pub(super) fn check_conservation<R: Role>(engine: &Engine<R>) {
    engine.check_conservation();
}

#[test]
fn a_body_not_consumed_when_its_stream_is_reset_returns_its_connection_window() {
    for by_peer in [false, true] {
        let mut peer = Peer::server();
        let mut returned = 0;
        for n in 0..100 {
            let key = peer.request(2 * n + 1, false);
            peer.feed_all(&[data(2 * n + 1, false, 16384), data(2 * n + 1, false, 16384)]);
            if by_peer {
                peer.feed(&reset(2 * n + 1, ResetCode::CANCEL));
            } else {
                peer.engine.reset(peer.now, key, ResetCode::CANCEL);
            }
            check_conservation(&peer.engine);
            peer.events();
            peer.engine.release(peer.now, key);
            returned += connection_updates(&mut peer);
        }
        assert!(returned > 100 * 32768 - (2 << 20), "{returned}");
        assert_eq!(peer.engine.fault(), None);
    }
}

fn connection_updates<R: Describe>(peer: &mut Peer<R>) -> usize {
    let frames = peer.frames();
    frames
        .iter()
        .filter_map(|line| line.strip_prefix("WINDOW_UPDATE 0 "))
        .map(|by| by.parse::<usize>().unwrap())
        .sum()
}

#[test]
fn data_in_flight_to_a_reset_stream_returns_its_connection_window() {
    let mut peer = Peer::server();
    let key = peer.request(1, false);
    peer.engine.reset(peer.now, key, ResetCode::CANCEL);
    let mut returned = 0;
    for n in 0..200 {
        if n == 100 {
            peer.engine.release(peer.now, key);
        }
        peer.feed(&data(1, false, 16384));
        check_conservation(&peer.engine);
        returned += connection_updates(&mut peer);
    }
    assert!(returned > 200 * 16384 - (2 << 20));
    assert_eq!(peer.events(), [""; 0]);
    assert_eq!(peer.engine.fault(), None, "cancelling does not cost the connection");
}

#[test]
fn a_window_update_goes_out_without_waiting_for_input() {
    let mut peer = Peer::server();
    let key = peer.request(1, false);
    for _ in 0..16 {
        peer.feed(&data(1, false, 16384));
    }
    peer.events();
    assert_eq!(peer.wrote(), "");
    peer.engine.add_credit(peer.now, key, 131_071);
    assert_eq!(peer.wrote(), "");
    peer.engine.add_credit(peer.now, key, 1);
    assert_eq!(peer.wrote(), "WINDOW_UPDATE 1 131072");
    peer.engine.add_credit(peer.now, key, 131_072);
    assert_eq!(peer.wrote(), "WINDOW_UPDATE 1 131072");
    check_conservation(&peer.engine);
}

#[test]
fn a_connection_window_that_is_mostly_held_serves_the_other_streams() {
    // Half of the window is never owed at once, since more than that is held.
    let limits = Limits { server_connection_window: 1 << 20, ..Limits::default() };
    let mut peer = Peer::<ServerRole>::new(limits);
    for id in [1, 3, 5] {
        peer.request(id, false);
        for _ in 0..16 {
            peer.feed(&data(id, false, 16384));
        }
        peer.events();
    }
    let read = peer.request(7, false);
    for _ in 0..1000 {
        peer.feed(&data(7, false, 16384));
        peer.events();
        peer.engine.add_credit(peer.now, read, 16384);
        check_conservation(&peer.engine);
        peer.frames();
    }
    assert_eq!(peer.engine.fault(), None, "what fits the window is taken");
}

#[test]
fn credit_is_given_once() {
    let mut peer = Peer::server();
    let key = peer.request(1, false);
    peer.feed(&data(1, false, 1000));
    peer.events();
    for _ in 0..1000 {
        peer.engine.add_credit(peer.now, key, usize::MAX);
    }
    assert_eq!(peer.wrote(), "");
    peer.engine.reset(peer.now, key, ResetCode::CANCEL);
    peer.engine.add_credit(peer.now, key, 1000);
    check_conservation(&peer.engine);
}

#[test]
fn padding_is_credited_at_once() {
    let mut peer = Peer::server();
    peer.request(1, false);
    let padded = [vec![200], vec![b'x'; 55], vec![0; 200]].concat();
    for _ in 0..2000 {
        peer.feed(&frame(0, flag::PADDED, 1, &padded));
        check_conservation(&peer.engine);
        while let Some((key, Event::Data(data))) = peer.engine.poll_event() {
            assert_eq!(data.len(), 55);
            peer.engine.add_credit(peer.now, key, 55);
        }
        peer.frames();
    }
    assert_eq!(peer.engine.fault(), None);
}

#[test]
fn a_window_that_is_exceeded_ends_the_stream_or_the_connection() {
    let mut peer = Peer::server();
    peer.request(1, false);
    for _ in 0..16 {
        peer.feed(&data(1, false, 16384));
    }
    peer.events();
    peer.feed(&data(1, false, 1));
    assert_eq!(peer.wrote(), "RST_STREAM 1 3");
    assert_eq!(peer.events(), ["0 misbehaved: flow-control window exceeded"]);

    let limits = limits_with(|limits| limits.initial_stream_window = 8 << 20);
    let mut peer = Peer::<ServerRole>::new(limits);
    peer.request(1, false);
    for _ in 0..256 {
        peer.feed(&data(1, false, 16384));
    }
    peer.feed(&data(1, false, 1));
    assert_eq!(peer.wrote(), "GOAWAY 1 3");
}

#[test]
fn a_smaller_window_counts_from_its_acknowledgement() {
    let limits = limits_with(|limits| limits.initial_stream_window = 1000);
    let mut peer = Peer::<ServerRole>::fresh(limits);
    peer.feed(frame::PREFACE);
    peer.feed(&settings(&[]));
    peer.feed_all(&[get(1, false), data(1, false, 16384)]);
    check_conservation(&peer.engine);
    peer.feed(&frame::settings_ack());
    check_conservation(&peer.engine);
    peer.frames();
    let key = peer.engine.poll_event().unwrap().0;
    peer.engine.add_credit(peer.now, key, 16384);
    assert_eq!(peer.wrote(), "WINDOW_UPDATE 1 16384");
    check_conservation(&peer.engine);
    peer.feed(&data(1, false, 1000));
    assert_eq!(peer.wrote(), "");
    peer.feed(&data(1, false, 1));
    assert_eq!(peer.wrote(), "RST_STREAM 1 3");
}

#[test]
fn what_was_consumed_before_a_window_became_smaller_is_not_forgotten() {
    let limits = limits_with(|limits| limits.initial_stream_window = 1000);
    let mut peer = Peer::<ServerRole>::fresh(limits);
    peer.feed(frame::PREFACE);
    peer.feed_all(&[settings(&[]), get(1, false), data(1, false, 5000)]);
    peer.frames();
    let key = peer.engine.poll_event().unwrap().0;
    peer.engine.add_credit(peer.now, key, 5000);
    assert_eq!(peer.wrote(), "", "less than half of the window");
    peer.feed(&frame::settings_ack());
    assert_eq!(peer.wrote(), "WINDOW_UPDATE 1 5000");
    check_conservation(&peer.engine);
}

/// RFC 9113, section 6.9.1: an empty DATA frame may be sent without any window, also to end the stream.
#[test]
fn an_empty_end_needs_no_window_even_where_a_smaller_one_is_negative() {
    let limits = limits_with(|limits| limits.initial_stream_window = 9);
    let mut peer = Peer::<ServerRole>::fresh(limits);
    peer.feed(frame::PREFACE);
    peer.feed_all(&[settings(&[]), get(1, false), data(1, false, 2742)]);
    peer.feed(&frame::settings_ack());
    peer.frames();
    peer.events();
    peer.feed(&data(1, true, 0));
    assert_eq!(peer.events(), ["0 end"]);
    assert_eq!(peer.wrote(), "");
    check_conservation(&peer.engine);
}

#[test]
fn a_window_made_smaller_by_the_peer_can_be_negative() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    peer.engine.send_data(peer.now, key, chunk(1000));
    peer.feed(&settings(&[(4, 400)]));
    peer.frames();
    peer.engine.want_write(key);
    assert_eq!(peer.engine.poll_writable(), Some((key, 0)));
    peer.feed(&window_update(1, 600));
    assert_eq!(peer.engine.poll_writable(), None);
    peer.feed(&window_update(1, 7));
    assert_eq!(peer.engine.poll_writable(), Some((key, 7)));
}

#[test]
fn there_is_no_stream_0() {
    let mut peer = Peer::client();
    let unsent = peer.engine.open(peer.now).unwrap();
    let sent = peer.engine.open(peer.now).unwrap();
    peer.engine.send_head(peer.now, sent, &request_parts("GET", "/"), BodySize::Empty);
    peer.frames();
    peer.feed_all(&[window_update(0, 1), goaway(1, ResetCode::NO_ERROR)]);
    peer.number(sent);
    peer.number(unsent);
    assert_eq!(peer.events(), ["0 end sent", "1 reset 7 No"]);
    peer.engine.reset(peer.now, unsent, ResetCode::CANCEL);
    peer.engine.release(peer.now, unsent);
    assert_eq!(peer.wrote(), "GOAWAY 0 0", "what was never sent is not reset");
}

#[test]
fn ids_are_given_in_the_order_of_the_heads() {
    let mut peer = Peer::client();
    let first = peer.engine.open(peer.now).unwrap();
    let second = peer.engine.open(peer.now).unwrap();
    peer.engine.send_head(peer.now, second, &request_parts("GET", "/second"), BodySize::Empty);
    peer.engine.send_head(peer.now, first, &request_parts("GET", "/first"), BodySize::Empty);
    let wrote = peer.wrote();
    assert!(wrote.starts_with("HEADERS 1 ") && wrote.contains("path=/second\nHEADERS 3 "), "{wrote}");
}

#[test]
fn a_stream_that_is_released_early_is_reset() {
    let mut peer = Peer::server();
    let key = peer.request(1, false);
    peer.engine.release(peer.now, key);
    assert_eq!(peer.wrote(), "RST_STREAM 1 8");
    let key = peer.request(3, false);
    peer.respond(key, BodySize::Empty);
    peer.engine.release(peer.now, key);
    assert_eq!(peer.wrote(), "HEADERS 3 end :status=200\nRST_STREAM 3 0");
    assert_eq!(peer.engine.streams(), 0);
    assert_eq!(peer.engine.counters().own_resets, 2);
}

#[test]
fn slots_shrink_after_a_rush() {
    let mut peer = Peer::server();
    let keys: Vec<_> = (0..250).map(|n| peer.request(2 * n + 1, true)).collect();
    for key in keys {
        peer.respond(key, BodySize::Unknown);
        peer.engine.send_data(peer.now, key, chunk(200));
        peer.engine.send_end(peer.now, key, None);
    }
    peer.frames();
    let rush = peer.engine.held();
    let keys = peer.keys.clone();
    peer.events();
    for key in keys {
        peer.engine.release(peer.now, key);
    }
    let idle = peer.engine.held();
    assert!(rush > 64 << 10 && idle < 6 << 10, "{rush} bytes, then {idle}");
}

#[test]
fn an_own_reset_does_not_make_room_while_the_handler_runs() {
    let limits = limits_with(|limits| {
        limits.max_concurrent_streams = 2;
        limits.max_unreleased_streams = 3;
    });
    let mut peer = Peer::<ServerRole>::new(limits);
    let mut keys = Vec::new();
    for id in [1, 3, 5] {
        keys.push(peer.request(id, true));
        peer.feed(&window_update(id, 0));
        assert_eq!(peer.events(), [format!("{} misbehaved: window update of 0", keys.len() - 1)]);
    }
    peer.frames();
    peer.feed(&get(7, true));
    assert_eq!(peer.wrote(), "RST_STREAM 7 7");
    peer.events();
    peer.engine.release(peer.now, keys[0]);
    peer.request(9, true);
}

#[test]
fn no_events_after_a_reset_of_this_side() {
    let mut peer = Peer::server();
    peer.feed_all(&[get(1, false), data(1, false, 10)]);
    let (key, _) = peer.engine.poll_event().unwrap();
    peer.engine.reset(peer.now, key, ResetCode::CANCEL);
    peer.feed_all(&[data(1, false, 10), data(1, true, 0), reset(1, ResetCode::CANCEL)]);
    assert_eq!(peer.events(), [""; 0]);
    assert_eq!(peer.wrote(), "RST_STREAM 1 8");
    peer.engine.handle_eof(peer.now);
    assert_eq!(peer.events(), [""; 0]);
}

#[test]
fn stop_receiving_waits_for_the_end() {
    let mut peer = Peer::server();
    let key = peer.request(1, false);
    peer.feed(&data(1, false, 100));
    peer.respond(key, BodySize::Unknown);
    peer.engine.stop_receiving(peer.now, key);
    peer.engine.send_data(peer.now, key, chunk(3));
    assert_eq!(peer.wrote(), "HEADERS 1 :status=200\nDATA 1 3");
    peer.feed(&data(1, false, 100));
    peer.engine.send_end(peer.now, key, None);
    assert_eq!(peer.wrote(), "DATA 1 0 end\nRST_STREAM 1 0");
    assert_eq!(peer.events(), ["0 end sent"]);
    peer.feed(&data(1, false, 100));
    check_conservation(&peer.engine);
    assert_eq!(peer.wrote(), "");
}

#[test]
fn stop_receiving_after_the_end_resets_at_once_and_not_if_the_request_is_complete() {
    let mut peer = Peer::server();
    let key = peer.request(1, false);
    peer.respond(key, BodySize::Empty);
    peer.engine.stop_receiving(peer.now, key);
    assert_eq!(peer.wrote(), "HEADERS 1 end :status=200\nRST_STREAM 1 0");
    assert_eq!(peer.events(), ["0 end sent"]);
    let key = peer.request(3, true);
    peer.engine.stop_receiving(peer.now, key);
    peer.respond(key, BodySize::Empty);
    assert_eq!(peer.wrote(), "HEADERS 3 end :status=200");
}

#[test]
fn a_complete_response_makes_the_rest_of_the_request_needless() {
    let mut peer = Peer::client();
    let key = peer.open(false);
    peer.feed_all(&[headers(1, true, &[(":status", "200")]), reset(1, ResetCode::NO_ERROR)]);
    assert_eq!(peer.events(), ["0 head 200 Empty", "0 end", "0 reset 0 Yes"]);
    peer.engine.send_data(peer.now, key, chunk(1));
    peer.engine.release(peer.now, key);
    assert_eq!(peer.wrote(), "");
}

#[test]
fn what_the_peer_may_have_processed() {
    let mut peer = Peer::client();
    let unsent = peer.engine.open(peer.now).unwrap();
    let queued = peer.engine.open(peer.now).unwrap();
    let sent = peer.open(false);
    let answered = peer.open(false);
    peer.feed(&headers(3, false, &[(":status", "200")]));
    assert!(matches!(peer.engine.poll_event(), Some((key, Event::Head { .. })) if key == answered));
    peer.engine.send_head(peer.now, queued, &request_parts("GET", "/"), BodySize::Unknown);
    peer.engine.handle_eof(peer.now);
    for (key, expected) in [(unsent, "No"), (queued, "No"), (sent, "Unknown"), (answered, "Yes")] {
        let lost = peer.engine.poll_event().map(|(lost, event)| (lost, describe_event::<ClientRole>(&event)));
        assert_eq!(lost, Some((key, format!("lost Eof {expected}"))));
    }
}

#[test]
fn a_refused_stream_was_not_processed() {
    let mut peer = Peer::client();
    peer.open(true);
    peer.open(true);
    peer.feed_all(&[reset(1, ResetCode::REFUSED_STREAM), reset(3, ResetCode::CANCEL)]);
    assert_eq!(peer.events(), ["0 end sent", "1 end sent", "0 reset 7 No", "1 reset 8 Unknown"]);
}

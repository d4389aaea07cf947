//! Frames where they do not belong, or of a form that they must not have (RFC 9113, sections 3 to 6).

use super::*;
use crate::error::PeerMisbehaved;

/// What a server writes in answer to `bytes`, and what it tells, with a stream 1 of which the request goes on.
fn open_stream(bytes: &[u8]) -> (String, Vec<String>) {
    let mut peer = Peer::server();
    peer.request(1, false);
    peer.feed(bytes);
    (peer.wrote(), peer.events())
}

fn ends_connection(bytes: &[u8], code: ResetCode) {
    let (wrote, events) = open_stream(bytes);
    assert_eq!(wrote, format!("GOAWAY 1 {}", code.0), "{bytes:?}");
    assert_eq!(events, ["0 lost Failed Unknown"], "{bytes:?}");
}

#[test]
fn a_preface_that_is_none() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nXX", b"\0"] {
        let mut peer = Peer::<ServerRole>::fresh(Limits::default());
        peer.feed(bytes);
        assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::InvalidPreface));
        assert!(peer.wrote().ends_with("GOAWAY 0 1"));
    }
}

#[test]
fn a_preface_may_trickle_in() {
    let mut peer = Peer::<ServerRole>::fresh(Limits::default());
    for byte in [&frame::PREFACE[..], &settings(&[]), &get(1, true)].concat() {
        peer.feed(&[byte]);
    }
    assert_eq!(peer.events(), ["0 head POST http://host/path Empty", "0 end"]);
}

#[test]
fn settings_come_first() {
    for first in [ping(), frame::settings_ack().to_vec(), get(1, true)] {
        let mut peer = Peer::<ServerRole>::fresh(Limits::default());
        peer.feed_all(&[frame::PREFACE.to_vec(), first.clone()]);
        assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::InvalidPreface));
        let mut peer = Peer::<ClientRole>::fresh(Limits::default());
        peer.feed(&first);
        assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::InvalidPreface));
    }
}

#[test]
fn frames_of_a_wrong_length() {
    for bytes in [
        frame(2, 0, 1, &[0; 4]),
        frame(3, 0, 1, &[0; 3]),
        frame(4, 0, 0, &[0; 5]),
        frame(4, 1, 0, &[0; 6]),
        frame(6, 0, 0, &[0; 7]),
        frame(7, 0, 0, &[0; 7]),
        frame(8, 0, 1, &[0; 5]),
        frame(0, flag::PADDED, 1, &[]),
        frame(1, flag::PRIORITY | flag::END_HEADERS, 1, &[0; 4]),
        data(1, false, 16385),
    ] {
        ends_connection(&bytes, ResetCode::FRAME_SIZE_ERROR);
    }
}

#[test]
fn a_frame_too_large_is_refused_by_its_head() {
    let mut peer = Peer::server();
    peer.feed(&data(1, false, 20_000)[..HEAD_LEN]);
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::InvalidFrameLength("DATA")));
}

#[test]
fn frames_on_a_wrong_stream() {
    for bytes in [
        data(0, false, 1),
        headers(0, false, &REQUEST),
        frame(2, 0, 0, &[0; 5]),
        frame(3, 0, 0, &[0; 4]),
        frame(4, 0, 1, &[]),
        frame(6, 0, 1, &[0; 8]),
        frame(7, 0, 1, &[0; 8]),
        frame(9, flag::END_HEADERS, 0, &[]),
    ] {
        ends_connection(&bytes, ResetCode::PROTOCOL_ERROR);
    }
}

#[test]
fn padding_as_long_as_the_frame() {
    ends_connection(&frame(0, flag::PADDED, 1, &[5, 0, 0, 0, 0]), ResetCode::PROTOCOL_ERROR);
    ends_connection(&frame(1, flag::PADDED | flag::END_HEADERS, 3, &[1]), ResetCode::PROTOCOL_ERROR);
}

#[test]
fn settings_out_of_range() {
    ends_connection(&settings(&[(2, 2)]), ResetCode::PROTOCOL_ERROR);
    ends_connection(&settings(&[(4, 1 << 31)]), ResetCode::FLOW_CONTROL_ERROR);
    ends_connection(&settings(&[(5, 16383)]), ResetCode::PROTOCOL_ERROR);
    ends_connection(&settings(&[(5, 1 << 24)]), ResetCode::PROTOCOL_ERROR);
}

#[test]
fn a_field_block_is_not_interrupted() {
    let begun = frame(1, 0, 3, &block(&REQUEST));
    for bytes in [data(1, false, 1), ping(), frame(9, flag::END_HEADERS, 1, &[]), frame(0x99, 0, 0, &[])] {
        ends_connection(&[begun.clone(), bytes].concat(), ResetCode::PROTOCOL_ERROR);
    }
    ends_connection(&frame(9, flag::END_HEADERS, 1, &[]), ResetCode::PROTOCOL_ERROR);
}

#[test]
fn a_field_block_in_pieces() {
    let mut peer = Peer::server();
    let fields = block(&REQUEST);
    let (a, b) = fields.split_at(20);
    peer.feed_all(&[
        frame(1, flag::END_STREAM, 1, a),
        frame(9, 0, 1, &[]),
        frame(9, flag::END_HEADERS, 1, b),
    ]);
    assert_eq!(peer.events(), ["0 head POST http://host/path Empty", "0 end"]);
}

#[test]
fn a_corrupt_field_block() {
    ends_connection(&frame(1, flag::END_HEADERS, 3, &[0x80]), ResetCode::COMPRESSION_ERROR);
    // Also where nobody waits for the fields.
    let mut peer = Peer::server();
    let key = peer.request(1, false);
    peer.engine.release(peer.now, key);
    peer.frames();
    peer.feed(&frame(1, flag::END_HEADERS, 1, &[0x80]));
    assert_eq!(peer.wrote(), "GOAWAY 1 9");
}

/// RFC 7541, section 4.2, and RFC 9113, section 6.5.3: the table that this side allows, from the acknowledgement on.
#[test]
fn a_dynamic_table_is_as_large_as_the_settings_that_the_peer_has_acknowledged() {
    // Updates to the default of 4096, and to the 64 KiB that the settings allow.
    let (default, larger) = ([0x3f, 0xe1, 0x1f], [0x3f, 0xe1, 0xff, 0x03]);
    let limits = limits_with(|limits| limits.header_table = 64 << 10);
    for (update, is_acked, is_allowed) in
        [(&default[..], false, true), (&larger[..], false, false), (&larger[..], true, true)]
    {
        let mut peer = Peer::<ServerRole>::fresh(limits.clone());
        peer.feed(frame::PREFACE);
        peer.feed(&settings(&[]));
        if is_acked {
            peer.feed(&frame::settings_ack());
        }
        let fields = [update, &block(&REQUEST)].concat();
        peer.feed(&frame(1, flag::END_HEADERS | flag::END_STREAM, 1, &fields));
        let fault = if is_allowed { None } else { Some(PeerMisbehaved::CorruptFieldBlock) };
        assert_eq!(peer.engine.fault(), fault);
    }
}

#[test]
fn frames_after_the_end_reset_the_stream() {
    for bytes in [data(1, false, 1), headers(1, true, &[("a", "b")])] {
        let mut peer = Peer::server();
        peer.request(1, true);
        peer.feed(&bytes);
        assert_eq!(peer.wrote(), "RST_STREAM 1 5");
        assert_eq!(peer.events(), ["0 misbehaved: frame on a closed stream"]);
    }
}

#[test]
fn frames_on_a_stream_that_both_have_ended_end_the_connection() {
    for is_released in [false, true] {
        for bytes in [data(1, false, 1), get(1, true)] {
            let mut peer = Peer::server();
            let key = peer.request(1, true);
            peer.respond(key, BodySize::Empty);
            peer.frames();
            peer.events();
            if is_released {
                peer.engine.release(peer.now, key);
            }
            peer.feed_all(&[window_update(1, 1), reset(1, ResetCode::CANCEL), frame(2, 0, 1, &[0; 5])]);
            assert_eq!(peer.wrote(), "", "these may come late");
            peer.feed(&bytes);
            assert_eq!(peer.wrote(), "GOAWAY 1 5");
        }
    }
}

#[test]
fn frames_on_a_stream_that_the_peer_has_reset() {
    for bytes in [data(1, false, 1), headers(1, true, &[("a", "b")])] {
        let mut peer = Peer::server();
        peer.request(1, false);
        peer.feed(&reset(1, ResetCode::CANCEL));
        peer.feed(&bytes);
        assert_eq!(peer.wrote(), "RST_STREAM 1 5");
        assert_eq!(peer.events(), ["0 reset 8 Unknown"]);
    }
}

#[test]
fn frames_on_a_stream_that_this_side_has_reset_are_ignored() {
    for is_released in [false, true] {
        let mut peer = Peer::client();
        let key = peer.open(false);
        peer.engine.reset(peer.now, key, ResetCode::CANCEL);
        if is_released {
            peer.engine.release(peer.now, key);
        }
        peer.frames();
        peer.feed_all(&[
            headers(1, false, &[(":status", "200")]),
            data(1, false, 100),
            window_update(1, 1),
            headers(1, true, &[("a", "b")]),
            reset(1, ResetCode::CANCEL),
        ]);
        assert_eq!(peer.wrote(), "");
        assert_eq!(peer.events(), [""; 0]);
    }
}

#[test]
fn many_streams_reset_long_ago_still_cost_nothing() {
    let mut peer = Peer::client();
    for _ in 0..1000 {
        let key = peer.open(false);
        peer.engine.release(peer.now, key);
    }
    peer.frames();
    for n in 0..1000 {
        peer.feed_all(&[headers(2 * n + 1, false, &[(":status", "200")]), data(2 * n + 1, true, 10)]);
    }
    assert_eq!(peer.engine.fault(), None);
    assert_eq!(peer.wrote(), "");
}

#[test]
fn misplaced_frames_of_a_message() {
    // Data or an end before the head of a response.
    let mut peer = Peer::client();
    peer.open(true);
    peer.feed(&data(1, false, 1));
    assert_eq!(peer.wrote(), "RST_STREAM 1 1");
    let mut peer = Peer::client();
    peer.open(true);
    peer.feed(&headers(1, true, &[(":status", "100")]));
    assert_eq!(peer.wrote(), "RST_STREAM 1 1");
    // A second head, or trailers that do not end the stream.
    let (wrote, events) = open_stream(&headers(1, false, &[("a", "b")]));
    assert_eq!((wrote.as_str(), events), ("RST_STREAM 1 1", vec!["0 misbehaved: misplaced fields".into()]));
}

#[test]
fn a_stream_that_depends_on_itself() {
    let mut payload = vec![0, 0, 0, 3, 1];
    payload.extend(block(&REQUEST));
    let (wrote, _) = open_stream(&frame(1, flag::PRIORITY | flag::END_HEADERS, 3, &payload));
    assert_eq!(wrote, "RST_STREAM 3 1");
    ends_connection(&frame(2, 0, 5, &[0, 0, 0, 5, 1]), ResetCode::PROTOCOL_ERROR);
}

#[test]
fn the_number_of_streams_that_a_server_takes() {
    let mut peer = Peer::<ClientRole>::fresh(Limits::default());
    for _ in 0..100 {
        peer.engine.open(peer.now).unwrap();
    }
    assert_eq!(peer.engine.open(peer.now), Err(OpenError::Busy));
    peer.feed(&settings(&[(3, 101)]));
    let key = peer.engine.open(peer.now).unwrap();
    assert_eq!(peer.engine.can_open(), Err(OpenError::Busy));
    peer.engine.release(peer.now, key);
    assert_eq!(peer.engine.can_open(), Ok(()));
    peer.feed(&settings(&[]));
    assert_eq!(peer.engine.can_open(), Ok(()));
}

#[test]
fn the_peers_settings_are_acknowledged_and_used() {
    let mut peer = Peer::client();
    peer.feed(&settings(&[(1, 0), (6, 1234)]));
    assert_eq!(peer.wrote(), "SETTINGS ack");
    assert_eq!(peer.engine.peer_max_header_list(), Some(1234));
    // No dynamic table from here on: the decoder of the test has none either.
    peer.decoder.set_max_table_size(0);
    peer.open(true);
    peer.open(true);
}

#[test]
fn a_trailer_section_over_the_limit() {
    let limits = limits_with(|limits| limits.max_header_list = 200);
    let mut peer = Peer::<ServerRole>::new(limits);
    peer.request(1, false);
    peer.feed(&headers(1, true, &[("a", &"b".repeat(200))]));
    assert_eq!(peer.wrote(), "RST_STREAM 1 1");
    assert_eq!(peer.events(), ["0 misbehaved: trailers exceed limit 200"]);
}

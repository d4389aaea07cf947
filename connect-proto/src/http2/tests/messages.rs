//! Requests and responses, as peers see them.

use super::*;

#[test]
fn a_client_says_first_what_it_is() {
    let mut peer = Peer::<ClientRole>::fresh(Limits::default());
    let (bytes, _) = shown(&mut peer.engine);
    assert!(bytes.starts_with(frame::PREFACE));
    assert_eq!(peer.wrote(), "SETTINGS 0\nWINDOW_UPDATE 0 16711681");
    peer.greet();
    assert_eq!(peer.wrote(), "SETTINGS ack");
}

#[test]
fn a_unary_call_on_a_server() {
    let mut peer = Peer::server();
    let mut fields = REQUEST.to_vec();
    fields.push(("content-length", "5"));
    peer.feed_all(&[headers(1, false, &fields), data(1, true, 5)]);
    assert_eq!(peer.events(), ["0 head POST http://host/path Exact(5)", "0 data 5", "0 end"]);
    let key = peer.keys[0];
    peer.respond(key, BodySize::Exact(7));
    peer.engine.send_data(peer.now, key, Chunk::with_prefix([0; 5], Bytes::from_static(b"ab")));
    peer.engine.send_end(peer.now, key, None);
    assert_eq!(peer.wrote(), "HEADERS 1 :status=200 content-length=\"7\"\nDATA 1 7 end");
    assert_eq!(peer.events(), ["0 end sent"]);
    peer.engine.release(peer.now, key);
    assert_eq!(peer.engine.streams(), 0);
    assert_eq!(peer.wrote(), "");
}

#[test]
fn a_unary_call_on_a_client() {
    let mut peer = Peer::client();
    let key = peer.engine.open(peer.now).unwrap();
    peer.number(key);
    assert_eq!(peer.wrote(), "", "nothing goes out before the head");
    peer.engine.send_head(peer.now, key, &request_parts("POST", "https://a:1/x?y"), BodySize::Unknown);
    peer.engine.send_data(peer.now, key, chunk(3));
    peer.engine.send_end(peer.now, key, None);
    let head = "HEADERS 1 :method=POST :scheme=https :authority=a:1 :path=/x?y";
    assert_eq!(peer.wrote(), format!("{head}\nDATA 1 3 end"));
    peer.feed_all(&[headers(1, false, &[(":status", "200")]), data(1, false, 4)]);
    peer.feed_all(&[headers(1, true, &[("grpc-status", "0")])]);
    assert_eq!(
        peer.events(),
        ["0 end sent", "0 head 200 Unknown", "0 data 4", "0 end {\"grpc-status\": \"0\"}"]
    );
    peer.engine.release(peer.now, key);
    assert_eq!(peer.wrote(), "");
}

#[test]
fn a_status_that_does_not_exist_is_passed_on() {
    let mut peer = Peer::client();
    let key = peer.engine.open(peer.now).unwrap();
    peer.number(key);
    peer.engine.send_head(peer.now, key, &request_parts("POST", "http://a/x"), BodySize::Empty);
    peer.wrote();
    peer.feed_all(&[headers(1, true, &[(":status", "800")])]);
    assert_eq!(peer.events(), ["0 end sent", "0 head 800 Empty", "0 end"]);
}

#[test]
fn a_head_without_a_body_ends_the_stream() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Empty);
    assert_eq!(peer.wrote(), "HEADERS 1 end :status=200");
    assert_eq!(peer.events(), ["0 end sent"]);
}

#[test]
fn an_end_right_after_the_head_goes_with_it() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    peer.engine.send_end(peer.now, key, None);
    assert_eq!(peer.wrote(), "HEADERS 1 end :status=200");
}

#[test]
fn trailers_end_the_stream() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    peer.engine.send_data(peer.now, key, chunk(1));
    peer.engine.send_end(peer.now, key, Some(map(&[("grpc-status", "0")])));
    assert_eq!(peer.wrote(), "HEADERS 1 :status=200\nDATA 1 1\nHEADERS 1 end grpc-status=\"0\"");
}

#[test]
fn small_messages_share_a_frame_until_they_are_shown() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    for _ in 0..100 {
        peer.engine.send_data(peer.now, key, Chunk::with_prefix([0; 5], Bytes::from(vec![1; 16])));
    }
    let before = shown(&mut peer.engine).0;
    peer.engine.send_data(peer.now, key, chunk(2));
    peer.engine.send_data(peer.now, key, chunk(2));
    peer.engine.send_end(peer.now, key, None);
    assert!(shown(&mut peer.engine).0.starts_with(&before), "what was shown stays");
    assert_eq!(peer.wrote(), "HEADERS 1 :status=200\nDATA 1 2100\nDATA 1 4 end");
}

#[test]
fn what_was_shown_is_not_changed_by_the_end() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    peer.engine.send_data(peer.now, key, chunk(2));
    let before = shown(&mut peer.engine).0;
    peer.engine.send_end(peer.now, key, None);
    assert!(shown(&mut peer.engine).0.starts_with(&before));
    assert_eq!(peer.wrote(), "HEADERS 1 :status=200\nDATA 1 2\nDATA 1 0 end");
}

#[test]
fn only_what_was_shown_can_be_written() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Empty);
    peer.engine.handle_written(peer.now, usize::MAX);
    assert_eq!(peer.events(), [""; 0]);
    assert_eq!(peer.wrote(), "HEADERS 1 end :status=200");
    assert_eq!(peer.events(), ["0 end sent"]);
}

#[test]
fn an_empty_chunk_makes_no_frame() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    peer.engine.send_data(peer.now, key, chunk(0));
    assert_eq!(peer.wrote(), "HEADERS 1 :status=200");
}

#[test]
fn a_large_chunk_is_cut_into_frames_and_kept_within_the_output() {
    let mut peer = Peer::server();
    peer.feed(&window_update(0, 1 << 20));
    peer.feed(&settings(&[(4, 1 << 20)]));
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    peer.engine.send_data(peer.now, key, chunk(200_000));
    peer.engine.send_end(peer.now, key, None);
    let mut log = Vec::new();
    loop {
        assert_eq!(peer.engine.poll_writable(), None, "the rest is not the application's to send");
        assert!(shown(&mut peer.engine).1 <= (64 << 10) + 100);
        let frames = peer.frames();
        if frames.is_empty() {
            break;
        }
        log.extend(frames);
    }
    let sent: usize = log
        .iter()
        .filter_map(|line| line.strip_prefix("DATA 1 "))
        .map(|rest| rest.trim_end_matches(" end").parse::<usize>().unwrap())
        .sum();
    assert_eq!(sent, 200_000);
    assert!(log.last().unwrap().ends_with(" end"));
    assert_eq!(peer.events(), ["0 end sent"]);
}

#[test]
fn a_large_head_continues() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    let mut parts = response_parts(200);
    parts.headers.insert("x-large", "v".repeat(40_000).parse().unwrap());
    peer.engine.send_head(peer.now, key, &parts, BodySize::Empty);
    let frames = peer.frames();
    assert_eq!(frames.first().unwrap(), "HEADERS 1 end ..");
    assert!(frames.len() > 1 && frames[1..].iter().all(|line| line == "CONTINUATION 1"));
}

#[test]
fn a_body_longer_than_announced_is_not_sent() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Exact(3));
    peer.engine.send_data(peer.now, key, chunk(4));
    assert_eq!(peer.wrote(), "HEADERS 1 :status=200 content-length=\"3\"\nRST_STREAM 1 2");
    assert_eq!(peer.events(), ["0 lost Failed Yes"]);
}

#[test]
fn a_body_shorter_than_announced_is_not_ended() {
    let mut peer = Peer::client();
    let key = peer.engine.open(peer.now).unwrap();
    peer.engine.send_head(peer.now, key, &request_parts("POST", "/"), BodySize::Exact(3));
    peer.engine.send_data(peer.now, key, chunk(2));
    peer.engine.send_end(peer.now, key, None);
    assert!(peer.wrote().ends_with("DATA 1 2\nRST_STREAM 1 2"));
    assert_eq!(peer.events(), ["0 lost Failed No"]);
}

#[test]
fn streams_take_turns_of_16_kib() {
    let mut peer = Peer::server();
    let keys = [peer.request(1, true), peer.request(3, true)];
    for key in keys {
        peer.respond(key, BodySize::Unknown);
        peer.engine.want_write(key);
    }
    peer.frames();
    let mut turns = Vec::new();
    while let Some((key, max)) = peer.engine.poll_writable() {
        assert_eq!(max.min(16384), max);
        turns.push((peer.number(key), max));
        peer.engine.send_data(peer.now, key, chunk(max));
        if max > 0 {
            peer.engine.want_write(key);
        }
    }
    // 64 KiB of output, less the heads of frames: a turn must fit as a whole.
    assert_eq!(turns, [(0, 16384), (1, 16384), (0, 16384)]);
    assert_eq!(peer.wrote(), "DATA 1 16384\nDATA 3 16384\nDATA 1 16384");
    turns.clear();
    while let Some((key, max)) = peer.engine.poll_writable() {
        turns.push((peer.number(key), max));
        peer.engine.send_data(peer.now, key, chunk(max));
        if max > 0 {
            peer.engine.want_write(key);
        }
    }
    // The window of the connection is 65,535.
    assert_eq!(turns, [(1, 16383), (0, 0), (1, 0)]);
    peer.frames();
    assert_eq!(peer.engine.poll_writable(), None, "nobody spins on a closed window");
    peer.feed(&window_update(0, 5));
    assert_eq!(peer.engine.poll_writable().map(|(key, max)| (peer.number(key), max)), Some((0, 5)));
}

#[test]
fn interim_responses_are_skipped() {
    let mut peer = Peer::client();
    peer.open(true);
    peer.feed(&headers(1, false, &[(":status", "103"), ("link", "x")]));
    peer.feed(&headers(1, true, &[(":status", "204")]));
    assert_eq!(peer.events(), ["0 end sent", "0 head 204 Empty", "0 end"]);
}

#[test]
fn small_data_of_one_stream_comes_in_one_piece() {
    let mut peer = Peer::server();
    peer.request(1, false);
    peer.request(3, false);
    peer.feed_all(&[data(1, false, 10), data(1, false, 20), data(3, false, 5), data(1, true, 1)]);
    assert_eq!(peer.events(), ["0 data 30", "1 data 5", "0 data 1", "0 end"]);
}

#[test]
fn small_data_does_not_pin_its_read_buffer() {
    let mut peer = Peer::server();
    peer.request(1, false);
    peer.feed(&data(1, false, 7000));
    peer.feed(&data(1, false, 9000));
    let Some((_, Event::Data(small))) = peer.engine.poll_event() else { panic!("data") };
    let Some((_, Event::Data(large))) = peer.engine.poll_event() else { panic!("data") };
    assert_eq!((small.len(), large.len()), (7000, 9000));
    let buffer = peer.buf.as_ptr() as usize;
    let away = |data: &Bytes| (data.as_ptr() as usize).abs_diff(buffer) > (128 << 10);
    assert!(!away(&large), "a large payload is a slice");
    drop(large);
    // The buffer can be used again from its start while the small piece lives.
    assert!(peer.buf.try_reclaim(60 << 10));
    drop(small);
}

#[test]
fn a_ping_is_answered_and_priority_and_unknown_frames_are_ignored() {
    let mut peer = Peer::server();
    peer.feed_all(&[
        ping(),
        frame(2, 0, 9, &[0, 0, 0, 1, 1]),
        frame(0xfa, 7, 9, b"??"),
        frame(0x10, 0, 0, b"u=1"),
    ]);
    assert_eq!(peer.wrote(), "PING ack b\"12345678\"");
    assert!(!peer.engine.is_closed());
}

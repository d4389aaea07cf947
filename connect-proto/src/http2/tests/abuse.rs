//! What hostile peers do, and what becomes of it. Each test is named after what it stops.

use super::*;
use crate::error::PeerMisbehaved;

impl<R: Describe> Peer<R> {
    /// Feeds the same again and again, reading everything that comes back, until the connection ends; at most so often.
    /// Says how often it took.
    fn feed_until_ended(&mut self, most: usize, mut frames: impl FnMut(usize) -> Vec<u8>) -> Option<usize> {
        for n in 0..most {
            self.feed(&frames(n));
            self.events();
            if self.engine.fault().is_some() {
                return Some(n);
            }
            self.frames();
        }
        None
    }

    fn ended_with(&mut self, name: &'static str) -> bool {
        let code = ResetCode::ENHANCE_YOUR_CALM.0;
        let told = self.frames().last().is_some_and(|last| last.ends_with(&format!(" {code}")));
        told && self.engine.fault() == Some(PeerMisbehaved::Flood(name))
    }
}

fn id(n: usize) -> u32 {
    2 * n as u32 + 1
}

#[test]
fn cve_2023_44487_rapid_reset() {
    let mut peer = Peer::server();
    let open_and_cancel = |n| [get(id(n), false), reset(id(n), ResetCode::CANCEL)].concat();
    let mut most_unreleased = 0;
    for n in 0..5000 {
        peer.feed(&open_and_cancel(n));
        // Handlers take a while: nothing is released.
        peer.events();
        peer.frames();
        most_unreleased = most_unreleased.max(peer.engine.streams());
        if peer.engine.is_closed() || peer.engine.fault().is_some() {
            break;
        }
    }
    assert_eq!(most_unreleased, 500, "resetting a stream makes no room for another handler");

    // And with handlers that are gone at once, the rate alone ends it.
    let mut peer = Peer::server();
    let mut taken = 0;
    while peer.engine.fault().is_none() && taken < 5000 {
        peer.feed(&open_and_cancel(taken));
        while let Some((key, event)) = peer.engine.poll_event() {
            if matches!(event, Event::Reset { .. }) {
                peer.engine.release(peer.now, key);
            }
        }
        taken += 1;
    }
    assert_eq!(taken, 1001);
    assert!(peer.ended_with("resets"));
    assert_eq!(peer.engine.counters().resets, 1001);
}

#[test]
fn cancelling_a_call_now_and_then_costs_nothing() {
    let mut peer = Peer::server();
    for n in 0..5000 {
        peer.feed_all(&[get(id(n), false), reset(id(n), ResetCode::CANCEL)]);
        while let Some((key, event)) = peer.engine.poll_event() {
            if matches!(event, Event::Reset { .. }) {
                peer.engine.release(peer.now, key);
            }
        }
        peer.frames();
        peer.wait(Duration::from_millis(10));
    }
    assert_eq!(peer.engine.fault(), None);
}

#[test]
fn cve_2025_8671_made_you_reset() {
    // A window update of 0 makes the server reset a stream of which the handler goes on.
    let mut peer = Peer::server();
    let mut most_unreleased = 0;
    let ended = (0..5000).find(|n| {
        peer.feed_all(&[get(id(*n), true), window_update(id(*n), 0)]);
        most_unreleased = most_unreleased.max(peer.engine.streams());
        peer.events();
        peer.frames();
        peer.engine.fault().is_some()
    });
    assert_eq!(ended, Some(100));
    assert!(most_unreleased <= 101, "no more handlers than faults are allowed");
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::Flood("faulty streams")));

    // A patient one is stopped by the number of streams that are not released.
    let mut peer = Peer::server();
    for n in 0..2000 {
        peer.feed_all(&[get(id(n), true), window_update(id(n), 0)]);
        peer.events();
        peer.frames();
        peer.wait(Duration::from_millis(100));
    }
    assert_eq!(peer.engine.streams(), 500);
    assert!(peer.engine.counters().refused >= 1500);
}

#[test]
fn cve_2024_27316_continuation_flood() {
    let mut peer = Peer::server();
    peer.feed(&frame(1, 0, 1, &block(&REQUEST)));
    let ended = peer.feed_until_ended(1000, |_| frame(9, 0, 1, b""));
    assert_eq!(ended, Some(16));
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::TooManyContinuations { limit: 16 }));
    assert_eq!(peer.wrote(), "GOAWAY 0 11");

    let mut peer = Peer::server();
    peer.feed(&frame(1, 0, 1, &vec![0; 16384]));
    let ended = peer.feed_until_ended(1000, |_| frame(9, 0, 1, &vec![0; 16384]));
    assert_eq!(ended, Some(3), "64 KiB and not a byte more");
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::FieldBlockTooLarge { limit: 64 << 10 }));
}

#[test]
fn cve_2024_27316_a_block_that_never_ends_times_out() {
    let mut peer = Peer::server();
    peer.feed(&frame(1, 0, 1, &block(&REQUEST)));
    peer.wait(secs(29));
    assert_eq!(peer.engine.fault(), None);
    peer.wait(secs(1));
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::HeadTimeout));
}

#[test]
fn cve_2019_9511_data_dribble() {
    let mut peer = Peer::server();
    peer.feed(&settings(&[(4, 0)]));
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    peer.engine.send_data(peer.now, key, chunk(10_000));
    let ended = (0..10_000).find(|_| {
        peer.feed(&window_update(1, 1));
        assert_eq!(peer.engine.poll_writable(), None);
        peer.frames();
        peer.engine.fault().is_some()
    });
    assert!(ended.is_some_and(|n| n < 1100), "{ended:?}");
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::Flood("empty frames")));
}

#[test]
fn window_updates_of_an_honest_peer_are_no_flood() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    for _ in 0..10_000 {
        peer.engine.send_data(peer.now, key, chunk(30));
        peer.frames();
        peer.feed_all(&[window_update(0, 30), window_update(1, 30)]);
    }
    assert_eq!(peer.engine.fault(), None);
}

#[test]
fn a_peer_that_widens_both_windows_with_every_kib_is_no_flood() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Unknown);
    for _ in 0..2000 {
        peer.engine.send_data(peer.now, key, chunk(16384));
        peer.frames();
        for _ in 0..16 {
            peer.feed_all(&[window_update(0, 1024), window_update(1, 1024)]);
        }
    }
    assert_eq!(peer.engine.fault(), None);
}

#[test]
fn cve_2019_9512_ping_flood() {
    let mut peer = Peer::server();
    assert_eq!(peer.feed_until_ended(10_000, |_| ping()), Some(200));
    assert!(peer.ended_with("pings"));
    assert_eq!(peer.engine.counters().pings, 201);
}

#[test]
fn cve_2019_9512_ping_flood_of_a_peer_that_does_not_read() {
    let limits = limits_with(|limits| limits.guards.pings = Rate::new(u32::MAX, 0));
    let mut peer = Peer::<ServerRole>::new(limits);
    for _ in 0..100_000 {
        if !peer.engine.wants_read() {
            break;
        }
        peer.feed(&ping());
    }
    assert!(!peer.engine.wants_read(), "nothing is read any more");
    assert!(shown(&mut peer.engine).1 <= 257 * 17);
    // It reads: and so does this side, what was left.
    peer.feed(&ping());
    let answered = peer.frames().len();
    assert!(peer.engine.wants_read());
    peer.feed(b"");
    assert_eq!(peer.frames().len() + answered, 258);
    // It never reads: the connection ends.
    while peer.engine.wants_read() {
        peer.feed(&ping());
    }
    peer.wait(secs(30));
    assert!(peer.engine.is_closed());
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn pings_with_every_message_are_no_flood() {
    let mut peer = Peer::server();
    peer.request(1, false);
    for _ in 0..2000 {
        peer.feed_all(&[data(1, false, 30), ping()]);
        while let Some((key, event)) = peer.engine.poll_event() {
            if let Event::Data(data) = event {
                peer.engine.add_credit(peer.now, key, data.len());
            }
        }
        peer.frames();
    }
    assert_eq!(peer.engine.fault(), None);
}

#[test]
fn cve_2019_9513_resource_loop() {
    let mut peer = Peer::server();
    let reprioritize = |n: usize| frame(2, 0, 1, &[0, 0, 0, (n % 2 * 2 + 3) as u8, 1]);
    assert_eq!(peer.feed_until_ended(10_000, reprioritize), Some(1000));
    assert!(peer.ended_with("empty frames"));
}

#[test]
fn cve_2019_9514_reset_flood() {
    // Frames on streams that the peer has reset ask for resets in turn.
    let mut peer = Peer::server();
    peer.request(1, false);
    peer.feed(&reset(1, ResetCode::CANCEL));
    let ended = peer.feed_until_ended(10_000, |_| data(1, false, 1));
    assert_eq!(ended, Some(100));
    assert!(peer.ended_with("faulty streams"));

    let mut peer = Peer::server();
    let malformed = |n| headers(id(n), true, &[(":method", "GET")]);
    assert_eq!(peer.feed_until_ended(10_000, malformed), Some(100));
    assert!(peer.ended_with("faulty streams"));
}

#[test]
fn cve_2019_9515_settings_flood() {
    let mut peer = Peer::server();
    assert_eq!(peer.feed_until_ended(10_000, |_| settings(&[])), Some(50));
    assert!(peer.ended_with("settings"));
    let mut peer = Peer::server();
    assert!(peer.feed_until_ended(10_000, |_| frame::settings_ack().to_vec()).is_some());
}

#[test]
fn cve_2019_9516_zero_length_headers() {
    let mut peer = Peer::server();
    let mut fields = REQUEST.to_vec();
    fields.push(("", ""));
    peer.feed(&headers(1, true, &fields));
    assert_eq!(peer.wrote(), "RST_STREAM 1 1");
    // Empty values are fine but count 32 bytes each, and as fields.
    let mut fields = REQUEST.to_vec();
    fields.extend(std::iter::repeat_n(("x", ""), 101));
    peer.feed(&headers(3, true, &fields));
    assert_eq!(peer.wrote(), "HEADERS 3 end :status=431");
    assert_eq!(peer.events(), [""; 0]);
}

#[test]
fn cve_2019_9517_internal_data_buffering() {
    // The window is open, but the peer does not read: what is queued stays bounded, and ends.
    let mut peer = Peer::server();
    peer.feed(&settings(&[(4, 1 << 30)]));
    peer.feed(&window_update(0, 1 << 30));
    let keys: Vec<_> = (0..100).map(|n| peer.request(id(n), true)).collect();
    peer.frames();
    for key in &keys {
        peer.engine.want_write(*key);
    }
    let mut begun = 0;
    while let Some((key, max)) = peer.engine.poll_writable() {
        peer.respond(key, BodySize::Unknown);
        peer.engine.send_data(peer.now, key, chunk(max));
        peer.engine.want_write(key);
        begun += 1;
    }
    assert_eq!(begun, 3);
    assert!(shown(&mut peer.engine).1 <= 64 << 10);
    peer.wait(secs(30));
    assert!(peer.engine.is_closed());
    let events = peer.events();
    assert_eq!(events.len(), 100);
    assert!(events.iter().all(|event| event.contains("lost WriteStalled")));
}

#[test]
fn cve_2019_9518_empty_frames() {
    let mut peer = Peer::server();
    peer.request(1, false);
    assert_eq!(peer.feed_until_ended(10_000, |_| data(1, false, 0)), Some(1000));
    assert!(peer.ended_with("empty frames"));
    // Padding is not content.
    let mut peer = Peer::server();
    peer.request(1, false);
    assert!(peer.feed_until_ended(10_000, |_| frame(0, flag::PADDED, 1, &[9; 10])).is_some());
    // An unknown type is nothing either.
    let mut peer = Peer::server();
    assert!(peer.feed_until_ended(10_000, |_| frame(0x77, 0, 1, &[])).is_some());
}

#[test]
fn hpack_bomb() {
    // One entry of 4,000 bytes in the table, and 20 references to it: 80 KB out of 25 bytes.
    let mut peer = Peer::server();
    let value = "v".repeat(3960);
    let mut bomb = block(&REQUEST);
    let mut entry = block(&[("bomb", &value)]);
    entry[0] = 0x40;
    bomb.extend_from_slice(&entry);
    bomb.extend_from_slice(&[0x80 | 62; 20]);
    peer.feed(&frame(1, flag::END_HEADERS | flag::END_STREAM, 1, &bomb));
    assert_eq!(peer.wrote(), "HEADERS 1 end :status=431");
    assert_eq!(peer.events(), [""; 0]);
    // The table is in step, and the connection goes on.
    let mut fields = block(&REQUEST);
    fields.push(0x80 | 62);
    peer.feed(&frame(1, flag::END_HEADERS | flag::END_STREAM, 3, &fields));
    assert_eq!(peer.events(), ["0 head POST http://host/path Empty", "0 end"]);
}

#[test]
fn table_size_updates_beyond_the_limit() {
    let mut peer = Peer::server();
    // 4,097.
    let mut fields = vec![0x3f, 0xe2, 0x1f];
    fields.extend(block(&REQUEST));
    peer.feed(&frame(1, flag::END_HEADERS, 1, &fields));
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::CorruptFieldBlock));
    assert_eq!(peer.wrote(), "GOAWAY 0 9");
}

#[test]
fn huffman_padding() {
    for padded in [&[0x00, 0x81, 0x00, 0x00][..], &[0x00, 0x01, b'x', 0x82, 0x1f, 0xff]] {
        let mut peer = Peer::server();
        peer.feed(&frame(1, flag::END_HEADERS, 1, padded));
        assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::CorruptFieldBlock), "{padded:?}");
    }
}

#[test]
fn window_overflow() {
    let mut peer = Peer::server();
    let key = peer.request(1, false);
    peer.feed_all(&[window_update(1, (1 << 31) - 1)]);
    assert_eq!(peer.wrote(), "RST_STREAM 1 3");
    assert_eq!(peer.events(), ["0 misbehaved: flow-control window overflow"]);
    peer.engine.release(peer.now, key);
    peer.feed(&window_update(0, (1 << 31) - 1));
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::WindowOverflow));
    assert_eq!(peer.wrote(), "GOAWAY 1 3");

    let mut peer = Peer::server();
    peer.request(1, false);
    peer.feed_all(&[window_update(1, 1 << 30), settings(&[(4, (1 << 31) - 1)])]);
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::WindowOverflow));
}

#[test]
fn window_update_of_0() {
    let mut peer = Peer::server();
    peer.request(1, false);
    peer.feed(&window_update(1, 0));
    assert_eq!(peer.wrote(), "RST_STREAM 1 1");
    assert_eq!(peer.events(), ["0 misbehaved: window update of 0"]);
    peer.feed(&window_update(0, 0));
    assert_eq!(peer.wrote(), "GOAWAY 1 1");
}

#[test]
fn slow_read_with_a_closed_window() {
    // The windows stay closed: the streams wait, but nothing of them is buffered, and others get on.
    let mut peer = Peer::server();
    peer.feed(&settings(&[(4, 0)]));
    let slow: Vec<_> = (0..249).map(|n| peer.request(id(n), true)).collect();
    for key in &slow {
        peer.respond(*key, BodySize::Unknown);
        peer.engine.want_write(*key);
    }
    while let Some((_, max)) = peer.engine.poll_writable() {
        assert_eq!(max, 0);
    }
    peer.frames();
    let fast = peer.request(id(300), true);
    peer.respond(fast, BodySize::Empty);
    assert_eq!(peer.wrote(), "HEADERS 601 end :status=200");
    assert_eq!(shown(&mut peer.engine).1, 0);
}

/// How long a stream may stay silent is up to the calls: see `message_timeout` of a server's.
#[test]
fn streams_that_open_and_never_send() {
    let mut peer = Peer::server();
    for n in 0..250 {
        peer.request(id(n), false);
    }
    peer.frames();
    peer.feed(&get(id(250), false));
    assert_eq!(peer.wrote(), "RST_STREAM 501 7");
    assert_eq!(peer.events(), [""; 0]);
    assert_eq!(peer.engine.streams(), 250);
    // One that insists is sent away.
    let ended = peer.feed_until_ended(5000, |n| get(id(251 + n), false));
    assert_eq!(ended, Some(999));
    assert!(peer.ended_with("streams"));
}

#[test]
fn ids_that_go_back() {
    let mut peer = Peer::server();
    peer.request(5, false);
    peer.feed(&get(3, true));
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::StreamIdOutOfOrder));
    assert_eq!(peer.wrote(), "GOAWAY 5 1");
    assert_eq!(peer.events(), ["0 lost Failed Unknown"]);
}

#[test]
fn ids_of_a_server() {
    let mut peer = Peer::server();
    peer.feed(&get(2, true));
    assert_eq!(peer.wrote(), "GOAWAY 0 1");
    let mut peer = Peer::client();
    peer.feed(&headers(2, true, &[(":status", "200")]));
    assert_eq!(peer.wrote(), "GOAWAY 0 1");
}

#[test]
fn frames_on_idle_streams() {
    for bytes in [data(1, true, 1), reset(1, ResetCode::CANCEL), window_update(1, 1)] {
        let mut peer = Peer::server();
        peer.feed(&bytes);
        assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::IdleStream));
        let mut peer = Peer::client();
        peer.feed(&bytes);
        assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::IdleStream));
    }
    let mut peer = Peer::client();
    peer.feed(&headers(1, true, &[(":status", "200")]));
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::IdleStream));
}

#[test]
fn push_is_refused() {
    let mut peer = Peer::client();
    peer.open(true);
    peer.feed(&frame(5, flag::END_HEADERS, 1, &[0, 0, 0, 2]));
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::UnexpectedPush));
    assert_eq!(peer.wrote(), "GOAWAY 0 1");
}

#[test]
fn a_pile_of_cookies_costs_no_more_than_its_bytes() {
    let limits = limits_with(|limits| limits.max_headers = 10_000);
    let mut peer = Peer::<ServerRole>::new(limits);
    let mut fields = block(&REQUEST);
    let mut entry = block(&[("cookie", "a=b")]);
    entry[0] = 0x40;
    fields.extend_from_slice(&entry);
    fields.extend_from_slice(&[0x80 | 62; 1000]);
    peer.feed(&frame(1, flag::END_HEADERS | flag::END_STREAM, 1, &fields));
    let Some((_, Event::Head { parts, .. })) = peer.engine.poll_event() else { panic!("a head") };
    assert_eq!(parts.headers.len(), 1);
    assert_eq!(parts.headers["cookie"].len(), 1001 * 5 - 2);
}

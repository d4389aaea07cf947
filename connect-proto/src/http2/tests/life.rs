//! Limits of time, shutdown, and how a connection ends.

use super::*;
use crate::error::{LostKind, PeerMisbehaved};

fn closed<R: Describe>(peer: &mut Peer<R>) -> bool {
    peer.engine.is_closed() && peer.engine.poll_timeout().is_none() && shown(&mut peer.engine).1 == 0
}

#[test]
fn a_server_says_twice_that_it_goes() {
    let mut peer = Peer::server();
    let first = peer.request(1, true);
    peer.engine.shut_down(peer.now, secs(60));
    assert_eq!(peer.wrote(), "GOAWAY 2147483647 0\nPING 0");
    // A request that was on its way is taken.
    let second = peer.request(3, true);
    peer.feed(&frame::ping(true, *b"leaving\0"));
    assert_eq!(peer.wrote(), "GOAWAY 3 0");
    peer.feed(&get(5, true));
    assert_eq!(peer.wrote(), "RST_STREAM 5 7");
    for key in [first, second] {
        assert_eq!(peer.engine.poll_shutdown(), None);
        peer.respond(key, BodySize::Empty);
    }
    assert_eq!(peer.engine.poll_shutdown(), None, "not before all is written");
    peer.frames();
    assert_eq!(peer.events(), ["0 end sent", "1 end sent"]);
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Write));
    assert_eq!(peer.engine.poll_shutdown(), None);
    peer.feed(b"anything at all is discarded");
    peer.engine.handle_eof(peer.now);
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Close));
    assert!(closed(&mut peer));
}

#[test]
fn a_client_that_does_not_answer_the_notice_is_not_waited_for() {
    let mut peer = Peer::server();
    peer.engine.shut_down(peer.now, secs(60));
    peer.frames();
    peer.wait(secs(1));
    assert_eq!(peer.wrote(), "GOAWAY 0 0");
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Write));
    peer.wait(secs(1));
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Close));
    assert!(closed(&mut peer));
}

#[test]
fn the_grace_ends() {
    let mut peer = Peer::server();
    peer.request(1, true);
    peer.engine.shut_down(peer.now, secs(60));
    peer.engine.shut_down(peer.now, secs(5));
    peer.engine.shut_down(peer.now, secs(90));
    peer.wait(secs(4));
    assert_eq!(peer.events(), [""; 0]);
    peer.wait(secs(1));
    assert_eq!(peer.events(), ["0 lost ShutDown Unknown"]);
    peer.frames();
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Write));
}

#[test]
fn output_that_stands_still_does_not_extend_the_grace() {
    let mut peer = Peer::server();
    peer.request(1, true);
    peer.engine.shut_down(peer.now, secs(5));
    peer.wait(secs(5));
    assert_eq!(peer.engine.poll_shutdown(), None, "the last word is not out");
    peer.wait(secs(1));
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn a_client_shuts_down() {
    let mut peer = Peer::client();
    peer.open(true);
    peer.engine.shut_down(peer.now, secs(60));
    assert_eq!(peer.engine.can_open(), Err(OpenError::GoingAway));
    assert_eq!(peer.wrote(), "GOAWAY 0 0");
    peer.feed(&headers(1, true, &[(":status", "200")]));
    assert_eq!(peer.events(), ["0 end sent", "0 head 200 Empty", "0 end"]);
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Write));
}

#[test]
fn streams_beyond_a_goaway_were_not_processed() {
    let mut peer = Peer::client();
    for _ in 0..3 {
        peer.open(true);
    }
    peer.events();
    // As Go does: at first it takes all that are there.
    peer.feed(&goaway((1 << 31) - 1, ResetCode::NO_ERROR));
    assert_eq!(peer.engine.can_open(), Err(OpenError::GoingAway));
    assert_eq!(peer.events(), [""; 0]);
    peer.feed(&goaway(3, ResetCode::NO_ERROR));
    assert_eq!(peer.events(), ["2 reset 7 No"]);
    let goaway = GoAway { code: ResetCode::NO_ERROR, last_stream: 3, debug: "".into() };
    assert_eq!(peer.engine.goaway(), Some(&goaway));
    peer.feed_all(&[headers(1, true, &[(":status", "200")]), headers(3, true, &[(":status", "200")])]);
    assert_eq!(peer.events(), ["0 head 200 Empty", "0 end", "1 head 200 Empty", "1 end"]);
    peer.frames();
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Write));
}

#[test]
fn a_peer_that_asks_for_calm_is_known() {
    let mut peer = Peer::client();
    peer.open(true);
    peer.feed(&goaway(0, ResetCode::ENHANCE_YOUR_CALM));
    assert_eq!(peer.engine.goaway().map(|goaway| goaway.code), Some(ResetCode::ENHANCE_YOUR_CALM));
    assert_eq!(peer.events(), ["0 end sent", "0 reset 7 No"]);
    assert_eq!(peer.engine.can_open(), Err(OpenError::GoingAway));
}

#[test]
fn what_a_goaway_says_for_humans_is_kept_with_its_code() {
    let say = |code: ResetCode, debug: &[u8]| {
        frame(7, 0, 0, &[&3_u32.to_be_bytes()[..], &code.0.to_be_bytes(), debug].concat())
    };
    let debug = |peer: &Peer<ClientRole>| peer.engine.goaway().unwrap().debug.to_string();
    let mut peer = Peer::client();
    peer.open(true);
    peer.open(true);
    peer.feed(&say(ResetCode::NO_ERROR, b"max_age"));
    assert_eq!(debug(&peer), "max_age");
    peer.feed(&say(ResetCode::ENHANCE_YOUR_CALM, b"too_many_pings\n\xff"));
    assert_eq!(debug(&peer), "too_many_pings\u{fffd}\u{fffd}");
    peer.feed(&say(ResetCode::NO_ERROR, b"bye"));
    assert_eq!(debug(&peer), "too_many_pings\u{fffd}\u{fffd}", "that of the code that counts");
    peer.feed(&say(ResetCode::ENHANCE_YOUR_CALM, &[b'x'; 10_000]));
    assert_eq!(debug(&peer), "x".repeat(256));
}

#[test]
fn a_write_that_stalls_ends_the_connection() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Empty);
    peer.wait(secs(20));
    assert!(shown(&mut peer.engine).1 > 1);
    peer.engine.handle_written(peer.now, 1);
    peer.wait(secs(29));
    assert!(!peer.engine.is_closed(), "a byte has moved");
    peer.wait(secs(1));
    assert!(closed(&mut peer));
    assert_eq!(peer.events(), ["0 lost WriteStalled Yes"]);
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn settings_that_are_not_acknowledged() {
    let mut peer = Peer::<ClientRole>::fresh(Limits::default());
    peer.feed(&settings(&[]));
    peer.frames();
    peer.wait(secs(30));
    assert_eq!(peer.engine.fault(), Some(PeerMisbehaved::SettingsTimeout));
    assert_eq!(peer.wrote(), "GOAWAY 0 4");
}

#[test]
fn a_client_that_says_nothing() {
    let mut peer = Peer::<ServerRole>::fresh(Limits::default());
    peer.frames();
    peer.feed(&frame::PREFACE[..10]);
    peer.wait(secs(30));
    assert!(peer.engine.fault().is_some());
    assert!(peer.wrote().starts_with("GOAWAY 0"));
}

#[test]
fn a_client_without_streams_is_sent_away() {
    let mut peer = Peer::server();
    peer.wait(secs(200));
    let key = peer.request(1, true);
    peer.wait(secs(3000));
    assert_eq!(peer.wrote(), "", "a stream is no idleness");
    peer.respond(key, BodySize::Empty);
    peer.frames();
    peer.wait(secs(299));
    assert_eq!(peer.wrote(), "");
    peer.wait(secs(1));
    assert!(peer.wrote().starts_with("GOAWAY 2147483647 0"));
}

fn kept_alive(while_idle: bool) -> Limits {
    limits_with(|limits| {
        limits.keep_alive = Some(KeepAlive { interval: secs(10), timeout: secs(5), while_idle });
        limits.idle_timeout = None;
    })
}

#[test]
fn a_peer_that_is_gone_is_noticed() {
    let mut peer = Peer::<ClientRole>::new(kept_alive(false));
    peer.wait(secs(100));
    assert_eq!(peer.wrote(), "", "not while idle");
    let key = peer.engine.open(peer.now).unwrap();
    peer.engine.send_head(peer.now, key, &request_parts("GET", "/"), BodySize::Empty);
    assert!(peer.wrote().starts_with("PING 0"), "a connection that was idle for long is tried at once");
    peer.events();
    peer.feed(&frame::ping(true, *b"alive?\0\0"));
    assert_eq!(peer.engine.last_heard(), peer.now);
    peer.wait(secs(9));
    assert_eq!(peer.wrote(), "");
    peer.wait(secs(1));
    assert_eq!(peer.wrote(), "PING 0");
    peer.wait(secs(4));
    assert!(!peer.engine.is_closed());
    peer.wait(secs(1));
    assert_eq!(peer.events(), ["0 lost Unresponsive Unknown"]);
    assert!(closed(&mut peer));
}

#[test]
fn a_peer_that_talks_is_not_gone() {
    let mut peer = Peer::<ServerRole>::new(kept_alive(true));
    for _ in 0..100 {
        peer.wait(secs(4));
        peer.feed(&window_update(0, 1));
        assert_eq!(peer.wrote(), "");
    }
    peer.wait(secs(10));
    assert_eq!(peer.wrote(), "PING 0");
    for _ in 0..100 {
        peer.wait(secs(4));
        peer.feed(&window_update(0, 1));
    }
    assert!(!peer.engine.is_closed());
}

/// The pings that go out while this side waits for so many seconds and the peer answers each.
fn pings_within(peer: &mut Peer<ClientRole>, seconds: u64) -> usize {
    let mut pings = 0;
    for _ in 0..seconds {
        peer.wait(secs(1));
        let sent = peer.frames().iter().filter(|line| line.starts_with("PING")).count();
        if sent > 0 {
            peer.feed(&frame::ping(true, *b"alive?\0\0"));
        }
        pings += sent;
    }
    pings
}

#[test]
fn a_peer_that_asks_for_calm_gets_half_as_many_pings() {
    let mut peer = Peer::<ClientRole>::new(kept_alive(false));
    peer.open(true);
    assert_eq!(pings_within(&mut peer, 100), 10);
    peer.feed(&goaway(1, ResetCode::NO_ERROR));
    assert_eq!(pings_within(&mut peer, 100), 10, "it did not ask for that");
    peer.feed(&goaway(1, ResetCode::ENHANCE_YOUR_CALM));
    assert_eq!(pings_within(&mut peer, 100), 5);
    peer.feed(&goaway(1, ResetCode::NO_ERROR));
    assert_eq!(pings_within(&mut peer, 100), 5, "once is enough");
    assert_eq!(peer.engine.goaway().map(|goaway| goaway.code), Some(ResetCode::ENHANCE_YOUR_CALM));
}

#[test]
fn a_ping_under_way_when_calm_is_asked_for_is_still_awaited() {
    let mut peer = Peer::<ClientRole>::new(kept_alive(false));
    peer.open(true);
    peer.wait(secs(10));
    assert_eq!(peer.wrote(), "PING 0");
    peer.events();
    peer.feed(&goaway(1, ResetCode::ENHANCE_YOUR_CALM));
    peer.wait(secs(5));
    assert_eq!(peer.events(), ["0 lost Unresponsive Unknown"]);
}

#[test]
fn backing_off_doubles_the_interval_alone() {
    let keep_alive = KeepAlive { interval: secs(10), timeout: secs(5), while_idle: true };
    assert_eq!(keep_alive.backed_off(), KeepAlive { interval: secs(20), ..keep_alive });
    let never = KeepAlive { interval: Duration::MAX, ..keep_alive };
    assert_eq!(never.backed_off(), never);
}

#[test]
fn bytes_that_were_there_before_are_no_sign_of_life() {
    let mut peer = Peer::<ServerRole>::new(kept_alive(true));
    peer.feed(&get(1, true)[..5]);
    for _ in 0..9 {
        peer.wait(secs(1));
        peer.feed(b"");
    }
    peer.wait(secs(1));
    assert_eq!(peer.wrote(), "PING 0");
}

#[test]
fn an_end_of_input_loses_what_is_not_complete() {
    let mut peer = Peer::client();
    peer.open(true);
    peer.open(true);
    peer.feed_all(&[headers(1, true, &[(":status", "200")]), headers(3, false, &[(":status", "200")])]);
    peer.engine.handle_eof(peer.now);
    let events = peer.events();
    assert_eq!(events.last().unwrap(), "1 lost Eof Yes");
    assert_eq!(events.iter().filter(|event| event.contains("lost")).count(), 1);
    assert!(closed(&mut peer));
    assert_eq!(peer.engine.can_open(), Err(OpenError::GoingAway));
}

#[test]
fn an_end_that_is_not_written_is_lost() {
    let mut peer = Peer::server();
    let key = peer.request(1, true);
    peer.respond(key, BodySize::Empty);
    peer.engine.handle_io_failed(peer.now, LostKind::Reset);
    assert_eq!(peer.events(), ["0 lost Reset Yes"]);
    peer.engine.release(peer.now, key);
    assert!(closed(&mut peer));
}

#[test]
fn a_client_reads_on_after_a_write_has_failed() {
    let mut peer = Peer::client();
    let early = peer.open(false);
    peer.open(false);
    peer.engine.send_data(peer.now, early, chunk(10));
    peer.engine.handle_write_failed(peer.now, LostKind::Reset);
    assert_eq!(peer.engine.can_open(), Err(OpenError::GoingAway));
    peer.feed(&headers(1, true, &[(":status", "413")]));
    assert_eq!(peer.events(), ["0 head 413 Empty", "0 end"]);
    peer.engine.release(peer.now, early);
    peer.wait(secs(1));
    assert_eq!(peer.events(), ["1 lost Reset Unknown"]);
    assert!(closed(&mut peer));
}

#[test]
fn what_was_read_before_the_end_counts() {
    let limits = limits_with(|limits| limits.max_unwritten_replies = 0);
    let mut peer = Peer::<ClientRole>::new(limits);
    peer.open(true);
    peer.feed_all(&[ping(), headers(1, true, &[(":status", "200")])]);
    peer.engine.handle_eof(peer.now);
    peer.frames();
    assert_eq!(peer.events(), ["0 end sent"]);
    peer.feed(b"");
    assert_eq!(peer.events(), ["0 head 200 Empty", "0 end"]);
    assert!(peer.engine.is_closed());
}

#[test]
fn a_fault_is_told_to_the_peer_and_lingers() {
    let mut peer = Peer::server();
    peer.request(1, true);
    peer.feed(&data(0, false, 1));
    assert_eq!(peer.engine.poll_shutdown(), None);
    let bytes = shown(&mut peer.engine).0;
    assert!(bytes.ends_with(b"DATA frame on an invalid stream"), "in words, too");
    peer.frames();
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Write));
    peer.wait(secs(1));
    assert_eq!(peer.engine.poll_shutdown(), Some(Shutdown::Close));
    assert_eq!(peer.events(), ["0 lost Failed Unknown"]);
}

#[test]
fn time_that_runs_backwards_is_clamped() {
    let mut peer = Peer::server();
    peer.now = at(100);
    peer.request(1, true);
    peer.now = at(0);
    peer.engine.handle_timeout(peer.now);
    assert_eq!(peer.engine.last_heard(), at(100));
}

#[test]
fn an_idle_connection_is_small() {
    let mut peer = Peer::server();
    for n in 0..100 {
        let key = peer.request(2 * n + 1, true);
        peer.respond(key, BodySize::Unknown);
        peer.engine.send_data(peer.now, key, chunk(900));
        peer.engine.send_end(peer.now, key, None);
        peer.frames();
        peer.events();
        peer.engine.release(peer.now, key);
    }
    let size = size_of::<Server>() + peer.engine.held();
    assert!(size < 8 << 10, "{size} bytes");
}

//! A server's connection from its first byte to its last: reuse, limits, the client's departure.

use super::*;
use crate::error::{LostKind, PeerMisbehaved as P};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n";
const EXPECTING: &str = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 5\r\n\r\n";
const REQUEST_TIMEOUT: &str =
    "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[test]
fn one_request_after_the_other() {
    let mut peer = Peer::<Server>::new();
    for _ in 0..3 {
        peer.feed(GET);
        peer.answer("x");
        assert_eq!(peer.take_log(), ["GET / Empty", "end", "end sent"]);
        assert_eq!(peer.reuse(), Ok(()));
        assert!(peer.machine.is_idle());
    }
    assert_eq!(peer.machine.poll_shutdown(), None);
}

#[test]
fn pipelined_requests_wait_for_the_response_before() {
    let mut peer = Peer::serving(&(GET.to_owned() + POST + "hello"));
    assert_eq!(peer.take_log(), ["GET / Empty", "end"]);
    peer.send_head(&Response::new(()), BodySize::Exact(1));
    peer.send("x");
    peer.end();
    assert!(peer.log.is_empty(), "not before the last byte is acknowledged");
    peer.flush();
    assert_eq!(peer.take_log(), ["end sent", "POST / Exact(5)", "data hello", "end"]);
}

#[test]
fn a_response_may_end_before_the_request() {
    let mut peer = Peer::serving(&(POST.to_owned() + "he"));
    peer.answer("x");
    assert_eq!(peer.take_log(), ["POST / Exact(5)", "data he", "end sent"]);
    assert!(peer.machine.is_receiving() && peer.reuse().is_ok());
    peer.feed("llo".to_owned() + GET);
    assert_eq!(peer.take_log(), ["data llo", "end", "GET / Empty", "end"]);
}

#[test]
fn reading_stops_at_a_bound_of_pipelined_bytes() {
    let mut peer = Peer::<Server>::with(Limits { max_head: 100, ..Limits::default() });
    peer.feed(GET);
    assert!(peer.machine.wants_read(), "so that the end of the client is noticed");
    peer.feed([b'x'; 99]);
    assert!(peer.machine.wants_read());
    peer.feed("x");
    assert!(!peer.machine.wants_read());
    peer.answer("x");
    assert_eq!(peer.machine.fault(), Some(P::HeadTooLarge { limit: 100 }));
}

#[test]
fn rule_16_the_departure_of_the_client_is_told_while_nothing_is_written() {
    let mut peer = Peer::serving(GET);
    peer.eof();
    assert_eq!(peer.log, ["GET / Empty", "end", "lost Eof Unknown"]);
    assert_eq!(peer.reuse(), Err(NotReusable::PeerClosed));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
    assert_eq!(peer.machine.poll_timeout(), None);
}

#[test]
fn a_response_whose_end_is_queued_is_still_written_after_the_clients_end() {
    let mut peer = Peer::serving(GET);
    peer.send_head(&Response::new(()), BodySize::Exact(1));
    peer.send("x");
    peer.end();
    peer.eof();
    assert!(peer.written().ends_with("\r\n\r\nx"));
    assert_eq!(peer.log, ["GET / Empty", "end", "end sent"]);
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close), "nobody is left to linger for");
}

#[test]
fn a_request_cut_off_never_looks_complete() {
    for request in [
        POST.to_owned() + "hell",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhell\r\n".into(),
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhell\r\n0\r\n".into(),
    ] {
        let mut peer = Peer::serving(&request);
        peer.eof();
        assert_eq!(peer.log.split_off(1), ["data hell", "lost Eof Unknown"], "{request:?}");
    }
}

#[test]
fn what_was_read_before_the_end_counts_first() {
    let mut peer = Peer::serving(POST);
    peer.take_log();
    // The driver reads a body and the end at once, while an event waits.
    peer.buf.extend_from_slice(b"hello");
    peer.machine.handle_read(peer.now, &mut peer.buf);
    peer.machine.handle_eof(peer.now);
    peer.pump();
    assert_eq!(peer.log, ["data hello", "end", "lost Eof Unknown"]);
}

#[test]
fn what_is_left_in_the_buffer_counts_before_the_end() {
    let mut peer = Peer::<Server>::new();
    peer.buf.extend_from_slice((POST.to_owned() + "hello").as_bytes());
    peer.machine.handle_read(peer.now, &mut peer.buf);
    assert_eq!(peer.buf.len(), 5, "the head waits to be polled");
    peer.machine.handle_eof(peer.now);
    peer.pump();
    assert_eq!(peer.log, ["POST / Exact(5)", "data hello", "end", "lost Eof Unknown"]);
}

#[test]
fn a_failed_transport_ends_everything() {
    let mut peer = Peer::serving(GET);
    peer.send_head(&Response::new(()), BodySize::Empty);
    peer.machine.handle_io_failed(peer.now, LostKind::Reset);
    peer.pump();
    assert_eq!(peer.log.last().unwrap(), "lost Reset Yes");
    assert!(peer.shown().is_empty());
    assert_eq!(peer.reuse(), Err(NotReusable::Lost));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn the_end_of_an_idle_client_is_no_event() {
    let mut peer = Peer::serving(GET);
    peer.answer("x");
    peer.take_log();
    peer.eof();
    assert!(peer.log.is_empty());
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
    assert_eq!(peer.machine.poll_shutdown(), None, "told once");
}

#[test]
fn continue_is_sent_when_the_body_is_wanted() {
    let mut peer = Peer::serving(EXPECTING);
    assert!(peer.shown().is_empty());
    peer.machine.want_body(peer.now);
    peer.machine.want_body(peer.now);
    assert_eq!(peer.written(), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.feed("hello");
    peer.answer("x");
    assert_eq!(peer.log, ["POST / Exact(5)", "data hello", "end", "end sent"]);
    assert_eq!(peer.reuse(), Ok(()));
}

#[test]
fn continue_is_not_sent_when_the_body_is_already_coming() {
    let mut peer = Peer::serving(&(EXPECTING.to_owned() + "h"));
    peer.machine.want_body(peer.now);
    assert!(peer.shown().is_empty());
}

#[test]
fn continue_is_not_sent_unasked() {
    for request in [POST, "GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n"] {
        let mut peer = Peer::serving(request);
        peer.machine.want_body(peer.now);
        assert!(peer.shown().is_empty());
    }
    let mut peer = Peer::serving("POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    peer.machine.want_body(peer.now);
    assert!(peer.shown().is_empty());
}

#[test]
fn a_final_head_without_continue_ends_the_connection() {
    let mut peer = Peer::serving(EXPECTING);
    peer.send_head(&Response::new(()), BodySize::Empty);
    assert!(!peer.machine.is_receiving());
    assert!(peer.written().contains("connection: close"));
    assert_eq!(peer.reuse(), Err(NotReusable::RequestUnread));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write));
    peer.feed("hello, if it comes");
    assert_eq!(peer.log, ["POST / Exact(5)", "end sent"]);
    peer.eof();
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn stop_receiving_flushes_then_lingers() {
    let mut peer = Peer::serving(&(POST.to_owned() + "h"));
    peer.send_head(&Response::new(()), BodySize::Empty);
    peer.machine.stop_receiving(peer.now);
    assert_eq!(peer.machine.poll_shutdown(), None, "the response comes first");
    assert!(peer.written().starts_with("HTTP/1.1 200 OK"));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write));
    peer.feed("ello");
    assert_eq!(peer.log, ["POST / Exact(5)", "data h", "end sent"]);
    assert_eq!(peer.reuse(), Err(NotReusable::RequestUnread));
    peer.wait(secs(2));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn stop_receiving_drops_data_that_waits() {
    let mut peer = Peer::serving(POST);
    peer.take_log();
    peer.buf.extend_from_slice(b"he");
    peer.machine.handle_read(peer.now, &mut peer.buf);
    peer.machine.stop_receiving(peer.now);
    peer.feed("llo");
    assert!(peer.log.is_empty() && peer.buf.is_empty());
}

#[test]
fn stop_receiving_means_nothing_when_the_request_is_complete() {
    let mut peer = Peer::serving(&(POST.to_owned() + "hello"));
    peer.machine.stop_receiving(peer.now);
    peer.answer("x");
    assert!(peer.machine.is_idle() && peer.reuse().is_ok());
}

fn lingering() -> Peer<Server> {
    let mut peer = Peer::serving(POST);
    peer.answer("x");
    peer.machine.stop_receiving(peer.now);
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write));
    peer
}

#[test]
fn a_trickling_client_cannot_extend_the_linger() {
    let mut peer = lingering();
    for _ in 0..30 {
        peer.advance(Duration::from_millis(100));
        peer.feed("x");
    }
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
    assert_eq!(peer.machine.poll_timeout(), None);
}

#[test]
fn a_fast_client_cannot_extend_the_linger() {
    let mut peer = lingering();
    peer.feed(vec![b'x'; 1 << 20]);
    assert_eq!(peer.machine.poll_shutdown(), None);
    peer.feed("x");
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn a_slow_head_is_answered_408() {
    let mut peer = Peer::serving("GET / HT");
    for _ in 0..29 {
        peer.wait(secs(1));
        peer.feed("T");
        assert!(peer.shown().is_empty());
    }
    peer.wait(secs(1));
    assert_eq!(peer.written(), REQUEST_TIMEOUT);
    assert_eq!(peer.machine.fault(), Some(P::HeadTimeout));
    assert_eq!(peer.reuse(), Err(NotReusable::HeadTimeout));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write));
    assert!(peer.log.is_empty());
}

#[test]
fn a_late_timer_does_not_let_a_slow_head_through() {
    let mut peer = Peer::serving("GET / HTTP/1.1\r\n");
    peer.advance(secs(30));
    peer.feed("host: a\r\n\r\n");
    assert_eq!(peer.written(), REQUEST_TIMEOUT);
    assert!(peer.log.is_empty());
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    for begin in ["", "\r\n", "\r"] {
        let mut peer = Peer::serving(begin);
        peer.wait(secs(59));
        assert_eq!(peer.machine.poll_shutdown(), None);
        peer.wait(secs(1));
        assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
        assert_eq!((peer.reuse(), peer.shown()), (Err(NotReusable::Idle), vec![]));
    }
}

#[test]
fn a_connection_is_not_idle_while_its_application_works() {
    let mut peer = Peer::serving(GET);
    peer.wait(secs(3600));
    assert_eq!(peer.machine.poll_timeout(), None);
    peer.answer("x");
    assert_eq!(peer.machine.poll_timeout(), Some(at(3660)));
}

#[test]
fn output_that_does_not_move_is_given_up() {
    let mut peer = Peer::serving(GET);
    peer.send_head(&Response::new(()), BodySize::Exact(100));
    peer.wait(secs(29));
    peer.machine.handle_written(peer.now, 1);
    peer.wait(secs(29));
    assert!(!peer.machine.is_closed(), "a byte moved");
    peer.wait(secs(1));
    assert_eq!(peer.log.last().unwrap(), "lost WriteStalled Yes");
    assert_eq!(peer.reuse(), Err(NotReusable::WriteStalled));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn output_that_grows_but_does_not_move_is_given_up() {
    let mut peer = Peer::serving(GET);
    peer.send_head(&Response::new(()), BodySize::Unknown);
    for _ in 0..30 {
        peer.advance(secs(1));
        peer.send("more");
    }
    assert_eq!(peer.log.last().unwrap(), "lost WriteStalled Yes");
}

#[test]
fn a_last_request_that_is_broken_is_lingered_for() {
    let mut peer = Peer::serving(
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\nxyz",
    );
    peer.answer("sorry");
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write));
}

#[test]
fn a_fault_in_a_body_leaves_the_response_to_the_application() {
    let mut peer = Peer::serving("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxyz");
    assert_eq!(peer.log, ["POST / Unknown", "data x", "misbehaved: malformed chunk"]);
    assert_eq!(peer.machine.fault(), Some(P::MalformedChunk));
    peer.feed("more of it, discarded");
    assert!(peer.buf.is_empty());
    peer.answer("sorry");
    assert!(peer.take_wire().ends_with("content-length: 5\r\nconnection: close\r\n\r\nsorry"));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write));
    assert_eq!(peer.reuse(), Err(NotReusable::PeerMisbehaved));
}

#[test]
fn shut_down_closes_an_idle_connection_after_its_notice() {
    let limits = |notice| Limits { shutdown_notice: secs(notice), ..Limits::default() };
    for (notice, idle_for, closes_after) in [(0, 0, 0), (1, 0, 1), (1, 59, 1), (10, 55, 5)] {
        let mut peer = Peer::<Server>::with(limits(notice));
        peer.wait(secs(idle_for));
        peer.machine.shut_down(peer.now);
        assert_eq!(peer.reuse(), Err(NotReusable::ShutDown));
        if closes_after > 0 {
            assert_eq!(peer.machine.poll_timeout(), Some(at(idle_for + closes_after)));
            peer.machine.shut_down(peer.now.saturating_add(secs(1) / 2)); // extends nothing
            peer.wait(secs(closes_after));
        }
        assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
        assert!(peer.log.is_empty());
    }
}

#[test]
fn a_request_that_was_on_its_way_at_a_shutdown_is_served_as_the_last_one() {
    let mut peer = Peer::<Server>::new();
    peer.machine.shut_down(peer.now);
    peer.wait(secs(1) / 2);
    peer.feed(GET);
    peer.wait(secs(10));
    peer.answer("x");
    assert!(peer.take_wire().contains("connection: close"));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write));
    assert_eq!(peer.log, ["GET / Empty", "end", "end sent"]);
}

#[test]
fn shut_down_ends_after_the_current_exchange() {
    for begun in [GET, "GET / HT"] {
        let mut peer = Peer::serving(begun);
        peer.machine.shut_down(peer.now);
        assert_eq!(peer.machine.poll_shutdown(), None);
        peer.feed(GET.get(begun.len()..).unwrap());
        peer.answer("x");
        assert!(peer.take_wire().contains("connection: close"));
        assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write));
        assert_eq!(peer.log, ["GET / Empty", "end", "end sent"]);
    }
}

#[test]
fn abort_closes_at_once_and_says_no_more() {
    let mut peer = Peer::serving(POST);
    peer.send_head(&Response::new(()), BodySize::Exact(10));
    peer.buf.extend_from_slice(b"hello");
    peer.machine.handle_read(peer.now, &mut peer.buf);
    peer.machine.abort(peer.now, NotReusable::Aborted);
    peer.pump();
    assert_eq!(peer.log, ["POST / Exact(5)"]);
    assert!(peer.shown().is_empty());
    assert_eq!(peer.reuse(), Err(NotReusable::Aborted));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
    assert_eq!(peer.machine.poll_timeout(), None);
}

#[test]
fn a_client_of_http10_is_served_once() {
    let mut peer = Peer::serving("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    peer.send_head(&Response::new(()), BodySize::Unknown);
    peer.send("a");
    peer.send("b");
    peer.end();
    assert_eq!(peer.written(), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab");
    assert_eq!(peer.reuse(), Err(NotReusable::Http10));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close), "it sends no more, so nothing is lost");
}

#[test]
fn a_clock_that_runs_backwards_is_clamped() {
    let mut peer = Peer::serving("GET / HT");
    peer.machine.handle_timeout(at(10));
    peer.machine.handle_timeout(at(5));
    peer.feed("TP/1.1\r\nhost: a\r\n\r\n");
    peer.send_head(&Response::new(()), BodySize::Empty);
    assert_eq!(peer.machine.poll_timeout(), Some(at(40)));
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Server>() <= 700 && size_of::<Client>() <= 700);
}

#[test]
fn an_idle_connection_holds_no_large_output() {
    let mut peer = Peer::serving(GET);
    peer.send_head(&Response::new(()), BodySize::Exact(100_000));
    for _ in 0..100 {
        peer.send(&"x".repeat(1000));
    }
    peer.end();
    assert!(peer.machine.held() > 100_000);
    peer.flush();
    assert!(peer.machine.is_idle() && peer.machine.held() <= 2048, "{}", peer.machine.held());
}

#[test]
fn limits_of_zero_do_not_spin() {
    let zero = Some(Duration::ZERO);
    let limits = Limits {
        head_timeout: zero,
        idle_timeout: zero,
        write_stall: zero,
        shutdown_notice: Duration::ZERO,
        linger: Duration::ZERO,
        ..Limits::default()
    };
    let mut peer = Peer::<Server>::with(limits);
    peer.wait(secs(1));
    assert!(peer.machine.is_closed());
}

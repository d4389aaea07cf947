//! A client's connection: recall, early responses, what is lost and what is not.

use super::*;
use crate::error::{LostKind, PeerMisbehaved as P};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

#[test]
fn one_request_after_the_other() {
    let mut peer = Peer::<Client>::new();
    for _ in 0..3 {
        assert!(peer.machine.is_idle());
        peer.ask(&get(), BodySize::Empty);
        assert!(!peer.machine.is_idle());
        peer.flush();
        peer.feed(OK);
        assert_eq!(peer.take_log(), ["end sent", "200 Exact(2)", "data hi", "end"]);
    }
    assert_eq!(peer.machine.poll_shutdown(), None);
    assert_eq!(peer.machine.poll_timeout(), None);
}

#[test]
fn a_request_of_which_nothing_has_left_is_recalled() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&post(), BodySize::Unknown);
    peer.send("x");
    assert_eq!(peer.machine.abort(peer.now), Recalled::Everything);
    assert!(peer.shown().is_empty());
    assert!(peer.machine.is_idle());
    assert_eq!(peer.reuse(), Ok(()));
    assert_eq!(peer.machine.poll_timeout(), None);

    // The connection is as good as new, again and again.
    for _ in 0..2 {
        peer.ask(&get(), BodySize::Empty);
        peer.flush();
        peer.feed(OK);
        assert_eq!(peer.take_log(), ["end sent", "200 Exact(2)", "data hi", "end"]);
        peer.ask(&get(), BodySize::Empty);
        assert_eq!(peer.machine.abort(peer.now), Recalled::Everything);
        assert!(peer.machine.is_idle());
    }
}

#[test]
fn a_request_recalled_from_a_connection_that_shuts_down() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&get(), BodySize::Empty);
    peer.machine.shut_down(peer.now);
    assert_eq!(peer.machine.abort(peer.now), Recalled::Everything);
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn a_request_of_which_a_byte_has_left_closes_the_connection() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&get(), BodySize::Empty);
    peer.machine.handle_written(peer.now, 1);
    assert_eq!(peer.machine.abort(peer.now), Recalled::Rest);
    assert!(peer.shown().is_empty() && peer.log.is_empty());
    assert_eq!(peer.reuse(), Err(NotReusable::ResponseUnread));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
    assert_eq!(peer.machine.poll_event().map(drop), None);
}

#[test]
fn rule_14_an_early_response_is_delivered_and_the_request_may_still_end() {
    let mut peer = Peer::sending();
    peer.feed(OK);
    assert_eq!(peer.take_log(), ["200 Exact(2)", "data hi", "end"]);
    assert_eq!(peer.reuse(), Ok(()), "if the request is ended");
    assert!(!peer.machine.is_idle());
    peer.end();
    assert_eq!(peer.written(), "0\r\n\r\n");
    assert_eq!(peer.take_log(), ["end sent"]);
    assert!(peer.machine.is_idle());
}

#[test]
fn an_early_response_and_a_request_given_up() {
    let mut peer = Peer::sending();
    peer.feed(OK);
    peer.take_log();
    assert_eq!(peer.machine.abort(peer.now), Recalled::Rest);
    assert_eq!(peer.reuse(), Err(NotReusable::RequestUnfinished));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn an_early_response_that_says_close() {
    let mut peer = Peer::sending();
    peer.feed("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_eq!(peer.take_log(), ["413 Empty", "end"]);
    peer.end();
    peer.flush();
    assert_eq!(peer.take_log(), ["end sent"]);
    assert_eq!(peer.reuse(), Err(NotReusable::ConnectionClose));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn the_end_of_the_server_ends_an_unfinished_request_as_well() {
    let mut peer = Peer::sending();
    peer.feed("HTTP/1.1 200 OK\r\n\r\nhi");
    peer.machine.handle_eof(peer.now);
    peer.events();
    assert_eq!(peer.log, ["200 Unknown", "data hi", "end", "lost Eof Yes"]);
}

#[test]
fn the_next_request_waits_until_the_events_are_polled() {
    let mut peer = Peer::asking();
    peer.buf.extend_from_slice(b"HTTP/1.1 204 No Content\r\n\r\n");
    peer.machine.handle_read(peer.now, &mut peer.buf);
    assert!(!peer.machine.is_idle());
    peer.events();
    assert!(peer.machine.is_idle());
}

#[test]
fn a_failed_write_does_not_lose_a_response() {
    let mut peer = Peer::sending();
    peer.send("never written");
    peer.machine.handle_write_failed(peer.now, LostKind::Reset);
    assert!(peer.shown().is_empty());
    assert_eq!(peer.machine.room(), 0);
    assert!(peer.machine.wants_read());
    peer.feed("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
    assert_eq!(peer.log, ["413 Exact(2)", "data no", "end", "lost Failed Yes"]);
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn a_failed_write_and_no_response() {
    let mut peer = Peer::sending();
    peer.machine.handle_write_failed(peer.now, LostKind::Reset);
    assert!(peer.log.is_empty());
    peer.eof();
    assert_eq!(peer.log, ["lost Eof Unknown"]);
}

#[test]
fn a_failed_read_does_not_lose_what_was_read_before() {
    let mut peer = Peer::asking();
    peer.buf.extend_from_slice(OK.as_bytes());
    peer.machine.handle_read(peer.now, &mut peer.buf);
    peer.machine.handle_io_failed(peer.now, LostKind::Reset);
    peer.pump();
    assert_eq!(peer.log, ["200 Exact(2)", "data hi", "end"]);
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn what_a_loss_says_about_processing() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&get(), BodySize::Empty);
    peer.eof();
    assert_eq!(peer.log, ["lost Eof No"], "not a byte has left");

    let mut peer = Peer::asking();
    peer.feed("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2");
    peer.eof();
    assert_eq!(peer.log, ["lost Eof Unknown"], "no response");

    let mut peer = Peer::asking();
    peer.feed("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi");
    peer.eof();
    assert_eq!(peer.log, ["200 Exact(5)", "data hi", "lost Eof Yes"], "cut off");
}

#[test]
fn the_end_of_an_idle_server_is_no_event() {
    let mut peer = Peer::asking();
    peer.feed(OK);
    peer.take_log();
    peer.eof();
    assert!(peer.log.is_empty() && !peer.machine.is_idle());
    assert_eq!(peer.reuse(), Err(NotReusable::PeerClosed));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn bytes_without_a_request_end_the_connection() {
    let mut peer = Peer::<Client>::new();
    peer.feed(OK);
    assert!(peer.log.is_empty() && peer.machine.is_closed());
    assert_eq!(peer.machine.fault(), Some(P::UnsolicitedBytes));
    assert_eq!(peer.reuse(), Err(NotReusable::UnsolicitedBytes));

    // Right behind a response, in whatever cutting.
    for rest in ["HTTP/1.1 200 OK", "\r\n", "x"] {
        let mut peer = Peer::asking();
        peer.feed(OK.to_owned() + rest);
        assert_eq!(peer.log, ["200 Exact(2)", "data hi", "end"]);
        assert_eq!(peer.reuse(), Err(NotReusable::UnsolicitedBytes));
        assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
    }
}

#[test]
fn bytes_that_cross_an_unwritten_request_are_no_answer_to_it() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&get(), BodySize::Empty);
    peer.feed("HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n");
    assert_eq!(peer.log, ["lost Failed No"], "safe to send on another connection");
    assert_eq!(peer.reuse(), Err(NotReusable::UnsolicitedBytes));
}

#[test]
fn output_that_does_not_move_is_given_up() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&get(), BodySize::Empty);
    assert_eq!(peer.machine.poll_timeout(), Some(at(30)));
    peer.wait(secs(30));
    assert_eq!(peer.log, ["lost WriteStalled No"]);
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn shut_down_waits_for_the_current_exchange() {
    let mut peer = Peer::asking();
    peer.machine.shut_down(peer.now);
    assert_eq!(peer.machine.poll_shutdown(), None);
    peer.feed(OK);
    assert_eq!(peer.log, ["200 Exact(2)", "data hi", "end"]);
    assert_eq!(peer.reuse(), Err(NotReusable::ShutDown));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));

    let mut peer = Peer::<Client>::new();
    peer.machine.shut_down(peer.now);
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn a_second_request_has_to_wait() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&get(), BodySize::Empty);
    let shown = peer.shown();
    peer.ask(&post(), BodySize::Empty);
    assert_eq!(peer.shown(), shown);
    peer.flush();
    peer.ask(&post(), BodySize::Empty);
    assert!(peer.shown().is_empty());
}

#[test]
fn connect_is_not_sent() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&Request::connect("a:80").body(()).unwrap(), BodySize::Empty);
    assert!(peer.shown().is_empty() && peer.machine.is_idle());
}

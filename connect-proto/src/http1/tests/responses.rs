//! What a client sends, and what it reads of a response.

use http::header;

use super::*;

#[test]
fn a_request_is_written_in_origin_form() {
    for (uri, line, host) in [
        ("http://example.com/a?b", "GET /a?b", "example.com"),
        ("http://example.com:8080", "GET /", "example.com:8080"),
        ("http://user:pw@example.com/", "GET /", "example.com"),
        ("http://[::1]:80/x", "GET /x", "[::1]:80"),
        ("http://example.com?x=y", "GET /?x=y", "example.com"),
        ("/only", "GET /only", ""),
    ] {
        let mut peer = Peer::<Client>::new();
        peer.ask(&Request::get(uri).body(()).unwrap(), BodySize::Empty);
        assert_eq!(peer.written(), format!("{line} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
    }
}

#[test]
fn framing_of_a_request() {
    for (method, body, written) in [
        ("GET", BodySize::Empty, "\r\n"),
        ("POST", BodySize::Empty, "content-length: 0\r\n\r\n"),
        ("POST", BodySize::Exact(2), "content-length: 2\r\n\r\nhi"),
        ("POST", BodySize::Unknown, "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ] {
        let mut peer = Peer::<Client>::new();
        peer.ask(&Request::builder().method(method).uri("http://a/").body(()).unwrap(), body);
        peer.send("hi");
        peer.end();
        assert_eq!(peer.written(), format!("{method} / HTTP/1.1\r\nhost: a\r\n{written}"));
        assert_eq!(peer.log, ["end sent"]);
    }
}

#[test]
fn the_machine_writes_host_framing_and_connection_itself() {
    let mut peer = Peer::<Client>::new();
    let request = Request::get("http://a/")
        .header(header::HOST, "other")
        .header(header::CONTENT_LENGTH, "7")
        .header(header::TRANSFER_ENCODING, "gzip")
        .header(header::CONNECTION, "close")
        .header(header::TE, "trailers")
        .header("x-kept", "yes");
    peer.ask(&request.body(()).unwrap(), BodySize::Empty);
    assert_eq!(peer.written(), "GET / HTTP/1.1\r\nhost: a\r\nx-kept: yes\r\nconnection: close\r\n\r\n");
    peer.feed("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(peer.reuse(), Err(NotReusable::ConnectionClose));
}

#[test]
fn framing_of_a_response() {
    for (response, log, reuse) in [
        ("200 OK\r\ncontent-length: 2\r\n\r\nhi", &["200 Exact(2)", "data hi", "end"][..], Ok(())),
        ("200 OK\r\ncontent-length: 0\r\n\r\n", &["200 Empty", "end"], Ok(())),
        (
            "200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            &["200 Unknown", "data hi", "end"],
            Ok(()),
        ),
        ("200 OK\r\n\r\nhi", &["200 Unknown", "data hi"], Err(NotReusable::UntilClose)),
        ("204 No Content\r\n\r\n", &["204 Empty", "end"], Ok(())),
        ("204 No Content\r\ncontent-length: 9\r\n\r\n", &["204 Empty", "end"], Ok(())),
        ("304 Not Modified\r\ncontent-length: 9\r\n\r\n", &["304 Empty", "end"], Ok(())),
        ("304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n", &["304 Empty", "end"], Ok(())),
        (
            "200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n",
            &["200 Empty", "end"],
            Err(NotReusable::ConnectionClose),
        ),
        (
            "200 OK\r\nconnection: x, close\r\ncontent-length: 0\r\n\r\n",
            &["200 Empty", "end"],
            Err(NotReusable::ConnectionClose),
        ),
    ] {
        let mut peer = Peer::asking();
        peer.feed(format!("HTTP/1.1 {response}"));
        assert_eq!(peer.log, log, "{response:?}");
        assert_eq!(peer.reuse(), reuse, "{response:?}");
        assert_eq!(peer.machine.is_idle(), reuse.is_ok(), "{response:?}");
    }
}

#[test]
fn a_response_to_head_has_no_body() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&Request::head("http://a/").body(()).unwrap(), BodySize::Empty);
    peer.flush();
    peer.feed("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n");
    assert_eq!(peer.log, ["end sent", "200 Empty", "end"]);
    assert!(peer.machine.is_idle());
}

#[test]
fn a_response_of_http10_ends_the_connection() {
    let mut peer = Peer::asking();
    peer.feed("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(peer.log, ["200 Exact(2)", "data hi", "end"]);
    assert_eq!(peer.reuse(), Err(NotReusable::Http10));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn only_a_clean_end_completes_a_response_without_a_length() {
    let response = "HTTP/1.1 200 OK\r\n\r\nhi";
    let mut peer = Peer::asking();
    peer.feed(response);
    peer.eof();
    assert_eq!(peer.log, ["200 Unknown", "data hi", "end"]);
    assert_eq!(peer.reuse(), Err(NotReusable::UntilClose));

    let mut peer = Peer::asking();
    peer.feed(response);
    peer.machine.handle_io_failed(peer.now, crate::error::LostKind::Reset);
    peer.pump();
    assert_eq!(peer.log, ["200 Unknown", "data hi", "lost Reset Yes"]);
}

#[test]
fn interim_responses_are_skipped_and_counted() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: x\r\ncontent-length: 5\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let mut peer = Peer::asking_with(Limits { max_interim: 3, ..Limits::default() });
    peer.feed(interim.repeat(3) + last);
    assert_eq!(peer.log, ["200 Empty", "end"]);

    // Each request counts its own.
    peer.ask(&get(), BodySize::Empty);
    peer.flush();
    peer.feed(interim.repeat(3) + last);
    assert_eq!(peer.log.last().unwrap(), "end");
    peer.ask(&get(), BodySize::Empty);
    peer.flush();
    peer.feed(interim.repeat(4) + last);
    assert_eq!(peer.log.last().unwrap(), "misbehaved: more than 3 interim responses");
    assert!(peer.machine.is_closed());
}

#[test]
fn bounds_of_a_responses_head() {
    let limits = Limits { max_head: 60, max_headers: 2, max_request_line: 5, ..Limits::default() };
    for (response, last) in [
        ("HTTP/1.1 200 a long reason\r\na: b\r\n\r\n".to_owned(), "200 Unknown"),
        (
            "HTTP/1.1 200 OK\r\na: b\r\nc: d\r\ne: f\r\n\r\n".to_owned(),
            "misbehaved: more than 2 header fields",
        ),
        (
            format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(60)),
            "misbehaved: HTTP head exceeds limit 60",
        ),
    ] {
        let mut peer = Peer::asking_with(limits.clone());
        peer.feed(&response);
        assert_eq!(peer.log, [last], "{response:?}");
    }
}

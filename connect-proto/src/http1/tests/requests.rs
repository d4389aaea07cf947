//! What a server reads of a request's head, and what its answer looks like.

use http::{HeaderValue, Method, StatusCode, Version, header};

use super::*;
use crate::error::PeerMisbehaved as P;

#[test]
fn a_head_comes_out_as_it_was_sent() {
    let mut server = Server::new(Instant::ORIGIN, Arc::new(Limits::default()));
    let mut buf = BytesMut::from(
        "POST /pkg.Service/Method?x=%20y HTTP/1.1\r\nHost: a:80\r\nContent-Type: application/proto\r\n\
         Connect-Timeout-Ms: 100\r\nX-A:  b \t\r\nx-a: c\r\nx-empty:\r\nx-obs: \u{e9}\r\ncontent-length: 3\r\n\r\n",
    );
    server.handle_read(Instant::ORIGIN, &mut buf);
    let Some(Event::Head { parts, body }) = server.poll_event() else { panic!("no head") };
    assert_eq!(parts.method, Method::POST);
    assert_eq!(parts.uri, "/pkg.Service/Method?x=%20y");
    assert_eq!(parts.version, Version::HTTP_11);
    assert_eq!(body, BodySize::Exact(3));
    assert_eq!(parts.headers.len(), 8);
    assert_eq!(parts.headers["connect-timeout-ms"], "100");
    assert_eq!(parts.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(parts.headers["x-empty"], "");
    assert_eq!(parts.headers["x-obs"].as_bytes(), "\u{e9}".as_bytes());
}

#[test]
fn the_forms_of_a_target() {
    for (line, uri) in [
        ("GET / HTTP/1.1", "/"),
        ("GET //a/b HTTP/1.1", "//a/b"),
        ("GET /?a=http://b HTTP/1.1", "/?a=http://b"),
        ("GET http://a.b:80/c?d HTTP/1.1", "http://a.b:80/c?d"),
        ("GET http://a.b HTTP/1.1", "http://a.b/"),
        ("OPTIONS * HTTP/1.1", "*"),
    ] {
        let peer = Peer::serving(&format!("{line}\r\nhost: a\r\n\r\n"));
        let method = line.split(' ').next().unwrap();
        assert_eq!(peer.log.first().unwrap(), &format!("{method} {uri} Empty"));
    }
}

#[test]
fn framing_of_a_request() {
    for (fields, body) in [
        ("", "Empty"),
        ("content-length: 0\r\n", "Empty"),
        ("content-length: 7\r\n", "Exact(7)"),
        ("content-length: 18446744073709551615\r\n", "Exact(18446744073709551615)"),
        ("transfer-encoding: Chunked\r\n", "Unknown"),
    ] {
        let peer = Peer::serving(&format!("POST /a HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
        assert_eq!(peer.log.first().unwrap(), &format!("POST /a {body}"));
        assert_eq!(peer.log.get(1).map(String::as_str), (body == "Empty").then_some("end"));
    }
}

#[test]
fn up_to_two_empty_lines_may_come_first() {
    for lines in ["\r\n", "\r\n\r\n"] {
        let peer = Peer::serving(&format!("{lines}GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(peer.log, ["GET / Empty", "end"]);
        let mut peer = peer;
        peer.answer("x");
        peer.feed(format!("{lines}GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(peer.log.last().unwrap(), "end", "before each request");
    }
}

#[test]
fn bounds_of_a_head() {
    let limits = Limits { max_head: 100, max_headers: 3, max_request_line: 40, ..Limits::default() };
    let try_it = |head: String| {
        let mut peer = Peer::<Server>::with(limits.clone());
        peer.feed(head);
        (peer.machine.fault(), peer.written().get(9..12).unwrap_or_default().to_owned())
    };
    let sized = |len: usize| {
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(len - 32));
        assert_eq!(head.len(), len);
        head
    };
    assert_eq!(try_it(sized(100)), (None, String::new()));
    assert_eq!(try_it(sized(101)), (Some(P::HeadTooLarge { limit: 100 }), "431".into()));
    assert_eq!(try_it("x: y\r\n".repeat(40)), (Some(P::TooManyHeaders { limit: 3 }), "431".into()));

    let line = |len: usize| format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(len - 14));
    assert_eq!(try_it(line(40)), (None, String::new()));
    assert_eq!(try_it(line(41)), (Some(P::RequestLineTooLong { limit: 40 }), "414".into()));
    assert_eq!(try_it("y".repeat(42)), (Some(P::RequestLineTooLong { limit: 40 }), "414".into()));

    let fields = |n: usize| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(n - 1));
    assert_eq!(try_it(fields(3)), (None, String::new()));
    assert_eq!(try_it(fields(4)), (Some(P::TooManyHeaders { limit: 3 }), "431".into()));
}

#[test]
fn as_many_fields_as_the_limit_says() {
    for n in [16, 17, 100, 101, 1000] {
        let mut peer = Peer::<Server>::with(Limits { max_headers: 1000, ..Limits::default() });
        peer.feed(format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(n - 1)));
        assert_eq!(peer.log, ["GET / Empty", "end"]);
        assert_eq!(peer.fields[0].len(), n);
    }
}

#[test]
fn bounds_of_chunk_extensions_and_trailers() {
    let limits = Limits { max_chunk_extensions: 4, max_trailers: 6, ..Limits::default() };
    let body = |text: &str| {
        let mut peer = Peer::<Server>::with(limits.clone());
        peer.feed("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        peer.feed(text);
        peer.log.pop().unwrap()
    };
    assert_eq!(body("1;a\r\nx\r\n1;b\r\ny\r\n0\r\n\r\n"), "end");
    assert_eq!(body("1;a\r\nx\r\n1;b\r\ny\r\n0;\r\n\r\n"), "misbehaved: chunk extensions exceed limit 4");
    assert_eq!(body("0\r\na: b\r\n\r\n"), "end");
    assert_eq!(body("0\r\na: bc\r\n\r\n"), "misbehaved: trailers exceed limit 6");
}

#[test]
fn the_machine_writes_framing_and_connection_itself() {
    let mut peer = Peer::serving("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NOT_FOUND;
    for (name, value) in [
        ("content-length", "99"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive, x-hop"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("upgrade", "h2c"),
        ("x-kept", "yes"),
        ("content-type", "text/plain"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    peer.send_head(&response, BodySize::Exact(0));
    peer.end();
    assert_eq!(
        peer.written(),
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nx-kept: yes\r\ncontent-type: text/plain\r\n\r\n"
    );
    assert!(peer.machine.is_idle());
}

#[test]
fn framing_of_a_response() {
    let head = "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n";
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let old = "GET / HTTP/1.0\r\n\r\n";
    for (request, status, body, written) in [
        (get, 200, BodySize::Empty, "200 OK\r\ncontent-length: 0\r\n\r\n"),
        (get, 200, BodySize::Exact(2), "200 OK\r\ncontent-length: 2\r\n\r\nhi"),
        (get, 200, BodySize::Unknown, "200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        (head, 200, BodySize::Exact(2), "200 OK\r\ncontent-length: 2\r\n\r\n"),
        (head, 200, BodySize::Unknown, "200 OK\r\n\r\n"),
        (get, 204, BodySize::Empty, "204 No Content\r\n\r\n"),
        (get, 204, BodySize::Exact(2), "204 No Content\r\n\r\n"),
        (get, 204, BodySize::Unknown, "204 No Content\r\n\r\n"),
        (get, 304, BodySize::Exact(2), "304 Not Modified\r\ncontent-length: 2\r\n\r\n"),
        (old, 200, BodySize::Exact(2), "200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"),
        (old, 200, BodySize::Unknown, "200 OK\r\nconnection: close\r\n\r\nhi"),
        (get, 599, BodySize::Empty, "599 \r\ncontent-length: 0\r\n\r\n"),
    ] {
        let mut peer = Peer::serving(request);
        let response = Response::builder().status(status).body(()).unwrap();
        peer.send_head(&response, body);
        peer.send("hi");
        peer.end();
        assert_eq!(peer.written(), format!("HTTP/1.1 {written}"), "{request:?} {status} {body:?}");
        assert_eq!(peer.log.last().unwrap(), "end sent");
    }
}

#[test]
fn commands_that_do_not_fit_change_nothing() {
    let mut peer = Peer::<Server>::new();
    peer.send_head(&Response::new(()), BodySize::Empty);
    peer.send("x");
    peer.end();
    peer.machine.want_body(peer.now);
    peer.machine.stop_receiving(peer.now);
    assert!(peer.shown().is_empty() && peer.machine.is_idle());

    peer.feed("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    peer.send("x");
    peer.end();
    peer.send_head(&Response::builder().status(103).body(()).unwrap(), BodySize::Empty);
    assert!(peer.shown().is_empty());
    peer.send_head(&Response::new(()), BodySize::Empty);
    let shown = peer.shown();
    peer.send_head(&Response::new(()), BodySize::Empty);
    peer.send("x");
    peer.end();
    assert_eq!(peer.shown(), shown);
}

#[test]
fn the_applications_connection_close_is_heeded() {
    let mut peer = Peer::serving("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let response = Response::builder().header(header::CONNECTION, "close").body(()).unwrap();
    peer.send_head(&response, BodySize::Empty);
    assert_eq!(peer.written(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_eq!(peer.reuse(), Err(NotReusable::ConnectionClose));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write), "the client may have sent more by now");
}

//! Heads that two parties may read differently, since that is how requests are smuggled (RFC 9113, sections 8.2, 8.3).

use super::*;

fn with(extra: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&REQUEST[..], extra].concat()
}

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    REQUEST.into_iter().filter(|(other, _)| *other != name).collect()
}

fn replaced(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    REQUEST.into_iter().map(|(other, old)| (other, if other == name { value } else { old })).collect()
}

fn is_refused(fields: &[(&str, &str)]) {
    let mut peer = Peer::server();
    peer.feed(&headers(1, true, fields));
    assert_eq!(peer.wrote(), "RST_STREAM 1 1", "{fields:?}");
    assert_eq!(peer.events(), [""; 0], "{fields:?}");
    // The connection goes on.
    peer.request(3, true);
}

fn is_taken(fields: &[(&str, &str)]) -> request::Parts {
    let mut peer = Peer::server();
    peer.feed(&headers(1, true, fields));
    match peer.engine.poll_event() {
        Some((_, Event::Head { parts, .. })) => *parts,
        other => panic!("{fields:?}: {other:?}"),
    }
}

#[test]
fn fields_of_an_http1_connection() {
    for field in [
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        is_refused(&with(&[field]));
    }
    assert_eq!(is_taken(&with(&[("te", "trailers")])).headers["te"], "trailers");
}

#[test]
fn names_and_values_that_are_none() {
    for field in [
        ("Upper", "a"),
        ("a b", "a"),
        ("a:b", "a"),
        (":", "a"),
        ("a\r\nb", "a"),
        ("a\0", "a"),
        ("\u{e9}", "a"),
        ("a", "b\r\nc: d"),
        ("a", "b\nc"),
        ("a", "b\0"),
        ("a", " b"),
        ("a", "b "),
        ("a", "\tb"),
        ("a", "b\x7f"),
    ] {
        is_refused(&with(&[field]));
    }
    assert_eq!(is_taken(&with(&[("a", "")])).headers["a"], "");
    assert_eq!(is_taken(&with(&[("a", "b\tc")])).headers["a"], "b\tc");
}

#[test]
fn pseudo_headers() {
    for name in [":method", ":scheme", ":path"] {
        is_refused(&without(name));
    }
    is_taken(&without(":authority"));
    for (name, value) in REQUEST {
        is_refused(&with(&[(name, value)]));
    }
    is_refused(&with(&[("a", "b"), (":path", "/")]));
    is_refused(&with(&[(":protocol", "websocket")]));
    is_refused(&with(&[(":status", "200")]));
    is_refused(&[("a", "b"), REQUEST[0], REQUEST[1], REQUEST[2], REQUEST[3]]);
}

#[test]
fn targets() {
    for path in ["", "path", "*", "http://host/", "/a b", "/a#b", "/\u{7f}"] {
        is_refused(&replaced(":path", path));
    }
    assert_eq!(is_taken(&replaced(":path", "/a?b=%20c")).uri, "http://host/a?b=%20c");
    let mut options = replaced(":path", "*");
    options[0].1 = "OPTIONS";
    assert_eq!(is_taken(&options).uri.path(), "*");
    is_refused(&replaced(":method", "CONNECT"));
    is_refused(&[(":method", "CONNECT"), (":authority", "host:1")]);
    is_refused(&replaced(":method", "G T"));
    is_refused(&replaced(":scheme", "ht tp"));
}

#[test]
fn authorities() {
    for authority in ["user@host", "a b", "a,b", "a/b", "", "a:b:c"] {
        is_refused(&replaced(":authority", authority));
    }
    is_refused(&with(&[("host", "other")]));
    assert_eq!(is_taken(&with(&[("host", "host")])).uri, "http://host/path");
    let parts = is_taken(&[REQUEST[0], REQUEST[1], REQUEST[3], ("host", "a")]);
    assert_eq!((parts.uri.to_string(), parts.headers["host"].as_bytes()), ("/path".into(), b"a".as_slice()));
}

#[test]
fn content_lengths() {
    for length in ["5", "-1", "+0", "0,0", " 0", "0x0", ""] {
        is_refused(&with(&[("content-length", length)]));
    }
    is_refused(&with(&[("content-length", "0"), ("content-length", "0")]));
    is_taken(&with(&[("content-length", "0")]));

    let request = headers(1, false, &with(&[("content-length", "5")]));
    for (rest, ok) in [
        (vec![data(1, true, 5)], true),
        (vec![data(1, false, 2), data(1, true, 3)], true),
        (vec![data(1, false, 5), headers(1, true, &[("a", "b")])], true),
        (vec![data(1, true, 4)], false),
        (vec![data(1, false, 6)], false),
        (vec![data(1, false, 4), headers(1, true, &[("a", "b")])], false),
        (vec![data(1, true, 0)], false),
    ] {
        let mut peer = Peer::server();
        peer.feed(&request);
        peer.feed_all(&rest);
        let wrote = if ok { "" } else { "RST_STREAM 1 1" };
        assert_eq!(peer.wrote(), wrote, "{rest:?}");
        let last = peer.events().pop().unwrap();
        let misbehaved = "0 misbehaved: body differs from content-length";
        assert_eq!(last == misbehaved, !ok, "{rest:?}: {last}");
        peer.engine.check_conservation();
    }
}

#[test]
fn responses() {
    let run = |method: &str, fields: &[(&str, &str)], end: bool| {
        let mut peer = Peer::client();
        let key = peer.engine.open(peer.now).unwrap();
        peer.engine.send_head(peer.now, key, &request_parts(method, "/"), BodySize::Empty);
        peer.frames();
        peer.feed(&headers(1, end, fields));
        let mut events = peer.events();
        events.remove(0);
        (events.join(", "), peer.wrote())
    };
    let refused = |method, fields: &[(&str, &str)], end| {
        let (events, wrote) = run(method, fields, end);
        assert!(events.contains("misbehaved") && wrote == "RST_STREAM 1 1", "{fields:?}: {events}");
    };
    refused("GET", &[], true);
    refused("GET", &[("a", "b")], true);
    refused("GET", &[(":status", "20")], true);
    refused("GET", &[(":status", "101")], false);
    refused("GET", &[(":status", "200"), (":status", "200")], true);
    refused("GET", &[(":status", "200"), (":path", "/")], true);
    refused("GET", &[(":status", "200"), ("content-length", "1")], true);
    refused("GET", &[(":status", "200"), ("connection", "close")], true);
    let taken = |method, fields: &[(&str, &str)], end| run(method, fields, end).0;
    assert_eq!(
        taken("HEAD", &[(":status", "200"), ("content-length", "1")], true),
        "0 head 200 Empty, 0 end"
    );
    assert_eq!(taken("GET", &[(":status", "304"), ("content-length", "1")], true), "0 head 304 Empty, 0 end");
    assert_eq!(taken("GET", &[(":status", "200"), ("content-length", "1")], false), "0 head 200 Exact(1)");
}

#[test]
fn trailers_have_no_pseudo_headers() {
    for field in [(":path", "/"), (":status", "200"), ("connection", "close"), ("content-length", "0")] {
        let mut peer = Peer::server();
        peer.request(1, false);
        peer.feed(&headers(1, true, &[field]));
        assert_eq!(peer.wrote(), "RST_STREAM 1 1");
        assert!(peer.events()[0].starts_with("0 misbehaved"));
    }
}

#[test]
fn crumbs_of_a_cookie_are_put_together() {
    let parts = is_taken(&with(&[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")]));
    assert_eq!(parts.headers["cookie"], "a=b; c=d");
    assert_eq!(parts.headers.get_all("cookie").iter().count(), 1);
}

#[test]
fn what_http2_does_not_have_is_not_sent() {
    let mut peer = Peer::client();
    let key = peer.engine.open(peer.now).unwrap();
    let mut parts = request_parts("POST", "http://user:secret@host:1/");
    for (name, value) in [
        ("host", "other"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "trailers"),
        ("content-length", "99"),
        ("a", "b"),
    ] {
        parts.headers.append(name, value.parse().unwrap());
    }
    peer.engine.send_head(peer.now, key, &parts, BodySize::Unknown);
    let head = ":method=POST :scheme=http :authority=host:1 :path=/ te=\"trailers\" a=\"b\"";
    assert_eq!(peer.wrote(), format!("HEADERS 1 {head}"));
}

#[test]
fn the_host_of_a_request_without_an_authority() {
    let mut peer = Peer::client();
    let key = peer.engine.open(peer.now).unwrap();
    let mut parts = request_parts("GET", "/x");
    parts.headers.append("host", "h:1".parse().unwrap());
    peer.engine.send_head(peer.now, key, &parts, BodySize::Empty);
    assert_eq!(peer.wrote(), "HEADERS 1 end :method=GET :scheme=http :authority=h:1 :path=/x");
}

#[test]
fn connect_is_not_sent() {
    let mut peer = Peer::client();
    let key = peer.engine.open(peer.now).unwrap();
    peer.engine.send_head(peer.now, key, &request_parts("CONNECT", "host:1"), BodySize::Empty);
    assert_eq!(peer.wrote(), "");
}

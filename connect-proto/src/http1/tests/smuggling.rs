//! Requests and responses that two parties could read differently are refused, each by its name.

use super::*;
use crate::error::PeerMisbehaved as P;

/// What became of a request: the fault and the answer's status.
fn refused(request: &[u8]) -> (Option<P>, String) {
    let mut peer = Peer::<Server>::new();
    peer.feed(request);
    let answer = peer.written();
    if peer.machine.fault().is_some() {
        assert!(peer.log.is_empty(), "a broken head makes no event: {:?}", peer.log);
        assert!(answer.ends_with("\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"), "{answer}");
        assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Write));
    }
    (peer.machine.fault(), answer.get(9..12).unwrap_or_default().to_owned())
}

macro_rules! refuses {
    ($($name:ident: $request:expr => $fault:expr, $status:literal;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(refused($request.as_ref()), (Some($fault), $status.to_owned()));
        }
    )*};
}

/// A request with these lines between its `host` and the empty line.
fn with(lines: &str) -> String {
    format!("POST /a HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n")
}

refuses! {
    length_with_chunked: with("content-length: 5\r\ntransfer-encoding: chunked") => P::ConflictingFraming, "400";
    chunked_with_length: with("transfer-encoding: chunked\r\ncontent-length: 5") => P::ConflictingFraming, "400";
    two_lengths: with("content-length: 5\r\ncontent-length: 6") => P::InvalidContentLength, "400";
    two_equal_lengths: with("content-length: 5\r\nContent-Length: 5") => P::InvalidContentLength, "400";
    list_of_equal_lengths: with("content-length: 5, 5") => P::InvalidContentLength, "400";
    signed_length: with("content-length: +5") => P::InvalidContentLength, "400";
    negative_length: with("content-length: -5") => P::InvalidContentLength, "400";
    hexadecimal_length: with("content-length: 0x5") => P::InvalidContentLength, "400";
    empty_length: with("content-length:") => P::InvalidContentLength, "400";
    length_with_a_blank: with("content-length: 1 0") => P::InvalidContentLength, "400";
    length_that_overflows: with("content-length: 18446744073709551616") => P::InvalidContentLength, "400";
    two_codings: with("transfer-encoding: gzip, chunked") => P::UnsupportedTransferEncoding, "501";
    chunked_not_last: with("transfer-encoding: chunked, gzip") => P::UnsupportedTransferEncoding, "501";
    chunked_twice: with("transfer-encoding: chunked, chunked") => P::UnsupportedTransferEncoding, "501";
    chunked_in_two_fields: with("transfer-encoding: chunked\r\ntransfer-encoding: chunked")
        => P::UnsupportedTransferEncoding, "501";
    identity_coding: with("transfer-encoding: identity") => P::UnsupportedTransferEncoding, "501";
    quoted_coding: with("transfer-encoding: \"chunked\"") => P::UnsupportedTransferEncoding, "501";
    vertical_tab_before_chunked: with("transfer-encoding: \x0bchunked") => P::MalformedHead, "400";
    coding_with_parameter: with("transfer-encoding: chunked;a=b") => P::UnsupportedTransferEncoding, "501";
    empty_coding: with("transfer-encoding:") => P::UnsupportedTransferEncoding, "501";
    chunked_in_http10: "POST /a HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n"
        => P::TransferEncodingInHttp10, "400";
    folded_line: with("a: b\r\n c") => P::MalformedHead, "400";
    folded_first_field: "GET / HTTP/1.1\r\n host: a\r\n\r\n" => P::MalformedHead, "400";
    blank_before_colon: with("content-length : 5") => P::MalformedHead, "400";
    tab_before_colon: with("content-length\t: 5") => P::MalformedHead, "400";
    field_without_name: with(": b") => P::MalformedHead, "400";
    field_without_colon: with("abc") => P::MalformedHead, "400";
    nul_in_value: with("a: b\0c") => P::MalformedHead, "400";
    nul_in_name: with("a\0: b") => P::MalformedHead, "400";
    control_in_value: with("a: b\x01c") => P::MalformedHead, "400";
    delete_in_value: with("a: b\x7fc") => P::MalformedHead, "400";
    bare_lf_ends_request_line: "GET / HTTP/1.1\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    bare_lf_ends_field: "GET / HTTP/1.1\r\nhost: a\n\r\n" => P::MalformedHead, "400";
    bare_lf_ends_head: "GET / HTTP/1.1\r\nhost: a\r\n\n" => P::MalformedHead, "400";
    bare_lf_throughout: "GET / HTTP/1.1\nhost: a\n\n" => P::MalformedHead, "400";
    bare_cr_in_value: with("a: b\rc") => P::MalformedHead, "400";
    bare_cr_before_a_field: with("a: b\rcontent-length: 5") => P::MalformedHead, "400";
    bare_cr_before_crlf: with("a: b\r") => P::MalformedHead, "400";
    bare_cr_in_request_line: "GET /\r HTTP/1.1\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    bare_cr_first: "\rGET / HTTP/1.1\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    bare_lf_first: "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    three_empty_lines_first: "\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    two_blanks_in_request_line: "GET  / HTTP/1.1\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    tab_in_request_line: "GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    request_line_without_version: "GET /\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    word_after_version: "GET / HTTP/1.1 x\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    method_that_is_no_token: "G(T / HTTP/1.1\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    lower_case_version: "GET / http/1.1\r\nhost: a\r\n\r\n" => P::MalformedHead, "400";
    http2_version: "GET / HTTP/2.0\r\nhost: a\r\n\r\n" => P::UnsupportedHttpVersion, "505";
    http09_version: "GET / HTTP/0.9\r\nhost: a\r\n\r\n" => P::UnsupportedHttpVersion, "505";
    no_host: "GET / HTTP/1.1\r\n\r\n" => P::InvalidHost, "400";
    two_hosts: "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n" => P::InvalidHost, "400";
    two_hosts_in_http10: "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n" => P::InvalidHost, "400";
    host_list: "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n" => P::InvalidHost, "400";
    host_with_user: "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n" => P::InvalidHost, "400";
    host_with_path: "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n" => P::InvalidHost, "400";
    connect: "CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    connect_to_a_path: "CONNECT /a HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    authority_form: "GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    authority_form_of_one_byte: "GET a HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    relative_target: "GET a/b HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    absolute_form_with_user: "GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    absolute_form_without_authority: "GET http:///a HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    absolute_form_of_another_scheme: "GET ftp://a/b HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    target_with_fragment: "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    asterisk_for_get: "GET * HTTP/1.1\r\nhost: a\r\n\r\n" => P::InvalidTarget, "400";
    other_expectation: with("expect: 200-ok\r\ncontent-length: 1") => P::UnsupportedExpectation, "417";
    http2_preface: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" => P::UnsupportedHttpVersion, "505";
    tls_handshake: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n" => P::MalformedHead, "400";
}

/// What a chunked body is taken for.
fn chunked(body: &str) -> Vec<String> {
    let mut peer = Peer::serving("POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    peer.feed(body);
    peer.log.split_off(1)
}

#[test]
fn chunks_that_break_the_grammar() {
    for (rule, body) in [
        ("no size", "\r\n"),
        ("no hexadecimal digit", "g\r\n"),
        ("hexadecimal prefix", "0x5\r\nhello"),
        ("sign", "+5\r\nhello"),
        ("minus", "-5\r\nhello"),
        ("blank before the size", " 5\r\nhello"),
        ("blank after the size", "5 \r\nhello"),
        ("blank in the size", "1 0\r\nhello"),
        ("size of seventeen digits", "00000000000000005\r\nhello"),
        ("size that overflows", "10000000000000000\r\nhello"),
        ("size ends with a bare LF", "5\nhello"),
        ("size ends with a bare CR", "5\rhello"),
        ("extension before the size", ";a\r\nhello"),
        ("bare LF in an extension", "5;a\nhello\r\n"),
        ("bare CR in an extension", "5;a\rb\r\nhello"),
        ("NUL in an extension", "5;a\0b\r\nhello"),
        ("DEL in an extension", "5;a\x7fb\r\nhello"),
        ("separated by a comma", "5,a\r\nhello"),
    ] {
        assert_eq!(chunked(body), ["misbehaved: malformed chunk"], "{rule}");
    }
    for (rule, body) in [
        ("data longer than its size", "5\r\nhello!\r\n"),
        ("data followed by a bare LF", "5\r\nhello\n0\r\n\r\n"),
        ("data followed by a bare CR", "5\r\nhello\r0\r\n\r\n"),
        ("data followed by a size", "5\r\nhello0\r\n\r\n"),
    ] {
        assert_eq!(chunked(body), ["data hello", "misbehaved: malformed chunk"], "{rule}");
    }
}

#[test]
fn trailers_that_break_the_grammar() {
    for (rule, body) in [
        ("bare LF ends the body", "0\r\n\n"),
        ("bare CR", "0\r\n\rx"),
        ("bare LF ends a trailer", "0\r\na: b\n\r\n"),
        ("folded trailer", "0\r\na: b\r\n c\r\n\r\n"),
        ("trailer without a colon", "0\r\nabc\r\n\r\n"),
        ("blank before the colon", "0\r\na : b\r\n\r\n"),
        ("NUL in a trailer", "0\r\na: \0\r\n\r\n"),
        ("a next request without the last line", "0\r\nGET / HTTP/1.1\r\n"),
    ] {
        assert_eq!(chunked(body), ["misbehaved: malformed trailers"], "{rule}");
    }
}

#[test]
fn what_the_grammar_allows_is_read() {
    for body in [
        "5\r\nhello\r\n0\r\n\r\n",
        "005\r\nhello\r\n000\r\n\r\n",
        "5;a=b\r\nhello\r\n0;c\r\n\r\n",
        "5 ; a = \"b\"\r\nhello\r\n0\r\n\r\n",
        "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\na: b\r\nc:\r\n\r\n",
    ] {
        assert_eq!(chunked(body), ["data hello", "end"], "{body:?}");
    }
    assert_eq!(
        chunked("A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n"),
        ["data 01234567890123456789a", "end"]
    );
    assert_eq!(chunked("0\r\n\r\n"), ["end"]);
}

#[test]
fn a_response_is_held_to_the_same_rules() {
    for (rule, response, fault) in [
        (
            "both framings",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            P::ConflictingFraming,
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
            P::InvalidContentLength,
        ),
        ("coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", P::UnsupportedTransferEncoding),
        (
            "chunked in 1.0",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            P::TransferEncodingInHttp10,
        ),
        ("bare LF", "HTTP/1.1 200 OK\nx: y\r\n\r\n", P::MalformedHead),
        ("bare CR", "HTTP/1.1 200 OK\r\nx: y\rz\r\n\r\n", P::MalformedHead),
        ("folded line", "HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n", P::MalformedHead),
        ("blank before colon", "HTTP/1.1 200 OK\r\nx : y\r\n\r\n", P::MalformedHead),
        ("empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", P::MalformedHead),
        ("four digits", "HTTP/1.1 2000 OK\r\n\r\n", P::MalformedHead),
        ("status below 100", "HTTP/1.1 099 OK\r\n\r\n", P::MalformedHead),
        ("no HTTP", "ICY 200 OK\r\n\r\n", P::MalformedHead),
        ("HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", P::UnsupportedHttpVersion),
        ("upgrade", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", P::UnexpectedUpgrade),
    ] {
        let mut peer = Peer::asking();
        peer.feed(response);
        assert_eq!(peer.machine.fault(), Some(fault), "{rule}");
        assert_eq!(peer.log, [format!("misbehaved: {fault}")], "{rule}");
        assert_eq!(peer.reuse(), Err(NotReusable::PeerMisbehaved), "{rule}");
        assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close), "{rule}");
    }
}

#[test]
fn bytes_after_a_close_are_ignored() {
    let mut peer = Peer::serving(
        "GET /1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    peer.answer("x");
    assert_eq!(peer.log, ["GET /1 Empty", "end", "end sent"]);
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
    assert_eq!(peer.machine.fault(), None);
}

//! The seeds of the corpus. The test here keeps the checked-in files the same as what stands here; run it with
//! `UPDATE_SEEDS=1` to write them.

use std::fs;
use std::path::PathBuf;

use super::TARGETS;
use crate::call::{Duplex, Kind};
use crate::testing::peer;
use crate::wire::envelope::Flags;

const BIDI: Kind = Kind::Bidi(Duplex::Half);

pub(super) fn corpus(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target)
}

fn with(head: &[u8], body: &[u8]) -> Vec<u8> {
    [head, body].concat()
}

fn seeds(target: &str) -> Vec<(&'static str, Vec<u8>)> {
    match target {
        "envelope" => envelope(),
        "json" => json(),
        "text" => text(),
        "http1" => http1(),
        "hpack" => hpack(),
        "http2" => http2(),
        "client_call" => client_call(),
        "server_call" => server_call(),
        "pair" => pair(),
        other => panic!("no seeds for {other}"),
    }
}

fn envelope() -> Vec<(&'static str, Vec<u8>)> {
    let stream =
        [peer::envelope(Flags::NONE, b"hello"), peer::envelope(Flags::NONE, b""), peer::end_stream()];
    let stream = stream.concat();
    vec![
        ("stream", with(&[0xff, 0xff, 0, 1, 3], &stream)),
        ("skipped", with(&[0xff, 0xff, 2, 4, 1], &stream)),
        ("refused", with(&[4, 0, 0, 2, 2], &stream)),
        ("cut-off", with(&[0xff, 0xff, 0, 1, 1], &stream[..stream.len() - 1])),
    ]
}

fn json() -> Vec<(&'static str, Vec<u8>)> {
    let error =
        br#"{"code":"not_found","message":"no \u00fc","details":[{"type":"a.B","value":"AP8","debug":{}}]}"#;
    let end = br#"{"error":{"code":"aborted","details":null},"metadata":{"A":["1","2"],"b-bin":["AA"],"connect-x":["y"]}}"#;
    vec![
        ("error", with(&[0x30, 1], error)),
        ("end", with(&[100, 0], end)),
        ("success", with(&[100, 0], b"{\"error\":null}")),
        ("null", with(&[0x90, 1], b"null")),
        ("deep", with(&[0, 0], &[b'['; 200])),
    ]
}

fn text() -> Vec<(&'static str, Vec<u8>)> {
    [
        ("query", &b"connect=v1&base64=1&compression=gzip&encoding=json&message=eyJ4IjoiXCJ9"[..]),
        ("query-plain", b"connect=v1&encoding=text&message=a%20b%26"),
        ("timeout", b"0000012345"),
        ("media-type", b"application/connect+json; charset=utf-8"),
        ("binary", b"AP8=, aGk"),
        ("procedure", b"/a.b.C/D"),
    ]
    .map(|(name, text)| (name, text.to_vec()))
    .to_vec()
}

fn http1() -> Vec<(&'static str, Vec<u8>)> {
    let requests = [peer::request(BIDI, &[b"one", b"two"]), peer::request(Kind::Unary, &[b"ping"])].concat();
    let expecting =
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\nhiGET / HTTP/1.0\r\nhost: x\r\n\r\n";
    let interim =
        with(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", &peer::response(Kind::Unary, &[b"pong"]));
    vec![
        ("requests", with(&[0, 1, 7], &requests)),
        ("requests-end", with(&[2, 3, 3], &requests)),
        ("expecting", with(&[0, 2, 9], expecting)),
        (
            "extensions",
            with(
                &[1, 1, 1],
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nt: v\r\n\r\n",
            ),
        ),
        ("response", with(&[1, 1, 5], &peer::response(BIDI, &[b"one", b"two"]))),
        ("interim", with(&[1, 6, 1], &interim)),
        ("until-close", with(&[3, 1, 1], b"HTTP/1.1 200 OK\r\n\r\nbody")),
    ]
}

fn hpack() -> Vec<(&'static str, Vec<u8>)> {
    // RFC 7541, appendix C.4.1, and what refers to it.
    let request = [
        0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ];
    let limits = [0xff, 0xff, 0, 16];
    vec![
        ("requests", [&limits[..], &[0, 17], &request, &[0xc1, 4, 0x82, 0x86, 0x84, 0xbe]].concat()),
        ("sensitive", with(&limits, b"\0\x14\x10\x08password\x06secret\x82\x86\x84\0\x02\x20\x82")),
        (
            "bomb",
            with(
                &[0xff, 1, 0, 16],
                b"\0\x2b\x40\x01a\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xbe\xbe\xbe\xbe\xbe\xbe",
            ),
        ),
    ]
}

/// Kind, flags, stream, times and length make a frame's head; the first three bytes are the mode and two cuts.
fn http2() -> Vec<(&'static str, Vec<u8>)> {
    let request: &[u8] = &[1, 4, 1, 0, 4, 0x82, 0x86, 0x84, 0x40 | 31];
    let get: &[u8] = &[1, 5, 1, 0, 3, 0x82, 0x86, 0x84];
    let post: &[u8] = &[1, 4, 3, 0, 3, 0x83, 0x86, 0x84];
    let body: &[u8] = &[0, 0, 3, 0, 5, b'h', b'e', b'l', b'l', b'o', 0, 1, 3, 0, 0];
    let trailers: &[u8] = &[1, 5, 3, 0, 5, 0, 1, b'a', 1, b'b'];
    let answers: &[u8] = &[
        1, 4, 1, 0, 1, 0x88, 0, 1, 1, 0, 3, 1, 2, 3, 1, 4, 3, 0, 1, 0x88, 1, 5, 3, 0, 5, 0, 1, b'a', 1, b'b',
    ];
    let goaway: &[u8] = &[7, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0];
    let reset: &[u8] = &[3, 0, 3, 0, 4, 0, 0, 0, 8];
    let pings: &[u8] = &[6, 0, 0, 255, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let settings: &[u8] = &[4, 0, 0, 0, 12, 0, 4, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    let split: &[u8] = &[1, 0, 1, 0, 2, 0x82, 0x86, 9, 0, 1, 0, 0, 9, 4, 1, 0, 1, 0x84];
    vec![
        ("requests", [&[0, 1, 7], get, post, body].concat()),
        ("requests-active", [&[8, 3, 9], get, post, body, reset].concat()),
        ("trailers", [&[8, 2, 50], post, &body[..10], trailers].concat()),
        ("malformed", [&[0, 2, 3], request, get].concat()),
        ("continuation", [&[2, 1, 1], split, get].concat()),
        ("pings", [&[0, 9, 20], pings, pings, get].concat()),
        ("settings", [&[8, 5, 5], get, settings, post, body, goaway].concat()),
        ("answers", [&[1, 4, 4], answers, goaway].concat()),
        ("answers-active", [&[11, 4, 30], settings, answers, reset].concat()),
        ("raw", with(&[20, 1, 1], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")),
    ]
}

/// `send(4)`, `finish`, drain.
const ASKED: &[u8] = &[28, 4, 0, 34, 39];

fn client_call() -> Vec<(&'static str, Vec<u8>)> {
    let stream = [peer::envelope(Flags::NONE, b"hello"), peer::end_stream()].concat();
    let head = [24, 0, 1, 1];
    let data = with(&[0, stream.len() as u8], &stream);
    vec![
        ("unary", [&[0, 0], ASKED, &[24, 0, 9, 0, 0, 7], b"message", &[8, 39]].concat()),
        (
            "unary-error",
            [&[0, 0], ASKED, &[24, 5, 1, 2, 0, 20], br#"{"code":"not_found"}"#, &[8, 39]].concat(),
        ),
        ("stream", [&[2, 0][..], ASKED, &head, &data, &[8, 39]].concat()),
        ("drained", [&[2, 4][..], ASKED, &head, &[37], &data, &[8, 39]].concat()),
        ("deadline", [&[3, 4][..], ASKED, &[12, 0xff, 0xff, 13, 39]].concat()),
        ("cut-stream", [&[0x82, 0, 0, 1, 1, 1, 3][..], &stream].concat()),
        ("cut-drained", [&[0x82, 16, 0, 1, 1, 2, 5][..], &stream].concat()),
        ("cut-unary", [&[0x80, 0, 0, 1, 0, 1, 3][..], b"a message"].concat()),
    ]
}

fn server_call() -> Vec<(&'static str, Vec<u8>)> {
    let stream = [peer::envelope(Flags::NONE, b"one"), peer::envelope(Flags::NONE, b"two")].concat();
    let data = with(&[0, stream.len() as u8], &stream);
    let success = [25, 4, 0, 30, 35];
    vec![
        ("unary", [&[0, 0, 1, 0][..], &[0, 4], b"ping", &[8], &success].concat()),
        ("unary-get", [&[0, 2, 0, 0][..], &success].concat()),
        ("stream", [&[1, 0, 1, 1][..], &data, &[8, 35], &success].concat()),
        ("early", [&[3, 0, 1, 1, 32][..], b"12345678901234567890", &[35], &data, &[8, 35]].concat()),
        ("deadline", [&[3, 0, 0x11, 1, 12, 0xff, 0xff, 13, 35][..], &data].concat()),
        ("cut-stream", [&[0x81, 0, 1, 1, 1, 3][..], &stream].concat()),
        ("cut-unary", [&[0x80, 0, 1, 0, 1, 3][..], b"a message"].concat()),
    ]
}

/// Three bytes make an operation, over HTTP/2 four: the first one is the call.
fn pair() -> Vec<(&'static str, Vec<u8>)> {
    let open = [0, 1, 0];
    let (send, finish) = ([8, 5, 0], [16, 0, 0]);
    let (answer, success) = ([24, 7, 0], [32, 0, 0]);
    let (close, abort, run) = ([20, 0, 0], [22, 0, 0], [46, 0, 0]);
    let call = [open, send, finish, run, answer, success, run].concat();
    let on = |calls: &[u8], ops: &[[u8; 3]]| -> Vec<u8> {
        ops.iter().flat_map(|op| calls.iter().flat_map(|call| with(&[*call], op))).collect()
    };
    let four = [0, 1, 2, 3];
    let talk = on(&four, &[send, answer, finish, run, success, run]);
    let opened = on(&four, &[open]);
    vec![
        ("two-calls", [&[0, 3][..], &call, &call].concat()),
        (
            "stream",
            [&[3, 1][..], &open, &send, &send, &run, &finish, &run, &answer, &answer, &success].concat(),
        ),
        ("close", [&[3, 3][..], &open, &send, &run, &close, &run, &answer, &success, &run].concat()),
        ("abort", [&[3, 3][..], &open, &send, &[56, 5, 0], &run, &abort, &run].concat()),
        ("deadline", [&[3, 2][..], &[0, 100, 0], &send, &run, &[48, 200, 0], &run].concat()),
        ("reset", [&[2, 3][..], &open, &send, &finish, &run, &[60, 0, 0], &run].concat()),
        ("cut", [&[0x83, 0][..], &call, &call].concat()),
        ("http2-four-calls", [&[0x40, 3][..], &opened, &talk].concat()),
        ("http2-two-at-once", [&[0x40, 5][..], &opened, &talk].concat()),
        (
            "http2-abort-and-close",
            [
                &[0x41, 0][..],
                &opened,
                &on(&four, &[send, run]),
                &on(&[1], &[abort]),
                &on(&[2], &[close]),
                &talk,
            ]
            .concat(),
        ),
        ("http2-deaf", [&[0x43, 1][..], &opened, &on(&[0, 1], &[[6, 1, 0], [7, 1, 0]]), &talk].concat()),
        (
            "http2-shutdown",
            [&[0x42, 2][..], &opened, &on(&four, &[send]), &on(&[0], &[[59, 255, 1]]), &talk].concat(),
        ),
        (
            "http2-trickle",
            [&[0x43, 0][..], &opened, &on(&four, &[send, close]), &on(&[0], &[[62, 1, 4]])].concat(),
        ),
        (
            "http2-lost",
            [&[0x40, 2][..], &opened, &on(&four, &[send, run]), &on(&[0], &[[60, 0, 0]]), &talk].concat(),
        ),
        ("http2-cut", [&[0xc0, 2][..], &opened, &talk].concat()),
        ("http2-isolation", [&[0xe0, 2][..], &on(&[0], &[send, abort]), &talk].concat()),
    ]
}

#[test]
fn the_seeds_are_checked_in() {
    let update = std::env::var_os("UPDATE_SEEDS").is_some();
    for (target, _) in TARGETS.iter().copied() {
        if update {
            fs::create_dir_all(corpus(target)).unwrap();
        }
        for (name, seed) in seeds(target) {
            let path = corpus(target).join(name);
            if update {
                fs::write(&path, &seed).unwrap();
            }
            assert!(fs::read(&path).is_ok_and(|found| found == seed), "{} differs", path.display());
        }
    }
}

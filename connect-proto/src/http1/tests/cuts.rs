//! How the bytes are cut changes nothing, and costs nothing.

use proptest::prelude::*;

use super::super::scan::{HeadBounds, HeadScan};
use super::*;

/// Everything that can be told from outside.
#[derive(PartialEq, Debug)]
struct Outcome {
    log: Vec<String>,
    wire: String,
    fault: Option<crate::error::PeerMisbehaved>,
    reuse: Result<(), NotReusable>,
    shutdown: Option<Shutdown>,
}

/// A server that reads these pieces, then the end, and answers whatever is complete or broken.
fn serve(pieces: &[&[u8]]) -> Outcome {
    let mut peer = Peer::<Server>::with(small());
    let mut answered = 0;
    for piece in pieces {
        peer.feed(piece);
        while let Some(entry) = peer.log.get(answered) {
            let over = entry == "end" || entry.starts_with("misbehaved");
            answered += 1;
            if over {
                peer.answer("ok");
            }
        }
        peer.flush();
    }
    peer.eof();
    Outcome {
        wire: peer.take_wire(),
        fault: peer.machine.fault(),
        reuse: peer.reuse(),
        shutdown: last_shutdown(&mut peer),
        log: peer.log,
    }
}

/// A client that has sent a request and reads these pieces, then the end.
fn ask(pieces: &[&[u8]]) -> Outcome {
    let mut peer = Peer::asking_with(small());
    for piece in pieces {
        peer.feed(piece);
    }
    let reuse = peer.reuse();
    peer.eof();
    Outcome {
        wire: peer.take_wire(),
        fault: peer.machine.fault(),
        reuse,
        shutdown: last_shutdown(&mut peer),
        log: peer.log,
    }
}

fn last_shutdown<R: Role>(peer: &mut Peer<R>) -> Option<Shutdown> {
    std::iter::from_fn(|| peer.machine.shutdown()).last()
}

fn small() -> Limits {
    Limits {
        max_head: 400,
        max_headers: 8,
        max_request_line: 100,
        max_interim: 2,
        max_chunk_extensions: 12,
        max_trailers: 24,
        ..Limits::default()
    }
}

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhelloPOST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
    "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nt: v\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello!\r\n",
    "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;xxxxxxxxxxxxxxx\r\nhello\r\n",
    "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nt: vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nhello",
    "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET / HTTP/1.1\nhost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\na: b\r\n c\r\n\r\n",
    "\r\n\r\n\r\n\r\n",
    "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET / HTTP/1.1\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\ne: 1\r\nf: 1\r\ng: 1\r\nh: 1\r\nhost: a\r\n\r\n",
];

const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello!",
    "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\ncontent-length: 9\r\n\r\nhello",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    "HTTP/1.1 102 a\r\n\r\nHTTP/1.1 102 b\r\n\r\nHTTP/1.1 102 c\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhitrailing",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nx",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    "HTTP/1.1 200 OK\nx: y\r\n\r\n",
    "not HTTP at all\r\n\r\n",
];

fn every_cut(streams: &[&str], run: impl Fn(&[&[u8]]) -> Outcome) {
    for stream in streams {
        let bytes = stream.as_bytes();
        let whole = run(&[bytes]);
        for at in 1..bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(run(&[a, b]), whole, "{stream:?} cut at {at}");
        }
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(&singles), whole, "{stream:?} byte by byte");
    }
}

#[test]
fn requests_may_be_cut_at_every_byte() {
    every_cut(REQUESTS, serve);
}

#[test]
fn responses_may_be_cut_at_every_byte() {
    every_cut(RESPONSES, ask);
}

fn cut<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces, mut sizes) = (bytes, Vec::new(), sizes.iter().cycle());
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

proptest! {
    /// Chunks of any sizes, in any cutting, through buffers of any capacity.
    #[test]
    fn a_chunked_body_comes_out_as_it_went_in(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9000), 0..8),
        sizes in prop::collection::vec(1_usize..20_000, 1..6),
        capacity in 0_usize..200_000,
    ) {
        let mut wire = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let mut server = Server::new(Instant::ORIGIN, Arc::new(Limits::default()));
        let mut buf = BytesMut::with_capacity(capacity);
        let (mut body, mut ended) = (Vec::new(), false);
        for piece in cut(&wire, &sizes) {
            buf.extend_from_slice(piece);
            loop {
                server.handle_read(Instant::ORIGIN, &mut buf);
                match server.poll_event() {
                    Some(Event::Data(data)) => body.extend_from_slice(&data),
                    Some(Event::End) => ended = true,
                    Some(Event::Head { .. }) => {}
                    Some(other) => panic!("{other:?}"),
                    None => break,
                }
            }
        }
        prop_assert!(ended && buf.is_empty());
        prop_assert_eq!(body, chunks.concat());
    }

    /// Mutilated streams in any cutting.
    #[test]
    fn broken_streams_break_in_the_same_way(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let mutate = |stream: &&str| {
            let mut bytes = stream.as_bytes().to_vec();
            for (at, byte) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes
        };
        let request = mutate(which.get(REQUESTS));
        prop_assert_eq!(serve(&cut(&request, &sizes)), serve(&[&request]));
        let response = mutate(which.get(RESPONSES));
        prop_assert_eq!(ask(&cut(&response, &sizes)), ask(&[&response]));
    }
}

#[test]
fn a_head_that_trickles_in_is_looked_at_once() {
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: 0123456789\r\n".repeat(90));
    let bounds = HeadBounds { head: 64 << 10, headers: 100, first_line: 8 << 10 };
    let mut scan = HeadScan::default();
    for end in 1..head.len() {
        assert_eq!(scan.find(&head.as_bytes()[..end], bounds), Ok(None));
    }
    assert_eq!(scan.find(head.as_bytes(), bounds).unwrap().unwrap().len, head.len());
    assert_eq!(scan.examined, head.len());
}

#[test]
fn a_line_without_an_end_is_looked_at_once() {
    let head = "x".repeat(20_000);
    let bounds = HeadBounds { head: 64 << 10, headers: 100, first_line: usize::MAX };
    let mut scan = HeadScan::default();
    for end in 1..=head.len() {
        assert_eq!(scan.find(&head.as_bytes()[..end], bounds), Ok(None));
    }
    assert_eq!(scan.examined, head.len());
}

#[test]
fn a_large_chunk_is_not_moved_to_a_small_one_before_it() {
    let mut peer = Peer::serving("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut buf = BytesMut::from(&b"1\r\nx\r\n8000\r\n"[..]);
    buf.extend_from_slice(&[7; 0x8000]);
    let place = buf[12..].as_ptr();
    let mut pieces = Vec::new();
    while {
        peer.machine.handle_read(peer.now, &mut buf);
        let Some(Event::Data(data)) = peer.machine.poll_event() else { panic!("no data") };
        pieces.push((data.len(), data.as_ptr() == place));
        !buf.is_empty()
    } {}
    assert_eq!(pieces, [(1, false), (0x8000, true)]);
}

#[test]
fn many_small_chunks_come_as_one_piece_and_a_large_one_is_not_moved() {
    let mut peer = Peer::serving("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut buf = BytesMut::with_capacity(256 << 10);
    buf.extend_from_slice("10\r\n0123456789abcdef\r\n".repeat(1000).as_bytes());
    peer.machine.handle_read(peer.now, &mut buf);
    let Some(Event::Data(data)) = peer.machine.poll_event() else { panic!("no data") };
    assert_eq!(data.len(), 16_000);
    assert!(buf.is_empty());

    buf.extend_from_slice(b"19000\r\n");
    buf.extend_from_slice(&[7; 0x19000]);
    let place = buf[7..].as_ptr();
    peer.machine.handle_read(peer.now, &mut buf);
    let Some(Event::Data(data)) = peer.machine.poll_event() else { panic!("no data") };
    assert_eq!((data.len(), data.as_ptr()), (0x19000, place));
}

#[test]
fn a_small_message_does_not_pin_a_large_buffer() {
    let mut peer = Peer::<Server>::new();
    let mut buf = BytesMut::with_capacity(64 << 10);
    buf.extend_from_slice(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    let place = buf.as_ptr();
    peer.machine.handle_read(peer.now, &mut buf);
    let head = peer.machine.poll_event();
    peer.machine.handle_read(peer.now, &mut buf);
    let data = peer.machine.poll_event();
    assert!(matches!((&head, &data), (Some(Event::Head { .. }), Some(Event::Data(_)))));
    buf.reserve(64 << 10);
    assert_eq!(buf.as_ptr(), place, "the buffer is used again while head and data live");
}

//! Output is level-triggered, and messages are framed as announced.

use proptest::prelude::*;

use super::super::output::Output;
use super::*;

const CHUNKED_HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn a_small_response_is_one_slice() {
    let mut peer = Peer::serving("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    peer.send_head(&Response::new(()), BodySize::Exact(5));
    peer.send("hello");
    peer.end();
    let mut slices = [IoSlice::new(&[]); 4];
    assert_eq!(peer.machine.output(&mut slices), 1);
    assert_eq!(peer.written(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
}

#[test]
fn a_large_payload_is_not_copied_and_the_last_chunk_joins_it() {
    let mut peer = Peer::serving("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let payload = Bytes::from(vec![b'x'; 5000]);
    peer.send_head(&Response::new(()), BodySize::Unknown);
    peer.machine.send_data(peer.now, Chunk::with_prefix([0, 0, 0, 19, 136], payload.clone()));
    peer.end();
    let mut slices = [IoSlice::new(&[]); 8];
    assert_eq!(peer.machine.output(&mut slices), 3);
    assert_eq!(slices[0][..], [CHUNKED_HEAD.as_bytes(), b"138d\r\n", &[0, 0, 0, 19, 136]].concat());
    assert_eq!((slices[1].as_ptr(), slices[1].len()), (payload.as_ptr(), 5000));
    assert_eq!(slices[2][..], *b"\r\n0\r\n\r\n");
}

#[test]
fn an_empty_piece_is_not_the_last_chunk() {
    let mut peer = Peer::serving("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    peer.send_head(&Response::new(()), BodySize::Unknown);
    peer.send("");
    peer.send("hi");
    assert_eq!(peer.written(), format!("{CHUNKED_HEAD}2\r\nhi\r\n"));
    peer.end();
    assert_eq!(peer.written(), "0\r\n\r\n");
}

#[test]
fn a_body_longer_than_announced_is_cut_off_and_not_sent() {
    let mut peer = Peer::serving("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    peer.send_head(&Response::new(()), BodySize::Exact(5));
    peer.send("hell");
    peer.flush();
    peer.send("o!");
    assert_eq!(peer.written(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell");
    assert_eq!(peer.log.last().unwrap(), "lost Failed Yes");
    assert_eq!(peer.reuse(), Err(NotReusable::BodyMismatch));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn a_body_shorter_than_announced_never_looks_complete() {
    let mut peer = Peer::<Client>::new();
    peer.ask(&post(), BodySize::Exact(5));
    peer.send("hell");
    peer.flush();
    peer.end();
    assert_eq!(peer.log, ["lost Failed Unknown"]);
    assert_eq!(peer.reuse(), Err(NotReusable::BodyMismatch));
    assert_eq!(peer.machine.poll_shutdown(), Some(Shutdown::Close));
}

#[test]
fn room_is_what_is_left_of_the_limit() {
    let mut peer = Peer::serving("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let room = peer.machine.room();
    assert_eq!(room, 129 << 10);
    peer.send_head(&Response::new(()), BodySize::Exact(200_000));
    peer.machine.send_data(peer.now, Bytes::from(vec![0; 130_000]).into());
    assert_eq!(peer.machine.room(), room - peer.shown().len());
    peer.machine.send_data(peer.now, Bytes::from(vec![0; 70_000]).into());
    assert_eq!(peer.machine.room(), 0);
    peer.flush();
    assert_eq!(peer.machine.room(), room);
}

#[test]
fn more_acknowledged_than_shown_is_all_of_it() {
    let mut peer = Peer::serving("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    peer.send_head(&Response::new(()), BodySize::Empty);
    peer.machine.handle_written(peer.now, usize::MAX);
    peer.events();
    assert_eq!(peer.log.last().unwrap(), "end sent");
    assert!(peer.shown().is_empty() && peer.machine.is_idle());
}

#[test]
fn an_idle_connection_keeps_a_small_buffer() {
    let mut output = Output::default();
    for _ in 0..200 {
        output.stage(|to| to.extend_from_slice(&[0; 1000]));
        output.payload(Bytes::from(vec![0; 2000]));
    }
    output.acknowledge(usize::MAX);
    output.trim();
    assert!(output.held() <= 2048, "{}", output.held());
}

#[test]
fn a_long_stream_does_not_grow_the_staging_buffer() {
    let mut output = Output::default();
    output.stage(|to| to.extend_from_slice(b"begin"));
    for _ in 0..10_000 {
        output.stage(|to| to.extend_from_slice(&[0; 100]));
        output.acknowledge(100);
    }
    assert!(output.held() < 32 << 10, "{}", output.held());
}

fn shown(output: &Output) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 3];
    let n = output.slices(&mut slices);
    slices[..n].iter().flat_map(|slice| slice.to_vec()).collect()
}

proptest! {
    /// Whatever is queued comes out once and in order, however it is acknowledged.
    #[test]
    fn output_shows_the_same_bytes_in_any_pieces(
        steps in prop::collection::vec((any::<u8>(), 0_usize..6000, any::<bool>(), 0_usize..9000), 1..40),
    ) {
        let (mut output, mut queued, mut written) = (Output::default(), Vec::new(), Vec::new());
        for (byte, len, shared, acknowledged) in steps {
            let bytes = vec![byte; len];
            queued.extend_from_slice(&bytes);
            if shared {
                output.payload(bytes.into());
            } else {
                output.stage(|to| to.extend_from_slice(&bytes));
            }
            let seen = shown(&output);
            prop_assert_eq!(&seen, &shown(&output));
            prop_assert_eq!(output.is_empty(), seen.is_empty());
            let n = acknowledged.min(seen.len());
            prop_assert_eq!(output.acknowledge(n), n);
            written.extend_from_slice(&seen[..n]);
            prop_assert_eq!(output.len(), queued.len() - written.len());
        }
        while !output.is_empty() {
            let seen = shown(&output);
            output.acknowledge(seen.len());
            written.extend_from_slice(&seen);
        }
        prop_assert_eq!(queued, written);
    }
}

//! Cutting the bytes differently changes nothing, and cutting them off never looks complete.

use super::*;
use crate::error::RpcError;
use crate::testing::peer;

/// What a client hears of a response that comes in these pieces.
fn client_hears(kind: Kind, response: &[u8], pieces: &[usize]) -> Vec<String> {
    let mut client = requested(kind);
    client.incoming.cut(pieces);
    client.feed(response);
    client.assert_quiescent();
    client.end.story()
}

/// What a server hears of a request that comes in these pieces, and what it writes.
fn server_hears(kind: Kind, request: &[u8], pieces: &[usize]) -> (Vec<String>, Vec<u8>) {
    let mut server = Alone::serving(kind);
    server.incoming.cut(pieces);
    server.feed(request);
    server.end.send("pong").unwrap();
    server.end.finish(Ok(())).unwrap();
    server.run();
    server.assert_quiescent();
    (server.end.story(), server.written().to_vec())
}

/// The request and the response of a call, as the two sides of this crate write them.
fn exchange(kind: Kind, verdict: Result<(), RpcError>) -> (Vec<u8>, Vec<u8>) {
    let mut p = Pair::open(kind);
    p.request("ping");
    p.server.send("pong").unwrap();
    p.server.finish(verdict).unwrap();
    p.run();
    p.assert_quiescent();
    (p.to_server.written().to_vec(), p.to_client.written().to_vec())
}

#[test]
fn a_response_cut_anywhere_says_the_same() {
    for kind in KINDS {
        for verdict in [Ok(()), Err(RpcError::new(Code::NotFound, "no such thing"))] {
            let (_, response) = exchange(kind, verdict);
            for response in [response, peer::response(kind, &[b"pong"])] {
                let whole = client_hears(kind, &response, &[]);
                for at in 1..response.len() {
                    let cut = client_hears(kind, &response, &[at, response.len()]);
                    assert_eq!(cut, whole, "{kind:?} cut at {at}");
                }
                assert_eq!(client_hears(kind, &response, &[1]), whole, "{kind:?}, byte by byte");
            }
        }
    }
}

#[test]
fn a_small_response_cut_twice_says_the_same() {
    let response = b"HTTP/1.1 200 \r\ncontent-type:application/connect+text\r\n\
        transfer-encoding:chunked\r\n\r\n6\r\n\0\0\0\0\x01x\r\n7\r\n\x02\0\0\0\x02{}\r\n0\r\n\r\n";
    let whole = client_hears(BIDI, response, &[]);
    for first in 1..response.len() {
        for second in 1..response.len() - first {
            let cut = client_hears(BIDI, response, &[first, second, response.len()]);
            assert_eq!(cut, whole, "cut at {first} and {}", first + second);
        }
    }
}

#[test]
fn a_request_cut_anywhere_says_the_same() {
    for kind in KINDS {
        let (request, _) = exchange(kind, Ok(()));
        for request in [request, peer::request(kind, &[b"ping"])] {
            let whole = server_hears(kind, &request, &[]);
            for at in 1..request.len() {
                let cut = server_hears(kind, &request, &[at, request.len()]);
                assert_eq!(cut, whole, "{kind:?} cut at {at}");
            }
            assert_eq!(server_hears(kind, &request, &[1]), whole, "{kind:?}, byte by byte");
        }
    }
}

#[test]
fn a_response_cut_off_anywhere_never_looks_complete() {
    for kind in KINDS {
        let response = peer::response(kind, &[b"pong"]);
        for at in 0..response.len() {
            for reset in [false, true] {
                let mut client = requested(kind);
                client.feed(&response[..at]);
                if reset {
                    client.reset()
                } else {
                    client.eof()
                }
                client.assert_quiescent();
                // The verdict of a stream is known before HTTP's end.
                let parsed = kind.is_streaming() && at >= response.len() - peer::LAST_CHUNK.len() - 2;
                let verdict = client.end.verdict().unwrap();
                assert_eq!(verdict.is_ok(), parsed, "{kind:?} cut off at {at}: {verdict:?}");
                assert!(matches!(client.closed().reason, CloseReason::TransportLost(_)));
                assert!(matches!(client.closed().fate, Fate::Closing(_)));
                if kind == Kind::Unary {
                    assert!(client.end.messages().is_empty(), "cut off at {at}");
                }
            }
        }
    }
}

#[test]
fn a_request_cut_off_anywhere_never_looks_complete() {
    for kind in KINDS {
        let request = peer::request(kind, &[b"ping"]);
        for at in peer::request_head(kind).len()..request.len() {
            let mut server = Alone::serving(kind);
            server.feed(&request[..at]);
            server.eof();
            server.assert_quiescent();
            assert!(!server.end.story().contains(&"PeerHalfClosed".to_owned()), "{kind:?} cut off at {at}");
            assert_eq!(code(server.end.verdict()), Some(Code::Canceled));
            if !matches!(kind, Kind::ClientStream | Kind::Bidi(_)) {
                assert!(server.end.messages().is_empty(), "{kind:?} cut off at {at}");
            }
        }
    }
}

#[test]
fn a_body_without_a_length_ends_with_the_connection_but_a_stream_needs_its_end() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/connect+text\r\n\r\n";
    for (body, complete) in [(peer::end_stream(), true), (Vec::new(), false)] {
        let mut client = requested(BIDI);
        client.feed(&[head.as_bytes(), &body].concat());
        client.eof();
        assert_eq!(client.end.verdict().unwrap().is_ok(), complete);
        client.assert_quiescent();
    }
}

#[test]
fn the_same_input_gives_the_same_output() {
    for kind in KINDS {
        assert_eq!(exchange(kind, Ok(())), exchange(kind, Ok(())));
    }
}

//! The recording of a peer.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use connect_proto::call::BodySize;
use connect_proto::http2::{Client, Engine, Event, Limits, Role, Server};
use http::{Request, Response, request, response};

use super::Work;
use crate::{NOW, PROCEDURE};

/// Bytes after which the peer widens the connection's window.
const WIDEN: usize = 256 << 10;

/// The head of all requests.
pub(crate) fn request() -> Request<()> {
    Request::post(format!("http://127.0.0.1:8080{PROCEDURE}"))
        .header("content-type", "application/proto")
        .header("connect-protocol-version", "1")
        .header("accept-encoding", "gzip")
        .header("user-agent", "connect-proto/0.1.0")
        .body(())
        .expect("a request")
}

/// The head of all responses.
pub(crate) fn response() -> Response<()> {
    Response::builder().header("content-type", "application/proto").body(()).expect("a response")
}

pub(crate) fn request_parts() -> request::Parts {
    request().into_parts().0
}

pub(crate) fn response_parts() -> response::Parts {
    response().into_parts().0
}

/// Writes out all that an engine shows.
pub(crate) fn drain<R: Role>(engine: &mut Engine<R>, sink: &mut impl FnMut(&[u8])) {
    loop {
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = engine.output(&mut slices);
        let mut written = 0;
        for slice in &slices[..filled] {
            sink(slice);
            written += slice.len();
        }
        if written == 0 {
            return;
        }
        engine.handle_written(NOW, written);
    }
}

/// What a peer says in one exchange, and before the first.
pub(crate) struct Peer {
    /// Its greeting, and its part of two exchanges.
    pub(crate) begin: [Vec<u8>; 3],
    bytes: Vec<u8>,
    /// How much of `bytes` is no window update.
    len: usize,
    /// Where in `bytes` the ids of streams are.
    ids: Vec<usize>,
    /// The stream of the next exchange.
    next: u32,
    taken: usize,
}

impl Peer {
    /// A client to be served: it has asked twice in `begin`.
    pub(crate) fn client(work: Work) -> Self {
        Peer::new(record(work).0)
    }

    /// A server to be asked: it has answered twice in `begin`.
    pub(crate) fn server(work: Work) -> Self {
        Peer::new(record(work).1)
    }

    fn new([greeting, first, second, third]: [Vec<u8>; 4]) -> Self {
        let (mut ids, mut at) = (Vec::new(), 0);
        while at < third.len() {
            ids.push(at + 5);
            let len = u32::from_be_bytes([0, third[at], third[at + 1], third[at + 2]]);
            at += 9 + len as usize;
        }
        // With the room that a window update needs.
        let mut bytes = third;
        bytes.reserve(13);
        Peer { begin: [greeting, first, second], len: bytes.len(), bytes, ids, next: 5, taken: 0 }
    }

    /// Its part of the next exchange, in which it takes so many bytes.
    pub(crate) fn next(&mut self, takes: usize) -> &[u8] {
        self.bytes.truncate(self.len);
        for at in &self.ids {
            self.bytes[*at..*at + 4].copy_from_slice(&self.next.to_be_bytes());
        }
        self.next += 2;
        self.taken += takes;
        if self.taken >= WIDEN {
            self.bytes.extend_from_slice(&[0, 0, 4, 8, 0, 0, 0, 0, 0]);
            self.bytes.extend_from_slice(&(self.taken as u32).to_be_bytes());
            self.taken = 0;
        }
        &self.bytes
    }
}

/// Three exchanges of our own engines: what the client and what the server says, the greeting apart.
fn record(work: Work) -> ([Vec<u8>; 4], [Vec<u8>; 4]) {
    let limits = Arc::new(Limits::default());
    let (mut client, mut server) = (Client::new(NOW, limits.clone()), Server::new(NOW, limits));
    let (mut asked, mut answered): ([Vec<u8>; 4], [Vec<u8>; 4]) = Default::default();
    let (mut to_client, mut to_server) = (BytesMut::new(), BytesMut::new());
    for _ in 0..3 {
        drain(&mut client, &mut |bytes| {
            asked[0].extend_from_slice(bytes);
            to_server.extend_from_slice(bytes);
        });
        server.handle_read(NOW, &mut to_server);
        drain(&mut server, &mut |bytes| {
            answered[0].extend_from_slice(bytes);
            to_client.extend_from_slice(bytes);
        });
        client.handle_read(NOW, &mut to_client);
    }
    for number in 1..4 {
        let key = client.open(NOW).expect("a stream");
        client.send_head(NOW, key, &request_parts(), BodySize::Exact(work.request as u64));
        client.send_data(NOW, key, Bytes::from(vec![b'q'; work.request]).into());
        client.send_end(NOW, key, None);
        drain(&mut client, &mut |bytes| {
            asked[number].extend_from_slice(bytes);
            to_server.extend_from_slice(bytes);
        });
        server.handle_read(NOW, &mut to_server);
        let mut answering = None;
        while let Some((key, event)) = server.poll_event() {
            if let Event::Data(data) = &event {
                server.add_credit(NOW, key, data.len());
            }
            answering = Some(key);
        }
        let answering = answering.expect("a request");
        server.send_head(NOW, answering, &response_parts(), BodySize::Exact(work.response as u64));
        server.send_data(NOW, answering, Bytes::from(vec![b'r'; work.response]).into());
        server.send_end(NOW, answering, None);
        loop {
            let before = answered[number].len();
            while server.poll_writable().is_some() {}
            drain(&mut server, &mut |bytes| {
                answered[number].extend_from_slice(bytes);
                to_client.extend_from_slice(bytes);
            });
            if answered[number].len() == before {
                break;
            }
        }
        client.handle_read(NOW, &mut to_client);
        while let Some((key, event)) = client.poll_event() {
            if let Event::Data(data) = &event {
                client.add_credit(NOW, key, data.len());
            }
        }
        // Window updates of the peer's are written anew by `next`.
        drain(&mut client, &mut |bytes| to_server.extend_from_slice(bytes));
        server.handle_read(NOW, &mut to_server);
        drain(&mut server, &mut |_| {});
        client.release(NOW, key);
        server.release(NOW, answering);
    }
    (asked, answered)
}

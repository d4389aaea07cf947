//! Our engine.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use connect_proto::call::BodySize;
use connect_proto::http2::{Client, Engine, Event, Limits, Role, Server};

use super::record::{Peer, drain, request_parts, response_parts};
use super::{Work, merge};
use crate::scenario::Run;
use crate::{NOW, stream_message};

/// Bytes of a read buffer, and of what one read brings at most.
const READ: usize = 16 << 10;

/// Hands in what is read, as a socket is read.
fn read<R: Role>(engine: &mut Engine<R>, buf: &mut BytesMut, bytes: &mut &[u8]) {
    // What is left is a part of a frame, which has to fit.
    buf.reserve(READ);
    let (now, later) = bytes.split_at(bytes.len().min(READ));
    *bytes = later;
    buf.extend_from_slice(now);
    engine.handle_read(NOW, buf);
}

pub(crate) fn server(work: Work) -> Run {
    let mut server = Server::new(NOW, Arc::new(Limits::default()));
    let mut peer = Peer::client(work);
    let mut buf = BytesMut::with_capacity(2 * READ);
    let head = response_parts();
    for begin in &peer.begin {
        let mut bytes = begin.as_slice();
        while !bytes.is_empty() {
            serve(&mut server, &mut buf, &mut bytes, work, &head);
        }
    }
    Box::new(move || {
        let mut bytes = peer.next(work.response);
        let mut written = 0;
        while !bytes.is_empty() {
            written += serve(&mut server, &mut buf, &mut bytes, work, &head);
        }
        assert!(written > work.response && server.streams() == 0);
    })
}

/// Reads once, and serves what is complete by that.
fn serve(
    server: &mut Server,
    buf: &mut BytesMut,
    bytes: &mut &[u8],
    work: Work,
    head: &http::response::Parts,
) -> usize {
    read(server, buf, bytes);
    let mut written = 0;
    let mut body = Bytes::new();
    let mut left = 0;
    loop {
        let mut moved = false;
        while let Some((key, event)) = server.poll_event() {
            moved = true;
            match event {
                Event::Data(data) => {
                    server.add_credit(NOW, key, data.len());
                    body = data;
                }
                Event::End(_) => {
                    let size = if work.messages == 1 {
                        BodySize::Exact(work.response as u64)
                    } else {
                        BodySize::Unknown
                    };
                    server.send_head(NOW, key, head, size);
                    left = work.messages;
                    server.want_write(key);
                }
                Event::EndSent => server.release(NOW, key),
                _ => {}
            }
        }
        while let Some((key, max)) = server.poll_writable() {
            moved = true;
            if work.messages == 1 {
                server.send_data(NOW, key, std::mem::take(&mut body).into());
                left = 0;
            } else {
                let n = left.min(max / 16);
                if work.is_merged {
                    server.send_data(NOW, key, merge(n).into());
                } else {
                    (0..n).for_each(|_| server.send_data(NOW, key, stream_message().into()));
                }
                left -= n;
            }
            if left == 0 {
                server.send_end(NOW, key, None);
            } else {
                server.want_write(key);
            }
        }
        drain(server, &mut |bytes| {
            moved = true;
            written += bytes.len();
        });
        if !moved {
            return written;
        }
    }
}

pub(crate) fn client(work: Work) -> Run {
    let mut client = Client::new(NOW, Arc::new(Limits::default()));
    let mut peer = Peer::server(work);
    let mut buf = BytesMut::with_capacity(2 * READ);
    let (head, body) = (request_parts(), Bytes::from(vec![b'q'; work.request]));
    ask(&mut client, &head, &body);
    ask(&mut client, &head, &body);
    let begin = peer.begin.concat();
    let mut bytes = begin.as_slice();
    while !bytes.is_empty() {
        take(&mut client, &mut buf, &mut bytes);
    }
    Box::new(move || {
        ask(&mut client, &head, &body);
        let mut bytes = peer.next(work.request);
        let mut taken = 0;
        while !bytes.is_empty() {
            taken += take(&mut client, &mut buf, &mut bytes);
        }
        assert!(taken == work.response && client.streams() == 0);
    })
}

fn ask(client: &mut Client, head: &http::request::Parts, body: &Bytes) {
    let key = client.open(NOW).expect("a stream");
    client.send_head(NOW, key, head, BodySize::Exact(body.len() as u64));
    client.send_data(NOW, key, body.clone().into());
    client.send_end(NOW, key, None);
    drain(client, &mut |_| {});
}

/// Reads once, and says how much of a response came.
fn take(client: &mut Client, buf: &mut BytesMut, bytes: &mut &[u8]) -> usize {
    read(client, buf, bytes);
    let mut taken = 0;
    while let Some((key, event)) = client.poll_event() {
        match event {
            Event::Data(data) => {
                taken += data.len();
                client.add_credit(NOW, key, data.len());
            }
            Event::End(_) => client.release(NOW, key),
            _ => {}
        }
    }
    drain(client, &mut |_| {});
    taken
}

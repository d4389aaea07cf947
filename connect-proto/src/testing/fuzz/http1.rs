//! HTTP/1.1: heads and bodies.

use std::fmt::Debug;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::BytesMut;
use http::{Request, Response};

use super::{Reader, pieces};
use crate::Instant;
use crate::call::BodySize;
use crate::http1::{Client, Event, Limits, Server};

const NOW: Instant = Instant::ORIGIN;

/// What a machine told and wrote.
#[derive(PartialEq, Eq, Debug, Default)]
struct Story {
    events: Vec<String>,
    data: Vec<u8>,
    written: Vec<u8>,
    end: String,
}

impl Story {
    fn tell<H: Debug>(&mut self, event: &Event<H>) {
        match event {
            Event::Data(data) => {
                assert!(!data.is_empty(), "empty data");
                self.data.extend_from_slice(data);
            }
            event => self.events.push(format!("after {}: {event:?}", self.data.len())),
        }
    }
}

/// The bytes of a peer of either role: the same events and output, however they come in.
///
/// # Panics
/// If a rule is broken.
pub fn http1(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (first, lengths) = (reader.u8(), reader.take(2));
    let bytes = reader.rest();
    let limits =
        Arc::new(Limits { max_head: 1000, max_chunk_extensions: 50, max_trailers: 50, ..Limits::default() });
    let run = if first & 1 == 0 { serve } else { call };
    let ends = first & 2 != 0;
    let whole = run(&limits, bytes, &[], ends);
    assert_eq!(run(&limits, bytes, lengths, ends), whole, "cutting changes something");
    assert!(whole.data.len() <= bytes.len());
}

/// A server that answers each request as soon as it is complete or broken.
fn serve(limits: &Arc<Limits>, bytes: &[u8], lengths: &[u8], ends: bool) -> Story {
    let mut server = Server::new(NOW, limits.clone());
    let (mut story, mut buf) = (Story::default(), BytesMut::new());
    let response = Response::new(()).into_parts().0;
    let mut step = |server: &mut Server, buf: &mut BytesMut| {
        loop {
            server.handle_read(NOW, buf);
            let mut moved = false;
            while let Some(event) = server.poll_event() {
                moved = true;
                story.tell(&event);
                match event {
                    Event::Head { .. } => server.want_body(NOW),
                    Event::End | Event::Misbehaved(_) => server.send_head(NOW, &response, BodySize::Empty),
                    _ => {}
                }
            }
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = server.output(&mut slices);
            let written: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
            if !written.is_empty() {
                story.written.extend_from_slice(&written);
                server.handle_written(NOW, written.len());
                moved = true;
            }
            if !moved {
                return;
            }
        }
    };
    for piece in pieces(bytes, lengths) {
        buf.extend_from_slice(piece);
        step(&mut server, &mut buf);
        assert!(buf.len() <= limits.max_head + piece.len(), "what is left is a part of a head");
    }
    if ends {
        server.handle_eof(NOW);
        step(&mut server, &mut buf);
    }
    story.end = format!("{:?} {:?} {}", server.fault(), server.reuse(), server.is_closed());
    story
}

/// A client that has sent a request.
fn call(limits: &Arc<Limits>, bytes: &[u8], lengths: &[u8], ends: bool) -> Story {
    let mut client = Client::new(NOW, limits.clone());
    let request = Request::get("http://test/s/m").body(()).unwrap_or_default().into_parts().0;
    client.send_head(NOW, &request, BodySize::Empty);
    client.handle_written(NOW, usize::MAX);
    assert!(matches!(client.poll_event(), Some(Event::EndSent)));
    let (mut story, mut buf) = (Story::default(), BytesMut::new());
    let mut step = |client: &mut Client, buf: &mut BytesMut| {
        loop {
            client.handle_read(NOW, buf);
            let Some(event) = client.poll_event() else { return };
            story.tell(&event);
        }
    };
    for piece in pieces(bytes, lengths) {
        buf.extend_from_slice(piece);
        step(&mut client, &mut buf);
        assert!(buf.len() <= limits.max_head, "what is left is a part of a head");
    }
    if ends {
        client.handle_eof(NOW);
        step(&mut client, &mut buf);
    }
    story.end = format!("{:?} {:?} {}", client.fault(), client.reuse(), client.is_closed());
    story
}

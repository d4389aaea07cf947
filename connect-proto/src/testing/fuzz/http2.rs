//! HTTP/2: frames of a peer of either role.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};

use super::{Reader, pieces};
use crate::Instant;
use crate::call::BodySize;
use crate::http2::{Client, Engine, Event, Limits, Role, Server, StreamKey};

const NOW: Instant = Instant::ORIGIN;
/// The client's preface, and SETTINGS that change nothing and acknowledge the server's.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
const PREFACE: usize = 24;
/// What is written for one frame of the peer at most, and for a connection beside that: greeting, GOAWAY, heads.
const REPLY: usize = 17;
const BESIDE: usize = 600;

/// What a peer's messages were, by stream in the order of their first events.
#[derive(PartialEq, Eq, Debug, Default)]
struct Story {
    streams: Vec<Stream>,
    written: Vec<u8>,
    end: String,
}

#[derive(PartialEq, Eq, Debug, Default)]
struct Stream {
    events: Vec<String>,
    data: Vec<u8>,
    is_over: bool,
}

/// The frames of a peer of either role: the same events and output, however they come in, and the rules of events when
/// an application takes part.
///
/// # Panics
/// If a rule is broken.
pub fn http2(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (first, lengths) = (reader.u8(), reader.take(2));
    let (is_server, ends, greets, is_active) =
        (first & 1 == 0, first & 2 != 0, first & 4 == 0, first & 8 != 0);
    let mut bytes = Vec::new();
    if greets {
        bytes.extend_from_slice(if is_server { GREETING } else { &GREETING[PREFACE..] });
    }
    if first & 16 == 0 {
        frames(reader, &mut bytes)
    } else {
        bytes.extend_from_slice(reader.rest())
    }
    let tell = |lengths: &[u8]| {
        if is_server {
            Run::new(Server::new(NOW, limits()), is_active).tell(&bytes, lengths, ends, respond)
        } else {
            Run::calling(is_active).tell(&bytes, lengths, ends, |_, _| {})
        }
    };
    let whole = tell(&[]);
    assert!(whole.streams.iter().map(|stream| stream.data.len()).sum::<usize>() <= bytes.len());
    let cut = tell(lengths);
    if !is_active {
        assert_eq!(cut, whole, "cutting changes something");
    }
}

fn limits() -> Arc<Limits> {
    Arc::new(Limits {
        max_concurrent_streams: 4,
        max_unreleased_streams: 6,
        initial_stream_window: 2000,
        max_header_list: 2000,
        max_headers: 10,
        max_continuations: 3,
        max_interim: 2,
        max_unwritten_replies: 20,
        ..Limits::default()
    })
}

/// Frames with heads that fit: kind, flags, stream, times and length, then the payload.
fn frames(mut reader: Reader<'_>, bytes: &mut Vec<u8>) {
    while !reader.is_empty() && bytes.len() < 1 << 16 {
        let (kind, flags, stream) = (reader.u8(), reader.u8(), reader.u8());
        let (times, len) = (reader.u8(), reader.u8());
        let payload = reader.take(usize::from(len));
        let times = if times < 240 { 1 } else { 30 };
        for _ in 0..times {
            bytes.extend_from_slice(&[0, 0, payload.len() as u8, kind % 12, flags, 0, 0, 0, stream % 32]);
            bytes.extend_from_slice(payload);
        }
    }
}

fn respond(server: &mut Server, key: StreamKey) {
    server.send_head(NOW, key, &Response::new(()).into_parts().0, BodySize::Unknown);
}

struct Run<R: Role> {
    engine: Engine<R>,
    keys: HashMap<StreamKey, usize>,
    story: Story,
    /// Whether there is an application; else nothing is done until all has come.
    is_active: bool,
}

impl Run<crate::http2::ClientRole> {
    /// A client with three requests.
    fn calling(is_active: bool) -> Self {
        let mut run = Run::new(Client::new(NOW, limits()), is_active);
        for body in [BodySize::Empty, BodySize::Unknown, BodySize::Exact(5)] {
            let Ok(key) = run.engine.open(NOW) else { continue };
            let request = Request::post("http://test/s/m").body(()).unwrap_or_default();
            run.engine.send_head(NOW, key, &request.into_parts().0, body);
            run.number(key);
        }
        run
    }
}

impl<R: Role> Run<R> {
    fn new(engine: Engine<R>, is_active: bool) -> Self {
        Run { engine, keys: HashMap::new(), story: Story::default(), is_active }
    }

    fn number(&mut self, key: StreamKey) -> usize {
        let next = self.keys.len();
        let number = *self.keys.entry(key).or_insert(next);
        if number == next {
            self.story.streams.push(Stream::default());
        }
        number
    }

    fn tell(
        mut self,
        bytes: &[u8],
        lengths: &[u8],
        ends: bool,
        answer: fn(&mut Engine<R>, StreamKey),
    ) -> Story {
        let mut buf = BytesMut::new();
        for piece in pieces(bytes, lengths) {
            buf.extend_from_slice(piece);
            self.engine.handle_read(NOW, &mut buf);
            if self.is_active {
                self.go_on(&mut buf, answer);
            }
            if self.engine.wants_read() {
                assert!(buf.len() < (16 << 10) + 9, "what is left is a part of a frame");
            }
            self.check_output(piece.len());
        }
        self.go_on(&mut buf, answer);
        if ends {
            self.engine.handle_eof(NOW);
            self.go_on(&mut buf, answer);
        }
        self.check_time();
        self.story.end =
            format!("{:?} {} {:?}", self.engine.fault(), self.engine.is_closed(), self.engine.goaway());
        self.story
    }

    /// Carries on until nothing moves.
    fn go_on(&mut self, buf: &mut BytesMut, answer: fn(&mut Engine<R>, StreamKey)) {
        loop {
            let before = buf.len();
            self.engine.handle_read(NOW, buf);
            let mut moved = buf.len() < before;
            while let Some((key, event)) = self.engine.poll_event() {
                moved = true;
                self.event(key, event, answer);
            }
            while let Some((key, max)) = self.engine.poll_writable() {
                moved = true;
                self.engine.send_data(
                    NOW,
                    key,
                    Bytes::from_static(&[b'x'; 100]).slice(..max.min(100)).into(),
                );
                self.engine.send_end(NOW, key, None);
            }
            let shown = self.shown();
            if !shown.is_empty() {
                moved = true;
                self.engine.handle_written(NOW, shown.len());
                self.story.written.extend_from_slice(&shown);
            }
            if !moved {
                return;
            }
        }
    }

    fn shown(&mut self) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = self.engine.output(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    fn event(&mut self, key: StreamKey, event: Event<R::In>, answer: fn(&mut Engine<R>, StreamKey)) {
        let number = self.number(key);
        let stream = &mut self.story.streams[number];
        assert!(!stream.is_over, "an event after the last");
        let text = format!("after {}: {event:?}", stream.data.len());
        let had_end = stream.events.iter().any(|event| event.contains(": End("));
        let had_head = stream.events.iter().any(|event| event.contains(": Head"));
        match &event {
            Event::Head { .. } => assert!(!had_head),
            Event::Data(data) => {
                assert!(had_head && !had_end && !data.is_empty());
                stream.data.extend_from_slice(data);
                if self.is_active {
                    self.engine.add_credit(NOW, key, data.len());
                }
                return;
            }
            Event::End(_) => assert!(had_head && !had_end),
            Event::EndSent => {}
            _ => stream.is_over = true,
        }
        stream.events.push(text);
        if !self.is_active {
            return;
        }
        match event {
            Event::Head { .. } => {
                answer(&mut self.engine, key);
                self.engine.want_write(key);
            }
            Event::EndSent | Event::Reset { .. } | Event::Lost { .. } | Event::Misbehaved(_) => {
                self.story.streams[number].is_over = true;
                self.engine.release(NOW, key);
            }
            _ => {}
        }
    }

    /// Output is bounded by what is replied to, whatever comes.
    fn check_output(&mut self, piece: usize) {
        let len = self.shown().len();
        let replies = limits().max_unwritten_replies + 2;
        assert!(len <= BESIDE + replies * REPLY || self.is_active, "{len} bytes of output after {piece}");
    }

    fn check_time(&mut self) {
        for _ in 0..20 {
            let Some(at) = self.engine.poll_timeout() else { return };
            self.engine.handle_timeout(at);
            assert!(
                self.engine.poll_timeout().is_none_or(|next| next > at),
                "a timer is due and nothing happens"
            );
        }
    }
}

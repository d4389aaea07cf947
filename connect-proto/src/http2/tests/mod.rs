//! The rules of HTTP/2, in virtual time. Each file begins with what it is about.

mod abuse;
mod accounting;
mod chaos;
mod heads;
mod life;
mod matrix;
mod messages;
mod pair;
mod rules;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, request, response};

use super::frame::{self, HEAD_LEN, Head, Kind, flag};
use super::hpack::{Decoder, Field};
use super::*;
use crate::Instant;
use crate::call::{BodySize, Chunk};
use crate::error::ResetCode;
use crate::testing::peer_http2::{block, frame, goaway, headers, reset, settings, window_update};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(seconds: u64) -> Instant {
    Instant::ORIGIN.saturating_add(secs(seconds))
}

fn limits_with(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

/// A machine, and a peer that is written by hand.
struct Peer<R: Role> {
    engine: Engine<R>,
    now: Instant,
    buf: BytesMut,
    /// What the machine has written, as far as it is no whole frame.
    out: BytesMut,
    decoder: Decoder,
    /// The streams in the order of their first events.
    keys: Vec<StreamKey>,
}

trait Describe: Role {
    fn describe(parts: &Self::In) -> String;
}

impl Describe for ServerRole {
    fn describe(parts: &request::Parts) -> String {
        format!("{} {}", parts.method, parts.uri)
    }
}

impl Describe for ClientRole {
    fn describe(parts: &response::Parts) -> String {
        parts.status.as_str().into()
    }
}

impl<R: Describe> Peer<R> {
    /// A machine whose greeting is done: both sides have sent and acknowledged their settings.
    fn new(limits: Limits) -> Self {
        let mut peer = Peer::fresh(limits);
        peer.greet();
        peer.frames();
        peer
    }

    /// A machine that has not heard anything yet.
    fn fresh(limits: Limits) -> Self {
        Peer {
            engine: Engine::new(Instant::ORIGIN, Arc::new(limits)),
            now: Instant::ORIGIN,
            buf: BytesMut::with_capacity(64 << 10),
            out: BytesMut::new(),
            decoder: Decoder::new(4096),
            keys: Vec::new(),
        }
    }

    fn greet(&mut self) {
        if R::IS_SERVER {
            self.feed(frame::PREFACE);
        }
        self.feed(&settings(&[]));
        self.feed(&frame::settings_ack());
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        self.engine.handle_read(self.now, &mut self.buf);
    }

    fn feed_all(&mut self, frames: &[Vec<u8>]) {
        self.feed(&frames.concat());
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now.saturating_add(by);
        self.engine.handle_timeout(self.now);
        assert!(
            self.engine.poll_timeout().is_none_or(|due| due > self.now),
            "a timer is due and nothing happens"
        );
    }

    /// Events, as text.
    fn events(&mut self) -> Vec<String> {
        let mut log = Vec::new();
        while let Some((key, event)) = self.engine.poll_event() {
            log.push(format!("{} {}", self.number(key), describe_event::<R>(&event)));
        }
        log
    }

    fn number(&mut self, key: StreamKey) -> usize {
        self.keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.keys.push(key);
            self.keys.len() - 1
        })
    }

    /// What is written, acknowledged, frame by frame as text.
    fn frames(&mut self) -> Vec<String> {
        loop {
            let (bytes, shown) = shown(&mut self.engine);
            if shown == 0 {
                break;
            }
            self.out.extend_from_slice(&bytes);
            self.engine.handle_written(self.now, shown);
        }
        let mut log = Vec::new();
        if !R::IS_SERVER && self.out.starts_with(b"PRI") {
            let _ = self.out.split_to(frame::PREFACE.len());
        }
        while let Some(head) = Head::read(&self.out).filter(|head| self.out.len() >= HEAD_LEN + head.len) {
            let payload = self.out.split_to(HEAD_LEN + head.len).split_off(HEAD_LEN).freeze();
            assert_eq!(head.check(frame::DEFAULT_FRAME_SIZE), Ok(()), "an invalid frame was written");
            log.push(describe_frame(&mut self.decoder, head, &payload));
        }
        log
    }

    /// The frames, each in one line.
    fn wrote(&mut self) -> String {
        self.frames().join("\n")
    }
}

impl Peer<ServerRole> {
    fn server() -> Self {
        Peer::new(Limits::default())
    }

    /// A request has come, and its events are taken.
    fn request(&mut self, id: u32, end: bool) -> StreamKey {
        self.feed(&get(id, end));
        let (key, event) = self.engine.poll_event().expect("a request");
        assert!(matches!(event, Event::Head { .. }));
        self.number(key);
        if end {
            assert!(matches!(self.engine.poll_event(), Some((_, Event::End(None)))));
        }
        key
    }

    fn respond(&mut self, key: StreamKey, body: BodySize) {
        self.engine.send_head(self.now, key, &response_parts(200), body);
    }
}

impl Peer<ClientRole> {
    fn client() -> Self {
        Peer::new(Limits::default())
    }

    /// A request is sent, and written.
    fn open(&mut self, end: bool) -> StreamKey {
        let key = self.engine.open(self.now).expect("a stream");
        self.number(key);
        let body = if end { BodySize::Empty } else { BodySize::Unknown };
        self.engine.send_head(self.now, key, &request_parts("POST", "http://host/path"), body);
        self.frames();
        key
    }
}

/// Everything that is shown, and how much that is.
fn shown<R: Role>(engine: &mut Engine<R>) -> (Vec<u8>, usize) {
    let mut slices = [IoSlice::new(&[]); 64];
    let filled = engine.output(&mut slices);
    let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
    let len = bytes.len();
    (bytes, len)
}

fn describe_event<R: Describe>(event: &Event<R::In>) -> String {
    match event {
        Event::Head { parts, body } => format!("head {} {body:?}", R::describe(parts)),
        Event::Data(data) => format!("data {}", data.len()),
        Event::End(None) => "end".into(),
        Event::End(Some(trailers)) => format!("end {trailers:?}"),
        Event::EndSent => "end sent".into(),
        Event::Misbehaved(fault) => format!("misbehaved: {fault}"),
        Event::Reset { code, processed } => format!("reset {} {processed:?}", code.0),
        Event::Lost { kind, processed } => format!("lost {kind:?} {processed:?}"),
    }
}

fn describe_frame(decoder: &mut Decoder, head: Head, payload: &Bytes) -> String {
    let id = frame::wire_id(head.stream);
    let end = if head.flags & flag::END_STREAM != 0 { " end" } else { "" };
    match head.kind {
        Kind::Data => format!("DATA {id} {}{end}", head.len),
        Kind::Headers if head.has(flag::END_HEADERS) => {
            let mut fields = String::new();
            let ended = decoder.decode(payload, 1 << 20, |field| match field {
                Field::Pseudo(name, value) => {
                    fields += &format!(" {}={}", name.as_str(), String::from_utf8_lossy(value));
                }
                Field::Header(name, value) => fields += &format!(" {name}={value:?}"),
                other => panic!("{other:?}"),
            });
            ended.map(|_| ()).expect("a field block");
            format!("HEADERS {id}{end}{fields}")
        }
        Kind::Headers => format!("HEADERS {id}{end} .."),
        Kind::Reset => format!("RST_STREAM {id} {}", frame::u32_at(payload, 0)),
        Kind::Settings if head.has(flag::ACK) => "SETTINGS ack".into(),
        Kind::Ping if head.has(flag::ACK) => format!("PING ack {payload:?}"),
        Kind::WindowUpdate => format!("WINDOW_UPDATE {id} {}", frame::u32_at(payload, 0)),
        Kind::GoAway => format!("GOAWAY {} {}", frame::u32_at(payload, 0), frame::u32_at(payload, 4)),
        kind => format!("{} {id}", kind.name()),
    }
}

// Frames of a peer.

const REQUEST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "host"), (":path", "/path")];

fn get(id: u32, end: bool) -> Vec<u8> {
    headers(id, end, &REQUEST)
}

fn data(id: u32, end: bool, len: usize) -> Vec<u8> {
    frame(0, u8::from(end), id, &vec![b'x'; len])
}

fn ping() -> Vec<u8> {
    frame::ping(false, *b"12345678").to_vec()
}

fn request_parts(method: &str, uri: &str) -> request::Parts {
    Request::builder().method(method).uri(uri).body(()).expect("a request").into_parts().0
}

fn response_parts(status: u16) -> response::Parts {
    Response::builder().status(status).body(()).expect("a response").into_parts().0
}

fn chunk(len: usize) -> Chunk {
    Bytes::from(vec![b'y'; len]).into()
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
        .collect()
}

//! The rules of HTTP/1.1, in virtual time. Each file begins with what it is about.

mod chaos;
mod client_life;
mod cuts;
mod flow;
mod matrix;
mod pair;
mod requests;
mod responses;
mod server_life;
mod smuggling;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, request, response};

use super::*;
use crate::Instant;
use crate::call::{BodySize, Chunk};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(seconds: u64) -> Instant {
    Instant::ORIGIN.saturating_add(secs(seconds))
}

/// What both roles offer, so that the tests' peers are written once.
trait Role {
    type Parts;
    fn start(now: Instant, limits: Arc<Limits>) -> Self;
    fn read(&mut self, now: Instant, buf: &mut BytesMut);
    fn written(&mut self, now: Instant, n: usize);
    fn timeout(&mut self, now: Instant);
    fn eof(&mut self, now: Instant);
    fn event(&mut self) -> Option<Event<Self::Parts>>;
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize;
    fn shutdown(&mut self) -> Option<Shutdown>;
    fn due(&self) -> Option<Instant>;
    fn describe(parts: &Self::Parts) -> String;
    fn fields(parts: Self::Parts) -> http::HeaderMap;
}

macro_rules! role {
    ($role:ident, $parts:ty, $describe:expr) => {
        impl Role for $role {
            type Parts = $parts;
            fn start(now: Instant, limits: Arc<Limits>) -> Self {
                $role::new(now, limits)
            }
            fn read(&mut self, now: Instant, buf: &mut BytesMut) {
                self.handle_read(now, buf);
            }
            fn written(&mut self, now: Instant, n: usize) {
                self.handle_written(now, n);
            }
            fn timeout(&mut self, now: Instant) {
                self.handle_timeout(now);
            }
            fn eof(&mut self, now: Instant) {
                self.handle_eof(now);
            }
            fn event(&mut self) -> Option<Event<$parts>> {
                self.poll_event()
            }
            fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
                self.output(slices)
            }
            fn shutdown(&mut self) -> Option<Shutdown> {
                self.poll_shutdown()
            }
            fn due(&self) -> Option<Instant> {
                self.poll_timeout()
            }
            fn describe(parts: &$parts) -> String {
                $describe(parts)
            }
            fn fields(parts: $parts) -> http::HeaderMap {
                parts.headers
            }
        }
    };
}

role!(Server, request::Parts, |parts: &request::Parts| format!("{} {}", parts.method, parts.uri));
role!(Client, response::Parts, |parts: &response::Parts| parts.status.as_u16().to_string());

/// A machine, its read buffer, and all that came out of it.
struct Peer<R> {
    machine: R,
    now: Instant,
    buf: BytesMut,
    /// What the events say; data in a row is one entry.
    log: Vec<String>,
    /// The fields of the heads, in order.
    fields: Vec<http::HeaderMap>,
    /// What was written.
    wire: Vec<u8>,
}

impl<R: Role> Peer<R> {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Peer {
            machine: R::start(Instant::ORIGIN, Arc::new(limits)),
            now: Instant::ORIGIN,
            buf: BytesMut::new(),
            log: Vec::new(),
            fields: Vec::new(),
            wire: Vec::new(),
        }
    }

    /// Bytes of the peer arrive.
    fn feed(&mut self, bytes: impl AsRef<[u8]>) {
        self.buf.extend_from_slice(bytes.as_ref());
        self.pump();
    }

    /// Reads and polls by turns until neither moves.
    fn pump(&mut self) {
        loop {
            let before = self.buf.len();
            self.machine.read(self.now, &mut self.buf);
            let moved = self.events();
            if !moved && self.buf.len() == before {
                break;
            }
        }
    }

    fn events(&mut self) -> bool {
        let before = self.log.len();
        let mut moved = false;
        while let Some(event) = self.machine.event() {
            moved = true;
            self.note(event);
        }
        moved || self.log.len() != before
    }

    fn note(&mut self, event: Event<R::Parts>) {
        let text = match event {
            Event::Head { parts, body } => {
                let text = format!("{} {body:?}", R::describe(&parts));
                self.fields.push(R::fields(*parts));
                text
            }
            Event::Data(data) => {
                assert!(!data.is_empty(), "empty data");
                let data = data.escape_ascii().to_string();
                match self.log.last_mut() {
                    Some(last) if last.starts_with("data ") => last.push_str(&data),
                    _ => self.log.push(format!("data {data}")),
                }
                return;
            }
            Event::End => "end".into(),
            Event::EndSent => "end sent".into(),
            Event::Misbehaved(fault) => format!("misbehaved: {fault}"),
            Event::Lost { kind, processed } => format!("lost {kind:?} {processed:?}"),
        };
        self.log.push(text);
    }

    /// What waits to be written.
    fn shown(&self) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let n = self.machine.slices(&mut slices);
        slices[..n].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    /// Writes all that waits.
    fn flush(&mut self) {
        loop {
            let shown = self.shown();
            if shown.is_empty() {
                break;
            }
            self.wire.extend_from_slice(&shown);
            self.machine.written(self.now, shown.len());
            self.pump();
        }
    }

    /// Time passes without the machine being told.
    fn advance(&mut self, by: Duration) {
        self.now = self.now.saturating_add(by);
    }

    /// Time passes, and the machine is told when it asked to be.
    fn wait(&mut self, by: Duration) {
        let until = self.now.saturating_add(by);
        while let Some(due) = self.machine.due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.machine.timeout(self.now);
            assert!(self.machine.due().is_none_or(|next| next > self.now), "a timer that is due again");
        }
        self.now = until;
        self.events();
    }

    fn eof(&mut self) {
        self.machine.eof(self.now);
        self.pump();
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    fn take_wire(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.wire)).unwrap()
    }

    /// Writes all that waits and returns it.
    fn written(&mut self) -> String {
        self.flush();
        self.take_wire()
    }
}

impl Peer<Server> {
    /// A server that has read `request`.
    fn serving(request: &str) -> Self {
        let mut peer = Peer::new();
        peer.feed(request);
        peer
    }

    fn send_head(&mut self, response: &Response<()>, body: BodySize) {
        self.machine.send_head(self.now, &parts(response), body);
        self.pump();
    }

    fn send(&mut self, data: &str) {
        self.machine.send_data(self.now, chunk(data));
        self.pump();
    }

    fn end(&mut self) {
        self.machine.send_end(self.now);
        self.pump();
    }

    /// Answers with a text, and writes it.
    fn answer(&mut self, text: &str) {
        self.send_head(&Response::new(()), BodySize::Exact(text.len() as u64));
        self.send(text);
        self.end();
        self.flush();
    }

    fn reuse(&self) -> Result<(), NotReusable> {
        self.machine.reuse()
    }
}

impl Peer<Client> {
    /// A client that has written a request without a body.
    fn asking() -> Self {
        Self::asking_with(Limits::default())
    }

    fn asking_with(limits: Limits) -> Self {
        let mut peer = Peer::with(limits);
        peer.ask(&get(), BodySize::Empty);
        peer.flush();
        assert_eq!(peer.take_log(), ["end sent"]);
        peer.wire.clear();
        peer
    }

    /// A client that has written a request's head and the first bytes of its chunked body.
    fn sending() -> Self {
        let mut peer = Peer::new();
        peer.ask(&post(), BodySize::Unknown);
        peer.send("begin");
        peer.flush();
        peer.wire.clear();
        peer
    }

    fn ask(&mut self, request: &Request<()>, body: BodySize) {
        self.machine.send_head(self.now, &request_parts(request), body);
        self.pump();
    }

    fn send(&mut self, data: &str) {
        self.machine.send_data(self.now, chunk(data));
        self.pump();
    }

    fn end(&mut self) {
        self.machine.send_end(self.now);
        self.pump();
    }

    fn reuse(&self) -> Result<(), NotReusable> {
        self.machine.reuse()
    }
}

fn chunk(data: &str) -> Chunk {
    Bytes::copy_from_slice(data.as_bytes()).into()
}

fn parts(response: &Response<()>) -> response::Parts {
    response.clone().into_parts().0
}

fn request_parts(request: &Request<()>) -> request::Parts {
    request.clone().into_parts().0
}

fn get() -> Request<()> {
    Request::get("http://example.com/a?b").body(()).unwrap()
}

fn post() -> Request<()> {
    Request::post("http://example.com/a").body(()).unwrap()
}

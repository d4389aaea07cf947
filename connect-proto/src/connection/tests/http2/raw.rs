//! One end of a connection whose peer is the test, frame by frame.

use super::*;
use crate::call::Event;
use crate::connection::{Client, Server};
use crate::error::ResetCode;
use crate::wire::envelope::Flags;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
/// On DATA and HEADERS; ACK on the others.
pub(super) const END: u8 = 1;
const END_HEADERS: u8 = 4;

pub(super) fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags], &id.to_be_bytes()[..], payload].concat()
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let part = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], part(name), part(value)].concat()).collect()
}

pub(super) fn response_head(id: u32) -> Vec<u8> {
    let fields = [(":status", "200"), ("content-type", "application/connect+text")];
    frame(HEADERS, END_HEADERS, id, &block(&fields))
}

pub(super) fn request_head(id: u32) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "test"),
        (":path", crate::testing::PROCEDURE),
        ("content-type", "application/connect+text"),
    ];
    frame(HEADERS, END_HEADERS, id, &block(&fields))
}

pub(super) fn message(id: u32, text: &str) -> Vec<u8> {
    frame(DATA, 0, id, &crate::testing::peer::envelope(Flags::NONE, text.as_bytes()))
}

pub(super) fn end_stream(id: u32, flags: u8) -> Vec<u8> {
    frame(DATA, flags, id, &crate::testing::peer::end_stream())
}

pub(super) fn reset(id: u32, code: ResetCode) -> Vec<u8> {
    frame(RST_STREAM, 0, id, &code.0.to_be_bytes())
}

pub(super) fn goaway(last: u32, code: ResetCode) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.0.to_be_bytes()].concat())
}

pub(super) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = pairs
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A connection, and what its application has heard.
pub(super) struct Raw<R: Role> {
    pub(super) now: Instant,
    pub(super) end: Connection<R>,
    input: BytesMut,
    written: Vec<u8>,
    /// Whether the peer reads.
    pub(super) reads: bool,
    /// Whether the application looks at events.
    pub(super) listens: bool,
    pub(super) notices: Vec<Notice>,
    pub(super) events: Vec<String>,
}

pub(super) trait Listens: Role {
    fn event(end: &mut Connection<Self>, now: Instant, id: CallId) -> Option<Event>
    where
        Self: Sized;
}

impl Listens for Client {
    fn event(end: &mut Connection<Client>, now: Instant, id: CallId) -> Option<Event> {
        end.call(id)?.poll_event(now)
    }
}

impl Listens for Server {
    fn event(end: &mut Connection<Server>, now: Instant, id: CallId) -> Option<Event> {
        end.call(id)?.poll_event(now)
    }
}

impl Raw<Client> {
    /// A client whose server has sent these settings.
    pub(super) fn client(limits: Limits, pairs: &[(u16, u32)]) -> Self {
        let mut raw = Raw::new(ClientConnection::http2(Instant::ORIGIN, &over_http2(limits)));
        raw.feed(&[settings(pairs), frame(SETTINGS, END, 0, &[])].concat());
        raw.written();
        raw
    }

    pub(super) fn open(&mut self, timeout: Option<std::time::Duration>) -> CallId {
        let call = call(self.now, &Arc::new(client_config()), FULL, timeout);
        self.end.open(self.now, call).unwrap()
    }

    pub(super) fn send(&mut self, id: CallId, message: impl Into<Bytes>) {
        let mut call = self.end.call(id).unwrap();
        call.send(self.now, Outbound::encode(&call.encoding(), message.into())).unwrap();
    }
}

impl Raw<Server> {
    /// A server whose client has sent its preface.
    pub(super) fn server(limits: Limits) -> Self {
        let mut raw = Raw::new(ServerConnection::new(Instant::ORIGIN, &over_http2(limits)));
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        raw.feed(&[&preface[..], &settings(&[]), &frame(SETTINGS, END, 0, &[])].concat());
        raw.written();
        raw
    }

    /// A call that has been started, after these frames.
    pub(super) fn arrive(&mut self, frames: &[u8]) -> CallId {
        self.feed(frames);
        let Some(Notice::Incoming(id)) = self.notices.pop() else { panic!("no request") };
        let config = Arc::new(ServerConfig::default());
        assert!(self.end.start(self.now, id, &config, &method(FULL)));
        self.run();
        id
    }
}

impl<R: Listens> Raw<R> {
    fn new(end: Connection<R>) -> Self {
        Raw {
            now: Instant::ORIGIN,
            end,
            input: BytesMut::new(),
            written: Vec::new(),
            reads: true,
            listens: true,
            notices: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.run();
    }

    pub(super) fn run(&mut self) {
        if self.end.wants_read() {
            self.end.handle_read(self.now, &mut self.input);
        }
        while self.reads {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.end.output(self.now, &mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            self.end.handle_written(self.now, bytes.len());
            self.written.extend_from_slice(&bytes);
            if bytes.is_empty() {
                break;
            }
        }
        while let Some(notice) = self.end.poll_ready() {
            match notice {
                Notice::Readable(id) if self.listens => {
                    while let Some(event) = R::event(&mut self.end, self.now, id) {
                        self.events.push(describe(event));
                    }
                }
                Notice::Readable(_) => {}
                other => self.notices.push(other),
            }
        }
        assert_conserved(&self.end);
    }

    /// The application looks at the events of a call.
    pub(super) fn look(&mut self, id: CallId) {
        while let Some(event) = R::event(&mut self.end, self.now, id) {
            self.events.push(describe(event));
        }
        self.run();
    }

    /// Lets time pass as a driver sees it.
    pub(super) fn elapse(&mut self, by: std::time::Duration) {
        let until = self.now.saturating_add(by);
        while let Some(at) = self.end.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.end.handle_timeout(self.now);
            self.run();
            assert!(self.end.poll_timeout().is_none_or(|next| next > self.now), "a timer stays");
        }
        self.now = until;
        self.run();
    }

    /// The frames written since the last look, but for SETTINGS and WINDOW_UPDATE.
    pub(super) fn written(&mut self) -> Vec<(u8, u8, u32, Vec<u8>)> {
        let written = std::mem::take(&mut self.written);
        let mut rest = written.strip_prefix(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]).unwrap_or(&written);
        let mut frames = Vec::new();
        while let [a, b, c, kind, flags, i1, i2, i3, i4, after @ ..] = rest {
            let (payload, after) = after.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
            if !matches!(*kind, SETTINGS | WINDOW_UPDATE) {
                frames.push((*kind, *flags, u32::from_be_bytes([*i1, *i2, *i3, *i4]), payload.to_vec()));
            }
            rest = after;
        }
        assert!(rest.is_empty(), "a part of a frame");
        frames
    }

    /// The same as text.
    pub(super) fn wrote(&mut self) -> String {
        let number = |payload: &[u8]| payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let frames = self.written().into_iter().map(|(kind, flags, id, payload)| {
            let end = if flags & END != 0 { "+END" } else { "" };
            match kind {
                DATA => format!("DATA{end}@{id}"),
                HEADERS => format!("HEADERS{end}@{id}"),
                RST_STREAM => format!("RST({})@{id}", number(&payload)),
                GOAWAY => format!("GOAWAY(last {}, code {})", number(&payload), number(&payload[4..])),
                PING => format!("PING{end}"),
                _ => format!("{kind}@{id}"),
            }
        });
        frames.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn closed(&self, id: CallId) -> Option<CallClosed> {
        let all: Vec<CallClosed> = self
            .notices
            .iter()
            .filter_map(|notice| match notice {
                Notice::Closed(at, closed) if *at == id => Some(*closed),
                _ => None,
            })
            .collect();
        assert!(all.len() <= 1, "a call is closed once: {all:?}");
        all.first().copied()
    }

    /// Whether the call's end is not told yet.
    pub(super) fn is_open(&self, id: CallId) -> bool {
        self.closed(id).is_none()
    }
}

fn describe(event: Event) -> String {
    match event {
        Event::Headers(_) => "Headers".to_owned(),
        Event::Message(_) => "Message".to_owned(),
        Event::Writable => "Writable".to_owned(),
        Event::PeerHalfClosed => "PeerHalfClosed".to_owned(),
        Event::Finished(Ok(_)) => "Finished(Ok)".to_owned(),
        Event::Finished(Err(error)) => format!("Finished({:?})", error.code()),
        other => format!("{other:?}"),
    }
}

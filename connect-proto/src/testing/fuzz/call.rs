//! One call of either role, between HTTP events and RPC events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use http::{Method, Request, Response, StatusCode, Uri, Version};

use super::{Reader, pieces};
use crate::Instant;
use crate::call::{Duplex, Event, Input, Kind, Processed};
use crate::client;
use crate::connection::machine::Machine;
use crate::error::{AbortReason, Code, LostKind, PeerMisbehaved, ResetCode, RpcError};
use crate::message::Outbound;
use crate::metadata::Metadata;
use crate::server;
use crate::testing::grammar::{CreditBook, EventGrammar, Role, TransmitGrammar, check_timer};
use crate::testing::{PROCEDURE, call, client_config, method, secs};
use crate::wire::names;

const KINDS: [Kind; 5] =
    [Kind::Unary, Kind::ClientStream, Kind::ServerStream, Kind::Bidi(Duplex::Half), Kind::Bidi(Duplex::Full)];

/// A call of either role.
trait Subject: Machine {
    fn reject(&mut self, now: Instant, fault: PeerMisbehaved);
}

impl Subject for client::Call {
    fn reject(&mut self, now: Instant, fault: PeerMisbehaved) {
        self.reject(now, fault);
    }
}

impl Subject for server::Call {
    fn reject(&mut self, now: Instant, fault: PeerMisbehaved) {
        self.reject(now, fault);
    }
}

/// A call and all that must be true of what it says.
struct Rig<M> {
    call: M,
    now: Instant,
    events: EventGrammar,
    transmits: TransmitGrammar,
    credit: CreditBook,
    end_sent: bool,
    /// Whether a fault found in a message goes back to the call. What comes of that depends on when it does.
    rejects: bool,
    story: Vec<String>,
}

impl<M: Subject> Rig<M> {
    fn new(role: Role, call: M) -> Self {
        Rig {
            call,
            now: Instant::ORIGIN,
            events: EventGrammar::new(role),
            transmits: TransmitGrammar::new(role),
            credit: CreditBook::new(),
            end_sent: false,
            rejects: true,
            story: Vec::new(),
        }
    }

    fn data(&mut self, data: &[u8]) {
        self.credit.arrived(data.len() as u64);
        self.call.handle_input(self.now, Input::Data(Bytes::copy_from_slice(data)));
    }

    fn transmit(&mut self, max: usize) -> bool {
        let Some(transmit) = self.call.poll_transmit(max) else { return false };
        self.transmits.observe(&transmit);
        true
    }

    fn event(&mut self) -> bool {
        let Some(event) = self.call.poll_event() else { return false };
        self.events.observe(&event);
        if !matches!(event, Event::Writable) {
            self.story.push(format!("{event:?}"));
        }
        if let Event::Message(message) = event
            && let Err(fault) = message.decode()
            && self.rejects
        {
            self.call.reject(self.now, fault);
        }
        true
    }

    fn take_credit(&mut self, held: u64) {
        self.credit.credited(self.call.take_credit(), held);
    }

    /// What either role has in common.
    fn happens(&mut self, code: u8, reader: &mut Reader<'_>) {
        match code {
            0..=7 => {
                let len = reader.u8().into();
                self.data(reader.take(len));
            }
            8 => self.call.handle_input(self.now, Input::End(None)),
            9 if self.transmits.is_ended() => {
                self.end_sent = true;
                self.call.handle_input(self.now, Input::EndSent);
            }
            10 => {
                let code = ResetCode(reader.u8().into());
                self.call.handle_input(self.now, Input::Reset { code, processed: Processed::Unknown });
            }
            11 => {
                let kind = LostKind::Eof;
                self.call.handle_input(self.now, Input::Lost { kind, processed: Processed::Unknown });
            }
            12 => self.now = self.now.saturating_add(Duration::from_millis(reader.u16().into())),
            13 => {
                self.call.handle_timeout(self.now);
                check_timer(self.now, self.call.poll_timeout());
            }
            14 => self.call.handle_input(self.now, Input::Misbehaved(PeerMisbehaved::MalformedChunk)),
            15..=18 => _ = self.transmit(reader.u16().into()),
            19..=21 => _ = self.event(),
            _ => self.take_credit(u64::MAX),
        }
    }

    /// Everything that waits comes out, and then nothing more does.
    fn drain(&mut self) {
        while self.transmit(1 << 20) {
            if self.transmits.is_ended() && !std::mem::replace(&mut self.end_sent, true) {
                self.call.handle_input(self.now, Input::EndSent);
            }
        }
        while self.event() {}
    }

    fn finish(mut self) {
        self.drain();
        self.events.leave();
        self.call.abort(self.now, AbortReason::Requested);
        self.drain();
        assert!(self.call.is_terminal() && self.events.is_closed(), "an abort is the end");
        self.take_credit(0);
        self.data(b"late");
        self.call.handle_timeout(self.now.saturating_add(secs(1 << 20)));
        assert!(!self.transmit(1) && !self.event(), "something after the end");
        assert_eq!(self.call.poll_timeout(), None, "a timer after the end");
        self.take_credit(0);
    }
}

/// A call of a client whose server sends what the fuzzer says.
///
/// # Panics
/// If a rule is broken.
pub fn client_call(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (first, flags) = (reader.u8(), reader.u8());
    if first & 0x80 != 0 {
        return cut_response(KINDS[usize::from(first % 5)], reader);
    }
    let mut rig = calling(KINDS[usize::from(first % 5)], flags);
    while !reader.is_empty() {
        match reader.u8() % 40 {
            code @ 0..=23 => rig.happens(code, &mut reader),
            24..=27 => {
                let parts = response_head(&mut reader);
                rig.call.handle_input(rig.now, Input::Head(Box::new(parts)));
            }
            28..=33 => {
                let message = Bytes::from(vec![b'm'; reader.u16().into()]);
                let message = Outbound::encode(&rig.call.encoding(), message);
                let _ = rig.call.send(rig.now, message);
            }
            34..=36 => _ = rig.call.finish(rig.now),
            37 => {
                rig.events.leave();
                rig.call.close(rig.now);
            }
            38 => {
                rig.events.leave();
                rig.call.abort(rig.now, AbortReason::Dropped);
            }
            _ => rig.drain(),
        }
    }
    rig.finish();
}

fn calling(kind: Kind, flags: u8) -> Rig<client::Call> {
    let mut config = client_config();
    config.limits.message = Some(2000);
    config.limits.end_stream = 200;
    config.limits.error_body = 200;
    config.limits.send_queue = 3000;
    config.limits.drain_http1.bytes = 300;
    config.get_max_url = (flags & 1 != 0).then_some(500);
    #[cfg(feature = "gzip")]
    if flags & 2 != 0 {
        config.compression = Some(Arc::new(crate::compress::Gzip::default()));
        config.compress_from = 10;
    }
    let timeout = (flags & 4 != 0).then(|| secs(20));
    let mut call = call(Instant::ORIGIN, &Arc::new(config), kind, timeout);
    call.attach(if flags & 8 != 0 { Version::HTTP_2 } else { Version::HTTP_11 });
    Rig::new(Role::Client, call)
}

fn response_head(reader: &mut Reader<'_>) -> http::response::Parts {
    let statuses = [200, 200, 200, 304, 400, 404, 429, 503, 800];
    let mut parts = Response::new(()).into_parts().0;
    parts.status = StatusCode::from_u16(statuses[usize::from(reader.u8() % 9)]).unwrap_or_default();
    parts.headers = fields(reader);
    parts
}

/// Header fields: known ones with known values, and raw ones.
fn fields(reader: &mut Reader<'_>) -> HeaderMap {
    let types = [
        "application/text",
        "application/connect+text",
        "application/json",
        "application/connect+other",
        "text/html",
    ];
    let encodings = ["gzip", "identity", "", "zip"];
    let lengths = ["0", "7", "150", "5000", "99999999999999999999", "x"];
    let which = reader.u8();
    let mut fields = HeaderMap::new();
    let mut put = |name: HeaderName, values: &[&'static str], bit: u8, value: u8| {
        if which & bit != 0 {
            fields.insert(name, HeaderValue::from_static(values[usize::from(value) % values.len()]));
        }
    };
    put(CONTENT_TYPE, &types, 1, reader.u8());
    put(CONTENT_ENCODING, &encodings, 2, which / 4);
    put(names::CONTENT_ENCODING, &encodings, 4, which / 8);
    put(CONTENT_LENGTH, &lengths, 8, which / 16);
    put(names::TIMEOUT, &["1000", "0", "x", "99999999999"], 16, which / 32);
    put(names::PROTOCOL_VERSION, &["1", "2"], 32, which / 64);
    put(ACCEPT_ENCODING, &["gzip", "br, gzip", "*"], 64, which);
    if which & 128 != 0 {
        let len = reader.u8().into();
        let value = HeaderValue::from_bytes(reader.take(len)).unwrap_or(HeaderValue::from_static("v"));
        fields.append("trailer-raw", value.clone());
        fields.append("raw-bin", value);
    }
    fields
}

/// The same response, whole and in pieces.
fn cut_response(kind: Kind, mut reader: Reader<'_>) {
    let flags = reader.u8();
    let parts = response_head(&mut reader);
    let lengths = reader.take(2);
    let body = reader.rest();
    let run = |lengths: &[u8]| {
        let mut rig = calling(kind, flags & !4);
        rig.rejects = false;
        let message = Outbound::encode(&rig.call.encoding(), Bytes::from_static(b"ping"));
        let _ = rig.call.send(rig.now, message);
        let _ = rig.call.finish(rig.now);
        rig.drain();
        if flags & 16 != 0 {
            rig.events.leave();
            rig.call.close(rig.now);
        }
        let mut head = Response::new(()).into_parts().0;
        head.status = parts.status;
        head.headers = parts.headers.clone();
        rig.call.handle_input(rig.now, Input::Head(Box::new(head)));
        for piece in pieces(body, lengths) {
            rig.data(piece);
            rig.drain();
        }
        rig.call.handle_input(rig.now, Input::End(None));
        rig.drain();
        let story = rig.story.clone();
        rig.finish();
        story
    };
    assert_same(&run(lengths), &run(&[]));
}

/// The same request, whole and in pieces.
fn cut_request(kind: Kind, mut reader: Reader<'_>) {
    let parts = request_head(&mut reader);
    let lengths = reader.take(2);
    let body = reader.rest();
    let run = |lengths: &[u8]| {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = parts.method.clone();
        head.uri = parts.uri.clone();
        head.headers = parts.headers.clone();
        head.headers.remove(names::TIMEOUT);
        let mut rig = serving(kind, head);
        rig.rejects = false;
        for piece in pieces(body, lengths) {
            rig.data(piece);
            while rig.event() {}
        }
        rig.call.handle_input(rig.now, Input::End(None));
        rig.drain();
        let story = rig.story.clone();
        rig.finish();
        story
    };
    assert_same(&run(lengths), &run(&[]));
}

fn assert_same(cut: &[String], whole: &[String]) {
    assert_eq!(cut, whole, "cutting changes something");
}

fn serving(kind: Kind, parts: http::request::Parts) -> Rig<server::Call> {
    let mut config = server::ServerConfig::default();
    config.limits.message = Some(2000);
    config.limits.send_queue = 3000;
    config.limits.drain_http1.bytes = 300;
    let incoming = server::Incoming::new(Instant::ORIGIN, parts);
    let _ = (incoming.timeout(), incoming.codec(), incoming.is_streaming(), incoming.procedure());
    let call = incoming.start(Instant::ORIGIN, &Arc::new(config), &method(kind));
    Rig::new(Role::Server, call)
}

fn request_head(reader: &mut Reader<'_>) -> http::request::Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    let which = reader.u8();
    let (method, query) = match which % 4 {
        0 | 1 => (Method::POST, ""),
        2 => (Method::GET, "?connect=v1&encoding=text&message=hello"),
        _ => (Method::PUT, "?x"),
    };
    parts.method = method;
    parts.version = if which & 8 != 0 { Version::HTTP_2 } else { Version::HTTP_11 };
    parts.uri = Uri::try_from(format!("{PROCEDURE}{query}")).unwrap_or_default();
    if which & 16 != 0 {
        let len = reader.u8().into();
        let raw = String::from_utf8_lossy(reader.take(len)).into_owned();
        parts.uri = Uri::try_from(format!("{PROCEDURE}?{raw}")).unwrap_or_default();
    }
    parts.headers = fields(reader);
    parts
}

/// A call of a server whose client sends what the fuzzer says.
///
/// # Panics
/// If a rule is broken.
pub fn server_call(data: &[u8]) {
    let mut reader = Reader::new(data);
    let first = reader.u8();
    let kind = KINDS[usize::from(first % 5)];
    if first & 0x80 != 0 {
        return cut_request(kind, reader);
    }
    let parts = request_head(&mut reader);
    let mut rig = serving(kind, parts);
    while !reader.is_empty() {
        match reader.u8() % 36 {
            code @ 0..=23 => rig.happens(code, &mut reader),
            24 => {
                let headers = if reader.u8() == 0 { fields(&mut reader) } else { Metadata::new() };
                let _ = rig.call.send_headers(rig.now, headers);
            }
            25..=29 => {
                let message = Bytes::from(vec![b'm'; reader.u16().into()]);
                let message = Outbound::encode(&rig.call.encoding(), message);
                let _ = rig.call.send(rig.now, message);
            }
            30 | 31 => answer(&mut rig, Ok(())),
            32 => {
                let message = String::from_utf8_lossy(reader.take(20)).into_owned();
                answer(&mut rig, Err(RpcError::new(Code::NotFound, message)));
            }
            33 => {
                rig.events.leave();
                rig.call.abort(rig.now, AbortReason::Dropped);
            }
            _ => rig.drain(),
        }
    }
    rig.finish();
}

/// After its answer a handler is told nothing but the end.
fn answer(rig: &mut Rig<server::Call>, verdict: Result<(), RpcError>) {
    while rig.event() {}
    if rig.call.finish(rig.now, Metadata::new(), verdict).is_ok() {
        rig.events.leave();
    }
}

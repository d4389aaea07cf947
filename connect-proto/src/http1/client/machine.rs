//! What the client's machine does.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Method, Version, request, response};

use super::super::body::{Decoder, Then};
use super::super::encode::{self, Mismatch};
use super::super::framing::Framing;
use super::super::head::{self, ResponseHead};
use super::super::limits::Limits;
use super::super::link::{After, Link};
use super::super::scan::{FoundHead, HeadScan};
use super::super::{NotReusable, Shutdown};
use super::Recalled;
use super::state::{Input, Recv, Send, State};
use crate::Instant;
use crate::call::{BodySize, Chunk, Processed};
use crate::error::{LostKind, PeerMisbehaved};
use crate::time::is_due;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) link: Link<response::Parts>,
    state: State,
    /// A byte of the request was acknowledged.
    touched: bool,
    /// The request is a HEAD.
    to_head: bool,
    /// The request itself says that the connection ends.
    closing: bool,
    interim: usize,
}

impl Machine {
    pub(super) fn new(now: Instant, limits: Arc<Limits>) -> Self {
        Machine {
            link: Link::new(now, limits),
            state: State::Idle,
            touched: false,
            to_head: false,
            closing: false,
            interim: 0,
        }
    }

    // A

    pub(super) fn wants_read(&self) -> bool {
        if self.link.input_over.is_some() && !(self.is_receiving() && self.link.left > 0) {
            return false;
        }
        match self.state {
            State::Closed => false,
            State::Idle | State::Exchange(_, Recv::Ended) => true,
            State::Exchange(_, Recv::Head | Recv::Body) => !self.link.events.has_input(),
        }
    }

    pub(super) fn room(&self) -> usize {
        match self.state {
            State::Closed | State::Exchange(Send::Dead, _) => 0,
            State::Idle | State::Exchange(..) => self.link.room(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle && self.link.unusable.is_none() && self.link.events.is_empty()
    }

    pub(super) fn is_receiving(&self) -> bool {
        matches!(self.state, State::Exchange(_, Recv::Head | Recv::Body))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    // B

    pub(super) fn handle_read(&mut self, now: Instant, buf: &mut BytesMut) {
        let now = self.expire(now);
        loop {
            let ready = match self.state {
                State::Idle | State::Exchange(_, Recv::Ended) => self.unsolicited(buf),
                State::Exchange(_, recv) if !self.link.events.has_input() && !buf.is_empty() => {
                    self.read(recv, buf)
                }
                State::Exchange(..) => false,
                State::Closed => {
                    buf.clear();
                    false
                }
            };
            if !ready {
                break;
            }
        }
        self.link.left = buf.len();
        self.settle(now);
    }

    pub(super) fn handle_input_over(&mut self, now: Instant, kind: LostKind) {
        let now = self.expire(now);
        self.link.input_over.get_or_insert(kind);
        self.link.spoil(if kind == LostKind::Eof { NotReusable::PeerClosed } else { NotReusable::Lost });
        self.settle(now);
    }

    pub(super) fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        let now = self.expire(now);
        self.link.spoil(NotReusable::Lost);
        self.link.drop_output();
        self.over(Input::WriteFailed, kind);
        self.settle(now);
    }

    pub(super) fn handle_written(&mut self, now: Instant, n: usize) {
        let now = self.expire(now);
        if self.link.written(n) {
            self.touched = true;
            self.settle(now);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
    }

    // C

    pub(super) fn send_head(&mut self, now: Instant, parts: &request::Parts, body: BodySize) {
        let now = self.expire(now);
        if !self.is_idle() || parts.method == Method::CONNECT {
            return;
        }
        self.to_head = parts.method == Method::HEAD;
        self.closing = encode::asks_to_close(&parts.headers);
        self.link.sender = encode::request(&mut self.link.output, parts, body, self.closing);
        self.apply(Input::SendHead { end: body == BodySize::Empty });
        self.settle(now);
    }

    pub(super) fn send_data(&mut self, now: Instant, chunk: Chunk) {
        let now = self.expire(now);
        if !matches!(self.state, State::Exchange(Send::Body, _)) {
            return;
        }
        match self.link.send_data(chunk) {
            Ok(()) => self.settle(now),
            Err(Mismatch) => self.lose(LostKind::Failed, NotReusable::BodyMismatch),
        }
    }

    pub(super) fn send_end(&mut self, now: Instant) {
        let now = self.expire(now);
        if !matches!(self.state, State::Exchange(Send::Body, _)) {
            return;
        }
        match self.link.send_end() {
            Ok(()) => self.apply(Input::SendEnd),
            Err(Mismatch) => self.lose(LostKind::Failed, NotReusable::BodyMismatch),
        }
        self.settle(now);
    }

    pub(super) fn abort(&mut self, now: Instant) -> Recalled {
        self.expire(now);
        self.link.events.clear();
        let recv = match self.state {
            State::Exchange(_, recv) => recv,
            // Of an exchange that is complete there is nothing to take back.
            State::Idle => return Recalled::Rest,
            State::Closed => return if self.touched { Recalled::Rest } else { Recalled::Everything },
        };
        if !self.touched && self.link.unusable.is_none() {
            self.link.drop_output();
            self.apply(Input::Recall);
            return Recalled::Everything;
        }
        self.link.spoil(match recv {
            Recv::Ended => NotReusable::RequestUnfinished,
            Recv::Head | Recv::Body => NotReusable::ResponseUnread,
        });
        self.apply(Input::Lost);
        if self.touched { Recalled::Rest } else { Recalled::Everything }
    }

    pub(super) fn shut_down(&mut self, now: Instant) {
        self.expire(now);
        self.link.spoil(NotReusable::ShutDown);
        self.apply(Input::Quit);
    }

    // D

    pub(super) fn poll_shutdown(&mut self) -> Option<Shutdown> {
        self.link.tell((self.state == State::Closed).then_some(Shutdown::Close))
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        is_due(self.link.stall(), now)
    }

    /// Expires what is due, and returns the time to go by.
    fn expire(&mut self, now: Instant) -> Instant {
        let now = self.link.advance(now);
        if self.is_due(now) {
            self.lose(LostKind::WriteStalled, NotReusable::WriteStalled);
        }
        now
    }

    // The state.

    fn apply(&mut self, input: Input) {
        let before = self.state;
        self.state = before.step(input);
        if self.state == before {
            return;
        }
        match (before, self.state) {
            (State::Idle, State::Exchange(..)) => {
                self.touched = false;
                self.interim = 0;
                self.link.scan = HeadScan::default();
            }
            (_, State::Idle) => self.link.output.trim(),
            (_, State::Closed) => self.link.drop_output(),
            _ => {}
        }
    }

    fn after(&self) -> After {
        if self.link.unusable.is_none() { After::Reuse } else { After::Close }
    }

    fn processed(&self) -> Processed {
        match self.state {
            State::Exchange(_, Recv::Body | Recv::Ended) => Processed::Yes,
            _ if self.touched => Processed::Unknown,
            _ => Processed::No,
        }
    }

    /// Goes on as far as output that is written and input that is over allow, and watches the output.
    fn settle(&mut self, now: Instant) {
        if self.link.output.is_empty() && matches!(self.state, State::Exchange(Send::Ending, _)) {
            self.link.events.end_sent();
            let input = Input::Flushed(self.after());
            self.apply(input);
        }
        if let Some(kind) = self.link.input_over {
            self.input_over(kind);
        }
        if self.state == State::Idle && self.link.unusable.is_some() {
            self.apply(Input::Quit);
        }
        self.link.watch_output(now);
    }

    fn input_over(&mut self, kind: LostKind) {
        match self.state {
            // What is left in the buffer comes first.
            State::Exchange(_, Recv::Body) if self.link.left > 0 => {}
            State::Exchange(_, Recv::Body) if self.is_until_close() && kind == LostKind::Eof => {
                self.end_body();
                // A request that is unfinished now stays so.
                self.over(Input::Lost, kind);
            }
            State::Exchange(..) => self.over(Input::Lost, kind),
            State::Idle => self.apply(Input::Quit),
            State::Closed => {}
        }
    }

    fn is_until_close(&self) -> bool {
        matches!(self.link.decoder, Decoder::UntilClose)
    }

    fn lose(&mut self, kind: LostKind, why: NotReusable) {
        self.link.spoil(why);
        self.over(Input::Lost, kind);
    }

    /// Applies an input that may end an exchange before it is complete.
    fn over(&mut self, input: Input, kind: LostKind) {
        let (before, processed) = (self.state, self.processed());
        self.apply(input);
        if matches!(before, State::Exchange(..)) && self.state == State::Closed {
            self.link.events.lost(kind, processed);
        }
    }

    // Input. Each function says whether to go on with the buffer.

    /// Bytes after a response or without a request. Nothing after `connection: close` matters any more.
    fn unsolicited(&mut self, buf: &mut BytesMut) -> bool {
        if !buf.is_empty() {
            if self.link.unusable.is_none() {
                self.link.fault = Some(PeerMisbehaved::UnsolicitedBytes);
            }
            self.link.spoil(NotReusable::UnsolicitedBytes);
            buf.clear();
        }
        false
    }

    fn read(&mut self, recv: Recv, buf: &mut BytesMut) -> bool {
        if !self.touched {
            // They cannot answer a request of which nothing has left.
            self.link.fault = Some(PeerMisbehaved::UnsolicitedBytes);
            self.lose(LostKind::Failed, NotReusable::UnsolicitedBytes);
            return true;
        }
        match recv {
            Recv::Head => self.read_head(buf),
            Recv::Body | Recv::Ended => self.read_body(buf),
        }
    }

    fn read_head(&mut self, buf: &mut BytesMut) -> bool {
        match self.link.find_head(buf, usize::MAX) {
            Ok(None) => false,
            Ok(Some(found)) => {
                let bytes = self.link.copier.take(buf, found.len);
                self.link.scan = HeadScan::default();
                self.parse_head(&bytes, found);
                true
            }
            Err(fault) => {
                self.misbehaved(fault);
                true
            }
        }
    }

    fn parse_head(&mut self, bytes: &Bytes, found: FoundHead) {
        let (parts, framing, facts) =
            match head::parse_response(bytes, found, self.to_head, &mut self.link.kept) {
                Ok(ResponseHead::Final { parts, framing, facts }) => (parts, framing, facts),
                Ok(ResponseHead::Interim) => {
                    self.interim += 1;
                    if self.interim > self.link.limits.max_interim {
                        let limit = self.link.limits.max_interim as u64;
                        self.misbehaved(PeerMisbehaved::TooManyInterimResponses { limit });
                    }
                    return;
                }
                Err(fault) => return self.misbehaved(fault),
            };
        if facts.close || self.closing {
            self.link.spoil(NotReusable::ConnectionClose);
        } else if parts.version == Version::HTTP_10 {
            self.link.spoil(NotReusable::Http10);
        } else if framing == Framing::UntilClose {
            self.link.spoil(NotReusable::UntilClose);
        }
        self.link.decoder = Decoder::new(framing);
        self.link.events.head(parts, framing.body_size());
        self.apply(Input::Head);
        if framing == Framing::Exact(0) {
            self.end_body();
        }
    }

    fn read_body(&mut self, buf: &mut BytesMut) -> bool {
        let decoded = self.link.decode(buf);
        self.link.events.data(decoded.data);
        match decoded.then {
            Then::More => {}
            Then::End => self.end_body(),
            Then::Fault(fault) => self.misbehaved(fault),
        }
        true
    }

    fn end_body(&mut self) {
        self.link.events.end();
        let input = Input::BodyEnd(self.after());
        let kind = self.link.input_over.unwrap_or(LostKind::Failed);
        // Without a request that is complete, or may still become so, this is a loss as well.
        if matches!(self.state, State::Exchange(Send::Dead, _)) {
            self.over(input, kind);
        } else {
            self.apply(input);
        }
    }

    fn misbehaved(&mut self, fault: PeerMisbehaved) {
        self.link.fault = Some(fault);
        self.link.spoil(NotReusable::PeerMisbehaved);
        self.link.events.misbehaved(fault);
        self.apply(Input::Lost);
    }
}

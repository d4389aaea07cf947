//! What the server's machine does.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Method, Version, request, response};

use super::super::body::{Decoder, Then};
use super::super::encode::{self, Answering, Mismatch};
use super::super::head::{self, RequestHead};
use super::super::limits::Limits;
use super::super::link::{After, Link, after};
use super::super::scan::{FoundHead, HeadScan};
use super::super::{NotReusable, Shutdown};
use super::state::{Input, Recv, Send, State};
use crate::Instant;
use crate::call::{BodySize, Chunk, Processed};
use crate::error::{LostKind, PeerMisbehaved};
use crate::time::{earliest, is_due};

/// Empty lines that are skipped before a request (RFC 9112, section 2.2).
const BLANK_LINES: u8 = 2;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) link: Link<request::Parts>,
    state: State,
    /// The limit of the state: idle, head or linger.
    timer: Option<Instant>,
    linger_left: u64,
    blank_lines: u8,
    answering: Answering,
    /// What responses have for a date, if somebody told the time.
    pub(super) date: Option<HeaderValue>,
    /// The client waits for `100 Continue`, and no byte of the body has come.
    awaits_continue: bool,
    /// The client said that it will send no further request.
    last_request: bool,
}

impl Machine {
    pub(super) fn new(now: Instant, limits: Arc<Limits>) -> Self {
        Machine {
            timer: after(now, limits.idle_timeout),
            link: Link::new(now, limits),
            state: State::Idle,
            linger_left: 0,
            blank_lines: 0,
            answering: Answering { head: false, http10: false },
            date: None,
            awaits_continue: false,
            last_request: false,
        }
    }

    // A

    pub(super) fn wants_read(&self) -> bool {
        if self.link.input_over.is_some() && !(self.is_receiving() && self.link.left > 0) {
            return false;
        }
        match self.state {
            State::Closed => false,
            State::Exchange(Recv::Discard, _) | State::Refusing | State::Lingering => true,
            State::Exchange(Recv::Ended, _) => self.link.left < self.link.limits.max_head,
            State::Idle | State::Head | State::Exchange(Recv::Body, _) => !self.link.events.has_input(),
        }
    }

    pub(super) fn room(&self) -> usize {
        match self.state {
            State::Idle | State::Head | State::Exchange(..) => self.link.room(),
            State::Refusing | State::Lingering | State::Closed => 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    pub(super) fn is_receiving_head(&self) -> bool {
        self.state == State::Head
    }

    pub(super) fn is_receiving(&self) -> bool {
        matches!(self.state, State::Exchange(Recv::Body, _))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    // B

    pub(super) fn handle_read(&mut self, now: Instant, buf: &mut BytesMut) {
        let now = self.expire(now);
        loop {
            let state = self.state;
            let ready = match state {
                State::Idle | State::Head => self.link.events.is_empty() && self.read_head(now, buf),
                State::Exchange(Recv::Body, _) => !self.link.events.has_input() && self.read_body(now, buf),
                State::Exchange(Recv::Ended, _) => false,
                State::Exchange(Recv::Discard, _) | State::Refusing | State::Closed => {
                    buf.clear();
                    false
                }
                State::Lingering => {
                    self.linger(now, buf);
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

    pub(super) fn handle_eof(&mut self, now: Instant) {
        let now = self.expire(now);
        self.link.input_over.get_or_insert(LostKind::Eof);
        self.link.spoil(NotReusable::PeerClosed);
        self.settle(now);
    }

    pub(super) fn handle_io_failed(&mut self, now: Instant, kind: LostKind) {
        let now = self.expire(now);
        self.lose(now, kind, NotReusable::Lost);
    }

    pub(super) fn handle_written(&mut self, now: Instant, n: usize) {
        let now = self.expire(now);
        if self.link.written(n) {
            self.settle(now);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
    }

    // C

    pub(super) fn send_head(&mut self, now: Instant, parts: &response::Parts, body: BodySize) {
        let now = self.expire(now);
        if !matches!(self.state, State::Exchange(_, Send::Head)) || parts.status.is_informational() {
            return;
        }
        let body_unasked = std::mem::take(&mut self.awaits_continue);
        if body_unasked {
            self.link.spoil(NotReusable::RequestUnread);
        }
        if encode::asks_to_close(&parts.headers) {
            self.link.spoil(NotReusable::ConnectionClose);
        }
        let close = self.link.unusable.is_some();
        let (answering, date) = (self.answering, self.date.as_ref());
        self.link.sender = encode::response(&mut self.link.output, parts, body, answering, date, close);
        self.apply(now, Input::SendHead { end: body == BodySize::Empty });
        if body_unasked {
            self.apply(now, Input::Discard);
        }
        self.settle(now);
    }

    pub(super) fn send_data(&mut self, now: Instant, chunk: Chunk) {
        let now = self.expire(now);
        if !matches!(self.state, State::Exchange(_, Send::Body)) {
            return;
        }
        match self.link.send_data(chunk) {
            Ok(()) => self.settle(now),
            Err(Mismatch) => self.lose(now, LostKind::Failed, NotReusable::BodyMismatch),
        }
    }

    pub(super) fn send_end(&mut self, now: Instant) {
        let now = self.expire(now);
        if !matches!(self.state, State::Exchange(_, Send::Body)) {
            return;
        }
        match self.link.send_end() {
            Ok(()) => self.apply(now, Input::SendEnd),
            Err(Mismatch) => self.lose(now, LostKind::Failed, NotReusable::BodyMismatch),
        }
        self.settle(now);
    }

    pub(super) fn want_body(&mut self, now: Instant) {
        let now = self.expire(now);
        if self.awaits_continue && self.state == State::Exchange(Recv::Body, Send::Head) {
            self.awaits_continue = false;
            encode::proceed(&mut self.link.output);
            self.settle(now);
        }
    }

    pub(super) fn stop_receiving(&mut self, now: Instant) {
        let now = self.expire(now);
        if !self.is_receiving() {
            return;
        }
        self.link.spoil(NotReusable::RequestUnread);
        self.link.events.drop_data();
        self.apply(now, Input::Discard);
        self.settle(now);
    }

    pub(super) fn abort(&mut self, now: Instant, why: NotReusable) {
        let now = self.expire(now);
        self.link.spoil(why);
        self.link.events.clear();
        self.apply(now, Input::Lost);
    }

    pub(super) fn shut_down(&mut self, now: Instant) {
        let now = self.expire(now);
        self.link.spoil(NotReusable::ShutDown);
        if self.is_idle() {
            self.timer = earliest(self.timer, after(now, Some(self.link.limits.shutdown_notice)));
            self.expire(now);
        }
    }

    // D

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.timer, self.link.stall())
    }

    pub(super) fn poll_shutdown(&mut self) -> Option<Shutdown> {
        self.link.tell(match self.state {
            State::Lingering => Some(Shutdown::Write),
            State::Closed => Some(Shutdown::Close),
            _ => None,
        })
    }

    // Time.

    pub(super) fn is_due(&self, now: Instant) -> bool {
        is_due(self.timer, now) || is_due(self.link.stall(), now)
    }

    /// Expires what is due, and returns the time to go by.
    fn expire(&mut self, now: Instant) -> Instant {
        let now = self.link.advance(now);
        while self.is_due(now) {
            if is_due(self.link.stall(), now) {
                self.lose(now, LostKind::WriteStalled, NotReusable::WriteStalled);
            } else {
                self.state_expired(now);
            }
        }
        now
    }

    fn state_expired(&mut self, now: Instant) {
        self.timer = None;
        match self.state {
            State::Idle => {
                self.link.spoil(NotReusable::Idle);
                self.apply(now, Input::Quit);
            }
            State::Head => self.refuse(now, PeerMisbehaved::HeadTimeout),
            State::Lingering => self.apply(now, Input::LingerOver),
            State::Exchange(..) | State::Refusing | State::Closed => {}
        }
    }

    // The state.

    fn apply(&mut self, now: Instant, input: Input) {
        let before = self.state;
        self.state = before.step(input);
        if self.state != before {
            self.entered(now);
        }
    }

    fn entered(&mut self, now: Instant) {
        let limits = &self.link.limits;
        self.timer = match self.state {
            State::Idle => after(now, limits.idle_timeout),
            State::Head => after(now, limits.head_timeout),
            State::Lingering => after(now, Some(limits.linger)),
            State::Exchange(..) | State::Refusing | State::Closed => None,
        };
        match self.state {
            State::Idle => {
                self.link.scan = HeadScan::default();
                self.link.output.trim();
                self.blank_lines = 0;
                self.awaits_continue = false;
            }
            State::Lingering => self.linger_left = self.link.limits.linger_bytes,
            State::Closed => self.link.drop_output(),
            State::Head | State::Exchange(..) | State::Refusing => {}
        }
    }

    /// Goes on as far as output that is written and input that is over allow, and watches the output.
    fn settle(&mut self, now: Instant) {
        if self.link.output.is_empty() {
            self.flushed(now);
        }
        if self.link.input_over == Some(LostKind::Eof) {
            self.peer_ended(now);
        }
        self.link.watch_output(now);
    }

    fn flushed(&mut self, now: Instant) {
        match self.state {
            State::Exchange(_, Send::Ending) => self.link.events.end_sent(),
            State::Refusing => {}
            _ => return,
        }
        let input = Input::Flushed(self.after());
        self.apply(now, input);
    }

    fn after(&self) -> After {
        let unread = matches!(self.state, State::Exchange(Recv::Discard, _) | State::Refusing);
        if self.link.unusable.is_none() {
            After::Reuse
        } else if self.link.input_over.is_some() || (self.last_request && !unread) {
            After::Close
        } else {
            After::Linger
        }
    }

    fn peer_ended(&mut self, now: Instant) {
        // What is left in the buffer comes first.
        if self.is_receiving() && self.link.left > 0 {
            return;
        }
        self.over(now, Input::Eof, LostKind::Eof);
    }

    fn lose(&mut self, now: Instant, kind: LostKind, why: NotReusable) {
        self.link.spoil(why);
        self.over(now, Input::Lost, kind);
    }

    /// Applies an input that may end an exchange before it is complete.
    fn over(&mut self, now: Instant, input: Input, kind: LostKind) {
        let before = self.state;
        self.apply(now, input);
        if let (State::Exchange(_, send), State::Closed) = (before, self.state) {
            let processed = if send == Send::Head { Processed::Unknown } else { Processed::Yes };
            self.link.events.lost(kind, processed);
        }
    }

    // Input. Each function says whether to go on with the buffer.

    fn read_head(&mut self, now: Instant, buf: &mut BytesMut) -> bool {
        while self.state == State::Idle && buf.starts_with(b"\r\n") {
            if self.blank_lines == BLANK_LINES {
                self.refuse(now, PeerMisbehaved::MalformedHead);
                return true;
            }
            self.blank_lines += 1;
            buf.advance(2);
        }
        if buf.is_empty() || (self.state == State::Idle && buf.as_ref() == b"\r") {
            return false;
        }
        self.apply(now, Input::Byte);
        let max_request_line = self.link.limits.max_request_line;
        match self.link.find_head(buf, max_request_line) {
            Ok(None) => false,
            Ok(Some(found)) => {
                let bytes = self.link.copier.take(buf, found.len);
                self.parse_head(now, &bytes, found);
                true
            }
            Err(fault) => {
                self.refuse(now, fault);
                true
            }
        }
    }

    fn parse_head(&mut self, now: Instant, bytes: &Bytes, found: FoundHead) {
        let RequestHead { parts, framing, facts } =
            match head::parse_request(bytes, found, &mut self.link.kept) {
                Ok(head) => head,
                Err(fault) => return self.refuse(now, fault),
            };
        let size = framing.body_size();
        let body = size != BodySize::Empty;
        self.answering =
            Answering { head: parts.method == Method::HEAD, http10: parts.version == Version::HTTP_10 };
        self.awaits_continue = body && facts.expects_continue;
        self.last_request = facts.close || self.answering.http10;
        if facts.close {
            self.link.spoil(NotReusable::ConnectionClose);
        } else if self.answering.http10 {
            self.link.spoil(NotReusable::Http10);
        }
        self.link.decoder = Decoder::new(framing);
        self.link.events.head(parts, size);
        if !body {
            self.link.events.end();
        }
        self.apply(now, Input::Head { body });
    }

    /// Answers a broken head on behalf of the application.
    fn refuse(&mut self, now: Instant, fault: PeerMisbehaved) {
        self.link.fault = Some(fault);
        self.link.spoil(match fault {
            PeerMisbehaved::HeadTimeout => NotReusable::HeadTimeout,
            _ => NotReusable::PeerMisbehaved,
        });
        encode::refusal(&mut self.link.output, fault.http_status(), self.date.as_ref());
        self.apply(now, Input::Refuse);
        self.link.watch_output(now);
    }

    fn read_body(&mut self, now: Instant, buf: &mut BytesMut) -> bool {
        if buf.is_empty() {
            return false;
        }
        self.awaits_continue = false;
        let decoded = self.link.decode(buf);
        self.link.events.data(decoded.data);
        match decoded.then {
            Then::More => {}
            Then::End => {
                self.link.events.end();
                let input = Input::BodyEnd(self.after());
                self.apply(now, input);
            }
            Then::Fault(fault) => {
                self.link.fault = Some(fault);
                self.link.spoil(NotReusable::PeerMisbehaved);
                self.link.events.misbehaved(fault);
                self.apply(now, Input::Discard);
            }
        }
        true
    }

    fn linger(&mut self, now: Instant, buf: &mut BytesMut) {
        match self.linger_left.checked_sub(buf.len() as u64) {
            Some(left) => self.linger_left = left,
            None => self.apply(now, Input::LingerOver),
        }
        buf.clear();
    }
}

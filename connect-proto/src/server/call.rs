//! The server's call machine.

mod ending;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, request, response};

use super::{ServerConfig, response as heads};
use crate::call::{
    self, BodySize, Cardinality, Drain, Duplex, Event, Events, Fault, Input, Kind, Phase, RecvHalf,
    RecvInput, RecvState, SendError, SendHalf, SendInput, SendState, Signal, Transmit,
};
use crate::compress::Compression;
use crate::error::{AbortReason, ApiMisuse, CloseReason, Code, PeerMisbehaved, RpcError};
use crate::message::{Encoding, Form, Outbound};
use crate::metadata::{self, Metadata};
use crate::time::{Clock, Instant, earliest};
use crate::wire::envelope::Flags;
use crate::wire::{end_stream, error_json};

/// One RPC of a server.
///
/// Four classes of methods, in this order below:
/// - *getters*;
/// - *wire and time in*: `handle_*`, infallible: what the client does wrong is answered by the call itself;
/// - *commands* of the handler: [`send_headers`](Call::send_headers), [`send`](Call::send),
///   [`finish`](Call::finish), [`abort`](Call::abort), [`reject`](Call::reject);
/// - *outputs*: `poll_*` and [`take_credit`](Call::take_credit), callable at any time in any order.
///
/// After any input or command: `poll_transmit` until it says `None` or the transport has no room, `poll_event` until
/// it says `None`, and `handle_timeout` at `poll_timeout`. A connection of this crate does all that by itself.
///
/// The end of a response is never replaced by a reset while it can still be sent. A handler that goes away without
/// an answer must [`finish`](Call::finish) with [`Code::Internal`].
#[derive(Debug)]
pub struct Call {
    config: Arc<ServerConfig>,
    clock: Clock,
    kind: Kind,
    streaming: bool,
    http2: bool,
    by_get: bool,
    content_type: HeaderValue,
    encoding: Encoding,
    deadline: Option<Instant>,
    /// Until when the message that the client owes must be there.
    message_until: Option<Instant>,
    /// The request's head, until its headers are taken, or their map is used for the response.
    request: Option<Box<request::Parts>>,
    life: Life,
    head: Head,
    send: SendHalf,
    sent: Sent,
    recv: RecvHalf,
    events: Events,
}

#[derive(Clone, Copy, Debug)]
enum Life {
    Active,
    Answered(Answered),
    Closed(CloseReason),
}

#[derive(Clone, Copy, Debug)]
struct Answered {
    answer: Answer,
    drain: Drain,
    /// When the transport last took something, or could begin to.
    moved: Instant,
}

/// Whose answer it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// The handler's success.
    Success,
    /// The handler's error, or the application's refusal.
    Failure,
    /// The call's own, for this reason.
    Own(CloseReason),
}

/// The response's head.
#[derive(Debug)]
enum Head {
    /// Not complete yet: what was said of it so far, if anything.
    Open(Option<Box<response::Parts>>),
    Ready(Box<response::Parts>),
    Taken,
}

/// What the last message sent was: of a unary response, its head says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    Nothing,
    Plain,
    Compressed,
}

/// What a request's head decides.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) streaming: bool,
    pub(crate) http2: bool,
    pub(crate) by_get: bool,
    pub(crate) content_type: HeaderValue,
    pub(crate) compression: Option<Arc<dyn Compression>>,
    /// The request's head, if the call needs it.
    pub(crate) request: Option<Box<request::Parts>>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) expected: Option<u64>,
    /// Whether the application answers by itself, and so needs not be told.
    pub(crate) by_application: bool,
}

impl Call {
    /// A call for a handler. `query` is the message of a GET.
    pub(super) fn started(
        now: Instant,
        config: &Arc<ServerConfig>,
        kind: Kind,
        opening: Opening,
        compression: Option<Arc<dyn Compression>>,
        query: Option<Bytes>,
    ) -> Self {
        let state = match (&query, kind) {
            (Some(_), _) => RecvState::Discard,
            (None, Kind::Unary) => RecvState::Body,
            (None, _) => RecvState::Requests,
        };
        let mut call = Call::new(now, config, kind, opening, RecvHalf::new(state, kind.requests()));
        call.recv.set_compression(compression);
        let admitted = match query {
            Some(message) => call.take_query(message),
            None => call.recv.admit_body(&config.limits),
        };
        match admitted {
            Ok(()) => {
                call.time_message(now);
                call.expire(now);
            }
            Err(fault) => call.signal(now, Signal::Misbehaved(fault)),
        }
        call
    }

    /// A call that is answered already: by a bare head, or by an error in the protocol's form.
    pub(super) fn answered(
        now: Instant,
        config: &Arc<ServerConfig>,
        opening: Opening,
        answer: Result<Box<response::Parts>, RpcError>,
    ) -> Self {
        let kind = if opening.streaming { Kind::Bidi(Duplex::Full) } else { Kind::Unary };
        let by_application = opening.by_application;
        let mut call =
            Call::new(now, config, kind, opening, RecvHalf::new(RecvState::Discard, Cardinality::Many));
        let told = match answer {
            Ok(parts) => {
                let code = Code::from_http_status(parts.status.as_u16());
                let told = RpcError::new(code, format!("HTTP status {}", parts.status.as_u16()));
                call.head = Head::Ready(parts);
                told
            }
            Err(error) => {
                call.answer(&Metadata::new(), Err(&error));
                error
            }
        };
        call.send.step(SendInput::Finish);
        if by_application {
            call.events.withhold_verdict();
            call.verdict(now, Answer::Failure);
        } else {
            call.events.finished(Err(told));
            call.verdict(now, Answer::Own(CloseReason::Complete));
        }
        call
    }

    /// A query is a request that has ended already.
    fn take_query(&mut self, message: Bytes) -> Result<(), PeerMisbehaved> {
        self.recv.hold(message, &self.config.limits)?;
        self.recv.release(&mut self.events)?;
        self.events.half_closed();
        Ok(())
    }

    fn new(
        now: Instant,
        config: &Arc<ServerConfig>,
        kind: Kind,
        opening: Opening,
        mut recv: RecvHalf,
    ) -> Self {
        recv.note_length(opening.expected);
        Call {
            clock: Clock::new(now),
            kind,
            streaming: opening.streaming,
            http2: opening.http2,
            by_get: opening.by_get,
            content_type: opening.content_type,
            encoding: Encoding {
                compression: opening.compression,
                threshold: config.compress_from,
                streaming: opening.streaming,
                get: None,
            },
            deadline: opening.deadline,
            message_until: None,
            life: Life::Active,
            request: opening.request,
            head: Head::Open(None),
            send: SendHalf::new(config.limits.send_queue),
            sent: Sent::Nothing,
            recv,
            events: Events::default(),
            config: config.clone(),
        }
    }

    // Getters

    /// Where the call is in its life.
    #[must_use]
    pub fn state(&self) -> Phase {
        match self.life {
            Life::Active => Phase::Active,
            Life::Answered(..) => Phase::Answered,
            Life::Closed(_) => Phase::Closed,
        }
    }

    /// Why the call has ended under its handler, whose answer does not matter any more; `None` while the handler is at
    /// work, and after its own answer as long as that goes well.
    #[must_use]
    pub fn ended(&self) -> Option<CloseReason> {
        match self.life {
            Life::Answered(Answered { answer: Answer::Own(reason), .. }) | Life::Closed(reason) => {
                Some(reason)
            }
            Life::Active | Life::Answered(_) => None,
        }
    }

    /// Whether the call is over. A reset and events may still be to poll.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.life, Life::Closed(_))
    }

    /// Whether anything that HTTP could bring would still matter.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_terminal()
    }

    /// Whether the body of the request is still of use, so that a client that asked first may be told to send it.
    #[must_use]
    pub fn wants_body(&self) -> bool {
        matches!(self.recv.state(), RecvState::Requests | RecvState::Body)
    }

    /// The kind of the call.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// When the call's time is up.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether [`poll_event`](Call::poll_event) has something.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether the verdict or the end is among the events that wait.
    #[must_use]
    pub fn has_verdict(&self) -> bool {
        self.events.has_verdict()
    }

    /// Whether [`Event::Writable`] waits to be polled.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.events.is_writable()
    }

    /// Whether the end is the only event left.
    #[must_use]
    pub fn has_only_closed(&self) -> bool {
        self.events.has_only_closed() && self.send.state() != SendState::Resetting
    }

    /// How this call encodes messages; a handle of its own, for use outside of locks.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding.clone()
    }

    // Wire and time in

    /// Takes in what HTTP brings.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        if let Input::Data(data) = &input {
            self.recv.arrived(data.len());
        }
        let now = self.expire(now);
        if self.is_terminal() {
            return;
        }
        match input {
            Input::Head(_) => {}
            Input::Data(data) => self.handle_data(now, data),
            Input::End(_) => self.handle_end(now),
            Input::Misbehaved(fault) => {
                self.signal(now, Signal::Misbehaved(fault));
                // It is answered now, and nothing more of the request will come.
                self.handle_end(now);
            }
            Input::EndSent => {
                self.send.step(SendInput::EndSent);
                self.settle(now);
            }
            Input::Reset { code, .. } => self.signal(now, Signal::PeerReset(code)),
            Input::Lost { kind, .. } => self.signal(now, Signal::Lost(kind)),
        }
    }

    /// Lets limits expire. To be called at [`poll_timeout`](Call::poll_timeout); earlier or later does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
    }

    // Commands

    /// Takes the request's headers, the protocol's own among them. They are there, once, until the first of
    /// [`send_headers`](Call::send_headers), a stream's [`send`](Call::send) and [`finish`](Call::finish).
    #[must_use]
    pub fn take_request_headers(&mut self) -> Metadata {
        match self.head {
            Head::Open(_) => self.request.take().map(|request| request.headers).unwrap_or_default(),
            Head::Ready(_) | Head::Taken => Metadata::new(),
        }
    }

    /// Sets the response's headers. Those of a stream go out at once, those of a unary call with its answer.
    ///
    /// # Errors
    /// [`ApiMisuse::HeadersAlreadySent`] after the first time or the first message of a stream;
    /// [`ApiMisuse::ReservedHeader`] for a name that the protocol or HTTP itself uses.
    pub fn send_headers(&mut self, now: Instant, headers: Metadata) -> Result<(), ApiMisuse> {
        self.expire(now);
        if headers.keys().any(metadata::is_reserved) {
            return Err(ApiMisuse::ReservedHeader);
        }
        match &mut self.head {
            Head::Open(None) if headers.is_empty() => {}
            Head::Open(open @ None) => *open = Some(heads::head(StatusCode::OK, headers)),
            Head::Open(_) | Head::Ready(_) | Head::Taken => {
                return if matches!(self.life, Life::Active) {
                    Err(ApiMisuse::HeadersAlreadySent)
                } else {
                    Ok(())
                };
            }
        }
        self.open_stream();
        Ok(())
    }

    /// Queues a message, encoded by this call's [`encoding`](Call::encoding).
    ///
    /// # Errors
    /// [`SendError::Full`] gives the message back; the other errors are final for it. A message is accepted if none
    /// is queued, or if it fits under [`Limits::send_queue`](crate::call::Limits::send_queue).
    pub fn send(&mut self, now: Instant, message: Outbound) -> Result<(), SendError> {
        self.expire(now);
        match self.life {
            Life::Active => {}
            Life::Answered(Answered { answer: Answer::Own(reason), .. }) | Life::Closed(reason) => {
                return Err(SendError::Closed(reason));
            }
            Life::Answered(_) => return Err(ApiMisuse::AlreadyFinished.into()),
        }
        if self.kind.responses() == Cardinality::One && self.sent != Sent::Nothing {
            return Err(ApiMisuse::SecondMessage.into());
        }
        call::check_outbound(&message, &self.config.limits)?;
        let compressed = match message.form {
            Form::Query(_) => return Err(ApiMisuse::ForeignMessage.into()),
            Form::Body { compressed: true, .. } if self.encoding.compression.is_none() => {
                return Err(ApiMisuse::ForeignMessage.into());
            }
            Form::Body { compressed, payload } if !self.streaming => {
                self.send.push_body(payload);
                compressed
            }
            Form::Body { ref payload, .. } if !self.send.has_room(payload.len()) => {
                self.events.full();
                return Err(SendError::Full(message));
            }
            Form::Body { compressed, payload } => {
                let flags = if compressed { Flags::COMPRESSED } else { Flags::NONE };
                self.send.push_envelope(flags, payload);
                self.open_stream();
                compressed
            }
        };
        self.sent = if compressed { Sent::Compressed } else { Sent::Plain };
        Ok(())
    }

    /// Answers: with the messages sent so far and these trailers, or with an error.
    ///
    /// Messages that were not polled are dropped. What the client still sends is drained within the budget of the
    /// call's limits, so that the connection lives; then it is told to stop. A success without the one message that the kind of call needs is an internal error.
    ///
    /// # Errors
    /// [`ApiMisuse::AlreadyFinished`] if the handler has answered before; [`ApiMisuse::ReservedHeader`] for a
    /// trailer's name that the protocol or HTTP itself uses. An answer that comes after the call has ended by itself
    /// is ignored.
    pub fn finish(
        &mut self,
        now: Instant,
        trailers: Metadata,
        verdict: Result<(), RpcError>,
    ) -> Result<(), ApiMisuse> {
        let now = self.expire(now);
        match self.life {
            Life::Active => {}
            Life::Answered(Answered { answer: Answer::Own(_), .. }) | Life::Closed(_) => {
                self.events.purge_messages();
                return Ok(());
            }
            Life::Answered(_) => return Err(ApiMisuse::AlreadyFinished),
        }
        if trailers.keys().any(metadata::is_reserved) {
            return Err(ApiMisuse::ReservedHeader);
        }
        let missing = self.kind.responses() == Cardinality::One && self.sent == Sent::Nothing;
        let verdict = match verdict {
            Ok(()) if missing => Err(RpcError::new(Code::Internal, "response message missing")),
            verdict => verdict,
        };
        self.events.purge_messages();
        self.events.withhold_verdict();
        self.answer(&trailers, verdict.as_ref().map(|&()| ()));
        self.verdict(now, if verdict.is_ok() { Answer::Success } else { Answer::Failure });
        Ok(())
    }

    /// Stops the call at once, without an answer: the client sees a reset, over HTTP/1.1 a connection that closes.
    pub fn abort(&mut self, now: Instant, reason: AbortReason) {
        let now = self.expire(now);
        self.events.purge_messages();
        self.signal(now, Signal::Abort(reason));
    }

    /// Answers with a fault of the client that [`Inbound::decode`](crate::message::Inbound::decode) found in a
    /// message.
    pub fn reject(&mut self, now: Instant, fault: PeerMisbehaved) {
        let now = self.expire(now);
        self.signal(now, Signal::Misbehaved(fault));
    }

    // Outputs

    /// What HTTP is asked for next, with at most about `max` bytes of body in it. With a `max` of 0: no body.
    ///
    /// The head of a unary call is held until [`finish`](Call::finish), the success of a half-duplex bidi until the
    /// request has ended. Once [`Transmit::End`], or a head without a body, has been written, the transport owes an
    /// [`Input::EndSent`].
    pub fn poll_transmit(&mut self, max: usize) -> Option<Transmit<response::Parts>> {
        let next = self.next_transmit(max);
        if next.is_some() {
            self.moved();
        }
        next
    }

    fn next_transmit(&mut self, max: usize) -> Option<Transmit<response::Parts>> {
        if let Some(code) = self.send.poll_reset() {
            return Some(Transmit::Reset(code));
        }
        if self.is_terminal() || self.is_held() {
            return None;
        }
        if let Head::Ready(_) = self.head {
            return self.poll_head();
        }
        if let Some(chunk) = self.send.poll_chunk(if matches!(self.head, Head::Taken) { max } else { 0 }) {
            if self.send.take_relief() {
                self.events.writable();
            }
            return Some(Transmit::Data(chunk));
        }
        if self.send.state() == SendState::Finishing && self.send.queued() == 0 {
            self.send.step(SendInput::EndTaken);
            return Some(Transmit::End(None));
        }
        if self.recv.state() == RecvState::Stopping && !matches!(self.send.state(), SendState::Finishing) {
            // Never fails: stopping only goes one way.
            self.recv.step(RecvInput::StopTaken).ok();
            self.settle(self.clock.now());
            return Some(Transmit::StopReceiving);
        }
        None
    }

    /// The next event; see [`Event`] for their order. The last one is withheld until a reset that goes with it was
    /// polled.
    ///
    /// It goes by the latest time that the call was told. Where that may be long ago, tell it first: the time for the rest
    /// of a message starts when those before it are read.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.poll(self.send.state() == SendState::Resetting);
        if self.events.waiting() == 0 {
            self.time_message(self.clock.now());
        }
        event
    }

    /// When to call [`handle_timeout`](Call::handle_timeout); `None` if time changes nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.life {
            Life::Active => earliest(self.deadline, self.message_until),
            Life::Answered(answered) => earliest(self.drain_until(answered), self.stalls_at(answered)),
            Life::Closed(_) => None,
        }
    }

    /// Bytes by which the client's flow-control window may grow since the last call of this.
    #[must_use]
    pub fn take_credit(&mut self) -> u64 {
        self.recv.take_credit(self.events.waiting())
    }

    // Inside

    /// Over HTTP/1.1 no byte of a bidi's success goes out before the request has ended: the client would not look.
    fn is_held(&self) -> bool {
        let may_succeed = match self.life {
            Life::Active => true,
            Life::Answered(answered) => answered.answer == Answer::Success,
            Life::Closed(_) => false,
        };
        may_succeed && matches!(self.kind, Kind::Bidi(_)) && !self.http2 && self.recv_is_open()
    }

    fn poll_head(&mut self) -> Option<Transmit<response::Parts>> {
        let Head::Ready(parts) = std::mem::replace(&mut self.head, Head::Taken) else { return None };
        let body = match (self.send.state(), self.send.queued() as u64) {
            (SendState::Finishing, 0) => BodySize::Empty,
            (SendState::Finishing, len) => BodySize::Exact(len),
            _ => BodySize::Unknown,
        };
        if body == BodySize::Empty {
            self.send.step(SendInput::EndTaken);
        }
        Some(Transmit::Head { parts, body })
    }

    /// Completes the head of a stream.
    #[inline]
    fn open_stream(&mut self) {
        if self.streaming && matches!(self.head, Head::Open(_)) {
            self.complete_head();
        }
    }

    fn complete_head(&mut self) {
        if let Some(mut parts) = self.take_open_head() {
            heads::stream(&mut parts, self.content_type.clone(), self.encoding.compression.as_ref());
            self.head = Head::Ready(parts);
        }
    }

    /// What was said of the head so far, if it is not complete. The map of the request's headers, which has room, serves
    /// again.
    fn take_open_head(&mut self) -> Option<Box<response::Parts>> {
        let Head::Open(open) = &mut self.head else { return None };
        let request = &mut self.request;
        Some(open.take().unwrap_or_else(|| {
            let mut headers = request.take().map(|request| request.headers).unwrap_or_default();
            headers.clear();
            heads::head(StatusCode::OK, headers)
        }))
    }

    /// Queues the end of the response.
    fn answer(&mut self, trailers: &Metadata, verdict: Result<(), &RpcError>) {
        if self.streaming {
            self.open_stream();
            let json = end_stream::write(verdict.err(), trailers);
            self.send.push_envelope(Flags::END_STREAM, Bytes::from(json));
        } else if let Some(mut parts) = self.take_open_head() {
            if self.by_get {
                heads::vary(&mut parts);
            }
            match verdict {
                Ok(()) => {
                    let compression =
                        self.encoding.compression.as_ref().filter(|_| self.sent == Sent::Compressed);
                    heads::message(&mut parts, trailers, self.content_type.clone(), compression);
                }
                Err(error) => {
                    self.send.drop_not_begun();
                    self.send.push_body(Bytes::from(error_json::write(error)));
                    heads::error(&mut parts, trailers, error);
                }
            }
            self.head = Head::Ready(parts);
        }
        self.send.step(SendInput::Finish);
    }

    fn handle_data(&mut self, now: Instant, mut data: Bytes) {
        // What follows a fault is drained.
        loop {
            let drain = match &mut self.life {
                Life::Answered(answered) => Some(&mut answered.drain),
                _ => None,
            };
            match self.recv.take_data(&mut data, &self.config.limits, drain, &mut self.events) {
                Ok(_) => return self.time_message(now),
                Err(Fault::Misbehaved(fault)) => self.signal(now, Signal::Misbehaved(fault)),
                Err(Fault::Drain(_)) => self.signal(now, Signal::DrainTooLarge),
            }
        }
    }

    fn handle_end(&mut self, now: Instant) {
        let (was, was_held) = (self.recv.state(), self.is_held());
        let ended = self.recv.end().and_then(|()| match was {
            RecvState::Body => {
                let (message, len) = self.recv.take_body_message(&self.config.limits);
                self.events.message(message, len);
                Ok(true)
            }
            RecvState::Requests => self.recv.release(&mut self.events).map(|()| true),
            _ => Ok(false),
        });
        match ended {
            Ok(true) => self.events.half_closed(),
            Ok(false) => {}
            Err(fault) => self.signal(now, Signal::Misbehaved(fault)),
        }
        if was_held {
            self.moved();
        }
        self.time_message(now);
        self.settle(now);
    }
}

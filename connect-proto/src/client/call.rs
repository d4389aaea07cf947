//! The client's call machine.

mod ending;

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, request, response};

use super::CallConfig;
use super::request::{self as head, Carrier, Request};
use super::response as reading;
use crate::call::{
    self, BodySize, Drain, Event, Events, Fault, Found, Input, Kind, Phase, RecvHalf, RecvInput, RecvState,
    SendError, SendHalf, SendInput, SendState, Signal, Transmit,
};
use crate::error::{AbortReason, ApiMisuse, CloseReason, PeerMisbehaved, ResetCode, RpcError};
use crate::message::{Encoding, Form, Outbound};
use crate::metadata::{self, Seldom};
use crate::time::{Clock, Instant, earliest};
use crate::wire::end_stream::EndStream;
use crate::wire::envelope::Flags;
use crate::wire::error_json;

/// One RPC of a client.
///
/// Four classes of methods, in this order below:
/// - *getters*;
/// - *wire and time in*: `handle_*`, infallible: what the peer does wrong is a transition;
/// - *commands* of the application: [`send`](Call::send), [`finish`](Call::finish), [`close`](Call::close),
///   [`abort`](Call::abort), [`reject`](Call::reject);
/// - *outputs*: `poll_*` and [`take_credit`](Call::take_credit), callable at any time in any order.
///
/// After any input or command: `poll_transmit` until it says `None` or the transport has no room, `poll_event` until
/// it says `None`, and `handle_timeout` at `poll_timeout`. A connection of this crate does all that by itself.
///
/// Dropping a call tells nobody. To stop it, [`close`](Call::close) or [`abort`](Call::abort) it and poll it to
/// its [`Event::Closed`].
#[derive(Debug)]
pub struct Call {
    config: Arc<CallConfig>,
    clock: Clock,
    kind: Kind,
    /// Until its head is taken.
    request: Option<Box<Request>>,
    carrier: Carrier,
    encoding: Encoding,
    http2: bool,
    deadline: Option<Instant>,
    life: Life,
    send: SendHalf,
    /// Whether a message was sent, on a call that carries exactly one.
    sent_one: bool,
    /// Whether the head announced the length of the body, so that no message may be taken back.
    exact: bool,
    recv: RecvHalf,
    response: Response,
    events: Events,
}

#[derive(Clone, Copy, Debug)]
enum Life {
    Unsent,
    Active,
    Ending(Drain),
    Draining(Drain),
    Closed(CloseReason),
}

/// What the response's head has said.
#[derive(Debug, Default)]
struct Response {
    /// `None` before the head.
    status: Option<StatusCode>,
    /// Unary: from the head's `trailer-` fields.
    trailers: Seldom,
}

impl Call {
    /// A call that waits for a connection to take its head.
    ///
    /// # Errors
    /// [`ApiMisuse::ReservedHeader`] for metadata that speaks for the protocol.
    pub fn new(now: Instant, config: &Arc<CallConfig>, request: Request) -> Result<Self, ApiMisuse> {
        head::check_metadata(&request.metadata)?;
        let kind = request.kind;
        Ok(Call {
            clock: Clock::new(now),
            kind,
            carrier: if kind.is_streaming() {
                Carrier::Envelopes
            } else {
                Carrier::Body { compressed: false }
            },
            encoding: head::encoding(config, &request),
            http2: false,
            deadline: request.timeout.map(|timeout| now.saturating_add(timeout)),
            life: Life::Unsent,
            send: SendHalf::new(config.limits.send_queue),
            sent_one: false,
            exact: false,
            recv: RecvHalf::new(RecvState::AwaitHead, kind.responses()),
            response: Response::default(),
            events: Events::default(),
            request: Some(Box::new(request)),
            config: config.clone(),
        })
    }

    // Getters

    /// Where the call is in its life.
    #[must_use]
    pub fn state(&self) -> Phase {
        match self.life {
            Life::Unsent => Phase::Unsent,
            Life::Active => Phase::Active,
            Life::Ending(_) => Phase::Ending,
            Life::Draining(_) => Phase::Draining,
            Life::Closed(_) => Phase::Closed,
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

    /// The kind of the call.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
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

    /// Tells which version of HTTP carries the call, before its head is polled; HTTP/1.1 if nobody says. The drain
    /// budgets depend on it.
    pub fn attach(&mut self, version: http::Version) {
        self.http2 = version >= http::Version::HTTP_2;
    }

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
            Input::Head(_) | Input::Data(_) | Input::End(_) if matches!(self.life, Life::Unsent) => {
                self.signal(now, Signal::Misbehaved(PeerMisbehaved::UnsolicitedBytes));
            }
            Input::Head(parts) => self.handle_head(now, parts),
            Input::Data(data) => self.handle_data(now, data),
            Input::End(_) => self.handle_end(now),
            Input::Misbehaved(fault) => self.signal(now, Signal::Misbehaved(fault)),
            Input::EndSent => {
                self.send.step(SendInput::EndSent);
                self.settle(now);
            }
            Input::Reset { code, processed } => {
                // A server that has answered in full may refuse the rest of the request in this way.
                let harmless = code == ResetCode::NO_ERROR && self.recv.is_done();
                let signal = if harmless { Signal::Settled } else { Signal::PeerReset(code) };
                self.signal_with(now, signal, processed);
            }
            Input::Lost { kind, processed } => self.signal_with(now, Signal::Lost(kind), processed),
        }
    }

    /// Lets limits expire. To be called at [`poll_timeout`](Call::poll_timeout); earlier or later does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
    }

    // Commands

    /// Queues a message, encoded by this call's [`encoding`](Call::encoding).
    ///
    /// # Errors
    /// [`SendError::Full`] gives the message back; the other errors are final for it. A message is accepted if none
    /// is queued, or if it fits under [`Limits::send_queue`](crate::call::Limits::send_queue).
    pub fn send(&mut self, now: Instant, message: Outbound) -> Result<(), SendError> {
        self.expire(now);
        match self.life {
            Life::Unsent | Life::Active => {}
            Life::Ending(_) => return Err(SendError::Closed(CloseReason::Complete)),
            Life::Draining(_) => return Err(ApiMisuse::AlreadyFinished.into()),
            Life::Closed(reason) => return Err(SendError::Closed(reason)),
        }
        if self.send.state() != SendState::Open {
            return Err(ApiMisuse::AlreadyFinished.into());
        }
        if self.kind.requests() == call::Cardinality::One && self.sent_one {
            return Err(ApiMisuse::SecondMessage.into());
        }
        call::check_outbound(&message, &self.config.limits)?;
        match message.form {
            Form::Query(target) => {
                if self.encoding.get.as_ref().is_none_or(|get| get.path.path() != target.path()) {
                    return Err(ApiMisuse::ForeignMessage.into());
                }
                self.carrier = Carrier::Query(target);
            }
            Form::Body { compressed: true, .. } if self.encoding.compression.is_none() => {
                return Err(ApiMisuse::ForeignMessage.into());
            }
            Form::Body { compressed, payload } if self.kind == Kind::Unary => {
                self.carrier = Carrier::Body { compressed };
                self.send.push_body(payload);
            }
            Form::Body { ref payload, .. } if !self.send.has_room(payload.len()) => {
                self.events.full();
                return Err(SendError::Full(message));
            }
            Form::Body { compressed, payload } => {
                let flags = if compressed { Flags::COMPRESSED } else { Flags::NONE };
                self.send.push_envelope(flags, payload);
            }
        }
        self.sent_one = true;
        Ok(())
    }

    /// Ends the sending side: the server sees the end of the request. The response goes on.
    ///
    /// # Errors
    /// [`ApiMisuse::NoMessage`] if the kind of call needs exactly one and none was sent;
    /// [`ApiMisuse::AlreadyFinished`] if it is not the first time.
    pub fn finish(&mut self, now: Instant) -> Result<(), ApiMisuse> {
        self.expire(now);
        if self.send.state() != SendState::Open {
            return if matches!(self.life, Life::Unsent | Life::Active) {
                Err(ApiMisuse::AlreadyFinished)
            } else {
                Ok(()) // The call ended by itself, which its events tell.
            };
        }
        if self.kind.requests() == call::Cardinality::One && !self.sent_one {
            return Err(ApiMisuse::NoMessage);
        }
        self.send.step(SendInput::Finish);
        Ok(())
    }

    /// Closes the call without waiting.
    ///
    /// Ends the sending side if it is open and discards what the peer still sends, within
    /// [`Limits::drain_http1`](crate::call::Limits::drain_http1) or
    /// [`drain_http2`](crate::call::Limits::drain_http2); then aborts. Nothing is sent if nothing was sent so far.
    /// Repeated calls do nothing.
    ///
    /// Afterwards: `poll_transmit`, then `poll_event` until [`Event::Closed`]. No more messages are delivered; a
    /// verdict only if the peer's end was or will still be parsed. Never fails, never waits. To stop at once use
    /// [`Call::abort`].
    pub fn close(&mut self, now: Instant) {
        let now = self.expire(now);
        self.events.purge_messages();
        self.signal(now, Signal::Close);
    }

    /// Stops the call at once: drops what is queued and resets what is on its way.
    pub fn abort(&mut self, now: Instant, reason: AbortReason) {
        let now = self.expire(now);
        // A shutdown is not the word of whoever reads the call: what has come stays.
        if reason != AbortReason::ShutDown {
            self.events.purge_messages();
        }
        self.signal(now, Signal::Abort(reason));
    }

    /// Ends the call with a fault that [`Inbound::decode`](crate::message::Inbound::decode) or the codec found in one
    /// of its messages.
    ///
    /// A verdict that was already told stands; a success that still waits to be told gives way.
    pub fn reject(&mut self, now: Instant, fault: PeerMisbehaved) {
        let now = self.expire(now);
        if !matches!(self.life, Life::Draining(_)) {
            self.events.overrule(call::error_of(CloseReason::PeerMisbehaved(fault)));
        }
        self.signal(now, Signal::Misbehaved(fault));
    }

    // Outputs

    /// What HTTP is asked for next, with at most about `max` bytes of body in it. With a `max` of 0: no body.
    ///
    /// The head of a unary call is held until [`finish`](Call::finish). Once [`Transmit::End`], or a head without a
    /// body, has been written, the transport owes an [`Input::EndSent`].
    pub fn poll_transmit(&mut self, max: usize) -> Option<Transmit<request::Parts>> {
        if let Some(code) = self.send.poll_reset() {
            return Some(Transmit::Reset(code));
        }
        if self.is_terminal() {
            return None;
        }
        if let Life::Unsent = self.life {
            return self.poll_head();
        }
        if let Some(chunk) = self.send.poll_chunk(max) {
            if self.send.take_relief() {
                self.events.writable();
            }
            return Some(Transmit::Data(chunk));
        }
        if self.send.state() == SendState::Finishing && self.send.queued() == 0 {
            self.send.step(SendInput::EndTaken);
            return Some(Transmit::End(None));
        }
        None
    }

    /// The next event; see [`Event`] for their order. The last one is withheld until a reset that goes with it was
    /// polled.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.poll(self.send.state() == SendState::Resetting)
    }

    /// When to call [`handle_timeout`](Call::handle_timeout); `None` if time changes nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.life {
            Life::Unsent | Life::Active => self.deadline,
            Life::Ending(drain) | Life::Draining(drain) => earliest(self.deadline, Some(drain.until())),
            Life::Closed(_) => None,
        }
    }

    /// Bytes by which the peer's flow-control window may grow since the last call of this.
    #[must_use]
    pub fn take_credit(&mut self) -> u64 {
        self.recv.take_credit(self.events.waiting())
    }

    // Inside

    fn poll_head(&mut self) -> Option<Transmit<request::Parts>> {
        let finishing = self.send.state() == SendState::Finishing;
        if self.kind == Kind::Unary && !finishing {
            return None;
        }
        let now = self.clock.now();
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let request = self.request.take()?;
        let parts = head::head(&self.config, *request, self.carrier.clone(), left);
        let body = match (finishing, self.send.queued() as u64) {
            (false, _) => BodySize::Unknown,
            (true, 0) => BodySize::Empty,
            (true, len) => BodySize::Exact(len),
        };
        self.exact = finishing;
        if body == BodySize::Empty {
            self.send.step(SendInput::EndTaken);
        }
        self.signal(now, Signal::HeadTaken);
        Some(Transmit::Head { parts: Box::new(parts), body })
    }

    fn handle_head(&mut self, now: Instant, mut parts: Box<response::Parts>) {
        if self.recv.state() != RecvState::AwaitHead {
            return self.signal(now, Signal::Misbehaved(PeerMisbehaved::MalformedHead));
        }
        let read = reading::read(&self.config, self.kind, &parts);
        self.response.status = Some(parts.status);
        self.recv.note_length(call::content_length(&parts.headers));
        if !self.kind.is_streaming() {
            self.response.trailers = metadata::split_trailers(&mut parts.headers);
        }
        if !matches!(self.life, Life::Draining(_)) {
            self.events.head(parts);
        }
        let stepped = read.and_then(|reading| {
            self.recv.set_compression(reading.compression);
            self.recv.step(RecvInput::Head(reading.body)).map(|()| reading.verdict)
        });
        match stepped {
            Ok(Some(error)) => self.fail(now, error),
            Ok(None) => {}
            Err(fault) => return self.signal(now, Signal::Misbehaved(fault)),
        }
        self.admit_body(now);
    }

    /// Refuses what content-length announces, if it is too much.
    fn admit_body(&mut self, now: Instant) {
        match self.life {
            Life::Draining(drain) => {
                let announced = self.recv.discard();
                if drain.admit(announced).is_err() {
                    self.signal(now, Signal::DrainTooLarge);
                }
            }
            Life::Active => {
                if let Err(fault) = self.recv.admit_body(&self.config.limits) {
                    self.signal(now, Signal::Misbehaved(fault));
                }
            }
            _ => {}
        }
    }

    fn handle_data(&mut self, now: Instant, mut data: Bytes) {
        while !self.is_terminal() {
            let drain = match &mut self.life {
                Life::Ending(drain) | Life::Draining(drain) => Some(drain),
                _ => None,
            };
            match self.recv.take_data(&mut data, &self.config.limits, drain, &mut self.events) {
                Ok(None) => return,
                Ok(Some(Found::EndStream(end))) => self.handle_end_stream(now, end),
                Ok(Some(Found::ErrorTooLarge)) => self.fail(now, self.status_error()),
                Err(Fault::Misbehaved(fault)) => self.signal(now, Signal::Misbehaved(fault)),
                Err(Fault::Drain(_)) => self.signal(now, Signal::DrainTooLarge),
            }
        }
    }

    fn handle_end_stream(&mut self, now: Instant, end: EndStream) {
        let released = match (&end.error, self.life) {
            (None, Life::Active) => self.recv.release(&mut self.events),
            _ => Ok(()),
        };
        let verdict = match (end.error, released) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(metadata::seldom(end.metadata)),
            (None, Err(fault)) => {
                Err(call::error_of(CloseReason::PeerMisbehaved(fault)).with_metadata(end.metadata))
            }
        };
        self.verdict(now, verdict);
    }

    fn handle_end(&mut self, now: Instant) {
        let was = self.recv.state();
        if let Err(fault) = self.recv.end() {
            return self.signal(now, Signal::Misbehaved(fault));
        }
        match was {
            RecvState::Body => {
                let (message, len) = self.recv.take_body_message(&self.config.limits);
                self.events.message(message, len);
                self.succeed(now);
            }
            RecvState::ErrorBody => {
                let error = match (self.recv.take_error_body(&self.config.limits), self.response.status) {
                    (Some(json), Some(status)) => error_json::read(&json, status),
                    _ => self.status_error(),
                };
                self.fail(now, error);
            }
            // Either the verdict is known, or the application does not want the message of a success.
            RecvState::Discard => self.succeed(now),
            _ => self.settle(now),
        }
    }

    /// The error that the response's status alone stands for.
    fn status_error(&self) -> RpcError {
        error_json::of_status(self.response.status.unwrap_or_default())
    }
}

//! The grammars that every call keeps to, as checkers for tests and fuzzers.
//!
//! Feed a checker whatever a call says; it panics at the first thing that should not have been said. None of them
//! looks inside a call, so that they work at any layer.

use crate::call::{BodySize, Event, Transmit};
use crate::error::CloseReason;
use crate::time::Instant;

/// On which side a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The side that calls.
    Client,
    /// The side that answers.
    Server,
}

/// Checks the events of one call: `Headers? Message* PeerHalfClosed? Finished? Closed`, with `Writable` anywhere
/// before `Closed`.
///
/// - There is exactly one `Closed`, and nothing comes after it.
/// - There is exactly one `Finished`, unless the application has left; at most one if it has.
/// - After the application has left, there is no message.
/// - What a server is told is never a success, since a success is the handler's own.
#[derive(Clone, Debug)]
pub struct EventGrammar {
    role: Role,
    at: EventAt,
    finished: bool,
    left: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum EventAt {
    Start,
    Headers,
    Messages,
    HalfClosed,
    Finished,
    Closed,
}

impl EventGrammar {
    /// A checker for a new call.
    #[must_use]
    pub fn new(role: Role) -> Self {
        EventGrammar { role, at: EventAt::Start, finished: false, left: false }
    }

    /// To be told after the application has closed or aborted the call or, on a server, has answered or refused it.
    pub fn leave(&mut self) {
        self.left = true;
    }

    /// Whether the last event has come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.at == EventAt::Closed
    }

    /// Checks the next event.
    ///
    /// # Panics
    /// If it must not come now.
    #[track_caller]
    pub fn observe(&mut self, event: &Event) {
        assert!(self.at < EventAt::Closed, "{event:?} after Closed");
        let client = self.role == Role::Client;
        let next = match event {
            Event::Headers(_) => {
                assert!(client && self.at < EventAt::Headers, "Headers at {:?}", self.at);
                EventAt::Headers
            }
            Event::Message(_) => {
                assert!(!self.left, "a message after the application has left");
                assert!(!client || self.at >= EventAt::Headers, "a message before the headers");
                assert!(self.at <= EventAt::Messages, "a message at {:?}", self.at);
                EventAt::Messages
            }
            Event::Writable => self.at,
            Event::PeerHalfClosed => {
                assert!(!client && self.at < EventAt::HalfClosed, "PeerHalfClosed at {:?}", self.at);
                EventAt::HalfClosed
            }
            Event::Finished(verdict) => {
                assert!(self.at < EventAt::Finished, "Finished twice");
                assert!(client || verdict.is_err(), "a success that the handler did not say");
                self.finished = true;
                EventAt::Finished
            }
            Event::Closed(closed) => {
                assert!(self.finished || self.left, "Closed without Finished");
                let by_application = matches!(
                    closed.reason,
                    CloseReason::Unsent | CloseReason::Aborted(_) | CloseReason::Drained
                );
                assert!(self.left || !by_application, "{:?}, but nobody left", closed.reason);
                EventAt::Closed
            }
        };
        self.at = next;
    }
}

/// Checks what one call asks of HTTP: `Head Data* End`, then on a server perhaps `StopReceiving`; a `Reset` may take
/// the place of whatever is left.
///
/// - Data is never empty, and as long as the head has announced.
/// - A head without a body is the end as well.
/// - After a `Reset` there is nothing.
#[derive(Clone, Debug)]
pub struct TransmitGrammar {
    role: Role,
    at: TransmitAt,
    announced: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum TransmitAt {
    Start,
    Body,
    Ended,
    Stopped,
    Reset,
}

impl TransmitGrammar {
    /// A checker for a new call.
    #[must_use]
    pub fn new(role: Role) -> Self {
        TransmitGrammar { role, at: TransmitAt::Start, announced: None }
    }

    /// Whether the end was asked for, so that the transport owes its acknowledgement.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.at, TransmitAt::Ended | TransmitAt::Stopped)
    }

    /// Whether anything was asked for.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.at > TransmitAt::Start
    }

    /// Whether a reset was asked for.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.at == TransmitAt::Reset
    }

    /// Checks what is asked for next.
    ///
    /// # Panics
    /// If it must not be asked for now.
    #[track_caller]
    pub fn observe<H>(&mut self, transmit: &Transmit<H>) {
        assert!(self.at < TransmitAt::Reset, "something after Reset");
        self.at = match transmit {
            Transmit::Head { body, .. } => {
                assert!(self.at == TransmitAt::Start, "a head at {:?}", self.at);
                self.announced = match body {
                    BodySize::Exact(len) => Some(*len),
                    _ => None,
                };
                if *body == BodySize::Empty { TransmitAt::Ended } else { TransmitAt::Body }
            }
            Transmit::Data(chunk) => {
                assert!(self.at == TransmitAt::Body, "data at {:?}", self.at);
                assert!(!chunk.is_empty(), "empty data");
                if let Some(left) = &mut self.announced {
                    assert!(*left >= chunk.len() as u64, "more data than the head has announced");
                    *left -= chunk.len() as u64;
                }
                TransmitAt::Body
            }
            Transmit::End(_) => {
                assert!(self.at == TransmitAt::Body, "an end at {:?}", self.at);
                assert!(self.announced.is_none_or(|left| left == 0), "less data than the head has announced");
                TransmitAt::Ended
            }
            Transmit::StopReceiving => {
                assert!(
                    self.role == Role::Server && self.at == TransmitAt::Ended,
                    "StopReceiving at {:?}",
                    self.at
                );
                TransmitAt::Stopped
            }
            Transmit::Reset(_) => TransmitAt::Reset,
        };
    }
}

/// Checks that a timer, asked for after `handle_timeout(now)`, lies in the future.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn check_timer(now: Instant, next: Option<Instant>) {
    assert!(next.is_none_or(|next| next > now), "{next:?} is not later than {now:?}");
}

/// Checks that flow control is conserved: what has arrived and was not credited is what is held, and no more.
#[derive(Clone, Debug, Default)]
pub struct CreditBook {
    arrived: u64,
    credited: u64,
}

impl CreditBook {
    /// Nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        CreditBook::default()
    }

    /// So many body bytes were handed to the call.
    pub fn arrived(&mut self, bytes: u64) {
        self.arrived += bytes;
    }

    /// The call gave credit, while `held` bytes of it could at most be waiting.
    ///
    /// # Panics
    /// If it gave more than arrived, or keeps more than is held.
    #[track_caller]
    pub fn credited(&mut self, bytes: u64, held: u64) {
        self.credited += bytes;
        assert!(self.credited <= self.arrived, "{} credited of {}", self.credited, self.arrived);
        let kept = self.arrived - self.credited;
        assert!(kept <= held, "{kept} bytes kept from the window, {held} held");
    }
}

//! A call on its connection, whatever carries it.

use std::ops::ControlFlow;
use std::time::Duration;

use super::CallId;
use super::machine::Machine;
use crate::call::{Event, Input, Transmit};
use crate::error::ResetCode;
use crate::time::Instant;

/// What a call asks of what carries it, apart from writing.
pub(super) trait Carrier {
    /// Gives the call up in both directions. True if nothing of it had reached the peer.
    fn reset(&mut self, now: Instant, code: ResetCode) -> bool;
    /// So many more bytes may come in.
    fn add_credit(&mut self, now: Instant, bytes: u64);
    /// The call may have something new to send.
    fn want_write(&mut self);
    /// How long in all the peer was held back by what other calls left unread.
    fn withheld(&self, now: Instant) -> Duration;
}

/// A call on its connection.
#[derive(Debug)]
pub(super) struct Live<M> {
    pub(super) id: CallId,
    pub(super) call: M,
    told: Told,
    /// Whether the transport took back everything before a byte of it was written.
    pub(super) recalled: bool,
    /// For how much of the time that the peer was held back it is excused.
    withheld: Duration,
}

/// What the application was told of the events that wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Nothing,
    Events,
    /// Also that the verdict is among them.
    Verdict,
}

impl<M: Machine> Live<M> {
    #[inline]
    pub(super) fn new(id: CallId, call: M, withheld: Duration) -> Self {
        Live { id, call, told: Told::Nothing, recalled: false, withheld }
    }

    /// To be done before anything that lets limits of the call expire.
    #[inline]
    fn excuse(&mut self, carrier: &impl Carrier, now: Instant) {
        let withheld = carrier.withheld(now);
        if withheld > self.withheld {
            self.call.excuse(withheld - self.withheld);
            self.withheld = withheld;
        }
    }

    pub(super) fn handle_timeout(&mut self, carrier: &impl Carrier, now: Instant) {
        self.excuse(carrier, now);
        self.call.handle_timeout(now);
    }

    /// Whether there are events that the application was not told of. The verdict is told even to an application that
    /// has left other events waiting: it may be about to send.
    pub(super) fn has_news(&self) -> bool {
        !self.is_told() && self.call.has_events() && !self.call.has_only_closed()
    }

    /// Whether there are such events, or the end.
    #[cfg(feature = "http2")]
    pub(super) fn has_news_or_end(&self) -> bool {
        self.call.has_events() && (!self.is_told() || self.call.has_only_closed())
    }

    fn is_told(&self) -> bool {
        match self.told {
            Told::Nothing => false,
            Told::Events => !self.call.has_verdict(),
            Told::Verdict => true,
        }
    }

    /// Takes note that the application was told of the events that wait.
    pub(super) fn tell(&mut self) {
        self.told = if self.call.has_verdict() { Told::Verdict } else { Told::Events };
    }

    /// To be done after the call has written: that there is room again by that is told even to an application that has
    /// left other events waiting.
    pub(super) fn written(&mut self, was_writable: bool) {
        if self.call.is_writable() && !was_writable {
            self.told = Told::Nothing;
        }
    }

    /// Carries out a command of the application, and what follows from it.
    pub(super) fn command<T>(
        &mut self,
        carrier: &mut impl Carrier,
        now: Instant,
        command: impl FnOnce(&mut M) -> T,
    ) -> T {
        self.excuse(carrier, now);
        let done = command(&mut self.call);
        self.settle(carrier, now);
        carrier.want_write();
        done
    }

    /// Takes in what HTTP brings, and what follows from it.
    pub(super) fn input(&mut self, carrier: &mut impl Carrier, now: Instant, input: Input) {
        self.excuse(carrier, now);
        self.call.handle_input(now, input);
        self.settle(carrier, now);
    }

    /// To be done after anything that may have changed the call: a reset takes effect at once, and what the
    /// application has read widens the window.
    pub(super) fn settle(&mut self, carrier: &mut impl Carrier, now: Instant) {
        self.take_reset(carrier, now);
        self.widen(carrier, now);
    }

    #[inline]
    fn take_reset(&mut self, carrier: &mut impl Carrier, now: Instant) {
        if self.call.is_terminal() {
            self.take_last(carrier, now);
        }
    }

    /// Nothing but a reset is left to be taken.
    fn take_last(&mut self, carrier: &mut impl Carrier, now: Instant) {
        while let Some(transmit) = self.call.poll_transmit(0) {
            if let Transmit::Reset(code) = transmit {
                self.recalled = carrier.reset(now, code);
            }
        }
    }

    fn widen(&mut self, carrier: &mut impl Carrier, now: Instant) {
        let bytes = self.call.take_credit();
        if bytes > 0 {
            carrier.add_credit(now, bytes);
        }
    }

    /// Hands out the next events, until `take` has enough; but not the last one, which becomes a notice of the connection.
    pub(super) fn poll_events(
        &mut self,
        carrier: &mut impl Carrier,
        now: Instant,
        mut take: impl FnMut(Event) -> ControlFlow<()>,
    ) {
        self.told = Told::Nothing;
        self.handle_timeout(carrier, now);
        self.take_reset(carrier, now);
        while !self.call.has_only_closed()
            && let Some(event) = self.call.poll_event()
            && take(event).is_continue()
        {}
        self.widen(carrier, now);
    }
}

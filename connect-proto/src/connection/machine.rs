//! What both call machines have in common, as a connection sees them.

use std::time::Duration;

use crate::call::{Event, Input, Phase, SendError, Transmit};
use crate::error::AbortReason;
use crate::message::Outbound;
use crate::time::Instant;
use crate::{client, server};

/// A call machine.
pub trait Machine {
    /// The parts of the head that it sends.
    type Head;

    fn handle_input(&mut self, now: Instant, input: Input);
    fn handle_timeout(&mut self, now: Instant);
    fn send(&mut self, now: Instant, message: Outbound) -> Result<(), SendError>;
    fn abort(&mut self, now: Instant, reason: AbortReason);
    fn poll_transmit(&mut self, max: usize) -> Option<Transmit<Self::Head>>;
    fn poll_event(&mut self) -> Option<Event>;
    fn poll_timeout(&self) -> Option<Instant>;
    fn take_credit(&mut self) -> u64;
    fn is_unsent(&self) -> bool;
    fn is_terminal(&self) -> bool;
    fn has_events(&self) -> bool;
    fn has_only_closed(&self) -> bool;
    fn has_verdict(&self) -> bool;
    fn is_writable(&self) -> bool;
    /// The peer was held back for so long by this side, for the sake of other calls.
    fn excuse(&mut self, time: Duration);
}

macro_rules! machine {
    ($call:ty, $head:ty, $($role:item)*) => {
        impl Machine for $call {
            type Head = $head;

            $($role)*

            fn handle_input(&mut self, now: Instant, input: Input) {
                self.handle_input(now, input);
            }
            fn handle_timeout(&mut self, now: Instant) {
                self.handle_timeout(now);
            }
            fn send(&mut self, now: Instant, message: Outbound) -> Result<(), SendError> {
                self.send(now, message)
            }
            fn abort(&mut self, now: Instant, reason: AbortReason) {
                self.abort(now, reason);
            }
            fn poll_transmit(&mut self, max: usize) -> Option<Transmit<$head>> {
                self.poll_transmit(max)
            }
            fn poll_event(&mut self) -> Option<Event> {
                self.poll_event()
            }
            fn poll_timeout(&self) -> Option<Instant> {
                self.poll_timeout()
            }
            fn take_credit(&mut self) -> u64 {
                self.take_credit()
            }
            fn is_unsent(&self) -> bool {
                self.state() == Phase::Unsent
            }
            fn is_terminal(&self) -> bool {
                self.is_terminal()
            }
            fn has_events(&self) -> bool {
                self.has_events()
            }
            fn has_only_closed(&self) -> bool {
                self.has_only_closed()
            }
            fn has_verdict(&self) -> bool {
                self.has_verdict()
            }
            fn is_writable(&self) -> bool {
                self.is_writable()
            }
        }
    };
}

machine!(client::Call, http::request::Parts, fn excuse(&mut self, _: Duration) {});
machine!(
    server::Call,
    http::response::Parts,
    fn excuse(&mut self, time: Duration) {
        self.excuse(time);
    }
);

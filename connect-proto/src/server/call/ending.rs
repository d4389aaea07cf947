//! How a server's call ends: its limits, its answer and what is left of the request after that.

use std::time::Duration;

use super::{Answer, Answered, Call, Life};
use crate::call::{
    self, Closed, Drain, DrainBudget, Next, Phase, Processed, RecvInput, RecvState, SendState, Signal,
};
use crate::error::{CloseReason, Code, PeerMisbehaved, ResetCode, RpcError};
use crate::metadata::Metadata;
use crate::time::Instant;

impl Call {
    #[inline]
    pub(super) fn expire(&mut self, now: Instant) -> Instant {
        let now = self.clock.advance(now);
        // One limit may lead to the next; the last one closes.
        while let Some(limit) = self.poll_timeout().filter(|limit| now >= *limit) {
            let signal = match self.life {
                Life::Answered(answered) if self.drain_until(answered).is_some_and(|until| now >= until) => {
                    Signal::DrainTimedOut
                }
                Life::Answered(_) => Signal::WriteStalled,
                _ if self.deadline == Some(limit) => Signal::Deadline,
                _ => Signal::Misbehaved(PeerMisbehaved::MessageTimeout),
            };
            self.signal(now, signal);
        }
        now
    }

    /// To be done after anything that may have begun or completed a message of the request. While complete ones wait, the
    /// rest of the next one is not awaited, since flow control may hold it back.
    pub(super) fn time_message(&mut self, now: Instant) {
        let is_owed = self.recv.awaits_message() && self.events.waiting() == 0;
        if !is_owed {
            self.message_until = None;
        } else if self.message_until.is_none() {
            self.message_until = self.config.message_timeout.map(|time| now.saturating_add(time));
        }
    }

    /// The client was held back for so long by what others left unread: it may take as much longer.
    pub(crate) fn excuse(&mut self, time: Duration) {
        self.message_until = self.message_until.map(|until| until.saturating_add(time));
    }

    pub(super) fn drain_until(&self, answered: Answered) -> Option<Instant> {
        self.recv_is_open().then_some(answered.drain.until())
    }

    /// The transport has to take the answer, unless that is held back. What it has taken is its own to bound.
    pub(super) fn stalls_at(&self, answered: Answered) -> Option<Instant> {
        let waits = self.send.state() == SendState::Finishing && !self.is_held();
        waits.then(|| answered.moved.saturating_add(self.config.limits.write_stall))
    }

    pub(super) fn moved(&mut self) {
        if let Life::Answered(answered) = &mut self.life {
            answered.moved = self.clock.now();
        }
    }

    pub(super) fn recv_is_open(&self) -> bool {
        !self.recv.is_done() && self.recv.state() != RecvState::Stopping
    }

    pub(super) fn settle(&mut self, now: Instant) {
        if self.send.state() == SendState::Done && self.recv.is_done() {
            self.signal(now, Signal::Settled);
        }
    }

    /// The answer of the handler.
    pub(super) fn verdict(&mut self, now: Instant, answer: Answer) {
        if call::server(self.state(), Signal::Verdict) == Next::Go(Phase::Answered) {
            self.enter_answered(now, answer);
        }
    }

    /// Carries out what the table of transitions says.
    pub(super) fn signal(&mut self, now: Instant, signal: Signal) {
        match call::server(self.state(), signal) {
            Next::Answer(reason) => {
                let error = call::error_of(reason);
                self.send.drop_not_begun();
                self.answer(&Metadata::new(), Err(&error));
                self.events.finished(Err(error));
                self.enter_answered(now, Answer::Own(reason));
            }
            Next::StopReceiving => self.stop_receiving(),
            Next::Close(reason) => self.conclude(reason, false),
            Next::Reset(reason) => self.conclude(reason, true),
            // The handler's answer comes by `verdict`.
            Next::Stay | Next::Go(_) => {}
        }
    }

    fn enter_answered(&mut self, now: Instant, answer: Answer) {
        let budget: DrainBudget =
            if self.http2 { self.config.limits.drain_http2 } else { self.config.limits.drain_http1 };
        let drain = Drain::new(now, budget);
        self.life = Life::Answered(Answered { answer, drain, moved: now });
        let announced = self.recv.discard();
        let is_nothing = budget.time.is_zero() || budget.bytes == 0;
        if is_nothing || drain.admit(announced).is_err() {
            self.stop_receiving();
        }
        self.settle(now);
    }

    /// Gives up the rest of the request; the transport is told once it has the end of the response.
    fn stop_receiving(&mut self) {
        let was_held = self.is_held();
        self.recv.step(RecvInput::Stop).ok();
        if was_held {
            // The answer may go out from now on.
            self.moved();
        }
    }

    fn conclude(&mut self, reason: CloseReason, reset: bool) {
        let drained = match self.life {
            Life::Answered(answered) => answered.drain.drained(),
            _ => 0,
        };
        match reason {
            CloseReason::Aborted(_) => self.events.withhold_verdict(),
            CloseReason::PeerReset(_) | CloseReason::TransportLost(_) => {
                self.events.failed(|| RpcError::new(Code::Canceled, "client has gone"));
            }
            reason => self.events.failed(|| call::error_of(reason)),
        }
        if reset {
            self.send.reset(ResetCode::CANCEL);
        } else {
            self.send.stop();
        }
        self.recv.clear();
        self.events.closed(Closed { reason, drained, processed: Processed::Yes });
        // What the handler was told of an answer that was not its own stays so.
        self.life = Life::Closed(self.ended().unwrap_or(reason));
    }
}

//! How a client's call ends: its limits, its verdict and what is left of HTTP after that.

use super::{Call, Life};
use crate::call::{self, Closed, Drain, DrainBudget, Next, Phase, Processed, SendInput, SendState, Signal};
use crate::error::{CloseReason, ResetCode, RpcError};
use crate::metadata::Seldom;
use crate::time::Instant;

impl Call {
    pub(super) fn expire(&mut self, now: Instant) -> Instant {
        let now = self.clock.advance(now);
        // The limit that comes first decides, however late it is noticed; the deadline wins a tie.
        if let Some(limit) = self.poll_timeout().filter(|limit| now >= *limit) {
            let is_deadline = self.deadline == Some(limit);
            self.signal(now, if is_deadline { Signal::Deadline } else { Signal::DrainTimedOut });
        }
        now
    }

    pub(super) fn succeed(&mut self, now: Instant) {
        let trailers = self.response.trailers.take();
        self.verdict(now, Ok(trailers));
    }

    pub(super) fn fail(&mut self, now: Instant, error: RpcError) {
        let trailers = self.response.trailers.take().map_or_else(Default::default, |trailers| *trailers);
        self.verdict(now, Err(error.with_metadata(trailers)));
    }

    /// The peer's verdict; only the first one counts.
    pub(super) fn verdict(&mut self, now: Instant, verdict: Result<Seldom, RpcError>) {
        self.events.finished(verdict);
        if self.is_settled() {
            self.settle(now);
        } else {
            self.signal(now, Signal::Verdict);
        }
    }

    fn is_settled(&self) -> bool {
        self.send.state() == SendState::Done && self.recv.is_done()
    }

    pub(super) fn settle(&mut self, now: Instant) {
        if self.is_settled() {
            self.signal(now, Signal::Settled);
        }
    }

    pub(super) fn signal(&mut self, now: Instant, signal: Signal) {
        self.signal_with(now, signal, Processed::Unknown);
    }

    /// Carries out what the table of transitions says. `told` is what the transport knows of the peer's progress.
    pub(super) fn signal_with(&mut self, now: Instant, signal: Signal, told: Processed) {
        match call::client(self.state(), signal) {
            Next::Go(Phase::Active) => self.life = Life::Active,
            Next::Go(Phase::Ending) => self.enter_ending(now),
            Next::Go(Phase::Draining) => self.enter_draining(now),
            Next::Close(reason) => self.conclude(reason, false, told),
            Next::Reset(reason) => self.conclude(reason, true, told),
            Next::Stay | Next::Go(_) | Next::Answer(_) | Next::StopReceiving => {}
        }
    }

    fn enter_ending(&mut self, now: Instant) {
        if !self.exact {
            self.send.drop_not_begun();
        }
        let budget = DrainBudget { time: self.config.limits.end_time, bytes: self.budget().bytes };
        self.start_drain(now, budget, Life::Ending);
    }

    fn enter_draining(&mut self, now: Instant) {
        let budget = self.budget();
        self.start_drain(now, budget, Life::Draining);
        if budget.bytes == 0 {
            self.signal(now, Signal::DrainTooLarge);
        }
    }

    fn start_drain(&mut self, now: Instant, budget: DrainBudget, life: fn(Drain) -> Life) {
        let drain = Drain::new(now, budget);
        self.life = life(drain);
        self.send.step(SendInput::Finish);
        if budget.time.is_zero() {
            self.signal(now, Signal::DrainTimedOut);
        } else if drain.admit(self.recv.discard()).is_err() {
            self.signal(now, Signal::DrainTooLarge);
        }
    }

    fn budget(&self) -> DrainBudget {
        if self.http2 { self.config.limits.drain_http2 } else { self.config.limits.drain_http1 }
    }

    fn conclude(&mut self, reason: CloseReason, reset: bool, told: Processed) {
        let drained = match self.life {
            Life::Ending(drain) | Life::Draining(drain) => drain.drained(),
            _ => 0,
        };
        let processed = match (self.response.status, self.life) {
            (Some(_), _) => Processed::Yes,
            (None, Life::Unsent) => Processed::No,
            (None, _) => told,
        };
        let left_by_application = matches!(self.life, Life::Draining(_))
            || matches!(reason, CloseReason::Unsent | CloseReason::Aborted(_));
        if left_by_application {
            self.events.withhold_verdict();
        } else {
            self.events.failed(|| call::error_of(reason));
        }
        if reset && !self.is_settled() {
            self.send.reset(ResetCode::CANCEL);
        } else {
            self.send.stop();
        }
        self.recv.clear();
        self.events.closed(Closed { reason, drained, processed });
        self.life = Life::Closed(reason);
    }
}

//! What is to be expected of a server, as of a client.

use super::super::{DEADLINE, End, Outcome, PASSES, Processed, Verdict, Why};
use super::{Connection, Op};
use crate::error::Code;
use crate::testing::secs;

/// How long an answer may wait without a byte of it moving.
const WRITE_STALL: std::time::Duration = secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Commands have nobody to go to.
    NotStarted,
    Active,
    /// Answered by the handler or by the call itself.
    Answered,
    Over(End),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    Open,
    Ended,
    /// Given up.
    Unread,
}

/// What is known of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) connection: Connection,
    pub(super) stage: Stage,
    /// The peer's window is used up, and some waits for it.
    pub(super) window_empty: bool,
    pub(super) request: Request,
    /// A part of a message has come.
    pub(super) is_message_begun: bool,
    pub(super) verdict: Verdict,
    pub(super) now: std::time::Duration,
    /// When it was answered.
    pub(super) answered: std::time::Duration,
    /// The application looks at nothing before it all has happened.
    pub(super) unread: bool,
}

impl Facts {
    /// What is told. Whoever looks late is told how the connection fares by then.
    pub(super) fn outcome(&self) -> Outcome {
        let end = match self.stage {
            Stage::Over(end) if self.unread => Some(End { reusable: self.connection.reusable(), ..end }),
            Stage::Over(end) => Some(end),
            _ => None,
        };
        (end, self.verdict)
    }

    pub(super) fn happens(&mut self, op: Op) {
        self.connection.happens(op);
        let was_late = self.now >= DEADLINE;
        match op {
            Op::TimePasses => self.now += PASSES,
            Op::Deadline if was_late => return,
            Op::Deadline => self.now = DEADLINE,
            _ => {}
        }
        // What the application would see if it looked is forgotten when it leaves, but not a verdict.
        let leaves = matches!(op, Op::Close | Op::Abort | Op::Finish);
        self.unread &= !leaves || self.verdict.is_some() || matches!(self.stage, Stage::Over(_));
        match self.stage {
            Stage::Active => self.active(op),
            // Both ends are handed over, so that for the peer the stream is closed, and may be forgotten.
            Stage::Answered if self.request == Request::Ended && !self.window_empty && op.is_on_stream() => {}
            Stage::Answered => self.in_answer(op),
            Stage::NotStarted | Stage::Over(_) => {}
        }
    }

    fn active(&mut self, op: Op) {
        match op {
            // A server has no close: its handler goes away, which is an error.
            Op::Close | Op::Finish => self.answer(None),
            Op::Deadline => {
                self.answer(Some(Code::DeadlineExceeded));
                self.stalls();
            }
            Op::EndOfStream if self.request == Request::Open => self.request = Request::Ended,
            Op::WindowUpdate => self.window_empty = false,
            Op::TimePasses if self.is_message_begun && self.request == Request::Open => {
                self.answer(Some(Code::DeadlineExceeded));
                self.stalls();
            }
            Op::TimePasses => self.stalls(),
            op => self.broken_off(op, true),
        }
    }

    fn in_answer(&mut self, op: Op) {
        match op {
            Op::EndOfStream if self.request == Request::Open => self.request = Request::Ended,
            Op::WindowUpdate => self.window_empty = false,
            // The time of the drain is over.
            Op::TimePasses | Op::Deadline => {
                if self.request == Request::Open {
                    self.request = Request::Unread;
                }
                if self.window_empty && self.now >= self.answered + WRITE_STALL {
                    self.over(Why::WriteStalled, None);
                }
                self.stalls();
            }
            op => self.broken_off(op, false),
        }
        self.settle();
    }

    fn answer(&mut self, code: Option<Code>) {
        self.stage = Stage::Answered;
        self.answered = self.now;
        self.verdict = self.verdict.or(code.map(Err));
        self.settle();
    }

    /// The connection may have been given up, because nothing of it moves.
    fn stalls(&mut self) {
        if self.connection.lost == Some(Why::WriteStalled) {
            let awaited = self.stage == Stage::Active;
            self.over(Why::WriteStalled, Some(Code::Unavailable).filter(|_| awaited));
        }
    }

    fn settle(&mut self) {
        if self.stage == Stage::Answered
            && self.request != Request::Open
            && !self.connection.stuck
            && !self.window_empty
        {
            self.over(Why::Complete, None);
        }
    }

    fn broken_off(&mut self, op: Op, awaited: bool) {
        let why = match op {
            Op::Abort => return self.over(Why::Aborted, None),
            // After the engine's reset nothing can be answered.
            Op::StreamReset | Op::StreamStopped | Op::StreamViolation => Why::PeerReset,
            Op::Eof | Op::Reset | Op::ConnectionViolation => Why::TransportLost,
            // A client's GOAWAY is about streams that a server opens, of which there are none.
            _ => return,
        };
        self.over(why, Some(Code::Canceled).filter(|_| awaited));
    }

    fn over(&mut self, why: Why, code: Option<Code>) {
        if matches!(self.stage, Stage::Over(_)) {
            return;
        }
        self.verdict = self.verdict.or(code.map(Err));
        self.stage =
            Stage::Over(End { why, processed: Processed::Yes, reusable: self.connection.reusable() });
    }

    /// The request is started at last: first the time, then what has come in.
    pub(super) fn start(&mut self, ops: &[Op]) {
        self.stage = Stage::Active;
        // None of the answer is handed over before all of that is known.
        self.window_empty = true;
        if self.now >= DEADLINE {
            self.answer(Some(Code::DeadlineExceeded));
        }
        for op in ops.iter().copied().filter(|op| *op != Op::WindowUpdate) {
            let has_come = op.is_on_stream() || matches!(op, Op::Eof | Op::Reset | Op::ConnectionViolation);
            match self.stage {
                Stage::Active if has_come => self.active(op),
                Stage::Answered if has_come => self.in_answer(op),
                _ => {}
            }
        }
        self.window_empty = false;
        self.settle();
    }
}

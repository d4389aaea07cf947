//! What is to be expected of a client, written down from the design's diagrams and from nothing else: no code of the
//! machines is asked. Naive on purpose: a few facts about a call, and for each thing that happens what becomes of
//! them.

use super::super::{End, Outcome, Processed, Verdict, Why};
use super::{Connection, Op};
use crate::error::Code;

/// Where a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Nothing of it was handed to the connection, or it has no stream yet.
    Unsent,
    Active,
    Ending,
    Draining,
    Over(End),
}

/// What is known of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) connection: Connection,
    pub(super) stage: Stage,
    /// It waits for a stream, so that finishing does not send it.
    pub(super) waiting: bool,
    /// It has a stream that the peer may know of.
    pub(super) sent: bool,
    /// A byte of its head has left.
    pub(super) head_left: bool,
    /// The peer's window is used up, and some waits for it.
    pub(super) window_empty: bool,
    /// There is more to be written than the connection has room for.
    pub(super) output_full: bool,
    /// This side has ended, whether that is written or not.
    pub(super) finished: bool,
    pub(super) head_seen: bool,
    /// The peer has sent all that it has to.
    pub(super) response_over: bool,
    pub(super) verdict: Verdict,
    /// The drain may last until after the deadline.
    pub(super) patient: bool,
    /// The application looks at nothing before it all has happened, not even at the response's head.
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
        // A frame on a stream that does not exist is not one call's fault.
        let op = if op.is_on_stream() && !self.sent { Op::ConnectionViolation } else { op };
        self.connection.happens(op);
        match self.stage {
            Stage::Over(_) => {}
            // Both ends are handed over, so that for the peer the stream is closed, and may be forgotten.
            Stage::Ending | Stage::Draining if self.is_closed() && op.is_of_stream() => {}
            Stage::Unsent => self.unsent(op),
            Stage::Active => self.active(op),
            Stage::Ending => self.ending(op),
            Stage::Draining => self.draining(op),
        }
        self.head_left |= op == Op::Writable;
    }

    fn unsent(&mut self, op: Op) {
        let (why, verdict) = match op {
            Op::Close | Op::Abort => (Why::Unsent, None),
            Op::Deadline => (Why::Deadline, Some(Code::DeadlineExceeded)),
            Op::Eof | Op::Reset | Op::ConnectionViolation => (Why::TransportLost, Some(Code::Unavailable)),
            Op::GoAwayBelow | Op::GoAwayAbove => (Why::PeerReset, Some(Code::Unavailable)),
            Op::Finish if !self.waiting => {
                self.stage = Stage::Active;
                (self.finished, self.sent, self.head_left) = (true, true, true);
                return;
            }
            _ => return,
        };
        self.over(why, verdict, Processed::No);
    }

    fn active(&mut self, op: Op) {
        match op {
            Op::Close => {
                self.finished = true;
                self.stage = Stage::Draining;
            }
            Op::Finish => self.finished = true,
            Op::Deadline => self.given_up(Why::Deadline, Some(Code::DeadlineExceeded)),
            Op::EndOfStream => {
                self.peer_ends();
                self.finished = true;
                self.stage = Stage::Ending;
                self.settle(Why::Complete);
            }
            Op::Writable | Op::WindowUpdate => self.moves(op),
            Op::TimePasses if !self.connection.stuck => {}
            op => self.broken_off(op, true),
        }
    }

    /// The verdict is known, so nothing changes it any more.
    fn ending(&mut self, op: Op) {
        match op {
            Op::Close | Op::Finish => {}
            Op::EndOfStream => {
                self.response_over = true;
                self.settle(Why::Complete);
            }
            Op::StreamStopped if self.response_over => {
                // The peer has answered in full and wants no more.
                self.over(Why::Complete, None, Processed::Yes);
            }
            Op::Writable | Op::WindowUpdate => {
                self.moves(op);
                self.settle(Why::Complete);
            }
            // The limit that comes first counts, however late anybody looks.
            Op::TimePasses | Op::Deadline => self.given_up(Why::DrainTimedOut, None),
            op => self.broken_off(op, false),
        }
    }

    /// The application has left: a verdict is told only if the peer's end was parsed.
    fn draining(&mut self, op: Op) {
        match op {
            Op::Close | Op::Finish => {}
            Op::Deadline if self.patient => self.given_up(Why::Deadline, None),
            Op::EndOfStream => {
                self.peer_ends();
                self.settle(Why::Drained);
            }
            Op::StreamStopped if self.response_over => self.over(Why::Drained, None, Processed::Yes),
            Op::Writable | Op::WindowUpdate => {
                self.moves(op);
                self.settle(Why::Drained);
            }
            Op::TimePasses if self.patient && !self.connection.stuck => {}
            Op::TimePasses if self.patient => self.broken_off(op, false),
            Op::TimePasses | Op::Deadline => self.given_up(Why::DrainTimedOut, None),
            op => self.broken_off(op, false),
        }
    }

    fn is_closed(&self) -> bool {
        self.response_over && self.finished && !self.window_empty && !self.output_full
    }

    fn moves(&mut self, op: Op) {
        self.window_empty &= op != Op::WindowUpdate;
        self.output_full &= op != Op::Writable;
    }

    fn peer_ends(&mut self) {
        self.head_seen = true;
        self.response_over = true;
        self.verdict.get_or_insert(Ok(()));
    }

    /// Over, if both directions are.
    fn settle(&mut self, why: Why) {
        if self.response_over && self.finished && !self.connection.stuck && !self.window_empty {
            self.over(why, None, Processed::Yes);
        }
    }

    /// Over by something other than this side's clock. It is told as the verdict, if there is none and one is awaited.
    fn broken_off(&mut self, op: Op, awaited: bool) {
        let (why, code, processed) = match op {
            Op::Abort => return self.given_up(Why::Aborted, None),
            Op::StreamReset => (Why::PeerReset, Code::Canceled, Processed::Unknown),
            Op::StreamStopped => (Why::PeerReset, Code::Internal, Processed::Unknown),
            Op::StreamViolation => (Why::PeerMisbehaved, Code::Internal, Processed::Unknown),
            Op::GoAwayBelow => (Why::PeerReset, Code::Unavailable, Processed::No),
            Op::Eof | Op::Reset | Op::ConnectionViolation | Op::TimePasses => {
                let processed = if self.head_left { Processed::Unknown } else { Processed::No };
                (self.connection.lost.unwrap(), Code::Unavailable, processed)
            }
            _ => return,
        };
        self.over(why, Some(code).filter(|_| awaited), processed);
    }

    /// Over by this side's own doing.
    fn given_up(&mut self, why: Why, code: Option<Code>) {
        self.over(why, code, Processed::Unknown);
    }

    fn over(&mut self, why: Why, code: Option<Code>, processed: Processed) {
        let processed = if self.head_seen { Processed::Yes } else { processed };
        self.verdict = self.verdict.or(code.map(Err));
        self.stage = Stage::Over(End { why, processed, reusable: self.connection.reusable() });
    }
}

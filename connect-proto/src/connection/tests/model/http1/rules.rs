//! What is to be expected, written down from the design's diagrams and from nothing else: no code of the machines is
//! asked. Naive on purpose: a few facts about a call, and for each thing that happens what becomes of them.

use super::super::{End, Processed, Verdict, Why};
use super::Op;
use crate::error::Code;

/// Where a call of a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Unsent,
    Active,
    Ending,
    Draining,
    Over(End),
}

/// What is known of a call of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Client {
    pub(super) stage: Stage,
    /// The transport takes no bytes, and some wait.
    pub(super) stuck: bool,
    /// This side has ended, whether that is written or not.
    pub(super) finished: bool,
    pub(super) head_seen: bool,
    /// The peer has sent all that it has to.
    pub(super) response_over: bool,
    pub(super) verdict: Verdict,
    /// Bytes came that answer nothing.
    pub(super) unsolicited: bool,
    /// The drain may last until after the deadline.
    pub(super) patient: bool,
    /// Nothing is read until the application looks at its messages, or leaves.
    pub(super) window_empty: bool,
}

/// What of these becomes known of a peer whose bytes waited: a reset loses what is on its way, and after an end
/// nothing comes.
fn arrive(waiting: &[Op]) -> &[Op] {
    let end = waiting.iter().position(|op| *op == Op::Eof).unwrap_or(waiting.len());
    if waiting.contains(&Op::Reset) { &[Op::Reset] } else { waiting.get(..=end).unwrap_or(waiting) }
}

impl Op {
    fn is_of_peer(self) -> bool {
        matches!(self, Op::Eof | Op::Reset | Op::EndOfStream | Op::Violation)
    }
}

impl Client {
    /// All of these, and then the application looks at its messages.
    pub(super) fn all_happen(mut self, ops: &[Op]) -> Client {
        let mut waiting = Vec::new();
        for op in ops {
            if self.window_empty && op.is_of_peer() {
                waiting.push(*op);
                continue;
            }
            self = self.happens(*op);
            if *op == Op::Close {
                self.window_empty = false;
                self = self.at_once(arrive(&std::mem::take(&mut waiting)));
            }
        }
        self.at_once(arrive(&waiting))
    }

    /// Bytes that come in together with the end of the response are known when the call ends.
    fn at_once(mut self, ops: &[Op]) -> Client {
        let end = ops.iter().position(|op| *op == Op::EndOfStream);
        self.unsolicited |= end.is_some_and(|end| ops.iter().skip(end).any(|op| *op == Op::Violation));
        ops.iter().copied().fold(self, Client::happens)
    }

    pub(super) fn happens(mut self, op: Op) -> Client {
        match self.stage {
            Stage::Over(_) => {}
            Stage::Unsent => self.unsent(op),
            Stage::Active => self.active(op),
            Stage::Ending => self.ending(op),
            Stage::Draining => self.draining(op),
        }
        self
    }

    fn unsent(&mut self, op: Op) {
        let lost = (Why::TransportLost, Some(Err(Code::Unavailable)), false);
        let (why, verdict, reusable) = match op {
            Op::Close | Op::Abort => (Why::Unsent, None, true),
            Op::Deadline => (Why::Deadline, Some(Err(Code::DeadlineExceeded)), true),
            // Bytes that answer nothing end a connection.
            Op::Eof | Op::Reset | Op::EndOfStream | Op::Violation => lost,
            Op::Finish => {
                self.stage = Stage::Active;
                self.finished = true;
                return;
            }
            Op::Writable | Op::TimePasses => return,
        };
        self.verdict = verdict;
        self.stage = Stage::Over(End { why, processed: Processed::No, reusable });
    }

    fn active(&mut self, op: Op) {
        match op {
            Op::Close => {
                self.finished = true;
                self.stage = Stage::Draining;
            }
            Op::Abort => self.broken_off(Why::Aborted, None),
            Op::Finish => self.finished = true,
            Op::Deadline => self.broken_off(Why::Deadline, Some(Code::DeadlineExceeded)),
            Op::Eof | Op::Reset => self.broken_off(Why::TransportLost, Some(Code::Unavailable)),
            Op::EndOfStream => {
                self.peer_ends();
                self.finished = true;
                self.stage = Stage::Ending;
                self.settle(Why::Complete);
            }
            Op::Violation => self.broken_off(Why::PeerMisbehaved, Some(Code::Internal)),
            Op::Writable => self.stuck = false,
            Op::TimePasses if self.stuck => self.broken_off(Why::WriteStalled, Some(Code::Unavailable)),
            Op::TimePasses => {}
        }
    }

    /// The verdict is known, so nothing changes it any more.
    fn ending(&mut self, op: Op) {
        match op {
            Op::Close | Op::Finish => {}
            Op::Abort => self.broken_off(Why::Aborted, None),
            Op::Eof | Op::Reset => self.broken_off(Why::TransportLost, None),
            Op::EndOfStream => {
                self.response_over = true;
                self.settle(Why::Complete);
            }
            Op::Violation if self.response_over => self.unsolicited = true,
            Op::Violation => self.broken_off(Why::PeerMisbehaved, None),
            Op::Writable => {
                self.stuck = false;
                self.settle(Why::Complete);
            }
            // The limit that comes first counts, however late anybody looks.
            Op::TimePasses | Op::Deadline => self.broken_off(Why::DrainTimedOut, None),
        }
    }

    /// The application has left: a verdict is told only if the peer's end was parsed.
    fn draining(&mut self, op: Op) {
        match op {
            Op::Close | Op::Finish => {}
            Op::Abort => self.broken_off(Why::Aborted, None),
            Op::Deadline if self.patient => self.broken_off(Why::Deadline, None),
            Op::Eof | Op::Reset => self.broken_off(Why::TransportLost, None),
            Op::EndOfStream => {
                self.peer_ends();
                self.settle(Why::Drained);
            }
            Op::Violation if self.response_over => self.unsolicited = true,
            Op::Violation => self.broken_off(Why::PeerMisbehaved, None),
            Op::Writable => {
                self.stuck = false;
                self.settle(Why::Drained);
            }
            Op::TimePasses if self.patient && self.stuck => self.broken_off(Why::WriteStalled, None),
            Op::TimePasses if self.patient => {}
            Op::TimePasses | Op::Deadline => self.broken_off(Why::DrainTimedOut, None),
        }
    }

    fn peer_ends(&mut self) {
        self.head_seen = true;
        self.response_over = true;
        self.verdict.get_or_insert(Ok(()));
    }

    /// Over, if both directions are.
    fn settle(&mut self, why: Why) {
        if self.response_over && self.finished && !self.stuck {
            let reusable = !self.unsolicited;
            self.stage = Stage::Over(End { why, processed: Processed::Yes, reusable });
        }
    }

    /// Over before both directions were: that costs the connection.
    fn broken_off(&mut self, why: Why, code: Option<Code>) {
        let processed = if self.head_seen { Processed::Yes } else { Processed::Unknown };
        self.verdict = self.verdict.or(code.map(Err));
        self.stage = Stage::Over(End { why, processed, reusable: false });
    }
}

/// What is known of a call of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Server {
    /// `None` while the request is not started: then commands have nobody to go to, and input waits.
    pub(super) stage: Option<ServerStage>,
    pub(super) stuck: bool,
    pub(super) request: Request,
    /// A part of a message has come.
    pub(super) is_message_begun: bool,
    pub(super) verdict: Verdict,
    pub(super) peer_ended: bool,
    /// The deadline has passed.
    pub(super) late: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ServerStage {
    Active,
    /// Answered with success: over HTTP/1.1 that is held until the request has ended.
    Success,
    /// Answered with an error, by the handler or by the call itself.
    Failure,
    Over(End),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    Open,
    Ended,
    /// Broken or given up.
    Unread,
}

impl Server {
    pub(super) fn happens(mut self, op: Op) -> Server {
        if op == Op::Deadline && std::mem::replace(&mut self.late, true) {
            // It is that late already.
            return self;
        }
        match self.stage {
            None => {}
            Some(ServerStage::Over(_)) => {}
            Some(ServerStage::Active) => self.active(op),
            Some(ServerStage::Success | ServerStage::Failure) => self.answered(op),
        }
        self
    }

    fn active(&mut self, op: Op) {
        match op {
            // A server has no close: its handler goes away, which is an error.
            Op::Close => self.answer(ServerStage::Failure, None),
            Op::Finish => self.answer(ServerStage::Success, None),
            Op::Abort => self.over(Why::Aborted, None),
            Op::Deadline => {
                self.answer(ServerStage::Failure, Some(Code::DeadlineExceeded));
                if self.stuck {
                    self.over(Why::WriteStalled, None);
                }
            }
            Op::Eof | Op::Reset => self.over(Why::TransportLost, Some(Code::Canceled)),
            Op::EndOfStream if self.request == Request::Open => self.request = Request::Ended,
            Op::Violation if self.request == Request::Open => {
                self.request = Request::Unread;
                self.answer(ServerStage::Failure, Some(Code::Internal));
            }
            Op::Writable => self.stuck = false,
            Op::TimePasses if self.stuck => self.over(Why::WriteStalled, Some(Code::Unavailable)),
            Op::TimePasses if self.is_message_begun && self.request == Request::Open => {
                self.answer(ServerStage::Failure, Some(Code::DeadlineExceeded));
            }
            // Of the next request, if anything.
            Op::EndOfStream | Op::Violation | Op::TimePasses => {}
        }
    }

    fn answered(&mut self, op: Op) {
        match op {
            Op::Close | Op::Finish => {}
            Op::Abort => self.over(Why::Aborted, None),
            // An end that is queued is still written, if the request is complete.
            Op::Eof if self.stuck => self.peer_ended = true,
            Op::Eof | Op::Reset => self.over(Why::TransportLost, None),
            Op::EndOfStream if self.request == Request::Open && !self.peer_ended => {
                self.request = Request::Ended;
                self.settle();
            }
            Op::Violation if self.request == Request::Open && !self.peer_ended => {
                self.request = Request::Unread;
                self.settle();
            }
            Op::EndOfStream | Op::Violation => {}
            Op::Writable => {
                self.stuck = false;
                self.settle();
            }
            // The time of the drain is over, and that of a write that does not move.
            Op::Deadline | Op::TimePasses => {
                if self.request == Request::Open {
                    self.request = Request::Unread;
                }
                if self.stuck {
                    self.over(Why::WriteStalled, None);
                }
                self.settle();
            }
        }
    }

    fn answer(&mut self, stage: ServerStage, code: Option<Code>) {
        self.stage = Some(stage);
        self.verdict = self.verdict.or(code.map(Err));
        self.settle();
    }

    fn settle(&mut self) {
        if self.stuck || matches!(self.stage, None | Some(ServerStage::Active | ServerStage::Over(_))) {
            return;
        }
        if self.request == Request::Open {
            if self.peer_ended {
                self.over(Why::TransportLost, None);
            }
            return;
        }
        let reusable = self.request == Request::Ended && !self.peer_ended;
        self.stage = Some(ServerStage::Over(End { why: Why::Complete, processed: Processed::Yes, reusable }));
    }

    fn over(&mut self, why: Why, code: Option<Code>) {
        self.verdict = self.verdict.or(code.map(Err));
        self.stage = Some(ServerStage::Over(End { why, processed: Processed::Yes, reusable: false }));
    }

    /// The request is started at last: first the time, then what has come in.
    pub(super) fn start(mut self, ops: &[Op]) -> Server {
        self.stage = Some(ServerStage::Active);
        if self.late {
            self.answer(ServerStage::Failure, Some(Code::DeadlineExceeded));
        }
        let waiting: Vec<Op> = ops.iter().copied().filter(|op| op.is_of_peer()).collect();
        arrive(&waiting).iter().copied().fold(self, Server::happens)
    }
}

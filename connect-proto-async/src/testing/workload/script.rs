//! What a call is to be like. Both sides make it anew from a number that travels in a header.

use std::time::Duration;

use bytes::Bytes;
use connect_proto::error::Code;

use super::super::faults::Random;
use crate::Procedure;

/// Names a call.
pub(super) type CallNumber = u64;

pub(super) struct Script {
    pub(super) kind: Kind,
    /// The lengths of the messages that the client sends, if it gets to that.
    pub(super) requests: Vec<usize>,
    /// What the handler does.
    pub(super) steps: Vec<Step>,
    pub(super) end: End,
    /// Whether somebody else waits for the call's end on the handler's behalf.
    pub(super) is_watched: bool,
    /// Whether somebody else gets the handler's streams in the end.
    pub(super) is_inherited: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Unary,
    ClientStream,
    ServerStream,
    Bidi,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Headers,
    Receive,
    ReceiveAll,
    /// Takes no more requests from here on.
    DropRequests,
    /// A message of so many bytes. The last step of a procedure that answers with one message.
    Send(usize),
    Sleep(Duration),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Ok,
    Error(Code),
    Panic,
    Never,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Unary, Kind::ClientStream, Kind::ServerStream, Kind::Bidi];

    pub(super) fn procedure(self) -> Procedure {
        Procedure::new(format!("/workload.Service/{self:?}")).expect("a path")
    }

    fn streams_requests(self) -> bool {
        matches!(self, Kind::ClientStream | Kind::Bidi)
    }

    fn streams_responses(self) -> bool {
        matches!(self, Kind::ServerStream | Kind::Bidi)
    }
}

impl Script {
    /// The number of a unary call that succeeds at once.
    pub(super) const PLAIN: u64 = 0;

    pub(super) fn new(number: u64) -> Self {
        if number == Self::PLAIN {
            let steps = vec![Step::Send(10)];
            let (kind, requests, end) = (Kind::Unary, vec![10], End::Ok);
            return Script { kind, requests, steps, end, is_watched: false, is_inherited: false };
        }
        let random = &mut Random::new(number);
        let kind = Kind::ALL[random.below(4)];
        let requests = match kind.streams_requests() {
            true => (0..random.below(6)).map(|_| length(random)).collect(),
            false => vec![length(random)],
        };
        let mut steps: Vec<Step> = (0..random.below(7)).map(|_| Step::any(kind, random)).collect();
        let end = match random.below(16) {
            0..=1 => End::Error(Code::ALL[random.below(Code::ALL.len())]),
            2 => End::Panic,
            3 => End::Never,
            _ => End::Ok,
        };
        let (is_watched, is_inherited) = (random.below(3) == 0, random.below(4) == 0);
        let mut script = Script { kind, requests, steps: Vec::new(), end, is_watched, is_inherited };
        if !kind.streams_responses() && end == End::Ok {
            steps.push(Step::Send(length(random)));
        }
        script.steps = steps;
        // Over HTTP/1.1 it would stand still: no response goes before the whole request has come.
        let is_large = |lengths: usize| lengths > 16 << 10;
        if kind == Kind::Bidi
            && (is_large(script.requests.iter().sum()) || is_large(script.responses().iter().sum()))
        {
            script.steps.insert(0, Step::ReceiveAll);
        }
        script
    }

    /// The lengths of the messages that the handler sends, if it gets to that.
    pub(super) fn responses(&self) -> Vec<usize> {
        self.steps
            .iter()
            .filter_map(|step| if let Step::Send(len) = step { Some(*len) } else { None })
            .collect()
    }

    /// How long the handler pauses, all in all.
    pub(super) fn pauses(&self) -> Duration {
        self.steps
            .iter()
            .filter_map(|step| if let Step::Sleep(time) = step { Some(*time) } else { None })
            .sum()
    }
}

impl Step {
    fn any(kind: Kind, random: &mut Random) -> Self {
        match random.below(8) {
            0 => Step::Sleep(pause(random)),
            1 if kind.streams_responses() => Step::Headers,
            2..=3 if kind.streams_requests() => Step::Receive,
            4 if kind.streams_requests() => Step::ReceiveAll,
            5 if kind.streams_requests() && random.below(4) == 0 => Step::DropRequests,
            _ if kind.streams_responses() => Step::Send(length(random)),
            _ if kind.streams_requests() => Step::Receive,
            _ => Step::Sleep(Duration::ZERO),
        }
    }
}

/// A pause: mostly a short one.
pub(super) fn pause(random: &mut Random) -> Duration {
    let magnitude = random.below(12);
    random.within(&(Duration::ZERO..Duration::from_millis(1 << magnitude)))
}

/// The length of a message: mostly a short one.
fn length(random: &mut Random) -> usize {
    match random.below(12) {
        0 => random.below(40 << 10),
        1..=2 => random.below(4 << 10),
        _ => random.below(100),
    }
}

/// Who sends a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum From {
    Client,
    Handler,
}

/// The message at a place of a call, which no other one is like.
pub(super) fn message(call: CallNumber, from: From, at: usize, len: usize) -> Bytes {
    let head = format!("{from:?} {call} {at} {len} ");
    let filler = (0..len).map(|i| (i.wrapping_mul(7).wrapping_add(at) % 251) as u8);
    head.bytes().chain(filler).collect()
}

/// What a message says of itself.
pub(super) fn describe(message: &Bytes) -> String {
    let head = message.get(..message.len().min(40)).unwrap_or_default();
    String::from_utf8_lossy(head).into_owned()
}

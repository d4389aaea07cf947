//! Every transition of the client's machine.

use super::super::link::After;

/// Where the request stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Send {
    /// The head was sent, the end was not.
    Body,
    /// The end is queued.
    Ending,
    /// The end is acknowledged.
    Sent,
    /// The transport takes no more bytes; there may still be a response to read.
    Dead,
}

/// Where the response stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Recv {
    /// No final head was seen.
    Head,
    /// The body is coming in.
    Body,
    /// It is complete.
    Ended,
}

/// The state of a client's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum State {
    /// No request is under way.
    Idle,
    /// A request is being sent, a response received.
    Exchange(Send, Recv),
    /// The transport is to be closed.
    Closed,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Input {
    /// The application sent a head, which may be all.
    SendHead { end: bool },
    /// The application ended its body.
    SendEnd,
    /// All output is acknowledged.
    Flushed(After),
    /// The final head.
    Head,
    /// The response is complete.
    BodyEnd(After),
    /// The request was taken back before a byte of it was acknowledged.
    Recall,
    /// The transport takes no more bytes.
    WriteFailed,
    /// The peer ended its side, or an idle connection is not wanted any more.
    Quit,
    /// The transport failed or stalled, the peer broke a rule, or the application aborted.
    Lost,
}

impl State {
    /// The next state. An input that does not fit changes nothing.
    pub(in super::super) fn step(self, input: Input) -> State {
        use State as S;
        match (self, input) {
            (S::Closed, _) | (_, Input::Lost) => S::Closed,
            (S::Idle, Input::SendHead { end: false }) => S::Exchange(Send::Body, Recv::Head),
            (S::Idle, Input::SendHead { end: true }) => S::Exchange(Send::Ending, Recv::Head),
            (S::Idle, Input::Quit | Input::WriteFailed) => S::Closed,
            (S::Exchange(send, recv), input) => exchange(send, recv, input),
            (state, _) => state,
        }
    }
}

fn exchange(send: Send, recv: Recv, input: Input) -> State {
    match (send, recv, input) {
        (Send::Body, _, Input::SendEnd) => State::Exchange(Send::Ending, recv),
        (Send::Ending, Recv::Ended, Input::Flushed(after)) => ended(after),
        (Send::Ending, _, Input::Flushed(_)) => State::Exchange(Send::Sent, recv),
        (_, Recv::Head, Input::Head) => State::Exchange(send, Recv::Body),
        (Send::Body | Send::Ending, Recv::Body, Input::BodyEnd(_)) => State::Exchange(send, Recv::Ended),
        (Send::Sent, Recv::Body, Input::BodyEnd(after)) => ended(after),
        (Send::Dead, Recv::Body, Input::BodyEnd(_)) => State::Closed,
        (Send::Body | Send::Ending, Recv::Head, Input::Recall) => State::Idle,
        (_, Recv::Ended, Input::WriteFailed) => State::Closed,
        (Send::Body | Send::Ending, _, Input::WriteFailed) => State::Exchange(Send::Dead, recv),
        _ => State::Exchange(send, recv),
    }
}

/// Both messages are complete.
fn ended(after: After) -> State {
    match after {
        After::Reuse => State::Idle,
        After::Linger | After::Close => State::Closed,
    }
}

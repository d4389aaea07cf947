//! Every transition of the server's machine.

use super::super::link::After;

/// Where the request's body stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Recv {
    /// It is coming in.
    Body,
    /// It is complete.
    Ended,
    /// What still comes is discarded: it is broken, or nobody wants it.
    Discard,
}

/// Where the response stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Send {
    /// No final head was sent.
    Head,
    /// The head was sent, the end was not.
    Body,
    /// The end is queued.
    Ending,
    /// The end is acknowledged.
    Sent,
}

/// The state of a server's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum State {
    /// No byte of a next request was seen.
    Idle,
    /// A part of a head was seen.
    Head,
    /// A request is being received, a response sent.
    Exchange(Recv, Send),
    /// The answer to a broken head is being written.
    Refusing,
    /// The FIN was asked for; input is discarded.
    Lingering,
    /// The transport is to be closed.
    Closed,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Input {
    /// The first byte of a head.
    Byte,
    /// A head, with or without a body.
    Head { body: bool },
    /// A broken or late head, which is answered.
    Refuse,
    /// The body is complete.
    BodyEnd(After),
    /// The body is broken or unwanted.
    Discard,
    /// The application sent a head, which may be all.
    SendHead { end: bool },
    /// The application ended its body.
    SendEnd,
    /// All output is acknowledged.
    Flushed(After),
    /// The peer ended its side.
    Eof,
    /// An idle connection has waited long enough.
    Quit,
    /// The linger time or its bytes are used up.
    LingerOver,
    /// The transport failed, stalled, or the application aborted.
    Lost,
}

impl State {
    /// The next state. An input that does not fit changes nothing.
    pub(in super::super) fn step(self, input: Input) -> State {
        use State as S;
        match (self, input) {
            (S::Closed, _) | (_, Input::Lost) => S::Closed,
            (S::Idle, Input::Byte) => S::Head,
            (S::Idle, Input::Quit | Input::Eof) | (S::Head, Input::Eof) => S::Closed,
            (S::Head, Input::Head { body: true }) => S::Exchange(Recv::Body, Send::Head),
            (S::Head, Input::Head { body: false }) => S::Exchange(Recv::Ended, Send::Head),
            (S::Idle | S::Head, Input::Refuse) => S::Refusing,
            (S::Exchange(recv, send), input) => exchange(recv, send, input),
            (S::Refusing, Input::Flushed(After::Close)) => S::Closed,
            (S::Refusing, Input::Flushed(_)) => S::Lingering,
            (S::Lingering, Input::Eof | Input::LingerOver) => S::Closed,
            (state, _) => state,
        }
    }
}

fn exchange(recv: Recv, send: Send, input: Input) -> State {
    match (recv, send, input) {
        (Recv::Body, Send::Sent, Input::BodyEnd(after)) => ended(after),
        (Recv::Body, _, Input::BodyEnd(_)) => State::Exchange(Recv::Ended, send),
        (Recv::Body, Send::Sent, Input::Discard) => State::Lingering,
        (Recv::Body, _, Input::Discard) => State::Exchange(Recv::Discard, send),
        (_, Send::Head, Input::SendHead { end: false }) => State::Exchange(recv, Send::Body),
        (_, Send::Head, Input::SendHead { end: true }) => State::Exchange(recv, Send::Ending),
        (_, Send::Body, Input::SendEnd) => State::Exchange(recv, Send::Ending),
        (Recv::Body, Send::Ending, Input::Flushed(_)) => State::Exchange(Recv::Body, Send::Sent),
        (Recv::Ended, Send::Ending, Input::Flushed(after)) => ended(after),
        (Recv::Discard, Send::Ending, Input::Flushed(After::Close)) => State::Closed,
        (Recv::Discard, Send::Ending, Input::Flushed(_)) => State::Lingering,
        // An end that is queued is still written; the peer may have ended its side alone.
        (_, Send::Ending, Input::Eof) => State::Exchange(recv, send),
        (_, _, Input::Eof) => State::Closed,
        _ => State::Exchange(recv, send),
    }
}

/// Both messages are complete.
fn ended(after: After) -> State {
    match after {
        After::Reuse => State::Idle,
        After::Linger => State::Lingering,
        After::Close => State::Closed,
    }
}

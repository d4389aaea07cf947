//! The states of a stream (RFC 9113, section 5.1), with those of the messages on it (section 8.1).
//!
//! ```text
//! Idle -- HEADERS, sent or received --> Live(send, recv) -- both Ended --> Closed(Ended)
//!                                          |-- RST_STREAM received ------> Closed(ResetByPeer)
//!                                          '-- RST_STREAM sent ----------> Closed(ResetHere)
//! ```
//! Each half of a live stream goes from `Head` by `Body` to `Ended`. In the words of the RFC the stream is "open" while
//! neither is `Ended`, and "half-closed (local)" or "(remote)" when one is. Push is off, so nothing is "reserved".

use crate::error::PeerMisbehaved;

/// Where the message in one direction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Half {
    /// Its final head is still to come.
    Head,
    /// The head was there, the end was not.
    Body,
    /// It is complete.
    Ended,
}

/// How a stream came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// Both messages are complete.
    Ended,
    /// This side has reset it: frames of the peer may still be on their way.
    ResetHere,
    /// The peer has reset it.
    ResetByPeer,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Idle,
    Live { send: Half, recv: Half },
    Closed(Cause),
}

/// What can happen to it. `end` is the END_STREAM flag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    SendHead {
        end: bool,
    },
    /// DATA or trailers with END_STREAM.
    SendEnd,
    SendReset,
    /// HEADERS that are no interim response.
    Headers {
        end: bool,
    },
    /// HEADERS of an interim response.
    Interim {
        end: bool,
    },
    Data {
        end: bool,
    },
    WindowUpdate,
    Reset,
}

/// Why an input changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// It means nothing any more.
    Ignored,
    /// A command that does not fit. It never comes from the wire.
    Misuse,
    /// The peer broke a rule, and the stream is to be reset.
    Stream(PeerMisbehaved),
    /// The peer broke a rule, and the connection is to be ended.
    Connection(PeerMisbehaved),
}

impl State {
    /// The next state: the one place where the state of a stream changes.
    #[inline]
    pub(super) fn step(self, on: Input) -> Result<State, Refused> {
        match self {
            State::Idle => idle(on),
            State::Live { send, recv } => live(send, recv, on),
            State::Closed(cause) => Err(closed(cause, on)),
        }
    }

    #[inline]
    pub(super) fn is_closed(self) -> bool {
        matches!(self, State::Closed(_))
    }

    /// Whether the peer may still send a part of its message.
    #[inline]
    pub(super) fn is_receiving(self) -> bool {
        matches!(self, State::Live { recv: Half::Head | Half::Body, .. })
    }
}

fn idle(on: Input) -> Result<State, Refused> {
    Ok(match on {
        Input::SendHead { end } => State::Live { send: after_head(end), recv: Half::Head },
        Input::Headers { end } => State::Live { send: Half::Head, recv: after_head(end) },
        Input::SendReset => State::Closed(Cause::ResetHere),
        Input::SendEnd => return Err(Refused::Misuse),
        Input::Interim { .. } | Input::Data { .. } | Input::WindowUpdate | Input::Reset => {
            return Err(Refused::Connection(PeerMisbehaved::IdleStream));
        }
    })
}

fn live(send: Half, recv: Half, on: Input) -> Result<State, Refused> {
    let (send, recv) = match (on, send, recv) {
        (Input::SendHead { end }, Half::Head, _) => (after_head(end), recv),
        (Input::SendEnd, Half::Body, _) => (Half::Ended, recv),
        (Input::SendReset, ..) => return Ok(State::Closed(Cause::ResetHere)),
        (Input::Reset, ..) => return Ok(State::Closed(Cause::ResetByPeer)),
        (Input::WindowUpdate, ..) => (send, recv),
        (Input::Headers { end }, _, Half::Head) => (send, after_head(end)),
        (Input::Interim { end: false }, _, Half::Head) => (send, recv),
        (Input::Headers { end: true } | Input::Data { end: true }, _, Half::Body) => (send, Half::Ended),
        (Input::Data { end: false }, _, Half::Body) => (send, recv),
        (Input::Data { .. }, _, Half::Head) => return Err(Refused::Stream(PeerMisbehaved::DataBeforeHead)),
        (Input::Headers { .. } | Input::Interim { .. } | Input::Data { .. }, _, Half::Ended) => {
            return Err(Refused::Stream(PeerMisbehaved::StreamClosed));
        }
        (Input::Headers { .. } | Input::Interim { .. }, ..) => {
            return Err(Refused::Stream(PeerMisbehaved::MisplacedFields));
        }
        (Input::SendHead { .. } | Input::SendEnd, ..) => return Err(Refused::Misuse),
    };
    Ok(match (send, recv) {
        (Half::Ended, Half::Ended) => State::Closed(Cause::Ended),
        (send, recv) => State::Live { send, recv },
    })
}

fn closed(cause: Cause, on: Input) -> Refused {
    match (cause, on) {
        (_, Input::SendHead { .. } | Input::SendEnd | Input::SendReset) => Refused::Misuse,
        (Cause::ResetHere, _) | (_, Input::WindowUpdate | Input::Reset) => Refused::Ignored,
        (Cause::Ended, _) => Refused::Connection(PeerMisbehaved::StreamClosed),
        (Cause::ResetByPeer, _) => Refused::Stream(PeerMisbehaved::StreamClosed),
    }
}

fn after_head(end: bool) -> Half {
    if end { Half::Ended } else { Half::Body }
}

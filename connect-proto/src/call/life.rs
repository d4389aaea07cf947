//! How a call ends: every transition of its life, for both roles.

use crate::error::{AbortReason, CloseReason, LostKind, PeerMisbehaved, ResetCode};

/// Where a call is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Client: nothing of it was handed to a transport.
    Unsent,
    /// Both sides may talk.
    Active,
    /// Client: the verdict is known, but a direction of HTTP is still open.
    Ending,
    /// Client: closed by the application; waits for the peer's end within the drain budget.
    Draining,
    /// Server: the answer is decided and goes out; what the client still sends is drained.
    Answered,
    /// It is over.
    Closed,
}

/// What can happen to a call's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    /// Client: the transport took the head.
    HeadTaken,
    /// Client: the peer's verdict was parsed. Server: the handler has answered.
    Verdict,
    /// Client: the application has lost interest.
    Close,
    /// Both directions are done.
    Settled,
    /// The deadline of the call has passed.
    Deadline,
    /// The time of the drain budget, or of an ending, has passed.
    DrainTimedOut,
    /// The bytes of the drain budget are used up, or more is announced.
    DrainTooLarge,
    /// Server: the transport takes nothing of the answer.
    WriteStalled,
    PeerReset(ResetCode),
    Misbehaved(PeerMisbehaved),
    Lost(LostKind),
    Abort(AbortReason),
}

/// What becomes of a call's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    Stay,
    Go(Phase),
    /// Server: the call answers by itself with the error of this reason.
    Answer(CloseReason),
    /// Server: the end is on its way, only the client's input is given up.
    StopReceiving,
    /// The end; nothing is owed to the transport.
    Close(CloseReason),
    /// The end; the transport is asked for a reset.
    Reset(CloseReason),
}

/// The transitions of a client's call.
pub(crate) fn client(phase: Phase, on: Signal) -> Next {
    use CloseReason as Why;
    use Phase as P;
    use Signal as S;
    match (phase, on) {
        (P::Closed, _) => Next::Stay,

        (P::Unsent, S::HeadTaken) => Next::Go(P::Active),
        (P::Unsent, S::Close | S::Abort(_)) => Next::Close(Why::Unsent),
        (P::Unsent, S::Deadline) => Next::Close(Why::Deadline),
        (P::Unsent, S::Misbehaved(fault)) => Next::Close(Why::PeerMisbehaved(fault)),

        (P::Active, S::Close) => Next::Go(P::Draining),
        (P::Active, S::Verdict) => Next::Go(P::Ending),
        (P::Active | P::Ending, S::Settled) => Next::Close(Why::Complete),
        (P::Draining, S::Settled) => Next::Close(Why::Drained),
        (P::Ending | P::Draining, S::DrainTimedOut) => Next::Reset(Why::DrainTimedOut),
        (P::Ending | P::Draining, S::DrainTooLarge) => Next::Reset(Why::DrainTooLarge),

        (_, S::PeerReset(code)) => Next::Close(Why::PeerReset(code)),
        (_, S::Lost(kind)) => Next::Close(Why::lost(kind)),
        (P::Active | P::Ending | P::Draining, S::Deadline) => Next::Reset(Why::Deadline),
        (P::Active | P::Ending | P::Draining, S::Misbehaved(fault)) => {
            Next::Reset(Why::PeerMisbehaved(fault))
        }
        (P::Active | P::Ending | P::Draining, S::Abort(reason)) => Next::Reset(Why::Aborted(reason)),

        _ => Next::Stay,
    }
}

/// The transitions of a server's call. The end is never replaced by a reset while it can still be sent.
pub(crate) fn server(phase: Phase, on: Signal) -> Next {
    use CloseReason as Why;
    use Phase as P;
    use Signal as S;
    match (phase, on) {
        (P::Closed, _) => Next::Stay,

        (P::Active, S::Verdict) => Next::Go(P::Answered),
        (P::Active, S::Deadline) => Next::Answer(Why::Deadline),
        (P::Active, S::Misbehaved(fault)) => Next::Answer(Why::PeerMisbehaved(fault)),

        (P::Answered, S::Settled) => Next::Close(Why::Complete),
        (P::Answered, S::DrainTimedOut | S::DrainTooLarge | S::Misbehaved(_)) => Next::StopReceiving,
        (P::Answered, S::WriteStalled) => Next::Reset(Why::WriteStalled),

        (_, S::PeerReset(code)) => Next::Close(Why::PeerReset(code)),
        (_, S::Lost(kind)) => Next::Close(Why::lost(kind)),
        (P::Active | P::Answered, S::Abort(reason)) => Next::Reset(Why::Aborted(reason)),

        _ => Next::Stay,
    }
}

impl CloseReason {
    fn lost(kind: LostKind) -> CloseReason {
        match kind {
            LostKind::WriteStalled => CloseReason::WriteStalled,
            kind => CloseReason::TransportLost(kind),
        }
    }
}

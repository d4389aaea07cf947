//! Why a call came to its end.

use std::fmt;

use super::{Code, PeerMisbehaved};

/// An HTTP/2 error code (RFC 9113, section 7), as RST_STREAM carries it. HTTP/1.1 has none and closes instead.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct ResetCode(pub u32);

impl ResetCode {
    /// Nothing went wrong.
    pub const NO_ERROR: ResetCode = ResetCode(0x0);
    /// The peer broke a rule of the protocol.
    pub const PROTOCOL_ERROR: ResetCode = ResetCode(0x1);
    /// The sender cannot go on.
    pub const INTERNAL_ERROR: ResetCode = ResetCode(0x2);
    /// The peer broke the rules of flow control.
    pub const FLOW_CONTROL_ERROR: ResetCode = ResetCode(0x3);
    /// The peer did not acknowledge settings in time.
    pub const SETTINGS_TIMEOUT: ResetCode = ResetCode(0x4);
    /// A frame came after its sender had ended the stream.
    pub const STREAM_CLOSED: ResetCode = ResetCode(0x5);
    /// A frame was of a wrong size.
    pub const FRAME_SIZE_ERROR: ResetCode = ResetCode(0x6);
    /// The stream was not processed at all.
    pub const REFUSED_STREAM: ResetCode = ResetCode(0x7);
    /// The stream is no longer needed.
    pub const CANCEL: ResetCode = ResetCode(0x8);
    /// Compressed fields were corrupt.
    pub const COMPRESSION_ERROR: ResetCode = ResetCode(0x9);
    /// The peer causes too much load.
    pub const ENHANCE_YOUR_CALM: ResetCode = ResetCode(0xb);
    /// The transport is not secure enough.
    pub const INADEQUATE_SECURITY: ResetCode = ResetCode(0xc);

    /// The name in RFC 9113; `None` for a code that it does not know.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x0 => "NO_ERROR",
            0x1 => "PROTOCOL_ERROR",
            0x2 => "INTERNAL_ERROR",
            0x3 => "FLOW_CONTROL_ERROR",
            0x4 => "SETTINGS_TIMEOUT",
            0x5 => "STREAM_CLOSED",
            0x6 => "FRAME_SIZE_ERROR",
            0x7 => "REFUSED_STREAM",
            0x8 => "CANCEL",
            0x9 => "COMPRESSION_ERROR",
            0xa => "CONNECT_ERROR",
            0xb => "ENHANCE_YOUR_CALM",
            0xc => "INADEQUATE_SECURITY",
            0xd => "HTTP_1_1_REQUIRED",
            _ => return None,
        })
    }

    /// The RPC code that a stream reset stands for (the gRPC specification's table, which Connect shares).
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            ResetCode::REFUSED_STREAM => Code::Unavailable,
            ResetCode::CANCEL => Code::Canceled,
            ResetCode::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
            ResetCode::INADEQUATE_SECURITY => Code::PermissionDenied,
            _ => Code::Internal,
        }
    }
}

impl fmt::Display for ResetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error {:#x}", self.0),
        }
    }
}

/// How a connection was lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum LostKind {
    /// The peer ended its side before the exchange was complete.
    Eof,
    /// The peer reset the connection.
    Reset,
    /// No connection could be made.
    ConnectFailed,
    /// The output did not move for longer than the write-stall limit.
    WriteStalled,
    /// The connection was shut down by this side while the call was still open.
    ShutDown,
    /// The peer did not answer a keep-alive ping in time.
    Unresponsive,
    /// The peer ended TLS with this alert, such as 116 if it requires a certificate.
    TlsAlert(u8),
    /// Any other failure of the transport.
    Failed,
}

/// Why the application stopped a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum AbortReason {
    /// The application asked for it.
    Requested,
    /// The handle of the call was dropped.
    Dropped,
    /// The client or server is shutting down and its grace has passed.
    ShutDown,
}

/// Why a call came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// Closed or aborted before a byte of it was handed to a connection.
    Unsent,
    /// Both sides ended.
    Complete,
    /// Closed by the application; the peer ended within the drain budget.
    Drained,
    /// The call's deadline passed.
    Deadline,
    /// The peer did not end within the drain time after the application had closed. Where nobody had: HTTP did not
    /// end in time after the verdict.
    DrainTimedOut,
    /// The peer sent, or announced, more than the drain budget after the application had closed. Where nobody had:
    /// after the verdict.
    DrainTooLarge,
    /// The peer reset the call.
    PeerReset(ResetCode),
    /// The peer broke a rule.
    PeerMisbehaved(PeerMisbehaved),
    /// The connection was lost.
    TransportLost(LostKind),
    /// Aborted by the application.
    Aborted(AbortReason),
    /// Nothing of the response could be written within the write-stall limit.
    WriteStalled,
}

/// Who ended a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Initiator {
    /// Both sides, in agreement.
    Both,
    /// The application on this side.
    Application,
    /// A time limit of this side.
    Clock,
    /// The peer.
    Peer,
    /// The connection between them.
    Transport,
}

impl CloseReason {
    /// The RPC code that this end stands for; `None` if it says nothing of the RPC's result.
    ///
    /// This is the only table from reasons to codes.
    #[must_use]
    pub const fn code(self) -> Option<Code> {
        match self {
            CloseReason::Complete | CloseReason::Drained => None,
            CloseReason::Unsent
            | CloseReason::DrainTimedOut
            | CloseReason::DrainTooLarge
            | CloseReason::Aborted(_) => Some(Code::Canceled),
            CloseReason::Deadline => Some(Code::DeadlineExceeded),
            CloseReason::PeerReset(reset) => Some(reset.code()),
            CloseReason::PeerMisbehaved(fault) => Some(fault.code()),
            CloseReason::TransportLost(_) | CloseReason::WriteStalled => Some(Code::Unavailable),
        }
    }

    /// Who caused the end.
    #[must_use]
    pub const fn initiator(self) -> Initiator {
        match self {
            CloseReason::Complete | CloseReason::Drained => Initiator::Both,
            CloseReason::Unsent | CloseReason::Aborted(_) => Initiator::Application,
            CloseReason::Deadline | CloseReason::DrainTimedOut => Initiator::Clock,
            CloseReason::DrainTooLarge | CloseReason::PeerReset(_) | CloseReason::PeerMisbehaved(_) => {
                Initiator::Peer
            }
            CloseReason::TransportLost(_) | CloseReason::WriteStalled => Initiator::Transport,
        }
    }
}

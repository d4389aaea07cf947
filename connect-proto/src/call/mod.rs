//! What both roles of a call share: the events at its two doors, its limits, its halves and how it ends.

mod drain;
mod events;
mod io;
mod kind;
mod life;
mod limits;
mod queue;
mod recv;
mod send;
#[cfg(test)]
mod tests;

pub use io::{BodySize, Chunk, Closed, Event, Input, Processed, Transmit};
pub use kind::{Duplex, Kind};
pub use life::Phase;
pub use limits::{DrainBudget, Limits};

pub(crate) use drain::Drain;
pub(crate) use events::Events;
pub(crate) use life::{Next, Signal, client, server};
#[cfg(feature = "http2")]
pub(crate) use queue::Queue;
pub(crate) use recv::{BodyKind, Fault, Found, RecvHalf, RecvInput, RecvState};
pub(crate) use send::{SendHalf, SendInput, SendState};

pub(crate) use kind::Cardinality;

use http::HeaderMap;

use crate::error::{ApiMisuse, CloseReason, Code, LostKind, RpcError};
use crate::fields::read_length;
use crate::message::{Form, Outbound};

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The queue is full: the message comes back. [`Event::Writable`] tells when to try again.
    #[error("send queue full")]
    Full(Outbound),
    /// The message is larger than [`Limits::outbound_message`], or than 4 GiB in an envelope.
    #[error("message of {len} bytes exceeds limit {limit}")]
    TooLarge {
        /// Bytes of the message before compression.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The call takes no more messages: its verdict is known, it is closing, or it is closed, for this reason.
    #[error("call has ended")]
    Closed(CloseReason),
    /// The caller's own calls do not allow it.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
}

/// The error that a call ends with for this reason.
pub(crate) fn error_of(reason: CloseReason) -> RpcError {
    let code = reason.code().unwrap_or(Code::Unknown);
    match reason {
        CloseReason::Deadline => RpcError::new(code, "deadline exceeded"),
        CloseReason::PeerReset(_) => RpcError::new(code, "reset by peer"),
        CloseReason::PeerMisbehaved(fault) => RpcError::new(code, fault.to_string()),
        CloseReason::TransportLost(LostKind::ConnectFailed) => RpcError::new(code, "connect failed"),
        CloseReason::TransportLost(LostKind::TlsAlert(alert)) => {
            RpcError::new(code, format!("connection lost: TLS alert {alert}{}", alert_name(alert)))
        }
        CloseReason::TransportLost(_) => RpcError::new(code, "connection lost"),
        CloseReason::WriteStalled => RpcError::new(code, "write stalled"),
        CloseReason::DrainTimedOut => RpcError::new(code, "end timed out"),
        _ => RpcError::new(code, "call ended"),
    }
}

/// In words, what a peer says by an alert of TLS that finds fault with this side.
fn alert_name(alert: u8) -> &'static str {
    match alert {
        40 => " (handshake failure)",
        42 => " (bad certificate)",
        43 => " (unsupported certificate)",
        44 => " (certificate revoked)",
        45 => " (certificate expired)",
        46 => " (certificate unknown)",
        48 => " (unknown certificate authority)",
        49 => " (access denied)",
        116 => " (certificate required)",
        _ => "",
    }
}

/// Refuses a message that is too large to send.
pub(crate) fn check_outbound(message: &Outbound, limits: &Limits) -> Result<(), SendError> {
    let wire_len = match &message.form {
        Form::Body { payload, .. } => payload.len(),
        Form::Query(_) => 0,
    };
    // A prefix holds 32 bits, and compression may add to a message.
    const ENVELOPE: usize = u32::MAX as usize;
    let limit = limits.outbound_message.unwrap_or(usize::MAX);
    if message.len() > limit {
        Err(SendError::TooLarge { len: message.len(), limit })
    } else if wire_len > ENVELOPE {
        Err(SendError::TooLarge { len: wire_len, limit: ENVELOPE })
    } else {
        Ok(())
    }
}

/// The length that a head announces. Whether it is well-formed is HTTP's business.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    read_length(headers.get(http::header::CONTENT_LENGTH)?.as_bytes())
}

//! Errors that say whose fault they are.
//!
//! - [`RpcError`] is the verdict of the peer or of the handler: data that a healthy exchange carries.
//! - [`PeerMisbehaved`] is a rule that the peer broke: one variant a rule.
//! - [`ApiMisuse`] can only come from the order or the arguments of the caller's own calls.
//! - [`CloseReason`] says why a call came to its end.

mod close;
mod code;
mod peer;
mod rpc;

pub use close::{AbortReason, CloseReason, Initiator, LostKind, ResetCode};
pub use code::Code;
pub use peer::PeerMisbehaved;
pub use rpc::{ErrorDetail, RpcError};

/// A command that the caller's own state forbids. It never comes from the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// A message was sent, or the send side finished, after it had been finished.
    #[error("already finished")]
    AlreadyFinished,
    /// A second message on a side that carries exactly one.
    #[error("only one message allowed")]
    SecondMessage,
    /// The send side was finished without the one message that this kind of call carries.
    #[error("message missing")]
    NoMessage,
    /// Response headers were sent after the response had begun.
    #[error("headers already sent")]
    HeadersAlreadySent,
    /// The procedure is not a path of the form `/package.Service/Method`.
    #[error("invalid procedure path")]
    InvalidProcedure,
    /// A header that the protocol itself writes, or one of HTTP's connection-specific ones.
    #[error("reserved header name")]
    ReservedHeader,
    /// The codec name is not a token that a content type can carry.
    #[error("invalid codec name")]
    InvalidCodec,
    /// The message was encoded for another call: as a query of another procedure or for a call that is no GET, or with
    /// a compression although the call names none.
    #[error("message of another call")]
    ForeignMessage,
}

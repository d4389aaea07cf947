//! Calls and handlers, as users see them.

pub(crate) mod client;
mod inbox;
mod outbox;
pub(crate) mod server;

use bytes::Bytes;
use connect_proto::call;
use connect_proto::error::{ApiMisuse, CloseReason, Code, RpcError};
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;

/// A response of one message.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// What came, or goes, before the message.
    pub headers: Metadata,
    /// The message, as its codec has it.
    pub message: Bytes,
    /// What came, or goes, after it.
    pub trailers: Metadata,
}

impl Response {
    /// A response without metadata.
    #[must_use]
    pub fn new(message: impl Into<Bytes>) -> Self {
        Response { message: message.into(), ..Response::default() }
    }
}

impl From<Bytes> for Response {
    fn from(message: Bytes) -> Self {
        Response::new(message)
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message is larger than [`Limits::outbound_message`](connect_proto::call::Limits::outbound_message).
    #[error("message of {len} bytes exceeds limit {limit}")]
    TooLarge {
        /// Bytes of the message before compression.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The call takes no more messages, for this reason. A client's receiver has the verdict.
    #[error("call has ended")]
    Closed(CloseReason),
    /// The order of the caller's own calls does not allow it.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
}

/// For a handler, which may end by it. A client's receiver knows more: it has the server's verdict.
impl From<SendError> for RpcError {
    fn from(error: SendError) -> Self {
        let code = match error {
            SendError::TooLarge { .. } => Code::ResourceExhausted,
            SendError::Closed(reason) => reason.code().unwrap_or(Code::Canceled),
            SendError::Misuse(misuse) => return misuse.into(),
        };
        RpcError::new(code, error.to_string())
    }
}

impl SendError {
    /// What became of a message, or else the message itself, for which there is no room yet.
    fn from_core(sent: Result<(), call::SendError>) -> Result<Result<(), SendError>, Outbound> {
        Ok(match sent {
            Ok(()) => Ok(()),
            Err(call::SendError::Full(message)) => return Err(message),
            Err(call::SendError::TooLarge { len, limit }) => Err(SendError::TooLarge { len, limit }),
            Err(call::SendError::Closed(reason)) => Err(SendError::Closed(reason)),
            Err(call::SendError::Misuse(misuse)) => Err(misuse.into()),
        })
    }
}

/// Why a call could not even be begun: it lies with the caller, and nothing was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A full-duplex call on a channel over HTTP/1.1, which can only carry half duplex: the call would hang.
    #[error("full duplex needs HTTP/2")]
    FullDuplexOverHttp1,
    /// The message is larger than [`Limits::outbound_message`](connect_proto::call::Limits::outbound_message).
    #[error("message of {len} bytes exceeds limit {limit}")]
    TooLarge {
        /// Bytes of the message before compression.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The request itself, such as metadata of a name that the protocol uses.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
}

impl OpenError {
    /// The code of a call that fails by it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            OpenError::FullDuplexOverHttp1 => Code::Unimplemented,
            OpenError::TooLarge { .. } => Code::ResourceExhausted,
            OpenError::Misuse(_) => Code::InvalidArgument,
        }
    }
}

impl From<OpenError> for RpcError {
    fn from(error: OpenError) -> Self {
        RpcError::new(error.code(), error.to_string())
    }
}

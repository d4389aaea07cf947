//! The verdict of an RPC that failed.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

use super::{ApiMisuse, Code};

/// Why an RPC failed, as its peer or its handler says: data, not a fault of this library's caller.
///
/// One pointer wide, so that results stay small. Two errors are equal if they say the same, whoever says it.
#[derive(Clone)]
pub struct RpcError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    message: String,
    details: Vec<ErrorDetail>,
    metadata: HeaderMap,
    is_remote: bool,
}

impl PartialEq for RpcError {
    fn eq(&self, other: &RpcError) -> bool {
        self.code() == other.code()
            && self.message() == other.message()
            && self.details() == other.details()
            && self.metadata() == other.metadata()
    }
}

/// A machine-readable part of an [`RpcError`]: a serialized message and the name of its type.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct ErrorDetail {
    /// The fully qualified type name, such as `google.rpc.RetryInfo`, without a `type.googleapis.com/` prefix.
    pub type_name: String,
    /// The message in Protobuf's binary form.
    #[cfg_attr(feature = "arbitrary", arbitrary(with = crate::testing::arbitrary::bytes))]
    pub value: Bytes,
}

impl RpcError {
    /// An error with a code and a message for humans, which may be empty.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        RpcError(Box::new(Inner {
            code,
            message: message.into(),
            details: Vec::new(),
            metadata: HeaderMap::new(),
            is_remote: false,
        }))
    }

    /// The same error, as the peer's.
    pub(crate) fn remote(mut self) -> Self {
        self.0.is_remote = true;
        self
    }

    /// The same error with one more detail.
    #[must_use]
    pub fn with_detail(mut self, detail: ErrorDetail) -> Self {
        self.0.details.push(detail);
        self
    }

    /// The same error with this metadata in place of what it had.
    #[must_use]
    pub fn with_metadata(mut self, metadata: HeaderMap) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Whether the peer has said so: the error was in its response, or stands for the status of that. False for what this
    /// side found by itself (a deadline, a cancel, no connection or a lost one, a reset, a limit, a broken rule), and for an
    /// error that the application made.
    ///
    /// A server that calls another one may want to tell its own clients less of the errors that are remote.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.0.is_remote
    }

    /// The message for humans; empty if there is none.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The details in the order in which they were sent.
    #[must_use]
    pub fn details(&self) -> &[ErrorDetail] {
        &self.0.details
    }

    /// On a client: the response's trailers. On a server: trailers to send with the error.
    #[must_use]
    pub fn metadata(&self) -> &HeaderMap {
        &self.0.metadata
    }

    /// The metadata, to add to or to take from.
    pub fn metadata_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.metadata
    }
}

/// For a handler that ends by a mistake of its own.
impl From<ApiMisuse> for RpcError {
    fn from(misuse: ApiMisuse) -> Self {
        RpcError::new(Code::Internal, misuse.to_string())
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message().is_empty() {
            write!(f, "{}", self.code())
        } else {
            write!(f, "{}: {}", self.code(), self.message())
        }
    }
}

impl fmt::Debug for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcError")
            .field("code", &self.code())
            .field("message", &self.message())
            .field("details", &self.details())
            .field("metadata", self.metadata())
            .finish()
    }
}

impl std::error::Error for RpcError {}

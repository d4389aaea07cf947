//! What a peer can do wrong, one variant a rule.

use http::StatusCode;

use super::Code;

/// A rule that the peer broke.
///
/// [`code`](PeerMisbehaved::code) is what the RPC ends with on the side that noticed;
/// [`http_status`](PeerMisbehaved::http_status) what a server answers when no call exists yet, or a unary one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    // Envelopes and messages (Connect protocol reference, "Streaming RPCs").
    /// An envelope with flags that the protocol does not define.
    #[error("invalid envelope flags {0:#04x}")]
    InvalidEnvelopeFlags(u8),
    /// An end-of-stream message in a request.
    #[error("end-of-stream from a client")]
    EndStreamFromClient,
    /// A message flagged as compressed although the stream names no compression.
    #[error("compressed message under identity")]
    UnexpectedCompression,
    /// The body ended in the middle of an envelope.
    #[error("truncated envelope")]
    TruncatedEnvelope,
    /// A message larger than the limit, as its prefix, its content-length or its growth shows.
    #[error("message of {len} bytes exceeds limit {limit}")]
    MessageTooLarge {
        /// Bytes announced; where nothing was announced, the first length that is too much.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A compressed message that grows beyond the limit.
    #[error("message exceeds limit {limit} when decompressed")]
    DecompressedTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Compressed data that does not decompress.
    #[error("corrupt compressed data")]
    CorruptCompression,
    /// A message that its codec cannot read: found by the application, for a call's `reject`.
    #[error("malformed message")]
    MalformedMessage,
    /// A stream that ended without its end-of-stream message.
    #[error("missing end-of-stream")]
    MissingEndStream,
    /// An end-of-stream message that is not what the protocol says.
    #[error("malformed end-of-stream")]
    MalformedEndStream,
    /// An end-of-stream message over the limit.
    #[error("end-of-stream exceeds limit {limit}")]
    EndStreamTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Bytes after the end-of-stream message.
    #[error("data after end-of-stream")]
    DataAfterEndStream,
    /// No message where exactly one belongs.
    #[error("message missing")]
    NoMessage,
    /// Several messages where exactly one belongs.
    #[error("more than one message")]
    SeveralMessages,

    // Heads of Connect requests and responses.
    /// A response whose content type is not of the protocol.
    #[error("unexpected response content type")]
    UnexpectedContentType,
    /// A response in another codec than the request's.
    #[error("response in another codec")]
    WrongCodec,
    /// A response in a compression that is not known here.
    #[error("unknown response encoding")]
    UnknownResponseEncoding,
    /// A request in a compression that is not known here.
    #[error("unknown request encoding")]
    UnknownRequestEncoding,
    /// A request of an unknown version of the protocol.
    #[error("unsupported protocol version")]
    UnsupportedProtocolVersion,
    /// A timeout that is not a number of at most ten digits.
    #[error("malformed timeout")]
    MalformedTimeout,
    /// Metadata whose name ends in `-bin` and whose value is not base64.
    #[error("malformed binary metadata")]
    MalformedBinaryMetadata,
    /// A GET whose query is not what the protocol says.
    #[error("malformed query: {0}")]
    MalformedQuery(&'static str),

    // HTTP/1.1 (RFC 9112).
    /// A head that is no HTTP message.
    #[error("malformed HTTP head")]
    MalformedHead,
    /// A version of HTTP that is neither 1.0 nor 1.1.
    #[error("unsupported HTTP version")]
    UnsupportedHttpVersion,
    /// A head larger than the limit.
    #[error("HTTP head exceeds limit {limit}")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// More header fields than the limit.
    #[error("more than {limit} header fields")]
    TooManyHeaders {
        /// The limit in fields.
        limit: u64,
    },
    /// A request line longer than the limit.
    #[error("request line exceeds limit {limit}")]
    RequestLineTooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// More interim (1xx) responses than the limit.
    #[error("more than {limit} interim responses")]
    TooManyInterimResponses {
        /// The limit in responses.
        limit: u64,
    },
    /// A request without exactly one valid `host`.
    #[error("missing or invalid host")]
    InvalidHost,
    /// Both content-length and transfer-encoding: how smuggling begins.
    #[error("content-length with transfer-encoding")]
    ConflictingFraming,
    /// A content-length that is malformed or differs from another one.
    #[error("invalid content-length")]
    InvalidContentLength,
    /// A transfer coding other than a single `chunked`.
    #[error("unsupported transfer-encoding")]
    UnsupportedTransferEncoding,
    /// A transfer coding in HTTP/1.0, which knows none.
    #[error("transfer-encoding in HTTP/1.0")]
    TransferEncodingInHttp10,
    /// A request target that is neither a path, an absolute URI nor the `*` of OPTIONS; and any CONNECT.
    #[error("invalid request target")]
    InvalidTarget,
    /// An expectation other than `100-continue`.
    #[error("unsupported expectation")]
    UnsupportedExpectation,
    /// A change of protocol that nobody asked for.
    #[error("unexpected upgrade")]
    UnexpectedUpgrade,
    /// A chunk that breaks the grammar or whose size overflows.
    #[error("malformed chunk")]
    MalformedChunk,
    /// Chunk extensions over the limit.
    #[error("chunk extensions exceed limit {limit}")]
    ChunkExtensionsTooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// A trailer section that breaks the grammar.
    #[error("malformed trailers")]
    MalformedTrailer,
    /// Trailer fields over the limit.
    #[error("trailers exceed limit {limit}")]
    TrailersTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A head that did not arrive within the limit.
    #[error("HTTP head timed out")]
    HeadTimeout,
    /// Bytes that answer nothing: a response without a request.
    #[error("unsolicited bytes")]
    UnsolicitedBytes,
}

impl PeerMisbehaved {
    /// The code that the RPC ends with.
    #[must_use]
    pub const fn code(self) -> Code {
        use PeerMisbehaved as P;
        match self {
            P::MessageTooLarge { .. }
            | P::DecompressedTooLarge { .. }
            | P::EndStreamTooLarge { .. }
            | P::HeadTooLarge { .. }
            | P::TooManyHeaders { .. }
            | P::RequestLineTooLong { .. }
            | P::ChunkExtensionsTooLong { .. }
            | P::TrailersTooLarge { .. }
            | P::TooManyInterimResponses { .. } => Code::ResourceExhausted,
            P::NoMessage | P::SeveralMessages | P::UnknownRequestEncoding => Code::Unimplemented,
            P::UnexpectedContentType => Code::Unknown,
            P::MalformedMessage
            | P::UnsupportedProtocolVersion
            | P::MalformedTimeout
            | P::MalformedBinaryMetadata
            | P::MalformedQuery(_)
            | P::InvalidHost => Code::InvalidArgument,
            P::HeadTimeout => Code::DeadlineExceeded,
            _ => Code::Internal,
        }
    }

    /// The HTTP status that a server answers with where the answer is HTTP's alone: the fault is in the head, and
    /// no call exists. Faults inside a call are answered with the status of their [`code`](Self::code).
    #[must_use]
    pub const fn http_status(self) -> StatusCode {
        use PeerMisbehaved as P;
        match self {
            P::HeadTooLarge { .. } | P::TooManyHeaders { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            P::RequestLineTooLong { .. } => StatusCode::URI_TOO_LONG,
            P::UnsupportedTransferEncoding => StatusCode::NOT_IMPLEMENTED,
            P::UnsupportedHttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            P::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            P::UnsupportedExpectation => StatusCode::EXPECTATION_FAILED,
            P::MessageTooLarge { .. } | P::DecompressedTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

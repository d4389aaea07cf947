//! What a peer can do wrong, one variant a rule.

use http::StatusCode;

use super::{Code, ResetCode};

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
    /// A message that did not arrive within the limit.
    #[error("message timed out")]
    MessageTimeout,
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

    // HTTP/2 (RFC 9113). A malformed head is `MalformedHead`, one over the limit `HeadTooLarge` or `TooManyHeaders`.
    /// A response of HTTP/1.1 where HTTP/2 was begun without asking, by prior knowledge.
    #[error("the peer answered HTTP/1.1 to HTTP/2 by prior knowledge")]
    Http1Response,
    /// A connection that does not begin with the preface, or whose first frame is not SETTINGS (section 3.4).
    #[error("invalid HTTP/2 preface")]
    InvalidPreface,
    /// A frame larger than was announced, or whose length is not that of its type (sections 4.2 and 6).
    #[error("invalid length of a {0} frame")]
    InvalidFrameLength(&'static str),
    /// A frame on a stream where its type does not belong: on stream 0, off it, or on an id that is not a client's.
    #[error("{0} frame on an invalid stream")]
    InvalidFrameStream(&'static str),
    /// Padding as long as the frame or longer (section 6.1).
    #[error("invalid padding")]
    InvalidPadding,
    /// A setting whose value is not allowed (section 6.5.2).
    #[error("invalid value of setting {0:#x}")]
    InvalidSetting(u16),
    /// A window that was made larger than 2^31-1 bytes (section 6.9.1).
    #[error("flow-control window overflow")]
    WindowOverflow,
    /// A window update of 0 (section 6.9).
    #[error("window update of 0")]
    ZeroWindowUpdate,
    /// More data than the window has room for (section 6.9.1).
    #[error("flow-control window exceeded")]
    WindowExceeded,
    /// A frame inside of a field block that does not belong to it, or a CONTINUATION without one (section 6.10).
    #[error("interrupted field block")]
    InterruptedFieldBlock,
    /// A field block that HPACK forbids (section 4.3): the connection cannot go on.
    #[error("corrupt field block")]
    CorruptFieldBlock,
    /// A field block over the limit, compressed: it is not even decompressed.
    #[error("field block exceeds limit {limit}")]
    FieldBlockTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A field block in more pieces than the limit.
    #[error("field block in more than {limit} continuations")]
    TooManyContinuations {
        /// The limit in frames.
        limit: u64,
    },
    /// A stream id that is not higher than those before it (section 5.1.1).
    #[error("stream id out of order")]
    StreamIdOutOfOrder,
    /// A frame on a stream that nobody has opened (section 5.1).
    #[error("frame on an idle stream")]
    IdleStream,
    /// A frame on a stream that its sender has ended (section 5.1).
    #[error("frame on a closed stream")]
    StreamClosed,
    /// Data before the head of a message (section 8.1).
    #[error("data before the head")]
    DataBeforeHead,
    /// Fields in the middle of a body, or an interim response that ends the stream (section 8.1).
    #[error("misplaced fields")]
    MisplacedFields,
    /// A body that is not as long as its content-length (section 8.1.1).
    #[error("body differs from content-length")]
    ContentLengthMismatch,
    /// A PUSH_PROMISE, which was switched off (section 8.4).
    #[error("push was not enabled")]
    UnexpectedPush,
    /// A stream that depends on itself (RFC 7540, section 5.3.1).
    #[error("stream depends on itself")]
    SelfDependency,
    /// SETTINGS that were not acknowledged in time (section 6.5.3).
    #[error("settings not acknowledged in time")]
    SettingsTimeout,
    /// Too much of something that costs more to take than to send: the guard that stopped it.
    #[error("too many {0}")]
    Flood(&'static str),
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
            | P::TooManyInterimResponses { .. }
            | P::FieldBlockTooLarge { .. }
            | P::TooManyContinuations { .. }
            | P::Flood(_) => Code::ResourceExhausted,
            P::NoMessage | P::SeveralMessages | P::UnknownRequestEncoding => Code::Unimplemented,
            P::UnexpectedContentType => Code::Unknown,
            P::MalformedMessage
            | P::UnsupportedProtocolVersion
            | P::MalformedTimeout
            | P::MalformedBinaryMetadata
            | P::MalformedQuery(_)
            | P::InvalidHost => Code::InvalidArgument,
            P::HeadTimeout | P::MessageTimeout => Code::DeadlineExceeded,
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
            P::HeadTimeout | P::MessageTimeout => StatusCode::REQUEST_TIMEOUT,
            P::UnsupportedExpectation => StatusCode::EXPECTATION_FAILED,
            P::MessageTooLarge { .. } | P::DecompressedTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The HTTP/2 error code that RST_STREAM or GOAWAY tells it with (RFC 9113, section 7).
    #[must_use]
    pub const fn reset_code(self) -> ResetCode {
        use PeerMisbehaved as P;
        match self {
            P::InvalidFrameLength(_) => ResetCode::FRAME_SIZE_ERROR,
            P::WindowOverflow | P::WindowExceeded => ResetCode::FLOW_CONTROL_ERROR,
            // RFC 9113, section 6.5.2, for SETTINGS_INITIAL_WINDOW_SIZE.
            P::InvalidSetting(0x4) => ResetCode::FLOW_CONTROL_ERROR,
            P::CorruptFieldBlock => ResetCode::COMPRESSION_ERROR,
            P::StreamClosed => ResetCode::STREAM_CLOSED,
            P::SettingsTimeout => ResetCode::SETTINGS_TIMEOUT,
            P::Flood(_)
            | P::FieldBlockTooLarge { .. }
            | P::TooManyContinuations { .. }
            | P::TooManyInterimResponses { .. } => ResetCode::ENHANCE_YOUR_CALM,
            P::MessageTooLarge { .. }
            | P::DecompressedTooLarge { .. }
            | P::EndStreamTooLarge { .. }
            | P::MessageTimeout => ResetCode::CANCEL,
            _ => ResetCode::PROTOCOL_ERROR,
        }
    }
}

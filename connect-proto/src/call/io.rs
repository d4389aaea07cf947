//! What goes into and comes out of a call.

use bytes::Bytes;
use http::HeaderMap;

use crate::error::{CloseReason, LostKind, PeerMisbehaved, ResetCode, RpcError};
use crate::message::Inbound;
use crate::metadata::Metadata;
use crate::wire::envelope::PREFIX_LEN;

/// Whether the peer may have processed a call: is a retry safe?
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Processed {
    /// Certainly not: nothing of it reached the peer, or the peer said so.
    No,
    /// Nobody can tell.
    Unknown,
    /// The peer has answered, so it has at least begun.
    Yes,
}

/// What HTTP brings to a call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// Client only: the head of the final response. Interim (1xx) responses are not passed on.
    Head(Box<http::response::Parts>),
    /// Bytes of the body, without HTTP framing. Empty data is allowed and means nothing.
    Data(Bytes),
    /// The body is complete. Trailers, if HTTP carried any.
    End(Option<HeaderMap>),
    /// The peer broke a rule of HTTP, so that the rest of its message is lost.
    Misbehaved(PeerMisbehaved),
    /// The transport has written the call's last byte, which [`Transmit::End`] (or a head without a body) marked.
    EndSent,
    /// The peer reset this call alone.
    Reset {
        /// HTTP/2's error code.
        code: ResetCode,
        /// What the transport knows of the peer's progress.
        processed: Processed,
    },
    /// The connection is gone.
    Lost {
        /// How.
        kind: LostKind,
        /// What the transport knows of the peer's progress.
        processed: Processed,
    },
}

/// What a call asks of HTTP, in this order: a head, then data, then the end; a reset in place of whatever is left.
///
/// `H` is [`http::request::Parts`] on a client and [`http::response::Parts`] on a server.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Transmit<H> {
    /// The head. If the body is [`BodySize::Empty`], it is the end as well: no `Data` and no `End` follow.
    Head {
        /// Method, target and header fields, or status and header fields. No framing fields and no `host`.
        parts: Box<H>,
        /// What is known of the body's length.
        body: BodySize,
    },
    /// Body bytes, never empty.
    Data(Chunk),
    /// The body is complete. Connect carries no HTTP trailers, so they are `None` but for gRPC.
    End(Option<HeaderMap>),
    /// Forget what is left of the call in both directions. HTTP/1.1 closes the connection for that, unless both
    /// directions are complete.
    Reset(ResetCode),
    /// Server only, after the end: what the client still sends is of no use.
    StopReceiving,
}

/// What is known of a body's length when its head goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodySize {
    /// There is none: the head ends the stream.
    Empty,
    /// So many bytes.
    Exact(u64),
    /// Nothing is known.
    Unknown,
}

/// A piece of an outgoing body: an envelope's prefix kept inline, then a payload. Either may be empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chunk {
    prefix: [u8; PREFIX_LEN],
    prefix_len: u8,
    payload: Bytes,
}

impl Chunk {
    /// A chunk of an envelope's prefix and a payload.
    #[must_use]
    pub fn with_prefix(prefix: [u8; PREFIX_LEN], payload: Bytes) -> Self {
        Chunk { prefix, prefix_len: PREFIX_LEN as u8, payload }
    }

    pub(crate) fn new(prefix: Option<[u8; PREFIX_LEN]>, payload: Bytes) -> Self {
        match prefix {
            Some(prefix) => Chunk::with_prefix(prefix, payload),
            None => Chunk::from(payload),
        }
    }

    /// The inline prefix; empty or five bytes long.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        self.prefix.get(..usize::from(self.prefix_len)).unwrap_or_default()
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The payload alone; the prefix is dropped.
    #[must_use]
    pub fn into_payload(self) -> Bytes {
        self.payload
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.prefix_len) + self.payload.len()
    }

    /// Whether there are no bytes in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for Chunk {
    fn from(payload: Bytes) -> Self {
        Chunk { prefix: [0; PREFIX_LEN], prefix_len: 0, payload }
    }
}

/// What a call tells the application, in this order:
/// `Headers? Message* PeerHalfClosed? Finished? Closed`, with `Writable` anywhere before `Closed`.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Event {
    /// Client only: the response's head has come. Its fields, without those that `trailer-` marks as trailers.
    Headers(Metadata),
    /// A message.
    Message(Inbound),
    /// After a send was refused as full: there is room again.
    Writable,
    /// Server only: the client has sent its last message.
    PeerHalfClosed,
    /// The verdict. On a client: the response's trailers, or the error that ended the call. On a server: only when
    /// the verdict was not the handler's own, and then always an error: what the client was told or would have been.
    Finished(Result<Metadata, RpcError>),
    /// The end; nothing comes after it.
    Closed(Closed),
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    /// Why, and by [`CloseReason::initiator`] who caused it.
    pub reason: CloseReason,
    /// Bytes of messages and prefixes that were discarded after the application had closed, or after a server had
    /// answered.
    pub drained: u64,
    /// Whether the peer may have processed the call.
    pub processed: Processed,
}

//! What a connection tells of its streams.

use bytes::Bytes;
use http::HeaderMap;

use crate::call::{BodySize, Processed};
use crate::error::{LostKind, PeerMisbehaved, ResetCode};

/// Something that has happened on a stream. `H` is [`http::request::Parts`] on a server and [`http::response::Parts`] on
/// a client.
///
/// A stream shows `Head Data* End`, and anywhere among them, once its own message is written, `EndSent`. In place of
/// what is left: one of `Misbehaved`, `Reset` and `Lost`, and nothing after it; or nothing at all after a
/// [`reset`](super::Engine::reset) by the application.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Event<H> {
    /// The head of a request, which is the first event of its stream, or of a final response. Interim responses are
    /// skipped.
    Head {
        /// Method, target and fields, or status and fields.
        parts: Box<H>,
        /// What is known of the body. [`BodySize::Empty`]: the head ended the stream, and `End` follows at once.
        body: BodySize,
    },
    /// Bytes of the body; never empty. Where one piece ends and the next begins means nothing. They are to be given
    /// back by [`add_credit`](super::Engine::add_credit).
    Data(Bytes),
    /// The peer's message is complete. Trailers, if it carried any.
    End(Option<Box<HeaderMap>>),
    /// The last byte of this side's message is acknowledged.
    EndSent,
    /// The peer broke a rule on this stream, which is reset.
    Misbehaved(PeerMisbehaved),
    /// The peer reset the stream; or will not process it, as its GOAWAY says (that is REFUSED_STREAM and `No`).
    Reset {
        /// HTTP/2's error code.
        code: ResetCode,
        /// Whether the peer may have processed the request.
        processed: Processed,
    },
    /// The connection is gone, and the stream with it. [`LostKind::Failed`] also if the application's body was not what
    /// its head announced, or if the peer broke a rule of the connection, which [`fault`](super::Engine::fault) tells.
    Lost {
        /// How.
        kind: LostKind,
        /// Whether the peer may have processed the request. On a server: whether a response had begun.
        processed: Processed,
    },
}

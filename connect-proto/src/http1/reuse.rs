//! Why a connection is not reusable.

/// Why a connection can carry no further exchange (RFC 9112, section 9.3).
///
/// A connection is reusable unless one of these holds; the first one found stays. The machines decide it, nobody
/// else: `reuse` says what is known so far, and after an exchange it is the final word.
///
/// | reason | role | what happens to the connection |
/// |---|---|---|
/// | `ConnectionClose`, `Http10` | both | closed after the exchange |
/// | `ShutDown` | both | closed when idle, or after the exchange |
/// | `UntilClose` | client | the end of the response is the end of the connection |
/// | `RequestUnread` | server | FIN after the response, then linger |
/// | `RequestUnfinished`, `ResponseUnread` | client | closed at once by `abort` |
/// | `Aborted` | server | closed at once by `abort` |
/// | `BodyMismatch` | both | closed at once: the peer must not take the message for complete |
/// | `PeerMisbehaved`, `HeadTimeout` | server | answered, FIN, linger |
/// | `PeerMisbehaved`, `UnsolicitedBytes` | client | closed at once |
/// | `Idle` | server | closed at once |
/// | `PeerClosed`, `Lost`, `WriteStalled` | both | closed; a server first flushes a response that is complete |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum NotReusable {
    /// One of the sides said `connection: close`.
    #[error("connection: close")]
    ConnectionClose,
    /// The peer speaks HTTP/1.0, for which every exchange is the last one here.
    #[error("HTTP/1.0 peer")]
    Http10,
    /// The response has no length: it ends with the connection.
    #[error("response delimited by close")]
    UntilClose,
    /// The request was abandoned before its end.
    #[error("request unfinished")]
    RequestUnfinished,
    /// The request was answered, but not read to its end.
    #[error("request not read to its end")]
    RequestUnread,
    /// The response was not read to its end.
    #[error("response not read to its end")]
    ResponseUnread,
    /// The application gave the exchange up.
    #[error("aborted")]
    Aborted,
    /// The application's body had another length than its head announced.
    #[error("body of another length than announced")]
    BodyMismatch,
    /// The peer broke a rule of HTTP.
    #[error("peer misbehaved")]
    PeerMisbehaved,
    /// A request's head did not arrive in time.
    #[error("head timed out")]
    HeadTimeout,
    /// No request came in time.
    #[error("idle")]
    Idle,
    /// Bytes came that answer no request.
    #[error("unsolicited bytes")]
    UnsolicitedBytes,
    /// The peer ended its side.
    #[error("closed by the peer")]
    PeerClosed,
    /// The transport failed.
    #[error("transport lost")]
    Lost,
    /// The output did not move within the limit.
    #[error("write stalled")]
    WriteStalled,
    /// HTTP/2: the peer takes no further calls on it.
    #[error("peer going away")]
    GoingAway,
    /// This side is shutting down.
    #[error("shutting down")]
    ShutDown,
}

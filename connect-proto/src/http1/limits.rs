//! The limits of a connection.

use std::time::Duration;

/// What one HTTP/1.1 connection may cost. Sizes in bytes; a duration of `None` means without limit, 0 means 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct Limits {
    /// A head, from its first byte to the empty line that ends it. 64 KiB.
    pub max_head: usize,
    /// Header fields of a head. 100.
    pub max_headers: usize,
    /// The first line of a request, without its CRLF. 8 KiB.
    pub max_request_line: usize,
    /// Interim (1xx) responses to one request. 16.
    pub max_interim: usize,
    /// Chunk extensions of one body, all of them together. 16 KiB.
    pub max_chunk_extensions: usize,
    /// The trailer section of one body. Trailers are checked and skipped. 16 KiB.
    pub max_trailers: usize,
    /// Output that should be queued and unacknowledged at most: what `room` counts down from. 129 KiB: see the queue of
    /// [a call](crate::call::Limits::send_queue).
    pub max_output: usize,
    /// Server: from the first byte of a request's head to its end. 30 s. A client ignores it, since a call's
    /// deadline covers the wait for a response.
    pub head_timeout: Option<Duration>,
    /// Server: how long to wait for the first byte of a request, also the first one of a connection. 60 s. A client
    /// ignores it, since a pool knows which connections to keep.
    pub idle_timeout: Option<Duration>,
    /// How long output may wait without a byte of it being acknowledged. 30 s.
    pub write_stall: Option<Duration>,
    /// Server: how long an idle connection still waits for a request that is on its way, when this side shuts down. That is
    /// then its last one. 1 s.
    pub shutdown_notice: Duration,
    /// Server: how long to read on after the FIN, so that a response is not lost to a TCP reset. 2 s.
    pub linger: Duration,
    /// Server: how many bytes to discard after the FIN. 1 MiB.
    pub linger_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_head: 64 << 10,
            max_headers: 100,
            max_request_line: 8 << 10,
            max_interim: 16,
            max_chunk_extensions: 16 << 10,
            max_trailers: 16 << 10,
            max_output: 129 << 10,
            head_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(60)),
            write_stall: Some(Duration::from_secs(30)),
            shutdown_notice: Duration::from_secs(1),
            linger: Duration::from_secs(2),
            linger_bytes: 1 << 20,
        }
    }
}

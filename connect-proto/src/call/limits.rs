//! The limits of a call.

use std::time::Duration;

/// What one call may cost. `None` means unlimited, 0 means 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a received message after decompression. 4 MiB.
    pub message: Option<usize>,
    /// Bytes of a received compressed message as it travels. 4 MiB and 4 KiB, since compression may add a little.
    pub compressed_message: Option<usize>,
    /// Bytes of a message to send, before compression. Unlimited.
    pub outbound_message: Option<usize>,
    /// Bytes of an end-of-stream message, compressed and decompressed. 256 KiB.
    pub end_stream: usize,
    /// Bytes of a unary error's JSON, compressed and decompressed. 256 KiB.
    pub error_body: usize,
    /// Bytes of messages that wait to be sent before `send` refuses. A message of any size is accepted while none
    /// waits. 129 KiB: two messages of 64 KiB with what stands before them.
    pub send_queue: usize,
    /// How long and how much to drain over HTTP/1.1, where that saves the connection. 30 s and 1 MiB.
    pub drain_http1: DrainBudget,
    /// How long and how much to drain over HTTP/2, where that only waits for trailers. 1 s and 64 KiB.
    pub drain_http2: DrainBudget,
    /// How long HTTP's end, or this side's own, may lag behind the verdict. 5 s.
    pub end_time: Duration,
    /// How long a server waits for its transport to take some more of an answer that is decided. 60 s.
    pub write_stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message: Some(4 << 20),
            compressed_message: Some((4 << 20) + (4 << 10)),
            outbound_message: None,
            end_stream: 256 << 10,
            error_body: 256 << 10,
            send_queue: 129 << 10,
            drain_http1: DrainBudget { time: Duration::from_secs(30), bytes: 1 << 20 },
            drain_http2: DrainBudget { time: Duration::from_secs(1), bytes: 64 << 10 },
            end_time: Duration::from_secs(5),
            write_stall: Duration::from_secs(60),
        }
    }
}

/// What may be spent on waiting for the peer's end after the application has lost interest. Zero in either means
/// to abort at once, if the peer's end is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct DrainBudget {
    /// Time from `close` (client) or from the answer (server).
    pub time: Duration,
    /// Bytes of messages and their prefixes; HTTP's framing and the end-of-stream message do not count.
    pub bytes: u64,
}

//! What an HTTP/2 connection may cost, and how long its peer may take.

use std::time::Duration;

use super::guard::Guards;

/// The limits of one connection. `None` means that there is no limit, 0 means 0.
///
/// Together they bound the memory of a connection: what the peer may have sent and the application has not consumed is
/// at most [`client_connection_window`](Self::client_connection_window) or
/// [`server_connection_window`](Self::server_connection_window), what waits to be written at most about
/// [`max_output`](Self::max_output), heads at most [`max_header_list`](Self::max_header_list) for each of
/// [`max_unreleased_streams`](Self::max_unreleased_streams). The calls of this crate consume a message that is not complete as
/// it arrives, so each of them may hold one more, up to the limit of [its own](crate::call::Limits).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Server: streams that a client may have open at once, as SETTINGS announce. A stream beyond is refused. 250.
    pub max_concurrent_streams: u32,
    /// Server: streams that the application has not released, also those that the client has reset. A stream beyond is
    /// refused: resetting streams does not make room for more handlers (CVE-2023-44487, CVE-2025-8671). 500.
    pub max_unreleased_streams: usize,
    /// Bytes of a body that a peer may send and the application has not consumed. At least 1, at most 2^31-1. 256 KiB.
    pub initial_stream_window: u32,
    /// Client: the same for all bodies of the connection together. At least 65,535, at most 2^31-1. 16 MiB.
    ///
    /// What is unread of one body is missing to all others: once as much as this is unread, on 64 streams with their windows
    /// full, nothing comes in on any stream. So messages are to be read, and calls of which nobody reads the messages to be
    /// closed. A client has few connections and may have many calls on each of them, so its window is the larger one.
    pub client_connection_window: u32,
    /// Server: likewise, for 16 streams with their windows full. 4 MiB.
    pub server_connection_window: u32,
    /// The largest frame that is accepted, between 16 KiB and 16 MiB. A frame has to be in the read buffer as a whole.
    /// 16 KiB.
    pub max_frame_size: u32,
    /// A head or trailers: names and values and 32 bytes for each field, decompressed; and the same for the block that
    /// is not decompressed yet. 64 KiB.
    pub max_header_list: u32,
    /// Fields of a head or of trailers. 100.
    pub max_headers: usize,
    /// Frames that a field block may come in, beside the first (CVE-2024-27316). 16.
    pub max_continuations: usize,
    /// Client: interim (1xx) responses to one request. 16.
    pub max_interim: usize,
    /// The dynamic table that the peer may use. 4 KiB.
    pub header_table: u32,
    /// The dynamic table that is used towards a peer that allows it. 4 KiB.
    pub encoder_table: u32,
    /// Output that should be queued and unacknowledged at most: what `room` counts down from. 64 KiB.
    pub max_output: usize,
    /// Frames that answer the peer's own (acknowledgements, resets, window updates) and that it has not read. With more than these
    /// waiting, nothing is read until it reads (CVE-2019-9512, 9514, 9515). 256.
    pub max_unwritten_replies: usize,
    /// Pings that notice a peer that is gone. None.
    pub keep_alive: Option<KeepAlive>,
    /// How long output may wait without a byte of it being acknowledged (CVE-2019-9517). 30 s.
    pub write_stall: Option<Duration>,
    /// How long a peer may take to acknowledge settings. 30 s.
    pub settings_ack: Option<Duration>,
    /// From the first to the last byte of a field block; on a server also of the connection's preface. 30 s.
    pub head_timeout: Option<Duration>,
    /// Server: how long to keep a connection without streams. 5 min.
    pub idle_timeout: Option<Duration>,
    /// How long a shutdown waits for streams that are on their way before it names the last one it takes. 1 s.
    pub shutdown_notice: Duration,
    /// How long to read on after the last byte was written, so that it is not lost to a TCP reset. 1 s.
    pub linger: Duration,
    /// What a peer may do that costs more to take than to send.
    pub guards: Guards,
}

/// Pings that notice a peer that is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// A ping goes out when nothing was received for so long.
    pub interval: Duration,
    /// And the connection is lost when nothing is received for so long after it.
    pub timeout: Duration,
    /// Whether that is done without any stream, too.
    pub while_idle: bool,
}

impl KeepAlive {
    /// The same with twice the interval: for connections to a peer that has asked for calm.
    ///
    /// A connection whose peer sends GOAWAY with [`ENHANCE_YOUR_CALM`](crate::error::ResetCode::ENHANCE_YOUR_CALM) goes by
    /// this at once. So should later ones to that peer, and those double again after each that ends so too. It is what
    /// gRPC's clients do (proposal A8), since its servers take pings that come too often for abuse.
    #[must_use]
    pub fn backed_off(self) -> Self {
        KeepAlive { interval: self.interval.saturating_mul(2), ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_concurrent_streams: 250,
            max_unreleased_streams: 500,
            initial_stream_window: 256 << 10,
            client_connection_window: 16 << 20,
            server_connection_window: 4 << 20,
            max_frame_size: 16 << 10,
            max_header_list: 64 << 10,
            max_headers: 100,
            max_continuations: 16,
            max_interim: 16,
            header_table: 4 << 10,
            encoder_table: 4 << 10,
            max_output: 64 << 10,
            max_unwritten_replies: 256,
            keep_alive: None,
            write_stall: Some(Duration::from_secs(30)),
            settings_ack: Some(Duration::from_secs(30)),
            head_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(300)),
            shutdown_notice: Duration::from_secs(1),
            linger: Duration::from_secs(1),
            guards: Guards::default(),
        }
    }
}

impl Limits {
    pub(super) fn stream_window(&self) -> u32 {
        self.initial_stream_window.clamp(1, super::flow::MAX_WINDOW)
    }

    pub(super) fn connection_window(&self, is_server: bool) -> u32 {
        let window = if is_server { self.server_connection_window } else { self.client_connection_window };
        window.clamp(super::flow::DEFAULT_WINDOW, super::flow::MAX_WINDOW)
    }

    pub(super) fn frame_size(&self) -> u32 {
        self.max_frame_size.clamp(16 << 10, (1 << 24) - 1)
    }
}

//! What a pool may hold, and what it has done.

use std::time::Duration;

/// What a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1: one call at a time.
    Http1,
    /// HTTP/2: many calls at once.
    Http2,
}

/// How a client's connections are made, kept and given up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// What is spoken where the connection itself does not decide it. HTTP/1.1.
    pub protocol: Protocol,
    /// Connections over HTTP/1.1 at once, those included that are being made or are closing. It is also how many calls
    /// get on at once. When a call waits for a place, the response that has been drained for longest after a close is
    /// aborted to make one. 256; 0 counts as 1.
    pub max_http1_connections: usize,
    /// Connections over HTTP/2 that calls are spread over. Another is made only when those there can carry no more.
    /// Those that only carry their last calls come on top. 1; 0 counts as 1.
    pub http2_connections: usize,
    /// How long making a connection may take. 10 s.
    pub connect_timeout: Duration,
    /// How long a connection without calls is kept; `None` for ever. 30 s: less than the 60 s that servers and proxies
    /// commonly allow, this crate's server over HTTP/1.1 among them, so that it is this side that gives a connection up. A
    /// request that meets the server's close fails, and only what certainly was not processed is made again.
    pub idle_timeout: Option<Duration>,
    /// The age at which a connection gets no more calls and ends with those that it has. No limit.
    pub max_age: Option<Duration>,
    /// Calls that may wait for a connection, also while it is made for them; one more is refused as resource exhausted.
    /// 1,000; 0 counts as 1.
    pub max_waiting: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            protocol: Protocol::Http1,
            max_http1_connections: 256,
            http2_connections: 1,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_secs(30)),
            max_age: None,
            max_waiting: 1000,
        }
    }
}

/// What a pool has done since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct PoolCounters {
    /// Calls that were made. What is more than the [closes](crate::Traffic::closes) of the channel is under way.
    pub calls: u64,
    /// Connections that it began to make.
    pub dials: u64,
    /// How many of those came to nothing, be it by the connect timeout.
    pub dial_failures: u64,
    /// Calls that were put on a connection which had carried one before.
    pub reuses: u64,
    /// Connections that were taken out while they could still be open: idle for too long, too old, suspected dead, or
    /// draining while a call waited for their place.
    pub evictions: u64,
}

//! What connections have carried, for a metrics library to read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use connect_proto::connection::CallClosed;
use connect_proto::error::CloseReason;

use crate::trace;

/// What the connections of a channel or a server have carried since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes that were read from sockets, HTTP's own included; under TLS after decryption.
    pub bytes_read: u64,
    /// Bytes that were written to sockets, HTTP's own included; under TLS before encryption.
    pub bytes_written: u64,
    /// Bytes of messages that were drained: after a close on a client, after the answer on a server.
    pub bytes_drained: u64,
    /// Calls that have ended, by the reason.
    pub closes: Closes,
}

/// Calls that have ended, by the reason: see [`CloseReason`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of the reasons")]
pub struct Closes {
    pub unsent: u64,
    pub complete: u64,
    pub drained: u64,
    pub deadline: u64,
    pub drain_timed_out: u64,
    pub drain_too_large: u64,
    pub peer_reset: u64,
    pub peer_misbehaved: u64,
    pub transport_lost: u64,
    pub aborted: u64,
    pub write_stalled: u64,
    /// For reasons that there may be later.
    pub other: u64,
}

impl Closes {
    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Closes { unsent, complete, drained, deadline, drain_timed_out, drain_too_large, .. } = self;
        let Closes { peer_reset, peer_misbehaved, transport_lost, aborted, write_stalled, other, .. } = self;
        unsent
            + complete
            + drained
            + deadline
            + drain_timed_out
            + drain_too_large
            + (peer_reset + peer_misbehaved + transport_lost + aborted + write_stalled + other)
    }

    fn of(&mut self, reason: CloseReason) -> &mut u64 {
        match reason {
            CloseReason::Unsent => &mut self.unsent,
            CloseReason::Complete => &mut self.complete,
            CloseReason::Drained => &mut self.drained,
            CloseReason::Deadline => &mut self.deadline,
            CloseReason::DrainTimedOut => &mut self.drain_timed_out,
            CloseReason::DrainTooLarge => &mut self.drain_too_large,
            CloseReason::PeerReset(_) => &mut self.peer_reset,
            CloseReason::PeerMisbehaved(_) => &mut self.peer_misbehaved,
            CloseReason::TransportLost(_) => &mut self.transport_lost,
            CloseReason::Aborted(_) => &mut self.aborted,
            CloseReason::WriteStalled => &mut self.write_stalled,
            _ => &mut self.other,
        }
    }
}

/// Counts the traffic of all connections of a channel or a server.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    ends: Mutex<Ends>,
}

#[derive(Debug, Default)]
struct Ends {
    bytes_drained: u64,
    closes: Closes,
}

impl Meter {
    pub(crate) fn read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, closed: &CallClosed) {
        trace::call_closed(closed);
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.bytes_drained += closed.drained;
        *ends.closes.of(closed.reason) += 1;
    }

    pub(crate) fn traffic(&self) -> Traffic {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        Traffic {
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            bytes_drained: ends.bytes_drained,
            closes: ends.closes,
        }
    }
}

//! What both machines have: output, events, and what is known of the connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::NotReusable;
use super::body::{Decoded, Decoder};
use super::copy::Copier;
use super::encode::{Mismatch, Sender};
use super::events::Pending;
use super::framing::Framing;
use super::head::Kept;
use super::limits::Limits;
use super::output::Output;
use super::scan::{FoundHead, HeadBounds, HeadScan};
use crate::Instant;
use crate::call::Chunk;
use crate::error::{LostKind, PeerMisbehaved};
use crate::time::Clock;

/// What a driver is asked to do with the transport. Each is told once, `Write` never after `Close`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Shutdown {
    /// Shut down the writing side (send a FIN) and go on reading.
    Write,
    /// Close the transport.
    Close,
}

/// How an exchange that is complete leaves the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// It goes on.
    Reuse,
    /// It ends with a FIN, and what the peer still sends is discarded for a while.
    Linger,
    /// It ends at once: nothing of the peer's can be under way.
    Close,
}

#[derive(Debug)]
pub(super) struct Link<H> {
    pub(super) limits: Arc<Limits>,
    clock: Clock,
    pub(super) output: Output,
    pub(super) sender: Sender,
    /// When unmoved output is given up.
    stall: Option<Instant>,
    pub(super) events: Pending<H>,
    pub(super) scan: HeadScan,
    pub(super) kept: Kept,
    pub(super) decoder: Decoder,
    pub(super) copier: Copier,
    /// Why the connection is not reusable.
    pub(super) unusable: Option<NotReusable>,
    pub(super) fault: Option<PeerMisbehaved>,
    /// How the input ended, if it has. It counts once the buffer is used up.
    pub(super) input_over: Option<LostKind>,
    /// Bytes that the last `handle_read` left in the buffer.
    pub(super) left: usize,
    told: Option<Shutdown>,
}

impl<H> Link<H> {
    pub(super) fn new(now: Instant, limits: Arc<Limits>) -> Self {
        Link {
            limits,
            clock: Clock::new(now),
            output: Output::default(),
            sender: Sender::Nothing,
            stall: None,
            events: Pending::new(),
            scan: HeadScan::default(),
            kept: Kept::default(),
            decoder: Decoder::new(Framing::Exact(0)),
            copier: Copier::default(),
            unusable: None,
            fault: None,
            input_over: None,
            left: 0,
            told: None,
        }
    }

    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        self.clock.advance(now)
    }

    /// Notes that the connection is not reusable; the first reason stays.
    pub(super) fn spoil(&mut self, why: NotReusable) {
        self.unusable.get_or_insert(why);
    }

    pub(super) fn reuse(&self) -> Result<(), NotReusable> {
        self.unusable.map_or(Ok(()), Err)
    }

    pub(super) fn room(&self) -> usize {
        self.limits.max_output.saturating_sub(self.output.len())
    }

    /// Looks for the end of a head.
    pub(super) fn find_head(
        &mut self,
        buf: &[u8],
        first_line: usize,
    ) -> Result<Option<FoundHead>, PeerMisbehaved> {
        let limits = &self.limits;
        let bounds = HeadBounds { head: limits.max_head, headers: limits.max_headers, first_line };
        self.scan.find(buf, bounds)
    }

    /// Takes a piece of a body.
    pub(super) fn decode(&mut self, buf: &mut BytesMut) -> Decoded {
        self.decoder.decode(buf, &mut self.copier, &self.limits)
    }

    pub(super) fn send_data(&mut self, chunk: Chunk) -> Result<(), Mismatch> {
        self.sender.data(&mut self.output, chunk)
    }

    pub(super) fn send_end(&mut self) -> Result<(), Mismatch> {
        self.sender.end(&mut self.output)
    }

    /// Takes an acknowledgement; says whether it was for anything.
    pub(super) fn written(&mut self, n: usize) -> bool {
        let moved = self.output.acknowledge(n) > 0;
        if moved {
            self.stall = None;
        }
        moved
    }

    /// Starts the clock for output that waits, and stops it if none does.
    pub(super) fn watch_output(&mut self, now: Instant) {
        if self.output.is_empty() {
            self.stall = None;
        } else if self.stall.is_none() {
            self.stall = after(now, self.limits.write_stall);
        }
    }

    pub(super) fn drop_output(&mut self) {
        self.output.clear();
        self.sender = Sender::Nothing;
        self.stall = None;
    }

    pub(super) fn stall(&self) -> Option<Instant> {
        self.stall
    }

    /// What of `wanted` was not told yet.
    pub(super) fn tell(&mut self, wanted: Option<Shutdown>) -> Option<Shutdown> {
        let wanted = wanted.filter(|wanted| self.told != Some(*wanted))?;
        self.told.replace(wanted);
        Some(wanted)
    }
}

/// `now` and a limit later, if there is a limit.
pub(super) fn after(now: Instant, limit: Option<Duration>) -> Option<Instant> {
    limit.map(|limit| now.saturating_add(limit))
}

//! One direction of an in-memory transport.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::BytesMut;

use crate::error::LostKind;

/// One direction of an in-memory transport, with faults.
///
/// As it is made, it takes everything at once and delivers it in one piece.
#[derive(Debug)]
pub struct Wire {
    in_flight: VecDeque<u8>,
    /// Everything that was ever written.
    log: Vec<u8>,
    capacity: usize,
    /// How many more bytes it takes; `None` is no limit.
    allowance: Option<usize>,
    pieces: Vec<usize>,
    next_piece: usize,
    stalled: bool,
    /// The length at which the rest is lost.
    truncate_at: Option<usize>,
    /// How it ends once what is in flight was delivered.
    end: Option<LostKind>,
    end_told: bool,
}

/// What a read from a [`Wire`] brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Read {
    Bytes,
    Nothing,
    /// [`LostKind::Eof`] is a clean end.
    End(LostKind),
}

impl Wire {
    /// A wire without faults.
    #[must_use]
    pub fn new() -> Self {
        Wire {
            in_flight: VecDeque::new(),
            log: Vec::new(),
            capacity: usize::MAX,
            allowance: None,
            pieces: Vec::new(),
            next_piece: 0,
            stalled: false,
            truncate_at: None,
            end: None,
            end_told: false,
        }
    }

    /// Cuts what is delivered from now on into pieces of these sizes, again and again. None, or a size of 0, means
    /// whole.
    pub fn cut(&mut self, pieces: &[usize]) {
        self.pieces = pieces.to_vec();
        self.next_piece = 0;
    }

    /// Takes no more than this many bytes in flight, as a socket's buffer does.
    pub fn set_capacity(&mut self, bytes: usize) {
        self.capacity = bytes;
    }

    /// Takes so many bytes more, then none: a peer that stops reading.
    pub fn allow(&mut self, bytes: usize) {
        self.allowance = Some(bytes);
    }

    /// Takes bytes without limit again.
    pub fn unblock(&mut self) {
        self.allowance = None;
    }

    /// Delivers nothing until [`resume`](Self::resume).
    pub fn stall(&mut self) {
        self.stalled = true;
    }

    /// Delivers again.
    pub fn resume(&mut self) {
        self.stalled = false;
    }

    /// Ends it cleanly after what is in flight: the reader sees the end of input.
    pub fn half_close(&mut self) {
        self.end.get_or_insert(LostKind::Eof);
    }

    /// Loses what is in flight; reader and writer see a failure.
    pub fn reset(&mut self) {
        self.fail(LostKind::Reset);
    }

    /// As [`reset`](Self::reset), with a failure of another kind.
    pub fn fail(&mut self, kind: LostKind) {
        self.in_flight.clear();
        self.end = Some(kind);
        self.end_told = false;
    }

    /// Lets so many bytes through, counted from the very first one, and ends cleanly there, whatever is written.
    pub fn truncate(&mut self, len: usize) {
        self.truncate_at = Some(len);
        let excess = self.log.len().saturating_sub(len).min(self.in_flight.len());
        self.in_flight.truncate(self.in_flight.len() - excess);
        if self.log.len() >= len {
            self.half_close();
        }
    }

    /// Writes bytes as if the peer had.
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = self.truncate_at.map_or(usize::MAX, |len| len.saturating_sub(self.log.len()));
        self.log.extend_from_slice(bytes);
        if self.end.is_none() {
            self.in_flight.extend(bytes.iter().take(room));
        }
        if bytes.len() >= room {
            self.half_close();
        }
    }

    /// Everything that was ever written to it.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.log
    }

    /// Bytes that were written and not delivered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether it has been ended by [`half_close`](Self::half_close) or a failure.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Takes what it has room for, and says how much that was.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, LostKind> {
        if let Some(kind) = self.end {
            // The peer of a cleanly closed socket answers with a reset; of a truncation it takes no notice.
            return match self.truncate_at {
                Some(_) if kind == LostKind::Eof => Ok(slices.iter().map(|slice| slice.len()).sum()),
                _ => Err(kind),
            };
        }
        let mut room =
            self.capacity.saturating_sub(self.in_flight.len()).min(self.allowance.unwrap_or(usize::MAX));
        let mut taken = 0;
        for slice in slices {
            let (part, _) = slice.split_at(slice.len().min(room));
            self.feed(part);
            room -= part.len();
            taken += part.len();
        }
        self.allowance = self.allowance.map(|allowance| allowance - taken);
        Ok(taken)
    }

    /// Delivers the next piece.
    pub(super) fn read(&mut self, into: &mut BytesMut) -> Read {
        if self.stalled {
            return Read::Nothing;
        }
        if self.in_flight.is_empty() {
            return match self.end {
                Some(kind) if !self.end_told => {
                    self.end_told = true;
                    Read::End(kind)
                }
                _ => Read::Nothing,
            };
        }
        let piece =
            self.pieces.get(self.next_piece).copied().filter(|&piece| piece > 0).unwrap_or(usize::MAX);
        self.next_piece = (self.next_piece + 1) % self.pieces.len().max(1);
        into.extend(self.in_flight.drain(..piece.min(self.in_flight.len())));
        Read::Bytes
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

//! What waits to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Payloads up to this many bytes are copied next to the framing, so that a small message is one slice.
const COPY_AT_MOST: usize = 1 << 10;
/// Acknowledged bytes at the front of the staging buffer are dropped from this many on.
const COMPACT_FROM: usize = 4 << 10;
/// What an idle connection keeps of its staging buffer, and of its queue in pieces.
const IDLE_STAGED: usize = 1 << 10;
const IDLE_PIECES: usize = 8;

/// Level-triggered output: it shows the same bytes until they are acknowledged.
///
/// Heads, chunk framing and small payloads stand in one staging buffer, large payloads travel as they are.
#[derive(Debug, Default)]
pub(super) struct Output {
    staged: Vec<u8>,
    /// Bytes at the front of `staged` that are acknowledged.
    start: usize,
    pieces: VecDeque<Piece>,
    /// Unacknowledged bytes.
    len: usize,
}

#[derive(Debug)]
enum Piece {
    /// So many of the next staged bytes.
    Staged(usize),
    Shared(Bytes),
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queues what `write` appends to the buffer.
    pub(super) fn stage(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.start >= COMPACT_FROM && self.start >= self.staged.len() / 2 {
            self.staged.drain(..self.start);
            self.start = 0;
        }
        let before = self.staged.len();
        write(&mut self.staged);
        let added = self.staged.len().saturating_sub(before);
        if added == 0 {
            return;
        }
        self.len += added;
        match self.pieces.back_mut() {
            Some(Piece::Staged(len)) => *len += added,
            _ => self.pieces.push_back(Piece::Staged(added)),
        }
    }

    /// Queues a payload: copied if small, as it is otherwise.
    pub(super) fn payload(&mut self, payload: Bytes) {
        if payload.len() <= COPY_AT_MOST {
            self.stage(|staged| staged.extend_from_slice(&payload));
        } else {
            self.len += payload.len();
            self.pieces.push_back(Piece::Shared(payload));
        }
    }

    /// Fills `slices` from the front and says how many it filled. Never an empty slice.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut staged = self.staged.get(self.start..).unwrap_or_default();
        let mut filled = 0;
        for (slot, piece) in slices.iter_mut().zip(&self.pieces) {
            *slot = IoSlice::new(match piece {
                Piece::Staged(len) => {
                    let (piece, rest) = staged.split_at_checked(*len).unwrap_or((staged, &[]));
                    staged = rest;
                    piece
                }
                Piece::Shared(bytes) => bytes,
            });
            filled += 1;
        }
        filled
    }

    /// Drops `n` bytes from the front, or all if there are fewer, and says how many those were.
    pub(super) fn acknowledge(&mut self, n: usize) -> usize {
        let n = n.min(self.len);
        let mut left = n;
        while let Some(piece) = self.pieces.front_mut() {
            let taken = match piece {
                Piece::Staged(len) => {
                    let taken = left.min(*len);
                    *len -= taken;
                    self.start += taken;
                    (taken, *len == 0)
                }
                Piece::Shared(bytes) => {
                    let taken = left.min(bytes.len());
                    bytes::Buf::advance(bytes, taken);
                    (taken, bytes.is_empty())
                }
            };
            left -= taken.0;
            if !taken.1 {
                break;
            }
            self.pieces.pop_front();
        }
        self.len -= n;
        if self.len == 0 {
            self.staged.clear();
            self.start = 0;
        }
        n
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Output::default();
    }

    /// Gives back what an idle connection does not need.
    pub(super) fn trim(&mut self) {
        if self.staged.capacity() > IDLE_STAGED {
            self.staged.shrink_to(IDLE_STAGED);
        }
        if self.pieces.capacity() > IDLE_PIECES {
            self.pieces.shrink_to(IDLE_PIECES);
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.staged.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }
}

//! What waits to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use super::frame::{HEAD_LEN, Head, Kind, StreamId, flag};

/// Payloads up to this many bytes are copied next to the frames, so that small frames are one slice.
const COPY_AT_MOST: usize = 1 << 10;
/// DATA frames are filled up to this.
const FILL: usize = super::frame::DEFAULT_FRAME_SIZE as usize;
/// What an idle connection keeps of its staging buffer, and of its queues in pieces.
const IDLE_STAGED: usize = 2 << 10;
const IDLE_PIECES: usize = 8;

/// Where a frame begins: among all bytes of the connection, and among those that were staged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    at: u64,
    staged: u64,
}

#[derive(Debug)]
enum Piece {
    /// So many of the next staged bytes.
    Staged(usize),
    Shared(Bytes),
}

/// Level-triggered output: frames, shown until they are acknowledged. What was shown once stays as it is; what was not
/// may still be merged with what comes after it.
#[derive(Debug, Default)]
pub(super) struct Output {
    staged: BytesMut,
    pieces: VecDeque<Piece>,
    /// Unacknowledged bytes.
    len: usize,
    /// Acknowledged bytes since the beginning.
    written: u64,
    /// Staged bytes that were acknowledged.
    staged_written: u64,
    /// Bytes since the beginning that were shown.
    shown: u64,
    /// The DATA frame at the very end, if it is all staged, and the bytes in it.
    open: Option<(Mark, usize)>,
    /// Where the unacknowledged answers to the peer's own frames end.
    replies: VecDeque<u64>,
    /// The transport takes nothing any more.
    dead: bool,
}

impl Output {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Acknowledged bytes since the beginning.
    #[inline]
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes since the beginning, with those that wait.
    #[inline]
    pub(super) fn end(&self) -> u64 {
        self.written + self.len as u64
    }

    /// Answers to the peer's own frames that are not acknowledged.
    #[inline]
    pub(super) fn replies(&self) -> usize {
        self.replies.len()
    }

    #[inline]
    fn mark(&self) -> Mark {
        Mark { at: self.end(), staged: self.staged_written + self.staged.len() as u64 }
    }

    /// Queues a whole frame.
    pub(super) fn frame(&mut self, frame: &[u8]) {
        self.open = None;
        self.stage(|staged| staged.extend_from_slice(frame));
    }

    /// Queues a frame that answers one of the peer's.
    pub(super) fn reply(&mut self, frame: &[u8]) {
        self.frame(frame);
        self.replied();
    }

    /// What was queued last answers one of the peer's frames.
    pub(super) fn replied(&mut self) {
        if !self.dead {
            self.replies.push_back(self.end());
        }
    }

    /// Queues a field block that `write` appends to the buffer, as HEADERS and as many CONTINUATIONs as it takes.
    pub(super) fn headers(&mut self, id: StreamId, end: bool, write: impl FnOnce(&mut BytesMut)) -> Mark {
        self.open = None;
        let mark = self.mark();
        self.stage(|staged| {
            let at = staged.len();
            staged.extend_from_slice(&[0; HEAD_LEN]);
            write(staged);
            let len = staged.len() - at - HEAD_LEN;
            let end_stream = if end { flag::END_STREAM } else { 0 };
            let head = Head { len: len.min(FILL), kind: Kind::Headers, flags: end_stream, stream: Some(id) };
            let head =
                if len <= FILL { Head { flags: end_stream | flag::END_HEADERS, ..head } } else { head };
            if let Some(place) = staged.get_mut(at..at + HEAD_LEN) {
                place.copy_from_slice(&head.write());
            }
            if len > FILL {
                let rest = staged.split_off(at + HEAD_LEN + FILL);
                let pieces = rest.len().div_ceil(FILL);
                for (index, piece) in rest.chunks(FILL).enumerate() {
                    let flags = if index + 1 == pieces { flag::END_HEADERS } else { 0 };
                    let head = Head { len: piece.len(), kind: Kind::Continuation, flags, stream: Some(id) };
                    staged.extend_from_slice(&head.write());
                    staged.extend_from_slice(piece);
                }
            }
        });
        mark
    }

    /// Queues data of a stream: in the frame before it if that is the stream's and there is room, else in a new one.
    ///
    /// Not more than a frame holds, prefix and payload together.
    pub(super) fn data(&mut self, id: StreamId, last: Option<Mark>, prefix: &[u8], payload: Bytes) -> Mark {
        let len = prefix.len() + payload.len();
        if len <= COPY_AT_MOST
            && let Some((mark, held)) = self.open
            && last == Some(mark)
            && mark.at >= self.shown
            && held + len <= FILL
        {
            self.stage(|staged| {
                staged.extend_from_slice(prefix);
                staged.extend_from_slice(&payload);
            });
            let [_, a, b, c] = u32::try_from(held + len).unwrap_or_default().to_be_bytes();
            if let Some(place) = self.staged_at(mark, 3) {
                place.copy_from_slice(&[a, b, c]);
            }
            self.open = Some((mark, held + len));
            return mark;
        }
        let mark = self.mark();
        let head = Head { len, kind: Kind::Data, flags: 0, stream: Some(id) }.write();
        let copied = payload.len() <= COPY_AT_MOST;
        self.stage(|staged| {
            staged.extend_from_slice(&head);
            staged.extend_from_slice(prefix);
            if copied {
                staged.extend_from_slice(&payload);
            }
        });
        if !copied && !self.dead {
            self.len += payload.len();
            self.pieces.push_back(Piece::Shared(payload));
        }
        self.open = copied.then_some((mark, len));
        mark
    }

    /// Ends a stream with the last frame that it has queued, if that was not shown yet.
    pub(super) fn end_with(&mut self, last: Option<Mark>) -> bool {
        let Some(mark) = last.filter(|mark| mark.at >= self.shown) else { return false };
        let Some([.., flags]) = self.staged_at(mark, 5) else { return false };
        *flags |= flag::END_STREAM;
        if self.open.is_some_and(|(open, _)| open == mark) {
            self.open = None;
        }
        true
    }

    /// The first bytes of a staged frame.
    fn staged_at(&mut self, mark: Mark, len: usize) -> Option<&mut [u8]> {
        let at = usize::try_from(mark.staged.checked_sub(self.staged_written)?).ok()?;
        self.staged.get_mut(at..at + len)
    }

    fn stage(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.staged.len();
        write(&mut self.staged);
        if self.dead {
            self.staged.truncate(before);
            return;
        }
        let added = self.staged.len().saturating_sub(before);
        self.len += added;
        match self.pieces.back_mut() {
            Some(Piece::Staged(len)) => *len += added,
            _ => self.pieces.push_back(Piece::Staged(added)),
        }
    }

    /// Fills `slices` from the front and says how many it filled. Never an empty slice.
    pub(super) fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut staged = &*self.staged;
        let mut filled = 0;
        let mut shown = self.written;
        for (slot, piece) in slices.iter_mut().zip(&self.pieces) {
            let piece = match piece {
                Piece::Staged(len) => {
                    let (piece, rest) = staged.split_at_checked(*len).unwrap_or((staged, &[]));
                    staged = rest;
                    piece
                }
                Piece::Shared(bytes) => bytes,
            };
            shown += piece.len() as u64;
            *slot = IoSlice::new(piece);
            filled += 1;
        }
        self.shown = self.shown.max(shown);
        filled
    }

    /// Drops `n` bytes from the front, or all that were shown if those are fewer, and says how many it dropped.
    pub(super) fn acknowledge(&mut self, n: usize) -> usize {
        let shown = usize::try_from(self.shown.saturating_sub(self.written)).unwrap_or(self.len);
        let n = n.min(self.len).min(shown);
        let mut left = n;
        while let Some(piece) = self.pieces.front_mut() {
            let (taken, rest) = match piece {
                Piece::Staged(len) => {
                    let taken = left.min(*len);
                    *len -= taken;
                    self.staged.advance(taken.min(self.staged.len()));
                    self.staged_written += taken as u64;
                    (taken, *len)
                }
                Piece::Shared(bytes) => {
                    let taken = left.min(bytes.len());
                    bytes.advance(taken);
                    (taken, bytes.len())
                }
            };
            left -= taken;
            if rest > 0 {
                break;
            }
            self.pieces.pop_front();
        }
        self.len -= n;
        self.written += n as u64;
        while self.replies.front().is_some_and(|end| *end <= self.written) {
            self.replies.pop_front();
        }
        n
    }

    /// Forgets everything, and takes no more.
    pub(super) fn kill(&mut self) {
        *self = Output { written: self.end(), shown: self.end(), dead: true, ..Output::default() };
    }

    #[inline]
    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Gives back what an idle connection does not need.
    pub(super) fn trim(&mut self) {
        if !self.is_empty() {
            return;
        }
        if self.staged.capacity() > IDLE_STAGED {
            self.staged = BytesMut::new();
        }
        self.pieces.shrink_to(IDLE_PIECES);
        self.replies.shrink_to(IDLE_PIECES);
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.staged.capacity() + self.pieces.capacity() * size_of::<Piece>() + self.replies.capacity() * 8
    }
}

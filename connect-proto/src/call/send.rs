//! The sending half: a queue of messages that turns into chunks of a body.

use bytes::Bytes;

use crate::call::Chunk;
use crate::call::queue::Queue;
use crate::error::ResetCode;
use crate::wire::envelope::{Flags, PREFIX_LEN, Prefix};

/// Messages up to this size are copied together into one chunk; larger ones travel as they are.
const SMALL: usize = 1 << 10;
/// The largest chunk that small messages are copied into.
const MERGED: usize = 16 << 10;

/// Where the sending half is. All transitions are in [`SendState::step`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SendState {
    /// Messages may be sent.
    Open,
    /// The last message was sent; what is queued goes out, then the end.
    Finishing,
    /// The transport has been given the end.
    EndTaken,
    /// The transport has written the end.
    Done,
    /// A reset is to be taken.
    Resetting,
    /// Nothing goes out any more.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SendInput {
    Finish,
    EndTaken,
    EndSent,
    Reset,
    ResetTaken,
    Stop,
}

impl SendState {
    #[cfg(test)]
    pub(crate) const ALL: [SendState; 6] = [
        SendState::Open,
        SendState::Finishing,
        SendState::EndTaken,
        SendState::Done,
        SendState::Resetting,
        SendState::Stopped,
    ];

    /// The one place where the state of a sending half changes. What does not fit changes nothing.
    #[must_use]
    pub(crate) fn step(self, on: SendInput) -> SendState {
        use SendInput as On;
        use SendState as S;
        match (self, on) {
            (S::Open, On::Finish) => S::Finishing,
            (S::Finishing, On::EndTaken) => S::EndTaken,
            (S::EndTaken, On::EndSent) => S::Done,
            (S::Open | S::Finishing | S::EndTaken | S::Done, On::Reset) => S::Resetting,
            (S::Resetting, On::ResetTaken) => S::Stopped,
            (S::Open | S::Finishing | S::EndTaken, On::Stop) => S::Stopped,
            (state, _) => state,
        }
    }
}

#[cfg(test)]
impl SendInput {
    pub(crate) const ALL: [SendInput; 6] = [
        SendInput::Finish,
        SendInput::EndTaken,
        SendInput::EndSent,
        SendInput::Reset,
        SendInput::ResetTaken,
        SendInput::Stop,
    ];
}

/// One message, or what is left of it.
#[derive(Debug)]
struct Frame {
    prefix: Option<[u8; PREFIX_LEN]>,
    payload: Bytes,
}

impl Frame {
    fn len(&self) -> usize {
        self.payload.len() + if self.prefix.is_some() { PREFIX_LEN } else { 0 }
    }
}

#[derive(Debug)]
pub(crate) struct SendHalf {
    state: SendState,
    queue: Queue<Frame>,
    /// Whether the first frame of the queue has been taken in part.
    begun: bool,
    queued: usize,
    high_water: usize,
    /// Whether a message was refused, so that the application waits for room.
    starved: bool,
    reset: ResetCode,
}

impl SendHalf {
    pub(crate) fn new(high_water: usize) -> Self {
        SendHalf {
            state: SendState::Open,
            queue: Queue::new(),
            begun: false,
            queued: 0,
            high_water,
            starved: false,
            reset: ResetCode::NO_ERROR,
        }
    }

    pub(crate) fn state(&self) -> SendState {
        self.state
    }

    pub(crate) fn step(&mut self, on: SendInput) {
        self.state = self.state.step(on);
    }

    /// Bytes that wait, prefixes included.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether a message of `len` bytes is accepted now. If not, the application will be told when there is room.
    pub(crate) fn has_room(&mut self, len: usize) -> bool {
        let room = self.queue.is_empty() || self.queued.saturating_add(len) <= self.high_water;
        self.starved |= !room;
        room
    }

    /// Whether there is room again after a refusal. Says so once.
    pub(crate) fn take_relief(&mut self) -> bool {
        let relieved = self.starved && self.queued <= self.high_water / 2;
        self.starved &= !relieved;
        relieved
    }

    pub(crate) fn push_envelope(&mut self, flags: Flags, payload: Bytes) {
        // A payload of 4 GiB or more was refused before: its length does not fit a prefix.
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.push(Frame { prefix: Some(Prefix { flags, len }.write()), payload });
    }

    /// A body without envelopes.
    pub(crate) fn push_body(&mut self, payload: Bytes) {
        if !payload.is_empty() {
            self.push(Frame { prefix: None, payload });
        }
    }

    fn push(&mut self, frame: Frame) {
        self.queued += frame.len();
        self.queue.push(frame);
    }

    /// Forgets every message of which nothing has been taken.
    pub(crate) fn drop_not_begun(&mut self) {
        if self.begun {
            self.queue.keep_first();
        } else {
            self.queue.clear();
        }
        self.queued = self.queue.iter().map(Frame::len).sum();
        self.starved = false;
    }

    /// Forgets everything and asks for a reset.
    pub(crate) fn reset(&mut self, code: ResetCode) {
        self.clear();
        self.reset = code;
        self.step(SendInput::Reset);
    }

    /// Forgets everything: the peer or the transport has gone.
    pub(crate) fn stop(&mut self) {
        self.clear();
        self.step(SendInput::Stop);
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.begun = false;
        self.queued = 0;
        self.starved = false;
    }

    /// The reset that was asked for, once.
    pub(crate) fn poll_reset(&mut self) -> Option<ResetCode> {
        if self.state != SendState::Resetting {
            return None;
        }
        self.step(SendInput::ResetTaken);
        Some(self.reset)
    }

    /// The next piece of the body: about `max` bytes at the most, never empty. A prefix is never split.
    pub(crate) fn poll_chunk(&mut self, max: usize) -> Option<Chunk> {
        if max == 0 || self.queue.is_empty() {
            return None;
        }
        let chunk = match self.find_mergeable(max) {
            (0 | 1, _) => self.split_first(max)?,
            (count, len) => self.merge(count, len),
        };
        self.queued -= chunk.len();
        Some(chunk)
    }

    /// How many messages at the front of the queue are small and fit into one chunk together, and its length; nothing is
    /// to be merged with a message that is alone.
    fn find_mergeable(&self, max: usize) -> (usize, usize) {
        if self.queue.is_single() {
            return (1, 0);
        }
        let (mut count, mut len) = (0, 0);
        for frame in self.queue.iter() {
            let with_frame = len + frame.len();
            if frame.payload.len() > SMALL || with_frame > max.min(MERGED) {
                break;
            }
            (count, len) = (count + 1, with_frame);
        }
        (count, len)
    }

    fn merge(&mut self, count: usize, len: usize) -> Chunk {
        let mut merged = Vec::with_capacity(len);
        for frame in std::iter::from_fn(|| self.queue.pop()).take(count) {
            if let Some(prefix) = frame.prefix {
                merged.extend_from_slice(&prefix);
            }
            merged.extend_from_slice(&frame.payload);
        }
        self.begun = false;
        Chunk::from(Bytes::from(merged))
    }

    fn split_first(&mut self, max: usize) -> Option<Chunk> {
        let first = self.queue.first_mut()?;
        let room = max.saturating_sub(if first.prefix.is_some() { PREFIX_LEN } else { 0 });
        self.begun = first.payload.len() > room;
        let part = if self.begun {
            Frame { prefix: first.prefix.take(), payload: first.payload.split_to(room) }
        } else {
            self.queue.pop()?
        };
        Some(match part.prefix {
            Some(prefix) => Chunk::with_prefix(prefix, part.payload),
            None => Chunk::from(part.payload),
        })
    }
}

//! The sending half: a queue of messages that turns into chunks of a body.

use bytes::{Buf, Bytes, BytesMut};

use crate::call::Chunk;
use crate::call::queue::Queue;
use crate::error::ResetCode;
use crate::wire::envelope::{Flags, PREFIX_LEN, Prefix};

/// Messages up to this size are copied together if they wait together; larger ones travel as they are.
const SMALL: usize = 1 << 10;
/// How many bytes of small messages are copied together at most.
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

/// A part of the body that waits.
#[derive(Debug)]
enum Piece {
    /// One message, or what is left of it: then its prefix is gone.
    Message { prefix: Option<[u8; PREFIX_LEN]>, payload: Bytes },
    /// Small messages in their envelopes, each of them whole.
    Merged(BytesMut),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Message { prefix: Some(_), payload } => PREFIX_LEN + payload.len(),
            Piece::Message { prefix: None, payload } => payload.len(),
            Piece::Merged(envelopes) => envelopes.len(),
        }
    }

    /// Adds a small message that would come right after this piece; false if the two do not go together. `room` is for how
    /// much is likely to be merged.
    #[inline]
    fn merge(&mut self, prefix: [u8; PREFIX_LEN], payload: &[u8], room: usize) -> bool {
        let len = PREFIX_LEN + payload.len();
        match self {
            Piece::Merged(envelopes) if envelopes.len() + len <= MERGED => {
                if envelopes.capacity() - envelopes.len() < len {
                    envelopes.reserve(MERGED - envelopes.len());
                }
                put_envelope(envelopes, prefix, payload);
                true
            }
            Piece::Message { prefix: Some(first), payload: alone } if alone.len() <= SMALL => {
                let mut envelopes = BytesMut::with_capacity(room.max(PREFIX_LEN + alone.len() + len));
                put_envelope(&mut envelopes, *first, alone);
                put_envelope(&mut envelopes, prefix, payload);
                *self = Piece::Merged(envelopes);
                true
            }
            _ => false,
        }
    }
}

fn put_envelope(envelopes: &mut BytesMut, prefix: [u8; PREFIX_LEN], payload: &[u8]) {
    envelopes.extend_from_slice(&prefix);
    envelopes.extend_from_slice(payload);
}

/// How long those of the first envelopes are together that fit into `max` bytes.
fn whole_within(envelopes: &[u8], max: usize) -> usize {
    let mut whole = 0;
    while let Some(prefix) = envelopes.get(whole..).and_then(|rest| rest.first_chunk()) {
        let with_next = whole + PREFIX_LEN + Prefix::read(*prefix).len as usize;
        if with_next > max {
            break;
        }
        whole = with_next;
    }
    whole
}

#[derive(Debug)]
pub(crate) struct SendHalf {
    state: SendState,
    queue: Queue<Piece>,
    /// Whether the first piece of the queue is what is left of a message.
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

    #[inline]
    pub(crate) fn push_envelope(&mut self, flags: Flags, payload: Bytes) {
        // A payload of 4 GiB or more was refused before: its length does not fit a prefix.
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let prefix = Prefix { flags, len }.write();
        self.queued += PREFIX_LEN + payload.len();
        // Who has sent so much that it did not fit into one piece is likely to send as much again.
        let room = if self.queue.len() > 1 { MERGED } else { SMALL };
        let is_merged = payload.len() <= SMALL
            && self.queue.last_mut().is_some_and(|last| last.merge(prefix, &payload, room));
        if !is_merged {
            self.queue.push(Piece::Message { prefix: Some(prefix), payload });
        }
    }

    /// A body without envelopes.
    pub(crate) fn push_body(&mut self, payload: Bytes) {
        if !payload.is_empty() {
            self.queued += payload.len();
            self.queue.push(Piece::Message { prefix: None, payload });
        }
    }

    /// Forgets every message of which nothing has been taken.
    pub(crate) fn drop_not_begun(&mut self) {
        if self.begun {
            self.queue.keep_first();
        } else {
            self.queue.clear();
        }
        self.queued = self.queue.iter().map(Piece::len).sum();
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
        if max == 0 {
            return None;
        }
        if let Piece::Merged(envelopes) = self.queue.first_mut()?
            && envelopes.len() > max
        {
            let whole = whole_within(envelopes, max);
            if whole > 0 {
                self.queued -= whole;
                return Some(Chunk::from(envelopes.split_to(whole).freeze()));
            }
            self.unmerge_first();
        }
        let chunk = self.take_first(max)?;
        self.queued -= chunk.len();
        Some(chunk)
    }

    /// Makes a piece of its own of the first message of those that were merged at the front.
    fn unmerge_first(&mut self) {
        let Some(Piece::Merged(envelopes)) = self.queue.first_mut() else { return };
        let Some(&prefix) = envelopes.first_chunk() else { return };
        envelopes.advance(PREFIX_LEN);
        let payload = envelopes.split_to(Prefix::read(prefix).len as usize).freeze();
        if envelopes.is_empty() {
            self.queue.pop();
        }
        self.queue.push_front(Piece::Message { prefix: Some(prefix), payload });
    }

    /// The first piece, or as much of a message as `max` allows.
    fn take_first(&mut self, max: usize) -> Option<Chunk> {
        if let Piece::Message { prefix, payload } = self.queue.first_mut()? {
            let room = max.saturating_sub(if prefix.is_some() { PREFIX_LEN } else { 0 });
            if payload.len() > room {
                self.begun = true;
                return Some(Chunk::new(prefix.take(), payload.split_to(room)));
            }
        }
        self.begun = false;
        Some(match self.queue.pop()? {
            Piece::Message { prefix, payload } => Chunk::new(prefix, payload),
            Piece::Merged(envelopes) => Chunk::from(envelopes.freeze()),
        })
    }
}

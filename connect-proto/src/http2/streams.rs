//! The streams that an application knows of: a slab that shrinks again, with a way from ids to slots.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use bytes::Bytes;
use http::HeaderMap;

use super::flow::{RecvWindow, SendWindow};
use super::frame::StreamId;
use super::output::Mark;
use super::schedule::Turn;
use super::stream::{Cause, State};

/// Names a stream of one connection, from its first event or command until it is released. No two of them are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StreamKey {
    slot: u32,
    generation: u32,
}

impl StreamKey {
    /// Where the stream is among those that are not released.
    #[inline]
    pub(crate) fn slot(self) -> usize {
        self.slot as usize
    }
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// Given when the head goes out or comes in.
    pub(super) id: Option<StreamId>,
    pub(super) state: State,
    pub(super) send: SendWindow,
    pub(super) recv: RecvWindow,
    pub(super) turn: Turn,
    /// Whether it stands in the queue of those that wait for the connection's window.
    pub(super) in_waiting: bool,
    /// Its last frame in the output.
    pub(super) last_frame: Option<Mark>,
    /// Where in the output its head begins.
    pub(super) head_at: u64,
    /// What of a received body of announced length is still to come.
    pub(super) recv_left: Option<u64>,
    /// What of a sent body of announced length is still to come.
    pub(super) send_left: Option<u64>,
    /// What was sent beyond the windows.
    pub(super) backlog: VecDeque<Bytes>,
    /// The end, behind the backlog.
    pub(super) pending_end: Option<Option<Box<HeaderMap>>>,
    /// A reset that waits for the end to be written.
    pub(super) stop_after_end: bool,
    /// The application wants no more of the peer's message.
    pub(super) recv_muted: bool,
    /// The last event is queued.
    pub(super) over: bool,
    /// The application wants no more events.
    pub(super) silent: bool,
    /// Whether the final head was received, so that the peer has processed the request.
    pub(super) answered: bool,
    /// The end was queued and is not acknowledged.
    pub(super) end_unwritten: bool,
    /// A body is not to be expected: the request is a HEAD.
    pub(super) to_head: bool,
    /// Interim responses.
    pub(super) interim: u32,
}

impl Stream {
    pub(super) fn new(id: Option<StreamId>, send: SendWindow, recv: RecvWindow) -> Self {
        Stream {
            id,
            state: State::Idle,
            send,
            recv,
            turn: Turn::None,
            in_waiting: false,
            last_frame: None,
            head_at: u64::MAX,
            recv_left: None,
            send_left: None,
            backlog: VecDeque::new(),
            pending_end: None,
            stop_after_end: false,
            recv_muted: false,
            over: false,
            silent: false,
            answered: false,
            end_unwritten: false,
            to_head: false,
            interim: 0,
        }
    }
}

impl Stream {
    /// The window update to send, if the peer has more to send and it is worth one.
    pub(super) fn widen(&mut self) -> Option<(StreamId, u32)> {
        if !self.state.is_receiving() || self.recv_muted {
            return None;
        }
        Some((self.id?, self.recv.update()?))
    }
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    stream: Option<Stream>,
}

/// How many closed streams are remembered: what frames on them mean depends on how they were closed.
const REMEMBERED: usize = 128;
/// From how many slots on, and when how many of them are vacant, the slab is cut down.
const SHRINK_FROM: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ids: HashMap<StreamId, StreamKey, BuildHasherDefault<IdHasher>>,
    len: usize,
    next_generation: u32,
    closed: VecDeque<(StreamId, Cause)>,
}

impl Streams {
    /// Streams that are not released.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, stream: Stream) -> StreamKey {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let id = stream.id;
        let slot = Slot { generation, stream: Some(stream) };
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(vacant) = self.slots.get_mut(index as usize) {
                    *vacant = slot;
                }
                index
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.len += 1;
        let key = StreamKey { slot: index, generation };
        if let Some(id) = id {
            self.ids.insert(id, key);
        }
        key
    }

    /// Gives a stream its id.
    pub(super) fn assign(&mut self, key: StreamKey, id: StreamId) {
        if let Some(stream) = self.get_mut(key) {
            stream.id = Some(id);
            self.ids.insert(id, key);
        }
    }

    #[inline]
    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        let slot = self.slots.get(key.slot as usize)?;
        slot.stream.as_ref().filter(|_| slot.generation == key.generation)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        slot.stream.as_mut().filter(|_| slot.generation == key.generation)
    }

    #[inline]
    pub(super) fn find(&self, id: StreamId) -> Option<StreamKey> {
        self.ids.get(&id).copied()
    }

    /// Drops a stream, and remembers how it was closed.
    pub(super) fn remove(&mut self, key: StreamKey) {
        let Some(stream) = self.get(key) else { return };
        let (id, state) = (stream.id, stream.state);
        if let Some(slot) = self.slots.get_mut(key.slot as usize) {
            slot.stream = None;
        }
        self.len -= 1;
        self.free.push(key.slot);
        if let Some(id) = id {
            self.ids.remove(&id);
            if let State::Closed(cause) = state {
                self.remember(id, cause);
            }
        }
        self.shrink();
    }

    /// Remembers a stream that is closed.
    pub(super) fn remember(&mut self, id: StreamId, cause: Cause) {
        if self.closed.len() >= REMEMBERED {
            self.closed.pop_front();
        }
        self.closed.push_back((id, cause));
    }

    /// How a stream that is not there any more was closed, if that is remembered.
    pub(super) fn closed(&self, id: StreamId) -> Option<Cause> {
        self.closed.iter().rev().find(|(closed, _)| *closed == id).map(|(_, cause)| *cause)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamKey, &Stream)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((key(index, slot.generation), slot.stream.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (StreamKey, &mut Stream)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, slot)| Some((key(index, slot.generation), slot.stream.as_mut()?)))
    }

    /// Gives back the memory of a rush that is over.
    fn shrink(&mut self) {
        if self.slots.len() < SHRINK_FROM || self.len > self.slots.len() / 4 {
            return;
        }
        let used = self.slots.iter().rposition(|slot| slot.stream.is_some()).map_or(0, |last| last + 1);
        if used > self.slots.len() / 2 {
            return;
        }
        self.slots.truncate(used);
        self.slots.shrink_to(SHRINK_FROM / 2);
        self.free.retain(|index| (*index as usize) < used);
        self.free.shrink_to(SHRINK_FROM / 2);
        self.ids.shrink_to(SHRINK_FROM / 2);
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * 4
            + self.ids.capacity() * 16
            + self.closed.capacity() * 8
    }
}

fn key(index: usize, generation: u32) -> StreamKey {
    StreamKey { slot: u32::try_from(index).unwrap_or(u32::MAX), generation }
}

/// Spreads ids, which are mostly consecutive odd numbers. There are only as many as streams at once, so a peer that
/// chooses them to collide gains nothing.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: u32) -> Stream {
        let mut stream = Stream::new(StreamId::new(id), SendWindow::new(1), RecvWindow::new(1));
        stream.state = State::Closed(Cause::Ended);
        stream
    }

    #[test]
    fn a_key_of_a_released_stream_names_nothing() {
        let mut streams = Streams::default();
        let first = streams.insert(stream(1));
        streams.remove(first);
        let second = streams.insert(stream(3));
        assert_eq!(first.slot, second.slot);
        streams.remove(first);
        assert!(streams.get(first).is_none() && streams.len() == 1);
        assert_eq!(streams.find(StreamId::new(3).unwrap()), Some(second));
        assert_eq!(streams.closed(StreamId::new(1).unwrap()), Some(Cause::Ended));
    }

    #[test]
    fn the_slab_shrinks_after_a_rush() {
        let mut streams = Streams::default();
        let long = streams.insert(stream(1));
        for rush in 0..3 {
            let keys: Vec<_> = (0..1000).map(|n| streams.insert(stream(3 + 2 * (rush * 1000 + n)))).collect();
            assert_eq!(streams.len(), 1001);
            for key in keys {
                streams.remove(key);
            }
            assert!(streams.held() < 16 << 10, "{} bytes are held", streams.held());
        }
        assert!(streams.get(long).is_some());
    }
}

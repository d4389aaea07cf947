//! The calls of a connection that carries many: a slab, the timers of its calls, and the way from streams to them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use bytes::Bytes;

use super::CallId;
use super::live::Live;
use super::machine::Machine;
use super::role::Side;
use crate::call::{Input, Queue, Transmit};
use crate::http2::{Engine, StreamKey};
use crate::time::Instant;

/// Timers of calls that are gone are swept when there are so many more of them than calls.
const STALE_TIMERS: usize = 64;
/// Calls that an idle connection keeps room for.
const IDLE_CALLS: usize = 4;

/// The limits of calls, the next one first. One that its call is not [armed](Watch::armed) for is stale.
pub(super) type Timers = BinaryHeap<Reverse<(Instant, CallId)>>;

#[derive(Debug)]
pub(super) struct Calls<S: Side> {
    slots: Vec<Slot<S>>,
    free: Vec<u32>,
    /// The call on each stream, at the place that the stream has among the engine's.
    by_stream: Vec<Option<CallId>>,
    timers: Timers,
    /// Never used twice, so that an id never names another call.
    next_generation: u32,
}

#[derive(Debug)]
struct Slot<S: Side> {
    generation: u32,
    entry: Option<Entry<S>>,
}

#[derive(Debug)]
pub(super) struct Entry<S: Side> {
    /// `None` while it waits for one.
    pub(super) stream: Option<StreamKey>,
    pub(super) stage: Stage<S>,
    pub(super) watch: Watch,
    /// When its head went out.
    pub(super) head_at: Option<Instant>,
}

/// What is kept up to date after anything that may have changed a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    /// Whether the call stands in the queue of those that have something to tell.
    pub(super) queued: bool,
    /// The limit for which it stands among the timers.
    armed: Option<Instant>,
}

impl Watch {
    /// Takes note of what the call has to tell and of its next limit. True if it is to be put into the queue.
    pub(super) fn update<M: Machine>(&mut self, live: &Live<M>, timers: &mut Timers) -> bool {
        if let Some(due) = live.call.poll_timeout().filter(|due| self.armed.is_none_or(|armed| *due < armed))
        {
            self.armed = Some(due);
            timers.push(Reverse((due, live.id)));
        }
        self.tell(live.has_news_or_end())
    }

    fn tell(&mut self, tells: bool) -> bool {
        let is_new = tells && !self.queued;
        self.queued |= tells;
        is_new
    }
}

#[derive(Debug)]
pub(super) enum Stage<S: Side> {
    /// Server: neither started nor refused.
    Arrived {
        /// `None` while it is being started.
        incoming: Option<S::Incoming>,
        told: bool,
        early: Early,
    },
    Live(Box<Live<S::Call>>),
}

/// What came of a request before its call was started: data, and what followed it.
#[derive(Debug, Default)]
pub(super) struct Early {
    data: Queue<Bytes>,
    rest: Queue<Input>,
}

impl Early {
    pub(super) fn push(&mut self, input: Input) {
        match input {
            Input::Data(data) => self.data.push(data),
            other => self.rest.push(other),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Input> {
        self.data.pop().map(Input::Data).or_else(|| self.rest.pop())
    }
}

impl<S: Side> Calls<S> {
    pub(super) fn new() -> Self {
        Calls {
            slots: Vec::new(),
            free: Vec::new(),
            by_stream: Vec::new(),
            timers: BinaryHeap::new(),
            next_generation: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(
        &mut self,
        stream: Option<StreamKey>,
        stage: impl FnOnce(CallId) -> Stage<S>,
    ) -> CallId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let at = self.free.pop().unwrap_or(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        let id = CallId::from_parts(at, generation);
        let entry = Entry { stream, stage: stage(id), watch: Watch::default(), head_at: None };
        let slot = Slot { generation, entry: Some(entry) };
        match self.slots.get_mut(at as usize) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        if let Some(stream) = stream {
            self.note_stream(stream, Some(id));
        }
        id
    }

    fn note_stream(&mut self, stream: StreamKey, id: Option<CallId>) {
        if self.by_stream.len() <= stream.slot() {
            self.by_stream.resize(stream.slot() + 1, None);
        }
        if let Some(place) = self.by_stream.get_mut(stream.slot()) {
            *place = id;
        }
    }

    pub(super) fn ids(&self) -> Vec<CallId> {
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.entry.is_some());
        used.map(|(at, slot)| CallId::from_parts(at as u32, slot.generation)).collect()
    }

    pub(super) fn attach(&mut self, id: CallId, stream: StreamKey) {
        if let Some(entry) = self.get(id) {
            entry.stream = Some(stream);
            self.note_stream(stream, Some(id));
        }
    }

    fn slot(&mut self, id: CallId) -> Option<&mut Slot<S>> {
        let (at, generation) = id.parts();
        self.slots.get_mut(at as usize).filter(|slot| slot.generation == generation)
    }

    pub(super) fn get(&mut self, id: CallId) -> Option<&mut Entry<S>> {
        self.slot(id)?.entry.as_mut()
    }

    fn peek(&self, id: CallId) -> Option<&Entry<S>> {
        let (at, generation) = id.parts();
        self.slots.get(at as usize).filter(|slot| slot.generation == generation)?.entry.as_ref()
    }

    pub(super) fn incoming(&self, id: CallId) -> Option<&S::Incoming> {
        match &self.peek(id)?.stage {
            Stage::Arrived { incoming, .. } => incoming.as_ref(),
            Stage::Live(_) => None,
        }
    }

    pub(super) fn on_stream(&self, stream: StreamKey) -> Option<CallId> {
        let id = self.by_stream.get(stream.slot()).copied().flatten()?;
        self.peek(id).filter(|entry| entry.stream == Some(stream)).map(|_| id)
    }

    /// Drops a call. Returns its stream, and when its head went out.
    pub(super) fn remove(&mut self, id: CallId) -> Option<(Option<StreamKey>, Option<Instant>)> {
        let slot = self.slot(id)?;
        let Entry { stream, head_at, .. } = *slot.entry.as_ref()?;
        slot.entry = None;
        if let Some(stream) = stream {
            self.note_stream(stream, None);
        }
        self.free.push(id.parts().0);
        if self.is_empty() {
            self.trim();
        } else if self.timers.len() > STALE_TIMERS + 4 * self.len() {
            let mut timers = std::mem::take(&mut self.timers);
            timers.retain(|Reverse((at, id))| {
                self.get(*id).is_some_and(|entry| entry.watch.armed == Some(*at))
            });
            self.timers = timers;
        }
        Some((stream, head_at))
    }

    /// A burst of calls does not keep its memory for the life of the connection.
    fn trim(&mut self) {
        self.slots.clear();
        self.slots.shrink_to(IDLE_CALLS);
        self.free.clear();
        self.free.shrink_to(IDLE_CALLS);
        self.by_stream.clear();
        self.by_stream.shrink_to(IDLE_CALLS);
        self.timers.clear();
        self.timers.shrink_to(IDLE_CALLS);
    }

    /// Makes a call of a request that has arrived. Returns what came for it in the meantime.
    /// `withheld` as in [`Live::new`].
    pub(super) fn start(
        &mut self,
        id: CallId,
        start: impl FnOnce(S::Incoming) -> S::Call,
        withheld: Duration,
    ) -> Option<Early> {
        let entry = self.get(id)?;
        let Stage::Arrived { incoming, early, .. } = &mut entry.stage else { return None };
        let (incoming, early) = (incoming.take()?, std::mem::take(early));
        entry.stage = Stage::Live(Box::new(Live::new(id, start(incoming), withheld)));
        Some(early)
    }

    /// See [`Watch::update`].
    pub(super) fn watch(&mut self, id: CallId) -> bool {
        match self.get_with_timers(id) {
            Some((Entry { stage: Stage::Live(live), watch, .. }, timers)) => watch.update(live, timers),
            Some((Entry { stage: Stage::Arrived { told, .. }, watch, .. }, _)) => watch.tell(!*told),
            None => false,
        }
    }

    /// A call, and the timers that it is watched by.
    pub(super) fn get_with_timers(&mut self, id: CallId) -> Option<(&mut Entry<S>, &mut Timers)> {
        let (at, generation) = id.parts();
        let slot = self.slots.get_mut(at as usize).filter(|slot| slot.generation == generation)?;
        Some((slot.entry.as_mut()?, &mut self.timers))
    }

    /// A call whose limit has come. It is to be [watched](Self::watch) again.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<CallId> {
        while let Some(&Reverse((at, id))) = self.timers.peek() {
            let is_armed = self.get(id).is_some_and(|entry| entry.watch.armed == Some(at));
            if is_armed && at > now {
                return None;
            }
            self.timers.pop();
            if is_armed {
                self.get(id)?.watch.armed = None;
                return Some(id);
            }
        }
        None
    }

    /// When the next limit comes; perhaps that of a call that is gone.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }
}

impl<S: Side> Entry<S> {
    /// Whether the call is not over.
    pub(super) fn is_unfinished(&self) -> bool {
        match &self.stage {
            Stage::Arrived { .. } => true,
            Stage::Live(live) => !live.call.is_terminal(),
        }
    }

    /// Client: whether nothing of the call was sent.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(&self.stage, Stage::Live(live) if live.call.is_unsent())
    }

    /// Writes for one turn: heads and ends, and about `max` bytes of the body.
    pub(super) fn write(
        &mut self,
        engine: &mut Engine<S::Http2>,
        now: Instant,
        stream: StreamKey,
        max: usize,
    ) {
        let Stage::Live(live) = &mut self.stage else { return };
        let (mut left, was_writable) = (max, live.call.is_writable());
        while let Some(transmit) = live.call.poll_transmit(left) {
            match transmit {
                Transmit::Head { parts, body } => {
                    self.head_at = Some(now);
                    engine.send_head(now, stream, &parts, body);
                    engine.recycle(*parts);
                }
                Transmit::Data(chunk) => {
                    left = left.saturating_sub(chunk.len());
                    engine.send_data(now, stream, chunk);
                    if left == 0 {
                        // There may be more, for another turn.
                        engine.want_write(stream);
                    }
                }
                Transmit::End(trailers) => engine.send_end(now, stream, trailers),
                Transmit::Reset(code) => engine.reset(now, stream, code),
                Transmit::StopReceiving => engine.stop_receiving(now, stream),
            }
        }
        live.written(was_writable);
    }
}

impl CallId {
    fn from_parts(slot: u32, generation: u32) -> Self {
        CallId(u64::from(generation) << 32 | u64::from(slot))
    }

    fn parts(self) -> (u32, u32) {
        (self.0 as u32, (self.0 >> 32) as u32)
    }
}

//! The calls of a connection that carries many: a slab, the timers of its calls, and the way from streams to them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::CallId;
use super::live::Live;
use super::machine::Machine;
use super::role::Side;
use crate::call::{Input, Transmit};
use crate::http2::{Engine, StreamKey};
use crate::time::Instant;

/// Timers of calls that are gone are swept when there are so many more of them than calls.
const STALE_TIMERS: usize = 64;

#[derive(Debug)]
pub(super) struct Calls<S: Side> {
    slots: Vec<Slot<S>>,
    free: Vec<u32>,
    by_stream: HashMap<StreamKey, CallId>,
    /// An entry that its call is not [armed](Entry::armed) for is stale.
    timers: BinaryHeap<Reverse<(Instant, CallId)>>,
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
    /// Whether it stands in the queue of those that have something to tell.
    pub(super) queued: bool,
    /// When its head went out.
    pub(super) head_at: Option<Instant>,
    armed: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum Stage<S: Side> {
    /// Server: neither started nor refused.
    Arrived { incoming: S::Incoming, told: bool, inputs: Vec<Input> },
    Live(Live<S::Call>),
}

impl<S: Side> Calls<S> {
    pub(super) fn new() -> Self {
        Calls {
            slots: Vec::new(),
            free: Vec::new(),
            by_stream: HashMap::new(),
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

    pub(super) fn insert(&mut self, stream: Option<StreamKey>, stage: impl FnOnce(CallId) -> Stage<S>) -> CallId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let at = self.free.pop().unwrap_or(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        let id = CallId(u64::from(generation) << 32 | u64::from(at));
        let entry = Entry { stream, stage: stage(id), queued: false, head_at: None, armed: None };
        let slot = Slot { generation, entry: Some(entry) };
        match self.slots.get_mut(at as usize) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        if let Some(stream) = stream {
            self.by_stream.insert(stream, id);
        }
        id
    }

    pub(super) fn attach(&mut self, id: CallId, stream: StreamKey) {
        if let Some(entry) = self.get(id) {
            entry.stream = Some(stream);
            self.by_stream.insert(stream, id);
        }
    }

    fn slot(&mut self, id: CallId) -> Option<&mut Slot<S>> {
        let slot = self.slots.get_mut((id.0 & u64::from(u32::MAX)) as usize)?;
        (u64::from(slot.generation) == id.0 >> 32).then_some(slot)
    }

    pub(super) fn get(&mut self, id: CallId) -> Option<&mut Entry<S>> {
        self.slot(id)?.entry.as_mut()
    }

    pub(super) fn incoming(&self, id: CallId) -> Option<&S::Incoming> {
        let slot = self.slots.get((id.0 & u64::from(u32::MAX)) as usize)?;
        match &slot.entry.as_ref().filter(|_| u64::from(slot.generation) == id.0 >> 32)?.stage {
            Stage::Arrived { incoming, .. } => Some(incoming),
            Stage::Live(_) => None,
        }
    }

    pub(super) fn on_stream(&self, stream: StreamKey) -> Option<CallId> {
        self.by_stream.get(&stream).copied()
    }

    pub(super) fn remove(&mut self, id: CallId) -> Option<Entry<S>> {
        let entry = self.slot(id)?.entry.take()?;
        if let Some(stream) = entry.stream {
            self.by_stream.remove(&stream);
        }
        self.free.push((id.0 & u64::from(u32::MAX)) as u32);
        if self.is_empty() {
            // A burst of calls does not keep its memory for the life of the connection.
            *self = Calls { next_generation: self.next_generation, ..Calls::new() };
        } else if self.timers.len() > STALE_TIMERS + 4 * self.len() {
            let mut timers = std::mem::take(&mut self.timers);
            timers.retain(|Reverse((at, id))| self.get(*id).is_some_and(|entry| entry.armed == Some(*at)));
            self.timers = timers;
        }
        Some(entry)
    }

    /// Makes a call of a request that has arrived. Returns what came for it in the meantime.
    pub(super) fn start(
        &mut self,
        id: CallId,
        start: impl FnOnce(S::Incoming) -> S::Call,
    ) -> Option<Vec<Input>> {
        let slot = self.slot(id)?;
        let entry = slot.entry.take()?;
        let (stage, inputs) = match entry.stage {
            Stage::Arrived { incoming, inputs, .. } => (Stage::Live(Live::new(id, start(incoming))), Some(inputs)),
            live => (live, None),
        };
        slot.entry = Some(Entry { stage, ..entry });
        inputs
    }

    /// Takes note of the limits of a call. True if it has something to tell and is not queued for that yet: it counts
    /// as queued then.
    pub(super) fn watch(&mut self, id: CallId) -> bool {
        let Some(entry) = self.get(id) else { return false };
        let (due, tells) = match &entry.stage {
            Stage::Arrived { told, .. } => (None, !told),
            Stage::Live(live) => {
                let tells = live.call.has_only_closed() || (live.call.has_events() && !live.told);
                (live.call.poll_timeout(), tells)
            }
        };
        let is_new = tells && !entry.queued;
        entry.queued |= tells;
        if let Some(due) = due.filter(|due| entry.armed.is_none_or(|armed| *due < armed)) {
            entry.armed = Some(due);
            self.timers.push(Reverse((due, id)));
        }
        is_new
    }

    /// A call whose limit has come. It is to be [watched](Self::watch) again.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<CallId> {
        while let Some(&Reverse((at, id))) = self.timers.peek() {
            let is_armed = self.get(id).is_some_and(|entry| entry.armed == Some(at));
            if is_armed && at > now {
                return None;
            }
            self.timers.pop();
            if is_armed {
                self.get(id)?.armed = None;
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

    /// Writes for one turn: heads and ends, and about `max` bytes of the body.
    pub(super) fn write(&mut self, engine: &mut Engine<S::Http2>, now: Instant, stream: StreamKey, max: usize) {
        let Stage::Live(live) = &mut self.stage else { return };
        let mut left = max;
        while let Some(transmit) = live.call.poll_transmit(left) {
            match transmit {
                Transmit::Head { parts, body } => {
                    self.head_at = Some(now);
                    engine.send_head(now, stream, &parts, body);
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
    }
}

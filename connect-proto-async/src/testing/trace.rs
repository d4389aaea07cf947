//! What happened, in order: a number that stands for all of it, and the text on demand.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use connect_proto::Instant;

use super::executor::TaskId;
use super::faults::{Dial, Fault, Side};
use super::link::LinkId;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Event {
    Spawned(TaskId),
    Polled(TaskId),
    Ended(TaskId),
    Dialling { host: String, port: u16, dial: Dial },
    Connected(LinkId),
    Accepted(LinkId),
    Wrote(LinkId, Side, usize),
    Read(LinkId, Side, usize),
    ReadEnd(LinkId, Side),
    Shut(LinkId, Side),
    Dropped(LinkId, Side),
    Reset(LinkId, Side),
    Fault(LinkId, Side, Fault),
}

pub(super) struct Trace {
    hasher: DefaultHasher,
    faults: u64,
    kept: Option<Vec<(Instant, Event)>>,
}

impl Trace {
    pub(super) fn new(keep: bool) -> Self {
        Trace { hasher: DefaultHasher::new(), faults: 0, kept: keep.then(Vec::new) }
    }

    pub(super) fn keep(&mut self) {
        self.kept.get_or_insert_default();
    }

    pub(super) fn note(&mut self, now: Instant, event: Event) {
        (now, &event).hash(&mut self.hasher);
        if let Event::Fault(..) | Event::Dialling { dial: Dial::Refused | Dial::Unanswered, .. } = event {
            self.faults += 1;
        }
        if let Some(kept) = &mut self.kept {
            kept.push((now, event));
        }
    }

    pub(super) fn faults(&self) -> u64 {
        self.faults
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.hasher.finish()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, event) in self.kept.iter().flatten() {
            let at = at.saturating_duration_since(Instant::ORIGIN);
            writeln!(f, "{:>12.6}s {event:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

//! The connections of a pool, and all that follows from the state of each.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use connect_proto::Instant;

use super::{Protocol, Ticket};

/// Names a connection of a pool, from its dial to its end. None is used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ConnectionId(pub(super) u64);

/// A connection, in the order of its life.
#[derive(Debug)]
pub(super) enum Member<C> {
    /// It is being made, and given up at `until`.
    Dialling { until: Instant },
    /// It gets calls.
    Open(Open<C>),
    /// It gets no more calls, and counts until it has ended: soon, if it was cut.
    Closing { born: Instant, is_cut: bool },
}

/// A connection that gets calls.
#[derive(Debug)]
pub(super) struct Open<C> {
    pub(super) connection: C,
    pub(super) protocol: Protocol,
    pub(super) born: Instant,
    /// When it is too old.
    pub(super) retires: Option<Instant>,
    /// When it has carried nothing for too long; only of meaning without calls.
    pub(super) idle_until: Option<Instant>,
    /// Calls that it was given and that have not ended.
    pub(super) calls: usize,
    pub(super) room: Room,
    /// Its place in the order of use; 0 before its first call.
    pub(super) used: u64,
    /// The last call that it was given.
    pub(super) carries: Option<Ticket>,
    /// Over HTTP/1.1: since when the response of a call that was closed is drained.
    pub(super) drains: Option<Instant>,
}

/// What a connection has said of its room for another call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// A call gets on at once.
    Free,
    /// A call would wait in the connection.
    Full,
    /// A call is not taken.
    Busy,
}

/// The order in which connections are offered to a call: the first that there is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Rank {
    /// HTTP/2, the least loaded first.
    Shared { calls: usize },
    /// HTTP/1.1 and idle, the last used first: the others may then time out.
    Idle { used: Reverse<u64> },
    /// HTTP/2, and the call would wait there.
    Full { calls: usize },
}

impl<C> Open<C> {
    /// Where it stands among those that can be given a call; `None` if it cannot.
    fn rank(&self) -> Option<Rank> {
        match (self.protocol, self.room) {
            (_, Room::Busy) => None,
            (Protocol::Http1, _) => (self.calls == 0).then_some(Rank::Idle { used: Reverse(self.used) }),
            (Protocol::Http2, Room::Free) => Some(Rank::Shared { calls: self.calls }),
            (Protocol::Http2, Room::Full) => Some(Rank::Full { calls: self.calls }),
        }
    }

    fn timer(&self) -> Option<Instant> {
        let idle = self.idle_until.filter(|_| self.calls == 0);
        idle.into_iter().chain(self.retires).min()
    }
}

impl<C> Member<C> {
    /// When its time is over.
    fn timer(&self) -> Option<Instant> {
        match self {
            Member::Dialling { until } => Some(*until),
            Member::Open(open) => open.timer(),
            Member::Closing { .. } => None,
        }
    }

    fn rank(&self) -> Option<Rank> {
        match self {
            Member::Open(open) => open.rank(),
            Member::Dialling { .. } | Member::Closing { .. } => None,
        }
    }

    fn drains(&self) -> Option<Instant> {
        match self {
            Member::Open(open) => open.drains,
            Member::Dialling { .. } | Member::Closing { .. } => None,
        }
    }
}

/// The connections by name. They are changed through its methods alone, so that timers, ranks and counts always follow
/// from the states.
#[derive(Debug)]
pub(super) struct Members<C> {
    all: BTreeMap<ConnectionId, Member<C>>,
    timers: BTreeSet<(Instant, ConnectionId)>,
    ranks: BTreeSet<(Rank, ConnectionId)>,
    drains: BTreeSet<(Instant, ConnectionId)>,
    dialling: usize,
    open: usize,
    cut: usize,
}

impl<C> Members<C> {
    pub(super) fn new() -> Self {
        Members {
            all: BTreeMap::new(),
            timers: BTreeSet::new(),
            ranks: BTreeSet::new(),
            drains: BTreeSet::new(),
            dialling: 0,
            open: 0,
            cut: 0,
        }
    }

    pub(super) fn put(&mut self, id: ConnectionId, member: Member<C>) {
        replace(&mut self.timers, id, None, member.timer());
        replace(&mut self.ranks, id, None, member.rank());
        replace(&mut self.drains, id, None, member.drains());
        match member {
            Member::Dialling { .. } => self.dialling += 1,
            Member::Open(_) => self.open += 1,
            Member::Closing { is_cut, .. } => self.cut += usize::from(is_cut),
        }
        self.all.insert(id, member);
    }

    pub(super) fn take(&mut self, id: ConnectionId) -> Option<Member<C>> {
        let member = self.all.remove(&id)?;
        replace(&mut self.timers, id, member.timer(), None);
        replace(&mut self.ranks, id, member.rank(), None);
        replace(&mut self.drains, id, member.drains(), None);
        match member {
            Member::Dialling { .. } => self.dialling -= 1,
            Member::Open(_) => self.open -= 1,
            Member::Closing { is_cut, .. } => self.cut -= usize::from(is_cut),
        }
        Some(member)
    }

    /// Changes a connection if it gets calls, and leaves it one that does.
    pub(super) fn change<T>(
        &mut self,
        id: ConnectionId,
        change: impl FnOnce(&mut Open<C>) -> T,
    ) -> Option<T> {
        let Member::Open(open) = self.all.get_mut(&id)? else { return None };
        let (timer, rank, drains) = (open.timer(), open.rank(), open.drains);
        let result = change(open);
        replace(&mut self.timers, id, timer, open.timer());
        replace(&mut self.ranks, id, rank, open.rank());
        replace(&mut self.drains, id, drains, open.drains);
        Some(result)
    }

    /// The best connection for a call.
    pub(super) fn best(&self) -> Option<(Rank, ConnectionId)> {
        self.ranks.first().copied()
    }

    /// The connection that has drained for longest.
    pub(super) fn oldest_drain(&self) -> Option<ConnectionId> {
        self.drains.first().map(|(_, id)| *id)
    }

    /// The next time at which one's time is over.
    pub(super) fn next_timer(&self) -> Option<(Instant, ConnectionId)> {
        self.timers.first().copied()
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.all.keys().copied().collect()
    }

    /// How many are being made.
    pub(super) fn dialling(&self) -> usize {
        self.dialling
    }

    /// How many get calls.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// How many were cut, and have not ended.
    pub(super) fn cut(&self) -> usize {
        self.cut
    }

    /// How many there are, those included that are closing.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Keeps an index in step with what a connection is found by.
fn replace<K: Copy + Ord>(
    index: &mut BTreeSet<(K, ConnectionId)>,
    id: ConnectionId,
    before: Option<K>,
    after: Option<K>,
) {
    if before == after {
        return;
    }
    if let Some(before) = before {
        index.remove(&(before, id));
    }
    if let Some(after) = after {
        index.insert((after, id));
    }
}

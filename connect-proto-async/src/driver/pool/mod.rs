//! The connections of a client: which call goes on which, when one is made and when one is given up.
//!
//! A [`Pool`] is a pure machine like those of the core: what happens and the time go in, [`Action`]s come out. It knows
//! a connection by a token and a call that waits by whatever its user likes. In a client it stands behind a mutex; after
//! every command its user polls the actions until there is none, and the timeout.
//!
//! No call is forgotten: while one waits there is a dial under way, a connection that will say that a call on it
//! ended, or a timer. That holds as long as every [`Action::Dial`] is answered by [`dialled`](Pool::dialled) or
//! [`dial_failed`](Pool::dial_failed), every assignment by one of [`freed`](Pool::freed), [`refused`](Pool::refused),
//! [`closing`](Pool::closing) and [`ended`](Pool::ended), and every connection by `ended`.

mod action;
mod config;
mod members;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use connect_proto::Instant;

pub(crate) use action::{Action, Assigned, Assignment, Failure, Lease, Refusal, Ticket};
pub use config::{PoolConfig, PoolCounters, Protocol};
pub(crate) use members::ConnectionId;
use members::{Member, Members, Open, Rank, Room};

/// The pause before the next dial once a peer has asked for calm, doubled each time it has to ask again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lives for so long before the peer asks for calm makes the pauses short again.
const LIVED: Duration = Duration::from_secs(60);
/// A call that was sent away so often, and not because others were there before it, is not tried again.
const MAX_REFUSALS: u32 = 5;

/// The connections of a client, for one address. How to drive it is told at [the module](self).
///
/// Every command that takes the time first lets what is over by then be over; a `now` that runs backwards is clamped.
#[derive(Debug)]
pub(crate) struct Pool<C, W> {
    config: PoolConfig,
    phase: Phase,
    now: Instant,
    /// What the last connection that was made turned out to speak; until then what the configuration says.
    protocol: Protocol,
    members: Members<C>,
    waiting: BTreeMap<Ticket, Waiting<W>>,
    /// What is owed to calls and connections. Assignments and dials are not among it: they follow from the state.
    owed: VecDeque<Action<C, W>>,
    pause: Pause,
    counters: PoolCounters,
    /// The last number that was given to a call, a connection or a use of one.
    last: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Running,
    ShutDown,
}

#[derive(Debug)]
struct Waiting<W> {
    call: W,
    refusals: u32,
}

/// When no connection is to be made.
#[derive(Debug)]
struct Pause {
    until: Instant,
    /// How long the last one was that the peer asked for.
    length: Duration,
    /// How often the peer has asked.
    asked: u32,
}

impl<C: Clone, W> Pool<C, W> {
    pub(crate) fn new(config: PoolConfig) -> Self {
        Pool {
            protocol: config.protocol,
            config,
            phase: Phase::Running,
            now: Instant::ORIGIN,
            members: Members::new(),
            waiting: BTreeMap::new(),
            owed: VecDeque::new(),
            pause: Pause { until: Instant::ORIGIN, length: Duration::ZERO, asked: 0 },
            counters: PoolCounters::default(),
            last: 0,
        }
    }

    // Getters

    /// Whether nothing is left: no call waits, and every connection has ended.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.members.len() == 0 && self.waiting.is_empty() && self.owed.is_empty()
    }

    #[must_use]
    pub(crate) fn counters(&self) -> PoolCounters {
        self.counters
    }

    // What happens to connections

    /// The dial has made a connection, which speaks this.
    pub(crate) fn dialled(&mut self, now: Instant, id: ConnectionId, connection: C, protocol: Protocol) {
        self.tick(now);
        match self.members.take(id) {
            Some(Member::Dialling { .. }) => {
                self.protocol = protocol;
                self.members.put(
                    id,
                    Member::Open(Open {
                        connection,
                        protocol,
                        born: self.now,
                        retires: self.config.max_age.map(|age| self.now.saturating_add(age)),
                        idle_until: self.idle_until(),
                        calls: 0,
                        room: Room::Free,
                        used: 0,
                        carries: None,
                        drains: None,
                    }),
                );
            }
            // It was given up.
            _ => {
                self.members.put(id, Member::Closing { born: self.now, is_cut: false });
                self.owed.push_back(Action::ShutDown(connection));
            }
        }
    }

    /// The dial has made no connection.
    pub(crate) fn dial_failed(&mut self, now: Instant, id: ConnectionId, error: io::Error) {
        self.tick(now);
        self.end_dial(id, &Failure::DialFailed(Arc::new(error)));
    }

    /// The dial was dropped, as when a runtime stops. Others would be, too: those that wait fail, and are not dialled for.
    pub(crate) fn dial_dropped(&mut self, now: Instant, id: ConnectionId) {
        self.tick(now);
        if self.end_dial(id, &Failure::Stopped) {
            self.fail_waiting(usize::MAX, &Failure::Stopped);
        }
    }

    /// A call that was assigned to the connection has ended, and the connection can carry another.
    pub(crate) fn freed(&mut self, now: Instant, id: ConnectionId) {
        self.tick(now);
        self.end_call(id, Room::Free);
    }

    /// A call that was assigned so was closed, and what is left of its response is drained. Over HTTP/1.1 that takes the
    /// place of a connection: it is cut, the oldest first, once a call waits for one. To be told before or after the
    /// call's end, which makes it void.
    pub(crate) fn draining(&mut self, now: Instant, lease: Lease) {
        self.tick(now);
        let now = self.now;
        self.members.change(lease.connection, |open| {
            if open.protocol == Protocol::Http1 && open.calls > 0 && open.carries == Some(lease.ticket) {
                open.drains.get_or_insert(now);
            }
        });
    }

    /// Over HTTP/2: a call that is put on the connection now would have to wait there. Calls then go elsewhere if they
    /// can, until one of its calls has ended.
    pub(crate) fn filled(&mut self, now: Instant, id: ConnectionId) {
        self.tick(now);
        self.members.change(id, |open| {
            if open.room == Room::Free {
                open.room = Room::Full;
            }
        });
    }

    /// The connection has not taken the call after all. The call waits again, in its old place, unless it was sent away too
    /// often.
    pub(crate) fn refused(&mut self, now: Instant, lease: Lease, call: W, why: Refusal) {
        self.tick(now);
        let waits_for_others = match why {
            Refusal::Busy => self.end_call(lease.connection, Room::Busy),
            Refusal::GoingAway => {
                self.close(lease.connection);
                false
            }
        };
        let refusals = lease.refusals + u32::from(!waits_for_others);
        if self.phase == Phase::ShutDown {
            self.owed.push_back(Action::Fail(call, Failure::ShutDown));
        } else if refusals >= MAX_REFUSALS {
            self.owed.push_back(Action::Fail(call, Failure::NotTaken));
        } else {
            self.waiting.insert(lease.ticket, Waiting { call, refusals });
        }
    }

    /// The connection takes no more calls, of its own accord or the peer's.
    pub(crate) fn closing(&mut self, now: Instant, id: ConnectionId) {
        self.tick(now);
        self.close(id);
    }

    /// The connection may be dead without knowing it. It gets no more calls and is to end.
    pub(crate) fn suspect(&mut self, now: Instant, id: ConnectionId) {
        self.tick(now);
        self.evict(id);
    }

    /// The connection's peer asks for calm: it takes no more calls, and the next one is made after a pause. To be told
    /// once, before the connection's end.
    pub(crate) fn calm(&mut self, now: Instant, id: ConnectionId) {
        self.tick(now);
        let (born, is_cut) = match self.members.take(id) {
            Some(Member::Open(Open { born, .. })) => (born, false),
            Some(Member::Closing { born, is_cut }) => (born, is_cut),
            Some(dialling) => return self.members.put(id, dialling),
            None => return,
        };
        self.members.put(id, Member::Closing { born, is_cut });
        self.pause.length = if self.now.saturating_duration_since(born) >= LIVED {
            FIRST_PAUSE
        } else {
            (self.pause.length * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
        };
        self.pause.asked = self.pause.asked.saturating_add(1);
        self.pause_for(self.pause.length);
    }

    /// The connection is gone.
    pub(crate) fn ended(&mut self, now: Instant, id: ConnectionId) {
        self.tick(now);
        self.members.take(id);
    }

    /// Time has passed: what is over by now is over.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some((at, id)) = self.members.next_timer()
            && at <= self.now
        {
            if self.end_dial(id, &Failure::ConnectTimeout) {
                self.owed.push_back(Action::GiveUp(id));
            } else {
                self.evict(id);
            }
        }
    }

    // Commands

    /// A call wants a connection.
    pub(crate) fn open(&mut self, now: Instant, call: W) -> Assignment<C, W> {
        self.tick(now);
        self.counters.calls += 1;
        if self.phase == Phase::ShutDown {
            return Assignment::Refused(call, Failure::ShutDown);
        }
        let ticket = Ticket(self.number());
        // Nobody is overtaken.
        if self.waiting.is_empty()
            && let Some((connection, lease)) = self.lease(ticket, 0)
        {
            return Assignment::Assigned(Assigned { call, connection, lease });
        }
        if self.waiting.len() >= self.config.max_waiting.max(1) {
            return Assignment::Refused(call, Failure::TooManyWaiting);
        }
        self.waiting.insert(ticket, Waiting { call, refusals: 0 });
        Assignment::Waiting(ticket)
    }

    /// Takes a call that waits back; `None` if it waits no more. A dial that was begun for it goes on, and leaves an idle
    /// connection.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Option<W> {
        self.waiting.remove(&ticket).map(|waiting| waiting.call)
    }

    /// Takes no more calls, fails those that wait, and lets every connection end with the calls it has.
    pub(crate) fn shut_down(&mut self, now: Instant) {
        self.tick(now);
        self.phase = Phase::ShutDown;
        self.fail_waiting(usize::MAX, &Failure::ShutDown);
        for id in self.members.ids() {
            match self.members.take(id) {
                Some(Member::Dialling { .. }) => self.owed.push_back(Action::GiveUp(id)),
                Some(Member::Open(open)) => {
                    self.members.put(id, Member::Closing { born: open.born, is_cut: false });
                    self.owed.push_back(Action::ShutDown(open.connection));
                }
                Some(closing) => self.members.put(id, closing),
                None => {}
            }
        }
    }

    // Outputs

    /// The next thing to do.
    pub(crate) fn poll_action(&mut self) -> Option<Action<C, W>> {
        if let Some(action) = self.owed.pop_front() {
            return Some(action);
        }
        let (&ticket, &Waiting { refusals, .. }) = self.waiting.first_key_value()?;
        if let Some((connection, lease)) = self.lease(ticket, refusals) {
            let (_, Waiting { call, .. }) = self.waiting.pop_first()?;
            return Some(Action::Assign(Assigned { call, connection, lease }));
        }
        if let Some(connection) = self.cut_drain() {
            return Some(Action::Cut(connection));
        }
        if !self.lacks_dial() || self.is_paused() {
            return None;
        }
        let id = ConnectionId(self.number());
        let until = self.now.saturating_add(self.config.connect_timeout);
        self.members.put(id, Member::Dialling { until });
        self.counters.dials += 1;
        Some(Action::Dial { id, backed_off: self.pause.asked })
    }

    /// When to call [`tick`](Self::tick), and to poll the actions again; `None` if time changes nothing.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let pause = (self.is_paused() && self.lacks_dial()).then_some(self.pause.until);
        let member = self.members.next_timer().map(|(at, _)| at);
        pause.into_iter().chain(member).min()
    }

    // The rules

    /// Gives a call a place on the best connection there is.
    fn lease(&mut self, ticket: Ticket, refusals: u32) -> Option<(C, Lease)> {
        let (rank, connection) = self.members.best()?;
        // Better to wait for another connection than in a full one, if there will be another.
        let another = self.members.dialling() > 0 || (self.has_place() && !self.is_paused());
        if matches!(rank, Rank::Full { .. }) && another {
            return None;
        }
        let number = self.number();
        let (token, protocol, before) = self.members.change(connection, |open| {
            open.calls += 1;
            open.carries = Some(ticket);
            (open.connection.clone(), open.protocol, std::mem::replace(&mut open.used, number))
        })?;
        self.counters.reuses += u64::from(before > 0);
        Some((token, Lease { connection, protocol, ticket, refusals }))
    }

    /// Whether those that wait need one more connection to be made: over HTTP/1.1 one for each, over HTTP/2 one for all.
    fn lacks_dial(&self) -> bool {
        let needed = match self.protocol {
            Protocol::Http1 => self.waiting.len(),
            Protocol::Http2 => self.waiting.len().min(1),
        };
        self.members.dialling() < needed && self.has_place()
    }

    /// Whether the limit allows for one more connection.
    fn has_place(&self) -> bool {
        match self.protocol {
            Protocol::Http1 => self.members.len() < self.config.max_http1_connections.max(1),
            Protocol::Http2 => {
                self.members.dialling() + self.members.open() < self.config.http2_connections.max(1)
            }
        }
    }

    /// A dial has come to nothing: those fail that have waited for it. False if there is no such dial.
    fn end_dial(&mut self, id: ConnectionId, why: &Failure) -> bool {
        match self.members.take(id) {
            Some(Member::Dialling { .. }) => {}
            Some(other) => {
                self.members.put(id, other);
                return false;
            }
            None => return false,
        }
        self.counters.dial_failures += 1;
        match self.protocol {
            // One for each dial; a dial too many fails nobody.
            Protocol::Http1 if self.waiting.len() > self.members.dialling() => self.fail_waiting(1, why),
            Protocol::Http1 => {}
            // They have connections to wait for, and are not to dial again and again meanwhile.
            Protocol::Http2 if self.members.open() > 0 => self.pause_for(FIRST_PAUSE),
            Protocol::Http2 if self.members.dialling() == 0 => self.fail_waiting(usize::MAX, why),
            Protocol::Http2 => {}
        }
        true
    }

    /// Fails those that have waited longest.
    fn fail_waiting(&mut self, count: usize, why: &Failure) {
        for _ in 0..count {
            let Some((_, Waiting { call, .. })) = self.waiting.pop_first() else { return };
            self.owed.push_back(Action::Fail(call, why.clone()));
        }
    }

    /// A call is no longer on a connection, which has room like this. False if it carries no other.
    fn end_call(&mut self, id: ConnectionId, room: Room) -> bool {
        let (number, idle_until) = (self.number(), self.idle_until());
        let carries_others = self.members.change(id, |open| {
            open.calls = open.calls.saturating_sub(1);
            // Without calls none can end: nothing would tell that there is room again.
            open.room = if open.calls == 0 { Room::Free } else { room };
            open.used = number;
            open.drains = None;
            open.idle_until = idle_until;
            open.calls > 0
        });
        carries_others.unwrap_or(false)
    }

    /// Over HTTP/1.1: takes the place of the connection that has drained for longest, if a call needs one.
    fn cut_drain(&mut self) -> Option<C> {
        let places = self.members.dialling() + self.members.cut();
        if self.protocol != Protocol::Http1 || self.has_place() || self.waiting.len() <= places {
            return None;
        }
        let id = self.members.oldest_drain()?;
        self.counters.evictions += 1;
        self.end_open(id, true)
    }

    /// A connection gets no more calls.
    fn close(&mut self, id: ConnectionId) -> Option<C> {
        self.end_open(id, false)
    }

    fn end_open(&mut self, id: ConnectionId, is_cut: bool) -> Option<C> {
        match self.members.take(id)? {
            Member::Open(Open { connection, born, .. }) => {
                self.members.put(id, Member::Closing { born, is_cut });
                Some(connection)
            }
            other => {
                self.members.put(id, other);
                None
            }
        }
    }

    /// A connection gets no more calls, and is to end.
    fn evict(&mut self, id: ConnectionId) {
        if let Some(connection) = self.close(id) {
            self.counters.evictions += 1;
            self.owed.push_back(Action::ShutDown(connection));
        }
    }

    fn is_paused(&self) -> bool {
        self.now < self.pause.until
    }

    fn pause_for(&mut self, length: Duration) {
        self.pause.until = self.pause.until.max(self.now.saturating_add(length));
    }

    fn idle_until(&self) -> Option<Instant> {
        self.config.idle_timeout.map(|timeout| self.now.saturating_add(timeout))
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

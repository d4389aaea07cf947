//! Whatever happens in whatever order, the promises of the pool hold.
//!
//! A world of calls and connections plays against the pool and books what it is told; the rules are checked against
//! the world's books, never against the pool's own.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Something that happens to the pool. An index picks one of those it can happen to; with none, nothing happens.
#[derive(Clone, Debug)]
enum Happening {
    Open,
    Cancel(Index),
    Dialled(Index, Protocol),
    DialFails(Index),
    /// A call ends, and its connection can carry another, over HTTP/2 perhaps only after a wait.
    Freed(Index, bool),
    /// A call ends, and its connection with it.
    EndsWithCall(Index),
    Refused(Index, Refusal),
    /// A call is closed.
    Draining(Index),
    Filled(Index),
    Closing(Index),
    Suspect(Index),
    Calm(Index),
    Ended(Index),
    Pass(Duration),
    PassToTimer,
    ShutDown,
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Http1), Just(Protocol::Http2)]
}

fn happening() -> impl Strategy<Value = Happening> {
    let index = any::<Index>;
    prop_oneof![
        12 => Just(Happening::Open),
        2 => index().prop_map(Happening::Cancel),
        8 => (index(), protocol()).prop_map(|(index, protocol)| Happening::Dialled(index, protocol)),
        2 => index().prop_map(Happening::DialFails),
        8 => (index(), any::<bool>()).prop_map(|(index, full)| Happening::Freed(index, full)),
        2 => index().prop_map(Happening::EndsWithCall),
        2 => index().prop_map(|index| Happening::Refused(index, Refusal::Busy)),
        2 => index().prop_map(|index| Happening::Refused(index, Refusal::GoingAway)),
        4 => index().prop_map(Happening::Draining),
        3 => index().prop_map(Happening::Filled),
        1 => index().prop_map(Happening::Closing),
        1 => index().prop_map(Happening::Suspect),
        1 => index().prop_map(Happening::Calm),
        2 => index().prop_map(Happening::Ended),
        3 => (0u64..40_000).prop_map(|ms| Happening::Pass(Duration::from_millis(ms))),
        3 => Just(Happening::PassToTimer),
        1 => Just(Happening::ShutDown),
    ]
}

fn config() -> impl Strategy<Value = PoolConfig> {
    let timeout = || prop_oneof![Just(None), (1u64..60).prop_map(|s| Some(secs(s)))];
    (protocol(), 0usize..4, 0usize..4, 0usize..8, timeout(), timeout()).prop_map(
        |(protocol, max_http1_connections, http2_connections, max_waiting, idle_timeout, max_age)| {
            PoolConfig {
                protocol,
                max_http1_connections,
                http2_connections,
                connect_timeout: secs(10),
                idle_timeout,
                max_age,
                max_waiting,
            }
        },
    )
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CallState {
    Waiting(Ticket),
    On(Lease),
    /// It has ended, and the pool must never speak of it again.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Dialling { since: Instant },
    GivenUp,
    Open { protocol: Protocol, since: Instant, idle_since: Instant, busy: bool },
    Closing { protocol: Protocol },
    Over,
}

type Call = usize;

struct World {
    pool: Pool<ConnectionId, Call>,
    config: PoolConfig,
    now: Instant,
    calls: Vec<CallState>,
    connections: BTreeMap<ConnectionId, Life>,
    /// What the last connection spoke.
    protocol: Protocol,
    /// Refusals that came back beyond the limit of those that may wait.
    returned: usize,
    paused_until: Instant,
    shut_down: bool,
    /// Calls that were closed, and when.
    closed: Vec<(Instant, Call)>,
    /// Connections whose drains were cut.
    cut: Vec<ConnectionId>,
}

impl World {
    fn new(config: PoolConfig) -> Self {
        World {
            pool: Pool::new(config.clone()),
            now: Instant::ORIGIN,
            calls: Vec::new(),
            connections: BTreeMap::new(),
            protocol: config.protocol,
            config,
            returned: 0,
            paused_until: Instant::ORIGIN,
            shut_down: false,
            closed: Vec::new(),
            cut: Vec::new(),
        }
    }

    // The world's books

    fn waiting(&self) -> Vec<(Call, Ticket)> {
        let waits = |(call, state): (Call, &CallState)| match state {
            CallState::Waiting(ticket) => Some((call, *ticket)),
            _ => None,
        };
        self.calls.iter().enumerate().filter_map(waits).collect()
    }

    fn carried(&self) -> Vec<(Call, Lease)> {
        let carried = |(call, state): (Call, &CallState)| match state {
            CallState::On(lease) => Some((call, *lease)),
            _ => None,
        };
        self.calls.iter().enumerate().filter_map(carried).collect()
    }

    fn load(&self, id: ConnectionId) -> usize {
        self.carried().iter().filter(|(_, lease)| lease.connection == id).count()
    }

    fn those(&self, is: impl Fn(&Life) -> bool) -> Vec<ConnectionId> {
        self.connections.iter().filter(|(_, life)| is(life)).map(|(id, _)| *id).collect()
    }

    fn dialling(&self) -> Vec<ConnectionId> {
        self.those(|life| matches!(life, Life::Dialling { .. }))
    }

    fn open(&self) -> Vec<ConnectionId> {
        self.those(|life| matches!(life, Life::Open { .. }))
    }

    /// The connections over HTTP/1.1 that drain, each since when.
    fn drains(&self) -> Vec<(Instant, ConnectionId)> {
        let drains = self.closed.iter().filter_map(|&(since, call)| match self.calls[call] {
            CallState::On(Lease { connection, .. }) => Some((since, connection)),
            _ => None,
        });
        drains
            .filter(|(_, id)| matches!(self.connections[id], Life::Open { protocol: Protocol::Http1, .. }))
            .collect()
    }

    /// How many calls wait for a place that none will come free for.
    fn without_place(&self) -> usize {
        let all = self.dialling().len() + self.open().len() + self.closing().len();
        if self.protocol != Protocol::Http1 || all < self.config.max_http1_connections.max(1) {
            return 0;
        }
        let closing = self.closing();
        let cut = self.cut.iter().filter(|id| closing.contains(id)).count();
        self.waiting().len().saturating_sub(self.dialling().len() + cut)
    }

    fn closing(&self) -> Vec<ConnectionId> {
        self.those(|life| matches!(life, Life::Closing { .. }))
    }

    /// Once the pool was told of the time, what is over by then counts as over: here it counts as soon as it must.
    fn is_overdue(&self, id: ConnectionId) -> bool {
        let past = |since: Instant, limit: Option<Duration>| {
            limit.is_some_and(|limit| self.now >= since.saturating_add(limit))
        };
        match self.connections[&id] {
            Life::Dialling { since } => past(since, Some(self.config.connect_timeout)),
            Life::Open { since, idle_since, .. } => {
                past(since, self.config.max_age)
                    || (self.load(id) == 0 && past(idle_since, self.config.idle_timeout))
            }
            _ => false,
        }
    }

    // What happens

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Open => self.open_call(),
            Happening::Cancel(index) => {
                let waiting = self.waiting();
                if let Some(&(call, ticket)) = pick(&waiting, index)
                    && let Some(taken) = self.pool.cancel(ticket)
                {
                    assert_eq!(taken, call);
                    self.calls[call] = CallState::Over;
                }
            }
            Happening::Dialled(index, protocol) => {
                let dials = self.those(|life| matches!(life, Life::Dialling { .. } | Life::GivenUp));
                if let Some(&id) = pick(&dials, index) {
                    self.dialled(id, *protocol);
                }
            }
            Happening::DialFails(index) => {
                let dials = self.those(|life| matches!(life, Life::Dialling { .. } | Life::GivenUp));
                if let Some(&id) = pick(&dials, index) {
                    self.connections.insert(id, Life::Over);
                    self.pool.dial_failed(self.now, id, io::Error::other("no route"));
                }
            }
            Happening::Freed(index, full) => {
                if let Some(&(call, lease)) = pick(&self.carried(), index) {
                    self.end_call(call, lease, *full);
                }
            }
            Happening::EndsWithCall(index) => {
                if let Some(&(call, lease)) = pick(&self.carried(), index) {
                    self.calls[call] = CallState::Over;
                    self.close(lease.connection);
                    self.pool.closing(self.now, lease.connection);
                }
            }
            Happening::Refused(index, why) => {
                // One that was closed was taken before.
                let is_closed = |call| self.closed.iter().any(|(_, closed)| *closed == call);
                let carried: Vec<_> =
                    self.carried().into_iter().filter(|(call, _)| !is_closed(*call)).collect();
                if let Some(&(call, lease)) = pick(&carried, index) {
                    self.refuse(call, lease, *why);
                }
            }
            Happening::Draining(index) => {
                if let Some(&(call, lease)) = pick(&self.carried(), index) {
                    if self.closed.iter().all(|(_, closed)| *closed != call) {
                        self.closed.push((self.now, call));
                    }
                    self.pool.draining(self.now, lease);
                }
            }
            Happening::Filled(index) => {
                if let Some(&id) = pick(&self.open(), index) {
                    self.pool.filled(self.now, id);
                }
            }
            Happening::Closing(index) => {
                if let Some(&id) = pick(&self.open(), index) {
                    self.close(id);
                    self.pool.closing(self.now, id);
                }
            }
            Happening::Suspect(index) => {
                if let Some(&id) = pick(&self.open(), index) {
                    // It stays open in the books until the pool shuts it down.
                    self.pool.suspect(self.now, id);
                    self.forbid(id);
                }
            }
            Happening::Calm(index) => {
                if let Some(&id) = pick(&self.open(), index) {
                    self.close(id);
                    self.pool.calm(self.now, id);
                    self.paused_until = self.paused_until.max(self.now.saturating_add(secs(1)));
                }
            }
            Happening::Ended(index) => {
                let mut ids = self.open();
                ids.extend(self.closing());
                if let Some(&id) = pick(&ids, index) {
                    self.ended(id);
                }
            }
            Happening::Pass(time) => self.pass_to(self.now.saturating_add(*time)),
            Happening::PassToTimer => {
                if let Some(at) = self.pool.poll_timeout() {
                    self.pass_to(at.max(self.now));
                }
            }
            Happening::ShutDown => {
                self.shut_down = true;
                self.pool.shut_down(self.now);
            }
        }
    }

    fn open_call(&mut self) {
        let call = self.calls.len();
        self.calls.push(CallState::Over);
        match self.pool.open(self.now, call) {
            Assignment::Assigned(assigned) => self.assigned(assigned),
            Assignment::Waiting(ticket) => {
                assert!(!self.shut_down, "a call waits after the shutdown");
                self.calls[call] = CallState::Waiting(ticket);
            }
            Assignment::Refused(refused, why) => {
                assert_eq!(refused, call);
                match why {
                    Failure::ShutDown => assert!(self.shut_down),
                    Failure::TooManyWaiting => {
                        assert!(self.waiting().len() >= self.config.max_waiting.max(1))
                    }
                    other => panic!("refused for {other}"),
                }
            }
        }
    }

    fn dialled(&mut self, id: ConnectionId, protocol: Protocol) {
        let given_up = self.connections[&id] == Life::GivenUp || self.is_overdue(id);
        self.pool.dialled(self.now, id, id, protocol);
        // One that comes too late is open in the books as well, until the pool shuts it down.
        let life = Life::Open { protocol, since: self.now, idle_since: self.now, busy: given_up };
        self.connections.insert(id, life);
        if !given_up && !self.shut_down {
            self.protocol = protocol;
        }
    }

    fn end_call(&mut self, call: Call, lease: Lease, full: bool) {
        self.calls[call] = CallState::Over;
        let id = lease.connection;
        self.free(id, false);
        self.pool.freed(self.now, id);
        if full {
            self.pool.filled(self.now, id);
        }
    }

    fn refuse(&mut self, call: Call, lease: Lease, why: Refusal) {
        self.calls[call] = CallState::Waiting(lease.ticket);
        self.returned += 1;
        match why {
            Refusal::Busy => self.free(lease.connection, self.load(lease.connection) > 0),
            Refusal::GoingAway => self.close(lease.connection),
        }
        self.pool.refused(self.now, lease, call, why);
    }

    fn free(&mut self, id: ConnectionId, is_busy: bool) {
        if let Some(Life::Open { idle_since, busy, .. }) = self.connections.get_mut(&id) {
            (*idle_since, *busy) = (self.now, is_busy);
        }
    }

    /// A connection must get no more calls.
    fn close(&mut self, id: ConnectionId) {
        if let Life::Open { protocol, .. } = self.connections[&id] {
            self.connections.insert(id, Life::Closing { protocol });
        }
    }

    /// A connection must get no more calls, and be shut down.
    fn forbid(&mut self, id: ConnectionId) {
        if let Some(Life::Open { busy, .. }) = self.connections.get_mut(&id) {
            *busy = true;
        }
    }

    fn ended(&mut self, id: ConnectionId) {
        for (call, lease) in self.carried() {
            if lease.connection == id {
                self.calls[call] = CallState::Over;
            }
        }
        self.connections.insert(id, Life::Over);
        self.pool.ended(self.now, id);
    }

    fn pass_to(&mut self, now: Instant) {
        self.now = now;
        self.pool.tick(now);
    }

    // What the pool wants done

    fn act(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Dial { id, .. } => self.dial(id),
                Action::GiveUp(id) => {
                    // Its end may have been told already.
                    if matches!(self.connections[&id], Life::Dialling { .. }) {
                        assert!(self.shut_down || self.is_overdue(id), "given up too early");
                        self.connections.insert(id, Life::GivenUp);
                    }
                }
                Action::Assign(assigned) => {
                    let oldest = self.waiting().iter().map(|(_, ticket)| *ticket).min();
                    assert_eq!(oldest, Some(assigned.lease.ticket), "a call is overtaken");
                    self.assigned(assigned);
                }
                Action::Fail(call, _) => {
                    assert!(
                        matches!(self.calls[call], CallState::Waiting(_)),
                        "{:?} fails",
                        self.calls[call]
                    );
                    self.calls[call] = CallState::Over;
                }
                Action::Cut(id) => {
                    assert!(self.without_place() > 0, "a drain is cut for nobody");
                    let oldest = self.drains().into_iter().map(|(since, _)| since).min();
                    assert!(self.drains().contains(&(oldest.expect("a drain"), id)), "not the oldest drain");
                    self.close(id);
                    self.cut.push(id);
                }
                Action::ShutDown(id) => {
                    // It may have said itself that it closes, since.
                    self.close(id);
                }
            }
        }
        self.check();
    }

    fn dial(&mut self, id: ConnectionId) {
        assert!(!self.shut_down && self.now >= self.paused_until, "no dial is due");
        assert!(!self.waiting().is_empty(), "nobody waits for the dial");
        let (dialling, open) = (self.dialling().len(), self.open().len());
        match self.protocol {
            Protocol::Http1 => {
                assert!(dialling < self.waiting().len(), "a surplus dial");
                let all = dialling + open + self.closing().len();
                assert!(all < self.config.max_http1_connections.max(1), "above the limit");
            }
            Protocol::Http2 => {
                assert_eq!(dialling, 0, "one dial at a time");
                assert!(open < self.config.http2_connections.max(1), "above the limit");
            }
        }
        assert!(self.connections.insert(id, Life::Dialling { since: self.now }).is_none());
    }

    fn assigned(&mut self, assigned: Assigned<ConnectionId, Call>) {
        let Assigned { call, connection, lease } = assigned;
        assert_eq!(connection, lease.connection);
        assert!(!self.shut_down);
        assert!(!self.is_overdue(connection), "too old or idle for too long");
        match self.connections[&connection] {
            Life::Open { busy: false, protocol: Protocol::Http1, .. } => {
                assert_eq!(self.load(connection), 0, "a second call over HTTP/1.1");
            }
            Life::Open { busy: false, protocol: Protocol::Http2, .. } => {}
            life => panic!("a call is put on {life:?}"),
        }
        self.calls[call] = CallState::On(lease);
    }

    /// What holds whenever nothing is left to be done.
    fn check(&self) {
        let timer = self.pool.poll_timeout();
        assert!(timer.is_none_or(|at| at > self.now), "a timer is due");
        assert!(self.waiting().len() <= self.config.max_waiting.max(1) + self.returned, "too many wait");
        for id in self.connections.keys() {
            assert!(!self.is_overdue(*id), "{id:?} is overdue");
        }
        if self.waiting().is_empty() {
            return;
        }
        assert!(self.without_place() == 0 || self.drains().is_empty(), "a drain is in the way of a call");
        let can_take = |id: &ConnectionId| match self.connections[id] {
            Life::Open { busy: false, protocol: Protocol::Http1, .. } => self.load(*id) == 0,
            Life::Open { busy: false, protocol: Protocol::Http2, .. } => self.dialling().is_empty(),
            _ => false,
        };
        assert_eq!(self.open().into_iter().find(can_take), None, "a call waits beside a connection for it");
        let is_dialled_for = !self.dialling().is_empty();
        let will_hear = self.open().iter().any(|id| self.load(*id) > 0) || !self.closing().is_empty();
        let is_paused = timer.is_some();
        assert!(is_dialled_for || will_hear || is_paused, "a call waits for nothing");
    }

    // How it ends

    /// From now on all goes well: everybody who waits gets on, in bounded steps.
    fn go_well(&mut self) {
        for _ in 0..10 * (self.calls.len() + 10) {
            self.act();
            if self.waiting().is_empty() {
                return;
            }
            if let Some(&id) = self.dialling().first() {
                self.dialled(id, self.protocol);
            } else if let Some(&(call, lease)) = self.carried().first() {
                self.end_call(call, lease, false);
            } else if let Some(&id) = self.closing().first() {
                self.ended(id);
            } else {
                self.happen(&Happening::PassToTimer);
            }
        }
        panic!("calls wait for ever: {:?}", self.waiting());
    }

    /// All ends in the end, and nothing is left.
    fn end(&mut self) {
        self.happen(&Happening::ShutDown);
        self.act();
        assert!(self.waiting().is_empty());
        assert!(self.open().is_empty(), "not shut down");
        assert!(self.dialling().is_empty(), "not given up");
        for id in self.closing() {
            self.ended(id);
        }
        assert!(self.pool.is_empty());
        assert_eq!(self.pool.poll_timeout(), None);
        assert!(self.pool.poll_action().is_none());
        assert!(self.calls.iter().all(|call| *call == CallState::Over));
    }
}

fn pick<'a, T>(among: &'a [T], index: &Index) -> Option<&'a T> {
    (!among.is_empty()).then(|| index.get(among))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_call_gets_on_or_is_told_why_not_and_nothing_is_left(
        config in config(),
        happenings in prop::collection::vec((happening(), prop::bool::weighted(0.8)), 0..80),
        goes_well in any::<bool>(),
    ) {
        let mut world = World::new(config);
        for (happening, acts) in &happenings {
            world.happen(happening);
            if *acts {
                world.act();
            }
        }
        world.act();
        if goes_well {
            world.go_well();
        }
        world.end();
    }
}

//! The connections of a channel: the pool behind its mutex, and what carries out its decisions.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use connect_proto::Instant;
use connect_proto::client::Call;
use connect_proto::connection::{CallClosed, Client, ConnectionConfig, Fate};
use connect_proto::error::{Code, RpcError};

use super::dial::{Abandon, Dial, Dialled};
use super::keeper::Keeper;
use super::slot::Slot;
use super::target::Target;
use crate::driver::pool::{
    Action, Assigned, Assignment, ConnectionId, Failure, Pool, PoolConfig, PoolCounters, Protocol, Ticket,
};
use crate::driver::runtime::Runtime;
use crate::driver::shared::Shared;
use crate::driver::traffic::Meter;
use crate::trace;

type Machine = Pool<Arc<Shared<Client>>, Arc<Slot>>;
type Decision = Action<Arc<Shared<Client>>, Arc<Slot>>;

/// The connections to one address, for a channel and for the calls that it has begun.
#[derive(Debug)]
pub(super) struct Connections {
    runtime: Arc<dyn Runtime>,
    target: Target,
    config: ConnectionConfig,
    meter: Arc<Meter>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pool: Machine,
    /// Dials under way, to be given up.
    dials: BTreeMap<ConnectionId, Arc<Abandon>>,
    /// Connections that have not ended.
    alive: BTreeMap<ConnectionId, Arc<Shared<Client>>>,
    /// Those who wait until nothing is left.
    watchers: Vec<Waker>,
    /// Until when the calls that wait may do so.
    deadlines: BTreeMap<(Instant, Ticket), Arc<Slot>>,
    /// The task that lets time pass, and what it waits for.
    keeper: Option<Waker>,
    kept: Option<Instant>,
}

impl Connections {
    pub(super) fn new(
        runtime: Arc<dyn Runtime>,
        target: Target,
        mut pool: PoolConfig,
        config: ConnectionConfig,
    ) -> Arc<Self> {
        pool.protocol = target.expected();
        let state = State {
            pool: Pool::new(pool),
            dials: BTreeMap::new(),
            alive: BTreeMap::new(),
            watchers: Vec::new(),
            deadlines: BTreeMap::new(),
            keeper: None,
            kept: None,
        };
        let connections = Arc::new(Connections {
            runtime,
            target,
            config,
            meter: Arc::default(),
            state: Mutex::new(state),
        });
        connections.runtime.spawn(Box::pin(Keeper::new(Arc::downgrade(&connections))));
        connections
    }

    pub(super) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    pub(super) fn now(&self) -> Instant {
        self.runtime.now()
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn config(&self) -> &ConnectionConfig {
        &self.config
    }

    pub(super) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    pub(super) fn counters(&self) -> PoolCounters {
        self.lock().pool.counters()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What happens

    /// Takes a call in, to be put on a connection.
    pub(super) fn place(self: &Arc<Self>, call: Call) -> Arc<Slot> {
        let slot = Slot::new(self.clone(), call);
        self.open(&slot);
        slot
    }

    /// Finds a connection for a call, which waits if there is none.
    fn open(self: &Arc<Self>, slot: &Arc<Slot>) {
        self.tell(|state, now| match state.pool.open(now, slot.clone()) {
            Assignment::Assigned(assigned) => Some(Action::Assign(assigned)),
            Assignment::Waiting(ticket) => {
                state.queued(slot, ticket);
                None
            }
            Assignment::Refused(slot, why) => Some(Action::Fail(slot, why)),
        });
    }

    /// A call that waits has ended.
    pub(super) fn cancel(self: &Arc<Self>, ticket: Ticket) {
        self.tell(|state, _| {
            if let Some(slot) = state.pool.cancel(ticket) {
                state.left_queue(&slot, ticket);
            }
            None
        });
    }

    pub(super) fn dialled(self: &Arc<Self>, id: ConnectionId, dialled: io::Result<Dialled>) {
        self.tell(|state, now| {
            state.dials.remove(&id);
            match dialled {
                Ok(Dialled { shared, protocol }) => {
                    trace::connected(&self.target.address);
                    state.alive.insert(id, shared.clone());
                    state.pool.dialled(now, id, shared, protocol);
                }
                Err(error) => {
                    trace::dial_failed(&self.target.address, &error);
                    state.pool.dial_failed(now, id, error);
                }
            }
            None
        });
    }

    /// A dial was dropped with its runtime.
    pub(super) fn dial_dropped(self: &Arc<Self>, id: ConnectionId) {
        self.tell(|state, now| {
            state.dials.remove(&id);
            state.pool.dial_dropped(now, id);
            None
        });
    }

    /// A call has ended on its connection. To be told once for each.
    pub(super) fn call_ended(self: &Arc<Self>, id: ConnectionId, closed: &CallClosed, is_suspect: bool) {
        self.connection(|pool, now| match closed.fate {
            Fate::Closing(_) => pool.closing(now, id),
            Fate::Reusable | Fate::Unknown if is_suspect => {
                trace::connection_suspected(&self.target.address);
                pool.suspect(now, id);
            }
            Fate::Reusable | Fate::Unknown => pool.freed(now, id),
        });
    }

    /// Something has become of a connection.
    pub(super) fn connection(self: &Arc<Self>, happened: impl FnOnce(&mut Machine, Instant)) {
        self.tell(|state, now| {
            happened(&mut state.pool, now);
            None
        });
    }

    /// A connection is gone.
    pub(super) fn ended(self: &Arc<Self>, id: ConnectionId) {
        self.tell(|state, now| {
            state.alive.remove(&id);
            state.pool.ended(now, id);
            None
        });
        let watchers = {
            let mut state = self.lock();
            if state.pool.is_empty() { std::mem::take(&mut state.watchers) } else { Vec::new() }
        };
        watchers.into_iter().for_each(Waker::wake);
    }

    /// Takes no more calls, and ends every connection with the calls that it has, or when the grace is over.
    pub(super) fn shut_down(self: &Arc<Self>, grace: Duration) {
        self.tell(|state, now| {
            state.pool.shut_down(now);
            None
        });
        for shared in self.alive() {
            shared.command(|state, now| state.connection.shut_down(now, grace));
        }
    }

    /// The connections that have not ended.
    pub(super) fn alive(&self) -> Vec<Arc<Shared<Client>>> {
        self.lock().alive.values().cloned().collect()
    }

    /// Ready when nothing is left after a shutdown.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.pool.is_empty() {
            return Poll::Ready(());
        }
        if !state.watchers.iter().any(|watcher| watcher.will_wake(cx.waker())) {
            state.watchers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Time has passed. When to come again; `None` if time changes nothing.
    pub(super) fn tick(self: &Arc<Self>, keeper: &Waker) -> Option<Instant> {
        let mut expired = Vec::new();
        self.tell(|state, now| {
            state.keeper = Some(keeper.clone());
            while let Some(entry) = state.deadlines.first_entry().filter(|entry| entry.key().0 <= now) {
                let ((_, ticket), slot) = entry.remove_entry();
                state.pool.cancel(ticket);
                expired.push(slot);
            }
            state.pool.tick(now);
            None
        });
        expired.iter().for_each(|slot| slot.expire());
        let mut state = self.lock();
        state.kept = state.due();
        state.kept
    }

    // What follows

    /// Tells the pool something, and carries out what it decides, outside of its lock.
    fn tell(self: &Arc<Self>, what: impl FnOnce(&mut State, Instant) -> Option<Decision>) {
        let mut decisions = VecDeque::new();
        self.decide(what, &mut decisions);
        while let Some(decision) = decisions.pop_front() {
            self.carry_out(decision, &mut decisions);
        }
    }

    fn decide(
        &self,
        what: impl FnOnce(&mut State, Instant) -> Option<Decision>,
        decisions: &mut VecDeque<Decision>,
    ) {
        let now = self.now();
        let mut state = self.lock();
        decisions.extend(what(&mut state, now));
        while let Some(decision) = state.pool.poll_action() {
            if let Action::Assign(Assigned { call, lease, .. }) = &decision {
                state.left_queue(call, lease.ticket);
            }
            decisions.push_back(decision);
        }
        // The keeper is woken if it would come too late.
        let due = state.due();
        let is_late = due.is_some_and(|due| state.kept.is_none_or(|kept| due < kept));
        let keeper = if is_late { state.keeper.take() } else { None };
        drop(state);
        if let Some(keeper) = keeper {
            keeper.wake();
        }
    }

    fn carry_out(self: &Arc<Self>, decision: Decision, decisions: &mut VecDeque<Decision>) {
        match decision {
            Action::Dial { id, backed_off } => {
                let abandon = Arc::new(Abandon::default());
                self.lock().dials.insert(id, abandon.clone());
                self.runtime.spawn(Box::pin(Dial::new(self, id, backed_off, abandon)));
            }
            Action::GiveUp(id) => {
                let abandon = self.lock().dials.remove(&id);
                if let Some(abandon) = abandon {
                    abandon.abandon();
                }
            }
            Action::Assign(Assigned { call: slot, connection, lease }) => {
                match slot.attach(&connection, lease) {
                    Ok(Some(false)) if lease.protocol == Protocol::Http2 => self.decide(
                        |state, now| {
                            state.pool.filled(now, lease.connection);
                            None
                        },
                        decisions,
                    ),
                    Ok(Some(_)) => {}
                    Ok(None) => self.decide(
                        |state, now| {
                            state.pool.freed(now, lease.connection);
                            None
                        },
                        decisions,
                    ),
                    Err(why) => {
                        let is_calm = connection.lock().take_calm();
                        self.decide(
                            |state, now| {
                                if is_calm {
                                    state.pool.calm(now, lease.connection);
                                }
                                state.queued(&slot, lease.ticket);
                                state.pool.refused(now, lease, slot, why);
                                None
                            },
                            decisions,
                        );
                    }
                }
            }
            Action::Fail(slot, why) => slot.fail(error_of(&why)),
            Action::ShutDown(shared) => shared.retire(),
            Action::Cut(shared) => {
                shared.command(|state, now| state.connection.shut_down(now, Duration::ZERO));
            }
        }
    }
}

impl State {
    fn queued(&mut self, slot: &Arc<Slot>, ticket: Ticket) {
        slot.queued(ticket);
        if let Some(deadline) = slot.deadline() {
            self.deadlines.insert((deadline, ticket), slot.clone());
        }
    }

    fn left_queue(&mut self, slot: &Slot, ticket: Ticket) {
        if let Some(deadline) = slot.deadline() {
            self.deadlines.remove(&(deadline, ticket));
        }
    }

    fn due(&self) -> Option<Instant> {
        let deadline = self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline);
        deadline.into_iter().chain(self.pool.poll_timeout()).min()
    }
}

/// With the last handle go the connections, each with the calls that it still has.
impl Drop for Connections {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.alive.values().for_each(|shared| shared.retire());
        state.dials.values().for_each(|abandon| abandon.abandon());
        if let Some(keeper) = state.keeper.take() {
            keeper.wake();
        }
    }
}

fn error_of(why: &Failure) -> RpcError {
    let code = match why {
        Failure::TooManyWaiting => Code::ResourceExhausted,
        _ => Code::Unavailable,
    };
    RpcError::new(code, why.to_string())
}

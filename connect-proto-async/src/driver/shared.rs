//! A connection, shared by its task and by the handles of its calls.
//!
//! A mutex guards the machine. Whoever commands a call locks it for the command alone, and wakes the [task](super::task),
//! which reads and writes the socket. Whoever waits for a call leaves a waker here; the task collects those that a notice
//! concerns, and wakes them after it has unlocked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use connect_proto::Instant;
use connect_proto::call::Event;
use connect_proto::connection::{CallClosed, CallId, Client, Connection, Notice, Role, Server};
use connect_proto::error::{CloseReason, LostKind, ResetCode, RpcError};
use connect_proto::metadata::Metadata;

use super::runtime::Runtime;
use super::traffic::Meter;

/// How much later than a shutdown's grace is over a connection gives up by itself.
pub(crate) const BACKSTOP: Duration = Duration::from_secs(1);

/// A connection, shared.
#[derive(Debug)]
pub(crate) struct Shared<R: Role> {
    runtime: Arc<dyn Runtime>,
    meter: Arc<Meter>,
    state: Mutex<State<R>>,
}

/// What the mutex guards.
#[derive(Debug)]
pub(crate) struct State<R: Role> {
    pub(crate) connection: Connection<R>,
    parties: HashMap<CallId, Party, BuildHasherDefault<CallHasher>>,
    /// The connection's task, while it waits.
    task: Option<Waker>,
    /// When the clock was last looked at.
    now: Instant,
    /// Client: whether somebody was told that the server asks for calm.
    is_calm: bool,
    exit: Exit,
}

/// How the connection is to end, if that was asked for and is not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    None,
    /// Once it has no calls.
    Retire,
    /// At once: the task is to give the socket up.
    Sever,
}

/// Those who hold a handle of a call, and those who wait for it. A call of which nobody holds one has its events thrown
/// away, and can still be sent on.
#[derive(Debug, Default)]
struct Party {
    /// How many they are.
    members: usize,
    waiters: Waiters,
    /// Whether it is the end alone that still matters.
    only_end: bool,
    /// The verdict, if it is the end alone that matters.
    verdict: Option<Result<Metadata, RpcError>>,
    end: End,
    /// Server: why it ended under its handler, once it has.
    why: Option<CloseReason>,
}

/// How a call ended, once it has. A sender or a receiver is told at once. An `Ending` is told later, after the pool: whoever
/// awaits one may open the next call then, which is to find the connection free.
#[derive(Clone, Copy, Debug, Default)]
enum End {
    #[default]
    Open,
    /// The pool may not know of it yet.
    Noted(CallClosed),
    /// The pool knows of it.
    Told(CallClosed),
}

impl End {
    fn closed(self) -> Option<CallClosed> {
        match self {
            End::Open => None,
            End::Noted(closed) | End::Told(closed) => Some(closed),
        }
    }
}

/// Hashes the names of calls. They are given by this side: no peer can make them collide.
#[derive(Default)]
struct CallHasher(u64);

impl Hasher for CallHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, n: u64) {
        // An odd number near 2^64 divided by the golden ratio spreads the low bits over the high ones.
        self.0 = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Those who wait for a call.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    receiver: Option<Waker>,
    sender: Option<Waker>,
    watchers: Vec<Waker>,
}

/// What somebody waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    /// Events to read.
    Receive,
    /// Room to send.
    Send,
    /// The end.
    End,
}

impl<R: Role> Shared<R> {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, meter: Arc<Meter>, connection: Connection<R>) -> Arc<Self> {
        let state = State {
            connection,
            parties: HashMap::default(),
            task: None,
            now: runtime.now(),
            is_calm: false,
            exit: Exit::None,
        };
        Arc::new(Shared { runtime, meter, state: Mutex::new(state) })
    }

    pub(crate) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn now(&self) -> Instant {
        self.runtime.now()
    }

    /// For the task, and for what changes nothing that the task would have to act on.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<R>> {
        // No code of a user runs under the lock, and the machine is in order between any two commands.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the connection, and has the task look at it.
    ///
    /// The clock is not read for each message: while the task is at work, or about to be, it is as late as when it was
    /// last looked at. The task does so in each of its turns.
    pub(crate) fn command<T>(&self, command: impl FnOnce(&mut State<R>, Instant) -> T) -> T {
        let mut state = self.lock();
        let task = state.task.take();
        let now = if task.is_some() { state.look_at(&self.runtime) } else { state.now };
        let done = command(&mut state, now);
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        done
    }
}

impl<R: Role> Shared<R> {
    /// Lets the connection end with the calls that it has.
    pub(crate) fn retire(&self) {
        self.command(|state, _| {
            if state.exit == Exit::None {
                state.exit = Exit::Retire;
            }
        });
    }

    /// Ends the connection and the calls that are under way on it. What the socket takes at once is all that the peer
    /// hears of it.
    pub(crate) fn sever(&self) {
        self.command(|state, now| {
            state.exit = Exit::Sever;
            state.connection.shut_down(now, Duration::ZERO);
        });
    }
}

impl<R: Role> State<R> {
    /// Looks at the clock.
    pub(super) fn look_at(&mut self, clock: &Arc<dyn Runtime>) -> Instant {
        self.now = clock.now();
        self.now
    }

    /// Does what was put off until now.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.exit == Exit::Retire && self.connection.is_idle() {
            self.exit = Exit::None;
            self.connection.shut_down(now, Duration::ZERO);
        }
    }

    /// Whether the connection is to be severed; true once.
    pub(super) fn take_severed(&mut self) -> bool {
        let is_severed = self.exit == Exit::Sever;
        if is_severed {
            self.exit = Exit::None;
        }
        is_severed
    }

    /// Leaves a waker of somebody who waits for a call that is there, or whose end is kept.
    pub(crate) fn wait(&mut self, id: CallId, wait: Wait, cx: &Context<'_>) {
        self.parties.entry(id).or_default().waiters.wait(wait, cx);
    }

    /// One more holds a handle of the call.
    pub(crate) fn join(&mut self, id: CallId) {
        self.parties.entry(id).or_default().members += 1;
    }

    /// Nobody will look at the call's events any more, but at its end.
    pub(crate) fn await_end(&mut self, id: CallId, now: Instant) {
        if let Some(party) = self.parties.get_mut(&id) {
            party.only_end = true;
        }
        self.pass_events(id, now);
    }

    /// Polls the events of a call that nobody looks at, so that its end can come. The verdict is kept.
    pub(super) fn pass_events(&mut self, id: CallId, now: Instant) {
        while let Some(event) = self.connection.poll_event(now, id) {
            if let (Event::Finished(verdict), Some(party)) = (event, self.parties.get_mut(&id)) {
                party.verdict = Some(verdict);
            }
        }
    }

    /// Whoever looked at the call's events has gone. Those are to be woken who still wait for events or for room.
    pub(crate) fn leave(&mut self, id: CallId, now: Instant) -> Option<Waiters> {
        self.await_end(id, now);
        let left = self.parties.get_mut(&id).map(|party| party.waiters.take_all_but_watchers());
        self.forget(id);
        left
    }

    /// Whether somebody looks at the call's events.
    pub(crate) fn is_looked_at(&self, id: CallId) -> bool {
        self.parties.get(&id).is_some_and(|party| !party.only_end)
    }

    /// Whoever waited for the call's end has gone.
    pub(crate) fn forget(&mut self, id: CallId) {
        if let Entry::Occupied(mut party) = self.parties.entry(id) {
            party.get_mut().members -= 1;
            // A sender may still wait, for the room or the end of the call.
            if party.get().members == 0 && party.get().waiters.sender.is_none() {
                party.remove();
            }
        }
    }

    /// How many calls somebody holds a handle of.
    #[cfg(all(test, feature = "testing"))]
    pub(crate) fn held(&self) -> usize {
        self.parties.len()
    }

    /// There is room to send, as somebody has read who is not the one that waits for it: the other's waker.
    pub(crate) fn take_sender(&mut self, id: CallId) -> Option<Waker> {
        self.parties.get_mut(&id)?.waiters.sender.take()
    }

    /// How the call ended; `None` before that.
    pub(crate) fn end(&self, id: CallId) -> Option<CallClosed> {
        self.parties.get(&id)?.end.closed()
    }

    /// How the call ended, for whoever goes on to the next call then; `None` before it is [told](Self::tell).
    pub(crate) fn told_end(&self, id: CallId) -> Option<CallClosed> {
        match self.parties.get(&id)?.end {
            End::Told(closed) => Some(closed),
            End::Open | End::Noted(_) => None,
        }
    }

    /// The verdict of a call whose end alone mattered, if there was one.
    pub(crate) fn take_verdict(&mut self, id: CallId) -> Option<Result<Metadata, RpcError>> {
        self.parties.get_mut(&id)?.verdict.take()
    }

    /// The call has news: collects the wakers of those who wait for it. False if nobody reads its events.
    pub(super) fn rouse(&mut self, id: CallId, wakers: &mut Vec<Waker>) -> bool {
        let Some(party) = self.parties.get_mut(&id) else { return false };
        wakers.extend(party.waiters.take());
        party.members > 0 && !party.only_end
    }

    /// The call is over: keeps its end, and collects the wakers of its sender and its receiver. True if somebody still holds
    /// a handle of the call, who is to be [told](Self::tell) once the pool knows that the connection is free.
    pub(crate) fn close(&mut self, id: CallId, closed: CallClosed, wakers: &mut Vec<Waker>) -> bool {
        let Entry::Occupied(mut party) = self.parties.entry(id) else { return false };
        wakers.extend(party.get_mut().waiters.take_all_but_watchers().take());
        party.get_mut().end = End::Noted(closed);
        let is_held = party.get().members > 0;
        if !is_held {
            party.remove();
        }
        is_held
    }

    /// The pool knows that the call is over: collects the wakers of those who wait for its end.
    pub(super) fn tell(&mut self, id: CallId, wakers: &mut Vec<Waker>) {
        if let Some(party) = self.parties.get_mut(&id) {
            party.end = party.end.closed().map_or(End::Open, End::Told);
            wakers.extend(party.waiters.take());
        }
    }

    /// The task is at work, and will look at all that was commanded before it parks again.
    pub(super) fn unpark(&mut self) {
        self.task = None;
    }

    /// The task is about to wait, to be woken by the next command.
    pub(super) fn park(&mut self, cx: &Context<'_>) {
        keep(&mut self.task, cx);
    }

    /// The task is gone: tells the end to all who wait for it, and collects their wakers.
    pub(super) fn abandon(&mut self, now: Instant) -> Vec<Waker> {
        self.connection.handle_io_failed(now, LostKind::ShutDown);
        let mut wakers = Vec::new();
        while let Some(notice) = self.connection.poll_ready() {
            match notice {
                Notice::Readable(id) => self.pass_events(id, now),
                Notice::Closed(id, closed) => {
                    self.close(id, closed, &mut wakers);
                    self.tell(id, &mut wakers);
                }
                _ => {}
            }
        }
        wakers
    }
}

impl State<Server> {
    /// Notes why a call has ended under its handler, if it has: when somebody asks, the call may be gone.
    pub(crate) fn note_end(&mut self, id: CallId) {
        let why = self.connection.call(id).and_then(|call| call.ended());
        if let (Some(why), Some(party)) = (why, self.parties.get_mut(&id)) {
            party.why.get_or_insert(why);
        }
    }

    /// Why a call that is gone has ended.
    pub(crate) fn why(&self, id: CallId) -> Option<CloseReason> {
        let party = self.parties.get(&id)?;
        party.why.or_else(|| party.end.closed().map(|end| end.reason))
    }
}

impl State<Client> {
    /// Whether the server asks for calm; true once.
    pub(crate) fn take_calm(&mut self) -> bool {
        let goaway = self.connection.goaway();
        let is_asked = goaway.is_some_and(|goaway| goaway.code == ResetCode::ENHANCE_YOUR_CALM);
        is_asked && !std::mem::replace(&mut self.is_calm, true)
    }
}

impl Waiters {
    pub(crate) fn wait(&mut self, wait: Wait, cx: &Context<'_>) {
        match wait {
            Wait::Receive => keep(&mut self.receiver, cx),
            Wait::Send => keep(&mut self.sender, cx),
            Wait::End if self.watchers.iter().any(|watcher| watcher.will_wake(cx.waker())) => {}
            Wait::End => self.watchers.push(cx.waker().clone()),
        }
    }

    /// Those who wait for anything but the end.
    fn take_all_but_watchers(&mut self) -> Waiters {
        Waiters { receiver: self.receiver.take(), sender: self.sender.take(), watchers: Vec::new() }
    }

    /// All of them, to be woken.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Waker> {
        self.receiver.take().into_iter().chain(self.sender.take()).chain(self.watchers.drain(..))
    }
}

/// Keeps a waker, in place of the one that was kept before.
fn keep(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}

//! A client's call, wherever it is: without a connection, on one, or over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use connect_proto::Instant;
use connect_proto::call::{Closed, Event, Input, Phase, Processed};
use connect_proto::client::Call;
use connect_proto::connection::{CallClosed, CallId, Client, Connection, Fate, OpenError};
use connect_proto::error::{AbortReason, ApiMisuse, CloseReason, Code, LostKind, PeerMisbehaved, RpcError};
use connect_proto::message::Encoding;
use connect_proto::metadata::Metadata;

use super::CallEnd;
use super::connections::Connections;
use crate::driver::pool::{Lease, Protocol, Refusal, Ticket};
use crate::driver::shared::{self, Shared, Wait, Waiters};
use crate::driver::traffic::Meter;
use crate::rpc::SendError;
use crate::rpc::inbox::Batch;
use crate::rpc::outbox::{self, Outbox, Sending};

/// A call, shared by its handles and, as long as it waits for a connection, by the pool.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    encoding: Encoding,
    deadline: Option<Instant>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    place: Place,
    /// Those who wait for a call that has no connection.
    waiters: Waiters,
    /// Why it gets none, in more words than the call itself has.
    why: Option<RpcError>,
    /// What was decided after the call was closed.
    verdict: Option<Result<Metadata, RpcError>>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "every call begins as the large one")]
enum Place {
    Waiting { call: Call, ticket: Option<Ticket> },
    Live { shared: Arc<Shared<Client>>, id: CallId, on: Lease },
    Over(CallClosed),
}

impl Slot {
    pub(super) fn new(connections: Arc<Connections>, call: Call) -> Arc<Self> {
        let encoding = call.encoding();
        // Before it is sent, nothing else limits a call.
        let deadline = call.poll_timeout();
        let place = Place::Waiting { call, ticket: None };
        let state = Mutex::new(State { place, waiters: Waiters::default(), why: None, verdict: None });
        Arc::new(Slot { connections, encoding, deadline, state })
    }

    fn now(&self) -> Instant {
        self.connections.now()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The pool's part

    /// Until when the call may wait.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The pool has the call in its queue.
    pub(super) fn queued(&self, at: Ticket) {
        if let Place::Waiting { ticket, .. } = &mut self.lock().place {
            *ticket = Some(at);
        }
    }

    /// Puts the call on a connection; whether that could take another one at once. `None` if the call has ended meanwhile,
    /// or ends by this.
    pub(super) fn attach(&self, shared: &Arc<Shared<Client>>, on: Lease) -> Result<Option<bool>, Refusal> {
        let mut state = self.lock();
        let Place::Waiting { call, .. } = &state.place else { return Ok(None) };
        if call.is_terminal() {
            return Ok(None);
        }
        let Place::Waiting { call, ticket } = std::mem::replace(&mut state.place, Place::Over(NEVER_SENT))
        else {
            return Ok(None);
        };
        let opened = shared.command(|connection, now| {
            let opened = connection.connection.open(now, call);
            opened.map(|id| {
                connection.join(id);
                (id, connection.connection.is_free())
            })
        });
        let refused = match opened {
            Ok((id, is_free)) => {
                state.place = Place::Live { shared: shared.clone(), id, on };
                state.wake();
                return Ok(Some(is_free));
            }
            Err(refused) => refused,
        };
        state.place = Place::Waiting { call: *refused.call, ticket };
        match refused.why {
            OpenError::Busy => Err(Refusal::Busy),
            OpenError::FullDuplexOverHttp1 => {
                state.fail(self.now(), RpcError::new(Code::Unimplemented, refused.why.to_string()));
                Ok(None)
            }
            _ => Err(Refusal::GoingAway),
        }
    }

    /// The call gets no connection, for this reason.
    pub(super) fn fail(&self, why: RpcError) {
        let now = self.now();
        self.lock().fail(now, why);
    }

    /// The time has come until which the call may wait.
    pub(super) fn expire(&self) {
        let now = self.now();
        let mut state = self.lock();
        if let Place::Waiting { call, .. } = &mut state.place {
            call.handle_timeout(now);
            state.wake();
        }
    }

    // The handles' part

    pub(super) fn finish(&self) -> Result<(), ApiMisuse> {
        let now = self.now();
        match &mut self.lock().place {
            Place::Waiting { call, .. } => call.finish(now),
            Place::Live { shared, id, .. } => {
                shared.command(|connection, now| match connection.connection.call(*id) {
                    Some(mut call) => call.finish(now),
                    None => Ok(()),
                })
            }
            Place::Over(_) => Ok(()),
        }
    }

    /// Takes events into an empty inbox, or leaves a waker. False once the call is over and there are no more.
    pub(super) fn poll_fill(&self, events: &mut VecDeque<Event>, cx: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        let State { place, waiters, why, .. } = &mut *state;
        match place {
            Place::Waiting { call, .. } => {
                while let Some(event) = call.poll_event() {
                    events.push_back(match (event, &*why) {
                        (Event::Writable, _) => continue,
                        (Event::Finished(Err(_)), Some(why)) => Event::Finished(Err(why.clone())),
                        (event, _) => event,
                    });
                }
                if events.is_empty() {
                    waiters.wait(Wait::Receive, cx);
                    return Poll::Pending;
                }
                if let Some(Event::Closed(closed)) = events.back() {
                    let closed = without_connection(*closed);
                    self.connections.meter().closed(&closed);
                    *place = Place::Over(closed);
                }
                Poll::Ready(true)
            }
            Place::Live { shared, id, on } => {
                let (mut wakers, mut is_suspect) = (Vec::new(), false);
                let (there, closed) = shared.command(|connection, now| {
                    let Some(mut call) = connection.connection.call(*id) else { return (false, None) };
                    let mut batch = Batch::default();
                    call.poll_events(now, |event| {
                        let more = batch.count(&event);
                        if !matches!(event, Event::Writable) {
                            events.push_back(event);
                        }
                        more
                    });
                    if batch.is_writable {
                        wakers.extend(connection.take_sender(*id));
                    }
                    if events.is_empty() {
                        connection.wait(*id, Wait::Receive, cx);
                    }
                    explain(events, &connection.connection);
                    let closed = connection.connection.poll_closed(*id);
                    if let Some(closed) = closed {
                        connection.close(*id, closed, &mut wakers);
                        connection.forget(*id);
                        is_suspect = connection.connection.is_suspect();
                    }
                    (true, closed)
                });
                // The next call may want the connection before its task has had a turn.
                if let Some(closed) = closed {
                    shared.meter().closed(&closed);
                    let on = *on;
                    state.place = Place::Over(closed);
                    drop(state);
                    self.connections.call_ended(on.connection, &closed, is_suspect);
                }
                wakers.into_iter().for_each(Waker::wake);
                if there && closed.is_none() && events.is_empty() {
                    Poll::Pending
                } else {
                    Poll::Ready(there)
                }
            }
            Place::Over(_) => Poll::Ready(false),
        }
    }

    /// Ends the call with a fault that was found in one of its messages.
    pub(super) fn reject(&self, fault: PeerMisbehaved) {
        if let Place::Live { shared, id, .. } = &self.lock().place {
            shared.command(|connection, now| {
                if let Some(mut call) = connection.connection.call(*id) {
                    call.reject(now, fault);
                }
            });
        }
    }

    /// Aborts the call, of which the receiver hears: unless its sending side has ended anyway.
    pub(super) fn drop_sender(&self) {
        let now = self.now();
        let mut state = self.lock();
        let ticket = match &mut state.place {
            Place::Waiting { call, ticket } if is_open(call.state()) => {
                let ticket = *ticket;
                call.abort(now, AbortReason::Dropped);
                state.wake();
                ticket
            }
            Place::Live { shared, id, .. } => {
                return shared.command(|connection, now| {
                    let call = connection.connection.call(*id);
                    if let Some(mut call) = call.filter(|call| is_open(call.state())) {
                        call.abort(now, AbortReason::Dropped);
                    }
                });
            }
            Place::Waiting { .. } | Place::Over(_) => return,
        };
        drop(state);
        if let Some(ticket) = ticket {
            self.connections.cancel(ticket);
        }
    }

    /// Closes the call; its end alone still matters.
    pub(super) fn close(&self) {
        self.stop(
            |call, now| call.close(now),
            |connection, id, now| {
                if let Some(mut call) = connection.connection.call(id) {
                    call.close(now);
                }
            },
        );
        let lease = match &self.lock().place {
            Place::Live { on, .. } if on.protocol == Protocol::Http1 => *on,
            _ => return,
        };
        self.connections.connection(|pool, now| pool.draining(now, lease));
    }

    /// Aborts the call; its end alone still matters.
    pub(super) fn abort(&self, reason: AbortReason) {
        self.stop(
            |call, now| call.abort(now, reason),
            |connection, id, now| {
                if let Some(mut call) = connection.connection.call(id) {
                    call.abort(now, reason);
                }
            },
        );
    }

    fn stop(
        &self,
        waiting: impl FnOnce(&mut Call, Instant),
        live: impl FnOnce(&mut shared::State<Client>, CallId, Instant),
    ) {
        let now = self.now();
        let mut state = self.lock();
        let ticket = match &mut state.place {
            Place::Waiting { call, ticket } => {
                let ticket = *ticket;
                waiting(call, now);
                state.take_end(self.connections.meter());
                state.wake();
                ticket
            }
            Place::Live { shared, id, .. } => {
                // A limit begins by this, which the connection's own clock may be too late for.
                let sender = shared.command(|connection, told| {
                    let now = now.max(told);
                    live(connection, *id, now);
                    connection.await_end(*id, now);
                    // There will be no room for it any more.
                    connection.take_sender(*id)
                });
                return sender.into_iter().for_each(Waker::wake);
            }
            Place::Over(_) => return,
        };
        drop(state);
        if let Some(ticket) = ticket {
            self.connections.cancel(ticket);
        }
    }

    /// Nobody reads events any more: the end alone still matters.
    pub(super) fn ignore_events(&self) {
        let mut state = self.lock();
        match &state.place {
            Place::Waiting { .. } => state.take_end(self.connections.meter()),
            Place::Live { shared, id, .. } => {
                shared.command(|connection, now| connection.await_end(*id, now))
            }
            Place::Over(_) => {}
        }
    }

    /// Nobody waits for anything of the call any more.
    pub(super) fn leave(&self) {
        if let Place::Live { shared, id, .. } = &self.lock().place {
            let left = shared.command(|connection, now| connection.leave(*id, now));
            if let Some(mut left) = left {
                left.take().for_each(Waker::wake);
            }
        }
    }

    /// How the call ended, or else a waker is left.
    pub(super) fn poll_end(&self, cx: &Context<'_>) -> Poll<CallEnd> {
        let mut state = self.lock();
        state.take_end(self.connections.meter());
        let State { place, verdict, waiters, .. } = &mut *state;
        let closed = match place {
            Place::Waiting { .. } => {
                waiters.wait(Wait::End, cx);
                return Poll::Pending;
            }
            Place::Live { shared, id, .. } => {
                let mut connection = shared.lock();
                let Some(end) = connection.told_end(*id) else {
                    connection.wait(*id, Wait::End, cx);
                    return Poll::Pending;
                };
                *verdict = connection.take_verdict(*id);
                connection.forget(*id);
                end
            }
            Place::Over(closed) => *closed,
        };
        *place = Place::Over(closed);
        Poll::Ready(CallEnd { closed, verdict: verdict.take() })
    }

    /// Whether the call is over, though its end may not have been told yet.
    pub(super) fn is_over(&self) -> bool {
        match &self.lock().place {
            Place::Waiting { call, .. } => call.is_terminal(),
            Place::Live { shared, id, .. } => {
                let mut connection = shared.lock();
                connection.connection.call(*id).is_none_or(|call| call.state() == Phase::Closed)
            }
            Place::Over(_) => true,
        }
    }

    /// The reason for which the call is over, as far as that is known.
    pub(super) fn reason(&self) -> Option<CloseReason> {
        match &self.lock().place {
            Place::Waiting { .. } => None,
            Place::Live { shared, id, .. } => shared.lock().end(*id).map(|end| end.reason),
            Place::Over(closed) => Some(closed.reason),
        }
    }
}

impl Sending for Slot {
    fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    fn poll_send(&self, outbox: &mut impl Outbox, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        let mut state = self.lock();
        let State { place, waiters, .. } = &mut *state;
        match place {
            Place::Waiting { call, .. } => {
                let now = self.now();
                let sent =
                    std::iter::from_fn(|| outbox.pop()).try_for_each(|message| call.send(now, message));
                let sent = outbox::sent(outbox, sent);
                if sent.is_pending() {
                    waiters.wait(Wait::Send, cx);
                }
                sent
            }
            Place::Live { shared, id, .. } => shared.command(|connection, now| {
                let Some(mut call) = connection.connection.call(*id) else {
                    let reason = connection.end(*id).map_or(DROPPED, |end| end.reason);
                    return Poll::Ready(Err(SendError::Closed(reason)));
                };
                let sent = call.send_each(now, || outbox.pop());
                let sent = outbox::sent(outbox, sent);
                if sent.is_pending() {
                    connection.wait(*id, Wait::Send, cx);
                }
                sent
            }),
            Place::Over(closed) => Poll::Ready(Err(SendError::Closed(closed.reason))),
        }
    }

    fn poll_closed(&self, cx: &Context<'_>) -> Poll<SendError> {
        let mut state = self.lock();
        let State { place, waiters, .. } = &mut *state;
        let reason = match place {
            Place::Waiting { call, .. } if is_open(call.state()) => {
                waiters.wait(Wait::Send, cx);
                return Poll::Pending;
            }
            Place::Waiting { .. } => CloseReason::Unsent,
            Place::Live { shared, id, .. } => {
                let mut connection = shared.lock();
                if connection.connection.call(*id).is_some_and(|call| is_open(call.state())) {
                    connection.wait(*id, Wait::Send, cx);
                    return Poll::Pending;
                }
                connection.end(*id).map_or(CloseReason::Complete, |end| end.reason)
            }
            Place::Over(closed) => closed.reason,
        };
        Poll::Ready(SendError::Closed(reason))
    }
}

/// Whether the sending side may still be in use.
fn is_open(phase: Phase) -> bool {
    matches!(phase, Phase::Unsent | Phase::Active)
}

impl State {
    fn fail(&mut self, now: Instant, why: RpcError) {
        if let Place::Waiting { call, .. } = &mut self.place {
            call.handle_input(now, Input::Lost { kind: LostKind::ConnectFailed, processed: Processed::No });
            self.why = Some(why);
            self.wake();
        }
    }

    /// Of a call that has no connection and whose events nobody reads: takes its end, if it has come.
    fn take_end(&mut self, meter: &Meter) {
        let Place::Waiting { call, .. } = &mut self.place else { return };
        if call.is_terminal() {
            let mut end = None;
            while let Some(event) = call.poll_event() {
                match event {
                    Event::Finished(verdict) => self.verdict = Some(verdict),
                    Event::Closed(closed) => end = Some(without_connection(closed)),
                    _ => {}
                }
            }
            if let Some(closed) = end {
                meter.closed(&closed);
                self.place = Place::Over(closed);
            }
        }
    }

    fn wake(&mut self) {
        self.waiters.take().for_each(Waker::wake);
    }
}

const DROPPED: CloseReason = CloseReason::Aborted(AbortReason::Dropped);

const NEVER_SENT: CallClosed =
    CallClosed { reason: CloseReason::Unsent, drained: 0, processed: Processed::No, fate: Fate::Unknown };

fn without_connection(closed: Closed) -> CallClosed {
    let Closed { reason, drained, processed } = closed;
    CallClosed { reason, drained, processed, fate: Fate::Unknown }
}

/// Of a lost connection a call knows that it was lost; the connection knows what the peer did to end it.
fn explain(events: &mut VecDeque<Event>, connection: &Connection<Client>) {
    if let Some(Event::Finished(Err(error))) = events.back_mut()
        && !error.is_remote()
        && error.code() == Code::Unavailable
        && let Some(fault) = connection.fault()
    {
        *error = RpcError::new(error.code(), format!("{}: {fault}", error.message()));
    }
}

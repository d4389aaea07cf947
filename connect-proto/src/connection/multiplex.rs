//! Many calls at once: call machines joined with HTTP/2, for both roles.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::calls::{Calls, Early, Entry, Stage, Timers, Watch};
use super::live::{Carrier, Live};
use super::machine::Machine;
use super::role::{Head, Side};
use super::{CallClosed, CallId, ConnectionConfig, Notice};
use crate::call::{Event, Input, Processed};
use crate::error::{AbortReason, CloseReason, LostKind, ResetCode};
use crate::http1::{NotReusable, Shutdown};
use crate::http2::{self, Engine, StreamKey};
use crate::time::{Instant, earliest};

/// A connection that carries many calls.
#[derive(Debug)]
pub(super) struct Multiplex<S: Side> {
    pub(super) engine: Engine<S::Http2>,
    pub(super) calls: Calls<S>,
    /// Client: calls that wait for a stream.
    waiting: VecDeque<CallId>,
    max_waiting: usize,
    /// Calls that have something to tell, each once.
    ready: VecDeque<CallId>,
    /// Why no further calls are taken, where the engine does not say.
    why: Option<NotReusable>,
    /// Until when calls may go on after a shutdown.
    grace: Option<Instant>,
    /// Client: how the peer has kept silent while calls waited for it.
    silence: Silence,
    /// That was too long, and was not told.
    suspect: bool,
    ended_told: bool,
}

/// How long calls have waited in vain since the peer was heard of: of those that were given up, and where several waited
/// at a time, that counts once.
#[derive(Debug)]
struct Silence {
    /// When the peer was heard of last.
    heard: Instant,
    waited: Duration,
    /// What was before this is counted.
    counted: Instant,
    /// How much makes the connection suspect.
    limit: Option<Duration>,
}

impl Silence {
    fn new(now: Instant, limit: Option<Duration>) -> Self {
        Silence { heard: now, waited: Duration::ZERO, counted: now, limit }
    }

    /// A call that had gone out at `since` was given up, while the peer had been heard of last at `heard`. True if it has
    /// been silent for too long.
    fn gave_up(&mut self, since: Instant, heard: Instant, now: Instant) -> bool {
        if heard > since {
            return false;
        }
        if heard > self.heard {
            *self = Silence::new(heard, self.limit);
        }
        self.waited += now.saturating_duration_since(since.max(self.counted));
        self.counted = self.counted.max(now);
        self.limit.is_some_and(|limit| self.waited >= limit)
    }
}

/// A stream as its call sees it.
#[derive(Debug)]
struct StreamCarrier<'a, S: Side> {
    engine: &'a mut Engine<S::Http2>,
    /// `None` while the call waits for one.
    stream: Option<StreamKey>,
}

impl<S: Side> Carrier for StreamCarrier<'_, S> {
    fn reset(&mut self, now: Instant, code: ResetCode) -> bool {
        if let Some(stream) = self.stream {
            self.engine.reset(now, stream, code);
        }
        self.stream.is_none()
    }

    fn add_credit(&mut self, now: Instant, bytes: u64) {
        if let Some(stream) = self.stream {
            self.engine.add_credit(now, stream, usize::try_from(bytes).unwrap_or(usize::MAX));
        }
    }

    fn want_write(&mut self) {
        if let Some(stream) = self.stream {
            self.engine.want_write(stream);
        }
    }

    fn withheld(&self, now: Instant) -> Duration {
        self.engine.withheld(now)
    }
}

/// A call on its stream, as the application sees it.
#[derive(Debug)]
pub(super) struct OnStream<'a, S: Side> {
    live: &'a mut Live<S::Call>,
    carrier: StreamCarrier<'a, S>,
    watch: &'a mut Watch,
    timers: &'a mut Timers,
    ready: &'a mut VecDeque<CallId>,
}

impl<S: Side> OnStream<'_, S> {
    pub(super) fn call(&self) -> &S::Call {
        &self.live.call
    }

    pub(super) fn call_mut(&mut self) -> &mut S::Call {
        &mut self.live.call
    }

    pub(super) fn command<T>(&mut self, now: Instant, command: impl FnOnce(&mut S::Call) -> T) -> T {
        let done = self.live.command(&mut self.carrier, now, command);
        self.touched();
        done
    }

    pub(super) fn poll_events(&mut self, now: Instant, take: impl FnMut(Event) -> ControlFlow<()>) {
        self.live.poll_events(&mut self.carrier, now, take);
        self.touched();
    }

    fn touched(&mut self) {
        if self.watch.update(self.live, self.timers) {
            self.ready.push_back(self.live.id);
        }
    }
}

impl<S: Side> Multiplex<S> {
    pub(super) fn server(now: Instant, limits: Arc<http2::Limits>) -> Self {
        Multiplex::new(now, limits, 0, None)
    }

    pub(super) fn client(now: Instant, config: &ConnectionConfig) -> Self {
        Multiplex::new(now, Arc::new(config.http2.clone()), config.waiting_calls, config.suspect_after)
    }

    fn new(
        now: Instant,
        limits: Arc<http2::Limits>,
        max_waiting: usize,
        suspect_after: Option<Duration>,
    ) -> Self {
        Multiplex {
            engine: Engine::new(now, limits),
            calls: Calls::new(),
            waiting: VecDeque::new(),
            max_waiting,
            ready: VecDeque::new(),
            why: None,
            grace: None,
            silence: Silence::new(now, suspect_after),
            suspect: false,
            ended_told: false,
        }
    }

    // Wire and time in

    pub(super) fn handle_read(&mut self, now: Instant, buf: &mut BytesMut) {
        self.engine.handle_read(now, buf);
        self.deliver(now);
    }

    pub(super) fn handle_eof(&mut self, now: Instant) {
        self.why.get_or_insert(NotReusable::PeerClosed);
        self.engine.handle_eof(now);
        self.deliver(now);
    }

    pub(super) fn handle_io_failed(&mut self, now: Instant, kind: LostKind) {
        self.why.get_or_insert(NotReusable::Lost);
        self.engine.handle_io_failed(now, kind);
        self.deliver(now);
    }

    pub(super) fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        self.why.get_or_insert(NotReusable::Lost);
        self.engine.handle_write_failed(now, kind);
        self.deliver(now);
    }

    pub(super) fn handle_written(&mut self, now: Instant, n: usize) {
        self.engine.handle_written(now, n);
        self.deliver(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        if !is_due(self.calls.next_due()) && !is_due(self.grace) && !self.engine.is_due(now) {
            return;
        }
        if self.grace.is_some_and(|until| now >= until) {
            self.grace = None;
            self.abort_all(now);
        }
        while let Some(id) = self.calls.pop_due(now) {
            if let Some(entry) = self.calls.get(id)
                && let Stage::Live(live) = &mut entry.stage
            {
                let mut carrier = StreamCarrier::<S> { engine: &mut self.engine, stream: entry.stream };
                live.handle_timeout(&carrier, now);
                live.settle(&mut carrier, now);
                // A server's answer to a deadline, or its word that it receives no more.
                carrier.want_write();
            }
            self.touched(id);
        }
        self.engine.handle_timeout(now);
        self.deliver(now);
    }

    /// The grace of a shutdown is over.
    fn abort_all(&mut self, now: Instant) {
        for id in self.calls.ids() {
            if let Some(mut on_stream) = self.on_stream(id) {
                on_stream.command(now, |call| call.abort(now, AbortReason::ShutDown));
            }
        }
    }

    /// Passes on what the engine has to tell.
    fn deliver(&mut self, now: Instant) {
        while let Some((stream, event)) = self.engine.poll_event() {
            let input = match event {
                http2::Event::Head { parts, .. } => match S::read_head(now, parts) {
                    Head::Response(input) => input,
                    Head::Request(incoming) => {
                        let id = self.calls.insert(Some(stream), |_| Stage::Arrived {
                            incoming: Some(incoming),
                            told: false,
                            early: Early::default(),
                        });
                        self.touched(id);
                        continue;
                    }
                },
                http2::Event::Data(data) => Input::Data(data),
                http2::Event::End(trailers) => Input::End(trailers.map(|trailers| *trailers)),
                http2::Event::EndSent => Input::EndSent,
                http2::Event::Misbehaved(fault) => S::read_fault(fault),
                http2::Event::Reset { code, processed } => Input::Reset { code, processed },
                http2::Event::Lost { kind, processed } => Input::Lost { kind, processed },
            };
            if let Some(id) = self.calls.on_stream(stream) {
                self.input(now, id, input);
            }
        }
        self.assign(now);
    }

    fn input(&mut self, now: Instant, id: CallId, input: Input) {
        if self.take_input(now, id, input) {
            self.touched(id);
        }
    }

    /// True if the call is to be [touched](Self::touched).
    fn take_input(&mut self, now: Instant, id: CallId, input: Input) -> bool {
        let Some(entry) = self.calls.get(id) else { return false };
        match &mut entry.stage {
            // Bounded by the stream's window, which nothing widens before the call is started.
            Stage::Arrived { early, .. } => {
                early.push(input);
                false
            }
            Stage::Live(live) => {
                let mut carrier = StreamCarrier::<S> { engine: &mut self.engine, stream: entry.stream };
                live.input(&mut carrier, now, input);
                carrier.want_write();
                true
            }
        }
    }

    // Commands

    /// Takes a call, which gets a stream at once or when there is one.
    pub(super) fn open(&mut self, now: Instant, call: S::Call) -> CallId {
        let id = self.calls.insert(None, |id| Stage::Live(Box::new(Live::new(id, call, Duration::ZERO))));
        self.waiting.push_back(id);
        self.touched(id);
        self.assign(now);
        id
    }

    /// Whether the peer has kept silent for too long, and that was not told.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Whether no further call may wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.max_waiting
    }

    pub(super) fn on_stream(&mut self, id: CallId) -> Option<OnStream<'_, S>> {
        let (entry, timers) = self.calls.get_with_timers(id)?;
        let Entry { stream, stage: Stage::Live(live), watch, .. } = entry else { return None };
        let carrier = StreamCarrier { engine: &mut self.engine, stream: *stream };
        Some(OnStream { live, carrier, watch, timers, ready: &mut self.ready })
    }

    /// Gives streams to the calls that wait, and fails them when there will be none.
    fn assign(&mut self, now: Instant) {
        while let Some(&id) = self.waiting.front() {
            let waits = self.calls.get(id).is_some_and(|entry| entry.is_unfinished());
            if waits {
                match S::open(&mut self.engine, now) {
                    Ok(stream) => {
                        self.calls.attach(id, stream);
                        self.engine.want_write(stream);
                    }
                    Err(http2::OpenError::Busy) => return,
                    Err(_) => {
                        let input = self.refusal();
                        self.input(now, id, input);
                    }
                }
            }
            self.waiting.pop_front();
        }
    }

    /// What a call hears that gets no stream any more.
    fn refusal(&self) -> Input {
        let processed = Processed::No;
        let kind = match (self.reuse(), self.engine.lost()) {
            (_, Some(kind)) => kind,
            (Err(NotReusable::GoingAway), _) => {
                return Input::Reset { code: ResetCode::REFUSED_STREAM, processed };
            }
            (Err(NotReusable::ShutDown), _) => LostKind::ShutDown,
            (Err(NotReusable::PeerClosed), _) => LostKind::Eof,
            _ => LostKind::Failed,
        };
        Input::Lost { kind, processed }
    }

    /// Makes a call of a request that has arrived; false if there is no such request.
    pub(super) fn start(
        &mut self,
        now: Instant,
        id: CallId,
        start: impl FnOnce(S::Incoming) -> S::Call,
    ) -> bool {
        let Some(mut early) = self.calls.start(id, start, self.engine.withheld(now)) else { return false };
        // Of a request that is there as a whole no limit gets among the timers.
        while let Some(input) = early.pop() {
            self.take_input(now, id, input);
        }
        if let Some(stream) = self.calls.get(id).and_then(|entry| entry.stream) {
            self.engine.want_write(stream);
        }
        self.touched(id);
        true
    }

    pub(super) fn shut_down(&mut self, now: Instant, grace: Duration) {
        self.why.get_or_insert(NotReusable::ShutDown);
        self.grace = earliest(self.grace, Some(now.saturating_add(grace)));
        self.engine.shut_down(now, grace);
        self.lose_unsent(now);
        self.deliver(now);
    }

    /// Ends the calls of which nothing was sent.
    fn lose_unsent(&mut self, now: Instant) {
        for id in self.calls.ids() {
            if self.calls.get(id).is_some_and(|entry| entry.is_unsent()) {
                self.input(now, id, Input::Lost { kind: LostKind::ShutDown, processed: Processed::No });
            }
        }
    }

    // Outputs

    /// Lets the calls write in turn, as far as there is room.
    fn pull(&mut self, now: Instant) {
        while let Some((stream, max)) = self.engine.poll_writable() {
            let Some(id) = self.calls.on_stream(stream) else { continue };
            if let Some(entry) = self.calls.get(id) {
                entry.write(&mut self.engine, now, stream, max);
            }
            self.touched(id);
        }
    }

    pub(super) fn output<'a>(&'a mut self, now: Instant, slices: &mut [IoSlice<'a>]) -> usize {
        self.pull(now);
        self.deliver(now);
        self.engine.output(slices)
    }

    pub(super) fn poll_ready(&mut self) -> Option<Notice> {
        while let Some(id) = self.ready.pop_front() {
            let Some(entry) = self.calls.get(id) else { continue };
            entry.watch.queued = false;
            match &mut entry.stage {
                Stage::Arrived { told: told @ false, .. } => {
                    *told = true;
                    return Some(Notice::Incoming(id));
                }
                Stage::Arrived { .. } => {}
                Stage::Live(live) if live.call.has_only_closed() => {
                    if let Some(closed) = self.poll_closed(id) {
                        return Some(Notice::Closed(id, closed));
                    }
                }
                Stage::Live(live) if live.has_news() => {
                    live.tell();
                    return Some(Notice::Readable(id));
                }
                Stage::Live(_) => {}
            }
        }
        if std::mem::take(&mut self.suspect) {
            return Some(Notice::Suspect);
        }
        if !self.engine.is_closed() || !self.calls.is_empty() || self.ended_told {
            return None;
        }
        let why = self.reuse().err()?;
        self.ended_told = true;
        Some(Notice::Ended(why))
    }

    /// The end of a call, if it is there and nothing comes before it.
    pub(super) fn poll_closed(&mut self, id: CallId) -> Option<CallClosed> {
        let Stage::Live(live) = &mut self.calls.get(id)?.stage else { return None };
        if !live.call.has_only_closed() {
            return None;
        }
        let Event::Closed(closed) = live.call.poll_event()? else { return None };
        let fate = self.reuse();
        let (stream, head_at) = self.calls.remove(id)?;
        if let Some(stream) = stream {
            // The engine goes by the latest time that it was told.
            self.engine.release(Instant::ORIGIN, stream);
        } else if let Some(at) = self.waiting.iter().position(|waits| *waits == id) {
            self.waiting.remove(at);
        }
        let gave_up = matches!(
            closed.reason,
            CloseReason::Deadline | CloseReason::DrainTimedOut | CloseReason::Aborted(_)
        );
        if gave_up && let Some(head_at) = head_at {
            self.suspect |= self.silence.gave_up(head_at, self.engine.last_heard(), self.engine.now());
        }
        Some(CallClosed::new(closed, fate))
    }

    /// Whether the connection takes further calls.
    pub(super) fn reuse(&self) -> Result<(), NotReusable> {
        if self.engine.fault().is_some() {
            Err(NotReusable::PeerMisbehaved)
        } else if let Some(why) = self.why {
            Err(why)
        } else if self.engine.goaway().is_some() {
            Err(NotReusable::GoingAway)
        } else if let Some(kind) = self.engine.lost() {
            Err(match kind {
                LostKind::Eof => NotReusable::PeerClosed,
                LostKind::WriteStalled => NotReusable::WriteStalled,
                LostKind::ShutDown => NotReusable::ShutDown,
                _ => NotReusable::Lost,
            })
        } else if !self.engine.is_open() {
            Err(NotReusable::Idle)
        } else {
            Ok(())
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let grace = self.grace.filter(|_| !self.engine.is_closed());
        earliest(earliest(self.calls.next_due(), grace), self.engine.poll_timeout())
    }

    pub(super) fn poll_shutdown(&mut self) -> Option<Shutdown> {
        self.engine.poll_shutdown()
    }

    /// To be done after anything that may have changed a call: what it has to tell gets into the queue, its limit
    /// among the timers.
    pub(super) fn touched(&mut self, id: CallId) {
        if self.calls.watch(id) {
            self.ready.push_back(id);
        }
    }
}

//! One exchange at a time: a call machine joined with HTTP/1.1, for both roles.

use std::io::IoSlice;
use std::time::Duration;

use bytes::BytesMut;

use super::link::Link;
use super::live::{Carrier, Live};
use super::machine::Machine;
use super::{CallClosed, CallId, Notice};
use crate::call::{BodySize, Closed, Event, Input, Processed, Transmit};
use crate::error::{AbortReason, LostKind, ResetCode};
use crate::http1::{self, NotReusable, Shutdown};
use crate::time::{Instant, earliest, is_due};

/// A link, and how much of a body may come in over it.
#[derive(Debug)]
pub(super) struct Wire<L> {
    pub(super) link: L,
    receive_window: u64,
    /// Bytes of the body that have come in and that the call has not given free yet.
    pub(super) held: u64,
}

impl<L> Wire<L> {
    /// Whether more of a body may come in.
    fn has_window(&self) -> bool {
        self.held < self.receive_window
    }
}

impl<L: Link> Carrier for Wire<L> {
    fn reset(&mut self, now: Instant, _: ResetCode) -> bool {
        self.link.abort(now)
    }

    fn add_credit(&mut self, _: Instant, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
    }

    fn want_write(&mut self) {}

    fn withheld(&self, _: Instant) -> Duration {
        Duration::ZERO
    }
}

impl<M: Machine> Live<M> {
    /// Moves what the call wants to send to the link, as far as there is room.
    fn pull<L: Link<Out = M::Head>>(&mut self, wire: &mut Wire<L>, now: Instant) {
        let was_writable = self.call.is_writable();
        while let Some(transmit) = self.call.poll_transmit(wire.link.room()) {
            match transmit {
                Transmit::Head { parts, body } => {
                    self.send_head(wire, now, &parts, body);
                    wire.link.recycle(parts);
                }
                Transmit::Data(chunk) => wire.link.send_data(now, chunk),
                Transmit::End(_) => wire.link.send_end(now),
                Transmit::Reset(_) => self.recalled = wire.link.abort(now),
                Transmit::StopReceiving => wire.link.stop_receiving(now),
            }
        }
        self.written(was_writable);
    }

    fn send_head<L: Link<Out = M::Head>>(
        &mut self,
        wire: &mut Wire<L>,
        now: Instant,
        parts: &M::Head,
        body: BodySize,
    ) {
        let receiving = wire.link.is_receiving();
        wire.link.send_head(now, parts, body);
        if receiving && !wire.link.is_receiving() && !wire.link.is_closed() {
            // A client that asked before it sent the body is answered already: the rest does not matter.
            self.call.handle_input(now, Input::End(None));
        }
    }
}

/// A connection that carries one call at a time.
#[derive(Debug)]
pub struct Exchange<L, M> {
    pub(super) wire: Wire<L>,
    pub(super) live: Option<Live<M>>,
    next_id: u64,
    /// Until when the call under way may go on after a shutdown.
    pub(super) grace: Option<Instant>,
    ended_told: bool,
}

impl<L: Link, M: Machine<Head = L::Out>> Exchange<L, M> {
    pub(super) fn new(link: L, receive_window: u64) -> Self {
        // Without any window no connection could ever read.
        let wire = Wire { link, receive_window: receive_window.max(1), held: 0 };
        Exchange { wire, live: None, next_id: 0, grace: None, ended_told: false }
    }

    pub(super) fn next_id(&mut self) -> CallId {
        self.next_id += 1;
        CallId(self.next_id)
    }

    /// Puts a call on the connection, which must be free.
    pub(super) fn put(&mut self, id: CallId, call: M) {
        self.wire.held = 0;
        self.live = Some(Live::new(id, call, Duration::ZERO));
    }

    /// A call and the wire it is on.
    pub(super) fn live(&mut self, id: CallId) -> Option<(&mut Live<M>, &mut Wire<L>)> {
        let live = self.live.as_mut().filter(|live| live.id == id)?;
        Some((live, &mut self.wire))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.wire.link.is_closed()
    }

    /// Whether a call could be put on the connection.
    pub(super) fn is_free(&self) -> bool {
        self.live.is_none() && self.wire.link.is_idle() && self.wire.link.reuse().is_ok()
    }

    pub(super) fn wants_read(&self) -> bool {
        self.wire.has_window() && !self.is_untold() && self.wire.link.wants_read()
    }

    /// Whether HTTP is done with a call whose end was not told yet: what comes next is not looked at before.
    fn is_untold(&self) -> bool {
        self.wire.link.is_idle() && self.live.as_ref().is_some_and(|live| live.call.is_terminal())
    }

    /// Passes bytes on until the link or the window has had enough. `head` takes the head of a message.
    pub(super) fn handle_read(
        &mut self,
        now: Instant,
        buf: &mut BytesMut,
        mut head: impl FnMut(&mut Self, Box<L::In>) -> bool,
    ) {
        loop {
            if self.wire.has_window() && !self.is_untold() {
                self.wire.link.handle_read(now, buf);
            }
            if !self.deliver_next(now, &mut head) {
                return;
            }
        }
    }

    /// Delivers what the link has to tell without new bytes. Without a call it waits: a request that is not started
    /// yet may have been lost already.
    pub(super) fn deliver(&mut self, now: Instant) {
        let is_shut_down = self.wire.link.reuse() == Err(NotReusable::ShutDown);
        self.deliver_loss(now, if is_shut_down { LostKind::ShutDown } else { LostKind::Failed });
    }

    /// The same, where the connection is lost like this, if it is. HTTP tells the loss of an exchange; that of a call which
    /// has not begun one is told here.
    fn deliver_loss(&mut self, now: Instant, kind: LostKind) {
        while self.live.is_some() && self.deliver_next(now, &mut |_, _| false) {}
        if self.wire.link.is_closed() && self.live.as_ref().is_some_and(|live| !live.call.is_terminal()) {
            self.input(now, Input::Lost { kind, processed: Processed::No });
        }
    }

    /// Delivers one event; false if there is none, or if the head of a message wants to be looked at first.
    fn deliver_next(&mut self, now: Instant, head: &mut impl FnMut(&mut Self, Box<L::In>) -> bool) -> bool {
        let Some(event) = self.wire.link.poll_event() else { return false };
        let input = match event {
            http1::Event::Head { parts, .. } => return head(self, parts),
            http1::Event::Misbehaved(fault) => Input::Misbehaved(fault),
            http1::Event::Data(data) => {
                self.wire.held += data.len() as u64;
                Input::Data(data)
            }
            http1::Event::End => Input::End(None),
            http1::Event::EndSent => Input::EndSent,
            http1::Event::Lost { kind, processed } => Input::Lost { kind, processed },
        };
        self.input(now, input);
        true
    }

    pub(super) fn input(&mut self, now: Instant, input: Input) {
        if let Some(live) = &mut self.live {
            live.input(&mut self.wire, now, input);
        }
    }

    pub(super) fn handle_eof(&mut self, now: Instant) {
        self.wire.link.handle_eof(now);
        self.deliver_loss(now, LostKind::Eof);
    }

    pub(super) fn handle_io_failed(&mut self, now: Instant, kind: LostKind) {
        self.wire.link.handle_io_failed(now, kind);
        self.deliver_loss(now, kind);
    }

    pub(super) fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        self.wire.link.handle_write_failed(now, kind);
        self.deliver_loss(now, kind);
    }

    pub(super) fn handle_written(&mut self, now: Instant, n: usize) {
        self.wire.link.handle_written(now, n);
        self.deliver(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let is_over = is_due(self.grace(), now);
        let is_call_due = self.live.as_ref().is_some_and(|live| is_due(live.call.poll_timeout(), now));
        if !is_over && !is_call_due && !self.wire.link.is_due(now) {
            return;
        }
        match &mut self.live {
            Some(live) => {
                live.call.handle_timeout(now);
                if is_over {
                    live.call.abort(now, AbortReason::ShutDown);
                }
            }
            None if is_over && self.wire.link.awaits_request() => {
                self.wire.link.abort(now);
            }
            None => {}
        }
        self.settle(now);
        self.wire.link.handle_timeout(now);
        self.deliver(now);
    }

    pub(super) fn shut_down(&mut self, now: Instant, grace: Duration) {
        self.wire.link.shut_down(now);
        self.deliver(now);
        self.grace = earliest(self.grace, Some(now.saturating_add(grace)));
        self.handle_timeout(now);
    }

    fn settle(&mut self, now: Instant) {
        if let Some(live) = &mut self.live {
            live.settle(&mut self.wire, now);
        }
    }

    pub(super) fn output<'a>(&'a mut self, now: Instant, slices: &mut [IoSlice<'a>]) -> usize {
        self.handle_timeout(now);
        if let Some(live) = &mut self.live {
            live.pull(&mut self.wire, now);
        }
        self.deliver(now);
        self.wire.link.output(slices)
    }

    pub(super) fn poll_ready(&mut self) -> Option<Notice> {
        if let Some(live) = &self.live {
            let id = live.id;
            if let Some(closed) = self.poll_closed(id) {
                return Some(Notice::Closed(id, closed));
            }
            let live = self.live.as_mut()?;
            if !live.has_news() {
                return None;
            }
            live.tell();
            return Some(Notice::Readable(live.id));
        }
        match self.wire.link.reuse() {
            Err(why) if self.wire.link.is_closed() && !self.ended_told => {
                self.ended_told = true;
                Some(Notice::Ended(why))
            }
            _ => None,
        }
    }

    /// The end of a call, if it is there and nothing comes before it.
    pub(super) fn poll_closed(&mut self, id: CallId) -> Option<CallClosed> {
        let live = self.live.as_mut().filter(|live| live.id == id && live.call.has_only_closed())?;
        let Event::Closed(closed) = live.call.poll_event()? else { return None };
        let fate = self.wire.link.reuse();
        let processed = if live.recalled { Processed::No } else { closed.processed };
        self.live = None;
        self.wire.held = 0;
        Some(CallClosed::new(Closed { processed, ..closed }, fate))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let call = self.live.as_ref().and_then(|live| live.call.poll_timeout());
        earliest(earliest(call, self.grace()), self.wire.link.poll_timeout())
    }

    /// When what is under way is given up, if anything is.
    fn grace(&self) -> Option<Instant> {
        self.grace.filter(|_| match &self.live {
            Some(live) => !live.call.is_terminal(),
            None => self.wire.link.awaits_request(),
        })
    }

    pub(super) fn poll_shutdown(&mut self) -> Option<Shutdown> {
        self.wire.link.poll_shutdown()
    }
}

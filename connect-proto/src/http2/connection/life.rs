//! The life of the connection: time limits, shutdown and the end.

use std::time::Duration;

use super::super::Event;
use super::super::frame::{self, StreamId};
use super::super::limits::{KeepAlive, Limits};
use super::super::role::Role;
use super::super::stream::{Cause, State};
use super::super::streams::StreamKey;
use super::Engine;
use crate::Instant;
use crate::error::{LostKind, PeerMisbehaved, ResetCode};
use crate::time::earliest;

/// Where the connection is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Open,
    /// Server: the client was told that the end is near; it may not know yet.
    Noticed,
    /// No stream is taken any more; those that there are go on.
    Leaving,
    /// What is queued goes out, and nothing is read.
    Flushing,
    /// All is written; what the peer still sends is discarded.
    Lingering,
    Closed,
}

impl Phase {
    /// Whether there are no streams any more.
    pub(super) fn is_ending(self) -> bool {
        matches!(self, Phase::Flushing | Phase::Lingering | Phase::Closed)
    }
}

/// What a PING of this side says, so that its acknowledgement is known.
const KEEP_ALIVE: [u8; 8] = *b"alive?\0\0";
const NOTICE: [u8; 8] = *b"leaving\0";

/// When what is due.
#[derive(Debug)]
pub(super) struct Timers {
    /// Nothing is due before this: so that most calls need no look at what follows.
    earliest: Option<Instant>,
    /// When bytes of the peer came last.
    heard: Instant,
    /// Whether a keep-alive ping is under way, and since when.
    pinged: Option<Instant>,
    /// When unmoved output is given up.
    stall: Option<Instant>,
    settings_ack: Option<Instant>,
    /// The preface, or the rest of a field block.
    head: Option<Instant>,
    idle: Option<Instant>,
    notice: Option<Instant>,
    grace: Option<Instant>,
    linger: Option<Instant>,
    /// How the transport failed in writing, while there is still something to be read.
    write_failed: LostKind,
}

impl Timers {
    pub(super) fn new(now: Instant, limits: &Limits, is_server: bool) -> Self {
        Timers {
            earliest: Some(now),
            heard: now,
            pinged: None,
            stall: None,
            settings_ack: after(now, limits.settings_ack),
            head: if is_server { after(now, limits.head_timeout) } else { None },
            idle: None,
            notice: None,
            grace: None,
            linger: None,
            write_failed: LostKind::Failed,
        }
    }

    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Bytes of the peer have come.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn await_head(&mut self, now: Instant, limits: &Limits) {
        self.head = after(now, limits.head_timeout);
        self.look_at(self.head);
    }

    /// Something is due at that time.
    fn look_at(&mut self, at: Option<Instant>) {
        self.earliest = earliest(self.earliest, at);
    }

    pub(super) fn head_came(&mut self) {
        self.head = None;
    }

    pub(super) fn settings_came(&mut self) {
        self.settings_ack = None;
    }

    pub(super) fn output_moved(&mut self) {
        self.stall = None;
    }

    fn next(&self) -> Option<Instant> {
        let wire = earliest(earliest(self.stall, self.settings_ack), self.head);
        let end = earliest(earliest(self.notice, self.grace), self.linger);
        earliest(earliest(wire, end), self.idle)
    }

    fn clear(&mut self) {
        (self.stall, self.settings_ack, self.head) = (None, None, None);
        (self.idle, self.notice, self.grace, self.linger) = (None, None, None, None);
    }
}

/// How long the peer was held back by what is not consumed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Withheld {
    /// In all, but for now.
    before: Duration,
    since: Option<Instant>,
}

/// `now` and a limit later, if there is a limit.
fn after(now: Instant, limit: Option<Duration>) -> Option<Instant> {
    limit.map(|limit| now.saturating_add(limit))
}

/// Takes a point in time that has come.
fn take_due(at: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = at.is_some_and(|at| now >= at);
    if is_due {
        *at = None;
    }
    is_due
}

impl<R: Role> Engine<R> {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        earliest(self.timers.next(), self.keep_alive_at())
    }

    /// A peer that has asked for calm gets fewer pings.
    fn keep_alive(&self) -> Option<KeepAlive> {
        let is_calm = self.goaway.as_ref().is_some_and(|goaway| goaway.code == ResetCode::ENHANCE_YOUR_CALM);
        if is_calm { self.limits.keep_alive.map(KeepAlive::backed_off) } else { self.limits.keep_alive }
    }

    /// When the next ping goes out, or the one under way is given up.
    fn keep_alive_at(&self) -> Option<Instant> {
        let keep_alive = self.keep_alive()?;
        if self.phase.is_ending() || self.output.is_dead() {
            return None;
        }
        if let Some(pinged) = self.timers.pinged {
            return Some(pinged.max(self.timers.heard).saturating_add(keep_alive.timeout));
        }
        let is_wanted = keep_alive.while_idle || self.active > 0;
        is_wanted.then(|| self.timers.heard.saturating_add(keep_alive.interval))
    }

    /// Whether something may be due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.timers.earliest.is_some_and(|at| now >= at)
    }

    /// Expires what is due, and returns the time to go by.
    #[inline]
    pub(super) fn expire(&mut self, now: Instant) -> Instant {
        let now = self.clock.advance(now);
        if self.is_due(now) {
            self.expire_due(now);
        }
        now
    }

    fn expire_due(&mut self, now: Instant) {
        while self.next_timeout().is_some_and(|at| now >= at) {
            self.fire(now);
        }
        self.timers.earliest = earliest(self.timers.next(), self.keep_alive_from());
    }

    /// No ping of this side is due before this, whatever streams come.
    fn keep_alive_from(&self) -> Option<Instant> {
        let keep_alive = self.keep_alive()?;
        Some(self.timers.heard.saturating_add(keep_alive.interval.min(keep_alive.timeout)))
    }

    fn fire(&mut self, now: Instant) {
        if self.keep_alive_at().is_some_and(|at| now >= at) {
            if self.timers.pinged.is_some() {
                self.lose_connection(LostKind::Unresponsive);
            } else {
                self.timers.pinged = Some(now);
                self.output.frame(&frame::ping(false, KEEP_ALIVE));
            }
        }
        if take_due(&mut self.timers.stall, now) {
            self.lose_connection(LostKind::WriteStalled);
        }
        if take_due(&mut self.timers.settings_ack, now) {
            self.fail(PeerMisbehaved::SettingsTimeout);
        }
        if take_due(&mut self.timers.head, now) {
            self.fail(PeerMisbehaved::HeadTimeout);
        }
        if take_due(&mut self.timers.notice, now) {
            self.leave();
        }
        if take_due(&mut self.timers.idle, now) {
            self.begin_shutdown(now, self.limits.linger);
        }
        if take_due(&mut self.timers.grace, now) {
            self.leave();
            self.phase = Phase::Flushing;
            self.lose_streams(LostKind::ShutDown);
            // That goes out soon, or not at all.
            self.timers.linger = Some(now.saturating_add(self.limits.linger));
            self.timers.look_at(self.timers.linger);
        }
        if take_due(&mut self.timers.linger, now) {
            self.lose_connection(self.timers.write_failed);
        }
        self.settle(now);
    }

    /// How long in all what was received and not consumed has left the peer next to nothing of the connection's window.
    pub(crate) fn withheld(&self, now: Instant) -> Duration {
        let current =
            self.withheld.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.withheld.before + current
    }

    /// To be done after everything: the connection goes on to its end as far as it can, and the output is watched.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.recv.is_used_up() != self.withheld.since.is_some() {
            let before = self.withheld(now);
            self.withheld = Withheld { before, since: self.recv.is_used_up().then_some(now) };
        }
        if self.phase == Phase::Leaving && self.active == 0 && self.ends.is_empty() {
            self.phase = Phase::Flushing;
        }
        if self.output.is_dead() && self.active == 0 && self.phase != Phase::Closed {
            self.lose_connection(self.timers.write_failed);
        }
        if self.phase == Phase::Flushing && self.output.is_empty() {
            self.phase = Phase::Lingering;
            self.timers.clear();
            self.timers.linger = Some(now.saturating_add(self.limits.linger));
            self.timers.look_at(self.timers.linger);
        }
        let is_idle = R::IS_SERVER && self.phase == Phase::Open && self.active == 0;
        if !is_idle {
            self.timers.idle = None;
        } else if self.timers.idle.is_none() {
            self.timers.idle = after(now, self.limits.idle_timeout);
            self.timers.look_at(self.timers.idle);
        }
        if self.output.is_empty() {
            self.timers.stall = None;
        } else if self.timers.stall.is_none() {
            self.timers.stall = after(now, self.limits.write_stall);
            self.timers.look_at(self.timers.stall);
        }
    }

    /// A ping of this side is acknowledged.
    pub(super) fn pong(&mut self, payload: [u8; 8]) {
        if payload == KEEP_ALIVE {
            self.timers.pinged = None;
        } else if payload == NOTICE && self.phase == Phase::Noticed {
            self.leave();
        }
    }

    pub(super) fn begin_shutdown(&mut self, now: Instant, grace: Duration) {
        if self.phase.is_ending() {
            return;
        }
        self.timers.grace = earliest(self.timers.grace, Some(now.saturating_add(grace)));
        self.timers.look_at(self.timers.grace);
        if self.phase != Phase::Open {
            return;
        }
        if R::IS_SERVER {
            self.phase = Phase::Noticed;
            self.output.frame(&frame::goaway(StreamId::MAX, ResetCode::NO_ERROR, ""));
            self.output.frame(&frame::ping(false, NOTICE));
            self.timers.notice = Some(now.saturating_add(self.limits.shutdown_notice));
            self.timers.look_at(self.timers.notice);
        } else {
            self.leave();
        }
    }

    /// Takes no more streams, and says which was the last.
    pub(super) fn leave(&mut self) {
        if matches!(self.phase, Phase::Open | Phase::Noticed) {
            self.phase = Phase::Leaving;
            self.timers.notice = None;
            self.output.frame(&frame::goaway(frame::wire_id(self.taken_id), ResetCode::NO_ERROR, ""));
        }
    }

    /// The peer broke a rule of the connection.
    pub(super) fn fail(&mut self, fault: PeerMisbehaved) {
        if self.phase.is_ending() {
            return;
        }
        self.fault = Some(fault);
        let last = frame::wire_id(self.taken_id);
        self.output.frame(&frame::goaway(last, fault.reset_code(), &fault.to_string()));
        self.phase = Phase::Flushing;
        self.lose_streams(LostKind::Failed);
        self.block = None;
    }

    pub(super) fn end_of_input(&mut self, kind: LostKind) {
        if self.left > 0 && self.is_reading_paused() && !self.phase.is_ending() {
            self.input_over.get_or_insert(kind);
        } else {
            self.lose_connection(kind);
        }
    }

    pub(super) fn end_of_output(&mut self, now: Instant, kind: LostKind) {
        if R::IS_SERVER || self.phase.is_ending() {
            return self.lose_connection(kind);
        }
        if !self.output.is_dead() {
            self.output.kill();
            self.timers.clear();
            self.timers.write_failed = kind;
            self.timers.linger = Some(now.saturating_add(self.limits.linger));
            self.timers.look_at(self.timers.linger);
            self.phase = Phase::Leaving;
        }
    }

    /// The connection is over at once.
    pub(super) fn lose_connection(&mut self, kind: LostKind) {
        if !self.phase.is_ending() {
            self.lost = Some(kind);
        }
        self.phase = Phase::Closed;
        self.lose_streams(kind);
        self.output.kill();
        self.timers.clear();
        self.block = None;
    }

    /// All streams that are not complete are lost.
    fn lose_streams(&mut self, kind: LostKind) {
        let keys: Vec<StreamKey> = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.state.is_closed() || stream.end_unwritten)
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            let processed = self.processed(key);
            self.push(key, Event::Lost { kind, processed });
            self.enter(key, State::Closed(Cause::ResetHere));
            self.abandon(key);
        }
        self.ends.clear();
    }
}

//! What waits to be told to the application.

use http::response;

use crate::call::queue::Queue;
use crate::call::{Closed, Event};
use crate::error::RpcError;
use crate::message::Inbound;
use crate::metadata::{Metadata, Seldom};

/// A slot for each kind of event, so that the order of [`Event`] holds whatever is put in when.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// The head of a response, whose box costs less to keep than its headers to move.
    head: Option<Box<response::Parts>>,
    messages: Queue<(Inbound, u64)>,
    /// Bytes that the waiting messages took on the wire, prefixes included.
    waiting: u64,
    writable: bool,
    half_closed: bool,
    verdict: Verdict,
    closed: Option<Closed>,
}

#[derive(Debug, Default)]
enum Verdict {
    #[default]
    Open,
    Queued(Result<Seldom, RpcError>),
    /// Told to the application, or never to be told to it.
    Settled,
}

impl Events {
    pub(crate) fn head(&mut self, head: Box<response::Parts>) {
        self.head = Some(head);
    }

    /// `wire_len` counts the prefix too.
    #[inline]
    pub(crate) fn message(&mut self, message: Inbound, wire_len: u64) {
        self.waiting += wire_len;
        self.messages.push((message, wire_len));
    }

    pub(crate) fn writable(&mut self) {
        self.writable = true;
    }

    /// There is no room, whatever the application was about to be told.
    pub(crate) fn full(&mut self) {
        self.writable = false;
    }

    pub(crate) fn half_closed(&mut self) {
        self.half_closed = true;
    }

    /// The first verdict stands.
    pub(crate) fn finished(&mut self, verdict: Result<Seldom, RpcError>) {
        if matches!(self.verdict, Verdict::Open) {
            self.verdict = Verdict::Queued(verdict);
        }
    }

    /// The call has failed. The error is made only if it is the verdict: mostly there is one already.
    pub(crate) fn failed(&mut self, error: impl FnOnce() -> RpcError) {
        if matches!(self.verdict, Verdict::Open) {
            self.verdict = Verdict::Queued(Err(error()));
        }
    }

    /// A fault that the application found in a message it had popped: it overrules a success not told yet.
    pub(crate) fn overrule(&mut self, error: RpcError) {
        if matches!(self.verdict, Verdict::Queued(Ok(_))) {
            self.verdict = Verdict::Queued(Err(error));
        }
    }

    /// There will be no verdict but one that is queued already.
    pub(crate) fn withhold_verdict(&mut self) {
        if matches!(self.verdict, Verdict::Open) {
            self.verdict = Verdict::Settled;
        }
    }

    pub(crate) fn closed(&mut self, closed: Closed) {
        self.closed = Some(closed);
        self.writable = false;
    }

    /// Forgets the messages, which the application has said it does not want.
    pub(crate) fn purge_messages(&mut self) {
        self.messages.clear();
        self.waiting = 0;
        // An end without the messages before it would look like a request that had none.
        self.half_closed = false;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.closed.is_none() && self.is_told()
    }

    /// Whether the end is all that is left.
    pub(crate) fn has_only_closed(&self) -> bool {
        self.closed.is_some() && self.is_told()
    }

    /// Whether there is room again, and that was not told.
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether the verdict or the end waits.
    pub(crate) fn has_verdict(&self) -> bool {
        matches!(self.verdict, Verdict::Queued(_)) || self.closed.is_some()
    }

    fn is_told(&self) -> bool {
        self.head.is_none()
            && self.messages.is_empty()
            && !self.writable
            && !self.half_closed
            && !matches!(self.verdict, Verdict::Queued(_))
    }

    /// Bytes of complete messages that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// The next event; the last one is withheld while `withhold_closed`.
    #[inline]
    pub(crate) fn poll(&mut self, withhold_closed: bool) -> Option<Event> {
        // Before what is read: whoever waits to send may have left off reading.
        if std::mem::take(&mut self.writable) {
            return Some(Event::Writable);
        }
        if let Some(head) = self.head.take() {
            return Some(Event::Headers(head.headers));
        }
        if let Some((message, wire_len)) = self.messages.pop() {
            self.waiting -= wire_len;
            return Some(Event::Message(message));
        }
        self.poll_last(withhold_closed)
    }

    /// What comes once and after all messages.
    fn poll_last(&mut self, withhold_closed: bool) -> Option<Event> {
        if std::mem::take(&mut self.half_closed) {
            return Some(Event::PeerHalfClosed);
        }
        if matches!(self.verdict, Verdict::Queued(_))
            && let Verdict::Queued(verdict) = std::mem::replace(&mut self.verdict, Verdict::Settled)
        {
            return Some(Event::Finished(
                verdict.map(|trailers| trailers.map_or_else(Metadata::new, |some| *some)),
            ));
        }
        if withhold_closed {
            return None;
        }
        self.closed.take().map(Event::Closed)
    }
}

//! Events on their way to the application.

use bytes::Bytes;

use crate::call::{BodySize, Processed};
use crate::error::{LostKind, PeerMisbehaved};

/// What a machine tells. `H` is [`http::request::Parts`] on a server and [`http::response::Parts`] on a client.
///
/// For each message received: `Head Data* End`. `End` comes for every body, also for one that is
/// [`BodySize::Empty`]. `EndSent` comes once per message sent, anywhere among these. In place of what is left of an
/// exchange: `Misbehaved`, `Lost`, or nothing at all after an abort.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Event<H> {
    /// A head. Its fields are all there as received, the connection's own ones too. If a request's URI has an
    /// authority, that counts and not the `host` field (RFC 9112, section 3.2.2).
    Head {
        /// Method, target and fields, or status and fields.
        parts: Box<H>,
        /// What the framing tells of the body: [`BodySize::Unknown`] if it is chunked or delimited by close.
        body: BodySize,
    },
    /// Bytes of the body, without framing; never empty. Where one piece ends and the next begins means nothing.
    Data(Bytes),
    /// The body is complete. Trailers were checked and skipped.
    End,
    /// The last byte of this side's message is acknowledged.
    EndSent,
    /// The peer broke a rule of HTTP inside a message. On a client that is the end of the exchange and of the
    /// connection. On a server the request ends here, and the response may still be sent.
    Misbehaved(PeerMisbehaved),
    /// The connection is gone before the exchange was complete, and so is the exchange.
    Lost {
        /// How. [`LostKind::Failed`] also if the application's body was not what its head announced.
        kind: LostKind,
        /// Whether the peer may have processed the request. On a server: whether a response had begun.
        processed: Processed,
    },
}

/// How a received message went on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tail {
    End,
    Misbehaved(PeerMisbehaved),
}

/// The events that wait to be polled: one head or piece of data, and what followed.
#[derive(Debug)]
pub(super) struct Pending<H> {
    first: Option<Event<H>>,
    tail: Option<Tail>,
    end_sent: bool,
    lost: Option<(LostKind, Processed)>,
}

impl<H> Pending<H> {
    pub(super) fn new() -> Self {
        Pending { first: None, tail: None, end_sent: false, lost: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.has_input() && !self.end_sent && self.lost.is_none()
    }

    /// Whether an event of the received message waits, so that no other one may be made.
    pub(super) fn has_input(&self) -> bool {
        self.first.is_some() || self.tail.is_some()
    }

    pub(super) fn head(&mut self, parts: Box<H>, body: BodySize) {
        self.first = Some(Event::Head { parts, body });
    }

    pub(super) fn data(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.first = Some(Event::Data(data));
        }
    }

    pub(super) fn end(&mut self) {
        self.tail = Some(Tail::End);
    }

    pub(super) fn misbehaved(&mut self, fault: PeerMisbehaved) {
        self.tail = Some(Tail::Misbehaved(fault));
    }

    pub(super) fn end_sent(&mut self) {
        self.end_sent = true;
    }

    pub(super) fn lost(&mut self, kind: LostKind, processed: Processed) {
        self.lost = Some((kind, processed));
    }

    /// Forgets data that nobody wants any more.
    pub(super) fn drop_data(&mut self) {
        if matches!(self.first, Some(Event::Data(_))) {
            self.first = None;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Pending::new();
    }

    pub(super) fn poll(&mut self) -> Option<Event<H>> {
        if let Some(event) = self.first.take() {
            return Some(event);
        }
        if let Some(tail) = self.tail.take() {
            return Some(match tail {
                Tail::End => Event::End,
                Tail::Misbehaved(fault) => Event::Misbehaved(fault),
            });
        }
        if std::mem::take(&mut self.end_sent) {
            return Some(Event::EndSent);
        }
        self.lost.take().map(|(kind, processed)| Event::Lost { kind, processed })
    }
}

//! A client's connection.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::{Version, response};

use super::carried::Carried;
use super::exchange::Exchange;
#[cfg(feature = "http2")]
use super::multiplex::Multiplex;
#[cfg(feature = "http2")]
use super::role::Head;
use super::role::Side;
use super::{CallId, Connection, ConnectionConfig, Http1, Notice, Protocol, Role};
use crate::call::{Duplex, Event, Input, Kind, Phase, SendError};
use crate::client::Call;
use crate::error::{AbortReason, ApiMisuse, PeerMisbehaved};
use crate::http1;
#[cfg(feature = "http2")]
use crate::http2;
use crate::message::{Encoding, Outbound};
use crate::time::Instant;

#[cfg(test)]
mod tests;

/// The role of a client: it [opens](Connection::open) calls.
#[derive(Clone, Copy, Debug)]
pub enum Client {}

impl Role for Client {}

impl Side for Client {
    type Link = http1::Client;
    type Call = Call;
    type Arrival = ();
    #[cfg(feature = "http2")]
    type Incoming = std::convert::Infallible;
    #[cfg(feature = "http2")]
    type Http2 = http2::ClientRole;

    fn take_head(exchange: &mut Wired, (): &mut (), now: Instant, parts: Box<response::Parts>) -> bool {
        exchange.input(now, Input::Head(parts));
        true
    }

    fn is_awaited((): &()) -> bool {
        false
    }

    fn poll_arrival((): &mut ()) -> Option<Notice> {
        None
    }

    #[cfg(feature = "http2")]
    fn read_head(_: Instant, parts: Box<response::Parts>) -> Head<Self> {
        Head::Response(Input::Head(parts))
    }

    #[cfg(feature = "http2")]
    fn read_fault(fault: PeerMisbehaved) -> Input {
        Input::Misbehaved(fault)
    }

    #[cfg(feature = "http2")]
    fn open(engine: &mut http2::Client, now: Instant) -> Result<http2::StreamKey, http2::OpenError> {
        engine.open(now)
    }
}

type Wired = Exchange<http1::Client, Call>;

/// Why a connection did not take a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// All that the connection can carry at once is under way.
    #[error("connection busy")]
    Busy,
    /// The connection takes no more calls.
    #[error("connection going away")]
    GoingAway,
    /// A full-duplex call over HTTP/1.1, which can only carry half duplex: the call would hang.
    #[error("full duplex needs HTTP/2")]
    FullDuplexOverHttp1,
}

/// A call that a connection did not take; it is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct OpenRefused {
    /// The call, to be opened elsewhere or closed.
    pub call: Box<Call>,
    /// Why.
    pub why: OpenError,
}

impl Connection<Client> {
    /// A connection over HTTP/1.1 that has just been made.
    #[must_use]
    pub fn http1(now: Instant, config: &ConnectionConfig) -> Self {
        let link = http1::Client::new(now, Arc::new(config.http1.clone()));
        let exchange = Exchange::new(link, config.receive_window);
        let http1 = Http1 {
            exchange,
            arrival: (),
            #[cfg(feature = "http2")]
            or_http2: None,
        };
        Connection { protocol: Protocol::Http1(Box::new(http1)) }
    }

    /// A connection over HTTP/2 that has just been made: by prior knowledge, or by ALPN.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn http2(now: Instant, config: &ConnectionConfig) -> Self {
        Connection { protocol: Protocol::Http2(Box::new(Multiplex::client(now, config))) }
    }

    /// Whether a call that is [opened](Self::open) now would get on at once.
    #[must_use]
    pub fn is_free(&self) -> bool {
        match &self.protocol {
            Protocol::Http1(http1) => http1.exchange.is_free(),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.engine.can_open().is_ok() && multiplex.reuse().is_ok(),
        }
    }

    /// Whether [`Notice::Suspect`] waits to be told.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        match &self.protocol {
            Protocol::Http1(_) => false,
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.is_suspect(),
        }
    }

    /// Puts a call on the connection. Its head goes out with the next output; over HTTP/2, when the server takes no more
    /// streams at once, as soon as it does.
    ///
    /// # Errors
    /// The call comes back, with the reason.
    pub fn open(&mut self, now: Instant, mut call: Call) -> Result<CallId, OpenRefused> {
        self.handle_timeout(now);
        let refused = match &self.protocol {
            Protocol::Http1(http1) if http1.exchange.wire.link.reuse().is_err() => Some(OpenError::GoingAway),
            Protocol::Http1(_) if call.kind() == Kind::Bidi(Duplex::Full) => {
                Some(OpenError::FullDuplexOverHttp1)
            }
            Protocol::Http1(http1) if !http1.exchange.is_free() => Some(OpenError::Busy),
            Protocol::Http1(_) => None,
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) if multiplex.reuse().is_err() => Some(OpenError::GoingAway),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) if multiplex.engine.can_open().is_err() && multiplex.is_full() => {
                Some(OpenError::Busy)
            }
            #[cfg(feature = "http2")]
            Protocol::Http2(_) => None,
        };
        if let Some(why) = refused {
            return Err(OpenRefused { call: Box::new(call), why });
        }
        Ok(match &mut self.protocol {
            Protocol::Http1(http1) => {
                call.attach(Version::HTTP_11);
                let id = http1.exchange.next_id();
                http1.exchange.put(id, call);
                id
            }
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => {
                call.attach(Version::HTTP_2);
                multiplex.open(now, call)
            }
        })
    }

    /// A call, to command it or to take its events; `None` once it is closed.
    #[must_use]
    pub fn call(&mut self, id: CallId) -> Option<ClientCall<'_>> {
        self.carried(id).map(ClientCall)
    }
}

/// A call on a client's connection. The commands are those of [`Call`].
#[derive(Debug)]
pub struct ClientCall<'a>(Carried<'a, Client>);

impl ClientCall<'_> {
    /// Where the call is in its life.
    #[must_use]
    pub fn state(&self) -> Phase {
        self.0.call().state()
    }

    /// How this call encodes messages; a handle of its own, for use outside of locks.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.0.call().encoding()
    }

    /// Queues a message: [`Call::send`].
    ///
    /// # Errors
    /// Those of [`Call::send`].
    pub fn send(&mut self, now: Instant, message: Outbound) -> Result<(), SendError> {
        self.0.command(now, |call| call.send(now, message))
    }

    /// Queues the messages that `next` gives, until it has no more or one is not accepted: cheaper than one at a time.
    ///
    /// # Errors
    /// Those of [`Call::send`], for the last message that `next` gave.
    pub fn send_each(
        &mut self,
        now: Instant,
        next: impl FnMut() -> Option<Outbound>,
    ) -> Result<(), SendError> {
        self.0.send_each(now, next)
    }

    /// Ends the sending side: [`Call::finish`].
    ///
    /// # Errors
    /// Those of [`Call::finish`].
    pub fn finish(&mut self, now: Instant) -> Result<(), ApiMisuse> {
        self.0.command(now, |call| call.finish(now))
    }

    /// Closes the call without waiting: [`Call::close`]. The connection drains it.
    pub fn close(&mut self, now: Instant) {
        self.0.command(now, |call| call.close(now));
    }

    /// Stops the call at once: [`Call::abort`].
    pub fn abort(&mut self, now: Instant, reason: AbortReason) {
        self.0.command(now, |call| call.abort(now, reason));
    }

    /// Ends the call with a fault found in one of its messages: [`Call::reject`].
    pub fn reject(&mut self, now: Instant, fault: PeerMisbehaved) {
        self.0.command(now, |call| call.reject(now, fault));
    }

    /// The next event. The call's end is not among them: it comes as [`Notice::Closed`], with the connection's fate.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.0.poll_event(now)
    }

    /// Hands out the next events, as [`poll_event`](Self::poll_event) does, until `take` has enough or there are no more:
    /// cheaper than one at a time.
    pub fn poll_events(&mut self, now: Instant, take: impl FnMut(Event) -> ControlFlow<()>) {
        self.0.poll_events(now, take);
    }
}

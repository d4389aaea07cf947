//! A client's connection.

use http::{Version, response};

use super::exchange::{Exchange, Live, Wire};
use super::role::Side;
use super::{CallId, Connection, ConnectionConfig, Notice, Role};
use crate::call::{Duplex, Event, Input, Kind, Phase, SendError};
use crate::client::Call;
use crate::error::{AbortReason, ApiMisuse, PeerMisbehaved};
use crate::http1;
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
        let link = http1::Client::new(now, config.http1.clone());
        Connection { exchange: Exchange::new(link, config.receive_window), arrival: () }
    }

    /// Whether a call could be [opened](Self::open) now.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let link = &self.exchange.wire.link;
        self.exchange.live.is_none() && link.is_idle() && link.reuse().is_ok()
    }

    /// Puts a call on the connection. Its head goes out with the next output.
    ///
    /// # Errors
    /// The call comes back, with the reason.
    pub fn open(&mut self, now: Instant, mut call: Call) -> Result<CallId, OpenRefused> {
        self.exchange.handle_timeout(now);
        let refused = if self.exchange.wire.link.reuse().is_err() {
            Some(OpenError::GoingAway)
        } else if call.kind() == Kind::Bidi(Duplex::Full) {
            Some(OpenError::FullDuplexOverHttp1)
        } else if !self.is_free() {
            Some(OpenError::Busy)
        } else {
            None
        };
        if let Some(why) = refused {
            return Err(OpenRefused { call: Box::new(call), why });
        }
        call.attach(Version::HTTP_11);
        let id = self.exchange.next_id();
        self.exchange.put(id, call);
        Ok(id)
    }

    /// A call, to command it or to take its events; `None` once it is closed.
    #[must_use]
    pub fn call(&mut self, id: CallId) -> Option<ClientCall<'_>> {
        let (live, wire) = self.exchange.live(id)?;
        Some(ClientCall { live, wire })
    }
}

/// A call on a client's connection. The commands are those of [`Call`].
#[derive(Debug)]
pub struct ClientCall<'a> {
    live: &'a mut Live<Call>,
    wire: &'a mut Wire<http1::Client>,
}

impl ClientCall<'_> {
    /// Where the call is in its life.
    #[must_use]
    pub fn state(&self) -> Phase {
        self.live.call.state()
    }

    /// How this call encodes messages; a handle of its own, for use outside of locks.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.live.call.encoding()
    }

    /// Queues a message: [`Call::send`].
    ///
    /// # Errors
    /// Those of [`Call::send`].
    pub fn send(&mut self, now: Instant, message: Outbound) -> Result<(), SendError> {
        self.live.command(self.wire, now, |call| call.send(now, message))
    }

    /// Ends the sending side: [`Call::finish`].
    ///
    /// # Errors
    /// Those of [`Call::finish`].
    pub fn finish(&mut self, now: Instant) -> Result<(), ApiMisuse> {
        self.live.command(self.wire, now, |call| call.finish(now))
    }

    /// Closes the call without waiting: [`Call::close`]. The connection drains it.
    pub fn close(&mut self, now: Instant) {
        self.live.command(self.wire, now, |call| call.close(now));
    }

    /// Stops the call at once: [`Call::abort`].
    pub fn abort(&mut self, now: Instant, reason: AbortReason) {
        self.live.command(self.wire, now, |call| call.abort(now, reason));
    }

    /// Ends the call with a fault found in one of its messages: [`Call::reject`].
    pub fn reject(&mut self, now: Instant, fault: PeerMisbehaved) {
        self.live.command(self.wire, now, |call| call.reject(now, fault));
    }

    /// The next event. The call's end is not among them: it comes as [`Notice::Closed`], with the connection's fate.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.live.poll_event(self.wire, now)
    }
}

//! L3: a connection with its calls, bytes and time in, bytes and notices out.
//!
//! A [`Connection`] joins the call machines with HTTP. Whoever drives one owns the socket
//! and the clock, and does the following in any order, again and again; `examples/blocking.rs` shows it whole:
//!
//! 1. *Read*: while `wants_read` and there are new or left-over bytes, hand them to `handle_read`, which takes what
//!    it can use out of the buffer. Leave the rest there. Tell the end of input by `handle_eof`, a failure by
//!    `handle_io_failed`.
//! 2. *Write*: `output` shows what is to be written; tell by `handle_written` how much was. What is not acknowledged
//!    is shown again, or taken back by an abort.
//! 3. *Time*: call `handle_timeout` at `poll_timeout`.
//! 4. *Notices*: `poll_ready` until it says `None`, and act on them through `call`.
//! 5. *Shutdown*: do what `poll_shutdown` says.
//!
//! An application's command on a call may change all of these, so look again after one. A connection that is
//! [closed](Connection::is_closed) and has no more notices can be dropped.

mod client;
mod exchange;
mod link;
pub(crate) mod machine;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

pub use client::{Client, ClientCall, OpenError, OpenRefused};
pub use server::{Server, ServerCall};

use crate::call::{Closed, Processed};
use crate::error::{CloseReason, LostKind};
use crate::http1::{self, NotReusable, Shutdown};
use crate::time::Instant;
use exchange::Exchange;
use role::Side;

/// A client's connection.
pub type ClientConnection = Connection<Client>;
/// A server's connection.
pub type ServerConnection = Connection<Server>;

/// A connection with its calls; how to drive it is told at [the module](self).
///
/// What only one of the roles does is told at [`Client`] and [`Server`]. Over HTTP/1.1 there is one call at a time:
/// a client's [`open`](Connection::open) gives a second one back, a server takes pipelined requests one after the
/// other.
pub struct Connection<R: Role> {
    exchange: Exchange<R::Link, R::Call>,
    arrival: R::Arrival,
}

/// One of the two roles: [`Client`] or [`Server`].
pub trait Role: Side {}

impl<R: Role> Connection<R> {
    // Getters

    /// Whether the connection is over: nothing is to be read or written any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.exchange.is_closed()
    }

    /// Whether handing bytes to [`handle_read`](Self::handle_read) would lead anywhere.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        !R::is_awaited(&self.arrival) && self.exchange.wants_read()
    }

    /// Bytes of the body that came in and that the window does not have back yet.
    #[cfg(any(feature = "testing", test))]
    pub(crate) fn held_bytes(&self) -> u64 {
        self.exchange.wire.held
    }

    // Wire and time in

    /// Takes bytes out of `buf` and leaves there what cannot be used yet: hand that in again, with what comes next.
    pub fn handle_read(&mut self, now: Instant, buf: &mut BytesMut) {
        self.exchange.handle_timeout(now);
        if !R::is_awaited(&self.arrival) {
            let arrival = &mut self.arrival;
            self.exchange
                .handle_read(now, buf, |exchange, parts| R::take_head(exchange, arrival, now, parts));
        }
    }

    /// The peer has ended its side of the transport. On a server the call under way ends with it: a client that wants
    /// its answer keeps its side open, as in HTTP at large.
    pub fn handle_eof(&mut self, now: Instant) {
        self.exchange.handle_timeout(now);
        self.exchange.handle_eof(now);
    }

    /// The transport has failed, in reading or as a whole.
    pub fn handle_io_failed(&mut self, now: Instant, kind: LostKind) {
        self.exchange.handle_timeout(now);
        self.exchange.handle_io_failed(now, kind);
    }

    /// The transport has failed in writing. A client reads on: the server may have answered early and closed.
    pub fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        self.exchange.handle_timeout(now);
        self.exchange.handle_write_failed(now, kind);
    }

    /// The transport has taken the first `n` bytes of what [`output`](Self::output) shows.
    pub fn handle_written(&mut self, now: Instant, n: usize) {
        self.exchange.handle_timeout(now);
        self.exchange.handle_written(now, n);
    }

    /// Lets limits expire. To be called at [`poll_timeout`](Self::poll_timeout).
    pub fn handle_timeout(&mut self, now: Instant) {
        self.exchange.handle_timeout(now);
    }

    // Commands

    /// Takes no more calls and closes: when the call under way has ended, or after `grace`, which aborts it. A call
    /// of which nothing was sent ends at once.
    pub fn shut_down(&mut self, now: Instant, grace: Duration) {
        self.exchange.shut_down(now, grace);
    }

    // Outputs

    /// What to do next; `None` when there is nothing.
    pub fn poll_ready(&mut self) -> Option<Notice> {
        if R::is_awaited(&self.arrival) {
            R::poll_arrival(&mut self.arrival)
        } else {
            self.exchange.poll_ready()
        }
    }

    /// Fills `slices` with what is to be written, in order, and says how many are filled; 0 when there is nothing.
    /// The same bytes are shown until [`handle_written`](Self::handle_written) acknowledges them.
    pub fn output<'a>(&'a mut self, now: Instant, slices: &mut [IoSlice<'a>]) -> usize {
        self.exchange.output(now, slices)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` if time changes nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.exchange.poll_timeout()
    }

    /// What to do with the transport; each is told once.
    pub fn poll_shutdown(&mut self) -> Option<Shutdown> {
        self.exchange.poll_shutdown()
    }
}

impl<R: Role> fmt::Debug for Connection<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

/// What tells the roles apart, for this crate's eyes only.
mod role {
    use super::exchange::Exchange;
    use super::link::Link;
    use super::machine::Machine;
    use super::{Instant, Notice};

    pub trait Side: Sized {
        type Link: Link + std::fmt::Debug;
        type Call: Machine<Head = <Self::Link as Link>::Out> + std::fmt::Debug;
        /// A head that waits to be looked at.
        type Arrival;

        /// Takes the head of a message; false if nothing more may be read before the application has looked at it.
        fn take_head(
            exchange: &mut Exchange<Self::Link, Self::Call>,
            arrival: &mut Self::Arrival,
            now: Instant,
            parts: Box<<Self::Link as Link>::In>,
        ) -> bool;
        fn is_awaited(arrival: &Self::Arrival) -> bool;
        fn poll_arrival(arrival: &mut Self::Arrival) -> Option<Notice>;
    }
}

/// Names a call on its connection. No two calls of one connection have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CallId(u64);

/// What a connection may cost, beside the limits of its calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// The limits of HTTP/1.1.
    pub http1: Arc<http1::Limits>,
    /// Bytes of bodies that may wait unread before the connection stops reading. A larger message still passes, up
    /// to the limit of its call. 64 KiB.
    pub receive_window: u64,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        ConnectionConfig { http1: Arc::default(), receive_window: 64 << 10 }
    }
}

/// Something to act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
#[non_exhaustive]
pub enum Notice {
    /// Server: a request's head has come; look at it and start or refuse it.
    Incoming(CallId),
    /// The call has events. Told again after the next look at its events, as long as there are more.
    Readable(CallId),
    /// The call is over, and what became of the connection is known. The last notice of a call, after all of its
    /// events were polled; the call is gone with it.
    Closed(CallId, CallClosed),
    /// The connection carries no more calls, for this reason. Told once, after the last call is closed.
    Ended(NotReusable),
}

/// How a call ended, and how its connection fared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallClosed {
    /// Why; [`CloseReason::initiator`] says who caused it.
    pub reason: CloseReason,
    /// Bytes of messages and prefixes that were drained.
    pub drained: u64,
    /// Whether the peer may have processed the call.
    pub processed: Processed,
    /// What became of the connection.
    pub fate: Fate,
}

/// What a call's end left of its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It can carry further calls.
    Reusable,
    /// It is closing, for this reason.
    Closing(NotReusable),
    /// There was none, or nobody knows.
    Unknown,
}

impl CallClosed {
    fn new(closed: Closed, fate: Result<(), NotReusable>) -> Self {
        let Closed { reason, drained, processed } = closed;
        CallClosed { reason, drained, processed, fate: fate.map_or_else(Fate::Closing, |()| Fate::Reusable) }
    }
}

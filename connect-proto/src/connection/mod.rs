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

#[cfg(feature = "http2")]
mod calls;
mod carried;
mod client;
mod exchange;
mod link;
mod live;
pub(crate) mod machine;
#[cfg(feature = "http2")]
mod multiplex;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::IoSlice;
#[cfg(feature = "http2")]
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

pub use client::{Client, ClientCall, OpenError, OpenRefused};
pub use server::{Server, ServerCall};

use crate::call::{Closed, Event, Processed};
use crate::error::{CloseReason, LostKind, PeerMisbehaved, ResetCode};
use crate::http1::{self, NotReusable, Shutdown};
#[cfg(feature = "http2")]
use crate::http2;
use crate::time::Instant;
use exchange::Exchange;
use link::Link;
#[cfg(feature = "http2")]
use multiplex::Multiplex;
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
    protocol: Protocol<R>,
}

/// One of the two roles: [`Client`] or [`Server`].
pub trait Role: Side {}

/// What the connection speaks.
enum Protocol<R: Side> {
    Http1(Box<Http1<R>>),
    #[cfg(feature = "http2")]
    Http2(Box<Multiplex<R>>),
}

/// HTTP/1.1: one call at a time.
struct Http1<R: Side> {
    exchange: Exchange<R::Link, R::Call>,
    arrival: R::Arrival,
    /// Server: the client's first bytes may still turn out to be HTTP/2, with these limits.
    #[cfg(feature = "http2")]
    or_http2: Option<Arc<http2::Limits>>,
}

/// Calls the method of the same name of what is spoken.
macro_rules! spoken {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match &mut $self.protocol {
            Protocol::Http1(http1) => http1.exchange.$method($($argument),*),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.$method($($argument),*),
        }
    };
}

impl<R: Role> Connection<R> {
    // Getters

    /// Whether the connection is over: nothing is to be read or written any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.protocol {
            Protocol::Http1(http1) => http1.exchange.is_closed(),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.engine.is_closed(),
        }
    }

    /// Whether no call is on the connection.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        match &self.protocol {
            Protocol::Http1(http1) => http1.exchange.live.is_none() && !R::is_awaited(&http1.arrival),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.calls.is_empty(),
        }
    }

    /// Whether handing bytes to [`handle_read`](Self::handle_read) would lead anywhere.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        match &self.protocol {
            Protocol::Http1(http1) => !R::is_awaited(&http1.arrival) && http1.exchange.wants_read(),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.engine.wants_read(),
        }
    }

    /// What the peer did, or said that this side did, that ended the connection or is about to; `None` if it is well or ends
    /// for another reason.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match &self.protocol {
            Protocol::Http1(http1) => http1.exchange.wire.link.fault().map(Fault::Misbehaved),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => {
                let told =
                    |goaway: &http2::GoAway| Fault::GoAway { code: goaway.code, debug: goaway.debug.clone() };
                let goaway = self.goaway().filter(|goaway| goaway.code != ResetCode::NO_ERROR);
                multiplex.engine.fault().map(Fault::Misbehaved).or_else(|| goaway.map(told))
            }
        }
    }

    /// Over HTTP/2: what the peer's GOAWAY said, if one came. After
    /// [`ResetCode::ENHANCE_YOUR_CALM`](crate::error::ResetCode::ENHANCE_YOUR_CALM) a new connection should not be made at
    /// once, and [ping less often](http2::KeepAlive::backed_off).
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn goaway(&self) -> Option<&http2::GoAway> {
        match &self.protocol {
            Protocol::Http2(multiplex) => multiplex.engine.goaway(),
            _ => None,
        }
    }

    /// Over HTTP/2: how often the peer has done what is guarded against.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn http2_counters(&self) -> Option<http2::Counters> {
        match &self.protocol {
            Protocol::Http2(multiplex) => Some(multiplex.engine.counters()),
            _ => None,
        }
    }

    /// Bytes of bodies that came in and that the windows do not have back yet.
    ///
    /// # Panics
    /// If one is nowhere.
    #[cfg(any(feature = "testing", test))]
    pub(crate) fn held_bytes(&self) -> u64 {
        match &self.protocol {
            Protocol::Http1(http1) => http1.exchange.wire.held,
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => {
                multiplex.engine.check_conservation();
                multiplex.engine.held_bytes()
            }
        }
    }

    /// What this side may send, and what it may be sent, over HTTP/2: on each stream and, without an id, in all.
    #[cfg(any(feature = "testing", test))]
    pub(crate) fn windows(&self) -> Vec<(Option<u32>, [usize; 2])> {
        match &self.protocol {
            Protocol::Http1(_) => Vec::new(),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.engine.windows(),
        }
    }

    // Wire and time in

    /// Takes bytes out of `buf` and leaves there what cannot be used yet: hand that in again, with what comes next.
    pub fn handle_read(&mut self, now: Instant, buf: &mut BytesMut) {
        self.handle_timeout(now);
        #[cfg(feature = "http2")]
        if !self.decide(now, buf) {
            return;
        }
        match &mut self.protocol {
            Protocol::Http1(http1) => {
                let Http1 { exchange, arrival, .. } = &mut **http1;
                if !R::is_awaited(arrival) {
                    exchange
                        .handle_read(now, buf, |exchange, parts| R::take_head(exchange, arrival, now, parts));
                }
            }
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.handle_read(now, buf),
        }
    }

    /// Tells HTTP/2 from HTTP/1.1 by its preface (RFC 9113, section 3.4). False if more bytes are needed for that.
    #[cfg(feature = "http2")]
    fn decide(&mut self, now: Instant, buf: &BytesMut) -> bool {
        let Protocol::Http1(http1) = &mut self.protocol else { return true };
        let Some(limits) = &http1.or_http2 else { return true };
        let begins_alike = http2::PREFACE.starts_with(buf.get(..http2::PREFACE.len()).unwrap_or(buf));
        if begins_alike && buf.len() < http2::PREFACE.len() {
            return false;
        }
        if begins_alike {
            let mut multiplex = Multiplex::server(now, limits.clone());
            multiplex.engine.date = http1.exchange.wire.link.date().cloned();
            if let Some(until) = http1.exchange.grace {
                multiplex.shut_down(now, until.saturating_duration_since(now));
            }
            self.protocol = Protocol::Http2(Box::new(multiplex));
        } else {
            http1.or_http2 = None;
        }
        true
    }

    /// The peer has ended its side of the transport. On a server the calls under way end with it: a client that wants
    /// its answers keeps its side open, as in HTTP at large.
    pub fn handle_eof(&mut self, now: Instant) {
        self.handle_timeout(now);
        spoken!(self, handle_eof(now));
    }

    /// The transport has failed, in reading or as a whole.
    pub fn handle_io_failed(&mut self, now: Instant, kind: LostKind) {
        self.handle_timeout(now);
        spoken!(self, handle_io_failed(now, kind));
    }

    /// The transport has failed in writing. A client reads on: the server may have answered early and closed.
    pub fn handle_write_failed(&mut self, now: Instant, kind: LostKind) {
        self.handle_timeout(now);
        spoken!(self, handle_write_failed(now, kind));
    }

    /// The transport has taken the first `n` bytes of what [`output`](Self::output) shows.
    pub fn handle_written(&mut self, now: Instant, n: usize) {
        self.handle_timeout(now);
        spoken!(self, handle_written(now, n));
    }

    /// Lets limits expire. To be called at [`poll_timeout`](Self::poll_timeout).
    pub fn handle_timeout(&mut self, now: Instant) {
        spoken!(self, handle_timeout(now));
    }

    // Commands

    /// Takes no more calls and closes: when the calls under way have ended, or after `grace`, which aborts them. A call
    /// of which nothing was sent ends at once.
    pub fn shut_down(&mut self, now: Instant, grace: Duration) {
        spoken!(self, shut_down(now, grace));
    }

    // Outputs

    /// The next event of a call, as the call's own `poll_event` tells. All of them are to be polled, also by an
    /// application that is done with the call, since its end comes after them.
    pub fn poll_event(&mut self, now: Instant, id: CallId) -> Option<Event> {
        self.carried(id)?.poll_event(now)
    }

    /// How a call ended, as [`Notice::Closed`] would tell, in its place: for an application that has just polled the last
    /// event of the call and can make use of the connection at once. `None` if the end is not there yet.
    pub fn poll_closed(&mut self, id: CallId) -> Option<CallClosed> {
        spoken!(self, poll_closed(id))
    }

    /// What to do next; `None` when there is nothing.
    pub fn poll_ready(&mut self) -> Option<Notice> {
        match &mut self.protocol {
            Protocol::Http1(http1) if R::is_awaited(&http1.arrival) => R::poll_arrival(&mut http1.arrival),
            _ => spoken!(self, poll_ready()),
        }
    }

    /// Fills `slices` with what is to be written, in order, and says how many are filled; 0 when there is nothing.
    /// The same bytes are shown until [`handle_written`](Self::handle_written) acknowledges them.
    pub fn output<'a>(&'a mut self, now: Instant, slices: &mut [IoSlice<'a>]) -> usize {
        self.handle_timeout(now);
        spoken!(self, output(now, slices))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` if time changes nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.protocol {
            Protocol::Http1(http1) => http1.exchange.poll_timeout(),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.poll_timeout(),
        }
    }

    /// What to do with the transport; each is told once.
    pub fn poll_shutdown(&mut self) -> Option<Shutdown> {
        spoken!(self, poll_shutdown())
    }
}

impl<R: Role> fmt::Debug for Connection<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.protocol {
            Protocol::Http1(_) => "HTTP/1.1",
            #[cfg(feature = "http2")]
            Protocol::Http2(_) => "HTTP/2",
        };
        f.debug_struct("Connection").field("protocol", &name).finish_non_exhaustive()
    }
}

/// What tells the roles apart, for this crate's eyes only.
mod role {
    use std::fmt::Debug;

    use super::exchange::Exchange;
    use super::link::Link;
    use super::machine::Machine;
    use super::{Instant, Notice};
    #[cfg(feature = "http2")]
    use crate::{
        call::Input,
        error::PeerMisbehaved,
        http2::{Engine, OpenError, Role as Http2Role, StreamKey},
    };

    pub trait Side: Sized {
        type Link: Link + Debug;
        type Call: Machine<Head = <Self::Link as Link>::Out> + Debug;
        /// Over HTTP/1.1, a head that waits to be looked at.
        type Arrival;
        /// A request of which only the head is known.
        #[cfg(feature = "http2")]
        type Incoming: Debug;
        #[cfg(feature = "http2")]
        type Http2: Http2Role<In = <Self::Link as Link>::In, Out = <Self::Link as Link>::Out> + Debug;

        /// Takes the head of a message; false if nothing more may be read before the application has looked at it.
        fn take_head(
            exchange: &mut Exchange<Self::Link, Self::Call>,
            arrival: &mut Self::Arrival,
            now: Instant,
            parts: Box<<Self::Link as Link>::In>,
        ) -> bool;
        fn is_awaited(arrival: &Self::Arrival) -> bool;
        fn poll_arrival(arrival: &mut Self::Arrival) -> Option<Notice>;

        /// The head of a message over HTTP/2.
        #[cfg(feature = "http2")]
        fn read_head(now: Instant, parts: Box<<Self::Link as Link>::In>) -> Head<Self>;
        /// What a fault of the peer's on a stream, which is reset by it, means to the call.
        #[cfg(feature = "http2")]
        fn read_fault(fault: PeerMisbehaved) -> Input;
        #[cfg(feature = "http2")]
        fn open(engine: &mut Engine<Self::Http2>, now: Instant) -> Result<StreamKey, OpenError>;
    }

    /// What a head is.
    #[cfg(feature = "http2")]
    pub enum Head<S: Side> {
        Response(Input),
        Request(S::Incoming),
    }
}

/// Names a call on its connection. No two calls of one connection have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallId(u64);

/// What a connection may cost, beside the limits of its calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// The limits of HTTP/1.1.
    pub http1: http1::Limits,
    /// Over HTTP/1.1: bytes of a body that may wait unread before the connection stops reading. A larger message still
    /// passes, up to the limit of its call. 64 KiB.
    pub receive_window: u64,
    /// The limits of HTTP/2.
    #[cfg(feature = "http2")]
    pub http2: http2::Limits,
    /// Client, over HTTP/2: calls that may wait for a stream when the server takes no more at once. 1,000.
    #[cfg(feature = "http2")]
    pub waiting_calls: usize,
    /// Client, over HTTP/2: for how long a server may say nothing at all while calls wait for it. When a call that was given
    /// up or has timed out makes it so long in all, since the last byte of the server, the connection is
    /// [suspect](Notice::Suspect). `None`: never. 5 s.
    #[cfg(feature = "http2")]
    pub suspect_after: Option<Duration>,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        ConnectionConfig {
            http1: http1::Limits::default(),
            receive_window: 64 << 10,
            #[cfg(feature = "http2")]
            http2: http2::Limits::default(),
            #[cfg(feature = "http2")]
            waiting_calls: 1000,
            #[cfg(feature = "http2")]
            suspect_after: Some(Duration::from_secs(5)),
        }
    }
}

/// Something to act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
#[non_exhaustive]
pub enum Notice {
    /// Server: a request's head has come; look at it and start or refuse it.
    Incoming(CallId),
    /// The call has events. Told again after the next look at its events, as long as there are more; and without one when
    /// [`Event::Writable`] or the verdict joins them.
    Readable(CallId),
    /// The call is over, and what became of the connection is known. The last notice of a call, after all of its
    /// events were polled; the call is gone with it.
    Closed(CallId, CallClosed),
    /// Client, over HTTP/2: calls were given up for which the server had said nothing at all, and which have waited for
    /// [so long](ConnectionConfig::suspect_after) in all. The connection may be dead without knowing it, and should not get
    /// further calls.
    Suspect,
    /// The connection carries no more calls, for this reason. Told once, after the last call is closed. Where the peer is at
    /// fault, [`fault`](Connection::fault) says more.
    Ended(NotReusable),
}

/// What ended a connection: [`Connection::fault`]. Its text is for humans: `invalid value of setting 0x2`, or
/// `GOAWAY ENHANCE_YOUR_CALM: too_many_pings`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The peer broke this rule.
    #[error("{0}")]
    Misbehaved(PeerMisbehaved),
    /// Over HTTP/2: the peer says that something went wrong, on its side or on this one.
    #[error("GOAWAY {code}{}{debug}", if debug.is_empty() { "" } else { ": " })]
    GoAway {
        /// What.
        code: ResetCode,
        /// The same for humans; mostly empty. At most 256 bytes of it are kept.
        debug: Box<str>,
    },
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

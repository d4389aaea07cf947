//! A server's connection.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::{HeaderValue, request};

use super::carried::Carried;
use super::exchange::Exchange;
#[cfg(feature = "http2")]
use super::multiplex::Multiplex;
#[cfg(feature = "http2")]
use super::role::Head;
use super::role::Side;
use super::{CallId, Connection, ConnectionConfig, Http1, Notice, Protocol, Role};
use crate::call::{Event, Phase, SendError};
use crate::error::{AbortReason, ApiMisuse, CloseReason, PeerMisbehaved, RpcError};
use crate::http1;
use crate::message::{Encoding, Outbound};
use crate::metadata::Metadata;
use crate::server::{Call, Incoming, MethodSpec, Refusal, ServerConfig};
use crate::time::Instant;
#[cfg(feature = "http2")]
use crate::{
    call::{Input, Processed},
    error::ResetCode,
    http2,
};

#[cfg(test)]
mod tests;

/// The role of a server: it [starts](Connection::start) or [refuses](Connection::refuse) the requests that
/// [`Notice::Incoming`] announces. Nothing of a request's body is read before.
#[derive(Clone, Copy, Debug)]
pub enum Server {}

impl Role for Server {}

impl Side for Server {
    type Link = http1::Server;
    type Call = Call;
    type Arrival = Arrival;
    #[cfg(feature = "http2")]
    type Incoming = Incoming;
    #[cfg(feature = "http2")]
    type Http2 = http2::ServerRole;

    fn take_head(
        exchange: &mut Wired,
        arrival: &mut Arrival,
        now: Instant,
        parts: Box<request::Parts>,
    ) -> bool {
        *arrival = Arrival::New(exchange.next_id(), Incoming::new(now, parts));
        false
    }

    fn is_awaited(arrival: &Arrival) -> bool {
        !matches!(arrival, Arrival::None)
    }

    fn poll_arrival(arrival: &mut Arrival) -> Option<Notice> {
        match std::mem::replace(arrival, Arrival::None) {
            Arrival::New(id, incoming) => {
                *arrival = Arrival::Told(id, incoming);
                Some(Notice::Incoming(id))
            }
            told => {
                *arrival = told;
                None
            }
        }
    }

    #[cfg(feature = "http2")]
    fn read_head(now: Instant, parts: Box<request::Parts>) -> Head<Self> {
        Head::Request(Incoming::new(now, parts))
    }

    #[cfg(feature = "http2")]
    fn read_fault(_: PeerMisbehaved) -> Input {
        // Nothing can be answered any more.
        Input::Reset { code: ResetCode::PROTOCOL_ERROR, processed: Processed::Unknown }
    }

    #[cfg(feature = "http2")]
    fn open(_: &mut http2::Server, _: Instant) -> Result<http2::StreamKey, http2::OpenError> {
        Err(http2::OpenError::GoingAway) // A server never does.
    }
}

type Wired = Exchange<http1::Server, Call>;

/// A request that is neither started nor refused.
#[derive(Debug)]
pub enum Arrival {
    None,
    /// Not told to the application yet.
    New(CallId, Incoming),
    Told(CallId, Incoming),
}

impl Http1<Server> {
    fn for_server(now: Instant, config: &ConnectionConfig) -> Self {
        let link = http1::Server::new(now, Arc::new(config.http1.clone()));
        Http1 {
            exchange: Exchange::new(link, config.receive_window),
            arrival: Arrival::None,
            #[cfg(feature = "http2")]
            or_http2: None,
        }
    }
}

impl Connection<Server> {
    /// A connection that was just accepted. The client's first bytes tell whether it speaks HTTP/1.1 or HTTP/2.
    #[must_use]
    pub fn new(now: Instant, config: &ConnectionConfig) -> Self {
        Connection {
            protocol: Protocol::Http1(Box::new(Http1 {
                #[cfg(feature = "http2")]
                or_http2: Some(Arc::new(config.http2.clone())),
                ..Http1::for_server(now, config)
            })),
        }
    }

    /// A connection that was just accepted, where HTTP/1.1 was agreed on, as by ALPN.
    #[must_use]
    pub fn http1(now: Instant, config: &ConnectionConfig) -> Self {
        Connection { protocol: Protocol::Http1(Box::new(Http1::for_server(now, config))) }
    }

    /// A connection that was just accepted, where HTTP/2 was agreed on, as by ALPN. A client that begins otherwise has
    /// broken its word.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn http2(now: Instant, config: &ConnectionConfig) -> Self {
        let limits = Arc::new(config.http2.clone());
        Connection { protocol: Protocol::Http2(Box::new(Multiplex::server(now, limits))) }
    }

    /// Says what the time is: the `date` of the responses that follow, such as `Sat, 28 Nov 2026 12:00:00 GMT`, as RFC 9110,
    /// section 6.6.1, asks of a server that has a clock. The core has none: whoever drives it tells it once a second, or
    /// else the responses have no date. That of an application's own headers stays as it is.
    pub fn set_date(&mut self, date: Option<HeaderValue>) {
        match &mut self.protocol {
            Protocol::Http1(http1) => http1.exchange.wire.link.set_date(date),
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.engine.set_date(date),
        }
    }

    /// The request that [`Notice::Incoming`] announced, until it is started or refused.
    #[must_use]
    pub fn incoming(&self, id: CallId) -> Option<&Incoming> {
        match &self.protocol {
            Protocol::Http1(http1) => match &http1.arrival {
                Arrival::New(at, incoming) | Arrival::Told(at, incoming) if *at == id => Some(incoming),
                _ => None,
            },
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => multiplex.calls.incoming(id),
        }
    }

    /// Starts the call of the procedure that the request names: [`Incoming::start`]. A request that does not fit the
    /// procedure is answered by the call itself.
    ///
    /// False if there is no such request: it was started or refused before.
    pub fn start(&mut self, now: Instant, id: CallId, config: &Arc<ServerConfig>, spec: &MethodSpec) -> bool {
        self.handle_timeout(now);
        self.begin(now, id, |incoming| incoming.start(now, config, spec))
    }

    /// Refuses the request: [`Incoming::refuse`].
    ///
    /// False if there is no such request: it was started or refused before.
    pub fn refuse(&mut self, now: Instant, id: CallId, config: &Arc<ServerConfig>, refusal: Refusal) -> bool {
        self.handle_timeout(now);
        self.begin(now, id, |incoming| incoming.refuse(now, config, refusal))
    }

    fn begin(&mut self, now: Instant, id: CallId, begin: impl FnOnce(Incoming) -> Call) -> bool {
        let Http1 { exchange, arrival, .. } = match &mut self.protocol {
            Protocol::Http1(http1) => &mut **http1,
            #[cfg(feature = "http2")]
            Protocol::Http2(multiplex) => return multiplex.start(now, id, begin),
        };
        match std::mem::replace(arrival, Arrival::None) {
            Arrival::New(at, incoming) | Arrival::Told(at, incoming) if at == id => {
                let call = begin(incoming);
                if call.wants_body() {
                    exchange.wire.link.want_body(now);
                }
                exchange.put(id, call);
                // The end of the transport may have come in the meantime.
                exchange.deliver(now);
                true
            }
            other => {
                *arrival = other;
                false
            }
        }
    }

    /// A call, to command it or to take its events; `None` before it is started and once it is closed.
    #[must_use]
    pub fn call(&mut self, id: CallId) -> Option<ServerCall<'_>> {
        self.carried(id).map(ServerCall)
    }
}

/// A call on a server's connection. The commands are those of [`Call`].
#[derive(Debug)]
pub struct ServerCall<'a>(Carried<'a, Server>);

impl ServerCall<'_> {
    /// Where the call is in its life.
    #[must_use]
    pub fn state(&self) -> Phase {
        self.0.call().state()
    }

    /// Why the call has ended under its handler: [`Call::ended`].
    #[must_use]
    pub fn ended(&self) -> Option<CloseReason> {
        self.0.call().ended()
    }

    /// When the call's time is up.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.call().deadline()
    }

    /// Takes the request's headers: [`Call::take_request_headers`].
    #[must_use]
    pub fn take_request_headers(&mut self) -> Metadata {
        self.0.call_mut().take_request_headers()
    }

    /// How this call encodes messages; a handle of its own, for use outside of locks.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.0.call().encoding()
    }

    /// Sets the response's headers: [`Call::send_headers`].
    ///
    /// # Errors
    /// Those of [`Call::send_headers`].
    pub fn send_headers(&mut self, now: Instant, headers: Metadata) -> Result<(), ApiMisuse> {
        self.0.command(now, |call| call.send_headers(now, headers))
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

    /// Answers: [`Call::finish`].
    ///
    /// # Errors
    /// Those of [`Call::finish`].
    pub fn finish(
        &mut self,
        now: Instant,
        trailers: Metadata,
        verdict: Result<(), RpcError>,
    ) -> Result<(), ApiMisuse> {
        self.0.command(now, |call| call.finish(now, trailers, verdict))
    }

    /// Stops the call at once: [`Call::abort`].
    pub fn abort(&mut self, now: Instant, reason: AbortReason) {
        self.0.command(now, |call| call.abort(now, reason));
    }

    /// Answers with a fault found in one of the messages: [`Call::reject`].
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

//! A client and a server in memory, with a clock and faults.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http::uri::{Authority, Scheme};

use super::endpoint::Endpoint;
use super::wire::Wire;
use crate::Instant;
use crate::call::{Duplex, Kind};
use crate::client::{Call, CallConfig, Procedure, Request};
use crate::connection::{CallClosed, Client, ConnectionConfig, Server};
use crate::server::{MethodSpec, ServerConfig};

/// The procedure that calls of a [`Pair`] name.
pub const PROCEDURE: &str = "/test.Service/Method";

/// So many seconds.
#[must_use]
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// So many milliseconds.
#[must_use]
pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The configuration of a client whose messages are text.
///
/// # Panics
/// Never.
#[must_use]
pub fn client_config() -> CallConfig {
    let authority = Authority::from_static("test");
    CallConfig::new(Scheme::HTTP, authority, "text").expect("text is a codec's name")
}

/// A call of [`PROCEDURE`], made at `now`.
///
/// # Panics
/// Never.
#[must_use]
pub fn call(now: Instant, config: &Arc<CallConfig>, kind: Kind, timeout: Option<Duration>) -> Call {
    let procedure = Procedure::new(PROCEDURE).expect("a valid path");
    let mut request = Request::new(procedure, kind);
    request.timeout = timeout;
    Call::new(now, config, request).expect("no metadata")
}

/// The method behind [`PROCEDURE`]: free of side effects, in the codec of [`client_config`].
#[must_use]
pub fn method(kind: Kind) -> MethodSpec {
    MethodSpec::new(kind, &Arc::from(["text".to_owned()])).side_effect_free()
}

/// A client's and a server's connection in memory, a virtual clock, and a [`Wire`] in each direction.
///
/// Nothing happens by itself: [`run`](Self::run) moves bytes and notices until nothing moves any more, and most of
/// the methods here end with it. The commands of [`Endpoint`] do not, so that what follows from them can be watched
/// or hindered.
///
/// ```
/// use connect_proto::error::CloseReason;
/// use connect_proto::testing::{Pair, secs};
///
/// let mut p = Pair::streaming();
/// p.client.close();
/// p.elapse(secs(60));
/// assert_eq!(p.client_closed().reason, CloseReason::DrainTimedOut);
/// assert_eq!(p.client.closed_at(), Some(p.start.saturating_add(secs(30))));
/// p.assert_quiescent();
/// ```
#[derive(Debug)]
pub struct Pair {
    /// The client's end.
    pub client: Endpoint<Client>,
    /// The server's end.
    pub server: Endpoint<Server>,
    /// From the client to the server.
    pub to_server: Wire,
    /// From the server to the client.
    pub to_client: Wire,
    /// When the pair was made.
    pub start: Instant,
    config: Arc<CallConfig>,
    kind: Kind,
}

/// How a [`Pair`] is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PairConfig {
    /// What it speaks.
    pub version: Version,
    /// The kind of its calls.
    pub kind: Kind,
    /// What the client's calls have in common.
    pub client: CallConfig,
    /// What the server's calls have in common.
    pub server: ServerConfig,
    /// The client's connection.
    pub client_connection: ConnectionConfig,
    /// The server's connection.
    pub server_connection: ConnectionConfig,
}

impl PairConfig {
    /// The defaults, for calls of this kind.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        PairConfig {
            version: Version::HTTP_11,
            kind,
            client: client_config(),
            server: ServerConfig::default(),
            client_connection: ConnectionConfig::default(),
            server_connection: ConnectionConfig::default(),
        }
    }
}

impl Pair {
    /// A connection over which no call was made yet.
    #[must_use]
    pub fn new(config: PairConfig) -> Self {
        let serves = (Arc::new(config.server), method(config.kind));
        Pair {
            client: match config.version {
                #[cfg(feature = "http2")]
                Version::HTTP_2 => Endpoint::http2_client(&config.client_connection),
                _ => Endpoint::client(&config.client_connection),
            },
            server: Endpoint::server(&config.server_connection, Some(serves)),
            to_server: Wire::new(),
            to_client: Wire::new(),
            start: Instant::ORIGIN,
            config: Arc::new(config.client),
            kind: config.kind,
        }
    }

    /// A call of this kind is open; nothing was sent.
    #[must_use]
    pub fn open(kind: Kind) -> Self {
        let mut pair = Pair::new(PairConfig::new(kind));
        pair.call(None);
        pair
    }

    /// A unary call whose request has reached the handler.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn unary() -> Self {
        let mut pair = Pair::open(Kind::Unary);
        pair.request("ping");
        pair
    }

    /// A half-duplex bidi stream whose request of one message has reached the handler, which has sent the head of
    /// the response and a message.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn streaming() -> Self {
        let mut pair = Pair::open(Kind::Bidi(Duplex::Half));
        pair.request("ping");
        pair.server.send("pong").expect("an open call");
        pair.run();
        pair
    }

    /// Opens another call on the same connection.
    ///
    /// # Panics
    /// If the connection does not take it.
    pub fn call(&mut self, timeout: Option<Duration>) {
        let call = call(self.now(), &self.config, self.kind, timeout);
        self.client.open(call).expect("a free connection");
    }

    /// The client sends one message and finishes.
    ///
    /// # Panics
    /// If it cannot.
    pub fn request(&mut self, message: &'static str) {
        self.client.send(message).expect("an open call");
        self.client.finish().expect("an open call");
        self.run();
    }

    /// The handler sends one message and finishes with success.
    ///
    /// # Panics
    /// If it cannot.
    pub fn answer(&mut self, message: &'static str) {
        self.server.send(message).expect("an open call");
        self.server.finish(Ok(())).expect("an open call");
        self.run();
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.client.now
    }

    /// Moves the clock. Nobody is told: a driver that never calls `handle_timeout`.
    pub fn advance(&mut self, by: Duration) {
        let now = self.now().saturating_add(by);
        self.client.now = now;
        self.server.now = now;
    }

    /// Lets time pass as a driver sees it: every timer is heard at its time.
    ///
    /// # Panics
    /// If a timer does not move on.
    pub fn elapse(&mut self, by: Duration) {
        let until = self.now().saturating_add(by);
        self.run();
        while let Some(at) = self.poll_timeout().filter(|&at| at <= until) {
            self.set_now(at.max(self.now()));
            self.client.handle_timeout();
            self.server.handle_timeout();
            self.run();
            assert!(
                self.poll_timeout().is_none_or(|next| next > self.now()),
                "a timer that has gone off stays"
            );
        }
        self.set_now(until);
        self.run();
    }

    fn set_now(&mut self, now: Instant) {
        self.client.now = now;
        self.server.now = now;
    }

    /// The next point in time at which either side wants to be told of it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        crate::time::earliest(self.client.connection.poll_timeout(), self.server.connection.poll_timeout())
    }

    /// Moves bytes and notices until nothing moves any more.
    ///
    /// # Panics
    /// If that never happens.
    pub fn run(&mut self) {
        for _ in 0..1_000_000 {
            let client = self.client.turn(&mut self.to_client, &mut self.to_server);
            let server = self.server.turn(&mut self.to_server, &mut self.to_client);
            if !client && !server {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Writes to the client as if the server had.
    pub fn feed_client(&mut self, bytes: &[u8]) {
        self.to_client.feed(bytes);
        self.run();
    }

    /// Writes to the server as if the client had.
    pub fn feed_server(&mut self, bytes: &[u8]) {
        self.to_server.feed(bytes);
        self.run();
    }

    /// The connection breaks: both sides see a failure, and what is in flight is lost.
    pub fn reset(&mut self) {
        self.to_client.reset();
        self.to_server.reset();
        self.run();
    }

    /// How the client's latest call ended.
    ///
    /// # Panics
    /// If it has not.
    #[must_use]
    pub fn client_closed(&self) -> CallClosed {
        self.client.closed()
    }

    /// How the server's latest call ended.
    ///
    /// # Panics
    /// If it has not.
    #[must_use]
    pub fn server_closed(&self) -> CallClosed {
        self.server.closed()
    }

    /// What the client's latest call has received.
    #[must_use]
    pub fn client_messages(&self) -> Vec<Bytes> {
        self.client.messages()
    }

    /// Nothing is left to do on either side, and every call has told its end exactly once.
    ///
    /// # Panics
    /// If that is not so.
    pub fn assert_quiescent(&mut self) {
        self.client.assert_quiescent();
        self.server.assert_quiescent();
    }
}

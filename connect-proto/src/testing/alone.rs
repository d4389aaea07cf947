//! One connection whose peer is the test itself.

use std::sync::Arc;
use std::time::Duration;

use super::endpoint::{Calls, Endpoint};
use super::pair::{call, client_config, method};
use super::wire::Wire;
use crate::Instant;
use crate::call::Kind;
use crate::client::CallConfig;
use crate::connection::{CallClosed, Client, ConnectionConfig, Role, Server};
use crate::server::ServerConfig;

/// One connection whose peer is the test itself, byte by byte.
///
/// ```
/// use connect_proto::call::Kind;
/// use connect_proto::testing::Alone;
///
/// let mut client = Alone::calling(Kind::Unary);
/// client.end.send("ping").unwrap();
/// client.end.finish().unwrap();
/// client.run();
/// assert!(client.written().starts_with(b"POST /test.Service/Method HTTP/1.1\r\n"));
/// client.feed(b"HTTP/1.1 200 OK\r\ncontent-type: application/text\r\ncontent-length: 4\r\n\r\npong");
/// assert_eq!(client.end.messages(), ["pong"]);
/// ```
#[derive(Debug)]
pub struct Alone<R: Role> {
    /// The connection.
    pub end: Endpoint<R>,
    /// What the test writes.
    pub incoming: Wire,
    /// What the connection writes.
    pub outgoing: Wire,
}

impl Alone<Client> {
    /// A client without a call.
    #[must_use]
    pub fn client(config: &ConnectionConfig) -> Self {
        Alone { end: Endpoint::client(config), incoming: Wire::new(), outgoing: Wire::new() }
    }

    /// A client without a call, over HTTP/2.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn http2_client(config: &ConnectionConfig) -> Self {
        Alone { end: Endpoint::http2_client(config), incoming: Wire::new(), outgoing: Wire::new() }
    }

    /// A client with an open call.
    #[must_use]
    pub fn calling(kind: Kind) -> Self {
        Alone::calling_with(client_config(), kind, None)
    }

    /// A client with an open call.
    ///
    /// # Panics
    /// If the connection does not take it.
    #[must_use]
    pub fn calling_with(config: CallConfig, kind: Kind, timeout: Option<Duration>) -> Self {
        let mut client = Alone::client(&ConnectionConfig::default());
        let call = call(client.now(), &Arc::new(config), kind, timeout);
        client.end.open(call).expect("a free connection");
        client
    }
}

impl Alone<Server> {
    /// A server of one method of this kind.
    #[must_use]
    pub fn serving(kind: Kind) -> Self {
        Alone::serving_with(ServerConfig::default(), &ConnectionConfig::default(), kind)
    }

    /// A server of one method of this kind.
    #[must_use]
    pub fn serving_with(config: ServerConfig, connection: &ConnectionConfig, kind: Kind) -> Self {
        let serves = (Arc::new(config), method(kind));
        Alone {
            end: Endpoint::server(connection, Some(serves)),
            incoming: Wire::new(),
            outgoing: Wire::new(),
        }
    }
}

impl<R: Calls> Alone<R> {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.end.now
    }

    /// Moves the clock. Nobody is told: a driver that never calls `handle_timeout`.
    pub fn advance(&mut self, by: Duration) {
        self.end.now = self.end.now.saturating_add(by);
    }

    /// Lets time pass as a driver sees it: every timer is heard at its time.
    ///
    /// # Panics
    /// If a timer does not move on.
    pub fn elapse(&mut self, by: Duration) {
        let until = self.end.now.saturating_add(by);
        self.run();
        while let Some(at) = self.end.connection.poll_timeout().filter(|&at| at <= until) {
            self.end.now = self.end.now.max(at);
            self.end.handle_timeout();
            self.run();
            let next = self.end.connection.poll_timeout();
            assert!(next.is_none_or(|next| next > self.end.now), "a timer that has gone off stays");
        }
        self.end.now = until;
        self.run();
    }

    /// Calls `handle_timeout` now.
    pub fn handle_timeout(&mut self) {
        self.end.handle_timeout();
        self.run();
    }

    /// Moves bytes and notices until nothing moves any more.
    ///
    /// # Panics
    /// If that never happens.
    pub fn run(&mut self) {
        for _ in 0..1_000_000 {
            if !self.end.turn(&mut self.incoming, &mut self.outgoing) {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Writes bytes to the connection.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.incoming.feed(bytes);
        self.run();
    }

    /// Ends the input.
    pub fn eof(&mut self) {
        self.incoming.half_close();
        self.run();
    }

    /// Breaks the transport in both directions.
    pub fn reset(&mut self) {
        self.incoming.reset();
        self.outgoing.reset();
        self.run();
    }

    /// Everything that the connection wrote so far.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.outgoing.written()
    }

    /// How the latest call ended.
    ///
    /// # Panics
    /// If it has not.
    #[must_use]
    pub fn closed(&self) -> CallClosed {
        self.end.closed()
    }

    /// [`Endpoint::assert_quiescent`].
    ///
    /// # Panics
    /// If it is not.
    pub fn assert_quiescent(&mut self) {
        self.end.assert_quiescent();
    }
}

//! A client with its application.

use std::sync::Arc;

use connect_proto::call::{Event, Kind};
use connect_proto::client::{Call, CallConfig, Procedure, Request};
use connect_proto::connection::{CallId, Client, ClientConnection, ConnectionConfig, Notice};
use connect_proto::message::Outbound;

use crate::{CODEC, NOW, PROCEDURE, Wire, send_some, stream_message, unary_message};

/// A client on a connection. It sends one message, or a stream of so many, and takes what comes back.
pub struct ClientEnd {
    /// The connection.
    pub wire: Wire<Client>,
    config: Arc<CallConfig>,
    procedure: Procedure,
    kind: Kind,
    messages: usize,
    left: usize,
    received: usize,
}

impl ClientEnd {
    /// A client on a new connection.
    #[must_use]
    pub fn new(kind: Kind, messages: usize) -> Self {
        ClientEnd {
            wire: Wire::new(ClientConnection::http1(NOW, &ConnectionConfig::default())),
            config: Arc::new(config()),
            procedure: Procedure::new(PROCEDURE).expect("a path"),
            kind,
            messages,
            left: 0,
            received: 0,
        }
    }

    /// Messages that came in so far.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }

    /// Opens a call and sends what fits.
    pub fn call(&mut self) {
        let request = Request::new(self.procedure.clone(), self.kind);
        let call = Call::new(NOW, &self.config, request).expect("no metadata");
        let id = self.wire.connection.open(NOW, call).expect("a free connection");
        if self.kind == Kind::ClientStream {
            self.left = self.messages;
            return self.send(id);
        }
        let message = if self.kind == Kind::Unary { unary_message() } else { stream_message() };
        let mut call = self.wire.connection.call(id).expect("a live call");
        call.send(NOW, Outbound::encode(&call.encoding(), message)).expect("one message");
        call.finish(NOW).expect("the first time");
    }

    fn send(&mut self, id: CallId) {
        let mut call = self.wire.connection.call(id).expect("a live call");
        let encoding = call.encoding();
        self.left -= send_some(self.left, &encoding, |message| call.send(NOW, message));
        if self.left == 0 {
            call.finish(NOW).expect("the first time");
        }
    }

    /// Acts on all notices; says how many calls are over now.
    pub fn serve(&mut self) -> usize {
        let mut closed = 0;
        while let Some(notice) = self.wire.connection.poll_ready() {
            match notice {
                Notice::Readable(id) => self.handle(id),
                Notice::Closed(..) => closed += 1,
                other => panic!("{other:?}"),
            }
        }
        closed
    }

    fn handle(&mut self, id: CallId) {
        let mut is_writable = false;
        let Some(mut call) = self.wire.connection.call(id) else { return };
        while let Some(event) = call.poll_event(NOW) {
            match event {
                Event::Message(message) => {
                    message.decode().expect("nothing is compressed");
                    self.received += 1;
                }
                Event::Finished(verdict) => drop(verdict.expect("success")),
                Event::Writable => is_writable = true,
                _ => {}
            }
        }
        if is_writable {
            self.send(id);
        }
    }
}

fn config() -> CallConfig {
    let scheme = "http".parse().expect("a scheme");
    let authority = "127.0.0.1:8080".parse().expect("an authority");
    CallConfig::new(scheme, authority, CODEC).expect("a codec")
}

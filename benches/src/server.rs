//! A server with its handler.

use std::sync::Arc;

use connect_proto::call::{Event, Kind};
use connect_proto::connection::{CallId, ConnectionConfig, Notice, Server, ServerCall, ServerConnection};
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;
use connect_proto::server::{MethodSpec, ServerConfig};

use crate::{CODEC, NOW, Wire, send_some, stream_message};

/// A server on a connection. Its handler sends the message of a unary call back; it answers a stream of requests with
/// one message, and one request with a stream of so many.
pub struct ServerEnd {
    /// The connection.
    pub wire: Wire<Server>,
    config: Arc<ServerConfig>,
    spec: MethodSpec,
    answers: usize,
    left: usize,
    received: usize,
}

impl ServerEnd {
    /// A server on a new connection.
    #[must_use]
    pub fn new(kind: Kind, answers: usize) -> Self {
        ServerEnd {
            wire: Wire::new(ServerConnection::new(NOW, &ConnectionConfig::default())),
            config: Arc::default(),
            spec: MethodSpec::new(kind, &Arc::from([CODEC.to_owned()])),
            answers,
            left: 0,
            received: 0,
        }
    }

    /// Messages that came in so far.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }

    /// Acts on all notices; says how many calls are over now.
    pub fn serve(&mut self) -> usize {
        let mut closed = 0;
        while let Some(notice) = self.wire.connection.poll_ready() {
            match notice {
                Notice::Incoming(id) => {
                    self.left = self.answers;
                    self.wire.connection.start(NOW, id, &self.config, &self.spec);
                    self.wire.go_on();
                }
                Notice::Readable(id) => self.handle(id),
                Notice::Closed(..) => closed += 1,
                other => panic!("{other:?}"),
            }
        }
        closed
    }

    fn handle(&mut self, id: CallId) {
        let Some(mut call) = self.wire.connection.call(id) else { return };
        while let Some(event) = call.poll_event(NOW) {
            match event {
                Event::Message(message) => {
                    self.received += 1;
                    let message = message.decode().expect("nothing is compressed");
                    if self.spec.kind == Kind::Unary {
                        let answer = Outbound::encode(&call.encoding(), message);
                        call.send(NOW, answer).expect("one message");
                        finish(&mut call);
                    }
                }
                Event::PeerHalfClosed | Event::Writable if self.spec.kind == Kind::ServerStream => {
                    let encoding = call.encoding();
                    self.left -= send_some(self.left, &encoding, |message| call.send(NOW, message));
                    if self.left == 0 {
                        finish(&mut call);
                    }
                }
                Event::PeerHalfClosed if self.spec.kind == Kind::ClientStream => {
                    let answer = Outbound::encode(&call.encoding(), stream_message());
                    call.send(NOW, answer).expect("one message");
                    finish(&mut call);
                }
                _ => {}
            }
        }
    }
}

fn finish(call: &mut ServerCall<'_>) {
    call.finish(NOW, Metadata::new(), Ok(())).expect("the first answer");
}

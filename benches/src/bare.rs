//! A server's call without HTTP/1.1: from the parts of a request to the parts of a response.

use std::sync::Arc;

use bytes::Bytes;
use connect_proto::call::{Event, Input, Kind, Transmit};
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;
use connect_proto::server::{Incoming, MethodSpec, ServerConfig};
use http::request;

use crate::{CODEC, NOW, PROCEDURE, unary_message};

/// What the protocol layers of other stacks are measured at: their HTTP comes and goes as values, too.
pub struct BareServer {
    config: Arc<ServerConfig>,
    spec: MethodSpec,
    head: request::Parts,
}

impl Default for BareServer {
    fn default() -> Self {
        let head = http::Request::post(PROCEDURE)
            .header("host", "127.0.0.1:8080")
            .header("content-type", format!("application/{CODEC}"))
            .header("connect-protocol-version", "1")
            .header("accept-encoding", "gzip")
            .header("user-agent", "connect-proto/0.1.0")
            .header("content-length", "128")
            .body(())
            .expect("a request")
            .into_parts()
            .0;
        BareServer {
            config: Arc::default(),
            spec: MethodSpec::new(Kind::Unary, &Arc::from([CODEC.to_owned()])),
            head,
        }
    }
}

impl BareServer {
    /// The head of a request, made outside of what is measured.
    #[must_use]
    pub fn head(&self) -> Box<request::Parts> {
        Box::new(self.head.clone())
    }

    /// One call that sends its message back; returns the bytes of its answer.
    pub fn call(&self, head: Box<request::Parts>) -> usize {
        let mut call = Incoming::new(NOW, head).start(NOW, &self.config, &self.spec);
        call.handle_input(NOW, Input::Data(unary_message()));
        call.handle_input(NOW, Input::End(None));
        let mut answer = 0;
        loop {
            while let Some(event) = call.poll_event() {
                match event {
                    Event::Message(message) => {
                        let message: Bytes = message.decode().expect("nothing is compressed");
                        call.send(NOW, Outbound::encode(&call.encoding(), message)).expect("one message");
                        call.finish(NOW, Metadata::new(), Ok(())).expect("the first answer");
                    }
                    Event::Closed(_) => return answer,
                    _ => {}
                }
            }
            while let Some(transmit) = call.poll_transmit(usize::MAX) {
                match transmit {
                    Transmit::Data(chunk) => answer += chunk.len(),
                    Transmit::End(_) => call.handle_input(NOW, Input::EndSent),
                    _ => {}
                }
            }
        }
    }
}

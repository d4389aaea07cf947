//! Both sides of a connection.

use bytes::{Buf, BytesMut};
use connect_proto::call::Kind;

use crate::{ClientEnd, ServerEnd};

/// A client and a server, and the bytes on their way.
pub struct Pair {
    /// The client.
    pub client: ClientEnd,
    /// The server.
    pub server: ServerEnd,
    to_client: BytesMut,
    to_server: BytesMut,
}

impl Pair {
    /// A new connection. The stream of a call, if it has one, has so many messages.
    #[must_use]
    pub fn new(kind: Kind, messages: usize) -> Self {
        Pair {
            client: ClientEnd::new(kind, messages),
            server: ServerEnd::new(kind, messages),
            to_client: BytesMut::with_capacity(256 << 10),
            to_server: BytesMut::with_capacity(256 << 10),
        }
    }

    /// Makes a call and carries it to its end on both sides. `request` and `response` see all the bytes.
    pub fn call(&mut self, mut request: impl FnMut(&[u8]), mut response: impl FnMut(&[u8])) {
        self.client.call();
        let (mut client_done, mut server_done) = (0, 0);
        while (client_done, server_done) != (1, 1) {
            let (to_client, to_server) = (&mut self.to_client, &mut self.to_server);
            let mut moved = self.client.wire.write(&mut |bytes| {
                request(bytes);
                to_server.extend_from_slice(bytes);
            });
            let left = self.server.wire.read(to_server).len();
            moved += to_server.len() - left;
            to_server.advance(to_server.len() - left);
            server_done += self.server.serve();
            moved += self.server.wire.write(&mut |bytes| {
                response(bytes);
                to_client.extend_from_slice(bytes);
            });
            server_done += self.server.serve();
            let left = self.client.wire.read(to_client).len();
            moved += to_client.len() - left;
            to_client.advance(to_client.len() - left);
            client_done += self.client.serve();
            assert!(moved > 0 || (client_done, server_done) == (1, 1), "nothing moves");
        }
    }

    /// The bytes of one call: request and response.
    #[must_use]
    pub fn record(kind: Kind, messages: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut request, mut response) = (Vec::new(), Vec::new());
        let mut pair = Pair::new(kind, messages);
        pair.call(|bytes| request.extend_from_slice(bytes), |bytes| response.extend_from_slice(bytes));
        (request, response)
    }
}

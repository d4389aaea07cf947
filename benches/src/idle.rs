//! Connections that have nothing to say.

use std::io::IoSlice;

use connect_proto::call::Kind;
use connect_proto::connection::{Client, Connection, Role, Server};

use crate::{ClientEnd, NOW, Pair, ServerEnd};

/// Asks for everything that a connection may have to say, which is nothing.
pub fn poll<R: Role>(connection: &mut Connection<R>) {
    connection.handle_timeout(NOW);
    assert!(connection.poll_ready().is_none());
    assert_eq!(connection.output(NOW, &mut [IoSlice::new(&[]); 16]), 0);
    assert!(connection.poll_shutdown().is_none());
    std::hint::black_box((connection.poll_timeout(), connection.wants_read(), connection.is_closed()));
}

/// A client's connection between calls.
#[must_use]
pub fn client() -> Connection<Client> {
    let mut pair = Pair::new(Kind::Unary, 0);
    pair.call(|_| {}, |_| {});
    pair.client.wire.connection
}

/// A server's connection between calls.
#[must_use]
pub fn server() -> Connection<Server> {
    let mut pair = Pair::new(Kind::Unary, 0);
    pair.call(|_| {}, |_| {});
    pair.server.wire.connection
}

/// A client that has sent its request.
#[must_use]
pub fn waiting_client() -> Connection<Client> {
    let mut client = ClientEnd::new(Kind::Unary, 0);
    client.call();
    client.wire.write(&mut |_| {});
    client.wire.connection
}

/// A server that has a part of a request.
#[must_use]
pub fn waiting_server() -> Connection<Server> {
    let (request, _) = Pair::record(Kind::Unary, 0);
    let mut server = ServerEnd::new(Kind::Unary, 0);
    server.wire.read(request.get(..request.len() - 1).unwrap_or_default());
    assert_eq!(server.serve(), 0);
    server.wire.connection
}

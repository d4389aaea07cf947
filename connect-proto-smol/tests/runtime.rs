//! What smol's runtime does beyond what every runtime does.

use std::future::poll_fn;
use std::net::TcpListener;
use std::sync::Arc;

use connect_proto_async::testing::suite::spawn;
use connect_proto_async::{Listener, Runtime};
use connect_proto_smol::Smol;
use smol::Executor;
use smol::future;

/// Tasks run on the executor that was given, when it is run and not before.
#[test]
fn it_spawns_on_a_given_executor() {
    let executor = Arc::new(Executor::new());
    let smol = Smol::on(Arc::clone(&executor));
    let thread = spawn(&smol, async { std::thread::current().id() });
    assert!(!executor.is_empty());
    let ran_on = smol::block_on(executor.run(thread));
    assert_eq!(ran_on, std::thread::current().id());
    assert!(executor.is_empty());
}

#[test]
fn it_takes_a_listener_from_outside() {
    let smol = Smol::global();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let mut listener = smol.std_listener(socket).expect("it listens");
    let address = listener.local_address().expect("it has an address");
    let accept = poll_fn(|cx| listener.poll_accept(cx));
    let (client, server) = smol::block_on(future::zip(smol.connect(&address), accept));
    assert!(client.is_ok() && server.is_ok());
}

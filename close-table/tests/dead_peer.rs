//! A peer that is gone without a word: what is between the client and its server stops forwarding, and keeps the sockets
//! open. On every runtime.

mod forwarder;

use std::sync::Arc;
use std::time::{Duration, Instant};

use close_table::{runtimes, server};
use connect_proto::error::Code;
use connect_proto::http2::KeepAlive;
use connect_proto_async::testing::suite::spawn;
use connect_proto_async::{Channel, ChannelConfig, Protocol, Receiver, Runtime, Server};
use forwarder::Forwarder;
use smol::block_on;

/// When a silent connection is pinged, and when it is lost after that.
const PING: Duration = Duration::from_millis(300);
/// How long calls may wait in vain before a connection is suspect: less than the calls here have time.
const SUSPECT_AFTER: Duration = Duration::from_millis(150);
/// How much later it may be seen on a busy machine.
const SCHEDULING: Duration = Duration::from_millis(500);

/// A client, its server, and what is between them.
struct Path {
    name: &'static str,
    runtime: Arc<dyn Runtime>,
    server: Server,
    forwarder: Forwarder,
    channel: Channel,
}

fn paths(protocol: Protocol, keep_alive: Option<KeepAlive>) -> impl Iterator<Item = Path> {
    runtimes::each().map(move |(name, runtime)| {
        let server = server::serve(&runtime, &["127.0.0.1".to_owned()]).remove(0);
        let address = server.local_address().expect("a server has an address").to_string();
        let forwarder = Forwarder::start(address.parse().expect("an IP address"));
        let mut config =
            ChannelConfig::new(&format!("http://{}", forwarder.address()), "proto").expect("a URI");
        config.pool.protocol = protocol;
        config.connection.http2.keep_alive = keep_alive;
        config.connection.suspect_after = Some(SUSPECT_AFTER);
        let channel = Channel::new(runtime.clone(), config);
        Path { name, runtime, server, forwarder, channel }
    })
}

impl Path {
    /// A stream that has begun and now is silent.
    fn silent(&self) -> Receiver {
        let mut receiver = self.channel.call(&server::silent()).server_stream("a request").expect("a call");
        assert_eq!(block_on(receiver.recv()).expect("it goes on").expect("a message"), "hello");
        receiver
    }

    /// A call that is answered, how often the channel has dialled by then.
    fn dials_of_the_next_call(&self) -> u64 {
        let reply = block_on(self.channel.call(&server::unary()).unary("are you there?"));
        assert_eq!(reply.expect("an answer").message, "are you there?", "{}", self.name);
        self.channel.counters().dials
    }
}

#[test]
fn pings_end_the_calls_on_a_dead_connection_and_the_next_call_dials_anew() {
    let keep_alive = KeepAlive { interval: PING, timeout: PING, while_idle: false };
    for path in paths(Protocol::Http2, Some(keep_alive)) {
        let mut calls: Vec<Receiver> = (0..10).map(|_| path.silent()).collect();
        // Pings keep it alive as long as they are answered.
        std::thread::sleep(3 * PING);
        assert_eq!(path.dials_of_the_next_call(), 1);

        path.forwarder.stop();
        let begun = Instant::now();
        let late = path.channel.call(&server::unary()).unary("a request");
        let late = spawn(&*path.runtime, late);
        for call in &mut calls {
            let error = block_on(call.recv()).expect_err("the connection is dead");
            assert_eq!(error.code(), Code::Unavailable, "{}: {error}", path.name);
        }
        let took = begun.elapsed();
        let error = block_on(late).expect_err("the connection is dead");
        assert_eq!(error.code(), Code::Unavailable, "{}: {error}", path.name);
        assert!(took < 2 * PING + SCHEDULING, "{}: {took:?}", path.name);
        println!("{}: calls on a dead connection ended after {took:?}, of {:?}", path.name, 2 * PING);

        assert_eq!(path.dials_of_the_next_call(), 2);
        assert_eq!(path.forwarder.connections(), 2);
    }
}

#[test]
fn without_pings_a_call_that_times_out_without_a_byte_evicts_its_connection() {
    for path in paths(Protocol::Http2, None) {
        assert_eq!(path.dials_of_the_next_call(), 1);
        path.forwarder.stop();
        let call = path.channel.call(&server::unary()).timeout(Duration::from_millis(200));
        let error = block_on(call.unary("a request")).expect_err("the connection is dead");
        assert_eq!(error.code(), Code::DeadlineExceeded, "{}: {error}", path.name);
        assert_eq!(path.channel.counters().evictions, 1, "{}", path.name);

        // At once, and again.
        assert_eq!(path.dials_of_the_next_call(), 2, "{}", path.name);
        assert_eq!(path.dials_of_the_next_call(), 2, "{}", path.name);
        assert_eq!((path.forwarder.connections(), path.server.counters().connections), (2, 2));
    }
}

/// A call that is closed instead, and drained for as long as its budget allows, says as much.
#[test]
fn without_pings_a_drain_that_times_out_without_a_byte_evicts_its_connection() {
    for path in paths(Protocol::Http2, None) {
        assert_eq!(path.dials_of_the_next_call(), 1);
        path.forwarder.stop();
        let call = path.channel.call(&server::silent()).config(|config| {
            config.limits.drain_http2.time = Duration::from_millis(200);
        });
        let receiver = call.server_stream("a request").expect("a call");
        std::thread::sleep(Duration::from_millis(50));
        let _end = block_on(receiver.close());
        assert_eq!(path.channel.counters().evictions, 1, "{}", path.name);
        assert_eq!(path.dials_of_the_next_call(), 2, "{}", path.name);
    }
}

/// A connection that has one call at a time goes with it.
#[test]
fn over_http1_a_call_that_times_out_ends_its_connection() {
    for path in paths(Protocol::Http1, None) {
        assert_eq!(path.dials_of_the_next_call(), 1);
        path.forwarder.stop();
        let call = path.channel.call(&server::unary()).timeout(Duration::from_millis(200));
        let error = block_on(call.unary("a request")).expect_err("the connection is dead");
        assert_eq!(error.code(), Code::DeadlineExceeded, "{}: {error}", path.name);
        assert_eq!(path.dials_of_the_next_call(), 2, "{}", path.name);
    }
}

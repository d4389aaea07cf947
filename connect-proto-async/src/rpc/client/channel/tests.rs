//! What calls leave behind on a channel.

use crate::testing::Sim;
use crate::{Address, Channel, ChannelConfig, Context, Procedure, Protocol, Router, Server, ServerConfig};

/// However a call ends and whoever sees it first, its connection forgets it.
#[test]
fn calls_that_are_over_leave_nothing_on_their_connection() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let sim = Sim::new(7);
        let runtime = sim.handle();
        let echo = Procedure::new("/test.Service/Echo").expect("a path");
        let router = Router::new(["text"]).unary(&echo, |_: Context, message| async move { Ok(message) });
        sim.run(async {
            let address = Address::Tcp { host: "server.example".into(), port: 80 };
            let server = Server::bind(runtime.clone(), &address, router, ServerConfig::default()).await;
            let mut config = ChannelConfig::new("http://server.example", "text").expect("a URI");
            config.pool.protocol = protocol;
            let channel = Channel::new(runtime.clone(), config);
            for _ in 0..10 {
                channel.call(&echo).unary("returns").await.expect("an answer");
                let _ = channel.call(&echo).open_unary("is closed").expect("a call").close().await;
                let _ = channel.call(&echo).open_unary("is aborted").expect("a call").abort().await;
                drop(channel.call(&echo).open_unary("is dropped").expect("a call"));
                channel.call(&echo).unary("returns").await.expect("an answer");
            }
            for connection in channel.connections.alive() {
                assert_eq!(connection.lock().held(), 0, "{protocol:?}");
            }
            drop(server);
        });
    }
}

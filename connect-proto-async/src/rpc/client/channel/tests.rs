//! What a channel is made for, and what calls leave behind on it.

use super::ConfigError;
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

#[test]
fn a_uri_names_an_address() {
    for (uri, address) in [
        ("http://example.com", "example.com:80"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("unix:/run/greet.sock", "unix:/run/greet.sock"),
    ] {
        assert_eq!(ChannelConfig::new(uri, "json").expect(uri).address.to_string(), address);
    }
    for uri in ["", "example.com", "http://", "http://a/b", "http://a@b", "unix:", "unix:80", "ftp://a"] {
        assert!(ChannelConfig::new(uri, "json").is_err(), "{uri:?}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn the_host_of_an_https_uri_is_the_servers_name() {
    let name =
        |uri| ChannelConfig::new(uri, "json").expect(uri).server_name.map(|name| name.to_str().into_owned());
    assert_eq!(name("https://example.com").as_deref(), Some("example.com"));
    assert_eq!(name("https://[::1]:8443").as_deref(), Some("::1"));
    assert_eq!(name("http://example.com"), None);
    let config = ChannelConfig::new("https://example.com", "json").expect("a URI");
    assert_eq!(config.address.to_string(), "example.com:443");
    assert!(matches!(ChannelConfig::new("https://under score", "json"), Err(ConfigError::Invalid(_))));
    assert!(matches!(ChannelConfig::new("https://-", "json"), Err(ConfigError::Form)));
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_needs_tls() {
    assert!(matches!(ChannelConfig::new("https://example.com", "json"), Err(ConfigError::Scheme)));
}

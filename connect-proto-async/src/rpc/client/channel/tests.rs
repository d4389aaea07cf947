//! What a channel is made for, and what calls leave behind on it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use connect_proto::Instant;
use connect_proto::error::{AbortReason, CloseReason, RpcError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ConfigError;
use crate::testing::suite;
use crate::testing::{Dial, Sim};
use crate::{
    Address, BoxFuture, BoxStream, Channel, ChannelConfig, Code, Context, Listener, Procedure, Protocol,
    Responses, Router, Runtime, Server, ServerConfig, Timer,
};

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

#[test]
fn a_port_that_is_none_is_not_the_default_port() {
    for uri in ["http://a:80800", "http://a:http", "http://a:-1", "http://a:+80", "http://[::1]:65536"] {
        assert!(ChannelConfig::new(uri, "json").is_err(), "{uri}");
    }
    // An empty one is none at all: RFC 3986, section 3.2.3.
    let config = ChannelConfig::new("http://a:", "json").expect("a URI");
    assert_eq!(config.address.to_string(), "a:80");
}

/// A server that answers before it has read the request, as proxies do, and keeps the connection: its word counts at once.
#[test]
fn an_answer_that_the_server_is_unavailable_is_not_held_back() {
    let sim = Sim::new(7);
    let runtime = sim.handle();
    sim.run(async {
        let address = Address::Tcp { host: "server.example".into(), port: 80 };
        let mut listener = runtime.listen(&address).await.expect("a free port");
        let server = suite::spawn(&*runtime, async move {
            let (mut stream, _) = poll_fn(|cx| listener.poll_accept(cx)).await.expect("a client");
            stream.read_exact(&mut [0; 100]).await.expect("a request");
            let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.expect("a client");
            stream
        });
        let config = ChannelConfig::new("http://server.example", "text").expect("a URI");
        let channel = Channel::new(runtime.clone(), config);
        let call = channel.call(&Procedure::new("/test.Service/Put").expect("a path"));
        let answer = call.unary(vec![0; 3 << 20]);
        let begun = runtime.now();
        let error = answer.await.expect_err("it is unavailable");
        assert_eq!(error.code(), Code::Unavailable);
        let took = runtime.now().saturating_duration_since(begun);
        assert!(took < Duration::from_secs(1), "{took:?}");
        drop(server.await);
    });
}

/// Nor is the reason why a connection was lost kept for oneself.
#[test]
fn what_the_peer_did_to_lose_the_connection_is_told() {
    let sim = Sim::new(7);
    let runtime = sim.handle();
    sim.run(async {
        let address = Address::Tcp { host: "server.example".into(), port: 80 };
        let mut listener = runtime.listen(&address).await.expect("a free port");
        let server = suite::spawn(&*runtime, async move {
            let (mut stream, _) = poll_fn(|cx| listener.poll_accept(cx)).await.expect("a client");
            let answer = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.expect("a client");
            stream
        });
        let mut config = ChannelConfig::new("http://server.example", "text").expect("a URI");
        config.pool.protocol = Protocol::Http2;
        let channel = Channel::new(runtime.clone(), config);
        let call = channel.call(&Procedure::new("/test.Service/Put").expect("a path"));
        let error = call.unary("").await.expect_err("the server speaks HTTP/1.1 alone");
        assert_eq!((error.code(), error.is_remote()), (Code::Unavailable, false));
        assert!(error.message().contains("HTTP/1.1"), "{error}");
        drop(server.await);
    });
}

/// A response that nobody wants any more does not keep a call waiting.
#[test]
fn a_drain_makes_room_for_a_call_that_waits() {
    let sim = Sim::new(7);
    let runtime = sim.handle();
    sim.run(async {
        let (silent, echo) = ("/test.Service/Silent", "/test.Service/Echo");
        let [silent, echo] = [silent, echo].map(|path| Procedure::new(path).expect("a path"));
        let router = Router::new(["text"])
            .unary(&echo, |_: Context, message| async move { Ok(message) })
            .server_stream(&silent, |_: Context, _, mut responses: Responses| async move {
                responses.send("one").await?;
                std::future::pending::<Result<(), RpcError>>().await
            });
        let address = Address::Tcp { host: "server.example".into(), port: 80 };
        let server = Server::bind(runtime.clone(), &address, router, ServerConfig::default()).await;
        let mut config = ChannelConfig::new("http://server.example", "text").expect("a URI");
        config.pool.max_http1_connections = 1;
        let channel = Channel::new(runtime.clone(), config);
        let mut stream = channel.call(&silent).server_stream("").expect("a call");
        stream.recv().await.expect("a message");
        let ending = stream.close();
        let begun = runtime.now();
        channel.call(&echo).unary("").await.expect("an answer");
        let took = runtime.now().saturating_duration_since(begun);
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(ending.await.closed.reason, CloseReason::Aborted(AbortReason::ShutDown));
        drop(server);
    });
}

/// Passes on to another runtime until it has stopped: then it drops what it is to spawn, as tokio does.
#[derive(Debug)]
struct Stoppable {
    inner: Arc<dyn Runtime>,
    has_stopped: AtomicBool,
    /// How many tasks are being dropped, one within the other, and how many that were at most.
    depth: AtomicUsize,
    max_depth: AtomicUsize,
}

impl Runtime for Stoppable {
    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn timer(&self, at: Instant) -> Pin<Box<dyn Timer>> {
        self.inner.timer(at)
    }

    fn spawn(&self, task: BoxFuture<()>) {
        if !self.has_stopped.load(Ordering::Relaxed) {
            return self.inner.spawn(task);
        }
        let depth = self.depth.fetch_add(1, Ordering::Relaxed) + 1;
        self.max_depth.fetch_max(depth, Ordering::Relaxed);
        drop(task);
        self.depth.fetch_sub(1, Ordering::Relaxed);
    }

    fn connect(&self, address: &Address) -> BoxFuture<io::Result<BoxStream>> {
        self.inner.connect(address)
    }

    fn listen(&self, address: &Address) -> BoxFuture<io::Result<Box<dyn Listener>>> {
        self.inner.listen(address)
    }
}

/// Otherwise a thousand calls that wait are a thousand dials, each within the one before.
#[test]
fn a_dial_that_is_dropped_with_its_runtime_does_not_dial_again() {
    let sim = Sim::new(7);
    let runtime = Arc::new(Stoppable {
        inner: sim.handle(),
        has_stopped: AtomicBool::new(false),
        depth: AtomicUsize::new(0),
        max_depth: AtomicUsize::new(0),
    });
    sim.script_dials([Dial::Unanswered]);
    let mut config = ChannelConfig::new("http://server.example", "text").expect("a URI");
    config.pool.max_http1_connections = 1;
    let channel = Channel::new(runtime.clone(), config);
    let wait = Procedure::new("/test.Service/Wait").expect("a path");
    let calls: Vec<_> = (0..50).map(|_| channel.call(&wait).open_unary("").expect("a call")).collect();
    sim.run(suite::sleep(&*runtime, Duration::from_millis(1)));
    runtime.has_stopped.store(true, Ordering::Relaxed);
    drop(sim);
    assert!(runtime.max_depth.load(Ordering::Relaxed) <= 1, "{:?}", runtime.max_depth);
    // They are told all the same, and so is a call that comes too late.
    let late = channel.call(&wait).open_unary("").expect("a call");
    for mut call in calls.into_iter().chain([late]) {
        let mut answer = std::pin::pin!(call.response());
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(answer) = answer.as_mut().poll(cx) else { panic!("it waits for nobody") };
        assert_eq!(answer.expect_err("it has no connection").code(), Code::Unavailable);
    }
}

#[test]
fn an_https_uri_is_refused_without_tls() {
    assert!(matches!(ChannelConfig::new("https://example.com", "json"), Err(ConfigError::WithoutTls)));
    assert!(matches!(ChannelConfig::new("https://under score", "json"), Err(ConfigError::Invalid(_))));
}

/// Rather than that calls go in plain text.
#[cfg(feature = "tls-ring")]
#[test]
fn tls_is_refused_without_an_https_uri() {
    for uri in ["http://example.com", "unix:/run/greet.sock"] {
        assert!(matches!(ChannelConfig::with_tls(uri, "json", tls()), Err(ConfigError::NotHttps)), "{uri}");
    }
}

#[cfg(feature = "tls-ring")]
#[test]
fn the_host_of_an_https_uri_is_the_servers_name() {
    let config = |uri| ChannelConfig::with_tls(uri, "json", tls());
    let name = |uri| config(uri).expect(uri).secure.map(|secure| secure.name.to_str().into_owned());
    assert_eq!(name("https://example.com").as_deref(), Some("example.com"));
    assert_eq!(name("https://[::1]:8443").as_deref(), Some("::1"));
    assert_eq!(config("https://example.com").expect("a URI").address.to_string(), "example.com:443");
    assert!(matches!(config("https://-"), Err(ConfigError::Form)));
}

#[cfg(feature = "tls-ring")]
fn tls() -> crate::tls::ClientTls {
    let roots = crate::tls::rustls::RootCertStore::empty();
    crate::tls::ClientTls::new(crate::tls::client_config(roots, None).expect("a provider"))
}

//! Unix sockets.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use connect_proto_async::{Address, Channel, ChannelConfig, Code, Duplex, Protocol, Runtime, ServerConfig};

use super::{chat, echo, procedure, serve};

/// A path that nobody uses.
fn free_path() -> PathBuf {
    static USED: AtomicU32 = AtomicU32::new(0);
    let name = format!("connect-proto-{}-{}", std::process::id(), USED.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(name)
}

fn channel(runtime: &Arc<dyn Runtime>, address: &Address, protocol: Protocol) -> Channel {
    let mut config = ChannelConfig::new(&address.to_string(), "text").expect("an address");
    assert_eq!(config.address, *address);
    config.pool.protocol = protocol;
    Channel::new(runtime.clone(), config)
}

/// Both versions of HTTP, and a peer that has no address.
pub(crate) async fn calls_over_a_unix_socket(runtime: Arc<dyn Runtime>) {
    let path = free_path();
    let address = Address::Unix(path.clone());
    let server = serve(&runtime, &address, ServerConfig::default()).await;
    assert_eq!(server.local_address(), Some(&address));
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let channel = channel(&runtime, &address, protocol);
        echo(&channel).await.expect("an answer");
        let duplex = if protocol == Protocol::Http2 { Duplex::Full } else { Duplex::Half };
        chat(&channel, duplex).await.expect("a talk");
        let answer = channel.call(&procedure("WhereAmI")).unary("").await.expect("an answer");
        assert_eq!(answer.message, "None");
    }
    std::fs::remove_file(path).expect("the socket's file");
}

/// The error says which.
pub(crate) async fn a_missing_socket_is_named(runtime: Arc<dyn Runtime>) {
    let address = Address::Unix(free_path());
    let error = echo(&channel(&runtime, &address, Protocol::Http1)).await.expect_err("nobody listens");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains(&address.to_string()), "{error}");
}

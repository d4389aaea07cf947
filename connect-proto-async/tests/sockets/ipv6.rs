//! Addresses of IPv6.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use connect_proto_async::{Address, Channel, ChannelConfig, Runtime, ServerConfig};

use super::{echo, procedure, serve};

pub(crate) async fn an_ipv6_literal_is_dialled(runtime: Arc<dyn Runtime>) {
    let address: Address = "[::1]:0".parse().expect("an address");
    let server = serve(&runtime, &address, ServerConfig::default()).await;
    let url = format!("http://{}", server.local_address().expect("an address"));
    assert!(url.starts_with("http://[::1]:"), "{url}");
    let channel = Channel::new(runtime, ChannelConfig::new(&url, "text").expect("a URL"));
    echo(&channel).await.expect("an answer");
    let seen = channel.call(&procedure("WhereAmI")).unary("").await.expect("an answer").message;
    assert!(seen.starts_with(b"Some([::1]:"), "{seen:?}");
}

/// The system takes it along with the address: loopback has one as well, if only by its number.
pub(crate) async fn an_address_keeps_its_zone(runtime: Arc<dyn Runtime>) {
    let zoned = |port| Address::from(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 1)));
    let server = serve(&runtime, &zoned(0), ServerConfig::default()).await;
    let Some(Address::Tcp { port, .. }) = server.local_address() else { panic!("a port") };
    let mut config = ChannelConfig::new("http://[::1]", "text").expect("a URL");
    config.address = zoned(*port);
    echo(&Channel::new(runtime, config)).await.expect("an answer");
}

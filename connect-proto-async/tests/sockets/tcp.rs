//! What the system does for a TCP connection, as Linux shows it.

use std::sync::Arc;
use std::time::Duration;

use connect_proto_async::testing::suite::sleep;
use connect_proto_async::{Address, Channel, ChannelConfig, Runtime, ServerConfig};

use super::{echo, serve};

/// While a connection is silent, both ends wait to send the next keep-alive probe.
pub(crate) async fn a_silent_peer_is_probed(runtime: Arc<dyn Runtime>) {
    let address = Address::Tcp { host: "127.0.0.1".into(), port: 0 };
    let server = serve(&runtime, &address, ServerConfig::default()).await;
    let Some(Address::Tcp { port, .. }) = server.local_address() else { panic!("a server at a port") };
    let config = ChannelConfig::new(&format!("http://127.0.0.1:{port}"), "text").expect("a URI");
    let channel = Channel::new(runtime.clone(), config);
    echo(&channel).await.expect("an answer");
    let mut timers = timers(*port);
    // What was sent last may not be acknowledged yet.
    for _ in 0..100 {
        if timers == [KEEP_ALIVE, KEEP_ALIVE] {
            return;
        }
        sleep(&*runtime, Duration::from_millis(20)).await;
        timers = self::timers(*port);
    }
    panic!("the timers of the two ends are {timers:?}");
}

/// The kind of a timer that is to send a keep-alive probe.
const KEEP_ALIVE: &str = "02";

/// Which timers run for the ends of connections at a port.
fn timers(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let port = format!(":{port:04X}");
    let rows = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        let timer = fields.nth(1)?;
        let is_established = state == "01" && (local.ends_with(&port) || remote.ends_with(&port));
        is_established.then(|| timer.split(':').next().unwrap_or_default().to_owned())
    });
    rows.collect()
}

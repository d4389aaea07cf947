//! What a collector of `tracing` is told: spans of calls on both sides, their codes, and how they ended.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use connect_proto_async::testing::Sim;
use connect_proto_async::{
    Address, Channel, ChannelConfig, Code, Context, Procedure, Router, RpcError, Server, ServerConfig,
};
use tracing_subscriber::fmt::format::FmtSpan;

/// What was written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_call_is_a_span_on_both_sides_and_says_how_it_ended() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let sim = Sim::new(0);
        let runtime = sim.handle();
        sim.run(async move {
            let find = Procedure::new("/test.v1.Users/Find").expect("a path");
            let router = Router::new(["text"]).unary(&find, |_: Context, _: Bytes| async move {
                tracing::info!("looking for it");
                Err::<Bytes, _>(RpcError::new(Code::NotFound, "no such user"))
            });
            let address: Address = "127.0.0.1:0".parse().expect("an address");
            let server = Server::bind(runtime.clone(), &address, router, ServerConfig::default());
            let server = server.await.expect("a port is free");
            let url = format!("http://{}", server.local_address().expect("it has an address"));
            let channel = Channel::new(runtime, ChannelConfig::new(&url, "text").expect("a URI"));
            channel.call(&find).unary("Ada").await.expect_err("it fails");
            server.shutdown(std::time::Duration::ZERO).await;
        });
    });
    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    let line = |parts: &[&str]| {
        let found = log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "{parts:?} is not in\n{log}");
    };
    let named = [
        "rpc.system.name=\"connectrpc\"",
        "otel.name=\"test.v1.Users/Find\"",
        "rpc.method=\"test.v1.Users/Find\"",
        "rpc.response.status_code=\"not_found\"",
        "error.type=\"not_found\"",
    ];
    line(
        &[&["otel.kind=\"client\"", "server.address=\"127.0.0.1\" server.port=", "close"], &named[..]]
            .concat(),
    );
    line(
        &[
            &["otel.kind=\"server\"", "network.peer.address=127.0.0.1 network.peer.port=", "close"],
            &named[..],
        ]
        .concat(),
    );
    line(&["otel.kind=\"server\"", "looking for it"]);
    line(&["call closed", "reason=Complete", "drained=0", "processed=Yes", "fate=Reusable"]);
    line(&["connected"]);
    line(&["connection accepted"]);
}

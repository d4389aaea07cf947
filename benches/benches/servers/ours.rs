//! This project's server, with the procedures that are called.

use std::sync::Arc;

use bytes::Bytes;
use connect_proto_async::{
    Address, Context, Procedure, Requests, Responses, Router, Runtime, Server, ServerConfig,
};
use connect_proto_smol::Smol;
use connect_proto_tokio::Tokio;
use smol::stream;

pub(crate) fn on_tokio(builder: &mut tokio::runtime::Builder) {
    let runtime = builder.enable_all().build().expect("a runtime");
    // In a task, as the rest of the server: on a runtime with workers the caller's thread is none of them.
    let served = runtime.spawn(async { serve(Arc::new(Tokio::current())).await });
    runtime.block_on(served).expect("a server");
}

pub(crate) fn on_smol() {
    let executor = Arc::new(smol::Executor::new());
    smol::block_on(executor.run(serve(Arc::new(Smol::on(executor.clone())))));
}

async fn serve(runtime: Arc<dyn Runtime>) {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
    let server = Server::bind(runtime, &address, router(), ServerConfig::default()).await.expect("a port");
    match server.local_address() {
        Some(Address::Tcp { port, .. }) => crate::listens_at(*port),
        other => panic!("no port: {other:?}"),
    }
    server.ended().await;
}

fn router() -> Router {
    Router::new(["proto"])
        .unary(&procedure("Echo"), |_: Context, message: Bytes| async move { Ok(message) })
        .server_stream(
            &procedure("Source"),
            |_: Context, asked: Bytes, mut responses: Responses| async move {
                let (messages, size) = asked_for(&asked);
                let message = Bytes::from(vec![b'm'; size]);
                responses.send_all(stream::iter(std::iter::repeat_n(Ok(message), messages))).await
            },
        )
        .client_stream(&procedure("Sink"), |_: Context, mut requests: Requests| async move {
            while requests.recv().await?.is_some() {}
            Ok(Bytes::from_static(b"sixteen bytes ok"))
        })
}

fn procedure(name: &str) -> Procedure {
    Procedure::new(format!("/bench.Bench/{name}")).expect("a path")
}

/// How many messages of how many bytes a request wants.
pub(crate) fn asked_for(request: &[u8]) -> (usize, usize) {
    let asked = std::str::from_utf8(request).ok().and_then(|text| text.split_once(' '));
    asked
        .and_then(|(messages, size)| Some((messages.parse().ok()?, size.parse().ok()?)))
        .expect("two numbers")
}

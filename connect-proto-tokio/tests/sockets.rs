//! Sockets of TCP, TLS and Unix, on tokio.

use std::sync::Arc;

use connect_proto_async::testing::suite::{self, Case};
use connect_proto_tokio::Tokio;

#[macro_use]
#[path = "../../connect-proto-async/tests/sockets/mod.rs"]
mod sockets;

fn run(case: Case) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async { suite::run(Arc::new(Tokio::current()), case).await });
}

socket_suite!(crate::run);

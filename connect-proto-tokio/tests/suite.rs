//! The suite of every runtime, on tokio.

use std::sync::Arc;

use connect_proto_async::testing::suite::{self, Case};
use connect_proto_tokio::Tokio;

fn run(case: Case) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async { suite::run(Arc::new(Tokio::current()), case).await });
}

connect_proto_async::runtime_suite!(crate::run);

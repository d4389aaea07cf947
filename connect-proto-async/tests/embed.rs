//! The suite of every runtime, on the one of the example `embed`.

#[path = "../examples/embed/mini.rs"]
mod mini;

use std::sync::Arc;

use connect_proto_async::testing::suite::{self, Case};
use mini::Mini;

fn run(case: Case) {
    let runtime = Mini::new();
    runtime.run(suite::run(Arc::new(runtime.clone()), case));
}

connect_proto_async::runtime_suite!(crate::run);

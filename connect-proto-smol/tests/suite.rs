//! The suite of every runtime, on smol.

use std::sync::Arc;

use connect_proto_async::testing::suite::{self, Case};
use connect_proto_smol::Smol;

fn run(case: Case) {
    smol::block_on(suite::run(Arc::new(Smol::global()), case));
}

connect_proto_async::runtime_suite!(crate::run);

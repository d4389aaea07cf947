//! Sockets of TCP, TLS and Unix, on smol.

use std::sync::Arc;

use connect_proto_async::testing::suite::{self, Case};
use connect_proto_smol::Smol;

#[macro_use]
#[path = "../../connect-proto-async/tests/sockets/mod.rs"]
mod sockets;

fn run(case: Case) {
    smol::block_on(suite::run(Arc::new(Smol::global()), case));
}

socket_suite!(crate::run);

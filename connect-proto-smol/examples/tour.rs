//! The tour, on smol.

use std::process::ExitCode;
use std::sync::Arc;

use connect_proto_smol::Smol;

#[path = "../../examples/tour/mod.rs"]
mod tour;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    smol::block_on(tour::take(Arc::new(Smol::global())))
}

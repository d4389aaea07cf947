//! The tour, on tokio.

use std::process::ExitCode;
use std::sync::Arc;

use connect_proto_tokio::Tokio;

#[path = "../../examples/tour/mod.rs"]
mod tour;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    tour::take(Arc::new(Tokio::current())).await
}

//! The server under test of h2spec: serves without being asked to, and writes to stdout where.

use std::io::{self, Write};
use std::sync::Arc;

use conformance::args::Args;
use conformance::convert::Unsupported;
use conformance::runtime;

fn main() -> Result<(), Unsupported> {
    let args = Args::parse(std::env::args().skip(1))?;
    let runtime = runtime::find(&args.runtime)?;
    runtime.serve(Arc::default(), None, &mut |address| writeln!(io::stdout(), "serving at {address}"))
}

//! Plays the random workload of the simulated runtime for many seeds:
//! `cargo run --release -p connect-proto-async --features testing --example simulate -- FIRST COUNT`.
//!
//! It stops at the first seed for which something does not hold. With the variable `SIM_TRACE` set it also tells what the
//! runtime does.

use std::env;
use std::error::Error;
use std::num::ParseIntError;

use connect_proto_async::testing::workload::{Tally, run};

fn main() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<u64> =
        env::args().skip(1).map(|arg| arg.parse()).collect::<Result<_, ParseIntError>>()?;
    let [first, count] = numbers[..] else { return Err("which seeds? FIRST COUNT".into()) };
    let mut tally = Tally::default();
    for seed in first..first.saturating_add(count) {
        tally += run(seed).tally;
        if tally.runs.is_multiple_of(1000) {
            println!("{tally}");
        }
    }
    println!("{tally}");
    Ok(())
}

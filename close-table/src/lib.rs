//! What closing costs and leaves behind while the other side, a process of its own, misbehaves over a real socket.
//!
//! The rows of the tables and what they must come to, for the blocking driver and for the runtimes alike; how they are
//! measured on a runtime; and closing in a crowd. The tests run all of it, as small as they can; and at full size:
//!
//! - `cargo bench -p close-table --bench default_budgets`: the tables with the default budgets, on tokio and on smol;
//! - `cargo run --release -p close-table --bin crowd`: ten thousand silent streams, see there for how else.
#![forbid(unsafe_code)]

pub mod budget;
pub mod closing;
pub mod contended;
pub mod crowd;
pub mod measured;
pub mod process;
pub mod rows;
pub mod runtimes;
pub mod server;
pub mod text;

//! What closing costs and leaves behind while the other side, a process of its own, misbehaves over a real socket.
//!
//! The rows of the tables and what they must come to, for the blocking driver and for the runtimes alike; how they are
//! measured on a runtime; and closing in a crowd. The tests and the programs beside them run it.
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

//! What both roles of a call share: the events at its two doors, its limits, its halves and how it ends.

mod io;
mod limits;

pub use io::{BodySize, Chunk, Closed, Event, Input, Processed, Transmit};
pub use limits::{DrainBudget, Limits};

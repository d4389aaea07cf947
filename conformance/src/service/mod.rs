//! The `ConformanceService`, as a server program has to implement it.

mod handler;
mod script;

pub use handler::{Action, Handler, RequestHead};

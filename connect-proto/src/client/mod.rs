//! L1, client role: one RPC between HTTP events and RPC events.

mod call;
mod config;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use call::Call;
pub use config::CallConfig;
pub use request::{Procedure, Request};

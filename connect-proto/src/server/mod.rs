//! L1, server role: one RPC between HTTP events and RPC events.

mod call;
mod config;
mod incoming;
mod response;
#[cfg(test)]
mod tests;

pub use call::Call;
pub use config::{MethodSpec, ServerConfig};
pub use incoming::{Incoming, Refusal};

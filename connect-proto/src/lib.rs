//! The Connect RPC protocol as pure, synchronous state machines: bytes and time in, bytes and events out.
#![forbid(unsafe_code)]

pub mod call;
pub mod client;
pub mod compress;
pub mod connection;
pub mod error;
pub mod http1;
pub mod message;
pub mod metadata;
pub mod server;
#[cfg(any(feature = "testing", feature = "arbitrary", test))]
pub mod testing;
mod time;
pub mod wire;

pub use time::Instant;

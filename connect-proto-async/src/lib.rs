//! The async half of `connect-proto` that every runtime shares.
#![forbid(unsafe_code)]

mod driver;
#[cfg(feature = "testing")]
pub mod testing;

pub use driver::runtime::{Address, BoxFuture, BoxStream, Listener, Peer, Runtime, Stream, Timer};

/// A stand-in until the client is there.
#[derive(Debug)]
pub struct Channel;
/// A stand-in until the server is there.
#[derive(Debug)]
pub struct Server;

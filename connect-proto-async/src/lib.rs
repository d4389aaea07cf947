//! The async half of `connect-proto` that every runtime shares.
#![forbid(unsafe_code)]

mod driver;
mod rpc;
#[cfg(feature = "testing")]
pub mod testing;

pub use driver::runtime::{Address, BoxFuture, BoxStream, Listener, Peer, Runtime, Stream, Timer};

pub use rpc::server::{
    Context, Ended, Requests, Responses, Router, Server, ServerConfig, ServerCounters, ShutdownReport,
    Trailers,
};
pub use rpc::{Response, SendError};

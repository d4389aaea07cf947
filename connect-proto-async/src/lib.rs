//! The async half of `connect-proto` that every runtime shares.
#![forbid(unsafe_code)]

mod driver;
mod rpc;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;

pub use driver::runtime::{
    Address, BoxFuture, BoxStream, InvalidAddress, Listener, Peer, Runtime, Stream, Timer,
};

pub use connect_proto;
pub use connect_proto::call::Duplex;
pub use connect_proto::client::Procedure;
pub use connect_proto::error::{Code, RpcError};
pub use connect_proto::metadata::Metadata;
pub use driver::pool::{PoolConfig, PoolCounters, Protocol};
pub use rpc::client::{CallBuilder, CallEnd, Channel, ChannelConfig, ConfigError, Ending, Receiver, Sender};
pub use rpc::server::{
    Context, Ended, Requests, Responses, Router, Server, ServerConfig, ServerCounters, ShutdownReport,
    Trailers,
};
pub use rpc::{OpenError, Response, SendError};

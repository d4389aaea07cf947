//! The async half of `connect-proto` that every runtime shares: clients and servers of the Connect RPC protocol.
//!
//! Use it by `connect-proto-tokio` or `connect-proto-smol`, which bring a [`Runtime`] and all of this with them; or
//! implement that trait for another one, as the example `embed` does.
//!
//! - A client has a [`Channel`] to a server. [`Channel::call`] begins a call; the last method of its [`CallBuilder`] says
//!   of which kind it is. What comes back is its [`Receiver`], and its [`Sender`] if the call takes many messages.
//! - A server has a [`Router`] of procedures and their handlers, async functions over messages as bytes, with a [`Context`],
//!   [`Requests`] and [`Responses`]. A [`Server`] serves it.
//!
//! Nothing here waits that does not have to. [`Receiver::close`] returns at once in whatever phase a call is, and
//! [`Ending`] tells later how it ended. A handle that is dropped aborts its call, and a handler whose call has ended under
//! it is dropped. Every wait and every size has a limit, with a default; see the types whose names end in `Config`, and
//! `Limits`.
//!
//! The protocol itself is in [`connect_proto`]. Here are its connections' tasks, the pool of a channel, the accept loop
//! of a server, and the handles. A connection is shared by its task and by the handles of its calls under a mutex: no
//! message passes through a task or a channel on its way.
//!
//! The feature `testing` adds the module `testing`: `Sim`, a simulated runtime with a seeded executor, a virtual clock and a
//! network with faults, and the suite that every runtime passes.
#![forbid(unsafe_code)]

mod driver;
mod rpc;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
mod trace;

pub use driver::eyeballs::connect_to_first;
pub use driver::runtime::{
    Address, BoxFuture, BoxStream, InvalidAddress, Listener, Peer, Runtime, Stream, Timer,
};
pub use driver::traffic::{Closes, Traffic};

pub use connect_proto;
pub use connect_proto::Instant;
pub use connect_proto::call::{DrainBudget, Duplex, Processed};
pub use connect_proto::client::{CallConfig, Procedure};
pub use connect_proto::compress::{Compression, Compressions};
pub use connect_proto::connection::{CallClosed, ConnectionConfig, Fate};
pub use connect_proto::error::{
    AbortReason, ApiMisuse, CloseReason, Code, ErrorDetail, LostKind, PeerMisbehaved, ResetCode, RpcError,
};
pub use connect_proto::http2::KeepAlive;
pub use connect_proto::metadata::Metadata;
pub use driver::pool::{PoolConfig, PoolCounters, Protocol};
pub use http::{HeaderName, HeaderValue};
pub use rpc::client::{CallBuilder, CallEnd, Channel, ChannelConfig, ConfigError, Ending, Receiver, Sender};
pub use rpc::server::{
    Context, Ended, Requests, Responses, Router, Server, ServerConfig, ServerCounters, ShutdownReport,
    Trailers,
};
pub use rpc::{OpenError, Response, SendError};

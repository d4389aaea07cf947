//! The flavours of the programs: what depends on how sockets are read and written, and how time passes.

use std::net::TcpListener;
use std::sync::Arc;

use connect_proto::server::ServerConfig;

use crate::client::CallPlan;
use crate::convert::Unsupported;
use crate::proto::ClientCompatResponse;

mod blocking;

/// A way to drive the RPC core.
pub trait Runtime: Sync {
    /// Makes one call on a connection of its own and returns its result. Blocks meanwhile.
    fn call(&self, plan: &CallPlan) -> Result<ClientCompatResponse, Unsupported>;

    /// Serves the `ConformanceService` for ever.
    fn serve(&self, listener: TcpListener, config: Arc<ServerConfig>) -> Result<(), Unsupported>;
}

/// The runtime of a name.
pub fn find(name: &str) -> Result<&'static dyn Runtime, Unsupported> {
    match name {
        "blocking" => Ok(&blocking::Blocking),
        _ => Err(format!("unknown runtime {name}").into()),
    }
}

//! The flavours of the programs: what depends on how sockets are read and written, and how time passes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use connect_proto::server::ServerConfig;
use connect_proto_smol::Smol;
use connect_proto_tokio::Tokio;

use crate::client::CallPlan;
use crate::convert::Unsupported;
use crate::proto::ClientCompatResponse;
use crate::tls::ServerMaterial;

mod adapter;
mod blocking;

/// A way to drive the RPC core.
pub trait Runtime: Sync {
    /// Makes one call and returns its result. Blocks meanwhile.
    fn call(&self, plan: &CallPlan) -> Result<ClientCompatResponse, Unsupported>;

    /// Serves the `ConformanceService` on a port of the loopback interface, for ever; without `tls`, in plaintext.
    fn serve(
        &self,
        config: Arc<ServerConfig>,
        tls: Option<&ServerMaterial>,
        announce: &mut Announce<'_>,
    ) -> Result<(), Unsupported>;
}

/// Says to whom it may concern where a server listens, before it is called.
pub type Announce<'a> = dyn FnMut(SocketAddr) -> io::Result<()> + 'a;

/// The runtime of a name.
pub fn find(name: &str) -> Result<Box<dyn Runtime>, Unsupported> {
    Ok(match name {
        "blocking" => Box::new(blocking::Blocking),
        "tokio" => {
            let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            // It runs as long as the program.
            let tokio = Box::leak(Box::new(tokio));
            Box::new(adapter::Adapter::new(Arc::new(Tokio::on(tokio.handle().clone()))))
        }
        "smol" => Box::new(adapter::Adapter::new(Arc::new(Smol::global()))),
        _ => return Err(format!("unknown runtime {name}").into()),
    })
}

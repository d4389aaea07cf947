//! Handlers of procedures, and what serves them.

mod context;
mod date;
mod handle;
#[cfg(feature = "tls")]
mod handshake;
mod host;
mod router;
mod service;
mod serving;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use context::Context;
pub use handle::{Ended, Requests, Responses};
pub use router::Router;
pub use service::{Server, ServerConfig, ServerCounters, ShutdownReport};

use connect_proto::error::RpcError;
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;

/// What a procedure's handler leaves to be sent.
type Outcome = Result<Conclusion, RpcError>;

/// The end of a response.
struct Conclusion {
    /// Those of a response of one message.
    headers: Metadata,
    /// The one message; streams have sent theirs.
    message: Option<Outbound>,
    trailers: Metadata,
}

/// Metadata after the last message of a stream. `()` stands for none.
#[derive(Clone, Debug, Default)]
pub struct Trailers(pub Metadata);

impl From<()> for Trailers {
    fn from((): ()) -> Self {
        Trailers::default()
    }
}

impl From<Metadata> for Trailers {
    fn from(metadata: Metadata) -> Self {
        Trailers(metadata)
    }
}

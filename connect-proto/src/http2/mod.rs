//! HTTP/2 bytes to HTTP events and back (RFC 9113, RFC 7541), for both roles; it knows nothing of RPCs.
//!
//! [`Engine`] is a pure machine, one a connection: [`Server`] and [`Client`] are its two roles. It owns no socket, no
//! clock and no read buffer: the caller reads into a [`bytes::BytesMut`] and hands it in, writes what `output` shows and
//! acknowledges it, and says what time it is.
//!
//! # What is not there
//! Push is refused and never done. Priorities, of either kind (RFC 7540, RFC 9218), are read and ignored: streams
//! that want to write take turns. CONNECT is refused. `Upgrade: h2c` is no matter of this module.
//!
//! # What peers see
//! DATA frames are filled: what is sent before it is written is merged. No frame is empty but one that ends a stream and
//! has nothing to go with, and a stream without a body ends with its HEADERS. Windows are widened when half of them is
//! consumed, at once and not with the next input.
//!
//! # Bounds
//! All of [`Limits`]. What a peer may do that costs more to take than to send has its rate in [`Guards`], and
//! [`Counters`] tell how often it was done. Input takes work in the order of its bytes and of the streams that it makes
//! ready, whatever else is open; the two exceptions, SETTINGS that change all windows and a GOAWAY, are rare or guarded.

mod connection;
mod events;
mod flow;
mod frame;
mod guard;
mod head;
pub(crate) mod hpack;
mod limits;
mod output;
mod role;
mod schedule;
mod settings;
mod stream;
mod streams;
#[cfg(test)]
mod tests;

pub use crate::http1::Shutdown;
pub use connection::{Client, Engine, GoAway, OpenError, Server};
pub use events::Event;
pub(crate) use frame::PREFACE;
pub use guard::{Counters, Guards, Rate};
pub use limits::{KeepAlive, Limits};
pub use role::{ClientRole, Role, ServerRole};
pub use streams::StreamKey;

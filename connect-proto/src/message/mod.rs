//! Messages on their way in and out: the CPU work, to be done outside of any lock.

mod inbound;
mod outbound;

pub use inbound::Inbound;
pub(crate) use inbound::decompress;
pub use outbound::{Encoding, Outbound};
pub(crate) use outbound::{Form, GetTarget};

//! A client: its channel, its calls, and how they get to their connections.

mod call;
mod channel;
mod connections;
mod dial;
mod ending;
mod keeper;
mod receiver;
mod sender;
mod slot;
mod steward;
mod target;

pub use call::CallBuilder;
pub use channel::{Channel, ChannelConfig, ConfigError};
pub use ending::{CallEnd, Ending};
pub use receiver::Receiver;
pub use sender::Sender;

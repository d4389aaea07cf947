//! What the benches measure: one side or both sides of a connection in memory, driven as a socket's owner would.
//!
//! [`ServerEnd`] and [`ClientEnd`] are the two sides, [`Pair`] joins them. [`scenario`] names what is run again and
//! again by the benches, by the tests that count allocations, and by `count`, which runs under callgrind.

mod bare;
mod client;
pub mod http2;
pub mod idle;
mod pair;
pub mod scenario;
mod server;
mod wire;

pub use bare::BareServer;
pub use client::ClientEnd;
pub use pair::Pair;
pub use server::ServerEnd;
pub use wire::Wire;

use bytes::Bytes;
use connect_proto::Instant;
use connect_proto::call::SendError;
use connect_proto::message::{Encoding, Outbound};

/// The time of everything here: it stands still.
pub const NOW: Instant = Instant::from_nanos(1_000_000_000);

/// The codec of all calls.
pub const CODEC: &str = "proto";

/// The procedure of all calls.
pub const PROCEDURE: &str = "/connectrpc.eliza.v1.ElizaService/Say";

/// What a call of unary kind carries, each way: 128 bytes.
#[must_use]
pub fn unary_message() -> Bytes {
    Bytes::from_static(&[b'u'; 128])
}

/// A message of a stream: 16 bytes.
#[must_use]
pub fn stream_message() -> Bytes {
    Bytes::from_static(&[b's'; 16])
}

/// Sends at most `left` messages of a stream, as many as fit, and says how many that were.
fn send_some(
    left: usize,
    encoding: &Encoding,
    mut send: impl FnMut(Outbound) -> Result<(), SendError>,
) -> usize {
    for sent in 0..left {
        match send(Outbound::encode(encoding, stream_message())) {
            Ok(()) => {}
            Err(SendError::Full(_)) => return sent,
            Err(error) => panic!("{error}"),
        }
    }
    left
}

//! Help for tests and fuzzing: a connection's two ends in memory, a virtual clock, and faults.
//!
//! [`Pair`] is a client and a server joined by two [`Wire`]s; [`Alone`] is one of them with the test as its peer.

#[cfg(any(feature = "testing", test))]
mod alone;
#[cfg(any(feature = "testing", test))]
mod checker;
#[cfg(any(feature = "testing", test))]
mod endpoint;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(any(feature = "testing", test))]
pub mod fuzz;
#[cfg(any(feature = "testing", test))]
pub mod grammar;
#[cfg(any(feature = "testing", test))]
mod pair;
#[cfg(any(feature = "testing", test))]
pub mod peer;
#[cfg(test)]
pub(crate) mod snapshot;
#[cfg(any(feature = "testing", test))]
mod wire;

#[cfg(any(feature = "testing", test))]
pub use self::{
    alone::Alone,
    endpoint::{Endpoint, Heard, Told},
    pair::{PROCEDURE, Pair, PairConfig, call, client_config, method, millis, secs},
    wire::Wire,
};

#[cfg(test)]
pub(crate) use self::endpoint::Calls;

#[cfg(feature = "arbitrary")]
pub(crate) fn arbitrary_bytes(u: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<bytes::Bytes> {
    Ok(bytes::Bytes::from(<Vec<u8> as arbitrary::Arbitrary>::arbitrary(u)?))
}

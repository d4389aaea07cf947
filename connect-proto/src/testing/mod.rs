//! Help for tests and fuzzing: a connection's two ends in memory, a virtual clock, and faults.
//!
//! With the feature `testing`, `Pair` is a client and a server joined by two `Wire`s, `Alone` is one of them with the
//! test as its peer, and `fuzz` has the bodies of the fuzz targets. With the feature `arbitrary` there are values of
//! all that goes into the machines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    reason = "a test that fails panics"
)]

#[cfg(any(feature = "testing", test))]
mod alone;
#[cfg(feature = "arbitrary")]
pub mod arbitrary;
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
#[cfg(all(feature = "http2", any(feature = "testing", test)))]
pub mod peer_http2;
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

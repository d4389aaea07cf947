//! The Connect RPC protocol as pure, synchronous state machines: bytes and time in, bytes and events out.
//!
//! There is no socket, clock, thread, lock or future in this crate. Whoever drives it brings bytes and time; the
//! machines say what to send, when to wake them and what has happened.
//!
//! | layer | module | between |
//! |---|---|---|
//! | L0 | [`wire`] | bytes and values of the protocol: plain functions |
//! | L1 | [`client`], [`server`], [`call`] | one RPC: HTTP events and RPC events |
//! | L2 | [`http1`], `http2` | bytes and HTTP events |
//! | L3 | [`connection`] | bytes and calls: L1 and L2 joined |
//!
//! Pick the layer that fits; each knows only the ones above it in this table. Messages are [`bytes::Bytes`], compressed
//! and decompressed by [`message`] outside of the machines, and a codec is a name.
//!
//! Every machine has four classes of methods, in this order: *getters*; *wire and time in* (`handle_*`), which cannot
//! fail, since what a peer does wrong is a transition; *commands* of the application; *outputs* (`poll_*`), callable at
//! any time in any order.
//!
//! Closing a call never waits: [`client::Call::close`] discards what the peer still sends within a time and a byte
//! limit, aborts after that, and [`connection::CallClosed`] says how it went and what became of the connection.
//!
//! The example `blocking` is the whole drive loop over a `std::net::TcpStream`.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

pub mod call;
pub mod client;
pub mod compress;
pub mod connection;
pub mod error;
mod fields;
pub mod http1;
#[cfg(feature = "http2")]
pub mod http2;
pub mod message;
pub mod metadata;
pub mod server;
#[cfg(any(feature = "testing", feature = "arbitrary", test))]
pub mod testing;
mod time;
pub mod wire;

pub use time::Instant;

/// The README's code, compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

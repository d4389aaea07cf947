//! What tests of an async user of `connect-proto` need (feature `testing`).

pub mod suite;

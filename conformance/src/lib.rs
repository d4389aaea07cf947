//! What the programs under test of the official [Connect conformance suite] have in common.
//!
//! The suite runs two programs, a client and a server, and judges what they do on the wire and what they
//! report. They come in one flavour per [`runtime`], and all flavours share the rest of this library. That rest
//! does no I/O beyond [`framing`] and reads no clock: it turns what the suite asks for into plain steps, and what
//! a call yielded into what the suite wants to read. Only [`convert`] knows the RPC core.
//!
//! - A client program reads [`proto::ClientCompatRequest`]s, makes a [`client::CallPlan`] of each, takes the
//!   steps that a [`client::Exchange`] names, and writes the [`proto::ClientCompatResponse`] it ends with.
//! - A server program reads one [`proto::ServerCompatRequest`], answers it with where it listens, and gives
//!   each call a [`service::Handler`], which names the steps of its answer.
//!
//! A step may be to let time pass or to cancel. The program then waits by its runtime's clock, driving the
//! call meanwhile, or tells the core to cancel. Which error comes of that is for the core to say.
//!
//! [Connect conformance suite]: https://github.com/connectrpc/conformance

#![forbid(unsafe_code)]

pub mod args;
pub mod client;
pub mod codec;
pub mod convert;
pub mod detail;
pub mod framing;
mod json;
pub mod metadata;
pub mod method;
pub mod proto;
pub mod runtime;
pub mod service;
pub mod tls;

pub use codec::{Codec, CodecError};
pub use method::{Kind, Method};

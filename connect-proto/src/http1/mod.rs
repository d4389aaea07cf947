//! HTTP/1.1 bytes to HTTP events and back (RFC 9110, RFC 9112), on httparse; it knows nothing of RPCs.
//!
//! [`Server`] and [`Client`] are pure machines, one a connection. They own no socket, no clock and no read buffer: the
//! caller reads into a [`bytes::BytesMut`] and hands it in, writes what `output` shows and acknowledges it, and says
//! what time it is. What it writes itself is HTTP/1.1 without trailers.
//!
//! # Framing
//! `content-length` and `chunked`, both ways; a response without either ends with the connection, and only by a clean
//! end of it. Towards HTTP/1.0 nothing is chunked, and every exchange with such a peer is the last one.
//!
//! # What is refused
//! Whatever two parties may read differently, since that is how requests are smuggled: content-length together with
//! transfer-encoding; several lengths or a list of them, even of equal ones; a length that is not digits alone;
//! transfer codings other than `chunked`, or any in HTTP/1.0; a CR or LF that is not part of CRLF, NUL and other
//! control characters; folded lines; a blank before a colon; a request without exactly one valid `host`; CONNECT and
//! targets in authority-form; chunk sizes that overflow. Up to two empty lines before a request are skipped.
//!
//! # Bounds
//! All of [`Limits`]. Work is linear in the bytes of a connection, however they are cut.

mod body;
mod chunked;
mod client;
mod copy;
mod encode;
mod events;
mod framing;
mod head;
mod host;
mod limits;
mod link;
mod names;
mod output;
mod reuse;
mod scan;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Client, Recalled};
pub use events::Event;
pub use limits::Limits;
pub use link::Shutdown;
pub use reuse::NotReusable;
pub use server::Server;

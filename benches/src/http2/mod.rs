//! HTTP/2: our engine and the h2 crate on the same bytes.
//!
//! The peer is a recording whose stream ids are written anew for every exchange: a third request or response of our own
//! engine, when all fields that repeat are in the dynamic table.

mod connection;
mod ours;
mod record;
mod theirs;

use std::sync::LazyLock;

use bytes::Bytes;

use crate::scenario::{MESSAGES, Per, Run, Scenario};
use crate::stream_message;

/// What an exchange carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Work {
    /// Bytes of the request's body.
    pub(crate) request: usize,
    /// Bytes of the response's body.
    pub(crate) response: usize,
    /// How many messages the response is.
    pub(crate) messages: usize,
    /// Whether the application merges them into pieces of 16 KiB, or sends each by itself.
    pub(crate) is_merged: bool,
}

const SMALL: Work = Work { request: 128, response: 128, messages: 1, is_merged: true };
const LARGE: Work = Work { request: 16 << 10, response: 16 << 10, messages: 1, is_merged: true };
const STREAM: Work = Work { request: 16, response: 16 * MESSAGES, messages: MESSAGES, is_merged: false };
const MERGED: Work = Work { is_merged: true, ..STREAM };

/// A request and its response, and how our engine and h2 take part in it.
pub const ALL: [Scenario; 15] = [
    call("http2_server_128", || ours::server(SMALL)),
    call("h2_server_128", || theirs::server(SMALL)),
    call("http2_server_16k", || ours::server(LARGE)),
    call("h2_server_16k", || theirs::server(LARGE)),
    call("http2_client_128", || ours::client(SMALL)),
    call("h2_client_128", || theirs::client(SMALL)),
    call("http2_client_16k", || ours::client(LARGE)),
    call("h2_client_16k", || theirs::client(LARGE)),
    stream("http2_send_stream", || ours::server(STREAM)),
    stream("h2_send_stream", || theirs::server(STREAM)),
    stream("http2_send_merged", || ours::server(MERGED)),
    stream("h2_send_merged", || theirs::server(MERGED)),
    stream("http2_receive_stream", || ours::client(STREAM)),
    stream("h2_receive_stream", || theirs::client(STREAM)),
    call("unary_server_http2", || connection::server(SMALL)),
];

const fn call(name: &'static str, new: fn() -> Run) -> Scenario {
    Scenario { name, per: Per::Call, new }
}

const fn stream(name: &'static str, new: fn() -> Run) -> Scenario {
    Scenario { name, per: Per::Message, new }
}

/// So many messages of a stream in one piece. Merging them is the application's work, and not measured.
fn merge(messages: usize) -> Bytes {
    static ALL: LazyLock<Bytes> = LazyLock::new(|| stream_message().repeat(MESSAGES).into());
    ALL.slice(..16 * messages)
}

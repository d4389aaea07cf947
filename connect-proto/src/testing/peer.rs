//! What peers write, for tests that are the peer.

use crate::call::Kind;
use crate::wire::envelope::{Flags, Prefix};

/// The head of a stream's response, whose body is chunked.
pub const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/connect+text\r\ntransfer-encoding: chunked\r\n\r\n";

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// An envelope.
#[must_use]
pub fn envelope(flags: Flags, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&Prefix { flags, len }.write(), payload].concat()
}

/// The end-of-stream of a success.
#[must_use]
pub fn end_stream() -> Vec<u8> {
    envelope(Flags::END_STREAM, b"{}")
}

/// A chunk of a chunked body.
#[must_use]
pub fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// A response to a call of this kind that carries these messages and succeeds.
#[must_use]
pub fn response(kind: Kind, messages: &[&[u8]]) -> Vec<u8> {
    if kind == Kind::Unary {
        let body = messages.concat();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/text\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        return [head.into_bytes(), body].concat();
    }
    let envelopes = messages.iter().flat_map(|message| chunk(&envelope(Flags::NONE, message)));
    let mut bytes = STREAM_HEAD.to_vec();
    bytes.extend(envelopes);
    bytes.extend(chunk(&end_stream()));
    bytes.extend_from_slice(LAST_CHUNK);
    bytes
}

/// The head of a request of this kind; its body is chunked.
#[must_use]
pub fn request_head(kind: Kind) -> Vec<u8> {
    let content_type = if kind.is_streaming() { "application/connect+text" } else { "application/text" };
    let path = super::PROCEDURE;
    format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes()
}

/// A request of this kind that carries these messages.
#[must_use]
pub fn request(kind: Kind, messages: &[&[u8]]) -> Vec<u8> {
    let mut bytes = request_head(kind);
    for message in messages {
        bytes.extend(chunk(&if kind.is_streaming() {
            envelope(Flags::NONE, message)
        } else {
            message.to_vec()
        }));
    }
    bytes.extend_from_slice(LAST_CHUNK);
    bytes
}

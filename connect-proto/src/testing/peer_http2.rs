//! What peers write over HTTP/2, frame by frame, for tests that are the peer.
//!
//! Nothing is checked, so that rules can be broken. Field blocks are literals that are not indexed: whoever reads them
//! needs no state for that.

use crate::call::Kind;
use crate::error::ResetCode;

/// What a client sends first.
pub const PREFACE: &[u8; 24] = crate::http2::PREFACE;

/// The id of the initial window among the [`settings`].
pub const INITIAL_WINDOW: u16 = 4;

/// The id of the greatest number of streams at once among the [`settings`].
pub const MAX_STREAMS: u16 = 3;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// A frame of any kind.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&len, [kind, flags].as_slice(), &stream.to_be_bytes(), payload].concat()
}

/// DATA.
#[must_use]
pub fn data(stream: u32, end: bool, payload: &[u8]) -> Vec<u8> {
    frame(0, if end { END_STREAM } else { 0 }, stream, payload)
}

/// HEADERS.
#[must_use]
pub fn headers(stream: u32, end: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(1, END_HEADERS | if end { END_STREAM } else { 0 }, stream, &block(fields))
}

/// RST_STREAM.
#[must_use]
pub fn reset(stream: u32, code: ResetCode) -> Vec<u8> {
    frame(3, 0, stream, &code.0.to_be_bytes())
}

/// SETTINGS: ids and values.
#[must_use]
pub fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload = pairs.iter().flat_map(|(id, value)| {
        let ([a, b], [c, d, e, f]) = (id.to_be_bytes(), value.to_be_bytes());
        [a, b, c, d, e, f]
    });
    frame(4, 0, 0, &payload.collect::<Vec<u8>>())
}

/// The acknowledgement of SETTINGS.
#[must_use]
pub fn settings_ack() -> Vec<u8> {
    frame(4, ACK, 0, b"")
}

/// GOAWAY: the highest stream that was or may have been processed, and why.
#[must_use]
pub fn goaway(last_stream: u32, code: ResetCode) -> Vec<u8> {
    frame(7, 0, 0, &[last_stream.to_be_bytes(), code.0.to_be_bytes()].concat())
}

/// WINDOW_UPDATE, of a stream or, by the id 0, of the connection.
#[must_use]
pub fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(8, 0, stream, &by.to_be_bytes())
}

/// A field block.
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            push_length(text.len(), &mut block);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A length in 7 bits and as many bytes more as it takes.
fn push_length(len: usize, block: &mut Vec<u8>) {
    let Some(mut rest) = len.checked_sub(127) else { return block.push(len as u8) };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The head of a request of this kind, with further fields.
#[must_use]
pub fn request_head(stream: u32, kind: Kind, more: &[(&str, &str)]) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "test"),
        (":path", super::PROCEDURE),
        ("content-type", content_type(kind)),
    ];
    headers(stream, false, &[&fields, more].concat())
}

/// The head of a successful response to a call of this kind.
#[must_use]
pub fn response_head(stream: u32, kind: Kind) -> Vec<u8> {
    headers(stream, false, &[(":status", "200"), ("content-type", content_type(kind))])
}

fn content_type(kind: Kind) -> &'static str {
    if kind.is_streaming() { "application/connect+text" } else { "application/text" }
}

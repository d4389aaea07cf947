//! Frames and field blocks (RFC 9113, RFC 7541), without Huffman and without the dynamic table.

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

pub(crate) fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags], &id.to_be_bytes()[..], payload].concat()
}

pub(crate) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let pair = |&(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &pairs.iter().flat_map(pair).collect::<Vec<_>>())
}

/// A field that is neither indexed nor compressed. Both parts are shorter than 127 bytes.
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let part = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    [vec![0], part(name), part(value)].concat()
}

fn block(path: &str, content_type: &str, extra: &[u8]) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("content-type", content_type),
    ];
    let known = fields.iter().flat_map(|(name, value)| literal(name, value));
    known.chain(extra.iter().copied()).collect()
}

/// The fields of a client stream, and more of them.
pub(crate) fn stream_block(extra: &[u8]) -> Vec<u8> {
    block("/hostile.Table/Stream", "application/connect+proto", extra)
}

/// The head of a client stream.
pub(crate) fn open(id: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, id, &stream_block(&[]))
}

/// The head of a unary call.
pub(crate) fn unary(id: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, id, &block("/hostile.Table/Unary", "application/proto", &[]))
}

/// A whole unary call.
pub(crate) fn call(id: u32) -> Vec<u8> {
    [unary(id), frame(DATA, END_STREAM, id, b"hello")].concat()
}

pub(crate) fn reset(id: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())
}

pub(crate) fn window_update(id: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, id, &by.to_be_bytes())
}

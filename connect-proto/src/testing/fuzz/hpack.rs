//! HPACK: blocks of a peer, and what is encoded of them.

use bytes::{Bytes, BytesMut};

use super::Reader;
use crate::http2::hpack::{BlockEnd, DEFAULT_TABLE_SIZE, Decoder, Encoder, FIELD_OVERHEAD, Field};

/// Any blocks decode within the limits or not at all, and what they say says the same when it is encoded and decoded
/// again.
///
/// # Panics
/// If a rule is broken.
pub fn hpack(data: &[u8]) {
    let mut reader = Reader::new(data);
    let max_list = usize::from(reader.u16());
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let mut encoder = Encoder::new(usize::from(reader.u16()));
    let mut again = Decoder::new(DEFAULT_TABLE_SIZE);
    while !reader.is_empty() {
        let (change, len) = (reader.u8(), reader.u8());
        if change & 0xc0 == 0xc0 {
            let size = usize::from(change & 0x3f) * 100;
            encoder.set_peer_max(size);
            again.set_max_table_size(size);
        }
        let block = Bytes::copy_from_slice(reader.take(usize::from(len)));
        let mut fields = Vec::new();
        let end = decoder.decode(&block, max_list, |field| fields.push(field.clone()));
        let size: usize = fields.iter().map(size).sum();
        assert!(size <= max_list, "more than the limit");
        if let Ok(BlockEnd::Complete { size: told }) = end {
            // Names that are refused are not given away, so that their length is not known.
            let has_bad = fields.iter().any(|field| matches!(field, Field::BadName | Field::BadValue(_)));
            assert!(told <= max_list && (has_bad || told == size));
        }
        round_trip(&mut encoder, &mut again, &fields);
        if end.is_err() {
            return;
        }
    }
}

fn size(field: &Field) -> usize {
    FIELD_OVERHEAD
        + match field {
            Field::Pseudo(name, value) => name.as_str().len() + value.len(),
            Field::Header(name, value) => name.as_str().len() + value.len(),
            Field::BadName => 0,
            Field::BadValue(name) => name.as_str().len(),
        }
}

fn round_trip(encoder: &mut Encoder, decoder: &mut Decoder, fields: &[Field]) {
    let mut out = BytesMut::new();
    let mut block = encoder.block(&mut out);
    let mut sent = Vec::new();
    for field in fields {
        match field {
            Field::Pseudo(name, value) => block.pseudo(*name, value),
            Field::Header(name, value) => block.header(name, value),
            Field::BadName | Field::BadValue(_) => continue,
        }
        sent.push(field.clone());
    }
    let mut found = Vec::new();
    let end = decoder.decode(&out.freeze(), usize::MAX, |field| found.push(field.clone()));
    assert!(matches!(end, Ok(BlockEnd::Complete { .. })), "{end:?}");
    assert_eq!(found, sent);
    for (found, sent) in found.iter().zip(&sent) {
        if let (Field::Header(_, found), Field::Header(_, sent)) = (found, sent) {
            assert!(found.is_sensitive() || !sent.is_sensitive(), "a sensitive value was indexed");
        }
    }
}

//! Blocks against RFC 7541, the stories of other encoders, and each other.

mod encoder;
mod limits;
mod properties;
mod rfc;
mod stories;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};

use super::*;

/// A field as bytes.
type Pair = (Vec<u8>, Vec<u8>);

fn pair(name: &str, value: &str) -> Pair {
    (name.into(), value.into())
}

fn pairs(fields: &[(&str, &str)]) -> Vec<Pair> {
    fields.iter().map(|(name, value)| pair(name, value)).collect()
}

fn to_pair(field: &Field) -> Pair {
    match field {
        Field::Pseudo(name, value) => (name.as_str().into(), value.to_vec()),
        Field::Header(name, value) => (name.as_str().into(), value.as_bytes().into()),
        Field::BadName => pair("(bad name)", ""),
        Field::BadValue(name) => pair(name.as_str(), "(bad value)"),
    }
}

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Decodes with a limit of the list; the fields given away, and the end.
fn decode_within(
    decoder: &mut Decoder,
    block: &Bytes,
    max_list: usize,
) -> (Vec<Field>, Result<BlockEnd, DecodeError>) {
    let mut fields = Vec::new();
    let end = decoder.decode(block, max_list, |field| fields.push(field.clone()));
    (fields, end)
}

/// Decodes a block that has to be good.
fn decode(decoder: &mut Decoder, block: &Bytes) -> Vec<Field> {
    let (fields, end) = decode_within(decoder, block, usize::MAX);
    let size =
        fields.iter().map(to_pair).map(|(name, value)| name.len() + value.len() + FIELD_OVERHEAD).sum();
    assert_eq!(end, Ok(BlockEnd::Complete { size }));
    fields
}

fn decode_pairs(decoder: &mut Decoder, block: &Bytes) -> Vec<Pair> {
    decode(decoder, block).iter().map(to_pair).collect()
}

/// Decodes a block that has to be bad on a fresh decoder.
fn fault(block: &str) -> DecodeError {
    decode_within(&mut Decoder::new(DEFAULT_TABLE_SIZE), &hex(block), usize::MAX).1.unwrap_err()
}

fn encode(encoder: &mut Encoder, fields: &[Pair]) -> Bytes {
    let mut out = BytesMut::new();
    let mut block = encoder.block(&mut out);
    for (name, value) in fields {
        match Pseudo::from_bytes(name) {
            Some(name) => block.pseudo(name, value),
            None => block
                .header(&HeaderName::from_lowercase(name).unwrap(), &HeaderValue::from_bytes(value).unwrap()),
        }
    }
    out.freeze()
}

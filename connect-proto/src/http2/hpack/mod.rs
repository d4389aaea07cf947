//! HPACK, RFC 7541: field sections to fields and back, without I/O and without HTTP's own rules.
//!
//! [`Decoder`] turns one complete field block into [`Field`]s, [`Encoder`] writes one. Each keeps the dynamic table of
//! its direction of one connection, so **every** block has to pass through, in the order of the wire, also those of
//! streams that nobody waits for any more.
//!
//! What is checked here is what HPACK says, plus the characters that `http`'s types accept: a field that those refuse
//! comes out as [`Field::BadName`] or [`Field::BadValue`] and makes a message malformed (RFC 9113 section 8.2.1), a
//! stream error, while a [`DecodeError`] is a connection error. Which fields a message may carry is not known here, nor
//! that a value must not begin or end with white space.

mod decode;
mod dynamic_table;
mod encode;
mod huffman;
mod integer;
mod names;
mod static_table;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

pub(crate) use decode::{BlockEnd, Decoder};
pub(crate) use encode::{Block, Encoder};

/// The size of either dynamic table before any SETTINGS: RFC 9113 section 6.5.2.
pub(crate) const DEFAULT_TABLE_SIZE: usize = 4096;

/// What each field counts beside the bytes of its name and value: RFC 7541 section 4.1, and RFC 9113 section 6.5.2 for
/// SETTINGS_MAX_HEADER_LIST_SIZE.
pub(crate) const FIELD_OVERHEAD: usize = 32;

/// The name of a pseudo-header field: RFC 9113 sections 8.3.1 and 8.3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pseudo {
    /// `:authority`
    Authority,
    /// `:method`
    Method,
    /// `:path`
    Path,
    /// `:scheme`
    Scheme,
    /// `:status`
    Status,
}

impl Pseudo {
    /// The pseudo-header of that name, colon included; `None` for others, so also for extensions like `:protocol`.
    pub(crate) const fn from_bytes(name: &[u8]) -> Option<Self> {
        match name {
            b":authority" => Some(Self::Authority),
            b":method" => Some(Self::Method),
            b":path" => Some(Self::Path),
            b":scheme" => Some(Self::Scheme),
            b":status" => Some(Self::Status),
            _ => None,
        }
    }

    /// The name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Authority => ":authority",
            Self::Method => ":method",
            Self::Path => ":path",
            Self::Scheme => ":scheme",
            Self::Status => ":status",
        }
    }
}

/// A decoded field, in the order of the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Field {
    /// A pseudo-header. The value is any bytes: `http`'s types for methods, paths and so on judge it.
    Pseudo(Pseudo, Bytes),
    /// A field that `http` accepts. The value is sensitive if it came as a never-indexed literal (RFC 7541 section
    /// 6.2.3): whoever sends it on must not index it either.
    Header(HeaderName, HeaderValue),
    /// A field whose name is no lower-case token and no known pseudo-header.
    BadName,
    /// A field whose value has a control character.
    BadValue(HeaderName),
}

/// A block that RFC 7541 forbids. It is a connection error of type COMPRESSION_ERROR (RFC 9113 section 4.3): the
/// decoder's table no longer follows the peer's, so the decoder must not be used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The block ends inside of a field.
    #[error("truncated field block")]
    Truncated,
    /// An integer over 2^32-1, or one of more than five continuation bytes (section 5.1).
    #[error("integer too large")]
    IntegerTooLarge,
    /// The index 0, or one past the tables (section 2.3.3).
    #[error("invalid index")]
    InvalidIndex,
    /// A Huffman string with the EOS symbol in it (section 5.2).
    #[error("EOS in a Huffman string")]
    HuffmanEos,
    /// A Huffman string that ends with more than 7 bits of padding, or with a 0 in it (section 5.2).
    #[error("invalid Huffman padding")]
    HuffmanPadding,
    /// A table size update after a field, or a third one in one block (section 4.2).
    #[error("misplaced table size update")]
    MisplacedSizeUpdate,
    /// A table size update above the acknowledged SETTINGS_HEADER_TABLE_SIZE (section 6.3).
    #[error("table size update above the limit")]
    SizeUpdateTooLarge,
    /// No table size update, or too late a one, after the setting was lowered (RFC 9113 section 4.3.1).
    #[error("missing table size update")]
    MissingSizeUpdate,
}

//! Fields to field blocks: RFC 7541 section 6, and what to index.

use bytes::{BufMut, BytesMut};
use http::{HeaderName, HeaderValue};

use super::dynamic_table::Table;
use super::names::{self, Id, Policy};
use super::{DEFAULT_TABLE_SIZE, FIELD_OVERHEAD, Pseudo, huffman, integer, static_table};

/// Strings up to this many bytes are not Huffman coded.
const SHORT: usize = 4;

/// Encodes the field blocks for one peer on one connection.
///
/// What goes into the peer's dynamic table is decided by name, from a fixed list, so that it can be foretold and costs no
/// search through fields that vary:
///
/// | fields | what happens |
/// |---|---|
/// | `:authority`, `:status`; `content-type`, `content-encoding`, `accept`, `accept-encoding`, `accept-language`, `user-agent`, `te`, `trailer`, `host`, `via`, `server`, `vary`, `allow`, `cache-control`, `origin`, `access-control-*`, `strict-transport-security`; `connect-protocol-version`, `connect-accept-encoding`, `connect-content-encoding`; `grpc-encoding`, `grpc-accept-encoding`, `grpc-status`, `x-grpc-web`, `x-user-agent` | indexed with the value |
/// | `connect-timeout-ms`, `grpc-timeout`, `traceparent`, `x-request-id` | one entry is kept for its name |
/// | `:path` without a query | indexed with the value while there is room: many paths evict nothing |
/// | `authorization`, `proxy-authorization`, `cookie`, `set-cookie`, and any value that [is sensitive](HeaderValue::is_sensitive) | a never-indexed literal |
/// | all others: `:path` with a query, `content-length`, `date`, `grpc-message`, metadata | not indexed |
///
/// Nothing that would take more than half of the table is indexed. Strings are Huffman coded where that is shorter, but
/// for those of up to four bytes: the one byte that this may save is not worth the work of both sides.
///
/// A block that was begun has to reach the peer, in the order of the blocks: so begin one only when its stream's HEADERS
/// frame is written. Never panics.
#[derive(Debug)]
pub(crate) struct Encoder {
    table: Table<Sent>,
    /// The most that this side wants to use of what the peer allows.
    cap: usize,
    /// Changes of the size that the peer has to be told of.
    resize: Option<Resize>,
}

/// The lowest and the last of the sizes since the last block (section 4.2).
#[derive(Clone, Copy, Debug)]
struct Resize {
    lowest: usize,
    last: usize,
}

/// What the peer's table has.
#[derive(Debug)]
struct Sent {
    name: Id,
    value: Box<[u8]>,
}

impl Encoder {
    /// An encoder that uses at most `cap` bytes of the peer's table, from [`DEFAULT_TABLE_SIZE`] on.
    pub(crate) fn new(cap: usize) -> Self {
        let mut encoder = Self { table: Table::new(DEFAULT_TABLE_SIZE), cap, resize: None };
        encoder.set_peer_max(DEFAULT_TABLE_SIZE);
        encoder
    }

    /// The peer has sent SETTINGS_HEADER_TABLE_SIZE. The next block begins with the update that this needs, and after a
    /// fall and a rise with two.
    pub(crate) fn set_peer_max(&mut self, size: usize) {
        let last = size.min(self.cap);
        let lowest = self.resize.map_or(last, |resize| resize.lowest.min(last));
        self.resize =
            (lowest < self.table.max() || last != self.table.max()).then_some(Resize { lowest, last });
    }

    /// Begins a block at the end of `out`.
    pub(crate) fn block<'a>(&'a mut self, out: &'a mut BytesMut) -> Block<'a> {
        if let Some(Resize { lowest, last }) = self.resize.take() {
            if lowest < last && lowest < self.table.max() {
                self.resize_to(lowest, out);
            }
            if last != self.table.max() {
                self.resize_to(last, out);
            }
        }
        Block { encoder: self, out }
    }

    fn resize_to(&mut self, size: usize, out: &mut BytesMut) {
        self.table.resize(size);
        integer::encode(size, 5, 0x20, out);
    }

    /// Where the table has that field, and where that name, as indices of both tables.
    fn find(&self, name: Id, value: &[u8]) -> (Option<usize>, Option<usize>) {
        let mut same_name = None;
        for (sent, index) in self.table.iter().zip(static_table::LEN + 1..) {
            if sent.name == name {
                if *sent.value == *value {
                    return (Some(index), same_name);
                }
                same_name = same_name.or(Some(index));
            }
        }
        (None, same_name)
    }

    /// Whether a field of that size is worth an entry.
    fn admits(&self, policy: Policy, value: &[u8], size: usize, known_name: bool) -> bool {
        size <= self.table.max() / 2
            && match policy {
                Policy::Value => true,
                Policy::Name => !known_name,
                Policy::Path => size <= self.table.room() && !value.contains(&b'?'),
                Policy::Plain | Policy::Never => false,
            }
    }

    #[cfg(test)]
    pub(super) const fn table_size(&self) -> usize {
        self.table.size()
    }
}

/// A block being written: pseudo-headers first, then the others. There is nothing to finish.
#[must_use]
pub(crate) struct Block<'a> {
    encoder: &'a mut Encoder,
    out: &'a mut BytesMut,
}

impl Block<'_> {
    /// Appends a pseudo-header.
    pub(crate) fn pseudo(&mut self, name: Pseudo, value: &[u8]) {
        self.field(Some(Id::of(name)), name.as_str().as_bytes(), value, false);
    }

    /// Appends a field.
    pub(crate) fn header(&mut self, name: &HeaderName, value: &HeaderValue) {
        let name = name.as_str().as_bytes();
        self.field(names::find(name), name, value.as_bytes(), value.is_sensitive());
    }

    /// Appends a field of which the value is not at hand as a [`HeaderValue`].
    pub(crate) fn bytes(&mut self, name: &HeaderName, value: &[u8]) {
        let name = name.as_str().as_bytes();
        self.field(names::find(name), name, value, false);
    }

    fn field(&mut self, id: Option<Id>, name: &[u8], value: &[u8], sensitive: bool) {
        let Some(id) = id else {
            return self.literal(if sensitive { Literal::NEVER } else { Literal::PLAIN }, 0, name, value);
        };
        let (index, policy) = (id.static_index(), id.policy());
        if sensitive || policy == Policy::Never {
            return self.literal(Literal::NEVER, index.unwrap_or(0), name, value);
        }
        if let Some(index) = index.and_then(|index| static_table::find(index, value)) {
            return integer::encode(index, 7, 0x80, self.out);
        }
        if policy == Policy::Plain {
            return self.literal(Literal::PLAIN, index.unwrap_or(0), name, value);
        }
        let (whole, same_name) = self.encoder.find(id, value);
        if let Some(index) = whole {
            return integer::encode(index, 7, 0x80, self.out);
        }
        let size = name.len().saturating_add(value.len()).saturating_add(FIELD_OVERHEAD);
        let name_index = index.or(same_name);
        if self.encoder.admits(policy, value, size, name_index.is_some()) {
            self.literal(Literal::INDEXED, name_index.unwrap_or(0), name, value);
            self.encoder.table.make_room(size);
            self.encoder.table.insert(Sent { name: id, value: value.into() }, size);
        } else {
            self.literal(Literal::PLAIN, name_index.unwrap_or(0), name, value);
        }
    }

    /// A literal; `index` is 0 where the name is not in the tables.
    fn literal(&mut self, Literal { head, bits }: Literal, index: usize, name: &[u8], value: &[u8]) {
        integer::encode(index, bits, head, self.out);
        if index == 0 {
            self.text(name);
        }
        self.text(value);
    }

    /// A string (section 5.2).
    fn text(&mut self, text: &[u8]) {
        let len = if text.len() > SHORT { huffman::encoded_len(text) } else { text.len() };
        if len < text.len() {
            integer::encode(len, 7, 0x80, self.out);
            huffman::encode(text, len, self.out);
        } else {
            integer::encode(text.len(), 7, 0, self.out);
            self.out.put_slice(text);
        }
    }
}

/// The three forms of a literal (section 6.2).
struct Literal {
    head: u8,
    bits: u32,
}

impl Literal {
    const INDEXED: Self = Self { head: 0x40, bits: 6 };
    const PLAIN: Self = Self { head: 0, bits: 4 };
    const NEVER: Self = Self { head: 0x10, bits: 4 };
}

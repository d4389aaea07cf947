//! Field blocks to fields: RFC 7541 sections 3 and 6.

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

use super::dynamic_table::Table;
use super::names::Name;
use super::{DecodeError, FIELD_OVERHEAD, Field, huffman, integer, static_table};

/// The buffer that strings share; a longer one gets its own.
const SCRATCH: usize = 1024;

/// An entry of either table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) field: Field,
    pub(super) name_len: usize,
    /// What it counts (section 4.1).
    pub(super) size: usize,
}

/// How a block ended that is valid HPACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum BlockEnd {
    /// All fields were given away.
    Complete {
        /// What they count: their names and values, and 32 for each.
        size: usize,
    },
    /// The fields exceed the limit. Those before the one that did were given away, and the table is in step: a stream
    /// error, or an answer of 431 (RFC 9113 section 10.5.1), and the connection goes on.
    TooLarge,
}

/// Decodes the field blocks that one peer sends on one connection.
///
/// Memory: the dynamic table counts at most what [`new`](Decoder::new) and [`set_max_table_size`](Decoder::set_max_table_size)
/// allow, which is up to eight times that much memory where entries are tiny, and it has copies of its own; beside it there is
/// one buffer of 1 KiB. Values given away are slices of such a buffer, which they pin while they live, or larger than that.
///
/// Work: linear in the block, whatever its fields expand to, and the fields given away count at most the limit of the
/// list: a large entry that is referenced many times counts each time.
///
/// Never panics, and after a [`DecodeError`] it must not be used again.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table<Entry>,
    /// The acknowledged SETTINGS_HEADER_TABLE_SIZE.
    limit: usize,
    /// The lowest limit since the last block that is below the table's maximum: the next block has to follow it.
    lowered: Option<usize>,
    scratch: BytesMut,
}

impl Decoder {
    /// A decoder whose peer may use a table of `max_table` bytes from the first block on: that is
    /// [`DEFAULT_TABLE_SIZE`](super::DEFAULT_TABLE_SIZE), until the peer has acknowledged another value.
    pub(crate) fn new(max_table: usize) -> Self {
        Self { table: Table::new(max_table), limit: max_table, lowered: None, scratch: BytesMut::new() }
    }

    /// The peer has acknowledged SETTINGS_HEADER_TABLE_SIZE.
    ///
    /// If that is less than the table may hold, the next block has to begin with a table size update, or it is an error
    /// (RFC 9113 section 4.3.1).
    pub(crate) fn set_max_table_size(&mut self, size: usize) {
        self.limit = size;
        let lowest = self.lowered.map_or(size, |lowered| lowered.min(size));
        self.lowered = (lowest < self.table.max()).then_some(lowest);
    }

    /// Decodes one complete field block and gives its fields to `sink`, as long as they count at most `max_list` in all:
    /// each its name, its value and [`FIELD_OVERHEAD`]. After that nothing is given away any more, but the block is
    /// checked and the table kept in step to the end.
    ///
    /// # Errors
    /// A block that is not HPACK; see [`DecodeError`]. Fields before it were given away.
    pub(crate) fn decode(
        &mut self,
        block: &[u8],
        max_list: usize,
        mut sink: impl FnMut(&Field),
    ) -> Result<BlockEnd, DecodeError> {
        let mut reader = Reader { block, at: 0 };
        let mut list = List { left: Some(max_list) };
        self.size_updates(&mut reader)?;
        while let Some(first) = reader.next() {
            match first {
                0x80.. => self.indexed(reader.integer(first, 7)?, &mut list, &mut sink)?,
                0x40.. => self.indexed_literal(&mut reader, first, &mut list, &mut sink)?,
                0x20.. => return Err(DecodeError::MisplacedSizeUpdate),
                _ => self.literal(&mut reader, first, &mut list, &mut sink)?,
            }
        }
        Ok(match list.left {
            Some(left) => BlockEnd::Complete { size: max_list - left },
            None => BlockEnd::TooLarge,
        })
    }

    /// Table size updates: at most two, at the beginning (sections 4.2 and 6.3).
    fn size_updates(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        for _ in 0..2 {
            let Some(first) = reader.peek().filter(|first| first & 0xe0 == 0x20) else { break };
            reader.at += 1;
            let size = reader.integer(first, 5)?;
            if size > self.limit {
                return Err(DecodeError::SizeUpdateTooLarge);
            }
            if self.lowered.take().is_some_and(|lowered| size > lowered) {
                return Err(DecodeError::MissingSizeUpdate);
            }
            self.table.resize(size);
        }
        if self.lowered.is_some() { Err(DecodeError::MissingSizeUpdate) } else { Ok(()) }
    }

    /// An indexed field (section 6.1).
    fn indexed(
        &self,
        index: usize,
        list: &mut List,
        sink: &mut impl FnMut(&Field),
    ) -> Result<(), DecodeError> {
        let entry = self.entry(index)?;
        if list.admits(entry.size) {
            sink(&entry.field);
        }
        Ok(())
    }

    /// A literal that is not indexed (sections 6.2.2 and 6.2.3).
    fn literal(
        &mut self,
        reader: &mut Reader<'_>,
        first: u8,
        list: &mut List,
        sink: &mut impl FnMut(&Field),
    ) -> Result<(), DecodeError> {
        let (name, name_len) = self.name(reader, first, 4)?;
        let value = self.value(reader)?;
        if list.admits(field_size(name_len, value.len())) {
            sink(&field(name, value, first & 0x10 != 0));
        }
        Ok(())
    }

    /// A literal that goes into the table (section 6.2.1).
    fn indexed_literal(
        &mut self,
        reader: &mut Reader<'_>,
        first: u8,
        list: &mut List,
        sink: &mut impl FnMut(&Field),
    ) -> Result<(), DecodeError> {
        let (name, name_len) = self.name(reader, first, 6)?;
        let value = self.value(reader)?;
        let size = field_size(name_len, value.len());
        if self.table.make_room(size) {
            let copy = field(name.clone(), Bytes::copy_from_slice(&value), false);
            self.table.insert(Entry { field: copy, name_len, size }, size);
        }
        if list.admits(size) {
            sink(&field(name, value, false));
        }
        Ok(())
    }

    /// The entry at `index` of both tables (section 2.3.3).
    fn entry(&self, index: usize) -> Result<&Entry, DecodeError> {
        match static_table::get(index) {
            Some(entry) => Some(entry),
            None => index.checked_sub(static_table::LEN + 1).and_then(|index| self.table.get(index)),
        }
        .ok_or(DecodeError::InvalidIndex)
    }

    /// The name of a literal, by index or as a string, and its length.
    fn name(&mut self, reader: &mut Reader<'_>, first: u8, bits: u32) -> Result<(Name, usize), DecodeError> {
        let index = reader.integer(first, bits)?;
        if index > 0 {
            let entry = self.entry(index)?;
            return Ok((Name::from(&entry.field), entry.name_len));
        }
        let text = reader.text()?;
        let raw = reader.bytes(&text);
        if !text.huffman {
            return Ok((Name::from_bytes(raw), raw.len()));
        }
        let mut own = BytesMut::new();
        let scratch = buffer(&mut self.scratch, &mut own, huffman::max_decoded_len(raw.len()));
        huffman::decode(raw, scratch)?;
        let name = (Name::from_bytes(scratch), scratch.len());
        scratch.clear();
        Ok(name)
    }

    /// The value of a literal.
    fn value(&mut self, reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
        let text = reader.text()?;
        let raw = reader.bytes(&text);
        let needed = if text.huffman { huffman::max_decoded_len(raw.len()) } else { raw.len() };
        let mut own = BytesMut::new();
        let scratch = buffer(&mut self.scratch, &mut own, needed);
        if text.huffman {
            huffman::decode(raw, scratch)?;
        } else {
            scratch.extend_from_slice(raw);
        }
        Ok(scratch.split().freeze())
    }

    #[cfg(test)]
    pub(super) const fn table(&self) -> &Table<Entry> {
        &self.table
    }

    #[cfg(test)]
    pub(super) fn scratch_capacity(&self) -> usize {
        self.scratch.capacity()
    }
}

/// A buffer with room for `needed` bytes: the shared one, unless it is too small.
fn buffer<'a>(shared: &'a mut BytesMut, own: &'a mut BytesMut, needed: usize) -> &'a mut BytesMut {
    if needed > SCRATCH {
        own.reserve(needed);
        return own;
    }
    if shared.capacity() < needed {
        // Takes the buffer again from its beginning if nobody has a slice of it any more.
        shared.reserve(SCRATCH);
    }
    shared
}

/// What a field counts.
const fn field_size(name: usize, value: usize) -> usize {
    name.saturating_add(value).saturating_add(FIELD_OVERHEAD)
}

/// The field of a name and a value.
fn field(name: Name, value: Bytes, sensitive: bool) -> Field {
    let name = match name {
        Name::Pseudo(pseudo) => return Field::Pseudo(pseudo, value),
        Name::Header(name) => name,
        Name::Bad => return Field::BadName,
    };
    match HeaderValue::from_maybe_shared(value) {
        Ok(mut value) => {
            value.set_sensitive(sensitive);
            Field::Header(name, value)
        }
        Err(_) => Field::BadValue(name),
    }
}

/// What the fields of a block may still count; `None` once they have exceeded it.
struct List {
    left: Option<usize>,
}

impl List {
    fn admits(&mut self, size: usize) -> bool {
        self.left = self.left.and_then(|left| left.checked_sub(size));
        self.left.is_some()
    }
}

/// A place in a block.
struct Reader<'a> {
    block: &'a [u8],
    at: usize,
}

/// Where a string is in its block.
struct Text {
    huffman: bool,
    start: usize,
    end: usize,
}

impl Reader<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.block.get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn integer(&mut self, first: u8, bits: u32) -> Result<usize, DecodeError> {
        integer::decode(first, bits, || self.next())
    }

    /// A string (section 5.2). Its range lies within the block.
    fn text(&mut self) -> Result<Text, DecodeError> {
        let first = self.next().ok_or(DecodeError::Truncated)?;
        let len = self.integer(first, 7)?;
        let start = self.at;
        let end = start.checked_add(len).filter(|end| *end <= self.block.len());
        self.at = end.ok_or(DecodeError::Truncated)?;
        Ok(Text { huffman: first & 0x80 != 0, start, end: self.at })
    }

    fn bytes(&self, text: &Text) -> &[u8] {
        self.block.get(text.start..text.end).unwrap_or_default()
    }
}

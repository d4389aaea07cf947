//! Envelopes: the five-byte prefix before every message of a stream, and the decoder that cuts a body into them.
//!
//! See the Connect protocol reference, "Streaming RPCs"; gRPC's length-prefixed messages have the same form.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of a [`Prefix`] on the wire.
pub const PREFIX_LEN: usize = 5;

/// Payloads below this fraction of the data they came in are copied out, so that one of them does not pin the rest.
const PIN_FACTOR: usize = 8;
/// Small payloads are copied together, so much at a time.
const COPY: usize = 4 << 10;

/// A payload that comes in pieces gets room for so many times what has arrived of it: to grow means to copy.
const GROW_FACTOR: usize = 4;

/// The flags of an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Flags(pub u8);

impl Flags {
    /// A plain message.
    pub const NONE: Flags = Flags(0);
    /// The payload is compressed.
    pub const COMPRESSED: Flags = Flags(0b01);
    /// The payload is Connect's end-of-stream message.
    pub const END_STREAM: Flags = Flags(0b10);

    /// Whether all of `other`'s flags are set.
    #[must_use]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set but those of `known`.
    #[must_use]
    pub const fn within(self, known: Flags) -> bool {
        self.0 & !known.0 == 0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// What stands before a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Prefix {
    /// The flags.
    pub flags: Flags,
    /// Bytes of the payload that follows.
    pub len: u32,
}

impl Prefix {
    /// Reads a prefix: the flags, then the length in network byte order.
    #[must_use]
    pub const fn read(bytes: [u8; PREFIX_LEN]) -> Self {
        let [flags, a, b, c, d] = bytes;
        Prefix { flags: Flags(flags), len: u32::from_be_bytes([a, b, c, d]) }
    }

    /// Writes a prefix.
    #[must_use]
    pub const fn write(self) -> [u8; PREFIX_LEN] {
        let [a, b, c, d] = self.len.to_be_bytes();
        [self.flags.0, a, b, c, d]
    }
}

/// A complete envelope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// Its flags.
    pub flags: Flags,
    /// Its payload, still compressed if the flags say so.
    pub payload: Bytes,
}

/// What to do with the payload that a prefix announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admit {
    /// Assemble it.
    Keep,
    /// Throw it away as it arrives.
    Skip,
}

/// What a [`Decoder`] found in the data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// A complete envelope.
    Envelope(Envelope),
    /// So many bytes of a payload that was not kept.
    Skipped(usize),
}

/// Cuts a body into envelopes.
///
/// Memory grows with the bytes that have arrived, of which it is four times as much at most; never with a length that was
/// merely announced. A payload that lies whole in its data is a slice of it, unless it is less than an eighth of more than
/// 4 KiB: such small ones are copied together.
///
/// ```
/// use bytes::Bytes;
/// use connect_proto::wire::envelope::{Admit, Decoded, Decoder};
///
/// let mut decoder = Decoder::new();
/// let mut data = Bytes::from_static(b"\0\0\0\0\x05hello\0\0\0");
/// let found = decoder.decode(&mut data, |prefix| if prefix.len > 100 { Err("too large") } else { Ok(Admit::Keep) });
/// let Ok(Some(Decoded::Envelope(envelope))) = found else { panic!() };
/// assert_eq!(envelope.payload, "hello");
/// assert_eq!(decoder.decode(&mut data, |_| Err("not asked yet")), Ok(None));
/// assert!(data.is_empty() && !decoder.is_between_envelopes());
/// ```
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// How long the data was before anything was taken from it.
    whole: usize,
    /// A piece of the data, copied for the small payloads in it.
    copied: Bytes,
    /// How much of the data comes after that piece.
    after_copied: usize,
}

#[derive(Debug)]
enum State {
    Prefix { bytes: [u8; PREFIX_LEN], have: usize },
    Keep { prefix: Prefix, payload: BytesMut },
    Skip { left: usize },
}

const START: State = State::Prefix { bytes: [0; PREFIX_LEN], have: 0 };

impl Decoder {
    /// A decoder at the start of a body.
    #[must_use]
    pub fn new() -> Self {
        Decoder { state: START, whole: 0, copied: Bytes::new(), after_copied: 0 }
    }

    /// Takes from the front of `data` until something is found or nothing is left: call it with the same data until
    /// it says `None`.
    ///
    /// `admit` judges a prefix as soon as it is complete, before a byte of its payload is looked at.
    ///
    /// # Errors
    /// What `admit` refused with. The decoder must not be used any more then.
    #[inline]
    pub fn decode<E>(
        &mut self,
        data: &mut Bytes,
        admit: impl FnOnce(Prefix) -> Result<Admit, E>,
    ) -> Result<Option<Decoded>, E> {
        // Whatever was taken before, what is left may still pin all of it.
        self.whole = self.whole.max(data.len());
        if let State::Prefix { bytes, have } = &mut self.state {
            let Some(prefix) = fill_prefix(bytes, have, data) else {
                self.end_of_data();
                return Ok(None);
            };
            self.state = match admit(prefix)? {
                Admit::Keep if prefix.len as usize <= data.len() => {
                    self.state = START;
                    let payload = self.take_whole(data, prefix.len as usize);
                    return Ok(Some(Decoded::Envelope(Envelope { flags: prefix.flags, payload })));
                }
                Admit::Keep => State::Keep { prefix, payload: BytesMut::new() },
                Admit::Skip => State::Skip { left: prefix.len as usize },
            };
        }
        let found = self.advance_payload(data);
        if found.is_none() {
            self.end_of_data();
        }
        Ok(found)
    }

    fn end_of_data(&mut self) {
        self.whole = 0;
        self.copied = Bytes::new();
    }

    fn advance_payload(&mut self, data: &mut Bytes) -> Option<Decoded> {
        match &mut self.state {
            State::Prefix { .. } => None,
            State::Keep { prefix, payload } => {
                let part = data.split_to((prefix.len as usize - payload.len()).min(data.len()));
                let have = payload.len() + part.len();
                if payload.capacity() < have {
                    let room = have.saturating_mul(GROW_FACTOR).min(prefix.len as usize);
                    payload.reserve(room - payload.len());
                }
                payload.extend_from_slice(&part);
                if payload.len() < prefix.len as usize {
                    return None;
                }
                let envelope = Envelope { flags: prefix.flags, payload: std::mem::take(payload).freeze() };
                self.state = START;
                Some(Decoded::Envelope(envelope))
            }
            State::Skip { left } => {
                let skipped = (*left).min(data.len());
                data.advance(skipped);
                *left -= skipped;
                let done = *left == 0;
                if done {
                    self.state = START;
                }
                (done || skipped > 0).then_some(Decoded::Skipped(skipped))
            }
        }
    }

    /// A payload that lies whole at the front of `data`.
    #[inline]
    fn take_whole(&mut self, data: &mut Bytes, len: usize) -> Bytes {
        if self.whole <= COPY || len.saturating_mul(PIN_FACTOR) >= self.whole {
            return data.split_to(len);
        }
        if len > COPY / 4 {
            return Bytes::copy_from_slice(&data.split_to(len));
        }
        let from = self.find_copied(data.len(), len).unwrap_or_else(|| {
            let front = data.get(..COPY).unwrap_or(data);
            self.copied = Bytes::copy_from_slice(front);
            self.after_copied = data.len() - front.len();
            0
        });
        data.advance(len);
        self.copied.slice(from..from + len)
    }

    /// Where in the copied piece the next `len` bytes are, of which, with all that follows, `left` are left.
    fn find_copied(&self, left: usize, len: usize) -> Option<usize> {
        let from = (self.after_copied + self.copied.len()).checked_sub(left)?;
        (from + len <= self.copied.len()).then_some(from)
    }

    /// Gives up the payload that is being assembled, if any: what is left of it will be skipped.
    ///
    /// Returns how many bytes of it are still to come.
    pub fn discard_current(&mut self) -> usize {
        if let State::Keep { prefix, payload } = &self.state {
            self.state = State::Skip { left: prefix.len as usize - payload.len() };
        }
        match self.state {
            State::Skip { left } => left,
            _ => 0,
        }
    }

    /// The flags of the payload that is being assembled, if any.
    #[must_use]
    pub fn current(&self) -> Option<Flags> {
        match &self.state {
            State::Keep { prefix, .. } => Some(prefix.flags),
            _ => None,
        }
    }

    /// Bytes of the current envelope that have arrived and been kept, its prefix included.
    #[must_use]
    pub fn partial_len(&self) -> usize {
        match &self.state {
            State::Prefix { have, .. } => *have,
            State::Keep { payload, .. } => PREFIX_LEN + payload.len(),
            State::Skip { .. } => 0,
        }
    }

    /// Whether the body may end here: no envelope has begun.
    #[must_use]
    pub fn is_between_envelopes(&self) -> bool {
        matches!(self.state, State::Prefix { have: 0, .. })
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

fn fill_prefix(bytes: &mut [u8; PREFIX_LEN], have: &mut usize, data: &mut Bytes) -> Option<Prefix> {
    if *have == 0
        && let Some(whole) = data.first_chunk::<PREFIX_LEN>()
    {
        let prefix = Prefix::read(*whole);
        data.advance(PREFIX_LEN);
        return Some(prefix);
    }
    for slot in bytes.iter_mut().skip(*have) {
        *slot = *data.first()?;
        data.advance(1);
        *have += 1;
    }
    Some(Prefix::read(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(_: Prefix) -> Result<Admit, ()> {
        Ok(Admit::Keep)
    }

    fn decode_all(decoder: &mut Decoder, data: &[u8]) -> Vec<Envelope> {
        let mut data = Bytes::copy_from_slice(data);
        let mut found = Vec::new();
        while let Ok(Some(Decoded::Envelope(envelope))) = decoder.decode(&mut data, keep) {
            found.push(envelope);
        }
        assert!(data.is_empty());
        found
    }

    fn encode(messages: &[Vec<u8>]) -> Vec<u8> {
        let mut wire = Vec::new();
        for message in messages {
            wire.extend_from_slice(&Prefix { flags: Flags::NONE, len: message.len() as u32 }.write());
            wire.extend_from_slice(message);
        }
        wire
    }

    proptest::proptest! {
        #[test]
        fn any_cutting_gives_the_same_envelopes(
            messages in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..300), 0..20),
            cuts in proptest::collection::vec(1usize..700, 1..30),
        ) {
            let wire = encode(&messages);
            let mut decoder = Decoder::new();
            let (mut found, mut rest, mut cuts) = (Vec::new(), wire.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (part, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                found.extend(decode_all(&mut decoder, part));
                rest = later;
            }
            assert!(decoder.is_between_envelopes());
            assert_eq!(found.iter().map(|e| e.payload.to_vec()).collect::<Vec<_>>(), messages);
        }
    }

    #[test]
    fn small_payloads_of_a_large_buffer_do_not_pin_it() {
        let wire = Bytes::from(encode(&vec![vec![7; 16]; 1000]));
        let mut data = wire.clone();
        let mut decoder = Decoder::new();
        let Ok(Some(Decoded::Envelope(first))) = decoder.decode(&mut data, keep) else { panic!() };
        let inside = wire.as_ptr_range().contains(&first.payload.as_ptr());
        assert!(!inside && first.payload == vec![7; 16]);
    }

    #[test]
    fn the_tail_of_a_large_buffer_does_not_pin_it() {
        let wire = Bytes::from(encode(&[vec![7; 64 << 10], vec![8; 16]]));
        let mut data = wire.clone();
        let mut decoder = Decoder::new();
        let mut next = || match decoder.decode(&mut data, keep) {
            Ok(Some(Decoded::Envelope(envelope))) => envelope.payload,
            other => panic!("{other:?}"),
        };
        let inside = |payload: &Bytes| wire.as_ptr_range().contains(&payload.as_ptr());
        let (large, small) = (next(), next());
        assert_eq!((large.len(), small.len()), (64 << 10, 16));
        assert!(inside(&large) && !inside(&small));
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut decoder = Decoder::new();
        assert!(decode_all(&mut decoder, &[0, 0xff, 0xff, 0xff, 0xff, 1]).is_empty());
        let State::Keep { payload, .. } = &decoder.state else { panic!() };
        assert!(payload.capacity() < 1024);
    }

    #[test]
    fn a_payload_given_up_in_the_middle_is_skipped() {
        let mut decoder = Decoder::new();
        assert!(decode_all(&mut decoder, b"\0\0\0\0\x04ab").is_empty());
        assert_eq!(decoder.discard_current(), 2);
        let mut data = Bytes::from_static(b"cd\0\0\0\0\x01e");
        assert_eq!(decoder.decode(&mut data, keep), Ok(Some(Decoded::Skipped(2))));
        let Ok(Some(Decoded::Envelope(next))) = decoder.decode(&mut data, keep) else { panic!() };
        assert_eq!(next.payload, "e");
    }
}

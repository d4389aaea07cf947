//! The Huffman code of RFC 7541 section 5.2 and appendix B.
//!
//! The code is canonical, so the lengths of appendix B say everything: the tables are computed from them at compile time.
//! Decoding takes [`STEP`] bits at a time, which is up to two symbols (all of the usual ones have 5 to 8 bits); the rare
//! longer ones are found by comparing with the first code of each length.

use bytes::BytesMut;

use super::DecodeError;

const EOS: usize = 256;
const MAX_LEN: usize = 30;

/// The bits that one lookup takes: two of the usual codes, and a table of 16 KiB.
const STEP: usize = 12;

/// The lengths of the codes in bits, by symbol; EOS last.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// What of the code is the same for all symbols of one length.
#[derive(Clone, Copy)]
struct Class {
    /// One past the last code of this length or a shorter one, aligned to the left of 32 bits.
    end: u64,
    /// The first code of this length.
    first: u32,
    /// Where its symbol is in [`SORTED`].
    at: u16,
}

/// Everything about the code that follows from [`LENGTHS`].
struct Code {
    /// The code and, in the low byte, its length, by symbol.
    words: [u64; 257],
    /// The symbols in the order of their codes.
    sorted: [u16; 257],
    /// By length.
    classes: [Class; MAX_LEN + 1],
}

const CODE: Code = derive();
static WORDS: [u64; 257] = CODE.words;
static SORTED: [u16; 257] = CODE.sorted;
static CLASSES: [Class; MAX_LEN + 1] = CODE.classes;
static STEPS: [u32; 1 << STEP] = steps();

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn derive() -> Code {
    let mut words = [0; 257];
    let mut sorted = [0; 257];
    let mut classes = [Class { end: 0, first: 0, at: 0 }; MAX_LEN + 1];
    let (mut code, mut at, mut len) = (0u64, 0, 1);
    while len <= MAX_LEN {
        code <<= 1;
        classes[len].first = code as u32;
        classes[len].at = at as u16;
        let mut symbol = 0;
        while symbol <= EOS {
            if LENGTHS[symbol] as usize == len {
                words[symbol] = code << 8 | len as u64;
                sorted[at] = symbol as u16;
                code += 1;
                at += 1;
            }
            symbol += 1;
        }
        classes[len].end = code << (32 - len);
        len += 1;
    }
    Code { words, sorted, classes }
}

/// By the next [`STEP`] bits: the first symbol, the second one, the bits of the first and the bits of both, a byte each
/// from the low one; 0 where the first code is longer. Where there is no second one both counts are the same.
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn steps() -> [u32; 1 << STEP] {
    let mut one = [0u32; 1 << STEP];
    let mut symbol = 0;
    while symbol < EOS {
        let len = LENGTHS[symbol] as usize;
        if len <= STEP {
            let start = ((CODE.words[symbol] >> 8) as usize) << (STEP - len);
            let mut at = start;
            while at < start + (1 << (STEP - len)) {
                one[at] = symbol as u32 | (len as u32) << 16 | (len as u32) << 24;
                at += 1;
            }
        }
        symbol += 1;
    }
    let mut both = one;
    let mut at = 0;
    while at < 1 << STEP {
        let len = one[at] >> 24;
        if len > 0 {
            let second = one[(at << len) & ((1 << STEP) - 1)];
            let sum = len + (second >> 24);
            if second != 0 && sum as usize <= STEP {
                both[at] = (one[at] & 0x00ff_00ff) | (second & 0xff) << 8 | sum << 24;
            }
        }
        at += 1;
    }
    both
}

/// The most bytes that `len` bytes can decode to: the shortest code has 5 bits. One more, since a step writes two.
pub(super) const fn max_decoded_len(len: usize) -> usize {
    len.saturating_mul(8) / 5 + 2
}

/// Appends what `input` stands for to `out`. Needs [`max_decoded_len`] bytes of room there, of which it takes what it
/// used; after an error `out` is as before.
pub(super) fn decode(input: &[u8], out: &mut BytesMut) -> Result<(), DecodeError> {
    let start = out.len();
    out.resize(start.saturating_add(max_decoded_len(input.len())), 0);
    let result = out.get_mut(start..).map_or(Ok(0), |room| Bits::new(input).decode(room));
    out.truncate(start + result.unwrap_or(0));
    result.map(drop)
}

/// A string being decoded.
struct Bits<'a> {
    input: &'a [u8],
    /// The next bits, from the highest one down.
    bits: u64,
    /// How many of them are there.
    have: u32,
}

impl<'a> Bits<'a> {
    const fn new(input: &'a [u8]) -> Self {
        Self { input, bits: 0, have: 0 }
    }

    /// Takes as many whole bytes as fit, at least 56 bits in all, if there are 8 more bytes. The bits after those that
    /// count are the next ones already, and stay right when they are taken again.
    fn refill(&mut self) -> bool {
        let Some(chunk) = self.input.first_chunk::<8>() else { return false };
        self.bits |= u64::from_be_bytes(*chunk) >> self.have;
        let bytes = (63 - self.have) / 8;
        self.input = self.input.get(bytes as usize..).unwrap_or_default();
        self.have += bytes * 8;
        true
    }

    /// The same with the last bytes of the string: more than 48 bits while there are any.
    fn refill_last(&mut self) {
        while self.have <= 48 {
            let Some((byte, rest)) = self.input.split_first() else { return };
            self.bits |= u64::from(*byte) << (56 - self.have);
            self.have += 8;
            self.input = rest;
        }
    }

    fn skip(&mut self, bits: u32) {
        self.bits <<= bits;
        self.have -= bits;
    }

    /// Writes the symbols to `room` and says how many there are.
    fn decode(mut self, room: &mut [u8]) -> Result<usize, DecodeError> {
        let mut at = 0;
        while self.refill() {
            at += self.take(room, at)?;
            // What is left of 56 bits after a short code is enough for three steps more.
            for _ in 0..3 {
                let step = self.step();
                if step == 0 || self.have < MAX_LEN as u32 {
                    break;
                }
                at += self.take_step(step, room, at);
            }
        }
        loop {
            self.refill_last();
            if self.have < MAX_LEN as u32 {
                return self.finish(room, at);
            }
            at += self.take(room, at)?;
        }
    }

    /// Takes one code or two; [`MAX_LEN`] bits have to be there.
    fn take(&mut self, room: &mut [u8], at: usize) -> Result<usize, DecodeError> {
        let step = self.step();
        if step != 0 {
            return Ok(self.take_step(step, room, at));
        }
        let (symbol, len) = self.long()?;
        put(room, at, u16::from(symbol));
        self.skip(len);
        Ok(1)
    }

    fn take_step(&mut self, step: u32, room: &mut [u8], at: usize) -> usize {
        put(room, at, step as u16);
        self.skip(step >> 24);
        1 + usize::from(step >> 24 != step >> 16 & 0xff)
    }

    /// The end of the string, where codes may be cut.
    fn finish(mut self, room: &mut [u8], mut at: usize) -> Result<usize, DecodeError> {
        // As if padded with ones for ever.
        self.bits |= u64::MAX >> self.have;
        loop {
            let step = self.step();
            let (first, both) = (step >> 16 & 0xff, step >> 24);
            let (symbols, taken) = if step == 0 {
                if self.have < MAX_LEN as u32 && self.bits >> 34 == (1 << MAX_LEN) - 1 {
                    break; // Ones: the padding.
                }
                let (symbol, len) = self.long()?;
                (u16::from(symbol), len)
            } else if both <= self.have {
                (step as u16, both)
            } else {
                (step as u16, first)
            };
            if taken > self.have {
                break;
            }
            put(room, at, symbols);
            at += 1 + usize::from(taken != first && step != 0);
            self.bits = self.bits << taken | ((1 << taken) - 1);
            self.have -= taken;
        }
        // The padding is the beginning of EOS: ones, fewer than 8.
        if self.have < 8 && self.bits == u64::MAX { Ok(at) } else { Err(DecodeError::HuffmanPadding) }
    }

    fn step(&self) -> u32 {
        STEPS.get((self.bits >> (64 - STEP)) as usize).copied().unwrap_or(0)
    }

    /// The symbol of a code longer than [`STEP`] bits, and its length.
    fn long(&self) -> Result<(u8, u32), DecodeError> {
        let window = self.bits >> 32;
        for (class, len) in CLASSES.iter().zip(0u32..).skip(STEP + 1) {
            if window < class.end {
                let nth = (window >> (32 - len)) as usize - class.first as usize;
                let symbol = SORTED.get(usize::from(class.at) + nth).copied().unwrap_or(EOS as u16);
                return u8::try_from(symbol).map(|symbol| (symbol, len)).map_err(|_| DecodeError::HuffmanEos);
            }
        }
        Err(DecodeError::HuffmanEos)
    }
}

/// Writes two symbols, the low byte first; the second one may be overwritten by the next step.
fn put(room: &mut [u8], at: usize, symbols: u16) {
    if let Some(two) = room.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) {
        *two = symbols.to_le_bytes();
    }
}

/// The bytes that `text` encodes to.
pub(super) fn encoded_len(text: &[u8]) -> usize {
    text.iter().map(|byte| (word(*byte) & 0xff) as usize).sum::<usize>().div_ceil(8)
}

/// Appends `text` encoded; `len` is its [`encoded_len`].
pub(super) fn encode(text: &[u8], len: usize, out: &mut BytesMut) {
    let start = out.len();
    out.resize(start.saturating_add(len), 0);
    let Some(mut room) = out.get_mut(start..) else { return };
    // The last `have` bits of `bits` are still to be written; fewer than 32 between two symbols.
    let (mut bits, mut have) = (0u64, 0u32);
    for byte in text {
        let word = word(*byte);
        let len = (word & 0xff) as u32;
        bits = bits << len | word >> 8;
        have += len;
        if have >= 32 {
            have -= 32;
            let Some((four, rest)) = room.split_first_chunk_mut::<4>() else { return };
            *four = ((bits >> have) as u32).to_be_bytes();
            room = rest;
        }
    }
    // Padded with ones (section 5.2) and cut to whole bytes.
    let last = ((bits << (32 - have)) as u32 | (u64::from(u32::MAX) >> have) as u32).to_be_bytes();
    for (to, from) in room.iter_mut().zip(last) {
        *to = from;
    }
}

fn word(byte: u8) -> u64 {
    WORDS.get(usize::from(byte)).copied().unwrap_or(0)
}

#[cfg(test)]
#[path = "tests/huffman.rs"]
mod tests;

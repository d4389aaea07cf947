//! gzip (RFC 1952).

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Compression, DecompressError};

/// gzip.
///
/// What it produces depends on the input and the level alone: there is no time stamp in it. What it reads may
/// consist of several members, as RFC 1952 allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gzip {
    level: u32,
}

impl Gzip {
    const DEFAULT_LEVEL: u32 = 2;

    /// gzip that compresses at this level, from 0 (stored) over 1 (fast) to 9 (small); what is above counts
    /// as 9. Levels do not matter for decompression.
    #[must_use]
    pub fn with_level(level: u32) -> Self {
        Gzip { level: level.min(9) }
    }
}

impl Default for Gzip {
    /// Level 2, which takes half the time of the customary level 6 and gives about a tenth more bytes.
    fn default() -> Self {
        Gzip::with_level(Self::DEFAULT_LEVEL)
    }
}

impl Compression for Gzip {
    fn name(&self) -> &str {
        "gzip"
    }

    fn compress(&self, input: &[u8]) -> Option<Bytes> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(self.level));
        let written = encoder.write_all(input).and_then(|()| encoder.finish());
        written.ok().map(Bytes::from)
    }

    fn decompress(&self, input: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
        let mut decoder = MultiGzDecoder::new(input);
        let mut out = Vec::new();
        let mut filled = 0;
        loop {
            if filled == out.len() {
                grow(&mut out, input.len(), limit);
            }
            let room = out.get_mut(filled..).unwrap_or_default();
            if room.is_empty() {
                // The limit is reached: only the end may come now, after its checksum.
                return match decoder.read(&mut [0]) {
                    Ok(0) => Ok(out.into()),
                    Ok(_) => Err(DecompressError::TooLarge),
                    Err(_) => Err(DecompressError::Corrupt),
                };
            }
            match decoder.read(room) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(_) => return Err(DecompressError::Corrupt),
            }
        }
        out.truncate(filled);
        if filled < out.capacity() / 2 {
            out.shrink_to_fit();
        }
        Ok(out.into())
    }
}

/// Makes room for more output: at first as much as the input suggests but little, then as much again as there
/// is. Never for more than `limit` bytes in all.
fn grow(out: &mut Vec<u8>, input: usize, limit: usize) {
    let first = input.saturating_mul(2).clamp(512, 64 << 10);
    let len = out.len().saturating_mul(2).max(first).min(limit);
    out.reserve_exact(len.saturating_sub(out.len()));
    out.resize(len, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CORRUPT: Result<Bytes, DecompressError> = Err(DecompressError::Corrupt);

    fn zip(input: &[u8]) -> Bytes {
        Gzip::default().compress(input).unwrap()
    }

    fn unzip(input: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
        Gzip::default().decompress(input, limit)
    }

    #[test]
    fn output_of_just_the_limit_passes_and_one_byte_more_does_not() {
        for len in [1, 511, 512, 513, 65_536, 65_537, 200_000] {
            let input = vec![7; len];
            assert_eq!(unzip(&zip(&input), len).as_deref(), Ok(&*input), "{len}");
            assert_eq!(unzip(&zip(&input), len - 1), Err(DecompressError::TooLarge), "{len}");
        }
        assert_eq!(unzip(&zip(b""), 0), Ok(Bytes::new()));
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_limit() {
        let bomb = zip(&vec![0; 16 << 20]);
        assert!(bomb.len() < 1 << 18);
        assert_eq!(unzip(&bomb, 1 << 16), Err(DecompressError::TooLarge));
    }

    #[test]
    fn room_grows_with_the_output_and_never_beyond_the_limit() {
        for limit in [0, 1, 1_000, 100_000, usize::MAX] {
            let mut out = Vec::new();
            for _ in 0..12 {
                let before = out.len();
                grow(&mut out, 10, limit);
                assert!(out.len() <= limit && out.len() <= (2 * before).max(512));
                assert_eq!(out.capacity(), out.len());
            }
        }
    }

    #[test]
    fn truncated_input_is_corrupt_wherever_it_ends() {
        let whole = zip(b"hello hello hello");
        for len in 0..whole.len() {
            assert_eq!(unzip(&whole[..len], 100), CORRUPT, "{len}");
        }
    }

    #[test]
    fn bytes_after_the_end_are_corrupt() {
        let whole = zip(b"hello");
        for garbage in [&b"\0"[..], b"x", b"\x1f\x8b", &[0; 64]] {
            assert_eq!(unzip(&[&whole, garbage].concat(), 100), CORRUPT, "{garbage:?}");
            assert_eq!(unzip(&[&whole, garbage].concat(), 5), CORRUPT, "{garbage:?}");
        }
    }

    #[test]
    fn a_wrong_checksum_or_length_is_corrupt() {
        let whole = zip(b"hello");
        for at in whole.len() - 8..whole.len() {
            let mut broken = whole.to_vec();
            broken[at] ^= 1;
            assert_eq!(unzip(&broken, 100), CORRUPT, "{at}");
            assert_eq!(unzip(&broken, 5), CORRUPT, "{at}");
        }
    }

    #[test]
    fn members_are_joined() {
        let members = [zip(b"a"), zip(b""), zip(b"bc")].concat();
        assert_eq!(unzip(&members, 3).as_deref(), Ok(&b"abc"[..]));
        assert_eq!(unzip(&members, 2), Err(DecompressError::TooLarge));
    }

    #[test]
    fn every_level_is_valid() {
        for level in [0, 1, 9, 10, u32::MAX] {
            let zipped = Gzip::with_level(level).compress(b"hello").unwrap();
            assert_eq!(unzip(&zipped, 5).as_deref(), Ok(&b"hello"[..]), "{level}");
        }
    }

    proptest! {
        #[test]
        fn any_input_round_trips(input: Vec<u8>, repeat in 1usize..2_000, level in 0u32..10) {
            let input = input.repeat(repeat);
            let zipped = Gzip::with_level(level).compress(&input).unwrap();
            prop_assert_eq!(Gzip::with_level(level).compress(&input).unwrap(), &zipped);
            let unzipped = unzip(&zipped, input.len());
            prop_assert_eq!(unzipped.as_deref(), Ok(&*input));
        }

        #[test]
        fn any_bytes_are_refused_or_bounded(mut input: Vec<u8>, changed: Vec<u8>, at: prop::sample::Index) {
            let _ = unzip(&input, 100);
            input = zip(&input).to_vec();
            let at = at.index(input.len());
            input.splice(at..at, changed);
            prop_assert!(unzip(&input, 100).map_or(0, |out| out.len()) <= 100);
        }
    }
}

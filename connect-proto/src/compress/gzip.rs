//! gzip (RFC 1952).

use std::io::Write;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Compression, DecompressError, bounded};

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
        bounded::read(MultiGzDecoder::new(input), input.len(), limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORRUPT: Result<Bytes, DecompressError> = Err(DecompressError::Corrupt);

    fn zip(input: &[u8]) -> Bytes {
        Gzip::default().compress(input).unwrap()
    }

    fn unzip(input: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
        Gzip::default().decompress(input, limit)
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
}

//! Snappy, in its framing format.

use std::io::Write;

use bytes::Bytes;
use snap::read::FrameDecoder;
use snap::write::FrameEncoder;

use super::{Compression, DecompressError, bounded};

/// Snappy in its framing format, which has checksums and an identifier at the beginning, but no mark at the end: an input
/// that is cut off between two chunks is a shorter one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Snappy;

impl Compression for Snappy {
    fn name(&self) -> &str {
        "snappy"
    }

    fn compress(&self, input: &[u8]) -> Option<Bytes> {
        let mut encoder = FrameEncoder::new(Vec::new());
        encoder.write_all(input).ok()?;
        encoder.into_inner().ok().map(Bytes::from)
    }

    fn decompress(&self, input: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
        bounded::read(FrameDecoder::new(input), input.len(), limit)
    }
}

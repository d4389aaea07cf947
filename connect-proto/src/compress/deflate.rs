//! deflate, in the zlib format (RFC 1950), as HTTP has it (RFC 9110, section 8.4.1.2).

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::{Compression, DecompressError, bounded};

/// deflate in the zlib format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deflate {
    level: u32,
}

impl Deflate {
    /// deflate that compresses at this level, from 0 (stored) over 1 (fast) to 9 (small); what is above counts as 9.
    #[must_use]
    pub fn with_level(level: u32) -> Self {
        Deflate { level: level.min(9) }
    }
}

impl Default for Deflate {
    /// Level 2, as for gzip.
    fn default() -> Self {
        Deflate::with_level(2)
    }
}

impl Compression for Deflate {
    fn name(&self) -> &str {
        "deflate"
    }

    fn compress(&self, input: &[u8]) -> Option<Bytes> {
        let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::new(self.level));
        let written = encoder.write_all(input).and_then(|()| encoder.finish());
        written.ok().map(Bytes::from)
    }

    fn decompress(&self, input: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
        let mut decoder = ZlibDecoder::new(input);
        let out = bounded::read(decoder.by_ref(), input.len(), limit)?;
        if decoder.total_in() == input.len() as u64 { Ok(out) } else { Err(DecompressError::Corrupt) }
    }
}

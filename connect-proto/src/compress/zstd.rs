//! Zstandard (RFC 8878).

use std::io::Read;

use bytes::Bytes;
use zstd::stream::read::Decoder;

use super::{Compression, DecompressError, bounded};

/// The largest window that is read, as a power of two: 8 MiB, which every decoder is to support (RFC 8878, section
/// 3.1.1.1.2) and no encoder for HTTP is to exceed (RFC 9659).
const WINDOW_LOG: u32 = 23;

/// Zstandard.
///
/// Beside the output, reading takes as much memory as the window that the input asks for: 8 MiB at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Zstd {
    level: i32,
}

impl Zstd {
    /// Zstandard that compresses at this level, from 1 (fast) to 19 (small); what is outside counts as the nearest.
    #[must_use]
    pub fn with_level(level: i32) -> Self {
        Zstd { level: level.clamp(1, 19) }
    }
}

impl Default for Zstd {
    /// Level 3, which is Zstandard's own default.
    fn default() -> Self {
        Zstd::with_level(3)
    }
}

impl Compression for Zstd {
    fn name(&self) -> &str {
        "zstd"
    }

    fn compress(&self, input: &[u8]) -> Option<Bytes> {
        zstd::bulk::compress(input, self.level).ok().map(Bytes::from)
    }

    fn decompress(&self, input: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
        let mut decoder = Decoder::with_buffer(input).map_err(|_| DecompressError::Corrupt)?;
        decoder.window_log_max(WINDOW_LOG).map_err(|_| DecompressError::Corrupt)?;
        bounded::read(decoder.by_ref(), input.len(), limit)
    }
}

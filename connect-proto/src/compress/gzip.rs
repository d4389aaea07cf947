//! gzip (RFC 1952).

use bytes::Bytes;

use super::{Compression, DecompressError};

/// gzip.
#[derive(Debug, Default)]
pub struct Gzip;

impl Compression for Gzip {
    fn name(&self) -> &str {
        "gzip"
    }
    fn compress(&self, input: &[u8]) -> Bytes {
        Bytes::copy_from_slice(input)
    }
    fn decompress(&self, input: &[u8], _limit: usize) -> Result<Bytes, DecompressError> {
        Ok(Bytes::copy_from_slice(input))
    }
}

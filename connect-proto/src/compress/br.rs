//! Brotli (RFC 7932).

use std::io::{self, Read, Write};

use brotli::enc::{BrotliEncoderParams, StandardAlloc};
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, CompressorWriter};
use bytes::Bytes;

use super::{Compression, DecompressError, bounded};

/// Bytes that the encoder hands on at a time.
const CHUNK: usize = 4 << 10;

/// Brotli.
///
/// Beside the output, reading takes as much memory as the window that the input asks for: 16 MiB at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Brotli {
    quality: u32,
}

impl Brotli {
    /// Brotli that compresses at this quality, from 0 (fast) to 11 (small, and very slow); what is above counts as 11.
    #[must_use]
    pub fn with_quality(quality: u32) -> Self {
        Brotli { quality: quality.min(11) }
    }
}

impl Default for Brotli {
    /// Quality 4, at which it is about as fast as gzip and gives fewer bytes.
    fn default() -> Self {
        Brotli::with_quality(4)
    }
}

impl Compression for Brotli {
    fn name(&self) -> &str {
        "br"
    }

    fn compress(&self, input: &[u8]) -> Option<Bytes> {
        let quality = i32::try_from(self.quality).unwrap_or(11);
        let params =
            BrotliEncoderParams { quality, size_hint: input.len(), ..BrotliEncoderParams::default() };
        let mut encoder = CompressorWriter::with_params(Vec::new(), CHUNK, &params);
        encoder.write_all(input).ok()?;
        Some(Bytes::from(encoder.into_inner()))
    }

    fn decompress(&self, input: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
        let mut decoder = Decoder::new(input);
        let out = bounded::read(&mut decoder, input.len(), limit)?;
        if decoder.input.is_empty() { Ok(out) } else { Err(DecompressError::Corrupt) }
    }
}

/// A decoder that leaves what comes after the end. The reader of the `brotli` crate takes that in with the rest.
struct Decoder<'a> {
    input: &'a [u8],
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
}

impl<'a> Decoder<'a> {
    fn new(input: &'a [u8]) -> Self {
        let new = StandardAlloc::default;
        Decoder { input, state: BrotliState::new(new(), new(), new()) }
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (mut available_in, mut taken) = (self.input.len(), 0);
        let (mut available_out, mut written, mut total) = (out.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut taken,
            self.input,
            &mut available_out,
            &mut written,
            out,
            &mut total,
            &mut self.state,
        );
        self.input = self.input.get(taken..).unwrap_or_default();
        match result {
            BrotliResult::ResultSuccess | BrotliResult::NeedsMoreOutput => Ok(written),
            BrotliResult::NeedsMoreInput => Err(io::ErrorKind::UnexpectedEof.into()),
            BrotliResult::ResultFailure => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

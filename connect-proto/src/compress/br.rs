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
/// Beside the output, reading takes memory for the window that the input asks for: 256 KiB, or if the limit is more, about
/// twice the limit at most, and never more than 16 MiB.
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
        let mut decoder = Decoder::new(input, limit);
        let out = bounded::read(&mut decoder, input.len(), limit)?;
        if decoder.input.is_empty() { Ok(out) } else { Err(DecompressError::Corrupt) }
    }
}

/// A decoder that leaves what comes after the end. The reader of the `brotli` crate takes that in with the rest.
struct Decoder<'a> {
    /// The first byte, with the window in it; it goes first.
    first: Option<[u8; 1]>,
    input: &'a [u8],
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
}

impl<'a> Decoder<'a> {
    fn new(input: &'a [u8], limit: usize) -> Self {
        let new = StandardAlloc::default;
        // Without the extension to windows of a gigabyte.
        let state = BrotliState::new_strict(new(), new(), new());
        match input.split_first() {
            Some((first, input)) => Decoder { first: Some([narrowed(*first, limit)]), input, state },
            None => Decoder { first: None, input, state },
        }
    }

    fn step(&mut self, out: &mut [u8]) -> (BrotliResult, usize) {
        let input = self.first.as_ref().map_or(self.input, <[u8; 1]>::as_slice);
        let (mut available_in, mut taken) = (input.len(), 0);
        let (mut available_out, mut written, mut total) = (out.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut taken,
            input,
            &mut available_out,
            &mut written,
            out,
            &mut total,
            &mut self.state,
        );
        match self.first {
            Some(_) if taken > 0 => self.first = None,
            Some(_) => {}
            None => self.input = self.input.get(taken..).unwrap_or_default(),
        }
        (result, written)
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let was_first = self.first.is_some();
            match self.step(out) {
                (BrotliResult::ResultSuccess | BrotliResult::NeedsMoreOutput, written) => return Ok(written),
                (BrotliResult::NeedsMoreInput, 0) if was_first && self.first.is_none() => {}
                (BrotliResult::NeedsMoreInput, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (BrotliResult::ResultFailure, _) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

/// The first byte of a stream, with a window that is no larger than it takes for `limit` bytes of output.
///
/// As long as the output is within a window, its size makes no difference to what is decoded: no distance can reach further
/// back than the beginning (RFC 7932, section 4). But the decoder makes room for all of it, and fills that before it gives
/// anything out. Windows from 18 bits on are a 1 and three bits more (section 9.1); smaller ones stay as they are.
fn narrowed(first: u8, limit: usize) -> u8 {
    const SMALLEST: u8 = 18;
    let bits = match first >> 1 & 0b111 {
        0 => return first,
        _ if first & 1 == 0 => return first,
        above => SMALLEST - 1 + above,
    };
    let enough = (SMALLEST..bits).find(|bits| (1_usize << bits) - 16 >= limit).unwrap_or(bits);
    first & 0xf0 | (enough - (SMALLEST - 1)) << 1 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 7] = [0, 1, (256 << 10) - 16, (256 << 10) - 15, 256 << 10, (1 << 20) - 16, 1 << 20];

    #[test]
    fn the_window_is_as_large_as_the_limit_but_not_larger() {
        let bits = |first: u8| 17 + (first >> 1 & 0b111);
        for asked in 18..=24 {
            let first = 0b1010_0001 | (asked - 17) << 1;
            for (limit, enough) in SIZES.into_iter().zip([18, 18, 18, 19, 19, 20, 21]) {
                let narrowed = narrowed(first, limit);
                assert_eq!((bits(narrowed), narrowed & 0xf1), (enough.min(asked), 0b1010_0001));
            }
            assert_eq!(narrowed(first, usize::MAX), first);
        }
        // Those of 16 bits, and those from 10 to 17 bits.
        for first in [0b0000_0110, 0b0010_0001, 0b0111_0001, 0b0000_0001] {
            assert_eq!(narrowed(first, 0), first);
        }
    }

    /// Noise, zeros, and the same noise once more.
    #[test]
    fn distances_over_all_of_the_limit_are_read() {
        let noise: Vec<u8> = (0..1000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for size in SIZES.map(|size| size.max(2 * noise.len())) {
            let mut message = noise.clone();
            message.resize(size - noise.len(), 0);
            message.extend_from_slice(&noise);
            let params = BrotliEncoderParams { quality: 9, lgwin: 24, ..BrotliEncoderParams::default() };
            let mut encoder = CompressorWriter::with_params(Vec::new(), CHUNK, &params);
            encoder.write_all(&message).unwrap();
            // What follows is not known, so that the decoder makes room for all of the window.
            encoder.flush().unwrap();
            let small = encoder.into_inner();
            assert!(small.len() < noise.len() * 3 / 2, "{size}: the noise is there but once");
            assert_eq!(Brotli::default().decompress(&small, size).as_deref(), Ok(&*message), "{size}");
        }
    }
}

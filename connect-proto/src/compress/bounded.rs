//! Reading what a decoder gives out, up to a limit.

use std::io::Read;

use bytes::Bytes;

use super::DecompressError;

/// Reads a decoder to its end. Memory grows with what comes out, never beyond the limit.
pub(super) fn read(
    mut decoder: impl Read,
    compressed_len: usize,
    limit: usize,
) -> Result<Bytes, DecompressError> {
    let mut out = Vec::new();
    let mut filled = 0;
    loop {
        if filled == out.len() {
            grow(&mut out, compressed_len, limit);
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
}

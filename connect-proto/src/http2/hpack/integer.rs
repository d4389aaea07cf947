//! Integers with a prefix: RFC 7541 section 5.1.

use bytes::{BufMut, BytesMut};

use super::DecodeError;

/// Continuation bytes of the largest integer accepted: 5 times 7 bits hold a `u32`.
const MAX_CONTINUATION: u32 = 5;

/// Reads an integer whose first byte is `first`, with a prefix of `bits` bits, and the rest from `next`.
///
/// Anything over `u32::MAX` and anything of more than five further bytes, zeros included, is an error, so that the work is
/// bounded.
#[inline]
pub(super) fn decode(
    first: u8,
    bits: u32,
    mut next: impl FnMut() -> Option<u8>,
) -> Result<usize, DecodeError> {
    let mask = prefix_mask(bits);
    let prefix = first & mask;
    if prefix != mask {
        return Ok(usize::from(prefix));
    }
    let mut value = u64::from(mask);
    for group in 0..MAX_CONTINUATION {
        let byte = next().ok_or(DecodeError::Truncated)?;
        value += u64::from(byte & 0x7f) << (7 * group);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| DecodeError::IntegerTooLarge)?;
            return usize::try_from(value).map_err(|_| DecodeError::IntegerTooLarge);
        }
    }
    Err(DecodeError::IntegerTooLarge)
}

/// Appends `value` with a prefix of `bits` bits below the pattern `head`.
#[inline]
pub(super) fn encode(value: usize, bits: u32, head: u8, out: &mut BytesMut) {
    let mask = prefix_mask(bits);
    let Some(mut rest) = value.checked_sub(usize::from(mask)) else {
        // Below the mask, hence a byte.
        out.put_u8(head | (value & usize::from(mask)) as u8);
        return;
    };
    out.put_u8(head | mask);
    while rest >= 0x80 {
        out.put_u8(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

const fn prefix_mask(bits: u32) -> u8 {
    0xff >> (8 - bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: usize, bits: u32) -> Vec<u8> {
        let mut out = BytesMut::new();
        encode(value, bits, 0, &mut out);
        out.to_vec()
    }

    fn decoded(bytes: &[u8], bits: u32) -> Result<usize, DecodeError> {
        let mut bytes = bytes.iter().copied();
        let first = bytes.next().unwrap();
        decode(first, bits, || bytes.next())
    }

    #[test]
    fn rfc_7541_c_1() {
        assert_eq!(encoded(10, 5), [0b01010]);
        assert_eq!(encoded(1337, 5), [0b11111, 0b1001_1010, 0b0000_1010]);
        assert_eq!(encoded(42, 8), [42]);
        assert_eq!(decoded(&[0b1110_1010], 5), Ok(10));
        assert_eq!(decoded(&[0b1111_1111, 0b1001_1010, 0b0000_1010], 5), Ok(1337));
        assert_eq!(decoded(&[42], 8), Ok(42));
    }

    #[test]
    fn too_large_or_too_long_or_cut_is_an_error() {
        assert_eq!(decoded(&[0x7f, 0x80, 0xff, 0xff, 0xff, 0x0f], 7), Ok(u32::MAX as usize));
        assert_eq!(decoded(&[0x7f, 0x81, 0xff, 0xff, 0xff, 0x0f], 7), Err(DecodeError::IntegerTooLarge));
        assert_eq!(decoded(&[0x7f, 0, 0], 7), Ok(127));
        assert_eq!(decoded(&[0x7f, 0x80, 0x80, 0x80, 0x80, 0], 7), Ok(127));
        assert_eq!(decoded(&[0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0], 7), Err(DecodeError::IntegerTooLarge));
        assert_eq!(decoded(&[0x7f], 7), Err(DecodeError::Truncated));
        assert_eq!(decoded(&[0x7f, 0xff], 7), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn round_trip(value: u32, bits in 1u32..=8) {
            prop_assert_eq!(decoded(&encoded(value as usize, bits), bits), Ok(value as usize));
        }
    }
}

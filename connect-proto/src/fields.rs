//! What HTTP/1.1, HTTP/2 and calls read alike of header fields.

/// The value of a content-length: digits and nothing else, no sign, no blank, no list (RFC 9110, section 8.6).
pub(crate) fn read_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |len, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        len.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(read_length(b"0"), Some(0));
        assert_eq!(read_length(b"007"), Some(7));
        assert_eq!(read_length(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "18446744073709551616", "+5", "-0", "5,5", "5, 5", "0x5", "5 5", "5_0", "\u{0665}"] {
            assert_eq!(read_length(bad.as_bytes()), None, "{bad}");
        }
    }
}

//! Base64 as the protocol writes it (never padded) and as it is to be read (padded or not, by the one
//! alphabet or by the other).
//!
//! Bits left over in the last character are ignored, as connect-go does.

use base64::Engine as _;
use base64::alphabet::{self, Alphabet};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const STANDARD: GeneralPurpose = lenient(&alphabet::STANDARD);
const URL_SAFE: GeneralPurpose = lenient(&alphabet::URL_SAFE);

const fn lenient(alphabet: &Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

/// Standard alphabet, unpadded.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Standard alphabet, padded or not; `None` for anything else.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// URL-safe alphabet, unpadded, at the end of `out`.
pub(super) fn encode_url_safe(bytes: &[u8], out: &mut String) {
    URL_SAFE.encode_string(bytes, out);
}

/// The length of the URL-safe, unpadded form of so many bytes.
pub(super) fn encoded_len(bytes: usize) -> usize {
    base64::encoded_len(bytes, false).unwrap_or(usize::MAX)
}

/// URL-safe alphabet, padded or not; `None` for anything else.
pub(super) fn decode_url_safe(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE.decode(text).ok()
}

/// Either alphabet, but not both in one text; padded or not. `None` for anything else.
pub(super) fn decode_either(text: &[u8]) -> Option<Vec<u8>> {
    decode(text).or_else(|| decode_url_safe(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_left_over_bits_do_not_matter() {
        for text in ["aGk", "aGk=", "aGl"] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(&b"hi"[..]), "{text}");
        }
        for text in ["a", "aGk==", "aG k", "aGk\n", "a=Gk", "="] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_alphabets_are_told_apart() {
        assert_eq!(decode(b"-_-_"), None);
        assert_eq!(decode_url_safe(b"+/+/"), None);
        assert_eq!(decode_either(b"-_-_"), decode_either(b"+/+/"));
        assert_eq!(decode_either(b"-/-/"), None);
    }
}

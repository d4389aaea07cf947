//! `connect-timeout-ms`: how long the client is willing to wait.
//!
//! See the Connect protocol reference, section "Unary-Request", rule "Timeout-Milliseconds".

use std::time::Duration;

use http::HeaderValue;

use crate::error::PeerMisbehaved;

const MAX_DIGITS: usize = 10;
const MAX_MILLIS: u64 = 9_999_999_999;

/// The timeout that a request asks for, counted from its arrival. Zero is a timeout that has passed already.
///
/// # Errors
/// [`PeerMisbehaved::MalformedTimeout`] unless the value is one to ten ASCII digits, which count
/// milliseconds.
///
/// ```
/// use std::time::Duration;
/// use connect_proto::wire::timeout;
/// use http::HeaderValue;
///
/// let value = HeaderValue::from_static("1500");
/// assert_eq!(timeout::read_connect(&value), Ok(Duration::from_millis(1500)));
/// assert!(timeout::read_connect(&HeaderValue::from_static("1.5")).is_err());
/// ```
pub fn read_connect(value: &HeaderValue) -> Result<Duration, PeerMisbehaved> {
    let digits = value.as_bytes();
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Err(PeerMisbehaved::MalformedTimeout);
    }
    let millis = digits.iter().fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
    Ok(Duration::from_millis(millis))
}

/// The value that asks for this timeout: whole milliseconds, rounded down so that the server never waits
/// longer than its client, and at most 9999999999 (about 115 days), the most that ten digits hold.
#[must_use]
pub fn write_connect(timeout: Duration) -> HeaderValue {
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    HeaderValue::from(millis.min(MAX_MILLIS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Result<Duration, PeerMisbehaved> {
        read_connect(&HeaderValue::from_bytes(text).unwrap())
    }

    #[test]
    fn one_to_ten_digits_are_milliseconds() {
        assert_eq!(read(b"0"), Ok(Duration::ZERO));
        assert_eq!(read(b"0000000007"), Ok(Duration::from_millis(7)));
        assert_eq!(read(b"9999999999"), Ok(Duration::from_millis(9_999_999_999)));
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in
            [&b""[..], b"12345678901", b"-1", b"+1", b" 1", b"1 ", b"1.0", b"1ms", b"0x1", b"1,2", b"\xff"]
        {
            assert_eq!(read(text), Err(PeerMisbehaved::MalformedTimeout), "{text:?}");
        }
    }

    #[test]
    fn written_timeouts_are_rounded_down_and_saturate() {
        for (timeout, text) in [
            (Duration::ZERO, "0"),
            (Duration::from_nanos(999_999), "0"),
            (Duration::from_micros(1_999), "1"),
            (Duration::from_millis(9_999_999_999), "9999999999"),
            (Duration::from_millis(10_000_000_000), "9999999999"),
            (Duration::MAX, "9999999999"),
        ] {
            assert_eq!(write_connect(timeout), text);
        }
    }

    proptest! {
        #[test]
        fn whole_milliseconds_round_trip(millis in 0..=MAX_MILLIS) {
            let timeout = Duration::from_millis(millis);
            prop_assert_eq!(read_connect(&write_connect(timeout)), Ok(timeout));
        }
    }
}

//! The `date` of responses.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

/// The time of day as HTTP writes it (RFC 9110, section 5.6.7), and for how much longer it stays so.
pub(super) fn at(time: SystemTime) -> (HeaderValue, Duration) {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // What can be written ends with the year 9999.
    let seconds = Duration::from_secs(since_epoch.as_secs().min(253_402_300_799));
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + seconds);
    let left = Duration::from_secs(1) - Duration::from_nanos(since_epoch.subsec_nanos().into());
    // It is ASCII.
    (HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")), left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_lasts_for_the_rest_of_its_second() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_250);
        let (date, left) = at(time);
        assert_eq!(date, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(left, Duration::from_millis(750));
    }

    #[test]
    fn a_clock_that_is_far_off_still_has_a_date() {
        assert_eq!(at(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).0, "Thu, 01 Jan 1970 00:00:00 GMT");
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(at(late).0, "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}

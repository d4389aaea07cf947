//! What HTTP/1.1, HTTP/2 and calls read alike of header fields.

use http::HeaderName;
use http::uri::Authority;

/// A field that means something to HTTP itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Special {
    Connection,
    TransferEncoding,
    /// Another one that belongs to an HTTP/1.1 connection (RFC 9110, section 7.6.1).
    Hop,
    Te,
    Trailer,
    ContentLength,
    Host,
    Expect,
    Cookie,
}

macro_rules! special {
    ($($name:literal $special:ident)*) => {
        impl Special {
            /// What the field of that name means.
            pub(crate) fn of(name: &HeaderName) -> Option<Self> {
                Some(match name.as_str() {
                    $($name => Special::$special,)*
                    _ => return None,
                })
            }
        }

        #[cfg(test)]
        pub(crate) const SPECIAL: [&str; [$($name),*].len()] = [$($name),*];
    };
}

special! {
    "connection" Connection
    "transfer-encoding" TransferEncoding
    "upgrade" Hop
    "keep-alive" Hop
    "proxy-connection" Hop
    "te" Te
    "trailer" Trailer
    "content-length" ContentLength
    "host" Host
    "expect" Expect
    "cookie" Cookie
}

/// Places in a list of known names, by a hash table that is made at compile time.
#[derive(Debug)]
pub(crate) struct Places([u8; 256]);

impl Places {
    /// The places of up to 255 names in lower case; of a name that is there several times, the first one.
    #[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
    pub(crate) const fn of(names: &[&str]) -> Self {
        let mut places = [0; 256];
        let mut at = 0;
        while at < names.len() {
            let mut slot = hash(names[at].as_bytes());
            while places[slot] != 0
                && !equal(names[places[slot] as usize - 1].as_bytes(), names[at].as_bytes())
            {
                slot = (slot + 1) % 256;
            }
            if places[slot] == 0 {
                places[slot] = at as u8 + 1;
            }
            at += 1;
        }
        Places(places)
    }

    /// The place of a name in lower case. `is` says whether the name of a place is it.
    #[inline]
    pub(crate) fn find(&self, name: &[u8], is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut slot = hash(name);
        loop {
            let place = usize::from(*self.0.get(slot)?).checked_sub(1)?;
            if is(place) {
                return Some(place);
            }
            slot = (slot + 1) % 256;
        }
    }
}

/// Length, first and last byte: all that tells most known names apart.
#[inline]
const fn hash(name: &[u8]) -> usize {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return 0 };
    (name.len() * HASH[0] + *first as usize * HASH[1] + *last as usize * HASH[2]) % 256
}

/// Found by trying; a test says how many steps the worst known name needs.
const HASH: [usize; 3] = [7, 31, 37];

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
impl Places {
    /// How many names are looked at in vain before the one of that place.
    pub(crate) fn steps(&self, name: &str, place: usize) -> usize {
        let slot = self.0.iter().position(|at| usize::from(*at) == place + 1).expect("a first place");
        (slot + 256 - hash(name.as_bytes())) % 256
    }
}

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

/// An authority without a user's name.
pub(crate) fn host_of(authority: &Authority) -> &[u8] {
    let all = authority.as_str().as_bytes();
    let start = all.iter().rposition(|byte| *byte == b'@').map_or(0, |at| at + 1);
    all.get(start..).unwrap_or_default()
}

/// Calls `write` with the digits of a number.
pub(crate) fn with_decimal(mut number: u64, write: impl FnOnce(&[u8])) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start = at;
        if number == 0 {
            break;
        }
    }
    write(digits.get(start..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (authority, host) in [("a.b:80", "a.b:80"), ("u:p@a.b:80", "a.b:80"), ("[::1]:80", "[::1]:80")] {
            assert_eq!(host_of(&Authority::from_static(authority)), host.as_bytes());
        }
    }

    #[test]
    fn decimals() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
            with_decimal(number, |digits| assert_eq!(digits, number.to_string().as_bytes()));
        }
    }

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

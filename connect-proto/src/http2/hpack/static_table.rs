//! The static table: RFC 7541 appendix A.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::decode::Entry;
use super::names::Policy;
use super::{FIELD_OVERHEAD, Field, Pseudo};

macro_rules! rows {
    ($($name:literal $value:literal $policy:ident)*) => {
        /// The entries, the one of index 1 first.
        static ENTRIES: [Entry; ROWS.len()] = [$(entry($name, $value)),*];

        /// Name, value and what the encoder does with values of its own for that name; index 1 first.
        pub(super) const ROWS: [(&str, &str, Policy); 61] = [$(($name, $value, Policy::$policy)),*];
    };
}

rows! {
    ":authority" "" Value
    ":method" "GET" Plain
    ":method" "POST" Plain
    ":path" "/" Path
    ":path" "/index.html" Path
    ":scheme" "http" Plain
    ":scheme" "https" Plain
    ":status" "200" Value
    ":status" "204" Value
    ":status" "206" Value
    ":status" "304" Value
    ":status" "400" Value
    ":status" "404" Value
    ":status" "500" Value
    "accept-charset" "" Plain
    "accept-encoding" "gzip, deflate" Value
    "accept-language" "" Value
    "accept-ranges" "" Plain
    "accept" "" Value
    "access-control-allow-origin" "" Value
    "age" "" Plain
    "allow" "" Value
    "authorization" "" Never
    "cache-control" "" Value
    "content-disposition" "" Plain
    "content-encoding" "" Value
    "content-language" "" Plain
    "content-length" "" Plain
    "content-location" "" Plain
    "content-range" "" Plain
    "content-type" "" Value
    "cookie" "" Never
    "date" "" Plain
    "etag" "" Plain
    "expect" "" Plain
    "expires" "" Plain
    "from" "" Plain
    "host" "" Value
    "if-match" "" Plain
    "if-modified-since" "" Plain
    "if-none-match" "" Plain
    "if-range" "" Plain
    "if-unmodified-since" "" Plain
    "last-modified" "" Plain
    "link" "" Plain
    "location" "" Plain
    "max-forwards" "" Plain
    "proxy-authenticate" "" Plain
    "proxy-authorization" "" Never
    "range" "" Plain
    "referer" "" Plain
    "refresh" "" Plain
    "retry-after" "" Plain
    "server" "" Value
    "set-cookie" "" Never
    "strict-transport-security" "" Value
    "transfer-encoding" "" Plain
    "user-agent" "" Value
    "vary" "" Value
    "via" "" Value
    "www-authenticate" "" Plain
}

/// The number of entries; the dynamic table begins at the index after it (section 2.3.3).
pub(super) const LEN: usize = ROWS.len();

/// The entry at `index`, from 1 on.
#[inline]
pub(super) fn get(index: usize) -> Option<&'static Entry> {
    ENTRIES.get(index.checked_sub(1)?)
}

/// The index of the entry that has the value `value` under the name whose first index is `name`.
pub(super) fn find(name: usize, value: &[u8]) -> Option<usize> {
    Some(match (name, value) {
        (2, b"GET") => 2,
        (2, b"POST") => 3,
        (4, b"/") => 4,
        (4, b"/index.html") => 5,
        (6, b"http") => 6,
        (6, b"https") => 7,
        (8, b"200") => 8,
        (8, b"204") => 9,
        (8, b"206") => 10,
        (8, b"304") => 11,
        (8, b"400") => 12,
        (8, b"404") => 13,
        (8, b"500") => 14,
        (16, b"gzip, deflate") => 16,
        (1 | 15 | 17..=LEN, b"") => name,
        _ => return None,
    })
}

const fn entry(name: &'static str, value: &'static str) -> Entry {
    let field = match Pseudo::from_bytes(name.as_bytes()) {
        Some(pseudo) => Field::Pseudo(pseudo, Bytes::from_static(value.as_bytes())),
        None => Field::Header(HeaderName::from_static(name), HeaderValue::from_static(value)),
    };
    Entry { field, name_len: name.len(), size: name.len() + value.len() + FIELD_OVERHEAD }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_agrees_with_the_table() {
        for (at, (name, value, _)) in ROWS.iter().enumerate() {
            let first = 1 + ROWS.iter().position(|(other, ..)| other == name).unwrap();
            assert_eq!(find(first, value.as_bytes()), Some(at + 1));
            assert_eq!(find(first, b"other"), None);
        }
        assert_eq!(find(2, b""), None);
        assert_eq!(find(LEN + 1, b""), None);
        assert!(get(0).is_none() && get(LEN + 1).is_none());
    }
}

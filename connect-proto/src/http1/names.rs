//! Header names and values without an allocation.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::fields::{Places, Special};

macro_rules! names {
    ($($name:literal $(=> $special:ident)?)*) => {
        /// The names that requests and responses of RPCs mostly have, those among them that `http` would allocate, and all
        /// that mean something to HTTP itself, with that meaning.
        static KNOWN: [(&str, HeaderName, Option<Special>); [$($name),*].len()] =
            [$(($name, HeaderName::from_static($name), names!(@ $($special)?))),*];

        static PLACES: Places = Places::of(&[$($name),*]);
    };
    (@ $special:ident) => { Some(Special::$special) };
    (@) => { None };
}

names! {
    "accept"
    "accept-encoding"
    "authorization"
    "connection" => Connection
    "content-encoding"
    "content-length" => ContentLength
    "content-type"
    "cookie" => Cookie
    "date"
    "expect" => Expect
    "host" => Host
    "keep-alive" => Hop
    "proxy-connection" => Hop
    "server"
    "te" => Te
    "trailer" => Trailer
    "transfer-encoding" => TransferEncoding
    "upgrade" => Hop
    "user-agent"
    "vary"
    "connect-protocol-version"
    "connect-timeout-ms"
    "connect-accept-encoding"
    "connect-content-encoding"
    "grpc-timeout"
    "grpc-encoding"
    "grpc-accept-encoding"
    "grpc-status"
    "grpc-message"
    "grpc-status-details-bin"
    "x-grpc-web"
    "x-user-agent"
    "x-request-id"
    "x-forwarded-for"
    "x-forwarded-host"
    "x-forwarded-proto"
    "x-real-ip"
    "traceparent"
    "tracestate"
    "baggage"
}

macro_rules! values {
    ($($value:literal)*) => {
        /// A value that needs no share of the head's bytes, if it is one that nearly every message carries.
        fn common_value(value: &[u8]) -> Option<HeaderValue> {
            Some(match value {
                $($value => {
                    static VALUE: HeaderValue = HeaderValue::from_static(text($value));
                    VALUE.clone()
                })*
                _ => return None,
            })
        }
    };
}

values! {
    b"1"
    b"br"
    b"gzip"
    b"close"
    b"chunked"
    b"trailers"
    b"identity"
    b"gzip, br"
    b"application/grpc"
    b"application/json"
    b"application/proto"
    b"application/grpc+proto"
    b"application/connect+json"
    b"application/connect+proto"
}

/// The name in lower case, and what it means to HTTP; `None` if it is not a token.
pub(super) fn header_name(name: &[u8]) -> Option<(HeaderName, Option<Special>)> {
    match known_name(name) {
        Some((_, name, special)) => Some((name.clone(), *special)),
        None => HeaderName::from_bytes(name).ok().map(|name| (name, None)),
    }
}

fn known_name(name: &[u8]) -> Option<&'static (&'static str, HeaderName, Option<Special>)> {
    let mut lower = [0; LONGEST];
    lower.get_mut(..name.len())?.copy_from_slice(name);
    // All of it, which takes no loop.
    lower.make_ascii_lowercase();
    let lower = lower.get(..name.len())?;
    KNOWN.get(PLACES.find(lower, |at| KNOWN.get(at).is_some_and(|(known, ..)| known.as_bytes() == lower))?)
}

/// Longer names are not known.
const LONGEST: usize = 32;

/// The value, a slice of the head if it is not a common one; `None` if it has control characters.
pub(super) fn header_value(head: &Bytes, value: &[u8]) -> Option<HeaderValue> {
    common_value(value).or_else(|| HeaderValue::from_maybe_shared(head.slice_ref(value)).ok())
}

const fn text(bytes: &'static [u8]) -> &'static str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::SPECIAL;

    #[test]
    fn known_names_are_found_in_any_case_and_others_are_lowered() {
        for (text, name, special) in &KNOWN {
            assert_eq!(header_name(text.to_ascii_uppercase().as_bytes()), Some((name.clone(), *special)));
            assert_eq!(Special::of(name), *special);
        }
        for text in ["x-other", "access-control-request-method", "connect-timeout-mt"] {
            assert!(known_name(text.as_bytes()).is_none());
            let name = HeaderName::from_static(text);
            assert_eq!(header_name(text.to_ascii_uppercase().as_bytes()), Some((name, None)));
        }
        assert_eq!(header_name(b"a b"), None);
        assert_eq!(header_name(b""), None);
    }

    #[test]
    fn known_names_are_found_in_few_steps() {
        let steps = KNOWN.iter().enumerate().map(|(at, (text, ..))| PLACES.steps(text, at));
        assert!(steps.max() <= Some(2), "the multipliers of the hash no longer suit the names");
    }

    #[test]
    fn all_special_names_are_known() {
        for name in SPECIAL {
            let special = Special::of(&HeaderName::from_static(name));
            assert_eq!(header_name(name.as_bytes()).unwrap().1, special, "{name}");
        }
    }

    #[test]
    fn common_values_are_what_they_look_like() {
        for text in ["1", "gzip", "application/connect+proto"] {
            assert_eq!(common_value(text.as_bytes()).unwrap(), text);
        }
        assert_eq!(common_value(b"2"), None);
        assert_eq!(common_value(b""), None);
    }
}
